"""Builders of exports of each family, whole and hostile; everything is made when it is needed."""

from __future__ import annotations

import csv
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xlsxwriter

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Export:
    """An export as rows: what stands above the header, the header and the wells."""

    family: str
    header: Sequence[str]
    rows: Rows
    above: Rows = ()
    sheet: str = ""  # a workbook has one
    delimiter: str = ","
    name_column: str = "Sample"

    def write(self, folder: Path, *, encoding: str = "utf-8", line_end: str = "\n", stem: str = "plate") -> Path:
        """Write it as its software does, or in another encoding."""
        lines = [*self.above, self.header, *self.rows]
        if self.sheet:
            return workbook(folder / f"{stem}.xlsx", {self.sheet: lines})
        stream = io.StringIO()
        csv.writer(stream, delimiter=self.delimiter, lineterminator=line_end).writerows(lines)
        path = folder / f"{stem}.csv"
        path.write_bytes(stream.getvalue().encode(encoding))
        return path

    def with_columns(self, order: Sequence[int]) -> Export:
        return replace(
            self,
            header=[self.header[at] for at in order],
            rows=[[row[at] for at in order] for row in self.rows],
        )

    def with_rows(self, order: Sequence[int]) -> Export:
        return replace(self, rows=[self.rows[at] for at in order])

    def with_cell(self, row: int, column: int, cell: Any) -> Export:
        rows = [list(one) for one in self.rows]
        rows[row][column] = cell
        return replace(self, rows=rows)

    def with_names(self, name: str) -> Export:
        at = list(self.header).index(self.name_column)
        return replace(self, rows=[[*row[:at], name, *row[at + 1 :]] for row in self.rows])


D_AND_A = ["Well", "Well Position", "Omit", "Sample", "Target", "Task", "Reporter", "Cq", "Quantity", "Amp Status"]
D_AND_A_ROWS = [
    [1, "A1", False, "Std 1", "CAR", "STANDARD", "FAM", 21.5, 1e5, "AMP"],
    [2, "A2", False, "Std 2", "CAR", "STANDARD", "FAM", 24.8, 1e4, "AMP"],
    [3, "A3", False, "P1 day 7", "CAR", "UNKNOWN", "FAM", 26.25, 3500.5, "AMP"],
    [4, "A4", True, "P1 day 7", "CAR", "UNKNOWN", "FAM", "UNDETERMINED", "", "NO_AMP"],
    [5, "A5", False, "water", "CAR", "NTC", "FAM", "UNDETERMINED", "", "NO_AMP"],
]
TOP = [["Block Type", "96-Well 0.2-mL Block"], ["Instrument Type", "QuantStudio 6"], []]

