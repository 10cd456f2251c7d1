"""Individual fits under attack: odd options, odd cohorts, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from nist_problems import curve_model
from scipy import stats

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.fitting import Convergence, fit, points_from_arrays
from ckinetics.schema import Status
from ckinetics.simulation import simulate

TIMES = [1, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365]
LEVELS = [8, 80, 700, 3000, 20000, 15000, 9000, 5000, 3000, 1500, 300, 200, 150, 120, 100]
FEW = {"starts": 4, "interval": "t"}


@pytest.fixture(scope="module")
def data():
    return simulate("stein2019", times=TIMES, n=4, seed=3, lloq=50.0)


@pytest.mark.parametrize("options", [{"initial": {"alpha": 0.2}}, {"bootstrap": 3}], ids=str)
def test_a_patient_is_the_same_in_any_cohort(data, options):
    whole = fit(data, "stein2019", **FEW, **options)
    some = fit(data.isel(patient=[3, 1]), "stein2019", **FEW, **options)
    for group in ("/", "estimates", "derived"):
        xr.testing.assert_equal(some[group].to_dataset(), whole[group].to_dataset().isel(patient=[3, 1]))
    if "bootstrap" in options:
        assert (some["estimates/boot_se"].sel(parameter="a") > 0.01).all()


def test_one_replicate_has_no_spread_and_no_patients_have_no_replicates(data):
    one = fit(data.isel(patient=[0]), "stein2019", bootstrap=1, **FEW)["estimates"].to_dataset()
    assert one["boot_se"].isnull().all()
    assert one["boot_lower"].notnull().all()
    none = fit(data.isel(patient=[]), "stein2019", bootstrap=2, **FEW)
    assert none["estimates/boot_lower"].sizes == {"patient": 0, "parameter": 7}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"residual": {"level": 5}}, "residual is '5'"),
        ({"fixed": {1: 2.0}}, "fixed names '1'"),
        ({"assay_error": "counting"}, "no sample that is used has a limit of detection"),
    ],
    ids=str,
)
def test_wrong_options_end_in_a_sentence(data, options, words):
    with pytest.raises(InputError, match=words):
        fit(data, "stein2019", **options)


def test_samples_without_a_limit_of_detection_have_no_counting_error_and_that_is_said(data):
    lod = xr.full_like(data["lloq"], 20.0)
    lod[{"patient": 1, "sample": [2, 3]}] = np.nan
    found = fit(data.assign(lod=lod), "stein2019", assay_error="counting", censoring="M3 without detection", **FEW)
    assert "counting" not in str(found["message"].values[0])
    assert "2 samples without lod have no counting error" in str(found["message"].values[1])


def test_what_helps_too_few_samples_is_not_what_was_done_already():
    one = kinetics_from_arrays([[5.0]], [[100.0]], lloq=50.0, unit="copies/ug")
    message = str(fit(one, "stein2019", prior="file", **FEW)["message"].values[0])
    assert message == "1 usable sample cannot determine 7 parameters, even with the prior: fix some with fixed={...}"
    assert 'prior="file"' in str(fit(one, "stein2019", **FEW)["message"].values[0])


def test_one_part_of_a_combined_error_at_its_bound_is_no_curve_through_the_samples():
    """The scatter is the same at all levels, so that b has nothing to do."""
    x = np.arange(12.0)
    y = 10.0 + 3.0 * x + 0.5 * np.array([1, -1, -1, 1, 1, -1, 1, -1, -1, 1, 1, -1])
    line = curve_model("line", "b1 + b2*t", {"b1": 9.0, "b2": 2.0})
    points = points_from_arrays(x, y)
    found = fit(points, line, residual="combined1", interval="profile", fixed={"b": 1e-12})
    free = fit(points, line, residual="combined1", interval="profile")
    estimates = free["estimates"].to_dataset().isel(patient=0)
    assert float(estimates["estimate"].sel(parameter="b")) < 1e-3
    assert float(free["minus2ll"][0]) == pytest.approx(float(found["minus2ll"][0]), abs=1e-6)
    assert "goes through" not in str(free["message"].values[0])
    line_by_scipy = stats.linregress(x, y)
    ratio = np.sqrt((len(x) - 2) / len(x))  # maximum likelihood divides by n
    assert float(estimates["se"].sel(parameter="b2")) == pytest.approx(line_by_scipy.stderr * ratio, rel=1e-4)
    assert np.isfinite(estimates["lower"].sel(parameter="b2"))


def test_counting_error_may_leave_nothing_for_the_residual_one():
    """Levels on the curve, each known by few copies: a goes to its bound, but the curve's parameters have errors."""
    level = np.array(LEVELS, dtype=float)
    exact = kinetics_from_arrays([TIMES], [level], lloq=1.0, unit="copies/ug")
    exact = exact.assign(lod=xr.full_like(exact["level"], 3000.0))
    found = fit(exact, "stein2019", assay_error="counting", **FEW)
    assert int(found["convergence"][0]) == Convergence.at_bound
    assert "goes through" not in str(found["message"].values[0])
    assert np.isfinite(found["estimates/se"].sel(parameter="Cmax"))


