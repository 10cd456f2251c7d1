"""Models compared over a folder of cohorts: what is read, resumed, recorded and told; one failure stops no other."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fit_builders import made_fit

from ckinetics.cohorts import cohort, load, save
from ckinetics.errors import InputError, JobError
from ckinetics.fitting import compare, fit
from ckinetics.jobs import Record, locked_folder
from ckinetics.provenance import content_hash, sha256_file
from ckinetics.simulation import simulate
from ckinetics.study import compare_folder as module
from ckinetics.study.cohort_files import find_cohorts
from ckinetics.study.compare_folder import compare_folder

TIMES = [1, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365]
MODELS = ["stein2019", "ogasawara2021_lag"]
QUICK = {"models": MODELS, "starts": 2, "figures": False}


def write_study(folder: Path) -> Path:
    """Two cohorts: one saved, one as a table."""
    folder.mkdir()
    one = simulate("stein2019", times=TIMES, n=2, seed=1, lloq=50)
    save(cohort(one, title="A"), folder / "arm_a.nc")
    two = simulate("stein2019", times=TIMES, n=1, seed=6, lloq=50)
    levels = ["BLQ" if np.isnan(level) else repr(float(level)) for level in two["level"].values[0]]
    table = pd.DataFrame({"patient": "P1", "time": TIMES, "level": levels, "unit": "copies/ug", "lloq": 50})
    table.to_csv(folder / "arm_b.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("compared")
    study = write_study(base / "study")
    return study, base / "out", compare_folder(study, out=base / "out", models=MODELS, starts=2)


@pytest.fixture
def copied(made, tmp_path):
    """The study and its results, to change."""
    study, out, _ = made
    shutil.copytree(study, tmp_path / "study")
    shutil.copytree(out, tmp_path / "out")
    return tmp_path / "study", tmp_path / "out"


@pytest.fixture
def quick_files(monkeypatch):
    """Pickle the results: NetCDF takes a second for each, and other tests write it."""

    def keep(data, path):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(data))

    monkeypatch.setattr(module, "save", keep)
    monkeypatch.setattr(module, "load", lambda path: pickle.loads(path.read_bytes()))


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def fitted_in_last_run(out):
    entries = Record(out).verify()
    last = max(at for at, entry in enumerate(entries) if entry["event"] == "run started")
    return [(entry["data"]["cohort"], entry["data"]["model"]) for entry in entries[last:] if entry["event"] == "fitted"]


def test_every_pair_is_fitted_and_compared(made):
    study, out, run = made
    assert run.status == "ok"
    assert dict(run.counts) == {"cohorts": 2, "models": 2, "fitted": 4, "kept": 0, "failed": 0}
    data = load(study / "arm_a.nc")
    own = {
        "stein2019": fit(data, "stein2019", starts=2, interval="t"),
        "ogasawara2021_lag": fit(data, "ogasawara2021_lag", starts=2, residual="additive on log", interval="t"),
    }
    expected = compare(own)
    written = [row for row in rows(out / "comparison.csv") if row["cohort"] == "arm_a"]
    assert len(written) == 2 * (2 + 1)
    for row in written:
        root = expected if row["row"] == "sum" else expected["patients"].to_dataset().sel(patient=row["patient"])
        for name in ("minus2ll", "aic", "aicc", "bic", "weight", "delta"):
            assert float(row[name]) == float(root[name].sel(model=row["model"])), (row, name)
    saved = [load(path) for path in (out / "comparisons").iterdir()]
    assert content_hash(expected) in [content_hash(one) for one in saved]
    assert len(list((out / "fits").iterdir())) == 4


def test_the_table_sums_over_cohorts(made):
    _, _, run = made
    table = run.table
    assert table["cohort"].tolist() == ["arm_a"] * 2 + ["arm_b"] * 2 + ["all cohorts"] * 2
    for model in MODELS:
        own = table[table["model"] == model]
        for name in ("−2LL", "AICc", "samples", "patients"):
            parts = own[own["cohort"] != "all cohorts"][name].sum()
            assert float(own[own["cohort"] == "all cohorts"][name].iloc[0]) == pytest.approx(parts, rel=1e-12)
    over_all = table[table["cohort"] == "all cohorts"]
    assert over_all["weight"].sum() == pytest.approx(1.0)
    assert over_all["cohorts"].tolist() == [2, 2]
    assert over_all["rank"].tolist() == [1.0, 2.0]


def test_estimates_and_what_follows_are_tables_too(made):
    _, out, run = made
    own = load(next(path for name, path in run.outputs.items() if name.startswith("fits/arm_b--stein2019-")))
    for name, group, thing, value in (
        ("estimates.csv", "estimates", "parameter", "estimate"),
        ("derived.csv", "derived", "quantity", "value"),
    ):
        assert name in run.outputs
        table = pd.read_csv(out / name, dtype={"patient": str})
        assert set(table["cohort"]) == {"arm_a", "arm_b"}
        assert table["interval"].str.contains("quantile of t").all()
        part = table[(table["cohort"] == "arm_b") & (table["model"] == "stein2019")].set_index(["patient", thing])
        for key, limits in own[group].to_dataset()[[value, "lower", "upper"]].to_dataframe().iterrows():
            told = part.loc[key]
            for column in (value, "lower", "upper"):
                assert told[column] == pytest.approx(limits[column], rel=1e-9, nan_ok=True)
        assert set(table["estimable"].dropna()) <= {"yes", "no"}


def test_the_page_and_the_workbook_have_everything(made):
    _, out, run = made
    page = (out / "comparison.html").read_text(encoding="utf-8")
    for words in ("arm_a", "arm_b", *MODELS, "all cohorts".capitalize(), "data:image/svg+xml", "additive on log"):
        assert words in page, words
    # A figure of goodness and one of panels for each cohort.
    assert page.count("data:image/svg+xml") == 4
    assert "<script" not in page
    book = pd.read_excel(out / "comparison.xlsx", sheet_name=None, engine="calamine")
    assert list(book) == ["Models", "Patients", "Inputs", "Provenance"]
    assert len(book["Patients"]) == len(rows(out / "comparison.csv")) == 2 * 3 + 2 * 2
    assert "the file of 'ogasawara2021_lag' states no residual error: 'additive on log' is taken" in run.messages


def test_run_json_says_what_was_used(made):
    study, out, run = made
    told = json.loads((out / "run.json").read_text())
    assert told["status"] == "ok"
    assert told["settings"]["starts"] == 2
    digests = {entry["file"]: entry["sha256"] for entry in told["inputs"]}
    assert digests["arm_a"] == sha256_file(study / "arm_a.nc")
    for entry in told["outputs"]:
        assert sha256_file(out / entry["file"]) == entry["sha256"]
    assert Record(out).verify()[-1]["event"] == "wrote run.json"
    assert set(told["counts"]) == set(run.counts)


def test_nothing_is_done_again_without_a_reason(copied, monkeypatch):
    study, out = copied

    def never(*args, **options):
        raise AssertionError("fitted again")

    before = rows(out / "comparison.csv")
    monkeypatch.setattr(module, "fit", never)
    run = compare_folder(study, out=out, **QUICK)
    assert (run.status, run.counts["kept"], run.counts["fitted"]) == ("ok", 4, 0)
    assert rows(out / "comparison.csv") == before
    # Threads and the criterion change no fit.
    assert compare_folder(study, out=out, **QUICK, threads=2, criterion="BIC").counts["kept"] == 4


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("settings", [("arm_a", "stein2019"), ("arm_a", "ogasawara2021_lag"), ("arm_b", "stein2019"),
                      ("arm_b", "ogasawara2021_lag")]),
        ("force", [("arm_a", "stein2019"), ("arm_a", "ogasawara2021_lag"), ("arm_b", "stein2019"),
                   ("arm_b", "ogasawara2021_lag")]),
        ("data", [("arm_b", "stein2019"), ("arm_b", "ogasawara2021_lag")]),
        ("damaged fit", [("arm_a", "stein2019")]),
        ("model", [("arm_a", "stein2019"), ("arm_b", "stein2019")]),
    ],
)  # fmt: skip
def test_what_has_changed_is_done_again_and_only_that(copied, project_root, monkeypatch, change, expected):
    study, out = copied
    options = dict(QUICK)
    monkeypatch.setattr(module, "fit", lambda data, model, **more: cheap(data, model))
    if change == "settings":
        options["seed"] = 9
    elif change == "force":
        options["force"] = True
    elif change == "data":
        file = study / "arm_b.csv"
        file.write_text(file.read_text().replace("P1,1,", "P1,1.5,"))
    elif change == "damaged fit":
        (path,) = (out / "fits").glob("arm_a--stein2019-*.nc")
        path.write_bytes(path.read_bytes()[:-1])
    else:
        text = (project_root / "models" / "stein2019.toml").read_text(encoding="utf-8")
        (study.parent / "stein2019.toml").write_text(text + "\n# another remark\n", encoding="utf-8")
        options["models"] = [str(study.parent / "stein2019.toml"), MODELS[1]]
    compare_folder(study, out=out, **options)
    assert fitted_in_last_run(out) == expected


def cheap(data, model):
    """A fit that takes no time, of as many patients."""
    names = tuple(str(name) for name in data["patient"].values.tolist())
    return made_fit(np.arange(len(names)), patients=names, model=model.name, source=content_hash(data))


KILLED = """
import os, signal, sys
from ckinetics.study import compare_folder as module

