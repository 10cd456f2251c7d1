"""Limit of detection from a dilution series: single hit, probit, logistic, and whether each holds."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..provenance import result_attrs
from .dilution_series import Data, Series, read_series, same_data

MODELS = ("single_hit", "probit", "logistic")
WELLS = (1, 2, 3, 4, 6, 8)


def detection_limit(
    data: Data,
    /,
    *,
    target: str | None = None,
    detect: float = 0.95,
    interval: float = 0.95,
    wells: tuple[int, ...] = WELLS,
) -> xr.Dataset:
    """Estimate the limit of detection of an assay from wells at known copies.

    Parameters
    ----------
    data : path, DataFrame or Dataset
        A table with columns ``copies``, ``cq`` and, where there are several, ``target`` (a row without a Cq is a well
        without a signal), or the wells of `read_plates`, whose standards are used.
    target : str, optional
        Only this target.
    detect : float
        Probability of detection at the limit.
    interval : float
        Confidence of the intervals.
    wells : tuple of int
        Numbers of replicate wells: the effective limit is where at least one of so many has a signal.

    Returns
    -------
    Dataset
        Dims ``target``, ``model`` ("single_hit", ``P = 1 - exp(-k copies)``; "probit" and "logistic" in log10(copies)),
        ``wells``, ``level``. ``lod``, ``lod_low``, ``lod_high`` (copies/well; the interval is Wald's on the logarithm
        of the limit, by the delta method); ``intercept``, ``slope`` and, of the single hit, ``hit_probability`` k;
        ``deviance``, ``df``, ``p_value`` of the deviance against the levels themselves: a small one says that the
        model does not hold; ``reason`` where there is no estimate. ``copies``, ``n_wells``, ``n_detected`` of each
        level. The attribute ``cautions`` names targets that are one data set.

    Raises
    ------
    InputError
        A faulty table, a target that is not there, or an option that makes no sense.

    Notes
    -----
    Binomial regression of statsmodels, with links cloglog (offset ln(copies), so that its one coefficient is ln k),
    probit and logit. Three copies a well is the floor of a LOD at 95 %, by Poisson alone.

    Examples
    --------
    >>> import pandas as pd
    >>> copies, seen = [1.0] * 20 + [5.0] * 20 + [20.0] * 20, [1] * 7 + [0] * 13 + [1] * 15 + [0] * 5 + [1] * 20
    >>> table = pd.DataFrame({"copies": copies, "cq": [35.0 if one else None for one in seen]})
    >>> found = detection_limit(table)
    >>> round(found["lod"].sel(model="single_hit", wells=1).item(), 1)
    9.3
    """
    for name, value in (("detect", detect), ("interval", interval)):
        if not 0.5 <= value < 1:
            raise InputError(f"{name} is {value:g}: give a probability from 0.5 up to 1")
    if not wells or any(n < 1 for n in wells):
        raise InputError(f"wells={wells} names no number of wells: give 1 or more")
    series = read_series(data, target)
    targets = [one.target for one in series]
    depth = max(len(one.levels) for one in series)
    shape = (len(series), len(MODELS))
    numbers = {
        name: np.full(shape, np.nan) for name in ("intercept", "slope", "hit_probability", "deviance", "df", "p_value")
    }
    limits = {name: np.full((*shape, len(wells)), np.nan) for name in ("lod", "lod_low", "lod_high")}
    reasons = np.full(shape, "", dtype=object)
    tables = {name: np.full((len(series), depth), np.nan) for name in ("copies", "n_wells", "n_detected")}
    for at, one in enumerate(series):
        counts = _counts(one)
        for name, column in zip(tables, counts, strict=True):
            tables[name][at, : len(column)] = column
        for which, model in enumerate(MODELS):
            fit = _fit(model, *counts)
            reasons[at, which] = fit.pop("reason")
            ends = fit.pop("ends", None)
            for name, value in fit.items():
                numbers[name][at, which] = value
            if ends is not None:
                for place, n in enumerate(wells):
                    found = _limit(model, *ends, detect, n, interval)
                    for name, value in zip(limits, found, strict=True):
                        limits[name][at, which, place] = value
    units = {"units": "copies/well"}
    settings = {"target": target, "detect": detect, "interval": interval, "wells": list(wells)}
    return xr.Dataset(
        {
            **{name: (("target", "model", "wells"), array, units) for name, array in limits.items()},
            **{name: (("target", "model"), array) for name, array in numbers.items()},
            "reason": (("target", "model"), reasons),
            **{name: (("target", "level"), array) for name, array in tables.items()},
        },
        coords={
            "target": np.array(targets, dtype=object),
            "model": np.array(MODELS, dtype=object),
            "wells": list(wells),
        },
        attrs=result_attrs(title="limit of detection", settings=settings) | {"cautions": "; ".join(same_data(series))},
    )


def _counts(series: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return levels, wells of each, and wells with a signal."""
    levels = series.levels
    sizes = np.array([len(series.at(level)) for level in levels], dtype=np.float64)
    seen = np.array([np.isfinite(series.at(level)).sum() for level in levels], dtype=np.float64)
    return levels, sizes, seen


