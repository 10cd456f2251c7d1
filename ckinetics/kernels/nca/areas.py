"""Areas and first moments of cleaned profiles, whole and over intervals.

A cleaned profile is in the rows T, C and Y = ln C of the scratch; `top` is the place of Tmax, -1 where nothing is
positive. A segment goes from place i to i + 1.
"""

from __future__ import annotations

import math

from ..compiling.jit import inline
from . import codes


@inline
def is_log(method, c1, c2, after_tmax):
    """Whether the log rule holds between two levels; ties and zeros are linear."""
    if method == codes.LINEAR or c1 <= 0.0 or c2 <= 0.0 or c1 == c2:
        return False
    if method == codes.LINEAR_UP_LOG_DOWN:
        return c2 < c1
    if method == codes.LINEAR_LOG:
        return after_tmax
    return True


@inline
def log_ratio(work, i):
    """Return ln of the levels' ratio over a segment; log1p keeps digits where the difference of logs loses them."""
    difference = work[codes.Y, i + 1] - work[codes.Y, i]
    if abs(difference) < 0.1:
        return math.log1p((work[codes.C, i + 1] - work[codes.C, i]) / work[codes.C, i])
    return difference


@inline
def log_moment(t1, c1, c2, width, ratio, area):
    """Area under t·c of a log segment whose area is known; its closed form cancels for small ratios."""
    if abs(ratio) >= 0.3:
        return t1 * area + width * (width * c2 - area) / ratio
    share, term = 0.5, 1.0
    for k in range(1, 12):
        term *= ratio / k
        share += term / (k + 2)
    return t1 * area + width * width * c1 * share


@inline
def total_areas(method, work, top, first, last):
    """Area and moment from place `first` to place `last`; keeps the area of each segment for intervals."""
    area, moment = 0.0, 0.0
    for i in range(first, last):
        t1, c1, c2 = work[codes.T, i], work[codes.C, i], work[codes.C, i + 1]
        width = work[codes.T, i + 1] - t1
        if is_log(method, c1, c2, top >= 0 and i >= top):
            ratio = log_ratio(work, i)
            part = width * (c2 - c1) / ratio
            moment += log_moment(t1, c1, c2, width, ratio, part)
        else:
            part = width * (c1 + c2) / 2.0
            moment += width * (c1 * t1 + c2 * work[codes.T, i + 1]) / 2.0
        work[codes.SEGMENT, i] = part
        area += part
    return area, moment


@inline
def ties_in_log(method, work, top, last):
    """Whether two positive levels after Tmax tie where the linear-log method would take a logarithm of their ratio."""
    if method != codes.LINEAR_LOG or top < 0:
        return False
    tied = False
    for i in range(top, last):
        tied = tied or (work[codes.C, i] == work[codes.C, i + 1] and work[codes.C, i] > 0.0)
    return tied


@inline
def part_of_segment(method, work, i, low, high, after_tmax):
    """Area of a segment between two times inside it."""
    t1, c1, c2 = work[codes.T, i], work[codes.C, i], work[codes.C, i + 1]
    width = work[codes.T, i + 1] - t1
    if is_log(method, c1, c2, after_tmax):
        rate = log_ratio(work, i) / width
        return c1 * math.exp(rate * (low - t1)) * math.expm1(rate * (high - low)) / rate
    return (high - low) * (c1 + (c2 - c1) / width * (low + high - 2.0 * t1) / 2.0)


@inline
def between(method, work, n, top, start, end):
    """Area from `start` to `end` inside the cleaned samples, interpolating by the method.

    `total_areas` was there before. Returns the area and its part between samples that lie in the interval.
    """
    total, observed = 0.0, 0.0
    for i in range(n - 1):
        low, high = work[codes.T, i], work[codes.T, i + 1]
        if high <= start or low >= end:
            continue
        if low >= start and high <= end:
            part = work[codes.SEGMENT, i]
            if work[codes.SOURCE, i] >= 0.0:
                observed += part
        else:
            part = part_of_segment(method, work, i, max(low, start), min(high, end), top >= 0 and i >= top)
        total += part
    return total, observed


@inline
def ieee_log_area(width, c1, c2):
    """Log trapezoid as plain arithmetic has it: 0 where one end is zero, NaN where both are or where they tie."""
    return width * (c2 - c1) / math.log(c2 / c1)


@inline
def level_at(method, work, i, after_tmax, time):
    """Level inside a segment, by the segment's rule."""
    t1, c1, c2 = work[codes.T, i], work[codes.C, i], work[codes.C, i + 1]
    share = (time - t1) / (work[codes.T, i + 1] - t1)
    if is_log(method, c1, c2, after_tmax):
        return c1 * math.exp(share * log_ratio(work, i))
    return c1 + share * (c2 - c1)


@inline
def pknca_segment(method, t1, c1, t2, c2, after_tmax):
    """Area between two samples or interpolated levels; NaN where linear-log meets a tie, as in PKNCA 0.12.1."""
    if method == codes.LINEAR_LOG and after_tmax and c1 > 0.0 and c1 == c2:
        return math.nan
    if is_log(method, c1, c2, after_tmax):
        return ieee_log_area(t2 - t1, c1, c2)
    return (t2 - t1) * (c1 + c2) / 2.0


