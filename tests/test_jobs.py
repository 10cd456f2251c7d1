from __future__ import annotations

import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from ckinetics import jobs
from ckinetics.errors import JobError


def test_a_failed_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    jobs.write_text(target, "old\n")

    def fail() -> None:
        with jobs.atomic_path(target) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_said_with_the_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    jobs.write_text(target, "old\n")
    with pytest.raises(JobError, match=r"a\.txt: the disk is full"), jobs.atomic_path(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_makes_its_folder_and_keeps_the_suffix(tmp_path: Path) -> None:
    with jobs.atomic_path(tmp_path / "new" / "x.nc") as part:
        assert part.suffix == ".nc"
        part.write_bytes(b"1")
    assert (tmp_path / "new" / "x.nc").read_bytes() == b"1"


def test_writing_onto_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="it is a folder"), jobs.atomic_path(tmp_path):
        pass


def test_writing_below_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(JobError, match="cannot write"), jobs.atomic_path(tmp_path / "file" / "a.txt"):
        pass


def _hold(folder: str, ready: str, done: str) -> None:
    with jobs.locked_folder(folder):
        Path(ready).touch()
        while not Path(done).exists():
            time.sleep(0.01)


def test_one_writer_per_folder_across_processes(tmp_path: Path) -> None:
    ready, done = tmp_path / "ready", tmp_path / "done"
    process = multiprocessing.get_context("spawn").Process(
        target=_hold, args=(str(tmp_path / "out"), str(ready), str(done))
    )
    process.start()
    while not ready.exists():
        time.sleep(0.01)
    with pytest.raises(JobError, match="another ckinetics process"), jobs.locked_folder(tmp_path / "out"):
        pass
    done.touch()
    process.join()
    with jobs.locked_folder(tmp_path / "out") as out:
        assert out.is_dir()


def test_a_lock_is_gone_with_its_process(tmp_path: Path) -> None:
    ready, done = tmp_path / "ready", tmp_path / "never"
    process = multiprocessing.get_context("spawn").Process(
        target=_hold, args=(str(tmp_path / "out"), str(ready), str(done))
    )
    process.start()
    while not ready.exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    with jobs.locked_folder(tmp_path / "out", timeout=5):
        assert True


def test_resume_key_changes_with_everything_that_changes_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"step": "nca", "inputs": {"a": "1"}, "settings": {"x": 1.0}}
    key = jobs.resume_key(**base)
    assert key == jobs.resume_key(**base)
    assert key != jobs.resume_key(**{**base, "step": "fit"})
    assert key != jobs.resume_key(**{**base, "inputs": {"a": "2"}})
    assert key != jobs.resume_key(**{**base, "settings": {"x": 1.5}})
    monkeypatch.setattr(jobs, "versions", lambda: {"ckinetics": "other"})
    assert key != jobs.resume_key(**base)


def test_record_chains_and_finds_the_changed_line(tmp_path: Path) -> None:
    record = jobs.Record(tmp_path / "record.jsonl")
    for number in range(3):
        record.append("step", {"number": number})
    entries = jobs.Record(tmp_path / "record.jsonl").verify()
    assert [entry["data"]["number"] for entry in entries] == [0, 1, 2]
    lines = record.path.read_text().splitlines()
    changed = json.loads(lines[1])
    changed["data"]["number"] = 7
    lines[1] = json.dumps(changed, sort_keys=True)
    record.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(JobError, match=r"line 2: the chain of hashes is broken"):
        jobs.Record(tmp_path / "record.jsonl")


@pytest.mark.parametrize("remove", [0, 1])
def test_record_finds_a_removed_line(tmp_path: Path, remove: int) -> None:
    record = jobs.Record(tmp_path)
    for number in range(3):
        record.append("step", {"number": number})
    lines = record.path.read_text().splitlines()
    del lines[remove]
    record.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(JobError, match=f"line {remove + 1}"):
        record.verify()


def test_record_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    record = jobs.Record(tmp_path)
    record.append("one")
    with record.path.open("ab") as stream:
        stream.write(b'{"seq": 1, "ti')
    again = jobs.Record(tmp_path)
    again.append("two")
    assert [entry["event"] for entry in again.verify()] == ["one", "torn line removed", "two"]


def test_record_of_an_output_holds_its_hash(tmp_path: Path) -> None:
    jobs.write_text(tmp_path / "a.txt", "x")
    record = jobs.Record(tmp_path)
    record.append_output("wrote", tmp_path / "a.txt")
    assert record.verify()[0]["data"]["sha256"] == jobs.sha256_file(tmp_path / "a.txt")


@pytest.mark.skipif(os.name == "nt", reason="permissions of files are those of POSIX")
def test_a_result_is_as_readable_as_other_files(tmp_path: Path) -> None:
    jobs.write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_only_files_that_were_being_written_are_removed(tmp_path: Path) -> None:
    with jobs.atomic_path(tmp_path / "fit.nc") as part:
        unfinished = tmp_path / part.name
        part.write_bytes(b"half")
        copy = unfinished.read_bytes()
    unfinished.write_bytes(copy)  # as a killed process leaves it
    kept = [tmp_path / name for name in (".ckinetics.lock", ".notes", "a.part.nc", ".hidden.part")]
    for path in kept:
        path.write_text("x")
    assert jobs.remove_unfinished(tmp_path) == [unfinished.name]
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "fit.nc"])
