from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xlsxwriter

from ckinetics.cohorts import kinetics_from_arrays, natural_order, profiles_of, read_kinetics
from ckinetics.errors import FileFormatError, InputError, UnitError
from ckinetics.schema import Status


def table(**columns: object) -> pd.DataFrame:
    size = max(len(v) for v in columns.values() if isinstance(v, list))
    return pd.DataFrame({"patient": ["P1"] * size, "time": list(range(size)), **columns})


@pytest.mark.parametrize(
    ("text", "status", "level", "lloq", "uloq"),
    [
        ("1200", Status.quantified, 1200.0, 50.0, 1e6),
        ("1,200.5", Status.quantified, 1200.5, 50.0, 1e6),
        ("1e3", Status.quantified, 1000.0, 50.0, 1e6),
        ("BLQ", Status.below_lloq, np.nan, 50.0, 1e6),
        ("<LLOQ", Status.below_lloq, np.nan, 50.0, 1e6),
        ("<50", Status.below_lloq, np.nan, 50.0, 1e6),
        ("12", Status.below_lloq, np.nan, 50.0, 1e6),
        ("0", Status.below_lloq, np.nan, 50.0, 1e6),
        ("50", Status.quantified, 50.0, 50.0, 1e6),
        ("ND", Status.not_detected, np.nan, 50.0, 1e6),
        ("DNQ", Status.detected_below_lloq, np.nan, 50.0, 1e6),
        (">ULOQ", Status.above_uloq, np.nan, 50.0, 1e6),
        ("> 1000000", Status.above_uloq, np.nan, 50.0, 1e6),
        ("2000000", Status.above_uloq, np.nan, 50.0, 1e6),
        ("NA", Status.missing, np.nan, 50.0, 1e6),
        ("", Status.missing, np.nan, 50.0, 1e6),
        ("INV", Status.invalid, np.nan, 50.0, 1e6),
        ("NS", Status.insufficient_dna, np.nan, 50.0, 1e6),
    ],
)
def test_words_and_numbers_of_a_level(text: str, status: Status, level: float, lloq: float, uloq: float) -> None:
    data = read_kinetics(table(level=[text]), unit="copies/ug", lloq=50, uloq=1e6)
    assert data["status"].item() == status
    np.testing.assert_equal(data["level"].item(), level)
    assert data["lloq"].item() == lloq
    assert data["uloq"].item() == uloq


def test_a_bound_in_the_cell_is_the_samples_own_limit() -> None:
    data = read_kinetics(table(level=["<50", "<200", "300"]), unit="copies/ug")
    np.testing.assert_equal(data["lloq"].values.ravel(), [50, 200, np.nan])


