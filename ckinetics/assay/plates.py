"""Reading plate exports into one well table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..provenance import result_attrs
from ..schema import ROLES, Verdict
from .cells import UNDETERMINED, fold, text_of
from .exports import Export, export_files, read_export
from .identification import Fault, identify, unused_parts
from .readers import Options
from .readers.column_map import family_of
from .readers.table import check_quantity_unit
from .records import dataset_of
from .sample_sheet import MissingTime, SampleSheet, read_sample_sheet

Errors = Literal["raise", "collect"]
RunId = Literal["stem", "folder"]


@dataclass
class _File:
    """What became of one file."""

    path: Path
    sha256: str = ""
    family: str = ""
    software: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False
    messages: list[str] = field(default_factory=list)


def read_plates(
    paths: str | Path | Sequence[str | Path],
    /,
    *,
    layout: str | Path | pd.DataFrame | None = None,
    columns: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    tasks: Mapping[str, str] | None = None,
    errors: Errors = "raise",
    quantity_unit: str = "copies/well",
    undetermined: Sequence[str] = (),
    run_id: RunId = "stem",
    matrix: str = "blood",
    missing_time: MissingTime = "refuse",
) -> xr.Dataset:
    r"""Read plate exports into one well table.

    What a file is, is found by its content: its first bytes and its column names, never its extension or
    a row number. Known are QuantStudio exports (Design & Analysis workbooks and the older text, CSV
    and workbook exports with the same columns), CFX and Bio-Rad tables, LightCycler 480 text (also .gz), RDML, for
    digital PCR QuantaSoft (QX Manager), QIAcuity and Absolute Q, the plain tidy well table, and any table through
    `columns`.

    Parameters
    ----------
    paths : path or sequence of paths
        A file, a folder (its files, sorted by name; hidden, temporary and lock files, the sample sheet and
        what lies in folders inside it are left out), or several of these.
    layout : path or DataFrame, optional
        The sample sheet: which patient, matrix, time, ng of DNA and dilution a sample name stands for; see
        `ckinetics.assay.read_sample_sheet`. Without it no well has a patient.
    columns : mapping of str to str, optional
        For tables of other kinds: ``well``, ``sample``, ``target``, ``role``, ``cq``, ``quantity``,
        ``quantity_unit``, ``omit``, ``dye``, ``run_id`` to the header that the table uses; for digital PCR
        ``n_partitions``, ``n_positive``, ``partition_nl`` (or ``concentration``) and ``reaction_ul``. Files in which
        no row has all these headers are read as usual.
    roles : mapping of str to str, optional
        Sample name, or a pattern such as "QC*", to role; wins over the export's task and the sheet.
    tasks : mapping of str to str, optional
        Further words of the task column, to role.
    errors : {"raise", "collect"}
        "raise": all files are tried, then the first fault is raised and the others are counted. "collect":
        faults are data: the dim ``export`` has a verdict and message for each file, the dim ``fault`` each
        fault. A file that cannot be read gives no wells; a sample that is not in the sample sheet keeps
        its wells, without a patient.
    quantity_unit : str
        Unit of quantities in files that do not name one.
    undetermined : sequence of str
        Further words of a Cq field that mean "no signal seen", e.g. ("NaN",). A blank Cq says nothing,
        and is neither a signal nor its absence.
    run_id : {"stem", "folder"}
        Name of a run whose file does not give one: the file's name without extension, or folder/name.
    matrix : str
        Matrix of rows of the sample sheet that name none.
    missing_time : {"refuse", "nominal"}
        Rows of the sample sheet with a planned time only.

    Returns
    -------
    Dataset
        Dim ``well``: the variables of the schema's group "wells". Dim ``export``, one entry a file tried:
        ``file_name``, ``file_hash``, ``family``, ``software``, ``n_wells``, ``verdict`` (passed: its wells
        were read), ``message``. Dim ``fault``: ``fault_file``, ``fault_sheet``, ``fault_row``,
        ``fault_sample``, ``fault_fatal``, ``fault_message``; columns of the sheet that are not used and samples
        that are on no plate are listed here with either value of `errors`.

    Raises
    ------
    InputError
        A fault of the sample sheet or of an argument; with ``errors="raise"`` also of a file or a sample:
        unknown layout, damaged file, missing column, unknown task or unit, a sample absent from the
        sheet. File, sheet and row are named.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "plate.csv"
    >>> _ = file.write_text("well,sample,target,role,cq\nA01,S1,CAR,unknown,27.5\n")
    >>> wells = read_plates(file)
    >>> wells["well_name"].item(), wells["cq"].item(), wells["row"].item()
    ('A1', 27.5, 2.0)
    """
    options = reader_options(columns=columns, tasks=tasks, quantity_unit=quantity_unit, undetermined=undetermined)
    _check(roles, errors, run_id)
    sheet = None if layout is None else read_sample_sheet(layout, matrix=matrix, missing_time=missing_time)
    layout_path = Path(layout) if isinstance(layout, (str, Path)) else None
    return join_exports(
        [read_export(path, options) for path in export_files(paths, layout_path)],
        sheet=sheet,
        columns=columns,
        roles=roles,
        tasks=tasks,
        errors=errors,
        quantity_unit=quantity_unit,
        undetermined=undetermined,
        run_id=run_id,
        matrix=matrix,
        missing_time=missing_time,
    )


def join_exports(
    exports: Iterable[Export],
    /,
    *,
    sheet: SampleSheet | None,
    columns: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    tasks: Mapping[str, str] | None = None,
    errors: Errors = "raise",
    quantity_unit: str = "copies/well",
    undetermined: Sequence[str] = (),
    run_id: RunId = "stem",
    matrix: str = "blood",
    missing_time: MissingTime = "refuse",
) -> xr.Dataset:
    """Return the well table of exports that were read one by one: what `read_plates` makes of their files.

    Here is what no file says of itself: that it is a copy of another, that two hold the same run, and whose
    samples are in it. The rows of `exports` are filled in where they stand.

    Parameters
    ----------
    exports : iterable of Export
        In the order in which the well table shall have them.
    sheet : SampleSheet or None
        The sample sheet, read.
    columns, roles, tasks, errors, quantity_unit, undetermined, run_id, matrix, missing_time
        As for `read_plates`; those that matter to one file by itself are recorded only.
    """
    patterns = _check(roles, errors, run_id)
    exports = list(exports)
    seen = _Seen(_originals(exports, sheet))
    files, faults = [], []
    for export in exports:
        file, found = _join(export, seen, patterns, sheet, run_id)
        files.append(file)
        faults += found
    if sheet is not None:
        faults += unused_parts(sheet)
    fatal = [fault.error for fault in faults if fault.fatal]
    if errors == "raise" and fatal:
        raise _first(fatal)
    words = (undetermined,) if isinstance(undetermined, str) else undetermined
    settings = {
        "columns": columns,
        "roles": roles,
        "tasks": tasks,
        "errors": errors,
        "quantity_unit": quantity_unit,
        "undetermined": sorted(UNDETERMINED | {fold(word) for word in words}),
        "run_id": run_id,
        "matrix": matrix,
        "missing_time": missing_time,
    }
    attrs = result_attrs(title="wells of plate exports", settings=settings)
    if sheet is not None:
        attrs |= {"layout_file": Path(sheet.file).name, "layout_sha256": sheet.sha256}
    tables = _file_table(files) | _fault_table(faults)
    return dataset_of("wells", [row for file in files for row in file.rows], attrs, more=tables)


def reader_options(
    *,
    columns: Mapping[str, str] | None = None,
    tasks: Mapping[str, str] | None = None,
    quantity_unit: str = "copies/well",
    undetermined: Sequence[str] = (),
) -> Options:
    """Return what `read_plates` decides of the reading of one file, checked.

    Raises
    ------
    InputError
        An unknown column, role or unit.
    """
    check_quantity_unit(quantity_unit)
    if columns:
        family_of(columns)
    for word, role in (tasks or {}).items():
        if role not in ROLES:
            raise InputError(f"tasks: '{word}' is mapped to '{role}', which is no role: use {', '.join(ROLES[:-1])}")
    words = (undetermined,) if isinstance(undetermined, str) else undetermined
    return Options(
        columns=dict(columns or {}),
        tasks={fold(word): role for word, role in (tasks or {}).items()},
        quantity_unit=quantity_unit,
        undetermined=UNDETERMINED | {fold(word) for word in words},
    )


def _check(roles: Mapping[str, str] | None, errors: str, run_id: str) -> list[tuple[str, str]]:
    """Check the options that concern all files, and return the folded patterns of roles."""
    if errors not in ("raise", "collect"):
        raise InputError(f"errors='{errors}' is unknown: use 'raise' or 'collect'")
    if run_id not in ("stem", "folder"):
        raise InputError(f"run_id='{run_id}' is unknown: use 'stem' or 'folder'")
    for name, role in (roles or {}).items():
        if role not in ROLES:
            raise InputError(f"roles: '{name}' is mapped to '{role}', which is no role: use {', '.join(ROLES[:-1])}")
    return [(name.casefold(), role) for name, role in (roles or {}).items()]


@dataclass
class _Seen:
    """Which file stands for all with its bytes, and the name of the file before with a run."""

    originals: dict[str, Path]
    runs: dict[str, str] = field(default_factory=dict)


def _originals(exports: Sequence[Export], sheet: SampleSheet | None) -> dict[str, Path]:
    """Return, by hash, the one of several files with the same bytes that is the export: the one the sheet names."""
    found: dict[str, Path] = {}
    for export in exports:
        if not export.sha256:
            continue
        other = found.setdefault(export.sha256, export.path)
        if sheet is not None and sheet.names_file(export.path) and not sheet.names_file(other):
            found[export.sha256] = export.path
    return found


def _join(
    export: Export,
    seen: _Seen,
    patterns: list[tuple[str, str]],
    sheet: SampleSheet | None,
    run_id: RunId,
) -> tuple[_File, list[Fault]]:
    path, rows = export.path, export.rows
    file = _File(path, export.sha256, export.family, export.software)
    try:
        _refuse_copy(export, seen)
        if export.error is not None:
            raise export.error
        name = path.name.removesuffix(".gz").rsplit(".", 1)[0]
        stem = name if run_id == "stem" else f"{path.resolve().parent.name}/{name}"
        for row in rows:
            row["run_id"] = row.pop("run") or stem
        runs = list(dict.fromkeys(row["run_id"] for row in rows))
        _refuse_shared_runs(path, runs, seen)
        _refuse_repeated_wells(path, rows)
        faults = identify(path, rows, patterns, sheet)
    except InputError as err:
        file.failed = True
        file.messages.append(str(err))
        return file, [Fault(err)]
    seen.runs |= dict.fromkeys(runs, path.name)
    file.rows = rows
    file.messages += [str(fault.error) for fault in faults]
    return file, faults


def _refuse_copy(export: Export, seen: _Seen) -> None:
    original = seen.originals.get(export.sha256, export.path)
    if original != export.path:
        raise InputError(f"the file is a copy of '{original.name}': keep one of them", file=export.path)


def _refuse_shared_runs(path: Path, runs: Sequence[str], seen: _Seen) -> None:
    shared = sorted(run for run in runs if run in seen.runs)
    if shared:
        raise InputError(
            f"run '{shared[0]}' is already in '{seen.runs[shared[0]]}': give each run its own name "
            "(run_id='folder' puts the folder in front)",
            file=path,
        )


def _refuse_repeated_wells(path: Path, rows: list[dict[str, Any]]) -> None:
    seen: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = (row["run_id"], row["well_name"], row["target"], row["dye"])
        first = seen.setdefault(key, row["row"])
        if first != row["row"]:
            raise InputError(
                f"well {row['well_name']} of target '{row['target']}' is there twice, in rows {first:g} and "
                f"{row['row']:g}: keep one, or name the plates in a column 'run_id'",
                file=path,
                sheet=row["sheet"],
                row=int(row["row"]),
            )


def _first(errors: list[InputError]) -> InputError:
    first = errors[0]
    more = len(errors) - 1
    if not more:
        return first
    message = f"{first.message} (and {more} more fault{'s' if more > 1 else ''}: errors='collect' lists all)"
    return type(first)(message, file=first.file, sheet=first.sheet, row=first.row)


def _texts(values: Iterable[Any]) -> np.ndarray:
    listed = [text_of(value) for value in values]
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array


def _file_table(files: list[_File]) -> dict[str, Any]:
    verdicts = [Verdict.failed if file.failed else Verdict.passed for file in files]
    flags = {
        "long_name": "whether the wells were read",
        "flag_values": np.array([int(code) for code in Verdict], dtype=np.int8),
        "flag_meanings": " ".join(code.name for code in Verdict),
    }
    return {
        "file_name": ("export", _texts(file.path.name for file in files), {"long_name": "name of the file"}),
        "file_hash": (
            "export",
            _texts(file.sha256 for file in files),
            {"long_name": "SHA-256 of the file's bytes"},
        ),
        "family": (
            "export",
            _texts(file.family for file in files),
            {"long_name": "vendor family that read it"},
        ),
        "software": (
            "export",
            _texts(file.software for file in files),
            {"long_name": "software that wrote it"},
        ),
        "n_wells": (
            "export",
            np.array([len(file.rows) for file in files], dtype=np.float64),
            {"long_name": "rows of wells read"},
        ),
        "verdict": ("export", np.array(verdicts, dtype=np.int8), flags),
        "message": (
            "export",
            _texts("; ".join(file.messages) for file in files),
            {"long_name": "what was wrong"},
        ),
    }


def _fault_table(faults: list[Fault]) -> dict[str, Any]:
    errors = [fault.error for fault in faults]
    rows = [np.nan if error.row is None else float(error.row) for error in errors]
    return {
        "fault_file": (
            "fault",
            _texts(Path(error.file or "").name for error in errors),
            {"long_name": "file"},
        ),
        "fault_sheet": ("fault", _texts(error.sheet or "" for error in errors), {"long_name": "sheet"}),
        "fault_row": ("fault", np.array(rows, dtype=np.float64), {"long_name": "row, counted from 1"}),
        "fault_sample": ("fault", _texts(fault.sample for fault in faults), {"long_name": "sample"}),
        "fault_fatal": (
            "fault",
            np.array([int(fault.fatal) for fault in faults], dtype=np.int8),
            {
                "long_name": "whether wells are unusable because of it",
                "flag_values": np.array([0, 1], dtype=np.int8),
                "flag_meanings": "no yes",
            },
        ),
        "fault_message": ("fault", _texts(error.message for error in errors), {"long_name": "what is wrong"}),
    }
