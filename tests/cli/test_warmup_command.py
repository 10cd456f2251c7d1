"""`ckinetics warmup` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def warmup(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ckinetics", "warmup", *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"CKINETICS_QUIET": "0"} | env,
    )


def test_one_line_a_step_and_where_the_cache_lies():
    done = warmup("stein2019")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    steps = len(lines)
    assert lines[0] == f"1/{steps} noncompartmental analysis"
    assert [line.split(" ")[0] for line in lines] == [f"{at}/{steps}" for at in range(1, steps + 1)]
    assert sum("stein2019" in line for line in lines) >= 1
    (last,) = done.stdout.splitlines()
    assert last.startswith("everything is compiled, once for all; it lies in ")
    assert Path(last.split(" lies in ")[1]).is_dir()
    quiet = warmup("stein2019", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_folder_that_cannot_be_written_is_exit_code_1(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = warmup(CKINETICS_CACHE_DIR=str(blocked / "cache"))
    assert done.returncode == 1
    assert done.stderr == (
        "ckinetics: no cache folder can be written, so compiled code would be lost: "
        "let CKINETICS_CACHE_DIR name one that can\n"
    )


@pytest.mark.parametrize(("name", "code"), [("stein2091", 2), ("nowhere.toml", 1)])
def test_wrong_models(name, code):
    done = warmup(name)
    assert done.returncode == code
    assert name.split(".")[0] in done.stderr
    assert "Traceback" not in done.stderr
