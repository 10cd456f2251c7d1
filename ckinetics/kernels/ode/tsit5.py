"""One step of Tsit5 (Tsitouras 2011), an explicit pair of order 5(4), with derivatives by parameters."""

from __future__ import annotations

from ..compiling.jit import call, inline, noinline
from .layout import DERIVATIVES, FP, SLOPES
from .states import columns, jacobian, natural, speeds
from .tableaus import TSIT_A, TSIT_DENSE, TSIT_ERROR, TSIT_TIME

STAGES = 7


@inline
def _speeds(states, free, w, v, phase, t, z, k):
    """Fill k with the speeds of z and of its columns."""
    n = len(states)
    f, jac, d = n, 8 * n, 8 * n + 2 * n * n
    if free is None:
        speeds(states, w, v, phase, t, z, k)
    else:
        natural(states, w, v, z)
        call(v[DERIVATIVES], SLOPES, phase, t, w, f, d, v[FP])
        jacobian(states, w, v, f, k, d, jac)
        columns(states, w, v, z, jac, v[FP], k)


@noinline
def begin(states, free, w, v, phase, t, z, ks):
    """Fill the first stage, and G with the speeds of the states."""
    n = len(states)
    _speeds(states, free, w, v, phase, t, z, ks)
    for i in range(n):
        w[2 * n + i] = w[ks + i]


@inline
def go_on(states, w, size, ks):
    """Fill what `begin` does after a step, whose last stage was taken at its end."""
    for i in range(size):
        w[ks + i] = w[ks + (STAGES - 1) * size + i]
    for i in range(len(states)):
        w[2 * len(states) + i] = w[ks + i]


@inline
def step(states, free, w, v, phase, t, length, z, size, stage, wrong, ks):
    """Fill `stage` with z after a step of this length and `wrong` with the error of its states."""
    for s in range(1, STAGES):
        for i in range(size):
            total = 0.0
            for r in range(s):
                total += TSIT_A[s, r] * w[ks + r * size + i]
            w[stage + i] = w[z + i] + length * total
        _speeds(states, free, w, v, phase, t + TSIT_TIME[s] * length, stage, ks + s * size)
    for i in range(len(states)):
        total = 0.0
        for s in range(STAGES):
            total += TSIT_ERROR[s] * w[ks + s * size + i]
        w[wrong + i] = length * total


@noinline
def interpolate(w, size, z, length, ks, share, out):
    """Fill `out` with z after a share of the step of this length."""
    for i in range(size):
        total = 0.0
        for s in range(STAGES):
            power = TSIT_DENSE[s, 2] + share * TSIT_DENSE[s, 3]
            power = TSIT_DENSE[s, 0] + share * (TSIT_DENSE[s, 1] + share * power)
            total += power * w[ks + s * size + i]
        w[out + i] = w[z + i] + length * share * total
