"""Verdicts: each rule applied to a plate's curve and controls, with the measured value, limits and wells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..schema import CqStatus, Verdict, YesNo
from .curves.standard_curve import Curve, Level
from .rules import Rule, Rules

Well = Mapping[str, Any]

SLOPE_SIGN = "slope_sign"
RANGE = "quantifiable_range"
SAMPLE_SHEET = "sample_sheet"
REPEATS = "repeats"


def in_use(well: Well) -> bool:
    """Return whether a well counts: neither left out on the instrument nor masked here."""
    return bool(well["omit"] != YesNo.yes and well["masked"] != YesNo.yes)


def outcome_of(low: float, high: float, value: float) -> Verdict:
    """Return whether a value is within its limits, which belong to the range; a limit that is NaN is none."""
    if math.isnan(value):
        return Verdict.not_evaluable
    return Verdict.failed if value < low or value > high else Verdict.passed


def limits_text(low: float, high: float, unit: str = "") -> str:
    """Return limits in words.

    Examples
    --------
    >>> limits_text(90.0, 110.0, "%")
    '90 to 110 %'
    """
    end = f" {unit}" if unit else ""
    if math.isnan(low):
        return f"at most {high:.4g}{end}"
    return f"at least {low:.4g}{end}" if math.isnan(high) else f"{low:.4g} to {high:.4g}{end}"


def verdict(
    rule: Rule,
    value: float,
    about: Mapping[str, str],
    *,
    wells: Iterable[str] = (),
    why: str = "",
    high: float | None = None,
) -> dict[str, Any]:
    """Return a rule's verdict as schema names.

    Parameters
    ----------
    rule : Rule
        The rule.
    value : float
        Measured value; NaN means that the rule cannot be evaluated.
    about : mapping
        ``run_id``, ``target`` and, for a rule about one sample, ``sample_id``.
    wells : iterable of str
        Wells that caused it.
    why : str
        Added to the sentence; needed where the value is NaN.
    high : float, optional
        Upper limit that was computed for this case.
    """
    low, high = rule.low, rule.high if high is None else high
    outcome = outcome_of(low, high, value)
    unit = f" {rule.unit}" if rule.unit else ""
    if outcome is Verdict.not_evaluable:
        message = f"{rule.meaning} cannot be evaluated: {why}"
    else:
        verb = "meets" if outcome is Verdict.passed else "misses"
        limits = limits_text(low, high, rule.unit)
        shown = f"{value:.4g}"
        if outcome is Verdict.failed and shown in (f"{low:.4g}", f"{high:.4g}"):
            shown = f"{value:.10g}"  # rounded, it would seem to meet its limit
        message = f"{rule.meaning} {shown}{unit} {verb} the limit ({limits})" + (f": {why}" if why else "")
    return {
        "rule": rule.id,
        **about,
        "value": value,
        "low": low,
        "high": high,
        "outcome": outcome,
        "message": message,
        "wells": " ".join(dict.fromkeys(wells)),
        "source": f"{rule.source} [{rule.status}]",
    }


def blocking(verdicts: Iterable[Mapping[str, Any]], rules: Rules) -> list[str]:
    """Return the sentences of the verdicts after which there is no level."""
    out = []
    for entry in verdicts:
        if entry["rule"] in (SLOPE_SIGN, RANGE):
            fatal = required = True
        elif entry["rule"] in rules.by_id:
            fatal, required = rules[entry["rule"]].fatal, rules[entry["rule"]].required
        else:
            continue
        if entry.get("override"):
            continue
        failed = fatal and entry["outcome"] == Verdict.failed
        unknown = required and entry["outcome"] == Verdict.not_evaluable
        if failed or unknown:
            out.append(str(entry["message"]))
    return out


def curve_verdicts(
    curve: Curve, levels: Sequence[Level], wells: Sequence[Well], rules: Rules, about: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the verdicts on one curve.

    Parameters
    ----------
    curve : Curve
        The re-fitted curve.
    levels : sequence of Level
        Its standard levels, back-calculated.
    wells : sequence of mapping
        All wells of the run and target.
    rules : Rules
        Acceptance criteria.
    about : mapping
        ``run_id`` and ``target``.
    """
    standards = [well for well in wells if well["role"] == "standard" and in_use(well)]
    none = _why_no_curve(curve, standards)
    names = [str(well["well_name"]) for well in standards]
    unused = none or _unused(wells)
    span = curve.log10_range if curve.n_levels else math.nan
    g, too_few = curve.fieller_g, "the slope is zero, or there are fewer than three standard wells"
    flat = "the slope is zero" if curve.slope == 0 else none
    out = [
        _enough(verdict(rules["curve_levels"], float(curve.n_levels), wells=names, why=unused, about=about)),
        _enough(verdict(rules["curve_range"], span, wells=names, why=none, about=about)),
        _slope_sign(curve, none, names, about=about),
        verdict(rules["slope"], curve.slope, why=none, about=about),
        verdict(rules["efficiency"], curve.efficiency, why=flat, about=about),
        verdict(rules["r_squared"], curve.r_squared, why=flat, about=about),
        verdict(rules["curve_precision"], g, why=none or ("" if g == g else too_few), about=about),
    ]
    if curve.usable:
        out += _level_verdicts(levels, _masked(levels, wells), rules, about=about)
    else:
        out.append(verdict(rules["standards_accepted"], math.nan, why=none or "the curve is not usable", about=about))
    return out


