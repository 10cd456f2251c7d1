"""Models and problems whose equations need solving, held by scipy: every example, and what is known of the course."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sympy
from integration import integrate

from ckinetics.modeling import list_models, load_model
from ckinetics.modeling.expressions import TIME
from ckinetics.modeling.system import differential_system

PROBLEMS = Path(__file__).parent / "problems"
NAMES = [*list_models(), *sorted(path.name for path in PROBLEMS.glob("*.toml"))]


def problem(name):
    return load_model(PROBLEMS / name if name.endswith(".toml") else name)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_agrees_with_an_integration(name):
    model = problem(name)
    for example in model.specification.example:
        if not example.outputs:
            continue
        found = integrate(model, example.times, example.parameters, rtol=1e-10)
        for output, expected in example.outputs.items():
            np.testing.assert_allclose(found[output], expected, rtol=example.tolerance, err_msg=example.title)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_the_derivatives_that_solvers_need(name):
    model = problem(name)
    system = differential_system(model.symbolic, model.specification)
    assert len(system.scales) == len(model.specification.states)


@pytest.mark.parametrize("name", list_models())
def test_a_model_of_the_library_says_where_its_numbers_are_from(name):
    specification = load_model(name).specification
    assert specification.example
    assert specification.unit_check == "full" or specification.unit_check_reason
    assert {parameter.trust for parameter in specification.parameters.values()} <= {"V", "V2", "D"}


def test_the_closed_form_of_the_oral_dose_solves_its_equations():
    model = load_model("one_compartment_oral")
    times = [0.0, 0.1, 0.7, 2.0, 6.0, 20.0, 70.0]
    symbolic = model.symbolic
    values = {symbol: model.parameters[name].value for name, symbol in symbolic.parameters.items()}
    values[symbolic.constants["dose"]] = 320.0
    closed = symbolic.phases[0].closed_form["concentration"].subs(values)
    expected = [float(closed.subs(TIME, t)) for t in times]
    np.testing.assert_allclose(integrate(model, times, rtol=1e-11)["concentration"], expected, rtol=1e-8, atol=1e-12)


def test_the_rates_of_the_oral_dose_may_change_places():
    symbolic = load_model("one_compartment_oral").symbolic
    ((when, change),) = symbolic.equivalent
    values = dict(zip(symbolic.parameters.values(), (0.05, 30.0, 3.0), strict=True))
    assert when.subs(values)
    moved = {symbolic.parameters[name]: value.subs(values) for name, value in change.items()}
    closed = symbolic.phases[0].closed_form["concentration"]
    for t in (0.5, 3.0, 20.0):
        assert float((closed.subs(values | moved) / closed.subs(values)).subs(TIME, t)) == pytest.approx(1.0, rel=1e-12)


def test_what_is_conserved():
    model = load_model("chaudhury2020_lv")
    rates = model.symbolic.phases[0].equations
    states = model.symbolic.states
    conserved = model.symbolic.outputs["conserved"]
    slope = sum(sympy.diff(conserved, states[name]) * rate for name, rate in rates.items())
    assert sympy.simplify(slope) == 0


def test_normal_t_cells_alone_follow_the_gompertz_curve():
    model = load_model("kimmel2021")
    times = np.array([0.0, 5.0, 20.0, 60.0])
    found = integrate(model, times, {"C0": 1e-30}, rtol=1e-10)["normal"]
    np.testing.assert_allclose(found, 500.0 * np.exp(np.log(6.0 / 500.0) * np.exp(-0.17 * times)), rtol=1e-7)


def test_the_switch_problem_is_stein():
    stein, switch = load_model("stein2019"), problem("switch2.toml")
    times = np.array([0.0, 4.0, 9.3, 9.4, 20.0, 90.0, 365.0])
    changes = {"foldx": 150.0, "FB": 0.043, "alpha": 0.31}
    np.testing.assert_allclose(
        integrate(switch, times, changes, rtol=1e-11)["level"], stein.evaluate(times, changes), rtol=1e-8
    )


def test_the_tumour_problems_share_all_but_the_cytokine():
    times = [0.0, 10.0, 15.0, 60.0, 365.0]
    slow = integrate(problem("tumour5.toml"), times, rtol=1e-9)
    stiff = integrate(problem("tumour5_stiff.toml"), times, rtol=1e-9)
    np.testing.assert_allclose(stiff["level"], slow["level"], rtol=1e-6)
    assert slow["tumour"].min() < 1e-5 * slow["tumour"].max()
    ratio = problem("tumour5_stiff.toml").parameters["kc"].value / problem("tumour5.toml").parameters["kc"].value
    assert ratio == 200.0
