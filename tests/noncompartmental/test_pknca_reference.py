"""All 51,629 values of PKNCA 0.12.1 under the preset of that name: 1e-12 relative, NA for NA.

Where PKNCA crashes its results have no rows: predicted interval areas under lin-log, and the all-BLQ patient under a
level put in for every BLQ sample.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pknca import BLQ_RULES, REFERENCE, Analyses, profiles, rows_of

from ckinetics.noncompartmental import nca

# AUMC adds up terms of both signs.
TOLERANCE = {"aumclast": 1e-11, "aumcall": 1e-11, "aumcinf.obs": 1e-11, "aumcinf.pred": 1e-11}


def test_every_value_of_pknca() -> None:
    analyses = Analyses()
    counts: Counter[str] = Counter()
    wrong = []
    for row in rows_of(REFERENCE / "pknca_0.12.1.csv.gz"):
        value, reason = analyses.value(row)
        expected = np.nan if row["PPORRES"] == "NA" else float(row["PPORRES"])
        counts[row["blq_rule"]] += 1
        near = abs(value - expected) <= TOLERANCE.get(row["PPTESTCD"], 1e-12) * abs(expected)
        if not (near or (np.isnan(value) and np.isnan(expected))):
            wrong.append((*row.values(), value))
        # A value that is missing has a reason, one that is there has none.
        if np.isnan(value) != (reason != 0):
            wrong.append((*row.values(), f"{value} with reason {reason}"))
    assert not wrong, f"{len(wrong)} differ, first {wrong[:3]}"
    assert sum(counts.values()) == 51_629
    assert set(counts) == set(BLQ_RULES)


@pytest.mark.parametrize(
    ("parameter", "linear", "log"),
    [
        ("auc_last", 148.92305, 147.2347485),
        ("auc_inf_obs", 216.611933, 214.9236316),
        ("half_life", 14.30437757, 14.30437757),
        ("aumc_last", 1459.071104, 1499.129085),
        ("mrt_inf_obs", 20.80003053, 21.14980455),
        ("adj_r_squared", 0.9999994593, 0.9999994593),
    ],
)
def test_printed_checkpoints_of_theoph_subject_1(parameter: str, linear: float, log: float) -> None:
    data = profiles("theoph")
    for method, expected in (("linear", linear), ("linear-up/log-down", log)):
        result = nca(data, preset="pknca", auc_method=method)
        assert float(result[parameter].sel(patient="1").item()) == pytest.approx(expected, rel=1e-8)


def test_printed_means_of_theoph() -> None:
    data = profiles("theoph")
    for method, expected in (("linear", 103.806775), ("linear-up/log-down", 100.979766)):
        assert float(nca(data, preset="pknca", auc_method=method)["auc_last"].mean()) == pytest.approx(
            expected, rel=1e-8
        )
