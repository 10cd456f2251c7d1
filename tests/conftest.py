"""Shared fixtures, and the rule that a test may be skipped for a listed reason only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import matplotlib as mpl
import pytest

mpl.use("Agg")
# Whether code is compiled or comes from the cache must not change what a test sees on stderr.
os.environ["CKINETICS_QUIET"] = "1"

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
NO_SHARED = "the folder ../shared/data is absent"

# Reasons for which a test may be skipped. CI sets CKINETICS_STRICT_SKIPS=1 where the folder is present,
# and then even these fail.
LISTED_REASONS = (NO_SHARED,)
# What cannot be without compilation may be left out where NUMBA_DISABLE_JIT=1, which measures coverage of the rest.
NOT_COMPILED = ("there are no lanes without compilation", "nothing is compiled")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(NO_SHARED)
    return SHARED


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave empty what the figures of a report are drawn as; other tests look at them."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    def empty(self: object, stream: IO[bytes], **options: object) -> None:
        stream.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>')

    monkeypatch.setattr(FigureCanvasSVG, "print_figure", empty)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("CKINETICS_STRICT_SKIPS") != "1" or exitstatus not in (0, 5):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # one of several processes: the one that started them judges
        return
    allowed = () if SHARED.is_dir() else LISTED_REASONS
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        allowed = (*allowed, *NOT_COMPILED)
    unlisted = [
        report
        for report in reporter.stats.get("skipped", [])
        if not any(reason in str(report.longrepr) for reason in allowed)
    ]
    if unlisted:
        reporter.write_line(f"{len(unlisted)} test(s) skipped without a listed reason:")
        for report in unlisted:
            reporter.write_line(f"  {report.nodeid}: {report.longrepr}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
