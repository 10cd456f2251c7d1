"""One sample on one plate: from its wells to a level, a status, limits and standard errors."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..schema import CqStatus, Status
from .curves.inverse import inverse_interval
from .curves.single_hit import hit_estimate
from .curves.standard_curve import Curve, Level
from .rules import Rules
from .verdicts import in_use, verdict

ReplicateMean = Literal["arithmetic", "geometric"]
Well = Mapping[str, Any]
Z95 = 1.959963984540054
INVERSE = "95 %, inverse prediction: the wells' error, Poisson at least, and the curve's (Fieller)"
HITS = "95 %, hit model of the wells; the curve's error is not in it"
DIGITAL = "95 %, exact Poisson, widened by the spread between wells"


@dataclass(frozen=True)
class PlateCurve:
    """A plate's curve for one target, and what may be read from it.

    `other` is the fit that is not used. `lod`, `lloq` and `uloq` are copies per well; `reasons` say why
    nothing may be read, and are empty otherwise.
    """

    curve: Curve
    other: Curve
    lod: float
    lloq: float
    uloq: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """What makes a level of the copies in the well: their factor, the DNA behind it, its standard errors.

    `why` says why there is no factor; `status` is then the sample's.
    """

    factor: float
    dna_ng: float = math.nan
    se_well: float = 0.0
    se_plate: float = 0.0
    why: str = ""
    status: Status = Status.invalid
    verdicts: tuple[dict[str, Any], ...] = ()


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
    n_detected: float = math.nan
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


def new_result(wells: Sequence[Well], scale: Scale) -> SampleResult:
    """Return the result of a sample's wells before anything is known of them but their names and their DNA."""
    first = wells[0]
    return SampleResult(
        first["run_id"],
        first["target"],
        first["sample_id"],
        scale.status,
        scale.why,
        n_wells=len(wells),
        dna_ng=float(first["dna_ng"]),
        dilution=float(first["dilution"]),
        patient_id=first["patient_id"],
        sample=first["sample"],
        purpose=first["purpose"],
        wells=" ".join(names_of(wells)),
        verdicts=list(scale.verdicts),
    )


def names_of(wells: Sequence[Well]) -> list[str]:
    """Return the wells' positions."""
    return [str(well["well_name"]) for well in wells]


def classify(result: SampleResult, copies: float, lod: float, lloq: float, uloq: float, factor: float) -> bool:
    """Give the result its status by its copies in the well, and return whether they are quantified.

    The top of the range belongs to it, up to what floating point cannot tell apart.
    """
    result.copies = copies
    result.lod, result.lloq, result.uloq = lod * factor, lloq * factor, uloq * factor
    if copies < lloq:
        result.status = Status.detected_below_lloq
        result.reason = f"{copies:.3g} copies in the well are below the LLOQ of {lloq:.4g}"
    elif copies > uloq:
        result.status = Status.above_uloq
        result.reason = f"{copies:.4g} copies in the well are above the highest that can be read, {uloq:.4g}"
    else:
        result.status, result.reason = Status.quantified, ""
        result.level = copies * factor
    return result.status is Status.quantified


def set_interval(result: SampleResult, low: float, high: float, kind: str, scale: Scale) -> None:
    """Give the result its interval: the ratios of its ends to the copies, widened by the error of the scale."""
    level = result.copies * scale.factor
    extra = Z95 * math.hypot(scale.se_well, scale.se_plate)

    def end(ratio: float, sign: float) -> float:
        if not 0.0 < ratio < math.inf:
            return level * ratio
        return level * math.exp(sign * math.hypot(math.log(ratio), extra))

    result.level_low, result.level_high = end(low, -1.0), end(high, 1.0)
    result.interval_kind = kind


