from __future__ import annotations

import zipfile

import numpy as np
import pytest
from python_calamine import load_workbook
from report_builders import NASTY, arrays_study, fit_tree, plate_study, study

from ckinetics.exposure import exposure_correlation, exposure_response
from ckinetics.noncompartmental import nca, nca_summary
from ckinetics.provenance import content_hash
from ckinetics.reporting import report
from ckinetics.reporting.tables.sheets import Sheet
from ckinetics.reporting.tables.workbook import write_workbook


def sheets(path):
    book = load_workbook(str(path))
    return {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}


def column(rows, name):
    return [row[rows[0].index(name)] for row in rows[2:]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    cohort = study(nasty=NASTY)
    result = nca(cohort, intervals=[(0, 28)])
    fit = fit_tree(content_hash(cohort), [str(name) for name in cohort["patient"].values])
    odds = exposure_response(result["cmax"].sel(matrix="blood"), cohort["outcomes"]["response"])
    path = tmp_path_factory.mktemp("book") / "report.xlsx"
    report(cohort, result, fit, odds, path=path, inputs={"=levels.csv": "a" * 64}, flags=["=1+1"])
    return cohort, result, path, sheets(path)


def test_sheets_and_their_row_of_units(made):
    _, _, _, book = made
    for name in ("Summary", "NCA", "NCA summary", "Samples", "Fit", "Exposure", "Reasons", "Flags", "Provenance"):
        assert name in book
    for name, header, unit in (
        ("NCA", "cmax", "copies/ug"),
        ("NCA", "half_life", "day"),
        ("NCA", "auc_interval 0-28", "day*copies/ug"),
        ("Samples", "time", "day"),
        ("Samples", "lloq", "copies/ug"),
        ("Fit", "Tmax estimate", "day"),
        ("NCA summary", "geometric CV %", "%"),
    ):
        assert book[name][1][book[name][0].index(header)] == unit


def test_numbers_are_numbers_in_full_and_missing_ones_are_empty(made):
    _, result, _, book = made
    expected = result["half_life"].transpose("patient", "matrix").values.ravel()
    for cell, value in zip(column(book["NCA"], "half_life"), expected, strict=True):
        assert cell == "" if np.isnan(value) else cell == pytest.approx(value, rel=1e-15)
    keys = zip(column(book["NCA summary"], "matrix"), column(book["NCA summary"], "parameter"), strict=True)
    means = dict(zip(keys, column(book["NCA summary"], "geometric mean"), strict=True))
    for row in nca_summary(result).to_dict("records"):
        cell, value = means[(row["matrix"], row["parameter"])], row["geometric mean"]
        assert cell == "" if np.isnan(value) else cell == pytest.approx(value, rel=1e-15)


def test_every_sample_is_there_with_its_status(made):
    cohort, _, _, book = made
    rows = book["Samples"]
    assert len(rows) - 2 == int((cohort["kinetics"]["status"] != -1).sum())
    status, level = column(rows, "status"), column(rows, "level")
    assert {"quantified", "below_lloq", "invalid", "above_uloq"} == set(status)
    assert all((cell != "") == (word == "quantified") for word, cell in zip(status, level, strict=True))
    assert column(rows, "excluded").count("excluded") == 1


def test_no_text_is_a_formula(made):
    _, _, path, book = made
    with zipfile.ZipFile(path) as archive:
        parts = [archive.read(name).decode() for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    assert len(parts) == len(book)
    assert not any("<f>" in part or "<f " in part or "<hyperlink" in part for part in parts)
    assert book["Flags"][2] == ["=1+1"]
    assert column(book["Samples"], "sample_id")[0].startswith(f"=P01{NASTY}")


def test_provenance_names_inputs_versions_and_settings(made):
    cohort, result, _, book = made
    rows = dict(book["Provenance"][1:])
    assert rows["cohort hash (SHA-256)"] == content_hash(cohort)
    assert rows["SHA-256 of =levels.csv"] == "a" * 64
    assert rows["result 1: settings"] == result.attrs["settings"]
    assert rows["version of ckinetics"] == result.attrs["ckinetics_version"]


def test_plates_have_their_sheets(tmp_path):
    cohort = plate_study(tmp_path)
    book = sheets(report(cohort, path=tmp_path / "r.xlsx"))
    assert column(book["Curves"], "slope")[0] == float(cohort["curves"]["slope"].values[0])
    assert book["Curves"][1][book["Curves"][0].index("efficiency")] == "%"
    assert len(book["Wells"]) - 2 == cohort["wells"].sizes["well"]
    assert set(column(book["Verdicts"], "outcome")) <= {"passed", "failed", ""}


@pytest.mark.parametrize("levels", [np.empty((0, 3)), [[0, 0, 0]], [[0, 1e4, 90]]])
def test_small_and_empty_cohorts(tmp_path, levels):
    cohort = arrays_study(levels)
    book = sheets(report(cohort, nca(cohort), path=tmp_path / "r.xlsx"))
    assert len(book["NCA"]) - 2 == len(levels)


def test_long_text_is_cut_and_says_so(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"a": ["x" * 40_000, "y"], "b": [np.inf, np.nan], "c": [True, False], "d": [1, 2]})
    frame["e"] = pd.to_datetime(["2024-01-02 03:04:05", None])
    path = tmp_path / "w.xlsx"
    write_workbook(path, [Sheet("One", frame, {"d": "day"})], title="t")
    rows = sheets(path)["One"]
    assert len(rows[2][0]) == 32_767
    assert rows[2][0].endswith("(cut: a cell holds no more)")
    assert [rows[2][1], rows[3][1]] == ["inf", ""]  # infinite is not missing
    assert rows[2][2] is True
    assert rows[1][3] == "day"
    assert str(rows[2][4]) == "2024-01-02 03:04:05"


def test_the_matrix_of_an_exposure_and_the_unit_of_a_peak_are_named(tmp_path):
    cohort = study()
    cmax = nca(cohort)["cmax"].sel(matrix="blood")
    names = cohort["patient"].values
    peak = cmax.copy(data=np.arange(1.0, len(names) + 1), deep=True).rename("IL-6").drop_vars(["matrix", "unit"])
    rho = exposure_correlation(cmax, peak.assign_attrs(units="pg/mL"))
    odds = exposure_response(cmax, cohort["outcomes"]["response"])
    report(cohort, odds, rho, path=tmp_path / "r.xlsx")
    book = sheets(tmp_path / "r.xlsx")
    assert column(book["Exposure"], "in") == ["blood", "blood"]
    rows = book["Exposure patients"]
    assert rows[1][rows[0].index("peak")] == "pg/mL"
    assert rows[1][rows[0].index("exposure")] == "copies/ug"
    page = report(cohort, odds, rho, path=tmp_path / "r.html").read_text(encoding="utf-8")
    assert "per doubling of Cmax in blood" in page
    assert "correlation of Cmax in blood with" in page
