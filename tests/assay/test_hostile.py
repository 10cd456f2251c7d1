"""Damaged, changed and odd files of every family: each is read rightly or refused in one sentence."""

from __future__ import annotations

import gzip
import random
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from corpus import EXPORTS, RDML, outcome, rdml, wells_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.assay import read_plates
from ckinetics.errors import InputError

# What a cell may hold that no instrument wrote.
ODD = (
    "=HYPERLINK(\"http://example.org\",\"x\")", "+1+1", "-2+3", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0", "'=1", "''",
    "../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "CON", "S1\u202e7", "\u200bS1", "S\x07", "\x1b[2J",
    "Ü ß µ", "nan", "1e999", "-1", "99999999999999999999", "1,5", "1.250,5", "TRUE", "a" * 32_000, "#DIV/0!", "<b>",
    "a;b", "a,b", 'a"b', "line\nline", "\ud800", "", " ", "A1", "{{7*7}}", "%s%n", "$(id)",
)  # fmt: skip
families = pytest.mark.parametrize("name", EXPORTS)


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
    kept = {wanted, wanted[1:]} if wanted[:2] == "'=" and name.startswith("tidy") else {wanted}
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
