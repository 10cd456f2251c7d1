"""QIAGEN QIAcuity: the list of results as CSV, in the words of three versions of the Software Suite.

- A first line ``sep=,`` and the encoding (UTF-8 or Windows-1252) are dealt with when the file is opened. The
  first column may have no name: it is the well. Plate and well that are blank are those of the row above.
- A file with several plates gives a run for each.
- The volume of a partition differs from well to well. Where the file states the analysed volume of the well,
  it is that volume divided by the partitions of the plate (8510 in a 8.5K nanoplate), whose number follows from
  the concentrations. Else it follows from the well's own concentration and counts, and in a well without
  a positive partition it is the median of its plate's others; without any of these it stays missing.
- ``Total volume`` is the reaction into which the template went, and so what a concentration is multiplied by.
- A ``Control`` is a positive one unless its type says otherwise: ``tasks={"control": ...}`` decides differently.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from ...errors import FileFormatError
from ..cells import fold, number_of, text_of
from ..sources import Row, Source
from .partitions import Counts, counts_of
from .table import Family, Header, Options, Reading, columns_once, located, read_wells

_CONCENTRATIONS = tuple(
    f"{word} {unit}"
    for word in ("Conc.", "Concentration", "Conc")
    for unit in ("[cp/uL]", "[copies/uL]", "(cp/uL)", "(copies/uL)")
)
COLUMNS = {
    "position": ("Well", "Well Name"),
    "plate": ("Plate name",),
    "plate_id": ("Plate ID",),
    "plate_type": ("Plate type",),
    "sample": ("Sample/NTC/Control",),
    "task": ("Type",),
    "control": ("Control type", "Target (Control)"),
    "target": ("Target", "Target (Name)"),
    "concentration": (*(f"{name} (dPCR reaction)" for name in _CONCENTRATIONS), *_CONCENTRATIONS),
    "n_partitions": ("Partitions (valid)", "Valid partitions"),
    "n_positive": ("Partitions (positive)", "Positive partitions"),
    "n_negative": ("Partitions (negative)", "Negative partitions"),
    "volume": ("Volume per well [ul]",),
    "total": ("Total volume [ul]",),
}
TASKS = {
    "sample": "unknown",
    "ntc": "ntc",
    "non template control": "ntc",
    "no template control": "ntc",
    "control": "positive",
    "positive control": "positive",
    "negative control": "ntc",
    "positive": "positive",
    "negative": "ntc",
    "reference": "unknown",  # a sample to which others are compared
}
# Partitions of a whole plate's well, for a plate on which no well is positive.
PARTITIONS = {"8.5k": 8510}
_SETTINGS = ("Plate name", "Plate ID", "Plate type", "Reaction Mix")


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells and their partitions."""
    header = _with_position(source, header)
    filler = _Filler(header)
    rows = read_wells(family, source, header, options, prepare=filler.fill)
    counts, volumes = [], []
    for well in rows:
        row = filler.rows[int(well["row"])]
        try:
            counts.append(counts_of(source, header, row))
            volumes.append(_volume(source, header, row, "volume"))
            total = _volume(source, header, row, "total")
        except ValueError as err:
            raise located(err, source, header, row.number) from None
        if total > 0:
            well["reaction_ul"] = total
        _set_role(header, row, well)
    plates = [filler.plates[int(well["row"])] for well in rows]
    names = _run_names(source, plates)
    for plate in names:
        members = [at for at, other in enumerate(plates) if other == plate]
        kind = next((text for at in members if (text := filler.kinds[int(rows[at]["row"])])), "")
        sizes = _partition_volumes([counts[at] for at in members], [volumes[at] for at in members], kind)
        for at, size in zip(members, sizes, strict=True):
            rows[at] |= counts[at].well(size) | {"run": names[plate]}
            if math.isnan(size) and counts[at].accepted > 0:
                rows[at]["vendor_flags"] = "the volume of a partition is not stated, and no well of the plate tells it"
    return Reading(rows, "", columns_once(source, header, _SETTINGS))


