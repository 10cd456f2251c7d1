"""Verdicts on what a plate carries beside its standards: QC samples, internal controls, partitions, repeats."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..schema import BLQ_STATUSES, CqStatus, Status, Verdict
from .levels import SampleResult, Well, names_of
from .rules import Rule, Rules
from .verdicts import in_use, verdict

ISR = "isr"


def qc_verdicts(wells: Sequence[Well], rules: Rules, about: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the verdicts on the QC wells of a run and target, by level and over all.

    Without QC wells there is none, unless the rule ``qc_overall`` requires them.

    Parameters
    ----------
    wells : sequence of mapping
        All wells of the run and target, with ``copies`` filled in. A QC well without a signal has failed.
    rules : Rules
        Acceptance criteria.
    about : mapping
        ``run_id`` and ``target``.
    """
    controls = [well for well in wells if well["role"] == "qc" and in_use(well)]
    rule = rules["qc_overall"]
    if not controls:
        why = "the plate has no QC well" + (" that is not left out" if any(w["role"] == "qc" for w in wells) else "")
        return [verdict(rule, math.nan, about, why=why)] if rule.required else []
    unknown = [well for well in controls if math.isnan(well["nominal_copies"])]
    if unknown:
        why = "QC wells have no nominal copies: give them in the sample sheet"
        return [verdict(rule, math.nan, about, wells=names_of(unknown), why=why)]
    high = rules["qc_error"].high
    levels: dict[float, list[Well]] = defaultdict(list)
    for well in controls:
        levels[float(well["nominal_copies"])].append(well)
    out, failed = [], []
    for nominal, own in sorted(levels.items()):
        bad = [well for well in own if not _error_pct(well) <= high]
        failed += bad
        read = ", ".join(f"{well['copies']:.4g}" if math.isfinite(well["copies"]) else "none" for well in own)
        why = f"QC of {nominal:g} copies reads {read} (limit of one: {high:g} %)"
        share = 1.0 - len(bad) / len(own)
        out.append(verdict(rules["qc_per_level"], share, about, wells=names_of(bad or own), why=why))
        seen = [float(well["copies"]) for well in own if math.isfinite(well["copies"])]
        if len(seen) > 1:
            cv = statistics.stdev(seen) / statistics.mean(seen) * 100.0
            out.append(verdict(rules["qc_precision"], cv, about, wells=names_of(own), why=f"QC of {nominal:g} copies"))
    why = f"{len(controls) - len(failed)} of {len(controls)} QC wells"
    share = 1.0 - len(failed) / len(controls)
    out.append(verdict(rule, share, about, wells=names_of(failed), why=why))
    return out


def _error_pct(well: Well) -> float:
    return 100.0 * abs(well["copies"] - well["nominal_copies"]) / well["nominal_copies"]


