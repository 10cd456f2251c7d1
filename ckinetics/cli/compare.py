"""The command ``ckinetics compare``: models fitted to cohorts and compared, for a modeller."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from . import fit_options as options
from .progress import Bar
from .stopping import stop

if TYPE_CHECKING:
    from ..study.compare_folder import CompareRun

_OPTION = typer.Option


def compare(
    study: options.Study,
    models: Annotated[str, _OPTION("--models", "-m", help="Names or paths of models: a,b,c.")],
    out: options.Out,
    criterion: Annotated[str, _OPTION(help="AICc, AIC or BIC.")] = "AICc",
    failures: Annotated[
        str, _OPTION(help="drop, refuse or disqualify: what a patient is whom a model does not fit.")
    ] = "drop",
    residual: options.Residual = None,
    censoring: options.Censoring = "M3",
    interval: options.Interval = "t",
    starts: options.Starts = 8,
    seed: options.Seed = 0,
    threads: options.Threads = 1,
    matrix: options.Matrix = None,
    unit: options.Unit = None,
    time_unit: options.TimeUnit = None,
    lloq: options.Lloq = None,
    inputs: options.Inputs = None,
    output: options.Output = None,
    title: options.Title = None,
    figures: options.Figures = True,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Fit models to cohorts and compare them: a table, a page of figures, and every fit. May be interrupted.

    Run again, it goes on where it stopped: fits of unchanged cohorts, models and settings are not made again.

    Exit codes: 0 everything went well; 1 some cohort, model or fit failed; 2 the command was used wrongly.
    """
    given = {
        "criterion": criterion, "failures": failures, "residual": residual, "censoring": censoring,
        "interval": interval, "starts": starts, "seed": seed, "threads": threads, "matrix": matrix, "unit": unit,
        "time_unit": time_unit, "lloq": lloq, "inputs": inputs, "outputs": output, "title": title, "figures": figures,
        "force": force,
    }  # fmt: skip
    run = run_folder(study, [name.strip() for name in models.split(",") if name.strip()], out, given, quiet=quiet)
    if not quiet:
        for line in table_lines(run):
            typer.echo(line)
        counts = run.counts
        typer.echo(
            f"{counts['cohorts']} cohorts, {counts['models']} models: {counts['fitted']} fits made, {counts['kept']} "
            f"kept from before, {counts['failed']} failed; results in {run.out.resolve()}"
        )
    leave(run)


def run_folder(study: Path, models: list[str], out: Path, given: dict[str, Any], *, quiet: bool) -> CompareRun:
    """Fit models to the cohorts of a folder under a bar, and tell of every fault; or stop."""
    from ..errors import CkineticsError, InputError
    from ..notices import set_writer
    from ..study.compare_folder import compare_folder
    from ..study.outcome import OK

    if quiet:
        set_writer(None)
    bar = Bar(shown=not quiet and sys.stderr.isatty())
    try:
        with bar:
            given["outputs"] = options.outputs_by_name(given["outputs"])
            run = compare_folder(study, models=models, out=out, progress=bar.show, **given)
    except InputError as err:
        stop(err, 2)
    except (CkineticsError, OSError) as err:  # a full disk, a folder that went away
        stop(err, 1)
    for verdict in run.verdicts:
        if verdict.verdict != OK:
            typer.echo(f"{verdict.verdict}: {verdict.file} ({verdict.kind}): {verdict.message}", err=True)
    for message in () if quiet else run.messages:
        typer.echo(f"note: {message}", err=True)
    return run


def leave(run: CompareRun) -> NoReturn:
    """Leave with the exit code of a run."""
    from ..study.outcome import OK

    raise typer.Exit(0 if run.status == OK else 1)


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
