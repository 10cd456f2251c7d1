from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from plot_builders import odds, rho

from ckinetics import plot
from ckinetics.errors import InputError


def of_gid(ax, gid):
    return next(line for line in ax.lines if line.get_gid() == gid)


def over_patients(values, name="cmax", **attrs):
    patients = np.array([f"P{at}" for at in range(len(values))], dtype=object)
    return xr.DataArray(values, dims="patient", coords={"patient": patients}, name=name, attrs=attrs)


def test_the_title_says_estimate_interval_and_numbers():
    ax = plot.exposure_response(odds())
    title = ax.get_title(loc="left").replace("\n", " ")
    assert title == "odds ratio per doubling 2 (1.1–∞), p = 0.031; n=11 (6 events), 1 dropped"
    assert ax.get_ylabel() == "Probability of CR"
    assert ax.get_xlabel() == "Cmax (copies/µg)"
    assert len(of_gid(ax, "patients").get_xdata()) == 11  # the dropped patient is not drawn


def test_a_regression_that_failed_still_shows_the_patients():
    result = odds(odds_ratio=np.nan)
    for name in ("probability", "probability_lower", "probability_upper"):
        result[name][:] = np.nan
    ax = plot.exposure_response(result)
    assert "n.c." in ax.get_title(loc="left")
    assert not ax.collections
    ax = plot.exposure_response(odds(0))
    assert "No patient" in ax.texts[0].get_text()


def test_a_peak_of_zero_is_counted_not_drawn():
    ax = plot.exposure_correlation(rho())
    assert len(of_gid(ax, "patients").get_xdata()) == 7
    title = ax.get_title(loc="left").replace("\n", " ")
    assert "Spearman rho 0.5 (-0.2 to 0.9), p = 0.2; n=8, 0 dropped; 1 without a positive number not drawn" in title
    assert ax.get_ylabel() == "IL-6 (pg/mL)"
    assert "No patient" in plot.exposure_correlation(rho(0)).texts[0].get_text()


def test_groups_show_all_patients_and_count_the_rest():
    values = over_patients([1e3, 2e3, 3e3, 4e3, 5e3, np.nan, 10.0, 0.0], long_name="largest level", units="copies/ug")
    groups = over_patients(np.array(["CR"] * 6 + ["PD", ""], dtype=object), name="response")
    ax = plot.exposure_by_group(values, groups)
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "CR\nn=5\n+1 without",
        "PD\nn=1",
        "not known\nn=0\n+1 without",
    ]
    assert sorted(of_gid(ax, "group-0").get_ydata()) == [1e3, 2e3, 3e3, 4e3, 5e3]
    assert len(ax.patches) == 1  # one box: five values make one, one value none
    assert ax.get_ylabel() == "Cmax: largest level (copies/µg)"
    ordered = plot.exposure_by_group(values, groups, order=["PD", "CR", "not known"])
    assert ordered.get_xticklabels()[0].get_text().startswith("PD")


def test_groups_refuse_what_does_not_fit():
    values, groups = over_patients([1.0, 2.0]), over_patients(np.array(["a", "b"], dtype=object), name="response")
    with pytest.raises(InputError, match="over different patients"):
        plot.exposure_by_group(values, groups.isel(patient=[0]))
    with pytest.raises(InputError, match="select one series first"):
        plot.exposure_by_group(values.expand_dims("matrix"), groups)
    with pytest.raises(InputError, match="leaves out the group 'b'"):
        plot.exposure_by_group(values, groups, order=["a"])
    empty = plot.exposure_by_group(values.isel(patient=[]), groups.isel(patient=[]))
    assert "No patient has a positive value." in empty.texts[0].get_text()


@pytest.mark.parametrize("draw", [plot.exposure_response, plot.exposure_correlation])
def test_another_result_is_refused(draw):
    with pytest.raises(InputError, match="expected the result of"):
        draw(xr.Dataset(attrs={"result": "nca"}))


def test_the_band_is_not_called_what_the_interval_is():
    labels = [text.get_text() for text in plot.exposure_response(odds()).get_legend().get_texts()]
    assert "95 % band, pointwise (Wald)" in labels
    assert not any("profile" in label for label in labels)


def test_the_axis_names_the_matrix():
    result = odds().assign_attrs(exposure_series="bone marrow")
    assert plot.exposure_response(result).get_xlabel() == "Cmax in bone marrow (copies/µg)"
