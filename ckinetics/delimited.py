"""Delimited text: rows read within limits, and cells written so that a spreadsheet computes none of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import FileFormatError
from .workbooks import MOST_CELLS, MOST_COLUMNS

_MOST_ROWS = 2**20
_LONGEST_LINE = 4 * 2**20
# What a spreadsheet takes for a formula, or what would hide it; full-width signs count too.
_FORMULA = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")


def first_lines(text: str) -> list[str]:
    """Return the lines at the beginning of a text, from which its delimiter is told."""
    lines = text[: MOST_COLUMNS * 16].splitlines()
    return lines if len(text) <= MOST_COLUMNS * 16 else lines[:-1] or lines


def text_rows(text: str, delimiter: str, file: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of delimited text, each with the number of its first line.

    Raises
    ------
    FileFormatError
        A line cannot be split, a quote is never closed, or there are more cells than in any table.
    """
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter)
    start, left = 1, MOST_CELLS
    try:
        for cells in reader:
            left -= len(cells)
            if start > _MOST_ROWS or len(cells) > MOST_COLUMNS or left < 0:
                raise FileFormatError(
                    "there are more rows or columns than in any table: check where the file is from",
                    file=file,
                    row=start,
                )
            if lines.ended:  # a row that was still open at the end
                raise FileFormatError(
                    "a quote is opened and never closed: the file is cut off or damaged, export it again",
                    file=file,
                    row=start,
                )
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as err:
        raise FileFormatError(
            f"the line cannot be split into cells ({err}): the file is damaged or of another kind, export it again",
            file=file,
            row=start,
        ) from None


class _Lines:
    """The lines of a text, and whether more were asked for than there are."""

    def __init__(self, text: str) -> None:
        self.stream = io.StringIO(text, newline="")
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.stream.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise csv.Error(f"it is longer than {_LONGEST_LINE >> 20} million characters")
        if not line:
            self.ended = True
            raise StopIteration
        return line


def csv_text(cell: Any) -> str:
    """Return a cell as it is written to a CSV that a person may open in a spreadsheet.

    Text that a spreadsheet would take for a formula gets an apostrophe in front, which `csv_plain` takes off again;
    numbers stay numbers.

    Parameters
    ----------
    cell
        Text, a number, a date, or nothing (None, NaN, NaT), which is an empty cell.

    Examples
    --------
    >>> csv_text("=HYPERLINK(1)"), csv_text("S1"), csv_text(-3.5), csv_text(float("nan"))
    ("'=HYPERLINK(1)", 'S1', '-3.5', '')
    >>> csv_plain(csv_text("-RT"))
    '-RT'
    """
    if isinstance(cell, str):
        return "'" + cell if _FORMULA.match(cell) else cell
    if isinstance(cell, (np.datetime64, np.timedelta64)):
        return "" if np.isnat(cell) else str(cell)
    if isinstance(cell, np.generic):
        cell = cell.item()  # a numpy number spells its type out
    if cell is None or cell is pd.NaT or cell is pd.NA or (isinstance(cell, float) and cell != cell):
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (datetime, date)):
        return cell.isoformat()
    return repr(cell) if isinstance(cell, float) else str(cell)


def csv_plain(text: str) -> str:
    """Return the text of a cell without the apostrophe that `csv_text` put in front."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
