"""Virtual patients of Stein's model in copies/µg, against the floor of one logarithm for each of their samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ckinetics.simulation import simulate

PATIENTS, SAMPLES = 1_000_000, 20
TIMES = np.linspace(1.0, 365.0, SAMPLES)
GROUP = "1,000,000 patients x 20 samples of stein2019"


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize(
    "options",
    [{"residual": False}, {}, {"lloq": 50.0, "dna": 0.2}],
    ids=["random effects", "and residual error", "and limits with detection"],
)
def test_simulate(benchmark, options: dict[str, Any]) -> None:  # type: ignore[no-untyped-def]
    simulate("stein2019", times=TIMES, n=3, **options)
    result = benchmark.pedantic(
        simulate, args=("stein2019",), kwargs={"times": TIMES, "n": PATIENTS, **options}, rounds=5, warmup_rounds=1
    )
    assert result["level"].shape == (PATIENTS, SAMPLES)
    assert np.isfinite(result["level_true"].values).all()


@pytest.mark.benchmark(group=GROUP)
def test_floor_one_logarithm_a_sample(benchmark) -> None:  # type: ignore[no-untyped-def]
    numbers = np.random.default_rng(1).random(PATIENTS * SAMPLES) + 0.5
    out = np.empty_like(numbers)
    benchmark.pedantic(np.log, args=(numbers,), kwargs={"out": out}, rounds=5, warmup_rounds=1)
    assert np.isfinite(out).all()
