"""The command ``ckinetics fit``: one model fitted to every patient of every cohort of a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from .progress import Bar

_OPTION = typer.Option


def fit(
    study: Annotated[
        Path,
        typer.Argument(help="Folder of cohorts: .nc files, tables of levels, results of ckinetics run; or a file."),
    ],
    model: Annotated[str, _OPTION("--model", "-m", help="A model's name, or the path of its file.")],
    out: Annotated[Path, _OPTION("--out", "-o", help="Folder of the results; one of an earlier run is gone on with.")],
    residual: Annotated[
        str | None, _OPTION(help="Residual error; default that of the file, else additive on log.")
    ] = None,
    censoring: Annotated[str, _OPTION(help="M3, 'M3 without detection', M1, M5 or M6.")] = "M3",
    interval: Annotated[str, _OPTION(help="Intervals: auto, profile, t or normal.")] = "auto",
    starts: Annotated[int, _OPTION(min=1, help="Starting points of each patient.")] = 8,
    seed: Annotated[int, _OPTION(min=0, help="Seed of the starting points.")] = 0,
    threads: Annotated[int, _OPTION(min=1, help="Threads over patients; results do not depend on it.")] = 1,
    matrix: Annotated[str | None, _OPTION(help="Matrix to fit; default the only one, or blood.")] = None,
    unit: Annotated[str | None, _OPTION(help="Unit of the levels of tables that have no column of it.")] = None,
    time_unit: Annotated[str | None, _OPTION(help="Unit of the times of tables: day (default), h, week, min.")] = None,
    lloq: Annotated[float | None, _OPTION(help="LLOQ of samples of tables that have none of their own.")] = None,
    figures: Annotated[
        bool, _OPTION("--figures/--no-figures", help="Draw every patient; each thousand takes minutes.")
    ] = True,
    force: Annotated[bool, _OPTION("--force", help="Fit everything again.")] = False,
    quiet: Annotated[bool, _OPTION("--quiet", "-q", help="Show nothing but faults.")] = False,
) -> None:
    """Fit a model to every patient of every cohort: estimates.csv, derived.csv, a page, and every fit to load again.

    Run again, it goes on where it stopped: fits of unchanged cohorts, models and settings are not made again.

    Exit codes: 0 everything went well; 1 some cohort failed; 2 the command was used wrongly.
    """
    from ..errors import CkineticsError, InputError
    from ..notices import set_writer
    from ..study.fit_folder import DERIVED, ESTIMATES, fit_folder
    from ..study.outcome import OK

    if quiet:
        set_writer(None)
    bar = Bar(shown=not quiet and sys.stderr.isatty())
    try:
        with bar:
            run = fit_folder(
                study, model=model, out=out, residual=residual, censoring=censoring, interval=interval, starts=starts,
                seed=seed, threads=threads, matrix=matrix, unit=unit, time_unit=time_unit, lloq=lloq, figures=figures,
                force=force, progress=bar.show,
            )  # fmt: skip
    except InputError as err:
        _stop(err, 2)
    except (CkineticsError, OSError) as err:  # a full disk, a folder that went away
        _stop(err, 1)
    for verdict in run.verdicts:
        if verdict.verdict != OK:
            typer.echo(f"{verdict.verdict}: {verdict.file} ({verdict.kind}): {verdict.message}", err=True)
    if not quiet:
        for text in run.messages:
            typer.echo(f"note: {text}", err=True)
        counts = run.counts
        typer.echo(
            f"{counts['fitted']} fits made, {counts['kept']} kept from before, {counts['failed']} failed; "
            f"{ESTIMATES}, {DERIVED} and the fits are in {run.out.resolve()}"
        )
    raise typer.Exit(0 if run.status == OK else 1)


def _stop(err: Exception, code: int) -> NoReturn:
    typer.echo(f"ckinetics: {err}", err=True)
    raise typer.Exit(code)
