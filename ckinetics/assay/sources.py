"""A file as sheets of numbered rows, whatever its extension says it is."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError
from ..tables import decode
from .cells import Decimal, decimal_of

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# What a zip may begin with: CFX puts the mark of a split archive in front.
_ZIPS = (ZIP, b"PK\x07\x08")
_GZIP = b"\x1f\x8b"
_MOST_BYTES = 64 * 2**20
# A member of every workbook: Office Open XML, OpenDocument.
_WORKBOOK_MEMBERS = ("[Content_Types].xml", "content.xml")
_DELIMITERS = ("\t", ";", ",")


@dataclass(frozen=True)
class Row:
    """One row: its number as a person sees it (counted from 1), and its cells."""

    number: int
    cells: list[Any]


@dataclass
class Source:
    """A file that was opened: its name and hash, its sheets, its decimal mark.

    A text file has one sheet, named "". A zip that is no workbook has no sheet, and is kept whole in ``archive``.
    """

    path: Path
    sha256: str
    sheet_names: tuple[str, ...]
    decimal: Decimal = "point"
    archive: bytes | None = None
    _workbook: Any = None
    _rows: dict[str, list[Row]] = field(default_factory=dict)

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
            with _damage_named(self.path, "the sheet cannot be read", sheet=sheet):
                cells = self._workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
            self._rows[sheet] = [Row(index, row) for index, row in enumerate(cells, start=1)]
        return self._rows[sheet]


def open_source(path: str | Path) -> Source:
    """Open a file by its content: workbook, other zip archive, or text; a .gz is unpacked first.

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
        raw = where.read_bytes()
    except OSError as err:
        raise InputError(f"the file cannot be opened ({err.strerror or err}): check its name", file=where) from err
    sha256 = hashlib.sha256(raw).hexdigest()
    if not raw.strip():
        raise FileFormatError("the file is empty: export it again", file=where)
    if raw.startswith(_GZIP):
        raw = _unpacked(where, raw)
    if raw.startswith(_ZIPS) and _is_archive(raw):
        return Source(where, sha256, (), archive=raw)
    if raw.startswith((*_ZIPS, OLE)):
        return _open_workbook(where, raw, sha256)
    return _open_text(where, raw, sha256)


def _unpacked(path: Path, raw: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            unpacked = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as err:
        raise FileFormatError(f"the .gz is damaged or cut off ({err}): export it again", file=path) from None
    if len(unpacked) > _MOST_BYTES:
        raise FileFormatError(
            f"the .gz is larger than {_MOST_BYTES >> 20} MB when unpacked, as no export is: check where it is from",
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


def _open_workbook(path: Path, raw: bytes, sha256: str) -> Source:
    import python_calamine as calamine

    with _damage_named(path, "the file begins like a workbook but cannot be read as one"):
        workbook = calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        return Source(path, sha256, tuple(workbook.sheet_names), _workbook=workbook)


@contextlib.contextmanager
def _damage_named(path: Path, what: str, *, sheet: str | None = None) -> Iterator[None]:
    """Turn whatever the workbook library says of a damaged file into one sentence."""
    import python_calamine as calamine

    try:
        yield
    except calamine.PasswordError as err:
        raise FileFormatError("the workbook is protected by a password: save it without one", file=path) from err
    except BaseException as err:
        # A damaged file can make the library panic, and a panic is not an Exception.
        damage = isinstance(err, (calamine.CalamineError, OSError, ValueError, OverflowError, MemoryError))
        if not damage and type(err).__name__ != "PanicException":
            raise
        detail = " ".join(str(err).split())[:120]
        raise FileFormatError(
            f"{what} ({detail}): it is truncated, damaged or of another kind, export it again",
            file=path,
            sheet=sheet,
        ) from None


def _open_text(path: Path, raw: bytes, sha256: str) -> Source:
    if b"\x00" in raw and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileFormatError("the file is neither a workbook nor text: export it as .xlsx or .csv", file=path)
    text = decode(raw, path)
    lines = text.splitlines()
    delimiter = _delimiter(lines)
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before = 0
    try:
        for cells in reader:
            rows.append(Row(before + 1, list(cells)))
            before = reader.line_num
    except csv.Error as err:
        raise FileFormatError(f"the line cannot be split into cells ({err})", file=path, row=before + 1) from err
    decimal = decimal_of([cell.strip() for row in rows for cell in row.cells])
    return Source(path, sha256, ("",), decimal=decimal, _rows={"": rows})


def _delimiter(lines: list[str]) -> str:
    if lines and lines[0].lower().startswith("sep="):
        return lines[0][4:5] or ","
    sample = [line for line in lines if line.strip()][:200]

    def score(delimiter: str) -> int:
        counts = Counter(line.count(delimiter) for line in sample if delimiter in line)
        return max((count * lines for count, lines in counts.items()), default=0)

    return max(_DELIMITERS, key=score)
