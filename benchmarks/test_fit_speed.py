"""Individual fits: Stein's closed form and equations against scipy's least_squares, per start; a five-state model.

Both sides begin at the same points and fit the same quantified samples; a start succeeds where it ends within 0.01 of
the best −log-likelihood that either side found for the patient. Times are of the processor.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import odeint
from scipy.optimize import least_squares

from ckinetics.fitting import fit
from ckinetics.fitting.individual import time_factor
from ckinetics.fitting.problem import Problem
from ckinetics.fitting.residuals import error_models
from ckinetics.fitting.samples import gather_samples, pack
from ckinetics.fitting.starts import estimation_scale, starting_points
from ckinetics.modeling import load_model
from ckinetics.modeling.events import Events
from ckinetics.schema import Status
from ckinetics.simulation import simulate

TIMES = [1.0, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 60, 90, 120, 180, 270, 360]
STARTS = 20
FIVE_STATES = Path(__file__).parents[1] / "tests" / "modeling" / "problems" / "tumour5.toml"


def log_curve(u: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return ln of Stein's curve by its closed form."""
    foldx, tmax, cmax, alpha, fb, beta = u[:6]
    tmax, alpha, beta = np.exp(tmax), np.exp(alpha), np.exp(beta)
    d = np.maximum(t - tmax, 0.0)
    rise = cmax - foldx * (1 - np.minimum(t, tmax) / tmax)
    fall = np.logaddexp(np.log1p(-min(np.exp(fb), 1 - 1e-12)) - alpha * d, fb - beta * d)
    return np.where(t < tmax, rise, cmax + fall)


