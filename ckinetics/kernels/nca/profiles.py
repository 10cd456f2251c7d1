"""Noncompartmental kernels: all parameters of one profile, and a loop over profiles.

A profile is cut to its window (`gather`) and cleaned (`clean`); everything after that sees times and levels only.
The sister files hold samples, areas, lines, bounds, and what is special to cells.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiling.jit import inline, jit
from . import codes
from .areas import interval_area, interval_by_points, ties_in_log, total_areas
from .bounds import all_below, flags_of, give_reason, hide_above, smallest_level
from .cells import (
    above_threshold,
    contraction,
    expansion,
    first_rise,
    fold,
    persistence,
    second_expansion,
    turning_points,
)
from .lines import adjusted, terminal_line
from .samples import clean, ends_of, gather, scratch, state_at, survey


@inline
def baseline_of(rules, work, before, out, why):
    """Baseline from the samples before the window: the last one, or the mean of all."""
    if before == 0:
        why[codes.BASELINE] = codes.NO_PREDOSE_SAMPLE
        return
    total = 0.0
    used = before if rules.baseline == codes.BASELINE_MEAN else 1
    for k in range(used):
        place = work.shape[1] - before + k
        if work[codes.AT_STATE, place] == codes.BLQ:
            why[codes.BASELINE] = codes.BASELINE_BLQ
        elif work[codes.AT_STATE, place] == codes.ABOVE and why[codes.BASELINE] == codes.COMPUTED:
            why[codes.BASELINE] = codes.ABOVE_ULOQ
        total += work[codes.AT_LEVEL, place]
    if why[codes.BASELINE] == codes.COMPUTED:
        out[codes.BASELINE] = total / used


@inline
def anchor_of(rules, work, before, positive, out, why):
    """Return (anchored, level, reason why not) for a profile without a sample at its start."""
    first = work[codes.AT_TIME, 0]
    if rules.anchor == codes.ANCHOR_NONE:
        return False, 0.0, codes.STARTS_LATE
    if first <= 0.0:
        # It stands in for a BLQ sample at time 0 that the rule drops; a quantified one is there itself.
        return work[codes.AT_STATE, 0] == codes.BLQ, 0.0, codes.STARTS_LATE
    if rules.anchor == codes.ANCHOR_ZERO:
        if positive:
            return False, 0.0, codes.PREDOSE_POSITIVE
        return first <= rules.anchor_gap, 0.0, codes.STARTS_LATE
    if before == 0:
        return False, 0.0, codes.NO_PREDOSE_SAMPLE
    if why[codes.BASELINE] == codes.ABOVE_ULOQ:
        return False, 0.0, codes.ABOVE_ULOQ
    if why[codes.BASELINE] == codes.BASELINE_BLQ and rules.baseline == codes.BASELINE_MEAN and positive:
        return False, 0.0, codes.PREDOSE_POSITIVE
    level = out[codes.BASELINE] if why[codes.BASELINE] == codes.COMPUTED else 0.0
    return first <= rules.anchor_gap, level, codes.STARTS_LATE


@inline
def line_parameters(work, n, line, measured, chosen, out, why, used):
    """Write the terminal line's parameters; mark the samples it went through."""
    _, first, rate, intercept, count, r2 = line
    out[codes.LAMBDA_Z], out[codes.LAMBDA_Z_INTERCEPT], out[codes.LAMBDA_Z_N_POINTS] = rate, intercept, count
    out[codes.R_SQUARED], out[codes.ADJ_R_SQUARED] = r2, adjusted(r2, count)
    if count < 3:
        why[codes.ADJ_R_SQUARED] = codes.TOO_FEW_POINTS
    out[codes.HALF_LIFE] = math.log(2.0) / rate
    upper = first
    for i in range(first, n):
        mark = work[codes.MARK, i]
        if work[codes.OWN, i] != 0.0 and mark != codes.EXCLUDED and (mark == codes.INCLUDED or not chosen):
            used[int(work[codes.AT_SAMPLE, int(work[codes.SOURCE, i])])] = 1
            upper = i
    low, high = work[codes.T, first], work[codes.T, upper]
    out[codes.LAMBDA_Z_LOWER], out[codes.LAMBDA_Z_UPPER] = low, high
    out[codes.SPAN_RATIO] = (high - low) / out[codes.HALF_LIFE]
    if measured >= 0:
        out[codes.CLAST_PRED] = math.exp(intercept - rate * work[codes.T, measured])


