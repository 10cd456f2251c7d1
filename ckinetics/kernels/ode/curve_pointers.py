"""Patients' curves and their derivatives from equations, behind addresses that `call_curve` calls.

They are given one block of numbers, `more`; `ode_layout` says what stands where.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..compiling.jit import address_of, behind, call_curve, wholes_at
from .layout import (
    BY_OUTPUT,
    CODES,
    COUNTS,
    N_COLUMNS,
    N_MORE,
    N_OUTPUTS,
    N_SAMPLES,
    N_VALUES_GIVEN,
    OUTPUTS_APART,
    PATIENT,
    SOLVER,
    STEPS,
    TAKEN,
)
from .profiles import solve_patient


@functools.cache  # one and the same function is compiled once
def row_solver(n_states: int, stiff: bool, gradient: bool) -> Callable[..., int]:
    """Return the function that solves one patient, for a number of states, a method, and with derivatives or without.

    It fills ``out`` and ``grad`` and returns 0, or why it could not: a code of `ckinetics.kernels.ode.solver_codes`.
    """
    states, free = ((),) * n_states, True if gradient else None
    implicit, explicit = (True, None) if stiff else (None, True)

    def solve_row(n, times, theta, out, grad, more):  # type: ignore[no-untyped-def]
        if more[OUTPUTS_APART]:
            more[BY_OUTPUT] = n
            for k in range(more[N_OUTPUTS] * n * more[N_COLUMNS]):  # of parameters that are not free, it stays 0
                grad[k] = 0.0
        return solve_patient(states, implicit, explicit, free, n, times, theta, out, grad, more)

    return solve_row


def solve_rows(last, times, theta, out, grad, more):  # type: ignore[no-untyped-def]
    """Solve the patients from `more[PATIENT]` to `last`, each at its first times; what is not reached is NaN."""
    counts, taken, codes = wholes_at(more[COUNTS]), wholes_at(more[TAKEN]), wholes_at(more[CODES])
    samples, values, columns = more[N_SAMPLES], more[N_VALUES_GIVEN], more[N_COLUMNS]
    size = samples * more[N_OUTPUTS]
    for row in range(more[PATIENT], last):
        for k in range(row * size, (row + 1) * size):
            out[k] = np.nan
        for k in range(row * size * columns, (row + 1) * size * columns):
            grad[k] = np.nan
        more[PATIENT] = row
        codes[row] = call_curve(
            more[SOLVER], counts[row], behind(times, row * samples), behind(theta, row * values),
            behind(out, row * size), behind(grad, row * size * columns), more,
        )  # fmt: skip
        taken[row] = more[STEPS]
    return 0


def place_arrays(places: dict[int, Any], interpreted: bool) -> Any:
    """Return `more` from counts and arrays by place: addresses, or the arrays themselves without compilation."""
    more: list[Any] = [0] * N_MORE
    for place, value in places.items():
        if isinstance(value, np.ndarray):
            more[place] = value.reshape(-1) if interpreted else address_of(value)
        else:
            more[place] = value
    return more if interpreted else np.array(more, dtype=np.int64)
