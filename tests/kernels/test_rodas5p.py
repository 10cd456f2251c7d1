"""The inverse of the implicit solver: with and without rows that change places."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_calls import from_python

from ckinetics.kernels.ode_layout import HEAD
from ckinetics.kernels.rodas5p import _invert
from ckinetics.kernels.tableaus import RODAS_GAMMA

invert = from_python(_invert)


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


def test_a_singular_matrix_is_said_so():
    assert not inverse(np.array([[1.0, 2.0], [2.0, 4.0]]))[0]
    assert not inverse(np.array([[np.nan, 2.0], [2.0, 4.0]]))[0]