@inline
def area_to_infinity(clast, t_last, area, moment, out, auc, pct, aumc, mrt):
    """Write an area, a share, a moment and a mean time to infinity into the columns named."""
    rate = out[codes.LAMBDA_Z]
    beyond = clast / rate
    out[auc] = area + beyond
    out[pct] = 100.0 * (1.0 - area / out[auc])
    out[aumc] = moment + beyond * t_last + beyond / rate
    out[mrt] = out[aumc] / out[auc]


@inline
def whole_areas(work, n, last, area, moment, out, why):
    """Areas, moments and mean times of the whole window."""
    out[codes.AUC_LAST] = out[codes.AUC_LAST_LOWER] = area
    out[codes.AUMC_LAST] = moment
    area_all, moment_all = area, moment
    if last + 1 < n:
        width = work[codes.T, last + 1] - work[codes.T, last]
        area_all += width * (work[codes.C, last] + work[codes.C, last + 1]) / 2.0
        moment_all += (
            width
            * (work[codes.C, last] * work[codes.T, last] + work[codes.C, last + 1] * work[codes.T, last + 1])
            / 2.0
        )
    out[codes.AUC_ALL], out[codes.AUMC_ALL] = area_all, moment_all
    out[codes.AUC_PCT_ANCHOR] = 0.0
    if area > 0.0:
        out[codes.MRT_LAST] = moment / area
        if work[codes.SOURCE, 0] < 0.0:
            out[codes.AUC_PCT_ANCHOR] = 100.0 * work[codes.SEGMENT, 0] / area
    else:
        why[codes.MRT_LAST] = codes.NO_AREA
    no_end = why[codes.LAMBDA_Z]
    if math.isnan(out[codes.CLAST_OBS]) and no_end == codes.COMPUTED:
        no_end = why[codes.CLAST_OBS]
    if no_end != codes.COMPUTED:
        for column in (codes.AUC_INF_OBS, codes.AUMC_INF_OBS, codes.MRT_INF_OBS, codes.AUC_PCT_EXTRAP_OBS):
            why[column] = why[column + 1] = no_end
        why[codes.HALF_LIFE_EFFECTIVE] = no_end
        return
    for kind in range(2):
        area_to_infinity(
            out[codes.CLAST_OBS + kind],
            work[codes.T, last],
            area,
            moment,
            out,
            codes.AUC_INF_OBS + kind,
            codes.AUC_PCT_EXTRAP_OBS + kind,
            codes.AUMC_INF_OBS + kind,
            codes.MRT_INF_OBS + kind,
        )
    out[codes.HALF_LIFE_EFFECTIVE] = math.log(2.0) * out[codes.MRT_INF_OBS]


@inline
def copy_usable(work, other, n_at):
    """Give a second scratch the same usable samples (a slice of an array would take seconds to compile)."""
    for row in range(codes.FIRST_CLEAN_ROW):
        for i in range(n_at):
            other[row, i] = work[row, i]


@inline
def own_line(rules, work, n_at, start, end, anchored, level, chosen):
    """Terminal line of an interval's own samples, as PKNCA takes it; return (reason, rate, intercept)."""
    m, top, _ = clean(rules, work, n_at, start, end, anchored, level, ends_of(rules, work, n_at, start, end))
    if top < 0:
        return codes.TOO_FEW_POINTS, math.nan, math.nan
    reason, _, rate, intercept, _, _ = terminal_line(rules, work, m, top - 1 if rules.tmax_in_line else top, chosen)
    return reason, rate, intercept


@inline
def interval_areas(rules, work, other, n_at, n, top, last, anchor, chosen, above, intervals, out, why, areas, area_why):
    """Areas over all intervals; `above` is the range of time that samples above ULOQ make uncertain."""
    own = rules.tail == codes.TAIL_OWN_OBS or rules.tail == codes.TAIL_OWN_PRED
    anchored, level, late = anchor
    for k in range(intervals.shape[0]):
        start, end = intervals[k, 0], intervals[k, 1]
        rate, intercept, reason = out[codes.LAMBDA_Z], out[codes.LAMBDA_Z_INTERCEPT], why[codes.LAMBDA_Z]
        if own and not (start == 0.0 and math.isinf(end)):
            copy_usable(work, other, n_at)
            reason, rate, intercept = own_line(rules, other, n_at, start, end, anchored, level, chosen)
        if rules.pknca:
            area = interval_by_points(rules, work, n, top, last, rate, intercept, reason, start, end)
        else:
            area = interval_area(rules, work, n, top, last, rate, intercept, reason, start, end)
        value, observed, beyond, reason = area
        if reason == codes.STARTS_LATE:
            reason = late
        if end > above[0] and start < above[1]:
            value, reason = math.nan, codes.ABOVE_ULOQ
        areas[k, 0], area_why[k] = value, reason
        if reason == codes.COMPUTED and value > 0.0:
            areas[k, 1] = 100.0 * observed / value
            between = value - observed - beyond
            areas[k, 2] = 0.0 if between <= 0.0 else 100.0 * between / value  # rounding leaves less than nothing
            areas[k, 3] = 100.0 * beyond / value


