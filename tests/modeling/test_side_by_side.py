"""Patients side by side: the same as one by one, and the same whoever stands beside them."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest
from systems import phase, typical, written

from ckinetics.kernels.ode.lanes import LANES
from ckinetics.modeling import load_model
from ckinetics.modeling.events import Events
from ckinetics.modeling.solving import Outcome, solve

PROBLEMS = Path(__file__).parent / "problems"
pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="there are no lanes without compilation")
TIMES = np.array([0.0, 1, 3, 7, 9.3, 14, 28, 60, 120, 365])


def cohort(model, patients, spread=0.3, seed=1):
    generator = np.random.default_rng(seed)
    return typical(model) * np.exp(generator.normal(0, spread, (patients, typical(model).shape[1])))


def side_by_side_and_one_by_one(monkeypatch, model, theta, times=TIMES, **options):
    given = (model, np.tile(times, (len(theta), 1)), theta)
    options = {"outputs": list(model.specification.outputs), "method": "rodas5p"} | options
    assert model.compiled.SIDE_BY_SIDE
    beside = solve(*given, **options)
    monkeypatch.setattr(model.compiled, "SIDE_BY_SIDE", False)
    return beside, solve(*given, **options)


@pytest.mark.parametrize(
    "name",
    [
        "tumour5", "tumour5_stiff", "kimmel2021", "one_compartment_oral", "switch2", "four_phase",
        "chaudhury2020_first_order", "chaudhury2020_ec50", "barros2021_hdlm2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rtol", [3e-6, 1e-11])
def test_they_are_those_of_one_by_one(monkeypatch, name, rtol):
    path = PROBLEMS / f"{name}.toml"
    model = load_model(path if path.exists() else name)
    beside, single = side_by_side_and_one_by_one(
        monkeypatch, model, cohort(model, 3 * LANES + 1), rtol=rtol, max_steps=10**6
    )
    np.testing.assert_array_equal(beside.codes, single.codes)
    # With parameters spread so far, one has no logarithm of what underflows, the other takes a million steps.
    assert (beside.codes == 0).all() or name in ("chaudhury2020_first_order", "barros2021_hdlm2")
    assert (beside.codes == 0).sum() > LANES
    assert beside.values == pytest.approx(single.values, rel=10 * rtol, nan_ok=True)
    assert (beside.steps > 0).all()


@pytest.mark.parametrize(
    ("rates", "starts", "scale"),
    [
        ({"A": "-k*A", "B": "k*A - m*B"}, {"A": "1", "B": "0"}, "log"),  # B rises from 0
        ({"A": "-k*A", "B": "k*A - m*B"}, {"A": "0", "B": "0"}, "log"),  # nothing ever
        ({"A": "-30*k*A", "B": "30*k*A - m*B"}, {"A": "1", "B": "0"}, "log"),  # below the smallest numbers
        ({"A": "5*m*B", "B": "-5*m*A"}, {"A": "0", "B": "1"}, "linear"),  # through 0
        ({"A": "k*t - A", "B": "m*t*B/(1 + t**2)"}, {"A": "0", "B": "1"}, "log"),  # time in the equations
        ({"A": "(k - m)*A - 1e3*A*B", "B": "1e3*(A - B)"}, {"A": "1", "B": "1"}, "log"),
    ],
)
def test_states_of_all_kinds(monkeypatch, rates, starts, scale):
    model = written({"k": 0.5, "m": 0.2}, phase(rates, starts, scale=scale))
    beside, single = side_by_side_and_one_by_one(
        monkeypatch, model, cohort(model, 2 * LANES + 3), np.array([0.0, 0.3, 1, 2, 5, 20, 60]), rtol=1e-9
    )
    assert (beside.codes == 0).all()
    assert beside.values == pytest.approx(single.values, rel=1e-6, abs=1e-9 if scale == "linear" else 0)


SWITCHES = """
[[phases]]
name = "second"
ends_at = "m"
[phases.reset]
B = "B + A/2"
[phases.equations]
A = "-A"
B = "A - 0.1*B"
[[phases]]
name = "third"
[phases.reset]
A = "0"
[phases.equations]
A = "0.3*B"
B = "-0.2*B*t"
"""


@pytest.mark.parametrize("rtol", [3e-6, 1e-9])
def test_phases_that_end_early_late_together_or_never(monkeypatch, rtol):
    first = phase({"A": "0.5*A", "B": "0"}, {"A": "1", "B": "0"}).replace('name = "all"', 'name = "all"\nends_at = "k"')
    model = written({"k": 3.0, "m": 9.0}, first + SWITCHES)
    ends = [(3, 9), (0, 9), (0, 0), (-2, 5), (4, 4), (7, 2), (3, 100), (100, 200), (20, 21), (1e-9, 1e-8), (2.5, 20)]
    theta = np.repeat(np.array(ends, float), 3, axis=0)
    times = np.array([0.0, 1, 2, 3, 4, 5, 9, 15, 20])
    beside, single = side_by_side_and_one_by_one(monkeypatch, model, theta, times, rtol=rtol)
    assert (beside.codes == 0).all()
    assert beside.values == pytest.approx(single.values, rel=10 * rtol, abs=1e-300)
    order = np.random.default_rng(1).permutation(len(theta))
    monkeypatch.undo()
    moved = solve(
        model, np.tile(times, (len(theta), 1)), theta[order], outputs=["oA", "oB"], method="rodas5p", rtol=rtol
    )
    np.testing.assert_array_equal(moved.values, beside.values[order])
    np.testing.assert_array_equal(moved.steps, beside.steps[order])


def test_each_block_of_patients_goes_through_all_phases(monkeypatch):
    model = load_model(PROBLEMS / "switch2.toml")
    theta = cohort(model, 3 * LANES + 2)
    given = (model, np.tile(TIMES, (len(theta), 1)), theta)
    at_once = solve(*given, outputs=["level"], method="rodas5p")
    monkeypatch.setattr("ckinetics.modeling.solving._BLOCK", LANES + 3)
    in_blocks = solve(*given, outputs=["level"], method="rodas5p")
    np.testing.assert_array_equal(in_blocks.values, at_once.values)
    np.testing.assert_array_equal(in_blocks.steps, at_once.steps)


def test_a_switch_that_fails_is_told_of_that_patient_alone():
    first = phase({"A": "0.5*A", "B": "0"}, {"A": "1", "B": "0"}).replace('name = "all"', 'name = "all"\nends_at = "k"')
    last = '[[phases]]\nname = "last"\n[phases.reset]\nB = "m - A"\n[phases.equations]\nA = "0"\nB = "-B"\n'
    model = written({"k": 2.0, "m": 9.0}, first + last)
    theta = np.tile(typical(model), (LANES + 2, 1))
    theta[3, 1] = 1.0  # B would start below 0
    found = solve(model, np.tile([1.0, 5.0], (LANES + 2, 1)), theta, outputs=["oB"], method="rodas5p")
    assert found.codes.tolist() == [Outcome.negative_state if row == 3 else 0 for row in range(LANES + 2)]
    assert np.isnan(found.values[3, 1, 0])
    assert found.values[2, 1, 0] == pytest.approx((9 - np.e) * np.exp(-3), rel=1e-5)


def test_doses_at_the_start_of_a_model_with_phases(monkeypatch):
    inputs = '[inputs.dose]\nkind = "dose"\nlabel = "d"\nunit = "1"\nstate = "A"\nvalue = 2.0\n'
    first = phase({"A": "-A", "B": "A"}, {"A": "0", "B": "0"}).replace('name = "all"', 'name = "all"\nends_at = "k"')
    model = written({"k": 2.0, "m": 9.0}, first + SWITCHES + inputs)
    theta = np.array([(2, 9, 1), (0, 9, 1), (0, 0, 1), (5, 5, 1)] * LANES, float)
    events = Events.of_inputs(model, len(theta), {"dose": [[(0.0, 3.0)]] * len(theta)})
    beside, single = side_by_side_and_one_by_one(
        monkeypatch, model, theta, np.array([0.0, 1, 2, 5, 9, 12]), events=events, rtol=1e-9
    )
    assert (beside.codes == 0).all()
    assert beside.values == pytest.approx(single.values, rel=1e-7, abs=1e-300)
    np.testing.assert_array_equal(beside.values[:4], beside.values[-4:])


def test_functions_that_lanes_do_not_have():
    assert not load_model("owens_bozic2021").compiled.SIDE_BY_SIDE  # it holds expm1


def test_neighbours_and_threads_change_no_digit():
    model = load_model(PROBLEMS / "tumour5.toml")
    patients = 5 * LANES
    theta = cohort(model, patients)
    times = np.sort(np.random.default_rng(2).uniform(0, 300, (patients, 12)), axis=1)
    options = {"outputs": ["level", "cytokine"], "method": "rodas5p"}
    found = solve(model, times, theta, **options)
    order = np.random.default_rng(3).permutation(patients)
    moved = solve(model, times[order], theta[order], threads=3, **options)
    np.testing.assert_array_equal(moved.values, found.values[order])
    np.testing.assert_array_equal(moved.steps, found.steps[order])
    for row in (0, 17, patients - 1):
        alone = solve(model, times[row : row + 1], theta[row : row + 1], **options)
        np.testing.assert_array_equal(alone.values[0], found.values[row])


def test_who_fails_leaves_the_others_alone(monkeypatch):
    model = written({"k": 0.1, "s": 1.0}, phase({"A": "k*A**2", "B": "log(s)*B - B"}, {"A": "1", "B": "1"}))
    theta = np.tile(typical(model), (2 * LANES, 1))
    theta[3, 0], theta[5, 1], theta[7, 0] = 1.0, -1.0, np.nan
    beside, single = side_by_side_and_one_by_one(monkeypatch, model, theta, np.array([0.5, 3.0]), max_steps=10**5)
    expected = np.full(2 * LANES, Outcome.solved)
    expected[[3, 5, 7]] = [beside.codes[3], Outcome.not_finite, Outcome.missing_parameter]
    assert beside.codes[3] in (Outcome.step_too_small, Outcome.step_limit, Outcome.not_finite)
    np.testing.assert_array_equal(beside.codes, expected)
    np.testing.assert_array_equal(beside.codes, single.codes)
    assert beside.values == pytest.approx(single.values, rel=1e-5, nan_ok=True)


def test_doses_before_and_after_the_start(monkeypatch):
    model = load_model("one_compartment_oral")
    given = [[(0.0, 320.0)], [(0.0, 320.0), (12.0, 100.0)], [(0.0, 0.0)], [(5.0, 320.0)]] * LANES
    theta = np.tile(typical(model), (len(given), 1))
    events = Events.of_inputs(model, len(given), {"dose": given})
    beside, single = side_by_side_and_one_by_one(
        monkeypatch, model, theta, np.linspace(0, 24, 9), events=events, rtol=1e-9
    )
    assert beside.values == pytest.approx(single.values, rel=1e-7)
    np.testing.assert_array_equal(beside.values[:4], beside.values[-4:])


def test_patients_without_samples_and_limits_of_steps():
    model = load_model(PROBLEMS / "tumour5.toml")
    theta = cohort(model, LANES + 1)
    times = np.tile([1.0, 30.0], (LANES + 1, 1))
    times[2], times[4, 1] = np.nan, np.nan
    options = {"outputs": ["level"], "method": "rodas5p"}
    found = solve(model, times, theta, **options)
    assert np.isnan(found.values[2]).all()
    assert np.isnan(found.values[4, 1, 0])
    assert (found.codes == 0).all()
    short = solve(model, times, theta, max_steps=5, **options)
    assert short.codes.tolist() == [0 if row == 2 else Outcome.step_limit for row in range(LANES + 1)]
