"""One sample on one plate: from its wells to a level, a status, limits and standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..schema import CqStatus, Status, YesNo
from .curves import Curve, Level
from .rules import Rules
from .verdicts import verdict

ReplicateMean = Literal["arithmetic", "geometric"]
Well = Mapping[str, Any]


@dataclass(frozen=True)
class PlateCurve:
    """A plate's curve for one target, and what may be read from it.

    `lod`, `lloq` and `uloq` are copies per well; `reasons` say why nothing may be read, and are empty
    otherwise.
    """

    curve: Curve
    lod: float
    lloq: float
    uloq: float
    reasons: tuple[str, ...] = ()


@dataclass
class SampleResult:
    """What one plate says of one sample: the schema's group "results", without ``reportable``.

    `level`, its interval and the limits are in the unit of the levels, `copies` in copies per well.
    """

    run_id: str
    target: str
    sample_id: str
    status: Status
    reason: str = ""
    level: float = math.nan
    level_low: float = math.nan
    level_high: float = math.nan
    interval_kind: str = ""
    lod: float = math.nan
    lloq: float = math.nan
    uloq: float = math.nan
    se_well: float = math.nan
    se_plate: float = math.nan
    copies: float = math.nan
    copies_arithmetic: float = math.nan
    copies_geometric: float = math.nan
    copies_other_fit: float = math.nan
    n_wells: int = 0
    n_detected: int = 0
    dna_ng: float = math.nan
    dilution: float = 1.0
    patient_id: str = ""
    sample: str = ""
    purpose: str = ""
    wells: str = ""
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def about(self) -> dict[str, str]:
        """What its verdicts are about."""
        return {"run_id": self.run_id, "target": self.target, "sample_id": self.sample_id}


def quantification_limits(levels: Sequence[Level], *, lloq: float, lod: float) -> tuple[float, float, float]:
    """Return LOD, LLOQ and ULOQ in copies per well.

    The LLOQ is the greater of `lloq` and the lowest accepted standard, the ULOQ the highest accepted
    standard: outside the accepted standards no number is reported. Both are NaN where nothing lies between.
    """
    accepted = [level.nominal for level in levels if level.accepted]
    if not accepted or max(lloq, accepted[0]) >= accepted[-1]:
        return lod, math.nan, math.nan
    return lod, max(lloq, accepted[0]), accepted[-1]


def sample_result(
    wells: Sequence[Well], plate: PlateCurve, rules: Rules, *, replicate_mean: ReplicateMean
) -> SampleResult:
    """Return the level of one sample on one plate.

    Parameters
    ----------
    wells : sequence of mapping
        The sample's wells, with ``copies`` filled in.
    plate : PlateCurve
        The curve they are read from.
    rules : Rules
        Acceptance criteria.
    replicate_mean : {"arithmetic", "geometric"}
        Mean of the wells' copies.

    Notes
    -----
    ``level = copies * dilution / dna_ng * 1000``; all limits are scaled alike, so a smaller input gives a
    higher LLOQ. `se_well` is SD(ln copies)/sqrt(k) of the k wells, where the SD is the greater of the
    observed one and ``sqrt((ln(1+E) s0)^2 + 1/copies)``, with s0 of the rule ``well_noise``. `se_plate` is
    `Curve.ln_se`.
    """
    first = wells[0]
    result = SampleResult(first["run_id"], first["target"], first["sample_id"], Status.invalid)
    used = [well for well in wells if well["omit"] != YesNo.yes]
    mass, dilution = float(first["dna_ng"]), float(first["dilution"])
    factor = 1000.0 * dilution / mass if mass > 0 else math.nan
    result.lod, result.lloq, result.uloq = plate.lod * factor, plate.lloq * factor, plate.uloq * factor
    if not _enough_dna(result, mass, str(first["sample"]), used, rules):
        return result
    if not used:
        result.reason = "all wells of the sample are omitted"
        return result
    result.verdicts.append(verdict(rules["replicates"], float(len(used)), result.about, wells=_names(used)))
    if plate.reasons:
        result.reason = "; ".join(plate.reasons)
        return result
    blank = [well for well in used if well["cq_status"] == CqStatus.missing]
    if blank:
        result.reason = f"the Cq of well {blank[0]['well_name']} is blank: neither a signal nor 'Undetermined'"
        return result

    seen = [well for well in used if well["cq_status"] == CqStatus.determined]
    if not seen:
        result.status, result.reason = Status.not_detected, f"no signal in {len(used)} wells"
        return result
    copies = np.array([well["copies"] for well in seen])
    mean = float(copies.mean() if replicate_mean == "arithmetic" else np.exp(np.log(copies).mean()))
    if len(seen) < len(used):
        _judge_partly_detected(result, mean, len(seen), used, plate, rules)
        return result
    agree = _replicates_agree(result, copies, mean, used, plate, rules)
    if not agree and copies.max() >= plate.lloq:
        result.reason = str(result.verdicts[-1]["message"])
    elif mean < plate.lloq:
        result.status = Status.detected_below_lloq
        result.reason = f"{mean:.3g} copies in the well are below the LLOQ of {plate.lloq:g}"
    elif mean > plate.uloq:
        result.status = Status.above_uloq
        result.reason = f"{mean:.4g} copies in the well are above the highest accepted standard, {plate.uloq:g}"
    else:
        result.status = Status.quantified
        result.level = mean * factor
        result.se_well = _se_well(copies, mean, plate.curve, rules.value("well_noise", "sd0"))
        result.se_plate = plate.curve.ln_se(mean)
    return result


def _names(wells: Sequence[Well]) -> list[str]:
    return [str(well["well_name"]) for well in wells]


def _enough_dna(result: SampleResult, mass: float, sample: str, used: Sequence[Well], rules: Rules) -> bool:
    """Judge the DNA as the sample sheet gives it, before any dilution.

    A rich extract that was diluted because its sample was above the ULOQ is not short of DNA. Without a
    known mass there is no copies/ug whatever the rules say.
    """
    rule = rules["dna_input"]
    why = "the sample sheet gives no DNA mass" if math.isnan(mass) else ""
    result.verdicts.append(verdict(rule, mass, result.about, wells=_names(used), why=why))
    if math.isnan(mass):
        result.reason = f"sample '{sample}' has no DNA mass in the sample sheet"
        return False
    if mass == 0 or (rule.fatal and mass < rule.low):
        result.status, result.reason = Status.insufficient_dna, str(result.verdicts[-1]["message"])
        return False
    return True


def _judge_partly_detected(
    result: SampleResult, mean: float, detected: int, used: Sequence[Well], plate: PlateCurve, rules: Rules
) -> None:
    """Judge replicates of which some have no signal; the mean of the others is never a level."""
    silent = [well for well in used if well["cq_status"] == CqStatus.undetermined]
    seen = f"{detected} of {len(used)} wells have a signal"
    rule = rules["partial_detection"]
    ratio = mean / plate.lloq
    result.verdicts.append(verdict(rule, ratio, result.about, wells=_names(silent), why=seen))
    if ratio > rule.high:
        result.reason = f"replicates disagree: {seen}, with a mean of {mean:.3g} copies"
    else:
        result.status, result.reason = Status.detected_below_lloq, seen


def _replicates_agree(
    result: SampleResult,
    copies: np.ndarray,
    mean: float,
    used: Sequence[Well],
    plate: PlateCurve,
    rules: Rules,
) -> bool:
    """Judge the SD of replicate Cq, whose limit knows Poisson; one well always agrees with itself."""
    from scipy.stats import chi2

    n = len(copies)
    if n < 2:
        return True
    rule = rules["replicate_sd"]
    sd = float(np.std([well["cq"] for well in used], ddof=1))
    expected = math.sqrt(rule.values["sd0"] ** 2 + 1.0 / (plate.curve.ln_gain**2 * mean))
    limit = expected * math.sqrt(float(chi2.ppf(rule.values["confidence"], n - 1)) / (n - 1))
    geometric = float(np.exp(np.log(copies).mean()))
    why = f"mean of {n} wells {copies.mean():.4g} copies (arithmetic), {geometric:.4g} (geometric)"
    result.verdicts.append(verdict(rule, sd, result.about, wells=_names(used), why=why, high=limit))
    return not rule.fatal or sd <= limit


def _se_well(copies: np.ndarray, mean: float, curve: Curve, sd0: float) -> float:
    expected = math.sqrt((curve.ln_gain * sd0) ** 2 + 1.0 / mean)
    observed = float(np.std(np.log(copies), ddof=1)) if len(copies) > 1 else 0.0
    return max(observed, expected) / math.sqrt(len(copies))
