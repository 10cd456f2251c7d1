"""The sample sheet: patient, matrix and time of a sample name, and how much DNA was in the well."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..cohorts.vocabulary import controlled_matrix
from ..errors import InputError, UnitError
from ..provenance import sha256_file
from ..schema import ROLES
from ..tables import Table, fold, read_table
from ..units import conversion_factor
from .cells import well_of

MissingTime = Literal["refuse", "nominal"]

ALIASES: dict[str, tuple[str, ...]] = {
    "sample": ("sample_name", "name"),
    "run": ("run_id", "plate", "plate_id", "file"),
    "well": ("well_position", "position"),
    "role": ("task",),
    "sample_id": ("accession", "pcrefid"),
    "patient": ("patient_id", "usubjid", "subjid", "subject", "subject_id"),
    "matrix": ("specimen", "pcspec", "sample_type"),
    "nominal_time": ("nominal_day", "planned_day", "nominal_time_day", "nominal_time_days", "nominal_time_d"),
    "time": ("actual_time", "actual_day", "time_day", "time_days", "time_d", "day"),
    "time_h": ("actual_time_h", "hours"),
    "time_unit": (),
    "collected": ("collection_time", "collection_datetime", "pcdtc"),
    "dna_ng": (
        *("gdna_ng", "ng", "ng_dna", "ng_gdna", "dna_ng_well", "ng_per_well", "dna_ng_per_well"),
        *("dna_input_ng", "dna_input_ng_well", "ng_well"),
    ),
    "dna_ug": ("gdna_ug",),
    "dna_pg": ("gdna_pg",),
    "dna": ("gdna", "dna_amount"),
    "dna_unit": ("gdna_unit",),
    "dilution": ("dilution_factor", "df", "fold_dilution"),
    "nominal_copies": ("copies", "quantity"),
    "target": ("target_name",),
    "purpose": ("reason_for_analysis",),
    "reaction_ul": ("reaction_volume_ul", "reaction_volume"),
}
PURPOSES = ("", "isr")
_MASS = {"pg": 1e-3, "ng": 1.0, "ug": 1e3}


@dataclass(frozen=True)
class Entry:
    """One row of the sample sheet; times in days, DNA in ng."""

    row: int
    sample: str
    run: str
    well: str
    role: str
    sample_id: str
    patient_id: str
    matrix: str
    nominal_time: float
    time: float
    collected: np.datetime64
    dna_ng: float
    dilution: float
    nominal_copies: float
    target: str
    purpose: str = ""
    reaction_ul: float = np.nan

    @property
    def is_patients(self) -> bool:
        """Whether the row is a patient's sample, rather than a control."""
        return self.role in ("", "unknown")


class SampleSheet:
    """The rows of a sample sheet, found by plate and sample name (or well).

    A row that names a run holds for that run alone, and there wins over a row that names none.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        *,
        file: str = "",
        sheet: str = "",
        sha256: str = "",
        unused_columns: Iterable[str] = (),
    ) -> None:
        self.entries = tuple(entries)
        self.file, self.sheet, self.sha256 = file, sheet, sha256
        self.unused_columns = tuple(unused_columns)
        self._index: dict[tuple[str, str, str], Entry] = {}
        self._runs = {entry.run.casefold() for entry in self.entries if entry.run}
        self.used: set[int] = set()
        for entry in self.entries:
            key = _key(entry)
            other = self._index.setdefault(key, entry)
            if other is not entry:
                what = f"well {entry.well}" if entry.well else f"sample '{entry.sample}'"
                where = f" for run '{entry.run}'" if entry.run else ""
                raise self.error(
                    f"{what} is listed twice{where}, in rows {other.row} and {entry.row}: "
                    "keep one, or name the run that each is for",
                    entry.row,
                )

    def error(self, message: str, row: int | None = None) -> InputError:
        """Return an exception that names the sheet's file and row."""
        return InputError(message, file=self.file or "sample sheet", sheet=self.sheet or None, row=row)

    def find(self, runs: Iterable[str], well: str, sample: str) -> Entry | None:
        """Return the row for a well: of one of the `runs` before one for all, by well before by sample name."""
        for run in (*dict.fromkeys(name.casefold() for name in runs), ""):
            for kind, name in (("well", well), ("sample", name_key(sample))):
                entry = self._index.get((run, kind, name)) if name else None
                if entry is not None:
                    self.used.add(entry.row)
                    return entry
        return None

    def names_file(self, path: Path) -> bool:
        """Return whether any row is for the run of this file, by its name with or without its ending."""
        names = {path.name, path.stem, Path(path.name.removesuffix(".gz")).stem}
        return bool({name.casefold() for name in names} & self._runs)

    def runs_of(self, sample: str) -> list[str]:
        """Return the runs for which a sample name is listed, where all its rows name one."""
        return list(dict.fromkeys(entry.run for entry in self.entries if name_key(entry.sample) == name_key(sample)))

    def nearest(self, sample: str) -> str:
        """Return the sample name that is spelled most alike, "" where none is."""
        names = [entry.sample for entry in self.entries]
        alike = [name for name in names if name_key(name).casefold() == name_key(sample).casefold()]
        near = alike or difflib.get_close_matches(sample, names, n=1, cutoff=0.7)
        return near[0] if near else ""


