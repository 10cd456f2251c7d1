"""States that rise out of nothing, or next to it, and powers of what is 0: where relative errors mean little."""

from __future__ import annotations

import numpy as np
import pytest
from systems import phase, run, typical, written

from ckinetics.modeling.events import Events
from ckinetics.modeling.solving import Outcome

METHODS = pytest.mark.parametrize("method", ["rodas5p", "tsit5"])


@METHODS
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_an_infusion_into_what_had_decayed_to_nothing(method, scale):
    # After a week, 1e-91 of the first amount is left.
    body = phase({"A": "drip - k*A", "B": "k*A - B"}, {"A": "1", "B": "0"}, scale=scale)
    model = written({"k": 30.0}, body + '[inputs.drip]\nkind = "rate"\nunit = "1"\n')
    events = Events.of_inputs(model, 1, {"drip": [(7.0, 10.0), (8.0, 0.0)]})
    since = np.array([1e-3, 0.1, 0.5, 1.0])
    found = run(model, 7.0 + since, events=events, free=np.arange(1), method=method)
    assert found.codes[0] == Outcome.solved
    fall = np.exp(-30.0 * since)
    assert found.values[0, :, 0] == pytest.approx(10.0 * (1.0 - fall) / 30.0, rel=1e-5)
    exact = 10.0 * (since * fall / 30.0 - (1.0 - fall) / 900.0)
    assert found.gradient[0, :, 0, 0] == pytest.approx(exact, rel=1e-4)


@METHODS
def test_a_phase_that_wakes_what_had_decayed_to_nothing(method):
    body = phase({"A": "-k*A", "B": "0"}, {"A": "1", "B": "1"}).replace('"all"\n', '"decay"\nends_at = "T"\n')
    body += '[[phases]]\nname = "renewal"\n[phases.equations]\nA = "s - k*A"\nB = "0"\n'
    model = written({"k": 30.0, "s": 2.0, "T": 7.0}, body)
    since = np.array([0.01, 0.1, 3.0])
    found = run(model, 7.0 + since, free=np.arange(3), method=method)
    fall = np.exp(-30.0 * since)
    assert found.values[0, :, 0] == pytest.approx(2.0 * (1.0 - fall) / 30.0, rel=1e-5)
    assert found.gradient[0, :, 0, 1] == pytest.approx((1.0 - fall) / 30.0, rel=1e-4)
    assert found.gradient[0, :, 0, 2] == pytest.approx(-2.0 * fall, rel=1e-3, abs=1e-6)


@METHODS
def test_a_source_that_jumps_while_its_state_is_zero(method):
    model = written({"k": 0.3}, phase({"A": "-k*A", "B": "where(t > 3, k, 0)"}, {"A": "1", "B": "0"}))
    found = run(model, [1.0, 3.01, 4.0, 20.0], method=method)
    assert found.codes[0] == Outcome.solved
    assert found.values[0, :, 1] == pytest.approx([0.0, 0.003, 0.3, 5.1], rel=1e-5)


@METHODS
@pytest.mark.parametrize("rtol", [3e-6, 1e-9])
def test_a_state_that_begins_as_a_root_takes_no_endless_steps(method, rtol):
    # B = t**1.6/1.6 begins with the same relative error on a step of any length.
    model = written({"n": 0.6}, phase({"A": "1", "B": "A**n"}, {"A": "0", "B": "0"}))
    times = np.array([0.5, 2.0, 20.0])
    found = run(model, times, method=method, rtol=rtol)
    assert found.values[0, :, 1] == pytest.approx(times**1.6 / 1.6, rel=max(rtol, 1e-8))
    assert found.steps[0] < 2000


@METHODS
@pytest.mark.parametrize(
    ("power", "start"), [("A**n", "0"), ("(A/k)**n", "0"), ("hill(A, n, k)", "0"), ("(A + A)**n", "0")]
)
def test_derivatives_by_an_exponent_of_what_is_zero(method, power, start):
    model = written({"n": 1.6, "k": 2.0}, phase({"A": "1 - 0.1*A", "B": f"{power} - B"}, {"A": start, "B": "1"}))
    times = np.array([0.5, 2.0, 9.0])
    found = run(model, times, method=method, free=np.arange(2), rtol=1e-8)
    for at in range(2):
        sides = []
        for sign in (1, -1):
            theta = typical(model)
            theta[0, at] += sign * 1e-5
            sides.append(run(model, times, theta, method=method, rtol=1e-11).values[0])
        differences = (sides[0] - sides[1]) / 2e-5
        assert found.gradient[0, :, :, at] == pytest.approx(differences, rel=1e-4, abs=1e-6), at