whole, calls = module.fit, []

def fit(*args, **options):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **options)

module.fit = fit
module.compare_folder(sys.argv[1], out=sys.argv[2], models={models}, starts=2, figures=False)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process cannot be killed like that here")
def test_a_run_that_was_killed_goes_on_where_it_stopped(made, tmp_path):
    study, whole, _ = made
    out = tmp_path / "out"
    code = KILLED.format(models=MODELS)
    environment = {**os.environ, "CKINETICS_QUIET": "1"}
    done = subprocess.run([sys.executable, "-c", code, str(study), str(out)], capture_output=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "run.json").exists()
    assert not (out / "comparison.csv").exists()
    assert fitted_in_last_run(out) == [("arm_a", name) for name in MODELS]
    # What was being written is left over, and what its record does not know is not trusted.
    (out / "fits" / ".arm_b.abcd1234.part.nc").write_bytes(b"half")
    run = compare_folder(study, out=out, **QUICK)
    assert (run.counts["kept"], run.counts["fitted"]) == (2, 2)
    assert fitted_in_last_run(out) == [("arm_b", name) for name in MODELS]
    assert not list((out / "fits").glob(".*"))
    assert rows(out / "comparison.csv") == rows(whole / "comparison.csv")
    assert Record(out).verify()[-1]["event"] == "wrote run.json"


