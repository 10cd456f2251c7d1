"""One plate and target: its standard curve, fitted in both ways, masked by rule, judged, and its limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..schema import CqStatus, Verdict, YesNo
from .controls import qc_verdicts
from .curves.standard_curve import Curve, Level, back_calculate, fit_curve, fit_weighted_curve
from .levels import PlateCurve, quantification_limits
from .masking import mask_standards
from .rules import Rules
from .verdicts import blocking, curve_verdicts, in_use, ntc_verdict, range_verdict, vendor_verdicts

Calibration = Literal["ols", "weighted"]
VENDOR = ("vendor_slope", "vendor_intercept", "vendor_r_squared", "vendor_efficiency")
Well = dict[str, Any]
Verdicts = list[dict[str, Any]]


@dataclass(frozen=True)
class Limits:
    """LOD and LLOQ of the assay, copies per well."""

    lod: float
    lloq: float


@dataclass(frozen=True)
class Judged:
    """A plate for one target: what samples are read from, and its rows of "curves" and "verdicts"."""

    plate: PlateCurve
    curves: list[dict[str, Any]]
    verdicts: Verdicts


def calibrate(
    wells: Sequence[Well],
    rules: Rules,
    limits: Limits,
    about: Mapping[str, str],
    *,
    method: Calibration,
    override: Callable[[Verdicts], None],
) -> Judged:
    """Fit and judge the curve of one run and target, and fill in the copies of its wells.

    Parameters
    ----------
    wells : sequence of dict
        All wells of the run and target; ``copies`` and, under a preset rule, ``masked`` are filled in.
    rules : Rules
        Acceptance criteria.
    limits : Limits
        LOD and LLOQ of the assay.
    about : mapping
        ``run_id`` and ``target``.
    method : {"ols", "weighted"}
        The fit that levels are read from; the other stands beside it.
    override : callable
        Marks, in place, the verdicts that somebody let pass.
    """
    sd0 = rules.value("well_noise", "sd0")
    standards = [well for well in wells if _is_standard(well)]
    ols, weighted = _fits(standards, sd0)
    curve, other = (ols, weighted) if method == "ols" else (weighted, ols)
    levels = _levels(curve, standards, rules)
    masking = mask_standards(standards, levels, rules, about)
    if any(not in_use(well) for well in standards):
        standards = [well for well in standards if in_use(well)]
        ols, weighted = _fits(standards, sd0)
        curve, other = (ols, weighted) if method == "ols" else (weighted, ols)
        levels = _levels(curve, standards, rules)
    fill_copies(wells, curve)
    lod, lloq, uloq = quantification_limits(levels, lloq=limits.lloq, lod=limits.lod)
    on_curve = [
        *masking,
        *curve_verdicts(curve, levels, wells, rules, about),
        ntc_verdict(curve, wells, rules, about, lod=limits.lod),
    ]
    if curve.usable:
        on_curve.append(range_verdict(levels, limits.lloq, uloq, about))
    on_curve += qc_verdicts(wells, rules, about)
    override(on_curve)
    printed = {name: next((w[name] for w in wells if math.isfinite(w[name])), math.nan) for name in VENDOR}
    # The vendors fit by least squares: their figures are held against that fit, whichever is used.
    verdicts = on_curve + vendor_verdicts(ols, printed, wells, rules, about)
    plate = PlateCurve(curve, other, lod, lloq, uloq, plate_reasons(on_curve, rules, about["run_id"]))
    shared = dict(about) | printed | {"accepted": accepted(on_curve, rules)}
    rows = [
        shared | fit.record() | {"method": fit.method, "used": YesNo.yes if fit is curve else YesNo.no}
        for fit in (curve, other)
    ]
    return Judged(plate, rows, verdicts)


def _is_standard(well: Mapping[str, Any]) -> bool:
    return well["role"] == "standard" and in_use(well) and math.isfinite(well["nominal_copies"])


def _fits(standards: Sequence[Well], sd0: float) -> tuple[Curve, Curve]:
    seen = [well for well in standards if well["cq_status"] == CqStatus.determined]
    copies = np.array([well["nominal_copies"] for well in seen], dtype=np.float64)
    cq = np.array([well["cq"] for well in seen], dtype=np.float64)
    return fit_curve(copies, cq), fit_weighted_curve(copies, cq, sd0=sd0)


def _levels(curve: Curve, standards: Sequence[Well], rules: Rules) -> tuple[Level, ...]:
    rule = rules["back_calculated"]
    return back_calculate(curve, standards, high=rule.high, lowest_high=rule.values["lowest_high"])


def fill_copies(wells: Sequence[Well], curve: Curve) -> None:
    """Fill in the copies that the curve reads from each well, NaN where it has no Cq."""
    copies = curve.copies(np.array([well["cq"] for well in wells], dtype=np.float64))
    for well, value in zip(wells, copies.tolist(), strict=True):
        well["copies"] = value if well["cq_status"] == CqStatus.determined else math.nan


def plate_reasons(verdicts: Verdicts, rules: Rules, run_id: str) -> tuple[str, ...]:
    """Return every fatal failure and, of what could not be judged, the first: the others follow from it."""
    failed = [entry for entry in verdicts if entry["outcome"] == Verdict.failed]
    unknown = [entry for entry in verdicts if entry["outcome"] == Verdict.not_evaluable]
    return tuple(f"run {run_id}: {text}" for text in blocking(failed, rules) + blocking(unknown, rules)[:1])


def accepted(verdicts: Verdicts, rules: Rules) -> Verdict:
    """Return failed where a fatal rule failed, not evaluable where a required one was not judged."""
    failed = [entry for entry in verdicts if entry["outcome"] == Verdict.failed]
    if blocking(failed, rules):
        return Verdict.failed
    return Verdict.not_evaluable if blocking(verdicts, rules) else Verdict.passed
