"""What is special to cells: peaks and troughs, expansion, contraction, persistence, time above a threshold.

These work on the usable samples of a profile (rows AT_* of the scratch), BLQ ones at their LLOQ, which bounds them.
"""

from __future__ import annotations

import math

from ..compiling.jit import inline
from . import codes
from .areas import is_log, log_ratio


@inline
def errors_at(work, i):
    """Standard errors of ln level from the wells and from the plate; 0 where unknown or for a BLQ sample."""
    if work[codes.AT_STATE, i] == codes.BLQ:
        return 0.0, 0.0
    well, plate = work[codes.AT_SE_WELL, i], work[codes.AT_SE_PLATE, i]
    return 0.0 if math.isnan(well) else well, 0.0 if math.isnan(plate) else plate


@inline
def turn(rules, work, i, j):
    """How far ln level must move between two samples to count: the fold, and so many standard errors."""
    if rules.peak_errors == 0.0:
        return rules.peak_log_fold
    well_a, plate_a = errors_at(work, i)
    well_b, plate_b = errors_at(work, j)
    variance = well_a * well_a + well_b * well_b
    if work[codes.AT_PLATE, i] >= 0.0 and work[codes.AT_PLATE, i] == work[codes.AT_PLATE, j]:
        variance += (plate_a - plate_b) ** 2  # one curve moves both
    else:
        variance += plate_a * plate_a + plate_b * plate_b
    return max(rules.peak_log_fold, rules.peak_errors * math.sqrt(variance))


@inline
def turning_points(rules, work, n):
    """Return the places of the first peak, the trough after it, the second peak (-1 where none), and the first rise.

    A fall and a rise count where both reach `peak_fold` and `peak_errors` standard errors. A BLQ sample is at
    most its LLOQ: it can be a trough, never a peak. Peaks before `peaks_from` are infused cells that have not yet left
    the blood: the first rise is from the dip after them, else from the first sample.
    """
    peak, trough, second, dip, low = -1, -1, -1, 0, -1
    phase, fold = 0, rules.peak_log_fold
    for i in range(n):
        y = work[codes.AT_LOG, i]
        if math.isnan(y):
            continue
        blq = work[codes.AT_STATE, i] == codes.BLQ
        if phase == 0:
            if low >= 0 and y < work[codes.AT_LOG, low]:
                low = i
            if not blq and (peak < 0 or y > work[codes.AT_LOG, peak]):
                peak = i
                dip = max(low, 0)  # the dip lies before the peak
            elif (
                peak >= 0
                and work[codes.AT_LOG, peak] - y >= fold
                and work[codes.AT_LOG, peak] - y >= turn(rules, work, peak, i)
            ):
                if work[codes.AT_TIME, peak] < rules.peaks_from:
                    peak, dip, low = -1 if blq else i, i, i
                else:
                    phase, trough = 1, i
        elif phase == 1:
            if y < work[codes.AT_LOG, trough] or (blq and y == work[codes.AT_LOG, trough]):
                trough = i
            elif (
                not blq
                and y - work[codes.AT_LOG, trough] >= fold
                and y - work[codes.AT_LOG, trough] >= turn(rules, work, trough, i)
            ):
                phase, second = 2, i
        elif not blq and y > work[codes.AT_LOG, second]:
            second = i
        elif work[codes.AT_LOG, second] - y >= fold and work[codes.AT_LOG, second] - y >= turn(rules, work, second, i):
            break
    return peak, trough, second, dip


@inline
def line_through(work, first, last, until):
    """Ordinary line of ln level over the quantified samples `first` to `last`, none after `until`.

    Returns (points, slope, intercept, first time, last time).
    """
    count, mean_t, mean_y, stt, sty = 0, 0.0, 0.0, 0.0, 0.0
    low, high = math.nan, math.nan
    for i in range(first, last + 1):
        t = work[codes.AT_TIME, i]
        if work[codes.AT_STATE, i] != codes.QUANTIFIED or t > until:
            continue
        count += 1
        dt = t - mean_t
        mean_t += dt * work[codes.INVERSE, count]
        mean_y += (work[codes.AT_LOG, i] - mean_y) * work[codes.INVERSE, count]
        stt += dt * (t - mean_t)
        sty += dt * (work[codes.AT_LOG, i] - mean_y)
        low = t if count == 1 else low
        high = t
    slope = sty / stt if count > 1 else math.nan
    return count, slope, mean_y - slope * mean_t, low, high


