"""A second implementation of the parameters, in plain Python, written from the documentation: the kernel must equal it.

Simple before fast: a profile is a list of samples, the cleaned profile a list of points, every rule one function.
Where the documentation is silent the kernel's convention is followed, and said so.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from twin_cells import (
    CONTRACTION,
    EXPANSION,
    SECOND,
    above_threshold,
    contraction,
    expansion,
    fold,
    persistence,
    second_expansion,
    turning_points,
)
from twin_parts import (
    INF,
    NAN,
    Answer,
    Line,
    Options,
    Point,
    Sample,
    adjusted,
    anchor_of,
    baseline_of,
    clean,
    level_at,
    log_ratio,
    peak_of,
    position_measured,
    segment_area,
    segment_moment,
    terminal_line,
)  # fmt: skip

from ckinetics.noncompartmental.parameters import KERNEL_COLUMNS
from ckinetics.noncompartmental.rules import Preset

LINE = ("lambda_z", "lambda_z_intercept", "lambda_z_n_points", "lambda_z_lower", "lambda_z_upper", "r_squared",
        "adj_r_squared", "span_ratio", "half_life", "clast_pred")  # fmt: skip
AREAS = ("auc_last", "auc_all", "auc_inf_obs", "auc_inf_pred", "auc_pct_extrap_obs", "auc_pct_extrap_pred", "aumc_last",
         "aumc_all", "aumc_inf_obs", "aumc_inf_pred", "mrt_last", "mrt_inf_obs", "mrt_inf_pred", "half_life_effective",
         "auc_last_lower", "auc_pct_anchor", "cav")  # fmt: skip


def analyse(
    samples: list[Sample],
    rules: Preset,
    intervals: list[tuple[float, float]],
    options: Options,
    window: tuple[float, float] = (0.0, INF),
) -> Answer:
    """Everything `nca` says of one profile in one window."""
    return Analysis(samples, rules, intervals, options, window).run()


class Analysis:
    """One profile in one window; `run` gives the answer."""

    def __init__(
        self,
        samples: list[Sample],
        rules: Preset,
        intervals: list[tuple[float, float]],
        options: Options,
        window: tuple[float, float],
    ):
        self.rules, self.options, self.intervals, self.answer = rules, options, intervals, Answer()
        start, end = window
        able = [s for s in samples if s.state != "unusable"]
        self.before = [s for s in able if s.time < start]
        self.length = end - start
        self.usable = [replace(s, time=s.time - start) for s in able if start <= s.time <= end]
        self.above = [s for s in self.usable if s.state == "above"]
        self.lost = [s.time - start for s in samples if s.state == "unusable" and start <= s.time <= end]

    def run(self) -> Answer:
        answer, rules, usable = self.answer, self.rules, self.usable
        self.count()
        baseline_of(rules, self.before, answer)
        if not usable:
            answer.lack(tuple(name for name in KERNEL_COLUMNS if name != "baseline"), "no_sample")
            answer.areas = [(NAN, NAN, NAN, NAN, "no_sample") for _ in self.intervals]
            return answer
        persistence(self.options, usable, answer)
        self.points = clean(rules, usable)
        self.anchor()
        self.counting = [p for p in self.points if p.c > 0 and p.counts]
        if not self.counting and not self.above:
            self.nothing_counts()
        else:
            self.tmax, self.cmax = peak_of(rules, [(p.t, p.c) for p in self.counting]) if self.counting else (NAN, NAN)
            self.last = self.counting[-1].t if self.counting else NAN
            self.find_line()
            self.extremes()
            self.first_rise()
            self.cells()
            self.whole_areas()
            answer.areas = [self.interval(start, end) for start, end in self.intervals]
            above_threshold(rules, self.options, self.points, self.tmax, bool(self.above), answer)
        self.raise_flags()
        assert set(answer.values) == set(KERNEL_COLUMNS)
        return answer

    def count(self) -> None:
        usable = self.usable
        self.answer.facts = {
            "n_samples": len(usable),
            "n_quantified": sum(s.state == "quantified" for s in usable),
            "n_blq": sum(s.state == "blq" for s in usable),
            "n_above_uloq": len(self.above),
            "first_time": usable[0].time if usable else NAN,
            "last_time": usable[-1].time if usable else NAN,
            "first_peak_time": NAN,
        }

    def anchor(self) -> None:
        """Put a point at 0 where the cleaned profile has none; `late` says why there are no areas from 0."""
        self.late = ""
        if not self.points or self.points[0].t > 0:
            first = self.usable[0]
            level, self.late = anchor_of(self.rules, first.time, self.before, self.answer)
            if first.time == 0 and self.rules.anchor != "none":
                # It stands in for a BLQ sample that was dropped, not for one above an unknown ULOQ.
                level, self.late = 0.0, "" if first.state == "blq" else "starts_late"
            if self.points and not self.late:
                self.points.insert(0, Point(0.0, level, False))

    def nothing_counts(self) -> None:
        """All BLQ: nothing is known but that the level stayed below the largest LLOQ; PKNCA says 0."""
        answer = self.answer
        answer.lack(tuple(name for name in KERNEL_COLUMNS if name not in answer.values), "all_blq")
        limits = [s.lloq for s in self.usable]
        answer.give("cmax_lower", 0.0)
        if any(limit != limit for limit in limits):
            answer.lack("cmax_upper", "no_bound")
        else:
            answer.give("cmax_upper", max(limits))
        zero = self.rules.all_blq_is_zero
        first = self.points[0].t if self.points else -INF
        for start, _ in self.intervals:
            reason = "all_blq" if not zero else "starts_late" if first > start else "computed"
            answer.areas.append((0.0 if reason == "computed" else NAN, NAN, NAN, NAN, reason))
        if zero:
            for name in ("cmax", "clast_obs", "cmin"):
                answer.give(name, 0.0)
            if self.points and first <= 0:
                for name in AREAS:
                    if name.startswith(("auc_", "aumc_", "cav")) and "pct" not in name:
                        answer.give(name, 0.0)

    def find_line(self) -> None:
        answer = self.answer
        self.line = terminal_line(self.rules, self.points, self.tmax, self.above)
        line = self.line
        answer.margin, answer.condition = min(answer.margin, line.margin), max(answer.condition, line.condition)
        if line.reason:
            answer.lack(LINE, line.reason)
            return
        n, span = len(line.points), line.points[-1].t - line.points[0].t
        answer.give("lambda_z", line.rate)
        answer.give("half_life", math.log(2) / line.rate)
        answer.give("span_ratio", span * line.rate / math.log(2))
        answer.give("lambda_z_intercept", line.intercept)
        answer.give("lambda_z_n_points", n)
        answer.give("lambda_z_lower", line.points[0].t)
        answer.give("lambda_z_upper", line.points[-1].t)
        answer.give("r_squared", line.r_squared)
        if n > 2:
            answer.give("adj_r_squared", adjusted(line))
        else:
            answer.lack("adj_r_squared", "too_few_points")
        answer.used = {p.sample.place for p in line.points if p.sample}

    def predicted(self, t: float) -> float:
        """Level of the terminal line."""
        return math.exp(self.line.intercept - self.line.rate * t)

    def extremes(self) -> None:
        """Cmax and the last level; a sample above ULOQ leaves bounds."""
        answer = self.answer
        there = [s for s in self.usable if s.state != "blq"]
        quantified = [s for s in there if s.state == "quantified"]
        if not self.above:
            for name in ("cmax", "cmax_lower", "cmax_upper"):
                answer.give(name, self.cmax)
            answer.give("tmax", self.tmax)
        else:
            answer.lack(("cmax", "cmax_upper"), "above_uloq")
            bounds = [s.known for s in there if s.known == s.known]
            if bounds:
                answer.give("cmax_lower", max(bounds))
            else:
                answer.lack("cmax_lower", "no_bound")
            # Which of several was the largest is unknown, or whether one with a low limit was.
            only = self.above[0]
            if len(self.above) == 1 and not any(s.level > only.uloq for s in quantified):
                answer.give("tmax", only.time)
            else:
                answer.lack("tmax", "above_uloq")
        if not there or there[-1].state == "above":
            answer.lack(("tlast", "clast_obs"), "above_uloq" if there else "all_blq")
            # Of two reasons, no line and no level, the kernel gives the line.
            answer.lack("clast_pred", "above_uloq" if there else self.line.reason or "all_blq")
            return
        answer.give("tlast", there[-1].time)
        answer.give("clast_obs", there[-1].level)
        if not self.line.reason:
            answer.give("clast_pred", self.predicted(there[-1].time))

    def first_rise(self) -> None:
        """The first level and the sample before the first rise, BLQ as 0; the smallest level as the rule takes it."""
        answer = self.answer
        there = [s.time for s in self.usable if s.state != "blq"]
        if there:
            answer.give("tfirst", there[0])
        else:
            answer.lack("tfirst", "all_blq")
        # Above a limit that is unknown is above all levels that were quantified.
        heights = [
            (s.time, {"blq": 0.0, "quantified": s.level, "above": s.uloq if s.uloq == s.uloq else INF}[s.state])
            for s in self.usable
        ]
        if self.points and self.points[0].sample is None:
            heights.insert(0, (0.0, self.points[0].c))
        rises = [(t1, t2) for (t1, c1), (t2, c2) in itertools.pairwise(heights) if c2 > c1]
        if not rises:
            answer.lack("tlag", "no_rise")
        elif any(t < rises[0][1] for t in self.lost):
            answer.lack("tlag", "missing_before")
        else:
            answer.give("tlag", rises[0][0])
        # A sample above ULOQ may be the smallest where its ULOQ is lower than all others, or unknown.
        smallest = min((p.c for p in self.points if not (p.sample and p.sample.state == "above")), default=INF)
        if self.above and smallest > min(s.uloq if s.uloq == s.uloq else 0.0 for s in self.above):
            answer.lack("cmin", "above_uloq")
        else:
            answer.give("cmin", smallest)

    def cells(self) -> None:
        answer = self.answer
        if all(s.state == "blq" for s in self.usable):
            answer.lack((*EXPANSION, *CONTRACTION, *SECOND, "fold_expansion", "fold_expansion_lower"), "all_blq")
            answer.lack(("tfirst", "tlag"), "all_blq")
            return
        turns = turning_points(self.options, self.usable, answer)
        peak = turns[0]
        second_expansion(turns, answer)
        if turns[2] is not None:
            answer.flags.add("rises_again")
        fold(self.usable, turns[3], self.cmax, self.tmax, answer)
        if peak is None:
            answer.lack(EXPANSION + CONTRACTION, "above_uloq" if self.above else "no_rise")
            return
        answer.facts["first_peak_time"] = peak.time
        expansion(self.usable, turns[3], peak, answer)
        contraction(self.options, self.usable, turns, answer)

    def segments(self, low: float, high: float) -> list[tuple[Point, Point, bool]]:
        """Segments between points that touch the range, each with whether it begins at Tmax or later."""
        pairs = itertools.pairwise(self.points)
        return [(p, q, p.t >= self.tmax) for p, q in pairs if p.t < high and q.t > low]

    def whole_areas(self) -> None:
        answer, method, points = self.answer, self.rules.auc_method, self.points
        reason = ""
        if len(points) == 1:
            reason = "one_sample"
        elif not points or points[0].t > 0:
            reason = self.late or "starts_late"
        elif self.rules.pknca_arithmetic and any(
            method == "linear-log" and p.c == q.c > 0 for p, q, after in self.segments(0, self.last) if after
        ):
            reason = "tie_in_log"
        if reason:
            answer.lack(AREAS, reason)
        else:
            parts = self.segments(0, self.last)
            area = math.fsum(segment_area(method, p, q, after) for p, q, after in parts)
            moment = math.fsum(segment_moment(method, p, q, after) for p, q, after in parts)
            self.give_areas(area, moment)
        if self.above:
            lower, why = answer.values["auc_last_lower"], answer.reasons["auc_last_lower"]
            answer.lack(AREAS, "above_uloq")
            answer.values["auc_last_lower"], answer.reasons["auc_last_lower"] = lower, why
            unknown = any(s.uloq != s.uloq for s in self.above)
            if (unknown and why == "computed") or (method == "linear-log" and not answer.has("tmax")):
                # Under linear-log a later Tmax makes an area larger.
                answer.lack("auc_last_lower", "no_bound")

    def give_areas(self, area: float, moment: float) -> None:
        answer, method, points = self.answer, self.rules.auc_method, self.points
        answer.give("auc_last", area)
        answer.give("auc_last_lower", area)
        answer.give("aumc_last", moment)
        if math.isinf(self.length) and not self.rules.pknca_arithmetic:
            answer.lack("cav", "no_end")
        else:
            answer.give("cav", area / self.length)
        to_blq = moment_blq = 0.0
        rest = [p for p in points if p.t >= self.last]
        if len(rest) > 1:
            to_blq = segment_area("linear", rest[0], rest[1], False)
            moment_blq = segment_moment("linear", rest[0], rest[1], False)
        answer.give("auc_all", area + to_blq)
        answer.give("aumc_all", moment + moment_blq)
        first = segment_area(method, points[0], points[1], points[0].t >= self.tmax)
        answer.give("auc_pct_anchor", 100 * first / area if points[0].sample is None and area > 0 else 0.0)
        if area > 0:
            answer.give("mrt_last", moment / area)
        else:
            answer.lack("mrt_last", "no_area")
        for kind in ("obs", "pred"):
            names = tuple(
                name.format(kind) for name in ("auc_inf_{}", "auc_pct_extrap_{}", "aumc_inf_{}", "mrt_inf_{}")
            )
            if kind == "obs":
                names += ("half_life_effective",)
            if self.line.reason or not answer.has("clast_obs"):
                answer.lack(names, self.line.reason or answer.reasons["clast_obs"])
                continue
            clast, rate = answer.values[f"clast_{kind}"], self.line.rate
            whole = area + clast / rate
            mean = (moment + clast * self.last / rate + clast / rate**2) / whole
            answer.give(f"auc_inf_{kind}", whole)
            answer.give(f"auc_pct_extrap_{kind}", 100 * (clast / rate) / whole)
            answer.give(f"aumc_inf_{kind}", mean * whole)
            answer.give(f"mrt_inf_{kind}", mean)
            if kind == "obs":
                answer.give("half_life_effective", math.log(2) * mean)

    def uncertain(self) -> tuple[float, float]:
        """Range of time that samples above ULOQ make uncertain: to the nearest points on both sides."""
        if not self.above:
            return INF, -INF
        first, last = self.above[0].time, self.above[-1].time
        known = [p.t for p in self.points if not (p.sample and p.sample.state == "above")]
        return max((t for t in known if t < first), default=-INF), min((t for t in known if t > last), default=INF)

    def interval(self, start: float, end: float) -> tuple[float, float, float, float, str]:
        """Area over an interval, the shares observed, interpolated and extrapolated in %, and the reason."""
        low, high = self.uncertain()
        if end > low and start < high:
            return NAN, NAN, NAN, NAN, "above_uloq"
        line = (
            self.own_line(start, end)
            if self.rules.tail.startswith("own") and not (start == 0 and end == INF)
            else self.line
        )
        whole = self.points_area if self.rules.pknca_arithmetic else self.rule_area
        value, observed, beyond, reason = whole(start, end, line)
        if reason:
            return NAN, NAN, NAN, NAN, reason
        if not value > 0:
            return value, NAN, NAN, NAN, "computed"
        shares = [100 * part / value for part in (observed, value - observed - beyond, beyond)]
        return value, *shares, "computed"  # type: ignore[return-value]

    def own_line(self, start: float, end: float) -> Line:
        """The terminal line of the interval's own samples: its BLQ positions and its Tmax are its own too."""
        points = clean(self.rules, [s for s in self.usable if start <= s.time <= end])
        counting = [(p.t, p.c) for p in points if p.c > 0 and p.counts]
        if not counting:
            return Line("too_few_points")
        line = terminal_line(self.rules, points, peak_of(self.rules, counting)[0], [], by_hand=self.line.by_hand)
        self.answer.margin = min(self.answer.margin, line.margin)
        self.answer.condition = max(self.answer.condition, line.condition)
        return line

    def rule_area(self, start: float, end: float, line: Line) -> tuple[float, float, float, str]:
        """Area, its part between samples in the interval, its part beyond the last sample, and a reason without it."""
        rules, points = self.rules, self.points
        if not points or points[0].t > start:
            return NAN, 0.0, 0.0, self.late or "no_sample"
        if not self.counting:
            return 0.0, 0.0, 0.0, ""
        parts, observed = [], []
        for p, q, after in self.segments(start, min(end, self.last)):
            if q.t <= self.last:
                parts.append(segment_area(rules.auc_method, p, q, after, start, end))
                if start <= p.t and q.t <= end and p.sample:
                    observed.append(parts[-1])
        rest = [p for p in points if p.t >= self.last]
        beyond, begin = 0.0, max(start, self.last)
        if end > self.last and rules.tail != "last":
            follows = len(rest) > 1 and (rules.tail == "all" or (rules.tail in ("samples", "predicted") and end < INF))
            if follows:
                p, q = rest[:2]
                parts.append(segment_area("linear", p, q, False, start, end))
                if start <= p.t and q.t <= end:
                    observed.append(parts[-1])
                begin = max(start, points[-1].t)
            on = not follows or rules.tail == "predicted"
            if on and rules.tail != "all" and end > begin:
                if line.reason:
                    named = rules.tail in ("samples", "predicted") and end < INF
                    return NAN, 0.0, 0.0, "no_terminal_phase" if named else line.reason
                if rules.tail == "predicted" and begin == self.last and len(rest) == 1 and end < INF:
                    ending = Point(end, math.exp(line.intercept - line.rate * end), False)
                    beyond = segment_area(rules.auc_method, rest[0], ending, True)
                    return math.fsum(parts) + beyond, math.fsum(observed), beyond, ""
                height = rest[0].c
                if rules.tail in ("own_pred", "predicted"):
                    height = math.exp(line.intercept - line.rate * self.last)
                share = math.exp(-line.rate * (begin - self.last)) * -math.expm1(-line.rate * (end - begin))
                beyond = height * share / line.rate
        return math.fsum(parts) + beyond, math.fsum(observed), beyond, ""

    def points_area(self, start: float, end: float, line: Line) -> tuple[float, float, float, str]:
        """Area as PKNCA 0.12.1 has it: the interval's ends become samples, the method is applied to these anew."""
        rules, points, method = self.rules, self.points, self.rules.auc_method
        if not points or not self.counting:
            return (NAN, 0.0, 0.0, "no_sample") if not points else (0.0, NAN, 0.0, "")
        own = rules.tail.startswith("own")
        if rules.tail == "own_pred" and line.reason:
            return NAN, 0.0, 0.0, line.reason
        inside = [Point(p.t, p.c, True) for p in points if start <= p.t <= end]
        if not any(p.t == start for p in inside):
            around = self.around(start)
            inside.insert(0, Point(start, level_at(method, *around, start) if around else 0.0, True))
        parts, beyond = [], 0.0
        if inside[-1].t < end < self.last:
            around = self.around(end)
            inside.append(Point(end, level_at(method, *around, end) if around else 0.0, True))
        elif inside[-1].t < end:
            p = inside[-1]
            if own:
                if line.reason:
                    return NAN, 0.0, 0.0, line.reason
                if p.t <= self.last:
                    height = next(q.c for q in points if q.t == self.last)
                    if rules.tail == "own_pred":
                        height = math.exp(line.intercept - line.rate * self.last)
                    height *= math.exp(-line.rate * max(start - self.last, 0.0))
                    beyond = height * -math.expm1(-line.rate * (end - p.t)) / line.rate
            elif end < INF:
                next_ = [q for q in points if q.t > self.last][:1]
                last = next(q for q in points if q.t == self.last)
                level = 0.0
                if rules.tail == "all" and next_ and end < next_[0].t:
                    level = last.c * (next_[0].t - end) / (next_[0].t - last.t)
                # Always a logarithm: it is 0 with one end zero, and there is none with two or with a tie.
                if p.c == level:
                    return NAN, 0.0, 0.0, "tie_in_log"
                if p.c > 0 and level > 0:
                    parts.append((end - p.t) * (level - p.c) / log_ratio(p.c, level))
        for p, q in itertools.pairwise(inside):
            after = p.t >= self.tmax
            if method == "linear-log" and after and p.c == q.c > 0:
                return NAN, 0.0, 0.0, "tie_in_log"
            parts.append(segment_area(method, p, q, after))
        return math.fsum(parts) + beyond, NAN, beyond, ""

    def around(self, t: float) -> tuple[Point, Point, bool] | None:
        for p, q, after in self.segments(t, t):
            return p, q, after
        return None

    def raise_flags(self) -> None:
        answer, limits, flags = self.answer, self.options.limits, self.answer.flags
        value, usable = answer.values, self.usable
        first, last = usable[0].time, usable[-1].time
        raised = {
            "peak_at_first": value["tmax"] == first > 0,
            "peak_at_last": value["tmax"] == last > first,
            "anchored": value["auc_pct_anchor"] > limits.anchor_pct,
            "extrapolated": value["auc_pct_extrap_obs"] > limits.extrap_pct,
            "poor_line": value["r_squared"] < limits.r_squared,
            "short_span": value["span_ratio"] < limits.span_ratio,
            "few_points": value["lambda_z_n_points"] < limits.n_points,
            "still_quantified": value["persistence_upper"] == INF,
            "lloq_unknown": any(s.lloq != s.lloq for s in usable),
            "above_uloq": bool(self.above),
            "embedded_blq": any(position_measured(s, usable) == "middle" for s in usable if s.state == "blq"),
            "imputed": any(p.c > 0 and p.sample and p.sample.state == "blq" for p in self.points),
            "manual_line": any(s.mark for s in usable),
        }
        flags.update(name for name, there in raised.items() if there)
        for name, limit in (
            ("auc_pct_anchor", limits.anchor_pct),
            ("auc_pct_extrap_obs", limits.extrap_pct),
            ("r_squared", limits.r_squared),
            ("span_ratio", limits.span_ratio),
        ):
            if value[name] != limit:
                answer.note((value[name] - limit) / limit)
