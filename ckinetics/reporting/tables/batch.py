"""The tables of a laboratory's batch: every result with the file and rows behind it, and the sheets of its workbook."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...delimited import csv_text
from ...provenance import now, user, versions
from ...schema import GROUPS
from ...tables import as_number
from .sheets import Sheet, samples_frame

_MOST_ROWS = 1_000_000  # a sheet holds 1,048,576, and has rows above its data


def spans(rows: Iterable[int]) -> str:
    """Return row numbers with neighbours joined.

    Examples
    --------
    >>> spans([7, 5, 6, 12])
    '5–7, 12'
    """
    out: list[list[int]] = []
    for row in sorted(set(rows)):
        if out and row == out[-1][1] + 1:
            out[-1][1] = row
        else:
            out.append([row, row])
    return ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in out)


def sheet_and_rows(wells: Mapping[str, np.ndarray], found: Iterable[int]) -> str:
    """Return the sheet, where the file has any, and the rows that some wells stand in."""
    by_sheet: dict[str, list[int]] = {}
    for at in found:
        by_sheet.setdefault(str(wells["sheet"][at]), []).append(int(wells["row"][at]))
    return "; ".join(f"{sheet} {spans(rows)}".strip() for sheet, rows in by_sheet.items())


def results_frame(tree: xr.DataTree) -> pd.DataFrame:
    """Return every result, one row each, with the file, its hash, and the sheet and rows that its wells stand in.

    Parameters
    ----------
    tree : DataTree
        From `quantify`, or one run of it.
    """
    frame = table_frame(tree, "results")
    wells = {str(name): array.values for name, array in tree.children["wells"].variables.items()}
    named = zip(*(wells[name].tolist() for name in ("run_id", "target", "sample", "well_name")), strict=True)
    places: dict[tuple[str, ...], list[int]] = {}
    for at, key in enumerate(named):
        places.setdefault(key, []).append(at)
    files, digests, where = [], [], []
    keys = zip(*(frame[name].tolist() for name in ("run_id", "target", "sample", "wells")), strict=True)
    for run_id, target, sample, names in keys:
        found = [at for name in names.split() for at in places.get((run_id, target, sample, name), [])]
        files.append(", ".join(dict.fromkeys(wells["file"][found].tolist())))
        digests.append(", ".join(dict.fromkeys(wells["file_sha256"][found].tolist())))
        where.append(sheet_and_rows(wells, found))
    return frame.assign(file=files, file_sha256=digests, sheet_and_rows=where)


def table_frame(tree: xr.DataTree, group: str) -> pd.DataFrame:
    """Return a table of the assay as a DataFrame, with codes as words."""
    dim = GROUPS[group].dims[0]
    dataset = tree.children[group].to_dataset(inherit=False)  # the root too has a variable 'matrix'
    columns = {}
    for name, var in GROUPS[group].by_name.items():
        values = dataset.variables[name].values
        if var.codes is not None:
            words = {int(code): code.name for code in var.codes}
            nothing = {-1: ""} if words.get(-1) in ("missing", "unknown") else {}
            values = np.array([(words | nothing).get(code, str(code)) for code in values.tolist()], dtype=object)
        columns[name] = values
    return pd.DataFrame(columns, index=range(dataset.sizes[dim]))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, where text that a spreadsheet would compute stays text; a number as text stays a number."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(map(csv_text, map(str, frame.columns)))
        for row in zip(*(frame[name].tolist() for name in frame.columns), strict=True):
            writer.writerow(map(_cell, row))


def _cell(value: Any) -> str:
    is_number = isinstance(value, str) and value.startswith("-") and as_number(value) is not None
    return value if is_number else csv_text(value)


def batch_sheets(
    tree: xr.DataTree, files: list[dict[str, str]], settings: Mapping[str, Any], messages: list[str]
) -> list[Sheet]:
    """Return the sheets of a batch's workbook: files, results, profiles, curves, verdicts, wells, provenance.

    A table that is longer than a sheet goes on in further ones ("Wells 2", …). Of the wells, columns that are empty
    from top to bottom are left out.

    Parameters
    ----------
    tree : DataTree
        From `quantify`.
    files : list of dict
        What became of each input.
    settings : mapping
        Settings of the run.
    messages : list of str
        What a person should read.
    """
    names = ("file", "sha256", "kind", "verdict", "message")
    unit = str(tree["results"].dataset["level"].attrs.get("units", ""))
    sheets = _parts("Files", pd.DataFrame(files, columns=[*names]), {}, has_units=False)
    sheets += _parts("Results", results_frame(tree), _units("results", unit))
    profiles = samples_frame(xr.DataTree.from_dict({"/kinetics": tree.to_dataset()}))
    shared = dict.fromkeys(("level", "lod", "lloq", "uloq"), unit)
    sheets += _parts("Profiles", profiles, {**shared, "time": "day", "nominal_time": "day"})
    for group in ("curves", "verdicts", "wells"):
        frame = table_frame(tree, group)
        filled = [name for name in frame if group != "wells" or not _empty(frame[name])]
        sheets += _parts(group.capitalize(), frame[filled], _units(group, unit))
    rows = [("made", now()), ("by", user()), *((f"setting {name}", str(value)) for name, value in settings.items())]
    rows += [(f"version of {name}", version) for name, version in versions().items()]
    rows += [("note", message) for message in messages]
    return [*sheets, Sheet("Provenance", pd.DataFrame(rows, columns=["what", "value"]), has_units=False)]


def _empty(column: pd.Series[Any]) -> bool:
    """Return whether a column of wells says nothing, as those of digital PCR do where there is none."""
    return bool((column.isna() | (column.astype(str) == "")).all())


def _units(group: str, unit: str) -> dict[str, str]:
    return {name: unit if var.unit == "level" else var.unit for name, var in GROUPS[group].by_name.items()}


def _parts(name: str, frame: pd.DataFrame, units: dict[str, str], *, has_units: bool = True) -> list[Sheet]:
    """Return a table as one sheet, or as several where it is too long."""
    starts = range(0, max(len(frame), 1), _MOST_ROWS)
    return [
        Sheet(name if number == 1 else f"{name} {number}", frame.iloc[start : start + _MOST_ROWS], units, has_units)
        for number, start in enumerate(starts, start=1)
    ]
