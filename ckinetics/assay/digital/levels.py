"""Digital PCR: one plate and target judged by its partitions, and one sample's level from its counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...schema import Status, Verdict, YesNo
from ..calibration import Judged, Verdicts, accepted, plate_reasons
from ..controls import partition_verdicts, qc_verdicts
from ..curves.standard_curve import Curve
from ..levels import DIGITAL, PlateCurve, SampleResult, Scale, classify, names_of, new_result, set_interval
from ..rules import Rules
from ..verdicts import in_use, verdict
from .estimate import digital_estimate

METHOD = "digital"
Well = dict[str, Any]


@dataclass(frozen=True)
class DigitalPlate(PlateCurve):
    """A plate of partitions for one target; `poor` are wells with too few of them, which count for nothing."""

    poor: frozenset[str] = frozenset()


def is_digital(wells: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the wells of a run and target are of digital PCR: they have partitions and no Cq."""
    return any(math.isfinite(well["n_partitions"]) for well in wells)


def judge_digital(
    wells: Sequence[Well], rules: Rules, about: Mapping[str, str], *, override: Callable[[Verdicts], None]
) -> Judged:
    """Judge one run and target of digital PCR, and fill in the copies of its wells.

    Parameters
    ----------
    wells : sequence of dict
        All wells of the run and target; ``copies``, those of the whole reaction, are filled in where the
        volumes of partition and reaction are known.
    rules : Rules
        Acceptance criteria.
    about : mapping
        ``run_id`` and ``target``.
    override : callable
        Marks, in place, the verdicts that somebody let pass.
    """
    for well in wells:
        well["copies"] = _concentration(well) * well["reaction_ul"]
    used = [well for well in wells if in_use(well)]
    on_partitions = partition_verdicts(used, rules, about)
    override(on_partitions)
    poor = frozenset(
        name
        for entry in on_partitions
        if entry["outcome"] == Verdict.failed and not entry.get("override") and rules[entry["rule"]].fatal
        for name in entry["wells"].split()
    )
    on_plate = [_ntc(used, rules, about), *qc_verdicts(wells, rules, about)]
    override(on_plate)
    of_vendor = _vendor(used, rules, about)
    # Wells with too few partitions are left out by themselves; the plate stands or falls with its controls.
    reasons = plate_reasons(on_plate, rules, about["run_id"])
    counts = [well["n_partitions"] for well in used if math.isfinite(well["n_partitions"])]
    row = dict(about) | {
        "method": METHOD,
        "used": YesNo.yes,
        "n_wells": float(len(counts)),
        "accepted": accepted(on_plate, rules),
    }
    rule = rules["digital_range"]
    plate = DigitalPlate(Curve(), Curve(), rule.values["lod"], rule.values["lloq"], math.nan, reasons, poor)
    return Judged(plate, [row], on_partitions + on_plate + of_vendor)


def _concentration(well: Mapping[str, Any]) -> float:
    """Return copies/uL of the reaction of one well, NaN where it cannot be known."""
    n, positive, volume = well["n_partitions"], well["n_positive"], well["partition_nl"]
    if not (n > 0 and 0 <= positive < n and volume > 0):
        return math.nan
    return -math.log1p(-positive / n) / volume * 1e3


def _counted(well: Mapping[str, Any]) -> float:
    """Return the copies in a well's partitions, of which it may have analysed a part of the reaction only."""
    n, positive = well["n_partitions"], well["n_positive"]
    if not (n > 0 and 0 <= positive <= n):
        return math.nan
    return -n * math.log1p(-positive / n) if positive < n else math.inf


def _ntc(used: Sequence[Well], rules: Rules, about: Mapping[str, str]) -> dict[str, Any]:
    rule = rules["ntc"]
    limit = rule.values["lod_multiple"] * rules.value("digital_range", "lod")
    controls = [well for well in used if well["role"] == "ntc"]
    if not controls:
        return verdict(
            rule, math.nan, about, why="the plate has no NTC well, contamination was not checked", high=limit
        )
    copies = [_counted(well) for well in controls]
    if any(math.isnan(value) for value in copies):
        blank = [well for well, value in zip(controls, copies, strict=True) if math.isnan(value)]
        return verdict(rule, math.nan, about, wells=names_of(blank), why="an NTC well has no counts", high=limit)
    over = [well for well, value in zip(controls, copies, strict=True) if value > limit]
    positive = sum(value > 0 for value in copies)
    why = f"{positive} of {len(controls)} NTC wells have a positive partition"
    return verdict(rule, max(copies), about, wells=names_of(over or controls), why=why, high=limit)


