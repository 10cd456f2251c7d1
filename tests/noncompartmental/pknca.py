"""The published results of PKNCA 0.12.1, and how each of its options is asked for here."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.noncompartmental import nca

REFERENCE = Path(__file__).parent.parent / "reference"
METHODS = {"linear": "linear", "lin up/log down": "linear-up/log-down", "lin-log": "linear-log"}
NAMES = {
    "cmax": "cmax",
    "tmax": "tmax",
    "tlast": "tlast",
    "tfirst": "tfirst",
    "tlag": "tlag",
    "clast.obs": "clast_obs",
    "clast.pred": "clast_pred",
    "auclast": "auc_last",
    "aucall": "auc_all",
    "aucinf.obs": "auc_inf_obs",
    "aucinf.pred": "auc_inf_pred",
    "aucpext.obs": "auc_pct_extrap_obs",
    "aucpext.pred": "auc_pct_extrap_pred",
    "aumclast": "aumc_last",
    "aumcall": "aumc_all",
    "aumcinf.obs": "aumc_inf_obs",
    "aumcinf.pred": "aumc_inf_pred",
    "mrt.last": "mrt_last",
    "mrt.obs": "mrt_inf_obs",
    "mrt.pred": "mrt_inf_pred",
    "thalf.eff.obs": "half_life_effective",
    "lambda.z": "lambda_z",
    "lambda.z.n.points": "lambda_z_n_points",
    "lambda.z.time.first": "lambda_z_lower",
    "lambda.z.time.last": "lambda_z_upper",
    "r.squared": "r_squared",
    "adj.r.squared": "adj_r_squared",
    "span.ratio": "span_ratio",
    "half.life": "half_life",
    "cmin": "cmin",
    "cav": "cav",
    "kel.obs": "kel_obs",
    "cl.obs": "cl_obs",
    "vz.obs": "vz_obs",
}
COUNTS = {"count_conc": "n_samples", "count_conc_measured": "n_quantified"}
AREAS = {"aucint.last": "last", "aucint.all": "all", "aucint.inf.obs": "own_obs", "aucint.inf.pred": "own_pred"}
# lloq is 50 in the cohort; the rules put in half of it.
BLQ_RULES: dict[str, dict[str, Any]] = {
    "default_keep_drop_keep": {},
    "all_keep": {"blq": "keep"},
    "all_drop": {"blq": "drop"},
    "drop_scalar": {"blq": "drop"},
    "zero_all_scalar": {"blq": 0.0},
    "keep_drop_drop": {"blq": {"first": "keep", "middle": "drop", "last": "drop"}},
    "keep_lloq2_drop": {"blq": {"first": "keep", "middle": "lloq/2", "last": "drop"}},
    "lloq2_middle": {"blq": {"first": "keep", "middle": 25.0, "last": "keep"}},
    "lloq2_all": {"blq": "lloq/2"},
    "tmax_keep_drop": {"blq": {"before.tmax": "keep", "after.tmax": "drop"}},
    "tmax_keep_keep": {"blq": {"before.tmax": "keep", "after.tmax": "keep"}},
    "tmax_drop_keep": {"blq": {"before.tmax": "drop", "after.tmax": "keep"}},
    "default+first.tmax=FALSE": {"tmax": "last"},
    "default+allow.tmax.in.half.life=TRUE": {"tmax_in_line": True},
    "default+min.hl.points=2": {"min_points": 2},
}


def profiles(dataset: str, folder: Path = REFERENCE) -> xr.Dataset:
    """The data sets as profiles; a level of 0 is BLQ, and times keep their own unit."""
    name = dataset.removesuffix("_from0.25")
    file = {"cart": "cart_cohort.csv"}.get(name, f"{name}.csv")
    table = pd.read_csv(folder / file, dtype={"id": str}, na_values=["NA"], skipinitialspace=True)
    order = list(dict.fromkeys(table["id"].str.strip()))
    width = table.groupby("id").size().max()
    time, level = np.full((2, len(order), width), np.nan)
    for position, patient in enumerate(order):
        rows = table[table["id"].str.strip() == patient]
        time[position, : len(rows)] = rows["time"]
        level[position, : len(rows)] = rows["conc"]
    unit = "copies/ug" if dataset == "cart" else "mg/L"
    return kinetics_from_arrays(time, level, unit=unit, lloq=50 if dataset == "cart" else None, patient=order)


def doses(dataset: str) -> Any:
    """Dose of each patient, where the data set has one."""
    if dataset == "cart":
        return None
    table = pd.read_csv(REFERENCE / f"{dataset.removesuffix('_from0.25')}.csv", dtype={"id": str})
    return table.groupby(table["id"].str.strip(), sort=False)["dose"].first().to_numpy(dtype=float)


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt") as stream:
        yield from csv.DictReader(stream)


@dataclass
class Analyses:
    """Results of `nca` as plain arrays, by what was asked for, computed once each."""

    found: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def of(self, row: dict[str, str], tail: str) -> dict[str, Any]:
        keys = ("dataset", "auc_method", "blq_rule", "impute") + (() if tail else ("start", "end"))
        key = (tail, *(row[name] for name in keys))
        if key not in self.found:
            options: dict[str, Any] = dict(BLQ_RULES[row["blq_rule"]])
            if tail:
                spans = [(0, 12), (0, 24)] if row["dataset"] == "theoph" else [(0, 28), (0, 30), (0, 90), (7, 90)]
                options |= {"tail": tail, "intervals": spans}
            else:
                options |= {"window": (float(row["start"]), float(row["end"])), "intervals": [], "disposition": True}
                options["dose"] = doses(row["dataset"])
            result = nca(
                profiles(row["dataset"]),
                preset="pknca",
                auc_method=METHODS[row["auc_method"]],
                anchor="zero" if row["impute"] == "start_conc0" else "none",
                **options,
            ).squeeze("matrix")
            found: dict[str, Any] = {str(name): array.values for name, array in result.variables.items()}
            for name in ("patient", "parameter", "interval"):
                found[f"at {name}"] = {str(label): at for at, label in enumerate(found[name].tolist())}
            self.found[key] = found
        return self.found[key]

    def value(self, row: dict[str, str]) -> tuple[float, int]:
        """Return our value for a row of PKNCA's results, and the reason code beside it."""
        code = row["PPTESTCD"]
        one = self.of(row, AREAS.get(code, ""))
        patient = one["at patient"][row["id"]]
        if code in AREAS:
            at = one["at interval"][f"{row['start']}-{row['end']}"]
            return float(one["auc_interval"][patient, at]), int(one["interval_reason_code"][patient, at])
        if code in COUNTS:
            # PKNCA counts the sample that it puts in at time 0.
            put_in = code == "count_conc" and row["impute"] == "start_conc0" and one["first_time"][patient] > 0
            return float(one[COUNTS[code]][patient]) + put_in, 0
        name = NAMES[code]
        return float(one[name][patient]), int(one["reason_code"][patient, one["at parameter"][name]])
