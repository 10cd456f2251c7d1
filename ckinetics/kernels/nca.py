"""Noncompartmental kernels: one profile at a time, a loop over profiles outside.

A sample's state says what may be done with it: `UNUSABLE` (missing, invalid, excluded), `BLQ`,
`QUANTIFIED`, `ABOVE` (above ULOQ). A profile is first *cleaned*: unusable samples go, BLQ samples become
numbers or go, by the rule for their position. Everything after that sees times and numbers only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .jit import jit

UNUSABLE, BLQ, QUANTIFIED, ABOVE = 0, 1, 2, 3

# What happens to a BLQ sample, by position.
ACTION_ZERO, ACTION_DROP, ACTION_FIRST_ZERO, ACTION_VALUE = 0, 1, 2, 3
# The positions: before, between and after the quantified samples, or before and from Tmax on.
AXIS_MEASURED, AXIS_TMAX = 0, 1

LINEAR, LINEAR_UP_LOG_DOWN, LINEAR_LOG, LOG_UP_LOG_DOWN = 0, 1, 2, 3
# Beyond the last quantified sample: the interval's own lambda_z, or the profile's and never over a BLQ.
TAIL_OWN, TAIL_PROFILE = 0, 1

# Whether a profile without a sample at or before time 0 gets a level of zero there.
ANCHOR_NONE, ANCHOR_ZERO, ANCHOR_REFUSED = 0, 1, 2

# Columns of the table of results.
(
    CMAX,
    TMAX,
    TLAST,
    CLAST_OBS,
    CLAST_PRED,
    AUC_LAST,
    AUC_ALL,
    AUC_INF_OBS,
    AUC_INF_PRED,
    AUC_PCT_EXTRAP_OBS,
    AUC_PCT_EXTRAP_PRED,
    LAMBDA_Z,
    LAMBDA_Z_INTERCEPT,
    LAMBDA_Z_N_POINTS,
    LAMBDA_Z_LOWER,
    LAMBDA_Z_UPPER,
    R_SQUARED,
    ADJ_R_SQUARED,
    SPAN_RATIO,
    HALF_LIFE,
    CMAX_LOWER,
    CMAX_UPPER,
    AUC_PCT_ANCHOR,
) = range(23)
N_PARAMETERS = 23

# Reasons why a value is missing; 0 where there is one.
(
    COMPUTED,
    NO_SAMPLE,
    ALL_BLQ,
    ONE_SAMPLE,
    STARTS_LATE,
    ABOVE_ULOQ,
    TOO_FEW_POINTS,
    NO_DECLINE,
    NO_TERMINAL_PHASE,
    PREDOSE_POSITIVE,
    NO_BOUND,
) = range(11)


class Rules(NamedTuple):
    """The rules of an analysis, as the kernels take them.

    `actions` and `values` hold what happens to a BLQ sample by position; `imputed_counts` lets a positive value
    put in for a BLQ sample enter lambda_z.
    """

    method: int
    axis: int
    actions: np.ndarray
    values: np.ndarray
    all_blq_zero: bool
    imputed_counts: bool
    tail: int
    minimum: int
    tolerance: float


@jit
def segment_is_log(method, c1, c2, after_tmax):
    """Whether the log rule holds between two samples; ties and zeros are linear."""
    if method == LINEAR or c1 <= 0.0 or c2 <= 0.0 or c1 == c2:
        return False
    if method == LINEAR_UP_LOG_DOWN:
        return c2 < c1
    if method == LINEAR_LOG:
        return after_tmax
    return True


@jit
def segment_area(method, t1, c1, t2, c2, after_tmax):
    """Area between two samples."""
    dt = t2 - t1
    if segment_is_log(method, c1, c2, after_tmax):
        change = c2 - c1
        relative = change / c1
        # ln(c2/c1) loses digits for nearly equal levels; log1p keeps them.
        if abs(relative) < 1e-3:
            return dt * change / math.log1p(relative)
        return dt * change / math.log(c2 / c1)
    return dt * (c1 + c2) / 2.0


@jit
def segment_value(method, t1, c1, t2, c2, after_tmax, t):
    """Level between two samples, by the rule of their segment."""
    share = (t - t1) / (t2 - t1)
    if segment_is_log(method, c1, c2, after_tmax):
        return math.exp(math.log(c1) + share * (math.log(c2) - math.log(c1)))
    return c1 + share * (c2 - c1)


@jit
def clean(time, level, state, lloq, start, end, rules, anchor, t, c, source):
    """Copy the usable samples of [start, end] to `t` and `c`, BLQ by rule; return how many.

    `source` gets each copied sample's position, -1 for an anchor at time zero.
    """
    first, last, peak, tmax = math.inf, -math.inf, -math.inf, math.inf
    for i in range(time.size):
        if time[i] < start or time[i] > end or state[i] != QUANTIFIED:
            continue
        if time[i] < first:
            first = time[i]
        last = time[i]
        if level[i] > peak:
            peak, tmax = level[i], time[i]
    n = 0
    trailing = 0
    for i in range(time.size):
        if math.isnan(time[i]) or time[i] < start or time[i] > end or state[i] == UNUSABLE:
            continue
        if state[i] == ABOVE:
            continue
        value = level[i]
        if state[i] == BLQ:
            if rules.axis == AXIS_TMAX:
                position = 0 if time[i] < tmax else 2
            elif time[i] <= first:
                position = 0
            elif time[i] < last:
                position = 1
            else:
                position = 2
                trailing += 1
            action = rules.actions[position]
            if action == ACTION_DROP or (action == ACTION_FIRST_ZERO and trailing > 1):
                continue
            if action == ACTION_VALUE:
                # A negative number stands for a fraction of the sample's own LLOQ.
                put = rules.values[position]
                value = put if put >= 0.0 else -put * lloq[i]
            else:
                value = 0.0
        if n == 0 and anchor and time[i] > 0.0 and start <= 0.0:
            t[0], c[0], source[0] = 0.0, 0.0, -1
            n = 1
        t[n], c[n], source[n] = time[i], value, i
        n += 1
    return n


@jit
def find_extremes(t, c, n):
    """Return the positions of the first maximum and of the last positive level, -1 where none."""
    top, last = -1, -1
    for i in range(n):
        if c[i] > 0.0:
            last = i
            if top < 0 or c[i] > c[top]:
                top = i
    return top, last


@jit
def area(method, t, c, top, first, last):
    """Area from sample `first` to sample `last`."""
    total = 0.0
    for i in range(first, last):
        total += segment_area(method, t[i], c[i], t[i + 1], c[i + 1], top >= 0 and i >= top)
    return total


@jit
def terminal_slope(rules, t, c, n, top, own, chosen):
    """Fit lambda_z by the best adjusted R²; return (reason, first window position).

    Windows are the last k points after Tmax with a positive, measured level. The largest adjusted R² is
    taken over all windows, also those that rise; of the falling windows within `tolerance` of it the
    longest is chosen. `chosen` receives slope, intercept, n, r², adjusted r². `own` marks measured points.
    """
    points = 0
    for i in range(top + 1, n):
        if c[i] > 0.0 and own[i]:
            points += 1
    if top < 0 or points < rules.minimum:
        return TOO_FEW_POINTS, -1
    best_any = -math.inf
    # Two passes over the windows, from short to long: the maximum first, then the choice.
    first = -1
    for choosing in range(2):
        count = 0
        mean_t, mean_y, stt, sty, syy = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(n - 1, top, -1):
            if c[i] <= 0.0 or not own[i]:
                continue
            y = math.log(c[i])
            count += 1
            dt, dy = t[i] - mean_t, y - mean_y
            mean_t += dt / count
            mean_y += dy / count
            stt += dt * (t[i] - mean_t)
            sty += dt * (y - mean_y)
            syy += dy * (y - mean_y)
            if count < max(rules.minimum, 2):
                continue
            r2 = sty * sty / (stt * syy) if syy > 0.0 else 0.0
            adjusted = 1.0 - (1.0 - r2) * (count - 1) / (count - 2) if count > 2 else math.nan
            if choosing == 0:
                if adjusted > best_any:
                    best_any = adjusted
            elif sty < 0.0 and adjusted > best_any - rules.tolerance:
                first = i
                slope = sty / stt
                chosen[0], chosen[1] = -slope, mean_y - slope * mean_t
                chosen[2], chosen[3], chosen[4] = count, r2, adjusted
    return (COMPUTED, first) if first >= 0 else (NO_DECLINE, -1)


@jit
def between(method, t, c, n, top, start, end):
    """Area from `start` to `end` inside the cleaned samples, interpolating by the method."""
    total = 0.0
    for i in range(n - 1):
        low, high = max(t[i], start), min(t[i + 1], end)
        if high <= low:
            continue
        after = top >= 0 and i >= top
        c_low = c[i] if low == t[i] else segment_value(method, t[i], c[i], t[i + 1], c[i + 1], after, low)
        c_high = c[i + 1] if high == t[i + 1] else segment_value(method, t[i], c[i], t[i + 1], c[i + 1], after, high)
        total += segment_area(method, low, c_low, high, c_high, after)
    return total


@jit
def interval_area(rules, t, c, n, top, last, lambda_z, slope_reason, start, end):
    """Area over one interval of a cleaned profile; return (value, reason).

    Up to the last positive sample the method interpolates. Beyond it, `TAIL_OWN` extrapolates with the lambda_z
    given (of the interval's own data), `TAIL_PROFILE` goes straight to a BLQ sample that follows (zero
    after it) and extrapolates only where no later sample exists. To infinity both extrapolate from tlast.
    """
    if n == 0:
        return math.nan, NO_SAMPLE
    lead = 0.0
    if t[0] > start:
        if rules.tail == TAIL_PROFILE:
            return math.nan, STARTS_LATE
        # PKNCA's interval AUC takes the level before the first sample as zero at the start.
        stop = min(end, t[0])
        rise = c[0] / (t[0] - start)
        lead = rise * (stop - start) ** 2 / 2.0
        if end <= t[0]:
            return lead, COMPUTED
    if last < 0:
        return 0.0, COMPUTED
    t_last, c_last = t[last], c[last]
    total = lead + between(rules.method, t, c, last + 1, top, start, min(end, t_last))
    if end <= t_last:
        return total, COMPUTED
    begin = max(start, t_last)
    to_zero = rules.tail == TAIL_PROFILE and last + 1 < n and not math.isinf(end)
    if rules.tail == TAIL_OWN:
        # PKNCA takes the level at the end of the interval as observed where a (BLQ) sample lies there.
        for i in range(last + 1, n):
            to_zero = to_zero or t[i] == end
    if to_zero:
        stop = min(end, t[last + 1])
        if stop > begin:
            rate = c_last / (t[last + 1] - t_last)
            total += (stop - begin) * (2.0 * c_last - rate * (begin - t_last + stop - t_last)) / 2.0
        return total, COMPUTED
    if math.isnan(lambda_z):
        return math.nan, (slope_reason if rules.tail == TAIL_OWN or math.isinf(end) else NO_TERMINAL_PHASE)
    ahead = math.exp(-lambda_z * (begin - t_last)) if begin > t_last else 1.0
    width = end - begin
    total += c_last * ahead * (1.0 if math.isinf(width) else -math.expm1(-lambda_z * width)) / lambda_z
    return total, COMPUTED


@jit
def analyse(
    time, level, state, lloq, uloq, anchor, rules, intervals, out, why, out_intervals, why_intervals, used, work
):
    """Compute all parameters of one profile.

    `out`, `why` have one place a parameter, `out_intervals`, `why_intervals` one an interval, `used` one a
    sample (1 where it entered lambda_z). `work` is scratch of shape (3, samples + 1).
    """
    t, c = work[0], work[1]
    source = work[2].view(np.int64)
    own = np.empty(t.size, dtype=np.bool_)
    chosen = np.empty(5)
    out[:] = math.nan
    why[:] = COMPUTED
    used[:] = 0
    n = clean(time, level, state, lloq, 0.0, math.inf, rules, anchor == ANCHOR_ZERO, t, c, source)

    n_blq, n_above = 0, 0
    above_first, above_last, top_limit, low_limit = math.nan, math.nan, math.nan, math.nan
    for i in range(time.size):
        if math.isnan(time[i]) or time[i] < 0.0:
            continue
        if state[i] == ABOVE:
            if n_above == 0:
                above_first = time[i]
            above_last = time[i]
            n_above += 1
            if not math.isnan(uloq[i]) and not uloq[i] <= top_limit:
                top_limit = uloq[i]
        elif state[i] == BLQ:
            # The largest limit bounds all samples; one that is unknown leaves no bound.
            if n_blq == 0 or math.isnan(lloq[i]) or lloq[i] > low_limit:
                low_limit = lloq[i]
            n_blq += 1
    for i in range(n):
        own[i] = source[i] >= 0 and (state[source[i]] == QUANTIFIED or rules.imputed_counts)
    top, last = find_extremes(t, c, n)

    if n == 0 and n_above == 0 and n_blq == 0:
        why[:] = NO_SAMPLE
        out_intervals[:] = math.nan
        why_intervals[:] = NO_SAMPLE
        return
    if last < 0 and n_above == 0:
        why[:] = ALL_BLQ
        if rules.all_blq_zero:
            out[CMAX] = out[CLAST_OBS] = 0.0
            why[CMAX] = why[CLAST_OBS] = COMPUTED
        out[CMAX_LOWER], out[CMAX_UPPER] = 0.0, low_limit
        why[CMAX_LOWER] = COMPUTED
        why[CMAX_UPPER] = NO_BOUND if math.isnan(low_limit) else COMPUTED
        for index in (AUC_LAST, AUC_ALL, AUC_INF_OBS, AUC_INF_PRED):
            if rules.all_blq_zero and n > 0 and t[0] <= 0.0:
                out[index], why[index] = 0.0, COMPUTED
        for k in range(intervals.shape[0]):
            if rules.all_blq_zero and n > 0:
                out_intervals[k], why_intervals[k] = 0.0, COMPUTED
                if t[0] > intervals[k, 0]:
                    out_intervals[k], why_intervals[k] = math.nan, STARTS_LATE
            else:
                out_intervals[k], why_intervals[k] = math.nan, ALL_BLQ
        return

    # The terminal phase: after Tmax, and after the last sample above ULOQ.
    from_position = top
    if n_above > 0:
        for i in range(n):
            if t[i] <= above_last and i > from_position:
                from_position = i
        if from_position < 0:
            from_position = 0
    # Tlast is the last measured level, also where an imputed one follows it.
    measured = -1
    for i in range(n):
        if c[i] > 0.0 and source[i] >= 0 and state[source[i]] == QUANTIFIED:
            measured = i
    slope_why, first = terminal_slope(rules, t, c, n, from_position, own, chosen)
    lambda_z = math.nan
    if slope_why == COMPUTED:
        lambda_z = chosen[0]
        out[LAMBDA_Z], out[LAMBDA_Z_INTERCEPT] = lambda_z, chosen[1]
        out[LAMBDA_Z_N_POINTS], out[R_SQUARED], out[ADJ_R_SQUARED] = chosen[2], chosen[3], chosen[4]
        out[HALF_LIFE] = math.log(2.0) / lambda_z
        upper = first
        for i in range(first, n):
            if c[i] > 0.0 and own[i]:
                used[source[i]] = 1
                upper = i
        out[LAMBDA_Z_LOWER], out[LAMBDA_Z_UPPER] = t[first], t[upper]
        out[SPAN_RATIO] = (t[upper] - t[first]) / out[HALF_LIFE]
        if measured >= 0:
            out[CLAST_PRED] = math.exp(chosen[1] - lambda_z * t[measured])
    else:
        for index in range(LAMBDA_Z, HALF_LIFE + 1):
            why[index] = slope_why
        for index in (CLAST_PRED, AUC_INF_OBS, AUC_INF_PRED, AUC_PCT_EXTRAP_OBS, AUC_PCT_EXTRAP_PRED):
            why[index] = slope_why
    if measured >= 0:
        out[TLAST], out[CLAST_OBS] = t[measured], c[measured]
    else:
        why[TLAST] = why[CLAST_OBS] = ABOVE_ULOQ
    if n_above > 0:
        # The maximum, and every area under it, is known only as a lower bound.
        out[CMAX_LOWER] = top_limit
        if top >= 0 and not c[top] <= top_limit:
            out[CMAX_LOWER] = c[top]
        if math.isnan(out[CMAX_LOWER]):
            why[CMAX_LOWER] = NO_BOUND
        # Which of several samples above ULOQ was the largest, or whether one with a low ULOQ was, is unknown.
        if n_above == 1 and not (top >= 0 and c[top] > top_limit):
            out[TMAX] = above_first
        else:
            why[TMAX] = ABOVE_ULOQ
        why[CMAX_UPPER] = why[CMAX] = ABOVE_ULOQ
        if measured >= 0 and above_last > t[measured]:
            why[TLAST] = why[CLAST_OBS] = why[CLAST_PRED] = ABOVE_ULOQ
            out[TLAST] = out[CLAST_OBS] = out[CLAST_PRED] = math.nan
        for index in range(AUC_LAST, AUC_PCT_EXTRAP_PRED + 1):
            out[index], why[index] = math.nan, ABOVE_ULOQ
        why[AUC_PCT_ANCHOR] = ABOVE_ULOQ
        # An interval must not touch a segment that a sample above ULOQ lies in.
        before, after = -math.inf, math.inf
        for i in range(n):
            if t[i] < above_first:
                before = t[i]
            elif t[i] > above_last:
                after = min(after, t[i])
        own_intervals(
            time,
            level,
            state,
            lloq,
            rules,
            anchor,
            t,
            c,
            n,
            top,
            last,
            lambda_z,
            slope_why,
            intervals,
            before,
            after,
            out_intervals,
            why_intervals,
        )
        return
    out[CMAX], out[TMAX] = c[top], t[top]
    out[CMAX_LOWER] = out[CMAX_UPPER] = c[top]

    if n == 1:
        area_why = ONE_SAMPLE
    elif t[0] > 0.0:
        area_why = PREDOSE_POSITIVE if anchor == ANCHOR_REFUSED else STARTS_LATE
    else:
        area_why = COMPUTED
    if area_why == COMPUTED:
        auc_last = area(rules.method, t, c, top, 0, last)
        out[AUC_LAST] = auc_last
        triangle = 0.5 * (t[last + 1] - t[last]) * c[last] if last + 1 < n else 0.0
        out[AUC_ALL] = auc_last + triangle
        if source[0] < 0 and auc_last > 0.0:
            out[AUC_PCT_ANCHOR] = 100.0 * segment_area(rules.method, t[0], c[0], t[1], c[1], top == 0) / auc_last
        else:
            out[AUC_PCT_ANCHOR] = 0.0
        if slope_why == COMPUTED:
            out[AUC_INF_OBS] = auc_last + out[CLAST_OBS] / lambda_z
            out[AUC_INF_PRED] = auc_last + out[CLAST_PRED] / lambda_z
            out[AUC_PCT_EXTRAP_OBS] = 100.0 * (1.0 - auc_last / out[AUC_INF_OBS])
            out[AUC_PCT_EXTRAP_PRED] = 100.0 * (1.0 - auc_last / out[AUC_INF_PRED])
    else:
        for index in range(AUC_LAST, AUC_PCT_EXTRAP_PRED + 1):
            why[index] = area_why
        why[AUC_PCT_ANCHOR] = area_why
    own_intervals(
        time,
        level,
        state,
        lloq,
        rules,
        anchor,
        t,
        c,
        n,
        top,
        last,
        lambda_z,
        slope_why,
        intervals,
        math.inf,
        -math.inf,
        out_intervals,
        why_intervals,
    )


@jit
def own_intervals(
    time,
    level,
    state,
    lloq,
    rules,
    anchor,
    t,
    c,
    n,
    top,
    last,
    lambda_z,
    slope_why,
    intervals,
    before,
    after,
    out,
    why,
):
    """Areas over all intervals; one that neither ends by `before` nor starts from `after` is above ULOQ."""
    for k in range(intervals.shape[0]):
        if intervals[k, 1] <= before or intervals[k, 0] >= after:
            own_interval(
                time,
                level,
                state,
                lloq,
                rules,
                anchor,
                t,
                c,
                n,
                top,
                last,
                lambda_z,
                slope_why,
                intervals[k],
                out[k:],
                why[k:],
            )
        else:
            out[k], why[k] = math.nan, ABOVE_ULOQ


@jit
def own_interval(time, level, state, lloq, rules, anchor, t, c, n, top, last, lambda_z, slope_why, interval, out, why):
    """Area over one interval into the first place of `out`, with the lambda_z that the rules ask for."""
    start, end = interval[0], interval[1]
    if rules.tail == TAIL_OWN and not (start == 0.0 and math.isinf(end)):
        t2, c2 = np.empty(t.size), np.empty(t.size)
        source2 = np.empty(t.size, dtype=np.int64)
        own2 = np.empty(t.size, dtype=np.bool_)
        chosen2 = np.empty(5)
        m = clean(time, level, state, lloq, start, end, rules, anchor == ANCHOR_ZERO, t2, c2, source2)
        for i in range(m):
            own2[i] = source2[i] >= 0 and (state[source2[i]] == QUANTIFIED or rules.imputed_counts)
        top2, _ = find_extremes(t2, c2, m)
        slope_why, _ = terminal_slope(rules, t2, c2, m, top2, own2, chosen2)
        lambda_z = chosen2[0] if slope_why == COMPUTED else math.nan
    value, reason = interval_area(rules, t, c, n, top, last, lambda_z, slope_why, start, end)
    if reason == STARTS_LATE and anchor == ANCHOR_REFUSED:
        reason = PREDOSE_POSITIVE
    out[0], why[0] = value, reason


@jit
def analyse_all(time, level, state, lloq, uloq, anchor, rules, intervals, out, why, out_intervals, why_intervals, used):
    """Compute all parameters of every profile; the first axis is the profile."""
    work = np.empty((3, time.shape[1] + 1))
    for p in range(time.shape[0]):
        analyse(
            time[p],
            level[p],
            state[p],
            lloq[p],
            uloq[p],
            anchor[p],
            rules,
            intervals,
            out[p],
            why[p],
            out_intervals[p],
            why_intervals[p],
            used[p],
            work,
        )
