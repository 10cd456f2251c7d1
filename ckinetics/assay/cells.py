"""What one cell of an export says: text, numbers, Cq, well positions, omit flags, dates.

A cell is what a workbook or a text file gave: text, a number, a truth value, a date, or nothing. Each
function raises ``ValueError`` with a sentence; the reader that called it adds file, sheet and row.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from ..schema import CqStatus, YesNo

Decimal = Literal["point", "comma", "mixed"]

UNDETERMINED = frozenset({"undetermined", "not detected", "no ct", "no cq", "nd"})
BLANK = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})

_WELL = re.compile(r"([A-Za-z]{1,2})0*([1-9]\d?)")
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?")
# Also as Excel writes truth values in other languages.
_YES = frozenset({"true", "yes", "y", "1", "x", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar"})
_NO = frozenset({"false", "no", "n", "0", "falsch", "faux", "falso", "onwaar"})
_COLUMNS = {96: 12, 384: 24, 1536: 48}
# The micro sign in all the ways in which it is written and damaged, and the letters of "C\u0442" that StepOne writes.
_MICRO = re.compile("[ÂÎ¬]?[µμ\ufffd]|Î¼|ï¿½")
_CYRILLIC = str.maketrans("\u0421\u0441\u0422\u0442", "CcTt")


def text_of(cell: Any) -> str:
    """Return a cell as text, stripped; whole numbers without a decimal point.

    Examples
    --------
    >>> text_of(12.0), text_of("  Std 1 "), text_of(None)
    ('12', 'Std 1', '')
    """
    if type(cell) is str:  # nearly all cells are text, and there are many
        return cell.strip()
    if cell is None or cell is np.nan:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, (float, np.floating)):
        if math.isnan(cell):
            return ""
        value = float(cell)
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    if isinstance(cell, (datetime, date)):
        return cell.isoformat()
    return str(cell).strip()


def fold(cell: Any) -> str:
    """Return a header or a word in the form in which it is compared: lower case, micro signs alike.

    Examples
    --------
    >>> fold(" Conc. [copies/µL]  "), fold("C\u0442")
    ('conc. [copies/ul]', 'ct')
    """
    return _folded(text_of(cell))


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    text = _MICRO.sub("u", text).replace("²", "2").translate(_CYRILLIC)
    return re.sub(r"[\s_]+", " ", text).strip().casefold()


def number_of(cell: Any, *, decimal: Decimal = "point") -> float:
    """Return a cell as a number, NaN where it is blank.

    Parameters
    ----------
    cell
        The cell.
    decimal : {"point", "comma", "mixed"}
        What a decimal mark is in this file. With "point" a comma separates thousands; with "comma" it is
        the decimal mark; in a "mixed" file a number with a comma is refused.

    Raises
    ------
    ValueError
        The cell is not a number, or could mean two numbers.

    Examples
    --------
    >>> number_of("1,250.5"), number_of("27,31", decimal="comma")
    (1250.5, 27.31)
    """
    if type(cell) is float:
        return cell
    if cell == "":
        return math.nan
    if isinstance(cell, bool):
        raise ValueError(f"'{cell}' is not a number")
    if isinstance(cell, (int, float, np.integer, np.floating)):
        return float(cell)
    text = text_of(cell).replace("\u00a0", "").replace("\u202f", "")
    if text.casefold() in BLANK:
        return math.nan
    if isinstance(cell, (datetime, date)):
        raise ValueError(f"'{text}' is a date, not a number")
    if _PLAIN.fullmatch(text):
        if decimal == "comma" and re.fullmatch(r"[+-]?[1-9]\d{0,2}(\.\d{3})+", text):
            raise ValueError(f"'{text}' could mean two numbers in a file with decimal commas")
        return float(text)
    if decimal == "comma" and _COMMA.fullmatch(text):
        return float(text.replace(".", "").replace(",", "."))
    if decimal == "point" and _THOUSANDS.fullmatch(text):
        return float(text.replace(",", ""))
    if "," in text and (_COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text)):
        raise ValueError(f"'{text}' could mean two numbers: write it with a decimal point and no thousands mark")
    raise ValueError(f"'{text}' is not a number")


def decimal_of(cells: list[str]) -> Decimal:
    """Return what the decimal mark of a text file is, from all its cells."""
    point = any(re.fullmatch(r"[+-]?\d+\.\d+", cell) for cell in cells)
    with_comma = [cell for cell in cells if re.fullmatch(r"[+-]?\d+,\d+", cell)]
    decimal_comma = any(not _THOUSANDS.fullmatch(cell) for cell in with_comma)
    if decimal_comma:
        return "mixed" if point else "comma"
    # "1,250" alone says nothing about the mark; beside "27.3" its comma can only separate thousands.
    return "mixed" if with_comma and not point else "point"


def cq_of(
    cell: Any, *, decimal: Decimal = "point", undetermined: frozenset[str] = UNDETERMINED
) -> tuple[float, CqStatus]:
    """Return Cq and what the field said.

    A blank field says nothing (``missing``); only a word such as "Undetermined" says that no signal was
    seen. ``undetermined`` holds these words, folded; a file that writes NaN or nothing for a well
    without signal needs that word added.

    Examples
    --------
    >>> cq_of("UNDETERMINED")
    (nan, <CqStatus.undetermined: 0>)
    >>> cq_of("27.5")
    (27.5, <CqStatus.determined: 1>)
    """
    if type(cell) is float and 0.0 < cell <= 100.0 and undetermined == UNDETERMINED:
        return cell, CqStatus.determined
    if fold(cell) in undetermined:
        return math.nan, CqStatus.undetermined
    if isinstance(cell, (float, np.floating)) and math.isnan(cell) and "nan" in undetermined:
        return math.nan, CqStatus.undetermined
    try:
        value = number_of(cell, decimal=decimal)
    except ValueError as err:
        text = text_of(cell)
        if re.search(r"\d", text):
            raise
        raise ValueError(f"{err}; where it means that no signal was seen, add undetermined=['{text}']") from None
    if math.isnan(value):
        return math.nan, CqStatus.missing
    if not 0.0 < value <= 100.0:
        raise ValueError(f"Cq {value:g} is not a cycle number: write 'Undetermined' for a well without signal")
    return value, CqStatus.determined


def well_of(cell: Any, *, n_wells: int = 0) -> str:
    """Return a well position as letter and number without zeros.

    Parameters
    ----------
    cell
        "A1", "A01", or the number of the well counted along the rows, where `n_wells` is known.
    n_wells : int
        Wells of the plate: 96, 384 or 1536; 0 where unknown.

    Examples
    --------
    >>> well_of("a01"), well_of(13.0, n_wells=96)
    ('A1', 'B1')
    """
    return _position(text_of(cell), n_wells)


@lru_cache(maxsize=4096)
def _position(text: str, n_wells: int) -> str:
    found = _WELL.fullmatch(text)
    if found:
        return found[1].upper() + found[2]
    if re.fullmatch(r"\d+", text):
        if n_wells not in _COLUMNS:
            raise ValueError(f"well '{text}' is a number and the size of the plate is unknown: write it as A1")
        if not 1 <= int(text) <= n_wells:
            raise ValueError(f"well {text} is not on a plate of {n_wells} wells")
        row, column = divmod(int(text) - 1, _COLUMNS[n_wells])
        letters = chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)
        return f"{letters}{column + 1}"
    raise ValueError(f"'{text}' is not a well position such as A1")


def yes_no_of(cell: Any) -> YesNo:
    """Return a truth value; blank is unknown.

    Examples
    --------
    >>> yes_no_of("FALSE"), yes_no_of(True)
    (<YesNo.no: 0>, <YesNo.yes: 1>)
    """
    word = fold(cell)
    if word in _YES:
        return YesNo.yes
    if word in _NO:
        return YesNo.no
    if word in BLANK:
        return YesNo.unknown
    raise ValueError(f"'{text_of(cell)}' is neither true nor false")


def datetime_of(cell: Any) -> np.datetime64:
    """Return an ISO 8601 date and time, NaT where the cell is blank.

    Examples
    --------
    >>> datetime_of("2024-05-01T08:30")
    np.datetime64('2024-05-01T08:30:00.000000000')
    """
    if isinstance(cell, np.datetime64):
        return cell.astype("datetime64[ns]")
    if isinstance(cell, date):  # a datetime is a date too
        moment: date = cell
    else:
        text = text_of(cell)
        if text.casefold() in BLANK or text == "NaT":
            return np.datetime64("NaT", "ns")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"'{text}' is not an ISO date and time such as 2024-05-01T08:30") from None
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        raise ValueError(f"'{moment.isoformat()}' has a time zone: write the local time of the site without it")
    return np.datetime64(moment, "ns")
