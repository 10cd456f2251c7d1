"""What the verdicts on curves and controls say of each file: ok, failed, or not evaluable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..schema import UNUSABLE_STATUSES, Verdict, YesNo
from .outcome import FAILED, OK, QC_FAILED, UNJUDGED, FileVerdict

# Verdicts about a sample or about the vendor's own figures do not fail a plate.
REVIEWED = ("late_positive", "predose_positive")
_NOT_OF_THE_PLATE = ("sample_sheet", "vendor_curve", "vendor_quantity", "vendor_concentration")
_FEW, _NAMED = 5, 100  # faults of a kind that are told one by one, and names in a sentence about more


class _Fault(NamedTuple):
    where: str
    sample: str
    message: str


def plate_verdicts(wells: xr.Dataset, tree: xr.DataTree | None) -> tuple[list[FileVerdict], list[str]]:
    """Return a verdict for each export and for each sample without an entry, and notes on entries without wells.

    Parameters
    ----------
    wells : Dataset
        From `ckinetics.assay.read_plates` with ``errors="collect"``.
    tree : DataTree or None
        From `ckinetics.assay.quantify`; None where nothing could be quantified.
    """
    verdicts: list[FileVerdict] = []
    notes: list[str] = []
    judged = {} if tree is None else judge_runs(tree)
    run_of = dict(zip(wells["run_id"].values.tolist(), wells["file_sha256"].values.tolist(), strict=True))
    remarks: dict[str, list[str]] = {}
    for run_id, words in ({} if tree is None else _remarks(tree)).items():
        if run_id in run_of:
            remarks.setdefault(run_of[run_id], []).extend(words)
        else:  # about all runs, as reanalysis is
            notes += words
    by_file: dict[str, list[tuple[str, str]]] = {}
    for run_id, judgement in judged.items():
        by_file.setdefault(run_of[run_id], []).append(judgement)
    for at in range(wells.sizes["export"]):
        name, digest = str(wells["file_name"].values[at]), str(wells["file_hash"].values[at])
        found = by_file.get(digest, [])
        if wells["verdict"].values[at] == Verdict.failed:
            verdict, message = FAILED, str(wells["message"].values[at])
        elif found:
            verdict = QC_FAILED if any(kind == QC_FAILED for kind, _ in found) else UNJUDGED
            message = "; ".join(dict.fromkeys(text for _, text in found))
        else:  # what is wrong with its samples is said of these
            verdict, message = OK, "; ".join(remarks.get(digest, []))
        verdicts.append(FileVerdict(name, digest, "plate", verdict, message))
    samples, unused = _sample_faults(wells)
    for name, faults in samples.items():
        verdicts += [FileVerdict(name, "", "sample", FAILED, text) for text in _shortened(faults)]
    notes += [text for faults in unused for text in _shortened(faults)]
    return verdicts, notes


def _sample_faults(wells: xr.Dataset) -> tuple[dict[str, list[_Fault]], list[list[_Fault]]]:
    """Return what costs samples of a file their levels, by file, and what else is wrong with a sheet, by kind."""
    failed = set(wells["file_name"].values[wells["verdict"].values == Verdict.failed].tolist())
    fatal: dict[str, list[_Fault]] = {}
    other: dict[tuple[str, bool], list[_Fault]] = {}
    names = ("fault_file", "fault_sheet", "fault_row", "fault_sample", "fault_fatal", "fault_message")
    for file, sheet, row, sample, costs, message in zip(*(wells[name].values.tolist() for name in names), strict=True):
        place = [f"sheet '{sheet}'"] if sheet else []
        place += [f"row {row:g}"] if np.isfinite(row) else []
        if not costs:
            where = ", ".join([file, *place] if file else place)
            other.setdefault((file, len(place) > bool(sheet)), []).append(_Fault(where, sample, message))
        elif file not in failed:
            fatal.setdefault(file, []).append(_Fault(", ".join(place), sample, message))
    return fatal, list(other.values())


def _shortened(faults: Sequence[_Fault]) -> list[str]:
    """Return a sentence a fault, or one for all where there are many: the first, and the names of the others."""
    texts = [f"{fault.where}: {fault.message}" if fault.where else fault.message for fault in faults]
    if len(faults) <= _FEW:
        return texts
    others = [f"'{fault.sample}'" if fault.sample else fault.where for fault in faults[1 : _NAMED + 1]]
    more = ", …" if len(faults) > _NAMED + 1 else ""
    return [f"{texts[0]}; and likewise {len(faults) - 1} others: {', '.join(others)}{more}"]


def lost_samples(tree: xr.DataTree) -> list[str]:
    """Return a sentence for each sample that has no level although its plate was accepted."""
    by_reason: dict[str, list[_Fault]] = {}
    kinetics = tree.to_dataset()
    lost = np.isin(kinetics["status"].values, [int(status) for status in UNUSABLE_STATUSES])
    bad_runs = set(judge_runs(tree))
    for sample, run_id, reason in zip(
        *(kinetics[name].values[lost].tolist() for name in ("sample_id", "plate", "reason")), strict=True
    ):
        if sample and run_id not in bad_runs:
            fault = _Fault("", sample, f"sample '{sample}' has no level: {reason}")
            by_reason.setdefault(str(reason), []).append(fault)
    return [text for faults in by_reason.values() for text in _shortened(faults)]


def findings(tree: xr.DataTree) -> list[str]:
    """Return a sentence for each finding in a patient's series that a person should look at."""
    verdicts = tree.children["verdicts"].to_dataset(inherit=False)
    mine = np.isin(verdicts["rule"].values.astype(str), REVIEWED) & (verdicts["outcome"].values == Verdict.failed)
    samples, messages = verdicts["sample_id"].values[mine], verdicts["message"].values[mine]
    return [f"sample '{sample}': {message}" for sample, message in zip(samples, messages, strict=True)]


