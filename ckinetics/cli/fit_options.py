"""Options of the commands that fit cohorts of a folder, told once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_OPTION = typer.Option

Study = Annotated[
    Path, typer.Argument(help="Folder of cohorts: .nc files, tables of levels, results of ckinetics run; or a file.")
]
Out = Annotated[Path, _OPTION("--out", "-o", help="Folder of the results; one of an earlier run is gone on with.")]
Residual = Annotated[str | None, _OPTION(help="Residual error; default that of the file, else additive on log.")]
Censoring = Annotated[str, _OPTION(help="M3, 'M3 without detection', M1, M5 or M6.")]
Interval = Annotated[str, _OPTION(help="Intervals of the fits: t (quick), normal, profile or auto.")]
Starts = Annotated[int, _OPTION(min=1, help="Starting points of each patient.")]
Seed = Annotated[int, _OPTION(min=0, help="Seed of the starting points.")]
Threads = Annotated[int, _OPTION(min=1, help="Threads over patients; results do not depend on it.")]
Matrix = Annotated[str | None, _OPTION(help="Matrix to fit; default the only one, or blood.")]
Unit = Annotated[str | None, _OPTION(help="Unit of the levels of tables that have no column of it.")]
TimeUnit = Annotated[str | None, _OPTION(help="Unit of the times of tables: day (default), h, week, min.")]
Lloq = Annotated[float | None, _OPTION(help="LLOQ of samples of tables that have none of their own.")]
Inputs = Annotated[
    Path | None,
    _OPTION(help="Table of doses, covariates and constants: patient, time (days), value, input; optionally cohort."),
]
Output = Annotated[
    list[str] | None,
    _OPTION(help="NAME=GROUP/LABEL: an output of the model and its profiles, such as cells=flow/blood; repeat it."),
]
Title = Annotated[str | None, _OPTION(help="Name of the study on the page; default the folder's.")]
Figures = Annotated[bool, _OPTION("--figures/--no-figures", help="Draw every patient; each thousand takes minutes.")]
Force = Annotated[bool, _OPTION("--force", help="Fit everything again.")]
Quiet = Annotated[bool, _OPTION("--quiet", "-q", help="Show nothing but faults.")]


def outputs_by_name(given: list[str] | None) -> dict[str, str] | None:
    """Return outputs and where their profiles are.

    Raises
    ------
    InputError
        One is not of the form NAME=GROUP/LABEL, or given twice.
    """
    from ..errors import InputError

    found: dict[str, str] = {}
    for text in given or []:
        name, equals, place = (part.strip() for part in text.partition("="))
        if not (name and equals and place):
            raise InputError(f"--output is '{text}': write NAME=GROUP/LABEL, such as cells=flow/blood")
        if name in found:
            raise InputError(f"--output names '{name}' twice: name it once")
        found[name] = place
    return found or None
