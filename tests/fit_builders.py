"""Results of fits made by hand: every number in a comparison or a figure can be told beforehand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from ckinetics.fitting import Convergence
from ckinetics.fitting.residuals import IN_WORDS
from ckinetics.fitting.samples import CENSORING
from ckinetics.schema import Status, YesNo

TIMES = np.array([1.0, 5.0, 9.0, 14.0, 28.0, 60.0, 90.0, 120.0, 180.0, 270.0])
LEVELS = np.array([np.nan, 300.0, 2e4, 8e3, 1e3, 300.0, 200.0, 120.0, 70.0, np.nan])
LLOQ = 50.0


def made_fit(
    minus2ll: Any = (10.0, 12.0),
    *,
    model: str = "one",
    patients: Any = ("P1", "P2"),
    p: int = 3,
    fixed: int = 1,
    codes: Any = 0,
    residual: str = "additive on log",
    censoring: str = "M3",
    prior: str = "none",
    unit: str = "copies/ug",
    source: str = "a" * 64,
    levels: Any = LEVELS,
    used: Any = True,
    estimable: Any = YesNo.yes,
    ratio: float = 1.1,
    sd: float = 0.4,
    derived: dict[str, tuple[str, Any, Any]] | None = None,
    curve: Any = None,
    lod: float = np.nan,
    status: Any = None,
    assay_error: str = "none",
    matrix: str = "blood",
) -> xr.DataTree:
    """Return a fit whose predictions are the levels (or half the LLOQ) over `ratio`, with `p` estimated parameters."""
    n = len(patients)
    points = ("patient", "point")
    level = np.broadcast_to(np.asarray(levels, dtype=float), (n, len(TIMES))).copy()
    codes_of = np.broadcast_to(codes, n).astype(np.int8)
    code = np.where(np.isnan(level), Status.below_lloq, Status.quantified).astype(np.int8) if status is None else status
    predicted = np.where(np.isnan(level), 0.5 * LLOQ, level) / ratio
    taken = np.broadcast_to(used, level.shape)
    off = np.log(ratio) if residual == "additive on log" else 1.0
    residuals = np.where(np.isnan(level) | ~taken, np.nan, level - predicted if off == 1.0 else off)
    grid = np.broadcast_to(TIMES, (n, len(TIMES)))
    names = np.array([f"theta{at}" for at in range(p + fixed)], dtype=object)
    held = np.array([YesNo.no] * p + [YesNo.yes] * fixed, dtype=np.int8)
    known = np.broadcast_to(estimable, (n, p + fixed)).astype(np.int8).copy()
    known[:, p:] = YesNo.unknown
    dims = ("patient", "sample")
    quantities = derived if derived is not None else {"cmax": (unit, 2e4, 2e3)}
    settings = {
        "outputs": ["level"],
        "residual": {"level": IN_WORDS[residual].format(a="a", b="b")},
        "censoring": CENSORING[censoring],
        "prior": prior,
        "assay_error": assay_error,
        "group": "kinetics",
        "matrix": matrix,
    }
    words = np.array([f"ended as {Convergence(int(one)).name}" for one in codes_of], dtype=object)
    groups = {
        "/": xr.Dataset(
            {
                "minus2ll": ("patient", np.broadcast_to(np.asarray(minus2ll, dtype=float), n).copy()),
                "convergence": (
                    "patient",
                    codes_of,
                    {
                        "flag_values": np.array([int(one) for one in Convergence], np.int8),
                        "flag_meanings": " ".join(one.name for one in Convergence),
                    },
                ),
                "message": ("patient", words),
            },
            attrs={
                "settings": json.dumps(settings), "cohort_hash": source, "model": model, "unit": unit,
                "matrix": matrix, "title": f"individual fits of {model}",
            },
        ),
        "/estimates": xr.Dataset(
            {
                "estimate": (("patient", "parameter"), np.ones((n, p + fixed))),
                "estimable": (("patient", "parameter"), known),
            },
            {"parameter": ("parameter", names), "fixed": ("parameter", held)},
        ),
        "/predictions": xr.Dataset(
            {
                "time": (dims, grid.copy()),
                "level": (dims, level),
                "status": (dims, np.broadcast_to(code, level.shape).copy()),
                "lod": (dims, np.full(level.shape, lod)),
                "lloq": (dims, np.full(level.shape, LLOQ)),
                "uloq": (dims, np.full(level.shape, np.nan)),
                "predicted": (dims, predicted),
                "residual": (dims, residuals),
                "sd": (dims, np.full(level.shape, sd)),
                "used": (dims, np.where(taken, YesNo.yes, YesNo.no).astype(np.int8)),
            }
        ),
        "/curves": xr.Dataset(
            {
                "time": (points, grid.copy()),
                "predicted": (points, np.broadcast_to(predicted if curve is None else curve, grid.shape).copy()),
            }
        ),
        "/derived": xr.Dataset(
            {
                name: (
                    ("patient", "quantity"),
                    np.column_stack([np.broadcast_to(np.asarray(q[at], dtype=float), n) for q in quantities.values()]),
                )
                for name, at in (("value", 1), ("se", 2))
            },
            {
                "quantity": ("quantity", np.array(list(quantities), dtype=object)),
                "unit": ("quantity", np.array([q[0] for q in quantities.values()], dtype=object)),
                "label": ("quantity", np.array(list(quantities), dtype=object)),
            },
        ),
    }  # fmt: skip
    names_of = np.array(patients, dtype=object)
    groups = {path: group.assign_coords(patient=("patient", names_of)) for path, group in groups.items()}
    return xr.DataTree.from_dict(groups, name="fit")


def with_two_outputs(
    fit: xr.DataTree, names: tuple[str, str], residual: tuple[str, str] = ("additive on log", "additive on log")
) -> xr.DataTree:
    """The same samples as two outputs, the second with twice the predictions."""
    groups = {path: node.to_dataset() for path, node in ((n.path, n) for n in fit.subtree)}
    for path in ("/predictions", "/curves"):
        one = groups[path]
        two = one.assign(predicted=2 * one["predicted"])
        joined = xr.concat([one, two], "output")
        if path == "/curves":
            joined["time"] = one["time"]
        joined = joined.assign_coords(output=list(names), unit=("output", ["copies/ug", "cells/uL"]))
        groups[path] = joined
    stated = json.loads(fit.attrs["settings"])
    words = [IN_WORDS[kind].format(a="a", b="b") for kind in residual]
    stated |= {"outputs": list(names), "residual": dict(zip(names, words, strict=True))}
    groups["/"].attrs["settings"] = json.dumps(stated)
    return xr.DataTree.from_dict(groups, name="fit")
