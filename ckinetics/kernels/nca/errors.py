"""Uncertainty of an analysis that comes from the assay: by the delta method and by a parametric bootstrap.

A level's error is normal in its logarithm: ``se_well`` of its own and ``se_plate`` shared by all samples of a plate.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiling.jit import inline, jit
from ..random import normals, uniforms
from . import codes
from .profiles import analyse
from .samples import gather, scratch

# Columns of an analysis that get standard errors; interval areas follow them. Cmax is the level at the observed Tmax.
ESTIMATES = (codes.CMAX, codes.AUC_LAST, codes.AUC_INF_OBS, codes.LAMBDA_Z, codes.HALF_LIFE)
N_ESTIMATES = len(ESTIMATES)
_STEP = 1e-4
# Rows of a profile's saved samples.
_LEVEL, _LOG, _STATE, _WELL, _PLATE, _SHARED = range(6)


@inline
def save_samples(work, n_at, kept):
    """Save levels, states and errors; return (whether there are quantified levels, all with an error; mean error)."""
    known, count, total = True, 0, 0.0
    for i in range(n_at):
        kept[_LEVEL, i], kept[_LOG, i] = work[codes.AT_LEVEL, i], work[codes.AT_LOG, i]
        kept[_STATE, i], kept[_SHARED, i] = work[codes.AT_STATE, i], work[codes.AT_PLATE, i]
        well, plate = work[codes.AT_SE_WELL, i], work[codes.AT_SE_PLATE, i]
        plate = 0.0 if math.isnan(plate) else plate
        kept[_WELL, i], kept[_PLATE, i] = well, plate
        if work[codes.AT_STATE, i] == codes.QUANTIFIED:
            known = known and not math.isnan(well)
            count += 1
            total += math.sqrt(well * well + plate * plate)
    return known and count > 0, total / count if count > 0 else math.nan


@inline
def restore(work, n_at, kept):
    """Give the samples their levels and states again."""
    for i in range(n_at):
        work[codes.AT_LEVEL, i], work[codes.AT_LOG, i] = kept[_LEVEL, i], kept[_LOG, i]
        work[codes.AT_STATE, i] = kept[_STATE, i]


@inline
def place_of_peak(work, n_at, tmax):
    """Place of the sample at Tmax, -1 where there is none."""
    found = -1
    for i in range(n_at):
        if work[codes.AT_TIME, i] == tmax:
            found = i
    return found


@inline
def take(out, areas, peak_level, estimates):
    """Copy the estimates from an analysis."""
    estimates[0] = peak_level
    for k in range(1, N_ESTIMATES):
        estimates[k] = out[ESTIMATES[k]]
    for k in range(areas.shape[0]):
        estimates[N_ESTIMATES + k] = areas[k, 0]


@inline
def shift(work, i, step, kept):
    """Move one level by a step of its logarithm."""
    work[codes.AT_LOG, i] = kept[_LOG, i] + step
    work[codes.AT_LEVEL, i] = math.exp(kept[_LOG, i] + step)


@inline
def delta_errors(n_at, kept, size, runs, gradient, errors):
    """Standard errors by the delta method; `runs` 2 i and 2 i + 1 are the estimates with sample i moved down and up.

    The samples of the terminal line are held, and BLQ samples too.
    """
    for i in range(n_at):
        for k in range(size):
            gradient[k, i] = 0.0
            if kept[_STATE, i] == codes.QUANTIFIED:
                gradient[k, i] = (runs[k, 2 * i + 1] - runs[k, 2 * i]) / (2.0 * _STEP)
    for k in range(size):
        variance = 0.0
        for i in range(n_at):
            if kept[_STATE, i] != codes.QUANTIFIED:
                continue
            variance += (gradient[k, i] * kept[_WELL, i]) ** 2
            # What a plate shares adds up before it is squared; each plate is summed at its first sample.
            first, shared = True, gradient[k, i] * kept[_PLATE, i]
            for j in range(n_at):
                if j == i or kept[_STATE, j] != codes.QUANTIFIED or kept[_SHARED, i] < 0.0:
                    continue
                if kept[_SHARED, j] == kept[_SHARED, i]:
                    first = first and j > i
                    shared += gradient[k, j] * kept[_PLATE, j]
            if first:
                variance += shared * shared
        errors[k] = math.sqrt(variance)


@inline
def redraw(samples, p, work, n_at, kept, typical, stream, draw, seed):
    """Draw every level anew: a quantified one about itself, a BLQ one from below its limit, then measured.

    The true level of a BLQ sample is uniform between 0 (LOD where the target was seen) and LLOQ (LOD where it was
    not); its measurement has the profile's mean error. Whatever falls below its LLOQ is BLQ.
    """
    for i in range(n_at):
        state = kept[_STATE, i]
        if state == codes.ABOVE:
            continue
        own, spare = normals(stream, draw, 2 * i, seed)
        shared = spare
        if kept[_SHARED, i] >= 0.0:
            shared, _ = normals(stream, draw, (1 << 20) + int(kept[_SHARED, i]), seed)
        lloq = work[codes.AT_LLOQ, i]
        if state == codes.QUANTIFIED:
            log = kept[_LOG, i] + kept[_WELL, i] * own + kept[_PLATE, i] * shared
        else:
            low, high = blq_range(samples, p, int(work[codes.AT_SAMPLE, i]), lloq)
            if math.isnan(high):
                continue
            share, _ = uniforms(stream, draw, 2 * i + 1, seed)
            log = math.log(low + (high - low) * share) + typical * own
        level = math.exp(log)
        if level < lloq:
            work[codes.AT_STATE, i], work[codes.AT_LEVEL, i] = codes.BLQ, math.nan
            work[codes.AT_LOG, i] = math.log(lloq)
        else:
            work[codes.AT_STATE, i], work[codes.AT_LEVEL, i], work[codes.AT_LOG, i] = codes.QUANTIFIED, level, log


@inline
def blq_range(samples, p, i, lloq):
    """Bounds of a BLQ sample's true level, by its status; the upper one is NaN where nothing is known."""
    status = samples.status[p, i]
    row = p if samples.lod.shape[0] > 1 else 0
    lod = samples.lod[row, i if samples.lod.shape[1] > 1 else 0]
    if math.isnan(lod) or not lod < lloq:
        return 0.0, lloq
    if status == 0:
        return 0.0, lod
    return (lod, lloq) if status == 1 else (0.0, lloq)


