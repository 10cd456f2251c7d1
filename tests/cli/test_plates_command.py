"""``ckinetics plates``: what it prints, what it hides, and its exit code."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

GOOD = "Operator,somebody\nChemistry,TAQMAN\n\nwell,sample,target,role,cq,quantity\n"
GOOD += "A01,S1,CAR,unknown,27.5,\nA02,Std,CAR,standard,20,1000\nA02,Std,REF,standard,,\nA03,N,CAR,ntc,Undetermined,\n"


def plates(*words: object) -> Result:
    app = importlib.import_module("ckinetics.cli.main").app
    return CliRunner().invoke(app, ["plates", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "good.csv").write_text(GOOD)
    return tmp_path / "exports"


def test_a_file_is_described_without_its_operator(folder: Path) -> None:
    done = plates(folder / "good.csv")
    assert done.exit_code == 0, done.output
    for line in (
        "good.csv",
        "  family: tidy well table",
        "  wells: 4 in 3 positions",
        "  tasks: 2 standard, 1 unknown, 1 ntc",
        "  targets: 3 CAR, 1 REF",
        "  Cq: 2 determined, 1 undetermined, 1 missing",
        "  quantities: 1 nominal, 0 calculated by the software",
        "  note: 1 of 2 standards have no nominal copies: the sample sheet can give them",
        "  Chemistry: TAQMAN",
        "  metadata: 1 private entry hidden: show with --metadata",
        "1 of 1 files read",
    ):
        assert line in done.output.splitlines()
    assert "somebody" not in done.output


def test_private_metadata_on_request(folder: Path) -> None:
    done = plates(folder / "good.csv", "--metadata")
    assert "  Operator: somebody" in done.output.splitlines()
    assert "hidden" not in done.output


def test_json_has_the_same(folder: Path) -> None:
    (found,) = json.loads(plates(folder, "--json").output)
    assert (found["n_wells"], found["roles"]["standard"], found["metadata"]) == (4, 2, {"Chemistry": "TAQMAN"})
    assert found["n_private"] == 1
    assert "private" not in found
    (found,) = json.loads(plates(folder, "--json", "--metadata").output)
    assert found["private"] == {"Operator": "somebody"}


def test_a_file_that_cannot_be_read_is_exit_code_1_and_stops_no_other(folder: Path) -> None:
    (folder / "bad.csv").write_text("Well,Target,Cq\nA1,T,25\n")
    done = plates(folder)
    assert done.exit_code == 1
    assert "not read: bad.csv, row 1: no known layout fits (tried: QuantStudio Design & Analysis" in done.output
    assert "the nearest header (Well, Target, Cq) lacks" in done.output
    assert "  family: tidy well table" in done.output
    assert "1 of 2 files read" in done.output
    assert [bool(one["error"]) for one in json.loads(plates(folder, "--json").output)] == [True, False]


def test_the_sample_sheet_is_no_plate(folder: Path) -> None:
    (folder / "samples.csv").write_text("sample,patient,time,dna_ng\nS1,P1,7,200\n")
    assert plates(folder).exit_code == 1
    done = plates(folder, "--layout", folder / "samples.csv")
    assert done.exit_code == 0
    assert "samples.csv" not in done.output


def test_names_that_a_terminal_would_obey_are_shown_as_text(folder: Path) -> None:
    (folder / "good.csv").write_text(GOOD.replace("TAQMAN", "x\x1b[2Jy"))
    assert "\x1b" not in plates(folder / "good.csv").output


def test_nothing_to_read(tmp_path: Path) -> None:
    assert plates().exit_code == 2
    done = plates(tmp_path / "none.csv")
    assert done.exit_code == 1
    assert "check its name" in done.output
    assert "Traceback" not in done.output


def test_the_real_exports(shared_data: Path) -> None:
    folders = sorted(path for path in (shared_data / "plates").iterdir() if path.is_dir())
    done = plates(*folders)
    assert done.exit_code == 1  # the genotyping export without results
    assert "31 of 32 files read" in done.output
    assert done.output.count("not read:") == 1
    for secret in ("SMITMARQ", "C:\\", "Z:\\", "TestUser"):
        assert secret not in done.output
    assert "family: Absolute Q" in done.output
    assert "family: RDML (RDML 1.4)" in done.output
