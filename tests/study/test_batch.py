"""The laboratory's batch: what it writes, what it keeps, and what is left of it when it is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from batch_builders import plate, write_batch
from hypothesis import given
from hypothesis import strategies as st
from quick_files import keep, stored

from ckinetics.assay import quantify, read_plates
from ckinetics.assay.exports import read_export
from ckinetics.cohorts import load
from ckinetics.errors import InputError, JobError
from ckinetics.jobs import Record, locked_folder, write_text
from ckinetics.provenance import content_hash, sha256_file
from ckinetics.study import BatchRun, batch, quantify_folder
from ckinetics.study.pages import page_names
from ckinetics.study.reader_cache import read_reading, write_reading
from ckinetics.tables import read_table


@pytest.fixture
def exports(tmp_path: Path) -> tuple[Path, Path]:
    return write_batch(tmp_path)


@pytest.fixture
def quick_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out; other tests cover them."""
    import ckinetics.reporting.pages.plate as plate_page

    monkeypatch.setattr(plate_page, "plate_page", lambda data, run_id: f"<html>{run_id}</html>")


def run(exports: tuple[Path, Path], out: Path, **options: Any) -> BatchRun:
    return quantify_folder(exports[0], layout=exports[1], out=out, **options)


def events(out: Path) -> list[dict[str, Any]]:
    return Record(out).verify()


