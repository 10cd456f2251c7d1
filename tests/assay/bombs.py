"""Builders of files that ask for more memory or time than there is; none is ever in memory as a whole."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from corpus import EXPORTS, RDML, rdml


def endless(unit: bytes, size: int, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """Deflate `before`, `unit` over and over to `size`, and `after`, without ever having it in memory."""
    unit *= max(1, 2**20 // len(unit))
    pack = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = pack.compress(before) + pack.flush(zlib.Z_FULL_FLUSH)
    middle = pack.compress(unit) + pack.flush(zlib.Z_FULL_FLUSH)
    return start + middle * (size // len(unit)) + pack.compress(after) + pack.flush()


def gzip_of(deflated: bytes, size: int) -> bytes:
    return b"\x1f\x8b\x08" + bytes(7) + deflated + struct.pack("<LL", 0, size % 2**32)


@dataclass
class Member:
    """A member of a zip that may lie: what is stored, and what is said of it."""

    name: str
    stored: bytes
    size: int
    crc: int = 0
    method: int = 8
    at: int | None = None  # where it is said to begin, if not where it does


def member(name: str, content: bytes) -> Member:
    pack = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Member(name, pack.compress(content) + pack.flush(), len(content), zlib.crc32(content))


def zip_of(members: Sequence[Member]) -> bytes:
    """Lay a zip out by hand, as no library would."""
    body, contents = bytearray(), bytearray()
    for one in members:
        at = len(body) if one.at is None else one.at
        name = one.name.encode()
        about = struct.pack("<LLLHH", one.crc, len(one.stored), one.size % 2**32, len(name), 0)
        if one.at is None:
            body += b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, one.method, 0, 33) + about + name + one.stored
        contents += b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, one.method, 0, 33) + about
        contents += struct.pack("<HHHLL", 0, 0, 0, 0, at) + name
    number = len(members)
    return (
        bytes(body + contents)
        + b"PK\x05\x06"
        + struct.pack("<HHHHLLH", 0, 0, number, number, len(contents), len(body), 0)
    )


SHEET_TOP = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
SHEET_END = b"</sheetData></worksheet>"
_BOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{}</sheets></workbook>'
)
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"


def book_members(number: int = 1, *, strings: bool = True) -> list[Member]:
    """The members of a workbook without its sheets, which are xl/worksheets/sheet1.xml and so on."""
    sheets = "".join(f'<sheet name="S{at}" sheetId="{at}" r:id="r{at}"/>' for at in range(1, number + 1))
    links = "".join(
        f'<Relationship Id="r{at}" Type="{_KIND}worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in range(1, number + 1)
    )
    if strings:
        links += f'<Relationship Id="strings" Type="{_KIND}sharedStrings" Target="sharedStrings.xml"/>'
    spaces = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
    root = f'<Relationships {spaces}><Relationship Id="b" Type="{_KIND}officeDocument" Target="xl/workbook.xml"/>'
    return [
        member("[Content_Types].xml", b"<Types/>"),
        member("_rels/.rels", f"{root}</Relationships>".encode()),
        member("xl/workbook.xml", _BOOK.format(sheets).encode()),
        member("xl/_rels/workbook.xml.rels", f"<Relationships {spaces}>{links}</Relationships>".encode()),
    ]


def sheet_of(cells: bytes) -> Member:
    return member("xl/worksheets/sheet1.xml", SHEET_TOP + cells + SHEET_END)


def number_cell(place: str) -> bytes:
    return f'<c r="{place}"><v>1</v></c>'.encode()


def far(place: str = "XFD1048576") -> bytes:
    return b'<row r="1">' + number_cell("A1") + b"</row><row>" + number_cell(place) + b"</row>"


LAUGHS = "<!DOCTYPE rdml [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{at + 1} '{f'&a{at};' * 10}'>" for at in range(12)
) + "]>"  # fmt: skip
QUADRATIC = f"<!DOCTYPE rdml [<!ENTITY a '{'x' * 100_000}'>]>"
EXTERNAL = "<!DOCTYPE rdml [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
GIGA = 2 * 2**30  # above what a process of the tests may take


def ods(rows: int, columns: int) -> bytes:
    """An OpenDocument workbook of one cell, repeated."""
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    cell = (
        f'<table:table-cell office:value-type="string" table:number-columns-repeated="{columns}"><text:p>well</text:p>'
    )
    row = f'<table:table-row table:number-rows-repeated="{rows}">{cell}</table:table-cell></table:table-row>'
    sheet = f'<office:spreadsheet><table:table table:name="S">{row}</table:table></office:spreadsheet>'
    content = f"<office:document-content{spaces}><office:body>{sheet}</office:body></office:document-content>"
    entry = f'<m:file-entry m:full-path="/" m:media-type="{kind.decode()}"/>'
    manifest = f'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{entry}</m:manifest>'
    return zip_of(
        [
            Member("mimetype", kind, len(kind), zlib.crc32(kind), 0),
            member("content.xml", content.encode()),
            member("META-INF/manifest.xml", manifest.encode()),
        ]
    )


# Those that take seconds to be refused, or to be read.
LONG_BOMBS = frozenset(
    {"strings_many", "rdml_bomb_attributes", "rdml_bomb_curves", "rdml_wide", "rdml_bomb_elements", "line_ends"}
    | {"short_rows_of_commas"}
)


def bombs(folder: Path) -> dict[str, Path]:
    """Write files that ask for more memory or time than there is; name to path."""
    found: dict[str, Path] = {}

    def put(name: str, content: bytes, end: str) -> None:
        found[name] = folder / f"{name}{end}"
        found[name].write_bytes(content)

    def book(name: str, *members: Member, number: int = 1) -> None:
        put(name, zip_of([*book_members(number), *members]), ".xlsx")

    deflated = endless(b'<row><c r="A1"><v>1</v></c></row>', GIGA, before=SHEET_TOP, after=SHEET_END)
    book("sheet_bomb", Member("xl/worksheets/sheet1.xml", deflated, GIGA))
    book("sheet_bomb_that_lies", Member("xl/worksheets/sheet1.xml", deflated, 100))
    book("small_sheet_that_lies", replace(sheet_of(far("B2")), size=2**31))
    strings = endless(b"<si><t>ab</t></si>", GIGA, before=b"<sst>", after=b"</sst>")
    book("strings_bomb", sheet_of(far("B2")), Member("xl/sharedStrings.xml", strings, GIGA))
    book("strings_bomb_that_lies", sheet_of(far("B2")), Member("xl/sharedStrings.xml", strings, 12))
    book(
        "strings_many",
        sheet_of(far("B2")),
        member("xl/sharedStrings.xml", b"<sst>" + b"<si><t>a</t></si>" * 3 * 10**6 + b"</sst>"),
    )
    long = member("xl/sharedStrings.xml", b"<sst><si><t>" + b"a" * 2**20 + b"</t></si></sst>")
    shown = b"".join(f'<row r="{at}"><c r="A{at}" t="s"><v>0</v></c></row>'.encode() for at in range(1, 9000))
    book("one_long_string_in_many_cells", sheet_of(shown), long)
    for name, place in (
        ("far_cell", "XFD1048576"),
        ("far_row", "ZZ1048576"),
        ("far_column", "XFD999"),
        ("off", "ZZZZ9"),
    ):
        book(name, sheet_of(far(place)))
    book("far_cell_quoted_otherwise", sheet_of(far().replace(b'"', b"'").replace(b"r=", b"r = ")))
    book("far_cell_with_prefix", sheet_of(far().replace(b"<c ", b"<x:c ").replace(b"</c>", b"</x:c>")))
    book("far_cell_in_small_letters", sheet_of(far("xfd1048576")))
    book("far_row_of_cells_without_place", sheet_of(b'<row r="1048576">' + b"<c><v>1</v></c>" * 16_000 + b"</row>"))
    lie = sheet_of(far("B2"))
    book(
        "dimension_that_lies",
        member(
            lie.name,
            SHEET_TOP.replace(b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>') + far("B2") + SHEET_END,
        ),
    )
    book("sheets_of_a_name", lie, lie)
    books = [replace(sheet_of(far("ZZ9999")), name=f"xl/worksheets/sheet{at}.xml") for at in range(1, 31)]
    book("large_sheets", *books, number=30)
    book("many_sheets", *(replace(lie, name=f"xl/worksheets/sheet{at}.xml") for at in range(1, 4001)), number=4000)
    book("thousands_of_members", *(member(f"xl/media/{at}.png", b"x") for at in range(20_000)))
    same = [replace(lie, name=f"xl/media/{at}.xml", at=40) for at in range(3000)]
    book("parts_that_overlap", lie, *same)
    for name, text in (("laughs", LAUGHS), ("quadratic", QUADRATIC), ("external", EXTERNAL)):
        sheet = SHEET_TOP + b'<row r="1"><c r="A1" t="inlineStr"><is><t>&a9;&a;</t></is></c></row>' + SHEET_END
        book(f"sheet_{name}", member("xl/worksheets/sheet1.xml", text.encode() + sheet))
        book(
            f"strings_{name}", lie, member("xl/sharedStrings.xml", f"{text}<sst><si><t>&a9;&a;</t></si></sst>".encode())
        )
        body = RDML.replace("25.5", "&a9;" if name == "laughs" else "&a;" * 10_000)
        for encoding in ("utf-8", "utf-16"):
            rdml(folder / f"{name}-{encoding}.rdml", f"{text}{body}".encode(encoding))
            found[f"rdml_{name}_{encoding}"] = folder / f"{name}-{encoding}.rdml"
    start, end = RDML.encode().split(b'<react id="1">')
    for name, unit in (
        ("elements", b"<react/>"),
        ("text", b"aaaaaaaa"),
        ("curves", b"<adp><cyc>1</cyc></adp>"),
        ("depth", b"<a>"),
        ("attributes", b"<react a='1' b='2' c='3'/>"),
    ):
        packed = endless(unit, GIGA, before=start, after=b'<react id="1">' + end)
        put(f"rdml_bomb_{name}", zip_of([Member("rdml_data.xml", packed, GIGA)]), ".rdml")
        put(f"rdml_bomb_{name}_that_lies", zip_of([Member("rdml_data.xml", packed, 1000)]), ".rdml")
    put("rdml_wide", zip_of([member("r.xml", start + b"<react/>" * 900_000 + b'<react id="1">' + end)]), ".rdml")
    put("rdml_long_attribute", zip_of([member("r.xml", start + b"<a b='" + b"x" * 10**8 + b"'/>")]), ".rdml")
    put("rdml_many_members", zip_of([member(f"{at}.xml", RDML.encode()) for at in range(30_000)]), ".rdml")
    text = ",".join(EXPORTS["tidy"].header).encode() + b"\n"
    put("gz_bomb", gzip_of(endless(b"A1,S,CAR,unknown,27,,\n", GIGA, before=text), GIGA), ".txt.gz")
    put("gz_in_gz", gzip.compress(gzip_of(endless(b"A1,S,CAR,unknown,27,,\n", GIGA), GIGA)), ".gz")
    put("gz_of_a_bomb", gzip.compress(found["sheet_bomb"].read_bytes()), ".xlsx.gz")
    put("one_line", b"a" * (60 * 2**20), ".csv")
    put("commas", text + b"," * (60 * 2**20), ".csv")
    put("short_rows_of_commas", text + (b"," * 1000 + b"\n") * 60_000, ".csv")
    put("line_ends", text + b"\n" * (60 * 2**20), ".csv")
    put("spaces", b" " * (60 * 2**20) + b"x", ".csv")
    put("quotes", text + b'"' * (60 * 2**20 + 1), ".csv")
    put("long_name", text + b'A1,"' + b"n" * 10**6 + b'",CAR,unknown,27,,\n', ".csv")
    put(
        "long_names",
        text + b"".join(b"A%d,%s,CAR,unk%s,27,,\n" % (n, b"n" * 10**5, b"u" * 10**5) for n in range(99)),
        ".csv",
    )
    put("wide_text", "\U0001f9ec".encode() * (15 * 2**20), ".csv")
    for name, size in (("sparse_text", 50 * GIGA), ("sparse_text_of_100_mb", 100 * 2**20)):
        put(name, text, ".csv")
        with found[name].open("r+b") as stream:
            stream.truncate(size)
    put("ods_repeats", ods(10**9, 10**9), ".ods")
    huge = b"\xff\xff\xff\x7f"
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + b"\x3e\0\x03\0\xfe\xff\x09\0\x06\0" + bytes(10) + huge * 10
    put("ole_that_lies", ole + b"\xff\xff\xff\x7f" * 110 + bytes(4096), ".xls")
    return found