def inhibition_verdicts(
    records: Sequence[Well], rules: Rules, *, ipc_target: str | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return a verdict for each sample, by run and name, whose wells hold an internal positive control.

    The control's mean Cq in the sample is set against that in the run's no-template wells: a sample that delays it
    inhibits its own target too. Of several controls in a sample the worst counts. Where the rule is required, a
    sample without a control has a verdict too: not evaluable.

    Parameters
    ----------
    records : sequence of mapping
        All wells. Those of role ``ipc``, and those of `ipc_target`, hold the control.
    rules : Rules
        Acceptance criteria.
    ipc_target : str, optional
        Target of the control in wells whose role is the sample's.
    """
    rule = rules["inhibition"]
    blank = {(well["run_id"], well["well_name"]) for well in records if well["role"] == "ntc"}
    blank_names = {(well["run_id"], well["sample"]) for well in records if well["role"] == "ntc" and well["sample"]}
    # A control's row may leave the sample to the other target's row of the well.
    names = {(well["run_id"], well["well_name"]): well["sample"] for well in records if well["sample"]}
    references: dict[tuple[str, str], list[Well]] = defaultdict(list)
    samples: dict[tuple[str, str], dict[str, list[Well]]] = {}
    for well in records:
        if not in_use(well) or not (well["role"] == "ipc" or well["target"] == ipc_target):
            continue
        run, target, at = well["run_id"], well["target"], (well["run_id"], well["well_name"])
        sample = well["sample"] or names.get(at, "")
        if at in blank or (run, sample) in blank_names:
            references[run, target].append(well)
        elif sample and well["role"] in ("ipc", "unknown"):
            samples.setdefault((run, sample), {}).setdefault(target, []).append(well)
    out = {}
    for (run, sample), targets in samples.items():
        found = [_delay(rule, sample, own, references[run, target]) for target, own in targets.items()]
        out[run, sample] = max(found, key=_severity)
    if rule.required:
        for well in records:
            key = (well["run_id"], well["sample"])
            if well["role"] == "unknown" and well["patient_id"] and key not in out:
                about = {"run_id": key[0], "target": ipc_target or "", "sample_id": ""}
                why = f"no well of sample '{key[1]}' holds an internal control"
                out[key] = verdict(rule, math.nan, about, why=why)
    return out


def _delay(rule: Rule, sample: str, own: Sequence[Well], reference: Sequence[Well]) -> dict[str, Any]:
    about = {"run_id": own[0]["run_id"], "target": own[0]["target"], "sample_id": ""}
    what = f"the internal control of sample '{sample}'"
    standard = [float(well["cq"]) for well in reference if well["cq_status"] == CqStatus.determined]
    seen = [float(well["cq"]) for well in own if well["cq_status"] == CqStatus.determined]
    silent = [well for well in own if well["cq_status"] == CqStatus.undetermined]
    if not standard:
        why = "no no-template well of the run has a signal of the internal control"
        return verdict(rule, math.nan, about, wells=names_of(own), why=why)
    if silent:
        return verdict(
            rule, math.inf, about, wells=names_of(silent), why=f"{what} has no signal in {len(silent)} wells"
        )
    if len(seen) < len(own):
        return verdict(rule, math.nan, about, wells=names_of(own), why=f"the Cq of a well of {what} is blank")
    means = statistics.mean(seen), statistics.mean(standard)
    why = f"{what} has Cq {means[0]:.4g}, {means[1]:.4g} in {len(standard)} no-template wells"
    return verdict(rule, means[0] - means[1], about, wells=names_of(own), why=why)


def _severity(entry: Mapping[str, Any]) -> tuple[int, float]:
    order = (Verdict.passed, Verdict.not_evaluable, Verdict.failed)
    return order.index(entry["outcome"]), -math.inf if math.isnan(entry["value"]) else entry["value"]


def partition_verdicts(used: Sequence[Well], rules: Rules, about: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the verdict on the partitions of a plate's wells: the fewest, and the wells with too few.

    Wells of droplets and of chips or nanoplates have limits of their own.
    """
    kinds: dict[str, list[Well]] = defaultdict(list)
    for well in used:
        if math.isfinite(well["n_partitions"]):
            kinds["droplets" if _is_droplet(well) else "partitions"].append(well)
    out = []
    for name, own in sorted(kinds.items()):
        rule = rules[name]
        poor = [well for well in own if well["n_partitions"] < rule.low]
        fewest = min(float(well["n_partitions"]) for well in own)
        out.append(verdict(rule, fewest, about, wells=names_of(poor), why=f"the fewest of {len(own)} wells"))
    return out


def _is_droplet(well: Well) -> bool:
    """Return whether partitions are droplets: of 0.7 to 1 nL, where chips and nanoplates of such have 26,000."""
    return 0.7 <= well["partition_nl"] <= 1.0 and well["n_partitions"] < 23_000


def reference_verdict(
    mass_ng: float, nominal_ng: float, rules: Rules, about: Mapping[str, str], *, wells: Sequence[str]
) -> dict[str, Any]:
    """Return the verdict on the DNA by a reference gene against that of the sample sheet."""
    known = nominal_ng > 0
    share = mass_ng / nominal_ng * 100.0 if known else math.nan
    words = f"{mass_ng:.4g} ng by the reference gene, {nominal_ng:.4g} ng in the sample sheet"
    why = words if known else "the sample sheet gives no DNA mass"
    return verdict(rules["reference_gene"], share, about, wells=wells, why=why)


def dilution_verdicts(results: Sequence[SampleResult], rules: Rules) -> list[dict[str, Any]]:
    """Return the verdict on a sample's levels at different dilutions on one run; none where nothing can be compared.

    A result outside the range counts with its limit: a neat extract below its LLOQ, and far above it when diluted,
    is what inhibition looks like.
    """
    rule = rules["dilution_linearity"]
    runs: dict[str, list[SampleResult]] = defaultdict(list)
    for result in results:
        if _limits(result) is not None:
            runs[result.run_id].append(result)
    out = []
    for own in runs.values():
        quantified = [result for result in own if result.status is Status.quantified]
        if not quantified or len({(result.dna_ng, result.dilution) for result in own}) < 2:
            continue
        ends = [_limits(result) or (0.0, math.inf) for result in own]
        low, high = min(end[1] for end in ends), max(end[0] for end in ends)
        apart = max(0.0, 100.0 * (high - low) / low)
        if len(quantified) < 2 and apart <= rule.high:
            continue  # a limit and a level that do not contradict each other say no more
        listed = ", ".join(f"'{result.sample}' {_level_text(result)}" for result in own)
        wells = [name for result in own for name in result.wells.split()]
        out.append(verdict(rule, apart, own[0].about, wells=wells, why=listed))
    return out


def _limits(result: SampleResult) -> tuple[float, float] | None:
    """Return between what a result's level is, None where it says nothing."""
    if result.status is Status.quantified:
        return result.level, result.level
    if result.status in BLQ_STATUSES and result.lloq > 0:
        return 0.0, result.lloq
    if result.status is Status.above_uloq and result.uloq > 0:
        return result.uloq, math.inf
    return None


def _level_text(result: SampleResult) -> str:
    if result.status is Status.quantified:
        return f"{result.level:.4g}"
    sign, limit = (">", result.uloq) if result.status is Status.above_uloq else ("<", result.lloq)
    return f"{sign} {limit:.4g}"


def isr_verdicts(results: Sequence[SampleResult], rules: Rules) -> list[dict[str, Any]]:
    """Return the verdicts on incurred-sample reanalysis: one for each reanalysis, and one over all.

    Parameters
    ----------
    results : sequence of SampleResult
        All results, sorted by run; those of purpose "isr" are held against the sample's first other result that is
        quantified (or, where none is, that says something).
    rules : Rules
        Acceptance criteria.

    Notes
    -----
    The difference is ``|repeat - original| / mean * 100``. Where one of the two is below its LLOQ or above its ULOQ
    it counts with that limit: the difference is then at least so great, and a reanalysis fails by it or is not
    evaluable. Only those that were judged are in the share; the others are counted in its sentence.
    """
    repeats = [result for result in results if result.purpose == ISR]
    out = [_reanalysis(repeat, results, rules["isr_difference"]) for repeat in repeats]
    if not out:
        return []
    met = sum(entry["outcome"] == Verdict.passed for entry in out)
    judged = sum(entry["outcome"] != Verdict.not_evaluable for entry in out)
    why = f"{met} of {judged} reanalyses" if judged else "no reanalysis can be compared"
    if 0 < judged < len(out):
        why += f", {len(out) - judged} more cannot be compared"
    about = {"run_id": "", "target": repeats[0].target}
    wells = [name for entry in out if entry["outcome"] == Verdict.failed for name in entry["wells"].split()]
    return [*out, verdict(rules["isr"], met / judged if judged else math.nan, about, wells=wells, why=why)]


def _reanalysis(repeat: SampleResult, results: Sequence[SampleResult], rule: Rule) -> dict[str, Any]:
    others = [
        result
        for result in results
        if result.sample_id == repeat.sample_id and result.purpose != ISR and _limits(result) is not None
    ]
    quantified = [result for result in others if result.status is Status.quantified]
    original = next(iter(quantified or others), None)
    mine, its = _limits(repeat), None if original is None else _limits(original)
    if original is None or mine is None or its is None:
        which = "reanalysis" if mine is None else "original"
        why = f"the sample's {which} has no result"
        return verdict(rule, math.nan, repeat.about, wells=repeat.wells.split(), why=why)
    words = f"{_level_text(repeat)} on {repeat.run_id}, {_level_text(original)} on {original.run_id}"
    low, high = min(mine[1], its[1]), max(mine[0], its[0])
    apart = 100.0 * (high - low) / ((high + low) / 2.0)
    exact = repeat.status is original.status is Status.quantified
    if exact:
        apart = abs(apart)
    elif not apart > rule.high:
        return verdict(
            rule, math.nan, repeat.about, wells=repeat.wells.split(), why=f"not both are quantified: {words}"
        )
    why = words if exact else f"at least so much, for {words}"
    return verdict(rule, apart, repeat.about, wells=repeat.wells.split(), why=why)