@METHODS
@pytest.mark.parametrize("root", ["sqrt((A - B)**2)", "((A - B)**2)**0.5", "abs(A - B)"])
def test_the_root_of_a_square_is_the_absolute_value(method, root):
    model = written({"k": 0.5}, phase({"A": f"-k*{root}*A", "B": "0"}, {"A": "2", "B": "1"}))
    times = np.array([0.5, 3.0])
    found = run(model, times, method=method, free=np.arange(1), rtol=1e-9)
    exact = 1.0 / (1.0 - 0.5 * np.exp(-0.5 * times))  # of A' = -k*(A - 1)*A
    assert found.values[0, :, 0] == pytest.approx(exact, rel=1e-7)
    assert found.gradient[0, :, 0, 0] == pytest.approx(exact**2 * -0.5 * times * np.exp(-0.5 * times), rel=1e-6)


@pytest.mark.parametrize("source", [1e-300, 1e-290, 1e-280, 1e-100])
@pytest.mark.parametrize("rtol", [3e-6, 1e-9, 1e-11])
def test_a_source_of_next_to_nothing_stops_nothing(source, rtol):
    # What it feeds decays through all sizes of numbers.
    body = phase({"A": "s - k*A", "B": "A - B"}, {"A": "0", "B": "1"})
    found = run(written({"k": 30.0, "s": source}, body), [1.0, 10.0, 100.0, 1000.0], method="rodas5p", rtol=rtol)
    assert found.codes[0] == Outcome.solved
    fall = np.array([1.0, 10.0, 100.0])
    assert np.log(found.values[0, :3, 1]) == pytest.approx(-fall, abs=max(10.0 * rtol, 1e-9))
    assert found.values[0, :, 0] == pytest.approx(source / 30.0, rel=1e-3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, where nothing is compiled
@METHODS
@pytest.mark.parametrize(
    ("rate", "exponent", "by_n"),
    [
        ("-k*A*sqrt(t)", lambda t: t**1.5 / 1.5, None),
        ("-k*A*t**n", lambda t: t**1.6 / 1.6, lambda t: t**1.6 * (np.log(t) / 1.6 - 1.6**-2)),
    ],
)
def test_time_may_have_no_slope_at_the_start(method, rate, exponent, by_n):
    model = written({"k": 0.3, "n": 0.6}, phase({"A": rate, "B": "0"}, {"A": "1", "B": "1"}))
    times = np.array([0.0, 0.5, 2.0, 9.0])
    plain = run(model, times, method=method, rtol=1e-9)
    found = run(model, times, free=np.arange(2), method=method, rtol=1e-9)
    assert plain.codes[0] == found.codes[0] == Outcome.solved
    times = times[1:]
    exact = np.exp(-0.3 * exponent(times))
    assert plain.values[0, 1:, 0] == pytest.approx(exact, rel=1e-6)
    assert found.gradient[0, 1:, 0, 0] == pytest.approx(-exponent(times) * exact, rel=1e-5)
    by_n = np.zeros(3) if by_n is None else -0.3 * exact * by_n(times)
    assert found.gradient[0, 1:, 0, 1] == pytest.approx(by_n, rel=1e-5)


@METHODS
@pytest.mark.parametrize("rtol", [3e-6, 1e-10])
@pytest.mark.parametrize("free", [None, np.arange(1)])
def test_a_step_taken_back_does_not_count_as_a_peak(method, rtol, free):
    # From 0, the first step that is tried is the longest: it ends far off.
    body = phase({"A": "1 - k*A**2", "B": "0"}, {"A": "0", "B": "1"}, scale="linear")
    times = np.array([0.3, 1.0, 2.0, 10.0])
    found = run(written({"k": 1.0}, body), times, method=method, rtol=rtol, free=free)
    assert found.values[0, :, 0] == pytest.approx(np.tanh(times), rel=20 * rtol)


def test_of_two_values_at_one_time_the_later_one_given_holds():
    body = phase({"A": "effect*A"}, {"A": "1"}) + '[inputs.effect]\nkind = "covariate"\nunit = "1"\n'
    model = written({"k": 1.0}, body)
    for last in (0.0, 1.0):
        found = model.evaluate([1.0, 2.0], inputs={"effect": [(1.0, 1.0 - last), (1.0, last)]})
        assert found == pytest.approx([1.0, np.exp(last)], rel=1e-5)
