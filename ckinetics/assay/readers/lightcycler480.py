"""Roche LightCycler 480: the text export of an absolute quantification, also compressed as .gz.

The first line names the experiment and the filter, which becomes the dye. The table has no target. ``Cp`` is
empty where the software found no crossing point; it says so with the colour of a negative call, and only with
that colour an empty ``Cp`` means "undetermined". ``Include`` is the reverse of an omitted well. In ``Standard``
0 is a sample; for other numbers say what they are with ``tasks``, e.g. ``tasks={"1": "standard"}``.
"""

from __future__ import annotations

import re

from ...schema import CqStatus, YesNo
from ..cells import text_of, yes_no_of
from ..sources import Source
from .table import Family, Header, Options, Reading, body_rows, located, read_wells

COLUMNS = {
    "include": ("Include",),
    "colour": ("Color",),
    "position": ("Pos",),
    "sample": ("Name",),
    "cq": ("Cp",),
    "quantity": ("Concentration",),
    "task": ("Standard",),
    "status": ("Status",),
}
TASKS = {"0": "unknown"}
NEGATIVE = "65280"  # green, as a number
_OMIT = {YesNo.yes: YesNo.no, YesNo.no: YesNo.yes, YesNo.unknown: YesNo.unknown}


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells, and what the filter, the colour and the column Include say of them."""
    rows = read_wells(family, source, header, options)
    metadata = _first_line(source, header)
    by_number = {row.number: row for row in body_rows(source, header)}
    for well in rows:
        row = by_number[int(well["row"])]
        try:
            well["omit"] = _OMIT[yes_no_of(header.cell(row, "include"))]
        except ValueError as err:
            raise located(f"Include: {err}", source, header, row.number) from None
        if well["cq_status"] == CqStatus.missing and text_of(header.cell(row, "colour")) == NEGATIVE:
            well["cq_status"] = CqStatus.undetermined
        well["dye"] = metadata.get("Selected Filter", "")
        well["vendor_flags"] = text_of(header.cell(row, "status"))
    return Reading(rows, "", metadata)


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
