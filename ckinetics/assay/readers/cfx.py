"""Bio-Rad: Cq results of CFX Maestro and CFX Manager, and workbooks of a plate's wells without Cq.

The software writes ``NaN`` (older versions ``N/A``) in the Cq column of a well that it analysed and found no
signal in, so that these words mean "undetermined" here; an empty field still says nothing. Each fluor of a
well is a row of its own. The column ``Content`` is the type of the well and its number: ``Unkn-01``, ``Std-1``.
A negative control is a well without the target: its signal is judged as that of an NTC.
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import FileFormatError
from ..sources import Source
from .table import Family, Header, Options, Reading, read_wells

COLUMNS = {
    "position": ("Well",),
    "dye": ("Fluor",),
    "target": ("Target",),
    "task": ("Content",),
    "sample": ("Sample", "Sample Name"),
    "cq": ("Cq", "C(t)", "Threshold Cycle (C(t))"),
    "quantity": ("Starting Quantity (SQ)", "SQ"),
}
TASKS = {
    "unkn": "unknown",
    "std": "standard",
    "ntc": "ntc",
    "neg ctrl": "ntc",
    "nac": "nac",
    "nrt": "nac",  # without reverse transcriptase nothing can be amplified
    "pos ctrl": "positive",
}
NO_SIGNAL = frozenset({"nan", "n/a"})


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells."""
    options = replace(options, undetermined=options.undetermined | NO_SIGNAL)
    rows = read_wells(family, source, header, options)
    for well in rows:
        # A plate set up without target names still has one assay a fluor: two are never one curve.
        well["target"] = well["target"] or well["dye"]
    return Reading(rows)


def read_table_of_wells(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read wells without Cq from a workbook; a text export that lacks the column is refused."""
    if not source.is_workbook:
        raise FileFormatError(
            "the header lacks 'Cq': export the Cq results with all columns", file=source.path, row=header.number
        )
    return Reading(read_wells(family, source, header, options))


FAMILY = Family(
    name="cfx",
    title="Bio-Rad CFX",
    columns=COLUMNS,
    required=("position", "task", "cq"),
    tasks=TASKS,
    read=read,
)
TABLES = Family(
    name="bio_rad_tables",
    title="Bio-Rad table of wells",
    columns=COLUMNS,
    required=("position", "dye", "task", "sample", "quantity"),
    tasks=TASKS,
    read=read_table_of_wells,
)
