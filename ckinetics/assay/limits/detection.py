"""Limit of detection: the copies that a well shows with a given probability, by three models of a dilution series."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from ...errors import InputError
from ...provenance import result_attrs
from .detection_models import MODELS, DetectionFit, fit_detection, limit_interval
from .dilutions import Data, read_dilutions, twins

REPLICATES = (1, 2, 3, 4, 5, 6, 8)
_MISFIT = 0.05
_FAR = 3.0  # decades beyond the levels at which a limit is no more than a flat line's


def detection_limit(
    data: Data, /, *, target: str | None = None, level: float = 0.95, interval: float = 0.95
) -> xr.Dataset:
    """Estimate the limit of detection of an assay from a dilution series.

    Parameters
    ----------
    data : path, DataFrame or Dataset
        A table with a row a well: ``copies``, and ``cq`` (empty or Undetermined: no signal) or ``detected`` (yes or
        no), with ``target`` where there are several; or the wells of `read_plates`, whose standards and QCs are taken.
    target : str, optional
        One target; all when not given.
    level : float
        Probability of a signal at the limit.
    interval : float
        Confidence of the two-sided interval.

    Returns
    -------
    Dataset
        On (target, model): ``lod`` with ``low`` and ``high`` in copies per well, the parameters, ``deviance`` with
        ``df`` and ``p_value``, and ``reason`` where there is no limit. ``lod_of_wells`` on (target, model, wells): the
        copies per well at which at least one of so many wells has a signal. ``n_wells``, ``n_detected`` on (target,
        copies), and ``fitted`` with the models. ``caution`` on target says what to doubt.

    Raises
    ------
    InputError
        No wells of known copies, a signal without copies, or cells that cannot be read.

    Notes
    -----
    ``single_hit``: ``P = 1 - exp(-k copies)``, where k is the share of the copies that give a signal alone in a well;
    with k = 1 the limit at 95 % is 3.0 copies, which no assay can be below. ``probit`` and ``logistic`` are in
    log10(copies). All by maximum likelihood; intervals by profile likelihood, which may be open at an end (0 or
    infinite). Where every well has a signal, or none, the single-hit model still bounds the limit on one side.

    The deviance is against a share of its own for each level. Levels at which a model expects less than half a
    well of the rarer kind cannot speak against it and are not counted in ``df``, lest they hide a misfit.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = {0.5: 8, 2: 17, 5: 20, 20: 20}  # of 20 wells each
    >>> series = [(copies, well < seen) for copies, seen in counts.items() for well in range(20)]
    >>> found = detection_limit(pd.DataFrame(series, columns=["copies", "detected"]))
    >>> one = found.sel(model="single_hit").squeeze()
    >>> round(one["hit_probability"].item(), 2), round(one["lod"].item(), 2)
    (1.01, 2.97)
    """
    for name, value in (("level", level), ("interval", interval)):
        if not 0.0 < value < 1.0:
            raise InputError(f"{name} is {value:g}: give a probability between 0 and 1, 0.95 for instance")
    series, source = read_dilutions(data, target=target)
    every = np.unique(np.concatenate([one.copies for one in series]))
    at = ("target", "model")
    shape = (len(series), len(MODELS))
    names = (
        "lod", "low", "high", "hit_probability", "intercept", "slope", "log_likelihood", "deviance", "df", "p_value",
    )  # fmt: skip
    out = {name: np.full(shape, np.nan) for name in names}
    reason = np.full(shape, "", dtype=object)
    several = np.full((*shape, len(REPLICATES)), np.nan)
    fitted = np.full((*shape, len(every)), np.nan)
    counts = np.zeros((2, len(series), len(every)))
    caution = np.full(len(series), "", dtype=object)
    alike = twins(series)
    for i, one in enumerate(series):
        levels, n, seen = one.counts()
        counts[:, i, np.searchsorted(every, levels)] = n, seen
        notes = [alike[one.target]] if one.target in alike else []
        for j, model in enumerate(MODELS):
            fit = fit_detection(levels, n, seen, model)
            fit = _refuse_far(fit, fit.limit(level), levels)
            low, high = limit_interval(fit, levels, n, seen, level, interval)
            values = vars(fit) | {"lod": fit.limit(level), "low": low, "high": high}
            for name in names:
                out[name][i, j] = values[name]
            reason[i, j] = fit.reason
            several[i, j] = [fit.limit(-math.expm1(math.log1p(-level) / m)) for m in REPLICATES]
            if not fit.reason:
                fitted[i, j] = np.where(counts[0, i] > 0, fit.probability(every), np.nan)
            lod = fit.limit(level)
            if not fit.reason and not levels[0] <= lod <= levels[-1]:
                notes.append(
                    f"the limit of {lod:.3g} copies by the {model} model lies outside the levels, {levels[0]:g} to "
                    f"{levels[-1]:g} copies"
                )
            if fit.p_value < _MISFIT:
                notes.append(
                    f"the {model} model does not describe the detection (deviance {fit.deviance:.3g}, df {fit.df:g}, "
                    f"p {fit.p_value:.2g}): its limit and interval are doubtful"
                )
        caution[i] = "; ".join(notes)
    copies = {"units": "copies/well"}
    meanings: dict[str, dict[str, str]] = {
        "lod": copies | {"long_name": f"copies with a signal in {level:.4g} of wells"},
        "low": copies | {"long_name": f"lower end of its {interval:.4g} interval, profile likelihood"},
        "high": copies | {"long_name": f"upper end of its {interval:.4g} interval, profile likelihood"},
        "hit_probability": {"long_name": "share of copies that give a signal alone in a well", "units": "1"},
        "intercept": {"long_name": "intercept, at one copy"},
        "slope": {"long_name": "slope, per log10(copies)"},
        "log_likelihood": {"long_name": "maximum of the log-likelihood"},
        "deviance": {"long_name": "deviance against a share of its own for each level"},
        "df": {"long_name": "levels that can speak against the model, less its parameters"},
        "p_value": {"long_name": "probability of a deviance so great or greater under the model"},
    }
    variables: dict[str, Any] = {name: (at, out[name], meanings[name]) for name in names}
    variables |= {
        "reason": (at, reason, {"long_name": "why there is no limit"}),
        "lod_of_wells": (
            (*at, "wells"),
            several,
            copies | {"long_name": f"copies per well with a signal in at least one of the wells, {level:.4g}"},
        ),
        "n_wells": (("target", "copies"), counts[0], {"long_name": "wells"}),
        "n_detected": (("target", "copies"), counts[1], {"long_name": "wells with a signal"}),
        "fitted": ((*at, "copies"), fitted, {"long_name": "probability of a signal by the model"}),
        "n_blank": (
            "target",
            np.array([float(one.n_blank) for one in series]),
            {"long_name": "wells without copies and without a signal, which are in no model"},
        ),
        "caution": ("target", caution, {"long_name": "what to doubt"}),
    }
    coords = {
        "target": np.array([one.target for one in series], dtype=object),
        "model": np.array(MODELS, dtype=object),
        "wells": np.array(REPLICATES),
        "copies": ("copies", every, copies),
    }
    settings = {"target": target, "level": level, "interval": interval, "interval_kind": "profile likelihood"}
    return xr.Dataset(variables, coords, result_attrs(title="limit of detection", settings=settings, source=source))


def _refuse_far(fit: DetectionFit, lod: float, levels: np.ndarray) -> DetectionFit:
    """Return a fit without a limit where that lies far from all levels."""
    if fit.reason or levels[0] * 10.0**-_FAR <= lod <= levels[-1] * 10.0**_FAR:
        return fit
    return DetectionFit(
        fit.model,
        reason=f"the share of wells with a signal hardly rises with copies: a limit of {lod:.1g} copies would lie far "
        "from every level",
    )
