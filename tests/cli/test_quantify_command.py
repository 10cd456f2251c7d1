"""``ckinetics quantify``: its words, its exit codes, its bar on a terminal and none in a pipe."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ckinetics.jobs import locked_folder


def quantify(*words: object) -> Result:
    app = importlib.import_module("ckinetics.cli.main").app
    return CliRunner().invoke(app, ["quantify", *map(str, words)])


@pytest.fixture(autouse=True)
def _quick_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    import ckinetics.reporting.pages.plate as plate_page

    monkeypatch.setattr(plate_page, "plate_page", lambda data, run_id: run_id)


def write(folder: Path, *, slope: float = -3.32) -> Path:
    rows = [("STD", "standard", 38 + slope * k + s, 10**k) for k in range(1, 7) for s in (-0.05, 0.0, 0.05)]
    rows += [("NTC", "ntc", "silent", "")] * 2 + [("S1", "unknown", 28.0 + s, "") for s in (-0.1, 0.0, 0.1)]
    plate = pd.DataFrame(rows, columns=["sample", "role", "cq", "quantity"])
    plate["well"] = [f"{'ABCD'[at // 12]}{at % 12 + 1}" for at in range(len(plate))]
    plate["target"] = "CAR"
    (folder / "exports").mkdir(exist_ok=True)
    plate.to_csv(folder / "exports" / "plate_1.csv", index=False)
    (folder / "samples.csv").write_text("sample,patient,time,dna_ng\nS1,P1,7,200\n")
    return folder / "exports"


WORD = ("--undetermined", "silent")


def test_a_good_folder_is_0(tmp_path: Path) -> None:
    exports = write(tmp_path)
    done = quantify(exports, "--layout", tmp_path / "samples.csv", "--out", tmp_path / "out", *WORD)
    assert done.exit_code == 0, done.output
    assert "1 files: 1 read, 0 kept from before; 2 of 2 inputs ok; 1 results" in done.output
    again = quantify(exports, "--layout", tmp_path / "samples.csv", "--out", tmp_path / "out", "--resume", *WORD)
    assert "0 read, 1 kept from before" in again.output
    quiet = quantify(exports, "--layout", tmp_path / "samples.csv", "--out", tmp_path / "q", "-q", *WORD)
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_a_bad_file_is_1(tmp_path: Path) -> None:
    exports = write(tmp_path)
    (exports / "bad.xlsx").write_bytes(b"PK\x03\x04")
    done = quantify(exports, "--layout", tmp_path / "samples.csv", "--out", tmp_path / "out", *WORD)
    assert done.exit_code == 1
    assert "failed: bad.xlsx (plate): bad.xlsx: " in done.output
    assert "1 results" in done.output


def test_failed_quality_control_is_3(tmp_path: Path) -> None:
    exports = write(tmp_path, slope=-4.2)
    done = quantify(exports, "--layout", tmp_path / "samples.csv", "--out", tmp_path / "out", *WORD)
    assert done.exit_code == 3
    assert "quality control failed: plate_1.csv (plate): " in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--calibration", "cubic"], "calibration: Input should be 'ols' or 'weighted'"),
        (["--rules", "none.toml"], "rules 'none.toml' is not there"),
        (["--layout", "none.csv"], "layout 'none.csv' is not there"),
        (["--settings", "none.toml"], "none.toml: cannot be opened"),
    ],
)
def test_wrong_use_is_2(tmp_path: Path, words: list[str], message: str) -> None:
    done = quantify(write(tmp_path), "--out", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "out").exists()


def test_a_locked_folder_is_1(tmp_path: Path) -> None:
    exports = write(tmp_path)
    assert quantify(exports, "--out", tmp_path / "out", *WORD).exit_code == 0
    with locked_folder(tmp_path / "out"):
        done = quantify(exports, "--out", tmp_path / "out", "--resume")
    assert done.exit_code == 1
    assert "is being written by another ckinetics process" in done.output


def test_settings_from_a_file(tmp_path: Path) -> None:
    exports = write(tmp_path)
    inside = tmp_path / "lab"
    inside.mkdir()
    (tmp_path / "samples.csv").rename(inside / "sheet.csv")
    (inside / "decided.csv").write_text("action,run,well,by,when,why\nomit,plate_1,B9,QA,2026-02-01,a bubble\n")
    keys = (
        'sample_sheet = "sheet.csv"\noverrides = "decided.csv"\nundetermined = ["silent"]\ncalibration = "weighted"\n'
    )
    for number, text in enumerate((keys, f'title = "a study"\n[plates]\n{keys}')):
        (inside / "settings.toml").write_text(text)
        out = tmp_path / f"out{number}"
        done = quantify(exports, "--settings", inside / "settings.toml", "--out", out, "--rules", "gmo")
        assert done.exit_code in (0, 3), done.output
        said = json.loads((out / "run.json").read_text())
        assert (said["settings"]["calibration"], said["settings"]["rules"]) == ("weighted", "gmo")
        assert [one["kind"] for one in said["inputs"]] == ["sample sheet", "overrides", "plate"]
        assert said["counts"]["results"] == 1
    (inside / "settings.toml").write_text('calibraton = "ols"\n')
    wrong = quantify(exports, "--settings", inside / "settings.toml", "--out", tmp_path / "no")
    assert wrong.exit_code == 2
    assert "settings.toml: unknown key 'calibraton': did you mean 'calibration'" in wrong.output


def test_a_bar_on_a_terminal_only(tmp_path: Path) -> None:
    exports = write(tmp_path)
    words = [sys.executable, "-m", "ckinetics", "quantify", str(exports), "--undetermined", "silent", "--out"]
    piped = subprocess.run([*words, str(tmp_path / "a")], capture_output=True, text=True, check=False)
    assert "reading" not in piped.stderr
    assert "\r" not in piped.stderr + piped.stdout
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    shown = subprocess.Popen([*words, str(tmp_path / "b")], stdout=subprocess.DEVNULL, stderr=child)
    os.close(child)
    text = b""
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        text += part
    os.close(parent)
    shown.wait()
    assert b"reading" in text
    assert b"1/1" in text
