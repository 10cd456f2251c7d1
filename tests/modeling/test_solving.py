"""The solvers against independent integrations and closed forms: accuracy, derivatives, events, and how they end."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from integration import integrate
from systems import phase, run, typical, written

from ckinetics.errors import InputError
from ckinetics.modeling import load_model
from ckinetics.modeling.curves import Curves
from ckinetics.modeling.events import Events
from ckinetics.modeling.solving import Outcome, solve

PROBLEMS = Path(__file__).parent / "problems"
DAYS = np.array([1, 2, 3, 5, 7, 9, 9.3, 10, 12, 14, 17, 21, 28, 42, 60, 75, 90, 120, 180, 270, 365.0])
GRIDS = {
    "switch2": DAYS,
    "tumour5": DAYS,
    "tumour5_stiff": DAYS,
    "kimmel2021": np.linspace(0.0, 100.0, 21),
    "chaudhury2020_lv": np.linspace(0.0, 60.0, 21),
    "one_compartment_oral": np.linspace(0.25, 30.0, 21),
    "decades": np.linspace(0.0, 120.0, 25),
}


def decades():
    """Growth by twelve decades, and a fall by as many: E rises 1e12-fold until the antigen is gone."""
    body = phase({"E": "r*E*T/(1 + T) - a*E", "T": "-k*E*T"}, {"E": "1", "T": "1e3"})
    return written({"r": 1.2, "a": 0.3, "k": 1e-12}, body, "decades")


def model_named(name: str):
    if name == "decades":
        return decades()
    path = PROBLEMS / f"{name}.toml"
    return load_model(path if path.exists() else name)


def error(model, times, reference, **options):
    found = run(model, times, **options).values[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(np.log(found / reference))
    return float(np.nanmax(np.where(found == reference, 0.0, apart)))


@pytest.mark.parametrize("name", sorted(GRIDS))
def test_errors_at_default_tolerance_and_how_they_fall(name):
    model = model_named(name)
    independent = np.stack(list(integrate(model, GRIDS[name]).values()), axis=1)
    exact = run(model, GRIDS[name], method="rodas5p", rtol=1e-12, max_steps=10**6).values[0]
    scale = np.abs(independent).max(axis=0)
    counts = independent > 1e-6 * scale  # of scipy's linear states, the smallest values hold fewer digits
    assert exact[counts] == pytest.approx(independent[counts], rel=2e-8)
    assert error(model, GRIDS[name], exact) < 1e-5
    fine = np.linspace(GRIDS[name][0], GRIDS[name][-1], 400)
    exact = run(model, fine, method="rodas5p", rtol=1e-12, max_steps=10**6).values[0]
    errors = [error(model, fine, exact, rtol=rtol) for rtol in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)]
    assert all(tight < loose / 5 for loose, tight in itertools.pairwise(errors)), errors


@pytest.mark.parametrize("method", ["rodas5p", "tsit5"])
@pytest.mark.parametrize("name", ["switch2", "kimmel2021", "chaudhury2020_lv", "one_compartment_oral"])
def test_both_methods(name, method):
    model = model_named(name)
    exact = run(model, GRIDS[name], method="rodas5p", rtol=1e-12, max_steps=10**6).values[0]
    errors = [error(model, GRIDS[name], exact, method=method, rtol=rtol) for rtol in (1e-5, 1e-9)]
    assert errors[0] < 1e-4
    assert errors[1] < errors[0] / 5**4


def test_methods_are_chosen_by_stiffness():
    assert {name: model_named(name).method for name in ("switch2", "kimmel2021", "tumour5_stiff")} == {
        "switch2": "tsit5",
        "kimmel2021": "tsit5",
        "tumour5_stiff": "rodas5p",
    }


def test_an_explicit_method_that_reaches_its_limit_is_replaced():
    model = written({"k": 1.0}, phase({"A": "k*(1 - A)"}, {"A": "2"}))
    assert model.method == "tsit5"
    theta = np.array([[1.0], [1e6]])
    found = solve(model, np.array([[1.0], [1.0]]), theta, outputs=["oA"], max_steps=2000)
    assert found.codes.tolist() == [Outcome.solved, Outcome.solved]
    assert found.values[:, 0, 0] == pytest.approx([1 + np.exp(-1), 1.0], rel=1e-5)
    forced = solve(model, np.array([[1.0], [1.0]]), theta, outputs=["oA"], max_steps=2000, method="tsit5")
    assert forced.codes.tolist() == [Outcome.solved, Outcome.step_limit]


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("switch2", "rodas5p"),
        ("switch2", "tsit5"),
        ("one_compartment_oral", "rodas5p"),
        ("one_compartment_oral", "tsit5"),
        ("tumour5", "rodas5p"),
        pytest.param("tumour5", "tsit5", marks=pytest.mark.slow),
        pytest.param("kimmel2021", "rodas5p", marks=pytest.mark.slow),
        pytest.param("kimmel2021", "tsit5", marks=pytest.mark.slow),
    ],
)
def test_derivatives_agree_with_differences(name, method):
    model = model_named(name)
    theta = typical(model)
    free = np.arange(len(model.parameters))
    times = GRIDS[name][GRIDS[name] != 9.3]
    options = {"method": method, "rtol": 1e-10, "max_steps": 10**6}
    found = run(model, times, free=free, **options)
    for k in free:
        step = 1e-5 * theta[0, k]
        sides = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[0, k] += sign * step
            sides.append(run(model, times, moved, **options).values[0])
        differences = (sides[0] - sides[1]) / (2 * step)
        scale = np.abs(found.values[0]) / theta[0, k] + 1e-300
        # Of differences: where ln(output) changes a hundred times as fast as ln(parameter), their own error grows.
        elasticity = np.abs(found.gradient[0, :, :, k] / scale)
        assert (np.abs((found.gradient[0, :, :, k] - differences) / scale) < 5e-6 * (1 + elasticity)).all(), k


def test_derivatives_with_time_in_the_equations():
    # E' = a*sin-like drive through powers of t; a closed form: E = exp(a*t**2/2 - b*t), M' = t*E - M from 0
    model = written({"a": -0.1, "b": 0.2}, phase({"E": "(a*t - b)*E", "M": "t*E - M"}, {"E": "1", "M": "0"}))
    times = np.linspace(0.1, 8.0, 12)
    for method in ("rodas5p", "tsit5"):
        found = run(model, times, free=np.arange(2), method=method, rtol=1e-9)
        exact = np.exp(-0.1 * times**2 / 2 - 0.2 * times)
        assert found.values[0, :, 0] == pytest.approx(exact, rel=1e-7)
        assert found.gradient[0, :, 0, 0] == pytest.approx(exact * times**2 / 2, rel=1e-6)
        assert found.gradient[0, :, 0, 1] == pytest.approx(-exact * times, rel=1e-6)
        moved = [run(model, times, np.array([[-0.1, 0.2 + h]]), method=method, rtol=1e-11) for h in (1e-5, -1e-5)]
        differences = (moved[0].values[0, :, 1] - moved[1].values[0, :, 1]) / 2e-5
        assert found.gradient[0, :, 1, 1] == pytest.approx(differences, rel=1e-5)


@pytest.mark.parametrize("method", ["rodas5p", "tsit5"])
def test_a_sample_at_the_switch_has_the_derivative_after_it(method):
    model, curve = model_named("switch2"), load_model("stein2019")
    theta = typical(model)
    theta[0, 1] = 9.0
    times = np.array([[8.9, 9.0, 9.1, 30.0]])
    found = solve(model, times, theta, outputs=["level"], free=np.arange(6), method=method, rtol=1e-10)
    curves = Curves.of(curve, ["level"], method="closed_form", events=None, free=np.arange(6), rtol=1e-6)
    (level,), (gradient,) = curves.evaluate(times[0], theta[0])
    assert found.values[0, :, 0] == pytest.approx(level, rel=1e-8)
    assert found.gradient[0, :, 0] == pytest.approx(gradient, rel=1e-7, abs=1e-7)


def test_switches_in_any_order():
    body = phase({"E": "a*E"}, {"E": "1"}).replace(
        '[[phases]]\nname = "all"\n', '[[phases]]\nname = "first"\nends_at = "u"\n'
    )
    body += '[[phases]]\nname = "second"\nends_at = "v"\n[phases.equations]\nE = "0"\nStill = "0"\n'
    body += '[[phases]]\nname = "third"\n[phases.equations]\nE = "-a*E"\nStill = "0"\n'
    model = written({"a": 1.0, "u": 2.0, "v": 3.0}, body)
    times = [1.0, 2.0, 2.5, 3.0, 4.0]

    def level(u, v):
        found = run(model, times, np.array([[1.0, u, v]]), free=np.arange(3), rtol=1e-10)
        return np.log(found.values[0, :, 0]), found.gradient[0, :, 0] / found.values[0, :, 0, None]

    curve, slope = level(2.0, 3.0)
    assert curve == pytest.approx([1, 2, 2, 2, 1], abs=1e-8)
    assert slope[:, 1] == pytest.approx([0, 1, 1, 1, 1], abs=1e-8)
    assert slope[:, 2] == pytest.approx([0, 0, 0, 1, 1], abs=1e-8)
    # A phase that would end before it begins is passed over, and its end does not matter.
    curve, slope = level(2.5, 1.0)
    assert curve == pytest.approx([1, 2, 2.5, 2, 1], abs=1e-8)
    assert slope[:, 1] == pytest.approx([0, 0, 2, 2, 2], abs=1e-8)
    assert slope[:, 2] == pytest.approx([0, 0, 0, 0, 0], abs=1e-8)
    curve, _ = level(0.0, 0.0)
    assert curve == pytest.approx([-1, -2, -2.5, -3, -4], abs=1e-8)


def test_doses_add_up_as_the_closed_form_says():
    model = load_model("one_compartment_oral")
    times = np.linspace(0.0, 40.0, 30)
    doses = [(0.0, 320.0), (10.0, 100.0), (24.0, 320.0)]
    alone = [
        np.where(times >= at, model.evaluate(np.maximum(times - at, 0.0), inputs={"dose": [(0.0, amount)]}), 0.0)
        for at, amount in doses
    ]
    assert model.evaluate(times, inputs={"dose": doses}, rtol=1e-10) == pytest.approx(sum(alone), rel=1e-7, abs=1e-12)
    each = model.evaluate(np.stack([times, times]), inputs={"dose": [doses[:1], doses]}, rtol=1e-10)
    assert each == pytest.approx(np.stack([alone[0], sum(alone)]), rel=1e-7, abs=1e-12)
    with pytest.raises(InputError, match="input 'dose' is 320: give pairs of time and value"):
        model.evaluate(times, inputs={"dose": 320})
    # Derivatives of the later doses follow too.
    theta, _ = model.natural_parameters(None, {"dose": doses})
    events = Events.of_inputs(model, 1, {"dose": doses})
    found = solve(
        model, times[None], theta[None], outputs=["concentration"], events=events, free=np.arange(3), rtol=1e-10
    )
    changed = [
        model.evaluate(times, {"ka": 1.57942 * (1 + h)}, inputs={"dose": doses}, rtol=1e-11) for h in (1e-5, -1e-5)
    ]
    assert found.gradient[0, :, 0, 0] == pytest.approx((changed[0] - changed[1]) / (2e-5 * 1.57942), rel=1e-4, abs=1e-9)


def test_doses_may_stand_in_arrays():
    model = load_model("one_compartment_oral")
    for pairs in ([(0.0, 320.0), (12.0, 160.0)], [[(0.0, 320.0)], [(0.0, 100.0)]], [(0.0, 100.0)]):
        expected = model.evaluate([1.0, 13.0], inputs={"dose": pairs})
        found = model.evaluate([1.0, 13.0], inputs={"dose": np.array(pairs)})
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([(0.0, -1.0)], "no negative dose"),
        ([(0.0, np.nan)], "give finite values"),
        ([(0.0, 1.0, 2.0)], "no pair of time and value"),
        ([(0.0, "x")], "no pair of time and value"),
        ("x", "is not a number"),
    ],
)
def test_doses_that_are_none_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        load_model("one_compartment_oral").evaluate([1.0], inputs={"dose": given})


def test_rates_and_covariates_change_at_their_times():
    body = phase({"A": "drip - k*(1 + effect)*A"}, {"A": "1"})
    body += '[inputs.drip]\nkind = "rate"\nunit = "1"\n[inputs.effect]\nkind = "covariate"\nunit = "1"\nvalue = 0.5\n'
    model = written({"k": 0.3}, body)
    times = np.array([1.0, 2.0, 3.0, 5.0])
    given = {"drip": [(1.0, 2.0), (2.0, 0.0)], "effect": [(3.0, 0.0)]}
    a1 = np.exp(-0.45)
    a2 = 2 / 0.45 + (a1 - 2 / 0.45) * np.exp(-0.45)
    a3 = a2 * np.exp(-0.45)
    expected = [a1, a2, a3, a3 * np.exp(-0.6)]
    for method in ("rodas5p", "tsit5"):
        assert model.evaluate(times, inputs=given, method=method, rtol=1e-10) == pytest.approx(expected, rel=1e-8)
    with pytest.raises(InputError, match="no input 'drop'; did you mean 'drip'"):
        model.evaluate(times, inputs={"drop": []})
    with pytest.raises(InputError, match=r"input 'drip' has \(-1, 2\): give times from 0 on"):
        model.evaluate(times, inputs={"drip": [(-1.0, 2.0)]})


def test_a_linear_state_may_be_negative_and_pass_zero():
    body = phase({"X": "v", "V": "-X"}, {"X": "1", "V": "0"}, scale="linear").replace('X = "v"', 'X = "w*V"')
    model = written({"w": 1.0}, body)
    times = np.linspace(0.0, 20.0, 41)
    for method in ("rodas5p", "tsit5"):
        found = run(model, times, method=method, rtol=1e-9).values[0]
        assert found[:, 0] == pytest.approx(np.cos(times), abs=1e-6)


def test_states_stay_positive_over_any_number_of_decades():
    model = written({"k": 30.0}, phase({"A": "-k*A", "B": "k*A - 0.5*k*B"}, {"A": "1", "B": "0"}))
    times = np.array([1.0, 10.0, 100.0])
    found = run(model, times).values[0]
    assert (found >= 0).all()
    assert found[0, 1] == pytest.approx(2 * (np.exp(-15) - np.exp(-30)), rel=1e-5)
    assert found[1, 1] == pytest.approx(2 * np.exp(-150), rel=1e-4)


def test_a_state_that_is_zero_for_good():
    model = written({"k": 0.3}, phase({"A": "k*A", "B": "k*A - B"}, {"A": "0", "B": "0"}))
    found = run(model, [0.0, 1.0, 50.0], free=np.arange(1))
    assert (found.values == 0).all()
    assert (found.gradient == 0).all()


def test_powers_of_a_state_that_is_zero():
    model = written({"n": 0.6, "k": 1.0}, phase({"A": "k", "B": "A**n - B"}, {"A": "0", "B": "1"}))
    found = run(model, [0.5, 2.0], rtol=1e-8)
    assert found.codes[0] == Outcome.solved
    assert found.values[0, :, 0] == pytest.approx([0.5, 2.0], rel=1e-6)


@pytest.mark.parametrize(
    ("equations", "states", "parameters", "outcome"),
    [
        ({"A": "k*A**2"}, {"A": "1"}, {"k": 1.0}, Outcome.step_too_small),
        ({"A": "log(k)*A"}, {"A": "1"}, {"k": -1.0}, Outcome.not_finite),
        ({"A": "k*A"}, {"A": "-k"}, {"k": 1.0}, Outcome.negative_state),
        ({"A": "-k"}, {"A": "0"}, {"k": 1.0}, Outcome.negative_state),
        ({"A": "k*A"}, {"A": "log(k)"}, {"k": -1.0}, Outcome.not_finite),
        ({"A": "k*A"}, {"A": "1"}, {"k": np.nan}, Outcome.missing_parameter),
        ({"A": "-k"}, {"A": "1"}, {"k": 1.0}, Outcome.step_too_small),
    ],
)
@pytest.mark.parametrize("method", ["rodas5p", "tsit5"])
def test_what_cannot_be_solved_has_a_code(equations, states, parameters, outcome, method):
    model = written(dict.fromkeys(parameters, 1.0), phase(equations, states))
    theta = np.array([list(parameters.values()), [1.0]]) if outcome not in (2, 4) else np.array([[1.0], [np.nan]])
    found = solve(model, np.array([[0.5, 3.0]] * 2), theta, outputs=["oA"], method=method, max_steps=10**5)
    assert Outcome(int(found.codes[0])) in (outcome, Outcome.step_limit) if outcome == 2 else found.codes[0] == outcome
    assert np.isnan(found.values[0, -1]).all()
    assert Outcome(int(found.codes[0])).sentence
    if outcome not in (2, 4) and states["A"] != "0":  # the next patient is none the worse
        assert found.codes[1] == Outcome.solved


def test_a_failure_is_said_in_one_sentence():
    model = written({"k": 1.0}, phase({"A": "k*A**2"}, {"A": "1"}))
    with pytest.raises(
        InputError, match=r"model 'written' cannot be solved for 1 of 2 sets of parameters, .* number 2"
    ):
        model.evaluate([0.5, 3.0], {"k": [0.1, 1.0]}, method="rodas5p")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "euler"}, "method is 'euler'"),
        ({"rtol": 1.0}, "rtol is 1.0"),
        ({"rtol": np.nan}, "rtol is nan"),
        ({"max_steps": 0}, "max_steps is 0"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        run(model_named("switch2"), [1.0], **options)


def test_times_in_any_order_missing_and_before_infusion():
    model = model_named("switch2")
    times = np.array([[28.0, np.nan, 3.0, -1.0, 3.0, 0.0, np.inf]])
    found = run(model, times, free=np.arange(6))
    ordered = run(model, [0.0, 3.0, 28.0], free=np.arange(6))
    for part, other in ((found.values, ordered.values), (found.gradient, ordered.gradient)):
        assert np.array_equal(part[0, [5, 2, 0]], other[0])
        assert np.array_equal(part[0, 2], part[0, 4])
        assert np.isnan(part[0, [1, 3, 6]]).all()
    assert solve(model, np.empty((0, 3)), np.empty((0, 6)), outputs=["level"]).values.shape == (0, 3, 1)
    assert run(model, np.empty((1, 0))).values.shape == (1, 0, 1)


def test_the_number_of_threads_changes_no_digit():
    model = model_named("tumour5")
    generator = np.random.default_rng(4)
    theta = typical(model) * np.exp(generator.normal(0, 0.3, (40, len(model.parameters))))
    times = np.broadcast_to(DAYS, (40, len(DAYS)))
    runs = [solve(model, times, theta, outputs=["level"], threads=threads) for threads in (1, 2, 3)]
    assert all(np.array_equal(runs[0].values, other.values) for other in runs[1:])
    assert (runs[0].steps == runs[2].steps).all()


def test_without_compilation():
    code = """
