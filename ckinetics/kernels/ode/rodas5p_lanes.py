"""One step of Rodas5P for several patients side by side, each with its own time and length of step; no derivatives.

`w` holds a number of `lanes` in every place. What one patient needs and others do not (rows that change places) is done
for that patient alone, so that none depends on its neighbours.
"""

from __future__ import annotations

import numpy as np

from ..compiling.jit import call, inline, noinline
from .lanes import LANES, absolute, any_of, choose, exponential, times_plus
from .layout import BY_TIME, HEAD, LANE_EQUATIONS, LINEAR, LINEARISE, POSITIVE, RATES, TIME_DEPENDENT
from .rodas5p import PIVOT_LOSS, STAGES, row_for_pivot
from .states import STEEPEST
from .tableaus import RODAS_A, RODAS_C, RODAS_DENSE, RODAS_GAMMA, RODAS_SLOPE, RODAS_TIME

# Rows behind the states at `z`, each as long as there are states: after a step, its error, one sample of one patient,
# derivatives by time, what `dense` needs, stages, and 1 where a state is a logarithm.
STAGE, WRONG, SAMPLE, BY_TIMES, ROWS, KS, LOGS = 1, 2, 3, 4, 5, 8, 16
# Single numbers behind those: time, time of a stage, length of the step, 1 where it failed, its error over what is
# tolerated and that of the step before in ln, and what the next step is longer by.
NOW, STAGE_TIME, LENGTH, FAILED, ERROR, ERROR_BEFORE, GROWTH = 0, 1, 2, 3, 4, 5, 6


@inline
def _natural(states, w, v, z, logs):
    """Fill Y with the states at z."""
    n = len(states)
    for i in range(n):
        if v[HEAD + i] == LINEAR:
            w[i] = w[z + i]
        else:
            w[i] = choose(w[logs + i], exponential(w[z + i]), w[z + i])


@inline
def begin(states, phase, w, v, z, single):
    """Fill F, G, D and JAC at z, and FT where time stands in the equations."""
    n = len(states)
    f, g, ft, jac, d = n, 2 * n, 3 * n, 8 * n, 8 * n + 2 * n * n
    wrong, logs, by_time = z + WRONG * n, z + LOGS * n, z + BY_TIMES * n
    _natural(states, w, v, z, logs)
    call(v[LANE_EQUATIONS], LINEARISE, phase, 0.0, w, f, d, single + NOW)
    if v[TIME_DEPENDENT]:
        call(v[LANE_EQUATIONS], BY_TIME, phase, 0.0, w, 0, 0, single + NOW)
        for i in range(n):
            w[ft + i] = choose(absolute(w[ft + i]) < STEEPEST, w[ft + i], 0.0)
    for j in range(n):  # derivatives of y by z
        w[wrong + j] = choose(w[logs + j], w[j], 1.0)
    together = 0.0 * w[single + LENGTH]
    for i in range(n):
        w[g + i] = w[f + i]
        w[by_time + i] = w[ft + i]
        for j in range(n):
            w[jac + i * n + j] = w[d + i * n + j] * w[wrong + j]
        if v[HEAD + i] == POSITIVE:
            share = choose(w[logs + i], 1.0 / w[i], 1.0)
            w[g + i] *= share
            w[by_time + i] *= share
            for j in range(n):
                w[jac + i * n + j] *= share
            w[jac + i * n + i] -= choose(w[logs + i], w[g + i], 0.0)
        for j in range(n):
            together += absolute(w[jac + i * n + j])
    if any_of(together >= STEEPEST) or any_of(together != together):
        for k in range(jac, jac + n * n):
            w[k] = choose(absolute(w[k]) < STEEPEST, w[k], 0.0)


@noinline
def _change_rows(n, flat, order, k):
    """Let the largest number below a pivot that is too small come up, in each lane alone; note which row it was."""
    inverse = 8 * n + n * n
    for lane in range(LANES):
        swap = row_for_pivot(n, flat, inverse * LANES + lane, LANES, k)
        order[k * LANES + lane] = swap
        if swap != k:
            for j in range(n):
                one, other = (inverse + k * n + j) * LANES + lane, (inverse + swap * n + j) * LANES + lane
                flat[one], flat[other] = flat[other], flat[one]


