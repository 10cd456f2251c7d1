"""Fieller's interval: against figures of a real plate, brute force, simulation; and where it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import t as student

from ckinetics.assay import fit_curve, fit_weighted_curve, read_plates
from ckinetics.assay.curves.inverse import inverse_interval
from ckinetics.assay.curves.standard_curve import Curve

DA2 = "plates/appliedbiosystems_da2/appbio_quantstudio_designandanalysis_"
QS1 = DA2 + "QS1_Standard_Curve_example01.xlsx"
# Plates with a curve of five levels or more over real copies.
REAL = [
    QS1,
    DA2 + "QS6Pro_Standard_Curve_example05.xlsx",
    "plates/appliedbiosystems_legacy/appbio_quantstudio_example04.txt",
    "plates/rdml/stepone_std.rdml",
]
LEVELS = np.repeat([10.0, 1e2, 1e3, 1e4, 1e5, 1e6], 3)


def curve_of(path):
    wells = read_plates(path)
    used = (wells["role"].values == "standard") & np.isfinite(wells["cq"].values) & (wells["omit"].values != 1)
    return fit_curve(wells["nominal_copies"].values[used], wells["cq"].values[used])


def delta(curve, copies, n):
    """The interval by the delta method of the reference, 5.3."""
    x = math.log10(copies)
    spread = 1 / n + 1 / curve.n_wells + (x - curve.log10_mean) ** 2 / curve.log10_ss
    half = student.ppf(0.975, curve.n_wells - 2) * curve.residual_sd / abs(curve.slope) * math.sqrt(spread)
    return copies * 10**-half, copies * 10**half


def cq_at(curve, copies):
    return curve.intercept + curve.slope * math.log10(copies)


def test_the_interval_of_a_real_plate(shared_data):
    curve = curve_of(shared_data / QS1)
    found = inverse_interval(curve, cq_at(curve, 889.0), 3)
    assert found.copies == pytest.approx(889.0, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((742, 1055), abs=1)  # the reference's figures, copies rounded


@pytest.mark.parametrize("name", REAL)
def test_on_real_plates_it_is_nearly_the_delta_method(shared_data, name):
    curve = curve_of(shared_data / name)
    middle = math.sqrt(curve.lowest * curve.highest)
    for copies in (curve.lowest, middle, curve.highest):
        found = inverse_interval(curve, cq_at(curve, copies), 3)
        assert (found.low, found.high) == pytest.approx(delta(curve, copies, 3), rel=0.006)
        assert found.g < 0.003
        assert found.g == pytest.approx(curve.fieller_g, rel=1e-12)


@pytest.mark.parametrize("method", ["ols", "weighted"])
@pytest.mark.parametrize("copies", [3.0, 100.0, 1e8])
def test_the_ends_are_where_a_t_test_turns(method, copies):
    """Brute force: the interval is every x0 at which (mean Cq - a - b x0) is no more than t standard errors from 0."""
    rng = np.random.default_rng(4)
    cq = 38 - 3.3 * np.log10(LEVELS) + rng.normal(0, 0.3, len(LEVELS))
    curve = fit_curve(LEVELS, cq) if method == "ols" else fit_weighted_curve(LEVELS, cq, sd0=0.2)
    mean = cq_at(curve, copies)
    found = inverse_interval(curve, mean, 2)
    v_well = curve.residual_sd**2 / 2
    if method == "weighted":
        v_well = curve.dispersion * (0.2**2 + 1 / (curve.ln_gain**2 * copies)) / 2
    quantile = student.ppf(0.975, curve.n_wells - 2)

    def excess(x):
        line = curve.intercept_se**2 + 2 * x * curve.slope_intercept_cov + (x * curve.slope_se) ** 2
        return abs(mean - curve.intercept - curve.slope * x) - quantile * math.sqrt(v_well + line)

    x0 = math.log10(copies)
    assert math.log10(found.low) == pytest.approx(brentq(excess, x0 - 5, x0), abs=1e-9)
    assert math.log10(found.high) == pytest.approx(brentq(excess, x0, x0 + 5), abs=1e-9)


def test_a_slope_that_is_too_uncertain_gives_no_interval():
    copies, cq = np.repeat([10.0, 100.0], 3), np.array([34.0, 36.0, 35.0, 33.0, 31.0, 32.0])
    found = inverse_interval(fit_curve(copies, cq), 33.0, 3)
    assert found.g > 0.05
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert "above 0.05" in found.reason
    assert found.copies > 0


@pytest.mark.parametrize(
    ("curve", "cq", "n", "word"),
    [
        (Curve(), 30.0, 3, "not usable"),
        (fit_curve(np.array([10.0, 100.0]), np.array([30.0, 33.0])), 30.0, 3, "not usable"),
        (fit_curve(np.array([10.0, 1000.0]), np.array([35.0, 28.0])), 30.0, 3, "fewer than three"),
        (fit_curve(LEVELS, 38 - 3.3 * np.log10(LEVELS)), math.nan, 3, "no number"),
        (fit_curve(LEVELS, 38 - 3.3 * np.log10(LEVELS)), 30.0, 0, "no well"),
        (fit_curve(LEVELS, 38 - 3.3 * np.log10(LEVELS)), 1e6, 3, "absurdly"),
    ],
)
def test_where_there_is_none_it_says_why(curve, cq, n, word):
    found = inverse_interval(curve, cq, n)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert word in found.reason


@given(st.floats(15, 40), st.integers(1, 12), st.floats(0.5, 0.99))
@settings(max_examples=100, deadline=None)
def test_more_wells_narrow_it_and_more_confidence_widens_it(cq, n, level):
    rng = np.random.default_rng(1)
    curve = fit_weighted_curve(LEVELS, 38 - 3.3 * np.log10(LEVELS) + rng.normal(0, 0.1, len(LEVELS)), sd0=0.1)
    found = inverse_interval(curve, cq, n, level=level)
    assert found.low < found.copies < found.high
    more = inverse_interval(curve, cq, n + 1, level=level)
    assert found.low < more.low < more.high < found.high
    wider = inverse_interval(curve, cq, n, level=(1 + level) / 2)
    assert wider.low < found.low < found.high < wider.high


@given(st.floats(1e-3, 1e3), st.floats(20, 36))
@settings(max_examples=50, deadline=None)
def test_it_scales_with_the_unit_of_the_standards(factor, cq):
    rng = np.random.default_rng(9)
    y = 38 - 3.3 * np.log10(LEVELS) + rng.normal(0, 0.1, len(LEVELS))
    one = inverse_interval(fit_curve(LEVELS, y), cq, 3)
    other = inverse_interval(fit_curve(LEVELS * factor, y), cq, 3)
    assert np.array([other.copies, other.low, other.high]) == pytest.approx(
        factor * np.array([one.copies, one.low, one.high]), rel=1e-6
    )
    assert other.g == pytest.approx(one.g, rel=1e-6)


@pytest.mark.parametrize(
    ("copies", "sd", "method"),
    [
        (1e4, 0.11, "weighted"),
        (30.0, 0.11, "weighted"),  # Poisson rules; least squares cover 84 % only
        (1e3, 0.3, "weighted"),  # noise beyond the assumed 0.11: the dispersion carries it
        (1e4, 0.3, "ols"),
    ],
)
def test_it_covers_the_truth_as_often_as_it_says(copies, sd, method):
    rng = np.random.default_rng(20)
    runs, held = 1500, 0
    for _ in range(runs):
        molecules = np.maximum(rng.poisson(np.append(LEVELS, [copies] * 3)), 1)
        cq = 38 - 3.3219 * np.log10(molecules) + rng.normal(0, sd, len(molecules))
        standards, sample = cq[:-3], cq[-3:].mean()
        curve = fit_curve(LEVELS, standards) if method == "ols" else fit_weighted_curve(LEVELS, standards, sd0=0.11)
        found = inverse_interval(curve, sample, 3)
        held += found.low <= copies <= found.high
    assert 0.92 < held / runs < 0.995
