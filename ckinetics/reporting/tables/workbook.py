"""Writing sheets as an xlsx file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...delimited import csv_text
from ...errors import InputError
from .sheets import Sheet

_LONGEST = 32_767  # characters that a cell holds
_ROWS = 1_048_576
_CELLS_IN_MEMORY = 1_000_000
_CUT = " … (cut: a cell holds no more)"


def write_workbook(path: Path, sheets: Sequence[Sheet], *, title: str) -> None:
    """Write sheets to a workbook: a header, a row of units, then the data.

    Numbers are numbers in full precision, an infinite one the word "inf"; a missing value is an empty cell; text is
    text, also where it begins with "=".

    Parameters
    ----------
    path : Path
        The file; the caller moves it into place.
    sheets : sequence of Sheet
        In order.
    title : str
        Title in the file's properties.

    Raises
    ------
    InputError
        A table is longer than a sheet.
    """
    import xlsxwriter

    # A large workbook goes to the disk row by row: in memory it would take some 200 bytes a cell.
    large = sum(sheet.frame.size for sheet in sheets) > _CELLS_IN_MEMORY
    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "constant_memory": large,
    }
    book = xlsxwriter.Workbook(str(path), options)
    try:
        book.set_properties({"title": title[:255]})
        looks = {
            "header": book.add_format({"bold": True, "bg_color": "#E8EEF4", "bottom": 1, "text_wrap": True}),
            "unit": book.add_format({"italic": True, "font_color": "#555555", "bottom": 1}),
            "date": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            # As with an apostrophe typed in front: the cell stays text when a person edits it.
            "text": book.add_format({"quote_prefix": True}),
        }
        for sheet in sheets:
            _write(book.add_worksheet(sheet.name), sheet, looks)
    finally:
        book.close()


def _write(worksheet: Any, sheet: Sheet, looks: dict[str, Any]) -> None:
    first = 2 if sheet.has_units else 1
    if len(sheet.frame) + first > _ROWS:
        raise InputError(f"the table '{sheet.name}' has {len(sheet.frame)} rows, more than a sheet holds: write HTML")
    names = [str(name) for name in sheet.frame.columns]
    for column, name in enumerate(names):
        worksheet.write_string(0, column, name, looks["header"])
    if sheet.has_units:
        for column, name in enumerate(names):
            worksheet.write_string(1, column, sheet.units.get(name, ""), looks["unit"])
    widest = [len(name) for name in names]
    columns = (sheet.frame.iloc[:, at].tolist() for at in range(len(names)))
    for row, values in enumerate(zip(*columns, strict=True), start=first):
        for column, value in enumerate(values):
            width = _cell(worksheet, row, column, value, looks)
            if width > widest[column]:
                widest[column] = width
    for column, width in enumerate(widest):
        worksheet.set_column(column, column, min(max(width, 8), 60) + 1)
    worksheet.freeze_panes(first, 0)


def _cell(worksheet: Any, row: int, column: int, value: Any, looks: dict[str, Any]) -> int:
    """Write one cell and return its width in characters; what is missing stays empty."""
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return 0
    if isinstance(value, float) and math.isinf(value):  # no number to a spreadsheet, and not missing
        worksheet.write_string(row, column, "inf" if value > 0 else "-inf")
        return 4
    if isinstance(value, (bool, np.bool_)):
        worksheet.write_boolean(row, column, bool(value))
        return 5
    if isinstance(value, pd.Timestamp) and value.year >= 1900:
        worksheet.write_datetime(row, column, value.to_pydatetime(warn=False), looks["date"])
        return 19
    if isinstance(value, (int, float, np.integer, np.floating)):
        worksheet.write_number(row, column, value)
        return 10
    text = str(value)
    if text:
        if len(text) > _LONGEST:
            text = text[: _LONGEST - len(_CUT)] + _CUT
        worksheet.write_string(row, column, text, looks["text"] if csv_text(text) != text else None)
    return max(map(len, text.splitlines()), default=0)
