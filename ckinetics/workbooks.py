"""Workbooks from anywhere: what a file claims is measured before the workbook library acts on it.

The library allocates a sheet's whole rectangle, from A1 to its last cell, and copies a shared string into each cell
that shows it: a file of a kilobyte can ask for terabytes. The parts of an .xlsx that are about to be read are
therefore unpacked here first, to a limit, and their extent is found from the cells themselves. Workbooks of other
kinds (.xls, .xlsb, .ods) are read in a process of their own, whose memory and time are limited.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from .errors import FileFormatError, InputError
from .sandbox import read_apart

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# What a zip may begin with: some software puts the mark of a split archive in front.
ZIPS = (ZIP, b"PK\x07\x08")
MOST_CELLS = 8_000_000  # of all sheets that are read, empty ones among them
MOST_COLUMNS = 16_384
_MOST_PART = 128 * 2**20
_MOST_TEXT = 256 * 2**20  # shared strings, each counted as often as there are cells
_MOST_MEMBERS = 5000
_MOST_SHEETS = 1000
_LITTLE, _FEW = 4 * 2**20, 50  # bytes, and sheets, up to which a workbook is opened again for each sheet
_ROOT, _RELATIONS = "_rels/.rels", "xl/_rels/workbook.xml.rels"
_BOOK, _DOCUMENT = "xl/workbook.xml", "/officeDocument"
_TEXTS = re.compile(rb"<(?:[\w.-]+:)?sst[\s/>]")
_TEXT_END = re.compile(rb"</(?:[\w.-]+:)?si\s*>")
_READ_AT_ONCE = frozenset({"workbook.xml", "sharedstrings.xml", "styles.xml", "workbook.xml.rels"})

# A cell that does not say at once that it is within ZZ9999, the rectangle to which is smaller than MOST_CELLS;
# <cols> and the like are no cells.
_FAR = re.compile(rb'<c(?! r="[A-Z]{1,2}+[0-9]{1,4}+"|o)')
# A reference, unless its element is closed at once and so holds nothing.
_FILLED = re.compile(
    rb"""\br\s*=\s*["']([A-Za-z]{1,8})([0-9]{1,10})"""
    rb"""(?!["'](?:\s+[\w:.-]+\s*=\s*(?:"[^"<]{0,99}"|'[^'<]{0,99}')){0,9}\s*/>)"""
)


class Workbook:
    """A workbook that was opened; a sheet is read when asked for.

    Attributes
    ----------
    sheet_names : tuple of str
        In the order of the workbook.
    """

    def __init__(self, raw: bytes, file: str | Path) -> None:
        self._file = file
        self._cells = 0
        self._apart: dict[str, list[list[Any]]] = {}
        self._book: Any = None
        self._parts: _Parts | None = None
        if raw.startswith(ZIPS):
            self._parts = _Parts.of(raw, file)
        if self._parts is None:
            self._apart = read_apart(raw, file, most_cells=MOST_CELLS)
            self.sheet_names = tuple(self._apart)
            return
        self._parts.check()
        with damage_named(file, "the file begins like a workbook but cannot be read as one"):
            self._book = _opened(self._parts.without_sheets() or raw)
            self.sheet_names = tuple(self._book.sheet_names)
        if len(self.sheet_names) > _MOST_SHEETS:
            raise self._parts.refuse(f"has {len(self.sheet_names)} sheets")

    def rows(self, sheet: str) -> list[list[Any]]:
        """Return the rows of a sheet from its first, each with all cells from column A.

        Raises
        ------
        FileFormatError
            The sheet is damaged, or larger than any export.
        """
        if self._parts is None:
            return self._apart[sheet]
        if self._cells > MOST_CELLS:
            raise self._parts.refuse(f"has more than {MOST_CELLS} cells", sheet)
        part = self._parts.check_sheet(sheet, self.sheet_names)
        with damage_named(self._file, "the sheet cannot be read", sheet=sheet):
            book = self._book if part is None else _opened(part)
            found = book.get_sheet_by_name(sheet)
            self._cells += (1 + found.total_height) * (1 + found.total_width)
            cells: list[list[Any]] = found.to_python(skip_empty_area=False)
            return cells


def _opened(raw: bytes) -> Any:
    import python_calamine as calamine

    return calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))


@contextlib.contextmanager
def damage_named(file: str | Path, what: str, *, sheet: str | None = None) -> Iterator[None]:
    """Turn whatever the workbook library says of a damaged file into one sentence."""
    import python_calamine as calamine

    try:
        yield
    except InputError:
        raise
    except calamine.PasswordError:
        raise FileFormatError("the workbook is protected by a password: save it without one", file=file) from None
    except BaseException as err:
        # A damaged file can make the library panic, and a panic is not an Exception.
        damage = isinstance(err, (calamine.CalamineError, OSError, ValueError, OverflowError, MemoryError))
        if not damage and type(err).__name__ != "PanicException":
            raise
        raise _damaged(file, what, str(err), sheet) from None


