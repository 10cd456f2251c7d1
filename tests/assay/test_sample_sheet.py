"""The sample sheet: what it may look like, and what it must not say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plate_builders import sheet_frame, write_tidy, write_workbook

from ckinetics.assay import read_plates, read_sample_sheet
from ckinetics.errors import FileFormatError, InputError, UnitError


def test_every_column(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text(
        "Sample Name;Patient ID;Specimen;Actual day;Nominal day;Collected;DNA (µg);Dilution factor\n"
        "S1;P1;BM;7.1;7;2024-05-08T09:30;0.2;1:10\n",
        encoding="cp1252",
    )
    entry = read_sample_sheet(path).entries[0]
    assert (entry.row, entry.patient_id, entry.matrix, entry.sample_id) == (2, "P1", "bone marrow", "S1")
    assert (entry.time, entry.nominal_time, entry.dna_ng, entry.dilution) == (7.1, 7.0, 200.0, 10.0)
    assert entry.collected == np.datetime64("2024-05-08T09:30")


def test_a_workbook_with_numbers_for_names(tmp_path):
    write_tidy(tmp_path / "p.csv", {"12": 1e4})
    sheet = write_workbook(
        tmp_path / "s.xlsx", {"Sheet1": [["sample", "patient", "time", "dna_ng"], [12, "P1", 7, 200]]}
    )
    wells = read_plates(tmp_path / "p.csv", layout=sheet)
    assert set(wells["patient_id"].values[wells["role"].values == "unknown"]) == {"P1"}
    assert wells.attrs["layout_file"] == "s.xlsx"


@pytest.mark.parametrize(
    ("change", "kind", "pattern"),
    [
        ({"time": ["7", "seven"]}, InputError, r"s\.csv, row 3: time 'seven' is not a number"),
        ({"time": ["7", ""]}, InputError, r"s\.csv, row 3: sample 'S2' has neither 'time' nor 'collected'"),
        ({"dna_ng": ["200", "lots"]}, InputError, r"s\.csv, row 3: dna_ng 'lots' is not a number"),
        ({"dna_ng": ["200", "-1"]}, InputError, r"s\.csv, row 3: the DNA in the well is -1 ng"),
        ({"dilution": ["", "0.1"]}, InputError, r"s\.csv, row 3: dilution 0\.1 is below 1"),
        ({"dilution": ["", "some"]}, InputError, r"s\.csv, row 3: dilution 'some' is not a number"),
        ({"matrix": ["blood", "milk"]}, InputError, r"s\.csv, row 3: unknown matrix 'milk'"),
        ({"patient": ["P1", ""]}, InputError, r"s\.csv, row 3: sample 'S2' has no patient"),
        ({"role": ["", "boss"]}, InputError, r"s\.csv, row 3: unknown role 'boss'"),
        ({"sample": ["S1", "S1"]}, InputError, r"s\.csv, row 3: sample 'S1' is listed twice, in rows 2 and 3"),
        ({"sample": ["S1", ""]}, InputError, r"s\.csv, row 3: the sample sheet names no sample"),
        ({"time": ["7", "7"]}, InputError, r"s\.csv, row 3: samples 'S1' \(row 2\) and 'S2' \(row 3\) are one patient"),
        ({"sample_id": ["X", "X"]}, InputError, r"s\.csv, row 3: sample_id 'X' stands for two samples \(rows 2 and 3"),
        ({"time_unit": ["day", "moon"]}, UnitError, r"s\.csv, row 3: unknown unit 'moon'"),
        ({"collected": ["", "1/2/2024"]}, InputError, r"s\.csv, row 3: collected '1/2/2024' is not a date"),
        ({"collected": ["", "2024-01-02T00:00Z"]}, InputError, r"s\.csv, row 3: .*time zone"),
    ],
)
def test_a_bad_row_is_named(tmp_path, change, kind, pattern):
    frame = sheet_frame(["S1", "S2"]).astype(object).assign(**change)
    frame.to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(kind, match=pattern) as error:
        read_sample_sheet(tmp_path / "s.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dropped", "pattern"),
    [
        ("sample", "no column 'sample'"),
        ("patient", "no column 'patient'"),
        ("dna_ng", "no column 'dna_ng'"),
        ("time", "no column 'time'"),
    ],
)
def test_a_missing_column_is_named(tmp_path, dropped, pattern):
    sheet_frame(["S1"]).drop(columns=dropped).to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(InputError, match=rf"s\.csv: .*{pattern}"):
        read_sample_sheet(tmp_path / "s.csv")


def test_unknown_units_in_headers(tmp_path):
    for name, column in (("DNA (cups)", "dna_ng"), ("time (moons)", "time")):
        sheet_frame(["S1"]).rename(columns={column: name}).to_csv(tmp_path / "s.csv", index=False)
        with pytest.raises(UnitError, match="unknown unit"):
            read_sample_sheet(tmp_path / "s.csv")
    frame = sheet_frame(["S1"]).rename(columns={"dna_ng": "dna"}).assign(dna_unit="cups")
    frame.to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(UnitError, match=r"s\.csv, row 2: the DNA's unit 'cups' is unknown"):
        read_sample_sheet(tmp_path / "s.csv")


def test_a_damaged_or_absent_sheet(tmp_path):
    plate = write_tidy(tmp_path / "p.csv", {"S1": 1e4})
    (tmp_path / "cut.xlsx").write_bytes(b"PK\x03\x04abc")
    (tmp_path / "none.csv").write_bytes(b"")
    for name in ("cut.xlsx", "none.csv", "not-there.csv"):
        with pytest.raises(FileFormatError, match=name):
            read_plates(plate, layout=tmp_path / name)
    (tmp_path / "head.csv").write_text("sample,patient,time,dna_ng\n")
    with pytest.raises(InputError, match="lists no sample"):
        read_plates(plate, layout=tmp_path / "head.csv", errors="collect")


def test_planned_time_only_is_a_named_choice():
    frame = sheet_frame(["S1"]).rename(columns={"time": "nominal_time"})
    with pytest.raises(InputError, match="missing_time='nominal'"):
        read_sample_sheet(frame)
    assert read_sample_sheet(frame, missing_time="nominal").entries[0].time == 0.0


def test_one_name_on_two_plates(tmp_path):
    write_tidy(tmp_path / "a.csv", {"1": 1e4})
    write_tidy(tmp_path / "b.csv", {"1": 1e3})
    frame = pd.DataFrame(
        {"sample": [1, 1], "run": ["a", "b.csv"], "sample_id": ["X", "Y"], "patient": ["P1", "P2"], "time": [7, 7]}
    ).assign(dna_ng=200)
    wells = read_plates(tmp_path, layout=frame)
    unknown = wells.isel(well=np.flatnonzero(wells["role"].values == "unknown"))
    found = set(zip(unknown["run_id"].values, unknown["patient_id"].values, unknown["sample_id"].values, strict=True))
    assert found == {("a", "P1", "X"), ("b", "P2", "Y")}


def test_controls_need_no_patient_and_may_have_nominal_copies(tmp_path):
    write_tidy(tmp_path / "p.csv", {"QC1": 1e4, "S1": 1e4})
    frame = pd.DataFrame(
        {
            "sample": ["QC1", "S1"],
            "role": ["qc", ""],
            "patient": ["", "P1"],
            "time": ["", 7],
            "dna_ng": ["", 200],
            "nominal_copies": [1e4, ""],
        }
    )
    wells = read_plates(tmp_path / "p.csv", layout=frame)
    qc = wells["role"].values == "qc"
    assert qc.sum() == 3
    assert set(wells["nominal_copies"].values[qc]) == {1e4}


def test_a_planned_time_in_another_unit_is_refused_and_unused_columns_are_named():
    rows = {"sample": ["S1"], "patient": ["P1"], "time": [7], "dna_ng": [200]}
    with pytest.raises(UnitError, match=r"'nominal_time \(h\)' is in an unknown unit: use day"):
        read_sample_sheet(pd.DataFrame(rows | {"nominal_time (h)": [168]}))
    sheet = read_sample_sheet(pd.DataFrame(rows | {"Nominal Time (day)": [7], "diluton": [10]}))
    assert sheet.entries[0].nominal_time == 7
    assert sheet.unused_columns == ("diluton",)


def test_a_sheet_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    sheet_frame(["S1"]).to_csv(tmp_path / "s.csv", index=False)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(FileFormatError, match=r"s\.csv: the file cannot be opened \(Permission denied\)"):
        read_sample_sheet(tmp_path / "s.csv")


def test_purpose_and_reaction_volume_reach_the_wells(tmp_path):
    write_tidy(tmp_path / "p.csv", {"S1": 1e3, "S2": 1e3})
    sheet = sheet_frame(["S1", "S2"], purpose=["", "ISR"], reaction_ul=[20.0, ""])
    wells = read_plates(tmp_path / "p.csv", layout=sheet)
    found = {
        name: (str(purpose), float(volume))
        for name, purpose, volume in zip(
            wells["sample"].values, wells["purpose"].values, wells["reaction_ul"].values, strict=True
        )
    }
    assert found["S1"] == ("", 20.0)
    assert found["S2"][0] == "isr"
    assert np.isnan(found["S2"][1])
    assert found["NTC"][0] == ""


@pytest.mark.parametrize(
    ("column", "value", "pattern"),
    [
        ("purpose", "repeat", "row 1: purpose 'repeat' is unknown: write isr"),
        ("reaction_ul", 0, "row 1: the reaction volume 0 uL is not positive"),
        ("reaction_ul", -20, "row 1: the reaction volume -20 uL is not positive"),
        ("reaction_ul", "20 uL", "row 1: reaction_ul '20 uL' is not a number"),
    ],
)
def test_faulty_purposes_and_volumes(column, value, pattern):
    with pytest.raises(InputError, match=pattern):
        read_sample_sheet(sheet_frame(["S1"], **{column: [value]}))


def test_a_volume_that_contradicts_the_export_is_refused(tmp_path):
    from ckinetics.assay.identification import identify

    sheet = read_sample_sheet(sheet_frame(["S1"], reaction_ul=[20.0]))

    def row(volume):
        names = {"run_id": "p", "sheet": "", "row": 2, "well_name": "A01", "sample": "S1", "target": "CAR"}
        return names | {"role": "unknown", "reaction_ul": volume}

    rows = [row(20.001)]
    assert identify(tmp_path / "p.csv", rows, [], sheet) == []
    assert rows[0]["reaction_ul"] == 20.0
    with pytest.raises(InputError, match="has 40 uL on the plate but 20 uL in row 1 of the sample sheet"):
        identify(tmp_path / "p.csv", [row(40.0)], [], sheet)


@pytest.mark.parametrize(
    "names", [("time (d)", "DNA (ng/well)"), ("Time (days)", "DNA input (ng)"), ("day", "ng/well")]
)
def test_units_in_the_names_of_columns(names):
    frame = pd.DataFrame({"sample": ["S1"], "patient": ["P1"], names[0]: [7], names[1]: [200]})
    (entry,) = read_sample_sheet(frame).entries
    assert (entry.time, entry.dna_ng) == (7.0, 200.0)


def test_a_decimal_comma_is_told_and_not_guessed(tmp_path):
    (tmp_path / "s.csv").write_text("sample;patient;time;dna_ng\nS1;P1;7,5;200\n")
    with pytest.raises(InputError, match=r"s\.csv, row 2: time '7,5' is not a number: write it with a decimal point"):
        read_sample_sheet(tmp_path / "s.csv")


def test_a_name_in_other_letters_is_the_nearest():
    sheet = read_sample_sheet(pd.DataFrame({"sample": ["s1"], "patient": ["P1"], "time": [7], "dna_ng": [200]}))
    assert sheet.nearest("S1") == "s1"
