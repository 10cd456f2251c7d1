"""All values of PKNCA 0.12.1 for the preset of that name, to 1e-12 relative, NA for NA."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.noncompartmental import nca

REFERENCE = Path(__file__).parent.parent / "reference"
METHODS = {"linear": "linear", "lin up/log down": "linear-up/log-down"}
NAMES = {
    "cmax": "cmax",
    "tmax": "tmax",
    "tlast": "tlast",
    "clast.obs": "clast_obs",
    "clast.pred": "clast_pred",
    "auclast": "auc_last",
    "aucall": "auc_all",
    "aucinf.obs": "auc_inf_obs",
    "aucinf.pred": "auc_inf_pred",
    "aucpext.obs": "auc_pct_extrap_obs",
    "aucpext.pred": "auc_pct_extrap_pred",
    "lambda.z": "lambda_z",
    "lambda.z.n.points": "lambda_z_n_points",
    "lambda.z.time.first": "lambda_z_lower",
    "lambda.z.time.last": "lambda_z_upper",
    "r.squared": "r_squared",
    "adj.r.squared": "adj_r_squared",
    "span.ratio": "span_ratio",
    "half.life": "half_life",
}


def profiles(dataset: str, folder: Path = REFERENCE) -> xr.Dataset:
    """The data sets as profiles; a level of 0 is BLQ, and times keep their own unit."""
    file = {"cart": "cart_cohort.csv"}.get(dataset, f"{dataset}.csv")
    table = pd.read_csv(folder / file, dtype={"id": str}, na_values=["NA"], skipinitialspace=True)
    order = list(dict.fromkeys(table["id"].str.strip()))
    width = table.groupby("id").size().max()
    time, level = np.full((2, len(order), width), np.nan)
    for position, name in enumerate(order):
        rows = table[table["id"].str.strip() == name]
        time[position, : len(rows)] = rows["time"]
        level[position, : len(rows)] = rows["conc"]
    unit = "copies/ug" if dataset == "cart" else "mg/L"
    return kinetics_from_arrays(time, level, unit=unit, lloq=50 if dataset == "cart" else None, patient=order)


def compare(rows: list[dict[str, str]], data: dict[str, xr.Dataset]) -> Counter[str]:
    results: dict[tuple[str, ...], xr.Dataset] = {}
    counts: Counter[str] = Counter()
    wrong = []
    for row in rows:
        anchor = "zero" if row["impute"] == "start_conc0" else "none"
        key = (row["dataset"], row["auc_method"], anchor)
        if key not in results:
            results[key] = nca(
                data[row["dataset"]],
                preset="pknca",
                auc_method=METHODS[row["auc_method"]],
                anchor=anchor,
                intervals=[(0, 28), (0, 30), (0, 90), (7, 90), (0, 12), (0, 24)],
            )
        one = results[key].sel(patient=row["id"]).squeeze("matrix")
        if row["PPTESTCD"] in NAMES and row["end"] == "Inf":
            value = float(one[NAMES[row["PPTESTCD"]]])
            reason = int(one["reason_code"].sel(parameter=NAMES[row["PPTESTCD"]]))
        elif row["PPTESTCD"] == "aucint.inf.obs":
            label = f"{row['start']}-{row['end']}"
            value = float(one["auc_interval"].sel(interval=label))
            reason = int(one["interval_reason_code"].sel(interval=label))
        else:
            continue
        expected = np.nan if row["PPORRES"] == "NA" else float(row["PPORRES"])
        same = (np.isnan(value) and np.isnan(expected)) or abs(value - expected) <= 1e-12 * abs(expected)
        counts[row["dataset"]] += 1
        if not same:
            wrong.append((*row.values(), value))
        # A value that is missing has a reason, one that is there has none.
        assert np.isnan(value) == (reason != 0), row
    assert not wrong, f"{len(wrong)} differ, first {wrong[:3]}"
    return counts


def test_committed_reference() -> None:
    with (REFERENCE / "pknca_0.12.1.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    data = {name: profiles(name) for name in ("theoph", "indometh", "cart")}
    counts = compare(rows, data)
    assert counts["theoph"] > 400
    assert counts["indometh"] > 400
    assert counts["cart"] > 700


def test_full_reference(shared_data: Path) -> None:
    with gzip.open(shared_data / "nca" / "pknca_0.12.1.csv.gz", "rt") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["blq_rule"] == "default_keep_drop_keep"
            and row["auc_method"] in METHODS
            and row["dataset"] != "indometh_from0.25"
        ]
    data = {name: profiles(name) for name in ("theoph", "indometh", "cart")}
    assert sum(compare(rows, data).values()) > 2000


@pytest.mark.parametrize(
    ("parameter", "linear", "log"),
    [
        ("auc_last", 148.92305, 147.2347485),
        ("auc_inf_obs", 216.611933, 214.9236316),
        ("half_life", 14.30437757, 14.30437757),
    ],
)
def test_printed_checkpoints_of_theoph_subject_1(parameter: str, linear: float, log: float) -> None:
    data = profiles("theoph")
    for method, expected in (("linear", linear), ("linear-up/log-down", log)):
        result = nca(data, preset="pknca", auc_method=method)
        assert float(result[parameter].sel(patient="1").item()) == pytest.approx(expected, rel=1e-8)
