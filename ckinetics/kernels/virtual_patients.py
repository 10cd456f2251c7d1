"""Simulated patients: their parameters, their samples' residual error, and what the assay says of a level.

Every number depends on the seed, the patient's number and its own place only, so the order of work never matters.
"""

from __future__ import annotations

import math

import numpy as np

from .compiling.jit import inline, jit
from .exponential import exponentials
from .normal_quantile import ROWS, fill_normals, normal_pair
from .ode.solver_codes import MISSING_PARAMETER, NOT_FINITE, OUTSIDE_BOUNDS, SOLVED
from .random import uniforms
from .residual_forms import deviation

LOG, LOGIT, PLAIN = 0, 1, 2
# Where fewer draws than this lie inside the bounds, none is made.
LEAST_CHANCE = 1e-3
_MOST_DRAWS = 100_000  # all of them outside: less likely than 1e-43

# Which of a patient's draws are for what; draws again count on from the first, outputs from theirs.
EFFECTS, DETECTION, RESIDUALS = np.uint64(0), np.uint64(1 << 24), np.uint64(2 << 24)

# Statuses of `ckinetics.schema`; a test compares.
MISSING, NOT_DETECTED, DETECTED_BELOW, BELOW, QUANTIFIED, ABOVE = -1, 0, 1, 2, 3, 4


@inline
def _to_scale(value, transform, low, high):
    """Return a value on the scale on which its random effect is normal."""
    if transform == LOG:
        return math.log(value) if value > 0.0 else -np.inf
    if transform == LOGIT:
        if not value > low:
            return -np.inf
        return math.log((value - low) / (high - value)) if value < high else np.inf
    return value


@inline
def _standard_limits(middle, sd, transform, low, high):
    """Return the two standard normal numbers that lead to the bounds, or two NaN where hardly any lies between."""
    centre = _to_scale(middle, transform, low, high)
    if not abs(centre) < np.inf:
        return np.nan, np.nan
    lower = (_to_scale(low, transform, low, high) - centre) / sd
    upper = (_to_scale(high, transform, low, high) - centre) / sd
    if lower > -1.0 or upper < 1.0:
        # Both on the side where the tail is small, so that the difference keeps its digits.
        a, b = (lower, upper) if lower > 0.0 else (-upper, -lower)
        if 0.5 * (math.erfc(a * math.sqrt(0.5)) - math.erfc(b * math.sqrt(0.5))) < LEAST_CHANCE:
            return np.nan, np.nan
    return lower, upper


