"""Which samples a fit uses, as what, and which it cannot use and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import InputError
from ..kernels.fit import likelihood
from ..kernels.fit import objective as fit_objective
from ..kernels.fit.objective import Data
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
    "below the LLOQ and left out, as asked",
)
PADDING = -1
USED = len(REASONS)
CENSORING = {
    "M3": "M3: below LLOQ by the probability of lying there; detected or not detected by the hit model where the "
    "limit of detection is known",
    "M3 without detection": "M3: below LLOQ by the probability of lying there; detection below LLOQ not used",
    "M1": "M1: samples below LLOQ left out (biased; for comparison only)",
    "M5": "M5: samples below LLOQ taken as LLOQ/2 (biased; for comparison only)",
    "M6": "M6: the first of successive samples below LLOQ taken as LLOQ/2, later ones left out (biased; for "
    "comparison only)",
}
ASSAY_ERRORS = {
    "none": "no error of the assay apart from the residual one",
    "counting": "counting error of the copies in the wells at the predicted level (ln(20)/LOD copies a unit of level), "
    "added to the residual variance on both sides of the LLOQ; not where the hit model counts the copies itself",
}
# Three expected copies are seen in 95 % of samples: that is what a limit of detection is.
_COPIES_AT_LOD = float(np.log(20.0))


@dataclass(frozen=True)
class Samples:
    """One output's series of profiles; arrays are (patient, sample) unless said otherwise.

    Attributes
    ----------
    patients : names
    time : days since infusion, as given
    level : quantified levels in the model's unit, else NaN
    status : codes of `ckinetics.schema.Status`
    lod, lloq, uloq : limits in the model's unit, NaN where not known
    fate : USED, an index into REASONS, or PADDING where there is no sample
    kind : of used samples, as `ckinetics.kernels.fit.likelihood` counts them
    value : of used samples, the level or the limit that they enter the likelihood with
    unit : unit of the levels
    matrix : the matrix (or other series) that was taken, or ""
    """

    patients: list[str]
    time: np.ndarray
    level: np.ndarray
    status: np.ndarray
    lod: np.ndarray
    lloq: np.ndarray
    uloq: np.ndarray
    fate: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    unit: str
    matrix: str

    @property
    def used(self) -> np.ndarray:
        """Whether each sample is used."""
        return self.fate == USED

    @property
    def counts(self) -> np.ndarray:
        """Number of used samples of each patient."""
        return np.asarray(self.used.sum(axis=1))

    def count(self, kind: str) -> np.ndarray:
        """Return, per patient, how many samples are ``"quantified"``, ``"censored"`` or ``"unused"``."""
        quantified = self.used & (self.status == Status.quantified)
        if kind == "quantified":
            return np.asarray(quantified.sum(axis=1))
        if kind == "censored":
            return np.asarray((self.used & ~quantified).sum(axis=1))
        return np.asarray(((self.fate != PADDING) & ~self.used).sum(axis=1))

    def unused_in_words(self, row: int) -> str:
        """Say how many samples of a patient are not used and why; "" when all are."""
        parts = [
            f"{count} {reason}" for code, reason in enumerate(REASONS) if (count := int((self.fate[row] == code).sum()))
        ]
        return f"not used: {', '.join(parts)}" if parts else ""


def gather_samples(
    profiles: xr.Dataset,
    *,
    matrix: str | None,
    unit: str,
    any_unit: bool = False,
    on_log: bool = True,
    dynamic: bool = True,
    censoring: str = "M3",
) -> Samples:
    """Return one series' samples, and what each is to a fit.

    Parameters
    ----------
    profiles : Dataset
        Profiles over patient, matrix (or another series dim, or none) and sample.
    matrix : str or None
        Which series. None takes the only one, or "blood" where there are several.
    unit : str
        The output's unit. Levels in another unit of the same kind are converted.
    any_unit : bool
        Whether levels of another kind of quantity keep their own unit (the model's output is proportional to
        a parameter, which then has that unit).
    on_log : bool
        Whether the residual error is on the ln scale, which takes positive levels only.
    dynamic : bool
        Whether the model begins at time 0, so that nothing is known of samples before it.
    censoring : str
        A key of `CENSORING`.

    Raises
    ------
    InputError
        No such matrix, or several and none of them "blood".
    UnitError
        The levels are of another kind of quantity than the model's output, and not `any_unit`.
    """
    names = [str(name) for name in profiles["patient"].values.tolist()]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"patient '{twice[0]}' is in the profiles more than once: give each a name of its own")
    one, label = _series(profiles, matrix)
    one = one.transpose("patient", "sample", ...)
    given = _unit_of(one)
    if any_unit and given and kind_of(given) != kind_of(unit):
        unit = given
    factor = conversion_factor(given, unit) if given else 1.0
    shape = (one.sizes["patient"], one.sizes["sample"])

    def limit(name: str) -> np.ndarray:
        values = one[name].values if name in one else np.full(shape, np.nan)
        return np.asarray(np.where((values > 0) & np.isfinite(values), values, np.nan) * factor)

    # What is infinite is not known.
    time = one["time"].values.astype(np.float64)
    time = np.where(np.isfinite(time), time, np.nan)
    status = one["status"].values
    level = one["level"].values
    level = np.where((status == Status.quantified) & np.isfinite(level), level, np.nan) * factor
    lod, lloq, uloq = limit("lod"), limit("lloq"), limit("uloq")
    excluded = one["excluded"].values if "excluded" in one else np.zeros(shape, np.int8)
    quantified, below = status == Status.quantified, np.isin(status, BLQ_STATUSES)
    above = status == Status.above_uloq
    by_detection = np.zeros(shape, bool)
    if censoring == "M3" and on_log:
        by_detection = (status == Status.not_detected) & ~np.isnan(lod)
        by_detection |= (status == Status.detected_below_lloq) & ~np.isnan(lod) & ~np.isnan(lloq)
    left_out = below & (censoring == "M1")
    if censoring == "M6":
        left_out |= below & _not_first(below, time)
    tests = (
        excluded == Excluded.excluded,
        ~(quantified | below | above) | (quantified & np.isnan(level)),
        np.isnan(time),
        (time < 0) & dynamic,
        below & np.isnan(lloq) & ~by_detection,
        above & np.isnan(uloq),
        quantified & ~(level > 0) & on_log,
        left_out,
    )
    fate = np.select(tests, range(len(REASONS)), default=USED)
    fate[(status == Status.missing) & np.isnan(time) & (excluded != Excluded.excluded)] = PADDING
    kind = np.where(below, likelihood.BELOW, np.where(above, likelihood.ABOVE, likelihood.QUANTIFIED))
    kind[by_detection & (status == Status.not_detected)] = likelihood.NOT_DETECTED
    kind[by_detection & (status == Status.detected_below_lloq)] = likelihood.DETECTED_BELOW
    value = np.where(quantified, level, np.where(below, lloq, uloq))
    if censoring in ("M5", "M6"):
        kind[below] = likelihood.QUANTIFIED
        value = np.where(below, 0.5 * lloq, value)
    return Samples(
        patients=names,
        time=time,
        level=level,
        status=status,
        lod=lod,
        lloq=lloq,
        uloq=uloq,
        fate=fate,
        kind=kind.astype(np.int64),
        value=value,
        unit=normalise_unit(unit),
        matrix=label,
    )


def pack(
    series: Sequence[Samples],
    *,
    on_log: Sequence[bool],
    factor: float,
    constants: np.ndarray,
    which: np.ndarray,
    assay_error: str = "none",
) -> Data:
    """Return the used samples of all outputs as compiled code takes them.

    Parameters
    ----------
    series : sequence of Samples
        One for each output, over the same patients.
    on_log : sequence of bool
        Whether each output's error is on the ln scale.
    factor : float
        The model's unit of time in a day.
    constants : ndarray (patient, constant)
        Constants of the patients.
    which : ndarray of bool
        Patients to fit; the others have no samples.
    assay_error : str
        A key of `ASSAY_ERRORS`.
    """
    patients = len(which)
    used = [s.used & which[:, None] for s in series]
    n = sum(mask.sum(axis=1) for mask in used) if series else np.zeros(patients, np.int64)
    widest = max(int(np.max(n, initial=0)), 1)
    shape = (patients, widest)
    times, counts = np.full(shape, np.inf), np.zeros((patients, 2), np.int64)
    marks, values = np.zeros((patients, 3, widest), np.int64), np.zeros((patients, 3, widest))
    for row in range(patients):
        if not n[row]:
            continue
        own = [np.flatnonzero(mask[row]) for mask in used]
        found = np.concatenate([s.time[row, index] * factor for s, index in zip(series, own, strict=True)])
        distinct, place = np.unique(found, return_inverse=True)
        counts[row] = len(distinct), n[row]
        times[row, : len(distinct)] = distinct
        marks[row, fit_objective.AT, : n[row]] = place
        first = 0
        for number, (s, index) in enumerate(zip(series, own, strict=True)):
            span = slice(first, first + len(index))
            first += len(index)
            marks[row, fit_objective.OUTPUT, span], marks[row, fit_objective.KIND, span] = number, s.kind[row, index]
            value, lod = s.value[row, index], s.lod[row, index]
            with np.errstate(all="ignore"):
                y = np.log(value) if on_log[number] else value
            # A sample without a limit is known by its detection alone.
            values[row, fit_objective.Y, span] = np.where(np.isfinite(y), y, 0.0)
            values[row, fit_objective.RATE, span] = np.where(np.isnan(lod), 0.0, _COPIES_AT_LOD / lod)
            if assay_error == "counting":
                values[row, fit_objective.NOISE, span] = np.where(np.isnan(lod), 0.0, lod / _COPIES_AT_LOD)
    return Data(times, counts, marks, values, np.ascontiguousarray(constants))


def only(data: Data, which: np.ndarray) -> Data:
    """Return data in which the other patients have no samples, so that compiled code passes them over."""
    return data._replace(counts=np.where(which[:, None], data.counts, 0))


def _not_first(below: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Whether a sample below the LLOQ follows another one in time, with none between that is not."""
    later = np.zeros(below.shape, bool)
    for row in range(len(below)):
        order = np.argsort(time[row], kind="stable")
        order = order[~np.isnan(time[row, order])]
        later[row, order[1:]] = below[row, order[1:]] & below[row, order[:-1]]
    return later


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