def _enough(entry: dict[str, Any]) -> dict[str, Any]:
    """Turn "too few standards" into what it means: the curve cannot be judged."""
    if entry["outcome"] == Verdict.failed:
        entry["outcome"] = Verdict.not_evaluable
        entry["message"] += ", so the curve cannot be judged"
    return entry


def _unused(wells: Sequence[Well]) -> str:
    """Say which standard wells are not in the curve, so that no well is left out without a word."""
    standards = [well for well in wells if well["role"] == "standard"]
    used = [well for well in standards if in_use(well)]
    counts = {
        "omitted": sum(well["omit"] == YesNo.yes for well in standards),
        "masked": sum(well["omit"] != YesNo.yes and not in_use(well) for well in standards),
        "without nominal copies": sum(math.isnan(well["nominal_copies"]) for well in used),
        "without a Cq": sum(well["cq_status"] != CqStatus.determined for well in used),
    }
    found = [f"{count} {what}" for what, count in counts.items() if count]
    return f"standard wells not in the curve: {', '.join(found)}" if found else ""


def _why_no_curve(curve: Curve, standards: Sequence[Well]) -> str:
    if curve.n_levels >= 2:
        return ""
    if not standards:
        return "there is no standard well"
    if all(math.isnan(well["nominal_copies"]) for well in standards):
        return f"the {len(standards)} standard wells have no nominal copies"
    if not curve.n_wells:
        return "no standard well was determined"
    return "all standard wells that were determined are of one level"


def _slope_sign(curve: Curve, none: str, names: list[str], about: Mapping[str, str]) -> dict[str, Any]:
    rule = Rule(SLOPE_SIGN, "slope", {"high": 0.0}, "", True, True, "verified", "Cq falls as copies rise")
    entry = verdict(rule, curve.slope, wells=names, why=none, about=about)
    if curve.slope < 0:
        entry["message"] = f"slope {curve.slope:.4g} is negative"
    elif curve.slope >= 0:
        entry["outcome"] = Verdict.failed  # zero itself is no slope to read copies from
        entry["message"] = f"slope {curve.slope:.4g} is not negative: no copies can be read from this curve"
    return entry


def _masked(levels: Sequence[Level], wells: Sequence[Well]) -> list[float]:
    """Return the standard levels of which no well is left because they were masked."""
    left = {level.nominal for level in levels}
    masked = {float(w["nominal_copies"]) for w in wells if w["role"] == "standard" and w["masked"] == YesNo.yes}
    return sorted(nominal for nominal in masked - left if math.isfinite(nominal))


def _level_verdicts(
    levels: Sequence[Level], masked: Sequence[float], rules: Rules, about: Mapping[str, str]
) -> list[dict[str, Any]]:
    rule = rules["back_calculated"]
    out = []
    for position, level in enumerate(levels):
        high = rule.values["lowest_high"] if position == 0 else rule.high
        why = f"standard of {level.nominal:g} copies reads {level.copies:.4g}"
        if math.isnan(level.copies):
            why = f"a well of the standard of {level.nominal:g} copies is undetermined"
        entry = verdict(rule, abs(level.error_pct), wells=level.wells, why=why, high=high, about=about)
        out.append(entry)
    accepted = [level for level in levels if level.accepted]
    failed = [level for level in levels if not level.accepted]
    # What is masked is not accepted: leaving levels out must not raise their share.
    listed = ", ".join([*(f"{level.nominal:g}" for level in failed), *(f"{nominal:g} (masked)" for nominal in masked)])
    out.append(
        verdict(
            rules["standards_accepted"],
            len(accepted) / (len(levels) + len(masked)),
            wells=[name for level in failed for name in level.wells],
            why=f"not accepted: {listed} copies" if listed else "",
            about=about,
        )
    )
    return out


