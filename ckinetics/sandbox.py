"""Reading a workbook in a process of its own, whose memory and time are limited.

The library that reads .xls, .xlsb and .ods can be made to ask for any amount of memory, and then ends the process
it runs in; that is not this one. The process reads the file from its input and writes the sheets to its output, as
JSON in which a date is a list of its kind and its ISO text.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from .errors import FileFormatError

_MEMORY = 2 * 2**30
_SECONDS = 60
_MOST_SAID = 2**28
_TOO_LARGE, _PROTECTED = "too large", "protected"
_KINDS: dict[str, Any] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "seconds": lambda seconds: timedelta(seconds=seconds),
}


def read_apart(raw: bytes, file: str | Path, *, most_cells: int) -> dict[str, list[list[Any]]]:
    """Return the rows of all sheets of a workbook, read in a process of its own.

    Parameters
    ----------
    raw : bytes
        The workbook.
    file : str or Path
        Its name, for messages.
    most_cells : int
        Cells of all sheets together above which it is refused.

    Returns
    -------
    dict of str to list
        Sheet name to its rows, each with all cells from column A.

    Raises
    ------
    FileFormatError
        It is damaged, protected, too large, or takes too long.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(most_cells)],
            input=raw,
            capture_output=True,
            timeout=2 * _SECONDS,
            env={**os.environ, "PYTHONPATH": paths},
            check=False,
        )
        answer: Any = json.loads(done.stdout) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        answer = None
    if isinstance(answer, dict):
        sheets = answer["sheets"]
        return {name: [[_cell_in(cell) for cell in row] for row in rows] for name, rows in sheets}
    if answer == _PROTECTED:
        raise FileFormatError("the workbook is protected by a password: save it without one", file=file)
    if answer == _TOO_LARGE:
        raise FileFormatError(
            f"the workbook has more than {most_cells} cells, or very long texts: check where it is from",
            file=file,
        )
    detail = f" ({answer[:120]})" if isinstance(answer, str) else ""
    raise FileFormatError(
        f"the file begins like a workbook but cannot be read as one{detail}: it is damaged or incomplete, or of "
        "another kind, export it again",
        file=file,
    )


def _cell_in(cell: Any) -> Any:
    return _KINDS[cell[0]](cell[1]) if isinstance(cell, list) else cell


def _cell_out(cell: Any) -> list[Any]:
    if isinstance(cell, timedelta):
        return ["seconds", cell.total_seconds()]
    return [type(cell).__name__, cell.isoformat()]


def _limit() -> None:
    try:
        import resource
    except ImportError:  # on Windows the time alone is limited
        return
    for kind, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, _SECONDS), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _read(raw: bytes, most_cells: int) -> Any:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        sheets, left = [], most_cells
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            left -= (1 + sheet.total_height) * (1 + sheet.total_width)
            if left < 0:
                return _TOO_LARGE
            sheets.append((name, sheet.to_python(skip_empty_area=False)))
    except calamine.PasswordError:
        return _PROTECTED
    except BaseException as err:  # what a panic is: not an Exception
        return " ".join(str(err).split())
    return {"sheets": sheets}


if __name__ == "__main__":
    _limit()
    said = json.dumps(_read(sys.stdin.buffer.read(), int(sys.argv[1])), default=_cell_out)
    sys.stdout.write(said if len(said) <= _MOST_SAID else json.dumps(_TOO_LARGE))
