"""The one random generator of the kernels: Philox4x32-10, counter-based.

A number depends on its key and counter alone, so that neither the order of work nor the number of threads matters
(Salmon et al. 2011, doi:10.1145/2063384.2063405; checked against the published test vectors).
"""

from __future__ import annotations

import math

import numpy as np

from .compiling.jit import inline

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_MASK, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


@inline
def philox(c0, c1, c2, c3, k0, k1):
    """Return four words of 32 bits (as uint64) for a counter of four and a key of two."""
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _MASK, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


@inline
def uniforms(stream, draw, place, seed):
    """Return two uniform numbers in (0, 1) for a stream (uint64), a draw and a place."""
    a, b, c, d = philox(
        np.uint64(draw) & _MASK,
        np.uint64(place) & _MASK,
        np.uint64(stream) & _MASK,
        np.uint64(stream) >> _SHIFT,
        np.uint64(seed) & _MASK,
        np.uint64(seed) >> _SHIFT,
    )
    high = (a << np.uint64(21)) ^ (b >> np.uint64(11))
    low = (c << np.uint64(21)) ^ (d >> np.uint64(11))
    return (float(high) + 0.5) * 2.0**-53, (float(low) + 0.5) * 2.0**-53


@inline
def normals(stream, draw, place, seed):
    """Return two standard normal numbers (Box and Muller)."""
    u, v = uniforms(stream, draw, place, seed)
    radius = math.sqrt(-2.0 * math.log(u))
    return radius * math.cos(2.0 * math.pi * v), radius * math.sin(2.0 * math.pi * v)