def name_key(name: str) -> str:
    """Return a sample name as it is compared: spaces collapsed, "200.0" as "200".

    Examples
    --------
    >>> name_key(" P1  day 7 "), name_key("200.0")
    ('P1 day 7', '200')
    """
    text = re.sub(r"\s+", " ", name).strip()
    return re.sub(r"\.0+$", "", text) if re.fullmatch(r"\d+\.0+", text) else text


def _key(entry: Entry) -> tuple[str, str, str]:
    named = ("well", entry.well) if entry.well else ("sample", name_key(entry.sample))
    return (entry.run.casefold(), *named)


def read_sample_sheet(
    source: str | Path | pd.DataFrame, /, *, matrix: str = "blood", missing_time: MissingTime = "refuse"
) -> SampleSheet:
    """Read a sample sheet.

    Parameters
    ----------
    source : path or DataFrame
        CSV or workbook, found by content. Columns, each with the usual other names:

        - ``sample``: the name on the plates; or ``well`` for exports without sample names;
        - ``patient``, ``matrix``;
        - ``time`` (days since the first infusion, or ``time (h)``, or with a column ``time_unit``), or
          ``collected`` (ISO 8601, local time); and ``nominal_time``, the planned day;
        - ``dna_ng``: genomic DNA in the well (or ``dna (ug)``, ``dna (pg)``, or ``dna`` with ``dna_unit``);
        - ``dilution``: fold dilution of the extract, only where ``dna_ng`` is of the undiluted extract
          (10 or "1:10"); 1 where it is empty;
        - ``run``: run id or file name, where a sample name means different things on different plates;
        - ``sample_id``: ties several names to one sample (repeats, dilutions); the sample name where empty;
        - ``role``: standard, qc, ntc, … for a control; ``nominal_copies`` and ``target`` for standards
          whose export does not say;
        - ``purpose``: "isr" for an incurred-sample reanalysis, whose result is compared and never reported;
        - ``reaction_ul``: volume of a digital PCR reaction, where the export does not state it.
    matrix : str
        Matrix of rows that name none.
    missing_time : {"refuse", "nominal"}
        A row with a planned time only: refuse it, or take the planned time as the actual one.

    Returns
    -------
    SampleSheet

    Raises
    ------
    InputError
        Names file, sheet and row: a missing column, a sample listed twice, a time, mass or dilution that
        is not a number, one ``sample_id`` for two samples, two ``sample_id`` for one patient, matrix and time.
    UnitError
        An unknown unit of time or mass.

    Examples
    --------
    >>> rows = pd.DataFrame({"sample": ["S1"], "patient": ["P1"], "time (h)": [48], "DNA (ng)": [200]})
    >>> read_sample_sheet(rows).entries[0].time
    2.0
    """
    if missing_time not in ("refuse", "nominal"):
        raise InputError(f"missing_time='{missing_time}' is unknown: use 'refuse' or 'nominal'")
    table = read_table(source, what="the sample sheet", aliases=ALIASES)
    _check_columns(table)
    if not len(table):
        raise table.error(None, "the sample sheet lists no sample: fill it in")
    times, masses = _times(table), _masses(table)
    dilutions = _dilutions(table)
    texts = {name: table.texts(name) for name in ("sample", "run", "well", "role", "sample_id", "patient", "matrix")}
    texts["target"] = table.texts("target")
    texts["purpose"] = [text.lower() for text in table.texts("purpose")]
    volumes = table.numbers("reaction_ul")
    nominal, collected = table.numbers("nominal_time"), table.datetimes("collected")
    copies = table.numbers("nominal_copies")
    entries = []
    for at in range(len(table)):
        entry = Entry(
            row=table.rows[at],
            sample=texts["sample"][at],
            run=texts["run"][at],
            well=_well(table, at, texts["well"][at]),
            role=_role(table, at, texts["role"][at]),
            sample_id=texts["sample_id"][at] or texts["sample"][at],
            patient_id=texts["patient"][at],
            matrix=_matrix(table, at, texts["matrix"][at] or matrix),
            nominal_time=float(nominal[at]),
            time=float(nominal[at] if missing_time == "nominal" and np.isnan(times[at]) else times[at]),
            collected=collected[at],
            dna_ng=float(masses[at]),
            dilution=float(dilutions[at]),
            nominal_copies=float(copies[at]),
            target=texts["target"][at],
            purpose=texts["purpose"][at],
            reaction_ul=float(volumes[at]),
        )
        _check_entry(table, at, entry)
        entries.append(entry)
    sha256 = "" if isinstance(source, pd.DataFrame) else sha256_file(source)
    unused = [str(column) for column in table.frame.columns if column not in ALIASES]
    sheet = SampleSheet(entries, file=table.file, sheet=table.sheet, sha256=sha256, unused_columns=unused)
    _check_identity(sheet)
    return sheet


