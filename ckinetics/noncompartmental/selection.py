"""Samples of the terminal line chosen by hand, each with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from ..schema import Excluded, Status
from ..tables import read_table
from .inputs import leading_dims

if TYPE_CHECKING:
    from ..kernels.nca.codes import Samples

_WORDS = {"include": 1, "included": 1, "exclude": 2, "excluded": 2}
_ALIASES: dict[str, tuple[str, ...]] = {
    "patient": ("patient_id", "usubjid", "subjid", "id"),
    "time": ("day", "actual_time"),
    "use": ("action",),
    "reason": (),
    "by": (),
}


@dataclass(frozen=True)
class Selection:
    """Choices by hand: (profile, sample) codes for the kernel, and the reasons beside them."""

    codes: np.ndarray
    reasons: np.ndarray


def read_selection(table: str | Path | pd.DataFrame, profiles: xr.Dataset, samples: Samples) -> Selection:
    """Read which samples a terminal line goes through, or must not.

    Parameters
    ----------
    table : path or DataFrame
        Columns ``patient``, ``time`` (day, of the sample), ``use`` (include or exclude) and ``reason``; the series
        (``matrix``) where the profiles have several; ``by`` (who, when). Where a profile has samples to include, its
        line goes through these and no others.
    profiles : Dataset
        The profiles.
    samples : Samples
        The profiles as the kernels take them.

    Raises
    ------
    InputError
        Names the row: no such sample, one to include that is not quantified, another word, no reason, or one sample
        twice.
    """
    lead, times = leading_dims(profiles), samples.time
    others = [dim for dim in lead if dim != "patient"]
    several = [dim for dim in others if profiles.sizes[dim] > 1]
    aliases = _ALIASES | dict.fromkeys(others, ())
    required = ["patient", "time", "use", "reason", *several]
    source = read_table(table, what="the table of terminal points", aliases=aliases, required=required)
    texts = {name: source.texts(name) for name in aliases if name != "time"}
    codes = np.zeros(times.shape, dtype=np.int8)
    reasons = np.full(times.shape, "", dtype=object)
    at = {dim: {str(label): i for i, label in enumerate(profiles[dim].values.tolist())} for dim in lead}
    numbers = source.numbers("time")
    for row in range(len(source)):
        place = []
        for dim in lead:
            label = texts[dim][row]
            if not label and dim not in ("patient", *several):
                place.append(0)
            elif label in at[dim]:
                place.append(at[dim][label])
            else:
                raise source.error(row, f"there is no {dim} '{label}' in the profiles: correct it")
        profile = int(np.ravel_multi_index(place, [profiles.sizes[dim] for dim in lead]))
        hits = np.flatnonzero(np.isclose(times[profile], numbers[row], rtol=0, atol=1e-6))
        if not len(hits):
            there = ", ".join(f"{t:g}" for t in times[profile] if np.isfinite(t))
            raise source.error(
                row,
                f"patient '{texts['patient'][row]}' has no sample at day {numbers[row]:g}: its samples are at {there}",
            )
        word, why, by = texts["use"][row].lower(), texts["reason"][row], texts["by"][row]
        if word not in _WORDS:
            raise source.error(row, f"use is '{word}': write include or exclude")
        if _WORDS[word] == 1 and not _is_quantified(samples, profile, int(hits[0])):
            raise source.error(row, "a line goes through quantified samples only, and this one is not: leave it out")
        if not why:
            raise source.error(row, "a choice by hand needs a reason: write it in the column 'reason'")
        if codes[profile, hits[0]]:
            raise source.error(row, "this sample was chosen in an earlier row: keep one of them")
        codes[profile, hits[0]] = _WORDS[word]
        reasons[profile, hits[0]] = f"{why} ({by})" if by else why
    return Selection(codes, reasons)


def _is_quantified(samples: Samples, profile: int, sample: int) -> bool:
    row = min(profile, len(samples.excluded) - 1)
    left_out = samples.excluded[row, min(sample, samples.excluded.shape[1] - 1)] == Excluded.excluded
    return bool(samples.status[profile, sample] == Status.quantified and not left_out)
