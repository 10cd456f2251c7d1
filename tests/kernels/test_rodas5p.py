"""The inverse of the implicit solver: with and without rows that change places."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from kernel_calls import from_python

from ckinetics.kernels.compiling.jit import floats_at, jit
from ckinetics.kernels.ode import rodas5p_lanes
from ckinetics.kernels.ode.lanes import LANES, lanes_at
from ckinetics.kernels.ode.layout import HEAD
from ckinetics.kernels.ode.rodas5p import _invert
from ckinetics.kernels.ode.tableaus import RODAS_GAMMA

invert = from_python(_invert)
_invert_all = rodas5p_lanes._invert


def inverse(matrix: np.ndarray) -> tuple[bool, np.ndarray]:
    """Return what `_invert` makes of a matrix."""
    n = len(matrix)
    w, v = np.zeros(20 * n * n + 20 * n), np.zeros(HEAD + 4 * n, np.int64)
    w[8 * n : 8 * n + n * n] = (np.eye(n) / RODAS_GAMMA - matrix).ravel()
    regular = invert((0,) * n, w, v, 1.0)
    return regular, w[8 * n + n * n : 8 * n + 2 * n * n].reshape(n, n)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_inverse(n):
    generator = np.random.default_rng(n)
    for _ in range(20):
        matrix = generator.normal(size=(n, n)) * np.exp(generator.normal(0, 2, (n, 1)))
        regular, found = inverse(matrix)
        assert regular
        assert found == pytest.approx(np.linalg.inv(matrix), rel=1e-8, abs=1e-9 * np.abs(np.linalg.inv(matrix)).max())


def test_a_pivot_of_zero_changes_rows():
    matrix = np.array([[0.0, 2.0, 1.0], [1.0, 1e-9, 4.0], [3.0, 5.0, 1e-12]])
    regular, found = inverse(matrix)
    assert regular
    assert found == pytest.approx(np.linalg.inv(matrix), rel=1e-6, abs=1e-9)


def test_rows_keep_their_places_where_one_is_large_as_a_whole():
    # What is nearly 0 acts on the logarithm of another state: nothing of that comes back into its own row.
    regular, found = inverse(np.array([[-30.0, 0.0], [1e57, -1.0]]))
    assert regular
    assert found[0].tolist() == [pytest.approx(-1.0 / 30.0), 0.0]


def test_a_singular_matrix_is_said_so():
    assert not inverse(np.array([[1.0, 2.0], [2.0, 4.0]]))[0]
    assert not inverse(np.array([[np.nan, 2.0], [2.0, 4.0]]))[0]


@jit
def invert_all(states, where, order, single):
    _invert_all(states, lanes_at(where), floats_at(where), order, single)


def inverses(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what `_invert` for patients side by side makes of a matrix for each lane."""
    n = matrices.shape[1]
    single = 8 * n + 2 * n * n
    numbers = np.zeros((single + 8 + 1) * LANES)
    w = numbers[-(numbers.ctypes.data // 8) % LANES :][: (single + 8) * LANES].reshape(-1, LANES)
    w[8 * n : 8 * n + n * n] = (np.eye(n) / RODAS_GAMMA - matrices).reshape(LANES, -1).T
    w[single + rodas5p_lanes.LENGTH] = 1.0
    invert_all((0,) * n, w.ctypes.data, np.zeros(n * LANES, np.int64), single)
    found = w[8 * n + n * n : 8 * n + 2 * n * n].T.reshape(LANES, n, n)
    return w[single + rodas5p_lanes.FAILED] == 0.0, found


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="there are no lanes without compilation")
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_inverses_side_by_side(n):
    generator = np.random.default_rng(n)
    for _ in range(20):
        matrices = generator.normal(size=(LANES, n, n)) * np.exp(generator.normal(0, 2, (LANES, n, 1)))
        changed = np.zeros(LANES, bool)
        if n > 1:  # rows of some lanes must change places, and of one the matrix is singular
            changed[generator.integers(LANES, size=3)] = True
            matrices[changed, 0, 0] = generator.choice([0.0, 1e-9], changed.sum())
            matrices[0, 1] = matrices[0, 0] = 1.0
        regular, found = inverses(matrices)
        np.testing.assert_array_equal(regular, [n == 1, *[True] * (LANES - 1)])
        for lane in range(n > 1, LANES):
            expected = np.linalg.inv(matrices[lane])
            assert found[lane] == pytest.approx(expected, rel=1e-8, abs=1e-9 * np.abs(expected).max())
            again = inverses(np.tile(matrices[lane], (LANES, 1, 1)))[1]
            np.testing.assert_array_equal(again, np.tile(found[lane], (LANES, 1, 1)))
