"""One model fitted to every cohort of a folder: the fits, and tables of estimates and of what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ..cohorts import load
from ..jobs import write_text
from ..modeling import load_model
from .cohort_files import find_cohorts
from .compare_folder import FITS, CompareRun, compare_folder, file_name

ESTIMATES, DERIVED = "estimates.csv", "derived.csv"


def fit_folder(study: str | Path, /, *, model: str, out: str | Path, **options: Any) -> CompareRun:
    r"""Fit a model to each cohort of a folder.

    Parameters
    ----------
    study, out, **options
        As in `ckinetics.study.compare_folder.compare_folder`, whose files it writes; intervals are those of
        `ckinetics.fit` unless `interval` says otherwise. Beside them ``estimates.csv`` (a row a cohort, patient and
        parameter) and ``derived.csv`` (a row a cohort, patient and quantity), with intervals.
    model : str
        A model's name, or the path of its file.

    Returns
    -------
    CompareRun
        Verdicts, messages, outputs and counts. A cohort that fails is a verdict; the rest goes on.

    Raises
    ------
    InputError, JobError
        As `compare_folder` does.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> days, levels = [1, 4, 7, 9, 11, 14, 21, 28, 60, 90, 180], [60, 400, 3000, 9e3, 7e3, 4e3, 2e3, 900, 150, 120, 90]
    >>> lines = [f"P1,{day},{level},copies/ug" for day, level in zip(days, levels)]
    >>> _ = (folder / "arm_a.csv").write_text("patient,time,level,unit\n" + "\n".join(lines))
    >>> run = fit_folder(folder, model="stein2019", out=folder / "results", figures=False, interval="t")
    >>> run.status, len(pd.read_csv(run.out / "estimates.csv"))
    ('ok', 7)
    """
    options.setdefault("interval", "auto")
    run = compare_folder(study, models=[model], out=out, **options)
    files, _notes = find_cohorts(Path(study), out=Path(out))
    name = load_model(model).name
    saved = {file.name: run.out / file_name(FITS, file.name, name) for file in files}
    fits = {cohort: load(path) for cohort, path in saved.items() if path.is_file()}
    columns = ["estimate", "se", "lower", "upper", "estimable", "unit", "fixed"]
    _write(run.out / ESTIMATES, fits, "estimates", "parameter", columns)
    _write(run.out / DERIVED, fits, "derived", "quantity", ["value", "se", "lower", "upper", "estimable", "unit"])
    return run


def _write(path: Path, fits: dict[str, Any], group: str, thing: str, columns: list[str]) -> None:
    """Write a table of one group of all fits, with what is said of each patient."""
    tables = []
    for cohort, fit in fits.items():
        found: xr.Dataset = fit[group].to_dataset()  # with the patients, which groups inherit
        table = found[[name for name in columns if name in found]].to_dataframe().reset_index()
        table.insert(0, "cohort", cohort)
        said = pd.Series(fit["message"].values, index=[str(name) for name in fit["patient"].values])
        table["message"] = table["patient"].astype(str).map(said)
        tables.append(table[["cohort", "patient", thing, *[c for c in columns if c in table], "message"]])
    whole = pd.concat(tables) if tables else pd.DataFrame(columns=["cohort", "patient", thing, *columns, "message"])
    write_text(path, whole.to_csv(index=False, lineterminator="\n"))
