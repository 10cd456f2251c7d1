"""States as they are integrated, z: ln(y) or y; their speeds, and what a solver records of them.

Behind the states in every row of `w` from Z on stand, where parameters are free, the derivatives of z with respect to
each of them, state by state. `states` is a tuple with one entry a state: its length is known to the compiler. `free`
is True, or None where no parameter is free: the compiler then leaves out what is done for them. `more` is the block of
`ckinetics.kernels.ode.curve_pointers`.
"""

from __future__ import annotations

import numpy as np

from ..compiling.jit import call, inline, noinline
from .layout import (
    BY_OUTPUT,
    BY_SAMPLE,
    COLUMNS,
    DERIVATIVES,
    EQUATIONS,
    FREE,
    HEAD,
    LINEAR,
    N_COLUMNS,
    N_FREE,
    N_OUTPUTS,
    N_PARAMETERS,
    OBSERVE,
    OBSERVE_SLOPES,
    OP,
    POSITIVE,
    RATES,
    SETTINGS,
    WANTED,
)

# A logarithm of 0 that stays finite in sums, and one below which a state goes back to its natural scale.
LOG_OF_ZERO, LOWEST_LOG = -1e300, -650.0
# A power below 1 of a state, or of time, has no slope at 0; it is left out, and the error estimate guards the step.
STEEPEST = 1e200


@inline
def natural(states, w, v, z):
    """Fill Y with the states at z."""
    n = len(states)
    for i in range(n):
        w[i] = np.exp(w[z + i]) if v[HEAD + n + i] else w[z + i]


@inline
def divided(v, n, i):
    """Return whether the speed of z is the rate of y divided by y; a proportional state has that factor already."""
    return v[HEAD + n + i] != 0 and v[HEAD + i] == POSITIVE


@inline
def speeds(states, w, v, phase, t, z, f):
    """Fill f with dz/dt at z, and Y with the states."""
    n = len(states)
    natural(states, w, v, z)
    call(v[EQUATIONS], RATES, phase, t, w, f, 0, 0)
    for i in range(n):
        if divided(v, n, i):
            w[f + i] /= w[i]


@noinline
def jacobian(states, w, v, f, g, d, jac):
    """Fill g with dz/dt and jac with its derivatives by z, from the rates f and their derivatives d."""
    n = len(states)
    for i in range(n):
        w[g + i] = w[f + i]
        for j in range(n):
            w[jac + i * n + j] = w[d + i * n + j] * w[j] if v[HEAD + n + j] else w[d + i * n + j]
        if divided(v, n, i):
            share = 1.0 / w[i]
            w[g + i] *= share
            for j in range(n):
                w[jac + i * n + j] *= share
            w[jac + i * n + i] -= w[g + i]
        for j in range(n):
            if not abs(w[jac + i * n + j]) < STEEPEST:
                w[jac + i * n + j] = 0.0


@noinline
def columns(states, w, v, z, jac, fp, k):
    """Fill the columns of k with the speeds of those of z: jac times it, plus the derivative by its parameter."""
    n, m = len(states), v[N_PARAMETERS]
    for q in range(v[N_FREE]):
        at, by = n * (q + 1), fp + v[v[FREE] + q]
        for i in range(n):
            total = w[by + i * m]
            if divided(v, n, i):
                total /= w[i]
            for j in range(n):
                total += w[jac + i * n + j] * w[z + at + j]
            w[k + at + i] = total


@noinline
def set_state(states, free, w, v, z, i, value):
    """Give a state a natural value; its columns hold derivatives of the natural value, and become those of z."""
    n = len(states)
    scale = v[HEAD + i]
    if scale == LINEAR or (scale == POSITIVE and not value > 0.0):
        w[z + i] = value
        v[HEAD + n + i] = 0
        return
    w[z + i] = np.log(value) if value > 0.0 else LOG_OF_ZERO
    v[HEAD + n + i] = 1
    if free is not None:
        for q in range(1, v[N_FREE] + 1):
            w[z + n * q + i] = w[z + n * q + i] / value if value > 0.0 else 0.0


@noinline
def change_scales(states, free, w, v, z, before):
    """Go to the logarithm of a state that has risen from 0, and back below the smallest numbers; return whether."""
    n = len(states)
    changed = False
    for i in range(n):
        now = w[z + i]
        if v[HEAD + i] != POSITIVE:
            continue
        if not v[HEAD + n + i] and now > 1e-280 and now - w[before + i] < 0.7 * now:
            w[z + i] = np.log(now)
            v[HEAD + n + i] = 1
            changed = True
            if free is not None:
                for q in range(1, v[N_FREE] + 1):
                    w[z + n * q + i] /= now
        elif v[HEAD + n + i] and now < LOWEST_LOG:
            w[z + i] = np.exp(now)
            v[HEAD + n + i] = 0
            changed = True
            if free is not None:
                for q in range(1, v[N_FREE] + 1):
                    w[z + n * q + i] *= w[z + i]
    return changed


@noinline
def record(states, free, w, v, t, z, more, out, grad, m):
    """Fill the outputs of sample m, and their derivatives."""
    n = len(states)
    observed, by_state, by_parameter = 5 * n, 7 * n, v[OP]
    wanted, columns_of, n_columns = more[WANTED], more[COLUMNS], more[N_COLUMNS]
    natural(states, w, v, z)
    for i in range(n):
        if v[HEAD + i] != LINEAR and w[i] < 0.0:  # an interpolant near 0
            w[i] = 0.0
    for k in range(more[N_OUTPUTS]):
        place = m * more[BY_SAMPLE] + k * more[BY_OUTPUT]
        call(v[SETTINGS], OBSERVE, v[wanted + k], t, w, 0, 0, 0)
        out[place] = w[observed]
        if free is not None:
            call(v[DERIVATIVES], OBSERVE_SLOPES, v[wanted + k], t, w, 0, 0, 0)
            for q in range(v[N_FREE]):
                at = z + n * (q + 1)
                total = w[by_parameter + v[v[FREE] + q]]
                for i in range(n):
                    slope = w[at + i]
                    total += w[by_state + i] * (slope * w[i] if v[HEAD + n + i] else slope)
                grad[place * n_columns + v[columns_of + q]] = total
