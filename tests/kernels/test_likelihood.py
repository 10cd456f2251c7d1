"""Censored likelihood against 50-digit arithmetic, and its derivatives against differences."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from ckinetics.kernels.likelihood import ABOVE, BELOW, QUANTIFIED, inverse_mills, log_additive_terms, log_normal_cdf
from ckinetics.kernels.optimise import (
    LOG,
    NONE,
    damped_step,
    natural_slope,
    solve_positive_definite,
    to_estimation,
    to_natural,
)

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
            assert np.isfinite(log_additive_terms(3.9, f, 0.05, kind)).all()


@pytest.mark.parametrize("kind", [QUANTIFIED, BELOW, ABOVE])
@pytest.mark.parametrize(("y", "f", "s"), [(3.9, 3.0, 0.5), (3.9, 9.0, 0.5), (3.9, 3.91, 1.7), (3.9, -9.0, 0.4)])
def test_gradient_agrees_with_differences(kind, y, f, s):
    h = 1e-5
    _, by_f, by_s, *_ = log_additive_terms(y, f, s, kind)
    found_f = (log_additive_terms(y, f + h, s, kind)[0] - log_additive_terms(y, f - h, s, kind)[0]) / (2 * h)
    found_s = (
        log_additive_terms(y, f, s * math.exp(h), kind)[0] - log_additive_terms(y, f, s * math.exp(-h), kind)[0]
    ) / (2 * h)
    assert by_f == pytest.approx(found_f, rel=1e-6, abs=1e-8)
    assert by_s == pytest.approx(found_s, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("kind", [BELOW, ABOVE])
def test_information_of_a_censored_sample_is_the_curvature_in_f(kind):
    h = 1e-5
    up, down = log_additive_terms(3.9, 4.2 + h, 0.5, kind)[1], log_additive_terms(3.9, 4.2 - h, 0.5, kind)[1]
    assert log_additive_terms(3.9, 4.2, 0.5, kind)[3] == pytest.approx((up - down) / (2 * h), rel=1e-7)


def test_information_is_never_negative():
    for kind in (QUANTIFIED, BELOW, ABOVE):
        for z in np.linspace(-400, 400, 801):
            _, _, _, ff, fs, ss = log_additive_terms(z, 0.0, 1.0, kind)
            assert ff >= 0
            assert ss >= 0
            assert ff * ss - fs * fs >= -1e-9 * max(ff * ss, 1.0)


def test_below_and_above_are_mirror_images_and_sum_to_one():
    below, above = log_additive_terms(1.0, 1.4, 0.6, BELOW)[0], log_additive_terms(1.0, 1.4, 0.6, ABOVE)[0]
    assert math.exp(-below) + math.exp(-above) == pytest.approx(1.0, rel=1e-14)
    assert log_additive_terms(-1.0, -1.4, 0.6, ABOVE)[0] == below


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
    work = (np.empty((3, 3)), np.empty(3), np.empty(3, np.int64))
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
    work = (np.empty((2, 2)), np.empty(2), np.empty(2, np.int64))
    limits = np.full(2, -1e9), np.full(2, 1e9)
    step = np.empty(2)
    damped_step(gradient, information, 1e-9, np.zeros(2), *limits, np.array([NONE, NONE]), step, *work)
    np.testing.assert_allclose(step, 4e4, rtol=1e-6)
    damped_step(gradient, information, 1e-9, np.zeros(2), *limits, np.array([LOG, LOG]), step, *work)
    np.testing.assert_allclose(step, 2.0)
