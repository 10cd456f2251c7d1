"""Individual fits of Stein's model, against scipy's L-BFGS-B from one start on the same likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize
from scipy.stats import norm

from ckinetics.fitting import fit
from ckinetics.modeling import load_model

PATIENTS = 20


@pytest.mark.benchmark(group="fits of stein2019, 20 patients")
def test_eight_starts_each(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    some = many_profiles.isel(patient=slice(0, PATIENTS))
    fit(some, "stein2019")
    result = benchmark.pedantic(fit, args=(some, "stein2019"), rounds=5)
    assert (result["convergence"].values <= 2).all()


@pytest.mark.benchmark(group="fits of stein2019, 20 patients")
def test_peer_scipy_one_start_each(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    model = load_model("stein2019")
    names = list(model.parameters)
    start = np.log([*(parameter.value for parameter in model.parameters.values()), 0.5])
    level, time = many_profiles["level"].values[:PATIENTS, 0], many_profiles["time"].values[0, 0]

    def loss(u: np.ndarray, seen: np.ndarray) -> float:
        theta = np.exp(u)
        with np.errstate(all="ignore"):
            log_curve = np.log(model.evaluate(time, dict(zip(names, theta[:-1], strict=True))))
            z = (np.log(seen) - log_curve) / theta[-1]
            tail = (np.log(50.0) - log_curve) / theta[-1]
            parts = np.where(np.isnan(seen), norm.logcdf(tail), norm.logpdf(z) - u[-1])
        total = -float(parts.sum())
        return total if np.isfinite(total) else 1e10

    def all_patients() -> list[float]:
        return [minimize(loss, start, args=(seen,), method="L-BFGS-B").fun for seen in level]

    found = benchmark.pedantic(all_patients, rounds=1)
    assert len(found) == PATIENTS