def _damaged(file: str | Path, what: str, detail: str, sheet: str | None = None) -> FileFormatError:
    said = " ".join(detail.split())[:120]
    return FileFormatError(
        f"{what} ({said}): it is damaged or incomplete, or of another kind, export it again", file=file, sheet=sheet
    )


class _Parts:
    """The members of an .xlsx, unpacked to a limit; what their headers claim is not trusted."""

    def __init__(self, raw: bytes, file: str | Path, members: list[zipfile.ZipInfo]) -> None:
        self.raw = raw
        self.file = file
        self.members = members
        self.by_name = {_folded(info.filename): info for info in members}
        self.checksums = {info.filename: info.CRC for info in members}
        self.longest_text = 0  # an upper limit of the bytes of a shared string
        self.all_checked = False
        self.sheets: list[str] = []  # the parts of the sheets in order; empty where they are not clear
        self.others: dict[str, bytes] = {}  # the unpacked parts that are no sheets; empty where they are large

    @classmethod
    def of(cls, raw: bytes, file: str | Path) -> _Parts | None:
        """Return the members; None where the archive is a workbook of another kind."""
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                members = [info for info in archive.infolist() if not info.is_dir()]
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, OverflowError, struct.error) as err:
            raise _damaged(file, "the file begins like a workbook but cannot be read as one", str(err)) from None
        parts = cls(raw, file, members)
        return parts if _BOOK in parts.by_name else None

    def refuse(self, what: str, sheet: str | None = None) -> FileFormatError:
        return FileFormatError(f"the workbook {what}, as no export does: check where it is from", file=self.file,
                               sheet=sheet)  # fmt: skip

    def damaged(self, detail: str, sheet: str | None = None) -> FileFormatError:
        what = "the sheet cannot be read" if sheet else "the file begins like a workbook but cannot be read as one"
        return _damaged(self.file, what, detail, sheet)

    def check(self) -> None:
        """Refuse a workbook that cannot be opened in bounded memory."""
        if len(self.members) > _MOST_MEMBERS or len(self.by_name) < len(self.members):
            raise self.refuse("holds several parts of one name, or thousands")
        if sum(info.compress_size for info in self.members) > len(self.raw):
            raise self.refuse("holds parts that overlap")
        if any(info.flag_bits & 1 for info in self.members):
            raise FileFormatError("the workbook is protected by a password: save it without one", file=self.file)
        self._find_sheets()
        others = [info for name, info in self.by_name.items() if name.rpartition("/")[2] not in self.sheets]
        left = 2 * _MOST_PART
        for info in others:  # a sheet is measured when it is read
            unpacked = self._unpack(info)
            left -= len(unpacked)
            if b"sheetData" in unpacked:
                self.sheets = []  # there is more than the list of sheets says
            if _TEXTS.search(unpacked):
                self.longest_text = max(self.longest_text, *map(len, _TEXT_END.split(unpacked)))
            self.others[info.filename] = unpacked if left > 2 * _MOST_PART - _LITTLE else b""
            if left < 0:
                raise self.refuse(f"is larger than {2 * _MOST_PART >> 20} MB when unpacked")
        if not 0 < len(self.sheets) <= _FEW or left < 2 * _MOST_PART - _LITTLE:
            self.others.clear()

    def without_sheets(self, name: str = "", sheet: bytes = b"") -> bytes:
        """Return the workbook with one sheet or none, so that no more than needed is copied; b"" where it is large."""
        if not self.others:
            return b""
        return _stored({**self.others, name: sheet} if name else self.others, self.checksums)

    def check_sheet(self, sheet: str, names: tuple[str, ...]) -> bytes | None:
        """Refuse a sheet that cannot be read in bounded memory; return the workbook with it alone, if it is small."""
        clear = len(self.sheets) == len(names)
        wanted = {self.sheets[at] for at, name in enumerate(names) if name == sheet} if clear else set()
        found = [info for name, info in self.by_name.items() if name.rpartition("/")[2] in wanted]
        if found or not self.all_checked:
            parts = {info.filename: self._measured(info, sheet, sure=bool(found)) for info in found or self.members}
            self.all_checked = not found
            if len(found) == 1 and self.others:
                return self.without_sheets(*parts.popitem())
        return None

    def _measured(self, info: zipfile.ZipInfo, sheet: str, *, sure: bool) -> bytes:
        """Return a part that is a sheet, or may be one, if all it asks for is within limits."""
        xml = self._unpack(info, sheet)
        if b"sheetData" not in xml and not (sure and b"\0" in xml):
            return xml if sure else b""  # no cells
        if b"\0" in xml or b"<!DOCTYPE" in xml[:4096]:
            raise self.refuse("declares a document type or entities, or is no text in UTF-8", sheet)
        rows, columns = _extent(xml)
        if columns > MOST_COLUMNS or rows * columns > MOST_CELLS:
            raise self.refuse(f"has a sheet of {rows} rows and {columns} columns", sheet)
        if len(xml) // 8 * self.longest_text > _MOST_TEXT and xml.count(b"<c") * self.longest_text > _MOST_TEXT:
            raise self.refuse("shows a long text in very many cells", sheet)
        return xml if sure else b""

    def _find_sheets(self) -> None:
        """Find which part each sheet is; left open where the workbook says it in an unusual way."""
        if not {_ROOT, _RELATIONS} <= set(self.by_name):
            return
        root, links, book = (self._unpack(self.by_name[name]) for name in (_ROOT, _RELATIONS, _BOOK))
        if b"&" in root + links or any(b"<!" in part for part in (root, links, book)):
            return
        targets: dict[str, str] = {}
        ids: list[str] = []
        try:
            books = [
                found.get("Target", "") for _, found in _elements(root) if found.get("Type", "").endswith(_DOCUMENT)
            ]
            if [_folded(target).lstrip("/") for target in books] != [_BOOK]:
                return
            for tag, about in _elements(links):
                if tag == "Relationship":
                    if about.get("Id", "") in targets:
                        return
                    targets[about.get("Id", "")] = _folded(about.get("Target", "")).rpartition("/")[2]
            for tag, about in _elements(book):
                if tag == "sheet":
                    ids += [value for name, value in about.items() if name.rpartition("}")[2] == "id"]
        except (expat.ExpatError, LookupError, ValueError):
            return
        others = {part for key, part in targets.items() if key not in ids} | _READ_AT_ONCE
        parts = [targets.get(key, "") for key in ids]
        self.sheets = parts if all(part and part not in others for part in parts) else []

    def _unpack(self, info: zipfile.ZipInfo, sheet: str | None = None) -> bytes:
        at = info.header_offset
        head = self.raw[at : at + 30]
        if len(head) < 30 or not head.startswith(ZIP) or info.compress_type not in (0, 8):
            raise self.damaged("a part is not where the list of contents says", sheet)
        start = at + 30 + sum(struct.unpack("<HH", head[26:30]))
        packed = memoryview(self.raw)[start : start + info.compress_size]
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            unpacked = stream.decompress(packed, _MOST_PART + 1) if info.compress_type else bytes(packed)
        except zlib.error as err:
            raise self.damaged(str(err), sheet) from None
        if len(unpacked) > _MOST_PART:
            raise self.refuse(f"has a part that is larger than {_MOST_PART >> 20} MB when unpacked", sheet)
        if len(unpacked) != info.file_size or zlib.crc32(unpacked) != info.CRC:
            raise self.damaged("a part is not what its checksum says", sheet)
        return unpacked