def test_blq_without_any_limit_keeps_the_limit_unknown() -> None:
    data = read_kinetics(table(level=["BLQ", "0", "3"]), unit="copies/ug")
    assert data["status"].values.ravel().tolist() == [Status.below_lloq, Status.below_lloq, Status.quantified]
    assert np.isnan(data["lloq"].values).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"level": ["3", "abc"]}, "row 2: level 'abc' is neither a number nor a known word"),
        ({"level": ["-3"]}, "row 1: level -3 is negative"),
        ({"level": ["inf"]}, "row 1: level 'inf' is neither"),
        ({"level": ["<50"], "lloq": [100]}, "contradicts the row's lloq of 100"),
        ({"level": ["3"], "time": ["day 3"]}, "row 1: time 'day 3' is not a number"),
        ({"level": ["3"], "time": ["1,5"]}, "time '1,5' is not a number"),
        ({"level": ["3"], "time": [""]}, "row 1: time is empty"),
        ({"level": ["3", "4"], "time": [7, 7]}, r"2 samples of blood at time 7 day \(rows 1 and 2\)"),
        ({"level": ["3"], "matrix": ["urin"]}, "row 1: unknown matrix 'urin'"),
        ({"level": ["3"], "patient": [""]}, "row 1: column 'patient' is empty"),
        ({"value2": ["3"]}, "has no column 'level'"),
    ],
)
def test_wrong_tables_are_refused_in_one_sentence(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_kinetics(table(**columns), unit="copies/ug")


def test_units_are_checked() -> None:
    with pytest.raises(UnitError, match="unknown unit 'copies'"):
        read_kinetics(table(level=["3"]), unit="copies")
    with pytest.raises(InputError, match="row's unit is 'cells/uL'"):
        read_kinetics(table(level=["3"], unit=["cells/µL"]), unit="copies/ug")


def test_rows_in_any_order_give_the_same_profiles() -> None:
    rows = pd.DataFrame(
        {
            "patient": ["P10", "P2", "P2", "P10", "P2"],
            "time": [3, 1, 7, 1, 3],
            "matrix": ["blood", "BM", "blood", "blood", "blood"],
            "level": [1.0, 2, 3, 4, 5],
        }
    )
    first = read_kinetics(rows, unit="copies/ug")
    second = read_kinetics(rows.sample(frac=1, random_state=1), unit="copies/ug")
    assert first.drop_attrs().identical(second.drop_attrs())
    assert first["patient"].values.tolist() == ["P2", "P10"]
    assert first["matrix"].values.tolist() == ["blood", "bone marrow"]
    assert first["time"].sel(patient="P2", matrix="blood").values.tolist() == [3.0, 7.0]


def test_cdisc_study_days_have_no_day_0() -> None:
    rows = pd.DataFrame(
        {"USUBJID": ["A"] * 3, "PCDY": [-1, 1, 8], "PCORRES": ["<BLQ", "<BLQ", "7"], "PCLLOQ": [0.5] * 3}
    )
    data = read_kinetics(rows, unit="copies/ug")
    assert data["time"].values.ravel().tolist() == [-1.0, 0.0, 7.0]
    with pytest.raises(InputError, match="study day 0 does not exist"):
        read_kinetics(rows.assign(PCDY=[-1, 0, 8]), unit="copies/ug")


def test_times_from_dates_and_other_units() -> None:
    rows = pd.DataFrame(
        {"patient": ["A"], "collected": ["2026-01-08T22:00"], "infused": ["2026-01-01T10:00"], "level": [5]}
    )
    assert read_kinetics(rows, unit="copies/ug")["time"].item() == 7.5
    hours = read_kinetics(table(level=["3"], time=[36]), unit="copies/ug", time_unit="h")
    assert hours["time"].item() == 1.5
    with pytest.raises(InputError, match="'08/01/2026' is not a date and time"):
        read_kinetics(rows.assign(collected=["08/01/2026"]), unit="copies/ug")
    with pytest.raises(InputError, match="has a time zone"):
        read_kinetics(rows.assign(collected=["2026-01-08T22:00Z"]), unit="copies/ug")


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8-sig", ","), ("cp1252", ";"), ("utf-8", "\t"), ("utf-16", ",")]
)
def test_text_files(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = tmp_path / "levels.dat"
    path.write_bytes(f"Patient{delimiter}Day{delimiter}Level\r\nMüller{delimiter}7{delimiter}<50\r\n".encode(encoding))
    data = read_kinetics(path, unit="copies/ug")
    assert data["patient"].values.tolist() == ["Müller"]
    assert data["lloq"].item() == 50


def test_a_workbook_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "levels.csv"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Data")
        for row, cells in enumerate([["patient", "time", "level"], [101, 7, 1200.5], [101, "x", 3]]):
            sheet.write_row(row + 2, 0, cells)
    with pytest.raises(InputError, match=r"levels.csv, sheet 'Data', row 5: time 'x' is not a number"):
        read_kinetics(path, unit="copies/ug")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"  \n \n", "the file is empty"),
        (b"PK\x03\x04broken", "damaged or incomplete"),
        (b"\x00\x01\x02", "neither a text table nor a workbook"),
        (b"patient,time,level\nA,1,2,3\n", "row 2: the row has more cells than the header"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "levels.csv"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"levels.csv.*{message}"):
        read_kinetics(path, unit="copies/ug")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is not there"):
        read_kinetics(tmp_path / "no.csv", unit="copies/ug")


def test_arrays() -> None:
    data = kinetics_from_arrays([0, 7, 28], [[0, 1e4, 90], [0, np.nan, 2e7]], lloq=50, uloq=1e6, unit="copies/ug")
    assert data["status"].values[:, 0].tolist() == [[2, 3, 3], [2, -1, 4]]
    assert np.isnan(data["level"].values[1, 0]).all()
    one = kinetics_from_arrays([0, 7], [1, 2], unit="cells/uL", patient=["X"])
    assert one.sizes == {"patient": 1, "matrix": 1, "sample": 2}


