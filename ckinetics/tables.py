"""Reading a table that a user gave: CSV or workbook, columns found by name, each row with its number.

A cell stays text until a column is asked for as numbers, dates or words, so that a message can name the
file, the row and the column, and quote what stood there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .delimited import csv_plain as csv_plain
from .delimited import csv_text as csv_text
from .delimited import first_lines, text_rows
from .errors import FileFormatError, InputError
from .workbooks import OLE, ZIPS, Workbook

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "nat", ".", "null", "none", "missing", "<na>"})
MOST_TEXT_BYTES = 64 * 2**20
_ENCODINGS = ("utf-8-sig", "cp1252")


@dataclass(frozen=True)
class Table:
    """A table with canonical column names.

    Attributes
    ----------
    frame : DataFrame
        Cells as they were given; columns renamed to canonical names, others left as they are.
    file, sheet : str
        Where it came from; empty for a DataFrame.
    rows : list of int
        Row number of each record, as a person sees it in the file (the header counts).
    """

    frame: pd.DataFrame
    file: str
    sheet: str
    rows: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, column: str) -> bool:
        return column in self.frame.columns

    def error(self, position: int | None, message: str, kind: type[InputError] = InputError) -> InputError:
        """Return an exception that names the file, the sheet and the row."""
        row = None if position is None else self.rows[position]
        return kind(message, file=self.file or None, sheet=self.sheet or None, row=row)

    def texts(self, column: str, *, required: bool = False) -> list[str]:
        """Return a column as stripped text; missing words become "".

        With `required`, an empty cell is refused.
        """
        if column not in self:
            return [""] * len(self)
        out = []
        for position, cell in enumerate(self.frame[column].tolist()):
            text = _text(cell)
            if text.lower() in MISSING_WORDS:
                text = ""
            if required and not text:
                raise self.error(position, f"column '{column}' is empty: fill it in")
            out.append(text)
        return out

    def numbers(self, column: str, *, what: str = "") -> np.ndarray:
        """Return a column as float64; missing words become NaN, anything else is refused."""
        out = np.full(len(self), np.nan)
        if column not in self:
            return out
        for position, cell in enumerate(self.frame[column].tolist()):
            text = _text(cell)
            if text.lower() in MISSING_WORDS:
                continue
            value = as_number(text)
            if value is None:
                comma = re.fullmatch(r"[+-]?\d+,\d+", text)
                do = "write it with a decimal point" if comma else "correct it or leave it empty"
                raise self.error(position, f"{what or column} '{text}' is not a number: {do}")
            out[position] = value
        return out

    def datetimes(self, column: str) -> np.ndarray:
        """Return a column as datetime64[ns]; ISO 8601 only, because day and month cannot be guessed."""
        out = np.full(len(self), np.datetime64("NaT", "ns"), dtype="datetime64[ns]")
        if column not in self:
            return out
        for position, cell in enumerate(self.frame[column].tolist()):
            if isinstance(cell, (datetime, date, np.datetime64, pd.Timestamp)):
                stamp = pd.Timestamp(cell)
                if stamp is not pd.NaT:
                    out[position] = _naive(stamp, self, position, column)
                continue
            text = _text(cell)
            if text.lower() in MISSING_WORDS:
                continue
            try:
                stamp = pd.Timestamp(datetime.fromisoformat(text))
            except ValueError:
                raise self.error(
                    position,
                    f"{column} '{text}' is not a date and time: write it as 2026-01-31T14:30 (ISO 8601)",
                ) from None
            out[position] = _naive(stamp, self, position, column)
        return out


def _naive(stamp: pd.Timestamp, table: Table, position: int, column: str) -> np.datetime64:
    if stamp.tzinfo is not None:
        raise table.error(
            position, f"{column} '{stamp}' has a time zone: give all times in one local time, without zone"
        )
    if not 1900 <= stamp.year <= 2199:
        raise table.error(position, f"{column} '{stamp}' is outside the years 1900 to 2199: correct it")
    return stamp.to_datetime64().astype("datetime64[ns]")


def _text(cell: Any) -> str:
    if cell is None or cell is pd.NaT or cell is pd.NA:
        return ""
    if isinstance(cell, np.generic) and not isinstance(cell, np.datetime64):
        cell = cell.item()  # a numpy number spells its type out
    if isinstance(cell, float):
        if np.isnan(cell):
            return ""
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return re.sub(r"\s+", " ", str(cell)).strip()


def as_number(text: str) -> float | None:
    """Return text as a finite number, or None where it is not one.

    A comma is read as a thousands separator only where it stands so ("1,234.5"); a decimal comma is
    refused rather than guessed.

    Examples
    --------
    >>> as_number("1,234.5"), as_number("1,5")
    (1234.5, None)
    """
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text):
        text = text.replace(",", "")
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def fold(name: str) -> str:
    """Return a column name as it is compared: lower case, µ as u, runs of anything else as one underscore."""
    lowered = str(name).strip().lower().replace("µ", "u").replace("μ", "u")
    return re.sub(r"[^0-9a-z%]+", "_", lowered).strip("_")


def read_table(
    source: str | Path | pd.DataFrame,
    *,
    what: str,
    aliases: Mapping[str, Sequence[str]],
    required: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> Table:
    """Read a table and give its columns their canonical names.

    Parameters
    ----------
    source : path or DataFrame
        CSV (comma, semicolon or tab; UTF-8 or Windows-1252) or a workbook's first sheet with data; what
        it is is found by content. Headers stand in the first row that is not empty.
    what : str
        What the table is, for messages: "sample sheet", "patients".
    aliases : mapping of str to sequence of str
        Canonical name, and the other names it goes by, the preferred first.
    required : sequence of str
        Canonical names that must be there.
    columns : mapping of str to str, optional
        Canonical name to the name used in this table; overrides the aliases.

    Raises
    ------
    FileFormatError
        The file is missing, empty, damaged, or no table.
    InputError
        A required column is missing, or two columns claim one name.
    """
    if isinstance(source, pd.DataFrame):
        frame, file, sheet = source.reset_index(drop=True), "", ""
        rows = list(range(1, len(frame) + 1))
    else:
        cells, file, sheet = _cells(Path(source), what)
        frame, rows = _with_header(cells, file, sheet, what)
    folded: dict[str, list[str]] = {}
    for column in frame.columns:
        folded.setdefault(fold(column), []).append(column)
    rename: dict[str, str] = {}
    for name, others in aliases.items():
        wanted = [columns[name]] if columns and name in columns else [name, *others]
        hits = [column for want in wanted for column in folded.get(fold(want), [])]
        if columns and name in columns and not hits:
            raise InputError(
                f"{what} has no column '{columns[name]}' (named for '{name}'): it has {_listed(frame.columns)}",
                file=file or None,
                sheet=sheet or None,
            )
        if len(folded.get(fold(hits[0]), [])) > 1 if hits else False:
            raise InputError(
                f"{what} has the column '{hits[0]}' twice: remove one", file=file or None, sheet=sheet or None
            )
        if hits and hits[0] not in rename:
            rename[hits[0]] = name
    missing = [name for name in required if name not in rename.values()]
    if missing:
        others = ", ".join(aliases.get(missing[0], ())) or "nothing else"
        raise InputError(
            f"{what} has no column '{missing[0]}' (also accepted: {others}); it has {_listed(frame.columns)}: "
            f"add it, or name yours with columns={{'{missing[0]}': ...}}",
            file=file or None,
            sheet=sheet or None,
        )
    clashes = [column for column in frame.columns if column in rename.values() and column not in rename]
    frame = frame.drop(columns=clashes).rename(columns=rename)
    return Table(frame, file, sheet, rows)


def _listed(names: Sequence[Any] | pd.Index) -> str:
    return ", ".join(f"'{name}'" for name in names) or "no columns"


def _cells(path: Path, what: str) -> tuple[list[tuple[int, list[Any]]], str, str]:
    name = str(path)
    if not path.is_file():
        raise FileFormatError(f"{what} '{path}' is not there: check the path")
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= MOST_TEXT_BYTES else b""
    except OSError as err:
        raise FileFormatError(f"the file cannot be opened ({err.strerror or err})", file=name) from None
    if size > MOST_TEXT_BYTES:
        raise FileFormatError(f"{what} is larger than {MOST_TEXT_BYTES >> 20} MB: check where it is from", file=name)
    if not raw.strip():
        raise FileFormatError("the file is empty", file=name)
    if raw.startswith((*ZIPS, OLE)):
        return _workbook_cells(raw, name)
    if b"\x00" in raw and raw[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise FileFormatError(f"{what} is neither a text table nor a workbook", file=name)
    text = decode(raw, name)
    sample = "\n".join([line for line in first_lines(text) if line.strip()][:20])
    records = text_rows(text, max(",;\t", key=sample.count), name)
    return [(number, [csv_plain(cell) for cell in cells]) for number, cells in records], name, ""


def decode(raw: bytes, file: str | Path) -> str:
    """Return a file's bytes as text: UTF-16 by its mark, UTF-8 where it is valid, else Windows-1252.

    Raises
    ------
    FileFormatError
        The file is marked as UTF-16 and is not.
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError:
            raise FileFormatError(
                "the file is marked as UTF-16 text but is cut off or damaged: export it again", file=file
            ) from None
    for encoding in _ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _workbook_cells(raw: bytes, name: str) -> tuple[list[tuple[int, list[Any]]], str, str]:
    book = Workbook(raw, name)
    for sheet in book.sheet_names:
        records = list(enumerate(book.rows(sheet), start=1))
        if any(_text(cell) for _, row in records for cell in row):
            return records, name, sheet
    raise FileFormatError("the workbook has no sheet with data", file=name)


def _with_header(
    cells: list[tuple[int, list[Any]]], file: str, sheet: str, what: str
) -> tuple[pd.DataFrame, list[int]]:
    filled = [(number, row) for number, row in cells if any(_text(cell) for cell in row)]
    if not filled:
        raise FileFormatError(f"{what} has no rows", file=file, sheet=sheet)
    header_number, header = filled[0]
    names = [_text(cell) for cell in header]
    while names and not names[-1]:
        names.pop()
    for position, name in enumerate(names):
        if not name:
            names[position] = f"unnamed {position + 1}"
    body, rows = [], []
    for number, row in filled[1:]:
        if any(_text(cell) for cell in row[len(names) :]):
            raise FileFormatError(
                f"the row has more cells than the header in row {header_number} has columns: "
                "quote cells that hold the delimiter",
                file=file,
                sheet=sheet or None,
                row=number,
            )
        padded = list(row[: len(names)]) + [""] * (len(names) - len(row))
        body.append(padded)
        rows.append(number)
    frame = pd.DataFrame(body, columns=pd.Index(names, dtype=object), dtype=object)
    return frame, rows
