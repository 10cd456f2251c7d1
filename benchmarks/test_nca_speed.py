"""Noncompartmental analysis of 10,000 profiles, against numpy's trapezoid alone as the floor."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ckinetics.noncompartmental import nca


@pytest.mark.benchmark(group="nca, 10,000 profiles of 14 samples")
def test_all_parameters(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    nca(many_profiles.isel(patient=slice(0, 2)))
    result = benchmark(nca, many_profiles)
    assert result.sizes["patient"] == 10_000


@pytest.mark.benchmark(group="nca, 10,000 profiles of 14 samples")
def test_floor_trapezoid_of_numpy(benchmark, many_profiles: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    level = np.nan_to_num(many_profiles["level"].values[:, 0])
    time = many_profiles["time"].values[:, 0]
    area = benchmark(lambda: np.trapezoid(level, time, axis=-1))
    assert area.shape == (10_000,)