def _volume(source: Source, header: Header, row: Row, column: str) -> float:
    value = number_of(header.cell(row, column), decimal=source.decimal)
    if not (0 < value < math.inf or math.isnan(value)):
        raise ValueError(f"{value:g} is not a volume")
    return value


def _with_position(source: Source, header: Header) -> Header:
    """Return the header with the first column as the well where it has no name."""
    if "position" in header.columns:
        return header
    if header.names[0]:
        raise FileFormatError(
            "the header lacks 'Well': export the list of results with the wells", file=source.path, row=header.number
        )
    return replace(header, columns={**header.columns, "position": 0})


class _Filler:
    """Fills a blank well, sample or plate in with what stands above it, and remembers each row's plate."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.rows: dict[int, Row] = {}
        self.plates: dict[int, tuple[str, str]] = {}
        self.kinds: dict[int, str] = {}
        self.above: dict[str, str] = {}

    def fill(self, row: Row) -> Row:
        texts = {name: text_of(self.header.cell(row, name)) for name in ("position", "sample", "plate", "plate_id")}
        if not (texts["plate"] or texts["plate_id"]):
            texts |= {name: self.above.get(name, "") for name in ("plate", "plate_id")}
        if not texts["position"]:
            texts["position"] = self.above.get("position", "")
        if not texts["sample"] and texts["position"] == self.above.get("position"):
            texts["sample"] = self.above.get("sample", "")
        self.above = texts
        cells: list[Any] = list(row.cells)
        for name in ("position", "sample"):
            at = self.header.columns[name]
            if at < len(cells):
                cells[at] = texts[name]
        filled = Row(row.number, cells)
        self.rows[row.number] = filled
        self.plates[row.number] = (texts["plate"], texts["plate_id"])
        self.kinds[row.number] = text_of(self.header.cell(row, "plate_type"))
        return filled


def _set_role(header: Header, row: Row, well: dict[str, Any]) -> None:
    if "task" not in header.columns:
        # The column of names is called Sample/NTC/Control: in the older list it alone says what a well is.
        well["role"] = "ntc" if TASKS.get(fold(well["sample"]).replace("-", " ")) == "ntc" else "unknown"
    elif well["role"] == "positive" and fold(header.cell(row, "control")).startswith("neg"):
        well["role"] = "ntc"


def _run_names(source: Source, plates: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return each plate's run; "" where the file has one plate, whose run is then named as the file is."""
    found = list(dict.fromkeys(plates))
    if len(found) < 2:
        return dict.fromkeys(found, "")
    titles = [name for name, _ in found]
    unique = all(titles) and len(set(titles)) == len(titles)
    return {plate: f"{source.path.stem} {plate[0] if unique else ' '.join(filter(None, plate))}" for plate in found}


def _partition_volumes(counts: Sequence[Counts], volumes: Sequence[float], kind: str) -> list[float]:
    implied = [one.implied_nl for one in counts]
    telling = [volume for volume in implied if not math.isnan(volume)]
    usual = median(telling) if telling else math.nan
    stated = [volume * 1e3 / size for volume, size in zip(volumes, implied, strict=True) if volume / size > 0]
    size = re.search(r"\d+(?:\.\d+)?k", fold(kind))
    partitions = round(median(stated)) if stated else PARTITIONS.get(size[0] if size else "", math.nan)
    sizes = []
    for volume, own in zip(volumes, implied, strict=True):
        of_well = volume * 1e3 / partitions
        sizes.append(next((found for found in (of_well, own) if not math.isnan(found)), usual))
    return sizes


FAMILY = Family(
    name="qiacuity",
    title="QIAcuity",
    columns=COLUMNS,
    required=("sample", "target", "concentration", "n_partitions", "n_positive"),
    tasks=TASKS,
    read=read,
    full_rows=False,
    digital=True,
)
