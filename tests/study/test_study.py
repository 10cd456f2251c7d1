"""Whole studies: what goes in, what comes out, and what one bad file does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quick_files import stored

from ckinetics.cohorts import load, validate
from ckinetics.errors import FileFormatError, InputError, JobError
from ckinetics.jobs import Record, locked_folder
from ckinetics.provenance import content_hash, sha256_file
from ckinetics.schema import Status
from ckinetics.study import read_settings, run_study, simulate_study


def verdicts(run: object) -> dict[str, str]:
    return {v.file: v.verdict for v in run.verdicts}  # type: ignore[attr-defined]


def test_a_whole_study_from_plates_to_report(small_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = run_study(small_study, out=out)
    assert run.status == "ok"
    assert set(verdicts(run).values()) == {"ok"}
    for name in ("cohort.nc", "nca.nc", "report.html", "report.xlsx", "run.json", "record.jsonl"):
        assert (out / name).stat().st_size > 100, name
    cohort = validate(load(out / "cohort.nc"))
    kinetics = cohort["kinetics"].to_dataset()
    assert kinetics.sizes["patient"] == 4
    assert (kinetics["status"].values == Status.quantified).sum() > 15
    # Every sample is tied to its wells, and every well to a file, sheet, row and position.
    wells = cohort["wells"].to_dataset(inherit=False)
    hashes = {sha256_file(path) for path in (small_study / "plates").iterdir()}
    assert set(wells["file_sha256"].values.tolist()) == hashes
    names = [name for name in kinetics["sample_id"].values.ravel().tolist() if name]
    for name in names:
        mine = wells["sample_id"].values == name
        assert mine.sum() == 3
        assert (wells["sheet"].values[mine] != "").all()
        assert (wells["row"].values[mine] > 1).all()
    nca = load(out / "nca.nc")
    assert nca.attrs["cohort_hash"] == content_hash(cohort)


@pytest.mark.usefixtures("quick_report")
def test_levels_are_those_that_were_simulated(small_study: Path, tmp_path: Path) -> None:
    """The standard curves give back the copies put into the wells, within Poisson and reading noise."""
    run_study(small_study, out=tmp_path / "out")
    cohort = stored(tmp_path / "out" / "cohort.nc")
    kinetics, curves = cohort["kinetics"].to_dataset(), cohort["curves"].to_dataset(inherit=False)
    assert (curves["accepted"].values == 1).all()
    np.testing.assert_allclose(curves["slope"].values, -3.36, atol=0.1)
    se = np.hypot(kinetics["se_well"].values, kinetics["se_plate"].values)
    done = kinetics["status"].values == Status.quantified
    assert (se[done] > 0.01).all()
    assert (se[done] < 0.5).all()
    lloq = kinetics["lloq"].values[done]
    assert set(np.round(lloq, 6)) <= {50.0, 100.0, 200.0}


@pytest.mark.usefixtures("quick_report")
def test_run_json_says_what_was_used(small_study: Path, tmp_path: Path) -> None:
    run_study(small_study, out=tmp_path / "out")
    said = json.loads((tmp_path / "out" / "run.json").read_text())
    assert said["status"] == "ok"
    for entry in said["inputs"]:
        found = list(small_study.rglob(entry["file"]))
        assert len(found) == 1
        assert sha256_file(found[0]) == entry["sha256"]
    for entry in said["outputs"]:
        assert sha256_file(tmp_path / "out" / entry["file"]) == entry["sha256"]
    assert said["settings"]["nca"]["preset"] == "cell_therapy"
    assert set(said["versions"]) >= {"ckinetics", "numpy", "numba", "xarray"}
    entries = Record(tmp_path / "out").verify()
    assert entries[0]["event"] == "run started"
    assert entries[-1]["event"] == "wrote run.json"


@pytest.mark.usefixtures("quick_report")
def test_an_unchanged_step_is_not_computed_again(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ckinetics.noncompartmental as noncompartmental

    out = tmp_path / "out"
    run_study(small_study, out=out)
    before = sha256_file(out / "nca.nc")
    calls = []
    original = noncompartmental.nca

    def counted(*args: object, **options: object) -> object:
        calls.append(1)
        return original(*args, **options)

    monkeypatch.setattr(noncompartmental, "nca", counted)
    run_study(small_study, out=out)
    assert not calls
    assert sha256_file(out / "nca.nc") == before
    settings = small_study / "study.toml"
    settings.write_text(settings.read_text().replace("[0, 90]", "[0, 60]"))
    run_study(small_study, out=out)
    assert len(calls) == 1
    assert stored(out / "nca.nc")["interval"].values.tolist() == ["0-28", "0-60"]
    (out / "nca.nc").write_bytes(b"damaged")
    run_study(small_study, out=out)
    assert len(calls) == 2


@pytest.mark.usefixtures("quick_report")
def test_one_bad_plate_never_stops_the_others(small_study: Path, tmp_path: Path) -> None:
    plates = sorted((small_study / "plates").iterdir())
    raw = plates[0].read_bytes()
    plates[0].write_bytes(raw[: len(raw) // 2])
    (small_study / "plates" / "notes.txt").write_text("not a plate\nat all\n")
    (small_study / "plates" / "empty.csv").write_text("")
    run = run_study(small_study, out=tmp_path / "out")
    found = verdicts(run)
    assert run.status == "failed"
    assert found[plates[0].name] == found["notes.txt"] == found["empty.csv"] == "failed"
    assert found[plates[1].name] == "ok"
    assert stored(tmp_path / "out" / "cohort.nc")["kinetics"].sizes["patient"] >= 1
    messages = {v.file: v.message for v in run.verdicts}
    assert "is empty" in messages["empty.csv"]
    assert "\n" not in "".join(messages.values())


@pytest.mark.usefixtures("quick_report")
def test_one_bad_clinical_table_never_stops_the_rest(small_study: Path, tmp_path: Path) -> None:
    events = pd.read_csv(small_study / "events.csv")
    events.loc[0, "patient"] = "nobody"
    events.to_csv(small_study / "events.csv", index=False)
    cytokines = (small_study / "cytokines.csv").read_text().replace("IL-6,-1", "IL-6,soon", 1)
    (small_study / "cytokines.csv").write_text(cytokines)
    (small_study / "medication.csv").unlink()
    run = run_study(small_study, out=tmp_path / "out")
    messages = {v.file: v.message for v in run.verdicts if v.verdict == "failed"}
    assert set(messages) == {"events.csv", "cytokines.csv", "medication.csv"}
    assert "row 2: time 'soon' is not a number" in messages["cytokines.csv"]
    assert "'nobody' is not in the cohort" in messages["events.csv"]
    assert "is not there" in messages["medication.csv"]
    cohort = stored(tmp_path / "out" / "cohort.nc")
    assert "outcomes" in cohort.children
    assert not {"events", "cytokines", "medication"} & set(cohort.children)


@pytest.mark.usefixtures("quick_report")
def test_a_plate_that_fails_its_rules_gives_no_levels(small_study: Path, tmp_path: Path) -> None:
    rules = small_study / "strict.toml"
    from importlib import resources

    text = resources.files("ckinetics.assay").joinpath("rule_files", "default.toml").read_text(encoding="utf-8")
    rules.write_text(text.replace("low = 90", "low = 104").replace("low = 90.0", "low = 104.0"))
    settings = small_study / "study.toml"
    settings.write_text(settings.read_text().replace('target = "CAR"', 'target = "CAR"\nrules = "strict.toml"'))
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "quality control failed"
    assert any("efficiency" in v.message for v in run.verdicts)
    cohort = stored(tmp_path / "out" / "cohort.nc")
    assert np.isfinite(cohort["wells"]["copies"].values).any()
    failed = cohort["curves"]["run_id"].values[cohort["curves"]["accepted"].values == 0]
    on_failed = np.isin(cohort["kinetics"]["plate"].values.astype(str), failed.astype(str))
    assert (cohort["kinetics"]["status"].values[on_failed] == Status.invalid).all()
    assert on_failed.any()


@pytest.mark.usefixtures("quick_report")
def test_a_sample_that_is_not_in_the_sheet_is_a_fault(small_study: Path, tmp_path: Path) -> None:
    sheet = (small_study / "samples.csv").read_text().splitlines()
    removed = sheet.pop(4).split(",")[0]
    (small_study / "samples.csv").write_text("\n".join(sheet) + "\n")
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "failed"
    assert any(v.kind == "sample" and removed in v.message and "row" in v.message for v in run.verdicts)


@pytest.mark.usefixtures("quick_report")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows, rows[1]], "twice|also in row"),
        (lambda rows: [rows[0], rows[1].replace("-1", "soon", 1), *rows[2:]], "not a number"),
        (lambda rows: [rows[0].replace("patient", "person"), *rows[1:]], "patient"),
        (lambda rows: rows[:1], "no sample"),
    ],
)
def test_a_bad_sample_sheet_is_one_sentence(small_study: Path, tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    sheet = small_study / "samples.csv"
    rows = sheet.read_text().splitlines()
    sheet.write_text("\n".join(change(rows)) + "\n")
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "failed"
    (failed,) = [v for v in run.verdicts if v.verdict == "failed"]
    assert failed.file == "samples.csv"
    assert pd.Series([failed.message]).str.contains(message).all(), failed.message
    assert (tmp_path / "out" / "run.json").exists()


@pytest.mark.usefixtures("quick_report")
def test_nothing_already_written_is_lost(small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    run_study(small_study, out=out)
    kept = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in {".html", ".xlsx"}}
    import ckinetics.reporting as reporting

    def fail(*args: object, **options: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(reporting, "report", fail)
    with pytest.raises(MemoryError):
        run_study(small_study, out=out)
    for name, content in kept.items():
        assert (out / name).read_bytes() == content
    assert stored(out / "cohort.nc").sizes["patient"] == 4
    assert Record(out).verify()[-1]["event"] == "run stopped"


def test_two_runs_into_one_folder_are_refused(small_study: Path, tmp_path: Path) -> None:
    with locked_folder(tmp_path / "out"), pytest.raises(JobError, match="another ckinetics process"):
        run_study(small_study, out=tmp_path / "out")


@pytest.mark.usefixtures("quick_report")
def test_a_table_in_place_of_plates(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "levels.csv").write_text("patient,day,level\nA,0,BLQ\nA,7,9000\nA,14,4000\nA,28,500\nB,0,<50\nB,10,90\n")
    (study / "study.toml").write_text('[kinetics]\ntable = "levels.csv"\nunit = "copies/µg"\nlloq = 50\n')
    run = run_study(study, out=tmp_path / "out")
    assert run.status == "ok"
    assert float(stored(tmp_path / "out" / "nca.nc")["cmax"].sel(patient="A").item()) == 9000
    (study / "study.toml").write_text('[kinetics]\ntable = "levels.csv"\nunit = "copies"\n')
    (failed,) = [v for v in run_study(study, out=tmp_path / "out2").verdicts if v.verdict == "failed"]
    assert "unknown unit 'copies'" in failed.message


@pytest.mark.usefixtures("quick_figures")
def test_the_example_runs(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "study.toml").write_text(
        'title = "Axi-cel"\n[kinetics]\nexample = "kimmel2021"\n[fit]\nmodel = "stein2019"\n'
    )
    run = run_study(study, out=tmp_path / "out")
    assert run.status == "ok"
    assert load(tmp_path / "out" / "nca.nc").sizes["patient"] == 24
    fit = load(tmp_path / "out" / "fit.nc")
    assert all(len(str(text)) > 20 for text in fit["message"].values)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "cells/µL" in page or "cells/uL" in page


@pytest.mark.usefixtures("quick_figures")
def test_real_plates_without_a_study_file(shared_data: Path, tmp_path: Path) -> None:
    """Wells, curves and verdicts of real exports, with the figures that the vendor printed."""
    folder = tmp_path / "plates"
    folder.mkdir()
    source = shared_data / "plates" / "appliedbiosystems_da2"
    names = {
        "qs1": "appbio_quantstudio_designandanalysis_QS1_Standard_Curve_example01",
        "qs6": "appbio_quantstudio_designandanalysis_QS6Pro_Standard_Curve_example05",
    }
    for name in names.values():
        shutil.copy(source / f"{name}.xlsx", folder)
    run = run_study(folder, out=tmp_path / "out")
    assert run.status == "quality control failed"
    cohort = load(tmp_path / "out" / "cohort.nc")
    wells, curves = cohort["wells"].to_dataset(inherit=False), cohort["curves"].to_dataset(inherit=False)
    assert (wells["run_id"].values == names["qs1"]).sum() == 96
    assert (wells["run_id"].values == names["qs6"]).sum() == 384
    one = curves.isel(curve=int(np.argmax(curves["run_id"].values == names["qs1"])))
    assert round(float(one["slope"]), 4) == -3.3419
    assert round(float(one["intercept"]), 2) == 40.77
    assert float(one["r_squared"]) == pytest.approx(0.9880202381085528, rel=1e-9)
    assert float(one["efficiency"]) == pytest.approx(99.174722240042, rel=1e-4)
    messages = {v.file: (v.verdict, v.message) for v in run.verdicts}
    verdict, message = messages[f"{names['qs6']}.xlsx"]
    assert verdict == "quality control failed"
    assert "efficiency 79.24 %" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "is not valid TOML"),
        ('tittle = "x"\n[plates]\n', "unknown key 'tittle': did you mean 'title'"),
        ("[plates]\nfile = 3\n", "unknown key 'plates.file': did you mean 'files'"),
        ("", r"name either \[plates\] or \[kinetics\]"),
        ('[kinetics]\ntable = "a.csv"\n', "the table's 'unit' is missing"),
        ("[plates]\n[nca]\nintervals = [[0, 28, 3]]\n", "nca: intervals .* are not pairs of numbers"),
        ("[plates]\nfiles = []\n", "'files' is empty"),
        ('[plates]\nfiles = ""\n', "'files' is empty"),
        ("[plates]\n[fit]\nseed = -1\n", "fit.seed: "),
        ('[plates]\n[clinical.columns]\npatiens = {patient = "id"}\n', "'patiens' is no clinical table"),
    ],
)
def test_wrong_settings_name_the_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(InputError, match=f"study.toml: .*{message}"):
        read_settings(tmp_path)


def test_missing_settings_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"there is no 'study\.toml'"):
        read_settings(tmp_path)
    with pytest.raises(InputError, match="is not there"):
        run_study(tmp_path / "nowhere", out=tmp_path / "out")


def test_the_synthetic_study_is_the_same_for_a_seed(tmp_path: Path) -> None:
    first = simulate_study(tmp_path / "a", patients=3, seed=5)
    second = simulate_study(tmp_path / "b", patients=3, seed=5)
    other = simulate_study(tmp_path / "c", patients=3, seed=6)
    names = sorted(path.name for path in first.glob("*.csv"))
    assert len(names) >= 6
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "samples.csv").read_bytes() != (other / "samples.csv").read_bytes()
    with pytest.raises(InputError, match="not an empty folder"):
        simulate_study(tmp_path / "a")
    with pytest.raises(InputError, match="at least 3"):
        simulate_study(tmp_path / "d", patients=2)


@pytest.mark.usefixtures("quick_report")
def test_a_patient_that_the_patients_table_lacks_is_blamed_on_it(small_study: Path, tmp_path: Path) -> None:
    rows = (small_study / "patients.csv").read_text().splitlines()
    (small_study / "patients.csv").write_text("\n".join(rows[:-1]) + "\n")
    run = run_study(small_study, out=tmp_path / "out")
    (failed,) = [v for v in run.verdicts if v.verdict == "failed" and v.kind == "cohort"]
    assert failed.file == "patients.csv"
    assert "does not list (S04)" in failed.message
    assert "\n" not in failed.message