def test_few_censored_samples_are_no_reason_for_a_ridge():
    """Only the product is determined, whatever was censored."""
    t = np.arange(1.0, 13.0)
    level = 1e4 * np.exp(-0.5 * t) * np.exp(0.1 * np.random.default_rng(2).standard_normal(len(t)))
    below = level < 50.0
    points = points_from_arrays(t, np.where(below, 50.0, level))
    points["status"] = points["status"].where(~below, int(Status.below_lloq)).astype(np.int8)
    points["lloq"] = xr.full_like(points["level"], 50.0)
    model = curve_model("ridge", "b1*b2*exp(-b3*t)", {"b1": 100.0, "b2": 100.0, "b3": 0.5})
    found = fit(points, model, residual="additive on log", **FEW)
    assert 1 <= int(found["n_censored"][0]) < 3
    assert str(found["message"].values[0]) == "converged; not estimable: b1, b2"


def test_a_negative_curve_is_told_where_the_error_is_of_ln():
    t = np.arange(1.0, 8.0)
    model = curve_model("below", "-b1*exp(-b2*t)", {"b1": 5.0, "b2": 0.5})
    found = fit(points_from_arrays(t, np.exp(-0.5 * t)), model, residual="additive on log", **FEW)
    assert "negative where the residual error is of ln(level)" in str(found["message"].values[0])


def test_an_estimate_of_nothing_is_an_estimate():
    """A slope of 0 has no size that could tell a flat likelihood."""
    x, y = np.arange(6.0), np.array([1.0, 2.0, 1.0, 1.0, 2.0, 1.0])
    line = curve_model("line", "b1 + b2*t", {"b1": 1.0, "b2": 1.0})
    found = fit(points_from_arrays(x, y), line, residual="additive", **FEW)
    assert str(found["message"].values[0]) == "converged"
    estimates = found["estimates"].to_dataset().isel(patient=0).sel(parameter="b2")
    assert float(estimates["estimate"]) == pytest.approx(0.0, abs=1e-9)
    error = stats.linregress(x, y).stderr * np.sqrt(4 / 6)
    assert float(estimates["se"]) == pytest.approx(error, rel=1e-6)


def test_points_of_too_many_dims_end_in_a_sentence():
    with pytest.raises(InputError, match="y has shape"):
        points_from_arrays(np.arange(3.0), np.ones((2, 2, 3)))


@pytest.mark.parametrize(
    ("variable", "reason"),
    [("level", "1 without a level"), ("time", "1 without a time"), ("lloq", "below an LLOQ that is not known")],
)
def test_what_is_infinite_is_not_known(data, variable, reason):
    """An infinite level was once taken for one of 1."""
    one = data.isel(patient=[0])
    wanted = Status.below_lloq if variable == "lloq" else Status.quantified
    place = {"patient": 0, "sample": int(np.flatnonzero(one["status"].values[0] == wanted)[0])}
    infinite, missing = one.copy(deep=True), one.copy(deep=True)
    infinite[variable][place], missing[variable][place] = np.inf, np.nan
    found, known = fit(infinite, "stein2019", **FEW), fit(missing, "stein2019", **FEW)
    assert reason in str(found["message"].values[0])
    xr.testing.assert_equal(found["estimates"].to_dataset(), known["estimates"].to_dataset())


def test_patients_of_one_name_are_refused(data):
    twice = data.assign_coords(patient=["1", "2", "1", "3"])
    with pytest.raises(InputError, match="patient '1' is in the profiles more than once"):
        fit(twice, "stein2019")
