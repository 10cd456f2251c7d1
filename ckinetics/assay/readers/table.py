"""What the readers share: finding the header by content, and reading the wells under it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import FileFormatError, InputError, UnitError
from ...schema import YesNo
from ...units import normalise_unit
from ..cells import UNDETERMINED, cq_of, fold, number_of, text_of, well_of, yes_no_of
from ..sources import Row, Source

_PER_WELL = frozenset({"copies", "copy", "copies per well", "copies/reaction", "copies per reaction", "copies/rxn"})
_HEADER_ROWS = 500
_MISSING_TEXT = frozenset({"", "nan", "none", "null"})


@dataclass(frozen=True)
class Options:
    """What a caller of `read_plates` decided, for the readers.

    Attributes
    ----------
    columns : canonical name to the header that a table uses for it
    tasks : folded task word to role, in addition to a family's own
    quantity_unit : unit of quantities in files that do not say
    undetermined : folded words of a Cq field that mean "no signal seen"
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    quantity_unit: str = "copies/well"
    undetermined: frozenset[str] = UNDETERMINED


@dataclass(frozen=True)
class Header:
    """The row of column names that was found, complete or not."""

    sheet: str
    index: int
    number: int
    names: tuple[str, ...]
    columns: Mapping[str, int]
    missing: tuple[str, ...]

    def cell(self, row: Row, column: str) -> Any:
        """Return a row's cell of a column, "" where the table has no such column or the row is short."""
        at = self.columns.get(column)
        return "" if at is None or at >= len(row.cells) else row.cells[at]


@dataclass(frozen=True)
class Reading:
    """What a reader found in a file: rows of wells, each a dict of schema names, and the software's version."""

    rows: list[dict[str, Any]]
    software: str = ""


@dataclass(frozen=True)
class Family:
    """One vendor family: how its table is recognised and read.

    Attributes
    ----------
    name : short name, kept in the result
    title : name for messages
    columns : canonical column to the headers it goes by, the preferred first
    required : canonical columns without which it is not this family
    tasks : folded task word to role
    sheets : folded names of the sheets that hold wells, the preferred first; empty for any sheet
    read : reads a file whose header was found
    full_rows : whether each line of its text files has as many cells as the header; some leave empty ends out
    """

    name: str
    title: str
    columns: Mapping[str, Sequence[str]]
    required: tuple[str, ...]
    tasks: Mapping[str, str]
    read: Callable[[Family, Source, Header, Options], Reading]
    sheets: tuple[str, ...] = ()
    full_rows: bool = True


def find_header(source: Source, family: Family, *, sheets: Sequence[str] | None = None) -> Header | None:
    """Return the header row that fits a family best, or None where no row has two of its columns.

    Parameters
    ----------
    source : Source
        The file.
    family : Family
        What is looked for.
    sheets : sequence of str, optional
        Folded names of the sheets to look in, in place of the family's.

    Raises
    ------
    FileFormatError
        A complete header names a column twice.
    """
    wanted = family.sheets if sheets is None else tuple(sheets)
    names = list(source.sheet_names)
    if wanted and source.is_workbook:
        names = [name for word in wanted for name in source.sheet_names if fold(name) == word]
    best: Header | None = None
    for name in names:
        for index, row in enumerate(source.rows(name)[:_HEADER_ROWS]):
            header = _header_of(row, index, name, family)
            if not header.missing:
                _refuse_repeats(source, header, family)
                return header
            if len(header.columns) > (len(best.columns) if best else 1):
                best = header
    return best


def _header_of(row: Row, index: int, sheet: str, family: Family) -> Header:
    texts = tuple(text_of(cell) for cell in row.cells)
    folded = [fold(text) for text in texts]
    columns = {}
    for canonical, headers in family.columns.items():
        at = next((folded.index(fold(name)) for name in headers if fold(name) in folded), None)
        if at is not None:
            columns[canonical] = at
    missing = tuple(name for name in family.required if name not in columns)
    return Header(sheet, index, row.number, texts, columns, missing)


def _refuse_repeats(source: Source, header: Header, family: Family) -> None:
    folded = [fold(name) for name in header.names]
    for at in header.columns.values():
        if folded.count(folded[at]) > 1:
            raise FileFormatError(
                f"the column '{header.names[at]}' is there twice: remove one of them",
                file=source.path,
                sheet=header.sheet,
                row=header.number,
            )


def body_rows(source: Source, header: Header) -> Iterator[Row]:
    """Yield the rows under a header that hold anything; a line such as ``[Melt Curve]`` ends the table."""
    for row in source.rows(header.sheet)[header.index + 1 :]:
        filled = [text for text in map(text_of, row.cells) if text]
        if not filled:
            continue
        if re.fullmatch(r"\[[^\]]+\]", filled[0]) and len(filled) == 1:
            return
        yield row


