"""What the verdicts on curves and controls say of each file: ok, failed, or not evaluable."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..schema import UNUSABLE_STATUSES, Verdict, YesNo
from .outcome import FAILED, OK, QC_FAILED, UNJUDGED, FileVerdict

# Verdicts about a sample or about the vendor's own figures do not fail a plate.
REVIEWED = ("late_positive", "predose_positive")
_NOT_OF_THE_PLATE = ("sample_sheet", "vendor_curve", "vendor_quantity", "vendor_concentration")


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
        else:
            verdict = OK
            message = "; ".join(filter(None, [str(wells["message"].values[at]), *remarks.get(digest, [])]))
        verdicts.append(FileVerdict(name, digest, "plate", verdict, message))
    of_files = (wells["fault_sample"].values == "") & (wells["fault_fatal"].values == 1)
    for at in np.flatnonzero(~of_files).tolist():
        message = str(wells["fault_message"].values[at])
        if wells["fault_fatal"].values[at]:
            name, row = str(wells["fault_file"].values[at]), wells["fault_row"].values[at]
            sheet = str(wells["fault_sheet"].values[at])
            where = (f"sheet '{sheet}', " if sheet else "") + (f"row {row:g}: " if np.isfinite(row) else "")
            verdicts.append(FileVerdict(name, "", "sample", FAILED, where + message))
        else:
            notes.append(message)
    return verdicts, notes


def lost_samples(tree: xr.DataTree) -> list[str]:
    """Return a sentence for each sample that has no level although its plate was accepted."""
    notes: list[str] = []
    kinetics = tree.to_dataset()
    lost = np.isin(kinetics["status"].values, [int(status) for status in UNUSABLE_STATUSES])
    bad_runs = set(judge_runs(tree))
    for sample, run_id, reason in zip(
        *(kinetics[name].values[lost].tolist() for name in ("sample_id", "plate", "reason")), strict=True
    ):
        if sample and run_id not in bad_runs:
            notes.append(f"sample '{sample}' has no level: {reason}")
    return notes


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
