"""Models of one state and of twelve against scipy; other tests have two to five."""

from __future__ import annotations

import numpy as np
import pytest
from integration import integrate
from systems import phase, typical, written

from ckinetics.modeling.solving import solve

TIMES = np.array([0.0, 0.2, 1, 3, 7, 14, 30, 60])


def chain(length):
    """A logistic growth that goes on through a chain of compartments, the first of them full at the start."""
    rates, starts = {"S1": "r*S1*(1 - S1/K) - k*S1"}, {"S1": "s"}
    for at in range(2, length + 1):
        rates[f"S{at}"] = f"k*S{at - 1}*{1 + at / 10} - {1 + at % 3}*d*S{at}"
        starts[f"S{at}"] = "0" if at % 2 else "s/10"
    body = phase(rates, starts)
    if length == 1:  # without the state that keeps all small systems of tests at one number of states
        body = body.replace('[states.Still]\ninitial = "1"\nunit = "1"\nscale = "log"\n', "")
        body = body.replace('[outputs.oStill]\nunit = "1"\nexpression = "Still"\n', "").replace('Still = "0"\n', "")
    return written({"r": 0.8, "K": 50.0, "k": 0.3, "d": 0.2, "s": 1.0}, body, f"chain{length}")


# Solvers are compiled for each number of states, which takes longer than all the rest.
@pytest.mark.parametrize(
    ("length", "method"),
    [(1, "rodas5p"), (1, "tsit5"), (12, "rodas5p"), pytest.param(12, "tsit5", marks=pytest.mark.slow)],
)
def test_against_scipy(length, method):
    model = chain(length)
    assert list(model.specification.states) == [f"S{at}" for at in range(1, length + 1)]
    expected = np.stack(list(integrate(model, TIMES).values()), axis=1)
    given = (model, TIMES[None], typical(model))
    options = {"outputs": list(model.specification.outputs), "method": method}
    found = solve(*given, **options).values[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.abs(np.log(found / expected))
    assert np.nanmax(errors[1:]) < 1e-5
    assert found[0] == pytest.approx(expected[0], rel=1e-14, abs=0.0)  # through ln and back
    assert solve(*given, rtol=1e-10, **options).values[0] == pytest.approx(expected, rel=2e-8)


@pytest.mark.parametrize(
    ("length", "method"),
    [
        (1, "rodas5p"),
        pytest.param(1, "tsit5", marks=pytest.mark.slow),
        pytest.param(12, "rodas5p", marks=pytest.mark.slow),
    ],
)
def test_derivatives(length, method):
    model = chain(length)
    theta = typical(model)
    options = {"outputs": list(model.specification.outputs), "method": method, "rtol": 1e-10}
    gradient = solve(model, TIMES[None], theta, free=np.arange(5), **options).gradient
    for at in range(5):
        sides = []
        for moved in (1 + 1e-5, 1 - 1e-5):
            other = theta.copy()
            other[0, at] *= moved
            sides.append(solve(model, TIMES[None], other, **options).values)
        differences = (sides[0] - sides[1]) / (2e-5 * theta[0, at])
        scale = np.abs(sides[0]) / theta[0, at] + 1e-300
        assert np.abs((gradient[..., at] - differences) / scale).max() < 2e-5, model.parameters
