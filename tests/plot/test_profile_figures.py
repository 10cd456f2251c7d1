from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from plot_builders import arrays_cohort, empty_cohort, small_cohort, small_fit

from ckinetics import plot
from ckinetics.cohorts import cohort, read_kinetics
from ckinetics.errors import InputError, StaleResultError
from ckinetics.noncompartmental import nca


def marks(ax, kind):
    """All (time, height) drawn for one kind of sample."""
    found = [line for line in ax.lines if str(line.get_gid() or "").rsplit("-", 1)[0] == kind]
    points = [np.column_stack([line.get_xdata(), line.get_ydata()]) for line in found]
    return sorted(map(tuple, np.concatenate(points).tolist())) if points else []


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_each_sample_is_drawn_as_what_is_known_of_it():
    ax = plot.profiles(small_cohort())
    assert marks(ax, "quantified") == [(7.0, 1e4), (14.0, 3e3), (28.0, 900.0), (60.0, 80.0)]
    assert marks(ax, "blq") == [(-2.0, 50.0), (7.0, 40.0), (14.0, 40.0), (28.0, 60.0)]
    assert marks(ax, "above") == [(7.0, 2e4)]
    assert marks(ax, "excluded") == [(14.0, 4e3)]
    assert marks(ax, "unusable") == [(60.0, 0.02)]
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel() == "CAR transgene in blood (copies/µg)"
    assert ax.get_xlabel() == "Time since first infusion (day)"
    low, high = ax.get_xlim()
    assert low < -2
    assert high > 60


def test_the_order_of_dims_does_not_matter():
    data = small_cohort()["kinetics"].to_dataset()
    turned = data.transpose("matrix", "sample", "patient")
    for draw in (lambda one: plot.profiles(one), lambda one: plot.individuals(one).axes[0]):
        assert marks(draw(turned), "quantified") == marks(draw(data), "quantified") != []
    with pytest.raises(InputError, match="a figure takes patient, matrix and sample; select the rest"):
        plot.profiles(data.expand_dims("simulation"))


def test_the_lloq_line_is_the_median_and_the_band_the_range():
    ax = plot.profiles(small_cohort())
    line = next(line for line in ax.lines if line.get_gid() == "lloq")
    # Nine samples of three patients, without the excluded one: 50 four times, 60 four times, 40 twice.
    assert line.get_ydata()[0] == np.median([50] * 4 + [60] * 4 + [40] * 2)
    assert "LLOQ, median 50 (40–60) copies/µg" in words(ax.figure)


def test_no_line_joins_an_excluded_sample_or_two_limits():
    ax = plot.profiles(small_cohort())
    drawn = [line for line in ax.lines if line.get_gid() is None and len(line.get_xdata()) % 3 == 0]
    segments = np.concatenate([np.column_stack([line.get_xdata(), line.get_ydata()]) for line in drawn])
    assert 4e3 not in segments[:, 1]
    assert not np.isin(segments[:, 1], [40.0]).any()  # all samples of P3 are limits


def test_colours_are_categories_with_their_number():
    text = words(plot.profiles(small_cohort(), colour_by="dose_level").figure)
    assert "DL1 (n=2)" in text
    assert "DL2 (n=1)" in text
    assert "not known (n=1)" in text
    assert "PD (n=1)" in words(plot.profiles(small_cohort(), colour_by="response").figure)


def test_many_numbers_are_a_scale():
    data = arrays_cohort(np.full((9, 3), 1e3))
    data["age"] = xr.DataArray(np.arange(40.0, 49.0), dims="patient")
    ax = plot.profiles(data, colour_by="age")
    assert len(ax.figure.axes) == 2
    assert ax.figure.axes[1].get_ylabel() == "age"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matrix": "csf"}, "no matrix 'csf'"),
        ({"group": "flow"}, "no group 'flow'"),
        ({"colour_by": "arm"}, "no variable 'arm' over patients: it has .*dose_level, .*response"),
        ({"fit": small_fit(matrix="csf")}, "the fit is of csf"),
        ({"fit": small_fit(unit="cells/uL")}, "the fit is in cells/uL"),
    ],
)
def test_wrong_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        plot.profiles(small_cohort(), **options)


def test_the_fit_takes_the_place_of_the_lines():
    ax = plot.profiles(small_cohort(), fit=small_fit())
    curves = [line for line in ax.lines if len(line.get_xdata()) == 50]
    assert len(curves) == 2
    assert "fit of line" in ax.get_title(loc="left")


def test_empty_and_all_blq_say_so():
    ax = plot.profiles(empty_cohort())
    assert "There are no samples of blood." in words(ax.figure)
    ax = plot.profiles(arrays_cohort([[0.0, 0.0, 0.0]]))
    assert "No sample was quantified." in words(ax.figure)
    assert marks(ax, "blq") == [(0.0, 50.0), (7.0, 50.0), (28.0, 50.0)]
    ax.figure.savefig("/dev/null", format="png")


