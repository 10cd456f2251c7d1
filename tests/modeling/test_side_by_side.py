"""Patients side by side: the same as one by one, and the same whoever stands beside them."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest
from systems import phase, typical, written

from ckinetics.kernels.lanes import LANES
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


@pytest.mark.parametrize("name", ["tumour5", "tumour5_stiff", "kimmel2021", "one_compartment_oral"])
@pytest.mark.parametrize("rtol", [3e-6, 1e-11])
def test_they_are_those_of_one_by_one(monkeypatch, name, rtol):
    path = PROBLEMS / f"{name}.toml"
    model = load_model(path if path.exists() else name)
    beside, single = side_by_side_and_one_by_one(
        monkeypatch, model, cohort(model, 3 * LANES + 1), rtol=rtol, max_steps=10**6
    )
    assert (beside.codes == 0).all()
    assert beside.values == pytest.approx(single.values, rel=10 * rtol)
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
