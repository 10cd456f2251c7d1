"""Seeded random profiles of a hostile kind, and random options to analyse them with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.schema import Excluded, Status

WIDTH = 16
SCHEDULE = np.array([0, 1, 3, 7, 10, 14, 21, 28, 45, 60, 90, 120, 180, 270, 365, 540], dtype=float)
BLQ = (Status.not_detected, Status.detected_below_lloq, Status.below_lloq)
LOST = (Status.missing, Status.invalid, Status.insufficient_dna)
INTERVALS = [(0.0, 28.0), (0.0, np.inf), (7.0, 90.0), (3.3, 11.7), (0.0, 5.0), (30.0, 400.0), (10.0, np.inf)]
INTERVALS += [(600.0, 700.0)]
COUNTS = {0: 0.01, 1: 0.04, 2: 0.05, 3: 0.08, 4: 0.1, 5: 0.1, 7: 0.14, 9: 0.14, 12: 0.14, 14: 0.1, 16: 0.1}
BLQ_RULES: list[Any] = [
    None, None, None, "keep", "drop", "lloq", "lloq/2", 25.0,
    {"first": "keep", "middle": "drop", "last": "drop"},
    {"first": "keep", "middle": "lloq/2", "last": "keep first"},
    {"first": "drop", "middle": "keep", "last": "keep"},
    {"first": "lloq/2", "middle": "drop", "last": 3.0},
    {"before.tmax": "keep", "after.tmax": "drop"},
    {"before.tmax": "drop", "after.tmax": "keep"},
    {"before.tmax": "lloq", "after.tmax": 7.5},
]  # fmt: skip


def times(rng: np.random.Generator, n: int) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        found = SCHEDULE[:n] + (SCHEDULE[:n] > 0) * np.round(rng.normal(0, 0.2, n), 3)
    elif kind == 1:
        found = np.sort(rng.choice(SCHEDULE, n, replace=False))
    elif kind == 2:
        found = np.cumsum(rng.exponential(10 ** rng.uniform(-1.5, 1.7), n) + 1e-3)
        found -= found[0] * (n > 0 and rng.random() < 0.6) if n else 0.0
    else:
        found = np.sort(rng.choice(80, n, replace=False)).astype(float)
    if n and rng.random() < 0.3:
        shift = rng.choice([0.5, 1.0, 7.0, found[min(n - 1, 2)] + 0.25])
        found = found - shift
    return np.asarray(found)


def course(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """A course of CAR cells: lag, growth, a fast and a slow decline, perhaps a second expansion, with noise."""
    peak, top = rng.uniform(7, 20), 10 ** rng.uniform(2, 6)
    rise, fast, slow = rng.uniform(0.3, 1.5), rng.uniform(0.05, 0.5), 10 ** rng.uniform(-3, -1.3)
    share = 10 ** rng.uniform(-3, -0.5)
    after = np.maximum(t - peak, 0.0)
    level = top * np.exp(-rise * np.maximum(peak - t, 0.0))
    level = level * ((1 - share) * np.exp(-fast * after) + share * np.exp(-slow * after))
    if rng.random() < 0.25:
        level = level + top * 10 ** rng.uniform(-2, 0.5) * np.exp(-(((t - rng.uniform(30, 150)) / 12) ** 2))
    return np.asarray(np.clip(level, 1e-6, 1e12) * np.exp(rng.normal(0, rng.choice([0.0, 0.1, 0.6]), len(t))))


def levels(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    n, kind = len(t), rng.integers(8)
    if kind <= 3:
        return course(rng, t)
    if kind == 4:
        return np.asarray(10 ** rng.uniform(-3, 9, n))
    if kind == 5:  # exact ties and exact doublings
        return rng.choice([50.0, 100.0, 150.0, 200.0, 300.0, 800.0, 6400.0], n)
    if kind == 6:  # a plateau, in whole or from somewhere on
        found = 10 ** rng.uniform(1, 5, n)
        found[rng.integers(0, max(n, 1)) * (rng.random() < 0.7) :] = 10 ** rng.uniform(1, 5)
        return found
    rate = 10 ** rng.uniform(-3, 0)
    return np.asarray(10 ** rng.uniform(2, 6) * np.exp(-np.minimum(rate * (t - t[:1]), 30.0)))


def one(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the variables of one profile, padded."""
    n = int(rng.choice(list(COUNTS), p=list(COUNTS.values())))
    t = times(rng, n)
    level = levels(rng, t)
    status = np.full(n, int(Status.quantified))
    lloq = np.full(n, np.nan)
    uloq = np.full(n, np.nan)
    limits = rng.random()
    scale = float(np.exp(np.median(np.log(level)))) if n else 1.0
    if limits < 0.7:
        lloq[:] = rng.choice([50.0, scale * 10 ** rng.uniform(-3, 0.3)])
        if rng.random() < 0.15:
            lloq[rng.random(n) < 0.4] = np.nan
        elif rng.random() < 0.15:
            lloq = lloq * rng.choice([1.0, 2.0, 5.0], n)
        below = level < lloq
        level[(rng.random(n) < 0.05) & ~np.isnan(lloq)] = 0.0  # placeholder, set to the LLOQ just below
        level = np.where(level == 0.0, lloq, level)
        status[below] = rng.choice(BLQ, int(below.sum()))
    runs = rng.random(3)
    if runs[0] < 0.3:
        status[: rng.integers(0, n + 1)] = int(Status.not_detected)
    if runs[1] < 0.3:
        status[n - rng.integers(0, n + 1) :] = int(Status.below_lloq)
    if runs[2] < 0.2:
        status[rng.random(n) < 0.3] = int(rng.choice(BLQ))
    above = rng.random()
    if above < 0.12 and n:
        limit = float(np.quantile(level, rng.uniform(0.5, 1.0))) * rng.choice([1.0, 0.999])
        uloq = np.where(limit > np.nan_to_num(lloq, nan=0.0), limit, np.nan)
        if rng.random() < 0.15:
            uloq = uloq * rng.choice([1.0, 3.0, 50.0], n)
        over = (level > uloq) & (status == Status.quantified)
        status[over] = int(Status.above_uloq)
        if rng.random() < 0.25:
            uloq[rng.random(n) < rng.choice([0.3, 1.0])] = np.nan
    status[rng.random(n) < 0.03] = int(rng.choice(LOST))
    if rng.random() < 0.03:
        level[rng.random(n) < 0.2] = 0.0  # quantified as zero
    level = np.where(status == Status.quantified, level, np.nan)
    excluded = np.where(rng.random(n) < 0.02, Excluded.excluded, Excluded.included)
    kinds = {"time": t, "level": level, "lloq": lloq, "uloq": uloq, "status": status, "excluded": excluded}
    if rng.random() < 0.3:
        kinds["se_well"] = np.where(rng.random(n) < 0.9, 10 ** rng.uniform(-2, 0, n), np.nan)
        kinds["se_plate"] = np.where(rng.random(n) < 0.7, 10 ** rng.uniform(-2, -0.5, n), np.nan)
    return kinds