def judge_runs(tree: xr.DataTree) -> dict[str, tuple[str, str]]:
    """Return, for each run that was not accepted, whether it failed and why in words."""
    curves = tree.children["curves"].to_dataset(inherit=False)
    verdicts = tree.children["verdicts"].to_dataset(inherit=False)
    curves = curves.isel(curve=curves["used"].values != YesNo.no)
    of_plate = (verdicts["sample_id"].values == "") & ~np.isin(verdicts["rule"].values.astype(str), _NOT_OF_THE_PLATE)
    judged: dict[str, tuple[str, str]] = {}
    for run_id, accepted in zip(curves["run_id"].values.tolist(), curves["accepted"].values, strict=True):
        if accepted == Verdict.passed or judged.get(run_id, ("", ""))[0] == QC_FAILED:
            continue
        mine = of_plate & (verdicts["run_id"].values == run_id)
        outcome = verdicts["outcome"].values
        if accepted == Verdict.failed:
            words = verdicts["message"].values[mine & (outcome == Verdict.failed)].tolist()
            judged[run_id] = (QC_FAILED, "; ".join(map(str, words)))
        else:
            words = verdicts["message"].values[mine & (outcome == Verdict.not_evaluable)].tolist()
            judged[run_id] = (UNJUDGED, str(words[0]) if words else "the curve cannot be judged")
    return judged


def _remarks(tree: xr.DataTree) -> dict[str, list[str]]:
    """Return, for each run, what a person should know of its curves and controls although it was accepted."""
    verdicts = tree.children["verdicts"].to_dataset(inherit=False)
    noted = (verdicts["sample_id"].values == "") & (verdicts["rule"].values != "sample_sheet")
    noted &= verdicts["outcome"].values != Verdict.passed
    remarks: dict[str, list[str]] = {}
    for at in np.flatnonzero(noted).tolist():
        remarks.setdefault(str(verdicts["run_id"].values[at]), []).append(str(verdicts["message"].values[at]))
    return remarks