@jit
def draw_parameters(first, seed, typical, sd, transform, low, high, theta, codes, redrawn):
    """Fill each patient's parameters, then constants as they are; `first` is the number of the first patient.

    `typical` has one row, or one a patient; without random effects `sd` is 0.
    """
    count, common = len(sd), len(typical) == 1
    size = ROWS * (count + 1)
    z, kept, where, powers = np.zeros(size), np.empty(size), np.empty(size, np.int64), np.empty(ROWS)
    lower, upper = 0.0, 0.0
    for start in range(0, len(theta), ROWS):
        rows = min(ROWS, len(theta) - start)
        fill_normals(first + start, count, EFFECTS, seed, z, kept, where)
        for row in range(start, start + rows):
            codes[row], redrawn[row] = SOLVED, 0.0
            for k in range(typical.shape[1]):
                theta[row, k] = typical[0 if common else row, k]
                if theta[row, k] != theta[row, k]:
                    codes[row] = MISSING_PARAMETER
        for k in range(count):
            if not sd[k] > 0.0:
                continue
            column = z[k * ROWS : (k + 1) * ROWS]
            for r in range(rows):
                row = start + r
                if not common or r == 0:
                    lower, upper = _standard_limits(theta[row, k], sd[k], transform[k], low[k], high[k])
                again = 0
                while not lower <= column[r] <= upper and again < _MOST_DRAWS and lower <= upper:
                    again += 1
                    one, two = normal_pair(np.uint64(first + row), EFFECTS + np.uint64(again), np.uint64(k // 2), seed)
                    column[r] = one if k % 2 == 0 else two
                redrawn[row] += again
                if not lower <= upper:  # a value that is missing keeps its own code
                    codes[row] = OUTSIDE_BOUNDS if theta[row, k] == theta[row, k] else MISSING_PARAMETER
                    theta[row, k] = np.nan
            if transform[k] == PLAIN:
                for r in range(rows):
                    column[r] *= sd[k]
            else:
                exponentials(column, rows, sd[k], powers, powers.view(np.int64))
            for r in range(rows):
                value = theta[start + r, k]
                if value == value:
                    value = _moved(value, column[r], transform[k], low[k], high[k])
                    theta[start + r, k] = min(max(value, low[k]), high[k])


@inline
def _moved(value, effect, transform, low, high):
    """Return a value moved by a random effect: a factor of the value or of its odds, else what is added."""
    if transform == LOG:
        return value * effect
    if transform == LOGIT:
        odds = (value - low) / (high - value) * effect
        return low + (high - low) * odds / (1.0 + odds)
    return value + effect


@jit
def settle(times, values, codes):
    """Empty the curves of patients without an answer; one that is not finite has none. Return what is not above 0."""
    odd = 0
    for row in range(len(values)):
        if codes[row] == SOLVED:
            for i in range(values.shape[1]):
                if times[row, i] >= 0.0 and not abs(values[row, i]) < np.inf:
                    codes[row] = NOT_FINITE
        for i in range(values.shape[1]):
            if codes[row] != SOLVED:
                values[row, i] = np.nan
            if not values[row, i] > 0.0:
                odd += 1
    return odd


@jit
def add_residuals(first, seed, output, sd, true, level):
    """Fill levels whose ln is normal about that of the curve; return how many are not finite and above 0."""
    odd, width = 0, true.shape[1]
    size = ROWS * (width + 1)
    z, kept, where = np.zeros(size), np.empty(size), np.empty(size, np.int64)
    powers = np.empty(size)
    for start in range(0, len(true), ROWS):
        rows = min(ROWS, len(true) - start)
        fill_normals(first + start, width, RESIDUALS + np.uint64(output), seed, z, kept, where)
        exponentials(z, size - ROWS * (width % 2 == 0), sd, powers, powers.view(np.int64))
        for r in range(rows):
            for i in range(width):
                value = true[start + r, i] * z[i * ROWS + r]
                level[start + r, i] = value
                odd += not 0.0 < value < np.inf
    return odd


@jit
def add_natural_residuals(first, seed, output, form, a, b, true, level):
    """Fill levels that are normal about those of the curve; `form`, `a` and `b` as in `fit_objective.deviation`.

    Return how many are not finite and above 0.
    """
    odd, width = 0, true.shape[1]
    size = ROWS * (width + 1)
    z, kept, where = np.zeros(size), np.empty(size), np.empty(size, np.int64)
    for start in range(0, len(true), ROWS):
        rows = min(ROWS, len(true) - start)
        fill_normals(first + start, width, RESIDUALS + np.uint64(output), seed, z, kept, where)
        for r in range(rows):
            for i in range(width):
                curve = true[start + r, i]
                value = curve + deviation(form, a, b, curve)[0] * z[i * ROWS + r]
                level[start + r, i] = value
                odd += not 0.0 < value < np.inf
    return odd


@jit
def judge(first, seed, lloq, uloq, lod, dna, level, status):
    """Fill the status of each level; what is not quantified becomes NaN. Limits that are not given are NaN."""
    for row in range(len(level)):
        stream = np.uint64(first + row)
        for i in range(level.shape[1]):
            value = level[row, i]
            if value < lloq:
                if dna > 0.0:
                    # The hit model: one template is enough, and their number is of Poisson.
                    seen = uniforms(stream, DETECTION, np.uint64(i), seed)[0] < -math.expm1(-max(value, 0.0) * dna)
                    code = DETECTED_BELOW if seen else NOT_DETECTED
                elif lod > 0.0:
                    code = DETECTED_BELOW if value >= lod else NOT_DETECTED
                else:
                    code = BELOW
            elif value > uloq:
                code = ABOVE
            else:
                code = QUANTIFIED if 0.0 < value < np.inf else MISSING
            status[row, i] = code
            if code != QUANTIFIED:
                level[row, i] = np.nan
