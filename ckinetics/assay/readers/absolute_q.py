"""Thermo Fisher Absolute Q: the table of results, the summary with a block a dye, and the counts of channels.

- Rows with ``Average`` or ``Pooled`` (or nothing) in place of a well and no sample are summaries of a group.
- The summary has two header rows: dyes above, and under each dye its own ``Target``, ``Conc.`` and ``Positives``.
- The table of channels has one row a *combination* of channels: its count is of partitions that are positive in
  exactly these. A target's positives are the sum over all combinations with its channel. The concentration
  printed there is that of the combination, so that a target has none; it only confirms the volume.
  Wells are not named there but by the instrument's own sample names, ``Sample A1``.
- A partition has 0.432 nL, as the printed concentrations confirm. None of the tables has a type of sample.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...schema import CqStatus, YesNo
from ..cells import fold, number_of, text_of, well_of
from ..sources import Row, Source
from .partitions import Counts, counts_from, counts_of, volume_of
from .table import Family, Header, Options, Reading, body_rows, columns_once, located, read_wells

_ABOUT = {"position": ("Well", "Well ID"), "run_id": ("Run", "Run name"), "n_partitions": ("Total",)}
COLUMNS = _ABOUT | {
    "sample": ("Name", "Sample"),
    "dye": ("Dye",),
    "target": ("Target",),
    "concentration": (
        "Conc. cp/uL",
        "Conc. (cp/uL)",
        "Conc. [cp/uL]",
        "Conc. copies/uL",
        "Concentration (cp/uL)",
        "Concentration (copies/uL)",
        "Conc.",
    ),
    "n_positive": ("Positives",),
}
SUMMARY_COLUMNS = _ABOUT | {
    "sample": ("Sample", "Name"),
    "dilution": ("DF",),
    "quality": ("QC",),
    "message": ("QC Message",),
}
CHANNEL_COLUMNS = _ABOUT | {
    "sample": ("Sample", "Name"),
    "channels": ("Channels",),
    "n_positive": ("Count",),
    "concentration": ("Copies per microliter", "Copies per microlitre"),
}
PARTITION_NL = (0.432,)
_SUMMARIES = ("", "average", "pooled", "replicate", "mean")
_SETTINGS = ("Run", "Run name", "Date", "Instrument", "Plate")


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read a table with one row a well and target."""
    rows = read_wells(family, source, header, options, prepare=partial(_unless_summary, header))
    by_number = {row.number: row for row in body_rows(source, header)}
    counts = [_counts(source, header, by_number[int(well["row"])]) for well in rows]
    return _reading(source, header, rows, counts)


