"""Checks of the options that everything which takes a model has in common."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .errors import InputError


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Return an option as int.

    Raises
    ------
    InputError
        It is not a whole number, or below `least`.

    Examples
    --------
    >>> whole_number("seed", np.int64(3), least=0)
    3
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < least:
        raise InputError(f"{name} is {value!r}: give a whole number, at least {least}")
    return int(value)


def number(name: str, value: Any) -> float:
    """Return an option as float.

    Raises
    ------
    InputError
        It is not a number.
    """
    try:
        if not isinstance(value, str):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise InputError(f"{name} is {value!r}: give a number")


def number_array(name: str, values: Any) -> np.ndarray:
    """Return an option as array of float64.

    Raises
    ------
    InputError
        It holds something that is not a number.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} holds something that is not a number: give numbers, in arrays of one shape") from None
