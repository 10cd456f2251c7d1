"""From the samples of a profile to a cleaned profile: which samples may be used, and what BLQ samples become."""

from __future__ import annotations

import math

import numpy as np

from ..compiling.jit import inline, jit
from . import codes


@inline
def entry(table, p, i):
    """Return an entry of a table, or its only one where a variable has no values."""
    return table[p if table.shape[0] > 1 else 0, i if table.shape[1] > 1 else 0]


@inline
def row_and_step(table, p):
    """Return the row of a profile and the step from one sample to the next; 0 and 0 for a table of one place."""
    return p if table.shape[0] > 1 else 0, 1 if table.shape[1] > 1 else 0


@jit
def scratch(samples):
    """Return scratch for one profile of so many samples, with a place for an anchor."""
    work = np.empty((codes.N_ROWS, samples + 2))
    for k in range(samples + 2):
        work[codes.INVERSE, k] = 1.0 / k if k > 0 else math.nan
        work[codes.ADJUSTMENT, k] = (k - 1) / (k - 2) if k > 2 else math.nan
    return work


@jit
def first_fault(samples):
    """Return (kind, profile, sample) of the first sample that no analysis can take; kind 0 where there is none.

    1: no time; 2: not later than the one before; 3: quantified without a positive or zero, finite level.
    """
    for p in range(samples.time.shape[0]):
        before = -math.inf
        for i in range(samples.time.shape[1]):
            t = samples.time[p, i]
            status = samples.status[p, i]
            left_out = entry(samples.excluded, p, i) == 1
            if math.isnan(t):
                if status != -1 and not left_out:
                    return 1, p, i
                continue
            if t <= before or math.isinf(t):
                return 2, p, i
            before = t
            if samples.state_of[status + 1] == codes.QUANTIFIED and not left_out:
                level = samples.level[p, i]
                if not (0.0 <= level < math.inf):
                    return 3, p, i
    return 0, 0, 0


@inline
def gather(samples, p, start, end, with_errors, work):
    """Take the usable samples of a window into the profile; return (count, before, positive before, gap).

    `before` is the number of usable samples before the window: they lie in the last places of the scratch, newest
    first. `gap` is the time of the first sample in the window that has none of the levels it should have. Standard
    errors are taken only `with_errors`.
    """
    n, before, gap = 0, 0, math.inf
    positive = False
    last_limit, last_log = math.nan, math.nan
    left_row, left_step = row_and_step(samples.excluded, p)
    lloq_row, lloq_step = row_and_step(samples.lloq, p)
    mark_row, mark_step = row_and_step(samples.selection, p)
    if start == math.inf:
        return n, before, positive, gap  # an infusion that was not given
    for i in range(samples.time.shape[1]):
        t = samples.time[p, i] - start
        state = samples.state_of[samples.status[p, i] + 1]
        if math.isnan(t) or samples.excluded[left_row, i * left_step] == 1:
            continue
        if state == codes.UNUSABLE:
            if t >= 0.0:
                gap = min(gap, t)
            continue
        if samples.time[p, i] > end:
            break
        level = samples.level[p, i]
        if state == codes.QUANTIFIED and level == 0.0:
            state = codes.BLQ  # a level of zero has no logarithm
        if t < 0.0:
            before += 1
            place = work.shape[1] - before
            work[codes.AT_TIME, place], work[codes.AT_LEVEL, place], work[codes.AT_STATE, place] = t, level, state
            positive = positive or state != codes.BLQ
            continue
        lloq = samples.lloq[lloq_row, i * lloq_step]
        if state == codes.QUANTIFIED:
            log = math.log(level)
        else:
            limit = lloq if state == codes.BLQ else entry(samples.uloq, p, i)
            if state == codes.ABOVE:
                level = limit
            if limit != last_limit:
                last_limit = limit
                last_log = math.log(limit) if limit > 0.0 else math.nan
            log = last_log
        work[codes.AT_TIME, n], work[codes.AT_LEVEL, n], work[codes.AT_LOG, n] = t, level, log
        work[codes.AT_STATE, n], work[codes.AT_LLOQ, n], work[codes.AT_SAMPLE, n] = state, lloq, i
        work[codes.AT_MARK, n] = samples.selection[mark_row, i * mark_step]
        if with_errors:
            work[codes.AT_SE_WELL, n] = entry(samples.se_well, p, i)
            work[codes.AT_SE_PLATE, n] = entry(samples.se_plate, p, i)
            work[codes.AT_PLATE, n] = entry(samples.plate, p, i)
        n += 1
    return n, before, positive, gap