def test_what_a_batch_writes(exports: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(exports, out)
    assert done.status == "ok"
    made = {"files": 3, "read": 3, "wells": 99, "runs": 3, "results": 12, "pages_made": 3}
    assert done.counts == made | {"kept": 0, "failed": 0, "pages_kept": 0}
    assert sorted(path.name for path in (out / "plates").iterdir()) == [f"plate_{n}.html" for n in range(3)]
    page = (out / "plates" / "plate_1.html").read_text()
    assert sha256_file(exports[0] / "plate_1.csv") in page
    said = json.loads((out / "run.json").read_text())
    assert (said["status"], said["exit_status"], said["counts"]["results"]) == ("ok", 0, 12)
    assert said["settings"]["rules"] == "default"
    for output in said["outputs"]:
        assert sha256_file(out / output["file"]) == output["sha256"]
    tree = load(out / "quantified.nc")
    assert content_hash(tree) == said["quantified_hash"] == done.quantified_hash
    assert [entry["event"] for entry in events(out)][-1] == "wrote run.json"


def test_it_is_what_read_plates_and_quantify_make(exports: tuple[Path, Path], tmp_path: Path) -> None:
    done = run(exports, tmp_path / "out")
    wells = read_plates(exports[0], layout=exports[1], errors="collect")
    assert content_hash(quantify(wells)) == done.quantified_hash


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_each_result_is_traced_to_its_rows(exports: tuple[Path, Path], tmp_path: Path) -> None:
    run(exports, tmp_path / "out")
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    assert len(results) == 12
    for result in results.itertuples():
        file = exports[0] / str(result.file)
        assert result.file_sha256 == sha256_file(file)
        first, last = map(int, re.fullmatch(r"(\d+)–(\d+)", str(result.sheet_and_rows)).groups())  # type: ignore[union-attr]
        lines = file.read_text().splitlines()[first - 1 : last]
        assert [line.split(",")[1] for line in lines] == [result.sample] * 3
    assert results["level"].notna().all()
    workbook = read_table(tmp_path / "out" / "results.xlsx", what="the workbook", aliases={})
    assert len(workbook) >= 3  # its first sheet, the files


@pytest.mark.usefixtures("quick_pages")
def test_what_is_kept_is_not_read_again(
    exports: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "save", keep)
    out = tmp_path / "out"
    first = run(exports, out)
    with monkeypatch.context() as patched:
        patched.setattr(batch, "read_export", lambda *_: pytest.fail("a kept file was read again"))
        second = run(exports, out, resume=True)
    assert (second.counts["kept"], second.counts["pages_kept"]) == (3, 3)
    assert second.quantified_hash == first.quantified_hash
    # One file more, and one under another name.
    plate({"P0-0": 5e3}).to_csv(exports[0] / "plate_9.csv", index=False)
    (exports[0] / "plate_2.csv").rename(exports[0] / "plate_8.csv")
    third = run(exports, out, resume=True, repeats="mean")
    assert (third.counts["read"], third.counts["kept"]) == (1, 3)
    assert "plate_8.csv" in stored(out / "quantified.nc")["wells"]["file"].values
    assert any("of an earlier run, not of this one: plates/plate_2.html" in text for text in third.messages)
    # What changes the reading of files changes all of them.
    fourth = run(exports, out, resume=True, undetermined=["silent"], repeats="mean")
    assert (fourth.counts["read"], fourth.counts["kept"]) == (4, 0)


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_what_was_changed_by_hand_is_made_again(exports: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(exports, out)
    kept = sorted((out / "files").iterdir())[0]
    kept.write_text(kept.read_text().replace('"cq":3', '"cq":2'))
    page = out / "plates" / "plate_0.html"
    page.write_text("all is well")
    second = run(exports, out, resume=True)
    assert (second.counts["read"], second.counts["pages_made"]) == (1, 1)
    assert second.quantified_hash == first.quantified_hash
    assert page.read_text() != "all is well"


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_a_broken_record_stops_it(exports: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(exports, out)
    record = out / "record.jsonl"
    record.write_text(record.read_text().replace('"kept": 0', '"kept": 1').replace("plate_0", "plate_7"))
    with pytest.raises(JobError, match=r"record\.jsonl, line \d+: the chain of hashes is broken"):
        run(exports, out, resume=True)


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_one_bad_file_never_stops_the_rest(exports: tuple[Path, Path], tmp_path: Path) -> None:
    (exports[0] / "bad.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    (exports[0] / "copy.csv").write_bytes((exports[0] / "plate_0.csv").read_bytes())
    (exports[0] / "later").mkdir()
    done = run(exports, tmp_path / "out")
    assert done.status == "failed"
    verdicts = {verdict.file: verdict for verdict in done.verdicts}
    assert verdicts["bad.xlsx"].verdict == "failed"
    assert "copy of 'copy.csv'" in verdicts["plate_0.csv"].message
    assert (done.counts["results"], done.counts["read"], done.counts["kept"]) == (12, 5, 0)
    assert "folders inside 'exports' are not read: 'later'; run each by itself" in done.messages


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_many_faults_of_one_kind_are_one_sentence(exports: tuple[Path, Path], tmp_path: Path) -> None:
    """Each sample is named, in one line and not in a hundred; a sample without a name counts too."""
    plate({f"X{at}": 1e3 for at in range(20)}).to_csv(exports[0] / "plate_0.csv", index=False)
    plate({"": 1e3}).to_csv(exports[0] / "plate_1.csv", index=False)
    done = run(exports, tmp_path / "out")
    assert done.status == "failed"
    samples = {verdict.file: verdict.message for verdict in done.verdicts if verdict.kind == "sample"}
    assert len(samples) == sum(verdict.kind == "sample" for verdict in done.verdicts) == 2
    assert samples["plate_0.csv"].startswith("row 23: sample 'X0' (wells B10, B11, B12) is not in the sample sheet")
    assert samples["plate_0.csv"].endswith("and likewise 19 others: " + ", ".join(f"'X{at}'" for at in range(1, 20)))
    assert samples["plate_1.csv"].startswith("row 23: a sample without a name (wells B10, B11, B12) is not in")
    (note,) = (text for text in done.messages if "on no plate" in text)
    assert note.startswith("samples.csv, row 2: 'P0-0' is on no plate that was read; and likewise 7 others: 'P0-1'")


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_samples_without_a_level_for_one_reason_are_one_sentence(exports: tuple[Path, Path], tmp_path: Path) -> None:
    exports[1].write_text(exports[1].read_text().replace("200.0", "200000"))
    done = run(exports, tmp_path / "out")
    (note,) = done.messages
    assert "has no level: genomic DNA in the well 2e+05 ng misses the limit (10 to 5000 ng)" in note
    assert "and likewise 11 others: " in note


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_a_contaminated_plate_is_quality_control(exports: tuple[Path, Path], tmp_path: Path) -> None:
    plate({"P0-0": 5e3}, ntc="30.0").to_csv(exports[0] / "plate_0.csv", index=False)
    done = run(exports, tmp_path / "out")
    assert done.status == "quality control failed"
    assert json.loads((tmp_path / "out" / "run.json").read_text())["exit_status"] == 3


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_overrides_and_masks_are_recorded(exports: tuple[Path, Path], tmp_path: Path) -> None:
    bad = plate({f"P0-{at}": 10.0 ** (1.2 + at) for at in range(4)})
    bad.loc[bad["sample"] == "Std 1000", "cq"] += 0.8
    bad.to_csv(exports[0] / "plate_0.csv", index=False)
    rules = tmp_path / "rules.toml"
    rules.write_text(MASKING)
    decided = tmp_path / "decided.csv"
    decided.write_text("action,run,well,by,when,why\nomit,plate_1,B10,QA,2026-02-01,a bubble\n")
    done = run(exports, tmp_path / "out", rules=str(rules), overrides=str(decided))
    found = {entry["event"]: entry["data"] for entry in events(tmp_path / "out")}
    assert {name: found["override"][name] for name in ("by", "when", "why", "well")} == {
        "by": "QA", "when": "2026-02-01", "why": "a bubble", "well": "B10",
    }  # fmt: skip
    masks = [entry["data"] for entry in events(tmp_path / "out") if entry["event"] == "mask"]
    assert {mask["run"]: mask["wells"] for mask in masks} == {"plate_0": "A7 A8 A9", "plate_1": "B10"}
    assert all(mask["why"] for mask in masks)
    assert {verdict.kind for verdict in done.verdicts} == {"sample sheet", "overrides", "rules", "plate"}


MASKING = """
based_on = "default"
name = "with masking"
version = "1"

[rules.masking]
meaning = "standard levels that may be masked"
max_levels = 1
fatal = true
required = false
source = "the laboratory's own"
status = "practice"
"""


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_files_that_say_how_are_inputs_too(exports: tuple[Path, Path], tmp_path: Path) -> None:
    exports[1].write_text("sample,patient\nP0-0,P1\n")
    done = run(exports, tmp_path / "out")
    assert done.status == "failed"
    assert [(verdict.kind, verdict.verdict) for verdict in done.verdicts] == [("sample sheet", "failed")]
    assert "dna_ng" in done.verdicts[0].message
    assert json.loads((tmp_path / "out" / "run.json").read_text())["exit_status"] == 1
    # An override that matches nothing costs the quantification, not the readings.
    decided = tmp_path / "decided.csv"
    decided.write_text("action,run,well,by,when,why\nomit,nowhere,B10,QA,2026-02-01,a bubble\n")
    (tmp_path / "again").mkdir()
    second = write_batch(tmp_path / "again")
    done = run(second, tmp_path / "out2", overrides=str(decided))
    assert done.status == "failed"
    assert any(v.kind == "quantification" and "nothing matches the override" in v.message for v in done.verdicts)
    assert run(second, tmp_path / "out2", resume=True).counts["kept"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": "defualt"}, "rules 'defualt' is not there"),
        ({"overrides": "none.csv"}, "overrides 'none.csv' is not there"),
        ({"repeats": "sometimes"}, "repeats: Input should be"),
        ({"repaets": "mean"}, "unknown key 'repaets': did you mean 'repeats'"),
        ({"quantity_unit": "furlongs"}, "unknown unit of quantity"),
        ({"files": "elsewhere"}, "'files' is no option here"),
    ],
)
def test_wrong_options_write_nothing(
    exports: tuple[Path, Path], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(exports, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_folders_that_are_refused(exports: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="among the plate exports"):
        run(exports, exports[0])
    with pytest.raises(InputError, match="is no folder"):
        quantify_folder(exports[1], out=tmp_path / "out")
    with pytest.raises(InputError, match="is a file"):
        run(exports, exports[1])
    with pytest.raises(InputError, match=r"layout .* is not there"):
        run((exports[0], tmp_path / "none.csv"), tmp_path / "out")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    for resume in (False, True):
        with pytest.raises(InputError, match="holds other files and no earlier run"):
            run(exports, mine, resume=resume)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    out = tmp_path / "out"
    run(exports, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(InputError, match="holds an earlier run: go on with it by --resume"):
        run(exports, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with locked_folder(out), pytest.raises(JobError, match="being written by another"):
        run(exports, out, resume=True)


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_nothing_is_written_outside_the_output_folder(exports: tuple[Path, Path], tmp_path: Path) -> None:
    names = ["../../escaped", "/tmp/escaped", "a/b", "..", "C:\\x", "con", "x" * 300, "=1+1", "<script>", "plate_1 "]
    for number, name in enumerate(names):
        samples = {f"Q{number}": 1e4}
        plate(samples, run_id=name).to_csv(exports[0] / f"hostile_{number}.csv", index=False)
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "deep" / "er" / "out"
    done = run(exports, out)
    new = set(tmp_path.rglob("*")) - before
    assert all(out in path.parents or path in (out, *out.parents) for path in new)
    assert done.counts["runs"] == 13 - 1  # "plate_1 " is read as "plate_1", and there already
    assert len(list((out / "plates").iterdir())) == 12


RUNS = st.one_of(st.text(max_size=12), st.sampled_from(["a", "A", "a.", "../a", "nul", "NUL.txt"]))


@given(st.lists(RUNS, unique=True))
def test_page_names_are_safe_and_never_shared(runs: list[str]) -> None:
    names = page_names(runs)
    assert set(names) == set(runs)
    assert len({name.casefold() for name in names.values()}) == len(runs)
    for name in names.values():
        assert re.fullmatch(r"plates/[A-Za-z0-9_ -][A-Za-z0-9._ -]*\.html", name)
        assert len(name) < 140
    # A run that is named like the page of another has a page of its own.
    worse = list(dict.fromkeys([*runs, *(Path(name).stem for name in names.values())]))
    assert len({name.casefold() for name in page_names(worse).values()}) == len(worse)


def test_a_kept_reading_is_what_was_read(shared_data: Path, tmp_path: Path) -> None:
    """Of one real file of each family; the wells are equal to the last bit."""
    for number, pattern in enumerate(("*/*example05.xlsx", "biorad_cfx/*.csv", "biorad_ddpcr/*v174*", "rdml/*.rdml")):
        path = sorted((shared_data / "plates").glob(pattern))[0]
        export = read_export(path)
        assert export.error is None
        write_reading(tmp_path / f"{number}.json", export)
        kept = read_reading(tmp_path / f"{number}.json", path)
        assert repr([sorted(row.items()) for row in kept.rows]) == repr(
            [sorted((name, _python(value)) for name, value in row.items()) for row in export.rows]
        )
        assert (kept.family, kept.software, kept.sha256) == (export.family, export.software, export.sha256)


def _python(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, int) else value


def test_a_text_that_no_file_can_hold_costs_its_own_file_only(
    exports: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_pages: None
) -> None:
    import ckinetics.assay.exports as module

    real = module.read_source

    def hostile(source: Any, options: Any) -> Any:
        family, reading = real(source, options)
        if source.name == "plate_1.csv":
            reading.rows[0]["vendor_flags"] = "a\0b"
        return family, reading

    monkeypatch.setattr(module, "read_source", hostile)
    done = run(exports, tmp_path / "out")
    assert {v.file: v.verdict for v in done.verdicts}["plate_1.csv"] == "failed"
    assert done.counts["results"] == 8


# ---- killed at any moment


def whole(out: Path, *, but: tuple[str, ...] = ()) -> None:
    """Everything in the folder is whole, save what is being written under a name of its own."""
    for path in out.rglob("*"):
        if path.is_dir() or path.name in but or re.fullmatch(r"\..+\.\w{8}\.part(\.\w+)?|\.ckinetics\.lock", path.name):
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        elif path.suffix == ".nc":
            assert saved_hash(path)
        elif path.suffix == ".xlsx":
            read_table(path, what="the workbook", aliases={})
        elif path.suffix == ".csv":
            assert path.read_text().endswith("\n")
        else:
            assert path.name == "record.jsonl"
    if (out / "record.jsonl").exists():
        Record(out).verify()


def saved_hash(path: Path) -> str:
    """Return the content hash of what was saved: of a whole file, or there is none."""
    raw = path.read_bytes()
    return raw.decode() if raw.isalnum() else content_hash(load(path))


@pytest.fixture
def quick_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the content's hash in place of the content: as many writes and moves, each of a moment."""
    monkeypatch.setattr(batch, "save", lambda tree, path: write_text(path, content_hash(tree)))


def reads(out: Path) -> list[str]:
    return [entry["data"]["file"] for entry in events(out) if entry["event"] == "read"]


def _killed_at(number: int, exports: tuple[Path, Path], out: Path) -> None:
    """Run the batch, and kill the process at its n-th flush to the disk: before it, or just after the file moved."""
    flush, done = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal done
        done += 1
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(handle)

    os.fsync = fsync  # type: ignore[assignment]
    run(exports, out, resume=True)


def _kill_at_each(moments: list[int], exports: tuple[Path, Path], tmp_path: Path) -> None:
    expected = run(exports, tmp_path / "whole")
    fork = multiprocessing.get_context("fork")
    for number in moments:
        out = tmp_path / f"out{number}"
        child = fork.Process(target=_killed_at, args=(number, exports, out))
        child.start()
        child.join()
        assert child.exitcode in (-signal.SIGKILL, 0)
        whole(out)
        before = reads(out) if (out / "record.jsonl").exists() else []
        done = run(exports, out, resume=True)
        assert done.quantified_hash == expected.quantified_hash == saved_hash(out / "quantified.nc")
        assert sorted(reads(out)) == [f"plate_{n}.csv" for n in range(3)]  # each once, whenever it was
        assert done.counts["kept"] == len(before)
        whole(out, but=("quantified.nc",))
        assert not list(out.rglob("*.part*"))


@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_killed_at_some_writes(tmp_path: Path) -> None:
    _kill_at_each(sorted(random.Random(3).sample(range(2, 26), 3)), write_batch(tmp_path, samples=2), tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_pages", "quick_saves")
def test_killed_at_every_write(exports: tuple[Path, Path], tmp_path: Path) -> None:
    _kill_at_each(list(range(1, 34)), exports, tmp_path)


def _kill_processes(exports: tuple[Path, Path], tmp_path: Path, kills: int, seed: int) -> None:
    """Kill the command itself, at moments that a seed draws, and go on with it in the same folder each time."""
    generator, out = random.Random(seed), tmp_path / "out"
    words = [sys.executable, "-m", "ckinetics", "quantify", str(exports[0]), "--layout", str(exports[1])]
    words += ["--out", str(out), "--resume"]
    killed = 0
    for _ in range(kills):
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        record = out / "record.jsonl"
        size = record.stat().st_size if record.exists() else 0
        limit = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < limit:  # not before it has begun to write
            if record.exists() and record.stat().st_size > size:
                break
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 1.2))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        whole(out)
    assert killed
    expected = run(exports, tmp_path / "whole")
    done = run(exports, out, resume=True)
    assert done.quantified_hash == expected.quantified_hash == content_hash(load(out / "quantified.nc"))
    assert len(reads(out)) <= len(expected.outputs) + killed  # at most the file in hand is read again
    assert set(reads(out)) == set(reads(tmp_path / "whole"))
    whole(out)


@pytest.mark.slow
def test_killed_by_the_system(exports: tuple[Path, Path], tmp_path: Path) -> None:
    _kill_processes(exports, tmp_path, kills=2, seed=11)


@pytest.mark.slow
def test_killed_by_the_system_many_times(tmp_path: Path) -> None:
    _kill_processes(write_batch(tmp_path, plates=8, samples=10), tmp_path, kills=10, seed=5)
