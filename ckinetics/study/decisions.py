"""What was decided about wells, results and rules, written to a run's record: by whom or by which rule, when, why."""

from __future__ import annotations

import xarray as xr

from ..assay.overrides import Overrides
from ..jobs import Record
from ..schema import YesNo


def record_decisions(record: Record, tree: xr.DataTree, overrides: Overrides | None) -> int:
    """Append each manual override, and each group of wells that a preset rule masked, to the record.

    Parameters
    ----------
    record : Record
        The run's record.
    tree : DataTree
        From `ckinetics.assay.quantify`.
    overrides : Overrides or None
        The overrides that were given.

    Returns
    -------
    int
        How many entries were made.
    """
    entries = [] if overrides is None else list(overrides.entries)
    for entry in entries:
        record.append("override", entry.record() | {"file_sha256": overrides.sha256 if overrides else ""})
    wells = tree.children["wells"].variables
    masked = wells["masked"].values == YesNo.yes
    names = ("run_id", "target", "mask_reason", "well_name")
    found: dict[tuple[str, str, str], list[str]] = {}
    for run_id, target, reason, well in zip(*(wells[name].values[masked].tolist() for name in names), strict=True):
        found.setdefault((run_id, target, reason), []).append(well)
    for (run_id, target, reason), names_of in found.items():
        record.append("mask", {"run": run_id, "target": target, "wells": " ".join(names_of), "why": reason})
    return len(entries) + len(found)