def _check_columns(table: Table) -> None:
    if "sample" not in table and "well" not in table:
        listed = ", ".join(f"'{name}'" for name in table.frame.columns)
        raise table.error(None, f"the sample sheet has no column 'sample' (it has {listed}): add it")
    mass, time = "ng, ug or pg", "day or h"
    for prefix, known in (("dna", mass), ("gdna", mass), ("time", time), ("nominal_time", "day")):
        for column in map(str, table.frame.columns):
            if column not in ALIASES and re.match(rf"{prefix}_", fold(column)):
                raise table.error(
                    None,
                    f"the sample sheet's column '{column}' is in an unknown unit: use {known}",
                    UnitError,
                )
    needed = (
        ("patient", ("patient",), "patient"),
        ("dna_ng", ("dna_ng", "dna_ug", "dna_pg", "dna"), "ng of genomic DNA in the well"),
        ("time", ("time", "time_h", "collected", "nominal_time"), "days since the first infusion"),
    )
    for name, accepted, meaning in needed:
        if not any(column in table for column in accepted):
            raise table.error(None, f"the sample sheet has no column '{name}' ({meaning}): add it")


def _times(table: Table) -> np.ndarray:
    times = table.numbers("time")
    for at, unit in enumerate(table.texts("time_unit")):
        if unit:
            try:
                times[at] *= conversion_factor(unit, "day")
            except UnitError as err:
                raise table.error(at, err.message, UnitError) from None
    return np.where(np.isnan(times), table.numbers("time_h") * conversion_factor("h", "day"), times)


