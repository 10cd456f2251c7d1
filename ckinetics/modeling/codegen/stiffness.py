"""Which integration method suits a model: by how many steps an explicit one would need for stability alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...kernels.ode.layout import INITIAL, LINEARISE, PREPARE, RATES, RESET
from ...units import conversion_factor

if TYPE_CHECKING:
    from ..files.specification import Specification
    from .shape import Shape

# Of Tsit5: the stretch of the negative axis on which it is stable.
STABLE_STRETCH = 3.3
# An implicit step takes about three times as long as an explicit one, and accuracy asks for about 100 of them.
MOST_EXPLICIT_STEPS = 300
HORIZON_DAYS = 365.0
_POINTS = 200
_MOST_CALLS = 20_000


def suitable_method(spec: Specification, shape: Shape, functions: dict[str, Any]) -> str:
    """Return "tsit5", or "rodas5p" for a model that is stiff at its file's values.

    The model is integrated by LSODA over the span of its examples (without examples over a year); along the way
    the fastest decay in the Jacobian of the states says how long an explicit step could be.

    Parameters
    ----------
    spec : Specification
        The model.
    shape : Shape
        Its numbers.
    functions : dict
        The generated functions, not compiled, and the places of their numbers.
    """
    ends = [max(example.times) for example in spec.example if example.times]
    horizon = max(ends) if ends else HORIZON_DAYS * conversion_factor("day", spec.time_unit)
    needed = 0.0
    try:
        with np.errstate(all="ignore"):
            for times, decays in _decays(spec, shape, functions, horizon):
                needed += float(np.trapezoid(decays, times)) / STABLE_STRETCH
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return "rodas5p"
    return "tsit5" if needed < MOST_EXPLICIT_STEPS else "rodas5p"


def _decays(spec: Specification, shape: Shape, functions: dict[str, Any], horizon: float) -> Any:
    """Yield, phase by phase, times and the fastest decay at each, from an integration at the file's values."""
    from scipy.integrate import solve_ivp

    n, at = shape.states, functions
    w = np.zeros(at["FIXED"])
    values = [parameter.value for parameter in spec.parameters.values()]
    values += [given.value for given in spec.inputs.values() if given.kind in ("constant", "dose")]
    w[at["P"] : at["P"] + len(values)] = values
    w[at["X"] : at["X"] + len(shape.varying_start)] = shape.varying_start
    settings: Callable[..., None] = at["settings"]
    equations: Callable[..., None] = at["equations"]
    settings(PREPARE, 0, 0.0, w, 0, 0, 0)
    settings(INITIAL, 0, 0.0, w, 0, 0, 0)
    y = w[:n].copy()
    for given, state in zip(spec.inputs.values(), shape.input_states, strict=True):
        if state >= 0:
            y[state] += given.value
    stops = [*w[at["ENDS"] : at["ENDS"] + len(spec.phases) - 1], horizon]
    scales = np.array(shape.whole[-n * (3 + len(spec.phases)) :][:n])
    start = 0.0
    for phase, stop in enumerate(stops):
        if phase > 0:
            w[:n] = w[at["F"] : at["F"] + n] = y
            settings(RESET, phase, start, w, 0, 0, 0)
            changed = np.array(shape.whole[-n * len(spec.phases) :], dtype=bool)[phase * n : (phase + 1) * n]
            y = np.where(changed, w[at["F"] : at["F"] + n], y)
        stop = min(max(float(stop), start), horizon)
        if not stop > start:
            continue

        calls = 0

        def rates(t: float, y: np.ndarray, phase: int = phase) -> np.ndarray:
            nonlocal calls
            calls += 1
            if calls > _MOST_CALLS:  # it grows without end
                raise ArithmeticError("too many steps")
            w[:n] = np.where(scales > 0, np.maximum(y, 0.0), y)
            equations(RATES, phase, t, w, at["F"], 0, 0)
            f = w[at["F"] : at["F"] + n]
            return np.where(scales == 2, f * w[:n], f)

        times = np.linspace(start, stop, _POINTS)
        size = max(float(np.abs(y).max()), 1.0)
        found = solve_ivp(rates, (start, stop), y, "LSODA", times, rtol=1e-6, atol=1e-12 * size)
        if not found.success:
            raise ArithmeticError(found.message)
        yield (
            times,
            np.array(
                [_decay(equations, w, at, phase, t, now, scales) for t, now in zip(times, found.y.T, strict=True)]
            ),
        )
        y, start = found.y[:, -1], stop


def _decay(
    equations: Callable[..., None],
    w: np.ndarray,
    at: dict[str, Any],
    phase: int,
    t: float,
    y: np.ndarray,
    scales: np.ndarray,
) -> float:
    """Return the fastest decay: the largest negative real part among the eigenvalues of the Jacobian."""
    n = len(y)
    w[:n] = y = np.where(scales > 0, np.maximum(y, 1e-300), y)
    d = w[at["D"] : at["D"] + n * n].reshape(n, n)
    d[:] = 0.0
    equations(LINEARISE, phase, t, w, at["F"], at["D"], 0)
    # Of a proportional state, what is there is the factor of the state.
    proportional = scales == 2
    jacobian = d * np.where(proportional, y, 1.0)[:, None]
    jacobian[proportional, proportional] += w[at["F"] : at["F"] + n][proportional]
    jacobian[~np.isfinite(jacobian)] = 0.0
    return max(0.0, -float(np.linalg.eigvals(jacobian).real.min()))
