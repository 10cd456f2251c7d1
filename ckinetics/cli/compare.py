"""The command ``ckinetics compare``: models fitted to cohorts and compared, for a modeller."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from .progress import Bar

if TYPE_CHECKING:
    from ..study.compare_folder import CompareRun

_OPTION = typer.Option


def compare(
    study: Annotated[
        Path,
        typer.Argument(help="Folder of cohorts: .nc files, tables of levels, results of ckinetics run; or a file."),
    ],
    models: Annotated[str, _OPTION("--models", "-m", help="Names or paths of models: a,b,c.")],
    out: Annotated[Path, _OPTION("--out", "-o", help="Folder of the results; one of an earlier run is gone on with.")],
    criterion: Annotated[str, _OPTION(help="AICc, AIC or BIC.")] = "AICc",
    failures: Annotated[
        str, _OPTION(help="drop, refuse or disqualify: what a patient is whom a model does not fit.")
    ] = "drop",
    residual: Annotated[
        str | None, _OPTION(help="Residual error of all models; default that of each file, else additive on log.")
    ] = None,
    censoring: Annotated[str, _OPTION(help="M3, 'M3 without detection', M1, M5 or M6.")] = "M3",
    interval: Annotated[str, _OPTION(help="Intervals of the fits: t (quick), normal, profile or auto.")] = "t",
    starts: Annotated[int, _OPTION(min=1, help="Starting points of each patient.")] = 8,
    seed: Annotated[int, _OPTION(min=0, help="Seed of the starting points.")] = 0,
    threads: Annotated[int, _OPTION(min=1, help="Threads over patients; results do not depend on it.")] = 1,
    matrix: Annotated[str | None, _OPTION(help="Matrix to fit; default the only one, or blood.")] = None,
    unit: Annotated[str | None, _OPTION(help="Unit of the levels of tables that have no column of it.")] = None,
    time_unit: Annotated[str | None, _OPTION(help="Unit of the times of tables: day (default), h, week, min.")] = None,
    lloq: Annotated[float | None, _OPTION(help="LLOQ of samples of tables that have none of their own.")] = None,
    title: Annotated[str | None, _OPTION(help="Name of the study on the page; default the folder's.")] = None,
    figures: Annotated[
        bool, _OPTION("--figures/--no-figures", help="Draw every patient; each thousand takes minutes.")
    ] = True,
    force: Annotated[bool, _OPTION("--force", help="Fit everything again.")] = False,
    quiet: Annotated[bool, _OPTION("--quiet", "-q", help="Show nothing but faults.")] = False,
) -> None:
    """Fit models to cohorts and compare them: a table, a page of figures, and every fit. May be interrupted.

    Run again, it goes on where it stopped: fits of unchanged cohorts, models and settings are not made again.

    Exit codes: 0 everything went well; 1 some cohort, model or fit failed; 2 the command was used wrongly.
    """
    options = {
        "criterion": criterion, "failures": failures, "residual": residual, "censoring": censoring,
        "interval": interval, "starts": starts, "seed": seed, "threads": threads, "matrix": matrix, "unit": unit,
        "time_unit": time_unit, "lloq": lloq, "title": title, "figures": figures, "force": force,
    }  # fmt: skip
    _compare(study, [name.strip() for name in models.split(",") if name.strip()], out, options, quiet=quiet)


def _compare(study: Path, models: list[str], out: Path, options: dict[str, Any], *, quiet: bool) -> None:
    from ..errors import CkineticsError, InputError
    from ..notices import set_writer
    from ..study.compare_folder import compare_folder
    from ..study.outcome import OK

    if quiet:
        set_writer(None)
    bar = Bar(shown=not quiet and sys.stderr.isatty())
    try:
        with bar:
            run = compare_folder(study, models=models, out=out, progress=bar.show, **options)
    except InputError as err:
        _stop(err, 2)
    except (CkineticsError, OSError) as err:  # a full disk, a folder that went away
        _stop(err, 1)
    _tell(run, quiet=quiet)
    raise typer.Exit(0 if run.status == OK else 1)


def _tell(run: CompareRun, *, quiet: bool) -> None:
    from ..study.outcome import OK

    for verdict in run.verdicts:
        if verdict.verdict != OK:
            typer.echo(f"{verdict.verdict}: {verdict.file} ({verdict.kind}): {verdict.message}", err=True)
    if quiet:
        return
    for message in run.messages:
        typer.echo(f"note: {message}", err=True)
    for line in table_lines(run):
        typer.echo(line)
    counts = run.counts
    typer.echo(
        f"{counts['cohorts']} cohorts, {counts['models']} models: {counts['fitted']} fits made, {counts['kept']} kept "
        f"from before, {counts['failed']} failed; results in {run.out.resolve()}"
    )


def table_lines(run: CompareRun) -> list[str]:
    """Return the table as lines of text: cohort, model, criterion, difference, weight, who was compared."""
    import numpy as np

    table = run.table
    difference = next((str(name) for name in table.columns if str(name).startswith("difference of ")), "")
    if table.empty or not difference:
        return []
    criterion = difference.removeprefix("difference of ")
    rows: list[tuple[str, ...]] = [
        ("cohort", "model", "patients", "left out", criterion, "difference", "weight", "best in", "failed")
    ]
    for row in table.to_dict("records"):
        values = (f"{float(row[name]):.1f}" for name in (criterion, difference))
        patients, out, best, failed = (
            "" if np.isnan(row[name]) else str(int(row[name]))
            for name in ("patients", "patients left out", "best in", "failed")
        )
        shares = f"{float(row['weight']):.3f}"
        rows.append((str(row["cohort"]), str(row["model"]), patients, out, *values, shares, best, failed))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(_cell(cell, width, at) for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
            for row in rows]  # fmt: skip


def _cell(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column < 2 else text.rjust(width)


def _stop(err: Exception, code: int) -> NoReturn:
    typer.echo(f"ckinetics: {err}", err=True)
    raise typer.Exit(code)
