"""Figures of goodness of fit: what is drawn where, censored samples included; draws that repeat; bad input refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from fit_builders import LEVELS, LLOQ, TIMES, made_fit, with_two_outputs
from matplotlib.figure import Figure
from scipy.stats import kstest, norm

from ckinetics import plot
from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.fitting import Convergence, average, fit
from ckinetics.fitting.diagnostics import prediction_errors
from ckinetics.fitting.samples import ASSAY_ERRORS
from ckinetics.schema import Status
from ckinetics.simulation import simulate

KNOWN = np.isfinite(LEVELS)


def named(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def axes():
    return Figure(figsize=(5, 4)).add_subplot()


def drawn(ax):
    """The figure can be drawn, without a warning."""
    ax.figure.canvas.draw()
    return ax


# ---- numbers behind the figures


def test_errors_of_quantified_samples_are_residuals_over_the_sd():
    one = made_fit(ratio=1.5, sd=0.25)
    found = prediction_errors(one)
    np.testing.assert_allclose(found["error"].values[:, KNOWN], np.log(1.5) / 0.25, rtol=1e-12)
    assert np.isnan(found["error"].values[:, ~KNOWN]).all()
    np.testing.assert_array_equal(found["drawn"].values[:, KNOWN], found["error"].values[:, KNOWN])
    # Below LLOQ: predicted is 25/1.5, so the LLOQ of 50 is ln(3) above it.
    assert (found["lower"].values[:, ~KNOWN] == -np.inf).all()
    np.testing.assert_allclose(found["upper"].values[:, ~KNOWN], np.log(3.0) / 0.25, rtol=1e-12)
    assert (found["drawn"].values[:, ~KNOWN] <= found["upper"].values[:, ~KNOWN]).all()
    natural = made_fit(ratio=1.25, residual="additive", sd=10.0)
    np.testing.assert_allclose(
        prediction_errors(natural)["error"].values[0, KNOWN], LEVELS[KNOWN] * 0.2 / 10, rtol=1e-9
    )


def test_a_sample_above_uloq_has_an_open_upper_end():
    status = np.where(KNOWN, Status.quantified, Status.above_uloq).astype(np.int8)
    one = made_fit(status=status)
    one["predictions"]["uloq"].values[:] = 1e5
    found = prediction_errors(one)
    assert (found["upper"].values[:, ~KNOWN] == np.inf).all()
    lower = found["lower"].values[:, ~KNOWN]
    np.testing.assert_allclose(lower, np.log(1e5 * 1.1 / 25.0) / 0.4, rtol=1e-12)
    # Far in the tail draws are still inside, and different.
    draws = found["drawn"].values[:, ~KNOWN]
    assert (draws >= lower).all()
    assert np.isfinite(draws).all()
    assert len(np.unique(draws)) == draws.size


def test_draws_depend_on_seed_and_patient_only():
    one = made_fit(patients=("P1", "P2", "P3"), minus2ll=(1.0, 2.0, 3.0))
    whole = prediction_errors(one, seed=3)["drawn"]
    turned = prediction_errors(one.isel(patient=[2, 0]), seed=3)["drawn"]
    np.testing.assert_array_equal(turned.values, whole.values[[2, 0]])
    other = prediction_errors(one, seed=4)["drawn"].values
    assert (other[:, ~KNOWN] != whole.values[:, ~KNOWN]).all()
    with pytest.raises(InputError, match="seed"):
        prediction_errors(one, seed=-1)


def test_counting_error_is_in_the_sd():
    one = made_fit(ratio=1.5, sd=0.25, lod=20.0)
    plain = prediction_errors(one)["error"].values[0, KNOWN]
    one.attrs["settings"] = one.attrs["settings"].replace(
        '"assay_error": "none"', f'"assay_error": "{ASSAY_ERRORS["counting"]}"'
    )
    counted = prediction_errors(one)["error"].values[0, KNOWN]
    predicted = LEVELS[KNOWN] / 1.5
    sd = np.sqrt(0.25**2 + np.log1p(20.0 / np.log(20.0) / predicted))
    np.testing.assert_allclose(counted, plain * 0.25 / sd, rtol=1e-12)


def test_at_the_truth_draws_are_standard_normal_also_where_most_is_censored():
    generator = np.random.default_rng(5)
    names = tuple(f"P{at}" for at in range(200))
    true = np.broadcast_to(np.where(KNOWN, LEVELS, 25.0), (200, len(TIMES))) / 1.1
    noisy = true * np.exp(0.4 * generator.standard_normal(true.shape))
    one = made_fit(np.zeros(200), patients=names, levels=np.where(noisy < 300.0, np.nan, noisy))
    one["predictions"]["predicted"].values[:] = true
    one["predictions"]["lloq"].values[:] = 300.0
    found = prediction_errors(one)["drawn"].values
    assert np.isnan(one["predictions"]["level"].values).mean() > 0.5
    assert np.isfinite(found).all()
    assert kstest(found.ravel(), "norm").pvalue > 0.01


def test_real_fits_have_errors_about_zero():
    data = simulate("stein2019", times=[1, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365], n=4, seed=1, lloq=50)
    made = fit(data, "stein2019")
    found = prediction_errors(made)
    residual, sd = made["predictions"]["residual"].values, made["predictions"]["sd"].values
    np.testing.assert_allclose(found["error"].values, residual / sd, rtol=1e-10)
    assert abs(np.nanmean(found["drawn"].values)) < 0.3


# ---- figures


def test_observed_against_predicted():
    ax = drawn(plot.observed_predicted(made_fit(ratio=2.0), ax=axes()))
    x, y = named(ax, "quantified")[0].get_data()
    np.testing.assert_allclose(np.sort(y)[-1] / np.sort(x)[-1], 2.0)
    assert len(x) == 2 * KNOWN.sum()
    assert (named(ax, "below LLOQ")[0].get_ydata() == LLOQ).all()
    assert len(named(ax, "below LLOQ")[0].get_ydata()) == 2 * (~KNOWN).sum()
    line = named(ax, "equal")[0]
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "Predicted (copies/µg)"
    assert ax.get_xlim() == ax.get_ylim()


def test_predictions_far_below_stand_at_the_edge_and_are_counted():
    one = made_fit()
    one["predictions"]["predicted"].values[:, ~KNOWN] = 1e-9
    ax = drawn(plot.observed_predicted(one, ax=axes()))
    assert any(text.get_text() == "4 at the edge\nlie beyond it" for text in ax.texts)
    x = named(ax, "below LLOQ")[0].get_xdata()
    assert (x >= ax.get_xlim()[0]).all()


def test_levels_that_a_log_axis_cannot_show_are_counted():
    one = made_fit(residual="additive", levels=np.where(KNOWN & (LEVELS < 100), -5.0, LEVELS))
    ax = drawn(plot.observed_predicted(one, ax=axes()))
    assert any("2 of 0 or less\nnot drawn" in text.get_text() for text in ax.texts)


@pytest.mark.parametrize("against", ["time", "predicted"])
@pytest.mark.parametrize("residual", ["additive on log", "additive"])
def test_residuals_with_censored_samples_as_intervals(against, residual):
    ax = drawn(plot.residuals(made_fit(ratio=1.5, residual=residual), against=against, ax=axes()))
    x, y = named(ax, "quantified")[0].get_data()
    expected = np.full(KNOWN.sum(), np.log(1.5)) if residual == "additive on log" else LEVELS[KNOWN] / 3
    np.testing.assert_allclose(np.sort(y), np.sort(np.tile(expected, 2)), rtol=1e-12)
    if against == "time":
        assert set(x) == set(TIMES[KNOWN])
    # From the residual of the LLOQ down to the edge, clipped where it lies outside.
    marks = named(ax, "below LLOQ")[0].get_ydata()
    at = np.log(LLOQ * 1.5 / 25) if residual == "additive on log" else LLOQ - 25 / 1.5
    np.testing.assert_allclose(marks, min(at, 0.985 * ax.get_ylim()[1]), rtol=1e-9)
    lines = next(part for part in ax.collections if part.get_gid() == "v-lines")
    for segment in lines.get_segments():
        assert segment[:, 1].min() == pytest.approx(ax.get_ylim()[0])
    assert ax.get_ylim()[0] == -ax.get_ylim()[1]
    unit = "ln(observed) − ln(predicted)" if residual == "additive on log" else "Observed − predicted (copies/µg)"
    assert ax.get_ylabel() == unit


def test_prediction_errors_as_intervals_or_draws():
    one = made_fit()
    ax = drawn(plot.prediction_errors(one, ax=axes()))
    assert named(ax, "below LLOQ")
    assert not named(ax, "censored")
    ax = drawn(plot.prediction_errors(one, censored="draw", seed=7, ax=axes()))
    np.testing.assert_allclose(
        np.sort(named(ax, "censored")[0].get_ydata()),
        np.sort(prediction_errors(one, seed=7)["drawn"].values[:, ~KNOWN].ravel()),
    )
    assert "censored, drawn with seed 7" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert not named(ax, "below LLOQ")
    with pytest.raises(InputError, match="censored is 'omit': use one of interval, draw"):
        plot.prediction_errors(one, censored="omit", ax=axes())


def test_ordered_errors_stand_against_normal_quantiles():
    one = made_fit()
    ax = drawn(plot.prediction_errors_qq(one, seed=2, ax=axes()))
    x = np.concatenate([line.get_xdata() for gid in ("quantified", "censored") for line in named(ax, gid)])
    y = np.concatenate([line.get_ydata() for gid in ("quantified", "censored") for line in named(ax, gid)])
    n = 2 * len(LEVELS)
    assert len(x) == n
    order = np.argsort(x)
    np.testing.assert_allclose(x[order], norm.ppf((np.arange(1, n + 1) - 0.375) / (n + 0.25)), rtol=1e-12)
    np.testing.assert_allclose(y[order], np.sort(prediction_errors(one, seed=2)["drawn"].values.ravel()))


FIGURES = (plot.observed_predicted, plot.residuals, plot.prediction_errors, plot.prediction_errors_qq)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_fit_of_nothing_is_said_so(figure):
    ax = drawn(figure(made_fit(used=False), ax=axes()))
    assert "No sample was fitted." in [text.get_text() for text in ax.texts]
    assert drawn(figure(made_fit((), patients=()), ax=axes())) is not None
    lost = made_fit()
    lost["predictions"]["predicted"].values[:] = np.nan
    drawn(figure(lost, ax=axes()))


@pytest.mark.parametrize("figure", FIGURES)
def test_all_below_the_limit_is_drawn_as_intervals(figure):
    levels = np.full(len(LEVELS), np.nan)
    ax = drawn(figure(made_fit(levels=levels), ax=axes()))
    assert not [line for line in named(ax, "quantified") if len(line.get_xdata())]
    assert ax.lines or ax.collections


@pytest.mark.parametrize("figure", FIGURES)
def test_what_is_no_fit_and_unknown_outputs_are_refused(figure):
    with pytest.raises(InputError, match=r"the figure is of a fit: give what ckinetics.fit returned"):
        figure(xr.Dataset(), ax=axes())
    with pytest.raises(InputError, match="the fit has no output 'cells': it has level"):
        figure(made_fit(), output="cells", ax=axes())
    assert figure(made_fit(), output="level").figure is not None


@pytest.mark.parametrize("figure", FIGURES)
def test_of_several_outputs_one_is_drawn(figure):
    both = with_two_outputs(made_fit(), ("car", "cells"))
    with pytest.raises(InputError, match=r"the fit has several outputs \(car, cells\): name one with output="):
        figure(both, ax=axes())
    drawn(figure(both, output="cells", ax=axes()))


def test_the_output_that_is_named_is_the_one_drawn():
    both = with_two_outputs(made_fit(ratio=2.0), ("car", "cells"))
    for output, ratio, unit in (("car", 2.0, "copies/µg"), ("cells", 1.0, "cells/µL")):
        ax = plot.observed_predicted(both, output=output, ax=axes())
        x, y = named(ax, "quantified")[0].get_data()
        assert np.sort(y)[-1] / np.sort(x)[-1] == pytest.approx(ratio)
        assert ax.get_xlabel() == f"Predicted ({unit})"


@pytest.mark.parametrize("figure", [plot.residuals, plot.prediction_errors])
def test_an_unknown_axis_is_refused(figure):
    with pytest.raises(InputError, match="against is 'dose': use one of time, predicted"):
        figure(made_fit(), against="dose", ax=axes())


def test_a_model_named_with_dollars_is_no_mathematics():
    for figure in FIGURES:
        ax = drawn(figure(made_fit(model=r"a $\frac{$"), ax=axes()))
        assert r"a \$\frac{\$" in ax.get_title(loc="left")


# ---- profiles of the likelihood


@pytest.fixture(scope="module")
def profiled():
    data = simulate("stein2019", times=[1, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365], n=2, seed=1, lloq=50)
    return fit(data, "stein2019", interval="profile", fixed={"beta": 0.003})


def test_a_profile_has_its_minimum_at_the_estimate_and_its_limits(profiled):
    ax = drawn(plot.profile_likelihood(profiled, "1", "Tmax", ax=axes()))
    value, rise = named(ax, "profile")[0].get_data()
    own = profiled["estimates"].to_dataset().sel(patient="1", parameter="Tmax")
    assert value[np.argmin(rise)] == pytest.approx(float(own["estimate"]), rel=1e-6)
    limits = sorted(line.get_xdata()[0] for line in named(ax, "limit"))
    assert limits == [float(own["lower"]), float(own["upper"])]
    assert ax.get_xlabel() == "Tmax (day)"


def test_a_held_parameter_has_no_profile(profiled):
    ax = drawn(plot.profile_likelihood(profiled, "1", "beta", ax=axes()))
    assert "There is no profile" in ax.texts[0].get_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [(("9", "Tmax"), "the fit has no patient '9': it has 1, 2"), (("1", "tmax"), "the fit has no parameter 'tmax'")],
)
def test_unknown_patients_and_parameters_are_refused(profiled, words, message):
    with pytest.raises(InputError, match=message):
        plot.profile_likelihood(profiled, *words, ax=axes())


def test_a_fit_without_profiles_is_refused():
    with pytest.raises(InputError, match=r"the fit has no profiles: fit with interval='profile'"):
        plot.profile_likelihood(made_fit(), "P1", "theta0", ax=axes())


# ---- individual panels of several models


def panels(fits):
    profiles = kinetics_from_arrays(TIMES, np.tile(np.nan_to_num(LEVELS), (2, 1)), lloq=50, unit="copies/ug",
                                    patient=["P1", "P2"])  # fmt: skip
    from ckinetics.provenance import content_hash

    for one in fits.values() if isinstance(fits, dict) else fits:
        one.attrs["cohort_hash"] = content_hash(profiles)
    return profiles


def test_panels_show_a_curve_of_each_model_in_its_own_look():
    fits = {"a": made_fit(ratio=1.1), "b": made_fit(ratio=2.0)}
    figure = plot.individuals(panels(fits), fit=fits)
    figure.canvas.draw()
    lines = [line for line in figure.axes[0].lines if line.get_gid() == "fit-0"]
    assert len(lines) == 2
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 2
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[-2:] == ["a", "b"]


def test_panels_take_fits_in_a_list_by_their_models_and_one_alone():
    fits = [made_fit(model="one"), made_fit(model="two")]
    figure = plot.individuals(panels(fits), fit=fits)
    assert [text.get_text() for text in figure.legends[0].get_texts()][-2:] == ["one", "two"]
    alone = plot.individuals(panels(fits), fit=fits[0])
    assert [text.get_text() for text in alone.legends[0].get_texts()][-1] == "fit"
    with pytest.raises(InputError, match="two fits are of 'one': give fit= as a mapping"):
        plot.individuals(panels(fits), fit=[fits[0], fits[0]])


def test_an_average_is_drawn_like_a_fit():
    fits = {"a": made_fit(ratio=1.1), "b": made_fit(ratio=2.0)}
    profiles = panels(fits)
    figure = plot.individuals(profiles, fit=average(fits))
    assert [line for line in figure.axes[1].lines if line.get_gid() == "fit-1"]


def test_a_patient_without_a_curve_keeps_the_line_between_samples():
    lost = made_fit(codes=[0, int(Convergence.too_few_samples)])
    lost["curves"]["predicted"].values[1] = np.nan
    fits = {"a": lost}
    figure = plot.individuals(panels(fits), fit=fits)
    assert not [line for line in figure.axes[1].lines if line.get_gid() == "fit-1"]
    figure.canvas.draw()


def test_other_figures_and_reports_do_without_numba() -> None:
    code = "import sys, ckinetics.plot, ckinetics.reporting; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
