"""Limit of quantification: the copies from which their CV stays below a limit, read off an interpolated CV curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ...errors import InputError
from ...provenance import result_attrs
from ..curves.standard_curve import LN10
from .dilutions import Data, Series, read_dilutions, twins

_SAMPLES = 4000
_LEAST_WELLS = 3  # with a signal, for a standard deviation
_LEAST_SHARE = 0.95  # of wells with a signal, for a level that can be quantified


@dataclass(frozen=True)
class CvCurve:
    """The levels of one target: their noise, and the curve that turns cycles into copies.

    Levels without a standard deviation have NaN. `share` is that of the wells with a signal; mean, SD and kurtosis are
    of their Cq.
    """

    copies: np.ndarray
    n: np.ndarray
    seen: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    kurtosis: np.ndarray
    slope: float
    cv: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Share of the wells with a signal."""
        return np.asarray(self.seen / self.n)


def quantification_limit(
    data: Data, /, *, target: str | None = None, cv: float = 0.35, seed: int = 0, interval: float = 0.95
) -> xr.Dataset:
    """Estimate the limit of quantification of an assay from the precision of a dilution series.

    Parameters
    ----------
    data : path, DataFrame or Dataset
        A table with a row a well, ``copies`` and ``cq`` (empty or Undetermined: no signal), with ``target`` where there
        are several; or the wells of `read_plates`, whose standards and QCs are taken.
    target : str, optional
        One target; all when not given.
    cv : float
        Greatest CV of the copies of a well that counts as quantified, as a fraction.
    seed : int
        Seed of the draws behind the interval.
    interval : float
        Confidence of the two-sided interval.

    Returns
    -------
    Dataset
        On target: ``loq`` with ``low`` and ``high`` in copies per well, ``loq_tested`` (the lowest level from which all
        have such a CV), the ``slope`` and ``efficiency`` behind it, ``sd0``, ``reason`` and ``caution``. On (target,
        copies): ``n_wells``, ``n_detected``, ``mean_cq``, ``sd_cq``, ``sd_predicted`` by the noise model, and ``cv``.

    Raises
    ------
    InputError
        No wells of known copies, a signal without copies, or cells that cannot be read.

    Notes
    -----
    ``CV = sqrt(exp((ln(1+E) SD(Cq))^2) - 1)`` of each level, the same as Forootan et al. 2017 give. E is that of least
    squares over the levels whose wells all have a signal: where some have none, the mean Cq of the others is biased.

    The LOQ is where the CV, interpolated in log(CV) and log(copies), passes `cv` the last time as copies rise. A level
    of which fewer than 95 % of wells have a signal is not quantified whatever the CV of the others; if that CV is
    below `cv`, the LOQ is the level above.

    The interval is that of 4000 draws of each level's SD and mean given the wells' (an SD by chi square, a mean by the
    normal), each read off like the data; an end at 0 or infinity says that the series does not bound it. The degrees of
    freedom of an SD are ``2(n - 1)/(kurtosis - 1)``, with the kurtosis of the level's Cq but at least
    ``3 + 6/copies``, that of ln(Poisson): Cq of few copies have long tails, and their SD is known less well. In
    simulations such 95 % intervals held the LOQ in 93 to 98 % of series of 6 to 48 wells a level; resampling the
    wells gave 75 to 89 %.

    ``sd_predicted = sqrt(sd0^2 + 1/(ln^2(1+E) copies))``, with sd0 from the levels of 100 copies or more.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> copies = np.repeat([3.0, 10.0, 30.0, 100.0, 1000.0], 24)
    >>> rng = np.random.default_rng(1)
    >>> cq = 38 - 3.3219 * np.log10(copies) + rng.normal(0, np.hypot(0.1, 1.4427 / np.sqrt(copies)))
    >>> found = quantification_limit(pd.DataFrame({"copies": copies, "cq": cq})).squeeze()
    >>> round(found["loq"].item(), 1), found["loq_tested"].item()
    (10.3, 30.0)
    """
    for name, value in (("cv", cv), ("interval", interval)):
        if not 0.0 < value < (1.0 if name == "interval" else math.inf):
            raise InputError(f"{name} is {value:g}: give a fraction, {0.35 if name == 'cv' else 0.95} for instance")
    series, source = read_dilutions(data, target=target, with_cq=True)
    every = np.unique(np.concatenate([one.copies for one in series]))
    names = ("loq", "low", "high", "loq_tested", "slope", "efficiency", "sd0")
    out = {name: np.full(len(series), np.nan) for name in names}
    by_level = {name: np.full((len(series), len(every)), np.nan) for name in ("mean_cq", "sd_cq", "sd_predicted", "cv")}
    counts = np.zeros((2, len(series), len(every)))
    reason, caution = (np.full(len(series), "", dtype=object) for _ in range(2))
    alike = twins(series)
    for i, one in enumerate(series):
        curve = cv_curve(one)
        place = np.searchsorted(every, curve.copies)
        counts[:, i, place] = curve.n, curve.seen
        by_level["mean_cq"][i, place], by_level["sd_cq"][i, place] = curve.mean, curve.sd
        by_level["cv"][i, place] = curve.cv
        out["slope"][i] = curve.slope
        reason[i] = _why_not(curve, cv)
        notes = [alike[one.target]] if one.target in alike else []
        if curve.slope < 0:
            out["efficiency"][i] = (10.0 ** min(-1.0 / curve.slope, 300.0) - 1.0) * 100.0
            out["sd0"][i] = _sd0(curve)
            by_level["sd_predicted"][i, place] = np.sqrt(out["sd0"][i] ** 2 + (curve.slope / LN10) ** 2 / curve.copies)
            found, tested = crossing(curve.copies, curve.cv[None], curve.share[None], cv)
            out["loq_tested"][i] = tested[0]
            if not reason[i]:
                out["loq"][i] = found[0]
                notes += _doubts(curve, found[0])
            if not reason[i] or found[0] == 0.0:  # below the lowest level it has an upper end
                out["low"][i], out["high"][i] = _interval(curve, cv, seed, interval)
        caution[i] = "; ".join(notes)
    copies = {"units": "copies/well"}
    meanings: dict[str, dict[str, str]] = {
        "loq": copies | {"long_name": f"copies from which the CV stays below {cv:g}"},
        "low": copies | {"long_name": f"lower end of its {interval:.4g} interval, SD and mean of each level drawn"},
        "high": copies | {"long_name": f"upper end of its {interval:.4g} interval, SD and mean of each level drawn"},
        "loq_tested": copies | {"long_name": f"lowest level from which all have a CV below {cv:g}"},
        "slope": {"long_name": "slope over the levels whose wells all have a signal, cycles per log10(copies)"},
        "efficiency": {"long_name": "amplification efficiency", "units": "%"},
        "sd0": {"long_name": "SD of Cq beyond Poisson, from the levels of 100 copies or more", "units": "cycle"},
        "mean_cq": {"long_name": "mean Cq of the wells with a signal", "units": "cycle"},
        "sd_cq": {"long_name": "SD of Cq of the wells with a signal", "units": "cycle"},
        "sd_predicted": {"long_name": "SD of Cq by sd0 and Poisson", "units": "cycle"},
        "cv": {"long_name": "CV of the copies of a well with a signal", "units": "1"},
    }
    variables: dict[str, Any] = {name: ("target", out[name], meanings[name]) for name in names}
    levels = ("target", "copies")
    variables |= {name: (levels, array, meanings[name]) for name, array in by_level.items()}
    variables |= {
        "n_wells": (levels, counts[0], {"long_name": "wells"}),
        "n_detected": (levels, counts[1], {"long_name": "wells with a signal"}),
        "reason": ("target", reason, {"long_name": "why there is no LOQ"}),
        "caution": ("target", caution, {"long_name": "what to doubt"}),
    }
    coords = {"target": np.array([one.target for one in series], dtype=object), "copies": ("copies", every, copies)}
    settings = {"target": target, "cv": cv, "seed": seed, "interval": interval, "draws": _SAMPLES}
    return xr.Dataset(
        variables, coords, result_attrs(title="limit of quantification", settings=settings, source=source)
    )


