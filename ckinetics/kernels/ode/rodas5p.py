"""One step of Rodas5P (Steinebach 2023), an implicit method of order 5, with derivatives by parameters.

The derivatives are integrated as states are: their system has the same matrix, and needs how it changes with the
states (`couple`). So they are those of order 5 of the exact ones, not differences.
"""

from __future__ import annotations

import numpy as np

from ..compiling.jit import call, cold, inline, larger, noinline
from .layout import (
    BY_TIME,
    CURVATURE,
    DERIVATIVES,
    DP,
    EQUATIONS,
    FP,
    FPS,
    FREE,
    HEAD,
    LINEARISE,
    N_FREE,
    N_PARAMETERS,
    PT,
    SLOPES,
    TIME_DEPENDENT,
)
from .states import STEEPEST, columns, divided, jacobian, natural, speeds
from .tableaus import RODAS_A, RODAS_C, RODAS_DENSE, RODAS_GAMMA, RODAS_SLOPE, RODAS_TIME

STAGES = 8
# A pivot this much smaller than what stands below it would lose as many digits, unless its whole row is as small.
PIVOT_LOSS = 1e3


@inline
def begin(states, free, w, v, phase, t, z, size, slopes_by_time, couple):
    """Fill F, G, D and JAC at z, FT where time stands in the equations, and how the columns' system changes."""
    n = len(states)
    f, g, ft, jac, d = n, 2 * n, 3 * n, 8 * n, 8 * n + 2 * n * n
    natural(states, w, v, z)
    if free is None:
        call(v[EQUATIONS], LINEARISE, phase, t, w, f, d, 0)
    else:
        call(v[DERIVATIVES], SLOPES, phase, t, w, f, d, v[FP])
        call(v[DERIVATIVES], CURVATURE, phase, t, w, 0, 0, 0)
        _couple(states, w, v, z, couple)
    jacobian(states, w, v, f, g, d, jac)
    if v[TIME_DEPENDENT]:
        call(v[EQUATIONS], BY_TIME, phase, t, w, 0, 0, 0)
        for i in range(n):
            if not abs(w[ft + i]) < STEEPEST:  # a root of the time at 0, as that of a state
                w[ft + i] = 0.0
        if free is not None:
            _columns_by_time(states, w, v, z, slopes_by_time)
        for i in range(n):
            if divided(v, n, i):
                w[ft + i] /= w[i]
            w[slopes_by_time + i] = w[ft + i]


@noinline
def _couple(states, w, v, z, couple):
    """Fill couple[q] with the derivative by z of (jac times a column, plus the derivative by its parameter)."""
    n, m = len(states), v[N_PARAMETERS]
    f, d, d2, dp, fp = n, 8 * n + 2 * n * n, 8 * n + 7 * n * n, v[DP], v[FP]
    for q in range(v[N_FREE]):
        at, by = z + n * (q + 1), v[v[FREE] + q]
        for i in range(n):
            along = 0.0
            for j in range(n):
                along += w[d + i * n + j] * w[at + j] * (w[j] if v[HEAD + n + j] else 1.0)
            for j in range(n):
                total = w[dp + (i * m + by) * n + j]
                for k in range(n):
                    total += w[d2 + (i * n + j) * n + k] * w[at + k] * (w[k] if v[HEAD + n + k] else 1.0)
                slope = w[d + i * n + j]
                if v[HEAD + n + j]:
                    total = (total + slope * w[at + j]) * w[j]
                    slope *= w[j]
                if divided(v, n, i):
                    total -= w[at + i] * slope
                    if i == j:
                        total += w[at + i] * w[f + i] - along - w[fp + i * m + by]
                    total /= w[i]
                w[couple + (q * n + i) * n + j] = total if abs(total) < STEEPEST else 0.0


@cold
def _columns_by_time(states, w, v, z, out):
    """Fill the columns of out with the derivative by time of their speeds."""
    n = len(states)
    ft, dt = 3 * n, 8 * n + 5 * n * n
    for q in range(v[N_FREE]):
        at, by = n * (q + 1), v[PT] + v[v[FREE] + q]
        for i in range(n):
            total = w[by + i * v[N_PARAMETERS]]
            for j in range(n):
                total += w[dt + i * n + j] * w[z + at + j] * (w[j] if v[HEAD + n + j] else 1.0)
            if divided(v, n, i):
                total = (total - w[z + at + i] * w[ft + i]) / w[i]
            w[out + at + i] = total if abs(total) < STEEPEST else 0.0


@cold
def row_for_pivot(n, w, matrix, stride, k):
    """Return the row of a matrix that is to come up as its row k, which is k itself where its pivot is large enough.

    Pivots are judged as shares of their rows, too. A state that is nearly 0, and not taken as its logarithm, acts on
    the logarithms of others with any size: a change of rows for that would mix rounding errors of theirs into it.
    """
    pivot, largest, found = abs(w[matrix + (k * n + k) * stride]), 0.0, k
    for i in range(k, n):
        entry, most = abs(w[matrix + (i * n + k) * stride]), 0.0
        for j in range(k, n):
            most = larger(most, abs(w[matrix + (i * n + j) * stride]))
        share = entry / most if most > 0.0 else 0.0
        if i == k or (entry > PIVOT_LOSS * pivot and share > (PIVOT_LOSS if found == k else 1.0) * largest):
            largest, found = share, i
    return found