def read_wells(
    family: Family, source: Source, header: Header, options: Options, *, n_wells: int = 0
) -> list[dict[str, Any]]:
    """Return the wells of a table, each a dict of schema names.

    Rows that hold neither sample, target, task nor Cq are wells that were not used, and are left out; so
    are the two-cell lines of settings that some exports put under the table.

    Parameters
    ----------
    family, source, header, options
        What was recognised, where, and what the caller decided.
    n_wells : int
        Wells of the plate where positions may be numbers; 0 where unknown.

    Raises
    ------
    InputError
        A cell cannot be read; the file, sheet and row are named.
    """
    rows = []
    for row in body_rows(source, header):
        try:
            well = _well(family, source, header, options, row, n_wells)
        except UnitError as err:
            raise UnitError(err.message, file=source.path, sheet=header.sheet, row=row.number) from None
        except ValueError as err:
            message = err.message if isinstance(err, InputError) else str(err)
            raise FileFormatError(message, file=source.path, sheet=header.sheet, row=row.number) from None
        if well is not None:
            rows.append(well)
    if not rows:
        raise FileFormatError(
            "there is no well under the header", file=source.path, sheet=header.sheet, row=header.number
        )
    return rows


def _well(
    family: Family, source: Source, header: Header, options: Options, row: Row, n_wells: int
) -> dict[str, Any] | None:
    def text(column: str) -> str:
        found = text_of(header.cell(row, column))
        return "" if found.casefold() in _MISSING_TEXT else found

    if _is_trailer(header, row):
        return None
    if not source.is_workbook:
        _check_width(family, header, row)
    sample, target, task = text("sample"), text("target"), text("task")
    if not (sample or target or task or text("cq")):
        return None
    role = role_of(task, family, options)
    cq, cq_status = cq_of(header.cell(row, "cq"), decimal=source.decimal, undetermined=options.undetermined)
    well = {
        "file": source.name,
        "file_sha256": source.sha256,
        "sheet": header.sheet,
        "row": float(row.number),
        "well_name": well_of(header.cell(row, "position"), n_wells=n_wells),
        "sample": sample,
        "target": target,
        "role": role,
        "dye": text("dye"),
        "cq": cq,
        "cq_status": cq_status,
        "omit": yes_no_of(header.cell(row, "omit")) if "omit" in header.columns else YesNo.no,
        "run": text("run_id"),
    }
    unit = text("quantity_unit") or options.quantity_unit
    well |= quantity_of(header.cell(row, "quantity"), role, unit=unit, decimal=source.decimal)
    return well


def _check_width(family: Family, header: Header, row: Row) -> None:
    """Refuse a line of text that is cut off, or in which an unquoted delimiter has shifted the cells."""
    width = len(header.names)
    needed = width if family.full_rows else 1 + max(header.columns[name] for name in family.required)
    if len(row.cells) < needed:
        raise ValueError(
            f"the row has {len(row.cells)} cells but the header {width}: the file is cut off, export it again"
        )
    if any(text_of(cell) for cell in row.cells[width:]):
        raise ValueError(
            f"the row has {len(row.cells)} cells but the header {width}: quote cells that hold the delimiter"
        )


def _is_trailer(header: Header, row: Row) -> bool:
    filled = sum(1 for cell in row.cells if text_of(cell))
    if filled > 2 or text_of(header.cell(row, "cq")) or text_of(header.cell(row, "task")):
        return False
    try:
        well_of(header.cell(row, "position"), n_wells=1536)
    except ValueError:
        return True
    return False


def role_of(task: str, family: Family, options: Options) -> str:
    """Return the role of a task word; "" for a blank one.

    Raises
    ------
    ValueError
        The word is unknown; the message lists the known ones.
    """
    word = fold(task)
    known = {**family.tasks, **options.tasks}
    for candidate in (word, re.sub(r"[- ]?\d+$", "", word)):
        if candidate in known:
            return known[candidate]
    if not word:
        return ""
    listed = ", ".join(f"'{name}'" for name in known)
    raise ValueError(f"unknown task '{task}' (known: {listed}): add it with tasks={{'{task}': role}}")


def quantity_of(cell: Any, role: str, *, unit: str, decimal: Any = "point") -> dict[str, float]:
    """Return a well's quantity: nominal copies for a standard or control, the vendor's own result otherwise.

    Raises
    ------
    UnitError
        The quantity is not in copies per well.
    ValueError
        It is not a number, or a standard's is not positive.
    """
    value = number_of(cell, decimal=decimal)
    if np.isnan(value):
        return {}
    check_quantity_unit(unit)
    if role in ("standard", "qc"):
        if not (value > 0 and np.isfinite(value)):
            raise ValueError(f"the quantity {value:g} of a {role} is not a positive number of copies")
        return {"nominal_copies": value}
    return {"vendor_quantity": value}


def check_quantity_unit(unit: str) -> None:
    """Refuse a unit of quantity other than copies per well.

    Raises
    ------
    UnitError
        The unit is unknown, or measures something else.
    """
    if fold(unit) in _PER_WELL:
        return
    name = normalise_unit(unit, what="unit of quantity")
    if name != "copies/well":
        raise UnitError(f"quantities in '{name}' are not copies in the well: convert them to copies/well")