@inline
def cells(rules, work, n_at, seen, cmax, tmax, out, why, facts):
    """What is special to cells; return the place of the second peak, -1 where there is none."""
    peak, trough, second, dip = turning_points(rules, work, n_at)
    second_expansion(work, trough, second, out, why)
    fold(work, seen, dip, cmax, tmax, out, why)
    if peak < 0:
        # Nothing but infused cells that left the blood, or but samples above an unknown ULOQ.
        reason = codes.ABOVE_ULOQ if facts[codes.N_ABOVE] > 0 else codes.NO_RISE
        give_reason(out, why, codes.EXPANSION_RATE, codes.EXPANSION_UPPER, reason)
        give_reason(out, why, codes.CONTRACTION_HALF_LIFE, codes.CONTRACTION_UPPER, reason)
        return second
    facts[codes.PEAK_TIME] = work[codes.AT_TIME, peak]
    expansion(work, dip, peak, out, why)
    contraction(rules, work, n_at, peak, trough, second, out, why)
    return second


@inline
def terminal_phase(rules, work, n, n_at, n_above, top, out, why, used):
    """Terminal line and the last level; return (whether it was chosen by hand, place of the last measured level)."""
    chosen, stop = False, top - 1 if rules.tmax_in_line and n_above == 0 else top
    measured = n - 1
    while measured >= 0 and state_at(work, measured) != codes.QUANTIFIED:
        measured -= 1
    if n_above > 0 or rules.by_hand:
        above = -math.inf
        for i in range(n_at):
            if work[codes.AT_STATE, i] == codes.ABOVE:
                above = work[codes.AT_TIME, i]
        for i in range(n):
            chosen = chosen or (work[codes.OWN, i] != 0.0 and work[codes.MARK, i] == codes.INCLUDED)
            if work[codes.T, i] <= above:
                stop = max(stop, i)
    if measured >= 0:
        out[codes.TLAST], out[codes.CLAST_OBS] = work[codes.T, measured], work[codes.C, measured]
    else:
        why[codes.TLAST] = why[codes.CLAST_OBS] = why[codes.CLAST_PRED] = codes.ALL_BLQ
    line = (codes.TOO_FEW_POINTS, -1, math.nan, math.nan, 0, math.nan)
    if top >= 0:
        line = terminal_line(rules, work, n, stop, chosen)
    if line[0] == codes.COMPUTED:
        line_parameters(work, n, line, measured, chosen, out, why, used)
    else:
        give_reason(out, why, codes.LAMBDA_Z, codes.HALF_LIFE, line[0])
        why[codes.CLAST_PRED] = line[0]
    return chosen, measured


