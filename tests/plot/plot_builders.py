"""Small cohorts and results whose figures can be checked by eye and by number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ckinetics.cohorts import cohort, exclude, kinetics_from_arrays, read_kinetics

ROWS = (
    # patient, time, level, lloq, uloq
    ("P1", -2.0, "BLQ", 50, 1e5),
    ("P1", 7.0, 1e4, 50, 1e5),
    ("P1", 14.0, 4e3, 50, 1e5),
    ("P1", 28.0, 9e2, 50, 1e5),
    ("P1", 60.0, 80.0, 50, 1e5),
    ("P2", 7.0, ">ULOQ", 60, 2e4),
    ("P2", 14.0, 3e3, 60, 2e4),
    ("P2", 28.0, "<60", 60, 2e4),
    ("P2", 60.0, "INV", 60, 2e4),
    ("P3", 7.0, "BLQ", 40, 1e5),
    ("P3", 14.0, "ND", 40, 1e5),
)


def small_cohort() -> xr.DataTree:
    table = pd.DataFrame(ROWS, columns=["patient", "time", "level", "lloq", "uloq"])
    patients = pd.DataFrame(
        {"patient": ["P1", "P2", "P3", "P4"], "dose_level": ["DL1", "DL2", "DL1", ""], "age": [50.0, 60.0, 70.0, 80.0]}
    )
    response = pd.DataFrame({"patient": ["P1", "P2", "P3"], "response": ["CR", "PD", ""]})
    made = cohort(read_kinetics(table, unit="copies/ug"), patients=patients, response=response, title="small")
    return exclude(made, patient="P1", time=14.0, reason="haemolysed", by="a reader")


def arrays_cohort(levels: object, times: object = (0.0, 7.0, 28.0), **more: object) -> xr.DataTree:
    return cohort(kinetics_from_arrays(times, levels, lloq=50, unit="copies/ug", **more))


def empty_cohort() -> xr.DataTree:
    return arrays_cohort(np.empty((0, 3)))


def small_fit(matrix: str = "blood", unit: str = "copies/ug", patients: tuple[str, ...] = ("P1", "P2")) -> xr.DataTree:
    time = np.tile(np.linspace(0.0, 60.0, 50), (len(patients), 1))
    curves = xr.Dataset(
        {"time": (("patient", "point"), time), "predicted": (("patient", "point"), 2e4 * np.exp(-0.1 * time))},
        {"patient": ("patient", np.array(patients, dtype=object))},
    )
    root = xr.Dataset(coords={"patient": curves["patient"]}, attrs={"model": "line", "matrix": matrix, "unit": unit})
    return xr.DataTree.from_dict({"/": root, "/curves": curves})


def odds(n: int = 12, odds_ratio: float = 2.0) -> xr.Dataset:
    exposure = np.geomspace(1e2, 1e5, n)
    used = np.ones(n, dtype=np.int8)
    if n:
        used[0] = 0
    grid = np.geomspace(1e2, 1e5, 101)
    line = 1 / (1 + np.exp(-(np.log(grid) - 8)))
    scalars = {
        "odds_ratio": odds_ratio, "odds_ratio_lower": 1.1, "odds_ratio_upper": np.inf, "p_value": 0.0312,
        "n_used": max(n - 1, 0), "n_dropped": min(n, 1), "n_events": n // 2,
    }  # fmt: skip
    return xr.Dataset(
        {
            **scalars,
            "exposure": ("patient", exposure),
            "outcome": ("patient", (np.arange(n) % 2).astype(float)),
            "used": ("patient", used),
            "drop_reason": ("patient", np.where(used == 1, "", "response not known").astype(object)),
            "grid": ("point", grid),
            "probability": ("point", line),
            "probability_lower": ("point", line * 0.8),
            "probability_upper": ("point", np.minimum(line * 1.2, 1.0)),
        },
        {"patient": ("patient", np.array([f"P{at}" for at in range(n)], dtype=object))},
        {
            "result": "exposure_response", "title": "cmax against response", "method": "firth", "event": "CR",
            "per": "doubling", "exposure_name": "cmax", "exposure_units": "copies/ug",
            "interval_kind": "95 % profile likelihood",
        },
    )  # fmt: skip


def rho(n: int = 8) -> xr.Dataset:
    return xr.Dataset(
        {
            "rho": 0.5, "rho_lower": -0.2, "rho_upper": 0.9, "p_value": 0.2, "n_used": n, "n_dropped": 0,
            "exposure": ("patient", np.geomspace(1e2, 1e4, n)),
            "peak": ("patient", np.r_[0.0, np.geomspace(1, 50, n - 1)] if n else np.empty(0)),
            "used": ("patient", np.ones(n, dtype=np.int8)),
            "drop_reason": ("patient", np.full(n, "", dtype=object)),
        },
        {"patient": ("patient", np.array([f"P{at}" for at in range(n)], dtype=object))},
        {
            "result": "exposure_correlation", "title": "cmax against the peak of IL-6", "method": "spearman",
            "exposure_name": "cmax", "exposure_units": "copies/ug", "peak_name": "IL-6", "peak_units": "pg/mL",
        },
    )  # fmt: skip
