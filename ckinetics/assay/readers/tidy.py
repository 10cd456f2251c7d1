"""The plain tidy table: one row a well and target, as CSV or in a workbook.

Columns ``well, sample, target, role (or task), cq`` and, optionally, ``quantity`` (nominal copies of a
standard; for a sample the result of other software, kept beside and never used), ``quantity_unit``,
``omit``, ``dye`` and ``run_id`` (where one file holds several plates).
"""

from __future__ import annotations

from ...delimited import csv_plain
from ..sources import Row, Source
from .table import Family, Header, Options, Reading, read_wells

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
    "blocked ipc": "nac",
    "nec": "nec",
    "ipc": "ipc",
    "positive": "positive",
    "positive control": "positive",
    "pos": "positive",
    "pos ctrl": "positive",
}


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells; in text, a name with the apostrophe that keeps it from being a formula is read without it."""
    return Reading(read_wells(family, source, header, options, prepare=None if source.is_workbook else _plain))


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