@inline
def analyse(gathered, length, rules, intervals, work, other, seen, out, why, areas, area_why, used, facts):
    """Compute all parameters of one profile that was gathered from a window of this length; return its flags.

    `out`, `why` have one place a parameter, `areas` (value and shares in %), `area_why` one an interval, `used` one a
    sample (1 where it entered lambda_z), `facts` one a fact. `work`, `other` and `seen` are scratch.
    """
    n_at, before, positive, gap = gathered
    give_reason(out, why, 0, codes.N_PARAMETERS - 1, codes.COMPUTED)
    for k in range(intervals.shape[0]):
        for part in range(4):
            areas[k, part] = math.nan
    for i in range(used.size):
        used[i] = 0
    survey(work, n_at, facts, seen)
    baseline_of(rules, work, before, out, why)
    if n_at == 0:
        give_reason(out, why, 0, codes.BASELINE - 1, codes.NO_SAMPLE)
        give_reason(out, why, codes.BASELINE + 1, codes.N_PARAMETERS - 1, codes.NO_SAMPLE)
        for k in range(intervals.shape[0]):
            area_why[k] = codes.NO_SAMPLE
        return 0
    persistence(rules, work, n_at, seen, out, why)
    anchor = anchor_of(rules, work, before, positive, out, why)
    ends = (math.inf, -math.inf, math.inf)
    if rules.axis == codes.AXIS_TMAX:
        ends = ends_of(rules, work, n_at, 0.0, math.inf)
    elif seen[codes.FIRST_AT] >= 0.0:
        ends = (work[codes.AT_TIME, int(seen[codes.FIRST_AT])], work[codes.AT_TIME, int(seen[codes.LAST_AT])], math.inf)
    n, top, last = clean(rules, work, n_at, 0.0, math.inf, anchor[0], anchor[1], ends)
    n_above = facts[codes.N_ABOVE]
    if last < 0 and n_above == 0:
        all_below(rules, work, n, seen[codes.LOW_LIMIT], intervals, out, why, areas, area_why)
        return flags_of(rules, work, n, seen, -1, False, False, out, facts)

    chosen, measured = terminal_phase(rules, work, n, n_at, n_above, top, out, why, used)
    cmax, tmax = math.nan, math.nan
    if top >= 0:
        cmax, tmax = work[codes.C, top], work[codes.T, top]
        out[codes.CMAX], out[codes.TMAX] = cmax, tmax
        out[codes.CMAX_LOWER] = out[codes.CMAX_UPPER] = cmax
    second = -1
    if seen[codes.FIRST_AT] >= 0.0:
        first_rise(work, n_at, gap, n > 0 and work[codes.SOURCE, 0] < 0.0, anchor[1], seen, out, why)
        second = cells(rules, work, n_at, seen, cmax, tmax, out, why, facts)
    else:
        # Only levels that were put in count: cells have none.
        give_reason(out, why, codes.TFIRST, codes.TLAG, codes.ALL_BLQ)
        give_reason(out, why, codes.EXPANSION_RATE, codes.SECOND_PEAK_TIME, codes.ALL_BLQ)
    if rules.disposition:
        smallest_level(work, n, n_at, out, why)

    area, moment = total_areas(rules.method, work, top, 0, max(last, 0))
    if n == 1:
        no_area = codes.ONE_SAMPLE
    elif n == 0 or work[codes.T, 0] > 0.0:
        no_area = anchor[2]
    elif rules.pknca and ties_in_log(rules.method, work, top, last):
        no_area = codes.TIE_IN_LOG
    else:
        no_area = codes.COMPUTED
        whole_areas(work, n, last, area, moment, out, why)
        out[codes.CAV] = out[codes.AUC_LAST] / length
        if math.isinf(length) and not rules.pknca:  # PKNCA divides by the infinite length
            give_reason(out, why, codes.CAV, codes.CAV, codes.NO_END)
    if no_area != codes.COMPUTED:
        give_reason(out, why, codes.AUC_LAST, codes.HALF_LIFE_EFFECTIVE, no_area)
        for column in (codes.AUC_LAST_LOWER, codes.AUC_PCT_ANCHOR, codes.CAV):
            why[column] = no_area
    uncertain = (math.inf, -math.inf)
    if n_above > 0:
        uncertain = hide_above(rules, work, n, n_at, seen[codes.TOP_LIMIT], measured, out, why)
    interval_areas(
        rules, work, other, n_at, n, top, last, anchor, chosen, uncertain, intervals, out, why, areas, area_why
    )
    open_end = above_threshold(rules, work, n, top, n_above, out, why)
    return flags_of(rules, work, n, seen, second, chosen, open_end, out, facts)


@jit
def analyse_all(
    samples, rows, starts, ends, rules, intervals, first, last, out, why, areas, area_why, used, facts, flags
):
    """Compute all parameters of the windows from `first` to before `last`; `rows` names each window's profile.

    `out` is (parameter, window), so that each parameter is contiguous; `why` (window, parameter), `areas`
    (interval, 4, window), `area_why` (window, interval), `used` (window, sample), `facts` (fact, window).
    """
    work, other = scratch(samples.time.shape[1]), scratch(samples.time.shape[1])
    row, facts_row = np.empty(codes.N_PARAMETERS), np.empty(codes.N_FACTS)
    some = np.empty((intervals.shape[0], 4))
    why_row = np.empty(codes.N_PARAMETERS, dtype=np.int8)
    used_row = np.empty(samples.time.shape[1], dtype=np.int8)
    some_why = np.empty(intervals.shape[0], dtype=np.int8)
    seen = np.empty(codes.N_SURVEY)
    for w in range(first, last):
        gathered = gather(samples, rows[w], starts[w], ends[w], rules.peak_errors > 0.0, work)
        flags[w] = analyse(
            gathered,
            ends[w] - starts[w],
            rules,
            intervals,
            work,
            other,
            seen,
            row,
            why_row,
            some,
            some_why,
            used_row,
            facts_row,
        )
        for column in range(codes.N_PARAMETERS):
            out[column, w] = row[column]
        for column in range(codes.N_PARAMETERS):
            why[w, column] = why_row[column]
        for i in range(used_row.size):
            used[w, i] = used_row[i]
        for fact in range(codes.N_FACTS):
            facts[fact, w] = facts_row[fact]
        for k in range(intervals.shape[0]):
            area_why[w, k] = some_why[k]
            for part in range(4):
                areas[k, part, w] = some[k, part]