@inline
def _invert(states, w, v, per_step):
    """Fill INVERSE with that of I/(gamma*step) - JAC; False where it is singular.

    With eight right sides a step, multiplying by the inverse is faster than two triangular systems, each number of
    which waits for the one before.
    """
    n = len(states)
    jac, inverse, order = 8 * n, 8 * n + n * n, HEAD + 2 * n
    for i in range(n):
        for j in range(n):
            w[inverse + i * n + j] = -w[jac + i * n + j]
        w[inverse + i * n + i] += per_step / RODAS_GAMMA
    for k in range(n):
        row = inverse + k * n
        too_small = False
        for i in range(k + 1, n):
            too_small |= abs(w[inverse + i * n + k]) > PIVOT_LOSS * abs(w[row + k])
        swap = row_for_pivot(n, w, inverse, 1, k) if too_small else k
        v[order + k] = swap
        if swap != k:
            for j in range(n):
                old = w[row + j]
                w[row + j] = w[inverse + swap * n + j]
                w[inverse + swap * n + j] = old
        if not (abs(w[row + k]) > 0.0 and abs(w[row + k]) < np.inf):
            return False
        pivot = 1.0 / w[row + k]
        w[row + k] = 1.0
        for j in range(n):
            w[row + j] *= pivot
        for i in range(n):
            if i != k:
                factor = w[inverse + i * n + k]
                w[inverse + i * n + k] = 0.0
                for j in range(n):
                    w[inverse + i * n + j] -= factor * w[row + j]
    for k in range(n - 1, -1, -1):  # rows that changed places are columns of the inverse
        swap = v[order + k]
        if swap != k:
            for i in range(n):
                old = w[inverse + i * n + k]
                w[inverse + i * n + k] = w[inverse + i * n + swap]
                w[inverse + i * n + swap] = old
    return True


@inline
def _solve(states, w, at, right):
    """Multiply the numbers at `at` by the inverse, in place; `right` is work space."""
    n = len(states)
    inverse = 8 * n + n * n
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += w[inverse + i * n + j] * w[at + j]
        w[right + i] = total
    for i in range(n):
        w[at + i] = w[right + i]


@inline
def step(states, free, w, v, phase, t, length, z, size, stage, wrong, slopes_by_time, ks, couple):
    """Fill `stage` with z after a step of this length, `wrong` with its error; False where the matrix is singular."""
    n = len(states)
    f, g = n, 2 * n
    jac_stage, d_stage = 8 * n + 3 * n * n, 8 * n + 4 * n * n
    per_step = 1.0 / length
    if not _invert(states, w, v, per_step):
        return False
    for s in range(STAGES):
        k = ks + s * size
        for i in range(size):
            total = w[z + i]
            for r in range(s):
                total += RODAS_A[s, r] * w[ks + r * size + i]
            w[stage + i] = total
        now = t + RODAS_TIME[s] * length
        if free is not None:
            natural(states, w, v, stage)
            call(v[DERIVATIVES], SLOPES, phase, now, w, f, d_stage, v[FPS])
            jacobian(states, w, v, f, k, d_stage, jac_stage)
            columns(states, w, v, stage, jac_stage, v[FPS], k)
        elif s == 0:
            for i in range(n):
                w[k + i] = w[g + i]
        else:
            speeds(states, w, v, phase, now, stage, k)
        for i in range(size):
            total = 0.0
            for r in range(s):
                total += RODAS_C[s, r] * w[ks + r * size + i]
            w[k + i] += per_step * total
        if v[TIME_DEPENDENT]:
            for i in range(size):
                w[k + i] += length * RODAS_SLOPE[s] * w[slopes_by_time + i]
        _solve(states, w, k, wrong)
        if free is not None:
            for q in range(v[N_FREE]):
                at = k + n * (q + 1)
                for i in range(n):
                    for j in range(n):
                        w[at + i] += w[couple + (q * n + i) * n + j] * w[k + j]
                _solve(states, w, at, wrong)
    for i in range(size):
        w[wrong + i] = w[ks + 7 * size + i]
        w[stage + i] += w[wrong + i]
    return True


@noinline
def dense(w, size, ks, out):
    """Fill three rows at `out` with what `interpolate` needs of a step."""
    for r in range(3):
        for i in range(size):
            total = 0.0
            for s in range(STAGES):
                total += RODAS_DENSE[r, s] * w[ks + s * size + i]
            w[out + r * size + i] = total


@noinline
def interpolate(w, size, z, new, rows, share, out):
    """Fill `out` with z after a share of the step from z to new."""
    rest = 1.0 - share
    for i in range(size):
        inside = w[rows + i] + share * (w[rows + size + i] + share * w[rows + 2 * size + i])
        w[out + i] = rest * w[z + i] + share * (w[new + i] + rest * inside)