def _stored(parts: dict[str, bytes], checksums: dict[str, int]) -> bytes:
    """Return a zip of parts whose checksums are known: nothing is packed, and nothing added up again."""
    pieces: list[bytes] = []
    contents: list[bytes] = []
    at = 0
    for name, part in parts.items():
        title = name.encode()
        about = struct.pack(
            "<5H3L2H", 20, 0x800, 0, 0, 33, checksums[name], len(part), len(part), len(title), 0
        )  # version, UTF-8, stored, time, date
        pieces += [ZIP, about, title, part]
        contents += [b"PK\x01\x02\x14\0", about, struct.pack("<3H2L", 0, 0, 0, 0, at), title]
        at += 30 + len(title) + len(part)
    end = struct.pack("<4H2LH", 0, 0, len(parts), len(parts), sum(map(len, contents)), at, 0)
    return b"".join([*pieces, *contents, b"PK\x05\x06", end])


def _folded(name: str) -> str:
    return name.replace("\\", "/").casefold()


def _elements(xml: bytes) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler = lambda name, attributes: found.append((name.rpartition("}")[2], attributes))
    parser.Parse(xml, True)
    return found


def _extent(xml: bytes) -> tuple[int, int]:
    """Return the last row and column that hold anything, or an upper limit of them."""
    if not _FAR.search(xml) and xml.rfind(b":c") < 0:
        return 9_999, 702
    loose = xml.count(b"<c") - xml.count(b"<co") != xml.count(b'<c r="') or b":c" in xml
    places = set(_FILLED.findall(xml))
    columns = max((_column(letters) for letters in {letters for letters, _ in places}), default=0)
    rows = max((int(digits) for digits in {digits for _, digits in places}), default=0)
    if loose:  # such cells stand one after the other, in rows that may be counted likewise
        pieces = re.split(rb"[<:]row\b", xml)
        columns += max(piece.count(b"<c") + piece.count(b":c") for piece in pieces)
        numbered = [int(digits) for digits in set(re.findall(rb"""\br\s*=\s*["']([0-9]{1,10})""", xml))]
        rows = max([rows, *numbered]) + len(pieces)
    return rows, columns


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