@inline
def expansion(work, dip, peak, out, why):
    """Rate of expansion and doubling time, from the first quantified sample (or the dip) to the first peak."""
    count, slope, _, low, high = line_through(work, dip, peak, math.inf)
    out[codes.EXPANSION_N_POINTS], out[codes.EXPANSION_LOWER], out[codes.EXPANSION_UPPER] = count, low, high
    if count < 2 and dip == 0:
        reason = codes.TOO_FEW_POINTS
    elif count < 2 or not slope > 0.0:
        reason = codes.NO_RISE
    else:
        out[codes.EXPANSION_RATE], out[codes.DOUBLING_TIME] = slope, math.log(2.0) / slope
        reason = 0
    why[codes.EXPANSION_RATE] = why[codes.DOUBLING_TIME] = reason
    if count == 0:
        why[codes.EXPANSION_LOWER] = why[codes.EXPANSION_UPPER] = reason


@inline
def fold(work, seen, dip, cmax, tmax, out, why):
    """Fold expansion over the first quantified level (or the dip), and over the LLOQ of the BLQ sample before it."""
    first = int(seen[codes.FIRST_AT])
    if dip > 0:
        # After the infused cells have left the blood, from where they expand.
        first = dip
        while work[codes.AT_STATE, first] == codes.BLQ and first < int(seen[codes.LAST_AT]):
            first += 1
        if work[codes.AT_STATE, first] == codes.BLQ or not work[codes.AT_TIME, first] <= tmax:
            # Nothing expands after the infused cells.
            why[codes.FOLD_EXPANSION], why[codes.FOLD_EXPANSION_LOWER] = codes.PEAK_IS_FIRST, codes.NO_BLQ_BEFORE
            return
    if work[codes.AT_STATE, first] == codes.ABOVE or work[codes.AT_TIME, first] >= tmax:
        why[codes.FOLD_EXPANSION] = codes.PEAK_IS_FIRST
    else:
        out[codes.FOLD_EXPANSION] = cmax / work[codes.AT_LEVEL, first]
    if first == 0 or work[codes.AT_STATE, first - 1] != codes.BLQ:
        why[codes.FOLD_EXPANSION_LOWER] = codes.NO_BLQ_BEFORE
        return
    lloq = work[codes.AT_LLOQ, first - 1]
    if lloq > 0.0:
        out[codes.FOLD_EXPANSION_LOWER] = cmax / lloq
    else:
        why[codes.FOLD_EXPANSION_LOWER] = codes.NO_BOUND


@inline
def contraction(rules, work, n, peak, trough, second, out, why):
    """Half-life of the early contraction: from the first peak over a fixed number of days, at most to the trough."""
    last = trough if second >= 0 else n - 1
    first = peak
    for i in range(peak, last + 1):
        if work[codes.AT_STATE, i] == codes.ABOVE:
            first = i + 1
    until = work[codes.AT_TIME, peak] + rules.contraction_days
    count, slope, _, low, high = line_through(work, first, last, until)
    out[codes.CONTRACTION_N_POINTS], out[codes.CONTRACTION_LOWER], out[codes.CONTRACTION_UPPER] = count, low, high
    if count < 2:
        why[codes.CONTRACTION_HALF_LIFE] = codes.TOO_FEW_POINTS
        if count == 0:
            why[codes.CONTRACTION_LOWER] = why[codes.CONTRACTION_UPPER] = codes.TOO_FEW_POINTS
    elif not slope < 0.0:
        why[codes.CONTRACTION_HALF_LIFE] = codes.NO_DECLINE
    else:
        out[codes.CONTRACTION_HALF_LIFE] = -math.log(2.0) / slope


@inline
def second_expansion(work, trough, second, out, why):
    """Level and time of the trough and of the second peak."""
    for column in (codes.TROUGH, codes.TROUGH_TIME, codes.SECOND_PEAK, codes.SECOND_PEAK_TIME):
        why[column] = codes.NO_SECOND_PEAK
    if second < 0:
        return
    why[codes.TROUGH] = why[codes.TROUGH_TIME] = why[codes.SECOND_PEAK] = why[codes.SECOND_PEAK_TIME] = 0
    out[codes.TROUGH_TIME], out[codes.SECOND_PEAK_TIME] = work[codes.AT_TIME, trough], work[codes.AT_TIME, second]
    if work[codes.AT_STATE, trough] == codes.QUANTIFIED:
        out[codes.TROUGH] = work[codes.AT_LEVEL, trough]
    else:
        why[codes.TROUGH] = codes.TROUGH_BLQ if work[codes.AT_STATE, trough] == codes.BLQ else codes.ABOVE_ULOQ
    if work[codes.AT_STATE, second] == codes.QUANTIFIED:
        out[codes.SECOND_PEAK] = work[codes.AT_LEVEL, second]
    else:
        why[codes.SECOND_PEAK] = codes.ABOVE_ULOQ


