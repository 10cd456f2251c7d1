"""Dilution series: wells of known copies, from which the limits of an assay are told."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError
from ...provenance import content_hash, sha256_file
from ...schema import CqStatus, YesNo
from ...tables import Table, fold, read_table

Data: TypeAlias = str | Path | pd.DataFrame | xr.Dataset
ALIASES: dict[str, tuple[str, ...]] = {
    "copies": ("nominal_copies", "sq", "quantity", "starting_quantity", "copies_per_well", "nominal_quantity"),
    "cq": ("ct", "cp"),
    "detected": ("signal", "positive"),
    "target": ("target_name", "detector", "assay"),
    "well": ("well_name", "well_position"),
}
_NO_SIGNAL = frozenset({"", "undetermined", "no_cq", "no_ct", "no_call", "not_detected"})
_YES = frozenset({"1", "true", "yes", "y", "detected"})
_NO = frozenset({"0", "false", "no", "n", "not_detected"})
_CHANCE = 1e-3  # below which an identical pattern of detection is no accident


@dataclass(frozen=True)
class Series:
    """The wells of one target; `cq` is NaN where there is no signal, and everywhere where none was given."""

    target: str
    copies: np.ndarray
    detected: np.ndarray
    cq: np.ndarray
    wells: tuple[str, ...]
    n_blank: int = 0

    @property
    def levels(self) -> np.ndarray:
        """Copies of the levels, ascending."""
        return np.unique(self.copies)

    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return copies, wells and wells with a signal of each level."""
        levels, place = np.unique(self.copies, return_inverse=True)
        size = len(levels)
        n, seen = np.bincount(place, minlength=size), np.bincount(place, weights=self.detected, minlength=size)
        return levels, n.astype(np.float64), seen


def read_dilutions(data: Data, *, target: str | None = None, with_cq: bool = False) -> tuple[tuple[Series, ...], str]:
    """Return the dilution series in `data`, one a target, and the hash of what was read.

    Parameters
    ----------
    data : path, DataFrame or Dataset
        A table with a row a well: ``copies``, and ``cq`` (empty, NA or Undetermined: no signal) or ``detected``,
        with ``target`` and ``well`` where there are several; or the wells of `read_plates`, whose standards and
        QCs of known copies are taken.
    target : str, optional
        The target wanted; all when not given.
    with_cq : bool
        Whether the Cq is needed.

    Notes
    -----
    Wells of no copies (0, or none stated, as of an NTC) without a signal say nothing of the limit; they are counted
    in ``n_blank``. With a signal they are refused: a series with contamination has no limit of detection.
    """
    if isinstance(data, xr.Dataset):
        rows, source = _from_wells(data), content_hash(data)
    else:
        rows = _from_table(data, with_cq=with_cq)
        source = _frame_hash(rows) if isinstance(data, pd.DataFrame) else sha256_file(data)
    by_target: dict[str, list[tuple[float, bool, float, str]]] = defaultdict(list)
    for name, *row in rows:
        by_target[name].append(tuple(row))  # type: ignore[arg-type]
    if target is not None and target not in by_target:
        there = ", ".join(f"'{name}'" for name in sorted(by_target)) or "no wells"
        raise InputError(f"target '{target}' has no well of known copies: there are {there}")
    out = []
    for name in sorted(by_target) if target is None else [target]:
        own = [row for row in by_target[name] if row[0] > 0]
        if not own:
            raise InputError(f"target '{name}' has no well with copies above 0: give the copies of each well")
        copies, detected, cq, wells = zip(*own, strict=True)
        out.append(
            Series(
                name,
                np.array(copies, dtype=np.float64),
                np.array(detected, dtype=bool),
                np.array(cq, dtype=np.float64),
                wells,
                len(by_target[name]) - len(own),
            )
        )
    if not out:
        raise InputError("there is no well of known copies: give a dilution series, one row a well")
    return tuple(out), source


def _from_table(data: str | Path | pd.DataFrame, *, with_cq: bool) -> list[tuple[str, float, bool, float, str]]:
    required = ("copies", "cq") if with_cq else ("copies",)
    table = read_table(data, what="the dilution series", aliases=ALIASES, required=required)
    if "cq" not in table and "detected" not in table:
        raise InputError("the dilution series has neither 'cq' nor 'detected': add one", file=table.file or None)
    copies = table.numbers("copies")
    cq = _cq(table)
    detected = _detected(table) if "detected" in table else np.isfinite(cq)
    targets, wells = table.texts("target"), table.texts("well")
    rows = []
    for at in range(len(table)):
        if copies[at] < 0:
            raise table.error(at, f"copies are {copies[at]:g}: give a number of 0 or more")
        if math.isfinite(cq[at]) != detected[at] and "cq" in table:
            raise table.error(at, "'cq' and 'detected' do not agree on whether there is a signal: correct one")
        if detected[at] and not copies[at] > 0:
            raise table.error(
                at, "a well without copies has a signal: leave it out if it is a sample, repeat the series if a blank"
            )
        rows.append((targets[at], float(copies[at]), bool(detected[at]), float(cq[at]), wells[at]))
    return rows


