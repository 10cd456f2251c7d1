"""Every model fitted to every cohort of a folder, and compared: in one go or in several."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ..cohorts import load, save
from ..errors import CkineticsError, InputError
from ..fitting import compare, fit
from ..fitting.residuals import FIELD_DEFAULT
from ..jobs import (
    Record,
    atomic_path,
    locked_folder,
    remove_unfinished,
    resume_key,
    write_json,
    write_text,
)
from ..modeling import Model, load_model
from ..provenance import content_hash, now, settings_json, sha256_file, user, versions
from .cohort_files import CohortFile, find_cohorts, read_cohort
from .compare_options import COMPARISONS, FITS, check_options, check_out, file_name
from .fit_inputs import FitInputs
from .outcome import FAILED, OK, FileVerdict, StudyRun
from .reader_cache import Kept

Progress = Callable[[str, int, int, str], None]
# What may go wrong with one fit; anything else is a fault of the program, and stops it.
_OF_A_FIT = (CkineticsError, ArithmeticError, ValueError)


@dataclass
class CompareRun(StudyRun):
    """What a comparison of a folder did.

    Attributes
    ----------
    table : one row a cohort and model, best first: what a person reads
    counts : numbers of cohorts, models, and of pairs fitted now, kept from before and failed
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    counts: Counter[str] = field(default_factory=Counter)


def compare_folder(
    study: str | Path,
    /,
    *,
    models: Sequence[str],
    out: str | Path,
    criterion: str = "AICc",
    failures: str = "drop",
    residual: str | None = None,
    censoring: str = "M3",
    interval: str = "t",
    starts: int = 8,
    seed: int = 0,
    threads: int = 1,
    matrix: str | None = None,
    unit: str | None = None,
    time_unit: str | None = None,
    lloq: float | None = None,
    inputs: str | Path | None = None,
    outputs: Mapping[str, str] | None = None,
    figures: bool = True,
    force: bool = False,
    title: str | None = None,
    progress: Progress | None = None,
) -> CompareRun:
    r"""Fit each model to each cohort of a folder, compare the models, and write tables and a page.

    Parameters
    ----------
    study : str or Path
        Folder of cohorts: files of `ckinetics.save` (``.nc``), tables of levels (``.csv``, ``.tsv``, ``.xlsx``) and
        folders that ``ckinetics run`` wrote (or one of these).
    models : sequence of str
        Names, or paths of model files.
    out : str or Path
        Folder of the results: ``comparison.csv`` (a row a cohort, model and patient, and sums) and ``comparison.xlsx``,
        ``comparison.html``, ``estimates.csv`` and ``derived.csv`` (a row a cohort, model, patient and parameter or
        quantity, with intervals), ``fits/`` and ``comparisons/`` for `ckinetics.load`, ``run.json`` and the
        hash-chained ``record.jsonl``. In the folder of an earlier run, fits of unchanged data, models, settings and
        versions are used again, also where that run was killed.
    criterion, failures : str
        As in `ckinetics.compare`.
    residual : str, optional
        Residual error of all models; default that of each model's file, and "additive on log" where it states none.
    censoring, starts, seed, threads, matrix
        As in `ckinetics.fit`.
    interval : {"t", "normal", "profile", "auto"}
        As in `ckinetics.fit`, but quick ones by default: a comparison needs none.
    unit, time_unit, lloq
        Of tables that have no such column.
    inputs : str or Path, optional
        Table of doses, covariates and constants of the patients, one row an event or constant: columns patient, time
        (days since infusion; empty for a constant), value, input (its name in the model file) and, where cohorts share
        names of patients, cohort. Default: those of the model files, the same for every patient, which is said.
    outputs : mapping of str to str, optional
        Outputs of the models to fit, and where their profiles are, as in `ckinetics.fit`.
    figures : bool
        Whether the page shows figures; thousands of patients take minutes.
    force : bool
        Fit everything again.
    title : str, optional
        Name of the study on the page; default the folder's.
    progress : callable, optional
        Called with a step's name, how much of it is done, how much there is, and what is worked on.

    Returns
    -------
    CompareRun
        The table, verdicts, messages, outputs and counts. A cohort, a model or a pair that fails is a verdict; the rest
        goes on.

    Raises
    ------
    InputError
        A wrong option, a folder without cohorts, or an output folder that holds other files.
    JobError
        Another process writes to `out`, or it cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> days, levels = [1, 4, 7, 9, 11, 14, 21, 28, 60, 90, 180], [60, 400, 3000, 9e3, 7e3, 4e3, 2e3, 900, 150, 120, 90]
    >>> lines = [f"P1,{day},{level},copies/ug" for day, level in zip(days, levels)]
    >>> _ = (folder / "arm_a.csv").write_text("patient,time,level,unit\n" + "\n".join(lines))
    >>> run = compare_folder(folder, models=["stein2019"], out=folder / "results", figures=False)
    >>> run.status, run.counts["fitted"]
    ('ok', 1)
    """
    settings: dict[str, Any] = {
        "residual": residual, "censoring": censoring, "interval": interval, "starts": starts, "seed": seed,
        "matrix": matrix, "outputs": dict(outputs) if outputs else None,
    }  # fmt: skip
    check_options(settings, criterion, failures, models, threads)
    source, target = Path(study), Path(out)
    check_out(source, target)
    files, notes = find_cohorts(source, out=target)
    with locked_folder(target) as held:
        run, record = CompareRun(held), Record(held)
        started = now()
        record.append("run started", {"study": source.resolve().name, "models": list(models), "versions": versions()})
        for place in (held, held / FITS, held / COMPARISONS):
            if place.is_dir() and (unfinished := remove_unfinished(place)):
                record.append("unfinished files of an earlier run removed", {"files": unfinished})
        # It is there when a run has ended, and not while one goes on.
        (held / "run.json").unlink(missing_ok=True)
        reading = {"matrix": matrix, "unit": unit, "time_unit": time_unit, "lloq": lloq}
        work = _Comparing(run, record, settings, reading, threads, force, progress or (lambda *told: None))
        for note in notes:
            work.say(note)
        try:
            work.go(files, models, criterion, failures, None if inputs is None else Path(inputs))
            work.write(title or source.resolve().name, figures=figures)
        except BaseException as err:
            record.append("run stopped", {"error": type(err).__name__, "message": str(err)})
            raise
        work.finish(source, started, {
            **settings, **reading, "criterion": criterion, "failures": failures,
            "inputs": None if inputs is None else Path(inputs).name,
        })  # fmt: skip
    return run