def test_one_bad_cohort_or_model_stops_no_other(copied, monkeypatch):
    study, out = copied
    monkeypatch.setattr(module, "fit", failing_fit)
    (study / "bad.csv").write_text("patient,day\nP1,2\n")
    (study / "torn.nc").write_bytes(b"no NetCDF")
    save(made_fit(), study / "a_fit.nc")
    (study / "notes.md").write_text("read me")
    (study / "sub").mkdir()
    run = compare_folder(study, out=out, **QUICK | {"models": [*MODELS, "nosuch", "kimmel2021"]})
    assert run.status == "failed"
    failed = {(verdict.file, verdict.kind): verdict.message for verdict in run.verdicts if verdict.verdict == "failed"}
    assert set(failed) == {
        ("nosuch", "model"), ("bad", "cohort"), ("torn", "cohort"), ("a_fit", "cohort"),
        ("arm_a: kimmel2021", "fit"), ("arm_b: kimmel2021", "fit"),
    }  # fmt: skip
    assert "bad.csv" in failed["bad", "cohort"]
    assert "no model is named 'nosuch'" in failed["nosuch", "model"]
    assert "no cohort with profiles to fit" in failed["a_fit", "cohort"]
    assert all("\n" not in message for message in failed.values())
    assert "not read, for they are no cohorts: notes.md, sub" in run.messages
    assert run.counts["kept"] == 4
    assert run.counts["failed"] == 2
    errors = [row for row in rows(out / "comparison.csv") if row["outcome"] == "error"]
    assert [(row["cohort"], row["model"], row["aicc"]) for row in errors] == [
        ("arm_a", "kimmel2021", ""), ("arm_b", "kimmel2021", ""),
    ]  # fmt: skip
    assert "different kinds of quantity" in errors[0]["reason"]
    assert "different kinds of quantity" in (out / "comparison.html").read_text(encoding="utf-8")


