"""The note that code is being compiled: once, when it takes long, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ckinetics import notices
from ckinetics.kernels.compiling.compile_notice import CompileWatch


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setenv("CKINETICS_QUIET", "0")
    notices.set_writer(lines.append)
    yield lines
    notices.reset_writer()


def test_it_is_told_once(told):
    watch = CompileWatch(patience=0.0)
    for _ in range(3):
        watch.begin()
        watch.begin()  # one function compiles another
        watch.end()
        watch.end()
    assert len(told) == 1
    assert "compiling" in told[0]
    assert "ckinetics warmup" in told[0] or "CKINETICS_CACHE_DIR" in told[0]


def test_a_quick_compilation_is_not_worth_a_line(told):
    watch = CompileWatch(patience=3600.0)
    watch.begin()
    assert watch.timer is not None
    assert watch.timer.is_alive()
    watch.end()
    assert watch.timer is None
    assert told == []
    assert watch.depth == 0


def test_many_quick_ones_are(told):
    watch = CompileWatch(patience=3600.0)
    watch.spent = 3600.0
    watch.begin()
    watch.end()
    assert len(told) == 1


def test_without_a_cache_it_says_that_it_comes_again(told, monkeypatch):
    monkeypatch.setattr("ckinetics.kernels.compiling.compile_notice.cache_root", lambda: None)
    watch = CompileWatch(patience=0.0)
    watch.begin()
    watch.end()
    assert "every process does this again" in told[0]


def test_it_can_be_silenced(told, monkeypatch):
    monkeypatch.setenv("CKINETICS_QUIET", "1")
    notices.tell("a note")
    assert told == []
    monkeypatch.setenv("CKINETICS_QUIET", "0")
    notices.set_writer(None)
    notices.tell("a note")
    assert told == []


def test_a_stream_that_is_closed_or_absent_breaks_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("CKINETICS_QUIET", "0")
    notices.reset_writer()
    stream = (tmp_path / "stream").open("w")
    stream.close()
    for broken in (stream, None):
        monkeypatch.setattr("sys.stderr", broken)
        notices.tell("a note")


CODE = """
import ckinetics.kernels.compiling.compile_notice as notice
notice.WATCH.patience = 0.0
from ckinetics.kernels.nca.samples import scratch
scratch(3)
scratch(4)
"""


def test_a_process_tells_what_it_compiles_and_not_what_it_loads(tmp_path: Path):
    def run(**env: str) -> str:
        found = os.environ | {"CKINETICS_QUIET": "0", "CKINETICS_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=found | env)
        assert done.returncode == 0, done.stderr
        return done.stderr

    first = run()
    assert first.count("\n") == 1
    assert "compiling, once on this computer" in first
    assert run() == ""
    assert run(CKINETICS_CACHE_DIR=str(tmp_path / "other"), CKINETICS_QUIET="1") == ""


def test_functions_of_others_are_not_told(told):
    import numba

    watch = CompileWatch(patience=0.0)
    numba.core.event.register("numba:compile", watch)
    try:
        numba.njit(lambda x: x + 1)(1)
    finally:
        numba.core.event.unregister("numba:compile", watch)
    assert told == []
