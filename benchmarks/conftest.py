"""Benchmarks: each figure is a ratio to a floor or a named peer measured in the same run.

``make bench`` prints the table; the first rounds compile and are not counted.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ckinetics.cohorts import kinetics_from_arrays

DAYS = np.array([0, 1, 3, 5, 7, 10, 14, 21, 28, 60, 90, 180, 270, 365], dtype=float)


@pytest.fixture(scope="session")
def many_profiles() -> xr.Dataset:
    """10,000 profiles of 14 samples from Stein's typical patient, with noise and BLQ samples."""
    from ckinetics.modeling import load_model

    generator = np.random.default_rng(1)
    curve = load_model("stein2019").evaluate(DAYS)
    levels = curve * np.exp(generator.normal(0, 0.8, (10_000, 1)) + generator.normal(0, 0.3, (10_000, len(DAYS))))
    return kinetics_from_arrays(DAYS, levels, lloq=50, unit="copies/ug")