def failing_fit(data, model, **options):
    raise InputError("'copies/ug' cannot be converted into 'cells/uL': they are different kinds of quantity")


def test_fits_that_cannot_be_compared_are_a_verdict(tmp_path, monkeypatch, quick_files):
    study = tmp_path / "study"
    study.mkdir()
    save(cohort(simulate("stein2019", times=TIMES, n=2, seed=1)), study / "a.nc")

    def other_data(data, model, **options):
        one = cheap(data, model)
        one.attrs["cohort_hash"] = model.name
        return one

    monkeypatch.setattr(module, "fit", other_data)
    run = compare_folder(study, out=tmp_path / "out", **QUICK)
    (verdict,) = [one for one in run.verdicts if one.verdict == "failed"]
    assert (verdict.file, verdict.kind) == ("a", "comparison")
    assert "was computed from other data" in verdict.message
    assert (tmp_path / "out" / "comparison.html").is_file()


def test_nothing_that_could_be_fitted_still_ends_in_files(tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "bad.csv").write_text("patient,day\nP1,2\n")
    run = compare_folder(study, out=tmp_path / "out", **QUICK)
    assert run.status == "failed"
    assert run.table.empty
    assert rows(tmp_path / "out" / "comparison.csv") == []
    assert "No cohort could be fitted by any model." in (tmp_path / "out" / "comparison.html").read_text()


def test_patients_who_could_not_be_fitted_are_told_everywhere(tmp_path, monkeypatch, quick_files):
    study = tmp_path / "study"
    study.mkdir()
    save(cohort(simulate("stein2019", times=TIMES, n=2, seed=1)), study / "a.nc")

    def half(data, model, **options):
        one = cheap(data, model)
        if model.name == MODELS[1]:
            one["convergence"].values[1] = 3
            one["message"].values[1] = "not converged: try more starts"
        return one

    monkeypatch.setattr(module, "fit", half)
    run = compare_folder(study, out=tmp_path / "out", **QUICK)
    assert run.status == "ok"
    assert run.table["failures"].tolist() == ["", "not converged: 1"]
    written = {(row["row"], row["model"], row["patient"]): row for row in rows(tmp_path / "out" / "comparison.csv")}
    one = written["patient", MODELS[1], "2"]
    assert (one["aicc"], one["convergence"], one["reason"]) == (
        "", "not_converged", "not converged: try more starts",
    )  # fmt: skip
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "not converged: try more starts" in page


def test_names_from_data_are_escaped_and_never_formulas(tmp_path, monkeypatch, quick_files):
    study = tmp_path / "study"
    study.mkdir()
    data = cohort(simulate("stein2019", times=TIMES, n=1, seed=1).assign_coords(patient=["=1+1<b>"]))
    save(data, study / "=cmd.nc")
    monkeypatch.setattr(module, "fit", lambda data, model, **more: cheap(data, model))
    compare_folder(study, out=tmp_path / "out", **QUICK | {"figures": True})
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "=1+1&lt;b&gt;" in page
    assert "<b>" not in page
    with (tmp_path / "out" / "comparison.csv").open(newline="") as stream:
        assert not [cell for row in csv.reader(stream) for cell in row if cell.startswith(("=", "+", "@"))]


# ---- which files are cohorts


def test_results_of_runs_are_cohorts_by_their_folder(made, tmp_path):
    study, _, _ = made
    for name in ("study_1", "study_2"):
        (tmp_path / name).mkdir()
        shutil.copy(study / "arm_a.nc", tmp_path / name / "cohort.nc")
        (tmp_path / name / "fit.nc").write_bytes(b"")
    found, notes = find_cohorts(tmp_path, out=tmp_path / "out")
    assert [(one.name, one.path.name) for one in found] == [("study_1", "cohort.nc"), ("study_2", "cohort.nc")]
    assert notes == []
    (one,), _ = find_cohorts(tmp_path / "study_1", out=tmp_path / "out")
    assert one.name == "study_1"
    (one,), _ = find_cohorts(study / "arm_b.csv", out=tmp_path)
    assert one.name == "arm_b"


