"""Censored likelihood against 50-digit arithmetic, and its derivatives against differences."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from kernel_calls import from_python

from ckinetics.kernels.fit import likelihood, optimise
from ckinetics.kernels.fit.likelihood import (
    ABOVE,
    BELOW,
    DETECTED_BELOW,
    NOT_DETECTED,
    QUANTIFIED,
    log_normal_cdf,
)
from ckinetics.kernels.fit.optimise import LOG, NONE
from ckinetics.kernels.residual_forms import counting

inverse_mills, terms = from_python(likelihood.inverse_mills), from_python(likelihood.terms)
to_natural, to_estimation = from_python(optimise.to_natural), from_python(optimise.to_estimation)
natural_slope, damped_step = from_python(optimise.natural_slope), from_python(optimise.damped_step)
solve_least_squares = from_python(optimise.solve_least_squares)
solve_positive_definite = from_python(optimise.solve_positive_definite)
mpmath.mp.dps = 50
POINTS = [-1e4, -300.0, -40.0, -20.01, -20.0, -19.99, -8.0, -1.0, 0.0, 0.7, 4.99, 5.01, 9.0]


@pytest.mark.parametrize("z", POINTS)
def test_log_normal_cdf_is_exact_to_twelve_digits(z):
    exact = mpmath.log(mpmath.erfc(-mpmath.mpf(z) / mpmath.sqrt(2)) / 2)
    assert float(log_normal_cdf(z)) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("z", POINTS)
def test_inverse_mills_is_exact_to_twelve_digits(z):
    exact = mpmath.npdf(z) / (mpmath.erfc(-mpmath.mpf(z) / mpmath.sqrt(2)) / 2)
    assert float(inverse_mills(z)) == pytest.approx(float(exact), rel=1e-12)


def test_extremes_stay_finite():
    assert log_normal_cdf(-1e150) == pytest.approx(-0.5e300)
    assert log_normal_cdf(50.0) == 0.0
    assert inverse_mills(60.0) == 0.0
    for kind in (QUANTIFIED, BELOW, ABOVE):
        for f in (-600.0, 600.0):
            assert np.isfinite(terms(kind, 3.9, f, 0.05, 0.0)).all()


@pytest.mark.parametrize("kind", [QUANTIFIED, BELOW, ABOVE])
@pytest.mark.parametrize(("y", "f", "s"), [(3.9, 3.0, 0.5), (3.9, 9.0, 0.5), (3.9, 3.91, 1.7), (3.9, -9.0, 0.4)])
def test_gradient_agrees_with_differences(kind, y, f, s):
    h = 1e-5
    _, by_f, by_s, *_ = terms(kind, y, f, s, 0.0)
    found_f = (terms(kind, y, f + h, s, 0.0)[0] - terms(kind, y, f - h, s, 0.0)[0]) / (2 * h)
    found_s = (terms(kind, y, f, s * math.exp(h), 0.0)[0] - terms(kind, y, f, s * math.exp(-h), 0.0)[0]) / (2 * h)
    assert by_f == pytest.approx(found_f, rel=1e-6, abs=1e-8)
    assert by_s == pytest.approx(found_s, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("kind", [BELOW, ABOVE])
def test_information_of_a_censored_sample_is_the_curvature_in_f(kind):
    h = 1e-5
    up, down = terms(kind, 3.9, 4.2 + h, 0.5, 0.0)[1], terms(kind, 3.9, 4.2 - h, 0.5, 0.0)[1]
    assert terms(kind, 3.9, 4.2, 0.5, 0.0)[3] == pytest.approx((up - down) / (2 * h), rel=1e-7)


def test_information_is_never_negative():
    for kind in (QUANTIFIED, BELOW, ABOVE):
        for z in np.linspace(-400, 400, 801):
            _, _, _, ff, fs, ss = terms(kind, z, 0.0, 1.0, 0.0)
            assert ff >= 0
            assert ss >= 0
            assert ff * ss - fs * fs >= -1e-9 * max(ff * ss, 1.0)


def test_below_and_above_are_mirror_images_and_sum_to_one():
    below, above = terms(BELOW, 1.0, 1.4, 0.6, 0.0)[0], terms(ABOVE, 1.0, 1.4, 0.6, 0.0)[0]
    assert math.exp(-below) + math.exp(-above) == pytest.approx(1.0, rel=1e-14)
    assert terms(ABOVE, -1.0, -1.4, 0.6, 0.0)[0] == below


def test_transforms_invert_and_have_the_right_slope():
    for transform, x, low, high in ((0, -3.0, -9.0, 9.0), (1, 0.2, 1e-3, 9.0), (2, 0.2, 0.1, 0.9)):
        u = to_estimation(x, transform, low, high)
        assert to_natural(u, transform, low, high) == pytest.approx(x, rel=1e-14)
        h = 1e-6
        slope = (to_natural(u + h, transform, low, high) - to_natural(u - h, transform, low, high)) / (2 * h)
        assert natural_slope(x, transform, low, high) == pytest.approx(slope, rel=1e-8)


def test_solver_solves_and_refuses_what_is_not_positive_definite():
    generator = np.random.default_rng(1)
    root = generator.normal(size=(5, 5))
    a, b = root @ root.T, generator.normal(size=5)
    x = b.copy()
    assert solve_positive_definite(a.copy(), x, 5)
    np.testing.assert_allclose(a @ x, b, rtol=1e-9)
    assert not solve_positive_definite(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2), 2)


def test_step_stays_inside_bounds_and_leaves_fixed_coordinates():
    gradient, information = np.array([-4.0, 1.0, 2.0]), np.eye(3) + 0.1
    low, high = np.array([-1.0, 0.5, -5.0]), np.array([0.3, 0.5, 5.0])
    u, step = np.array([0.0, 0.5, 0.0]), np.empty(3)
    work = (np.empty((3, 3)), np.empty(3), np.empty(3, np.int64), np.zeros(3))
    scales = np.array([LOG, LOG, LOG])
    decrease = damped_step(gradient, information, 1e-6, u, low, high, scales, step, *work)
    assert decrease > 0
    assert step[1] == 0.0
    assert u[0] + step[0] == 0.3
    # At its bound with the gradient pointing out, the coordinate no longer moves.
    damped_step(gradient, information, 1e-6, np.array([0.3, 0.5, 0.0]), low, high, scales, step, *work)
    assert step[0] == 0.0


def test_a_step_is_shortened_on_a_log_scale_and_whole_without_a_transform():
    gradient, information = np.array([-4e4, -4e4]), np.eye(2)
    work = (np.empty((2, 2)), np.empty(2), np.empty(2, np.int64), np.zeros(2))
    limits = np.full(2, -1e9), np.full(2, 1e9)
    step = np.empty(2)
    damped_step(gradient, information, 1e-9, np.zeros(2), *limits, np.array([NONE, NONE]), step, *work)
    np.testing.assert_allclose(step, 4e4, rtol=1e-6)
    work[-1][:] = 0.0
    damped_step(gradient, information, 1e-9, np.zeros(2), *limits, np.array([LOG, LOG]), step, *work)
    np.testing.assert_allclose(step, 2.0)


@pytest.mark.parametrize(
    ("f", "s", "rate"), [(2.0, 0.5, 0.1), (8.0, 0.5, 0.1), (-2.0, 1.5, 0.3), (3.0, 0.05, 0.01), (12.0, 0.4, 0.06)]
)
@pytest.mark.parametrize("kind", [NOT_DETECTED, DETECTED_BELOW])
def test_the_hit_model_equals_its_integral(kind, f, s, rate):
    y = 3.9
    with mpmath.workdps(20):

        def seen(e):
            return mpmath.exp(-rate * mpmath.exp(f + s * e))

        if kind == NOT_DETECTED:
            breaks = [mpmath.mpf(at) / 2 for at in range(-60, 21)]
            exact = mpmath.quad(lambda e: mpmath.npdf(e) * seen(e), breaks)
        else:
            z = (y - f) / s
            breaks = [z - 30, z - 10, z - 5, z - 2, z - 1, z - 0.3, z]
            exact = mpmath.quad(lambda e: mpmath.npdf(e) * (1 - seen(e)), breaks)
        exact = float(-mpmath.log(exact))
    value, by_f, by_s, *_ = terms(kind, y, f, s, rate)
    assert value == pytest.approx(exact, rel=1e-9, abs=1e-7)
    h = 1e-5
    up, down = terms(kind, y, f + h, s, rate)[0], terms(kind, y, f - h, s, rate)[0]
    assert by_f == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-7)
    up, down = terms(kind, y, f, s * math.exp(h), rate)[0], terms(kind, y, f, s * math.exp(-h), rate)[0]
    assert by_s == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-6)


def test_the_chances_of_all_outcomes_sum_to_one():
    y, f, s, rate = 3.9, 3.2, 0.6, 0.05
    below = math.exp(-terms(BELOW, y, f, s, rate)[0])
    seen = math.exp(-terms(DETECTED_BELOW, y, f, s, rate)[0])
    unseen = math.exp(-terms(NOT_DETECTED, y, f, s, rate)[0])
    far = math.exp(-terms(NOT_DETECTED, y, f, s, rate)[0]) - (below - seen)  # not seen, though above the limit
    assert 0 < far < 0.05
    assert below < seen + unseen < 1


def test_detection_is_certain_for_many_copies():
    y, f, s = 3.9, 3.0, 0.5
    assert terms(DETECTED_BELOW, y, f, s, 1e6)[0] == pytest.approx(terms(BELOW, y, f, s, 0.0)[0], rel=1e-12)


def test_least_squares_by_reflections():
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=(12, 4)) * [1.0, 1e6, 1e-7, 30.0], generator.normal(size=12)
    x = b.copy()
    assert solve_least_squares(a.copy(), x, 4)
    np.testing.assert_allclose(x[:4], np.linalg.lstsq(a / [1.0, 1e6, 1e-7, 30.0], b)[0] / [1.0, 1e6, 1e-7, 30.0])
    assert not solve_least_squares(np.ones((5, 2)), np.ones(5), 2)


@pytest.mark.parametrize("f", [1e-300, 1e-3, 0.4, 7.0, 1e5])
@pytest.mark.parametrize("on_log", [True, False])
def test_the_variance_of_counting_has_its_slope(f, on_log):
    noise, h = 3.3, 1e-6
    variance, slope = counting(noise, f, on_log)
    assert np.isfinite([variance, slope]).all()
    change = [math.log(counting(noise, f * (1 + sign * h), on_log)[0]) for sign in (-1, 1)]
    assert slope * f == pytest.approx(0.5 * (change[1] - change[0]) / (2 * h), rel=1e-5)
    if on_log and f > noise:
        assert variance == pytest.approx(float(mpmath.log1p(mpmath.mpf(noise) / f)), rel=1e-12)
