"""Small dense helpers of the generated fit loops: transforms, and one damped step inside bounds."""

from __future__ import annotations

import math

import numpy as np

from ..compiling.jit import allocating, noinline

NONE = 0
LOG = 1
LOGIT = 2

MAX_STEP = 2.0


@noinline
def to_natural(u: float, transform: int, low: float, high: float) -> float:
    """Return a parameter's value from its value on the estimation scale."""
    if transform == LOG:
        return math.exp(u)
    if transform == LOGIT:
        return low + (high - low) / (1.0 + math.exp(-u))
    return u


@noinline
def to_estimation(x: float, transform: int, low: float, high: float) -> float:
    """Return a parameter's value on the estimation scale."""
    if transform == LOG:
        return math.log(x)
    if transform == LOGIT:
        return math.log((x - low) / (high - x))
    return x


@noinline
def natural_slope(x: float, transform: int, low: float, high: float) -> float:
    """Return d(natural)/d(estimation scale) at the natural value `x`."""
    if transform == LOG:
        return x
    if transform == LOGIT:
        return (x - low) * (high - x) / (high - low)
    return 1.0


@noinline
def solve_positive_definite(a: np.ndarray, b: np.ndarray, n: int) -> bool:
    """Solve a·x = b for the first n rows by Cholesky, in place: `b` becomes x; False when that fails.

    Only the lower triangle of a is read.
    """
    for j in range(n):
        pivot = a[j, j]
        for k in range(j):
            pivot -= a[j, k] * a[j, k]
        if not pivot > 0.0:
            return False
        a[j, j] = math.sqrt(pivot)
        for i in range(j + 1, n):
            value = a[i, j]
            for k in range(j):
                value -= a[i, k] * a[j, k]
            a[i, j] = value / a[j, j]
    for i in range(n):
        value = b[i]
        for k in range(i):
            value -= a[i, k] * b[k]
        b[i] = value / a[i, i]
    for i in range(n - 1, -1, -1):
        value = b[i]
        for k in range(i + 1, n):
            value -= a[k, i] * b[k]
        b[i] = value / a[i, i]
    return True


@allocating
def solve_least_squares(a: np.ndarray, b: np.ndarray, n: int) -> bool:
    """Solve a·x = b in the first n columns for the least squares, in place: `b` begins with x; False when that fails.

    By Householder reflections, with columns scaled to length 1.
    """
    rows = a.shape[0]
    lengths = np.empty(n)
    for j in range(n):
        total = 0.0
        for i in range(rows):
            total += a[i, j] * a[i, j]
        lengths[j] = math.sqrt(total)
        if not 0.0 < lengths[j] < np.inf:
            return False
        for i in range(rows):
            a[i, j] /= lengths[j]
    for j in range(n):
        total = 0.0
        for i in range(j, rows):
            total += a[i, j] * a[i, j]
        norm = math.sqrt(total)
        if not norm > 1e-14:
            return False
        corner = a[j, j] + norm if a[j, j] >= 0.0 else a[j, j] - norm
        diagonal = -norm if a[j, j] >= 0.0 else norm
        square = total - a[j, j] * a[j, j] + corner * corner
        a[j, j] = corner
        for k in range(j + 1, n + 1):
            dot = 0.0
            for i in range(j, rows):
                dot += a[i, j] * (a[i, k] if k < n else b[i])
            dot *= 2.0 / square
            for i in range(j, rows):
                if k < n:
                    a[i, k] -= dot * a[i, j]
                else:
                    b[i] -= dot * a[i, j]
        a[j, j] = diagonal
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(n):
        b[i] /= lengths[i]
    return True


@noinline
def damped_step(
    gradient: np.ndarray,
    information: np.ndarray,
    damping: float,
    u: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    transform: np.ndarray,
    step: np.ndarray,
    matrix: np.ndarray,
    right: np.ndarray,
    index: np.ndarray,
    scaling: np.ndarray,
) -> float:
    """Fill `step` with the Levenberg-Marquardt step inside bounds; return the decrease that it predicts.

    A coordinate at a bound whose gradient points outwards stays there, so a minimum on a bound is found
    exactly. Where low equals high the coordinate is fixed. `matrix`, `right` and `index` are work space;
    `scaling` keeps the units of the damping, which never shrink for a coordinate without a transform (Moré 1978):
    where its information vanishes on the way, it would run away. Steps are shortened to MAX_STEP on a log or logit
    scale; without a transform a step has its natural size.
    """
    size = len(u)
    n = 0
    for k in range(size):
        step[k] = 0.0
        outwards = (u[k] <= low[k] and gradient[k] >= 0.0) or (u[k] >= high[k] and gradient[k] <= 0.0)
        if low[k] < high[k] and not outwards:
            index[n] = k
            n += 1
    if n == 0:
        return 0.0
    largest = 0.0
    for i in range(n):
        if transform[index[i]] != NONE:
            largest = max(largest, information[index[i], index[i]])
    # In units of what the data say of each coordinate: those without a transform may differ by any number of decades.
    for i in range(n):
        k = index[i]
        own = information[k, k]
        # The floor lets a coordinate that the data say nothing of stay where it is.
        own = max(own, 1e-6 * largest) if transform[k] != NONE else max(own, scaling[k])
        scaling[k] = own if own > 0.0 else 1.0
        step[k] = 1.0 / math.sqrt(scaling[k])
    for i in range(n):
        for j in range(i + 1):
            matrix[i, j] = information[index[i], index[j]] * step[index[i]] * step[index[j]]
        matrix[i, i] += damping + 1e-15
        right[i] = -gradient[index[i]] * step[index[i]]
    if not solve_positive_definite(matrix, right, n):
        return -1.0
    for i in range(n):
        right[i] *= step[index[i]]
    longest = 0.0
    for i in range(n):
        if transform[index[i]] != NONE:
            longest = max(longest, abs(right[i]))
    shorten = 1.0 if longest <= MAX_STEP else MAX_STEP / longest
    for i in range(n):
        k = index[i]
        step[k] = min(max(u[k] + shorten * right[i], low[k]), high[k]) - u[k]
    decrease = 0.0
    for i in range(size):
        curved = 0.0
        for j in range(size):
            curved += information[i, j] * step[j]
        decrease -= step[i] * (gradient[i] + 0.5 * curved)
    return decrease