def _patients(data: xr.DataTree) -> list[str]:
    return [str(name) for name in data.dataset["patient"].values.tolist()]


class _Comparing:
    """The steps of one run; each puts what it made on the run."""

    def __init__(
        self,
        run: CompareRun,
        record: Record,
        settings: Mapping[str, Any],
        reading: Mapping[str, Any],
        threads: int,
        force: bool,
        tell: Progress,
    ) -> None:
        self.run, self.record, self.settings, self.reading = run, record, settings, reading
        self.threads, self.force, self.tell = threads, force, tell
        self.kept = Kept(run.out, record.verify())
        self.fits: list[tuple[str, str, xr.DataTree]] = []  # cohort, model, fit
        self.results: list[Any] = []
        self.failed_pairs: list[dict[str, str]] = []
        self.inputs: FitInputs | None = None

    def go(
        self, files: list[CohortFile], names: Sequence[str], criterion: str, failures: str, inputs: Path | None
    ) -> None:
        from ..reporting.pages.comparison import CohortComparison

        models = self._models(names)
        if inputs is not None:
            self.inputs = FitInputs.read(inputs, models)
            self._verdict(inputs.name, "inputs", OK, digest=sha256_file(inputs))
        self._note_inputs_of_files(models)
        patients: dict[str, list[str]] = {}
        self.run.counts.update(cohorts=len(files), models=len(models), fitted=0, kept=0, failed=0)
        total = len(files) * len(models)
        for number, file in enumerate(files):
            data = self._cohort(file)
            if data is None:
                continue
            patients[file.name] = _patients(data)
            fits: dict[str, xr.DataTree] = {}
            for at, model in enumerate(models):
                self.tell("fitting", number * len(models) + at, total, f"{file.name}: {model.name}")
                found = self._fit(file, data, model)
                if found is not None:
                    fits[model.name] = found
                    self.fits.append((file.name, model.name, found))
            if not fits:
                continue
            try:
                compared = compare(fits, criterion=criterion, failures=failures)
            except InputError as err:
                self._verdict(file.name, "comparison", FAILED, str(err))
                continue
            name = file_name(COMPARISONS, file.name)
            save(compared, self.run.out / name)
            self._output(name)
            self.results.append(CohortComparison(file.name, data, fits, compared))
        self.tell("fitting", total, total, "")
        self._note_leftovers()
        if self.inputs is not None and (nobody := self.inputs.of_nobody(patients)):
            self.say(f"rows of inputs not used, for no cohort has these patients: {', '.join(nobody)}")

    def _note_inputs_of_files(self, models: Sequence[Model]) -> None:
        """Say which models get the doses, covariates and constants of their files."""
        for model in models:
            names = [name for name in model.specification.inputs if self.inputs is None or not self.inputs.has(name)]
            if names:
                self.say(
                    f"{', '.join(names)} of '{model.name}': what its file gives is taken for every patient (a table of "
                    "inputs gives each patient's own)"
                )

    def _note_leftovers(self) -> None:
        """Say which results in the folder are an earlier run's, so that nobody takes them for this one's."""
        out = self.run.out
        there = [f"{folder}/{path.name}" for folder in (FITS, COMPARISONS) for path in (out / folder).glob("*.nc")]
        if old := sorted(set(there) - set(self.run.outputs)):
            self.say(f"of an earlier run, not of this one: {', '.join(old)}")

    def _models(self, names: Sequence[str]) -> list[Model]:
        loaded: dict[str, Model] = {}
        for name in names:
            try:
                model = load_model(name)
            except InputError as err:
                self._verdict(name, "model", FAILED, str(err))
                continue
            if model.name in loaded:
                self._verdict(name, "model", FAILED, f"another model is called '{model.name}': rename one of the files")
                continue
            loaded[model.name] = model
            self._verdict(name, "model", OK, digest=model.hash)
            if not model.fitted_output and self.settings["residual"] is None:
                self.say(f"the file of '{model.name}' states no residual error: '{FIELD_DEFAULT}' is taken")
        return list(loaded.values())

    def _cohort(self, file: CohortFile) -> xr.DataTree | None:
        digest = ""
        try:
            digest = sha256_file(file.path)
            data = read_cohort(file, **self.reading)
        except (CkineticsError, OSError) as err:
            self._verdict(file.name, "cohort", FAILED, str(err), digest=digest)
            return None
        self._verdict(file.name, "cohort", OK, digest=digest)
        return data

    def _fit(self, file: CohortFile, data: xr.DataTree, model: Model) -> xr.DataTree | None:
        """Return a fit, kept from before where nothing that it depends on has changed."""
        patients = _patients(data)
        given = None if self.inputs is None else self.inputs.of(file.name, patients, model)
        depends = {"cohort": content_hash(data), "model": model.hash}
        if given is not None:
            depends["inputs"] = hashlib.sha256(given.to_csv(index=False).encode()).hexdigest()
        if self.inputs is not None:
            self.run.messages += self.inputs.gaps(file.name, patients, model, given)
        key = resume_key("fit", inputs=depends, settings=self.settings)
        name = file_name(FITS, file.name, model.name)
        kept = None if self.force else self.kept.find(name, key)
        if kept is not None:
            self.run.counts["kept"] += 1
            self.run.outputs[name] = kept
            return load(kept)
        try:
            found = fit(data, model, inputs=given, **self.settings, threads=self.threads)
        except _OF_A_FIT as err:
            self.run.counts["failed"] += 1
            self.failed_pairs.append({"cohort": file.name, "model": model.name, "reason": str(err)})
            self._verdict(f"{file.name}: {model.name}", "fit", FAILED, str(err))
            return None
        path = self.run.out / name
        save(found, path)
        self.record.append("fitted", {"cohort": file.name, "model": model.name} | self.kept.entry(name, key))
        self.run.counts["fitted"] += 1
        self.run.outputs[name] = path
        return found

    # ---- writing

    def write(self, title: str, *, figures: bool) -> None:
        """Write tables and the page, from what there is."""
        from ..reporting.pages.comparison import comparison_page, comparison_sheets, joined_rows, joined_summary
        from ..reporting.tables.batch import write_csv
        from ..reporting.tables.fits import rows_of_fits
        from ..reporting.tables.workbook import write_workbook

        self.tell("writing", 0, 1, "")
        rows = joined_rows(self.results, self.failed_pairs)
        self.run.table = joined_summary(self.results)
        verdicts = [asdict(verdict) for verdict in self.run.verdicts]
        with atomic_path(self.run.out / "comparison.csv") as part:
            write_csv(part, rows)
        self._output("comparison.csv")
        for name, group in (("estimates.csv", "estimates"), ("derived.csv", "derived")):
            with atomic_path(self.run.out / name) as part:
                write_csv(part, rows_of_fits(self.fits, group))
            self._output(name)
        with atomic_path(self.run.out / "comparison.xlsx") as part:
            sheets = comparison_sheets(self.run.table, rows, verdicts, self.run.messages)
            write_workbook(part, sheets, title=title)
        self._output("comparison.xlsx")
        page = comparison_page(
            title, self.results, self.run.table, self.failed_pairs, verdicts, self.run.messages, figures=figures
        )
        write_text(self.run.out / "comparison.html", page)
        self._output("comparison.html")
        self.tell("writing", 1, 1, "")

    def finish(self, source: Path, started: str, settings: Mapping[str, Any]) -> None:
        """Write run.json, which says what was done with what."""
        run = self.run
        write_json(
            run.out / "run.json",
            {
                "study": source.resolve().name,
                "status": run.status,
                "started": started,
                "finished": now(),
                "by": user(),
                "versions": versions(),
                "settings": json.loads(settings_json(settings)),
                "counts": dict(run.counts),
                "inputs": [asdict(verdict) for verdict in run.verdicts],
                "messages": run.messages,
                "outputs": [{"file": name, "sha256": sha256_file(path)} for name, path in run.outputs.items()],
            },
        )
        run.outputs["run.json"] = run.out / "run.json"
        self.record.append_output("wrote run.json", run.out / "run.json", status=run.status)

    def say(self, message: str) -> None:
        """Put a message on the run."""
        self.run.messages.append(message)

    def _output(self, name: str) -> None:
        path = self.run.out / name
        self.run.outputs[name] = path
        self.record.append_output(f"wrote {name}", path)

    def _verdict(self, name: str, kind: str, verdict: str, message: str = "", *, digest: str = "") -> None:
        found = FileVerdict(name, digest, kind, verdict, message)
        self.run.verdicts.append(found)
        self.record.append("input", asdict(found))
