"""Normal numbers by inversion, and exp side by side, against scipy and higher precision."""

from __future__ import annotations

import numpy as np
from kernel_calls import from_python
from scipy.special import ndtri
from scipy.stats import kstest, norm

from ckinetics.kernels import exponential
from ckinetics.kernels import normal_quantile as kernels
from ckinetics.kernels.normal_quantile import ROWS

exponentials = from_python(exponential.exponentials)
fill_normals, normal_pair = from_python(kernels.fill_normals), from_python(kernels.normal_pair)
normal_quantile = from_python(kernels.normal_quantile)


def test_quantiles_are_those_of_scipy() -> None:
    tails = 2.0 ** -np.arange(2, 53.0)
    below = -0.5 + np.concatenate([np.linspace(1e-4, 0.4999, 4001), tails])
    found = np.array([normal_quantile(q) for q in below])
    np.testing.assert_allclose(found, ndtri(0.5 + below), rtol=4e-15)
    np.testing.assert_array_equal([normal_quantile(-q) for q in below], -found)
    assert normal_quantile(0.0) == 0.0


def test_pairs_are_normal_and_independent() -> None:
    seed, stream = np.uint64(1), np.uint64(12345678901234567890)
    pairs = np.array([normal_pair(stream, np.uint64(draw), np.uint64(0), seed) for draw in range(4000)])
    assert kstest(pairs.ravel(), norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.06


def test_numbers_made_side_by_side_are_those_of_the_pairs() -> None:
    width, seed, draw = 5, np.uint64(9), np.uint64(3)
    size = ROWS * (width + 1)
    z = np.zeros(size)
    fill_normals(100, width, draw, seed, z, np.empty(size), np.empty(size, np.int64))
    for row in range(ROWS):
        for place in range(3):
            pair = normal_pair(np.uint64(100 + row), draw, np.uint64(place), seed)
            assert (z[2 * place * ROWS + row], z[(2 * place + 1) * ROWS + row]) == pair


def test_exponentials() -> None:
    x = np.concatenate([np.linspace(-699, 699, 2001), np.linspace(-1, 1, 2001)])
    values, powers = x.copy(), np.empty(len(x))
    exponentials(values, len(x), 1.0, powers, powers.view(np.int64))
    exact = np.exp(x.astype(np.longdouble))
    assert float(np.abs(values / exact - 1).max()) < 5e-16
    odd, powers = np.array([np.nan, 1e9, -1e9, 0.0]), np.empty(4)
    exponentials(odd, 4, 2.0, powers, powers.view(np.int64))
    assert np.isnan(odd[0])
    assert 1e304 < odd[1] < np.inf
    assert 0.0 < odd[2] < 1e-303
    assert odd[3] == 1.0