def read_summary(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the summary: one row a well, one block of columns a dye."""
    blocks = [
        Header(header.sheet, header.index, header.number, header.names, {**header.columns, **columns}, ())
        for columns in _blocks(source, header)
    ]
    dyes = [_dye(source, block) for block in blocks]
    rows, counts = [], []
    for block, dye in zip(blocks, dyes, strict=True):
        wells = read_wells(family, source, block, options, prepare=partial(_unless_summary, header))
        by_number = {row.number: row for row in body_rows(source, header)}
        for well in wells:
            row = by_number[int(well["row"])]
            well |= {"dye": dye, "target": well["target"] or dye, "vendor_flags": _flags(header, row)}
            rows.append(well)
            counts.append(_counts(source, block, row))
    order = sorted(range(len(rows)), key=lambda at: rows[at]["row"])
    return _reading(source, header, [rows[at] for at in order], [counts[at] for at in order])


def read_channels(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the table of channels: each target's positives are summed over the combinations with its channel."""
    groups = _groups(source, header)
    channels = list(dict.fromkeys(name for group in groups.values() for names in group.parts for name in names))
    rows: list[dict[str, Any]] = []
    counts: list[Counts] = []
    for (run, sample), group in groups.items():
        if len(group.totals) != 1:
            raise located(f"the totals of '{sample}' differ: export it again", source, header, group.first)
        total = group.totals.pop()
        found = sum(count for count, _ in group.parts.values())
        if found != total:
            raise located(
                f"the combinations of '{sample}' count {found:g} partitions but the total is {total:g}: export all",
                source,
                header,
                group.first,
            )
        for channel in channels:
            with_channel = {names: part for names, part in group.parts.items() if channel in names}
            row = with_channel.get((channel,), next(iter(with_channel.values()), (0.0, group.first)))[1]
            positive = sum(count for count, _ in with_channel.values())
            counts.append(counts_from(total, positive, math.nan, "-", source))
            rows.append(_well(source, header, row, group.well_name, sample, channel, run))
    return _reading(source, header, rows, counts, [one for group in groups.values() for one in group.printed])


@dataclass
class _Group:
    """All combinations of channels of one well."""

    first: int
    well_name: str
    totals: set[float] = field(default_factory=set)
    parts: dict[tuple[str, ...], tuple[float, int]] = field(default_factory=dict)
    printed: list[Counts] = field(default_factory=list)


def _groups(source: Source, header: Header) -> dict[tuple[str, str], _Group]:
    groups: dict[tuple[str, str], _Group] = {}
    for row in body_rows(source, header):
        if _unless_summary(header, row) is None:
            continue
        sample, run = text_of(header.cell(row, "sample")), text_of(header.cell(row, "run_id"))
        try:
            group = groups.setdefault((run, sample), _Group(row.number, _position(header, row, sample)))
            names = tuple(re.split(r"[\s+,/]+", text)) if (text := text_of(header.cell(row, "channels"))) else ()
            if names in group.parts:
                raise ValueError(f"the channels '{text}' of '{sample}' are there twice: remove one")
            one = counts_of(source, header, row)
            total = number_of(header.cell(row, "n_partitions"), decimal=source.decimal)
            group.parts[names] = (one.positive, row.number)
            if total > 0:  # the total is printed as 0 where the count is 0
                group.totals.add(total)
            if names:
                group.printed.append(one)
        except ValueError as err:
            raise located(err, source, header, row.number) from None
    if not groups:
        raise located("there is no well under the header", source, header, header.number)
    return groups


def _position(header: Header, row: Row, sample: str) -> str:
    stated = text_of(header.cell(row, "position"))
    found = re.fullmatch(r"Sample ([A-Za-z]\d{1,2})", sample)
    if not stated and not found:
        raise ValueError(f"the well of sample '{sample}' is not named: export the table of results, which names it")
    return well_of(stated or (found[1] if found else ""))


def _well(
    source: Source, header: Header, row: int, position: str, sample: str, channel: str, run: str
) -> dict[str, Any]:
    return {
        "file": source.name,
        "file_sha256": source.sha256,
        "sheet": header.sheet,
        "row": float(row),
        "well_name": position,
        "sample": sample,
        "target": channel,
        "role": "unknown",
        "dye": channel,
        "cq": math.nan,
        "cq_status": CqStatus.missing,
        "omit": YesNo.no,
        "run": run,
    }


def _reading(
    source: Source,
    header: Header,
    rows: list[dict[str, Any]],
    counts: list[Counts],
    printed: list[Counts] | None = None,
) -> Reading:
    partition = volume_of(counts if printed is None else printed, PARTITION_NL)
    runs = {well["run"] for well in rows}
    for well, one in zip(rows, counts, strict=True):
        well["role"] = "unknown"
        well |= one.well(partition)
        # A file of one run is named as the file is, like any other export.
        well["run"] = well["run"] if len(runs) > 1 else ""
    return Reading(rows, "", columns_once(source, header, _SETTINGS))


def _unless_summary(header: Header, row: Row) -> Row | None:
    """Return a row, or None where it is of a group: no sample, and no well."""
    of_group = fold(header.cell(row, "position")) in _SUMMARIES and not text_of(header.cell(row, "sample"))
    return None if of_group else row


def _counts(source: Source, header: Header, row: Row) -> Counts:
    try:
        return counts_of(source, header, row)
    except ValueError as err:
        raise located(err, source, header, row.number) from None


def _blocks(source: Source, header: Header) -> list[dict[str, int]]:
    """Return the columns of each dye; a block begins with its target."""
    folded = [fold(name) for name in header.names]
    starts = [at for at, name in enumerate(folded) if name == "target"]
    blocks = []
    for start, end in zip(starts, [*starts[1:], len(folded)], strict=True):
        within = {name: at for at, name in reversed(list(enumerate(folded))) if start <= at < end}
        names = {"target": "target", "concentration": "conc.", "n_positive": "positives"}
        if any(name not in within for name in names.values()):
            raise located("a block of the summary lacks 'Conc.' or 'Positives'", source, header, header.number)
        blocks.append({canonical: within[name] for canonical, name in names.items()})
    if not blocks:
        raise located("the summary has no column 'Target': export it with the targets", source, header, header.number)
    return blocks


def _dye(source: Source, block: Header) -> str:
    """Return the dye that the row above the header names over a block."""
    above = source.rows(block.sheet)[block.index - 1].cells if block.index else []
    at = block.columns["target"]
    return text_of(above[at]) if at < len(above) else ""


def _flags(header: Header, row: Row) -> str:
    quality, message, dilution = (text_of(header.cell(row, name)) for name in ("quality", "message", "dilution"))
    found = [] if fold(quality) in ("", "pass") else [message or f"QC {quality}"]
    if dilution and not re.fullmatch(r"(1/)?1(\.0*)?", dilution):
        found.append(f"DF {dilution}")
    return "; ".join(found)


FAMILY = Family(
    name="absolute_q",
    title="Absolute Q",
    columns=COLUMNS,
    required=("position", "sample", "n_partitions", "dye", "target", "concentration", "n_positive"),
    tasks={},
    digital=True,
    read=read,
    full_rows=False,
)
SUMMARY = Family(
    name="absolute_q",
    title="Absolute Q",
    columns=SUMMARY_COLUMNS,
    required=("position", "sample", "n_partitions", "run_id", "quality"),
    tasks={},
    digital=True,
    read=read_summary,
    full_rows=False,
)
CHANNELS = Family(
    name="absolute_q",
    title="Absolute Q",
    columns=CHANNEL_COLUMNS,
    required=("sample", "channels", "n_positive", "concentration", "n_partitions"),
    tasks={},
    digital=True,
    read=read_channels,
    full_rows=False,
)