def test_a_blq_sample_without_a_limit_is_at_the_foot():
    ax = plot.profiles(_no_limit())
    assert marks(ax, "blq_unknown") == [(0.0, 0.02)]


def _no_limit():
    from ckinetics.cohorts import kinetics_from_arrays

    return kinetics_from_arrays([0, 7, 28], [[0, 1e3, 1e2]], unit="copies/ug")


def test_given_axes_are_used_and_settings_left_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figure = Figure()
    ax = figure.add_subplot()
    assert plot.profiles(small_cohort(), ax=ax) is ax
    assert dict(mpl.rcParams) == before


def test_names_with_dollars_are_no_mathematics():
    data = arrays_cohort([[0.0, 1e3, 1e2]], patient=["a$x_{$b"])
    figure = plot.individuals(data)
    figure.savefig("/dev/null", format="svg")
    assert plot.profiles(data).figure.savefig("/dev/null", format="svg") is None


def test_panels_ring_the_samples_of_the_terminal_line():
    data = arrays_cohort([[0, 1e4, 4e3, 9e2, 80], [0, 0, 0, 0, 0]], times=[0, 7, 14, 28, 60])
    result = nca(data)
    figure = plot.individuals(data, nca=result)
    first, second = figure.axes
    rings = [line for line in first.lines if str(line.get_gid()).startswith("lambda_z")]
    used = result["lambda_z_used"].values[0, 0] == 1
    assert rings[0].get_xdata().tolist() == result["time"].values[0, 0][used].tolist()
    assert f"({int(used.sum())} points, R²adj 0.99)" in words(first)
    by_hand = -np.log(2) / np.polyfit([14, 28, 60], np.log([4e3, 9e2, 80]), 1)[0]
    assert f"t½ {by_hand:.2f} day" in words(first)
    assert "n.c.: no sample was quantifiable" in words(second).replace("\n", " ")
    line = next(line for line in first.lines if line.get_linestyle() == "--" and line.get_color() == "#009E73")
    slope = -np.diff(np.log(line.get_ydata())) / np.diff(line.get_xdata())
    np.testing.assert_allclose(slope, result["lambda_z"].values[0, 0])


def relapsing_cohort():
    """P1 has two infusions, of which the second is followed by a second expansion; P2 has one."""
    first = [(0, 0), (7, 9e3), (14, 900), (21, 400), (28, 120), (35, 0)]
    second = [(63, 400), (70, 5e3), (84, 900), (98, 200), (112, 70), (126, 0)]
    rows = [("P1", t, c) for t, c in (*first, (56, 0), *second)]
    rows += [
        ("P2", t, c) for t, c in ((0, 0), (7, 4e3), (10, 2e4), (14, 9e3), (21, 3e3), (28, 800), (45, 300), (60, 0))
    ]
    table = pd.DataFrame(rows, columns=["patient", "time", "level"])
    infusions = pd.DataFrame({"patient": ["P1", "P1", "P2"], "time": [0.0, 56.0, 0.0], "dose": 1e8})
    return cohort(read_kinetics(table, unit="copies/ug", lloq=50), infusions=infusions)


def by_id(ax, start):
    return [line for line in ax.lines if str(line.get_gid()).startswith(start)]


def test_the_line_of_each_infusion_lies_on_its_own_samples():
    data = relapsing_cohort()
    result = nca(data, infusions="each")
    figure = plot.individuals(data, nca=result)
    first, second = figure.axes
    rings = [line.get_xdata().tolist() for line in by_id(first, "lambda_z-P1")]
    assert rings == [[14, 21, 28], [84, 98, 112]]
    for ring, line in zip(by_id(first, "lambda_z-P1"), by_id(first, "lambda_z-line"), strict=True):
        slope, intercept = np.polyfit(ring.get_xdata(), np.log(ring.get_ydata()), 1)
        np.testing.assert_allclose(np.log(line.get_ydata()), intercept + slope * line.get_xdata(), rtol=1e-9)
    said = words(first).replace("\n", " ")
    assert "infusion 1: t½ 4.82 day (3 points" in said
    assert "infusion 2: t½" in said
    assert len(by_id(second, "lambda_z-line")) == 1


def test_the_line_of_a_window_lies_on_its_samples():
    data = relapsing_cohort()
    figure = plot.individuals(data, nca=nca(data, window=(56, 130)))
    ring, line = by_id(figure.axes[0], "lambda_z-P1")[0], by_id(figure.axes[0], "lambda_z-line")[0]
    slope, intercept = np.polyfit(ring.get_xdata(), np.log(ring.get_ydata()), 1)
    np.testing.assert_allclose(np.log(line.get_ydata()), intercept + slope * line.get_xdata(), rtol=1e-9)