@inline
def persistence(rules, work, n_at, seen, out, why):
    """Last quantifiable time and the first BLQ sample after it, between which the cells were lost."""
    last, lost = int(seen[codes.LAST_AT]), int(seen[codes.LOST_AT])
    if last < 0:
        # Never quantifiable: lost by the first sample after the infusion.
        lost = 0 if work[codes.AT_TIME, 0] > 0.0 else 1
        if lost == n_at:
            for column in range(codes.PERSISTENCE, codes.TBQL + 1):
                why[column] = codes.NO_LATER_SAMPLE
            return
        why[codes.TBQL] = codes.ALL_BLQ
    lower = work[codes.AT_TIME, last] if last >= 0 else 0.0
    upper = work[codes.AT_TIME, lost] if lost >= 0 else math.inf
    out[codes.PERSISTENCE_LOWER], out[codes.PERSISTENCE_UPPER], out[codes.PERSISTENCE] = lower, upper, lower
    if lost < 0:
        why[codes.TBQL] = codes.STILL_QUANTIFIED
        return
    if rules.persistence == codes.PERSISTENCE_MIDPOINT:
        out[codes.PERSISTENCE] = (lower + upper) / 2.0
    elif rules.persistence == codes.PERSISTENCE_FIRST_BLQ:
        out[codes.PERSISTENCE] = upper
    if last >= 0:
        out[codes.TBQL] = upper


@inline
def rises_to(work, i):
    """Whether a sample lies above the one before; one above an unknown ULOQ counts as above any with a number."""
    if work[codes.AT_STATE, i] == codes.BLQ:
        return False
    if work[codes.AT_STATE, i - 1] == codes.BLQ:
        return True
    if work[codes.AT_STATE, i] == codes.ABOVE and math.isnan(work[codes.AT_LEVEL, i]):
        return not (work[codes.AT_STATE, i - 1] == codes.ABOVE and math.isnan(work[codes.AT_LEVEL, i - 1]))
    return work[codes.AT_LEVEL, i] > work[codes.AT_LEVEL, i - 1]


@inline
def first_rise(work, n_at, gap, anchored, anchor_level, seen, out, why):
    """Times of the first level and of the sample before the first rise, BLQ as zero.

    `gap` is the time of the first sample without a level: a rise after it may have begun before it.
    """
    first = int(seen[codes.FIRST_AT])
    out[codes.TFIRST] = work[codes.AT_TIME, first]
    why[codes.TLAG] = codes.NO_RISE
    upper = first
    above_anchor = anchored and not work[codes.AT_LEVEL, 0] <= anchor_level  # above an unknown ULOQ it is NaN
    if first == 0 and not above_anchor:
        upper = 1
        while upper < n_at and not rises_to(work, upper):
            upper += 1
        if upper == n_at:
            return
    if gap < work[codes.AT_TIME, upper]:
        why[codes.TLAG] = codes.MISSING_BEFORE
    else:
        out[codes.TLAG] = work[codes.AT_TIME, upper - 1] if upper > 0 else 0.0
        why[codes.TLAG] = codes.COMPUTED


@inline
def crossing(method, work, i, after_tmax, level):
    """Time in a segment at which the level is crossed, by the rule of the segment."""
    t1, c1, c2 = work[codes.T, i], work[codes.C, i], work[codes.C, i + 1]
    width = work[codes.T, i + 1] - t1
    if is_log(method, c1, c2, after_tmax):
        return t1 + width * (math.log(level) - work[codes.Y, i]) / log_ratio(work, i)
    return t1 + width * (level - c1) / (c2 - c1)


@inline
def above_threshold(rules, work, n, top, n_above, out, why):
    """Time at which the threshold is reached and time spent above it; return whether it ends above."""
    level = rules.threshold
    reason = codes.COMPUTED
    if math.isnan(level):
        reason = codes.NO_THRESHOLD
    elif n_above > 0:
        reason = codes.ABOVE_ULOQ
    elif n == 0:
        reason = codes.NO_SAMPLE
    elif work[codes.T, 0] > 0.0 and work[codes.C, 0] >= level:
        reason = codes.STARTS_LATE
    if reason != codes.COMPUTED:
        why[codes.THRESHOLD_TIME] = why[codes.THRESHOLD_DURATION] = reason
        return False
    reached, total = math.inf, 0.0
    if work[codes.C, 0] >= level:
        reached = work[codes.T, 0]
    for i in range(n - 1):
        if work[codes.C, i] >= level and work[codes.C, i + 1] >= level:
            total += work[codes.T, i + 1] - work[codes.T, i]
        elif work[codes.C, i] >= level or work[codes.C, i + 1] >= level:
            at = crossing(rules.method, work, i, top >= 0 and i >= top, level)
            total += at - work[codes.T, i] if work[codes.C, i] >= level else work[codes.T, i + 1] - at
            if work[codes.C, i + 1] >= level:
                reached = min(reached, at)
    out[codes.THRESHOLD_DURATION] = total
    if reached < math.inf:
        out[codes.THRESHOLD_TIME] = reached
    else:
        why[codes.THRESHOLD_TIME] = codes.NEVER_REACHED
    return work[codes.C, n - 1] >= level