def profiles(rng: np.random.Generator, count: int) -> xr.Dataset:
    """Return so many profiles of (patient, matrix, sample)."""
    data = kinetics_from_arrays(np.arange(WIDTH), np.full((count, WIDTH), np.nan), unit="copies/ug")
    table = {name: data[name].values[:, 0] for name in ("time", "level", "lloq", "uloq", "se_well", "se_plate")}
    table |= {name: data[name].values[:, 0] for name in ("status", "excluded", "plate")}
    table["time"][:] = np.nan
    for p in range(count):
        kinds = one(rng)
        n = len(kinds["time"])
        for name, values in kinds.items():
            table[name][p, :n] = values
        table["excluded"][p, n:] = Excluded.missing
        table["plate"][p, :n] = rng.choice(np.array(["", "A", "B"], dtype=object), n)
    return data


def choices(rng: np.random.Generator, data: xr.Dataset, share: float = 0.15) -> pd.DataFrame:
    """Return a table of terminal points chosen by hand, for some of the patients."""
    rows = []
    status, excluded = data["status"].values[:, 0], data["excluded"].values[:, 0]
    quantified = (status == Status.quantified) & (excluded != Excluded.excluded)
    for p, patient in enumerate(data["patient"].values.tolist()):
        if rng.random() > share:
            continue
        there = data["time"].values[p, 0]
        for t in there[np.isfinite(there)]:
            if rng.random() < 0.3:
                use = rng.choice(["include", "exclude"], p=[0.4, 0.6])
                at = there == t
                if use == "exclude" or (quantified[p, at].all() and there[at].size == 1):
                    rows.append((patient, t, use, "by eye"))
    return pd.DataFrame(rows, columns=["patient", "time", "use", "reason"])


def options(rng: np.random.Generator, preset: str) -> dict[str, Any]:
    """Return options of `nca`; about half of the rules are the preset's own."""

    def some(values: list[Any]) -> Any:
        return values[int(rng.integers(len(values)))] if rng.random() < 0.5 else None

    given = {
        "auc_method": some(["linear", "linear-up/log-down", "linear-log", "log-up/log-down"]),
        "blq": some(BLQ_RULES),
        "anchor": some(["none", "zero", "baseline"]),
        "baseline": some(["last", "mean"]),
        "tail": some(["last", "all", "own_obs", "own_pred"] + ([] if preset == "pknca" else ["samples", "predicted"])),
        "min_points": some([2, 3, 4, 5]),
        "rising": some(["veto", "discard"]),
        "tmax": some(["first", "last"]),
        "tmax_in_line": some([True, False]),
        "threshold": some([0.0, 50.0, 100.0, 1000.0]),
        "window": some([(7.0, 90.0), (-5.0, 60.0), (0.0, 28.0), (1.5, np.inf)]) if rng.random() < 0.4 else None,
        "limits": some([{"anchor_pct": 5.0, "extrap_pct": 50.0, "r_squared": 0.5, "span_ratio": 1.0, "n_points": 5.0}]),
    }
    others: dict[str, list[Any]] = {
        "persistence": ["last_quantified", "midpoint", "first_blq"],
        "peak_fold": [2.0, 1.2, 10.0],
        "peak_errors": [3.0, 0.0, 1.0],
        "peaks_from": [3.0, 0.0, -10.0, 12.0],
        "contraction_days": [21.0, 5.0, 100.0],
    }
    for name, values in others.items():
        given[name] = some(values)
    return {name: value for name, value in given.items() if value is not None}
