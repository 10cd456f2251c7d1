"""Verdicts on what a plate carries beside its standards: QC samples, internal controls, partitions, repeats."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..schema import CqStatus, Status, Verdict, YesNo
from .levels import SampleResult, Well, names_of
from .rules import Rules
from .verdicts import verdict

ISR = "isr"


def _in_use(well: Well) -> bool:
    return bool(well["omit"] != YesNo.yes and well["masked"] != YesNo.yes)


def qc_verdicts(wells: Sequence[Well], rules: Rules, about: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the verdicts on the QC wells of a run and target, by level and over all; none without QC wells.

    Parameters
    ----------
    wells : sequence of mapping
        All wells of the run and target, with ``copies`` filled in. A QC well without a signal has failed.
    rules : Rules
        Acceptance criteria.
    about : mapping
        ``run_id`` and ``target``.
    """
    controls = [well for well in wells if well["role"] == "qc" and _in_use(well)]
    if not controls:
        return []
    unknown = [well for well in controls if math.isnan(well["nominal_copies"])]
    if unknown:
        why = "QC wells have no nominal copies: give them in the sample sheet"
        return [verdict(rules["qc_overall"], math.nan, about, wells=names_of(unknown), why=why)]
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
    why = f"{len(controls) - len(failed)} of {len(controls)} QC wells"
    share = 1.0 - len(failed) / len(controls)
    out.append(verdict(rules["qc_overall"], share, about, wells=names_of(failed), why=why))
    return out


def _error_pct(well: Well) -> float:
    return abs(well["copies"] / well["nominal_copies"] - 1.0) * 100.0


def inhibition_verdicts(
    records: Sequence[Well], rules: Rules, *, ipc_target: str | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return a verdict for each sample, by run and name, whose wells hold an internal positive control.

    The control's mean Cq in the sample is set against that in the run's no-template wells: a sample that delays it
    inhibits its own target too.

    Parameters
    ----------
    records : sequence of mapping
        All wells. Those of role ``ipc``, and those of `ipc_target`, hold the control.
    rules : Rules
        Acceptance criteria.
    ipc_target : str, optional
        Target of the control in wells whose role is the sample's.
    """
    controls = [
        well
        for well in records
        if _in_use(well) and (well["role"] == "ipc" or (ipc_target is not None and well["target"] == ipc_target))
    ]
    if not controls:
        return {}
    blank = {(well["run_id"], well["well_name"]) for well in records if well["role"] == "ntc"}
    blank_names = {(well["run_id"], well["sample"]) for well in records if well["role"] == "ntc" and well["sample"]}
    runs: dict[tuple[str, str], list[float]] = defaultdict(list)
    samples: dict[tuple[str, str, str], list[Well]] = defaultdict(list)
    for well in controls:
        run, target = well["run_id"], well["target"]
        if (run, well["well_name"]) in blank or (run, well["sample"]) in blank_names:
            if well["cq_status"] == CqStatus.determined:
                runs[run, target].append(float(well["cq"]))
        elif well["sample"]:
            samples[run, target, well["sample"]].append(well)
    rule, out = rules["inhibition"], {}
    for (run, target, sample), own in samples.items():
        about = {"run_id": run, "target": target, "sample_id": ""}
        reference = runs.get((run, target), [])
        seen = [float(well["cq"]) for well in own if well["cq_status"] == CqStatus.determined]
        value, why = math.nan, f"internal control of sample '{sample}'"
        if not reference:
            why = "no no-template well of the run has a signal of the internal control"
        elif len(seen) < len(own):
            value, why = (
                math.inf,
                f"the internal control of sample '{sample}' has no signal in {len(own) - len(seen)} wells",
            )
        else:
            value = sum(seen) / len(seen) - sum(reference) / len(reference)
        entry = verdict(rule, value, about, wells=names_of(own), why=why)
        out[run, sample] = entry
    return out


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
    """Return the verdict on a sample's quantified levels at different dilutions on one run; none without these."""
    if len(results) < 2:
        return []
    runs: dict[str, list[SampleResult]] = defaultdict(list)
    for result in results:
        if result.status is Status.quantified:
            runs[result.run_id].append(result)
    out = []
    for own in runs.values():
        if len({(result.dna_ng, result.dilution) for result in own}) < 2:
            continue
        low, high = (pick(own, key=lambda result: result.level) for pick in (min, max))
        apart = (high.level / low.level - 1.0) * 100.0
        listed = ", ".join(f"'{result.sample}' {result.level:.4g}" for result in own)
        wells = [name for result in own for name in result.wells.split()]
        out.append(verdict(rules["dilution_linearity"], apart, own[0].about, wells=wells, why=listed))
    return out


def isr_verdicts(results: Sequence[SampleResult], rules: Rules) -> list[dict[str, Any]]:
    """Return the verdicts on incurred-sample reanalysis: one for each sample, and one over all.

    Parameters
    ----------
    results : sequence of SampleResult
        All results; those of purpose "isr" are held against the sample's first other quantified result.
    rules : Rules
        Acceptance criteria.

    Notes
    -----
    The difference is ``(repeat - original) / mean * 100``.
    """
    repeats = [result for result in results if result.purpose == ISR]
    if not repeats:
        return []
    out, met, compared = [], 0, 0
    for repeat in repeats:
        originals = [
            result
            for result in results
            if result.sample_id == repeat.sample_id and result.purpose != ISR and result.status is Status.quantified
        ]
        value, why = math.nan, "the sample's original or its reanalysis is not quantified"
        if originals and repeat.status is Status.quantified:
            first = originals[0].level
            value = abs(repeat.level - first) / ((repeat.level + first) / 2.0) * 100.0
            why = f"{repeat.level:.4g} on {repeat.run_id}, {first:.4g} on {originals[0].run_id}"
            compared += 1
        entry = verdict(rules["isr_difference"], value, repeat.about, wells=repeat.wells.split(), why=why)
        met += entry["outcome"] == Verdict.passed
        out.append(entry)
    about = {"run_id": "", "target": repeats[0].target}
    share = met / compared if compared else math.nan
    why = f"{met} of {compared} samples" if compared else "no reanalysis can be compared"
    out.append(verdict(rules["isr"], share, about, why=why))
    return out
