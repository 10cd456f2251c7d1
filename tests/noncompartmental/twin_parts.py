"""The twin's records, segments, cleaned profiles and terminal lines; see `twin`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ckinetics.noncompartmental.rules import Limits, Preset

NAN, INF = math.nan, math.inf


@dataclass
class Sample:
    """A sample as it was measured: its state is "blq", "quantified", "above" (ULOQ) or "unusable"."""

    time: float
    level: float
    state: str
    lloq: float = NAN
    uloq: float = NAN
    se_well: float = NAN
    se_plate: float = NAN
    plate: str = ""
    mark: str = ""
    place: int = 0

    @property
    def known(self) -> float:
        """The level, or the limit that bounds it: LLOQ from above, ULOQ from below."""
        return {"quantified": self.level, "blq": self.lloq, "above": self.uloq}[self.state]


@dataclass
class Point:
    """A point of the cleaned profile: a sample, or what a rule put there (`sample` is None for an anchor)."""

    t: float
    c: float
    counts: bool
    sample: Sample | None = None


@dataclass
class Options:
    """Options of `nca` that no preset holds."""

    persistence: str = "last_quantified"
    threshold: float = NAN
    peak_fold: float = 2.0
    peak_errors: float = 3.0
    peaks_from: float = 3.0
    contraction_days: float = 21.0
    limits: Limits = field(default_factory=Limits)


@dataclass
class Line:
    """The terminal line, or the reason why there is none."""

    reason: str = ""
    slope: float = NAN
    intercept: float = NAN
    r_squared: float = NAN
    points: list[Point] = field(default_factory=list)
    by_hand: bool = False
    margin: float = INF  # by how much its fall, or what chose it among others, would have to change for another line
    condition: float = 1.0  # loss of digits in its slope: sum of |terms| over |sum|

    @property
    def rate(self) -> float:
        return -self.slope


@dataclass
class Answer:
    """What `nca` says of one profile."""

    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    areas: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    margin: float = INF
    condition: float = 1.0

    def give(self, name: str, value: float) -> None:
        self.values[name], self.reasons[name] = value, "computed"

    def lack(self, names: tuple[str, ...] | str, reason: str) -> None:
        for name in (names,) if isinstance(names, str) else names:
            self.values[name], self.reasons[name] = NAN, reason

    def has(self, name: str) -> bool:
        return self.reasons[name] == "computed"

    def note(self, distance: float) -> None:
        """Remember how near a decision was to the other one."""
        if distance == distance:
            self.margin = min(self.margin, abs(distance))


# Segments ----------------------------------------------------------------------------------------------------------


def is_log(method: str, c1: float, c2: float, after_tmax: bool) -> bool:
    if c1 <= 0 or c2 <= 0 or c1 == c2:
        return False
    return {"linear": False, "linear-up/log-down": c2 < c1, "linear-log": after_tmax, "log-up/log-down": True}[method]


def log_ratio(c1: float, c2: float) -> float:
    """ln(c2/c1), also where they nearly tie, or where the ratio overflows."""
    return math.log1p((c2 - c1) / c1) if abs(c2 - c1) < 0.5 * c1 else math.log(c2) - math.log(c1)


def growth(x: float) -> float:
    """Integral of exp(xu) over u from 0 to 1."""
    return 1.0 if x == 0 else math.expm1(x) / x


def moment_growth(x: float) -> float:
    """Integral of u·exp(xu) over u from 0 to 1: a series where the closed form cancels."""
    if abs(x) > 1:
        return (math.exp(x) * (x - 1) + 1) / (x * x)
    total, term = 0.0, 1.0
    for k in range(40):
        total += term / (k + 2)
        term *= x / (k + 1)
    return total


def segment_area(method: str, p: Point, q: Point, after: bool, low: float = -INF, high: float = INF) -> float:
    """Area of the segment from p to q, of its part from low to high."""
    low, high, width = max(low, p.t), min(high, q.t), q.t - p.t
    if high <= low:
        return 0.0
    if is_log(method, p.c, q.c, after):
        x = log_ratio(p.c, q.c)
        if low == p.t and high == q.t:
            return width * (q.c - p.c) / x
        part = (high - low) / width
        return (high - low) * p.c * math.exp(x * (low - p.t) / width) * growth(x * part)
    slope = (q.c - p.c) / width
    return (high - low) * (p.c + slope * ((low - p.t) + (high - p.t)) / 2)


def segment_moment(method: str, p: Point, q: Point, after: bool) -> float:
    width = q.t - p.t
    if is_log(method, p.c, q.c, after):
        x = log_ratio(p.c, q.c)
        return p.t * segment_area(method, p, q, after) + width * width * p.c * moment_growth(x)
    return width * (p.c * p.t + q.c * q.t) / 2


def level_at(method: str, p: Point, q: Point, after: bool, t: float) -> float:
    part = (t - p.t) / (q.t - p.t)
    if is_log(method, p.c, q.c, after):
        return p.c * math.exp(log_ratio(p.c, q.c) * part)
    return p.c + (q.c - p.c) * part


# The cleaned profile -----------------------------------------------------------------------------------------------


def position_measured(sample: Sample, usable: list[Sample]) -> str:
    """Where a BLQ sample lies among the quantifiable ones; without any, everything is first."""
    there = [one.time for one in usable if one.state != "blq"]
    if not there or sample.time < there[0]:
        return "first"
    return "last" if sample.time > there[-1] else "middle"


def position_tmax(rules: Preset, sample: Sample, usable: list[Sample]) -> str:
    """Whether a BLQ sample lies before Tmax; without any, everything does. A sample above ULOQ stands at it."""
    there = [(s.time, s.known) for s in usable if s.state != "blq" and s.known == s.known]
    return "before.tmax" if not there or sample.time < peak_of(rules, there)[0] else "after.tmax"


def peak_of(rules: Preset, points: list[tuple[float, float]]) -> tuple[float, float]:
    """Time and level of the largest level; which of equal ones, the rules say."""
    top = max(c for _, c in points)
    times = [t for t, c in points if c == top]
    return (times[0] if rules.tmax == "first" else times[-1]), top


def clean(rules: Preset, usable: list[Sample]) -> list[Point]:
    """The usable samples, BLQ ones as the rule takes them."""
    points: list[Point] = []
    first_trailing = True
    for sample in usable:
        if sample.state != "blq":
            if sample.known == sample.known:
                points.append(Point(sample.time, sample.known, True, sample))
            continue
        action = rules.blq
        if isinstance(rules.blq, Mapping):
            tmax_axis = "before.tmax" in rules.blq
            action = rules.blq[position_tmax(rules, sample, usable) if tmax_axis else position_measured(sample, usable)]
        if action == "drop":
            continue
        if action == "keep first":
            if first_trailing:
                points.append(Point(sample.time, 0.0, False, sample))
            first_trailing = False
            continue
        words = {"keep": 0.0, "lloq": sample.lloq, "lloq/2": sample.lloq / 2}
        level = words[action] if isinstance(action, str) else float(action)  # type: ignore[arg-type]
        if level == level:  # without LLOQ there is nothing to put in
            points.append(Point(sample.time, level, rules.imputed_counts and level > 0, sample))
    return points


def baseline_of(rules: Preset, before: list[Sample], answer: Answer) -> None:
    """The level before the window: of the last sample, or the mean of all; a BLQ one leaves none."""
    chosen = before[-1:] if rules.baseline == "last" else before
    if not before:
        answer.lack("baseline", "no_predose_sample")
    elif any(s.state == "blq" for s in chosen):
        answer.lack("baseline", "baseline_blq")
    elif any(s.state == "above" for s in chosen):
        answer.lack("baseline", "above_uloq")
    else:
        answer.give("baseline", math.fsum(s.level for s in chosen) / len(chosen))


def anchor_of(rules: Preset, first: float, before: list[Sample], answer: Answer) -> tuple[float, str]:
    """Level of the anchor at 0, or why there is none; `first` is the time of the first sample."""
    level, positive = 0.0, any(s.state != "blq" for s in before)
    if rules.anchor == "none":
        return NAN, "starts_late"
    if rules.anchor == "zero":
        if positive:
            return NAN, "predose_positive"
    elif answer.reasons["baseline"] == "baseline_blq" and rules.baseline == "mean" and positive:
        return NAN, "predose_positive"
    elif answer.has("baseline"):
        level = answer.values["baseline"]
    elif answer.reasons["baseline"] != "baseline_blq":
        return NAN, answer.reasons["baseline"]
    return (level, "") if first <= rules.anchor_gap else (NAN, "starts_late")


# The terminal line -------------------------------------------------------------------------------------------------


def fit(points: list[Point]) -> Line:
    """Ordinary least squares of ln level on time; a plateau is flat and explains nothing."""
    n = len(points)
    if all(p.c == points[0].c for p in points):
        return Line("", 0.0, math.log(points[0].c), 0.0, points)
    t_mean = math.fsum(p.t for p in points) / n
    y_mean = math.fsum(math.log(p.c) for p in points) / n
    dt = [p.t - t_mean for p in points]
    dy = [math.log(p.c) - y_mean for p in points]
    stt = math.fsum(a * a for a in dt)
    sty = math.fsum(a * b for a, b in zip(dt, dy, strict=True))
    syy = math.fsum(b * b for b in dy)
    slope = sty / stt
    r_squared = min(1.0, sty * sty / (stt * syy))
    spread = math.fsum(abs(a) * (abs(math.log(p.c)) + abs(y_mean)) for a, p in zip(dt, points, strict=True))
    condition = spread / abs(sty) if sty else INF
    return Line("", slope, y_mean - slope * t_mean, r_squared, points, False, abs(slope) * (dt[-1] - dt[0]), condition)


def adjusted(line: Line) -> float:
    n = len(line.points)
    return 1 - (1 - line.r_squared) * (n - 1) / (n - 2) if n > 2 else NAN


def declines(line: Line) -> bool:
    """Whether a line falls, and not by rounding alone."""
    return line.slope < 0 and line.r_squared > 1e-20


def terminal_line(rules: Preset, points: list[Point], tmax: float, above: list[Sample], by_hand: bool = False) -> Line:
    """The line of the best adjusted R², after Tmax and all samples above ULOQ; or through samples chosen by hand.

    `by_hand` says that samples of the profile were chosen, if not of these points.
    """
    able = [p for p in points if p.counts and p.c > 0 and not (p.sample and p.sample.state == "above")]
    included = [p for p in able if p.sample and p.sample.mark == "include"]
    if included or by_hand:
        if len(included) < 2:
            return Line("too_few_points", by_hand=True)
        line = fit(included)
        line.by_hand = True
        return line if declines(line) else Line("no_decline", by_hand=True, margin=line.margin)
    able = [p for p in able if not (p.sample and p.sample.mark == "exclude")]
    if above:
        after = [p for p in able if p.t > max(tmax, above[-1].time)] if tmax == tmax else []
    else:
        after = [p for p in able if p.t > tmax or (rules.tmax_in_line and p.t == tmax)]
    if len(after) < rules.min_points:
        return Line("too_few_points")
    lines = [fit(after[-k:]) for k in range(rules.min_points, len(after) + 1)]
    competing = [line for line in lines if line.slope < 0 or rules.rising == "veto"]
    scores = {id(line): adjusted(line) for line in competing if len(line.points) > 2}
    margin = min(line.margin for line in lines)
    if scores:
        best = max(scores.values())
        near = [line for line in competing if scores.get(id(line), -INF) > best - rules.tolerance]
        margin = min([margin, *(abs(score - best + rules.tolerance) for score in scores.values())])
    else:
        near = competing[:1]  # two points have no adjusted R²: they make a line where there is nothing longer
    falling = [line for line in near if declines(line)]
    if not falling:
        return Line("no_decline", margin=margin)
    chosen = falling[-1]
    chosen.margin = margin
    return chosen