def sample_result(
    wells: Sequence[Well], plate: PlateCurve, scale: Scale, rules: Rules, *, replicate_mean: ReplicateMean
) -> SampleResult:
    """Return the level of one sample on one plate.

    Parameters
    ----------
    wells : sequence of mapping
        The sample's wells, with ``copies`` filled in.
    plate : PlateCurve
        The curve they are read from.
    scale : Scale
        What makes a level of copies.
    rules : Rules
        Acceptance criteria.
    replicate_mean : {"arithmetic", "geometric"}
        Mean of the wells' copies.

    Notes
    -----
    ``level = copies * factor``; all limits are scaled alike, so a smaller input gives a higher LLOQ. `se_well`
    is SD(ln copies)/sqrt(k) of the k wells, where the SD is the greater of the observed one and
    ``sqrt((ln(1+E) s0)^2 + 1/copies)``, with s0 of the rule ``well_noise``. `se_plate` is `Curve.ln_se`.

    Where some wells have no signal the copies are those of the hit model (`ckinetics.assay.curves.single_hit`), never
    the mean of the wells with one.
    """
    used = [well for well in wells if in_use(well)]
    result = new_result(used or wells, scale)
    factor = scale.factor
    result.lod, result.lloq, result.uloq = plate.lod * factor, plate.lloq * factor, plate.uloq * factor
    if scale.why:
        return result
    result.status = Status.invalid
    if not used:
        result.reason = "all wells of the sample are left out"
        return result
    result.verdicts.append(verdict(rules["replicates"], float(len(used)), result.about, wells=names_of(used)))
    if plate.reasons:
        result.reason = "; ".join(plate.reasons)
        return result
    blank = [well for well in used if well["cq_status"] == CqStatus.missing]
    if blank:
        result.reason = f"the Cq of well {blank[0]['well_name']} is blank: neither a signal nor 'Undetermined'"
        return result
    seen = [well for well in used if well["cq_status"] == CqStatus.determined]
    result.n_detected = len(seen)
    if len(seen) < len(used):
        _by_hits(result, seen, used, plate, scale, rules)
        return result
    copies = [float(well["copies"]) for well in seen]
    cqs = [float(well["cq"]) for well in seen]
    mean = _means(result, copies, replicate_mean)
    if plate.other.usable:
        others = [10.0 ** ((cq - plate.other.intercept) / plate.other.slope) for cq in cqs]
        result.copies_other_fit = _mean(others, replicate_mean)
    # The harmonic mean: with another one the wells that scatter most would set themselves too tight a limit.
    agree = _replicates_agree(result, len(copies) / math.fsum(1.0 / n for n in copies), cqs, used, plate, rules)
    if not agree and max(copies) >= plate.lloq:
        result.copies, result.reason = mean, str(result.verdicts[-1]["message"])
        return result
    own = _se_well(copies, mean, plate.curve, rules.value("well_noise", "sd0"))
    if classify(result, mean, plate.lod, plate.lloq, plate.uloq, factor):
        result.se_well = math.hypot(own, scale.se_well)
        result.se_plate = math.hypot(plate.curve.ln_se(mean), scale.se_plate)
    if result.status is not Status.above_uloq:  # beyond the standards the line is not known
        # The residuals of all standards say too little of few copies: the wells' own error is the least.
        found = inverse_interval(plate.curve, math.fsum(cqs) / len(cqs), len(cqs), least_se=own / plate.curve.ln_gain)
        set_interval(result, found.low / found.copies, found.high / found.copies, INVERSE, scale)
    return result


def _means(result: SampleResult, copies: Sequence[float], replicate_mean: ReplicateMean) -> float:
    result.copies_arithmetic, result.copies_geometric = _mean(copies, "arithmetic"), _mean(copies, "geometric")
    return result.copies_arithmetic if replicate_mean == "arithmetic" else result.copies_geometric