def test_samples_chosen_by_hand_are_squares_and_those_left_out_are_crossed():
    data = relapsing_cohort()
    choice = pd.DataFrame(
        {"patient": ["P2", "P2", "P1"], "time": [10.0, 14.0, 28.0], "use": ["include", "include", "exclude"]}
    ).assign(reason="early phase")
    figure = plot.individuals(data, nca=nca(data, slopes=choice, min_points=2))
    first, second = figure.axes
    assert by_id(second, "lambda_z-P2")[0].get_marker() == "s"
    assert by_id(second, "lambda_z-P2")[0].get_xdata().tolist() == [10, 14]
    assert by_id(first, "left-out")[0].get_xdata().tolist() == [28]
    assert by_id(first, "lambda_z-P1")[0].get_marker() == "o"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"terminal line through samples chosen by hand", "left out of the line by hand"} <= set(labels)
    assert "line chosen by hand" in words(second).replace("\n", " ")


def test_the_tobit_line_reaches_the_blq_samples_that_it_knows():
    data = arrays_cohort([[0, 1e4, 4e3, 9e2, 80, 0, 0]], times=[0, 7, 14, 28, 60, 90, 120])
    result = nca(data)
    extra = {"lambda_z_tobit": 0.08, "half_life_tobit": np.log(2) / 0.08, "lambda_z_tobit_intercept": 9.3}
    extra |= {"lambda_z_tobit_n_points": 3.0, "lambda_z_tobit_n_blq": 2.0}
    codes = result["reason_code"]
    more = codes.isel(parameter=[0] * len(extra)).assign_coords(parameter=np.array(list(extra), dtype=object))
    result = result.drop_dims("parameter").assign({n: (("patient", "matrix"), [[v]]) for n, v in extra.items()})
    result["reason_code"] = xr.concat([codes, more * 0], "parameter")
    figure = plot.individuals(data, nca=result)
    line = by_id(figure.axes[0], "lambda_z_tobit-line")[0]
    assert line.get_xdata().tolist() == [14, 120]
    np.testing.assert_allclose(np.log(line.get_ydata()), 9.3 - 0.08 * line.get_xdata())
    assert "Tobit t½ 8.66 day (3 points, 2 BLQ)" in words(figure.axes[0])
    assert "terminal line that knows the BLQ samples (Tobit)" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_flags_stand_above_the_panel_with_their_limits_and_hide_no_sample():
    data = arrays_cohort([[0, 9e3, 4e3, 1.2e3, 9e2, 7e2]], times=[0, 7, 14, 28, 35, 42])
    figure = plot.individuals(data, nca=nca(data, limits={"span_ratio": 5, "extrap_pct": 5}))
    said = words(figure.axes[0]).replace("\n", " ")
    assert "(limit 5)" in said
    assert "half-lives" in said
    figure.draw_without_rendering()
    note = figure.axes[0].texts[0]
    assert note.get_window_extent().y0 >= figure.axes[0].get_window_extent().y1


def test_a_result_of_several_analyses_must_be_narrowed():
    data = arrays_cohort([[0.0, 1e4, 500.0]])
    both = xr.concat([nca(data), nca(data)], "analysis", combine_attrs="override")
    with pytest.raises(InputError, match=r"has 2 labels of 'analysis': select one with .isel\(\)"):
        plot.individuals(data, nca=both)
    assert plot.individuals(data, nca=both.isel(analysis=[0])).axes


def test_panels_are_chosen_in_order_and_share_axes():
    data = small_cohort()
    figure = plot.individuals(data, patients=["P3", "P1"], columns=1, fit=small_fit())
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["P3", "P1"]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim() == plot.individuals(data).axes[0].get_xlim()
    assert "no samples" in words(plot.individuals(data, patients=["P4"]))
    with pytest.raises(InputError, match="patient 'P9' is not in the cohort"):
        plot.individuals(data, patients=["P9"])
    with pytest.raises(InputError, match="columns is 0"):
        plot.individuals(data, columns=0)
    with pytest.raises(InputError, match="expects the result of nca"):
        plot.individuals(data, nca=data)
    assert "There are no patients." in words(plot.individuals(empty_cohort()))


def test_figures_are_not_kept_by_pyplot():
    code = (
        "import sys; sys.path.insert(0, 'tests/plot'); import plot_builders as b; from ckinetics import plot\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.profiles(b.small_cohort()); assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=_root())
    assert done.returncode == 0, done.stderr


def _root():
    from pathlib import Path

    return Path(__file__).resolve().parent.parent.parent


def test_results_of_other_data_are_not_drawn():
    old, new = arrays_cohort([[0.0, 1e4, 500.0]]), arrays_cohort([[0.0, 2e4, 500.0]])
    result = nca(old)
    plot.individuals(old, nca=result)
    with pytest.raises(StaleResultError, match="nca= was computed from other data"):
        plot.individuals(new, nca=result)
    fit = small_fit(patients=("1",))
    fit.attrs["cohort_hash"] = result.attrs["cohort_hash"]
    plot.profiles(old, fit=fit)
    for draw in (plot.profiles, plot.individuals):
        with pytest.raises(StaleResultError, match="fit= was computed from other data"):
            draw(new, fit=fit)
