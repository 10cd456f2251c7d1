"""How long the cells stay quantifiable, over patients: Turnbull's estimate, or Kaplan-Meier with a named date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..statistics.interval_censored import turnbull
from .groups import blocks_of
from .rules import PERSISTENCES, check_choice


def persistence_summary(
    result: xr.Dataset,
    /,
    *,
    by: xr.DataArray | Sequence[xr.DataArray] | None = None,
    times: Sequence[float] = (28, 90, 180, 365),
    level: float = 0.95,
    convention: Literal["last_quantified", "midpoint", "first_blq"] | None = None,
    draws: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Summarise over patients how long the cells stayed quantifiable.

    The end of persistence lies after ``persistence_lower`` (the last quantifiable sample) and at or before
    ``persistence_upper`` (the first BLQ sample after it; infinite where the last sample is quantified). A patient
    without any quantifiable sample counts as one whose persistence ended between the infusion and the first sample
    after it, and stands in ``n never quantified`` too.

    Parameters
    ----------
    result : Dataset
        From `nca`.
    by : DataArray or sequence of DataArray, optional
        Variables over ``patient`` that divide them into groups.
    times : sequence of float
        Days at which the share of patients who still persist is given.
    level : float
        Level of the limits.
    convention : {"last_quantified", "midpoint", "first_blq"}, optional
        Date that stands for the end, for a Kaplan-Meier estimate; default Turnbull's estimate, which needs none.
    draws : int
        Bootstrap samples behind the limits of Turnbull's estimate.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        One row a matrix (further leading dims, group). ``n`` patients, of whom ``n events`` lost the cells,
        ``n censored`` still had them in the last sample, ``n never quantified`` had none at all; and
        ``n not calculable``, those without a usable sample after infusion.

        Turnbull's estimate says in which innermost interval the median lies (``median: after``, ``median: by``), and
        between which values the share of patients lies at each day (``lowest`` and ``highest`` differ where the day is
        inside an innermost interval, where no likelihood says when the cells were lost). ``Kuhn-Tucker gap`` bounds
        what its log-likelihood lacks of the maximum.

        Kaplan-Meier: ``median`` (the first day at which half of the patients or fewer persist; missing where that
        is not reached) and the shares (missing beyond the last follow-up).

        ``limits`` names the kind of the limits. They are missing where every bootstrap sample has the same value, or
        where the share is 0 or 1: then the data do not say how uncertain it is.

    Raises
    ------
    InputError
        An option that cannot be, or a result that is none of `nca` over patients.

    Notes
    -----
    The bootstrap takes the 2.5 % percentile (for a level of 0.95) of the lowest and the 97.5 % percentile of the
    highest values. It is consistent where patients are sampled at planned visits; for times of visits that are spread
    continuously it is known to be rough (Sen & Xu, Comput Stat Data Anal 2015;81:121).

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> from ckinetics.noncompartmental import nca
    >>> levels = [[900, 300, 0, 0], [900, 300, 80, 0], [900, 300, 80, 60]]
    >>> result = nca(kinetics_from_arrays([7, 28, 90, 180], levels, lloq=50, unit="copies/ug"))
    >>> table = persistence_summary(result, times=(28, 90), draws=100)
    >>> table[["n", "n events", "median: after (day)", "median: by (day)"]].iloc[0].tolist()
    [3.0, 2.0, 90.0, 180.0]
    >>> round(float(table["persisting at day 90: lowest"][0]), 3)
    0.667
    """
    if convention is not None:
        check_choice("convention", convention, PERSISTENCES)
    days = _check(times, level, draws, seed)
    rows = []
    for block in blocks_of(result, by):
        lower, upper = block.values(result["persistence_lower"]), block.values(result["persistence_upper"])
        seen = block.values(result["n_quantified"]) + block.values(result["n_above_uloq"]) > 0
        there = np.isfinite(lower)
        lower, upper = lower[there], upper[there]
        row: dict[str, Any] = {
            **block.labels,
            "estimate": "Turnbull" if convention is None else f"Kaplan-Meier, cells lost at {convention}",
            "n": int(there.sum()),
            "n events": int(np.isfinite(upper).sum()),
            "n censored": int(np.isinf(upper).sum()),
            "n never quantified": int((~seen[there]).sum()),
            "n not calculable": int((~there).sum()),
        }
        if convention is None:
            row |= _turnbull(lower, upper, days, level, draws, seed)
        else:
            row |= _kaplan_meier(lower, upper, days, level, convention)
        rows.append(row)
    return pd.DataFrame(rows)


