"""Who a well belongs to: its role, and its sample in the sample sheet."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .sample_sheet import Entry, SampleSheet


@dataclass(frozen=True)
class Fault:
    """One fault of a file or a sample: what is wrong and where, and whether it stops `read_plates`."""

    error: InputError
    sample: str = ""
    fatal: bool = True


def identify(
    path: Path, rows: list[dict[str, Any]], patterns: list[tuple[str, str]], sheet: SampleSheet | None
) -> list[Fault]:
    """Give each well its role and, from the sample sheet, its patient and DNA mass.

    Parameters
    ----------
    path : Path
        The file, for messages.
    rows : list of dict
        Its wells; changed in place.
    patterns : list of tuple of str
        Folded patterns of sample names, and the role of each.
    sheet : SampleSheet or None
        The sample sheet.

    Returns
    -------
    list of Fault
        One for each sample of a patient that is not in the sheet.

    Raises
    ------
    InputError
        Export and sheet contradict each other.
    """
    unlisted: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        entry = None
        if sheet is not None:
            entry = sheet.find((row["run_id"], path.name, path.stem), row["well_name"], row["sample"])
        named = next((role for name, role in patterns if fnmatch.fnmatchcase(row["sample"].casefold(), name)), None)
        exported = row["role"]
        row["role"] = named or (entry.role if entry else "") or row["role"]
        if entry is not None:
            _join(path, row, entry, exported, sheet)
        elif sheet is not None and row["role"] in ("unknown", ""):
            unlisted.setdefault((row["run_id"], row["sample"]), []).append(row)
        _move_quantity(row, exported)
    return [_unlisted_fault(path, name, found, sheet) for (_, name), found in unlisted.items() if sheet is not None]


def _join(path: Path, row: dict[str, Any], entry: Entry, exported: str, sheet: SampleSheet | None) -> None:
    def refuse(message: str) -> InputError:
        return InputError(message, file=path, sheet=row["sheet"], row=int(row["row"]))

    where = f"row {entry.row} of the sample sheet"
    row["sample"] = row["sample"] or entry.sample
    row["target"] = row["target"] or entry.target
    if not np.isnan(entry.reaction_ul):
        stated = row.get("reaction_ul", np.nan)
        if not np.isnan(stated) and not np.isclose(stated, entry.reaction_ul, rtol=1e-3):
            raise refuse(
                f"the reaction of sample '{row['sample']}' has {stated:g} uL on the plate but {entry.reaction_ul:g} uL "
                f"in {where}: correct one of them"
            )
        row["reaction_ul"] = entry.reaction_ul
    if entry.patient_id and entry.is_patients:
        row["role"] = row["role"] or "unknown"
        if row["role"] != "unknown":
            raise refuse(
                f"sample '{row['sample']}' is a {row['role']} on the plate but patient '{entry.patient_id}' in "
                f"{where}: correct the sheet, or give the sample a role there"
            )
        row |= {
            "sample_id": entry.sample_id,
            "patient_id": entry.patient_id,
            "matrix": entry.matrix,
            "nominal_time": entry.nominal_time,
            "time": entry.time,
            "collected": entry.collected,
            "dna_ng": entry.dna_ng,
            "dilution": entry.dilution,
            "purpose": entry.purpose,
        }
    elif row["role"] in ("standard", "qc") and not np.isnan(entry.nominal_copies):
        stated = row.get("nominal_copies", np.nan)
        if not np.isnan(stated) and not np.isclose(stated, entry.nominal_copies, rtol=1e-9):
            raise refuse(
                f"sample '{row['sample']}' has {stated:g} nominal copies on the plate but "
                f"{entry.nominal_copies:g} in {where}: correct one of them"
            )
        row["nominal_copies"] = entry.nominal_copies


def _move_quantity(row: dict[str, Any], exported: str) -> None:
    """Keep a quantity where it belongs when the role is not the exported one.

    A QC that was exported as an unknown has the vendor's result, not a nominal value.
    """
    if exported in ("standard", "qc") and row["role"] not in ("standard", "qc"):
        row.pop("nominal_copies", None)


def _unlisted_fault(path: Path, name: str, found: list[dict[str, Any]], sheet: SampleSheet) -> Fault:
    first = found[0]
    wells = ", ".join(dict.fromkeys(row["well_name"] for row in found[:8])) + (", …" if len(found) > 8 else "")
    elsewhere = sheet.runs_of(name) if name else []
    near = sheet.nearest(name) if name and not elsewhere else ""
    hint = f" (nearest there: '{near}')" if near else ""
    if elsewhere:
        hint = f" for run '{first['run_id']}' (it is, for {', '.join(map(repr, elsewhere[:3]))})"
    what = f"sample '{name}'" if name else "a sample without a name"
    return Fault(
        InputError(
            f"{what} (wells {wells}) is not in the sample sheet{hint}: add it, or give it a control's role",
            file=path,
            sheet=first["sheet"],
            row=int(first["row"]),
        ),
        sample=name,
    )


def unused_parts(sheet: SampleSheet) -> list[Fault]:
    """Return the columns of the sheet that mean nothing and the rows that no well was found for; none is fatal."""
    listed = ", ".join(f"'{name}'" for name in sheet.unused_columns)
    columns = [Fault(sheet.error(f"columns that are not used: {listed}"), fatal=False)] if listed else []
    return columns + [
        Fault(
            sheet.error(f"'{entry.sample or entry.well}' is on no plate that was read", entry.row),
            sample=entry.sample,
            fatal=False,
        )
        for entry in sheet.entries
        if entry.row not in sheet.used
    ]