import numpy as np
from ckinetics.modeling import load_model
from ckinetics.modeling.solving import solve
model = load_model({path!r})
theta = model.natural_parameters(None)[0][None]
for method in ("rodas5p", "tsit5"):
    found = solve(model, np.array([[3.0, 9.3, 60.0]]), theta, outputs=["level"], free=np.arange(6), method=method)
    print(repr(found.values.ravel().tolist() + found.gradient.ravel().tolist()))
""".format(path=str(PROBLEMS / "switch2.toml"))
    lines = []
    for off in ("0", "1"):
        environment = os.environ | {"NUMBA_DISABLE_JIT": off}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        lines.append([np.array(eval(line)) for line in done.stdout.splitlines()])
    for compiled, plain in zip(*lines, strict=True):
        assert plain == pytest.approx(compiled, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "fall"),
    [
        ("-k*A*1e27/(A + 1000000000*1000000000*1000000000)", 1.0),
        ("-k*A*(9007199254740991*9007199254740991*9007199254740991)/(9007199254740991**3*(k + 1))", 0.5),
        ("-k*A*(k + 9007199254740991*9007199254740991/9007199254740881/9007199254740881)", 2.0),
        ("-k*A*(1 + (A/2)**(10**300))", 1.0),
    ],
)
def test_numbers_of_any_size(rate, fall):
    model = written({"k": 1.0}, phase({"A": rate}, {"A": "1"}))
    start = model.evaluate([1e-3])
    assert np.log(start) == pytest.approx(-1e-3 * fall, rel=1e-2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, where nothing is compiled
@pytest.mark.parametrize("method", ["rodas5p", "tsit5"])
@pytest.mark.parametrize("rate", ["A**(-4) - B", "k*(A + A*B)**(-2) - B", "exp(-A**(-3)) + A**(-5) - B"])
def test_a_negative_power_of_nothing_is_infinite(method, rate, capfd):
    model = written({"k": 1.0}, phase({"A": "1", "B": rate}, {"A": "0", "B": "0"}))
    for free in (None, np.arange(1)):
        assert run(model, [1.0], free=free, method=method).codes.tolist() == [Outcome.not_finite]
    assert "ZeroDivisionError" not in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_closed_form_that_is_infinite_for_one_patient_stops_no_other():
    form = '[outputs.form]\nunit = "1"\nexpression = "A"\n[outputs.form.closed_form]\nall = "t + k**(-4)"\n'
    model = written({"k": 1.0}, phase({"A": "1"}, {"A": "k**(-4)"}) + form)
    found = np.empty((2, 1))
    model.compiled.curves_form(np.full((2, 1), 3.0), np.array([[0.0], [0.5]]), found)
    assert found.tolist() == [[np.inf], [19.0]]


def test_parameters_without_the_constants_are_refused():
    model = load_model("one_compartment_oral")
    theta = typical(model)
    with pytest.raises(InputError, match=r"theta has the shape \(1, 3\): give \(1, 4\), the parameters and then"):
        solve(model, np.array([[1.0]]), theta[:, :-1], outputs=["concentration"])