@inline
def summarise(draws, count, estimate, low_z, high_z, result):
    """Standard deviation and bias-corrected percentile interval (Efron 1981) of sorted draws; NaN go last."""
    mean, square = 0.0, 0.0
    below = 0.0
    for d in range(count):
        mean += draws[d]
        below += 1.0 if draws[d] < estimate else 0.5 if draws[d] == estimate else 0.0
    mean /= count
    for d in range(count):
        square += (draws[d] - mean) ** 2
    result[0] = math.sqrt(square / (count - 1))
    share = min(max(below / count, 0.5 / count), 1.0 - 0.5 / count)
    bias = normal_quantile(share)
    for side in range(2):
        z = 2.0 * bias + (low_z if side == 0 else high_z)
        place = 0.5 * math.erfc(-z / math.sqrt(2.0)) * (count - 1)
        lower = min(int(place), count - 2)
        result[1 + side] = draws[lower] + (place - lower) * (draws[lower + 1] - draws[lower])


@inline
def normal_quantile(p):
    """Quantile of the standard normal distribution, by Newton's method from a first guess."""
    z = 0.0
    for _ in range(60):
        error = 0.5 * math.erfc(-z / math.sqrt(2.0)) - p
        density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        step = error / density
        step /= 1.0 + 0.5 * z * step
        z -= step
        if abs(step) < 1e-14:
            break
    return z


