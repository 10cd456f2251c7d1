"""Attacks on the readers: each fault ends in one sentence that names the file, and the row where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plate_builders import D_AND_A, cq_of, d_and_a_rows, sheet_frame, tidy_rows, write_sheet, write_tidy, write_workbook

from ckinetics.assay import quantify, read_plates
from ckinetics.errors import FileFormatError, InputError, UnitError
from ckinetics.schema import CqStatus, Verdict

WELLS = [["A1", "S1", "UNKNOWN", 25.0], ["A2", "S1", "UNKNOWN", "UNDETERMINED"], ["A3", "N", "NTC", "Undetermined"]]


def workbook(path, wells=WELLS, **more):
    return write_workbook(path, {"Amplification Data": [["Well", "Cycle"]], "Results": d_and_a_rows(wells, **more)})


def message_of(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def test_a_workbook_named_xls_or_txt_is_read(tmp_path):
    for name in ("a.xls", "a.txt", "a"):
        wells = read_plates(workbook(tmp_path / name))
        assert wells.sizes["well"] == 3
        assert wells["cq_status"].values.tolist() == [1, 0, 0]


def test_the_header_is_found_wherever_it_is(tmp_path):
    for above in (0, 1, 40):
        wells = read_plates(workbook(tmp_path / f"a{above}.xlsx", above=above))
        assert wells["row"].values[0] == 5 + above


def test_empty_file(tmp_path):
    for raw in (b"", b"  \r\n\n"):
        path = tmp_path / "empty.csv"
        path.write_bytes(raw)
        with pytest.raises(FileFormatError, match=r"empty\.csv: the file is empty"):
            read_plates(path)


def test_a_text_file_that_is_cut_off(tmp_path):
    whole = write_tidy(tmp_path / "p.csv", {"S1": 1e4}).read_text()
    for cut in (3, 6, 12, 18):
        (tmp_path / "p.csv").write_text(whole[:-cut])
        with pytest.raises(FileFormatError, match=r"p\.csv, row 25: "):
            read_plates(tmp_path / "p.csv")


def test_an_unquoted_delimiter(tmp_path):
    (tmp_path / "p.csv").write_text("well,sample,target,role,cq\nA1,P1, day 7,CAR,unknown,27\n")
    with pytest.raises(FileFormatError, match=r"row 2: the row has 6 cells but the header 5: quote cells"):
        read_plates(tmp_path / "p.csv")


def test_paths_of_another_kind():
    for paths in (5, [None]):
        with pytest.raises(InputError, match="expected a file, a folder or a list"):
            read_plates(paths)


def test_missing_file_and_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"none\.xlsx: the file cannot be opened"):
        read_plates(tmp_path / "none.xlsx")
    with pytest.raises(InputError, match="holds no plate export"):
        read_plates(tmp_path)
    with pytest.raises(InputError, match="no file was given"):
        read_plates([])


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99])
def test_truncated_workbook(tmp_path, kept):
    raw = workbook(tmp_path / "whole.xlsx").read_bytes()
    path = tmp_path / "cut.xlsx"
    path.write_bytes(raw[: int(len(raw) * kept)])
    with pytest.raises(FileFormatError, match=r"cut\.xlsx.*export it again") as error:
        read_plates(path)
    message_of(error)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 5000), byte=st.integers(0, 255))
def test_a_damaged_byte_is_refused_or_harmless(tmp_path_factory, at, byte):
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.xlsx"
    if not whole.exists():
        workbook(whole)
    raw = bytearray(whole.read_bytes())
    raw[at % len(raw)] = byte
    path = folder / "flipped.xlsx"
    path.write_bytes(bytes(raw))
    wells = read_plates(path, errors="collect")
    assert wells["verdict"].values[0] in (Verdict.passed, Verdict.failed)
    assert (wells.sizes["well"] == 0) == (wells["verdict"].values[0] == Verdict.failed)


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(min_size=0, max_size=300))
def test_any_bytes_are_refused_in_one_sentence(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "noise.csv"
    path.write_bytes(raw)
    wells = read_plates(path, errors="collect")
    assert wells["verdict"].values.tolist() == [Verdict.failed]
    assert wells["message"].values[0].startswith("noise.csv")


def test_unknown_layout_names_what_was_tried(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("date,weather\n2024-01-01,fine\n")
    with pytest.raises(FileFormatError, match=r"notes\.csv.*tried: QuantStudio Design & Analysis, .*tidy well table"):
        read_plates(path)


def test_missing_column_is_named(tmp_path):
    header = [name if name != "Cq" else "Quencher" for name in D_AND_A]
    with pytest.raises(FileFormatError, match=r"a\.xlsx, sheet 'Results', row 7: .*'Cq'"):
        read_plates(workbook(tmp_path / "a.xlsx", header=header))


def test_repeated_column_is_refused(tmp_path):
    header = [*D_AND_A[:-2], "Cq", "Cq"]
    with pytest.raises(FileFormatError, match=r"'Cq' is there twice"):
        read_plates(workbook(tmp_path / "a.xlsx", header=header))


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"role": "CALIBRATOR"}, r"p\.csv, row 3: unknown task 'CALIBRATOR' \(known: 'standard'"),
        ({"cq": "abc"}, r"p\.csv, row 3: 'abc' is not a number"),
        ({"cq": "-3"}, r"p\.csv, row 3: Cq -3 is not a cycle number"),
        ({"cq": "999"}, r"p\.csv, row 3: Cq 999 is not a cycle number"),
        ({"well": "Z99x"}, r"p\.csv, row 3: 'Z99x' is not a well position"),
        ({"well": "17"}, r"p\.csv, row 3: well '17' is a number"),
        ({"quantity": "-5"}, r"p\.csv, row 3: the quantity -5 of a standard"),
        ({"quantity": "inf"}, r"p\.csv, row 3: 'inf' is not a number"),
        ({"quantity": "ten"}, r"p\.csv, row 3: 'ten' is not a number"),
        ({"well": "A01"}, r"p\.csv, row 3: well A1 of target 'CAR' is there twice, in rows 2 and 3"),
    ],
)
def test_a_bad_cell_names_file_and_row(tmp_path, change, pattern):
    frame = tidy_rows({}).astype(object)
    for column, value in change.items():
        frame.loc[1, column] = value
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(InputError, match=pattern) as error:
        read_plates(tmp_path / "p.csv")
    message_of(error)


def test_unknown_unit_of_quantity(tmp_path):
    frame = tidy_rows({}).assign(quantity_unit="copies/well").astype(object)
    frame.loc[2, "quantity_unit"] = "furlongs"
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(UnitError, match=r"p\.csv, row 4: unknown unit of quantity 'furlongs'"):
        read_plates(tmp_path / "p.csv")
    frame.loc[2, "quantity_unit"] = "copies/µL"
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(UnitError, match=r"p\.csv, row 4: quantities in 'copies/uL' are not copies in the well"):
        read_plates(tmp_path / "p.csv")
    with pytest.raises(UnitError, match="unknown unit of quantity"):
        read_plates(tmp_path / "p.csv", quantity_unit="furlongs")


def test_one_bad_file_in_a_folder(tmp_path):
    write_tidy(tmp_path / "a.csv", {"S1": 1e4})
    (tmp_path / "b.csv").write_bytes(b"PK\x03\x04 broken")
    write_tidy(tmp_path / "c.csv", {"S2": 1e3}, levels=(1e2, 1e3, 1e4, 1e5, 1e6))
    (tmp_path / "~$c.csv").write_text("lock")
    (tmp_path / ".hidden.csv").write_text("x")
    wells = read_plates(tmp_path, errors="collect")
    assert wells["file_name"].values.tolist() == ["a.csv", "b.csv", "c.csv"]
    assert wells["verdict"].values.tolist() == [1, 0, 1]
    assert set(wells["run_id"].values) == {"a", "c"}
    assert wells.sizes["fault"] == 1
    with pytest.raises(FileFormatError, match=r"b\.csv"):
        read_plates(tmp_path)


def test_faults_are_counted_when_raised(tmp_path):
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text(f"no layout {name}")
    with pytest.raises(FileFormatError, match=r"and 2 more faults: errors='collect' lists all"):
        read_plates(tmp_path)


def test_a_copy_of_a_plate_is_not_a_second_plate(tmp_path):
    write_tidy(tmp_path / "a.csv", {"S1": 1e4})
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.csv").read_bytes())
    with pytest.raises(InputError, match=r"b\.csv: the file is a copy of 'a\.csv'"):
        read_plates(tmp_path)


def test_of_two_copies_the_one_in_the_sample_sheet_is_read(tmp_path):
    write_tidy(tmp_path / "p.csv", {"S1": 1e4})
    (tmp_path / "Copy of p.csv").write_bytes((tmp_path / "p.csv").read_bytes())
    for run in ("p", "P.CSV"):
        wells = read_plates(tmp_path, layout=sheet_frame(["S1"], run=run), errors="collect")
        assert wells["file_name"].values[wells["verdict"].values == 1].tolist() == ["p.csv"]
        assert wells["message"].values[wells["verdict"].values == 0].tolist() == [
            "Copy of p.csv: the file is a copy of 'p.csv': keep one of them"
        ]
        assert set(wells["patient_id"].values) == {"", "P1"}


def test_two_files_of_one_name_are_two_runs(tmp_path):
    for folder, copies in (("r1", 1e4), ("r2", 1e5)):
        (tmp_path / folder).mkdir()
        write_tidy(tmp_path / folder / "export.csv", {"S1": copies})
    files = [tmp_path / "r1" / "export.csv", tmp_path / "r2" / "export.csv"]
    with pytest.raises(InputError, match=r"run 'export' is already in"):
        read_plates(files)
    assert set(read_plates(files, run_id="folder")["run_id"].values) == {"r1/export", "r2/export"}


def test_two_plates_in_one_file(tmp_path):
    import pandas as pd

    first, second = tidy_rows({"S1": 1e4}).assign(run_id="R1"), tidy_rows({"S1": 2e4}).assign(run_id="R2")
    pd.concat([first, second]).to_csv(tmp_path / "both.csv", index=False)
    wells = read_plates(tmp_path / "both.csv")
    assert set(wells["run_id"].values) == {"R1", "R2"}
    assert quantify(wells)["curves"].sizes["curve"] == 4  # two fits of each


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_text_in_any_usual_dress(tmp_path, delimiter, encoding):
    frame = tidy_rows({"Prüfling": 1e4})
    frame.to_csv(tmp_path / "p.txt", index=False, sep=delimiter, encoding=encoding)
    wells = read_plates(tmp_path / "p.txt")
    assert "Prüfling" in wells["sample"].values
    assert wells["cq"].values[0] == pytest.approx(cq_of(10) - 0.05)


def test_decimal_commas(tmp_path):
    frame = tidy_rows({"S1": 1e4})
    frame.to_csv(tmp_path / "p.csv", index=False, sep=";", decimal=",")
    wells = read_plates(tmp_path / "p.csv")
    assert wells["cq"].values[1] == pytest.approx(cq_of(10))
    assert np.nanmax(wells["nominal_copies"].values) == 1e6


def test_a_number_that_could_be_two_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("well;sample;target;role;cq\nA1;S;CAR;unknown;27,5\nA2;S;CAR;unknown;1.250\n")
    with pytest.raises(FileFormatError, match=r"row [23]: .* could mean two numbers"):
        read_plates(tmp_path / "p.csv")


def test_thousands_commas(tmp_path):
    frame = tidy_rows({}).astype(object)
    frame["quantity"] = [f"{value:,.1f}" if value != "" else "" for value in frame["quantity"]]
    frame.to_csv(tmp_path / "p.csv", index=False)
    assert np.nanmax(read_plates(tmp_path / "p.csv")["nominal_copies"].values) == 1e6


def test_column_map(tmp_path):
    names = {
        "well": "Position",
        "sample": "ID",
        "target": "Gene",
        "role": "Content",
        "cq": "Ct (dRn)",
        "quantity": "SQ",
    }
    frame = tidy_rows({"S1": 1e4}, ntc=["NaN"]).rename(columns=names)
    frame["Content"] = frame["Content"].map({"standard": "Std-1", "unknown": "Unkn-12", "ntc": "NTC"})
    path = tmp_path / "other.csv"
    path.write_text("exported by me\n\n" + frame.to_csv(index=False))
    with pytest.raises(FileFormatError, match="columns="):
        read_plates(path)
    wells = read_plates(path, columns=names, undetermined=["NaN"])
    assert wells["family"].values.tolist() == ["column_map"]
    assert wells["row"].values[0] == 4
    assert set(wells["role"].values) == {"standard", "unknown", "ntc"}
    assert wells["cq_status"].values[wells["role"].values == "ntc"].tolist() == [CqStatus.undetermined]
    with pytest.raises(InputError, match="'wells' is not a column of wells"):
        read_plates(path, columns={"wells": "Position"})
    with pytest.raises(InputError, match="'cq' is missing"):
        read_plates(path, columns={"well": "Position"})
    with pytest.raises(FileFormatError, match="'No such'"):
        read_plates(path, columns={**names, "cq": "No such"})


def test_roles_and_tasks_by_name(tmp_path):
    frame = tidy_rows({"QC high": 1e4, "S1": 1e3}).replace({"role": {"ntc": "WATER"}})
    frame.to_csv(tmp_path / "p.csv", index=False)
    wells = read_plates(tmp_path / "p.csv", roles={"QC*": "qc"}, tasks={"Water": "ntc"})
    roles = dict(zip(wells["sample"].values, wells["role"].values, strict=True))
    assert roles["QC high"] == "qc"
    assert roles["NTC"] == "ntc"
    with pytest.raises(InputError, match="which is no role"):
        read_plates(tmp_path / "p.csv", roles={"QC*": "control"})


def test_unused_wells_are_left_out_and_wells_with_data_kept(tmp_path):
    wells = [*WELLS, ["B1", "", "", ""], ["B2", "S9", "", 30.0]]
    rows = d_and_a_rows(wells)
    rows[-2][4] = ""  # no target either
    read = read_plates(write_workbook(tmp_path / "a.xlsx", {"Results": [*rows, [], ["Analysis Type", "Singleplex"]]}))
    assert read["well_name"].values.tolist() == ["A1", "A2", "A3", "B2"]
    assert read["role"].values[-1] == ""


def test_options_are_checked(tmp_path):
    path = write_tidy(tmp_path / "p.csv", {})
    for options in ({"errors": "ignore"}, {"run_id": "hash"}, {"missing_time": "guess", "layout": path}):
        with pytest.raises(InputError, match="is unknown"):
            read_plates(path, **options)


def test_a_sample_absent_from_the_sheet(tmp_path):
    write_tidy(tmp_path / "p.csv", {"P1-D7": 1e4, "P1-D14": 1e3})
    sheet = write_sheet(tmp_path / "samples.csv", ["P1-D7"])
    with pytest.raises(
        InputError, match=r"p\.csv, row 26: sample 'P1-D14' \(wells C1, C2, C3\) is not in the sample sheet"
    ):
        read_plates(tmp_path, layout=sheet)
    wells = read_plates(tmp_path, layout=sheet, errors="collect")
    assert wells["file_name"].values.tolist() == ["p.csv"]
    unlisted = wells["sample"].values == "P1-D14"
    assert unlisted.sum() == 3
    assert set(wells["patient_id"].values[unlisted]) == {""}
    assert wells["fault_sample"].values.tolist() == ["P1-D14"]
    tree = quantify(wells)
    assert tree["level"].count() == 1
    verdicts = tree["verdicts"].to_dataset(inherit=False)
    said = verdicts["message"].values[verdicts["rule"].values == "sample_sheet"]
    assert len(said) == 1
    assert "P1-D14" in said[0]


def test_a_sample_on_no_plate_is_reported_and_not_fatal(tmp_path):
    write_tidy(tmp_path / "p.csv", {"S1": 1e4})
    sheet = write_sheet(tmp_path / "samples.csv", ["S1", "S2"])
    wells = read_plates(tmp_path / "p.csv", layout=sheet)
    assert wells["fault_message"].values.tolist() == ["'S2' is on no plate that was read"]
    assert wells["fault_row"].values.tolist() == [3]
    assert wells["fault_file"].values.tolist() == ["samples.csv"]


def test_a_standard_that_is_a_patients_sample_is_refused(tmp_path):
    write_tidy(tmp_path / "p.csv", {})
    sheet = write_sheet(tmp_path / "samples.csv", ["Std 10"])
    with pytest.raises(InputError, match=r"p\.csv, row 2: sample 'Std 10' is a standard on the plate but patient 'P1'"):
        read_plates(tmp_path / "p.csv", layout=sheet)


def test_text_marked_as_utf16_that_is_cut_off(tmp_path):
    raw = write_tidy(tmp_path / "a.csv", {"S1": 1e4}).read_text().encode("utf-16")
    (tmp_path / "b.csv").write_bytes(raw[:-1])
    with pytest.raises(FileFormatError, match=r"b\.csv: the file is marked as UTF-16 text but is cut off"):
        read_plates(tmp_path / "b.csv")
    found = read_plates(tmp_path, errors="collect")
    assert found["verdict"].values.tolist() == [Verdict.passed, Verdict.failed]


def test_a_dangling_link_and_an_empty_folder_are_faults_of_their_own(tmp_path):
    plates = tmp_path / "plates"
    (plates / "empty").mkdir(parents=True)
    write_tidy(plates / "a.csv", {"S1": 1e4})
    (plates / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    found = read_plates([plates, plates / "empty"], errors="collect")
    assert found["file_name"].values.tolist() == ["a.csv", "gone.csv", "empty"]
    assert found["verdict"].values.tolist() == [Verdict.passed, Verdict.failed, Verdict.failed]
    assert "cannot be opened" in found["message"].values[1]
    assert "holds no plate export" in found["message"].values[2]


def test_an_unknown_word_for_no_signal_says_where_to_name_it(tmp_path):
    write_tidy(tmp_path / "a.csv", {"S1": 1e4}, ntc=("n.d.",) * 3)
    with pytest.raises(FileFormatError, match=r"row 20: 'n\.d\.' is not a number; .* undetermined=\['n"):
        read_plates(tmp_path / "a.csv")
    read_plates(tmp_path / "a.csv", undetermined=["n.d."])
