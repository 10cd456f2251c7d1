"""Models and problems whose equations need solving, held by scipy: every example, and what is known of the course."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import sympy
from integration import integrate
from scipy.integrate import quad

from ckinetics.modeling import list_models, load_model
from ckinetics.modeling.files.expressions import TIME
from ckinetics.modeling.symbols.system import differential_system

PROBLEMS = Path(__file__).parent / "problems"
NAMES = [*list_models(), *sorted(path.name for path in PROBLEMS.glob("*.toml"))]


# LSODA is the quickest; its error adds up in these.
ACCURATE = {
    "barros2021_hdlm2": ("Radau", 1e-10),
    "barros2021_raji": ("Radau", 1e-10),
    "chaudhury2020_first_order": ("Radau", 1e-10),
}


def problem(name):
    return load_model(PROBLEMS / name if name.endswith(".toml") else name)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_agrees_with_an_integration(name):
    model = problem(name)
    method, rtol = ACCURATE.get(name, ("LSODA", 1e-11))
    cases = {}
    for example in model.specification.example:
        if example.outputs:
            cases.setdefault(str((example.parameters, example.inputs)), []).append(example)
    for examples in cases.values():
        times = np.unique([time for example in examples for time in example.times])
        found = integrate(model, times, examples[0].parameters, inputs=examples[0].inputs, method=method, rtol=rtol)
        for example in examples:
            at = np.searchsorted(times, example.times)
            for output, expected in example.outputs.items():
                np.testing.assert_allclose(found[output][at], expected, rtol=example.tolerance, err_msg=example.title)


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


# The reference courses of BioModels files are CVODE's at rtol = atol = 1e-10. Its error adds up: each state counts
# until the day on which that course has left 1e-6, and while it is above a ten-thousandth of its greatest value.
SBML = {
    "leon_triana2020": (
        "BIOMD0000001011",
        {"car": ("CAR_T_cells", 60.0), "leukaemia": ("Leukaemic_B_cells", 14.0), "healthy": ("B_cells_healthy", 14.0)},
    ),
    "chaudhury2020_ec50": (
        "BIOMD0000001025",
        {
            "expanding": ("Expanding_CAR_T_cells", 300.0),
            "persistent": ("Persistent_CAR_T_cells", 300.0),
            "tumour": ("Tumor_cells", 300.0),
        },
    ),
    "chaudhury2020_first_order": (
        "MODEL2109110005_scipy",
        {"expanding": ("C_E", 300.0), "persistent": ("C_P", 300.0), "tumour": ("U", 300.0)},
    ),
    # Its tumour is noise about 0 (down to -5e-4 cells) until day 250, which memory cells turn into effector cells.
    "barros2021_hdlm2": (
        "BIOMD0000001019",
        {"effector": ("Ct", 120.0), "memory": ("Cm", 300.0), "tumour": ("T", 46.0)},
    ),
    "chaudhury2020_lv": ("BIOMD0000001024", {"car": ("Expanding_CAR_T_cells", 20.0), "tumour": ("Tumor_cells", 8.0)}),
    "kimmel2021": ("BIOMD0000001041", {"normal": ("Normal_T_cells", 365.0), "car": ("CAR_T_cells", 60.0)}),
}


@pytest.mark.parametrize("name", SBML)
def test_the_course_of_the_sbml_file(name, shared_data):
    file, columns = SBML[name]
    with (shared_data / "models" / "sbml" / f"ref_{file}.csv").open() as lines:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)][::5]
    times = np.array([row["time"] for row in rows])
    model = load_model(name)
    for output, (column, until) in columns.items():
        expected = np.array([row[column] for row in rows])
        counts = (times <= until) & (expected > 1e-4 * expected.max())
        assert counts.sum() > 10
        found = model.evaluate(times, output=output, rtol=1e-10)
        np.testing.assert_allclose(found[counts], expected[counts], rtol=1e-6, err_msg=output)


def test_car_t_cells_stay_below_what_cd19_feeds():
    model = load_model("leon_triana2020")
    p = {name: parameter.value for name, parameter in model.parameters.items()}
    times = np.linspace(0.0, 60.0, 601)
    fed = p["rho_C"] / p["alpha"] * (p["L0"] * np.exp(p["rho_L"] * times) + p["B0"])
    peaks = []
    for dose in (1e5, 1e6, 1e7, 1e8, 1e9):
        car = model.evaluate(times, {"C0": dose}, output="car")
        assert np.all(car <= (dose + fed) * (1 + 1e-6))
        peaks.append(car.max())
    assert max(peaks) < 1.25 * min(peaks)  # ten thousandfold doses


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


def test_without_a_lag_the_curve_is_stein():
    lag, stein = load_model("ogasawara2021_lag"), load_model("stein2019")
    times = np.array([0.0, 4.0, 9.2, 9.3, 9.4, 20.0, 90.0, 365.0])
    values = {"Tmax": 9.3, "Cmax": 5100.0, "FB": 0.043}
    rates = {"foldx": 2.0 ** (9.3 / 0.8), "alpha": np.log(2) / 4.0, "beta": np.log(2) / 200.0}
    times_of = {"Tlag": 0.0, "doubling_time": 0.8, "half_life_initial": 4.0, "half_life_terminal": 200.0}
    found = lag.evaluate(times, values | times_of)
    np.testing.assert_allclose(found, stein.evaluate(times, values | rates), rtol=1e-12)
    areas, expected = lag.derive(values | times_of), stein.derive(values | rates)
    for area in ("auc_0_28", "auc_0_inf"):
        assert areas[area] == pytest.approx(expected[area], rel=1e-12)


@pytest.mark.parametrize(
    ("given", "integral"),
    [
        ({}, 9.3),
        ({"toci": [(5.7, 1.0)]}, 5.7 + 1.2 * 3.6),
        ({"toci": [(5.7, 1.0)], "ster": [(7.5, 1.0)]}, 5.7 + 1.2 * 1.8 + 1.2 * 0.8 * 1.8),
        ({"toci": [(8.0, 1.0)], "ster": [(2.0, 1.0)]}, 2.0 + 0.8 * 6.0 + 1.2 * 0.8 * 1.3),
        ({"toci": [(9.5, 1.0)], "ster": [(20.0, 1.0)]}, 9.3),
    ],
)
def test_comedication_changes_the_peak_by_the_integral_of_the_rate(given, integral):
    """`integral` is that of the rate over the rate without comedication, by hand, from 0 to Tmax."""
    model = load_model("stein2019_comedication")
    rho = np.log(3900.0) / 9.3
    peak = 24000.0 / 3900.0 * np.exp(rho * integral)
    times = np.array([9.3, 9.4, 20.0, 28.0, 90.0, 365.0])
    after = times - 9.3
    expected = peak * ((1 - 0.0079) * np.exp(-0.16 * after) + 0.0079 * np.exp(-0.0032 * after))
    for method in ("rodas5p", "tsit5"):
        found = model.evaluate(times, {"Fster": 0.8}, inputs=given, method=method, rtol=1e-10)
        np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_first_order_expansion_is_stein_with_persistent_cells_for_memory():
    model, stein = load_model("chaudhury2020_first_order"), load_model("stein2019")
    times = np.array([0.0, 4.0, 9.2, 9.3, 9.4, 20.0, 90.0, 365.0])
    fold = np.exp(9.3)
    same = {"foldx": fold, "Tmax": 9.3, "Cmax": 10.0 * fold, "alpha": 0.1612, "FB": 0.0012 / 0.158, "beta": 0.0032}
    np.testing.assert_allclose(model.evaluate(times, output="car"), stein.evaluate(times, same), rtol=1e-10)


@pytest.mark.parametrize("name", ["chaudhury2020_ec50", "chaudhury2020_first_order"])
def test_a_tumour_that_is_not_killed_grows_by_gompertz(name):
    """Without a critical size, ln(U_max/U) falls at g/ln(U_max)."""
    model = load_model(name)
    times = np.array([0.0, 5.0, 20.0, 60.0])
    g, most = (model.parameters[key].value for key in ("g", "U_max"))
    found = model.evaluate(times, {"d": 1e-30, "U_crit": 1e-9, "U0": 5.0}, output="tumour", rtol=1e-10)
    expected = most * np.exp(np.log(5.0 / most) * np.exp(-g / np.log(most) * times))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_without_comedication_the_level_is_that_of_stein():
    times = np.array([0.0, 4.0, 9.2, 9.3, 30.0, 365.0])
    changes = {"foldx": 150.0, "FB": 0.043, "alpha": 0.31}
    found = load_model("stein2019_comedication").evaluate(times, changes, rtol=1e-10)
    np.testing.assert_allclose(found, load_model("stein2019").evaluate(times, changes), rtol=1e-8)


@pytest.mark.parametrize("changes", [{}, {"Tmax": 40.0}, {"Tlag": 30.0, "Tmax": 40.0}])
def test_the_area_with_a_lag_is_that_of_the_curve(changes):
    model = load_model("ogasawara2021_lag")
    ends = {"Tlag": model.parameters["Tlag"].value, "Tmax": model.parameters["Tmax"].value} | changes
    edges = [0.0, *sorted({min(end, 28.0) for end in ends.values()} - {28.0}), 28.0]
    area = sum(
        quad(lambda t: model.evaluate([t], changes)[0], first, last, epsrel=1e-11)[0]
        for first, last in itertools.pairwise(edges)
    )
    assert model.derive(changes)["auc_0_28"] == pytest.approx(area, rel=1e-9)


def test_the_tumour_problems_share_all_but_the_cytokine():
    times = [0.0, 10.0, 15.0, 60.0, 365.0]
    slow = integrate(problem("tumour5.toml"), times, rtol=1e-9)
    stiff = integrate(problem("tumour5_stiff.toml"), times, rtol=1e-9)
    np.testing.assert_allclose(stiff["level"], slow["level"], rtol=1e-6)
    assert slow["tumour"].min() < 1e-5 * slow["tumour"].max()
    ratio = problem("tumour5_stiff.toml").parameters["kc"].value / problem("tumour5.toml").parameters["kc"].value
    assert ratio == 200.0
