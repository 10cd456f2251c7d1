"""The command ``ckinetics``.

Exit codes: 0 everything went well; 1 some input failed; 2 the command was used wrongly; 3 quality control
failed and nothing else did.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .compare import compare
from .fit import fit
from .models import models
from .nca import nca
from .plates import plates
from .quantify import quantify
from .stopping import stop
from .warmup import warmup

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_QC = 0, 1, 2, 3

app = typer.Typer(
    name="ckinetics",
    help="Cellular kinetics of CAR-T: from plate exports to exposure and response.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from .._version import __version__

        typer.echo(f"ckinetics {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Folder with study.toml (or of plate exports only).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but faults.")] = False,
) -> None:
    """Run a study: plates and clinical tables in, analyses and a report out."""
    _run(folder, out, quiet=quiet)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study and its results.")] = Path(
        "demo-output"
    ),
    patients: Annotated[int, typer.Option(help="Number of simulated patients.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 7,
) -> None:
    """Simulate a small study in the files a laboratory has, and run it."""
    from ..errors import CkineticsError
    from ..study import simulate_study

    study = out / "study"
    try:
        if (study / "study.toml").is_file():
            typer.echo(f"using the study in {study} (remove it to simulate another)")
        else:
            typer.echo(f"simulating {patients} patients into {study}")
            simulate_study(study, patients=patients, seed=seed)
    except CkineticsError as err:
        stop(err, EXIT_USAGE)
    _run(study, out, quiet=False)


app.command()(compare)
app.command()(fit)
app.command()(models)
app.command()(nca)
app.command()(plates)
app.command()(quantify)
app.command()(warmup)


def _run(folder: Path, out: Path, *, quiet: bool) -> None:
    from ..errors import CkineticsError, InputError
    from ..notices import set_writer
    from ..study import run_study
    from ..study.outcome import FAILED, OK, QC_FAILED

    if quiet:
        set_writer(None)
    try:
        result = run_study(folder, out=out, progress=None if quiet else _progress())
    except InputError as err:
        stop(err, EXIT_USAGE)
    except (CkineticsError, OSError) as err:  # a full disk, a folder that went away
        stop(err, EXIT_FAILED)
    for verdict in result.verdicts:
        if verdict.verdict != OK:
            typer.echo(f"{verdict.verdict}: {verdict.file} ({verdict.kind}): {verdict.message}", err=True)
        elif verdict.message and not quiet:
            typer.echo(f"note: {verdict.file}: {verdict.message}")
    for message in result.messages:
        typer.echo(f"note: {message}", err=True)
    if not quiet:
        good = sum(verdict.verdict == OK for verdict in result.verdicts)
        typer.echo(f"{good} of {len(result.verdicts)} inputs ok; results in {result.out.resolve()}")
        for name in ("report.html", "report.xlsx"):
            if name in result.outputs:
                typer.echo(f"  {result.outputs[name].resolve()}")
    raise typer.Exit({OK: EXIT_OK, FAILED: EXIT_FAILED, QC_FAILED: EXIT_QC}[result.status])


def _progress() -> Callable[[str], None] | None:
    """Show each step on a terminal; say nothing into a file or a pipe."""
    if not sys.stderr.isatty():
        return None

    def tell(line: str) -> None:
        typer.echo(f"· {line}", err=True)

    return tell


def main() -> None:
    """Run the command line."""
    app()
