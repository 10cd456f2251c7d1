"""Sorting the results given to a report, and refusing those that were computed from other data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ...errors import InputError, StaleResultError
from ...provenance import content_hash

KINDS = ("nca", "fit", "exposure_response", "exposure_correlation")
# Computed from arrays, which may come without the hash of a cohort.
FROM_ARRAYS = ("exposure_response", "exposure_correlation")


@dataclass(frozen=True)
class Results:
    """The results of a report by kind, and the hash of the cohort that they belong to."""

    cohort_hash: str
    nca: tuple[xr.Dataset, ...]
    fits: tuple[xr.DataTree, ...]
    exposures: tuple[xr.Dataset, ...]

    @property
    def all(self) -> tuple[xr.Dataset | xr.DataTree, ...]:
        """Every result."""
        return (*self.nca, *self.fits, *self.exposures)


def kind_of(result: Any) -> str:
    """Return the kind of a result: one of `KINDS`.

    Raises
    ------
    InputError
        It is no result that ckinetics knows.
    """
    if isinstance(result, (xr.Dataset, xr.DataTree)):
        kind = str(result.attrs.get("result", ""))
        if kind in KINDS and (kind == "fit") == isinstance(result, xr.DataTree):
            return kind
        # A fit says what it is by what it holds.
        if not kind and isinstance(result, xr.DataTree) and {"estimates", "curves"} <= set(result.children):
            return "fit"
    raise InputError(
        f"expected a result of nca, fit, exposure_response or exposure_correlation, got {type(result).__name__}"
        + (f" ('{result.attrs['result']}')" if getattr(result, "attrs", {}).get("result") else "")
    )


def check_results(cohort: xr.DataTree, results: Sequence[Any]) -> Results:
    """Return the results by kind.

    Raises
    ------
    InputError
        One is no result.
    StaleResultError
        One was computed from other data than `cohort`; it is named. Results of arrays without a hash are taken.
    """
    source = content_hash(cohort)
    sorted_: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for position, result in enumerate(results, start=1):
        kind = kind_of(result)
        found = str(result.attrs.get("cohort_hash", ""))
        name = f"result {position} ('{result.attrs.get('title') or kind}')"
        if not found and kind not in FROM_ARRAYS:
            raise StaleResultError(
                f"{name} does not say from which cohort it was computed: compute it again from this one"
            )
        if found and found != source:
            raise StaleResultError(
                f"{name} was computed from other data (hash {found[:12]}, this cohort has {source[:12]}): "
                "compute it again from this cohort"
            )
        sorted_[kind].append(result)
    return Results(
        cohort_hash=source,
        nca=tuple(sorted_["nca"]),
        fits=tuple(sorted_["fit"]),
        exposures=(*sorted_["exposure_response"], *sorted_["exposure_correlation"]),
    )


def settings_of(result: xr.Dataset | xr.DataTree) -> dict[str, Any]:
    """Return the settings of a result, empty where it has none."""
    text = str(result.attrs.get("settings", ""))
    try:
        found = json.loads(text) if text else {}
    except json.JSONDecodeError as err:
        raise InputError(f"the settings of '{result.attrs.get('title', 'a result')}' are no JSON: {err}") from None
    return found if isinstance(found, dict) else {}


def flag_words(array: xr.DataArray) -> np.ndarray:
    """Return a flag variable as its words, missing ones as ""."""
    codes = np.atleast_1d(array.attrs.get("flag_values", [])).tolist()
    words = dict(zip(codes, str(array.attrs.get("flag_meanings", "")).split(), strict=True))
    out = np.empty(array.shape, dtype=object)
    for at, code in np.ndenumerate(array.values):
        out[at] = "" if int(code) == -1 else words.get(int(code), str(int(code)))
    return out


def model_name(fit: xr.DataTree) -> str:
    """Return the name of a fit's model."""
    return str(fit.attrs.get("model", "")) or "model"