def cv_curve(series: Series) -> CvCurve:
    """Return noise and CV of each level of a dilution series."""
    levels, n, seen = series.counts()
    own = [series.cq[(series.copies == level) & series.detected] for level in levels]
    mean = np.array([cq.mean() if len(cq) else np.nan for cq in own])
    sd = np.array([cq.std(ddof=1) if len(cq) >= _LEAST_WELLS else np.nan for cq in own])
    slope = float(_slopes(np.log10(levels), n, (seen == n)[None], mean[None])[0])
    tails = np.array([_kurtosis(cq) for cq in own])
    return CvCurve(levels, n, seen, mean, sd, tails, slope, _cv(slope, sd))


def crossing(copies: np.ndarray, cv: np.ndarray, share: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where CV curves pass a limit the last time as copies rise, and the lowest level above that.

    Parameters
    ----------
    copies : array of shape (levels,)
        Copies of the levels, ascending.
    cv, share : array of shape (curves, levels)
        CV of each level, and the share of its wells with a signal.
    limit : float
        Greatest CV.

    Returns
    -------
    tuple of array of shape (curves,)
        0 where no level fails, infinite where the highest does; for the level then the lowest, and NaN.

    Examples
    --------
    >>> cv = np.array([[0.7, 0.5, 0.2, 0.1]])
    >>> loq, tested = crossing(np.array([1.0, 3.0, 10.0, 100.0]), cv, np.ones((1, 4)), 0.35)
    >>> round(loq.item(), 2), tested.item()
    (4.79, 10.0)
    """
    fails = ~((cv <= limit) & (share >= _LEAST_SHARE))
    n = len(copies)
    last = np.where(fails.any(axis=1), n - 1 - np.argmax(fails[:, ::-1], axis=1), -1)
    above = np.minimum(last + 1, n - 1)
    rows = np.arange(len(cv))
    below = np.maximum(last, 0)
    x, y = np.log(copies), np.log(np.maximum(cv, 1e-300))
    height, depth = y[rows, below] - math.log(limit), y[rows, below] - y[rows, above]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(height > 0, height / depth, 1.0)  # no interpolation from a level that fails by silent wells
    part = np.where(np.isfinite(part), part, 1.0)
    found = np.exp(x[below] + part * (x[above] - x[below]))
    found = np.where(last == -1, 0.0, np.where(last == n - 1, np.inf, found))
    tested = np.where(last == n - 1, np.nan, copies[above])
    return found, tested


def _slopes(x: np.ndarray, n: np.ndarray, complete: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return least-squares slopes on wells over the levels that are complete; NaN where these are fewer than two."""
    weight = np.where(complete, n, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        dx = x - (weight * x).sum(axis=1, keepdims=True) / total
        slope = (weight * dx * np.where(complete, mean, 0.0)).sum(axis=1) / (weight * dx**2).sum(axis=1)
    return np.where(complete.sum(axis=1) > 1, slope, np.nan)


def _cv(slope: Any, sd: np.ndarray) -> np.ndarray:
    """Return the CV of copies; NaN where the slope does not fall."""
    ln_gain = -LN10 / np.where(np.asarray(slope) < 0, slope, np.nan)
    return np.asarray(np.sqrt(np.expm1(np.minimum((ln_gain * sd) ** 2, 700.0))))


def _sd0(curve: CvCurve) -> float:
    """Return the SD of Cq beyond Poisson, pooled over the levels where Poisson is small."""
    at = (curve.copies >= 100.0) & np.isfinite(curve.sd)
    if not at.any():
        return math.nan
    own = curve.sd[at] ** 2 - (curve.slope / LN10) ** 2 / curve.copies[at]
    return math.sqrt(max(float(np.average(own, weights=curve.seen[at] - 1.0)), 0.0))


def _why_not(curve: CvCurve, limit: float) -> str:
    if not np.isfinite(curve.slope):
        return "fewer than two levels whose wells all have a signal: there is no slope to turn cycles into copies"
    if curve.slope >= 0:
        return "Cq does not fall as copies rise: check the copies of the levels"
    found, tested = crossing(curve.copies, curve.cv[None], curve.share[None], limit)
    if found[0] == 0.0:
        return f"the CV is below {limit:g} at every level: the LOQ is at most {tested[0]:g} copies, add lower levels"
    if math.isinf(found[0]):
        return f"the CV at {curve.copies[-1]:g} copies, the highest level, is not known to be below {limit:g}"
    return ""


def _doubts(curve: CvCurve, loq: float) -> list[str]:
    notes = []
    near = np.isin(np.arange(len(curve.n)), np.searchsorted(curve.copies, loq) + np.array([-1, 0]))
    partial = near & (curve.seen < curve.n)
    for copies, n, seen in zip(curve.copies[partial], curve.n[partial], curve.seen[partial], strict=True):
        notes.append(f"{n - seen:g} of {n:g} wells have no signal at {copies:g} copies: its CV is that of the others")
    return notes


def _kurtosis(cq: np.ndarray) -> float:
    if len(cq) < _LEAST_WELLS:
        return math.nan
    square = (cq - cq.mean()) ** 2
    return float(len(cq) * (square**2).sum() / square.sum() ** 2) if square.sum() > 0 else math.nan


def _interval(curve: CvCurve, limit: float, seed: int, interval: float) -> tuple[float, float]:
    """Return percentiles of the LOQ over draws of the levels' SD and mean."""
    rng = np.random.default_rng(seed)
    kurtosis = np.fmax(curve.kurtosis, 3.0 + 6.0 / np.maximum(curve.copies, 1.0))
    df = 2.0 * np.maximum(curve.seen - 1.0, 1.0) / (kurtosis - 1.0)
    shape = (_SAMPLES, len(df))
    sd = curve.sd * np.sqrt(df / rng.chisquare(df, shape))
    mean = curve.mean + sd / np.sqrt(np.maximum(curve.seen, 1.0)) * rng.standard_normal(shape)
    complete = np.broadcast_to(curve.seen == curve.n, shape)
    # A level whose SD is not known is complete without it: its mean is taken as it is.
    mean = np.where(np.isfinite(mean), mean, curve.mean)
    slope = _slopes(np.log10(curve.copies), curve.n, complete, mean)
    found, _ = crossing(curve.copies, _cv(slope[:, None], sd), np.broadcast_to(curve.share, shape), limit)
    tail = (1.0 - interval) / 2.0
    low, high = np.quantile(found, [tail, 1.0 - tail], method="inverted_cdf")
    return float(low), max(float(high), float(curve.copies[0]))  # of the ends below the lowest level only that is known
