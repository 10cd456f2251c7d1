"""``ckinetics nca``: from a file of levels to tables, figures, reasons and a report; bad input in one sentence."""

from __future__ import annotations

import csv
import importlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ckinetics.cohorts import kinetics_from_arrays, load, write_pc
from ckinetics.delimited import csv_plain
from ckinetics.jobs import Record, locked_folder
from ckinetics.noncompartmental import nca as analyse
from ckinetics.noncompartmental import nca_table
from ckinetics.provenance import sha256_file

# What the module shares is made before, with its figures.
pytestmark = pytest.mark.usefixtures("quick_figures")

TABLES = ("nca.csv", "nca_long.csv", "pp.csv", "adpp.csv", "summary.csv", "reasons.csv", "flags.csv")
HEAD = "patient,time,level,unit,lloq\n"
GOOD = HEAD + "".join(f"P1,{t},{c},copies/ug,50\n" for t, c in ((0, "BLQ"), (7, 9000), (14, 4000), (28, 900), (60, 80)))


def nca(*words: object) -> Result:
    app = importlib.import_module("ckinetics.cli.main").app
    return CliRunner().invoke(app, ["nca", *map(str, words)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the report out, and pickle the results; `cart` has both."""

    def report(*args: object, path: Path, **options: object) -> Path:
        path.write_text("report")
        return path

    monkeypatch.setattr("ckinetics.reporting.report", report)
    monkeypatch.setattr("ckinetics.study.nca_folder.save", lambda data, path: path.write_bytes(pickle.dumps(data)))


@pytest.fixture
def quick_output(monkeypatch: pytest.MonkeyPatch, quick_report: None) -> None:
    """Leave the figures out too."""
    monkeypatch.setattr("ckinetics.study.nca_folder._figures", lambda cohort, result: iter(()))


def stored(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


@pytest.fixture(scope="module")
def cart(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("cart") / "out"
    return out, nca(shared_data / "nca" / "cart_cohort_input.csv", "--out", out)


def test_the_cohort_of_the_reference_works_as_it_is(cart: tuple[Path, Result], shared_data: Path) -> None:
    out, done = cart
    assert done.exit_code == 0, done.output
    for name in (*TABLES, "nca.nc", "cohort.nc", "report.html", "report.xlsx", "run.json", "record.jsonl"):
        assert (out / name).stat().st_size > 100, name
    assert sorted(path.name for path in (out / "figures").iterdir()) == [
        "individuals-blood-01.png", "individuals-blood-02.png", "profiles-blood.png",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (out / "figures").iterdir())
    table = {row["patient"]: row for row in rows(out / "nca.csv")}
    assert len(table) == 17
    # PKNCA 0.12.1, lin up/log down: these do not depend on what the presets differ in
    theirs = pd.read_csv(shared_data / "nca" / "pknca_0.12.1.csv.gz", keep_default_na=False, na_values=["NA"])
    theirs = theirs[
        (theirs["dataset"] == "cart")
        & (theirs["auc_method"] == "lin up/log down")
        & (theirs["blq_rule"] == "default_keep_drop_keep")
        & (theirs["impute"] == "none")
        & np.isinf(theirs["end"])
        & (theirs["start"] == 0)
    ]
    names = {"cmax": "cmax [copies/ug]", "tmax": "tmax [day]", "half.life": "half_life [day]", "tlast": "tlast [day]"}
    compared = 0
    for row in theirs[theirs["PPTESTCD"].isin(names)].itertuples():
        cell = table[row.id][names[row.PPTESTCD]]
        if np.isnan(row.PPORRES) or row.id == "P23":  # all BLQ: PKNCA has 0
            assert cell == ""
        else:
            assert float(cell) == pytest.approx(row.PPORRES, rel=1e-12)
            compared += 1
    assert compared > 50


def test_blq_and_missing_samples_of_the_cohort_are_such(cart: tuple[Path, Result], shared_data: Path) -> None:
    """conc is 0 where it is below the LLOQ of 50, and NA where it is missing."""
    cohort = load(cart[0] / "cohort.nc")
    with (shared_data / "nca" / "cart_cohort_input.csv").open() as stream:
        source = list(csv.DictReader(stream))
    kinetics = cohort["kinetics"].to_dataset().sel(matrix="blood")
    seen = 0
    for row in source:
        one = kinetics.sel(patient=row["id"])
        at = np.flatnonzero(one["time"].values == float(row["time"]))
        status = int(one["status"].values[at[0]])
        expected = -1 if row["conc"] == "NA" else 2 if row["blq"] == "1" else 3
        assert status == expected, row
        seen += 1
        if expected == 3:
            assert float(one["level"].values[at[0]]) == float(row["obs"])
    assert seen == len(source) == 238
    assert set(cohort["dose_received"].values.tolist()) == {2e8}
    assert kinetics["unit"].item() == "copies/ug"


def test_tables_are_those_of_the_result_and_numbers_are_exact(cart: tuple[Path, Result]) -> None:
    out, _ = cart
    result = load(out / "nca.nc")
    long = nca_table(result)
    written = rows(out / "nca_long.csv")
    assert len(written) == len(long)
    for row, expected in zip(written, long.to_dict("records"), strict=True):
        assert (row["patient"], row["parameter"]) == (expected["patient"], expected["parameter"])
        if row["value"]:
            assert float(row["value"]) == expected["value"]
        else:
            assert np.isnan(expected["value"])
            assert row["reason"] == expected["reason"] != ""
    reasons = rows(out / "reasons.csv")
    assert len(reasons) == sum(not row["value"] for row in written)
    key = {(row["patient"], row["parameter"]) for row in reasons}
    assert len(key) == len(reasons)
    below = [row for row in rows(out / "pp.csv") if row["USUBJID"] == "P23" and row["PPTESTCD"] == "CMAX"]
    assert (below[0]["PPORRES"], below[0]["PPSTRESN"], below[0]["PPSTAT"]) == ("<50", "", "")
    # A negative number as text is no formula.
    numbers = [row["PPORRES"] for row in rows(out / "pp.csv") if row["PPSTRESN"]]
    assert all(float(text) is not None for text in numbers)


def test_what_is_printed_is_a_short_table(cart: tuple[Path, Result]) -> None:
    _, done = cart
    lines = done.output.splitlines()
    assert any(line.split()[:5] == ["blood", "cmax", "copies/ug", "16", "1"] for line in lines)
    assert any("auc_interval 0-28" in line for line in lines)
    assert "17 patients, 231 samples (tidy table)" in done.output
    assert "note: columns that were not used: tag, obs, blq" in done.output
    assert len(lines) < 20


def test_run_json_says_what_was_used(cart: tuple[Path, Result], shared_data: Path) -> None:
    out, _ = cart
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "ok"
    assert run["inputs"] == [
        {
            "file": "cart_cohort_input.csv",
            "kind": "levels",
            "sha256": sha256_file(shared_data / "nca" / "cart_cohort_input.csv"),
        }
    ]
    assert run["settings"]["preset"] == "cell_therapy"
    assert run["rules"]["blq"] == {"first": "keep", "middle": "drop", "last": "keep first"}
    for entry in run["outputs"]:
        assert sha256_file(out / entry["file"]) == entry["sha256"]
    assert {entry["file"] for entry in run["outputs"]} >= {*TABLES, "figures/profiles-blood.png", "report.html"}
    assert Record(out).verify()[-1]["event"] == "wrote run.json"
    assert run["cohort_hash"] == load(out / "nca.nc").attrs["cohort_hash"]


@pytest.mark.usefixtures("quick_output")
def test_options_reach_the_analysis(tmp_path: Path) -> None:
    (tmp_path / "levels.csv").write_text(GOOD)
    (tmp_path / "slopes.csv").write_text("patient,time,use,reason\nP1,14,include,x\nP1,28,include,x\n")
    done = nca(
        tmp_path / "levels.csv", "--out", tmp_path / "out", "--preset", "phoenix", "--auc-method", "linear",
        "--interval", "0-28", "--interval", "0-2 months", "--threshold", 1000, "--persistence", "midpoint",
        "--dose", 1e8, "--window", "0-40", "--slopes", tmp_path / "slopes.csv",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = stored(tmp_path / "out" / "nca.nc")
    settings = json.loads(result.attrs["settings"])
    assert (settings["preset"], settings["auc_method"], settings["persistence"]) == ("phoenix", "linear", "midpoint")
    assert settings["window"] == [0, 40]
    assert result["interval"].values.tolist() == ["0-28", "0-2 months"]
    assert float(result["threshold_duration"].item()) > 0
    assert float(result["cmax_dn"].item()) == 9e3 / 1e8
    assert float(result["lambda_z"].item()) == pytest.approx(np.log(4000 / 900) / 14)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["settings"]["slopes"] == sha256_file(tmp_path / "slopes.csv")


@pytest.mark.usefixtures("quick_output")
def test_settings_file_and_options_that_win_over_it(tmp_path: Path) -> None:
    (tmp_path / "levels.csv").write_text(GOOD)
    (tmp_path / "slopes.csv").write_text("patient,time,use,reason\nP1,28,exclude,haemolysed\n")
    (tmp_path / "nca.toml").write_text(
        '[nca]\npreset = "ich_m13a"\nauc_method = "linear"\nslopes = "slopes.csv"\nmin_points = 2\n'
        'blq = {first = "keep", middle = "drop", last = "drop"}\nlimits = {r_squared = 0.5}\n'
    )
    done = nca(tmp_path / "levels.csv", "-o", tmp_path / "out", "--settings", tmp_path / "nca.toml", "--auc-method",
               "log-up/log-down", "-q")  # fmt: skip
    assert (done.exit_code, done.output) == (0, "")
    settings = json.loads(stored(tmp_path / "out" / "nca.nc").attrs["settings"])
    assert (settings["preset"], settings["auc_method"]) == ("ich_m13a", "log-up/log-down")
    assert settings["rules"]["blq"]["last"] == "drop"
    assert settings["limits"]["r_squared"] == 0.5
    assert settings["slopes"] == 1


@pytest.mark.usefixtures("quick_output")
def test_words_of_laboratories_and_units_of_time(tmp_path: Path) -> None:
    lines = "id,tunit,time,conc,units,dose_cells,arm\n" + "".join(
        f"S1,h,{24 * day},{level},copies/µg gDNA,2e8,A\n"
        for day, level in ((0, "ND"), (3, "<50"), (7, '"9,000"'), (14, "4000"), (28, "BLQ"), (60, "NA"))
    )
    lines += "S2,h,0,DNQ,copies/ug,2e8,B\nS2,h,168,>ULOQ,copies/ug,2e8,B\n"
    (tmp_path / "levels.csv").write_text(lines, encoding="utf-8")
    words = (tmp_path / "levels.csv", "--out", tmp_path / "out", "--by", "arm")
    assert "patient 'S2', blood, sample 2: is above its uloq, which is unknown: give uloq" in nca(*words).output
    done = nca(*words, "--uloq", 1e6)
    assert done.exit_code == 0, done.output
    table = {row["patient"]: row for row in rows(tmp_path / "out" / "nca.csv")}
    assert (table["S1"]["cmax [copies/ug]"], table["S1"]["tmax [day]"]) == ("9000.0", "7.0")
    assert table["S1"]["cmax_dn [(copies/ug)/cells]"] == repr(9e3 / 2e8)
    assert table["S1"]["tbql [day]"] == "28.0"
    assert table["S2"]["cmax_lower [copies/ug]"] == "1000000.0"
    assert "above_uloq" in table["S2"]["flags"]
    summary = [row for row in rows(tmp_path / "out" / "summary.csv") if row["parameter"] == "cmax"]
    assert [(row["arm"], row["n"]) for row in summary] == [("A", "1"), ("B", "0")]


@pytest.mark.usefixtures("quick_output")
def test_a_workbook_and_columns_by_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"Subject": ["P1"] * 3, "Day": [0, 7, 14], "CAR copies": ["<50", 900, 300]})
    frame.to_excel(tmp_path / "levels.xlsx", index=False, engine="xlsxwriter")
    words = (tmp_path / "levels.xlsx", "--out", tmp_path / "out")
    assert nca(*words, "--unit", "copies/ug").exit_code == 1
    done = nca(*words, "--unit", "copies/ug", "--column", "level=CAR copies")
    assert done.exit_code == 0, done.output
    assert rows(tmp_path / "out" / "nca.csv")[0]["cmax [copies/ug]"] == "900.0"


@pytest.mark.usefixtures("quick_output")
def test_a_pc_domain_is_known_by_its_content(tmp_path: Path) -> None:
    profiles = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 9e3, 4e3, 900, 80]], lloq=50, unit="copies/ug",
                                    patient=["S-01"])  # fmt: skip
    tables = write_pc(profiles, studyid="STUDY1", testcd="CARTGN")
    tables.pc.to_csv(tmp_path / "anything.csv", index=False)
    tables.supppc.to_csv(tmp_path / "supp.csv", index=False)
    done = nca(tmp_path / "anything.csv", "--supp", tmp_path / "supp.csv", "--out", tmp_path / "out", "--studyid",
               "STUDY1")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "(CDISC domain PC)" in done.output
    mine, theirs = stored(tmp_path / "out" / "nca.nc"), analyse(profiles)
    for name in ("cmax", "auc_last", "half_life", "auc_interval"):
        np.testing.assert_allclose(mine[name].values, theirs[name].values, rtol=1e-12)
    assert {row["STUDYID"] for row in rows(tmp_path / "out" / "pp.csv")} == {"STUDY1"}


@pytest.mark.usefixtures("quick_report")
def test_each_infusion_by_itself(tmp_path: Path) -> None:
    more = "".join(f"P1,{t},{c},copies/ug,50\n" for t, c in ((70, "BLQ"), (77, 700), (90, 300), (100, 100)))
    (tmp_path / "levels.csv").write_text(GOOD + more)
    (tmp_path / "infusions.csv").write_text("patient,time,dose\nP1,0,1e8\nP1,70,2e8\n")
    words = (tmp_path / "levels.csv", "--out", tmp_path / "out", "--each")
    refused = nca(*words)
    assert refused.exit_code == 2
    assert "needs their table: name it with --infusions" in refused.output
    done = nca(*words, "--infusions", tmp_path / "infusions.csv")
    assert done.exit_code == 0, done.output
    table = rows(tmp_path / "out" / "nca.csv")
    assert [row["cmax [copies/ug]"] for row in table] == ["9000.0", "700.0"]
    assert [row["cmax_dn [(copies/ug)/cells]"] for row in table] == [repr(9e3 / 1e8), repr(700 / 2e8)]
    assert "blood, infusion 2" in done.output


def test_cells_that_a_spreadsheet_would_compute_stay_text(tmp_path: Path) -> None:
    lines = "patient,time,level,unit,lloq,arm\n"
    lines += "".join(f"=1+1,{t},{c},copies/ug,50,@SUM(A1)\n" for t, c in ((0, "BLQ"), (7, 900), (14, 60)))
    (tmp_path / "levels.csv").write_text(lines)
    assert nca(tmp_path / "levels.csv", "--out", tmp_path / "out", "--by", "arm").exit_code == 0
    for name in TABLES:
        with (tmp_path / "out" / name).open(encoding="utf-8", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        risky = [cell for cell in cells if cell[:1] in ("=", "+", "@")]
        assert not risky, name
        minus = [cell for cell in cells if cell.startswith("-")]
        assert all(float(cell) is not None for cell in minus)
    assert csv_plain(rows(tmp_path / "out" / "nca.csv")[0]["patient"]) == "=1+1"
    assert "=1+1" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words", "code", "message"),
    [
        (None, [], 2, "levels: '{file}' is not there: check the path"),
        ("patient,time,unit\nP1,0,copies/ug\n", [], 1, "the kinetics table has no column 'level'"),
        (HEAD + "P1,7,9,copies/ug,5\nP1,7,8,copies/ug,5\n", [], 1, "patient 'P1' has 2 samples of blood at time 7 day"),
        (HEAD + "P1,0,9,copies/ug,5\nP1,7,8,cells/uL,5\n", [], 1, "row 3: the unit is 'cells/uL' but 'copies/ug' in"),
        ("patient,time,level\nP1,0,9\n", [], 1, "the table has no unit of its levels: name it with --unit"),
        (HEAD + "P1,soon,9,copies/ug,5\n", [], 1, "row 2: time 'soon' is not a number"),
        (HEAD + "P1,0,many,copies/ug,5\n", [], 1, "row 2: level 'many' is neither a number nor a known word"),
        (HEAD + "P1,0,-3,copies/ug,5\n", [], 1, "row 2: level -3 is negative"),
        ("", [], 1, "the file is empty"),
        (HEAD, ["--unit", "copies/ug"], 1, "the table has a header and no samples"),
        ("\x00\x01\x02", [], 1, "is neither a text table nor a workbook"),
        ("patient,time,level,unit,dose\nP1,0,9,copies/ug,1\nP1,7,8,copies/ug,2\n", [], 1,
         "row 3: dose of patient 'P1' is '2' but '1' in a row before"),
        ("patient,time,level,unit,tunit\nP1,0,9,copies/ug,h\nP1,7,8,copies/ug,day\n", [], 1,
         "the unit of time is 'day' but"),
        (GOOD, ["--preset", "winnonlin"], 2, "unknown preset 'winnonlin': use one of cell_therapy"),
        (GOOD, ["--auc-method", "log"], 2, "unknown auc_method 'log'"),
        (GOOD, ["--interval", "28-0"], 2, "interval (28, 0) is not one"),
        (GOOD, ["--window", "five"], 2, "interval 'five' is not understood"),
        (GOOD, ["--slopes", "none.csv"], 2, "terminal points: 'none.csv' is not there"),
        (GOOD, ["--by", "arm"], 1, "no column 'arm' to group patients by: it has 'patient', 'time'"),
        (GOOD, ["--unit", "cells/uL"], 1, "the row's unit is 'copies/ug' but unit='cells/uL' was given"),
        (GOOD, ["--testcd", "CAR"], 2, "testcd belongs to a CDISC domain, and 'levels.csv' is a tidy table"),
        (GOOD, ["--column", "level"], 2, "--column 'level' is not understood: write it as level=NAME"),
        (GOOD, ["--settings", "none.toml"], 2, "none.toml: cannot be opened"),
        (GOOD, ["--uncertainty", "exact"], 2, "uncertainty: Input should be 'delta', 'bootstrap' or 'both'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, text: str | None, words: list[Any], code: int, message: str
) -> None:
    file = tmp_path / "levels.csv"
    if text is not None:
        file.write_text(text)
    done = nca(file, "--out", tmp_path / "out", *words)
    assert done.exit_code == code, done.output
    assert message.format(file=file) in done.output
    assert done.output.startswith("ckinetics: ")
    assert len(done.output.splitlines()) == 1
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert not (tmp_path / "out").exists()


def test_wrong_terminal_points_name_their_row(tmp_path: Path) -> None:
    (tmp_path / "levels.csv").write_text(GOOD)
    (tmp_path / "slopes.csv").write_text("patient,time,use,reason\nP1,8,include,x\n")
    done = nca(tmp_path / "levels.csv", "--out", tmp_path / "out", "--slopes", tmp_path / "slopes.csv")
    assert done.exit_code == 1
    assert "slopes.csv, row 2: patient 'P1' has no sample at day 8: its samples are at 0, 7, 14" in done.output


def test_the_output_folder(tmp_path: Path) -> None:
    file = tmp_path / "nca.csv"
    file.write_text(GOOD)
    (tmp_path / "taken").write_text("a file")
    done = nca(file, "--out", tmp_path / "taken")
    assert done.exit_code == 2
    assert "is a file: name a folder for the results" in done.output
    assert (tmp_path / "taken").read_text() == "a file"
    done = nca(file, "--out", tmp_path)
    assert done.exit_code == 2
    assert "the results would overwrite 'nca.csv'" in done.output
    assert file.read_text() == GOOD
    with locked_folder(tmp_path / "busy"):
        done = nca(file, "--out", tmp_path / "busy")
    assert done.exit_code == 1
    assert "is being written by another ckinetics process" in done.output


def test_nothing_already_written_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = tmp_path / "levels.csv", tmp_path / "out"
    file.write_text(GOOD)
    assert nca(file, "--out", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    file.write_text(GOOD.replace("9000", "many"))
    assert nca(file, "--out", out).exit_code == 1
    after = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert after == before
    # A run that stops half-way leaves every file whole, the old one or the new, and says in the record why.
    file.write_text(GOOD.replace("9000", "8000"))

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ckinetics.reporting.report", full)
    done = nca(file, "--out", out)
    assert done.exit_code == 1
    assert "No space left on device" in done.output
    assert (out / "report.html").read_bytes() == before["report.html"]
    assert "8000.0" in (out / "nca.csv").read_text()
    assert not (out / "run.json").exists()
    assert Record(out).verify()[-1]["event"] == "run stopped"
    assert not list(out.glob(".*.part*"))


@pytest.mark.usefixtures("quick_report")
def test_figures_of_an_earlier_run_are_named(tmp_path: Path) -> None:
    file, out = tmp_path / "levels.csv", tmp_path / "out"
    many = HEAD + "".join(
        f"P{n},{t},{c},copies/ug,50\n" for n in range(13) for t, c in ((0, "BLQ"), (7, 900), (14, 200))
    )
    file.write_text(many)
    assert nca(file, "--out", out).exit_code == 0
    file.write_text(GOOD)
    done = nca(file, "--out", out)
    assert "note: figures of an earlier run, not of this one: individuals-blood-02.png" in done.output


@pytest.mark.usefixtures("quick_report")
def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "levels.csv"
    file.write_text(GOOD)
    for name in ("a", "b"):
        assert nca(file, "--out", tmp_path / name, "-q").exit_code == 0
    for name in (*TABLES, "figures/individuals-blood-01.png", "figures/profiles-blood.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_figures_of_patients_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "levels.csv").write_text(GOOD)
    drawn = nca(tmp_path / "levels.csv", "--out", tmp_path / "drawn")
    bare = nca(tmp_path / "levels.csv", "--out", tmp_path / "bare", "--no-figures")
    assert (drawn.exit_code, bare.exit_code) == (0, 0), bare.output
    assert not (tmp_path / "bare" / "figures").exists()
    pages = {name: (tmp_path / name / "report.html").read_text() for name in ("drawn", "bare")}
    assert {name: "Individual profiles" in page for name, page in pages.items()} == {"drawn": True, "bare": False}
    said = json.loads((tmp_path / "bare" / "run.json").read_text())["messages"]
    assert said == ["no figure of a patient was drawn, as was asked"]
    for name in TABLES:
        assert (tmp_path / "bare" / name).read_bytes() == (tmp_path / "drawn" / name).read_bytes(), name
