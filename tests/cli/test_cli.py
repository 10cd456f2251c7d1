"""The command line as a user meets it: a process, its words and its exit code."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ckinetics as ck


def command(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ckinetics", *map(str, words)], capture_output=True, text=True, cwd=cwd, encoding="utf-8"
    )


def test_version_and_help() -> None:
    assert command("--version").stdout.strip() == f"ckinetics {ck.__version__}"
    done = command("--help")
    assert done.returncode == 0
    for word in ("run", "demo", "models", "warmup"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nowhere", "--out", "out"], "is not there"),
        (["run", "."], "--out"),
        (["rum"], "rum"),
        (["demo", "--patients", "2", "--out", "out"], "at least 3"),
    ],
)
def test_wrong_use_is_exit_code_2(tmp_path: Path, words: list[str], message: str) -> None:
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_and_run(tmp_path: Path) -> None:
    done = command("demo", "--patients", 3, "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    assert (tmp_path / "demo" / "report.xlsx").stat().st_size > 1000
    assert "\r" not in done.stderr
    assert "Traceback" not in done.stderr


def test_exit_codes_of_a_run(tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "plates").mkdir(parents=True)
    rows = [f"A{at},S{at},CAR,standard,{38 - 3.32 * at},{10**at}" for at in range(1, 7)] + ["B1,P1,CAR,unknown,28.0,"]
    (study / "plates" / "good.csv").write_text("\n".join(["well,sample,target,role,cq,quantity", *rows, ""]))
    (study / "samples.csv").write_text("sample,patient,time,dna_ng\nP1,P1,7,200\n")
    (study / "study.toml").write_text("[plates]\n")
    (study / "plates" / "bad.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    done = command("run", study, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "failed: bad.xlsx" in done.stderr
    assert "Traceback" not in done.stderr
    (study / "plates" / "good.csv").unlink()
    quiet = command("run", study / "plates", "--out", tmp_path / "plates only", "--quiet")
    assert quiet.returncode == 1
    assert quiet.stdout == ""


def test_failed_quality_control_is_exit_code_3(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plates"
    folder.mkdir()
    name = "appbio_quantstudio_designandanalysis_QS6Pro_Standard_Curve_example05.xlsx"
    (folder / name).write_bytes((shared_data / "plates" / "appliedbiosystems_da2" / name).read_bytes())
    done = command("run", folder, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "efficiency 79.24 % misses the limit (90 to 110 %)" in done.stderr


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ckinetics.study.run_study", full)
    app = importlib.import_module("ckinetics.cli.main").app
    done = CliRunner().invoke(app, ["run", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "No space left on device" in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
