"""Curves of anything: the NIST problems to their certified digits, and honest words where a search fails."""

from __future__ import annotations

import numpy as np
import pytest
from nist_problems import FORMULAS, curve_model, read_problem

from ckinetics.errors import InputError
from ckinetics.fitting import Convergence, fit, points_from_arrays


@pytest.mark.parametrize("start", [1, 2])
@pytest.mark.parametrize("name", FORMULAS)
def test_nist(shared_data, name, start):
    problem = read_problem(shared_data / "fit" / "nist", name)
    model = curve_model(name, FORMULAS[name], problem.starts[2])
    found = fit(points_from_arrays(problem.x, problem.y), model, starts=1, initial=problem.starts[start])
    assert int(found["convergence"][0]) == Convergence.converged
    *estimates, s = found["estimates/estimate"].values[0]
    np.testing.assert_allclose(estimates, problem.certified, rtol=1e-8)
    n, p = len(problem.y), len(problem.certified)
    if name != "Lanczos1":  # its residuals are rounding: float64 has no eight digits of them
        assert s * np.sqrt(n / (n - p)) == pytest.approx(problem.residual_sd, rel=1e-8)


FLAT = {"b1": 200.0, "b2": 0.5}
X = np.array([1.0, 2.0, 3.0, 5.0, 7.0, 10.0])
Y = 200.0 * (1.0 - np.exp(-0.5 * X)) + np.array([9.0, -12.0, 7.0, -10.0, 4.0, 6.0])


def test_a_search_that_ends_where_nothing_depends_on_a_parameter_says_so():
    model = curve_model("flat", "b1*(1 - exp(-b2*t))", FLAT)
    found = fit(points_from_arrays(X, Y), model, starts=1, initial={"b1": 1.0, "b2": 400.0})
    assert int(found["convergence"][0]) == Convergence.flat
    assert "does not depend on a parameter" in str(found["message"].values[0])
    assert np.isnan(found["estimates/se"].sel(parameter="b2")).all()
    more = fit(points_from_arrays(X, Y), model, starts=8, initial={"b1": 1.0, "b2": 1.0})
    assert int(more["convergence"][0]) == Convergence.converged


def test_a_curve_that_is_no_number_at_the_start_is_a_coded_result():
    model = curve_model("root", "b1*sqrt(b2 - t)", {"b1": 1.0, "b2": 20.0})
    found = fit(points_from_arrays(X, np.sqrt(20.0 - X)), model, starts=1, initial={"b2": 2.0})
    assert int(found["convergence"][0]) == Convergence.not_computable
    assert np.isnan(found["estimates/estimate"]).all()
    assert "cannot be computed at any start" in str(found["message"].values[0])


def test_negative_points_and_ties_are_points():
    x = np.array([-2.0, -1.0, -1.0, 0.0, 1.0, 2.0])
    y = 3.0 * x - 1.0 + np.array([0.1, -0.2, 0.15, 0.05, -0.1, 0.02])
    found = fit(points_from_arrays(x, y), curve_model("line", "b1*t + b2", {"b1": 1.0, "b2": 0.0}), starts=1)
    slope, offset = np.polyfit(x, y, 1)
    np.testing.assert_allclose(found["estimates/estimate"][0, :2], [slope, offset], rtol=1e-12)
    assert int(found["n_samples"][0]) == 6
    design = np.stack([x, np.ones(6)], axis=1)
    sd = np.sqrt(np.sum((y - design @ [slope, offset]) ** 2) / 6)
    expected = sd * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    np.testing.assert_allclose(found["estimates/se"][0, :2], expected, rtol=1e-8)
    # The profile interval of a linear model is that of t, exactly.
    profile = fit(points_from_arrays(x, y), curve_model("line", "b1*t + b2", FLAT | {"b2": 0.0}), interval="profile")
    wald = fit(points_from_arrays(x, y), curve_model("line", "b1*t + b2", FLAT | {"b2": 0.0}))
    for side in ("lower", "upper"):
        np.testing.assert_allclose(
            profile[f"estimates/{side}"][0, :2], wald[f"estimates/{side}"][0, :2], rtol=2e-3, atol=2e-3
        )


def test_two_variables_one_of_which_is_a_covariate():
    weeks = np.repeat([1.0, 2, 4, 8, 16, 32, 48, 64], 16)
    heat = np.tile(np.repeat([180.0, 225, 250, 275], 4), 8)
    y = 2.6 - 5.6e-9 * weeks * np.exp(5.77e-2 * heat) + 0.05 * np.random.default_rng(0).normal(size=128)
    starts = {"b1": 2.5, "b2": 5e-9, "b3": -0.05}
    model = curve_model("two", "b1 - b2*weeks*exp(-b3*heat)", starts, ("weeks", "heat"))
    place = np.arange(128.0)
    inputs = {"weeks": list(zip(place, weeks, strict=True)), "heat": list(zip(place, heat, strict=True))}
    found = fit(points_from_arrays(place, y), model, inputs=inputs, initial=starts, starts=1)
    assert int(found["convergence"][0]) == Convergence.converged
    b = found["estimates/estimate"].values[0, :3]
    # At the optimum a step by orthogonal factors moves nothing.
    growth = np.exp(-b[2] * heat)
    design = np.stack([np.ones(128), -weeks * growth, b[1] * weeks * heat * growth], axis=1)
    size = np.linalg.norm(design, axis=0)
    step = np.linalg.lstsq(design / size, y - (b[0] - b[1] * weeks * growth), rcond=None)[0] / size
    np.testing.assert_allclose(step / b, 0.0, atol=1e-10)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [([1, 2], [1, 2, 3], "do not fit together"), ([1, np.inf], [1, 2], "infinite"), ([1, 2], ["a", 2], "not a number")],
)
def test_wrong_points(x, y, words):
    with pytest.raises(InputError, match=words):
        points_from_arrays(x, y)


def test_names_are_one_a_curve():
    with pytest.raises(InputError, match="1 names for 2 curves"):
        points_from_arrays([1, 2], [[1, 2], [3, 4]], names=["a"])


def test_the_axis_of_a_curve_is_not_called_time():
    model = curve_model("line", "b1*t + b2", {"b1": 1.0, "b2": 0.0})
    found = fit(points_from_arrays(X, 2.0 * X + np.sin(X)), model, starts=1)
    for group in ("curves", "predictions"):
        assert found[group]["time"].attrs == {"long_name": "t of the model file", "units": "1"}
    assert found["minus2ll"].attrs["long_name"] == "−2 log-likelihood, density of the level"