@jit
def uncertainty_all(
    samples, rows, starts, ends, rules, intervals, first, last, estimates, tmax, used, streams, seed, n_draws, quantile,
    delta, why, boot, boot_why,
):  # fmt: skip
    """Standard errors and intervals of the windows from `first` to before `last`.

    `estimates` (window, estimate) are the values of the analysis, `used` its samples of the terminal line. `delta`
    (window, estimate) gets standard errors; `boot` (window, estimate, 3) standard errors and interval ends of
    `n_draws` resampled profiles, with `boot_why`; without draws it is left alone.
    """
    width = samples.time.shape[1]
    size = N_ESTIMATES + intervals.shape[0]
    work, other, kept = scratch(width), scratch(width), np.empty((6, width + 1))
    out, why_row = np.empty(codes.N_PARAMETERS), np.empty(codes.N_PARAMETERS, dtype=np.int8)
    areas, area_why = np.empty((intervals.shape[0], 4)), np.empty(intervals.shape[0], dtype=np.int8)
    used_row, facts, seen = np.empty(width, dtype=np.int8), np.empty(codes.N_FACTS), np.empty(codes.N_SURVEY)
    gradient, one, errors, result = np.empty((size, width + 1)), np.empty(size), np.empty(size), np.empty(3)
    # The estimates of a profile analysed again and again: with one sample moved down or up, or drawn anew.
    runs = np.empty((size, n_draws if n_draws > 0 else 2 * width))
    for w in range(first, last):
        p, length = rows[w], ends[w] - starts[w]
        gathered = gather(samples, p, starts[w], ends[w], True, work)
        n_at = gathered[0]
        known, typical = save_samples(work, n_at, kept)
        reason = codes.COMPUTED if known else codes.NO_STANDARD_ERROR
        peak = place_of_peak(work, n_at, tmax[w])
        n_runs = 0
        if n_draws == 0 and known:
            n_runs = 2 * n_at
            for i in range(n_at):
                if used[w, int(work[codes.AT_SAMPLE, i])] == 1:
                    work[codes.AT_MARK, i] = codes.INCLUDED
        elif known:
            n_runs = n_draws
        for d in range(n_runs):
            if n_draws == 0 and kept[_STATE, d // 2] != codes.QUANTIFIED:
                continue
            restore(work, n_at, kept)
            if n_draws == 0:
                shift(work, d // 2, _STEP if d % 2 == 1 else -_STEP, kept)
            else:
                redraw(samples, p, work, n_at, kept, typical, streams[w], d, seed)
            analyse(
                gathered, length, rules, intervals, work, other, seen, out, why_row, areas, area_why, used_row, facts
            )
            level = math.nan
            if peak >= 0 and (n_draws == 0 or work[codes.AT_STATE, peak] == codes.QUANTIFIED):
                level = work[codes.AT_LEVEL, peak]
            take(out, areas, level, one)
            for k in range(size):
                runs[k, d] = one[k]
        if n_draws == 0 and known:
            delta_errors(n_at, kept, size, runs, gradient, errors)
        for k in range(size):
            there = not math.isnan(estimates[w, k])
            if n_draws == 0:
                why[w, k] = reason
                delta[w, k] = errors[k] if there and known else math.nan
                if there and known and math.isnan(errors[k]):
                    why[w, k] = codes.NO_DECLINE  # so flat that a step of the gradient leaves no line
                continue
            for part in range(3):
                boot[w, k, part] = math.nan
            boot_why[w, k] = reason
            if not (there and known):
                continue
            column = np.sort(runs[k])
            count = 0
            while count < n_draws and not math.isnan(column[count]):
                count += 1
            if 2 * count < n_draws or count < 2:
                boot_why[w, k] = codes.TOO_FEW_DRAWS
                continue
            summarise(column, count, estimates[w, k], -quantile, quantile, result)
            for part in range(3):
                boot[w, k, part] = result[part]
