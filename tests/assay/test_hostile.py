"""Hostile and damaged files: each is read rightly or refused in one sentence, in bounded memory and time."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from corpus import EXPORTS, LONG_BOMBS, RDML, bombs, far, ods, part_of, rdml, workbook
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics import workbooks
from ckinetics.assay import read_plates, read_sample_sheet
from ckinetics.errors import CkineticsError, InputError, one_line
from ckinetics.sandbox import read_apart
from ckinetics.workbooks import Workbook

VALUES = (
    "sample",
    "role",
    "cq_status",
    "omit",
    "nominal_copies",
    "vendor_quantity",
    "n_partitions",
    "n_positive",
    "cq",
)
# What a cell may hold that no instrument wrote.
ODD = (
    "=HYPERLINK(\"http://example.org\",\"x\")", "+1+1", "-2+3", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0", "'=1", "''",
    "../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "CON", "S1\u202e7", "\u200bS1", "S\x07", "\x1b[2J",
    "Ü ß µ", "nan", "1e999", "-1", "99999999999999999999", "1,5", "1.250,5", "TRUE", "a" * 32_000, "#DIV/0!", "<b>",
    "a;b", "a,b", 'a"b', "line\nline", "\ud800", "", " ", "A1", "{{7*7}}", "%s%n", "$(id)",
)  # fmt: skip
families = pytest.mark.parametrize("name", EXPORTS)


def wells_of(wells, *, rows: bool = False):
    """Position, target and dye to what the well says."""
    keys = zip(*(wells[name].values for name in ("well_name", "target", "dye")), strict=True)
    names = (*VALUES, "row") if rows else VALUES
    said = zip(*(map(repr, wells[name].values.tolist()) for name in names), strict=True)
    return dict(zip(keys, said, strict=True))


def outcome(path, **options):
    """The wells, or None where the file is refused; a refusal is one sentence, and any other exception a fault."""
    try:
        return wells_of(read_plates(path, **options))
    except CkineticsError as err:
        check(str(err), path)
        return None


def check(text: str, path: Path) -> None:
    """A refusal is one sentence that names the file, without anything that is not seen."""
    assert text.startswith(one_line(path.name))
    assert text.isprintable()
    assert len(text) < 2500


@families
def test_each_family_is_read(tmp_path, name):
    export = EXPORTS[name]
    wells = read_plates(export.write(tmp_path))
    assert wells["family"].values.tolist() == [export.family]
    assert wells.sizes["well"] == len(export.rows)


def test_rdml_is_read(tmp_path):
    wells = read_plates(rdml(tmp_path / "p.rdml"))
    assert wells["cq"].values[0] == 25.5
    assert wells["well_name"].values.tolist() == ["A1", "A2"]


@families
@settings(max_examples=12, deadline=None)
@given(chance=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(tmp_path_factory, name, chance):
    folder, export = tmp_path_factory.mktemp("order"), EXPORTS[name]
    wanted = wells_of(read_plates(export.write(folder)))
    columns, rows = list(range(len(export.header))), list(range(len(export.rows)))
    chance.shuffle(columns)
    chance.shuffle(rows)
    shuffled = export.with_columns(columns).with_rows(rows)
    assert wells_of(read_plates(shuffled.write(folder, stem="plate2"))) == wanted


@families
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_encodings_and_line_ends_do_not_matter(tmp_path, name, encoding, line_end):
    export = EXPORTS[name]
    wanted = wells_of(read_plates(export.write(tmp_path)))
    path = export.write(tmp_path, encoding=encoding, line_end=line_end, stem="other")
    assert wells_of(read_plates(path)) == wanted
    (tmp_path / "packed.txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert wells_of(read_plates(tmp_path / "packed.txt.gz")) == wanted
    (tmp_path / "without extension").write_bytes(path.read_bytes())
    assert wells_of(read_plates(tmp_path / "without extension")) == wanted


@families
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037"])
def test_wrong_encodings(tmp_path, name, encoding):
    export = EXPORTS[name]
    wanted = wells_of(read_plates(export.write(tmp_path)))
    found = outcome(export.write(tmp_path, encoding=encoding, stem="other"))
    assert found in (None, wanted)


@families
@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1))
def test_a_file_that_is_cut_off_gives_no_wrong_well(tmp_path_factory, name, share):
    folder, export = tmp_path_factory.mktemp("cut"), EXPORTS[name]
    path = export.write(folder)
    wanted = read_plates(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    found = outcome(path)
    whole, last = wells_of(wanted), list(wells_of(wanted))
    if found is not None:  # text may be cut between two lines, and in the last field of all
        assert list(found) == last[: len(found)]
        assert all(found[key] == whole[key] for key in list(found)[:-1])
        assert not export.sheet or found == whole


@families
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_cell_anywhere_is_read_or_refused(tmp_path_factory, name, data):
    folder, export = tmp_path_factory.mktemp("cell"), EXPORTS[name]
    cell = data.draw(st.sampled_from(ODD) | st.text(max_size=8) | st.floats() | st.booleans())
    if not export.sheet:
        cell = str(cell)
    elif isinstance(cell, float) and not np.isfinite(cell):
        cell = datetime(2024, 5, 1)  # what a spreadsheet makes of "5/1"
    if isinstance(cell, str):
        cell = cell.encode("utf-8", "replace").decode()
    row, column = data.draw(st.integers(0, len(export.rows) - 1)), data.draw(st.integers(0, len(export.header) - 1))
    found = outcome(export.with_cell(row, column, cell).write(folder))
    whole = wells_of(read_plates(export.write(folder, stem="whole")))
    position = next(at for at, title in enumerate(export.header) if title.lower() in ("well", "pos", "well position"))
    if found is not None and "\n" not in str(cell) and column != position:
        others = [key for key in whole if key in found and found[key] == whole[key]]
        assert len(others) >= len(whole) - 1 - (name == "qiacuity")  # volumes of partitions are of the plate


@families
@pytest.mark.parametrize("text", ODD)
def test_a_name_is_kept_as_it_is_or_refused(tmp_path, name, text):
    export = EXPORTS[name].with_names(text.encode("utf-8", "replace").decode())
    try:
        wells = read_plates(export.write(tmp_path))
    except InputError:
        assert outcome(export.write(tmp_path)) is None
        return
    wanted = text.encode("utf-8", "replace").decode().strip()
    kept = {wanted, wanted[1:]} if wanted[:2] == "'=" and name == "tidy" else {wanted}
    if wanted in ("", "nan"):
        kept = {"", "nan", "P1", "P2"}
    if "\n" in wanted:
        kept = {"line\nline"}
    assert set(wells["sample"].values) <= kept


@families
def test_rows_and_headers_that_are_there_twice(tmp_path, name):
    export = EXPORTS[name]
    assert outcome(export.with_rows([0, 0, *range(1, len(export.rows))]).write(tmp_path)) is None
    again = [list(export.rows[0]), list(export.header), *map(list, export.rows[1:])]
    assert outcome(type(export)(**{**vars(export), "rows": again}).write(tmp_path)) is None


@families
def test_a_column_that_is_there_twice(tmp_path, name):
    export = EXPORTS[name]
    at = list(export.header).index(export.name_column)
    assert outcome(export.with_columns([*range(len(export.header)), at]).write(tmp_path)) is None


@pytest.mark.parametrize("change", ["date", "true", "error", "text"])
def test_retyped_cells_of_a_workbook(tmp_path, change):
    cell = {"date": datetime(2024, 5, 26), "true": True, "error": "#N/A", "text": "26.25"}[change]
    found = outcome(EXPORTS["design_and_analysis"].with_cell(2, 7, cell).write(tmp_path))
    whole = wells_of(read_plates(EXPORTS["design_and_analysis"].write(tmp_path, stem="whole")))
    assert found == (whole if change == "text" else None)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["xlsx", "rdml"])
def test_a_damaged_archive_is_read_rightly_or_refused(tmp_path_factory, kind, data):
    folder = tmp_path_factory.mktemp("damaged")
    raw = bytearray(_archive(folder, kind))
    (folder / "whole").write_bytes(raw)
    wanted = outcome(folder / "whole")
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged"
    path.write_bytes(raw)
    # A checksum guards the contents, not the list of contents: a sheet may be missing, but no well is made up.
    assert outcome(path) in (None, wanted)


def _archive(folder: Path, kind: str) -> bytes:
    if kind == "rdml":
        return rdml(folder / "p.rdml").read_bytes()
    return EXPORTS["design_and_analysis"].write(folder).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlsx", "rdml"])
def test_an_archive_cut_off_anywhere(tmp_path, kind):
    raw = _archive(tmp_path, kind)
    (tmp_path / "whole").write_bytes(raw)
    wanted = outcome(tmp_path / "whole")
    for size in range(1, len(raw)):
        (tmp_path / "cut").write_bytes(raw[:size])
        assert outcome(tmp_path / "cut") in (None, wanted)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_text_of_an_rdml_document(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("xml")
    text = bytearray(RDML.encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=6) | st.sampled_from([b"<a>", b"&b;"]))
    outcome(rdml(folder / "p.rdml", bytes(text)))


# Files that ask for more than there is

_ATTACK = """
import json, resource, sys, time
from ckinetics.assay import read_plates
from ckinetics.errors import InputError

