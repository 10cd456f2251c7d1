"""What the readers share: finding the header by content, and reading the wells under it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
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
    """What a reader found in a file.

    Attributes
    ----------
    rows : wells, each a dict of schema names
    software : name and version of the software that wrote it
    metadata : what else the file says of itself, as it is written there; operator names and paths among it
    """

    rows: list[dict[str, Any]]
    software: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


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
    digital : whether its wells have partitions and no Cq
    explain : says of a file of this family without the needed columns what it is; "" where it is none
    """

    name: str
    title: str
    columns: Mapping[str, Sequence[str]]
    required: tuple[str, ...]
    tasks: Mapping[str, str]
    read: Callable[[Family, Source, Header, Options], Reading]
    sheets: tuple[str, ...] = ()
    full_rows: bool = True
    digital: bool = False
    explain: Callable[[Source], str] = lambda source: ""

    @cached_property
    def folded(self) -> dict[str, tuple[str, ...]]:
        """Canonical column to its headers in the form in which they are compared."""
        return {canonical: tuple(map(fold, headers)) for canonical, headers in self.columns.items()}


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
        there = [name for word in wanted for name in source.sheet_names if fold(name) == word]
        # Saved again as a table of its own, a sheet has any name.
        names = there if there or sheets is not None else names
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
    texts = tuple(map(text_of, row.cells))
    places: dict[str, int] = {}
    for at, text in enumerate(texts):
        if text:
            places.setdefault(fold(text), at)
    columns = {}
    for canonical, headers in family.folded.items():
        found = next((places[name] for name in headers if name in places), None)
        if found is not None:
            columns[canonical] = found
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


def body_rows(source: Source, header: Header) -> list[Row]:
    """Return the rows under a header that hold anything; a line such as ``[Melt Curve]`` ends the table."""
    return source.rows_after(header.sheet, header.index)


def header_lines(source: Source, header: Header) -> dict[str, str]:
    """Return the settings that an export writes around its table: above the header, and after the last well.

    A line is a name and its value, in two cells or as ``name = value`` or ``name: value``. In a text file with
    sections the lines above the first section count.
    """
    found: dict[str, str] = {}
    for row in source.rows(header.sheet)[: header.index]:
        texts = [text for text in map(text_of, row.cells) if text]
        if texts and re.fullmatch(r"\[[^\]]+\]", texts[0]):
            break
        _note(found, texts)
    trailers = itertools.takewhile(lambda row: _is_setting(header, row), reversed(body_rows(source, header)))
    for row in reversed(list(trailers)):
        _note(found, [text for text in map(text_of, row.cells) if text])
    return found


def _is_setting(header: Header, row: Row) -> bool:
    if any(text_of(header.cell(row, name)) for name in ("cq", "task", "sample", "target")):
        return False
    texts = [text for text in map(text_of, row.cells) if text]
    return len(texts) <= 2 and re.search(r"[^\W\d_]{3}", texts[0]) is not None


def _note(found: dict[str, str], texts: list[str]) -> None:
    if len(texts) == 1:
        texts = re.split(r"\s+=\s+|:\s+", texts[0].removeprefix("*").strip(), maxsplit=1)
    if len(texts) >= 2:
        found.setdefault(texts[0].strip(" :"), " ".join(texts[1:]))


def columns_once(source: Source, header: Header, names: Sequence[str]) -> dict[str, str]:
    """Return what columns such as "Instrument" say, each different text once, in the order of the rows."""
    folded = [fold(name) for name in header.names]
    found: dict[str, str] = {}
    for name in names:
        if fold(name) in folded:
            at = folded.index(fold(name))
            texts = dict.fromkeys(text_of(row.cells[at]) for row in body_rows(source, header) if at < len(row.cells))
            found[header.names[at]] = ", ".join(text for text in texts if text)
    return {name: text for name, text in found.items() if text}


def read_wells(
    family: Family,
    source: Source,
    header: Header,
    options: Options,
    *,
    n_wells: int = 0,
    prepare: Callable[[Row], Row | None] | None = None,
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
    prepare : callable, optional
        Returns the row as it is to be read, or None for one that is no well.

    Raises
    ------
    InputError
        A cell cannot be read; the file, sheet and row are named.
    """
    rows = []
    for found in body_rows(source, header):
        row = found if prepare is None else prepare(found)
        if row is None:
            continue
        try:
            well = _well(family, source, header, options, row, n_wells)
        except UnitError as err:
            raise UnitError(err.message, file=source.path, sheet=header.sheet, row=row.number) from None
        except ValueError as err:
            raise located(err, source, header, row.number) from None
        if well is not None:
            rows.append(well)
    if not rows:
        raise FileFormatError(
            "there is no well under the header", file=source.path, sheet=header.sheet, row=header.number
        )
    return rows


def located(err: ValueError | str, source: Source, header: Header, row: int) -> FileFormatError:
    """Return what is wrong with a row as an error that names file, sheet and row, in one line."""
    message = err.message if isinstance(err, InputError) else str(err)
    return FileFormatError(" ".join(message.split()), file=source.path, sheet=header.sheet, row=row)


def _well(
    family: Family, source: Source, header: Header, options: Options, row: Row, n_wells: int
) -> dict[str, Any] | None:
    columns, cells = header.columns, row.cells

    def cell(column: str) -> Any:
        at = columns.get(column)
        return "" if at is None or at >= len(cells) else cells[at]

    def text(column: str) -> str:
        at = columns.get(column)
        if at is None or at >= len(cells):
            return ""
        found = text_of(cells[at])
        return "" if len(found) <= 4 and found.casefold() in _MISSING_TEXT else found

    field, task = cell("cq"), text("task")
    if not task and not text_of(field) and _is_trailer(header, row):
        return None
    if not source.is_workbook:
        _check_width(family, header, row)
    sample, target = text("sample"), text("target")
    if not (sample or target or task or text("cq")):
        return None
    role = role_of(task, family, options)
    cq, cq_status = cq_of(field, decimal=source.decimal, undetermined=options.undetermined)
    well = {
        "file": source.name,
        "file_sha256": source.sha256,
        "sheet": header.sheet,
        "row": float(row.number),
        "well_name": well_of(cell("position"), n_wells=n_wells),
        "sample": sample,
        "target": target,
        "role": role,
        "dye": text("dye"),
        "cq": cq,
        "cq_status": cq_status,
        "omit": yes_no_of(cell("omit")) if "omit" in columns else YesNo.no,
        "run": text("run_id"),
    }
    if "quantity" in columns:
        unit = text("quantity_unit") or options.quantity_unit
        well |= quantity_of(cell("quantity"), role, unit=unit, decimal=source.decimal)
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
    """Whether a row without Cq and task is a setting under the table and no well."""
    if sum(1 for cell in row.cells if text_of(cell)) > 2:
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
    known = {**family.tasks, **options.tasks} if options.tasks else family.tasks
    if word in known:
        return known[word]
    for other in (re.sub(r"[- ]?\d+$", "", word), word.replace("-", " ")):
        if other in known:
            return known[other]
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


@lru_cache(maxsize=64)
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
