"""The twin's parameters of cells: peaks and troughs, expansion, contraction, persistence, time above a threshold."""

from __future__ import annotations

import itertools
import math

from twin_parts import INF, NAN, Answer, Options, Point, Sample, fit, is_log, log_ratio

from ckinetics.noncompartmental.rules import Preset

EXPANSION = ("expansion_rate", "doubling_time", "expansion_n_points", "expansion_lower", "expansion_upper")
CONTRACTION = ("contraction_half_life", "contraction_n_points", "contraction_lower", "contraction_upper")
SECOND = ("trough", "trough_time", "second_peak", "second_peak_time")


def turn(options: Options, a: Sample, b: Sample) -> float:
    """How far ln level must move between two samples to count."""
    well = math.fsum(s.se_well**2 for s in (a, b) if s.se_well == s.se_well and s.state != "blq")
    plate = [0.0 if s.se_plate != s.se_plate or s.state == "blq" else s.se_plate for s in (a, b)]
    shared = (plate[0] - plate[1]) ** 2 if a.plate and a.plate == b.plate else plate[0] ** 2 + plate[1] ** 2
    return max(math.log(options.peak_fold) - 1e-12, options.peak_errors * math.sqrt(well + shared))


def turning_points(options: Options, usable: list[Sample], answer: Answer) -> list[Sample | None]:
    """First peak, trough, second peak, and the dip after infused cells from which the first rise is.

    The first peak is the largest level until the level has fallen far enough; the trough is the smallest until it has
    risen far enough, the second peak the largest until it has fallen far enough again. Where a first peak before
    `peaks_from` falls, the search begins anew at the sample to which it fell; the dip is the smallest level from there
    to the first peak. BLQ samples are never peaks.
    """

    def moved(a: Sample, b: Sample, sign: int) -> bool:
        change = sign * (math.log(b.known) - math.log(a.known))
        # Exact doublings are 1e-12 from the limit, rounding is below 1e-14.
        answer.note(1e4 * (change - turn(options, a, b)))
        return change >= turn(options, a, b)

    peak: Sample | None = None
    trough: Sample | None = None
    second: Sample | None = None
    fallen: Sample | None = None
    for s in usable:
        if s.known != s.known:
            continue
        high = s.state != "blq"
        if second is not None:
            if high and s.known > second.known:
                second = s
            elif moved(second, s, -1):
                break
        elif trough is not None:
            if s.known < trough.known or (not high and s.known == trough.known):
                trough = s
            elif high and moved(trough, s, 1):
                second = s
        elif high and (peak is None or s.known > peak.known):
            peak = s
        elif peak is not None and moved(peak, s, -1):
            if peak.time >= options.peaks_from:
                trough = s
            else:
                peak, fallen = s if high else None, s
    dip = None
    if fallen is not None:
        after = [s for s in usable if s.known == s.known and s.time >= fallen.time]
        dip = min((s for s in after if peak is None or s.time <= peak.time), key=lambda s: s.known)
    return [peak, trough, second, dip]


def persistence(options: Options, usable: list[Sample], answer: Answer) -> None:
    """The cells are there at the infusion; a BLQ sample says nothing before a later quantifiable one."""
    there = [s.time for s in usable if s.state != "blq"]
    lower = there[-1] if there else 0.0
    later = [s.time for s in usable if s.time > lower]
    if not there and not later:
        answer.lack(("persistence", "persistence_lower", "persistence_upper", "tbql"), "no_later_sample")
        return
    upper = later[0] if later else INF
    answer.give("persistence_lower", lower)
    answer.give("persistence_upper", upper)
    choice = {"last_quantified": lower, "midpoint": (lower + upper) / 2, "first_blq": upper}
    answer.give("persistence", choice[options.persistence] if later else lower)
    if not there:
        answer.lack("tbql", "all_blq")
    elif later:
        answer.give("tbql", upper)
    else:
        answer.lack("tbql", "still_quantified")


def line_of_cells(names: tuple[str, ...], samples: list[Sample], answer: Answer, reason: str) -> float:
    """Number of points, first and last time of a line of ln level; return its slope, NaN where there is none."""
    count, low, high = names
    answer.give(count, len(samples))
    if samples:
        answer.give(low, samples[0].time)
        answer.give(high, samples[-1].time)
    else:
        answer.lack((low, high), reason)
    if len(samples) < 2:
        return NAN
    line = fit([Point(s.time, s.level, True, s) for s in samples])
    answer.note(line.margin)
    answer.condition = max(answer.condition, line.condition)
    return line.slope


