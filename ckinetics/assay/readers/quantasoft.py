"""Bio-Rad droplets: QuantaSoft (columns such as ``AcceptedDroplets``), QuantaSoft Analysis Pro and QX Manager.

- Each target of a well is a row. ``No Call`` in a well without a positive droplet is a concentration of zero.
- Rows of merged wells (``M01``, with the list in ``MergedWells``) are sums of wells that stand in other rows, and
  are left out; where the wells themselves are not in the file, it is refused.
- A droplet has 0.85 nL (0.91 nL before QuantaSoft 1.6), as the printed concentrations confirm.
- The older software has the channel and the kind of sample in one word, ``Ch1Unknown``; ``Reference`` is said of
  a target, not of the sample.
- The name of a sample is its first description; where others are filled in, they are part of the name.
"""

from __future__ import annotations

import re

from ..cells import fold, text_of, well_of
from ..sources import Row, Source
from .partitions import Counts, counts_of, volume_of
from .table import Family, Header, Options, Reading, body_rows, columns_once, located, read_wells, role_of

COLUMNS = {
    "position": ("Well",),
    "sample": ("Sample", "Sample description 1", "Sample Name"),
    "sample_2": ("Sample description 2",),
    "sample_3": ("Sample description 3",),
    "sample_4": ("Sample description 4",),
    "target": ("Target", "Assay"),
    "task": ("SampleType", "Sample Type"),
    "target_type": ("TargetType", "Target Type", "TypeAssay"),
    "dye": ("DyeName(s)", "DyeNames", "DyeName", "Dye Name(s)"),
    "status": ("Status",),
    "status_reason": ("Status Reason",),
    "concentration": ("Concentration", "Conc(copies/uL)", "Conc (copies/uL)", "Concentration (copies/uL)"),
    "n_partitions": ("AcceptedDroplets", "Accepted Droplets"),
    "n_positive": ("Positives",),
    "n_negative": ("Negatives",),
    "merged": ("MergedWells", "Merged Wells"),
}
TASKS = {
    "unknown": "unknown",
    "reference": "unknown",
    "ntc": "ntc",
    "blank": "ntc",
    "negctrl": "ntc",
    "neg ctrl": "ntc",
    "negative control": "ntc",
    "negative": "ntc",
    "posctrl": "positive",
    "pos ctrl": "positive",
    "positive control": "positive",
    "positive": "positive",
}
DROPLET_NL = (0.85, 0.91)
_VOLUME = re.compile(r"copies(?:/|per) ?(\d+(?:\.\d+)?) ?ul ?well")
_SETTINGS = ("ExptType", "Experiment", "Supermix")


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells and their droplets."""
    rows = read_wells(family, source, header, options, prepare=lambda row: None if _is_merged(header, row) else row)
    by_number = {row.number: row for row in body_rows(source, header)}
    _check_merged(source, header, {(well["well_name"], well["target"]) for well in rows})
    counts: list[Counts] = []
    for well in rows:
        row = by_number[int(well["row"])]
        try:
            counts.append(counts_of(source, header, row))
            channel, well["role"] = _type(family, header, row, options)
        except ValueError as err:
            raise located(err, source, header, row.number) from None
        well["dye"] = well["dye"] or channel
        others = [text_of(header.cell(row, name)) for name in ("sample_2", "sample_3", "sample_4")]
        well["sample"] = " ".join(text for text in (well["sample"], *others) if text)
        status = [text_of(header.cell(row, name)) for name in ("status", "status_reason")]
        well["vendor_flags"] = "" if status[0] == "OK" else ": ".join(text for text in status if text)
    droplet = volume_of(counts, DROPLET_NL)
    volume = _reaction_ul(header)
    for well, one in zip(rows, counts, strict=True):
        well |= one.well(droplet) | volume
    return Reading(rows, "", columns_once(source, header, _SETTINGS))


def _type(family: Family, header: Header, row: Row, options: Options) -> tuple[str, str]:
    """Return the channel of the older software, and the role."""
    word = text_of(header.cell(row, "target_type"))
    found = re.match(r"(Ch\d+)(.*)", word)
    channel, kind = (found[1], found[2].strip()) if found else ("", word)
    role = role_of(text_of(header.cell(row, "task")), family, options)
    if role in ("", "unknown"):
        role = role_of(kind, family, options) or role
    return channel, role


def _is_merged(header: Header, row: Row) -> bool:
    return bool(re.fullmatch(r"M\d{1,3}", text_of(header.cell(row, "position")))) or len(_parts(header, row)) > 1


def _parts(header: Header, row: Row) -> list[str]:
    """Return the wells of which a row is the sum."""
    return re.findall(r"[A-Z]{1,2}\d{1,2}", text_of(header.cell(row, "merged")))


def _check_merged(source: Source, header: Header, read_alone: set[tuple[str, str]]) -> None:
    for row in body_rows(source, header):
        if not _is_merged(header, row):
            continue
        target = text_of(header.cell(row, "target"))
        missing = [name for name in _parts(header, row) if (well_of(name), target) not in read_alone]
        if missing:
            raise located(
                f"the row is the sum of merged wells, of which {', '.join(missing)} are not in the file: "
                "export the single wells too",
                source,
                header,
                row.number,
            )


def _reaction_ul(header: Header) -> dict[str, float]:
    found = [match[1] for name in header.names if (match := _VOLUME.fullmatch(fold(name)))]
    return {"reaction_ul": float(found[0])} if len(found) == 1 else {}


FAMILY = Family(
    name="quantasoft",
    title="QuantaSoft / QX Manager",
    columns=COLUMNS,
    required=("position", "target", "target_type", "concentration", "n_partitions", "n_positive"),
    tasks=TASKS,
    read=read,
    full_rows=False,
    digital=True,
)
