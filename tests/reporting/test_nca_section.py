"""The report of a noncompartmental analysis: cells, bounds, acceptance, methods, infusions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from report_builders import arrays_study, study
from test_page import page
from test_workbook import sheets

from ckinetics.cohorts import cohort, kinetics_from_arrays, read_kinetics
from ckinetics.noncompartmental import PARAMETERS, nca
from ckinetics.plot.style import parameter_label
from ckinetics.reporting import report, summary
from ckinetics.reporting.core.numbers import number
from ckinetics.reporting.core.series import cautions_of, each_series, reasons_of
from ckinetics.reporting.sections.nca import persistence_words
from ckinetics.reporting.tables.auc_methods import areas_by_method, ratios_to_own, recorded_options

# What the module shares is made before, with its figures.
pytestmark = pytest.mark.usefixtures("quick_figures")

PKNCA_METHODS = {"linear": "linear", "linear-up/log-down": "lin up/log down", "linear-log": "lin-log"}


def retreated() -> xr.DataTree:
    """P1 has two infusions, P2 one; both in blood, P1 also in marrow."""
    rows: list[tuple[Any, ...]] = [("P1", "blood", t, c) for t, c in (
        (0, 0), (7, 9e3), (14, 900), (21, 400), (28, 120), (35, 0), (56, 0), (63, 400), (70, 5e3), (84, 900), (98, 200),
        (112, 70), (126, 0))]  # fmt: skip
    rows += [("P2", "blood", t, c) for t, c in ((0, 0), (7, 4e3), (10, 2e4), (14, 9e3), (21, 3e3), (28, 800), (45, 0))]
    rows += [("P1", "bone marrow", t, c) for t, c in ((14, 500), (70, 2e3))]
    frame = pd.DataFrame(rows, columns=["patient", "matrix", "time", "level"])
    infusions = pd.DataFrame({"patient": ["P1", "P1", "P2"], "time": [0.0, 56.0, 0.0], "dose": [1e8, 3e8, 1e8]})
    return cohort(read_kinetics(frame, unit="copies/ug", lloq=50), infusions=infusions, title="retreated")


@pytest.fixture(scope="module")
def infused(tmp_path_factory: pytest.TempPathFactory) -> tuple[xr.Dataset, Any, Any]:
    data = retreated()
    result = nca(data, infusions="each", intervals=[(0, 28)])
    folder = tmp_path_factory.mktemp("infused")
    html = page(report(data, result, path=folder / "r.html"))
    return result, html, sheets(report(data, result, path=folder / "r.xlsx"))


def row_of(table: list[list[str]], name: str) -> dict[str, str]:
    row = next(row for row in table if row[0] == name)
    return {head: cell.replace("\xa0", " ") for head, cell in zip(table[0], row, strict=True)}


@pytest.mark.parametrize("method", PKNCA_METHODS)
def test_areas_under_each_method_are_pkncas(shared_data: Path, method: str) -> None:
    data = cohort(read_kinetics(shared_data / "nca" / "cart_cohort_input.csv", unit="copies/ug"))
    areas = areas_by_method(data, nca(data, preset="pknca", tail="all"))
    theirs = pd.read_csv(shared_data / "nca" / "pknca_0.12.1.csv.gz", keep_default_na=False, na_values=["NA"])
    theirs = theirs[
        (theirs["dataset"] == "cart")
        & (theirs["auc_method"] == PKNCA_METHODS[method])
        & (theirs["blq_rule"] == "default_keep_drop_keep")
        & (theirs["impute"] == "none")
        & (theirs["PPTESTCD"] == "aucint.all")
        & (theirs["start"] == 0)
        & (theirs["end"] == 28)
    ].set_index("id")["PPORRES"]
    ours = areas.set_index("patient")[method]
    assert len(theirs) == len(ours) == 17
    for patient, area in ours.items():
        np.testing.assert_allclose(area, theirs[patient], rtol=1e-12)


def test_the_ratio_to_the_method_used_is_that_of_the_reference(shared_data: Path) -> None:
    data = cohort(read_kinetics(shared_data / "nca" / "cart_cohort_input.csv", unit="copies/ug"))
    ratios = ratios_to_own(areas_by_method(data, nca(data))).set_index("method")
    assert ratios.loc["linear-up/log-down", ["used", "median ratio", "minimum", "maximum"]].tolist() == [True, 1, 1, 1]
    # the reference: linear is up to 28 % above linear-up/log-down on this cohort
    assert ratios.loc["linear", "maximum"] == pytest.approx(1.28, abs=0.005)
    assert 1.03 < ratios.loc["linear", "median ratio"] < 1.06
    assert ratios.loc["log-up/log-down", "median ratio"] < 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "pknca"},
        {"preset": "phoenix", "auc_method": "linear", "intervals": [(0, 28), (7, 200), (0, np.inf)]},
        {"blq": "lloq/2", "anchor": "none", "tail": "own_pred", "rising": "discard", "min_points": 2},
        {"blq": {"before.tmax": 5.0, "after.tmax": "drop"}, "tmax": "last", "tmax_in_line": True},
        {"window": (7, 90)},
        {"infusions": "each", "intervals": [(0, 28), "0-2 months"]},
    ],
)
def test_recorded_settings_give_the_same_areas_again(options: dict[str, Any]) -> None:
    data = retreated()
    result = nca(data, **options)
    areas = areas_by_method(data, result)
    own = areas[areas["used"].iloc[0]].to_numpy()
    parts = [one["auc_interval"].values[:, 0, :].ravel() for _, one in each_series(result)]
    np.testing.assert_array_equal(own, np.concatenate(parts))
    assert areas["interval"].unique().tolist() == result["interval"].values.tolist()


def test_a_line_chosen_by_hand_is_taken_again() -> None:
    data = arrays_study([[0, 9e3, 4e3, 1.2e3, 9e2]], [0, 7, 14, 28, 35])
    choice = pd.DataFrame({"patient": "1", "time": [14.0, 28.0], "use": "include", "reason": "plateau left out"})
    result = nca(data, slopes=choice, min_points=2, intervals=[(0, 100)])
    assert recorded_options(result)["slopes"]["use"].tolist() == ["include", "include"]
    areas = areas_by_method(data, result)
    assert areas["linear-up/log-down"].iloc[0] == float(result["auc_interval"].item())
    assert float(nca(data, min_points=2, intervals=[(0, 100)])["auc_interval"].item()) != result["auc_interval"].item()


def test_the_table_of_cells(tmp_path: Path) -> None:
    level = [0, 200, 9e3, 900, 120, 0, 4e3, 500]
    data = arrays_study([level, [0] * 8, [3e3, 2e3, 900, 400, 100, 70, 60, 55]], [0, 3, 7, 14, 21, 28, 60, 90])
    result = nca(data, threshold=1000.0)
    html = page(report(data, result, path=tmp_path / "r.html"))
    table = html.tables["Blood: each patient's cells"]
    first, second, third = (row_of(table, name) for name in "123")
    assert first["persistence"] == "≥90"
    rate = np.log(9e3 / 200) / 4
    assert first["expansion rate (points)"] == f"{number(rate)} (2)"
    assert first["doubling time"] == number(np.log(2) / rate)
    assert first["fold expansion"] == "45"
    assert first["over LLOQ"] == "≥180"
    assert first["second peak (day)"] == "4,000 (day 60)"
    assert first["remarks"] == "embedded BLQ"
    assert second["persistence"].startswith("0 (0–3)")
    assert second["doubling time"].startswith("n.c. [")
    assert third["second peak (day)"] == "none"
    assert third["remarks"] == ""
    assert first["time above 1,000"] == number(float(result["threshold_duration"].values[0, 0]))
    assert (
        "Blood, persistence: in 2 patients the last sample (day 90) is still quantified; 1 patient had no" in html.text
    )


def test_who_was_quantified_on_the_day_of_infusion_alone_had_a_quantified_sample() -> None:
    level = [[900, 0, 0], [2e4, 0, 0], [0, 0, 0]]
    data = kinetics_from_arrays([0, 7, 28], level, lloq=50, uloq=1e4, unit="copies/ug")
    assert persistence_words(nca(data), "Blood") == (
        "Blood, persistence: it ended in 2 patients, between the last quantified sample (day 0) and the first BLQ "
        "sample after it (day 7); 1 patient had no quantified sample."
    )


def test_acceptance_stands_beside_the_values_with_its_limits(tmp_path: Path) -> None:
    data = arrays_study([[0, 9e3, 4e3, 1.2e3, 9e2, 7e2], [0, 9e3, 3e3, 300, 100, 50]], [0, 7, 14, 28, 35, 42])
    result = nca(data, limits={"span_ratio": 2.5, "extrap_pct": 5})
    html = page(report(data, result, path=tmp_path / "r.html"))
    table = html.tables["Blood: each patient's values"]
    span = float(result["span_ratio"].values[0, 0])
    beyond = float(result["auc_pct_extrap_obs"].values[0, 0])
    row = row_of(table, "1")
    assert f"span {number(span, 3)} half-lives (limit 2.5)" in row["acceptance"]
    assert f"{number(beyond, 3)} % of AUCinf extrapolated (limit 5)" in row["acceptance"]
    assert row["t½"] == number(float(result["half_life"].values[0, 0]))
    assert row_of(table, "2")["acceptance"] == "met"
    assert "span at least 2.5 half-lives; at least 3 points; at most 5 % of AUCinf" in html.text


def test_bounds_are_shown_as_such(tmp_path: Path) -> None:
    data = study()
    result = nca(data)
    table = page(report(data, result, path=tmp_path / "r.html")).tables["Blood: each patient's values"]
    assert row_of(table, "P03")["Cmax"].startswith("<52 [")
    assert row_of(table, "P04")["Cmax"].startswith(">1×10⁶ [")
    low = float(result["auc_last_lower"].sel(patient="P04", matrix="blood"))
    assert row_of(table, "P04")["AUClast"].startswith(f">{number(low)} [")


def test_standard_errors_and_intervals_stand_beside_their_value(tmp_path: Path) -> None:
    data = arrays_study([[0, 9e3, 3e3, 300, 130, 60]], [0, 7, 14, 28, 35, 42])
    data["kinetics"]["se_well"] = data["kinetics"]["level"] * 0 + 0.2
    result = nca(data, uncertainty="both", draws=100, level=0.9, seed=4)
    html = page(report(data, result, path=tmp_path / "r.html"))
    row = row_of(html.tables["Blood: each patient's values"], "1")
    half = result.squeeze().sel(estimate="half_life")
    low, high = float(half["ci_lower"]), float(half["ci_upper"])
    assert row["t½"] == f"{number(float(half['half_life']))} ({number(low, 3)}–{number(high, 3)})"
    assert "In brackets beside a value: 90 % delta method, from the assay's standard errors." in html.text
    assert (
        "delta method and bootstrap, 90 % intervals, 100 draws, seed 4, from the assay's standard errors" in html.text
    )


def test_each_infusion_is_a_series_of_those_who_had_it(infused: tuple[xr.Dataset, Any, Any]) -> None:
    _, html, book = infused
    captions = [f"Blood, infusion {n}: each patient's values" for n in (1, 2)]
    first, second = (html.tables[caption] for caption in captions)
    assert [row[0] for row in first[2:]] == ["P1", "P2"]
    assert [row[0] for row in second[2:]] == ["P1"]
    assert row_of(second, "P1")["Cmax"] == "5,000"
    assert row_of(second, "P1")["Tmax"] == "14"
    assert "each infusion up to the next is an analysis of its own" in html.text
    rows = html.tables["Each patient's areas under each method (those that are not calculable have their reason above)"]
    assert ["P1", "blood, infusion 2"] in [row[:2] for row in rows]
    rows = book["NCA"]
    place = [rows[0].index(name) for name in ("patient", "matrix", "infusion", "cmax", "infusion_time")]
    assert [[row[at] for at in place] for row in rows[2:]] == [
        ["P1", "blood", "1", 9000, 0], ["P1", "blood", "2", 5000, 56], ["P1", "bone marrow", "1", 500, 0],
        ["P1", "bone marrow", "2", 2000, 56], ["P2", "blood", "1", 20000, 0], ["P2", "bone marrow", "1", "", 0],
    ]  # fmt: skip
    assert "P2" not in {row[0] for row in book["Reasons"] if row[1] == "blood, infusion 2"}


def test_every_reason_and_flag_of_the_result_is_listed(infused: tuple[xr.Dataset, Any, Any]) -> None:
    result, _, book = infused
    table = reasons_of(result)
    given = np.isfinite(result["infusion_time"].values)[:, np.newaxis, :]
    missing = (result["reason_code"].values != 0) & given[..., np.newaxis]
    areas = (result["interval_reason_code"].values != 0) & given[..., np.newaxis]
    by_dose = (result["auc_interval_dn_reason_code"].values != 0) & given[..., np.newaxis]
    assert (
        len(table)
        == missing.sum() + areas.sum() + by_dose.sum()
        == len(book["Reasons"]) - 1 - 1 * (book["Reasons"][1][0] == "")
    )
    assert set(cautions_of(result)["matrix"]) <= {label for label, _ in each_series(result)}


def test_a_summary_has_a_row_for_each_infusion(infused: tuple[xr.Dataset, Any, Any]) -> None:
    table = summary(infused[0])
    rows = table[table["parameter"] == "cmax"].set_index(["matrix", "infusion"])
    assert rows["n"].to_dict() == {("blood", 1): 2, ("blood", 2): 1, ("bone marrow", 1): 1, ("bone marrow", 2): 1}


def test_ratios_of_blood_to_marrow(tmp_path: Path) -> None:
    data = retreated()
    result = nca(data)
    html = page(report(data, result, path=tmp_path / "r.html"))
    row = row_of(html.tables["Ratio of blood to other matrices"], "P1")
    assert row["of Cmax"] == number(9e3 / 2e3)
    assert row["of paired samples, geometric mean"] == number(np.sqrt(900 / 500 * 5e3 / 2e3))
    assert row["pairs"] == "2"
    book = sheets(report(data, result, path=tmp_path / "r.xlsx"))
    rows = book["NCA ratios"]
    found = {(row[0], row[rows[0].index("parameter")]): row[rows[0].index("value")] for row in rows[2:]}
    assert found[("P1", "matrix_ratio cmax")] == pytest.approx(4.5)


def test_the_workbook_has_every_parameter_and_the_methods(tmp_path: Path) -> None:
    data = study()
    result = nca(data, intervals=[(0, 28)])
    book = sheets(report(data, result, path=tmp_path / "r.xlsx"))
    assert set(result["parameter"].values.tolist()) <= set(book["NCA"][0])
    names = {name for name in result["parameter"].values.tolist() if name in PARAMETERS}
    assert names <= {row[book["NCA summary"][0].index("parameter")] for row in book["NCA summary"]}
    rows = book["NCA methods"]
    own = rows[0].index("linear-up/log-down")
    areas = result["auc_interval"].sel(interval="0-28", matrix="blood").values
    blood = [row[own] for row in rows[2:] if row[1] == "blood"]
    for cell, area in zip(blood, areas, strict=True):
        assert cell == "" if np.isnan(area) else cell == pytest.approx(area, rel=1e-15)
    upper = [row[book["NCA"][0].index("persistence_upper")] for row in book["NCA"][2:]]
    assert "inf" in upper
    assert len(book["NCA methods summary"]) - 2 == 2 * 4


def test_no_intervals_no_table_of_methods(tmp_path: Path) -> None:
    data = study()
    html = page(report(data, nca(data, intervals=[]), path=tmp_path / "r.html"))
    assert not any("depends on the method" in caption for caption in html.tables)


def test_the_header_says_windows_chosen_lines_and_other_rules(tmp_path: Path) -> None:
    data = arrays_study([[0, 9e3, 4e3, 1.2e3, 9e2]], [0, 7, 14, 28, 35])
    choice = pd.DataFrame({"patient": "1", "time": [14.0], "use": "exclude", "reason": "haemolysed"})
    result = nca(
        data, preset="ich_m13a", blq={"before.tmax": "drop", "after.tmax": 7.5}, window=(0, 30), slopes=choice,
        persistence="midpoint", rising="discard", min_points=2,
    )  # fmt: skip
    text = page(report(data, result, path=tmp_path / "r.html")).text
    for words in (
        "before Tmax: left out; from Tmax on: taken as 7.5; no imputed value enters",
        "samples from day 0 to 30 only; times count from the first",
        "1 sample chosen or left out by hand, each with a reason",
        "the middle between the last quantified sample and the first BLQ sample after it",
        "(of the declining lines)",
    ):
        assert words in text


def test_labels_of_intervals_with_their_own_unit() -> None:
    assert parameter_label("auc_interval 0-6 months") == "AUC 0–6 months"
