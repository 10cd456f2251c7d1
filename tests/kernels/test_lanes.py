"""Numbers of several patients at once against numpy, lane by lane, odd numbers included."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from ckinetics.kernels.compiling.jit import jit
from ckinetics.kernels.ode.lanes import (
    LANES,
    absolute,
    any_of,
    choose,
    exponential,
    lanes_at,
    logarithm,
    square_root,
    times_plus,
)

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="there are no lanes without compilation")
RESULTS = 12


@jit
def results(x, y, out, count):
    a, b, c = lanes_at(x), lanes_at(y), lanes_at(out)
    some = 0
    for i in range(count):
        c[i] = exponential(a[i])
        c[count + i] = logarithm(a[i])
        c[2 * count + i] = a[i] + 2.0 * b[i] - 3
        c[3 * count + i] = -a[i] / b[i]
        c[4 * count + i] = choose(a[i] > b[i], a[i], b[i])
        c[5 * count + i] = absolute(a[i]) ** 3 + 1 / a[i] ** 2
        c[6 * count + i] = absolute(a[i]) ** 2.5
        c[7 * count + i] = square_root(absolute(a[i]))
        c[8 * count + i] = times_plus(a[i], b[i], 1.0)
        c[9 * count + i] = (a[i] <= b[i]) + 2 * (a[i] != a[i]) + 4 * (a[i] == b[i])
        c[10 * count + i] = a[i] ** -1
        c[11 * count + i] = 2.0 ** (b[i] / 100)
        some += any_of(a[i] > 690.0)
    return some


def aligned(count: int) -> np.ndarray:
    numbers = np.zeros((count + 1) * LANES)
    first = -(numbers.ctypes.data // 8) % LANES
    return numbers[first : first + count * LANES]


def run(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, int]:
    count = -(-len(x) // LANES)
    a, b, out = aligned(count), aligned(count), aligned(RESULTS * count)
    a[: len(x)], b[: len(x)] = x, y
    some = results(a.ctypes.data, b.ctypes.data, out.ctypes.data, count)
    return out.reshape(RESULTS, -1)[:, : len(x)], some


def test_against_numpy():
    generator = np.random.default_rng(3)
    x = np.concatenate([generator.uniform(-700, 700, 4000), generator.normal(0, 1, 4000), [1.0, 710.0, -709.0]])
    y = generator.uniform(-300, 300, len(x))
    found, some = run(x, y)
    blocks = np.pad(x, (0, -len(x) % LANES)).reshape(-1, LANES)
    assert some == (blocks > 690).any(axis=1).sum() > 0
    with np.errstate(all="ignore"):
        expected = [
            np.exp(x), np.log(x), x + 2 * y - 3, -x / y, np.maximum(x, y), np.abs(x) ** 3 + 1 / x**2, np.abs(x) ** 2.5,
            np.sqrt(np.abs(x)), x * y + 1, 1.0 * (x <= y) + 4 * (x == y), 1 / x, 2 ** (y / 100),
        ]  # fmt: skip
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        tolerance = {0: 5e-16, 6: 2e-14, 11: 2e-15}.get(row, 1e-15)
        if row == 0:
            other = np.where(x < -708, 0.0, np.minimum(other, np.exp(709.0)))
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=2e-16 if row in (1, 8) else 0, err_msg=str(row))


def test_odd_numbers():
    x = np.array([0.0, -1.0, np.inf, -np.inf, np.nan, 1e-310, -1e300])
    found, _ = run(x, np.ones(len(x)))
    np.testing.assert_array_equal(found[0], [1.0, np.exp(-1.0), np.exp(709.0), 0.0, np.nan, 1.0, 0.0])
    np.testing.assert_array_equal(found[1], [-np.inf, np.nan, np.inf, np.nan, np.nan, -np.inf, np.nan])
    np.testing.assert_array_equal(found[6][[0, 2, 4]], [0.0, np.exp(709.0), np.nan])
    np.testing.assert_array_equal(found[9], [1.0, 1.0, 0.0, 1.0, 2.0, 1.0, 1.0])


def test_logarithms_of_all_sizes():
    x = np.exp(np.random.default_rng(1).uniform(-700, 700, 10_000))
    np.testing.assert_allclose(run(x, x)[0][1], np.log(x), rtol=5e-16)
    near = 1.0 + np.random.default_rng(2).normal(0, 1e-3, 10_000)
    np.testing.assert_allclose(run(near, near)[0][1], np.log(near), rtol=5e-16)


def test_neighbours_change_no_digit():
    generator = np.random.default_rng(5)
    x, y = generator.normal(0, 20, 400), generator.normal(0, 20, 400)
    order = generator.permutation(400)
    found, moved = run(x, y)[0], run(x[order], y[order])[0]
    np.testing.assert_array_equal(found[:, order], moved)