def _frame_hash(rows: Sequence[tuple[Any, ...]]) -> str:
    columns = zip(*rows, strict=True)
    names = ("target", "copies", "detected", "cq", "well")
    return content_hash(xr.Dataset({name: ("well", np.array(own)) for name, own in zip(names, columns, strict=False)}))


def _cq(table: Table) -> np.ndarray:
    if "cq" not in table:
        return np.full(len(table), np.nan)
    words = [fold(word) for word in table.texts("cq")]
    frame = table.frame.assign(cq=["" if w in _NO_SIGNAL else c for w, c in zip(words, table.frame["cq"], strict=True)])
    cq = Table(frame, table.file, table.sheet, table.rows).numbers("cq")
    for at in np.flatnonzero(cq <= 0):
        raise table.error(int(at), f"cq is {cq[at]:g}, which no cycle has: leave it empty where there is no signal")
    return cq


def _detected(table: Table) -> np.ndarray:
    out = []
    for at, text in enumerate(table.texts("detected")):
        word = fold(text)
        if word not in _YES and word not in _NO:
            raise table.error(at, f"detected is '{text}': write yes or no")
        out.append(word in _YES)
    return np.array(out, dtype=bool)


def _from_wells(wells: xr.Dataset) -> list[tuple[str, float, bool, float, str]]:
    needed = ("role", "target", "nominal_copies", "cq", "cq_status", "omit", "well_name", "run_id")
    missing = [name for name in needed if name not in wells.data_vars]
    if missing:
        raise InputError(f"the well table has no variable '{missing[0]}': make it with read_plates")
    masked = wells["masked"].values if "masked" in wells else np.full(wells.sizes["well"], YesNo.no)
    columns: list[Any] = [wells[name].values.tolist() for name in needed]
    rows = []
    for (role, target, copies, cq, status, omit, name, run), out in zip(
        zip(*columns, strict=True), masked.tolist(), strict=True
    ):
        if role not in ("standard", "qc") or not copies > 0 or YesNo.yes in (omit, out):
            continue
        if status == CqStatus.missing:
            raise InputError(f"run {run}: the Cq of well {name} is blank, neither a signal nor 'Undetermined'")
        rows.append((target, copies, status == CqStatus.determined, cq, f"{run} {name}"))
    return rows


def twins(series: Sequence[Series]) -> dict[str, str]:
    """Return, for each target whose pattern of detection is another's, well by well, a sentence that says so.

    Levels of which all or no wells have a signal are alike by nature; a pattern is remarked on only where chance
    would hardly (1 in 1000) give it once more.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for one, other in itertools.combinations(series, 2):
        by_well = sorted(one.wells) == sorted(other.wells)
        first, second = _order(one, by_well), _order(other, by_well)
        if not _alike(one, first, other, second) or _chance(one) > _CHANCE:
            continue
        text = f"targets {one.target} and {other.target} have the same detection in all {len(first)} wells"
        cq = np.array([one.cq[first], other.cq[second]])
        cq = cq[:, np.isfinite(cq).all(axis=0)]
        if cq.shape[1] > 2 and (np.ptp(cq, axis=1) > 0).all():
            text += f" (their Cq correlate with r = {np.corrcoef(cq)[0, 1]:.4f})"
        text += ": count them as one data set"
        found[one.target].append(text)
        found[other.target].append(text)
    return {name: "; ".join(texts) for name, texts in found.items()}


def _order(series: Series, by_well: bool) -> list[int]:
    """Return the wells by level and, within one, by name or as they were given."""
    names = series.wells if by_well else ("",) * len(series.wells)
    return sorted(range(len(names)), key=lambda at: (series.copies[at], names[at]))


def _alike(one: Series, first: list[int], other: Series, second: list[int]) -> bool:
    return np.array_equal(one.copies[first], other.copies[second]) and np.array_equal(
        one.detected[first], other.detected[second]
    )


def _chance(series: Series) -> float:
    """Return the probability of the same wells with a signal, given how many each level has."""
    _, n, seen = series.counts()
    return math.exp(-sum(math.log(math.comb(int(a), int(b))) for a, b in zip(n, seen, strict=True)))
