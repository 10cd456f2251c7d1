"""Noncompartmental analysis: kernel, end to end, threads, censored lines and uncertainty, against a floor and peers.

The floor is one ``np.log`` over the same levels; openpkflow and pkpdutils (which needs Python 3.13) are measured where
they are installed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.noncompartmental import nca

DAYS = np.array([0, 1, 3, 5, 7, 10, 14, 21, 28, 60, 90, 180, 270, 365], dtype=float)


def kernel_call(profiles: xr.Dataset) -> Callable[[], None]:
    """The kernel alone: every parameter and flag, one interval, no Dataset."""
    from ckinetics.kernels.nca.profiles import analyse_all
    from ckinetics.noncompartmental.inputs import kernel_samples
    from ckinetics.noncompartmental.results import empty_tables
    from ckinetics.noncompartmental.rules import Limits, kernel_rules, resolve

    count, width = profiles.sizes["patient"], profiles.sizes["sample"]
    samples = kernel_samples(profiles, "actual")
    options = {
        "persistence": "last_quantified", "peak_fold": 2.0, "peak_errors": 0.0, "peaks_from": 3.0,
        "contraction_days": 21.0, "threshold": np.nan, "by_hand": False, "disposition": False,
    }  # fmt: skip
    rules = kernel_rules(resolve("cell_therapy", {}), options, Limits())
    tables = empty_tables(count, 1, width)
    rows, starts, ends = np.arange(count), np.zeros(count), np.full(count, np.inf)
    spans = np.array([[0.0, 28.0]])

    def call() -> None:
        analyse_all(
            samples, rows, starts, ends, rules, spans, 0, count, tables.out, tables.why, tables.areas,
            tables.area_why, tables.used, tables.facts, tables.flags,
        )  # fmt: skip

    return call


@pytest.fixture(scope="module")
def million() -> xr.Dataset:
    """A million profiles of 14 samples."""
    generator = np.random.default_rng(2)
    levels = np.exp(generator.normal(7, 2, (1_000_000, len(DAYS))))
    return kinetics_from_arrays(DAYS, levels, lloq=50, unit="copies/ug")


@pytest.mark.benchmark(group="nca of 10,000 profiles of 14 samples")
def test_kernel(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    call = kernel_call(many_profiles)
    call()
    benchmark(call)


@pytest.mark.benchmark(group="nca of 10,000 profiles of 14 samples")
def test_end_to_end(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    nca(many_profiles.isel(patient=slice(0, 2)))
    result = benchmark(nca, many_profiles)
    assert result.sizes["patient"] == 10_000


@pytest.mark.benchmark(group="nca of 10,000 profiles of 14 samples")
def test_with_censored_lines(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    nca(many_profiles.isel(patient=slice(0, 2)), tobit=True)
    benchmark(lambda: nca(many_profiles, tobit=True))


@pytest.mark.benchmark(group="nca of 10,000 profiles of 14 samples")
def test_floor_logarithm_of_numpy(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    levels = np.nan_to_num(many_profiles["level"].values, nan=1.0)
    logs = benchmark(np.log, levels)
    assert logs.shape == levels.shape


@pytest.mark.benchmark(group="nca of 1,000,000 profiles of 14 samples")
def test_a_million(benchmark, million: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    nca(million.isel(patient=slice(0, 2)))
    benchmark.pedantic(nca, (million,), rounds=3)


@pytest.mark.benchmark(group="nca of 1,000,000 profiles of 14 samples")
def test_a_million_on_two_threads(benchmark, million: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    benchmark.pedantic(nca, (million,), {"threads": 2}, rounds=3)


@pytest.mark.benchmark(group="nca of 1,000,000 profiles of 14 samples")
def test_floor_of_a_million(benchmark, million: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    levels = np.nan_to_num(million["level"].values, nan=1.0)
    benchmark.pedantic(np.log, (levels,), rounds=3)


@pytest.mark.benchmark(group="uncertainty of 200 profiles of 14 samples")
@pytest.mark.parametrize("kind", ["delta", "bootstrap"])
def test_uncertainty(benchmark, many_profiles: xr.Dataset, kind: str) -> None:  # type: ignore[no-untyped-def]
    few = many_profiles.isel(patient=slice(0, 200)).copy(deep=True)
    few["se_well"][:] = 0.2
    nca(few.isel(patient=slice(0, 2)), uncertainty=kind)
    benchmark(lambda: nca(few, uncertainty=kind))


@pytest.mark.benchmark(group="nca of 200 profiles without BLQ, against peers")
def test_ours_for_peers(benchmark) -> None:  # type: ignore[no-untyped-def]
    profiles = positive_profiles()
    nca(profiles)
    benchmark(nca, profiles)


@pytest.mark.benchmark(group="nca of 200 profiles without BLQ, against peers")
def test_peer_openpkflow(benchmark) -> None:  # type: ignore[no-untyped-def]
    peer = pytest.importorskip("openpkflow.nca", reason="openpkflow is not installed")
    levels = positive_profiles()["level"].values[:, 0]
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(len(levels)), levels.shape[1]),
            "time": np.tile(DAYS[1:], len(levels)),
            "conc": levels.ravel(),
            "dose": 1e8,
            "route": "oral",
        }
    )
    study = peer.NCAStudy(table, auc_method="linear_up_log_down", blq_method="drop")
    benchmark.pedantic(study.analyze, rounds=3)


@pytest.mark.benchmark(group="nca of 10,000 profiles without BLQ, against peers")
def test_ours_for_peers_in_a_batch(benchmark) -> None:  # type: ignore[no-untyped-def]
    profiles = positive_profiles(10_000)
    nca(profiles.isel(patient=slice(0, 2)))
    benchmark(nca, profiles)


@pytest.mark.benchmark(group="nca of 10,000 profiles without BLQ, against peers")
def test_peer_pkpdutils(benchmark) -> None:  # type: ignore[no-untyped-def]
    peer = pytest.importorskip("pkpdutils", reason="pkpdutils is not installed; it needs Python 3.13")
    levels = positive_profiles(10_000)["level"].values[:, 0]
    dose = peer.Dose(amount=1e8, unit="mg")
    batch = peer.Timecourses.from_arrays(DAYS[1:], levels, time_unit="day", unit="mg/l", dose=dose)
    options = peer.NCAOptions(auc_method="linear_log")
    benchmark.pedantic(peer.nca, (batch,), {"options": options}, rounds=3)


def positive_profiles(count: int = 200) -> xr.Dataset:
    generator = np.random.default_rng(3)
    curve = np.exp(-0.03 * DAYS[1:]) * 1e5
    levels = curve * np.exp(generator.normal(0, 0.2, (count, len(DAYS) - 1)))
    return kinetics_from_arrays(DAYS[1:], levels, unit="copies/ug")