# A sample has two or three wells, and a batch ten thousands of samples: plain floats are faster here than arrays.
def _mean(values: Sequence[float], replicate_mean: ReplicateMean) -> float:
    if replicate_mean == "arithmetic":
        return math.fsum(values) / len(values)
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _sd(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _by_hits(
    result: SampleResult,
    seen: Sequence[Well],
    used: Sequence[Well],
    plate: PlateCurve,
    scale: Scale,
    rules: Rules,
) -> None:
    """Judge replicates of which some, or all, have no signal by the hit model."""
    silent = [well for well in used if well["cq_status"] == CqStatus.undetermined]
    sd0, probability = rules.value("well_noise", "sd0"), rules.value("hit_model", "hit_probability")
    cq = np.array([well["cq"] for well in seen], dtype=np.float64)
    found = hit_estimate(cq, len(silent), plate.curve, sd0=sd0, hit_probability=probability)
    if found.reason:
        result.reason = found.reason
        return
    if not seen:
        result.status, result.reason = Status.not_detected, f"no signal in {len(used)} wells"
        result.copies = 0.0
        result.level_low, result.level_high = 0.0, found.high * scale.factor
        result.interval_kind = HITS
        return
    _means(result, [float(well["copies"]) for well in seen], "arithmetic")
    words = f"{len(seen)} of {len(used)} wells have a signal"
    rule = rules["partial_detection"]
    why = f"{words}, {found.copies:.3g} copies in the well by the hit model"
    result.verdicts.append(verdict(rule, found.p_silent, result.about, wells=names_of(silent), why=why))
    if rule.fatal and found.p_silent < rule.low:
        result.copies = found.copies
        result.reason = f"replicates disagree: {words}, with a mean of {result.copies_arithmetic:.3g} copies in these"
        return
    if classify(result, found.copies, plate.lod, plate.lloq, plate.uloq, scale.factor):
        result.se_well = math.hypot(found.ln_se, scale.se_well)
        result.se_plate = math.hypot(plate.curve.ln_se(found.copies), scale.se_plate)
    result.reason = f"{result.reason}; {words}" if result.reason else words
    set_interval(result, found.low / found.copies, found.high / found.copies, HITS, scale)


def mass_scale(wells: Sequence[Well], rules: Rules) -> Scale:
    """Return the scale of copies/ug from the DNA in the well as the sample sheet gives it, before any dilution.

    A rich extract that was diluted because its sample was above the ULOQ is not short of DNA. Without a known
    mass there is no copies/ug whatever the rules say.
    """
    first = wells[0]
    about = {"run_id": first["run_id"], "target": first["target"], "sample_id": first["sample_id"]}
    mass, rule = float(first["dna_ng"]), rules["dna_input"]
    unknown = math.isnan(mass)
    why = "the sample sheet gives no DNA mass" if unknown else ""
    entry = verdict(rule, mass, about, wells=names_of(wells), why=why)
    factor = 1000.0 * float(first["dilution"]) / mass if mass > 0 else math.nan
    if unknown:
        return Scale(factor, why=f"sample '{first['sample']}' has no DNA mass in the sample sheet", verdicts=(entry,))
    if mass == 0 or (rule.fatal and mass < rule.low):
        return Scale(factor, mass, why=str(entry["message"]), status=Status.insufficient_dna, verdicts=(entry,))
    if rule.fatal and mass > rule.high:
        return Scale(factor, mass, why=f"{entry['message']}: check the unit of the mass", verdicts=(entry,))
    return Scale(factor, mass, verdicts=(entry,))


def _replicates_agree(
    result: SampleResult, mean: float, cqs: Sequence[float], used: Sequence[Well], plate: PlateCurve, rules: Rules
) -> bool:
    """Judge the SD of replicate Cq, whose limit knows Poisson; one well always agrees with itself."""
    n = len(used)
    if n < 2:
        return True
    rule = rules["replicate_sd"]
    sd = _sd(cqs)
    expected = math.sqrt(rule.values["sd0"] ** 2 + 1.0 / (plate.curve.ln_gain**2 * mean))
    limit = expected * math.sqrt(_chi2_ppf(rule.values["confidence"], n - 1) / (n - 1))
    why = (
        f"mean of {n} wells {result.copies_arithmetic:.4g} copies (arithmetic), "
        f"{result.copies_geometric:.4g} (geometric)"
    )
    result.verdicts.append(verdict(rule, sd, result.about, wells=names_of(used), why=why, high=limit))
    return not rule.fatal or sd <= limit


@functools.lru_cache(maxsize=1024)
def _chi2_ppf(probability: float, df: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(probability, df))


def _se_well(copies: Sequence[float], mean: float, curve: Curve, sd0: float) -> float:
    expected = math.sqrt((curve.ln_gain * sd0) ** 2 + 1.0 / mean)
    observed = _sd([math.log(value) for value in copies]) if len(copies) > 1 else 0.0
    return max(observed, expected) / math.sqrt(len(copies))
