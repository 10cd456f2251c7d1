"""The random generator against the published test vectors of Philox4x32-10, and its distributions."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_calls import from_python
from scipy.stats import kstest, norm

from ckinetics.kernels import random

normals, philox, uniforms = from_python(random.normals), from_python(random.philox), from_python(random.uniforms)

VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_published_vectors(counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]) -> None:
    words = philox(*(np.uint64(word) for word in (*counter, *key)))
    assert tuple(int(word) for word in words) == expected


def test_distributions() -> None:
    stream = np.uint64(12345678901234567890)
    flat = np.array([uniforms(stream, draw, 0, 1) for draw in range(4000)])
    assert ((flat > 0) & (flat < 1)).all()
    assert kstest(flat.ravel(), "uniform").pvalue > 1e-3
    bell = np.array([normals(stream, draw, 1, 1) for draw in range(4000)])
    assert kstest(bell.ravel(), norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(bell.T)[0, 1]) < 0.06
