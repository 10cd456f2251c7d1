"""What a laboratory meets in a day: what a run says of plates, samples, folders and earlier results."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from quick_files import stored

from ckinetics.errors import InputError
from ckinetics.jobs import Record
from ckinetics.provenance import sha256_file
from ckinetics.study import StudyRun, read_settings, run_study

pytestmark = pytest.mark.usefixtures("quick_report")


def verdicts(run: StudyRun) -> dict[str, str]:
    return {v.file: v.verdict for v in run.verdicts}


def default_rules() -> str:
    return resources.files("ckinetics.assay").joinpath("rule_files", "default.toml").read_text(encoding="utf-8")


def test_a_contaminated_plate_fails_its_run(small_study: Path, tmp_path: Path) -> None:
    """A plate whose NTC costs all its levels is not "ok"."""
    (small_study / "strict.toml").write_text(default_rules().replace('name = "default"', 'name = "own"'))
    settings = small_study / "study.toml"
    # ten copies stand where no template should be
    own = 'target = "CAR"\nrules = "strict.toml"\nroles = {"Std_1e+01" = "ntc"}'
    settings.write_text(settings.read_text().replace('target = "CAR"', own))
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "quality control failed"
    plates = [v for v in run.verdicts if v.kind == "plate"]
    assert {v.verdict for v in plates} == {"quality control failed"}
    assert all("no-template control" in v.message for v in plates)
    kinds = {v.kind: v for v in run.verdicts}
    assert kinds["rules"].sha256 == sha256_file(small_study / "strict.toml")
    assert kinds["settings"].sha256 == sha256_file(settings)


def test_an_accepted_plate_says_what_was_not_checked(small_study: Path, tmp_path: Path) -> None:
    settings = small_study / "study.toml"
    settings.write_text(settings.read_text().replace('target = "CAR"', 'target = "CAR"\nroles = {"NTC*" = "nec"}'))
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "ok"
    assert all("contamination was not checked" in v.message for v in run.verdicts if v.kind == "plate")


def test_an_lloq_above_all_standards_is_the_plate_s_fault(small_study: Path, tmp_path: Path) -> None:
    """Once it made limits that no cohort may hold, and stopped everything."""
    settings = small_study / "study.toml"
    settings.write_text(settings.read_text().replace('target = "CAR"', 'target = "CAR"\nlloq_copies = 1e12'))
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "quality control failed"
    assert any("is not above the LLOQ of 1e+12" in v.message for v in run.verdicts)
    assert np.isnan(stored(tmp_path / "out" / "cohort.nc")["kinetics"]["lloq"].values).all()


def test_a_sample_without_a_level_is_named(small_study: Path, tmp_path: Path) -> None:
    rows = (small_study / "samples.csv").read_text().splitlines()
    name, *rest = rows[3].split(",")
    (small_study / "samples.csv").write_text("\n".join([*rows[:3], ",".join([name, *rest[:4], "2", "1"]), *rows[4:]]))
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "ok"
    assert [m for m in run.messages if "has no level" in m] == [
        f"sample '{name}' has no level: genomic DNA in the well 2 ng misses the limit (10 to 5000 ng)"
    ]


def test_a_column_of_the_sheet_that_means_nothing_is_said(small_study: Path, tmp_path: Path) -> None:
    sheet = small_study / "samples.csv"
    sheet.write_text(sheet.read_text().replace(",dilution", ",diluton", 1))
    run = run_study(small_study, out=tmp_path / "out")
    assert "samples.csv: columns that are not used: 'diluton'" in run.messages


def test_results_never_lie_among_the_exports(small_study: Path) -> None:
    plates = small_study / "plates"
    before = sorted(plates.iterdir())
    for folder in (small_study, plates):
        with pytest.raises(InputError, match="would lie among the plate exports"):
            run_study(folder, out=plates)
    assert sorted(plates.iterdir()) == before


def test_folders_among_the_exports_are_said(small_study: Path, tmp_path: Path) -> None:
    inner = small_study / "plates" / "more"
    inner.mkdir()
    sorted((small_study / "plates").glob("*.xlsx"))[0].rename(inner / "plate_01.xlsx")
    run = run_study(small_study, out=small_study / "plates" / "out")
    said = [m for m in run.messages if "are not read" in m]
    assert said == ["folders inside 'plates' are not read: 'more'; name them in 'files' of [plates]"]


def test_an_empty_folder_never_stops_the_others(small_study: Path, tmp_path: Path) -> None:
    (small_study / "later").mkdir()
    settings = small_study / "study.toml"
    settings.write_text(settings.read_text().replace('files = "plates"', 'files = ["plates", "later"]'))
    run = run_study(small_study, out=tmp_path / "out")
    assert verdicts(run)["later"] == "failed"
    assert verdicts(run)["plate_01.xlsx"] == "ok"
    assert "report.html" in run.outputs


def test_plates_of_one_name_in_two_folders(small_study: Path, tmp_path: Path) -> None:
    (small_study / "more").mkdir()
    second = sorted((small_study / "plates").glob("*.xlsx"))[1]
    second.rename(small_study / "more" / "plate_01.xlsx")
    settings = small_study / "study.toml"
    text = settings.read_text().replace('files = "plates"', 'files = ["plates", "more"]\nrun_id = "folder"')
    settings.write_text(text)
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "ok"
    runs = set(stored(tmp_path / "out" / "cohort.nc")["curves"]["run_id"].values.tolist())
    assert {"plates/plate_01", "more/plate_01"} <= runs


def test_a_missing_sample_sheet_is_named_as_such(small_study: Path, tmp_path: Path) -> None:
    (small_study / "samples.csv").unlink()
    (failed,) = [v for v in run_study(small_study, out=tmp_path / "out").verdicts if v.verdict == "failed"]
    assert (failed.file, failed.kind) == ("samples.csv", "sample sheet")
    assert "check 'sample_sheet'" in failed.message


def test_a_wrong_role_is_the_study_file_s_fault(small_study: Path, tmp_path: Path) -> None:
    settings = small_study / "study.toml"
    settings.write_text(settings.read_text().replace('target = "CAR"', 'target = "CAR"\nroles = {"NTC" = "blank"}'))
    (failed,) = [v for v in run_study(small_study, out=tmp_path / "out").verdicts if v.verdict == "failed"]
    assert failed.file == "study.toml"
    assert failed.sha256 == sha256_file(settings)


def test_one_relation_that_fails_leaves_the_others(small_study: Path, tmp_path: Path) -> None:
    response = small_study / "response.csv"
    response.write_text(response.read_text().replace(",PR", ",great").replace(",SD", ",great").replace(",CR", ",great"))
    run = run_study(small_study, out=tmp_path / "out")
    failed = [v for v in run.verdicts if v.verdict == "failed"]
    assert [(v.file, v.kind) for v in failed] == [("response.csv", "exposure")]
    assert (tmp_path / "out" / "exposure-IL-6-cmax.nc").exists()
    assert "report.html" in run.outputs


def test_a_window_that_is_none_stops_only_the_peaks(small_study: Path, tmp_path: Path) -> None:
    settings = small_study / "study.toml"
    settings.write_text(settings.read_text() + "window = [28, 0]\n")
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "failed"
    assert (tmp_path / "out" / "exposure-response-cmax.nc").exists()
    assert "report.html" in run.outputs


def test_exposure_follows_the_intervals_where_it_names_none(small_study: Path, tmp_path: Path) -> None:
    settings = small_study / "study.toml"
    text = settings.read_text().replace("[[0, 28], [0, 90]]", "[[0, 60]]")
    settings.write_text(text[: text.index("[exposure]")])
    run = run_study(small_study, out=tmp_path / "out")
    assert run.status == "ok"
    assert (tmp_path / "out" / "exposure-response-auc-interval-0-60.nc").exists()


def test_results_of_an_earlier_run_are_not_taken_for_this_one_s(small_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert not [m for m in run_study(small_study, out=out).messages if "earlier run" in m]
    (small_study / "samples.csv").write_text("x\n")
    run = run_study(small_study, out=out)
    (said,) = [m for m in run.messages if "of an earlier run" in m]
    assert "report.html" in said
    assert "cohort.nc" in said


def test_the_record_says_what_was_kept_and_what_was_removed(small_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_study(small_study, out=out)
    (out / ".nca.abcd1234.part.nc").write_bytes(b"half")
    run_study(small_study, out=out)
    entries = Record(out).verify()
    second = entries[[at for at, entry in enumerate(entries) if entry["event"] == "run started"][1] :]
    events = [entry["event"] for entry in second]
    assert {"kept quantified.nc", "kept nca.nc"} <= set(events)
    assert second[1]["data"] == {"files": [".nca.abcd1234.part.nc"]}
    assert not list(out.glob(".*.part*"))


def test_new_default_rules_are_not_taken_for_the_old(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ckinetics.assay.rules as rules

    run_study(small_study, out=tmp_path / "out")
    folder = tmp_path / "rule_files"
    folder.mkdir()
    (folder / "default.toml").write_text(default_rules().replace("low = 90.0", "low = 109.0"), encoding="utf-8")
    monkeypatch.setattr(rules, "_FOLDER", folder)
    assert run_study(small_study, out=tmp_path / "out").status == "quality control failed"


def test_the_assay_of_the_study_file_is_kept(small_study: Path, tmp_path: Path) -> None:
    run_study(small_study, out=tmp_path / "out")
    said = stored(tmp_path / "out" / "cohort.nc")["kinetics"].attrs["assay"]
    assert said == read_settings(small_study).assay


def test_overrides_and_the_weighted_fit_reach_the_cohort(small_study: Path, tmp_path: Path) -> None:
    """What a person decided is an input with its hash, stands beside the well, and is in the record."""
    (small_study / "decided.csv").write_text(
        "action,run,well,by,when,why\nomit,plate_01,C1,QA,2026-02-01,a bubble\n", encoding="utf-8"
    )
    settings = small_study / "study.toml"
    keys = 'target = "CAR"\noverrides = "decided.csv"\ncalibration = "weighted"\nrules = "gmo"'
    settings.write_text(settings.read_text().replace('target = "CAR"', keys))
    run = run_study(small_study, out=tmp_path / "out")
    kinds = {v.kind: v for v in run.verdicts}
    assert kinds["overrides"].sha256 == sha256_file(small_study / "decided.csv")
    cohort = stored(tmp_path / "out" / "cohort.nc")
    wells = cohort["wells"].to_dataset(inherit=False)
    masked = np.flatnonzero(wells["masked"].values == 1)
    assert wells["well_name"].values[masked].tolist() == ["C1"]
    assert "by QA on 2026-02-01: a bubble" in wells["mask_reason"].values[masked[0]]
    curves = cohort["curves"].to_dataset(inherit=False)
    assert set(curves["method"].values[curves["used"].values == 1]) == {"weighted"}
    assert cohort["results"].sizes["result"] > 0
    entries = [entry for entry in Record(tmp_path / "out").verify() if entry["event"] in ("override", "mask")]
    assert [entry["event"] for entry in entries] == ["override", "mask"]
    assert {entries[0]["data"][name] for name in ("by", "when", "why")} == {"QA", "2026-02-01", "a bubble"}
