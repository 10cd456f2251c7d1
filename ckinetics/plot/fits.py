"""The curves of a fit, by the patients of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ..errors import InputError, StaleResultError
from ..provenance import content_hash
from .samples import Samples

Curve = tuple[np.ndarray, np.ndarray]


def named_fits(
    fit: xr.DataTree | Sequence[xr.DataTree] | Mapping[str, xr.DataTree] | None,
) -> dict[str, xr.DataTree]:
    """Return the fits of a figure by name: none, one, or several; of a sequence by the names of their models.

    Raises
    ------
    InputError
        Two of a sequence are of one model.
    """
    if fit is None:
        return {}
    if isinstance(fit, Mapping) and not isinstance(fit, xr.DataTree):
        return {str(name): one for name, one in fit.items()}
    named: dict[str, xr.DataTree] = {}
    for one in fit if isinstance(fit, Sequence) else [fit]:
        name = str(getattr(one, "attrs", {}).get("model", "")) or "fit"
        if name in named:
            raise InputError(f"two fits are of '{name}': give fit= as a mapping, such as {{'a': fit, 'b': other_fit}}")
        named[name] = one
    return named


def check_belongs(data: xr.DataTree | xr.Dataset, result: xr.DataTree | xr.Dataset, name: str) -> None:
    """Refuse to draw a result over data that it was not computed from.

    Raises
    ------
    StaleResultError
        The result carries the hash of other data.
    """
    found = str(result.attrs.get("cohort_hash", ""))
    if found and found != content_hash(data):
        raise StaleResultError(
            f"{name}= was computed from other data than those drawn: compute it again from these, or draw the cohort "
            "that it is of (patients= and matrix= choose what is shown)"
        )


def fit_curves(fit: xr.DataTree, samples: Samples) -> dict[int, Curve]:
    """Return time and predicted level of each patient that the fit has a curve of, by position in `samples`.

    Raises
    ------
    InputError
        It is no fit, or a fit of another matrix or unit.
    """
    if not isinstance(fit, xr.DataTree) or "curves" not in fit.children:
        raise InputError("fit= expects the result of fit: it has a group 'curves'")
    matrix, unit = str(fit.attrs.get("matrix", "")), str(fit.attrs.get("unit", ""))
    if matrix and matrix != samples.series:
        raise InputError(f"the fit is of {matrix} and the figure of {samples.series}: draw matrix='{matrix}'")
    if unit and samples.unit and unit != samples.unit:
        raise InputError(f"the fit is in {unit} and the profiles in {samples.unit}: fit these profiles")
    curves = fit["curves"].to_dataset()
    names = {str(name): at for at, name in enumerate(curves["patient"].values.tolist())}
    time = curves["time"].transpose("patient", "point").values
    predicted = curves["predicted"].transpose("patient", "point").values
    out = {}
    for patient, name in enumerate(samples.patients):
        at = names.get(name)
        if at is None:
            continue
        drawable = np.isfinite(time[at]) & (predicted[at] > 0)
        if drawable.any():
            out[patient] = (time[at][drawable], predicted[at][drawable])
    return out
