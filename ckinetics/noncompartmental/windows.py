"""Windows of time that profiles are cut to: the whole profile, one range of days, or one window an infusion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import InputError

# Days of a month: a year of 365.25 days over twelve.
MONTH = 30.4375
_UNITS = {"d": 1.0, "day": 1.0, "days": 1.0, "w": 7.0, "week": 7.0, "weeks": 7.0, "month": MONTH, "months": MONTH}
_SPAN = re.compile(r"^\s*(\d+(?:\.\d*)?)\s*(?:-|–|to)\s*(\d+(?:\.\d*)?|inf)\s*([a-z]*)\s*$")


@dataclass(frozen=True)
class Windows:
    """Which part of which profile is analysed.

    Attributes
    ----------
    rows : profile of each window
    starts, ends : days from which and up to which; times count from the start
    infusions : windows that each profile has (1 without infusions); windows are in the order of profiles
    next_infusion : time from the start to the next infusion, infinite where there is none
    """

    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    infusions: int = 1
    next_infusion: np.ndarray | None = None


def check_intervals(intervals: Sequence[tuple[float, float] | str]) -> tuple[np.ndarray, list[str]]:
    """Return intervals as (interval, start and end) in days, and their labels.

    Raises
    ------
    InputError
        One is no pair of numbers and no text such as "0-28" or "0-6 months", or ends before it begins.
    """
    spans, labels = [], []
    intervals = [intervals] if isinstance(intervals, str) else intervals
    try:
        pairs = [interval_of(one) for one in intervals]
    except InputError:
        raise
    except (TypeError, ValueError):
        raise InputError(f"intervals {intervals!r} are not pairs of numbers: write [(0, 28)]") from None
    for (start, end), label in pairs:
        if not (0 <= start < end):
            raise InputError(f"interval ({start:g}, {end:g}) is not one: start at 0 or later and end after that")
        if label in labels:
            raise InputError(f"interval {label} is named twice: leave one out")
        spans.append((start, end))
        labels.append(label)
    return np.array(spans, dtype=np.float64).reshape(len(spans), 2), labels


def interval_of(one: tuple[float, float] | str) -> tuple[tuple[float, float], str]:
    """Return an interval in days and its label.

    Examples
    --------
    >>> interval_of((0, 28)), interval_of("0-6 months")
    (((0.0, 28.0), '0-28'), ((0.0, 182.625), '0-6 months'))
    """
    if isinstance(one, str):
        found = _SPAN.match(one.lower())
        if not found or (found[3] and found[3] not in _UNITS):
            raise InputError(f"interval '{one}' is not understood: write (0, 28), '0-28' or '0-6 months'")
        scale = _UNITS.get(found[3], 1.0)
        start, end = float(found[1]) * scale, float(found[2]) * scale
        if scale != 1.0:
            return (start, end), f"{found[1]}-{found[2]} {found[3]}"
    else:
        first, second = one
        start, end = float(first), float(second)
    return (start, end), interval_label(start, end)


def interval_label(start: float, end: float) -> str:
    """Return the label of an interval in days.

    Examples
    --------
    >>> interval_label(0, 28), interval_label(0, float("inf"))
    ('0-28', '0-inf')
    """
    return f"{start:g}-{end:g}"


def find_windows(
    profiles: xr.Dataset,
    infusions: xr.Dataset | None,
    lead: tuple[str, ...],
    window: tuple[float, float] | None,
    each: bool,
) -> tuple[Windows, xr.Dataset | None]:
    """Return the windows of all profiles, and with `each` the infusions by (patient, infusion): time and dose."""
    count = int(np.prod([profiles.sizes[dim] for dim in lead]))
    rows = np.arange(count, dtype=np.int64)
    start, end = (0.0, np.inf) if window is None else _window(window)
    table = None if infusions is None else infusion_table(profiles, infusions)
    if each and window is None:
        if table is None:
            raise InputError("infusions='each' needs the cohort's group 'infusions': build it with cohort(infusions=…)")
        times = _spread(table["time"].values, profiles, lead)
        number = times.shape[1]
        ends = np.full_like(times, np.inf)
        ends[:, :-1] = np.where(np.isnan(times[:, 1:]), np.inf, times[:, 1:])
        starts = np.where(np.isnan(times), np.inf, times)  # no infusion: no sample is in the window
        return Windows(np.repeat(rows, number), starts.ravel(), ends.ravel(), infusions=number), table
    later = None
    if table is not None:
        times = _spread(table["time"].values, profiles, lead)
        later = np.where(times > start, times - start, np.inf).min(axis=1)
    return Windows(rows, np.full(count, start), np.full(count, end), next_infusion=later), None


def _window(window: tuple[float, float]) -> tuple[float, float]:
    try:
        start, end = (float(value) for value in window)
    except (TypeError, ValueError):
        raise InputError(f"window {window!r} is no pair of numbers: write (0, 28)") from None
    if not start < end:
        raise InputError(f"window ({start:g}, {end:g}) is not one: it ends before it begins")
    return start, end


def infusion_table(profiles: xr.Dataset, infusions: xr.Dataset) -> xr.Dataset:
    """Return time and dose of infusions over (patient, infusion), in order of time, padded with NaN.

    Raises
    ------
    InputError
        An infusion without time, or two of one patient at one time.
    """
    patients = [str(name) for name in profiles["patient"].values.tolist()]
    time = infusions["time"].values
    dose = infusions["dose"].values if "dose" in infusions else np.full(len(time), np.nan)
    names = [str(name) for name in infusions["patient_id"].values.tolist()]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in patients}
    for name, at, cells in zip(names, time.tolist(), dose.tolist(), strict=True):
        if name not in found:
            continue
        if np.isnan(at):
            raise InputError(f"an infusion of patient '{name}' has no time: fill it in")
        found[name].append((at, cells))
    width = max((len(rows) for rows in found.values()), default=0)
    table = np.full((2, len(patients), max(width, 1)), np.nan)
    for row, name in enumerate(patients):
        given = sorted(found[name], key=lambda one: one[0])
        for column, (at, cells) in enumerate(given):
            if column and at == given[column - 1][0]:
                raise InputError(f"patient '{name}' has two infusions at day {at:g}: merge them or correct the time")
            table[:, row, column] = at, cells
    return xr.Dataset(
        {"time": (("patient", "infusion"), table[0]), "dose": (("patient", "infusion"), table[1])},
        {"patient": patients},
    )


def _spread(table: np.ndarray, profiles: xr.Dataset, lead: tuple[str, ...]) -> np.ndarray:
    """Return a table of (patient, infusion) for every profile: (profile, infusion)."""
    sizes = [profiles.sizes[dim] for dim in lead]
    shape = [size if dim == "patient" else 1 for dim, size in zip(lead, sizes, strict=True)]
    wide = table.reshape(*shape, table.shape[1])
    return np.broadcast_to(wide, (*sizes, table.shape[1])).reshape(-1, table.shape[1])
