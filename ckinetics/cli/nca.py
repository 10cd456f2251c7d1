"""The command ``ckinetics nca``: a file of levels to parameters, figures and a report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .stopping import stop

if TYPE_CHECKING:
    from ..study.nca_folder import NcaRun

_OPTION = typer.Option
_SHOWN = ("cmax", "tmax", "tlast", "auc_last", "auc_inf_obs", "half_life", "doubling_time")


def nca(
    file: Annotated[Path, typer.Argument(help="Levels: a tidy CSV or workbook, or a CDISC PC domain.")],
    out: Annotated[Path, _OPTION("--out", "-o", help="Folder of the results.")],
    preset: Annotated[str | None, _OPTION(help="cell_therapy, pknca, phoenix or ich_m13a.")] = None,
    auc_method: Annotated[
        str | None, _OPTION(help="linear, linear-up/log-down, linear-log or log-up/log-down.")
    ] = None,
    interval: Annotated[
        list[str] | None, _OPTION(help="Interval of an area, '0-28' or '0-6 months'; may be given several times.")
    ] = None,
    unit: Annotated[str | None, _OPTION(help="Unit of the levels, where the table has no column of it.")] = None,
    time_unit: Annotated[str | None, _OPTION(help="Unit of the times: day (default), h, week, min.")] = None,
    matrix: Annotated[str | None, _OPTION(help="Matrix of rows that name none (default blood).")] = None,
    lloq: Annotated[float | None, _OPTION(help="LLOQ of samples that have none of their own.")] = None,
    uloq: Annotated[float | None, _OPTION(help="ULOQ of samples that have none of their own.")] = None,
    dose: Annotated[float | None, _OPTION(help="Dose of every patient; else the column dose or the infusions.")] = None,
    infusions: Annotated[Path | None, _OPTION(help="Table of infusions: patient, time, dose.")] = None,
    each: Annotated[bool, _OPTION("--each", help="Analyse each infusion by itself.")] = False,
    window: Annotated[str | None, _OPTION(help="Analyse only these days: '0-90'.")] = None,
    slopes: Annotated[Path | None, _OPTION(help="Terminal points chosen by hand: patient, time, use, reason.")] = None,
    threshold: Annotated[float | None, _OPTION(help="Level above which time is counted.")] = None,
    persistence: Annotated[str | None, _OPTION(help="last_quantified, midpoint or first_blq.")] = None,
    tobit: Annotated[
        bool | None, _OPTION("--tobit/--no-tobit", help="Also fit lines that know the BLQ samples.")
    ] = None,
    uncertainty: Annotated[str | None, _OPTION(help="delta, bootstrap or both, from se_well and se_plate.")] = None,
    seed: Annotated[int | None, _OPTION(help="Seed of the bootstrap.")] = None,
    by: Annotated[str | None, _OPTION(help="Column by which the summary groups patients.")] = None,
    column: Annotated[
        list[str] | None, _OPTION(help="Name of a column: 'level=CAR copies'; may be given several times.")
    ] = None,
    supp: Annotated[Path | None, _OPTION(help="Of a PC domain: its supplemental qualifiers.")] = None,
    ex: Annotated[Path | None, _OPTION(help="Of a PC domain: exposure.")] = None,
    dm: Annotated[Path | None, _OPTION(help="Of a PC domain: demographics.")] = None,
    testcd: Annotated[str | None, _OPTION(help="Of a PC domain: which PCTESTCD.")] = None,
    specimen: Annotated[
        list[str] | None, _OPTION(help="Of a PC domain: the matrix of a PCSPEC, 'WHOLE BLOOD=blood'.")
    ] = None,
    studyid: Annotated[str, _OPTION(help="STUDYID of the tables PP and ADPP.")] = "",
    title: Annotated[str | None, _OPTION(help="Name of the study in the report; default the file's.")] = None,
    settings: Annotated[Path | None, _OPTION(help="TOML file with the keys of [nca]; options win over it.")] = None,
    figures: Annotated[
        bool, _OPTION("--figures/--no-figures", help="Draw every patient; each thousand takes minutes.")
    ] = True,
    quiet: Annotated[bool, _OPTION("--quiet", "-q", help="Show nothing but faults.")] = False,
) -> None:
    """Compute noncompartmental parameters of a file of levels: tables, figures, reasons and a report.

    Exit codes: 0 everything went well; 1 the file could not be used; 2 the command was used wrongly.
    """
    given = {
        "preset": preset,
        "auc_method": auc_method,
        "intervals": interval or None,
        "dose": dose,
        "infusions": "each" if each else None,
        "window": window,
        "slopes": None if slopes is None else str(slopes),
        "threshold": threshold,
        "persistence": persistence,
        "tobit": tobit,
        "uncertainty": uncertainty,
        "seed": seed,
    }
    options = {name: value for name, value in given.items() if value is not None}
    source = {
        "file": file, "unit": unit, "time_unit": time_unit, "matrix": matrix or "blood", "lloq": lloq, "uloq": uloq,
        "supp": supp, "ex": ex, "dm": dm, "testcd": testcd, "infusions": infusions,
    }  # fmt: skip
    pairs = {"columns": column or [], "specimens": specimen or []}
    _nca(source, pairs, out, settings, options, by=by, title=title, studyid=studyid, figures=figures, quiet=quiet)


def _nca(
    source: dict[str, Any],
    pairs: dict[str, list[str]],
    out: Path,
    settings: Path | None,
    options: dict[str, Any],
    *,
    by: str | None,
    title: str | None,
    studyid: str,
    figures: bool,
    quiet: bool,
) -> None:
    from ..errors import CkineticsError, InputError
    from ..notices import set_writer
    from ..study.nca_folder import analyse_file
    from ..study.nca_input import Levels
    from ..study.settings import located_nca_settings

    if quiet:
        set_writer(None)
    tell = (lambda line: typer.echo(f"· {line}", err=True)) if not quiet and sys.stderr.isatty() else None
    try:
        if settings is not None:
            options = located_nca_settings(settings) | options
    except InputError as err:
        stop(err, 2)
    try:
        if isinstance(options.get("window"), str):
            options["window"] = _days(options["window"])
        source |= {name: _pairs(name, words) for name, words in pairs.items()}
        levels = Levels(**source)
        run = analyse_file(
            levels, out=out, options=options, by=by, title=title, studyid=studyid, figures=figures, progress=tell
        )
    except InputError as err:
        # What is wrong in a file names it; what names none is wrong in the words of the command.
        stop(err, 1 if err.file else 2)
    except (CkineticsError, OSError) as err:  # a full disk, a folder that went away
        stop(err, 1)
    if not quiet:
        _tell(run)


def _days(text: str) -> tuple[float, float]:
    from ..noncompartmental.windows import interval_of

    return interval_of(text)[0]


def _pairs(what: str, words: list[str]) -> dict[str, str]:
    from ..errors import InputError

    found = {}
    for word in words:
        name, equals, given = word.partition("=")
        if not (equals and name.strip() and given.strip()):
            example = "level=NAME" if what == "columns" else "'WHOLE BLOOD=blood'"
            raise InputError(f"--{what[:-1]} '{word}' is not understood: write it as {example}")
        found[name.strip()] = given.strip()
    return found


def _tell(run: NcaRun) -> None:
    for message in run.messages:
        typer.echo(f"note: {message}", err=True)
    for line in table_lines(run):
        typer.echo(line)
    counts = run.counts
    typer.echo(
        f"{counts['patients']} patients, {counts['samples']} samples ({run.kind}): {counts['values']} values, "
        f"{counts['not calculable']} not calculable (reasons.csv), {counts['flags']} flags (flags.csv)"
    )
    typer.echo(f"results in {run.out.resolve()}")


def table_lines(run: NcaRun) -> list[str]:
    """Return the summary as lines of text: what a person reads first."""
    from ..noncompartmental import find_parameter
    from ..reporting.core.numbers import number, span

    table = run.summary
    if table.empty:
        return []
    labels = [str(name) for name in table.columns[: list(table.columns).index("parameter")]]
    head = (*labels, "parameter", "unit", "n", "n.c.", "geometric mean", "CV %", "median", "minimum–maximum")
    rows: list[tuple[str, ...]] = [head]
    for record in table.to_dict("records"):
        name, there = str(record["parameter"]), bool(record["n"])
        if name not in _SHOWN and not name.startswith("auc_interval"):
            continue
        known = find_parameter(name)
        geometric = there and known is not None and known.statistic == "geometric"
        rows.append(
            (
                *(str(record[label]) for label in labels),
                name,
                str(record["unit"]),
                str(record["n"]),
                str(record["n not calculable"]),
                number(record["geometric mean"]) if geometric else "",
                number(record["geometric CV %"], 3) if geometric and record["n"] > 1 else "",
                number(record["median"]) if there else "",
                span(record["minimum"], record["maximum"]) if there else "",
            )
        )
    widths = [max(len(_plain(row[at])) for row in rows) for at in range(len(head))]
    first = len(labels) + 2
    lines = []
    for row in rows:
        cells = [
            _plain(cell).ljust(width) if at < first else _plain(cell).rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _plain(text: str) -> str:
    """Return text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
