"""Running a study: from its files to a report, each step recorded, one bad file never the end of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xarray as xr

from ..cohorts import (
    assemble,
    entry_table,
    load,
    patient_table,
    read_kinetics,
    save,
)
from ..errors import InputError, ValidationError
from ..jobs import Record, locked_folder, remove_unfinished, resume_key, write_json
from ..provenance import content_hash, now, settings_json, sha256_file, user, versions
from ..schema import ENTRY_GROUPS
from .decisions import record_decisions
from .outcome import FAILED, OK, FileVerdict, StudyRun
from .plate_verdicts import findings, lost_samples, plate_verdicts
from .resume import Resume
from .settings import STUDY_FILE, Plates, StudySettings, read_settings

Progress = Callable[[str], None]


def run_study(folder: str | Path, /, *, out: str | Path, progress: Progress | None = None) -> StudyRun:
    """Run a study: read, quantify, analyse, fit, relate, report.

    Parameters
    ----------
    folder : str or Path
        A folder with ``study.toml`` (or that file). A folder without one is read as plate exports, with
        ``samples.csv`` as the sample sheet where it is there.
    out : str or Path
        Folder of the results: ``cohort.nc``, ``nca.nc``, ``fit.nc``, exposure results, ``report.html``,
        ``report.xlsx``, ``run.json`` (settings, SHA-256 of each input, versions, verdict for each file) and the
        hash-chained ``record.jsonl``. A step whose inputs, settings and versions are those of an earlier run
        there is not computed again.
    progress : callable, optional
        Called with a line at the start of each step.

    Returns
    -------
    StudyRun
        Verdicts, messages and outputs. A file that cannot be used is a verdict; the rest goes on.

    Raises
    ------
    InputError
        ``study.toml`` is wrong, the folder is missing, or `out` is a folder of plate exports.
    JobError
        Another process writes to `out`, or it cannot be written.
    """
    source = Path(folder)
    base = source if source.is_dir() else source.parent
    settings = _settings(source)
    tell = progress or (lambda line: None)
    _refuse_plate_folder(base, settings, Path(out))
    with locked_folder(out) as target:
        run = StudyRun(target)
        record = Record(target)
        started = now()
        record.append("run started", {"study": settings.title, "versions": versions()})
        if unfinished := remove_unfinished(target):
            record.append("unfinished files of an earlier run removed", {"files": unfinished})
        try:
            study = _Study(base, settings, run, record, tell)
            study.go(source / STUDY_FILE if source.is_dir() else source)
        except BaseException as err:
            record.append("run stopped", {"error": type(err).__name__, "message": str(err)})
            raise
        _note_leftovers(run)
        _write_run(run, settings, started, study.cohort)
        record.append_output("wrote run.json", target / "run.json", status=run.status)
    return run


def _settings(source: Path) -> StudySettings:
    if not source.exists():
        raise InputError(f"'{source}' is not there: name a folder with a {STUDY_FILE}")
    if source.is_dir() and not (source / STUDY_FILE).exists():
        return StudySettings(title=source.resolve().name, plates=Plates(files="."))
    return read_settings(source)


def _refuse_plate_folder(base: Path, settings: StudySettings, out: Path) -> None:
    """Refuse to write where the next run would read the results as plate exports."""
    if settings.plates is None:
        return
    for name in settings.plates.named_files:
        if (base / name).is_dir() and (base / name).resolve() == out.resolve():
            raise InputError(f"the results would lie among the plate exports in '{out}': choose another folder")


def _note_leftovers(run: StudyRun) -> None:
    """Say which results in the folder are an earlier run's, so that nobody takes them for this one's."""
    names = ("quantified.nc", "cohort.nc", "nca.nc", "fit.nc", "exposure-*.nc", "report.html", "report.xlsx")
    found = sorted(path.name for name in names for path in run.out.glob(name) if path.name not in run.outputs)
    if found:
        run.messages.append(f"of an earlier run, not of this one: {', '.join(found)}")


class _Study:
    """The steps of one run, in order; each puts what it made on the run."""

    def __init__(self, base: Path, settings: StudySettings, run: StudyRun, record: Record, tell: Progress) -> None:
        self.base, self.settings, self.run, self.record, self.tell = base, settings, run, record, tell
        self.resume = Resume(run.out)
        self.cohort: xr.DataTree | None = None
        self.results: list[xr.Dataset | xr.DataTree] = []

    def go(self, settings_file: Path) -> None:
        if settings_file.is_file():
            self._verdict(settings_file, "settings", OK)
        root, groups = self._levels()
        if not groups:
            self._say("no levels could be read: there is nothing to analyse")
            return
        if self.settings.assay:
            groups["kinetics"] = groups["kinetics"].assign_attrs(assay=self.settings.assay)
        groups |= self._clinical(root)
        self.cohort = self._assemble(root, groups)
        if self.cohort is None:
            return
        self._write("cohort.nc", self.cohort)
        if self.cohort.sizes["patient"]:
            self._nca()
            self._fit()
            self._exposure()
        else:
            self._say("no sample has a patient: wells, curves and verdicts only")
        self._report()

    # ---- levels

    def _levels(self) -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]]:
        if self.settings.plates is not None:
            return {}, self._from_plates(self.settings.plates)
        return self._from_table()

    def _from_plates(self, plates: Plates) -> dict[str, xr.Dataset]:
        from ..assay import load_rules, quantify, read_plates
        from ..assay.overrides import read_overrides

        paths = [self.base / name for name in plates.named_files]
        missing = [path for path in paths if not path.exists()]
        for path in missing:
            self._verdict(path, "plates", FAILED, "is not there: check 'files' in [plates]")
        paths = [path for path in paths if path.exists()]
        if not paths:
            return {}
        self._note_subfolders(paths)
        sheet: Path | None = self.base / plates.sample_sheet
        if sheet is not None and not sheet.is_file():
            if "sample_sheet" in plates.model_fields_set:
                self._verdict(sheet, "sample sheet", FAILED, "is not there: check 'sample_sheet' in [plates]")
                return {}
            sheet = None
        self.tell("reading plates")
        try:
            wells = read_plates(paths, layout=sheet, errors="collect", **plates.reading)
        except InputError as err:
            self._verdict(Path(err.file or self.base / STUDY_FILE), "plates", FAILED, str(err))
            return {}
        if sheet is not None:
            self._verdict(sheet, "sample sheet", OK)
        rules, decisions = plates.rules_in(self.base), None
        self.tell("quantifying")
        try:
            settings: dict[str, Any] = plates.quantifying | {"rules": rules, "rules_sha256": load_rules(rules).sha256}
            if plates.overrides is not None:
                decisions = read_overrides(self.base / plates.overrides)
                settings["overrides_sha256"] = decisions.sha256
            tree = self._step(
                "quantified",
                {"wells": content_hash(wells)},
                settings,
                lambda: quantify(
                    wells,
                    rules=rules,
                    overrides=self.base / plates.overrides if plates.overrides is not None else None,
                    **plates.quantifying,
                ),
            )
        except InputError as err:
            self._judge(wells, None)
            self._verdict(Path(err.file or self.base / STUDY_FILE), "quantification", FAILED, str(err))
            return {}
        if isinstance(rules, Path):
            self._verdict(rules, "rules", OK)
        if plates.overrides is not None:
            self._verdict(self.base / plates.overrides, "overrides", OK)
        record_decisions(self.record, tree, decisions)
        self._judge(wells, tree)
        for note in (*lost_samples(tree), *findings(tree)):
            self._say(note)
        return {"kinetics": tree.to_dataset()} | {
            name: tree.children[name].to_dataset(inherit=False) for name in ("wells", "curves", "verdicts", "results")
        }

    def _judge(self, wells: xr.Dataset, tree: xr.DataTree | None) -> None:
        verdicts, notes = plate_verdicts(wells, tree)
        for verdict in verdicts:
            self._add(verdict)
        for note in notes:
            self._say(note)

    def _note_subfolders(self, paths: list[Path]) -> None:
        """Say which folders among the exports are not read."""
        for folder in filter(Path.is_dir, paths):
            read = {path.resolve() for path in (*paths, self.base, self.run.out)}
            inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
            names = [path.name for path in inside if path.resolve() not in read]
            if names:
                listed = ", ".join(f"'{name}'" for name in names)
                self._say(f"folders inside '{folder.name}' are not read: {listed}; name them in 'files' of [plates]")

    def _from_table(self) -> tuple[dict[str, xr.Dataset], dict[str, xr.Dataset]]:
        from ..examples import load_example

        kinetics = self.settings.kinetics
        assert kinetics is not None
        if kinetics.example is not None:
            self.tell(f"loading the example {kinetics.example}")
            tree = load_example(kinetics.example)
            groups = {name: node.to_dataset(inherit=False) for name, node in tree.children.items()}
            groups["kinetics"] = groups["kinetics"].assign_coords(patient=tree["patient"].variable)
            self._say(f"example {kinetics.example}: {tree.attrs['citation']} ({tree.attrs['licence']})")
            return {"/": tree.to_dataset()}, groups
        assert kinetics.table is not None
        assert kinetics.unit is not None
        self.tell("reading levels")
        path = self.base / kinetics.table
        options = kinetics.model_dump(exclude={"table", "example"})
        try:
            profiles = read_kinetics(path, **options)
        except InputError as err:
            self._verdict(path, "levels", FAILED, str(err))
            return {}, {}
        self._verdict(path, "levels", OK)
        return {}, {"kinetics": profiles}

    # ---- clinical tables and the cohort

    def _clinical(self, root: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
        """Read every clinical table by itself: one that is wrong is left out, and said."""
        clinical = self.settings.clinical
        groups: dict[str, xr.Dataset] = {}

        def read(kind: str, name: str | None, reader: Callable[[Path, Mapping[str, str] | None], xr.Dataset]) -> None:
            if name is None:
                return
            path = self.base / name
            try:
                dataset = reader(path, clinical.columns.get(kind))
            except InputError as err:
                self._verdict(path, kind, FAILED, str(err))
                return
            self._verdict(path, kind, OK)
            if kind == "patients":
                root["/"] = dataset
            else:
                groups["outcomes" if kind == "response" else kind] = dataset

        self.tell("reading clinical tables")
        read("patients", clinical.patients, lambda path, columns: patient_table(path, "/", columns))
        read("response", clinical.response, lambda path, columns: patient_table(path, "outcomes", columns))
        for kind in ("cytokines", "counts"):
            read(
                kind,
                getattr(clinical, kind),
                lambda path, columns, kind=kind: read_kinetics(path, unit="", group=kind, columns=columns),  # type: ignore[misc]
            )
        for kind in ENTRY_GROUPS:
            read(
                kind,
                getattr(clinical, kind),
                lambda path, columns, kind=kind: entry_table(path, kind, columns),  # type: ignore[misc]
            )
        return groups

    def _assemble(self, root: dict[str, xr.Dataset], groups: dict[str, xr.Dataset]) -> xr.DataTree | None:
        """Assemble the cohort; a clinical group with faults is left out, and said."""
        self.tell("building the cohort")
        kept = dict(groups)
        while True:
            try:
                return assemble(root.get("/"), kept, title=self.settings.title)
            except ValidationError as err:
                at_fault = {fault.group for fault in err.faults} & set(kept) - {
                    "kinetics",
                    "wells",
                    "curves",
                    "verdicts",
                    "results",
                }
                if not at_fault:
                    blame = "patients" if any(fault.variable == "patient" for fault in err.faults) else "kinetics"
                    self._verdict(self._file_of(blame), "cohort", FAILED, "; ".join(map(str, err.faults)))
                    return None
                for name in sorted(at_fault):
                    del kept[name]
                    words = "; ".join(str(fault) for fault in err.faults if fault.group == name)
                    self._verdict(self._file_of(name), name, FAILED, f"left out: {words}")
            except InputError as err:
                self._verdict(self._file_of("patients"), "cohort", FAILED, str(err))
                return None

    def _file_of(self, group: str) -> Path:
        name = getattr(self.settings.clinical, "response" if group == "outcomes" else group, None)
        return self.base / (name or STUDY_FILE)

    # ---- analyses

    def _nca(self) -> None:
        from ..noncompartmental import nca

        self.tell("noncompartmental analysis")
        section = self.settings.nca
        slopes = section.slopes_in(self.base)
        if slopes is not None:
            if not slopes.is_file():
                self._verdict(slopes, "terminal points", FAILED, "is not there: check 'slopes' in [nca]")
                return
            self._verdict(slopes, "terminal points", OK)
        options = section.options(self.base)
        self._analyse("nca", section.recorded(self.base), lambda cohort: nca(cohort, **options))

    def _fit(self) -> None:
        from ..fitting import fit
        from ..modeling import load_model

        section = self.settings.fit
        if section is None:
            return
        self.tell(f"fitting {section.model} (compiles once)")
        try:
            beside = self.base / section.model
            model = load_model(beside if section.model.endswith(".toml") and beside.is_file() else section.model)
        except InputError as err:
            self._verdict(self.base / STUDY_FILE, "fit", FAILED, str(err))
            return
        options = section.model_dump(exclude={"model", "threads"})
        self._analyse(
            "fit",
            options | {"model": model.hash},
            lambda cohort: fit(cohort, model, **options, threads=section.threads),
        )

    def _analyse(self, name: str, settings: Mapping[str, Any], compute: Callable[[xr.DataTree], Any]) -> None:
        cohort = self.cohort
        assert cohort is not None
        try:
            result = self._step(name, {"cohort": content_hash(cohort)}, settings, lambda: compute(cohort))
        except InputError as err:
            self._verdict(Path(err.file or self.base / STUDY_FILE), name, FAILED, str(err))
            return
        self.results.append(result)

    def _exposure(self) -> None:
        from ..exposure import exposure_correlation, exposure_response, peaks

        nca = next((result for result in self.results if result.attrs.get("result") == "nca"), None)
        cohort, section = self.cohort, self.settings.exposure
        if cohort is None or not isinstance(nca, xr.Dataset):
            return
        self.tell("relating exposure to response and cytokines")
        options: dict[str, Any] = {"method": section.method}
        if section.event is not None:
            options["event"] = section.event
        if section.matrix not in nca["matrix"].values.tolist():
            self._say(f"exposure: there is no profile in {section.matrix}")
            return
        highest = None
        if section.cytokines and "cytokines" in cohort.children:
            with self._faults_of("cytokines"):
                highest = peaks(cohort, window=section.window)
        measured = [] if highest is None else highest["cytokine"].values.tolist()
        for cytokine in section.cytokines:
            if cytokine not in measured:
                self._say(f"exposure: there is no peak of a cytokine '{cytokine}'")
        names = section.variables
        if names is None:
            names = ["cmax", *(f"auc_interval {label}" for label in nca["interval"].values.tolist())]
        exposures = {}
        for name in names:
            with self._faults_of("study"):
                exposures[name] = _variable(nca, name).sel(matrix=section.matrix)
        for name, exposure in exposures.items():
            if "outcomes" in cohort.children:
                response = cohort.children["outcomes"].dataset["response"]
                with self._faults_of("response"):
                    self._keep(f"response-{name}", exposure_response(exposure, response, **options))
            for cytokine in section.cytokines:
                if highest is not None and cytokine in measured:
                    peak = highest["peak"].sel(cytokine=cytokine)
                    with self._faults_of("cytokines"):
                        self._keep(f"{cytokine}-{name}", exposure_correlation(exposure, peak))

    @contextlib.contextmanager
    def _faults_of(self, group: str) -> Iterator[None]:
        """Make wrong input of one relation a verdict, said once, and go on with the next."""
        try:
            yield
        except InputError as err:
            if not any(verdict.message == str(err) for verdict in self.run.verdicts):
                self._verdict(self._file_of(group), "exposure", FAILED, str(err))

    def _keep(self, name: str, result: xr.Dataset) -> None:
        safe = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)
        self._write(f"exposure-{safe}.nc", result)
        self.results.append(result)

    # ---- writing

    def _step(
        self, name: str, inputs: Mapping[str, str], settings: Mapping[str, Any], compute: Callable[[], Any]
    ) -> Any:
        """Compute a result, or take it from an earlier run with the same key."""
        key = resume_key(name, inputs=inputs, settings=settings)
        path = self.resume.find(name, key)
        if path is not None:
            self.tell(f"  {name}: unchanged since the last run")
            self.record.append_output(f"kept {path.name}", path)
            self.run.outputs[path.name] = path
            return load(path)
        result = compute()
        path = self._write(f"{name}.nc", result)
        self.resume.keep(name, key, path)
        return result

    def _write(self, name: str, result: Any) -> Path:
        path = save(result, self.run.out / name)
        self.run.outputs[name] = path
        self.record.append_output(f"wrote {name}", path)
        return path

    def _report(self) -> None:
        from ..reporting import report

        assert self.cohort is not None
        self.tell("writing the report")
        inputs = {verdict.file: verdict.sha256 for verdict in self.run.verdicts if verdict.sha256}
        flags = [f"{v.file}: {v.verdict}: {v.message}" for v in self.run.verdicts if v.verdict != OK]
        for name in ("report.html", "report.xlsx"):
            path = report(
                self.cohort,
                *self.results,
                path=self.run.out / name,
                title=self.settings.title,
                inputs=inputs,
                flags=[*flags, *self.run.messages],
            )
            self.run.outputs[name] = path
            self.record.append_output(f"wrote {name}", path)

    def _say(self, message: str) -> None:
        self.run.messages.append(message)

    def _verdict(self, path: Path, kind: str, verdict: str, message: str = "") -> None:
        digest = sha256_file(path) if path.is_file() and os.access(path, os.R_OK) else ""
        self._add(FileVerdict(path.name, digest, kind, verdict, message))

    def _add(self, verdict: FileVerdict) -> None:
        self.run.verdicts.append(verdict)
        self.record.append("input", asdict(verdict))


def _variable(nca: xr.Dataset, name: str) -> xr.DataArray:
    """Return an NCA variable by name, or an interval's area by "auc_interval 0-28"."""
    if "infusion" in nca.dims:  # exposure is that of the first
        nca = nca.isel(infusion=0, drop=True)
    base, _, interval = name.partition(" ")
    if base == "auc_interval" and interval:
        labels = nca["interval"].values.tolist()
        if interval not in labels:
            raise InputError(f"exposure '{name}': the intervals of [nca] are {', '.join(labels)}")
        return nca["auc_interval"].sel(interval=interval).rename(name)
    if interval or base not in nca or set(nca[base].dims) != {"patient", "matrix"}:
        raise InputError(f"exposure '{name}' is not a parameter: name one, or 'auc_interval 0-28'")
    return nca[base]


def _write_run(run: StudyRun, settings: StudySettings, started: str, cohort: xr.DataTree | None) -> None:
    write_json(
        run.out / "run.json",
        {
            "study": settings.title,
            "status": run.status,
            "started": started,
            "finished": now(),
            "by": user(),
            "versions": versions(),
            "settings": json.loads(settings_json(settings.model_dump())),
            "inputs": [asdict(verdict) for verdict in run.verdicts],
            "messages": run.messages,
            "outputs": [
                {"file": path.name, "sha256": sha256_file(path)} for path in run.outputs.values() if path.is_file()
            ],
            "cohort_hash": content_hash(cohort) if cohort is not None else "",
        },
    )
    run.outputs["run.json"] = run.out / "run.json"
