"""The likelihood of one patient's samples at given parameters, with gradient and information; any model, any outputs.

A curve that must be positive and lies below TINY has underflowed: it has no slope left, and lies far below any limit.

Vectors on the estimation scale, `u`, hold the parameters of the curve, then ln of those of the residual errors. A curve
is an address that `call_curve` calls: it fills ``out`` (output, time) and ``grad`` (output, time, parameter).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..compiling.jit import allocating, call_curve, inline, noinline
from ..residual_forms import CONSTANT, PROPORTIONAL, TINY, counting, deviation
from .likelihood import DETECTED_BELOW, HALF_LOG_2PI, NOT_DETECTED, QUANTIFIED, terms
from .optimise import natural_slope, to_natural

# Rows of `scale`, whose columns are parameters: bounds on the estimation scale (equal where one is held), transform,
# bounds on the natural scale, and mean and 1/variance of a normal prior (0 without one).
LOWER, UPPER, TRANSFORM, LOW, HIGH, MEAN, WEIGHT = 0, 1, 2, 3, 4, 5, 6
# Rows of `errors`, whose columns are outputs: whether on the ln scale, the form, the places of a and b in u (or -1).
ON_LOG, FORM, PLACE_A, PLACE_B = 0, 1, 2, 3
# Columns of `Data.counts`, and tables of `Data.marks` and `Data.values`.
N_TIMES, N_SAMPLES = 0, 1
AT, OUTPUT, KIND = 0, 1, 2
Y, RATE, NOISE = 0, 1, 2


class Data(NamedTuple):
    """What was observed of each patient, in few arrays: each costs seconds of compilation.

    times : (patient, time), ascending and different
    counts : (patient, 2) numbers of times and samples
    marks : (patient, 3, sample) at which of the times, of which output, and the kind as in `terms`
    values : (patient, 3, sample) y (on the scale of the output's error) and rate as in `terms`, and the variance of the
        assay at a prediction of 1
    constants : (patient, constant)
    """

    times: np.ndarray
    counts: np.ndarray
    marks: np.ndarray
    values: np.ndarray
    constants: np.ndarray


class Work(NamedTuple):
    """Arrays that an objective writes in.

    theta : parameters of the curve, then constants
    out, grad : curves (output, time), and their derivatives (output, time, parameter)
    level : curves on the scale of their errors (output, time)
    chain : rows of the chain rule (3, parameter of u), see below
    rows, weighted, sums : of `add_rows`: (sample, block, lane), (sample, parameter + 1), (parameter + 1, block, lane)
    """

    theta: np.ndarray
    out: np.ndarray
    level: np.ndarray
    grad: np.ndarray
    chain: np.ndarray
    rows: np.ndarray
    weighted: np.ndarray
    sums: np.ndarray


# Rows of `Work.chain`: d natural/d u, and derivatives by u of one prediction and of ln of its standard deviation.
SLOPE, BY_F, BY_S = 0, 1, 2
# Of the lowest level: what the constant part of a combined error begins with, in place of the level itself.
SMALL = 0.3
# Numbers that a processor takes at once: derivatives in `Work.rows` and `Work.sums` lie in blocks, the last filled up.
BLOCK = 4


@allocating
def work_space(scale, errors, data, n_curve):
    """Return arrays to write in, for one thread."""
    size, times, outputs = scale.shape[1], data.times.shape[1], errors.shape[1]
    samples, blocks = data.marks.shape[2], (n_curve + BLOCK - 1) // BLOCK
    return Work(
        np.empty(n_curve + data.constants.shape[1]),
        np.empty(max(outputs * times, 1)),
        np.empty(max(outputs * times, 1)),
        np.zeros(max(outputs * times * n_curve, 1)),
        np.empty((3, size)),
        np.zeros((samples, blocks, BLOCK)),
        np.zeros((samples, n_curve + 1)),
        np.zeros((n_curve + 1, blocks, BLOCK)),
    )


@noinline
def predict(curve, more, scale, errors, data, patient, u, work, n_curve):
    """Fill out, level and grad with the curves of a patient; return whether they could be computed."""
    for k in range(n_curve):
        work.theta[k] = to_natural(u[k], scale[TRANSFORM, k], scale[LOW, k], scale[HIGH, k])
    for k in range(data.constants.shape[1]):
        work.theta[n_curve + k] = data.constants[patient, k]
    more[0] = patient
    n = data.counts[patient, N_TIMES]
    for i in range(len(work.out)):  # what a curve does not fill is no number, never that of the last one
        work.out[i] = np.nan
    if call_curve(curve, n, data.times[patient], work.theta, work.out, work.grad, more) != 0:
        return False
    for output in range(errors.shape[1]):
        for i in range(n):
            f = work.out[output * n + i]
            work.level[output * n + i] = math.log(max(f, TINY)) if errors[ON_LOG, output] else f
    return True


@noinline
def settle_errors(scale, errors, data, patient, u, work, n, roughly, lower, upper):
    """Set parameters of residual errors in u to their best values at the curves in `work`.

    That is in closed form where an output has one such parameter, no censored sample, no other error and no prior; with
    `roughly`, also elsewhere on the natural scale, as a start: the size of residuals is that of the data, which no
    model file knows.
    """
    for output in range(errors.shape[1]):
        form, on_log = errors[FORM, output], errors[ON_LOG, output]
        place_a, place_b = errors[PLACE_A, output], errors[PLACE_B, output]
        single = form in (CONSTANT, PROPORTIONAL)
        exact = single and scale[WEIGHT, max(place_a, place_b)] == 0.0
        for i in range(data.counts[patient, N_SAMPLES]):
            if data.marks[patient, OUTPUT, i] == output:
                regular = data.marks[patient, KIND, i] == QUANTIFIED and not data.values[patient, NOISE, i] > 0.0
                exact = exact and regular
        if not (exact or (roughly and not on_log)):
            continue
        count, plain, relative, least = 0, 0.0, 0.0, np.inf
        for i in range(data.counts[patient, N_SAMPLES]):
            regular = data.marks[patient, KIND, i] == QUANTIFIED and not data.values[patient, NOISE, i] > 0.0
            if data.marks[patient, OUTPUT, i] != output or not regular:
                continue
            place = output * n + data.marks[patient, AT, i]
            y = data.values[patient, Y, i]
            off = y - work.level[place]
            count += 1
            plain += off * off
            least = min(least, abs(y)) if y != 0.0 else least
            if place_b >= 0:
                # A start need not be exact, and a curve near 0 would ruin it.
                f = work.out[place]
                relative += (off / (f if exact else max(abs(f), abs(y), TINY))) ** 2
        if count == 0:
            continue
        if not single and relative < np.inf and least < np.inf:
            # A constant part as large as residuals are would leave low levels without weight: they are no guide to it.
            plain = relative * (SMALL * least) ** 2
        for place, total in ((place_a, plain), (place_b, relative)):
            if place >= 0 and lower[place] < upper[place] and total < np.inf:
                size = math.log(math.sqrt(total / count)) if total > 0.0 else lower[place]
                u[place] = min(max(size, lower[place]), upper[place])


@inline
def add_rows(rows, weighted, sums, count, gradient, information):
    """Add to gradient and information the products of the first rows with their weighted selves, and with their slope.

    All rows are written before one is read: a processor waits for what it has only just written.
    """
    n, blocks = sums.shape[0], sums.shape[1]
    for k in range(n):
        for j in range(blocks):
            for lane in range(BLOCK):
                sums[k, j, lane] = 0.0
    for i in range(count):
        for j in range(blocks):
            a, b, c, d = rows[i, j, 0], rows[i, j, 1], rows[i, j, 2], rows[i, j, 3]
            for k in range(n):
                weight = weighted[i, k]
                sums[k, j, 0] += weight * a
                sums[k, j, 1] += weight * b
                sums[k, j, 2] += weight * c
                sums[k, j, 3] += weight * d
    for k in range(n - 1):
        gradient[k] += sums[n - 1, k // BLOCK, k % BLOCK]
        for j in range(k + 1):
            information[k, j] += sums[k, j // BLOCK, j % BLOCK]


@noinline
def objective(
    curve, more, scale, errors, data, patient, u, work, n_curve, settle, lower, upper, gradient, information
):  # fmt: skip
    """Return the negative log-likelihood of one patient at u, prior included; fill its gradient and information.

    With `settle`, residual errors whose best value is known in closed form are set to it in u, inside lower and upper.
    """
    size, n = len(u), data.counts[patient, N_TIMES]
    for k in range(size):
        gradient[k] = 0.0
        for j in range(size):
            information[k, j] = 0.0
    if not predict(curve, more, scale, errors, data, patient, u, work, n_curve):
        return np.inf
    if settle:
        settle_errors(scale, errors, data, patient, u, work, n, False, lower, upper)
    for k in range(n_curve):
        work.chain[SLOPE, k] = natural_slope(work.theta[k], scale[TRANSFORM, k], scale[LOW, k], scale[HIGH, k])
    total, rows, last, form, on_log, place_a, place_b, a, b, precision = 0.0, 0, -1, 0, 0, 0, 0, 0.0, 0.0, 0.0
    for i in range(data.counts[patient, N_SAMPLES]):
        output, kind, y = data.marks[patient, OUTPUT, i], data.marks[patient, KIND, i], data.values[patient, Y, i]
        noise, rate = data.values[patient, NOISE, i], data.values[patient, RATE, i]
        place = output * n + data.marks[patient, AT, i]
        f = work.out[place]
        if output != last:
            last, form, on_log = output, errors[FORM, output], errors[ON_LOG, output]
            place_a, place_b = errors[PLACE_A, output], errors[PLACE_B, output]
            a = math.exp(u[place_a]) if place_a >= 0 else 0.0
            b = math.exp(u[place_b]) if place_b >= 0 else 0.0
            precision = 1.0 / a
        if not abs(f) < np.inf or (on_log and f < 0.0):
            return np.inf
        level, seen, factor = work.level[place], f > TINY or not on_log, 1.0
        if on_log:
            factor = 1.0 / f if seen else 0.0
        if form == CONSTANT and not noise > 0.0:
            # The usual case, and quicker: the standard deviation is a parameter of its own.
            if kind == QUANTIFIED:
                z = (y - level) * precision
                value, by_f, by_s = 0.5 * z * z + u[place_a] + HALF_LOG_2PI, -z * precision, 1.0 - z * z
                ff, fs, ss = precision * precision, 0.0, 2.0
            else:
                value, by_f, by_s, ff, fs, ss = terms(kind, y, level, a, rate)
            for k in range(n_curve):
                moved = work.grad[place * n_curve + k] * work.chain[SLOPE, k] * factor if seen else 0.0
                work.rows[rows, k // BLOCK, k % BLOCK] = moved
                work.weighted[rows, k] = ff * moved
                information[place_a, k] += fs * moved
            work.weighted[rows, n_curve] = by_f
            rows += 1
            total += value
            gradient[place_a] += by_s
            information[place_a, place_a] += ss
            continue
        s, by_a, by_b, slope = deviation(form, a, b, f)
        if noise > 0.0 and seen and kind != NOT_DETECTED and kind != DETECTED_BELOW:
            added, turn = counting(noise, f, on_log)
            own = s * s / (s * s + added)
            slope = own * slope + (1.0 - own) * turn
            by_a, by_b, s = own * by_a, own * by_b, math.sqrt(s * s + added)
        value, by_f, by_s, ff, fs, ss = terms(kind, y, level, s, rate)
        total += value
        for k in range(n_curve):
            moved = work.grad[place * n_curve + k] * work.chain[SLOPE, k] if seen else 0.0
            work.chain[BY_F, k] = moved * factor
            work.chain[BY_S, k] = moved * slope
        for k in range(n_curve, size):
            work.chain[BY_F, k] = 0.0
            work.chain[BY_S, k] = 0.0
        if place_a >= 0:
            work.chain[BY_S, place_a] = by_a
        if place_b >= 0:
            work.chain[BY_S, place_b] = by_b
        for k in range(size):
            gradient[k] += by_f * work.chain[BY_F, k] + by_s * work.chain[BY_S, k]
            along_f = ff * work.chain[BY_F, k] + fs * work.chain[BY_S, k]
            along_s = fs * work.chain[BY_F, k] + ss * work.chain[BY_S, k]
            for j in range(k + 1):
                information[k, j] += along_f * work.chain[BY_F, j] + along_s * work.chain[BY_S, j]
    add_rows(work.rows, work.weighted, work.sums, rows, gradient, information)
    for k in range(size):
        if scale[WEIGHT, k] > 0.0 and scale[LOWER, k] < scale[UPPER, k]:
            off = u[k] - scale[MEAN, k]
            total += 0.5 * scale[WEIGHT, k] * off * off
            gradient[k] += scale[WEIGHT, k] * off
            information[k, k] += scale[WEIGHT, k]
    for k in range(size):
        for j in range(k):
            information[j, k] = information[k, j]
        if not np.isfinite(gradient[k]):
            return np.inf
    return total if np.isfinite(total) else np.inf


@noinline
def start_errors(curve, more, scale, errors, data, patient, u, work, n_curve):
    """Set parameters of residual errors in u to what the residuals at u say; see `settle_errors`."""
    if predict(curve, more, scale, errors, data, patient, u, work, n_curve):
        n = data.counts[patient, N_TIMES]
        settle_errors(scale, errors, data, patient, u, work, n, True, scale[LOWER], scale[UPPER])


@noinline
def residual_rows(scale, errors, data, patient, u, work, n_curve, index, rows, right):
    """Fill residuals and their derivatives by the parameters in `index`, from the curves in `work`; both over the SD.

    Return False where the likelihood is more than a sum of squares of constant weight: a censored sample, a counting
    error, a prior, or an error that depends on the prediction.
    """
    n = data.counts[patient, N_TIMES]
    for k in range(n_curve):
        if scale[WEIGHT, k] > 0.0:
            return False
    for i in range(data.counts[patient, N_SAMPLES]):
        output = data.marks[patient, OUTPUT, i]
        place = output * n + data.marks[patient, AT, i]
        f, on_log = work.out[place], errors[ON_LOG, output]
        regular = data.marks[patient, KIND, i] == QUANTIFIED and data.values[patient, NOISE, i] == 0.0
        if not regular or errors[FORM, output] != CONSTANT or (on_log and not f > TINY):
            return False
        weight = math.exp(-u[errors[PLACE_A, output]])
        level, factor = (math.log(f), weight / f) if on_log else (f, weight)
        right[i] = weight * (data.values[patient, Y, i] - level)
        for j in range(len(index)):
            rows[i, j] = work.grad[place * n_curve + index[j]] * work.chain[SLOPE, index[j]] * factor
    return True
