"""What samples above ULOQ leave unknown, and what stands beside the values: reasons, bounds, flags."""

from __future__ import annotations

import math

from ..compiling.jit import inline
from . import codes
from .samples import state_at


@inline
def give_reason(out, why, first, last, reason):
    """Leave the columns from `first` to `last` without value, for a reason."""
    # Two loops: each becomes a few wide stores.
    for column in range(first, last + 1):
        out[column] = math.nan
    for column in range(first, last + 1):
        why[column] = reason


@inline
def all_below(rules, work, n, low_limit, intervals, out, why, areas, area_why):
    """Fill in a profile without any level that counts."""
    give_reason(out, why, 0, codes.BASELINE - 1, codes.ALL_BLQ)
    give_reason(out, why, codes.TBQL + 1, codes.N_PARAMETERS - 1, codes.ALL_BLQ)
    out[codes.CMAX_LOWER], why[codes.CMAX_LOWER] = 0.0, codes.COMPUTED
    out[codes.CMAX_UPPER] = low_limit
    why[codes.CMAX_UPPER] = codes.NO_BOUND if math.isnan(low_limit) else codes.COMPUTED
    zero = rules.all_blq_zero and n > 0
    for k in range(intervals.shape[0]):
        area_why[k] = codes.ALL_BLQ
        if rules.all_blq_zero:
            area_why[k] = codes.COMPUTED
        if zero:
            area_why[k] = codes.STARTS_LATE if work[codes.T, 0] > intervals[k, 0] else codes.COMPUTED
        if area_why[k] == codes.COMPUTED:
            areas[k, 0] = 0.0
    if not rules.all_blq_zero:
        return
    for column in (codes.CMAX, codes.CLAST_OBS, codes.CMIN):
        out[column], why[column] = 0.0, codes.COMPUTED
    if n == 0 or work[codes.T, 0] > 0.0:
        return
    for column in range(codes.AUC_LAST, codes.AUMC_INF_PRED + 1):
        if column != codes.AUC_PCT_EXTRAP_OBS and column != codes.AUC_PCT_EXTRAP_PRED:
            out[column], why[column] = 0.0, codes.COMPUTED
    for column in (codes.AUC_LAST_LOWER, codes.CAV):
        out[column], why[column] = 0.0, codes.COMPUTED


@inline
def hide_above(rules, work, n, n_at, top_limit, measured, out, why):
    """Replace by reasons what samples above ULOQ leave unknown, and give bounds; return the uncertain range of time.

    Until here a sample above ULOQ stood at its ULOQ, so areas are lower bounds: an area grows with every level.
    """
    first, last, count, largest = math.inf, -math.inf, 0, math.nan
    known = True
    for i in range(n_at):
        level = work[codes.AT_LEVEL, i]
        if work[codes.AT_STATE, i] == codes.ABOVE:
            first = min(first, work[codes.AT_TIME, i])
            last = work[codes.AT_TIME, i]
            count += 1
            known = known and not math.isnan(level)
        elif work[codes.AT_STATE, i] == codes.QUANTIFIED and not level <= largest:
            largest = level
    bound = top_limit if math.isnan(largest) or largest <= top_limit else largest
    out[codes.CMAX_LOWER] = bound
    why[codes.CMAX_LOWER] = codes.NO_BOUND if math.isnan(bound) else codes.COMPUTED
    # Which of several samples above ULOQ was the largest, or whether one with a low ULOQ was, is unknown.
    if count == 1 and not largest > top_limit:
        out[codes.TMAX], why[codes.TMAX] = first, codes.COMPUTED
    else:
        give_reason(out, why, codes.TMAX, codes.TMAX, codes.ABOVE_ULOQ)
    for column in (codes.CMAX, codes.CMAX_UPPER, codes.FOLD_EXPANSION, codes.CAV, codes.AUC_PCT_ANCHOR):
        give_reason(out, why, column, column, codes.ABOVE_ULOQ)
    give_reason(out, why, codes.AUC_LAST, codes.HALF_LIFE_EFFECTIVE, codes.ABOVE_ULOQ)
    if not known and why[codes.AUC_LAST_LOWER] == codes.COMPUTED:
        give_reason(out, why, codes.AUC_LAST_LOWER, codes.AUC_LAST_LOWER, codes.NO_BOUND)
    if measured < 0 or last > work[codes.T, measured]:
        give_reason(out, why, codes.TLAST, codes.CLAST_PRED, codes.ABOVE_ULOQ)
    if math.isnan(out[codes.FOLD_EXPANSION_LOWER]) and why[codes.FOLD_EXPANSION_LOWER] == codes.COMPUTED:
        why[codes.FOLD_EXPANSION_LOWER] = codes.NO_BOUND
    # Under linear-log a later Tmax makes an area larger, so that there is no bound where Tmax is unknown.
    if rules.method == codes.LINEAR_LOG and why[codes.TMAX] != codes.COMPUTED:
        give_reason(out, why, codes.AUC_LAST_LOWER, codes.AUC_LAST_LOWER, codes.NO_BOUND)
    before, after = -math.inf, math.inf
    for i in range(n):
        if state_at(work, i) == codes.ABOVE:
            continue
        if work[codes.T, i] < first:
            before = work[codes.T, i]
        elif work[codes.T, i] > last:
            after = min(after, work[codes.T, i])
    return before, after