@inline
def interval_by_points(rules, work, n, top, last, lambda_z, intercept, slope_reason, start, end):
    """Area over one interval as PKNCA 0.12.1 has it; returns as `interval_area`.

    Levels at the ends are interpolated and become samples: the method is applied to them anew. A level before the
    first sample is zero. Where the end lies beyond `last` and no sample lies at it, the segment up to it is always
    logarithmic, from whatever sample precedes it.
    """
    if n == 0 or last < 0:
        return (math.nan if n == 0 else 0.0), 0.0, 0.0, codes.NO_SAMPLE if n == 0 else codes.COMPUTED
    tail = rules.tail
    if tail == codes.TAIL_OWN_PRED and math.isnan(lambda_z):
        return math.nan, 0.0, 0.0, slope_reason
    area, beyond = 0.0, 0.0
    before_t, before_c = start, 0.0
    for i in range(n):
        after = top >= 0 and i > top
        if work[codes.T, i] < start:
            if i + 1 < n and work[codes.T, i + 1] > start:
                before_c = level_at(rules.method, work, i, top >= 0 and i >= top, start)
            continue
        if work[codes.T, i] > end:
            break
        if work[codes.T, i] > start:
            area += pknca_segment(rules.method, before_t, before_c, work[codes.T, i], work[codes.C, i], after)
        before_t, before_c = work[codes.T, i], work[codes.C, i]
    if before_t < end < work[codes.T, last]:
        for i in range(n - 1):
            if work[codes.T, i] < end < work[codes.T, i + 1]:
                after = top >= 0 and i >= top
                area += pknca_segment(
                    rules.method, before_t, before_c, end, level_at(rules.method, work, i, after, end), after
                )
    elif before_t < end:
        height = work[codes.C, last]
        if tail == codes.TAIL_OWN_PRED:
            height = math.exp(intercept - lambda_z * work[codes.T, last])
        if tail == codes.TAIL_OWN_OBS or tail == codes.TAIL_OWN_PRED:
            if math.isnan(lambda_z):
                return math.nan, 0.0, 0.0, slope_reason
            if before_t <= work[codes.T, last]:
                ahead = math.exp(-lambda_z * max(start - work[codes.T, last], 0.0))
                width = end - before_t
                beyond = height * ahead * (1.0 if math.isinf(width) else -math.expm1(-lambda_z * width)) / lambda_z
        elif end < math.inf:
            level = 0.0
            if tail == codes.TAIL_ALL and last + 1 < n and end < work[codes.T, last + 1]:
                level = height * (work[codes.T, last + 1] - end) / (work[codes.T, last + 1] - work[codes.T, last])
            area += ieee_log_area(end - before_t, before_c, level)
    if math.isnan(area):
        return math.nan, 0.0, 0.0, codes.TIE_IN_LOG
    return area + beyond, math.nan, beyond, codes.COMPUTED


@inline
def interval_area(rules, work, n, top, last, lambda_z, intercept, slope_reason, start, end):
    """Area over one interval of a cleaned profile; return (value, observed, extrapolated, reason).

    `last` is the last level that counts. Up to it the method interpolates; what is beyond depends on the rule's tail.
    """
    tail = rules.tail
    by_samples = tail == codes.TAIL_SAMPLES or tail == codes.TAIL_PREDICTED
    if n == 0:
        return math.nan, 0.0, 0.0, codes.NO_SAMPLE
    if work[codes.T, 0] > start:
        return math.nan, 0.0, 0.0, codes.STARTS_LATE
    if last < 0:
        return 0.0, 0.0, 0.0, codes.COMPUTED
    t_last, c_last = work[codes.T, last], work[codes.C, last]
    area, observed = between(rules.method, work, last + 1, top, start, min(end, t_last))
    if end <= t_last or tail == codes.TAIL_LAST:
        return area, observed, 0.0, codes.COMPUTED
    begin = max(start, t_last)
    to_next = last + 1 < n and (tail == codes.TAIL_ALL or (by_samples and end < math.inf))
    if to_next:
        stop = min(end, work[codes.T, last + 1])
        if stop > begin:
            fall = (c_last - work[codes.C, last + 1]) / (work[codes.T, last + 1] - t_last)
            part = (stop - begin) * (2.0 * c_last - fall * (begin + stop - 2.0 * t_last)) / 2.0
            area += part
            if begin == t_last and stop == work[codes.T, last + 1]:
                observed += part
        if tail != codes.TAIL_PREDICTED or end <= work[codes.T, n - 1]:
            return area, observed, 0.0, codes.COMPUTED
        begin = max(start, work[codes.T, n - 1])
    elif tail == codes.TAIL_ALL:
        return area, observed, 0.0, codes.COMPUTED
    if math.isnan(lambda_z):
        return math.nan, 0.0, 0.0, codes.NO_TERMINAL_PHASE if by_samples and end < math.inf else slope_reason
    if tail == codes.TAIL_PREDICTED and begin == t_last and last + 1 == n and end < math.inf:
        # From the observed last level to the predicted one at the end, by the method.
        c_end = math.exp(intercept - lambda_z * end)
        if is_log(rules.method, c_last, c_end, True):
            beyond = (end - begin) * (c_end - c_last) / math.log(c_end / c_last)
        else:
            beyond = (end - begin) * (c_last + c_end) / 2.0
        return area + beyond, observed, beyond, codes.COMPUTED
    height = c_last
    if tail == codes.TAIL_OWN_PRED or tail == codes.TAIL_PREDICTED:
        height = math.exp(intercept - lambda_z * t_last)
    ahead = math.exp(-lambda_z * (begin - t_last)) if begin > t_last else 1.0
    width = end - begin
    beyond = height * ahead * (1.0 if math.isinf(width) else -math.expm1(-lambda_z * width)) / lambda_z
    return area + beyond, observed, beyond, codes.COMPUTED
