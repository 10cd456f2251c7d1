"""Model files by scipy at 1e-12: what tests compare with, independent of the solvers of ckinetics."""

from __future__ import annotations

import numpy as np
import sympy
from scipy.integrate import solve_ivp

from ckinetics.modeling import Model
from ckinetics.modeling.expressions import TIME


def integrate(model: Model, times, parameters=None, *, method: str = "Radau", rtol: float = 1e-12):
    """Return every output at increasing times, by name.

    A state that starts above 0 is integrated as its logarithm, so that its relative error is held over any number of
    decades; a dose must be given at time 0, and rates and covariates keep the value that they start with.
    """
    times = np.asarray(times, float)
    symbolic, spec = model.symbolic, model.specification
    given = {name: parameter.value for name, parameter in model.parameters.items()} | (parameters or {})
    values = {symbol: given[name] for name, symbol in symbolic.parameters.items()}
    values |= {symbol: spec.inputs[name].value for name, symbol in (symbolic.constants | symbolic.varying).items()}
    states = list(symbolic.states.values())
    y = np.array([float(symbolic.initial[name].subs(values)) for name in symbolic.states])
    for given_input in spec.inputs.values():
        if given_input.kind == "dose":
            assert given_input.time == 0
            y[list(symbolic.states).index(given_input.state)] += given_input.value
    found = np.empty((len(states), len(times)))
    start = 0.0
    for phase in symbolic.phases:
        for at, name in enumerate(symbolic.states):
            if name in phase.reset:
                y[at] = float(phase.reset[name].subs(values | dict(zip(states, y, strict=True))))
        end = max(times[-1], start) if phase.ends_at is None else float(phase.ends_at.subs(values))
        inside = (times >= start) & (times <= end if phase.ends_at is None else times < end)
        found[:, inside], y = _phase(phase, symbolic, values, y, (start, end), times[inside], method, rtol)
        start = end
    return {
        name: np.broadcast_to(sympy.lambdify([TIME, states], value.subs(values))(times, found), times.shape)
        for name, value in symbolic.outputs.items()
    }


def _phase(phase, symbolic, values, y, span, times, method, rtol):
    states = list(symbolic.states.values())
    log = y > 0
    rates = [phase.equations[name].subs(values) for name in symbolic.states]
    rates = [rate / symbol if one else rate for rate, symbol, one in zip(rates, states, log, strict=True)]
    right = sympy.lambdify([TIME, states], rates, modules="numpy")

    def slope(t, z):
        return np.array(right(t, np.where(log, np.exp(np.where(log, z, 0.0)), z)), float)

    z = np.where(log, np.log(np.where(log, y, 1.0)), y)
    if span[1] <= span[0]:
        return np.broadcast_to(y[:, None], (len(y), len(times))), y
    solution = solve_ivp(slope, span, z, method=method, t_eval=np.unique([*times, span[1]]), rtol=rtol, atol=1e-13)
    assert solution.success, solution.message
    ended = np.where(log[:, None], np.exp(np.where(log[:, None], solution.y, 0.0)), solution.y)
    return ended[:, np.searchsorted(solution.t, times)], ended[:, -1]
