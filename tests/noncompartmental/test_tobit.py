"""Censored lines against scipy's optimum of the same likelihood, and what they are for."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize
from scipy.stats import norm

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.noncompartmental import nca
from ckinetics.noncompartmental.reasons import Reason

DAYS = np.array([0, 1, 2, 4, 7, 10, 14, 21, 28, 60, 90, 120, 150, 180.0])
LLOQ, RATE, GROWTH = 50.0, 0.06, 0.75


def courses(count: int, seed: int = 0) -> xr.Dataset:
    generator = np.random.default_rng(seed)
    log = np.where(DAYS < 10, np.log(20) + GROWTH * DAYS, np.log(20) + 10 * GROWTH - RATE * (DAYS - 10))
    levels = np.exp(log + generator.normal(0, 0.5, (count, len(DAYS))))
    return kinetics_from_arrays(DAYS, levels, lloq=LLOQ, unit="copies/ug")


def one(time: list[float], level: list[float]) -> xr.Dataset:
    return nca(kinetics_from_arrays(time, [level], lloq=LLOQ, unit="copies/ug"), tobit=True).squeeze()


def why(result: xr.Dataset, name: str) -> Reason:
    return Reason(int(result["reason_code"].sel(parameter=name)))


def best_line(time: np.ndarray, level: np.ndarray, blq: np.ndarray, start: list[float]) -> np.ndarray:
    def value(at: np.ndarray) -> float:
        mean, spread = at[0] + at[1] * time, np.exp(at[2])
        points = norm.logpdf(np.log(level[~blq]), mean[~blq], spread).sum()
        return -float(points + norm.logcdf((np.log(LLOQ) - mean[blq]) / spread).sum())

    options = {"xatol": 1e-11, "fatol": 1e-14, "maxiter": 20000, "maxfev": 20000}
    found: np.ndarray = minimize(value, start, method="Nelder-Mead", options=options).x
    return found


def test_both_lines_equal_the_optimum_of_scipy() -> None:
    result = nca(courses(40), tobit=True).squeeze("matrix")
    compared = 0
    for patient in range(40):
        own = result.isel(patient=patient)
        level, status = own["level"].values, own["status"].values
        if not np.isnan(own["lambda_z_lower"]) and why(own, "lambda_z_tobit") == Reason.computed:
            used = float(own["lambda_z_lower"]) <= DAYS
            found = best_line(DAYS[used], level[used], status[used] == 2, [10, -float(own["lambda_z_tobit"]), -1])
            assert -found[1] == pytest.approx(float(own["lambda_z_tobit"]), rel=1e-6)
            assert np.exp(found[2]) == pytest.approx(float(own["lambda_z_tobit_sigma"]), rel=1e-5)
            assert found[0] == pytest.approx(float(own["lambda_z_tobit_intercept"]), rel=1e-6)
            compared += 1
        peak = float(own["first_peak_time"])
        used = (peak >= DAYS) & (DAYS > 0)
        if float(own["expansion_rate_tobit_n_blq"]) > 0:
            found = best_line(DAYS[used], level[used], status[used] == 2, [3, float(own["expansion_rate"]), -1])
            assert found[1] == pytest.approx(float(own["expansion_rate_tobit"]), rel=1e-5)
            compared += 1
    assert compared > 50


def test_the_tail_below_lloq_is_information() -> None:
    result = nca(courses(400, seed=5), tobit=True)
    plain, censored = (float(result[name].median()) for name in ("lambda_z", "lambda_z_tobit"))
    # Of a tail that scatters about LLOQ the ordinary line sees the upper half.
    assert plain < 0.97 * RATE
    assert censored == pytest.approx(RATE, rel=0.03)
    # Its standard error knows neither that the window was chosen nor how small σ comes out of few samples.
    inside = np.abs(result["lambda_z_tobit"] - RATE) < 1.96 * result["lambda_z_tobit_se"]
    assert 0.55 < float(inside.where(result["lambda_z_tobit"].notnull()).mean()) < 0.75


def test_without_blq_it_is_the_ordinary_line() -> None:
    level = [0, 900, 9000, 5000, 1500, 700, 300, 200]
    result = one([0, 3, 7, 14, 28, 40, 60, 70], level)
    assert float(result["lambda_z_tobit"]) == pytest.approx(float(result["lambda_z"]), rel=1e-9)
    assert float(result["half_life_tobit"]) == pytest.approx(float(result["half_life"]), rel=1e-9)
    assert float(result["lambda_z_tobit_n_blq"]) == 0
    first = [10, 900, 9000, 5000, 1500, 700, 300, 200]
    result = nca(kinetics_from_arrays([0, 3, 7, 14, 28, 40, 60, 70], [first], lloq=1, unit="copies/ug"), tobit=True)
    assert float(result["expansion_rate_tobit"].item()) == float(result["expansion_rate"].item())


def test_what_cannot_be_fitted_has_a_reason() -> None:
    assert why(one([0, 7, 14, 28], [0, 0, 0, 0]), "lambda_z_tobit") == Reason.all_blq
    assert why(one([0, 7, 14], [0, 9000, 300]), "lambda_z_tobit") == Reason.too_few_points
    assert why(one([0, 7, 14, 28, 40], [0, 9000, 300, 1000, 3000]), "lambda_z_tobit") == Reason.no_decline
    # Two levels and a BLQ sample that agrees with their line: nothing says how far they scatter.
    exact = one([0, 7, 14, 28, 60], [0, 9000, 3000, 300, 0])
    assert why(exact, "lambda_z_tobit") == why(exact, "half_life_tobit") == Reason.no_scatter
    # One that contradicts it bends the line.
    bent = one([0, 7, 14, 28, 35], [0, 9000, 3000, 2900, 0])
    assert float(bent["lambda_z_tobit"]) > np.log(3000 / 2900) / 14
    for result in (exact, bent):
        for name in result["parameter"].values.tolist():
            assert np.isnan(float(result[name])) == (why(result, name) != Reason.computed), name
