"""The laboratory's batch: from a folder of plate exports to results, pages and a record, in one go or in several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

from ..assay import SampleSheet, load_rules, quantify, read_sample_sheet
from ..assay.exports import Export, export_files, read_export
from ..assay.overrides import Overrides, read_overrides
from ..assay.plates import join_exports, reader_options
from ..assay.readers import Options
from ..cohorts import save
from ..errors import InputError
from ..jobs import (
    LOCK_NAME,
    RECORD_NAME,
    Record,
    atomic_path,
    locked_folder,
    remove_unfinished,
    resume_key,
    write_json,
    write_text,
)
from ..provenance import content_hash, now, sha256_file, user, versions
from .decisions import record_decisions
from .outcome import FAILED, OK, QC_FAILED, FileVerdict, StudyRun
from .pages import FOLDER as PAGES
from .pages import page_names, rare_collections, shown_content, split_runs
from .plate_verdicts import findings, lost_samples, plate_verdicts
from .reader_cache import FOLDER as READINGS
from .reader_cache import Kept, read_reading, reading_name, write_reading
from .settings import Plates, plate_settings

Progress = Callable[[str, int, int], None]
_RESULTS = ("quantified.nc", "results.csv", "results.xlsx")
EXIT_STATUS = {OK: 0, FAILED: 1, QC_FAILED: 3}


@dataclass
class BatchRun(StudyRun):
    """What a batch did.

    Attributes
    ----------
    counts : numbers of files, of those read now, kept from before and failed, of wells, runs and results, and of
        pages made now and kept
    quantified_hash : content hash of ``quantified.nc``; "" where nothing was quantified
    """

    counts: Counter[str] = field(default_factory=Counter)
    quantified_hash: str = ""


def quantify_folder(
    folder: str | Path,
    /,
    *,
    out: str | Path,
    layout: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> BatchRun:
    r"""Quantify a folder of plate exports, and write what a laboratory keeps.

    Parameters
    ----------
    folder : str or Path
        The folder; its files are read, folders in it are not (they are named in the messages).
    out : str or Path
        Folder of the results, new or empty, or with `resume` that of an earlier run:

        - ``results.csv`` and ``results.xlsx``: every result with file, hash, sheet, rows and wells; the workbook also
          has profiles, curves, verdicts, wells, files and provenance;
        - ``quantified.nc``: the same for ``ckinetics.load``;
        - ``plates/RUN.html``: one page a plate;
        - ``run.json``: settings, versions, verdict and hash of each input, counts; and ``record.jsonl``, the
          hash-chained log of all runs there, with every override and mask;
        - ``files/``: what was read from each file, under the hash of its bytes, for a run that goes on.
    layout : str or Path, optional
        The sample sheet; ``samples.csv`` in the folder where none is named and that is there.
    resume : bool
        Go on in a folder with results: what is there of unchanged files, settings and versions is used again.
    progress : callable, optional
        Called with a step's name, how much of it is done, and how much there is.
    **options
        Keys of [plates] in ``study.toml``: rules, overrides, calibration, target, repeats, unit, columns, ….

    Returns
    -------
    BatchRun
        Verdicts, messages, outputs and counts. A file that cannot be used is a verdict; the rest goes on.

    Raises
    ------
    InputError
        A wrong option, a file that is named and is not there, or an output folder that is not empty.
    JobError
        Another process writes to `out`, or it cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "exports").mkdir()
    >>> lines = ["well,sample,target,role,cq,quantity", "B1,S1,CAR,unknown,28.0343,"]
    >>> lines += [f"A{n},Std,CAR,standard,{38 - 3.3219 * n},{10**n}" for n in range(1, 7)]
    >>> _ = (folder / "exports" / "plate.csv").write_text("\n".join(lines))
    >>> _ = (folder / "samples.csv").write_text("sample,patient,time,dna_ng\nS1,P1,7,200")
    >>> run = quantify_folder(folder / "exports", layout=folder / "samples.csv", out=folder / "results")
    >>> (folder / "results" / "results.csv").is_file()
    True
    """
    if wrong := {"files", "sample_sheet"} & set(options):
        raise InputError(f"'{min(wrong)}' is no option here: name the folder, and the sample sheet with layout=")
    settings = plate_settings(options)
    source, target = Path(folder), Path(out)
    _check_folders(source, target, resume)
    sheet = _named("layout", layout)
    if sheet is None and (source / "samples.csv").is_file():
        sheet = source / "samples.csv"
    rules = settings.rules_in(Path())
    inputs = {"sample sheet": sheet, "overrides": _named("overrides", settings.overrides)}
    inputs["rules"] = _named("rules", rules) if isinstance(rules, Path) else None
    reader = _reader(settings)
    with locked_folder(target) as held:
        _check_folders(source, target, resume)
        run, record = BatchRun(held), Record(held)
        started = now()
        record.append("run started", {"batch": source.resolve().name, "resume": resume, "versions": versions()})
        for place in (held, held / READINGS, held / PAGES):
            if place.is_dir() and (unfinished := remove_unfinished(place)):
                record.append("unfinished files of an earlier run removed", {"files": unfinished})
        # It is there when a run has ended, and not while one goes on.
        (held / "run.json").unlink(missing_ok=True)
        batch = _Batch(source, settings, inputs, reader, run, record, progress or (lambda step, done, of: None))
        try:
            batch.go()
        except BaseException as err:
            record.append("run stopped", {"error": type(err).__name__, "message": str(err)})
            raise
        _write_run(batch, started)
    return run


def _check_folders(source: Path, out: Path, resume: bool) -> None:
    if not source.is_dir():
        raise InputError(f"'{source}' is no folder: name the folder of the plate exports")
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file: name a folder for the results")
    if source.resolve() == out.resolve():
        raise InputError(f"the results would lie among the plate exports in '{out}': choose another folder")
    there = [path.name for path in out.iterdir() if path.name != LOCK_NAME] if out.is_dir() else []
    if there and RECORD_NAME not in there:
        raise InputError(f"'{out}' holds other files and no earlier run: name a new folder for the results")
    if there and not resume:
        raise InputError(
            f"'{out}' holds an earlier run: go on with it by --resume (resume=True), which reads only what is new, "
            "or name a new folder for the results"
        )


def _named(what: str, path: str | Path | None) -> Path | None:
    """Return a file that the caller named, refused where it is not there."""
    if path is not None and not Path(path).is_file():
        raise InputError(f"{what} '{path}' is not there: check the path")
    return None if path is None else Path(path)


def _reader(settings: Plates) -> Options:
    names = ("columns", "tasks", "quantity_unit", "undetermined")
    return reader_options(**{name: settings.reading[name] for name in names})


class _Batch:
    """The steps of one batch, in order; each puts what it made on the run."""

    def __init__(
        self,
        source: Path,
        settings: Plates,
        inputs: Mapping[str, Path | None],
        reader: Options,
        run: BatchRun,
        record: Record,
        tell: Progress,
    ) -> None:
        self.source, self.settings, self.inputs, self.reader = source, settings, inputs, reader
        self.run, self.record, self.tell = run, record, tell
        self.kept = Kept(run.out, record.verify())
        self.made: set[str] = set()
        self.decisions: Overrides | None = None

    def go(self) -> None:
        sheet = self._prepare()
        if any(verdict.verdict == FAILED for verdict in self.run.verdicts):
            self._say("nothing was read, for a file that says how is wrong: correct it, and go on with --resume")
            self._note_leftovers(set())
            return
        self._note_subfolders()
        exports = list(self._exports())
        self.tell("quantifying", 0, 1)
        wells = join_exports(exports, sheet=sheet, errors="collect", **self.settings.reading)
        exports.clear()
        tree = self._quantified(wells)
        verdicts, notes = plate_verdicts(wells, tree)
        for verdict in verdicts:
            self._add(verdict)
        for note in notes:
            self._say(note)
        self.run.counts["wells"] = wells.sizes["well"]
        self.run.counts["failed"] = sum(v.kind == "plate" and v.verdict == FAILED for v in verdicts)
        self.tell("quantifying", 1, 1)
        if tree is None:
            self._note_leftovers(set())
            return
        for note in (*lost_samples(tree), *findings(tree)):
            self._say(note)
        record_decisions(self.record, tree, self.decisions)
        self._write(tree)

    def _prepare(self) -> SampleSheet | None:
        """Read the files that say how the others are to be read and judged."""
        sheet: SampleSheet | None = None
        readers: dict[str, Callable[[Path], Any]] = {
            "sample sheet": lambda path: read_sample_sheet(
                path, matrix=self.settings.matrix, missing_time=self.settings.missing_time
            ),
            "overrides": read_overrides,
            "rules": load_rules,
        }
        for kind, path in self.inputs.items():
            if path is None:
                continue
            try:
                found = readers[kind](path)
            except InputError as err:
                self._verdict(path, kind, FAILED, str(err))
                continue
            self._verdict(path, kind, OK)
            if isinstance(found, SampleSheet):
                sheet = found
            elif isinstance(found, Overrides):
                self.decisions = found
        if self.inputs["sample sheet"] is None:
            self._say("there is no sample sheet: no well has a patient, and no sample a level")
        return sheet

    def _note_subfolders(self) -> None:
        out = self.run.out.resolve()
        inside = [path for path in sorted(self.source.iterdir()) if path.is_dir() and not path.name.startswith(".")]
        names = [f"'{path.name}'" for path in inside if path.resolve() != out and path.resolve() not in out.parents]
        if names:
            self._say(
                f"folders inside '{self.source.resolve().name}' are not read: {', '.join(names)}; run each by itself"
            )

    def _exports(self) -> Iterator[Export]:
        """Yield what is in each file, read now or kept from an earlier run."""
        key = resume_key("reading of a plate export", inputs={}, settings=asdict(self.reader))
        named = [path.resolve() for path in self.inputs.values() if path is not None]
        files = [path for path in export_files(self.source) if path.resolve() not in named]
        self.run.counts.update(files=len(files), read=0, kept=0)
        for number, path in enumerate(files):
            self.tell("reading", number, len(files))
            yield self._export(path, key)
        self.tell("reading", len(files), len(files))

    def _export(self, path: Path, key: str) -> Export:
        try:
            name = reading_name(sha256_file(path))
        except OSError:  # the reader says in its own words why the file cannot be opened
            name = ""
        kept = self.kept.find(name, key) if name else None
        if kept is not None:
            # A copy of a file of this run is read from what was kept of it, and is nothing from before.
            self.run.counts["read" if name in self.made else "kept"] += 1
            return read_reading(kept, path)
        export = read_export(path, self.reader)
        self.run.counts["read"] += 1
        if export.error is not None:
            return export
        # Its bytes may have changed since they were hashed.
        name = reading_name(export.sha256)
        self.made.add(name)
        write_reading(self.run.out / name, export)
        self.record.append("read", {"file": path.name, "sha256": export.sha256} | self.kept.entry(name, key))
        return export

    def _quantified(self, wells: xr.Dataset) -> xr.DataTree | None:
        try:
            return quantify(
                wells,
                rules=self.settings.rules_in(Path()),
                overrides=self.inputs["overrides"],
                **self.settings.quantifying,
            )
        except InputError as err:
            where = Path(err.file) if err.file else self.source
            self._verdict(where, "quantification", FAILED, str(err))
            return None

    # ---- writing

    def _write(self, tree: xr.DataTree) -> None:
        from ..reporting.tables.batch import batch_sheets, results_frame, write_csv
        from ..reporting.tables.workbook import write_workbook

        out, counts = self.run.out, self.run.counts
        counts["results"] = tree["results"].sizes["result"]
        self.run.quantified_hash = content_hash(tree)
        save(tree, out / "quantified.nc")
        self._output("quantified.nc")
        with atomic_path(out / "results.csv") as part:
            write_csv(part, results_frame(tree))
        self._output("results.csv")
        with rare_collections():
            self._pages(tree)
        self.tell("writing the workbook", 0, 1)
        files = [asdict(verdict) for verdict in self.run.verdicts]
        sheets = batch_sheets(tree, files, self.settings.model_dump(), self.run.messages)
        with atomic_path(out / "results.xlsx") as part:
            write_workbook(part, sheets, title=self.source.resolve().name)
        self._output("results.xlsx")
        self.tell("writing the workbook", 1, 1)

    def _pages(self, tree: xr.DataTree) -> None:
        """Write the page of each run whose page is not there as it would be written."""
        from ..reporting.pages.plate import plate_page

        base = resume_key("page of a plate", inputs={}, settings={})
        names = page_names(tree.children["wells"].variables["run_id"].values.tolist())
        counts = self.run.counts
        counts.update(runs=len(names), pages_made=0, pages_kept=0)
        for number, (run_id, part) in enumerate(split_runs(tree)):
            self.tell("writing pages", number, len(names))
            name, key = names[run_id], base + content_hash(shown_content(part))
            path = self.kept.find(name, key)
            if path is None:
                path = self.run.out / name
                write_text(path, plate_page(part, run_id))
                self.record.append("wrote a page", {"run": run_id} | self.kept.entry(name, key))
                counts["pages_made"] += 1
            else:
                counts["pages_kept"] += 1
            self.run.outputs[name] = path
        self.tell("writing pages", len(names), len(names))
        self._note_leftovers({*names.values(), *_RESULTS})

    def _note_leftovers(self, made: set[str]) -> None:
        """Say which results in the folder are an earlier run's, so that nobody takes them for this one's."""
        out = self.run.out
        names = [path.relative_to(out).as_posix() for path in (*out.glob("*.*"), *(out / PAGES).glob("*.html"))]
        known = [name for name in sorted(names) if name.startswith((*_RESULTS, f"{PAGES}/")) and name not in made]
        if known:
            self._say(f"of an earlier run, not of this one: {', '.join(known)}")

    def _output(self, name: str) -> None:
        path = self.run.out / name
        self.run.outputs[name] = path
        self.record.append_output(f"wrote {name}", path)

    def _say(self, message: str) -> None:
        self.run.messages.append(message)

    def _verdict(self, path: Path, kind: str, verdict: str, message: str = "") -> None:
        digest = sha256_file(path) if path.is_file() else ""
        self._add(FileVerdict(path.name, digest, kind, verdict, message))

    def _add(self, verdict: FileVerdict) -> None:
        self.run.verdicts.append(verdict)
        self.record.append("input", asdict(verdict))


def _write_run(batch: _Batch, started: str) -> None:
    run = batch.run
    outputs = {name: path for name, path in run.outputs.items() if path.is_file()}
    write_json(
        run.out / "run.json",
        {
            "batch": batch.source.resolve().name,
            "status": run.status,
            "exit_status": EXIT_STATUS[run.status],
            "started": started,
            "finished": now(),
            "by": user(),
            "versions": versions(),
            "settings": batch.settings.model_dump(mode="json", exclude={"files", "sample_sheet"}),
            "counts": dict(run.counts),
            "inputs": [asdict(verdict) for verdict in run.verdicts],
            "messages": run.messages,
            "outputs": [{"file": name, "sha256": sha256_file(path)} for name, path in outputs.items()],
            "quantified_hash": run.quantified_hash,
        },
    )
    run.outputs["run.json"] = run.out / "run.json"
    batch.record.append_output("wrote run.json", run.out / "run.json", status=run.status)
