"""``study.toml``: what a study consists of and how it is analysed."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..assay.calibration import Calibration
from ..assay.levels import ReplicateMean
from ..assay.reference_gene import Unit
from ..assay.repeats import Repeats
from ..assay.rules import SETS
from ..errors import FileFormatError, InputError
from ..noncompartmental.rules import Limits, resolve
from ..noncompartmental.windows import check_intervals
from ..provenance import sha256_file

STUDY_FILE = "study.toml"
READING = ("columns", "roles", "tasks", "undetermined", "quantity_unit", "run_id", "matrix", "missing_time")
QUANTIFYING = (
    "calibration", "target", "repeats", "replicate_mean", "lloq_copies", "lod_copies", "unit", "reference", "genome_pg",
    "ipc_target",
)  # fmt: skip
RULES = ("auc_method", "blq", "anchor", "baseline", "tail", "min_points", "rising", "tmax", "tmax_in_line")

Settings = TypeVar("Settings", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Plates(_Section):
    """Plate exports and the sample sheet."""

    files: list[str] | str = "plates"
    sample_sheet: str = "samples.csv"
    matrix: str = "blood"
    missing_time: Literal["refuse", "nominal"] = "refuse"
    run_id: Literal["stem", "folder"] = "stem"
    rules: str = "default"
    overrides: str | None = None
    calibration: Calibration = "ols"
    target: str | None = None
    repeats: Repeats = "refuse"
    replicate_mean: ReplicateMean = "arithmetic"
    lloq_copies: float | None = None
    lod_copies: float | None = None
    unit: Unit = "copies/ug"
    reference: str | None = None
    genome_pg: float | None = None
    ipc_target: str | None = None
    columns: dict[str, str] | None = None
    roles: dict[str, str] | None = None
    tasks: dict[str, str] | None = None
    quantity_unit: str = "copies/well"
    undetermined: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _some_files(self) -> Plates:
        if not self.named_files or "" in self.named_files:
            raise ValueError("'files' is empty: name a file, a folder or a list of them")
        return self

    @property
    def named_files(self) -> list[str]:
        """The files and folders, as a list also where one is named."""
        return [self.files] if isinstance(self.files, str) else self.files

    @property
    def reading(self) -> dict[str, Any]:
        """The options of `read_plates`."""
        return self.model_dump(include=set(READING))

    @property
    def quantifying(self) -> dict[str, Any]:
        """The options of `quantify` that are no files."""
        return self.model_dump(include=set(QUANTIFYING))

    def rules_in(self, base: Path) -> str | Path:
        """Return the rules: a set that comes with ckinetics, or a file beside the settings."""
        return self.rules if self.rules in SETS else base / self.rules


class Kinetics(_Section):
    """A tidy table of levels, or an example, in place of plates."""

    table: str | None = None
    example: str | None = None
    unit: str | None = None
    matrix: str = "blood"
    lloq: float | None = None
    lod: float | None = None
    uloq: float | None = None
    time_unit: str = "day"
    columns: dict[str, str] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Kinetics:
        if (self.table is None) == (self.example is None):
            raise ValueError("name either 'table' or 'example'")
        if self.table is not None and self.unit is None:
            raise ValueError("the table's 'unit' is missing")
        return self


class Clinical(_Section):
    """Clinical tables, each a file beside the study file."""

    patients: str | None = None
    infusions: str | None = None
    cytokines: str | None = None
    counts: str | None = None
    response: str | None = None
    medication: str | None = None
    events: str | None = None
    lesions: str | None = None
    visits: str | None = None
    ada: str | None = None
    columns: dict[str, dict[str, str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_tables(self) -> Clinical:
        tables = [name for name in type(self).model_fields if name != "columns"]
        for name in self.columns:
            if name not in tables:
                raise ValueError(f"columns: '{name}' is no clinical table: known are {', '.join(tables)}")
        return self


class Nca(_Section):
    """Noncompartmental analysis: the options of `ckinetics.nca`; ``slopes`` is a file beside the settings."""

    preset: str = "cell_therapy"
    auc_method: str | None = None
    intervals: list[Any] = Field(default_factory=lambda: [(0.0, 28.0)])
    blq: Any = None
    anchor: str | None = None
    baseline: str | None = None
    tail: str | None = None
    min_points: int | None = None
    rising: str | None = None
    tmax: str | None = None
    tmax_in_line: bool | None = None
    slopes: str | None = None
    tobit: bool = False
    persistence: Literal["last_quantified", "midpoint", "first_blq"] = "last_quantified"
    threshold: float | None = None
    peak_fold: float = 2.0
    peak_errors: float = 3.0
    peaks_from: float = 3.0
    contraction_days: float = 21.0
    window: tuple[float, float] | None = None
    infusions: Literal["first", "each"] = "first"
    dose: float | None = None
    disposition: bool = False
    uncertainty: Literal["delta", "bootstrap", "both"] | None = None
    draws: int = Field(default=1000, ge=1)
    level: float = Field(default=0.95, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    limits: dict[str, float] | None = None
    times: Literal["actual", "nominal"] = "actual"

    @model_validator(mode="after")
    def _known_rules(self) -> Nca:
        check_intervals(self.intervals)
        resolve(self.preset, {name: getattr(self, name) for name in RULES})
        strangers = set(self.limits or {}) - {field.name for field in dataclasses.fields(Limits)}
        if strangers:
            known = ", ".join(field.name for field in dataclasses.fields(Limits))
            raise ValueError(f"unknown limit '{min(strangers)}': it is one of {known}")
        return self

    def slopes_in(self, base: Path) -> Path | None:
        """Return the table of terminal points, found beside the settings."""
        return None if self.slopes is None else base / self.slopes

    def options(self, base: Path) -> dict[str, Any]:
        """Return the options of `nca`."""
        return self.model_dump() | {"slopes": self.slopes_in(base)}

    def recorded(self, base: Path) -> dict[str, Any]:
        """Return everything that changes the result: the options, with the hash of the table of terminal points."""
        found, slopes = self.model_dump(), self.slopes_in(base)
        return found if slopes is None else found | {"slopes": sha256_file(slopes)}


class Fit(_Section):
    """Individual fits; without this section nothing is fitted."""

    model: str = "stein2019"
    matrix: str | None = None
    starts: int = 8
    seed: int = Field(default=0, ge=0)
    fixed: dict[str, float] | None = None
    threads: int = 2


class Exposure(_Section):
    """Exposure against response and cytokine peaks; by default of Cmax and the area of each interval."""

    variables: list[str] | None = None
    matrix: str = "blood"
    event: list[str] | None = None
    method: Literal["auto", "logistic", "firth"] = "auto"
    cytokines: list[str] = Field(default_factory=list)
    window: tuple[float, float] = (0.0, 28.0)


class StudySettings(_Section):
    """Everything that ``study.toml`` may say."""

    title: str = "study"
    assay: str = ""
    plates: Plates | None = None
    kinetics: Kinetics | None = None
    clinical: Clinical = Field(default_factory=Clinical)
    nca: Nca = Field(default_factory=Nca)
    fit: Fit | None = None
    exposure: Exposure = Field(default_factory=Exposure)

    @model_validator(mode="after")
    def _one_source(self) -> StudySettings:
        if (self.plates is None) == (self.kinetics is None):
            raise ValueError("name either [plates] or [kinetics] as the source of the levels")
        return self


def read_settings(path: str | Path) -> StudySettings:
    """Read and check ``study.toml``.

    Parameters
    ----------
    path : str or Path
        The file, or the folder that holds it.

    Returns
    -------
    StudySettings
        Frozen; paths in it are relative to the file's folder.

    Raises
    ------
    FileFormatError
        The file is missing or is not TOML.
    InputError
        A key is unknown (the nearest known one is named) or a value is wrong.
    """
    file = Path(path)
    if file.is_dir():
        file = file / STUDY_FILE
    if not file.is_file():
        raise FileFormatError(
            f"there is no '{STUDY_FILE}' in {file.parent}: write one (ckinetics demo makes an example to copy)"
        )
    try:
        return StudySettings.model_validate(_toml(file))
    except ValidationError as err:
        raise InputError(_sentence(err, StudySettings), file=str(file)) from None


def located_plate_settings(path: str | Path) -> tuple[dict[str, Any], Path | None]:
    """Read the keys of [plates] from a TOML file: those of that table where there is one, else those at the top.

    Returns
    -------
    keys : dict
        As they were given, save that files which they name are found beside the TOML file. ``files`` is not among
        them, for another folder is to be read.
    sample_sheet : Path or None
        The sample sheet that is named there.

    Raises
    ------
    FileFormatError
        The file is missing or is not TOML.
    InputError
        A key is unknown (the nearest known one is named) or a value is wrong.
    """
    file = Path(path)
    keys = _table(file, "plates")
    settings = plate_settings(keys, file)
    if settings.rules not in SETS:
        keys["rules"] = str(file.parent / settings.rules)
    if settings.overrides is not None:
        keys["overrides"] = str(file.parent / settings.overrides)
    keys.pop("files", None)
    sheet = keys.pop("sample_sheet", None)
    return keys, None if sheet is None else file.parent / sheet


def plate_settings(keys: Mapping[str, Any], file: Path | None = None) -> Plates:
    """Return the settings of plates from their keys.

    Raises
    ------
    InputError
        A key is unknown (the nearest known one is named) or a value is wrong.
    """
    return _checked(Plates, keys, file)


def nca_settings(keys: Mapping[str, Any], file: Path | None = None) -> Nca:
    """Return the settings of a noncompartmental analysis from their keys.

    Raises
    ------
    InputError
        A key is unknown (the nearest known one is named) or a value is wrong.
    """
    return _checked(Nca, keys, file)


def located_nca_settings(path: str | Path) -> dict[str, Any]:
    """Read the keys of [nca] from a TOML file: those of that table where there is one, else those at the top.

    Returns
    -------
    dict
        As they were given, save that the table of terminal points is found beside the TOML file.

    Raises
    ------
    FileFormatError
        The file is missing or is not TOML.
    InputError
        A key is unknown (the nearest known one is named) or a value is wrong.
    """
    file = Path(path)
    keys = _table(file, "nca")
    slopes = nca_settings(keys, file).slopes_in(file.parent)
    return keys if slopes is None else keys | {"slopes": str(slopes)}


def _checked(settings: type[Settings], keys: Mapping[str, Any], file: Path | None) -> Settings:
    try:
        return settings.model_validate(dict(keys))
    except ValidationError as err:
        raise InputError(_sentence(err, settings), file=file) from None


def _table(file: Path, name: str) -> dict[str, Any]:
    """Return the keys of a table of a TOML file, or all keys of a file that has no such table."""
    raw = _toml(file)
    return dict(raw[name] if isinstance(raw.get(name), dict) else raw)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise FileFormatError(f"cannot be opened ({err.strerror or err})", file=str(file)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise FileFormatError(f"is not valid TOML: {err}", file=str(file)) from None


def _sentence(err: ValidationError, settings: type[BaseModel]) -> str:
    parts = []
    for fault in err.errors():
        where = ".".join(str(step) for step in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _known_keys(fault["loc"][:-1], settings)
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            parts.append(f"unknown key '{where}': {hint}")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            parts.append(f"{where}: {message}" if where else message)
    return "; ".join(parts)


def _known_keys(location: tuple[Any, ...], settings: type[BaseModel]) -> list[str]:
    model: Any = settings
    for step in location:
        annotation = model.model_fields[step].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