EXPORTS: dict[str, Export] = {
    "tidy": Export(
        "tidy",
        ["well", "sample", "target", "role", "cq", "quantity", "omit"],
        [
            ["A1", "Std 1", "CAR", "standard", "21.5", "100000", "false"],
            ["A2", "P1 day 7", "CAR", "unknown", "26.25", "", "false"],
            ["A3", "P2 day 7", "CAR", "unknown", "Undetermined", "", "true"],
            ["A4", "water", "CAR", "ntc", "Undetermined", "", "false"],
        ],
        name_column="sample",
    ),
    "design_and_analysis": Export("design_and_analysis", D_AND_A, D_AND_A_ROWS, TOP, sheet="Results"),
    "quantstudio_text": Export(
        "design_and_analysis",
        ["Well", "Well Position", "Omit", "Sample Name", "Target Name", "Task", "Reporter", "CT", "Quantity"],
        [[str(cell) for cell in row[:-1]] for row in D_AND_A_ROWS],
        [["* Block Type = 96-Well 0.2-mL Block"], ["* Instrument Type = ViiA 7"], [], ["[Results]"]],
        delimiter="\t",
        name_column="Sample Name",
    ),
    "cfx": Export(
        "cfx",
        ["", "Well", "Fluor", "Target", "Content", "Sample", "Cq", "Starting Quantity (SQ)", "Set Point"],
        [
            ["", "A01", "FAM", "CAR", "Std-1", "S", "20.1", "1.00000E+06", "60"],
            ["", "A02", "FAM", "CAR", "Unkn-01", "P1", "25.5", "2.5E+04", "60"],
            ["", "A03", "FAM", "CAR", "Unkn-12", "P2", "NaN", "NaN", "60"],
            ["", "A04", "HEX", "REF", "NTC", "W", "NaN", "NaN", "60"],
        ],
    ),
    "bio_rad_tables": Export(
        "bio_rad_tables",
        ["Well", "Fluor", "Target", "Content", "Sample", "SQ"],
        [["A01", "FAM", "CAR", "Std", "S1", 1e5], ["A02", "FAM", "CAR", "Unkn", "P1", ""]],
        sheet="description",
    ),
    "lightcycler480": Export(
        "lightcycler480",
        ["Include", "Color", "Pos", "Name", "Cp", "Concentration", "Standard", "Status"],
        [
            ["True", "255", "A1", "S1", "25.15", "1.20E3", "0", ""],
            ["True", "65280", "A2", "S2", "", "", "0", ""],
            ["False", "255", "A3", "S3", "31.20", "", "0", ">"],
        ],
        [["Experiment: run 7  Selected Filter: FAM (465-510)"]],
        delimiter="\t",
        name_column="Name",
    ),
    "quantasoft": Export(
        "quantasoft",
        ["Well", "Sample", "TargetType", "Target", "Status", "Concentration", "Positives", "Negatives",
         "AcceptedDroplets"],
        [
            ["A01", "P1", "Ch1Unknown", "CAR", "OK", "40.9", "637", "18000", "18637"],
            ["A01", "P1", "Ch2Reference", "RPPH1", "OK", "1000", "10000", "7464", "17464"],
            ["A02", "water", "Ch1NTC", "CAR", "CHECK", "No Call", "0", "15000", "15000"],
        ],
    ),
    "qiacuity": Export(
        "qiacuity",
        ["Plate name", "Well", "Sample/NTC/Control", "Type", "Target", "Conc. [cp/µL] (dPCR reaction)",
         "Partitions (Valid)", "Partitions (Positive)"],
        [
            ["one", "A1", "P1", "Sample", "CAR", "4.078", "25227", "76"],
            ["one", "A2", "P2", "Sample", "CAR", "0.000", "25300", "0"],
        ],
        name_column="Sample/NTC/Control",
    ),
    "absolute_q": Export(
        "absolute_q",
        ["Run", "Group", "Name", "Well", "Total", "Dye", "Target", "Conc. cp/uL", "Positives"],
        [
            ["r", "G", "S1", "A1", "20449", "VIC", "T", "3.85", "34"],
            ["r", "G", "S2", "A2", "20440", "VIC", "T", "0", "0"],
        ],
        name_column="Name",
    ),
}  # fmt: skip

RDML = (
    '<rdml xmlns="http://www.rdml.org" version="1.2"><sample id="P1"><type>unkn</type></sample>'
    '<sample id="W"><type>ntc</type></sample><target id="CAR"><dyeId id="FAM"/></target><experiment id="E">'
    '<run id="R"><pcrFormat><rows>8</rows><columns>12</columns></pcrFormat>'
    '<react id="1"><sample id="P1"/><data><tar id="CAR"/><cq>25.5</cq></data></react>'
    '<react id="2"><sample id="W"/><data><tar id="CAR"/><cq>-1</cq></data></react></run></experiment></rdml>'
)


def rdml(path: Path, text: str | bytes = RDML) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdml_data.xml", text)
    return path


def workbook(path: Path, sheets: dict[str, Rows]) -> Path:
    with xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        date = book.add_format({"num_format": "yyyy-mm-dd"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if hasattr(cell, "isoformat"):
                        sheet.write_datetime(number, column, cell, date)
                    elif cell != "":
                        sheet.write(number, column, cell)
    return path


# Hostile files


def part_of(path: Path, change: dict[str, Callable[[bytes], bytes]], target: Path) -> Path:
    """Copy a zip with some of its members changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change.get(info.filename, bytes)(old.read(info.filename)))
    return target


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
LONG_BOMBS = frozenset({"strings_many", "rdml_bomb_attributes", "rdml_bomb_curves", "rdml_wide", "line_ends"})


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