def _masses(table: Table) -> np.ndarray:
    masses = table.numbers("dna_ng")
    for name, factor in (("dna_ug", _MASS["ug"]), ("dna_pg", _MASS["pg"])):
        masses = np.where(np.isnan(masses), table.numbers(name) * factor, masses)
    plain = table.numbers("dna")
    for at, unit in enumerate(table.texts("dna_unit")):
        if np.isnan(plain[at]) or not np.isnan(masses[at]):
            continue
        word = unit.replace("µ", "u").replace("μ", "u").lower()
        if word not in _MASS:
            raise table.error(at, f"the DNA's unit '{unit}' is unknown: use ng, ug or pg in 'dna_unit'", UnitError)
        masses[at] = plain[at] * _MASS[word]
    if (masses < 0).any():
        worst = int(np.argmax(masses < 0))
        raise table.error(worst, f"the DNA in the well is {masses[worst]:g} ng: correct it")
    return masses


def _dilutions(table: Table) -> np.ndarray:
    out = np.ones(len(table))
    for at, text in enumerate(table.texts("dilution")):
        if not text:
            continue
        ratio = re.fullmatch(r"1\s*[:/]\s*(\d+(\.\d+)?)", text)
        try:
            out[at] = float(ratio[1] if ratio else text)
        except ValueError:
            raise table.error(at, f"dilution '{text}' is not a number: write 10 or 1:10 for tenfold") from None
        if not 1.0 <= out[at] < np.inf:
            raise table.error(at, f"dilution {text} is below 1: write 10 or 1:10 for tenfold")
    return out


def _well(table: Table, at: int, text: str) -> str:
    if not text:
        return ""
    try:
        return well_of(text)
    except ValueError as err:
        raise table.error(at, str(err)) from None


def _role(table: Table, at: int, text: str) -> str:
    role = text.lower()
    if role not in ROLES:
        raise table.error(at, f"unknown role '{text}': use one of {', '.join(ROLES[:-1])}")
    return role


def _matrix(table: Table, at: int, text: str) -> str:
    try:
        return controlled_matrix(text)
    except InputError as err:
        raise table.error(at, err.message) from None


def _check_entry(table: Table, at: int, entry: Entry) -> None:
    if not entry.sample and not entry.well:
        raise table.error(at, "the sample sheet names no sample: fill in 'sample'")
    if entry.purpose not in PURPOSES:
        raise table.error(at, f"purpose '{entry.purpose}' is unknown: write isr for a reanalysis, or leave it empty")
    if not (np.isnan(entry.reaction_ul) or 0 < entry.reaction_ul < np.inf):
        raise table.error(at, f"the reaction volume {entry.reaction_ul:g} uL is not positive: correct it")
    if not entry.is_patients:
        return
    if not entry.patient_id:
        raise table.error(at, f"sample '{entry.sample}' has no patient: fill it in, or give it a control's role")
    if np.isnan(entry.time) and np.isnat(entry.collected):
        hint = "" if np.isnan(entry.nominal_time) else ", or allow the planned time with missing_time='nominal'"
        raise table.error(at, f"sample '{entry.sample}' has neither 'time' nor 'collected': fill one in{hint}")


def _check_identity(sheet: SampleSheet) -> None:
    """Hold one sample_id to one patient, matrix and time, and the other way round."""
    by_id: dict[str, tuple[Entry, Any]] = {}
    by_place: dict[Any, Entry] = {}
    for entry in sheet.entries:
        if not entry.is_patients:
            continue
        moment = str(entry.collected) if np.isnan(entry.time) else entry.time
        place = (entry.patient_id, entry.matrix, moment)
        first, known = by_id.setdefault(entry.sample_id, (entry, place))
        if known != place:
            raise sheet.error(
                f"sample_id '{entry.sample_id}' stands for two samples (rows {first.row} and {entry.row} differ in "
                "patient, matrix or time): give each its own 'sample_id'",
                entry.row,
            )
        other = by_place.setdefault(place, entry)
        if other.sample_id != entry.sample_id:
            raise sheet.error(
                f"samples '{other.sample}' (row {other.row}) and '{entry.sample}' (row {entry.row}) are one patient, "
                "matrix and time: give both one 'sample_id' if they are repeats, or correct the time",
                entry.row,
            )