def _check(times: Sequence[float], level: float, draws: int, seed: int) -> np.ndarray:
    try:
        days = np.array([float(time) for time in times])
    except (TypeError, ValueError):
        raise InputError(f"times is {times!r}: give days, as (28, 90)") from None
    if not (np.isfinite(days) & (days >= 0)).all() or len(set(days.tolist())) < len(days):
        raise InputError(f"times is {times!r}: give different days of 0 or more")
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise InputError(f"level is {level!r}: give a number between 0 and 1, as 0.95")
    for name, value, least in (("draws", draws, 100), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise InputError(f"{name} is {value!r}: give a whole number of {least} or more")
    return days


def _turnbull(
    lower: np.ndarray, upper: np.ndarray, days: np.ndarray, level: float, draws: int, seed: int
) -> dict[str, Any]:
    n, nothing = len(lower), np.full(len(days), np.nan)
    low, high, middle, gap = nothing, nothing, (np.nan, np.nan), np.nan
    limits = np.full((2, len(days) + 1), np.nan)
    if n:
        found = turnbull(lower, upper)
        low, high = found.survival(days)
        middle, gap = found.quantile(0.5), found.gap
    if n > 1:
        limits = _bootstrap(lower, upper, days, level, draws, seed)
    percent = f"{100 * level:g} %"
    row: dict[str, Any] = {
        "median: after (day)": middle[0],
        "median: by (day)": middle[1],
        f"median: lower {percent} limit (day)": limits[0, 0],
        f"median: upper {percent} limit (day)": limits[1, 0],
    }
    for at, day in enumerate(days):
        name = f"persisting at day {day:g}"
        row |= {
            f"{name}: lowest": low[at],
            f"{name}: highest": high[at],
            f"{name}: lower {percent} limit": limits[0, at + 1],
            f"{name}: upper {percent} limit": limits[1, at + 1],
        }
    return row | {
        "limits": f"percentiles of {draws} bootstrap samples of patients, seed {seed}",
        "Kuhn-Tucker gap": gap,
    }


def _bootstrap(
    lower: np.ndarray, upper: np.ndarray, days: np.ndarray, level: float, draws: int, seed: int
) -> np.ndarray:
    """Return the limits of the median and of the share at each day: (lower and upper, statistic)."""
    generator = np.random.default_rng(seed)
    ends = np.empty((2, draws, len(days) + 1))
    for draw in range(draws):
        taken = generator.integers(0, len(lower), len(lower))
        found = turnbull(lower[taken], upper[taken])
        ends[:, draw, 0] = found.quantile(0.5)
        ends[:, draw, 1:] = found.survival(days)
    tail = (1.0 - level) / 2.0
    # An order statistic, not a mean of two: an end may be infinite.
    limits = np.stack(
        [
            np.quantile(end, share, axis=0, method="inverted_cdf")
            for end, share in zip(ends, (tail, 1 - tail), strict=True)
        ]
    )
    same = (ends == ends[:, :1]).all(axis=(0, 1))
    return np.where(same, np.nan, limits)


def _kaplan_meier(
    lower: np.ndarray, upper: np.ndarray, days: np.ndarray, level: float, convention: str
) -> dict[str, Any]:
    from statsmodels.duration.survfunc import SurvfuncRight

    lost = np.isfinite(upper)
    time = lower.copy()
    if convention == "midpoint":
        time[lost] = (lower[lost] + upper[lost]) / 2.0
    elif convention == "first_blq":
        time[lost] = upper[lost]
    curve = SurvfuncRight(time, lost.astype(int)) if lost.any() else None
    at, share, error = np.empty(0), np.empty(0), np.empty(0)
    if curve is not None:
        at, share, error = curve.surv_times, curve.surv_prob, curve.surv_prob_se
    low, high = _limits(share, error, level)
    percent = f"{100 * level:g} %"
    row: dict[str, Any] = {
        "median (day)": _first(at, share),
        f"median: lower {percent} limit (day)": _first(at, low),
        f"median: upper {percent} limit (day)": _first(at, high),
    }
    for day in days:
        place = int(np.searchsorted(at, day, side="right")) - 1
        three = (1.0, np.nan, np.nan) if place < 0 else (share[place], low[place], high[place])
        if not len(time) or (day > time.max() and three[0] > 0.0):
            three = (np.nan, np.nan, np.nan)
        name = f"persisting at day {day:g}"
        row |= {name: three[0], f"{name}: lower {percent} limit": three[1], f"{name}: upper {percent} limit": three[2]}
    return row | {"limits": "Greenwood, on the scale ln(-ln)"}


def _limits(share: np.ndarray, error: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pointwise limits of a Kaplan-Meier estimate; missing where it is 0."""
    from scipy.special import ndtri

    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.exp(ndtri(0.5 + level / 2.0) * error / (share * -np.log(share)))
        low, high = share**power, share ** (1.0 / power)
    return np.where(share > 0.0, low, np.nan), np.where(share > 0.0, high, np.nan)


def _first(at: np.ndarray, share: np.ndarray) -> float:
    """Return the first time at which a share is a half or less."""
    found = np.flatnonzero(np.round(share, 12) <= 0.5)
    return float(at[found[0]]) if len(found) else np.nan