def _fit(model: str, copies: np.ndarray, n: np.ndarray, seen: np.ndarray) -> dict[str, Any]:
    """Fit one model to the counts of the levels."""
    import statsmodels.api as sm
    from scipy.stats import chi2

    if (seen == n).all() or not seen.any():
        which = "every well has a signal: measure fewer copies" if seen.any() else "no well has a signal"
        return {"reason": which}
    free = 1 if model == "single_hit" else 2
    partly = int(((seen > 0) & (seen < n)).sum())
    if free == 2 and (len(copies) < 3 or partly < 1):
        return {"reason": "a slope needs three levels, one of them with a signal in a part of its wells"}
    links = {"single_hit": sm.families.links.CLogLog(), "probit": sm.families.links.Probit()}
    family = sm.families.Binomial(link=links.get(model, sm.families.links.Logit()))
    counts = np.column_stack([seen, n - seen])
    if free == 1:
        regression = sm.GLM(counts, np.ones((len(copies), 1)), family=family, offset=np.log(copies))
    else:
        regression = sm.GLM(counts, sm.add_constant(np.log10(copies), has_constant="add"), family=family)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = regression.fit(maxiter=200, tol=1e-12)
    except Exception as err:  # statsmodels says of separation by warnings and by errors of several kinds
        return {"reason": f"the model cannot be fitted to these wells ({' '.join(str(err).split())[:80]})"}
    parameters = np.asarray(result.params, dtype=np.float64)
    slope = float(parameters[1]) if free == 2 else 1.0
    if not slope > 0:
        return {"reason": "detection does not rise with the copies"}
    df = len(copies) - free
    return {
        "reason": "",
        "intercept": float(parameters[0]),
        "slope": slope,
        "hit_probability": math.exp(float(parameters[0])) if free == 1 else math.nan,
        "deviance": float(result.deviance),
        "df": float(df),
        "p_value": float(chi2.sf(result.deviance, df)) if df > 0 else math.nan,
        "ends": (parameters, np.asarray(result.cov_params(), dtype=np.float64)),
    }


def _limit(
    model: str, parameters: np.ndarray, covariance: np.ndarray, detect: float, n: int, interval: float
) -> tuple[float, float, float]:
    """Return where one of n wells is seen with probability `detect`, and the interval."""
    from scipy.stats import norm

    one = -math.expm1(math.log1p(-detect) / n)  # of each well
    z = float(norm.ppf(0.5 + interval / 2.0))
    if model == "single_hit":
        # ln(limit) = ln(-ln(1 - one)) - ln k
        ln, se = math.log(-math.log1p(-one)) - float(parameters[0]), math.sqrt(float(covariance[0, 0]))
    else:
        quantile = float(norm.ppf(one)) if model == "probit" else math.log(one / (1.0 - one))
        a, b = float(parameters[0]), float(parameters[1])
        x = (quantile - a) / b
        gradient = np.array([-1.0 / b, -x / b])
        ln, se = x * math.log(10.0), math.sqrt(float(gradient @ covariance @ gradient)) * math.log(10.0)
    return math.exp(ln), math.exp(ln - z * se), math.exp(ln + z * se)
