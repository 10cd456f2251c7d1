"""Points of any curve as data for `fit`: y against x, whatever they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..arguments import number_array
from ..errors import InputError
from ..schema import Status


def points_from_arrays(
    x: ArrayLike, y: ArrayLike, *, unit: str = "1", names: Sequence[str] | None = None
) -> xr.Dataset:
    """Return points (x, y) as profiles that `fit` takes, for model files that are curves without states.

    Unlike levels they may be negative, and several may stand at one x.

    Parameters
    ----------
    x : array_like
        (sample,) or (curve, sample); what the model file calls t.
    y : array_like
        (sample,) or (curve, sample); NaN where there is none.
    unit : str
        Unit of y.
    names : sequence of str, optional
        Names of the curves, which become ``patient``; default 1, 2, ….

    Returns
    -------
    Dataset
        Over (patient, sample): time (x), level (y), status.

    Raises
    ------
    InputError
        Shapes that do not fit together, or an infinite number.

    Notes
    -----
    A curve of several variables: let x number the points, and let the variables be covariates of the model file, which
    `fit` takes as ``inputs={"heat": [(0, 180.0), (1, 225.0), ...]}``. Only equations take covariates, so such a file
    has a state in which nothing happens.

    Examples
    --------
    >>> points_from_arrays([1, 2, 2], [0.5, -0.1, 0.2])["level"].values.tolist()
    [[0.5, -0.1, 0.2]]
    """
    values, at = np.atleast_2d(number_array("y", y)), number_array("x", x)
    if values.ndim > 2:
        raise InputError(f"y has shape {values.shape}: give (sample,), or (curve, sample)")
    try:
        at = np.array(np.broadcast_to(at, values.shape))
    except ValueError:
        raise InputError(f"x has shape {at.shape} and y {values.shape}: they do not fit together") from None
    if np.isinf(values).any() or np.isinf(at).any():
        raise InputError("x or y holds an infinite number: leave such points out, or make them NaN")
    labels = [str(row + 1) for row in range(len(values))] if names is None else [str(name) for name in names]
    if len(labels) != len(values) or len(set(labels)) < len(labels):
        raise InputError(f"names holds {len(labels)} names for {len(values)} curves: give each curve one of its own")
    known = ~np.isnan(values) & ~np.isnan(at)
    status = np.where(known, int(Status.quantified), int(Status.missing)).astype(np.int8)
    dims = ("patient", "sample")
    return xr.Dataset(
        {
            "time": (dims, np.where(known, at, np.nan)),
            "level": (dims, np.where(known, values, np.nan), {"units": unit}),
            "status": (dims, status),
        },
        {"patient": np.array(labels, dtype=object)},
    )
