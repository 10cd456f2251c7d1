"""Limit of quantification from a dilution series: where the CV of back-calculated copies reaches a limit."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from ..errors import InputError
from ..provenance import result_attrs
from .curves import LN10, fit_curve
from .dilution_series import Data, Series, read_series, same_data


def quantification_limit(
    data: Data,
    /,
    *,
    target: str | None = None,
    cv: float = 0.35,
    interval: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> xr.Dataset:
    """Estimate the limit of quantification of an assay by the CV of the copies read back.

    Parameters
    ----------
    data : path, DataFrame or Dataset
        As in `detection_limit`. Levels need two wells with a signal.
    target : str, optional
        Only this target.
    cv : float
        Greatest CV, a fraction.
    interval : float
        Confidence of the bootstrap interval.
    draws : int
        Resamples of the wells within their levels.
    seed : int
        Seed of the resamples.

    Returns
    -------
    Dataset
        Dims ``target``, ``level``. ``loq`` (copies/well) is interpolated, log CV over log copies, between the highest
        level whose CV is above the limit and the next; ``loq_tested`` is the lowest tested level from which on all
        meet the limit. ``loq_low``, ``loq_high``: percentiles of the bootstrap. ``copies``, ``cv``, ``sd_cq``,
        ``detected`` (share of wells with a signal), ``predicted_sd`` of each level; ``efficiency``, ``noise_sd0``;
        ``reason`` where there is no limit. A CV of a level with silent wells is that of the others only, and too small.

    Raises
    ------
    InputError
        A faulty table, a target that is not there, or an option that makes no sense.

    Notes
    -----
    ``CV = sqrt(exp((ln(1+E) SD)^2) - 1)`` of log-normal copies (the same as Forootan et al. 2017), with the
    efficiency of a curve through the levels in which every well has a signal. ``predicted_sd`` is
    ``sqrt(s0^2 + 1/(ln^2(1+E) copies))``, s0 the SD of the highest level less its Poisson share.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng, levels = np.random.default_rng(1), np.repeat([5.0, 20.0, 100.0, 1e4], 50)
    >>> seen = rng.poisson(levels)
    >>> cq = 38 - 3.3219 * np.log10(np.maximum(seen, 1)) + rng.normal(0, 0.1, len(levels))
    >>> found = quantification_limit(pd.DataFrame({"copies": levels, "cq": np.where(seen > 0, cq, np.nan)}))
    >>> found["loq_tested"].item()
    20.0
    """
    if not 0 < cv < math.inf:
        raise InputError(f"cv is {cv:g}: give a positive fraction, 0.35 for 35 %")
    if not 0 < interval < 1 or draws < 1:
        raise InputError(f"interval={interval:g} and draws={draws}: give a probability and a positive number")
    series = read_series(data, target)
    depth = max(len(one.levels) for one in series)
    names = ("copies", "cv", "sd_cq", "detected", "predicted_sd")
    columns = {name: np.full((len(series), depth), np.nan) for name in names}
    single = {
        name: np.full(len(series), np.nan)
        for name in ("loq", "loq_low", "loq_high", "loq_tested", "efficiency", "noise_sd0")
    }
    reasons = np.full(len(series), "", dtype=object)
    rng = np.random.default_rng(seed)
    for at, one in enumerate(series):
        levels = one.levels
        gain = _ln_gain(one)
        spread = np.array([_sd(one.at(level)) for level in levels])
        columns["copies"][at, : len(levels)] = levels
        columns["sd_cq"][at, : len(levels)] = spread
        columns["detected"][at, : len(levels)] = [np.isfinite(one.at(level)).mean() for level in levels]
        if math.isnan(gain):
            reasons[at] = "no falling curve through levels in which every well has a signal"
            continue
        ratio = _cv(gain, spread)
        columns["cv"][at, : len(levels)] = ratio
        floor = spread[-1] ** 2 - 1.0 / (gain**2 * levels[-1])
        sd0 = math.sqrt(max(floor, 0.0)) if math.isfinite(floor) else math.nan
        columns["predicted_sd"][at, : len(levels)] = np.sqrt(sd0**2 + 1.0 / (gain**2 * levels))
        single["efficiency"][at], single["noise_sd0"][at] = math.expm1(gain) * 100.0, sd0
        tested, found, reasons[at] = _crossing(levels, ratio, cv)
        single["loq_tested"][at], single["loq"][at] = tested, found
        if math.isfinite(found):
            ends = _bootstrap(one, cv, draws, interval, rng)
            single["loq_low"][at], single["loq_high"][at] = ends
    copies = {"units": "copies/well"}
    units = {"efficiency": {"units": "%"}, "noise_sd0": {"units": "cycle"}}
    settings = {"target": target, "cv": cv, "interval": interval, "draws": draws, "seed": seed}
    return xr.Dataset(
        {
            **{name: ("target", array, units.get(name, copies)) for name, array in single.items()},
            **{
                name: (("target", "level"), array, copies if name == "copies" else {})
                for name, array in columns.items()
            },
            "reason": ("target", reasons),
        },
        coords={"target": np.array([one.target for one in series], dtype=object)},
        attrs=result_attrs(title="limit of quantification by CV", settings=settings)
        | {"cautions": "; ".join(same_data(series))},
    )


def _ln_gain(series: Series) -> float:
    """Return ln(1+E) of the curve through the levels in which every well has a signal, NaN where there is none."""
    whole = [level for level in series.levels if np.isfinite(series.at(level)).all()]
    keep = np.isin(series.copies, whole)
    curve = fit_curve(series.copies[keep], series.cq[keep])
    return -LN10 / curve.slope if curve.usable else math.nan


def _sd(cq: np.ndarray) -> float:
    seen = cq[np.isfinite(cq)]
    return float(np.std(seen, ddof=1)) if len(seen) > 1 else math.nan


def _cv(gain: float, spread: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.expm1((gain * spread) ** 2)))


def _crossing(levels: np.ndarray, ratio: np.ndarray, limit: float) -> tuple[float, float, str]:
    """Return the lowest tested level from which on all meet the limit, the interpolated one, and why there is none."""
    known = np.isfinite(ratio)
    levels, ratio = levels[known], ratio[known]
    if len(levels) < 2:
        return math.nan, math.nan, "fewer than two levels have two wells with a signal"
    above = np.flatnonzero(ratio > limit)
    if not len(above):
        return float(levels[0]), math.nan, f"every level meets the limit: the LOQ is {levels[0]:g} copies or lower"
    last = int(above[-1])
    if last == len(levels) - 1:
        return math.nan, math.nan, "the highest level does not meet the limit"
    # A CV of exactly zero has no logarithm, and lies as far down as it can.
    (x0, x1), (y0, y1) = np.log(levels[last : last + 2]), np.log(np.maximum(ratio[last : last + 2], 1e-12))
    share = (y0 - math.log(limit)) / (y0 - y1)
    return float(levels[last + 1]), math.exp(x0 + share * (x1 - x0)), ""


def _bootstrap(
    series: Series, limit: float, draws: int, interval: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return percentiles of the limit over resamples; without end where so many of them have none."""
    levels = series.levels
    found = np.empty(draws)
    pools = [series.at(level) for level in levels]
    for draw in range(draws):
        picks = [pool[rng.integers(0, len(pool), len(pool))] for pool in pools]
        again = Series(series.target, np.repeat(levels, [len(pool) for pool in pools]), np.concatenate(picks))
        gain = _ln_gain(again)
        spread = np.array([_sd(pick) for pick in picks])
        _, value, _ = _crossing(levels, _cv(gain, spread), limit)
        if math.isnan(value):  # at or below the lowest level, or above the highest
            ratio = _cv(gain, spread)
            value = 0.0 if np.nanmax(ratio) <= limit else math.inf
        found[draw] = value
    tail = (1.0 - interval) / 2.0
    low, high = np.quantile(found, [tail, 1.0 - tail], method="inverted_cdf")
    return float(low), float(high)