def log_curve_of_equations(u: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the same by odeint from Tmax on, in logarithms, where the growth has been exponential before."""
    tmax, alpha, fb, beta = np.exp(u[[1, 3, 4, 5]])
    k = fb * (alpha - beta)
    after = t > tmax
    curve = u[2] - u[0] * (1 - np.minimum(t, tmax) / tmax)
    if after.any():
        grid = np.concatenate([[0.0], t[after] - tmax])

        def rates(y: np.ndarray, _t: float) -> list[float]:
            return [-alpha, k * np.exp(y[0] - y[1]) - beta]

        y = odeint(rates, [u[2], u[2] + np.log(1e-8)], grid, rtol=1e-6, atol=1e-6)[1:]
        curve[after] = np.logaddexp(y[:, 0], y[:, 1])
    return curve


class Peer:
    """least_squares (2-point derivatives) from the same starts on the same samples."""

    def __init__(self, data: xr.Dataset, points: np.ndarray, scale: object, curve: Callable[..., np.ndarray]) -> None:
        self.time, self.level = data["time"].values, np.log(data["level"].values)
        self.points, self.curve = points, curve
        self.lower, self.upper = scale.lower[:6], scale.upper[:6]  # type: ignore[attr-defined]

    def run(self) -> np.ndarray:
        """Return −log-likelihood at each start's end, (patient, start)."""
        found = np.full(self.points.shape[:2], np.inf)
        for row, start in np.ndindex(found.shape):
            t, y = self.time[row], self.level[row]

            def residuals(u: np.ndarray, t: np.ndarray = t, y: np.ndarray = y) -> np.ndarray:
                with np.errstate(all="ignore"):
                    return np.nan_to_num(y - self.curve(u, t), nan=1e3, posinf=1e3, neginf=-1e3)

            try:
                at = least_squares(residuals, self.points[row, start, :6], bounds=(self.lower, self.upper))
            except ValueError:
                continue
            n = len(t)
            found[row, start] = 0.5 * n * (np.log(2 * at.cost / n) + 1 + np.log(2 * np.pi))
        return found


class Ours:
    """The compiled search from the same starts, each on its own."""

    def __init__(self, data: xr.Dataset, method: str) -> None:
        model = load_model("stein2019")
        errors = error_models(model, ["level"], None)
        scale = estimation_scale(model, errors, {})
        samples = gather_samples(data, matrix=None, unit="copies/ug", any_unit=True)
        self.scale = scale
        self.points = starting_points(
            model, samples, scale, starts=STARTS, seed=1, initial={}, factor=time_factor(model)
        )
        patients = len(self.points)
        self.data = pack(
            [samples], on_log=[True], factor=1.0, constants=np.empty((patients, 0)), which=np.ones(patients, bool)
        )
        self.problem = Problem(model, ["level"], errors, scale, method, prior=False)
        self.events = None if method == "closed_form" else Events.of_file(model, patients)

    def all_starts(self) -> None:
        """Fit every patient from all starts, as `fit` does."""
        self.problem.run(self.data, self.events, self.points, threads=1)

    def each_start(self) -> np.ndarray:
        """Return −log-likelihood from each start alone, (patient, start)."""
        values = [
            self.problem.run(self.data, self.events, self.points[:, start : start + 1], threads=1).value
            for start in range(self.points.shape[1])
        ]
        return np.stack(values, axis=1)


def against_least_squares(benchmark, patients: int, few: int, method: str, curve: Callable[..., np.ndarray]) -> None:  # type: ignore[no-untyped-def]
    data = simulate("stein2019", times=TIMES, n=patients, seed=3)
    ours = Ours(data, method)
    ours.all_starts()
    benchmark.pedantic(ours.all_starts, rounds=3)
    begin = process_time()
    ours.all_starts()
    per_start = (process_time() - begin) / (patients * STARTS)
    peer = Peer(data.isel(patient=slice(0, few)), ours.points[:few], ours.scale, curve)
    begin = process_time()
    theirs = peer.run()
    peer_per_start = (process_time() - begin) / theirs.size
    own = ours.each_start()[:few]
    best = np.minimum(own.min(axis=1), theirs.min(axis=1))[:, None] + 0.01
    benchmark.extra_info |= {
        "us a start": round(1e6 * per_start, 1),
        "success a start": round(float((own < best).mean()), 2),
        "least_squares, us a start": round(1e6 * peer_per_start),
        "least_squares, success a start": round(float((theirs < best).mean()), 2),
        "ratio": round(peer_per_start / per_start),
    }
    assert (own < best).mean() >= (theirs < best).mean() - 0.02


@pytest.mark.benchmark(group="fits of stein2019, all starts of a patient")
def test_closed_form(benchmark) -> None:  # type: ignore[no-untyped-def]
    against_least_squares(benchmark, 200, 20, "closed_form", log_curve)


@pytest.mark.benchmark(group="fits of stein2019, all starts of a patient")
def test_two_equations(benchmark) -> None:  # type: ignore[no-untyped-def]
    against_least_squares(benchmark, 10, 3, "tsit5", log_curve_of_equations)


@pytest.mark.benchmark(group="fits of stein2019, all starts of a patient")
def test_a_thousand_patients_with_twenty_starts(benchmark) -> None:  # type: ignore[no-untyped-def]
    data = simulate("stein2019", times=TIMES, n=1000, seed=3, lloq=50.0)
    options = {"starts": STARTS, "interval": "t"}
    fit(data.isel(patient=slice(0, 2)), "stein2019", **options)
    benchmark.pedantic(fit, args=(data, "stein2019"), kwargs=options, rounds=3)
    begin = process_time()
    fit(data, "stein2019", **options)
    benchmark.extra_info["CPU s, standard errors included"] = round(process_time() - begin, 2)


@pytest.mark.benchmark(group="fits of five states, one start")
@pytest.mark.parametrize("free", [("rho", "kill", "m", "E0"), ("rho", "kill", "m", "E0", "dE", "beta")], ids=len)
def test_five_states(benchmark, free) -> None:  # type: ignore[no-untyped-def]
    model = load_model(FIVE_STATES)
    times = np.array([0.0, 3, 5, 7, 9, 11, 14, 18, 21, 28, 42, 60, 90, 120, 150, 180, 240, 300, 330, 365])
    generator = np.random.default_rng(1)
    truth = {name: model.parameters[name].value * np.exp(0.3 * generator.normal(size=4)) for name in free}
    levels = model.evaluate(times, truth, output="level") * np.exp(0.3 * generator.normal(size=(4, 20)))
    data = xr.Dataset(
        {
            "time": (("patient", "sample"), np.tile(times, (4, 1))),
            "level": (("patient", "sample"), levels, {"units": "cells"}),
            "status": (("patient", "sample"), np.full(levels.shape, int(Status.quantified), np.int8)),
        },
        {"patient": ["1", "2", "3", "4"]},
    )
    fixed = {name: entry.value for name, entry in model.parameters.items() if name not in free}
    options = {"outputs": {"level": ""}, "fixed": fixed, "starts": STARTS}
    fit(data, model, **options | {"starts": 1})
    found = benchmark.pedantic(fit, args=(data, model), kwargs=options, rounds=1)
    begin = process_time()
    fit(data, model, **options)
    benchmark.extra_info |= {
        "ms a start": round(1e3 * (process_time() - begin) / (4 * STARTS), 1),
        "success a start": round(float(found["starts_agreeing"].mean()) / STARTS, 2),
        "least eigenvalue": float(found["identifiability/eigenvalue"][:, 0].min()),
    }