@inline
def survey(work, n_at, facts, seen):
    """Count the samples and look where the levels begin and end: fill `facts` and `seen`."""
    blq, above = 0, 0
    first, last, lost = -1, -1, -1
    low_limit, top_limit = math.nan, math.nan
    unknown, embedded = False, False
    for i in range(n_at):
        state, lloq = work[codes.AT_STATE, i], work[codes.AT_LLOQ, i]
        unknown = unknown or math.isnan(lloq)
        if state == codes.BLQ:
            # The largest limit bounds all samples; one that is unknown leaves no bound.
            if blq == 0 or math.isnan(lloq) or lloq > low_limit:
                low_limit = lloq
            blq += 1
            if lost < 0 and last >= 0:
                lost = i
            continue
        embedded = embedded or lost >= 0
        first, last, lost = i if first < 0 else first, i, -1
        if state == codes.ABOVE:
            above += 1
            if not math.isnan(work[codes.AT_LEVEL, i]) and not work[codes.AT_LEVEL, i] <= top_limit:
                top_limit = work[codes.AT_LEVEL, i]
    facts[codes.N_SAMPLES], facts[codes.N_QUANTIFIED] = n_at, n_at - blq - above
    facts[codes.N_BLQ], facts[codes.N_ABOVE] = blq, above
    facts[codes.FIRST_TIME] = work[codes.AT_TIME, 0] if n_at > 0 else math.nan
    facts[codes.LAST_TIME] = work[codes.AT_TIME, n_at - 1] if n_at > 0 else math.nan
    facts[codes.PEAK_TIME] = math.nan
    seen[codes.FIRST_AT], seen[codes.LAST_AT], seen[codes.LOST_AT] = first, last, lost
    seen[codes.LOW_LIMIT], seen[codes.TOP_LIMIT] = low_limit, top_limit
    seen[codes.EMBEDDED], seen[codes.UNKNOWN_LLOQ] = embedded, unknown


@inline
def put(work, place, t, level, log, source, own, mark):
    """Write one sample of the cleaned profile."""
    work[codes.T, place], work[codes.C, place], work[codes.Y, place] = t, level, log
    work[codes.SOURCE, place], work[codes.OWN, place], work[codes.MARK, place] = source, own, mark


@inline
def state_at(work, i):
    """State of the usable sample that a cleaned one came from; -1 for an anchor."""
    source = int(work[codes.SOURCE, i])
    return int(work[codes.AT_STATE, source]) if source >= 0 else -1


@inline
def ends_of(rules, work, n_at, start, end):
    """Return the times in [start, end] of the first and last sample that is not BLQ, and of the largest level."""
    first, last, peak, tmax = math.inf, -math.inf, 0.0, math.inf
    for i in range(n_at):
        t = work[codes.AT_TIME, i]
        if t < start or t > end or work[codes.AT_STATE, i] == codes.BLQ:
            continue
        first, last = min(first, t), t
        level = work[codes.AT_LEVEL, i]
        if level > peak or (level == peak and not rules.first_tmax):
            peak, tmax = level, t
    return first, last, tmax


@inline
def clean(rules, work, n_at, start, end, anchored, anchor_level, ends):
    """Fill the cleaned profile from the usable samples in [start, end], BLQ by rule.

    `ends` are the times that `ends_of` finds. Returns how many samples there are, and the places of the largest and of
    the last level that counts (-1 where none does).
    """
    first, last, tmax = ends
    n, trailing = 0, 0
    top, ending, largest = -1, -1, 0.0
    for i in range(n_at):
        t = work[codes.AT_TIME, i]
        if t < start or t > end:
            continue
        state, level, log = work[codes.AT_STATE, i], work[codes.AT_LEVEL, i], work[codes.AT_LOG, i]
        own = state == codes.QUANTIFIED
        counts = own
        if state == codes.ABOVE:
            if math.isnan(level):
                continue
            counts = True
        elif state == codes.BLQ:
            if (t < tmax) if rules.axis == codes.AXIS_TMAX else (t <= first):
                action, value = rules.action_first, rules.value_first
            elif rules.axis == codes.AXIS_MEASURED and t < last:
                action, value = rules.action_middle, rules.value_middle
            else:
                action, value = rules.action_last, rules.value_last
                trailing += 1
            if action == codes.ACTION_DROP or (action == codes.ACTION_FIRST_ZERO and trailing > 1):
                continue
            level = 0.0
            if action == codes.ACTION_VALUE:
                level = value
            elif action == codes.ACTION_LLOQ_SHARE:
                level = value * work[codes.AT_LLOQ, i]
                if math.isnan(level):
                    continue
            own = rules.imputed_counts and level > 0.0
            counts = own
            log = math.log(level) if level > 0.0 else -math.inf
        if n == 0 and anchored and t > 0.0 and start <= 0.0:
            log0 = math.log(anchor_level) if anchor_level > 0.0 else -math.inf
            put(work, 0, 0.0, anchor_level, log0, -1.0, 0.0, 0.0)
            n = 1
        put(work, n, t, level, log, i, own, work[codes.AT_MARK, i])
        if counts:
            ending = n
            if level > largest or (level == largest and not rules.first_tmax):
                top, largest = n, level
        n += 1
    return n, top, ending