@noinline
def _change_columns(n, flat, order):
    """Rows that changed places are columns of the inverse."""
    inverse = 8 * n + n * n
    for k in range(n - 1, -1, -1):
        for lane in range(LANES):
            swap = order[k * LANES + lane]
            if swap != k:
                for i in range(n):
                    one, other = (inverse + i * n + k) * LANES + lane, (inverse + i * n + swap) * LANES + lane
                    flat[one], flat[other] = flat[other], flat[one]


@inline
def _invert(states, w, flat, order, single):
    """Fill INVERSE with that of I/(gamma*length) - JAC; FAILED is 1 where it is singular."""
    n = len(states)
    jac, inverse = 8 * n, 8 * n + n * n
    diagonal = (1.0 / RODAS_GAMMA) / w[single + LENGTH]
    for i in range(n):
        for j in range(n):
            w[inverse + i * n + j] = -w[jac + i * n + j]
        w[inverse + i * n + i] += diagonal
    w[single + FAILED] = 0.0
    changed = False
    for k in range(n):
        row = inverse + k * n
        pivot_too_small = w[row + k] != w[row + k]
        for i in range(k + 1, n):
            pivot_too_small += absolute(w[inverse + i * n + k]) > PIVOT_LOSS * absolute(w[row + k])
        if any_of(pivot_too_small):
            if not changed:
                for r in range(n):
                    for lane in range(LANES):
                        order[r * LANES + lane] = r
            changed = True
            _change_rows(n, flat, order, k)
        size = absolute(w[row + k])
        w[single + FAILED] = choose((size > 0.0) * (size < np.inf), w[single + FAILED], 1.0)
        pivot = 1.0 / w[row + k]
        w[row + k] = 1.0
        for j in range(n):
            w[row + j] *= pivot
        for i in range(n):
            if i != k:
                factor = -w[inverse + i * n + k]
                w[inverse + i * n + k] = 0.0
                for j in range(n):
                    w[inverse + i * n + j] = times_plus(factor, w[row + j], w[inverse + i * n + j])
    if changed:
        _change_columns(n, flat, order)


@inline
def step(states, phase, w, v, flat, order, z, single):
    """Fill `stage` with z after a step of this length, and `wrong` with its error."""
    n = len(states)
    g, inverse = 2 * n, 8 * n + n * n
    stage, wrong, by_time, ks, logs = z + STAGE * n, z + WRONG * n, z + BY_TIMES * n, z + KS * n, z + LOGS * n
    _invert(states, w, flat, order, single)
    per_step = 1.0 / w[single + LENGTH]
    for s in range(STAGES):
        k = ks + s * n
        for i in range(n):
            if s > STAGES - 3:  # as the stage before, and one more
                w[stage + i] += w[k - n + i]
            else:
                total = w[z + i]
                for r in range(s):
                    total = times_plus(w[ks + r * n + i], RODAS_A[s, r], total)
                w[stage + i] = total
        if s == 0:
            for i in range(n):
                w[k + i] = w[g + i]
        else:
            _natural(states, w, v, stage, logs)
            w[single + STAGE_TIME] = times_plus(w[single + LENGTH], RODAS_TIME[s], w[single + NOW])
            call(v[LANE_EQUATIONS], RATES, phase, 0.0, w, k, 0, single + STAGE_TIME)
            for i in range(n):
                if v[HEAD + i] == POSITIVE:
                    w[k + i] = choose(w[logs + i], w[k + i] / w[i], w[k + i])
        for i in range(n):
            total = w[k + i]
            before = 0.0 * per_step
            for r in range(s):
                before = times_plus(w[ks + r * n + i], RODAS_C[s, r], before)
            total = times_plus(per_step, before, total)
            if v[TIME_DEPENDENT]:
                total = times_plus(w[single + LENGTH] * RODAS_SLOPE[s], w[by_time + i], total)
            w[wrong + i] = total
        for i in range(n):
            total = w[inverse + i * n] * w[wrong]
            for j in range(1, n):
                total = times_plus(w[inverse + i * n + j], w[wrong + j], total)
            w[k + i] = total
    for i in range(n):
        w[wrong + i] = w[ks + 7 * n + i]
        w[stage + i] += w[wrong + i]


@noinline
def dense(states, w, z):
    """Fill three rows with what interpolation needs of a step."""
    n = len(states)
    for r in range(3):
        for i in range(n):
            total = w[z + KS * n + i] * RODAS_DENSE[r, 0]
            for s in range(1, STAGES):
                total = times_plus(w[z + KS * n + s * n + i], RODAS_DENSE[r, s], total)
            w[z + ROWS * n + r * n + i] = total
