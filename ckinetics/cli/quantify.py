"""The command ``ckinetics quantify``: a folder of plate exports to results, for a laboratory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .progress import Bar
from .stopping import stop

if TYPE_CHECKING:
    from ..study.batch import BatchRun

_OPTION = typer.Option


def quantify(
    folder: Annotated[Path, typer.Argument(help="Folder of plate exports.")],
    out: Annotated[Path, _OPTION("--out", "-o", help="Folder of the results, new or empty.")],
    layout: Annotated[Path | None, _OPTION(help="Sample sheet; else samples.csv in the folder.")] = None,
    resume: Annotated[bool, _OPTION("--resume", help="Go on with the run in --out; read only what is new.")] = False,
    settings: Annotated[Path | None, _OPTION(help="TOML file with the keys of [plates]; options win over it.")] = None,
    rules: Annotated[str | None, _OPTION(help="default, strict, gmo, or a TOML file.")] = None,
    overrides: Annotated[str | None, _OPTION(help="Table of manual decisions: who, when, why.")] = None,
    target: Annotated[str | None, _OPTION(help="Target of the profiles.")] = None,
    repeats: Annotated[str | None, _OPTION(help="refuse, original_unless_failed, mean or median_of_three.")] = None,
    calibration: Annotated[str | None, _OPTION(help="ols or weighted.")] = None,
    unit: Annotated[str | None, _OPTION(help="copies/ug or copies/cell.")] = None,
    reference: Annotated[str | None, _OPTION(help="Target of the reference gene.")] = None,
    genome_pg: Annotated[float | None, _OPTION(help="Mass of a diploid genome, for --reference.")] = None,
    ipc_target: Annotated[str | None, _OPTION(help="Target of the internal positive control.")] = None,
    replicate_mean: Annotated[str | None, _OPTION(help="arithmetic or geometric.")] = None,
    lloq_copies: Annotated[float | None, _OPTION(help="LLOQ in copies per well, in place of the rules'.")] = None,
    lod_copies: Annotated[float | None, _OPTION(help="LOD in copies per well, in place of the rules'.")] = None,
    undetermined: Annotated[
        list[str] | None, _OPTION(help="A further word for 'no signal'; may be given several times.")
    ] = None,
    quantity_unit: Annotated[str | None, _OPTION(help="Unit of quantities in files that name none.")] = None,
    run_id: Annotated[str | None, _OPTION(help="stem or folder: the name of runs whose file gives none.")] = None,
    matrix: Annotated[str | None, _OPTION(help="Matrix of samples for which the sheet names none.")] = None,
    missing_time: Annotated[str | None, _OPTION(help="refuse or nominal: samples with a planned time only.")] = None,
    quiet: Annotated[bool, _OPTION("--quiet", "-q", help="Show nothing but faults.")] = False,
) -> None:
    """Quantify a folder of plate exports: results, a page a plate, and a record. May be interrupted and resumed.

    Exit codes: 0 everything went well; 1 some input failed; 2 the command was used wrongly; 3 quality control failed
    and nothing else did.
    """
    given = {
        "rules": rules,
        "overrides": overrides,
        "target": target,
        "repeats": repeats,
        "calibration": calibration,
        "unit": unit,
        "reference": reference,
        "genome_pg": genome_pg,
        "ipc_target": ipc_target,
        "replicate_mean": replicate_mean,
        "lloq_copies": lloq_copies,
        "lod_copies": lod_copies,
        "undetermined": undetermined or None,
        "quantity_unit": quantity_unit,
        "run_id": run_id,
        "matrix": matrix,
        "missing_time": missing_time,
    }
    options = {name: value for name, value in given.items() if value is not None}
    _quantify(folder, out, layout, settings, options, resume=resume, quiet=quiet)


def _quantify(
    folder: Path,
    out: Path,
    layout: Path | None,
    settings: Path | None,
    options: dict[str, Any],
    *,
    resume: bool,
    quiet: bool,
) -> None:
    from ..errors import CkineticsError, InputError
    from ..notices import set_writer
    from ..study.batch import EXIT_STATUS, quantify_folder
    from ..study.settings import located_plate_settings

    if quiet:
        set_writer(None)
    bar = Bar(shown=not quiet and sys.stderr.isatty())
    try:
        if settings is not None:
            found, sheet = located_plate_settings(settings)
            options, layout = found | options, layout or sheet
        with bar:
            run = quantify_folder(folder, out=out, layout=layout, resume=resume, progress=bar.show, **options)
    except InputError as err:
        stop(err, 2)
    except (CkineticsError, OSError) as err:  # a full disk, a folder that went away
        stop(err, 1)
    _tell(run, quiet=quiet)
    raise typer.Exit(EXIT_STATUS[run.status])


def _tell(run: BatchRun, *, quiet: bool) -> None:
    from ..study.outcome import OK

    for verdict in run.verdicts:
        if verdict.verdict != OK:
            typer.echo(f"{verdict.verdict}: {verdict.file} ({verdict.kind}): {verdict.message}", err=True)
        elif verdict.message and not quiet:
            typer.echo(f"note: {verdict.file}: {verdict.message}")
    for message in run.messages:
        typer.echo(f"note: {message}", err=True)
    if quiet:
        return
    counts = run.counts
    good = sum(verdict.verdict == OK for verdict in run.verdicts)
    typer.echo(
        f"{counts['files']} files: {counts['read']} read, {counts['kept']} kept from before; "
        f"{good} of {len(run.verdicts)} inputs ok; {counts['results']} results in {run.out.resolve()}"
    )
