"""Standard errors from a Hessian: exact where it is sound, refused where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ckinetics.fitting.uncertainty import covariances, quantile

ALL = np.ones(3, dtype=bool)


def standard_errors(hessian, free, unitless):
    return np.sqrt(np.diag(covariances(hessian[None], free[None], unitless)[0]))


def test_inverse_of_the_information():
    hessian = np.array([[4.0, 1.0, 0.5], [1.0, 300.0, 2.0], [0.5, 2.0, 90.0]])
    np.testing.assert_allclose(standard_errors(hessian, ALL, ALL), np.sqrt(np.diag(np.linalg.inv(hessian))))


def test_a_held_parameter_is_left_out():
    hessian = np.array([[4.0, np.nan, 1.0], [np.nan] * 3, [1.0, np.nan, 9.0]])
    found = standard_errors(hessian, np.array([True, False, True]), ALL)
    expected = np.sqrt(np.diag(np.linalg.inv(hessian[np.ix_([0, 2], [0, 2])])))
    np.testing.assert_allclose(found[[0, 2]], expected)
    assert np.isnan(found[1])


def test_a_parameter_without_information_is_not_estimable_and_the_others_are():
    found = standard_errors(np.diag([4.0, 0.0, 25.0]), ALL, ALL)
    np.testing.assert_allclose(found, [0.5, np.nan, 0.2])


@pytest.mark.parametrize("coupling", [1.0, 1.5])
def test_a_flat_or_falling_direction_takes_all_that_share_it(coupling):
    hessian = np.array([[1.0, coupling, 0.0], [coupling, 1.0, 0.0], [0.0, 0.0, 100.0]])
    np.testing.assert_allclose(standard_errors(hessian, ALL, ALL), [np.nan, np.nan, 0.1])


def test_a_hopelessly_wide_one_is_not_estimable_on_a_log_scale_only():
    hessian = np.diag([1.0, 1e-4, 4.0])
    assert np.isnan(standard_errors(hessian, ALL, ALL)).tolist() == [False, True, False]
    assert standard_errors(hessian, ALL, np.array([True, False, True]))[1] == pytest.approx(100.0)


def test_nan_and_negative_information():
    assert np.isnan(standard_errors(np.full((3, 3), np.nan), ALL, ALL)).all()
    assert np.isnan(standard_errors(-np.eye(3), ALL, ALL)).all()


def test_quantiles():
    n = np.array([17])
    assert quantile("normal", 0.95, n, 6)[0] == pytest.approx(1.959964, abs=1e-6)
    assert quantile("t", 0.95, n, 6)[0] == pytest.approx(stats.t.ppf(0.975, 11) * np.sqrt(17 / 11))


def test_a_flat_direction_leaves_the_rest_of_its_parameters_in_the_errors_of_the_others():
    # Two rates of which only the sum b + c is seen, and it is seen together with the first parameter.
    seen = np.array([[1.0, 0.0, 0.0], [0.9, 1.0, 1.0]])
    hessian = seen.T @ np.diag([4.0, 9.0]) @ seen
    reduced = np.array([[1.0, 0.0], [0.9, 1.0]])
    expected = np.sqrt(np.linalg.inv(reduced.T @ np.diag([4.0, 9.0]) @ reduced)[0, 0])
    np.testing.assert_allclose(standard_errors(hessian, ALL, ALL), [expected, np.nan, np.nan])
