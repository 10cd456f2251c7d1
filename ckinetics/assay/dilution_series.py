"""Many wells at known copies: what a limit of detection and a limit of quantification are estimated from."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..schema import CqStatus, YesNo
from ..tables import read_table

Data = str | Path | pd.DataFrame | xr.Dataset
_ALIASES: dict[str, tuple[str, ...]] = {
    "target": ("target_name", "assay", "marker"),
    "copies": ("sq", "quantity", "nominal_copies", "standard_concentration", "starting_quantity"),
    "cq": ("ct", "cp"),
    "omit": (),
}
_NO_SIGNAL = frozenset({"", "na", "nan", "n/a", "undetermined", "not detected", "no ct", "no cq", "nd"})


@dataclass(frozen=True)
class Series:
    """One target's wells at known copies; Cq is NaN where there was no signal."""

    target: str
    copies: np.ndarray
    cq: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """The levels, ascending."""
        return np.unique(self.copies)

    def at(self, level: float) -> np.ndarray:
        """Return the Cq of a level's wells."""
        return self.cq[self.copies == level]


def read_series(data: Data, target: str | None) -> list[Series]:
    """Return the series of each target.

    Parameters
    ----------
    data : path, DataFrame or Dataset
        A table with columns ``copies`` and ``cq`` and, where there are several, ``target``: a row without a Cq is
        a well without a signal, a row without copies no part of the series. Or the wells of `read_plates`: their
        standards, where a blank Cq is refused.
    target : str, optional
        Only this one.

    Raises
    ------
    InputError
        A column is missing, copies are not positive, a Cq is no number, or the target is not there.
    """
    frame = _of_wells(data) if isinstance(data, xr.Dataset) else _of_table(data)
    found = [
        Series(str(name), own["copies"].to_numpy(np.float64), own["cq"].to_numpy(np.float64))
        for name, own in frame.groupby("target", sort=True)
    ]
    if target is not None:
        there = ", ".join(f"'{one.target}'" for one in found)
        found = [one for one in found if one.target == target]
        if not found:
            raise InputError(f"target '{target}' has no wells of known copies: there are {there or 'none'}")
    if not found:
        raise InputError("there is no well of known copies: give a dilution series")
    return found


def _of_table(data: str | Path | pd.DataFrame) -> pd.DataFrame:
    table = read_table(data, what="the dilution series", aliases=_ALIASES)
    for name in ("copies", "cq"):
        if name not in table:
            raise table.error(None, f"the dilution series has no column '{name}': add it")
    copies = table.numbers("copies")
    if (copies <= 0).any():
        worst = int(np.argmax(copies <= 0))
        raise table.error(worst, f"the well has {copies[worst]:g} copies: leave them empty for a well without template")
    texts = [str(cell).strip() for cell in table.frame["cq"].tolist()]
    cq = np.full(len(texts), np.nan)
    for at, text in enumerate(texts):
        if text.casefold() in _NO_SIGNAL:
            continue
        try:
            cq[at] = float(text)
        except ValueError:
            raise table.error(at, f"Cq '{text}' is not a number: correct it, or leave it empty for no signal") from None
    frame = pd.DataFrame({"target": table.texts("target"), "copies": copies, "cq": cq})
    return frame[np.isfinite(frame["copies"])]


def _of_wells(wells: xr.Dataset) -> pd.DataFrame:
    if "well" not in wells.dims or "nominal_copies" not in wells:
        raise InputError("expected a table or the wells of read_plates: this Dataset has no wells of known copies")
    keep = (wells["role"].values == "standard") & (wells["omit"].values != YesNo.yes)
    keep &= (wells["masked"].values != YesNo.yes) & np.isfinite(wells["nominal_copies"].values)
    blank = keep & (wells["cq_status"].values == CqStatus.missing)
    if blank.any():
        at = int(np.argmax(blank))
        name, run = str(wells["well_name"].values[at]), str(wells["run_id"].values[at])
        raise InputError(f"the Cq of standard well {name} of run {run} is blank: neither a signal nor 'Undetermined'")
    return pd.DataFrame(
        {
            "target": wells["target"].values[keep].astype(str),
            "copies": wells["nominal_copies"].values[keep],
            "cq": wells["cq"].values[keep],
        }
    )


def same_data(series: list[Series]) -> list[str]:
    """Return a sentence for each pair of targets that is one data set: silent in the same wells, Cq in step."""
    out = []
    for one, other in itertools.combinations(series, 2):
        if not np.array_equal(one.copies, other.copies):
            continue
        first, second = np.isfinite(one.cq), np.isfinite(other.cq)
        if not np.array_equal(first, second) or first.all() or first.sum() < 3:
            continue
        # Against the mean of the level: the level itself makes any two assays go in step.
        apart = [np.concatenate([s.at(v)[np.isfinite(s.at(v))] - np.nanmean(s.at(v)) for v in s.levels
                                 if np.isfinite(s.at(v)).any()]) for s in (one, other)]  # fmt: skip
        step = float(np.corrcoef(apart[0], apart[1])[0, 1])
        if step > 0.9:
            out.append(
                f"targets '{one.target}' and '{other.target}' are silent in the same {int((~first).sum())} wells and "
                f"their Cq go in step (correlation {step:.3f} within levels): count them as one data set"
            )
    return out