def expansion(usable: list[Sample], dip: Sample | None, peak: Sample, answer: Answer) -> None:
    """ln level from the first quantified sample, or the dip after infused cells, to the first peak."""
    begin = dip.time if dip else 0.0
    rise = [s for s in usable if s.state == "quantified" and begin <= s.time <= peak.time]
    few = "no_rise" if dip else "too_few_points"
    slope = line_of_cells(EXPANSION[2:], rise, answer, few)
    if slope > 0:
        answer.give("expansion_rate", slope)
        answer.give("doubling_time", math.log(2) / slope)
    else:
        answer.lack(EXPANSION[:2], few if len(rise) < 2 else "no_rise")


def contraction(options: Options, usable: list[Sample], turns: list[Sample | None], answer: Answer) -> None:
    """ln level from the first peak over some days, to the trough before a second peak, after all above ULOQ."""
    peak, trough, second, _ = turns
    assert peak is not None
    end = trough.time if second and trough else INF
    above = [s.time for s in usable if s.state == "above" and peak.time <= s.time <= end]
    fall = [s for s in usable if s.state == "quantified" and peak.time <= s.time <= end]
    fall = [s for s in fall if s.time <= peak.time + options.contraction_days and (not above or s.time > above[-1])]
    slope = line_of_cells(CONTRACTION[1:], fall, answer, "too_few_points")
    if slope < 0:
        answer.give("contraction_half_life", -math.log(2) / slope)
    else:
        answer.lack("contraction_half_life", "too_few_points" if len(fall) < 2 else "no_decline")


def second_expansion(turns: list[Sample | None], answer: Answer) -> None:
    _, trough, second, _ = turns
    if second is None or trough is None:
        answer.lack(SECOND, "no_second_peak")
        return
    for name, s in (("trough", trough), ("second_peak", second)):
        answer.give(name + "_time", s.time)
        if s.state == "quantified":
            answer.give(name, s.level)
        else:
            answer.lack(name, {"blq": "trough_blq", "above": "above_uloq"}[s.state])


def fold(usable: list[Sample], dip: Sample | None, cmax: float, tmax: float, answer: Answer) -> None:
    """Fold expansion, from the dip after infused cells; `cmax` is a lower bound where a sample is above ULOQ."""
    begin = dip.time if dip else 0.0
    there = [s for s in usable if s.state != "blq" and s.time >= begin]
    first = there[0].time if there else INF
    if any(s.state == "above" for s in usable):
        answer.lack("fold_expansion", "above_uloq")
    elif first >= tmax:
        answer.lack("fold_expansion", "peak_is_first")
    else:
        answer.give("fold_expansion", cmax / there[0].level)
    before = [s for s in usable if s.time < first][-1:]
    if not before or before[0].state != "blq" or (dip and first > tmax):
        answer.lack("fold_expansion_lower", "no_blq_before")
    elif before[-1].lloq != before[-1].lloq or cmax != cmax:
        answer.lack("fold_expansion_lower", "no_bound")
    else:
        answer.give("fold_expansion_lower", cmax / before[-1].lloq)


def above_threshold(
    rules: Preset, options: Options, points: list[Point], tmax: float, above: bool, answer: Answer
) -> None:
    """First time at the threshold and time at or above it, interpolated by the method."""
    level, names = options.threshold, ("threshold_time", "threshold_duration")
    if level != level or above or not points or (points[0].t > 0 and points[0].c >= level):
        reason = (
            "no_threshold" if level != level else "above_uloq" if above else "starts_late" if points else "no_sample"
        )
        answer.lack(names, reason)
        return
    reached, total = [p.t for p in points if p.c >= level], 0.0
    for p, q in itertools.pairwise(points):
        if p.c >= level and q.c >= level:
            total += q.t - p.t
        elif p.c >= level or q.c >= level:
            cross = crossing(rules.auc_method, p, q, p.t >= tmax, level)
            total += cross - p.t if p.c >= level else q.t - cross
            if q.c >= level:
                reached.append(cross)
    answer.give("threshold_duration", total)
    if reached:
        answer.give("threshold_time", min(reached))
    else:
        answer.lack("threshold_time", "never_reached")
    if points[-1].c >= level:
        answer.flags.add("threshold_open")


def crossing(method: str, p: Point, q: Point, after: bool, level: float) -> float:
    if p.c == q.c:
        return NAN
    if is_log(method, p.c, q.c, after):
        return p.t + (q.t - p.t) * log_ratio(p.c, level) / log_ratio(p.c, q.c) if level > 0 else NAN
    return p.t + (q.t - p.t) * (level - p.c) / (q.c - p.c)
