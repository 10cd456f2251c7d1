"""What happens to a patient at given times: doses, infusions, changes of a covariate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..suggestions import suggestion

if TYPE_CHECKING:
    from .library import Model


@dataclass(frozen=True)
class Events:
    """Events of each patient in the order of time.

    Attributes
    ----------
    times : (patient, event), inf where a patient has no more
    inputs : (patient, event) which input, by its place in the file
    values : (patient, event) the amount of a dose, or the new value of a rate or covariate
    """

    times: np.ndarray
    inputs: np.ndarray
    values: np.ndarray

    def of_patients(self, rows: np.ndarray | slice) -> Events:
        """Return the events of some patients, in the order of `rows`."""
        return Events(*self.arrays(rows))

    def arrays(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the three arrays for some patients."""
        return self.times[rows], self.inputs[rows], self.values[rows]

    @classmethod
    def of_file(cls, model: Model, patients: int) -> Events:
        """Return the doses that the model file itself names, for every patient."""
        return cls.of_inputs(model, patients, {})

    @classmethod
    def of_inputs(cls, model: Model, patients: int, given: Mapping[str, Any]) -> Events:
        """Return the events that a user gives; doses that are not given are those of the file.

        Parameters
        ----------
        model : Model
            The model.
        patients : int
            Number of patients.
        given : mapping
            Per dose, rate or covariate: pairs of time and value, the same for all patients, or one sequence of
            pairs a patient.

        Raises
        ------
        InputError
            Values that are no pairs of numbers, a negative time or dose.
        """
        moving = [name for name, entry in model.specification.inputs.items() if entry.kind != "constant"]
        common = all(_common(given[name]) for name in moving if name in given)
        rows: list[list[tuple[float, int, float]]] = [[] for _ in range(1 if common else patients)]
        for at, (name, entry) in enumerate(model.specification.inputs.items()):
            if entry.kind == "constant":
                continue
            pairs: Any = given.get(name, [(entry.time, entry.value)] if entry.kind == "dose" else [])
            for row, own in enumerate(_per_patient(name, pairs, len(rows))):
                for time, value in own:
                    if not 0 <= time < np.inf or not np.isfinite(value) or (entry.kind == "dose" and value < 0):
                        raise InputError(
                            f"input '{name}' has ({time:g}, {value:g}): give times from 0 on and finite values, "
                            "and no negative dose"
                        )
                    rows[row].append((time, at, value))
        longest = max((len(row) for row in rows), default=0)
        times = np.full((len(rows), longest), np.inf)
        inputs, values = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest))
        for row, events in enumerate(rows):
            for place, (time, which, value) in enumerate(sorted(events, key=itemgetter(0, 1))):
                times[row, place], inputs[row, place], values[row, place] = time, which, value
        if common:  # one row, for all
            return cls(*(np.tile(table, (patients, 1)) for table in (times, inputs, values)))
        return cls(times, inputs, values)


def _per_patient(name: str, pairs: Any, patients: int) -> Sequence[Sequence[tuple[float, float]]]:
    """Return one list of (time, value) a patient."""
    if not isinstance(pairs, Sequence | np.ndarray):
        raise InputError(f"input '{name}' is {pairs!r}: give pairs of time and value, such as [(0, 1e8)]")
    try:
        if _common(pairs):
            return [[(float(time), float(value)) for time, value in pairs]] * patients
        if len(pairs) != patients:
            raise InputError(f"input '{name}' is given for {len(pairs)} patients, and there are {patients}")
        return [[(float(time), float(value)) for time, value in own] for own in pairs]
    except (TypeError, ValueError):
        raise InputError(f"input '{name}' holds something that is no pair of time and value") from None


def is_single_dose(pairs: Any, time: float) -> bool:
    """Whether every patient is given one dose, at a time."""
    return isinstance(pairs, Sequence | np.ndarray) and all(
        len(own) == 1 and own[0][0] == time for own in _lists(pairs)
    )


def total_dose(name: str, pairs: Any) -> Any:
    """Return the total amount of what is given of a dose: one number, or one a patient; a number is itself."""
    if isinstance(pairs, np.ndarray) and pairs.ndim > 1:
        pairs = pairs.tolist()
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        return pairs
    try:
        totals = [sum(_amount(name, float(amount)) for _, amount in own) for own in _lists(pairs)]
    except (TypeError, ValueError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"input '{name}' holds something that is no pair of time and value") from None
    return totals[0] if _common(pairs) else totals


def _amount(name: str, amount: float) -> float:
    if not 0 <= amount < np.inf:
        raise InputError(f"input '{name}' has the amount {amount:g}: give finite values, and no negative dose")
    return amount


def _common(pairs: Any) -> bool:
    """Whether these are pairs for all patients, and not a list of pairs for each."""
    return isinstance(pairs, Sequence | np.ndarray) and all(
        np.ndim(pair) == 1 and len(pair) == 2 and np.ndim(pair[0]) == 0 for pair in pairs
    )


def _lists(pairs: Any) -> Sequence[Sequence[tuple[float, float]]]:
    return [pairs] if _common(pairs) else pairs


def known_inputs(model: Model, given: Mapping[str, Any]) -> None:
    """Refuse inputs that the model does not have."""
    inputs = model.specification.inputs
    for name in given:
        if name not in inputs:
            raise InputError(f"model '{model.name}' has no input '{name}'{suggestion(name, inputs)}")
