"""Files that ask for more memory or time than there is: each is refused in one sentence, or read."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from bombs import LONG_BOMBS, bombs, far, ods
from corpus import check, outcome, part_of, workbook
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics import workbooks
from ckinetics.assay import read_sample_sheet
from ckinetics.errors import InputError
from ckinetics.sandbox import read_apart
from ckinetics.workbooks import Workbook

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
    folder = tmp_path_factory.mktemp("bombs")
    yield bombs(folder)
    shutil.rmtree(folder)  # half a gigabyte


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
