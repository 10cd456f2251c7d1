"""Saving and loading: NetCDF, and a folder of tidy CSV tables; both restore exactly what was saved.

A NetCDF file is an ordinary one that other tools read: strings, int8 flags with CF meanings, times as
nanoseconds since 1970. What NetCDF cannot say by itself (the dtype of an empty array of strings) stands
in an attribute that `load` takes off again.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..delimited import csv_plain, csv_text
from ..errors import FileFormatError, InputError
from ..jobs import atomic_path
from ..provenance import sha256_file
from ..schema import SCHEMA_VERSION, kind_of_dtype
from .build import missing_of

_MARK = "ckinetics_dtype"
_TABLES_LAYOUT = "layout.json"
_RESERVED = ("coordinates", _MARK, "ckinetics_object", "ckinetics_name")

# Turns a tree of schema version n into one of version n + 1.
MIGRATIONS: dict[int, Callable[[xr.DataTree], xr.DataTree]] = {}


def save(data: xr.DataTree | xr.Dataset, path: str | Path, /) -> Path:
    """Save a cohort or a result.

    Parameters
    ----------
    data : DataTree or Dataset
        What to save; canonical dtypes, attributes that are numbers or strings.
    path : str or Path
        A file that ends in ``.nc`` (NetCDF 4), or a folder without suffix for tidy CSV tables (one
        table for each group and set of dims, and ``layout.json``).

    Returns
    -------
    Path
        The path written. A file is replaced only when the new one is whole.

    Raises
    ------
    InputError
        A dtype or attribute that could not be restored.
    """
    target = Path(path)
    nodes = _nodes(data)
    for place, dataset in nodes.items():
        _check(place, dataset)
    if target.suffix == ".nc":
        encoded = {place: _encode(dataset) for place, dataset in nodes.items()}
        tree = xr.DataTree.from_dict(encoded)
        tree.attrs["ckinetics_object"] = "tree" if isinstance(data, xr.DataTree) else "dataset"
        tree.attrs["ckinetics_name"] = str(data.name or "") if isinstance(data, xr.DataTree) else ""
        encoding = {
            place: {name: {"_FillValue": None} for name, v in dataset.variables.items() if v.dtype.kind in "fi"}
            for place, dataset in encoded.items()
        }
        # Made in memory first: HDF5 does not survive a disk that fills up under it.
        content = io.BytesIO()
        tree.to_netcdf(content, engine="h5netcdf", encoding=encoding)
        with atomic_path(target) as part:
            part.write_bytes(content.getbuffer())
        return target
    if target.suffix:
        raise InputError(f"cannot save to '{target.name}': end it in .nc, or name a folder for CSV tables")
    return _save_tables(data, target)


def load(path: str | Path, /) -> Any:
    """Load what `save` wrote: the same values, dtypes and attributes.

    Parameters
    ----------
    path : str or Path
        A ``.nc`` file or a folder of tables.

    Returns
    -------
    DataTree or Dataset
        Whichever was saved. A cohort of an older schema version is migrated.

    Raises
    ------
    FileFormatError
        The path is missing, damaged, or was not written by `save`.
    """
    source = Path(path)
    if source.is_dir():
        return _migrate(_load_tables(source))
    if not source.is_file():
        raise FileFormatError(f"'{source}' is not there: check the path")
    try:
        with xr.open_datatree(
            source, engine="h5netcdf", decode_times=False, decode_timedelta=False, mask_and_scale=False
        ) as tree:
            tree.load()
            nodes = {node.path: _decode(node.to_dataset(inherit=False)) for node in tree.subtree}
    except (OSError, ValueError, KeyError, RuntimeError) as err:
        raise FileFormatError(f"the file is damaged or is not NetCDF 4 ({err})", file=str(source)) from None
    kind = nodes["/"].attrs.pop("ckinetics_object", None)
    name = nodes["/"].attrs.pop("ckinetics_name", "")
    if kind is None:
        raise FileFormatError("the file was not written by ckinetics: open it with xarray", file=str(source))
    if kind == "dataset":
        return nodes["/"]
    return _migrate(xr.DataTree.from_dict(nodes, name=name or None))


def _migrate(data: Any) -> Any:
    version = data.attrs.get("schema_version")
    if version is None:
        return data
    if version > SCHEMA_VERSION:
        raise FileFormatError(
            f"the file has schema version {version}, this ckinetics knows up to {SCHEMA_VERSION}: update ckinetics"
        )
    for number in range(int(version), SCHEMA_VERSION):
        data = MIGRATIONS[number](data)
    return data


def _nodes(data: xr.DataTree | xr.Dataset) -> dict[str, xr.Dataset]:
    if isinstance(data, xr.DataTree):
        return {node.path: node.to_dataset(inherit=False) for node in data.subtree}
    if isinstance(data, xr.Dataset):
        return {"/": data}
    raise InputError(f"cannot save a {type(data).__name__}: give a cohort, a result or a Dataset")


def _check(place: str, dataset: xr.Dataset) -> None:
    for name, variable in dataset.variables.items():
        text = f"{place.strip('/') or 'root'}/{name}"
        if not isinstance(name, str) or "/" in name:
            raise InputError(f"'{name}' cannot be the name of a variable in a file: rename it")
        if variable.dtype.kind not in "fiuOM" and variable.dtype.kind != "U":
            raise InputError(f"{text} has dtype {variable.dtype}, which cannot be saved: convert it")
        if variable.dtype.kind == "O" and any(not isinstance(v, str) for v in variable.values.ravel().tolist()):
            raise InputError(f"{text} holds objects that are not strings: convert them")
        if variable.dtype.kind in "OU" and not all(map(_writable, variable.values.ravel().tolist())):
            raise InputError(f"{text} holds a character that no file can hold (NUL, or half of a pair): remove it")
        if any(name == f"{dim}_index" for dim in dataset.dims):
            raise InputError(f"{text} has the name of a column of positions in the tables: rename it")
    for owner, attrs in [("", dataset.attrs), *((str(n), v.attrs) for n, v in dataset.variables.items())]:
        for key, value in attrs.items():
            where = f"attribute '{key}' of {place.strip('/') or 'root'}/{owner}"
            if not isinstance(key, str) or not _writable(key) or key in _RESERVED:
                raise InputError(f"{where} has a name that a file cannot keep: rename it")
            if (isinstance(value, str) and not _writable(value)) or (isinstance(value, int) and abs(value) >= 2**63):
                raise InputError(f"{where} has a value that a file cannot hold: change it")
            array = isinstance(value, np.ndarray) and value.dtype.kind in "ifu" and value.ndim == 1 and value.size > 1
            if isinstance(value, bool) or not (array or isinstance(value, (str, int, float, np.number))):
                raise InputError(f"{where} is a {type(value).__name__}: attributes are numbers or strings")


def _writable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _encode(dataset: xr.Dataset) -> xr.Dataset:
    out = {}
    for name, variable in dataset.variables.items():
        attrs = {**variable.attrs, _MARK: str(variable.dtype)}
        values = variable.values
        if values.dtype.kind == "M":
            values = values.astype("datetime64[ns]").astype(np.int64)
            attrs.setdefault("units", "nanoseconds since 1970-01-01T00:00:00")
        elif values.dtype.kind in "OU":
            values = np.array(values, dtype=object) if values.size else np.zeros(values.shape, np.int8)
        out[name] = xr.Variable(variable.dims, values, _json_ints(attrs))
    coords = {name: out.pop(name) for name in dataset.coords}
    return xr.Dataset(out, coords=coords, attrs=_json_ints(dataset.attrs))


def _json_ints(attrs: dict[Any, Any]) -> dict[Any, Any]:
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in attrs.items()}


def _decode(dataset: xr.Dataset) -> xr.Dataset:
    out = {}
    for name, variable in dataset.variables.items():
        attrs = {key: _plain(value) for key, value in variable.attrs.items() if key != "coordinates"}
        dtype = attrs.pop(_MARK, None)
        values = variable.values
        if dtype is not None and np.dtype(dtype).kind == "M":
            values = values.astype("datetime64[ns]").astype(dtype)
            if str(attrs.get("units", "")).startswith("nanoseconds since"):
                del attrs["units"]
        elif dtype is not None and np.dtype(dtype).kind in "OU":
            values = np.empty(values.shape, object) if not values.size else values.astype(dtype)
        elif dtype is not None:
            values = values.astype(dtype, copy=False)
        out[name] = xr.Variable(variable.dims, values, attrs)
    coords = {name: out.pop(name) for name in dataset.coords}
    attrs = {key: _plain(value) for key, value in dataset.attrs.items() if key != "coordinates"}
    return xr.Dataset(out, coords=coords, attrs=attrs)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    return value


def to_tables(data: xr.DataTree | xr.Dataset, /) -> dict[str, pd.DataFrame]:
    """Return tidy tables: one for each group and set of dims, one row an entry.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort or a result.

    Returns
    -------
    dict of str to DataFrame
        Named ``group`` or ``group.dim1.dim2``; columns are the positions and labels of the dims and the
        variables. Rows in which everything is missing (padding) are left out.
    """
    tables = {}
    for place, dataset in _nodes(data).items():
        for name, dims, names in _tables_of(place, dataset):
            tables[name] = _table(dataset, dims, names)
    return tables


def _tables_of(place: str, dataset: xr.Dataset) -> Iterator[tuple[str, tuple[Any, ...], list[str]]]:
    group = place.strip("/").replace("/", "_") or "patients"
    sets: dict[tuple[Any, ...], list[str]] = {}
    for name, variable in dataset.variables.items():
        if variable.dims != (name,):
            sets.setdefault(variable.dims, []).append(str(name))
    for index in dataset.indexes:  # a label is saved even where all that stands at it is missing
        sets.setdefault((index,), [])
    for dims, names in sets.items():
        yield ".".join([group, *map(str, dims)]), dims, names


def _table(dataset: xr.Dataset, dims: tuple[Any, ...], names: list[str]) -> pd.DataFrame:
    shape = tuple(dataset.sizes[dim] for dim in dims)
    keep = np.zeros(shape, dtype=bool)
    if len(dims) <= 1:
        keep[...] = True
    for name in names:
        values = dataset[name].values
        keep |= ~_is_missing(values)
    at = np.nonzero(keep) if dims else ()
    columns: dict[str, Any] = {}
    for axis, dim in enumerate(dims):
        columns[f"{dim}_index"] = at[axis]
        if dim in dataset.variables:
            columns[str(dim)] = dataset[dim].values[at[axis]]
    for name in names:
        columns[name] = dataset[name].values[at] if dims else [dataset[name].values.item()]
    return pd.DataFrame({key: pd.Series(value, dtype=getattr(value, "dtype", None)) for key, value in columns.items()})


def _is_missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind in "OU":
        return np.asarray(values == "", dtype=bool)
    return np.asarray(values == -1, dtype=bool)


def _save_tables(data: xr.DataTree | xr.Dataset, folder: Path) -> Path:
    layout: dict[str, Any] = {
        "object": "tree" if isinstance(data, xr.DataTree) else "dataset",
        "name": str(data.name or "") if isinstance(data, xr.DataTree) else "",
        "groups": {},
    }
    if folder.exists() and not folder.is_dir():
        raise InputError(f"cannot save to '{folder.name}': it is a file; end the name in .nc, or name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    tables = to_tables(data)
    for place, dataset in _nodes(data).items():
        layout["groups"][place] = {
            "sizes": {str(dim): int(size) for dim, size in dataset.sizes.items()},
            "attrs": {key: _attr_out(value) for key, value in dataset.attrs.items()},
            "variables": [
                {
                    "name": str(name),
                    "dims": list(map(str, v.dims)),
                    "dtype": str(v.dtype),
                    "coord": name in dataset.coords,
                    "attrs": {key: _attr_out(value) for key, value in v.attrs.items()},
                }
                for name, v in dataset.variables.items()
            ],
            "tables": [[name, list(map(str, dims))] for name, dims, _ in _tables_of(place, dataset)],
        }
    layout["sha256"] = {}
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(map(csv_text, table.columns))
            writer.writerows(zip(*[_cells(table[column]) for column in table.columns], strict=True))
        layout["sha256"][path.name] = sha256_file(path)
    with atomic_path(folder / _TABLES_LAYOUT) as part:
        part.write_text(json.dumps(layout, indent=1, ensure_ascii=False), encoding="utf-8")
    return folder


def _attr_out(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "values": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _attr_in(value: Any) -> Any:
    return np.array(value["values"], dtype=value["dtype"]) if isinstance(value, dict) else value


def _cells(column: pd.Series) -> list[str]:
    values = column.to_numpy()
    if values.dtype.kind == "f":
        return ["" if np.isnan(v) else repr(v) for v in values.tolist()]
    if values.dtype.kind == "M":
        return ["" if np.isnat(v) else str(v) for v in values]
    # A word "" is missing; a backslash keeps line ends inside a cell apart from those between rows, and an
    # apostrophe what a spreadsheet would take for a formula.
    return [
        csv_text(v.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") if isinstance(v, str) else v)
        for v in values.tolist()
    ]


def _word(cell: str) -> str:
    cell = csv_plain(cell)
    if "\\" not in cell:
        return cell
    out, at = [], 0
    while at < len(cell):
        if cell[at] == "\\" and at + 1 < len(cell):
            out.append({"n": "\n", "r": "\r"}.get(cell[at + 1], cell[at + 1]))
            at += 2
        else:
            out.append(cell[at])
            at += 1
    return "".join(out)


def _load_tables(folder: Path) -> Any:
    path = folder / _TABLES_LAYOUT
    try:
        layout = json.loads(path.read_text(encoding="utf-8"))
        for file, digest in layout["sha256"].items():
            if sha256_file(folder / file) != digest:
                raise FileFormatError(
                    "the table was changed, or its folder only half written: save again",
                    file=str(folder / file),
                )
        nodes = {place: _group_in(folder, spec) for place, spec in layout["groups"].items()}
    except FileNotFoundError as err:
        missing = Path(err.filename or path).name
        raise FileFormatError(
            f"the folder lacks '{missing}': it is not (all of) what save wrote", file=str(folder)
        ) from None
    except FileFormatError:
        raise
    except (json.JSONDecodeError, KeyError, TypeError, IndexError, ValueError) as err:
        raise FileFormatError(f"the tables are damaged ({err})", file=str(folder)) from None
    if layout["object"] == "dataset":
        return nodes["/"]
    return xr.DataTree.from_dict(nodes, name=layout["name"] or None)


def _group_in(folder: Path, spec: dict[str, Any]) -> xr.Dataset:
    sizes = spec["sizes"]
    arrays = {}
    for var in spec["variables"]:
        dtype = np.dtype(var["dtype"])
        fill = missing_of(dtype) if kind_of_dtype(dtype) or dtype.kind == "U" else np.zeros((), dtype)[()]
        arrays[var["name"]] = np.full([sizes[dim] for dim in var["dims"]], fill, dtype=dtype)
    for name, dims in spec["tables"]:
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            header, *rows = list(csv.reader(stream))
        header = list(map(csv_plain, header))
        columns = dict(zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True))
        at = tuple(np.array(columns[f"{dim}_index"], dtype=int) for dim in dims)
        for column, cells in columns.items():
            if column not in arrays:
                continue
            values = _values_in(cells, arrays[column].dtype)
            if dims and column in dims:
                arrays[column][at[dims.index(column)]] = values
            elif dims:
                arrays[column][at] = values
            else:
                arrays[column][...] = values[0]
    out = {
        var["name"]: xr.Variable(
            var["dims"], arrays[var["name"]], {key: _attr_in(value) for key, value in var["attrs"].items()}
        )
        for var in spec["variables"]
    }
    coords = {var["name"]: out.pop(var["name"]) for var in spec["variables"] if var["coord"]}
    attrs = {key: _attr_in(value) for key, value in spec["attrs"].items()}
    return xr.Dataset(out, coords=coords, attrs=attrs)


def _values_in(cells: Any, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype.kind == "f":
        return np.array([np.nan if cell == "" else float(cell) for cell in cells], dtype=dtype)
    if dtype.kind == "M":
        return np.array([np.datetime64("NaT") if cell == "" else np.datetime64(cell) for cell in cells], dtype=dtype)
    if dtype.kind in "OU":
        return np.array([_word(cell) for cell in cells], dtype=dtype)
    return np.array([int(cell) for cell in cells], dtype=dtype)