@inline
def smallest_level(work, n, n_at, out, why):
    """Smallest level of the cleaned profile; unknown where a sample above ULOQ may be it."""
    smallest, bound = math.inf, math.inf
    for i in range(n):
        if state_at(work, i) == codes.ABOVE:
            bound = min(bound, work[codes.C, i])
        else:
            smallest = min(smallest, work[codes.C, i])
    for i in range(n_at):
        if work[codes.AT_STATE, i] == codes.ABOVE and math.isnan(work[codes.AT_LEVEL, i]):
            bound = 0.0
    if bound < smallest or smallest == math.inf:
        why[codes.CMIN] = codes.ABOVE_ULOQ
    else:
        out[codes.CMIN] = smallest


@inline
def imputes(work, n):
    """Whether a BLQ sample was given a positive level."""
    found = False
    for i in range(n):
        found = found or (work[codes.C, i] > 0.0 and state_at(work, i) == codes.BLQ)
    return found


@inline
def flags_of(rules, work, n, seen, second, chosen, open_end, out, facts):
    """Return the bits of what a profile cannot say and of the limits that its values miss."""
    flags = 0
    tmax = out[codes.TMAX]
    if tmax == facts[codes.FIRST_TIME] and tmax > 0.0:
        flags |= codes.FLAG_PEAK_AT_FIRST
    if tmax == facts[codes.LAST_TIME] and facts[codes.FIRST_TIME] < facts[codes.LAST_TIME]:
        flags |= codes.FLAG_PEAK_AT_LAST
    if out[codes.AUC_PCT_ANCHOR] > rules.limit_anchor:
        flags |= codes.FLAG_ANCHORED
    if out[codes.AUC_PCT_EXTRAP_OBS] > rules.limit_extrapolated:
        flags |= codes.FLAG_EXTRAPOLATED
    if out[codes.R_SQUARED] < rules.limit_r_squared:
        flags |= codes.FLAG_POOR_LINE
    if out[codes.SPAN_RATIO] < rules.limit_span:
        flags |= codes.FLAG_SHORT_SPAN
    if out[codes.LAMBDA_Z_N_POINTS] < rules.limit_points:
        flags |= codes.FLAG_FEW_POINTS
    if second >= 0:
        flags |= codes.FLAG_RISES_AGAIN
    if out[codes.PERSISTENCE_UPPER] == math.inf:
        flags |= codes.FLAG_STILL_QUANTIFIED
    if seen[codes.UNKNOWN_LLOQ] != 0.0:
        flags |= codes.FLAG_LLOQ_UNKNOWN
    if facts[codes.N_ABOVE] > 0:
        flags |= codes.FLAG_ABOVE_ULOQ
    if chosen:
        flags |= codes.FLAG_MANUAL_LINE
    if open_end:
        flags |= codes.FLAG_THRESHOLD_OPEN
    if seen[codes.EMBEDDED] != 0.0:
        flags |= codes.FLAG_EMBEDDED_BLQ
    if max(rules.value_first, rules.value_middle, rules.value_last) > 0.0 and imputes(work, n):
        flags |= codes.FLAG_IMPUTED
    return flags