@pytest.mark.parametrize(
    ("time", "level", "message"),
    [
        ([0, 7, 7], [[1, 2, 3]], "patient '1', sample 3: time 7 day repeats"),
        ([0, 7, 3], [[1, 2, 3]], "patient '1', sample 3: time 3 day is before"),
        ([0, np.nan, 3], [[1, 2, 3]], "only the end may be padded"),
        ([0, 1], [[1, 2, 3]], "does not fit"),
        ([0, 1], [[1, -2]], "patient '1', sample 2: level -2 is negative"),
        ([0, np.inf], [[1, 2]], "a time is infinite"),
    ],
)
def test_wrong_arrays(time: list[float], level: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kinetics_from_arrays(time, level, unit="copies/ug")


def test_profiles_of_says_what_is_there() -> None:
    data = kinetics_from_arrays([0, 7], [1, 2], unit="cells/uL")
    assert profiles_of(data) is data
    with pytest.raises(InputError, match="expected a cohort"):
        profiles_of([1, 2])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no variable 'status'"):
        profiles_of(data.drop_vars("status"))


def test_natural_order() -> None:
    assert natural_order(["10", "9", "a2", "a10", "A1"]) == ["9", "10", "A1", "a2", "a10"]


def test_exclusions_are_yes_or_no_and_nothing_else() -> None:
    frame = table(level=[1.0, 2.0, 3.0, 4.0, 5.0], excluded=[True, "no", "1", None, "excluded"], reason=["r"] * 5)
    assert read_kinetics(frame, unit="copies/ug")["excluded"].values.ravel().tolist() == [1, 0, 1, 0, 1]
    for word in ("0.5", "300", "7", "perhaps"):
        with pytest.raises(InputError, match=f"row 1: excluded '{word}' is neither yes nor no"):
            read_kinetics(table(level=[1.0], excluded=[word]), unit="copies/ug")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"lloq": 0}, "lloq 0 is not positive"),
        ({"lloq": -5}, "lloq -5 is not positive"),
        ({"uloq": np.inf}, "uloq inf is not positive and finite"),
        ({"lloq": 100, "uloq": 10}, "lloq 100 is not below uloq 10"),
        ({"lod": 60, "lloq": 50}, "lod 60 is above lloq 50"),
    ],
)
def test_limits_that_cannot_be_are_refused_where_they_stand(limits: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=f"row 1: {message}"):
        read_kinetics(table(level=[0.0]), unit="copies/ug", **limits)
    with pytest.raises(InputError, match=f"patient '1', sample 1: {message}"):
        kinetics_from_arrays([0], [[0.0]], unit="copies/ug", **limits)
    with pytest.raises(InputError, match="row 1: lloq 0 is not positive"):
        read_kinetics(table(level=["<0"]), unit="copies/ug")


def test_spaces_inside_words_do_not_matter() -> None:
    words = ["Detected < LLOQ", "detected,not quantifiable", "< LOD", "not  detected"]
    status = read_kinetics(table(level=words), unit="copies/ug")["status"].values.ravel().tolist()
    assert status == [Status.detected_below_lloq] * 2 + [Status.not_detected] * 2


def test_dates_come_before_study_days() -> None:
    frame = pd.DataFrame(
        {
            "USUBJID": ["P1"] * 4,
            "PCDTC": ["2026-01-01T08:00", "2026-01-01T20:00", "2026-01-08T10:00", ""],
            "RFXSTDTC": ["2026-01-01T10:00"] * 4,
            "PCDY": [1, 1, 8, 15],
            "PCSTRESC": ["<BLQ", "10", "20", "30"],
        }
    )
    time = read_kinetics(frame, unit="copies/ug")["time"].values.ravel()
    assert time == pytest.approx([-2 / 24, 10 / 24, 7.0, 14.0])
    later = read_kinetics(frame.drop(columns="RFXSTDTC"), unit="copies/ug")["time"].values.ravel()
    assert np.isnan(later).sum() == 3  # the cohort knows the infusion


def test_a_renaming_that_the_table_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="columns= names 'LLOQ', which the kinetics table does not know"):
        read_kinetics(table(level=[1.0], limit=[50]), unit="copies/ug", columns={"LLOQ": "limit"})


def test_numpy_numbers_beside_words_are_numbers() -> None:
    data = read_kinetics(table(level=[np.float64(3.5), "BLQ", np.int64(7), np.float32(0.5)]), unit="copies/ug")
    np.testing.assert_equal(data["level"].values.ravel(), [3.5, np.nan, 7.0, 0.5])


@pytest.mark.parametrize("year", ["1500", "2400"])
def test_a_year_that_no_study_was_in_is_refused(year: str) -> None:
    rows = pd.DataFrame({"patient": ["a"], "collected": [f"{year}-01-01"], "infused": ["2024-01-01"], "level": [5]})
    with pytest.raises(InputError, match="outside the years 1900 to 2199"):
        read_kinetics(rows, unit="copies/ug")