def pages():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[0])

most = pages() * resource.getpagesize() + 2 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (most, most))
said = {}
for name, path in json.load(sys.stdin).items():
    start = time.monotonic()
    try:
        text = f"{read_plates(path).sizes['well']} wells"
    except InputError as err:
        text = str(err)
    said[name] = [text, time.monotonic() - start]
print(json.dumps(said))
"""


def attacked(files: dict[str, Path], folder: Path, timeout: float) -> dict[str, str]:
    """Read files in a process that may take 2 GB more than it has at the start; what each gave."""
    done = subprocess.run(
        [sys.executable, "-c", _ATTACK],
        input=json.dumps({name: str(path) for name, path in files.items()}),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: text for name, (text, _) in json.loads(done.stdout).items()}


@pytest.fixture(scope="session")
def bomb_files(tmp_path_factory):
    return bombs(tmp_path_factory.mktemp("bombs"))


READ = {"rdml_wide": "2 wells"}
SAID = {
    "bomb": r"larger than \d+ MB|too many|text of more than|nests too deeply|damaged|no RDML",
    "far": r"has a sheet of \d+ rows and \d+ columns",
    "laughs": "entities|damaged",
    "quadratic": "entities|damaged",
    "external": "entities|damaged",
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited and measured on Linux")
@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_bombs_are_refused_in_bounded_memory(bomb_files, tmp_path, long):
    files = {name: path for name, path in bomb_files.items() if (name in LONG_BOMBS) == long}
    said = attacked(files, tmp_path, timeout=240)
    assert set(said) == set(files)
    for name, text in said.items():
        if name in READ:
            assert text == READ[name]
            continue
        check(text, files[name])
        for word, pattern in SAID.items():
            assert word not in name or re.search(pattern, text), (name, text)
    assert list(tmp_path.iterdir()) == []


SHEETS = ("sheet_bomb", "far_cell", "one_long_string_in_many_cells", "ods_repeats", "ole_that_lies", "commas",
          "one_line", "sparse_text", "gz_bomb", "sheet_laughs")  # fmt: skip


@pytest.mark.parametrize("name", SHEETS)
def test_a_sample_sheet_is_measured_too(bomb_files, name):
    with pytest.raises(InputError) as error:
        read_sample_sheet(bomb_files[name])
    check(str(error.value), bomb_files[name])


def test_a_workbook_of_which_two_tables_of_contents_disagree(tmp_path):
    """A sheet that is in no list of sheets is measured like the others."""
    path = workbook(tmp_path / "a.xlsx", {"Results": [["x"]], "Other": [["y"]]})
    hidden = part_of(
        path,
        {
            "_rels/.rels": lambda xml: xml.replace(b"xl/workbook.xml", b"xl/other.xml"),
            "xl/worksheets/sheet2.xml": lambda xml: xml.replace(b"<sheetData>", b"<sheetData>" + far()),
        },
        tmp_path / "b.xlsx",
    )
    assert outcome(hidden) is None
    with pytest.raises(InputError, match="1048576 rows and 16384 columns"):
        Workbook(
            part_of(
                path,
                {"xl/worksheets/sheet1.xml": lambda xml: xml.replace(b"<sheetData>", b"<sheetData>" + far())},
                tmp_path / "c.xlsx",
            ).read_bytes(),
            "c.xlsx",
        ).rows("Results")


def test_of_an_ordinary_workbook_only_the_sheet_that_is_asked_for_is_unpacked(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", {"One": [["a", 1]], "Two & 2": [["b"]], "Three": [["c"]]})
    unpacked = []
    unpack = workbooks._Parts._unpack
    monkeypatch.setattr(
        workbooks._Parts,
        "_unpack",
        lambda self, info, *more: unpacked.append(info.filename) or unpack(self, info, *more),
    )
    assert Workbook(path.read_bytes(), path).rows("Two & 2") == [["b"]]
    assert [name for name in unpacked if "sheet" in name] == ["xl/worksheets/sheet2.xml"]


@settings(max_examples=40, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 60)), min_size=1, max_size=12),
    styles=st.booleans(),
    quote=st.sampled_from(['"', "'"]),
)
def test_a_workbook_that_is_written_otherwise_says_the_same(tmp_path_factory, places, styles, quote):
    """Attributes in another order, other quotes, cells without a place: read as the library reads them."""
    import python_calamine

    folder = tmp_path_factory.mktemp("otherwise")
    rows = [[f"{row}.{column}" if (row, column) in places else "" for column in range(61)] for row in range(401)]
    path = workbook(folder / "a.xlsx", {"One": rows, "Two": [["b"]]})

    def otherwise(xml: bytes) -> bytes:
        if styles:
            xml = xml.replace(b"<c r=", b'<c s="0" r=')
        head, cells = xml.split(b"<sheetData>")
        return head + b"<sheetData>" + cells.replace(b'"', quote.encode())

    path = part_of(path, {"xl/worksheets/sheet1.xml": otherwise}, folder / "b.xlsx")
    book = Workbook(path.read_bytes(), path)
    wanted = python_calamine.CalamineWorkbook.from_path(path)
    assert book.sheet_names == ("One", "Two")
    for name in book.sheet_names:
        assert book.rows(name) == wanted.get_sheet_by_name(name).to_python(skip_empty_area=False)


def test_other_workbooks_are_read_apart(tmp_path):
    assert read_apart(ods(2, 3), "a.ods", most_cells=100) == {"S": [["well"] * 3] * 2}
    with pytest.raises(InputError, match=r"a\.ods: the workbook has more than 5 cells"):
        read_apart(ods(2, 3), "a.ods", most_cells=5)
    path = workbook(tmp_path / "a.xlsx", {"S": [[datetime(2024, 5, 1), 2.5, True, "=x", "µ"]]})
    raw = path.read_bytes()
    assert read_apart(raw, path, most_cells=100) == {"S": Workbook(raw, path).rows("S")}


@pytest.mark.parametrize("seed", range(3))
def test_other_workbooks_that_are_damaged(tmp_path, seed):
    chance = random.Random(seed)
    damaged = bytearray(ods(2, 3))
    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    (tmp_path / "a.ods").write_bytes(damaged)
    assert outcome(tmp_path / "a.ods") is None
    raw = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(chance.choice((0, 1, 2, 9, 254, 255)) for _ in range(4096))
    (tmp_path / "a.xls").write_bytes(raw)
    assert outcome(tmp_path / "a.xls") is None


# Real files

REAL = (
    "appliedbiosystems_legacy/appbio_quantstudio_example01.txt",
    "appliedbiosystems_legacy/appbio_quantstudio_example07.txt",
    "autoqpcr_quantstudio/2019-04-25_124559-GAPDH.csv",
    "biorad_cfx/example01.csv",
    "biorad_ddpcr/read_quant_quant.csv",
    "biorad_tables/BioRad.xlsx",
    "qiagen_qiacuity/qiacuity_dpcr_example04.csv",
    "rdml/stepone_std.rdml",
    "roche_lightcycler480/Stuart_dAgr_glyS_spoVG_5S_individualWells_Cq.txt.gz",
    "thermo_absoluteq/Appbio_AbsoluteQ_summary.csv",
    "appliedbiosystems_da2/appbio_quantstudio_designandanalysis_Diomni_v4.3_Presence_Absence.xlsx",
)


@pytest.mark.parametrize("name", REAL)
def test_real_files_damaged_at_random(shared_data, tmp_path, name):
    source = shared_data / "plates" / name
    raw, wanted = source.read_bytes(), outcome(source)
    chance = random.Random(name)
    path = tmp_path / source.name
    for _ in range(12):
        damaged = bytearray(raw)
        if chance.random() < 0.5:
            del damaged[chance.randrange(len(raw)) :]
        else:
            for _ in range(chance.randint(1, 5)):
                damaged[chance.randrange(len(raw))] = chance.randrange(256)
        path.write_bytes(damaged)
        found = outcome(path)
        if path.suffix in (".xlsx", ".rdml", ".gz"):  # guarded by checksums
            assert found in (None, wanted)


@pytest.mark.parametrize("name", [name for name in REAL if name.endswith((".txt", ".csv"))])
def test_real_text_in_other_encodings(shared_data, tmp_path, name):
    from ckinetics.tables import decode

    source = shared_data / "plates" / name
    text = decode(source.read_bytes(), source)
    for encoding in ("utf-8-sig", "utf-16"):
        path = tmp_path / source.name
        path.write_bytes(text.encode(encoding))
        assert wells_of(read_plates(path), rows=True) == wells_of(read_plates(source), rows=True)
