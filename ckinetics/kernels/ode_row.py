"""One patient's curves and their derivatives from equations, behind an address that `call_curve` calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .jit import array_at, floats_at, wholes_at
from .ode_profiles import profiles
from .solver_codes import SOLVED

# Places in `more`: the patient (which `fit_objective.predict` fills), counts, and addresses of arrays. Events are
# (patient, event); OUT and GRAD are scratch for one patient.
(
    PATIENT, N_OUTPUTS, WANTED, N_FREE, FREE, N_PARAMETERS, N_VALUES, W, V, EQUATIONS, SETTINGS, DERIVATIVES,
    VARYING, N_VARYING, INPUT_STATE, INPUT_PLACE, N_INPUTS, EVENT_TIMES, EVENT_INPUTS, EVENT_VALUES, N_EVENTS,
    N_PATIENTS, RTOL, MAX_STEPS, OUT, GRAD, N_MORE,
) = range(27)  # fmt: skip


def row_solver(n_states: int, stiff: bool) -> Callable[..., int]:
    """Return the function that solves one patient, for a number of states and a method.

    It fills ``out`` (output, time) and ``grad`` (output, time, parameter), with 0 for parameters that are not free, and
    returns 0, or why it could not: a code of `ckinetics.kernels.solver_codes`.
    """
    states = (0,) * n_states
    implicit, explicit = (True, None) if stiff else (None, True)

    def solve_row(n, times, theta, out, grad, more):  # type: ignore[no-untyped-def]
        outputs, n_free, m = more[N_OUTPUTS], more[N_FREE], more[N_PARAMETERS]
        row, events = more[PATIENT], more[N_EVENTS]
        free = array_at(wholes_at(more[FREE]), (n_free,))
        values = array_at(floats_at(more[OUT]), (1, n, outputs))
        slopes = array_at(floats_at(more[GRAD]), (1, n, outputs, n_free))
        counts, steps, codes = np.full(1, n), np.zeros(1, np.int32), np.zeros(1, np.int8)
        shape = (more[N_PATIENTS], events)
        profiles(
            states, implicit, explicit, free, 0, 1,
            array_at(times, (1, n)), counts, array_at(theta, (1, more[N_VALUES])),
            array_at(floats_at(more[VARYING]), (more[N_VARYING],)),
            array_at(wholes_at(more[INPUT_STATE]), (more[N_INPUTS],)),
            array_at(wholes_at(more[INPUT_PLACE]), (more[N_INPUTS],)),
            array_at(floats_at(more[EVENT_TIMES]), shape)[row : row + 1],
            array_at(wholes_at(more[EVENT_INPUTS]), shape)[row : row + 1],
            array_at(floats_at(more[EVENT_VALUES]), shape)[row : row + 1],
            array_at(wholes_at(more[WANTED]), (outputs,)),
            floats_at(more[RTOL])[0], more[MAX_STEPS],
            (more[EQUATIONS], more[SETTINGS], more[DERIVATIVES], more[W]), more[V], values, slopes, steps, codes,
        )  # fmt: skip
        if codes[0] != SOLVED:
            return codes[0]
        for k in range(outputs):
            for i in range(n):
                out[k * n + i] = values[0, i, k]
                for q in range(m):
                    grad[(k * n + i) * m + q] = 0.0
                for q in range(n_free):
                    grad[(k * n + i) * m + free[q]] = slopes[0, i, k, q]
        return 0

    return solve_row


def place_arrays(places: dict[int, Any], interpreted: bool) -> Any:
    """Return `more` from counts and arrays by place: addresses, or the arrays themselves without compilation."""
    more: list[Any] = [0] * N_MORE
    for place, value in places.items():
        more[place] = value.ctypes.data if isinstance(value, np.ndarray) and not interpreted else value
    return more if interpreted else np.array(more, dtype=np.int64)
