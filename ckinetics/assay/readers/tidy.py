"""The plain tidy table: one row a well and target, as CSV or in a workbook.

Columns ``well, sample, target, role (or task), cq`` and, optionally, ``quantity`` (nominal copies of a
standard; for a sample the result of other software, kept beside and never used), ``quantity_unit``,
``omit``, ``dye`` and ``run_id`` (where one file holds several plates).

For digital PCR ``n_partitions`` and ``n_positive`` stand in place of ``cq``, with the volume of a partition in
``partition_nl`` (or the printed ``concentration``, from which it follows) and that of the reaction in ``reaction_ul``.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from ...delimited import csv_plain
from ..cells import number_of
from ..sources import Row, Source
from .partitions import counts_of
from .table import Family, Header, Options, Reading, body_rows, located, read_wells

COLUMNS = {
    "position": ("well position", "well", "well name", "position"),  # beside a position a "well" is a number
    "sample": ("sample", "sample name"),
    "target": ("target", "target name"),
    "task": ("role", "task"),
    "cq": ("cq", "ct", "cp"),
    "quantity": ("quantity", "nominal copies", "copies"),
    "quantity_unit": ("quantity unit", "quantity units"),
    "omit": ("omit", "omitted"),
    "dye": ("dye", "reporter", "fluor"),
    "run_id": ("run id", "run", "plate"),
    "n_partitions": ("n partitions", "partitions"),
    "n_positive": ("n positive", "positive partitions"),
    "partition_nl": ("partition nl",),
    "concentration": ("concentration",),
    "reaction_ul": ("reaction ul",),
}
TASKS = {
    "standard": "standard",
    "std": "standard",
    "unknown": "unknown",
    "unk": "unknown",
    "unkn": "unknown",
    "qc": "qc",
    "ntc": "ntc",
    "nac": "nac",
    "blocked ipc": "nac",  # a well in which amplification is blocked
    "nec": "nec",
    "ipc": "ipc",
    "positive": "positive",
    "positive control": "positive",
    "pos": "positive",
    "pos ctrl": "positive",
}


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells; in text, a name with the apostrophe that keeps it from being a formula is read without it."""
    rows = read_wells(family, source, header, options, prepare=None if source.is_workbook else _plain)
    if "n_partitions" in header.columns:
        _count(source, header, rows)
    return Reading(rows)


def _count(source: Source, header: Header, rows: list[dict[str, Any]]) -> None:
    """Fill in partitions; where their volume is not stated it is what most of the printed concentrations imply."""
    by_number = {row.number: row for row in body_rows(source, header)}
    found = []
    for well in rows:
        row = by_number[int(well["row"])]
        try:
            counts = counts_of(source, header, row)
            volume, reaction = (_volume(source, header, row, name) for name in ("partition_nl", "reaction_ul"))
        except ValueError as err:
            raise located(err, source, header, row.number) from None
        found.append((counts, volume))
        if reaction > 0:
            well["reaction_ul"] = reaction
    implied = [counts.implied_nl for counts, _ in found if not math.isnan(counts.implied_nl)]
    usual = median(implied) if implied else math.nan
    for well, (counts, volume) in zip(rows, found, strict=True):
        well |= counts.well(usual if math.isnan(volume) else volume)


def _volume(source: Source, header: Header, row: Row, column: str) -> float:
    try:
        value = number_of(header.cell(row, column), decimal=source.decimal)
    except ValueError as err:
        raise ValueError(f"{column}: {err}") from None
    if not (0 < value < math.inf or math.isnan(value)):
        raise ValueError(f"{column} {value:g} is not a volume")
    return value


def _plain(row: Row) -> Row:
    return Row(row.number, [csv_plain(cell) for cell in row.cells])


FAMILY = Family(
    name="tidy",
    title="tidy well table",
    columns=COLUMNS,
    required=("position", "sample", "target", "task", "cq"),
    tasks=TASKS,
    read=read,
)
DIGITAL = Family(
    name="tidy",
    title="tidy well table of digital PCR",
    columns=COLUMNS,
    required=("position", "sample", "target", "task", "n_partitions", "n_positive"),
    tasks=TASKS,
    read=read,
    digital=True,
)
