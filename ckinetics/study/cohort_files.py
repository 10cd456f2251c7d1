"""The cohorts in a folder: saved ones, tables of levels, and the results of runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from ..cohorts import cohort, load, profiles_of
from ..errors import InputError
from .nca_input import Levels, read_levels

_SAVED, _TABLES = (".nc",), (".csv", ".tsv", ".xlsx")
_OF_A_RUN = "cohort.nc"


@dataclass(frozen=True)
class CohortFile:
    """A cohort's name, which no other in the folder has, and its file."""

    name: str
    path: Path


def find_cohorts(study: Path, *, out: Path) -> tuple[list[CohortFile], list[str]]:
    """Return the cohorts of a study, in the order of their names, and what a person should know.

    Parameters
    ----------
    study : Path
        A folder of files (``.nc`` of `ckinetics.save`, tables of levels) and of results of ``ckinetics run``; the
        results of one run; or one file.
    out : Path
        Where results go; it is not looked into.

    Raises
    ------
    InputError
        It is not there, or holds no cohort.
    """
    if study.is_file():
        return [CohortFile(study.stem, study)], []
    if not study.is_dir():
        raise InputError(f"'{study}' is not there: name a folder of cohorts, or one file")
    if (study / _OF_A_RUN).is_file():
        return [CohortFile(study.resolve().name, study / _OF_A_RUN)], []
    found: list[tuple[str, Path]] = []
    passed = []
    for path in sorted(study.iterdir()):
        if path.name.startswith(".") or path.resolve() == out.resolve():
            continue
        if path.is_dir():
            if (path / _OF_A_RUN).is_file():
                found.append((path.name, path / _OF_A_RUN))
            else:
                passed.append(path.name)
        elif path.suffix.lower() in (*_SAVED, *_TABLES):
            found.append((path.stem, path))
        else:
            passed.append(path.name)
    if not found:
        hint = "run the study first, and name the folder of its results" if (study / "study.toml").is_file() else (
            "it takes files of ckinetics.save (.nc), tables of levels (.csv, .tsv, .xlsx) and results of ckinetics run"
        )  # fmt: skip
        raise InputError(f"there is no cohort in '{study}': {hint}")
    notes = [f"not read, for they are no cohorts: {', '.join(passed)}"] if passed else []
    times = Counter(name.casefold() for name, _ in found)
    # Two files of one stem go by their whole names.
    return [
        CohortFile(name if times[name.casefold()] == 1 else str(path.relative_to(study).as_posix()), path)
        for name, path in found
    ], notes


def read_cohort(
    file: CohortFile,
    *,
    group: str = "kinetics",
    matrix: str | None = None,
    unit: str | None = None,
    time_unit: str | None = None,
    lloq: float | None = None,
) -> xr.DataTree:
    """Return a cohort; the options are for tables, as in ``ckinetics nca``.

    Raises
    ------
    InputError
        What is wrong in the file, with its name.
    """
    if file.path.suffix.lower() not in _SAVED:
        levels = Levels(file.path, unit=unit, time_unit=time_unit, matrix=matrix or "blood", lloq=lloq)
        return read_levels(levels, title=file.name).cohort
    data = load(file.path)
    try:
        if isinstance(data, xr.Dataset):
            return cohort(data, title=file.name)
        profiles_of(data, group)
    except InputError as err:
        raise InputError(f"no cohort with profiles to fit: {err.message}", file=file.path) from None
    return data
