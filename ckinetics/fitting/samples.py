"""Which samples a fit uses, as what, and which it cannot use and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import InputError
from ..schema import BLQ_STATUSES, Excluded, Status
from ..units import conversion_factor, kind_of, normalise_unit

# Why a sample is not used, in the order in which they are asked; each reads on after a number.
REASONS = (
    "excluded",
    "without a level (missing, invalid or too little DNA)",
    "without a time",
    "before infusion",
    "below an LLOQ that is not known (what they tell is lost: give lloq)",
    "above a ULOQ that is not known (what they tell is lost: give uloq)",
    "quantified as zero or less",
)
PADDING = -1
USED = len(REASONS)


@dataclass(frozen=True)
class Samples:
    """One series of profiles, packed for a fit; arrays are (patient, sample) unless said otherwise.

    Attributes
    ----------
    patients : names
    time : days since infusion, as given
    level : quantified levels in the model's unit, else NaN
    status : codes of `ckinetics.schema.Status`
    fate : USED, an index into REASONS, or PADDING where there is no sample
    times, ys, kinds : used samples moved to the front: time in the model's unit, ln(level) or ln(limit), and
        the kind (0 quantified, -1 below the limit, 1 above it)
    counts : (patient,) number of used samples
    unit : unit of the levels
    matrix : the matrix that was taken, or ""
    """

    patients: list[str]
    time: np.ndarray
    level: np.ndarray
    status: np.ndarray
    fate: np.ndarray
    times: np.ndarray
    ys: np.ndarray
    kinds: np.ndarray
    counts: np.ndarray
    unit: str
    matrix: str

    @property
    def used(self) -> np.ndarray:
        """Whether each sample is used."""
        return self.fate == USED

    def count(self, kind: str) -> np.ndarray:
        """Return, per patient, how many samples are ``"quantified"``, ``"censored"`` or ``"unused"``."""
        quantified = self.used & (self.status == Status.quantified)
        if kind == "quantified":
            return quantified.sum(axis=1)
        if kind == "censored":
            return (self.used & ~quantified).sum(axis=1)
        return ((self.fate != PADDING) & ~self.used).sum(axis=1)

    def unused_in_words(self, row: int) -> str:
        """Say how many samples of a patient are not used and why; "" when all are."""
        parts = [
            f"{count} {reason}" for code, reason in enumerate(REASONS) if (count := int((self.fate[row] == code).sum()))
        ]
        return f"not used: {', '.join(parts)}" if parts else ""


def gather_samples(
    profiles: xr.Dataset, *, matrix: str | None, unit: str, time_unit: str, any_unit: bool = False
) -> Samples:
    """Return one matrix's samples, ready to fit.

    Parameters
    ----------
    profiles : Dataset
        Profiles over patient, matrix (or another series dim, or none) and sample.
    matrix : str or None
        Which series. None takes the only one, or "blood" where there are several.
    unit, time_unit : str
        The model's units. Levels in another unit of the same kind are converted.
    any_unit : bool
        Whether levels of another kind of quantity keep their own unit (the model's output is proportional to
        a parameter, which then has that unit).

    Raises
    ------
    InputError
        No such matrix, or several and none of them "blood".
    UnitError
        The levels are of another kind of quantity than the model's output, and not `any_unit`.
    """
    one, label = _series(profiles, matrix)
    one = one.transpose("patient", "sample", ...)
    given = _unit_of(one)
    if any_unit and given and kind_of(given) != kind_of(unit):
        unit = given
    factor = conversion_factor(given, unit) if given else 1.0
    shape = (one.sizes["patient"], one.sizes["sample"])

    def limit(name: str) -> np.ndarray:
        values = one[name].values if name in one else np.full(shape, np.nan)
        return np.where(values > 0, values, np.nan) * factor

    time = one["time"].values.astype(np.float64)
    status = one["status"].values
    level = np.where(status == Status.quantified, one["level"].values, np.nan) * factor
    lloq, uloq = limit("lloq"), limit("uloq")
    excluded = one["excluded"].values if "excluded" in one else np.zeros(shape, np.int8)
    quantified, below = status == Status.quantified, np.isin(status, BLQ_STATUSES)
    above = status == Status.above_uloq
    tests = (
        excluded == Excluded.excluded,
        ~(quantified | below | above) | (quantified & np.isnan(level)),
        np.isnan(time),
        time < 0,
        below & np.isnan(lloq),
        above & np.isnan(uloq),
        quantified & ~(level > 0),
    )
    fate = np.select(tests, range(len(REASONS)), default=USED)
    fate[(status == Status.missing) & np.isnan(time) & (excluded != Excluded.excluded)] = PADDING

    used = fate == USED
    value = np.where(quantified, level, np.where(below, lloq, uloq))
    order = np.argsort(~used, axis=1, kind="stable")
    front = np.take_along_axis(used, order, axis=1)

    def pack(values: np.ndarray, empty: float) -> np.ndarray:
        return np.ascontiguousarray(np.where(front, np.take_along_axis(values, order, axis=1), empty))

    return Samples(
        patients=[str(name) for name in one["patient"].values.tolist()],
        time=time,
        level=level,
        status=status,
        fate=fate,
        times=pack(time * conversion_factor("day", time_unit), np.nan),
        ys=pack(np.log(np.where(used, value, 1.0)), np.nan),
        kinds=pack(np.where(below, -1, np.where(above, 1, 0)), 0).astype(np.int64),
        counts=used.sum(axis=1),
        unit=normalise_unit(unit),
        matrix=label,
    )


def _series(profiles: xr.Dataset, matrix: str | None) -> tuple[xr.Dataset, str]:
    dims = [str(dim) for dim in profiles["level"].dims if dim not in ("patient", "sample")]
    if not dims:
        if matrix is not None:
            raise InputError(f"the profiles have no matrix, so matrix='{matrix}' names nothing: leave it out")
        return profiles, ""
    (dim,) = dims
    labels = [str(label) for label in profiles[dim].values.tolist()]
    if matrix is None:
        if len(labels) > 1 and "blood" not in labels:
            raise InputError(f"the profiles have several of '{dim}' ({', '.join(labels)}): name one with matrix=")
        matrix = labels[0] if len(labels) == 1 else "blood"
    if matrix not in labels:
        raise InputError(f"the profiles have no {dim} '{matrix}': there are {', '.join(labels) or 'none'}")
    return profiles.isel({dim: labels.index(matrix)}), matrix


def _unit_of(profiles: xr.Dataset) -> str:
    if "unit" in profiles.coords:
        return str(profiles["unit"].values)
    return str(profiles["level"].attrs.get("units", ""))
