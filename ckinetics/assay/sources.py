"""A file as sheets of numbered rows, whatever its extension says it is."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..delimited import first_lines, text_rows
from ..errors import FileFormatError, InputError
from ..tables import MOST_TEXT_BYTES, decode
from ..workbooks import OLE, ZIPS, Workbook
from .cells import Decimal, decimal_of, text_of

_GZIP = b"\x1f\x8b"
_MOST_BYTES = 2 * MOST_TEXT_BYTES
# A member of every workbook: Office Open XML, OpenDocument.
_WORKBOOK_MEMBERS = ("[Content_Types].xml", "content.xml")
_DELIMITERS = ("\t", ";", ",")
_LONGEST_PROLOGUE = 4096
_RDML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^<>]*>\s*)?(?:<!--[^<>]*-->\s*)*<(?:!DOCTYPE\s+|[\w.-]+:)?rdml[\s>]"
)


class Row(NamedTuple):
    """One row: its number as a person sees it (counted from 1), and its cells."""

    number: int
    cells: list[Any]


@dataclass
class Source:
    """A file that was opened: its name and hash, its sheets, its decimal mark.

    A text file has one sheet, named "". A zip that is no workbook, and an RDML document that was never zipped, has
    no sheet, and is kept whole in ``archive``.
    """

    path: Path
    sha256: str
    sheet_names: tuple[str, ...]
    decimal: Decimal = "point"
    archive: bytes | None = None
    _workbook: Workbook | None = None
    _rows: dict[str, list[Row]] = field(default_factory=dict)
    _bodies: dict[tuple[str, int], list[Row]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return self.path.name

    @property
    def is_workbook(self) -> bool:
        """Whether the file is a workbook rather than text."""
        return self._workbook is not None

    def rows(self, sheet: str) -> list[Row]:
        """Return the rows of a sheet; read when first asked for."""
        if sheet not in self._rows:
            found = [] if self._workbook is None else self._workbook.rows(sheet)
            self._rows[sheet] = [Row(index, row) for index, row in enumerate(found, start=1)]
        return self._rows[sheet]

    def rows_after(self, sheet: str, index: int) -> list[Row]:
        """Return the rows after one that hold anything; a line such as ``[Melt Curve]`` ends the table."""
        key = (sheet, index)
        if key not in self._bodies:
            self._bodies[key] = list(_body(self.rows(sheet)[index + 1 :]))
        return self._bodies[key]


def _body(rows: list[Row]) -> Iterator[Row]:
    for row in rows:
        if row.cells and type(row.cells[0]) is float:  # a number begins no section, and there are many such rows
            yield row
            continue
        filled = (text for text in map(text_of, row.cells) if text)
        first = next(filled, "")
        if not first:
            continue
        if first[0] == "[" and re.fullmatch(r"\[[^\]]+\]", first) and not next(filled, ""):
            return
        yield row


def open_source(path: str | Path) -> Source:
    """Open a file by its content: workbook, other zip archive, RDML document, or text; a .gz is unpacked first.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Source
        Its sheets, read when asked for.

    Raises
    ------
    FileFormatError
        The file is empty, damaged, protected, or neither a workbook nor text.
    InputError
        The file cannot be opened, or is a folder.
    """
    where = Path(path)
    if where.is_dir():
        raise InputError("the folder holds no plate export: check its name", file=where)
    try:
        raw = where.read_bytes() if where.stat().st_size <= _MOST_BYTES else None
    except OSError as err:
        raise InputError(f"the file cannot be opened ({err.strerror or err}): check its name", file=where) from err
    if raw is None:
        raise FileFormatError(
            f"the file is larger than {_MOST_BYTES >> 20} MB, as no export is: check where it is from", file=where
        )
    sha256 = hashlib.sha256(raw).hexdigest()
    if not raw.strip():
        raise FileFormatError("the file is empty: export it again", file=where)
    if raw.startswith(_GZIP):
        raw = _unpacked(where, raw)
    if (raw.startswith(ZIPS) and _is_archive(raw)) or _RDML.match(raw[:_LONGEST_PROLOGUE]):
        return Source(where, sha256, (), archive=raw)
    if raw.startswith((*ZIPS, OLE)):
        workbook = Workbook(raw, where)
        return Source(where, sha256, workbook.sheet_names, _workbook=workbook)
    return _open_text(where, raw, sha256)


def _unpacked(path: Path, raw: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            unpacked = stream.read(MOST_TEXT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as err:
        raise FileFormatError(f"the .gz is damaged or cut off ({err}): export it again", file=path) from None
    if len(unpacked) > MOST_TEXT_BYTES:
        raise FileFormatError(
            f"the .gz is larger than {MOST_TEXT_BYTES >> 20} MB when unpacked, as no export is: check where it is from",
            file=path,
        )
    if not unpacked.strip():
        raise FileFormatError("the .gz holds nothing: export it again", file=path)
    return unpacked


def _is_archive(raw: bytes) -> bool:
    """Return whether a zip can be listed and is no workbook; a damaged one is left to the workbook library."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, OverflowError, struct.error):
        return False
    return not any(name in _WORKBOOK_MEMBERS or name.startswith("xl/") for name in names)


def _open_text(path: Path, raw: bytes, sha256: str) -> Source:
    if len(raw) > MOST_TEXT_BYTES:
        raise FileFormatError(
            f"the text is larger than {MOST_TEXT_BYTES >> 20} MB, as no export is: check where it is from", file=path
        )
    marked = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not marked and b"\x00" not in raw[:400:2] and raw[1:400:2].count(0) > 150:
        raw, marked = b"\xff\xfe" + raw, True  # UTF-16 without its mark: every other byte of its first lines is 0
    text = decode(raw, path) if marked or b"\x00" not in raw else "\x00"
    if "\x00" in text:
        raise FileFormatError("the file is neither a workbook nor text: export it as .xlsx or .csv", file=path)
    rows = [Row(number, cells) for number, cells in text_rows(text, _delimiter(first_lines(text)), path)]
    # Lines of settings are not numbers of the table: a version "2.6" says nothing of its decimal mark.
    table = [row for row in rows if sum(map(bool, map(str.strip, row.cells))) > 2]
    decimal = decimal_of([cell.strip() for row in table or rows for cell in row.cells])
    return Source(path, sha256, ("",), decimal=decimal, _rows={"": rows})


def _delimiter(lines: list[str]) -> str:
    # Saved again, the line that names the delimiter may hold the one that it now has, or none.
    if lines and (named := re.fullmatch(r"sep=(.)\1*\s*", lines[0], re.IGNORECASE)):
        return named[1]
    sample = [line for line in lines if line.strip()][:200]

    def score(delimiter: str) -> int:
        counts = Counter(line.count(delimiter) for line in sample if delimiter in line)
        return max((count * lines for count, lines in counts.items()), default=0)

    return max(_DELIMITERS, key=score)
