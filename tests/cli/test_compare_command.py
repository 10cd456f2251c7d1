"""``ckinetics compare``: what it prints, and its exit codes."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from fit_builders import made_fit
from typer.testing import CliRunner, Result

from ckinetics.cohorts import cohort, kinetics_from_arrays, save
from ckinetics.provenance import content_hash
from ckinetics.study import compare_folder as module


def run(*words: object) -> Result:
    app = importlib.import_module("ckinetics.cli.main").app
    return CliRunner().invoke(app, ["compare", *map(str, words)])


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cohorts of two patients, and fits that take no time: the second model is better by 4 in −2LL."""
    folder = tmp_path / "study"
    folder.mkdir()
    for name, scale in (("a", 1.0), ("b", 2.0)):
        levels = scale * np.array([[100.0, 9000, 3000, 400], [80, 7000, 900, 90]])
        profiles = kinetics_from_arrays([3, 9, 14, 28], levels, lloq=50, unit="copies/ug", patient=["P1", "P2"])
        save(cohort(profiles, title=name), folder / f"{name}.nc")

    def fit(data: object, model: object, **options: object) -> object:
        better = 4.0 * (model.name == "ogasawara2021_lag")  # type: ignore[attr-defined]
        return made_fit((10.0 - better, 12.0 - better), model=model.name, source=content_hash(data))  # type: ignore

    monkeypatch.setattr(module, "fit", fit)
    monkeypatch.setattr(module, "save", keep)
    monkeypatch.setattr(module, "load", lambda path: pickle.loads(path.read_bytes()))
    return folder


def keep(data: object, path: Path) -> None:
    """Pickle a result: NetCDF takes a second for each, and other tests write it."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(data))


WORDS = ("--models", "stein2019, ogasawara2021_lag", "--no-figures")


def test_the_table_is_printed_best_first(study: Path, tmp_path: Path) -> None:
    done = run(study, *WORDS, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:3] == ["cohort", "model", "patients"]
    assert [line[:2] for line in lines[1:3]] == [["a", "ogasawara2021_lag"], ["a", "stein2019"]]
    # AICc of 3 parameters and 10 samples is −2LL + 10; the better model has 4 less in each of two patients.
    assert lines[1][2:] == ["2", "0", "34.0", "0.0", f"{1 / (1 + np.exp(-4)):.3f}", "2", "0"]
    assert lines[2][2:] == ["2", "0", "42.0", "8.0", f"{1 / (1 + np.exp(4)):.3f}", "0", "0"]
    assert lines[5][:3] == ["all", "cohorts", "ogasawara2021_lag"]
    assert "2 cohorts, 2 models: 4 fits made, 0 kept from before, 0 failed" in done.stdout
    again = run(study, *WORDS, "--out", tmp_path / "out")
    assert "0 fits made, 4 kept from before" in again.stdout
    forced = run(study, *WORDS, "--out", tmp_path / "out", "--force")
    assert "4 fits made, 0 kept from before" in forced.stdout


def test_a_failure_is_exit_code_1_and_told_on_stderr(study: Path, tmp_path: Path) -> None:
    (study / "bad.csv").write_text("patient,day\nP1,2\n")
    done = run(study, *WORDS, "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("failed: bad (cohort): bad.csv:")
    done = run(study, "--models", "stein2019,stein2018", "--no-figures", "--out", tmp_path / "other")
    assert done.exit_code == 1
    assert "failed: stein2018 (model): no model is named 'stein2018'" in done.stderr
    assert (tmp_path / "other" / "comparison.csv").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", ","], "models names the models to compare"),
        (["--models", "stein2019,stein2019"], "model 'stein2019' is named twice"),
        (["--models", "stein2019", "--criterion", "DIC"], "criterion is 'DIC'"),
        (["--models", "stein2019", "--residual", "lognormal"], "residual is 'lognormal'"),
        (["--models", "stein2019", "--starts", "0"], "Invalid value for '--starts'"),
        ([], "Missing option '--models'"),
    ],
)
def test_wrong_use_is_exit_code_2(study: Path, tmp_path: Path, words: list[str], message: str) -> None:
    done = run(study, *words, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_study_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", *WORDS, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "is not there: name a folder of cohorts, or one file" in done.stderr


def test_options_reach_the_fits(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fit(data: object, model: object, **options: object) -> object:
        seen.append(options)
        return made_fit(model=model.name, source=content_hash(data))  # type: ignore

    monkeypatch.setattr(module, "fit", fit)
    words = ("--starts", 3, "--seed", 5, "--residual", "proportional", "--threads", 2, "--matrix", "blood",
             "--censoring", "M1", "--interval", "normal", "--criterion", "BIC", "--failures", "disqualify")  # fmt: skip
    done = run(study, *WORDS, "--out", tmp_path / "out", *words)
    assert done.exit_code == 0, done.output
    assert seen[0] == {
        "starts": 3, "seed": 5, "residual": "proportional", "threads": 2, "matrix": "blood", "censoring": "M1",
        "interval": "normal", "inputs": None, "outputs": None,
    }  # fmt: skip
    assert done.stdout.splitlines()[0].split()[5] == "BIC"
