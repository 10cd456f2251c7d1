"""Searches on the natural scale find the maximum that many more starts find."""

from __future__ import annotations

import numpy as np
import pytest

from ckinetics.fitting import fit
from ckinetics.simulation import simulate

TIMES = [1.0, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 60, 90, 120, 180, 270, 360]
PATIENTS = {"proportional": [22, 91], "combined1": [7, 19, 23, 29, 31], "combined2": [6, 29, 31, 39], "additive": [98]}


@pytest.mark.parametrize("kind", list(PATIENTS))
def test_eight_starts_are_as_good_as_a_hundred(kind):
    """Patients in whom all eight starts ended elsewhere, where a late curve is of no account."""
    data = simulate("stein2019", times=TIMES, n=100, seed=21, lloq=50.0).isel(patient=PATIENTS[kind])
    few, many = (
        fit(data, "stein2019", residual=kind, interval="t", starts=starts, seed=seed)["minus2ll"].values
        for starts, seed in ((8, 0), (100, 5))
    )
    assert (few < many + 0.05).all(), few - many


def test_what_has_no_fit_on_the_ln_scale_keeps_its_starts():
    """Levels of 0 and less are of no use there."""
    data = simulate("stein2019", times=TIMES, n=2, seed=1)
    data["level"] = data["level"].where(data["patient"] != data["patient"][0], -data["level"])
    found = fit(data, "stein2019", residual="additive", starts=4, interval="t")
    alone = fit(data.isel(patient=[1]), "stein2019", residual="additive", starts=4, interval="t")
    assert np.isfinite(found["minus2ll"]).all()
    assert float(found["minus2ll"][1]) == float(alone["minus2ll"][0])
