"""The section [nca] of study.toml: every option of the analysis, and `ckinetics run` passing them on."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from quick_files import stored

from ckinetics.cohorts import load
from ckinetics.errors import InputError
from ckinetics.noncompartmental import nca
from ckinetics.study import read_settings, run_study
from ckinetics.study.settings import Nca, nca_settings

pytestmark = pytest.mark.usefixtures("quick_figures")

LEVELS = "patient,day,level\n" + "".join(
    f"{name},{day},{level}\n"
    for name, levels in (("A", ("BLQ", 9000, 4000, 900, 300, 100)), ("B", ("BLQ", 500, 900, 200, "<50", "<50")))
    for day, level in zip((0, 7, 14, 28, 45, 60), levels, strict=True)
)
SECTION = """
[nca]
preset = "phoenix"
auc_method = "linear"
intervals = [[0, 28], "0-6 months", [0, inf]]
blq = {first = "keep", middle = "drop", last = "lloq/2"}
anchor = "baseline"
baseline = "mean"
tail = "all"
min_points = 2
rising = "veto"
tmax = "last"
tmax_in_line = true
slopes = "slopes.csv"
persistence = "midpoint"
threshold = 1000
peak_fold = 3.0
peak_errors = 2.0
peaks_from = 4.0
contraction_days = 14
window = [0, 90]
dose = 2e8
disposition = true
limits = {r_squared = 0.8, n_points = 4}
"""


def write(folder: Path, section: str) -> Path:
    folder.mkdir()
    (folder / "levels.csv").write_text(LEVELS)
    (folder / "slopes.csv").write_text("patient,time,use,reason\nA,14,include,early\nA,28,include,early\n")
    (folder / "study.toml").write_text('[kinetics]\ntable = "levels.csv"\nunit = "copies/ug"\nlloq = 50\n' + section)
    return folder


def test_the_section_has_every_option_of_the_analysis() -> None:
    options = set(inspect.signature(nca).parameters) - {"data", "group", "threads"}
    assert set(Nca.model_fields) == options
    defaults = {name: one.default for name, one in inspect.signature(nca).parameters.items()}
    for name, value in Nca().options(Path()).items():
        assert value == (list(defaults[name]) if name == "intervals" else defaults[name]), name


def test_run_passes_every_option_on(tmp_path: Path) -> None:
    run = run_study(write(tmp_path / "study", SECTION), out=tmp_path / "out")
    assert run.status == "ok", run.verdicts
    assert {"slopes.csv": "terminal points"}.items() <= {v.file: v.kind for v in run.verdicts}.items()
    result = load(tmp_path / "out" / "nca.nc")
    found = json.loads(result.attrs["settings"])
    rules = found["rules"]
    expected = {
        "auc_method": "linear", "blq": {"first": "keep", "middle": "drop", "last": "lloq/2"}, "anchor": "baseline",
        "baseline": "mean", "tail": "all", "min_points": 2, "rising": "veto", "tmax": "last", "tmax_in_line": True,
        "name": "phoenix",
    }  # fmt: skip
    assert {name: rules[name] for name in expected} == expected
    assert found["slopes"] == 2
    assert [found[name] for name in ("persistence", "threshold", "peak_fold", "peak_errors", "peaks_from")] == [
        "midpoint", 1000, 3, 2, 4,
    ]  # fmt: skip
    assert (found["window"], found["contraction_days"], found["disposition"]) == ([0, 90], 14, True)
    assert found["limits"] == {
        "anchor_pct": 20, "extrap_pct": 20, "r_squared": 0.8, "span_ratio": 2, "n_points": 4,
    }  # fmt: skip
    assert result["interval"].values.tolist() == ["0-28", "0-6 months", "0-inf"]
    assert "vz_obs" in result
    assert (result["cmax_dn"] == result["cmax"] / 2e8).all()
    text = (tmp_path / "out" / "run.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["settings"]["nca"]["intervals"][2] == [0, "inf"]


@pytest.mark.usefixtures("quick_report")
def test_a_changed_table_of_terminal_points_computes_again(tmp_path: Path) -> None:
    study = write(tmp_path / "study", '[nca]\nslopes = "slopes.csv"\nmin_points = 2\n')
    run_study(study, out=tmp_path / "out")
    first = stored(tmp_path / "out" / "nca.nc")["half_life"].sel(patient="A").item()
    (study / "slopes.csv").write_text("patient,time,use,reason\nA,45,include,late\nA,60,include,late\n")
    run_study(study, out=tmp_path / "out")
    assert stored(tmp_path / "out" / "nca.nc")["half_life"].sel(patient="A").item() != first


def test_infusions_of_their_own(tmp_path: Path) -> None:
    study = write(tmp_path / "study", '[clinical]\ninfusions = "infusions.csv"\nresponse = "rs.csv"\n[nca]\n'
                                      'infusions = "each"\n')  # fmt: skip
    (study / "infusions.csv").write_text("patient,time,dose\nA,0,1e8\nA,40,1e8\nB,0,1e8\n")
    (study / "rs.csv").write_text("patient,response\nA,CR\nB,PD\n")
    run = run_study(study, out=tmp_path / "out")
    assert not any("nca" in verdict.kind for verdict in run.verdicts if verdict.verdict == "failed")
    result = load(tmp_path / "out" / "nca.nc")
    assert result["cmax"].sel(patient="A").values.tolist() == [[9000, 300]]
    assert "blood, infusion 2" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8").lower()


def test_a_missing_table_of_terminal_points_is_a_verdict(tmp_path: Path) -> None:
    run = run_study(write(tmp_path / "study", '[nca]\nslopes = "points.csv"\n'), out=tmp_path / "out")
    (failed,) = [verdict for verdict in run.verdicts if verdict.verdict == "failed"]
    assert (failed.file, failed.message) == ("points.csv", "is not there: check 'slopes' in [nca]")
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[nca]\npreset = "phoenx"\n', "nca: unknown preset 'phoenx'"),
        ("[nca]\nintervalls = [[0, 28]]\n", "unknown key 'nca.intervalls': did you mean 'intervals'"),
        ('[nca]\nblq = "zero"\n', "nca: blq 'first' is 'zero': use 'keep'"),
        ("[nca]\nlimits = {r2 = 0.9}\n", "nca: unknown limit 'r2'"),
        ('[nca]\ntail = "long"\n', "nca: unknown tail 'long'"),
        ("[nca]\nmin_points = 1\n", "nca: min_points is 1"),
        ('[nca]\nuncertainty = "exact"\n', "nca.uncertainty: Input should be 'delta', 'bootstrap' or 'both'"),
        ("[nca]\ndraws = 0\n", "nca.draws: "),
    ],
)
def test_wrong_options_name_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"study.toml: .*{message}"):
        read_settings(write(tmp_path / "study", text))


def test_keys_alone_are_checked_too() -> None:
    with pytest.raises(InputError, match="interval \\(28, 0\\) is not one"):
        nca_settings({"intervals": [(28, 0)]})
