"""The weighted standard curve: against another tool's, by its noise model, and at its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.assay import fit_curve, fit_weighted_curve
from ckinetics.assay.curves.standard_curve import LN10

LEVELS = np.repeat([3.0, 10.0, 1e2, 1e3, 1e4, 1e5], 3)


def simulated(rng, copies=LEVELS, sd0=0.11, slope=-3.3219):
    molecules = np.maximum(rng.poisson(copies), 1)
    return 38 + slope * np.log10(molecules) + rng.normal(0, sd0, len(copies))


def sd_of(curve, copies):
    return np.sqrt(curve.sd0**2 + (curve.slope / LN10) ** 2 / copies)


@pytest.mark.parametrize("sd0", [0.0, 0.05, 0.11, 0.5])
def test_it_is_the_weighted_least_squares_of_statsmodels(sd0):
    cq = simulated(np.random.default_rng(7))
    curve = fit_weighted_curve(LEVELS, cq, sd0=sd0)
    x = np.log10(LEVELS)
    fit = sm.WLS(cq, sm.add_constant(x), weights=sd_of(curve, LEVELS) ** -2).fit()
    assert [curve.intercept, curve.slope] == pytest.approx(fit.params, rel=1e-10)
    assert curve.r_squared == pytest.approx(fit.rsquared, rel=1e-9)
    assert curve.dispersion == pytest.approx(max(1.0, fit.scale), rel=1e-9)
    covariance = fit.normalized_cov_params * curve.dispersion
    assert curve.slope_se == pytest.approx(math.sqrt(covariance[1, 1]), rel=1e-9)
    assert curve.intercept_se == pytest.approx(math.sqrt(covariance[0, 0]), rel=1e-9)
    assert curve.slope_intercept_cov == pytest.approx(covariance[0, 1], rel=1e-9)


def test_the_error_of_the_line_is_that_of_its_covariance():
    cq = simulated(np.random.default_rng(8))
    for curve in (fit_curve(LEVELS, cq), fit_weighted_curve(LEVELS, cq, sd0=0.1)):
        for copies in (2.0, 50.0, 1e5):
            x = math.log10(copies)
            variance = curve.intercept_se**2 + 2 * x * curve.slope_intercept_cov + (x * curve.slope_se) ** 2
            assert curve.ln_se(copies) == pytest.approx(math.sqrt(variance) * LN10 / abs(curve.slope), rel=1e-8)


def test_scatter_beyond_the_model_makes_errors_greater_and_less_scatter_none_smaller():
    x = np.log10(LEVELS)
    calm = fit_weighted_curve(LEVELS, 38 - 3.3 * x, sd0=0.2)
    assert calm.dispersion == 1.0
    assert calm.slope_se > 0
    wild = fit_weighted_curve(LEVELS, 38 - 3.3 * x + np.tile([-1.0, 0.0, 1.0], 6), sd0=0.2)
    assert wild.dispersion > 5
    assert wild.slope_se == pytest.approx(calm.slope_se * math.sqrt(wild.dispersion), rel=1e-9)


def test_at_high_copies_it_is_least_squares():
    copies = np.repeat([1e6, 1e7, 1e8], 4)
    cq = simulated(np.random.default_rng(2), copies)
    plain, weighted = fit_curve(copies, cq), fit_weighted_curve(copies, cq, sd0=0.3)
    assert weighted.slope == pytest.approx(plain.slope, rel=1e-4)
    assert weighted.intercept == pytest.approx(plain.intercept, rel=1e-4)


def test_it_errs_less_than_least_squares_where_standards_are_few_copies():
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(400):
        cq = simulated(rng, np.repeat([5.0, 10.0, 1e2, 1e3, 1e4], 3))
        pair = (fit_curve, lambda a, b: fit_weighted_curve(a, b, sd0=0.11))
        errors.append([math.log(c(np.repeat([5.0, 10.0, 1e2, 1e3, 1e4], 3), cq).copies(24.726) / 1e4) for c in pair])
    plain, weighted = np.std(errors, axis=0)
    assert weighted < 0.7 * plain


@pytest.mark.parametrize(
    ("copies", "cq"),
    [
        ([], []),
        ([10.0], [35.0]),
        ([10.0, 10.0], [35.0, 35.1]),  # one level
        ([10.0, 100.0, 1000.0], [30.0, 31.0, 32.0]),  # rising
        ([10.0, 100.0, 1000.0], [30.0, 30.0, 30.0]),  # flat
    ],
)
def test_where_there_is_no_efficiency_there_is_no_line(copies, cq):
    curve = fit_weighted_curve(np.array(copies), np.array(cq), sd0=0.1)
    assert not curve.usable
    assert math.isnan(curve.slope)
    assert curve.n_wells == len(copies)
    assert curve.method == "weighted"


def test_two_wells_give_a_line_without_errors():
    curve = fit_weighted_curve(np.array([10.0, 1000.0]), np.array([35.0, 28.0]), sd0=0.1)
    assert curve.slope == pytest.approx(-3.5)
    assert math.isnan(curve.slope_se)
    assert math.isnan(curve.ln_se(100.0))
    assert math.isnan(curve.fieller_g)


@given(
    st.lists(st.tuples(st.floats(-3, 9), st.floats(-1, 1)), min_size=3, max_size=20),
    st.floats(-8, -1),
    st.floats(0, 1),
)
@settings(max_examples=200, deadline=None)
def test_whatever_the_wells_it_is_its_own_fixed_point_or_no_line(wells, slope, sd0):
    x, noise = np.array(wells).T
    cq = 38 + slope * x + noise
    curve = fit_weighted_curve(10.0**x, cq, sd0=sd0)
    if not curve.usable:
        assert math.isnan(curve.slope)
        return
    weight = sd_of(curve, 10.0**x) ** -2
    residual = cq - curve.intercept - curve.slope * x
    scale = np.abs(weight * residual).sum() + 1e-7 * weight.sum()  # rounding of Cq around 40
    assert abs((weight * residual).sum()) <= 1e-6 * scale
    assert abs((weight * residual * (x - curve.log10_mean)).sum()) <= 1e-5 * scale * max(1.0, np.ptp(x))


@given(st.permutations(range(18)), st.floats(-5, 5))
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter_and_a_shift_of_cq_is_the_intercept(order, shift):
    cq = simulated(np.random.default_rng(11))
    one = fit_weighted_curve(LEVELS, cq, sd0=0.1)
    other = fit_weighted_curve(LEVELS[order], cq[order] + shift, sd0=0.1)
    assert other.slope == pytest.approx(one.slope, rel=1e-9)
    assert other.intercept == pytest.approx(one.intercept + shift, abs=1e-7)
    assert other.slope_se == pytest.approx(one.slope_se, rel=1e-7)