def ntc_verdict(
    curve: Curve, wells: Sequence[Well], rules: Rules, about: Mapping[str, str], *, lod: float
) -> dict[str, Any]:
    """Return the verdict on the no-template controls: copies against the LOD, not "any Cq".

    Without a usable curve only controls without any signal can be judged.
    """
    rule, limit = rules["ntc"], rules.value("ntc", "lod_multiple") * lod
    controls = [well for well in wells if well["role"] == "ntc" and in_use(well)]
    if not controls:
        out = sum(well["role"] == "ntc" for well in wells)
        why = f"all {out} NTC wells are left out" if out else "the plate has no NTC well"
        return verdict(rule, math.nan, why=f"{why}, contamination was not checked", about=about, high=limit)
    blank = [str(well["well_name"]) for well in controls if well["cq_status"] == CqStatus.missing]
    if blank:
        return verdict(rule, math.nan, wells=blank, why="the Cq of an NTC well is blank", about=about, high=limit)
    seen = [well for well in controls if well["cq_status"] == CqStatus.determined]
    if not seen:
        return verdict(rule, 0.0, why=f"no signal in {len(controls)} NTC wells", about=about, high=limit)
    names = [str(well["well_name"]) for well in seen]
    copies = curve.copies(np.array([well["cq"] for well in seen], dtype=np.float64))
    earliest = min(well["cq"] for well in seen)
    count = f"{len(seen)} of {len(controls)} NTC wells have a signal, the earliest at Cq {earliest:.4g}"
    if not curve.usable:
        return verdict(
            rule, math.nan, wells=names, why=f"{count}, and there is no curve to read it from", about=about, high=limit
        )
    over = [name for name, value in zip(names, copies, strict=True) if value > limit]
    return verdict(rule, float(copies.max()), wells=over or names, why=count, about=about, high=limit)


def range_verdict(levels: Sequence[Level], lloq: float, uloq: float, about: Mapping[str, str]) -> dict[str, Any]:
    """Return whether a plate has a range between its LLOQ and its highest accepted standard.

    Parameters
    ----------
    levels : sequence of Level
        Its standard levels, back-calculated.
    lloq : float
        The LLOQ of the rules, copies per well.
    uloq : float
        The ULOQ in force, NaN where there is no range.
    about : mapping
        ``run_id`` and ``target``.
    """
    rule = Rule(RANGE, "highest accepted standard", {}, "copies/well", True, True, "verified", "no extrapolation")
    accepted = [level.nominal for level in levels if level.accepted]
    top = accepted[-1] if accepted else math.nan
    entry = verdict(rule, top, about=about, why="no standard is accepted")
    if accepted:
        entry["low"] = max(lloq, accepted[0])
        entry["outcome"] = Verdict.failed if math.isnan(uloq) else Verdict.passed
        word = "not above" if math.isnan(uloq) else "above"
        entry["message"] = f"the highest accepted standard, {top:g} copies/well, is {word} the LLOQ of {entry['low']:g}"
    return entry


def vendor_verdicts(
    curve: Curve, printed: Mapping[str, float], wells: Sequence[Well], rules: Rules, about: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return how far the vendor's printed curve and quantities are from the re-fitted ones.

    A disagreement is reported; the vendor's numbers are used for nothing.
    """
    out = []
    slope, intercept = printed["vendor_slope"], printed["vendor_intercept"]
    decimals = _printed_decimals(slope, intercept)
    if math.isfinite(slope) and math.isfinite(intercept):
        text = f"printed slope {slope:g} and intercept {intercept:g}"
        refitted = math.isfinite(curve.slope)
        if refitted:
            value = max(abs(curve.slope - slope), abs(curve.intercept - intercept)) * 10.0**decimals
            why = f"{text}, re-fitted {curve.slope:.4f} and {curve.intercept:.4f}"
        else:
            value, why = math.nan, f"{text}, but the exported wells give no curve"
        entry = verdict(rules["vendor_curve"], value, why=why, about=about)
        if not refitted:
            entry["outcome"] = Verdict.failed  # a curve that its own wells do not give
        out.append(entry)
    own = [
        well
        for well in wells
        if well["cq_status"] == CqStatus.determined
        and in_use(well)
        and math.isfinite(well["vendor_quantity"])
        and well["vendor_quantity"] > 0
    ]
    if own and curve.usable:
        copies = curve.copies(np.array([well["cq"] for well in own], dtype=np.float64))
        vendor = np.array([well["vendor_quantity"] for well in own])
        apart = np.abs(copies / vendor - 1.0)
        rule = rules["vendor_quantity"]
        limit = rule.high * 10.0 ** (4 - decimals)
        names = [str(own[at]["well_name"]) for at in np.flatnonzero(apart > limit)]
        why = f"{len(own)} wells"
        out.append(verdict(rule, float(apart.max()), wells=names, why=why, high=limit, about=about))
    return out


def _printed_decimals(*values: float) -> int:
    """Return how many decimals the numbers were printed with, at most four; four where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 4
    return next((n for n in range(4) if all(abs(round(v, n) - v) < 1e-9 for v in finite)), 4)
