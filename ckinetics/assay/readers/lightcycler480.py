"""Roche LightCycler 480: the text export of an absolute quantification, also compressed as .gz.

The first line names the experiment and the filter, which becomes the dye. The table has no target. ``Cp`` is
empty where the software found no crossing point; it says so with the colour of a negative call, and only with
that colour an empty ``Cp`` means "undetermined". ``Include`` is the reverse of an omitted well.

``Standard`` is the concentration that was entered for a standard, and 0 for a sample. ``Concentration`` is what the
software calculated, for standards too, and so never a nominal value. A single digit may as well be a mark: say what
it is with ``tasks``, e.g. ``tasks={"1": "standard"}``; nominal copies then come from the sample sheet.
"""

from __future__ import annotations

import math
import re
from functools import partial

from ...schema import CqStatus, YesNo
from ..cells import fold, number_of, text_of, yes_no_of
from ..sources import Row, Source
from .table import Family, Header, Options, Reading, body_rows, located, quantity_of, read_wells

COLUMNS = {
    "include": ("Include",),
    "colour": ("Color",),
    "position": ("Pos",),
    "sample": ("Name",),
    "cq": ("Cp",),
    "concentration": ("Concentration",),
    "task": ("Standard",),
    "status": ("Status",),
}
TASKS = {"0": "unknown", "standard": "standard"}
NEGATIVE = "65280"  # green, as a number
_OMIT = {YesNo.yes: YesNo.no, YesNo.no: YesNo.yes, YesNo.unknown: YesNo.unknown}


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells, and what the filter, the colour and the column Include say of them."""
    rows = read_wells(family, source, header, options, prepare=partial(_with_task, source, header, options))
    metadata = _first_line(source, header)
    by_number = {row.number: row for row in body_rows(source, header)}
    for well in rows:
        row = by_number[int(well["row"])]
        try:
            well["omit"] = _OMIT[yes_no_of(header.cell(row, "include"))]
        except ValueError as err:
            raise located(f"Include: {err}", source, header, row.number) from None
        try:
            well |= _quantity(source, header, options, row, well["role"])
        except ValueError as err:
            raise located(err, source, header, row.number) from None
        if well["cq_status"] == CqStatus.missing and text_of(header.cell(row, "colour")) == NEGATIVE:
            well["cq_status"] = CqStatus.undetermined
        well["dye"] = metadata.get("Selected Filter", "")
        well["vendor_flags"] = text_of(header.cell(row, "status"))
    return Reading(rows, "", metadata)


def _nominal(source: Source, header: Header, options: Options, row: Row) -> float:
    """Return the concentration that was entered for a standard, NaN where the row is none."""
    cell = header.cell(row, "task")
    if fold(cell) in options.tasks or re.fullmatch(r"\d", text_of(cell)):
        return math.nan
    try:
        value = number_of(cell, decimal=source.decimal)
    except ValueError:
        return math.nan  # a word, which the tasks may know
    return value if value > 0 else math.nan


def _with_task(source: Source, header: Header, options: Options, row: Row) -> Row:
    """Return the row with a word for its task: a standard where a concentration was entered for it."""
    if math.isnan(_nominal(source, header, options, row)):
        return row
    at = header.columns["task"]
    return Row(row.number, [*row.cells[:at], "standard", *row.cells[at + 1 :]])


def _quantity(source: Source, header: Header, options: Options, row: Row, role: str) -> dict[str, float]:
    if role in ("standard", "qc"):
        return quantity_of(_nominal(source, header, options, row), role, unit=options.quantity_unit)
    concentration = header.cell(row, "concentration")
    return quantity_of(concentration, role, unit=options.quantity_unit, decimal=source.decimal)


def _first_line(source: Source, header: Header) -> dict[str, str]:
    """Return what the line above the header names: the experiment, and the filter, "SYBR Green I (483-533)"."""
    for row in source.rows(header.sheet)[: header.index]:
        line = " ".join(text for text in map(text_of, row.cells) if text)
        found = re.search(r"^Experiment:(.*?)(?:\bSelected )?\bFilter: *(.*)$", line)
        if found:
            return {"Experiment": found[1].strip(), "Selected Filter": found[2].strip()}
    return {}


FAMILY = Family(
    name="lightcycler480",
    title="LightCycler 480",
    columns=COLUMNS,
    required=("include", "colour", "position", "sample", "cq", "task"),
    tasks=TASKS,
    read=read,
)
