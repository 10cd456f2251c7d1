"""Models against numbers computed elsewhere: printed ones, 50 digits, and numerical integration of the phases."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from scipy.integrate import quad, solve_ivp

from ckinetics.errors import InputError
from ckinetics.modeling import check_examples, list_models, load_model, read_model
from ckinetics.modeling.curves import Curves
from ckinetics.modeling.files.expressions import TIME

OTHER = {"foldx": 150.0, "Tmax": 13.7, "Cmax": 5100.0, "alpha": 0.31, "FB": 0.043, "beta": 0.011}
TIMES = np.array([0.0, 0.3, 2.0, 6.9, 9.2999, 9.3, 9.4, 13.7, 20.0, 28.0, 61.0, 180.0, 730.0])


def in_closed_form():
    """Return the models whose outputs all have a closed form, without doses; test_problems.py holds the others."""
    specifications = {name: load_model(name).specification for name in list_models()}
    return [n for n, s in specifications.items() if not s.inputs and all(o.closed_form for o in s.outputs.values())]


@pytest.mark.parametrize("name", list_models())
def test_examples_of_every_model(name):
    report = check_examples(load_model(name))
    assert report, "a model file needs an [[example]]"
    for example in report:
        assert example["passed"], example


def test_an_example_that_is_wrong_fails():
    model = load_model("stein2019")
    wrong = read_model(model.text.replace("24000.0, 11411.5", "24000.0, 11411.7"), name="wrong")
    (example,) = check_examples(wrong)
    assert not example["passed"]


def stein(t, p):
    mp = {name: mpmath.mpf(value) for name, value in p.items()}
    t = mpmath.mpf(float(t))
    if t < mp["Tmax"]:
        return mp["Cmax"] / mp["foldx"] * mpmath.exp(mpmath.log(mp["foldx"]) / mp["Tmax"] * t)
    d = t - mp["Tmax"]
    return mp["Cmax"] * ((1 - mp["FB"]) * mpmath.exp(-mp["alpha"] * d) + mp["FB"] * mpmath.exp(-mp["beta"] * d))


@pytest.mark.parametrize("changes", [{}, OTHER])
def test_curve_agrees_with_fifty_digits(changes):
    mpmath.mp.dps = 50
    model = load_model("stein2019")
    values = {name: p.value for name, p in model.parameters.items()} | changes
    expected = [float(stein(t, values)) for t in TIMES]
    np.testing.assert_allclose(model.evaluate(TIMES, changes), expected, rtol=1e-13)


@pytest.mark.parametrize("changes", [{}, OTHER, {"Tmax": 40.0}])
def test_areas_agree_with_quadrature(changes):
    model = load_model("stein2019")
    tmax = changes.get("Tmax", 9.3)

    def area(end):
        return sum(
            quad(lambda t: float(model.evaluate([t], changes)[0]), low, high, epsabs=0, epsrel=1e-10, limit=500)[0]
            for low, high in ((0, min(tmax, end)), (min(tmax, end), min(tmax + 60, end)), (min(tmax + 60, end), end))
        )

    derived = model.derive(changes)
    assert float(derived["auc_0_28"]) == pytest.approx(area(28.0), rel=1e-8)
    beta = changes.get("beta", 0.0032)
    assert float(derived["auc_0_inf"]) == pytest.approx(area(45 / beta), rel=1e-7)


@pytest.mark.parametrize("name", in_closed_form())
def test_closed_form_solves_the_differential_equations(name):
    model = load_model(name)
    symbolic = model.symbolic
    values = {symbol: model.parameters[key].value for key, symbol in symbolic.parameters.items()}
    states = list(symbolic.states.values())
    end = 200.0
    start, y = 0.0, np.array([float(symbolic.initial[key].subs(values)) for key in symbolic.states])
    for phase in symbolic.phases:
        for at, key in enumerate(symbolic.states):
            if key in phase.reset:
                y[at] = float(phase.reset[key].subs(values))
        stop = end if phase.ends_at is None else float(phase.ends_at.subs(values))
        right = sympy.lambdify([TIME, states], [phase.equations[key].subs(values) for key in symbolic.states])
        grid = np.linspace(start, stop, 40)
        # Short steps: between them the solution is interpolated, less accurately than it is found.
        solution = solve_ivp(
            right, (start, stop), y, method="DOP853", t_eval=grid, rtol=1e-12, atol=1e-12, max_step=1.0
        )
        for output, expression in symbolic.outputs.items():
            observed = sympy.lambdify([TIME, states], expression.subs(values))(grid, solution.y)
            # The last point belongs to the next phase, which may jump.
            closed = model.evaluate(grid[:-1], output=output)
            np.testing.assert_allclose(closed, observed[:-1], rtol=1e-9)
        start, y = stop, solution.y[:, -1].copy()


def test_gradient_agrees_with_differences_on_each_side_of_the_switch():
    model = load_model("stein2019")
    theta, _ = model.natural_parameters(OTHER)
    times = np.array([0.0, 5.0, 13.0, 14.0, 40.0, 300.0])
    curves = Curves.of(model, ["level"], method="closed_form", events=None, free=np.arange(6), rtol=1e-6)
    (out,), (grad,) = curves.evaluate(times, theta)
    np.testing.assert_array_equal(out, model.evaluate(times, OTHER))
    for k in range(6):
        up, down = theta.copy(), theta.copy()
        up[k] *= 1 + 1e-6
        down[k] *= 1 - 1e-6
        high, low = np.empty(6), np.empty(6)
        model.compiled.curve_level(times, up, high)
        model.compiled.curve_level(times, down, low)
        np.testing.assert_allclose(grad[:, k], (high - low) / (2e-6 * theta[k]), rtol=1e-6, atol=1e-8)


def test_leading_dims_broadcast():
    model = load_model("stein2019")
    values = model.evaluate([1.0, 20.0], {"Cmax": np.array([[1e3], [1e4]]), "Tmax": np.array([8.0, 9.0, 10.0])})
    assert values.shape == (2, 3, 2)
    assert values[1, 2].tolist() == model.evaluate([1.0, 20.0], {"Cmax": 1e4, "Tmax": 10.0}).tolist()
    assert model.evaluate(np.ones((4, 2)), {"Cmax": np.full(4, 1e3)}).shape == (4, 2)


def test_what_is_not_known_is_nan():
    model = load_model("stein2019")
    assert np.isnan(model.evaluate([-1.0, np.nan])).all()
    assert np.isnan(model.evaluate([1.0], {"alpha": np.nan})).all()
    assert np.isnan(model.derive({"alpha": np.nan})["rho"])


def test_wrong_arguments_are_refused():
    model = load_model("stein2019")
    with pytest.raises(InputError, match="no parameter 'cmax'; did you mean 'Cmax'"):
        model.evaluate([1.0], {"cmax": 1.0})
    with pytest.raises(InputError, match="no output 'levels'"):
        model.evaluate([1.0], output="levels")
    with pytest.raises(InputError, match="'Tmax' of model 'stein2019' cannot be negative, got -3"):
        model.evaluate([1.0], {"Tmax": [2.0, -3.0]})
    with pytest.raises(InputError, match="Tmax holds something that is not a number"):
        model.derive({"Tmax": "late"})
    with pytest.raises(InputError, match="given by name"):
        model.evaluate([1.0], [9.3])
    with pytest.raises(InputError, match="single number"):
        model.evaluate(1.0)
    with pytest.raises(InputError, match="do not fit together"):
        model.evaluate(np.ones((3, 2)), {"Cmax": np.ones(4)})
    with pytest.raises(InputError, match="do not fit together"):
        model.evaluate([1.0], {"Cmax": np.ones(4), "Tmax": np.ones(3)})