def test_two_files_of_one_stem_keep_apart(tmp_path):
    for name in ("a.nc", "A.csv", "b.csv"):
        (tmp_path / name).write_text("")
    found, _ = find_cohorts(tmp_path, out=tmp_path / "out")
    assert [one.name for one in found] == ["A.csv", "a.nc", "b"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "is not there: name a folder of cohorts, or one file"),
        ([], "there is no cohort in .*: it takes files of ckinetics.save"),
        (["study.toml"], "there is no cohort in .*: run the study first, and name the folder of its results"),
    ],
)
def test_a_folder_without_cohorts_is_refused(tmp_path, files, message):
    if files is not None:
        (tmp_path / "study").mkdir()
        for name in files:
            (tmp_path / "study" / name).write_text("")
    with pytest.raises(InputError, match=message):
        compare_folder(tmp_path / "study", out=tmp_path / "out", **QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": []}, "models names the models to compare, such as"),
        ({"models": "stein2019"}, "models names the models to compare, such as"),
        ({"models": ["stein2019", "stein2019"]}, "model 'stein2019' is named twice: name it once"),
        ({"starts": 0}, "starts"),
        ({"threads": 0}, "threads"),
        ({"residual": "additiv"}, "residual is 'additiv'.*: use one of additive on log, additive"),
        ({"interval": "wald"}, "interval is 'wald'.*: use one of auto, t, normal, profile"),
        ({"censoring": "M2"}, "censoring is 'M2'.*: use one of M3"),
        ({"criterion": "DIC"}, "criterion is 'DIC'.*: use one of AIC, AICc, BIC"),
        ({"failures": "ignore"}, "failures is 'ignore'.*: use one of drop, refuse, disqualify"),
    ],
)
def test_wrong_options_end_in_a_sentence_before_anything_is_written(made, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        compare_folder(made[0], out=tmp_path / "out", **QUICK | options)
    assert not (tmp_path / "out").exists()


def test_folders_of_other_things_and_locked_ones_are_refused(made, tmp_path):
    study, out, _ = made
    with pytest.raises(InputError, match="the results would lie among the cohorts"):
        compare_folder(study, out=study, **QUICK)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="holds other files and no earlier run: name a new folder"):
        compare_folder(study, out=tmp_path / "mine", **QUICK)
    with pytest.raises(InputError, match="is a file: name a folder for the results"):
        compare_folder(study, out=tmp_path / "mine" / "thesis.txt", **QUICK)
    with locked_folder(tmp_path / "held"), pytest.raises(JobError, match="is being written by another"):
        compare_folder(study, out=tmp_path / "held", **QUICK)
    del out


def test_a_model_that_asks_for_a_residual_error_gets_the_one_named(copied, monkeypatch, quick_files):
    study, out = copied
    asked = []

    def noted(data, model, **options):
        asked.append((model.name, options["residual"]))
        return cheap(data, model)

    monkeypatch.setattr(module, "fit", noted)
    run = compare_folder(study, out=out, **QUICK, residual="proportional")
    assert set(asked) == {(name, "proportional") for name in MODELS}
    assert not [message for message in run.messages if "states no residual error" in message]
    asked.clear()
    run = compare_folder(study, out=out, **QUICK, force=True)
    assert set(asked) == {(name, None) for name in MODELS}  # each file's own, and the field's usual where it has none
    assert [message for message in run.messages if "states no residual error" in message]


def test_results_of_an_earlier_run_are_told_from_those_of_this_one(copied):
    study, out = copied
    run = compare_folder(study, out=out, **QUICK | {"models": MODELS[:1]})
    (message,) = run.messages
    assert message.startswith("of an earlier run, not of this one: fits/arm_a--ogasawara2021_lag-")
    assert not [name for name in run.outputs if "ogasawara" in name]


def test_a_dataset_of_profiles_is_a_cohort(tmp_path):
    (tmp_path / "study").mkdir()
    save(simulate("stein2019", times=TIMES, n=1, seed=1, lloq=50), tmp_path / "study" / "virtual.nc")
    run = compare_folder(tmp_path / "study", out=tmp_path / "out", models=["stein2019"], starts=2, figures=False)
    assert run.status == "ok"
    assert run.table["weight"].tolist() == [1.0]
    assert isinstance(load(next((tmp_path / "out" / "fits").glob("*.nc"))), xr.DataTree)