def _vendor(used: Sequence[Well], rules: Rules, about: Mapping[str, str]) -> Verdicts:
    """Compare the vendor's concentrations with those of the counts; where no volume is stated there is nothing to."""
    apart, wells = [], []
    for well in used:
        own, printed = _concentration(well), well["vendor_concentration"]
        if math.isfinite(own) and math.isfinite(printed) and printed > 0:
            apart.append(abs(own / printed - 1.0))
            wells.append(well)
    if not apart:
        return []
    rule = rules["vendor_concentration"]
    over = [well for well, value in zip(wells, apart, strict=True) if value > rule.high]
    return [verdict(rule, max(apart), about, wells=names_of(over), why=f"{len(apart)} wells")]


def digital_result(wells: Sequence[Well], plate: PlateCurve, scale: Scale, rules: Rules) -> SampleResult:
    """Return the level of one sample on one plate of digital PCR.

    Parameters
    ----------
    wells : sequence of mapping
        The sample's wells.
    plate : PlateCurve
        The judged plate; its LOD and LLOQ are copies in the partitions that were counted.
    scale : Scale
        What makes a level of the copies in the reaction.
    rules : Rules
        Acceptance criteria.

    Notes
    -----
    Wells are merged by their counts, so that more wells lower the limits; the interval is widened by the spread
    between wells. No positive partition is ``not_detected`` with an upper bound.
    """
    assert isinstance(plate, DigitalPlate)
    used = [well for well in wells if in_use(well) and well["well_name"] not in plate.poor]
    result = new_result(used or wells, scale)
    if scale.why:
        return result
    result.status = Status.invalid
    if not used:
        result.reason = "all wells of the sample are left out, or have too few partitions"
        return result
    result.verdicts.append(verdict(rules["replicates"], float(len(used)), result.about, wells=names_of(used)))
    if plate.reasons:
        result.reason = "; ".join(plate.reasons)
        return result
    volumes = sorted({well["reaction_ul"] for well in used if math.isfinite(well["reaction_ul"])})
    missing = _missing(used)
    if missing or len(volumes) != 1:
        result.reason = missing or (
            f"the reaction volume of sample '{result.sample}' is not known: give 'reaction_ul' in the sample sheet"
            if not volumes
            else f"wells of sample '{result.sample}' have different reaction volumes: give each its own sample name"
        )
        return result
    counts = np.array([[well[name] for well in used] for name in ("n_positive", "n_partitions", "partition_nl")])
    found = digital_estimate(*counts)
    result.n_detected = int((counts[0] > 0).sum())
    reaction = volumes[0]
    analysed = float((counts[1] * counts[2]).sum()) / 1e3
    share = rules.value("digital_range", "max_positive_share")
    lod, lloq = plate.lod / analysed * reaction, plate.lloq / analysed * reaction
    uloq = -math.log1p(-share) / float(counts[2].max()) * 1e3 * reaction
    if found.n_positive == 0:
        classify(result, 0.0, lod, lloq, uloq, scale.factor)
        result.status = Status.not_detected
        result.reason = f"no positive partition of {found.n_partitions:g} in {len(used)} wells"
        result.level_low, result.level_high = 0.0, found.high * reaction * scale.factor
        result.interval_kind = DIGITAL
        return result
    if found.saturated:
        classify(result, math.inf, lod, lloq, uloq, scale.factor)
        result.copies = math.nan
        result.reason = "all partitions are positive: dilute and measure again"
        return result
    copies = found.concentration * reaction
    spread = rules["digital_spread"]
    if len(used) > 1:
        apart = found.between_well_sd * 100.0
        result.verdicts.append(verdict(spread, apart, result.about, wells=names_of(used)))
        if spread.fatal and result.verdicts[-1]["outcome"] == Verdict.failed:
            result.copies, result.reason = copies, str(result.verdicts[-1]["message"])
            return result
    each = np.array([well["copies"] for well in used])
    result.copies_arithmetic = float(each.mean())
    if classify(result, copies, lod, lloq, uloq, scale.factor):
        result.se_well, result.se_plate = math.hypot(found.ln_se, scale.se_well), scale.se_plate
    ends = (found.low / found.concentration, found.high / found.concentration)
    set_interval(result, *ends, DIGITAL, scale)
    return result


def _missing(used: Sequence[Well]) -> str:
    for well in used:
        for name, what in (("n_partitions", "partitions"), ("n_positive", "positive partitions")):
            if not math.isfinite(well[name]):
                return f"well {well['well_name']} has no number of {what}"
        if not well["partition_nl"] > 0:
            return (
                f"the partition volume of well {well['well_name']} is neither stated nor to be had from "
                "other wells of the plate"
            )
    return ""
