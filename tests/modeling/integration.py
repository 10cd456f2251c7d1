"""Model files by scipy at 1e-12: what tests compare with, independent of the solvers of ckinetics."""

from __future__ import annotations

import itertools

import numpy as np
import sympy
from scipy.integrate import solve_ivp

from ckinetics.modeling import Model
from ckinetics.modeling.files.expressions import TIME

# So long after a start from 0, a state goes on as its logarithm.
RISEN = 1e-4


def integrate(model: Model, times, parameters=None, *, inputs=None, method: str = "Radau", rtol: float = 1e-12):
    """Return every output at increasing times, by name; `inputs` as an [[example]] has them.

    A state above 0 is integrated as its logarithm, so that its relative error is held over any number of decades.
    Nothing may be given at the very time of a switch.
    """
    times = np.asarray(times, float)
    symbolic, spec = model.symbolic, model.specification
    given = {name: parameter.value for name, parameter in model.parameters.items()} | (parameters or {})
    values = {symbol: given[name] for name, symbol in symbolic.parameters.items()}
    events = []
    for name, entry in spec.inputs.items():
        pairs = (inputs or {}).get(name, [(entry.time, entry.value)] if entry.kind == "dose" else [])
        if entry.kind == "constant":
            values[symbolic.constants[name]] = (inputs or {}).get(name, entry.value)
            continue
        if entry.kind == "dose":
            values[symbolic.constants[name]] = sum(amount for _, amount in pairs)
        else:
            values[symbolic.varying[name]] = entry.value
        events += [(time, name, value) for time, value in pairs]
    y = np.array([float(symbolic.initial[name].subs(values)) for name in symbolic.states])
    found = {name: np.empty(times.shape) for name in symbolic.outputs}
    names = [TIME, list(symbolic.states.values()), list(values)]
    outputs = {name: sympy.lambdify(names, value, modules="numpy") for name, value in symbolic.outputs.items()}
    start = 0.0
    for phase in symbolic.phases:
        for at, name in enumerate(symbolic.states):
            if name in phase.reset:
                y[at] = float(phase.reset[name].subs(values | dict(zip(symbolic.states.values(), y, strict=True))))
        equations = [phase.equations[name] for name in symbolic.states]
        right = sympy.lambdify(names, equations, modules="numpy", cse=True)
        last = phase.ends_at is None
        end = max(times[-1], start) if last else float(phase.ends_at.subs(values))
        inner = sorted({time for time, _, _ in events if start < time < end})
        for first, stop in itertools.pairwise([start, *inner, end]):
            for time, name, value in events:
                if time == first and spec.inputs[name].kind == "dose":
                    y[list(symbolic.states).index(spec.inputs[name].state)] += value
                elif time == first:
                    values[symbolic.varying[name]] = value
            inside = (times >= first) & (times <= stop if last and stop == end else times < stop)
            numbers = [float(value) for value in values.values()]
            states, y = _stretch(right, numbers, y, (first, stop), times[inside], method, rtol)
            for name, output in outputs.items():
                found[name][inside] = output(times[inside], states, numbers)
        start = end
    return found


def _stretch(right, numbers, y, span, times, method, rtol):
    """Return the states at some times, and at the end, between two events."""
    if span[1] <= span[0]:
        return np.broadcast_to(y[:, None], (len(y), len(times))), y
    if (y == 0).any() and span[1] - span[0] > 2 * RISEN:
        middle = span[0] + RISEN
        early, y = _piece(right, numbers, y, (span[0], middle), times[times < middle], method, rtol)
        late, y = _piece(right, numbers, y, (middle, span[1]), times[times >= middle], method, rtol)
        return np.concatenate([early, late], axis=1), y
    return _piece(right, numbers, y, span, times, method, rtol)


def _piece(right, numbers, y, span, times, method, rtol):
    log = y > 0

    def slope(t, z):
        # A step that is tried may overshoot; no state goes there.
        now = np.where(log, np.exp(np.clip(np.where(log, z, 0.0), -690.0, 690.0)), z)
        return np.array(right(t, now, numbers), float) / np.where(log, now, 1.0)

    z = np.where(log, np.log(np.where(log, y, 1.0)), y)
    solution = solve_ivp(slope, span, z, method=method, t_eval=np.unique([*times, span[1]]), rtol=rtol, atol=1e-13)
    assert solution.success, solution.message
    ended = np.where(log[:, None], np.exp(np.where(log[:, None], solution.y, 0.0)), solution.y)
    ended[:, 0] = np.where(solution.t[0] == span[0], y, ended[:, 0])  # not what is interpolated there
    return ended[:, np.searchsorted(solution.t, times)], ended[:, -1]
