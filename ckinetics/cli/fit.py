"""The command ``ckinetics fit``: one model fitted to every patient of every cohort of a folder."""

from __future__ import annotations

from typing import Annotated

import typer

from . import fit_options as options
from .compare import leave, run_folder


def fit(
    study: options.Study,
    model: Annotated[str, typer.Option("--model", "-m", help="A model's name, or the path of its file.")],
    out: options.Out,
    residual: options.Residual = None,
    censoring: options.Censoring = "M3",
    interval: options.Interval = "auto",
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
    """Fit a model to every patient of every cohort: estimates.csv, derived.csv, a page, and every fit to load again.

    Run again, it goes on where it stopped: fits of unchanged cohorts, models and settings are not made again.

    Exit codes: 0 everything went well; 1 some cohort or fit failed; 2 the command was used wrongly.
    """
    given = {
        "residual": residual, "censoring": censoring, "interval": interval, "starts": starts, "seed": seed,
        "threads": threads, "matrix": matrix, "unit": unit, "time_unit": time_unit, "lloq": lloq, "inputs": inputs,
        "outputs": output, "title": title, "figures": figures, "force": force,
    }  # fmt: skip
    run = run_folder(study, [model], out, given, quiet=quiet)
    if not quiet:
        counts = run.counts
        typer.echo(
            f"{counts['fitted']} fits made, {counts['kept']} kept from before, {counts['failed']} failed; "
            f"estimates.csv, derived.csv and the fits are in {run.out.resolve()}"
        )
    leave(run)
