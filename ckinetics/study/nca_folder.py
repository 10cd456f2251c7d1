"""A noncompartmental analysis of one file: tables, figures, a report and a record in a folder."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ..cohorts import save
from ..errors import InputError
from ..jobs import Record, atomic_path, locked_folder, remove_unfinished, write_json
from ..noncompartmental import PARAMETERS, nca, nca_summary, nca_table
from ..noncompartmental.tables import Layout
from ..provenance import content_hash, now, settings_json, sha256_file, user, versions
from .nca_input import Levels, Read, read_levels
from .outcome import OK, StudyRun
from .settings import Nca, nca_settings

FIGURES = "figures"
_TABLES: dict[str, Layout] = {"nca.csv": "wide", "nca_long.csv": "long", "pp.csv": "pp", "adpp.csv": "adpp"}
_FILES = (*_TABLES, "summary.csv", "reasons.csv", "flags.csv", "nca.nc", "cohort.nc", "report.html", "report.xlsx")
_DPI = 150


@dataclass
class NcaRun(StudyRun):
    """What an analysis of a file did.

    Attributes
    ----------
    summary : the table over patients that a person reads
    kind : what the file was
    counts : numbers of patients, samples, values and values not calculable
    """

    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    kind: str = ""
    counts: dict[str, int] = field(default_factory=dict)


def analyse_file(
    levels: Levels,
    /,
    *,
    out: str | Path,
    options: Mapping[str, Any] | None = None,
    by: str | None = None,
    title: str | None = None,
    studyid: str = "",
    figures: bool = True,
    progress: Callable[[str], None] | None = None,
) -> NcaRun:
    r"""Analyse a file of levels, and write tables, figures and a report.

    Parameters
    ----------
    levels : Levels
        The file.
    out : str or Path
        Folder of the results: ``nca.csv`` (one row a profile), ``nca_long.csv`` (one a value), ``pp.csv``,
        ``adpp.csv``, ``summary.csv``, ``reasons.csv``, ``flags.csv``, ``nca.nc`` and ``cohort.nc`` for
        ``ckinetics.load``, ``figures/``, ``report.html``, ``report.xlsx``, ``run.json`` and the hash-chained
        ``record.jsonl``. Files of an earlier run are replaced one by one, each in one step, after everything was
        computed.
    options : mapping, optional
        Keys of [nca] in ``study.toml``.
    by : str, optional
        Column by which the summary groups patients.
    title : str, optional
        Name of the study; default the file's.
    studyid : str
        STUDYID of PP and ADPP.
    figures : bool
        Whether ``figures/`` is written and the report shows each patient: a page of 12 takes about a second, twice.
    progress : callable, optional
        Called with a line at the start of each step.

    Returns
    -------
    NcaRun
        The summary, outputs and messages.

    Raises
    ------
    InputError
        A wrong option, a file that is not there, or what is wrong in it; nothing is written then.
    JobError
        Another process writes to `out`, or it cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "levels.csv").write_text("patient,time,level,unit\nP1,0,<50,copies/ug\nP1,7,900,copies/ug\n")
    >>> run = analyse_file(Levels(folder / "levels.csv"), out=folder / "out")
    >>> float(run.summary.set_index("parameter").loc["cmax", "median"])
    900.0
    """
    settings = nca_settings(options or {})
    target = Path(out)
    _check_paths(levels, settings, target)
    tell = progress or (lambda line: None)
    tell("reading")
    name = title or levels.file.stem
    read = read_levels(levels, title=name, by=by)
    tell("analysing")
    result = nca(read.cohort, **settings.options(Path()))
    run = NcaRun(target, kind=read.kind, messages=list(read.notes))
    if not figures:
        run.messages.append("no figure of a patient was drawn, as was asked")
    run.summary = _summary(result, read.by)
    with locked_folder(target) as held:
        record = Record(held)
        started = now()
        record.append("run started", {"file": levels.file.name, "versions": versions()})
        for place in (held, held / FIGURES):
            if place.is_dir() and (unfinished := remove_unfinished(place)):
                record.append("unfinished files of an earlier run removed", {"files": unfinished})
        # It is there when a run has ended, and not while one goes on.
        (held / "run.json").unlink(missing_ok=True)
        writer = _Writer(run, record, read, result, levels, settings, tell)
        try:
            writer.write(name, studyid, figures=figures)
        except BaseException as err:
            record.append("run stopped", {"error": type(err).__name__, "message": str(err)})
            raise
        writer.finish(started, by)
    return run


def _check_paths(levels: Levels, settings: Nca, out: Path) -> None:
    files = {**levels.files, "terminal points": settings.slopes_in(Path())}
    for what, path in files.items():
        if path is not None and not path.is_file():
            raise InputError(f"{what}: '{path}' is not there: check the path")
    if settings.infusions == "each" and levels.infusions is None:
        raise InputError("an analysis of each infusion needs their table: name it with --infusions (infusions=)")
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file: name a folder for the results")
    written = {(out / name).resolve() for name in (*_FILES, "run.json", "record.jsonl")}
    for what, path in files.items():
        if path is not None and path.resolve() in written:
            raise InputError(f"{what}: the results would overwrite '{path.name}' in '{out}': choose another folder")


def _summary(result: xr.Dataset, by: xr.DataArray | None) -> pd.DataFrame:
    from ..reporting.core.series import each_series

    names = [name for name in PARAMETERS if name in result and PARAMETERS[name].statistic != "none"]
    frames = []
    for _, one in each_series(result):
        groups = None if by is None else by.sel(patient=one["patient"].values)
        if groups is not None:
            groups = xr.DataArray(groups.values, {"patient": one["patient"].values}, ("patient",), name=groups.name)
        frames.append(nca_summary(one, parameters=names, by=groups))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


class _Writer:
    """Writes what a run computed, each file in one step, and notes it in the record."""

    def __init__(
        self,
        run: NcaRun,
        record: Record,
        read: Read,
        result: xr.Dataset,
        levels: Levels,
        settings: Nca,
        tell: Callable[[str], None],
    ) -> None:
        self.run, self.record, self.read, self.result = run, record, read, result
        self.levels, self.settings, self.tell = levels, settings, tell
        files = {**levels.files, "terminal points": settings.slopes_in(Path())}
        self.inputs = {what: (path, sha256_file(path)) for what, path in files.items() if path is not None}

    def write(self, title: str, studyid: str, *, figures: bool) -> None:
        from ..reporting import report
        from ..reporting.core.series import cautions_of
        from ..reporting.tables.batch import write_csv

        self.tell("writing tables")
        tables = {name: nca_table(self.result, layout=layout, studyid=studyid) for name, layout in _TABLES.items()}
        long = tables["nca_long.csv"]
        missing = long[long["reason"] != ""]
        lead = list(long.columns[: list(long.columns).index("parameter")])
        tables["summary.csv"] = self.run.summary
        tables["reasons.csv"] = missing[[*lead, "parameter", "reason", "sentence"]]
        tables["flags.csv"] = cautions_of(self.result)
        kinetics = self.read.cohort["kinetics"]
        self.run.counts = {
            "patients": self.result.sizes["patient"],
            "samples": int((kinetics["status"] != -1).sum()),
            "values": len(long) - len(missing),
            "not calculable": len(missing),
            "flags": len(tables["flags.csv"]),
        }
        for name, frame in tables.items():
            with atomic_path(self.run.out / name) as part:
                write_csv(part, frame)
            self._output(name)
        for name, data in (("cohort.nc", self.read.cohort), ("nca.nc", self.result)):
            save(data, self.run.out / name)
            self._output(name)
        self._figures(wanted=figures)
        self.tell("writing the report")
        inputs = {path.name: digest for path, digest in self.inputs.values()}
        for name in ("report.html", "report.xlsx"):
            report(
                self.read.cohort,
                self.result,
                path=self.run.out / name,
                title=title,
                inputs=inputs,
                flags=self.run.messages or None,
                individuals=figures,
            )
            self._output(name)

    def _figures(self, *, wanted: bool) -> None:
        for name, draw in _figures(self.read.cohort, self.result) if wanted else ():
            self.tell(f"drawing {name}")
            figure = draw()
            path = self.run.out / FIGURES / name
            with atomic_path(path) as part:
                # The same data give the same bytes: no version of matplotlib in the file.
                figure.savefig(part, dpi=_DPI, metadata={"Software": None})
            self._output(f"{FIGURES}/{name}")
        there = {path.name for path in (self.run.out / FIGURES).glob("*.png")}
        old = sorted(there - {Path(name).name for name in self.run.outputs if name.startswith(FIGURES)})
        if old:
            self.run.messages.append(f"figures of an earlier run, not of this one: {', '.join(old)}")

    def _output(self, name: str) -> None:
        path = self.run.out / name
        self.run.outputs[name] = path
        self.record.append_output(f"wrote {name}", path)

    def finish(self, started: str, by: str | None) -> None:
        """Write run.json, which says what was done with what."""
        levels = {
            name: getattr(self.levels, name)
            for name in ("unit", "time_unit", "matrix", "lloq", "uloq", "columns", "testcd")
        }
        write_json(
            self.run.out / "run.json",
            {
                "file": self.levels.file.name,
                "kind": self.run.kind,
                "status": OK,
                "started": started,
                "finished": now(),
                "by": user(),
                "versions": versions(),
                "settings": json.loads(settings_json(self.settings.recorded(Path()) | {"group_by": by})),
                "reading": json.loads(settings_json(levels)),
                "rules": json.loads(str(self.result.attrs["rules"])),
                "counts": self.run.counts,
                "inputs": [
                    {"file": path.name, "kind": what, "sha256": digest} for what, (path, digest) in self.inputs.items()
                ],
                "messages": self.run.messages,
                "outputs": [{"file": name, "sha256": sha256_file(path)} for name, path in self.run.outputs.items()],
                "cohort_hash": content_hash(self.read.cohort),
                "result_hash": content_hash(self.result),
            },
        )
        self.run.outputs["run.json"] = self.run.out / "run.json"
        self.record.append_output("wrote run.json", self.run.out / "run.json", status=OK)


def _figures(cohort: xr.DataTree, result: xr.Dataset) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the name of each figure and what draws it: all profiles of a matrix, and pages of individual panels."""
    from ..plot import individuals, profiles
    from ..reporting.sections.profiles import PANELS_A_FIGURE, series_of

    for samples in series_of(cohort, "kinetics"):
        series, word = samples.series, samples.series.replace(" ", "-")
        yield f"profiles-{word}.png", functools.partial(_drawn, profiles, cohort, matrix=series)
        shown = [name for at, name in enumerate(samples.patients) if samples.present[at].any()]
        pages = [shown[start : start + PANELS_A_FIGURE] for start in range(0, len(shown), PANELS_A_FIGURE)]
        for number, names in enumerate(pages, start=1):
            draw = functools.partial(individuals, cohort, matrix=series, patients=names, nca=result)
            yield f"individuals-{word}-{number:02d}.png", draw


def _drawn(draw: Callable[..., Any], *data: Any, **options: Any) -> Any:
    """Return the figure of axes that a function draws."""
    return draw(*data, **options).figure
