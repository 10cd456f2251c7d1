"""Inputs of simulated patients in one form, from mappings, labelled arrays and tables; and the patients' names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..modeling.events import Events, known_inputs

if TYPE_CHECKING:
    from ..modeling import Model

Pairs = list[tuple[float, float]]
_COLUMNS = ("patient", "time", "value", "input")


@dataclass(frozen=True)
class Inputs:
    """Inputs by name, with times in the model's unit.

    Attributes
    ----------
    constants : one value, or one a patient
    common : pairs of time and value that hold for all patients
    own : for each patient, pairs of time and value
    """

    constants: dict[str, np.ndarray]
    common: dict[str, Pairs]
    own: dict[str, list[Pairs]]

    @property
    def given(self) -> dict[str, Any]:
        """All of them, as a model takes them."""
        return {**self.constants, **self.common, **self.own}

    def lengths(self) -> list[int]:
        """Return how many patients each input that differs between patients is given for."""
        return [len(pairs) for pairs in self.own.values()]

    def events(self, model: Model, patients: int) -> Events:
        """Return events with one row where all patients have the same, else one a patient."""
        return Events.of_inputs(model, patients if self.own else 1, {**self.common, **self.own})


def patient_names(*places: Mapping[str, Any] | None) -> list[str] | None:
    """Return the patients that labelled arrays name, or None where none has labels.

    Raises
    ------
    InputError
        Two arrays name other patients, or in another order; or a dim is not ``patient``.
    """
    found: tuple[str, list[str]] | None = None
    for place in places:
        for name, value in (place or {}).items():
            if not isinstance(value, xr.DataArray):
                continue
            if value.dims not in ((), ("patient",)):
                raise InputError(f"'{name}' has dims {', '.join(map(str, value.dims))}: give an array over patient")
            if "patient" not in value.coords or not value.dims:
                continue
            names = [str(label) for label in value["patient"].values.tolist()]
            if len(set(names)) < len(names):
                double = next(label for label in names if names.count(label) > 1)
                raise InputError(f"'{name}' names patient '{double}' more than once: give each patient one name")
            if found is not None and names != found[1]:
                raise InputError(f"'{found[0]}' and '{name}' name different patients, or in another order: align them")
            found = (str(name), names)
    return None if found is None else found[1]


def read_inputs(
    model: Model, given: Mapping[str, Any] | pd.DataFrame | None, names: list[str] | None, factor: float
) -> Inputs:
    """Return inputs in one form; `names` are the patients of a table, `factor` turns its days into the model's unit."""
    if isinstance(given, pd.DataFrame):
        given = _from_table(model, given, names or [])
    if not isinstance(given, Mapping | None):
        raise InputError(
            'inputs are given by name, such as {"infusion": [(0, 1e8)]}, or as a DataFrame with the columns '
            + ", ".join(_COLUMNS)
        )
    given = dict(given or {})
    known_inputs(model, given)
    constants: dict[str, np.ndarray] = {}
    common: dict[str, Pairs] = {}
    own: dict[str, list[Pairs]] = {}
    for name, value in given.items():
        entry = model.specification.inputs[name]
        if entry.kind == "constant":
            constants[name] = _numbers(name, value, "one number, or one a patient")
        elif entry.kind == "dose" and _is_amount(value):
            amounts = _numbers(name, value, "amounts, or pairs of time and amount")
            if amounts.size == 1:
                common[name] = [(entry.time, float(amounts.reshape(())))]
            else:
                own[name] = [[(entry.time, amount)] for amount in amounts.tolist()]
        elif _is_common(name, value):
            common[name] = _pairs(name, value, factor)
        else:
            own[name] = [_pairs(name, pairs, factor) for pairs in value]
    return Inputs(constants, common, own)


def names_in_table(table: pd.DataFrame) -> list[str]:
    """Return the patients of a table of inputs in the order in which they appear."""
    missing = [column for column in _COLUMNS if column not in table.columns]
    if missing:
        raise InputError(f"the table of inputs has no column '{missing[0]}': it needs {', '.join(_COLUMNS)}")
    if table.empty:
        raise InputError("the table of inputs has no rows: leave it out, or name the patients by n or parameters")
    return list(dict.fromkeys(_labels(table["patient"])))


def _labels(column: pd.Series) -> list[str]:
    if column.isna().any():
        row = int(np.flatnonzero(column.isna().to_numpy())[0]) + 1
        raise InputError(f"row {row} of the table of inputs has no patient: fill it in")
    whole = pd.api.types.is_float_dtype(column) and (column % 1 == 0).all()
    return [str(label) for label in (column.astype("int64") if whole else column).tolist()]


def _from_table(model: Model, table: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Return a table's inputs by name, one entry a patient."""
    names_in_table(table)
    place = {name: at for at, name in enumerate(names)}
    patients, inputs = _labels(table["patient"]), [str(name) for name in table["input"].tolist()]
    known_inputs(model, dict.fromkeys(inputs))
    times, values = (_column(table, column) for column in ("time", "value"))
    found: dict[str, Any] = {}
    for row, (patient, name) in enumerate(zip(patients, inputs, strict=True)):
        if patient not in place:
            raise InputError(
                f"row {row + 1} of the table of inputs is for patient '{patient}', who is not simulated: the first "
                f"are {', '.join(names[:3])}"
            )
        entry = model.specification.inputs[name]
        if entry.kind == "constant":
            column = found.setdefault(name, np.full(len(names), entry.value))
            if not np.isnan(times[row]):
                raise InputError(f"row {row + 1} of the table of inputs gives constant '{name}' a time: leave it empty")
            column[place[patient]] = values[row]
        else:
            lists = found.setdefault(name, [[] for _ in names])
            lists[place[patient]].append((times[row], values[row]))
    return found


def _column(table: pd.DataFrame, name: str) -> list[float]:
    try:
        return [float(value) for value in table[name].tolist()]
    except (TypeError, ValueError):
        raise InputError(f"column '{name}' of the table of inputs holds something that is not a number") from None


def _numbers(name: str, value: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"input '{name}' holds something that is not a number: give {what}") from None
    if array.ndim > 1:
        raise InputError(f"input '{name}' has {array.ndim} dimensions: give {what}")
    if not np.isfinite(array).all():
        raise InputError(f"input '{name}' holds a value that is missing or infinite: give {what}")
    return array


def _is_amount(value: Any) -> bool:
    """Whether a dose is given as amounts at the file's time: a number or one a patient."""
    if isinstance(value, xr.DataArray) or np.isscalar(value):
        return True
    return isinstance(value, Sequence | np.ndarray) and len(value) > 0 and all(np.ndim(item) == 0 for item in value)


def _is_common(name: str, value: Any) -> bool:
    """Whether pairs are the same for all patients; an empty sequence is no event for anybody."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        raise InputError(f"input '{name}' is {value!r}: give pairs of time and value, such as [(0, 1e8)]")
    return all(isinstance(pair, Sequence | np.ndarray) and _flat(pair) for pair in value)


def _flat(pair: Iterable[Any]) -> bool:
    items = list(pair)
    return len(items) == 2 and all(np.ndim(item) == 0 for item in items)


def _pairs(name: str, pairs: Any, factor: float) -> Pairs:
    try:
        return [(float(time) * factor, float(value)) for time, value in pairs]
    except (TypeError, ValueError):
        raise InputError(f"input '{name}' holds something that is no pair of time and value") from None
