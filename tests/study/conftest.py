from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from quick_files import keep, stored

from ckinetics.study import simulate_study


@pytest.fixture(scope="session")
def _small_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_study(tmp_path_factory.mktemp("study") / "study", patients=4, seed=3)


@pytest.fixture
def small_study(_small_study: Path, tmp_path: Path) -> Path:
    """A copy of a simulated study of four patients, without the fit (which other tests cover)."""
    folder = tmp_path / "study"
    shutil.copytree(_small_study, folder)
    text = (folder / "study.toml").read_text()
    start, end = text.index("[fit]"), text.index("[exposure]")
    (folder / "study.toml").write_text(text[:start] + text[end:])
    return folder


@pytest.fixture
def quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures and tables of the report out, and pickle the results (see `stored`); other tests cover them."""
    import ckinetics.reporting as reporting
    from ckinetics.study import run

    def report(*args: object, path: Path, **options: object) -> Path:
        path.write_text("report")
        return path

    monkeypatch.setattr(reporting, "report", report)
    monkeypatch.setattr(run, "save", keep)
    monkeypatch.setattr(run, "load", stored)
