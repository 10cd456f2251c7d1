"""What must hold of any profile, whatever its numbers: additivity, invariances, bounds, and curves known exactly."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from generated import profiles
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.cohorts import cohort, kinetics_from_arrays, read_kinetics
from ckinetics.errors import InputError
from ckinetics.noncompartmental import PARAMETERS, nca
from ckinetics.noncompartmental.reasons import Reason

METHODS = ("linear", "linear-up/log-down", "linear-log", "log-up/log-down")
OWN_PRESETS = ("cell_therapy", "phoenix", "ich_m13a")
PRESETS = (*OWN_PRESETS, "pknca")
DAYS = np.array([0, 1, 3, 7, 10, 14, 21, 28, 60, 90, 180], dtype=float)


@pytest.fixture(scope="module")
def hostile() -> xr.Dataset:
    return profiles(np.random.default_rng(7), 400)


def ordinary(seed: int, count: int) -> xr.Dataset:
    """Profiles without ties, some samples of them BLQ or missing."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(6, 2, (count, len(DAYS))))
    level[rng.random(level.shape) < 0.05] = np.nan
    return kinetics_from_arrays(DAYS, level, lloq=50, unit="copies/ug")


def values_of(result: xr.Dataset) -> dict[str, np.ndarray]:
    """Everything in a result that is a number."""
    return {str(name): array.values for name, array in result.data_vars.items() if array.dtype.kind in "fiub"}


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Equal to the last digit, reasons and flags too."""
    first, second = values_of(one), values_of(other)
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


# Additivity and shares ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", OWN_PRESETS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tail", [None, "last", "all"])
def test_areas_of_intervals_add_up(hostile: xr.Dataset, preset: str, method: str, tail: str | None) -> None:
    cuts = [0, 2.5, 7, 11.1, 28, 60, 300, 900]
    spans = [(a, b) for i, a in enumerate(cuts) for b in cuts[i + 1 :]]
    result = nca(hostile, preset=preset, auc_method=method, tail=tail, intervals=spans)
    areas, last = result["auc_interval"].values[:, 0], result["last_time"].values[:, 0]
    at = {span: position for position, span in enumerate(spans)}
    for a, b in spans:
        whole = areas[:, at[a, b]]
        for c in [cut for cut in cuts if a < cut < b]:
            parts = areas[:, at[a, c]] + areas[:, at[c, b]]
            known = np.isfinite(whole)
            if preset == "phoenix" and tail is None:
                known &= b <= last  # past the last sample each end has a trapezoid of its own
            # A whole that is known has parts that are known.
            np.testing.assert_allclose(parts[known], whole[known], rtol=1e-11, atol=1e-30)


@pytest.mark.parametrize("preset", OWN_PRESETS)
def test_an_interval_to_tlast_is_auc_last(hostile: xr.Dataset, preset: str) -> None:
    result = nca(hostile, preset=preset, intervals=[(0, np.inf)])
    np.testing.assert_allclose(
        result["auc_interval"].values[..., 0],
        result["auc_inf_pred" if preset == "phoenix" else "auc_inf_obs"],
        rtol=1e-12,
    )
    for p in range(0, 400, 16):
        last, area = result["tlast"].values[p, 0], result["auc_last"].values[p, 0]
        if last > 0 and np.isfinite(area):
            one = nca(hostile.isel(patient=[p]), preset=preset, intervals=[(0, last)])
            assert one["auc_interval"].item() == pytest.approx(area, rel=1e-13)
            assert one["auc_interval_pct_extrapolated"].item() in (0.0, pytest.approx(np.nan, nan_ok=True))


@pytest.mark.parametrize("preset", OWN_PRESETS)
def test_shares_of_an_area_add_up_to_100(hostile: xr.Dataset, preset: str) -> None:
    result = nca(hostile, preset=preset, intervals=[(0, 28), (3.3, 17), (0, np.inf), (7, 900)])
    kinds = ("observed", "interpolated", "extrapolated")
    shares = np.stack([result[f"auc_interval_pct_{kind}"].values for kind in kinds])
    there = result["auc_interval"].values > 0
    assert there.sum() > 300
    np.testing.assert_allclose(shares.sum(axis=0)[there], 100, rtol=1e-12)
    assert (shares[:, there] >= 0).all()  # what rounding leaves of nothing is nothing
    assert (shares[:, there] < 100 + 1e-9).all()
    assert np.isnan(shares[:, ~there]).all()


def test_areas_between_samples_are_observed_and_others_are_not() -> None:
    data = kinetics_from_arrays([2, 7, 14, 21, 28], [[100, 900, 400, 150, 60]], lloq=50, unit="copies/ug")
    result = nca(data, intervals=[(7, 28), (8, 9), (0, 2), (28, 40)]).squeeze()
    assert result["auc_interval_pct_observed"].values.tolist() == pytest.approx([100, 0, 0, 0], abs=1e-9)
    assert result["auc_interval_pct_interpolated"].values.tolist() == pytest.approx([0, 100, 100, 0], abs=1e-9)
    assert result["auc_interval_pct_extrapolated"].values.tolist() == pytest.approx([0, 0, 0, 100], abs=1e-9)


# Units, times, order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scale", [1e-9, 0.3, 1e7])
def test_another_unit_of_level_changes_only_the_unit(preset: str, scale: float) -> None:
    data = ordinary(11, 300)
    other = data.copy(deep=True)
    for name in ("level", "lloq", "uloq"):
        other[name] = data[name] * scale
    options: dict[str, Any] = {"preset": preset, "intervals": [(0, 28), (5, 400)], "disposition": True}
    one, two = nca(data, threshold=300, **options), nca(other, threshold=300 * scale, **options)
    for name in ("reason_code", "interval_reason_code", "flags", "lambda_z_used"):
        np.testing.assert_array_equal(one[name], two[name])
    for name, parameter in PARAMETERS.items():
        factor = scale if "level" in parameter.unit else 1.0
        if name == "lambda_z_intercept":
            np.testing.assert_allclose(two[name], one[name] + np.log(scale), rtol=0, atol=1e-11)
        else:
            slack = 1e-11 if "pct" in name or "squared" in name else 0.0
            np.testing.assert_allclose(two[name], one[name] * factor, rtol=1e-10, atol=slack, err_msg=name)
    np.testing.assert_allclose(two["auc_interval"], one["auc_interval"] * scale, rtol=1e-10)


@pytest.mark.parametrize("preset", PRESETS)
def test_times_count_from_the_start_of_the_window(preset: str) -> None:
    rng = np.random.default_rng(5)
    data = profiles(rng, 300)
    # Multiples of 1/64 day: the shift is exact, and so is all that follows.
    data["time"].values[:] = np.round(data["time"].values * 64) / 64
    steps = np.diff(data["time"].values[:, 0])
    data = data.isel(patient=~(steps <= 0).any(axis=1))
    later = data.copy(deep=True)
    later["time"] = data["time"] + 128
    one = nca(data, preset=preset, window=(0, 365))
    two = nca(later, preset=preset, window=(128, 493))
    assert_same(one.drop_vars("time"), two.drop_vars("time"))


def test_a_window_is_what_is_left_without_the_samples_after_it() -> None:
    data = ordinary(3, 200)
    inside = nca(data, window=(0, 28), intervals=[(0, 28)])
    cut = nca(data.isel(sample=DAYS <= 28), intervals=[(0, 28)])
    for name in PARAMETERS:
        if name in inside:
            np.testing.assert_array_equal(inside[name], cut[name], err_msg=name)


def test_infusions_are_windows() -> None:
    data = ordinary(17, 40)
    patients = data["patient"].values.tolist()
    table = pd.DataFrame({"patient": patients * 2, "time": [0.0] * 40 + [14.0] * 40, "dose": 1e8})
    each = nca(cohort(data, infusions=table), infusions="each", intervals=[(0, 7)])
    for place, window in enumerate([(0, 14), (14, np.inf)]):
        one = nca(data, window=window, intervals=[(0, 7)])
        for name in [*PARAMETERS, "auc_interval", "flags"]:
            if name in one and name != "cav":
                np.testing.assert_array_equal(each[name].isel(infusion=place), one[name], err_msg=name)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(23)
    rows = []
    for patient in range(30):
        for matrix in ("blood", "bone marrow"):
            for day in rng.choice(DAYS, 7, replace=False):
                level = float(np.exp(rng.normal(6, 2)))
                word = rng.choice(
                    [f"{level:.6g}", "BLQ", "<50", "ND", ">1e4", "INV"], p=[0.8, 0.05, 0.05, 0.04, 0.03, 0.03]
                )
                rows.append((f"P{patient}", matrix, day, word, 50.0))
    table = pd.DataFrame(rows, columns=["patient", "matrix", "time", "level", "lloq"])
    one = nca(read_kinetics(table, unit="copies/ug"))
    for seed in range(3):
        shuffled = table.sample(frac=1, random_state=seed).reset_index(drop=True)
        two = nca(read_kinetics(shuffled, unit="copies/ug"))
        assert_same(one, two.sel(patient=one["patient"], matrix=one["matrix"]))
    twice = pd.concat([table, table.iloc[[3]]], ignore_index=True)
    with pytest.raises(InputError, match="2 samples"):
        read_kinetics(twice, unit="copies/ug")


@pytest.mark.parametrize("preset", PRESETS)
def test_padding_order_and_threads_do_not_matter(hostile: xr.Dataset, preset: str) -> None:
    whole = nca(hostile, preset=preset)
    for threads in (2, 3, None):
        assert_same(whole, nca(hostile, preset=preset, threads=threads))
    order = np.random.default_rng(1).permutation(400)
    assert_same(whole.isel(patient=order), nca(hostile.isel(patient=order), preset=preset))
    wide = hostile.pad(sample=(0, 5), constant_values={"status": -1, "excluded": -1, "time": np.nan, "plate": ""})
    wide["status"], wide["excluded"] = wide["status"].astype("int8"), wide["excluded"].astype("int8")
    padded = nca(wide, preset=preset)
    assert_same(whole, padded.isel(sample=slice(None, hostile.sizes["sample"])))


def test_profiles_have_any_leading_dims(hostile: xr.Dataset) -> None:
    few = hostile.isel(patient=slice(24))[["time", "level", "status", "lloq", "uloq", "excluded", "se_well"]]
    draws = [few.assign(level=few["level"] * factor) for factor in (0.5, 1.0, 2.0)]
    stack = xr.concat(draws, "draw")
    together = nca(stack.transpose("draw", "patient", "matrix", "sample"))
    assert together["cmax"].dims == ("draw", "patient", "matrix")
    for at, one in enumerate(draws):
        assert_same(together.isel(draw=at), nca(one))
    turned = nca(stack.transpose("sample", "matrix", "draw", "patient"))
    assert_same(together, turned.transpose(*together["reason_code"].dims[:-1], ...))
    alone = nca(few.isel(patient=3, matrix=0))
    assert alone["cmax"].dims == ()
    assert_same(alone, nca(few).isel(patient=3, matrix=0))


def test_matrices_are_analysed_alone() -> None:
    blood, marrow = ordinary(31, 30), ordinary(32, 30).assign_coords(matrix=["bone marrow"])
    both = nca(xr.concat([blood, marrow], "matrix"))
    for name in PARAMETERS:
        if name in both:
            np.testing.assert_array_equal(both[name].isel(matrix=[0]), nca(blood)[name], err_msg=name)
            np.testing.assert_array_equal(both[name].isel(matrix=[1]), nca(marrow)[name], err_msg=name)


def test_a_sample_that_is_left_out_might_as_well_not_be_there() -> None:
    data = ordinary(41, 60)
    data["level"].values[:, 0, 5] = np.nan
    data["status"].values[:, 0, 5] = 5
    without = nca(data.isel(sample=np.arange(len(DAYS)) != 5))
    excluded = data.copy(deep=True)
    excluded["status"].values[:, 0, 5], excluded["level"].values[:, 0, 5] = 3, 1e9
    excluded["excluded"].values[:, 0, 5] = 1
    for other in (nca(data), nca(excluded)):
        for name in PARAMETERS:
            if name in without and name != "tlag":  # a rise may have begun at the lost sample
                np.testing.assert_array_equal(other[name], without[name], err_msg=name)


# Bounds ------------------------------------------------------------------------------------------------------------

LEVELS = st.lists(st.floats(60, 1e7), min_size=2, max_size=9)
# Under linear-log another Tmax moves the logarithms: raising the level of one sample may lower the area.
MONOTONE = st.sampled_from(["linear", "linear-up/log-down", "log-up/log-down"])


@settings(max_examples=150, deadline=None)
@given(
    levels=LEVELS,
    at=st.integers(0, 8),
    factor=st.floats(1, 100),
    method=MONOTONE,
)
def test_a_larger_level_never_lowers_the_area(levels: list[float], at: int, factor: float, method: str) -> None:
    raised = list(levels)
    raised[at % len(levels)] *= factor
    data = kinetics_from_arrays(DAYS[: len(levels)], [levels, raised], lloq=50, unit="copies/ug")
    low, high = nca(data, auc_method=method)["auc_last"].values.ravel()
    assert high >= low * (1 - 1e-14)


@settings(max_examples=150, deadline=None)
@given(levels=LEVELS, share=st.floats(0.01, 1), method=MONOTONE)
def test_bounds_hold_where_levels_are_above_uloq(levels: list[float], share: float, method: str) -> None:
    limit = max(51.0, max(levels) * share)
    options: dict[str, Any] = {"auc_method": method, "intervals": [(0, 3), (3, 14), (14, 60)]}
    truth, known = (
        nca(
            kinetics_from_arrays(DAYS[: len(levels)], [levels], lloq=50, uloq=top, unit="copies/ug"), **options
        ).squeeze()
        for top in (None, limit)
    )
    assert float(known["auc_last_lower"]) <= float(truth["auc_last"]) * (1 + 1e-14)
    assert float(known["cmax_lower"]) <= float(truth["cmax"])
    if max(levels) > limit:
        assert np.isnan(float(known["cmax"]))
        assert np.isnan(float(known["auc_last"]))
        # What was computed all the same is right.
        for name in ("tmax", "tlast", "clast_obs", "persistence_upper"):
            assert np.isnan(float(known[name])) or float(known[name]) == float(truth[name])
    # Beyond the last sample the terminal line may be another: it begins after the samples above ULOQ.
    there = known["auc_interval_pct_extrapolated"].values == 0
    np.testing.assert_allclose(known["auc_interval"].values[there], truth["auc_interval"].values[there], rtol=1e-13)


@settings(max_examples=100, deadline=None)
@given(levels=LEVELS, seed=st.integers(0, 10**6))
def test_no_line_rises_and_no_half_life_is_negative(levels: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    least = int(rng.integers(2, 5))
    options: dict[str, Any] = {"rising": ["veto", "discard"][seed % 2], "tmax_in_line": bool(seed % 3)}
    result = nca(
        kinetics_from_arrays(DAYS[: len(levels)], [levels], unit="copies/ug"), min_points=least, **options
    ).squeeze()
    if np.isfinite(result["half_life"]):
        assert float(result["half_life"]) > 0
        assert 0 <= float(result["r_squared"]) <= 1 + 1e-14
        assert int(result["lambda_z_used"].sum()) == int(result["lambda_z_n_points"]) >= least
        assert float(result["lambda_z_upper"]) == float(result["tlast"])
        assert 0 <= float(result["auc_pct_extrap_obs"]) <= 100


@pytest.mark.parametrize("preset", PRESETS)
def test_a_value_is_missing_exactly_where_a_reason_is_given(preset: str) -> None:
    data = ordinary(51, 300)
    result = nca(data, preset=preset, intervals=[(0, 28), (0, np.inf), (100, 400)], disposition=True, threshold=100)
    for at, name in enumerate(result["parameter"].values.tolist()):
        codes = result["reason_code"].values[..., at]
        np.testing.assert_array_equal(np.isnan(result[name].values), codes != Reason.computed, err_msg=name)
    np.testing.assert_array_equal(np.isnan(result["auc_interval"].values), result["interval_reason_code"].values != 0)


# Curves known exactly ----------------------------------------------------------------------------------------------


def exact_log_segments(time: list[float], level: list[float]) -> tuple[float, float]:
    """Area and moment of the curve that is exponential between samples, with 60 digits."""
    with mpmath.workdps(60):
        area = moment = mpmath.mpf(0)
        for t1, t2, c1, c2 in zip(time, time[1:], level, level[1:], strict=False):
            t1, t2, c1, c2 = (mpmath.mpf(x) for x in (t1, t2, c1, c2))
            if c1 == c2:
                area += (t2 - t1) * c1
                moment += c1 * (t2 - t1) * (t1 + t2) / 2
                continue
            rate = mpmath.log(c2 / c1) / (t2 - t1)
            part = (c2 - c1) / rate
            area += part
            moment += (c2 * t2 - c1 * t1) / rate - (c2 - c1) / rate**2
        return float(area), float(moment)


@settings(max_examples=200, deadline=None)
@given(
    start=st.floats(1e2, 1e6),
    steps=st.lists(
        st.one_of(
            st.floats(-12, 12),
            st.sampled_from([s * 10.0**-k for k in range(1, 17) for s in (-1, 1)]),
            st.sampled_from([-0.3, -0.29999999, 0.3, 0.1, -0.1, 0.0999999]),
        ),
        min_size=1,
        max_size=8,
    ),
    gaps=st.lists(st.floats(0.01, 100), min_size=8, max_size=8),
)
def test_exponential_pieces_are_exact(start: float, steps: list[float], gaps: list[float]) -> None:
    time = np.concatenate([[0.0], np.cumsum(gaps)])[: len(steps) + 1].tolist()
    level = (start * np.exp(np.concatenate([[0.0], np.cumsum(np.clip(steps, -6, 6))]))).tolist()
    result = nca(kinetics_from_arrays(time, [level], unit="copies/ug"), auc_method="log-up/log-down").squeeze()
    area, moment = exact_log_segments(time, level)
    assert float(result["auc_last"]) == pytest.approx(area, rel=1e-13)
    # Two equal levels are a trapezoid of t·level, which is not the integral of t times a constant but near it.
    if all(a != b for a, b in itertools.pairwise(level)):
        assert float(result["aumc_last"]) == pytest.approx(moment, rel=1e-13)
        assert float(result["mrt_last"]) == pytest.approx(moment / area, rel=2e-13)


@pytest.mark.parametrize("rate", [1e-4, 0.03, 0.7, 3.0])
@pytest.mark.parametrize("preset", PRESETS)
def test_one_exponential_is_exact_in_all_that_follows_from_it(rate: float, preset: str) -> None:
    time = [0.0, 1.5, 4.0, 9.0, 13.5]
    level = [1e6 * float(mpmath.exp(-mpmath.mpf(rate) * t)) for t in time]
    result = nca(
        kinetics_from_arrays(time, [level], unit="copies/ug"),
        preset=preset,
        intervals=[(0, 100), (0, np.inf), (2, 5), (20, 30)],
        disposition=True,
    ).squeeze()
    slack = 1e-11 if rate < 1e-3 else 1e-13  # a slope of 1e-4 is lost among levels whose logarithms are 13.8
    with mpmath.workdps(40):
        exact = mpmath.mpf(rate)
        expected = {
            "lambda_z": exact,
            "half_life": mpmath.log(2) / exact,
            "auc_inf_obs": 1e6 / exact,
            "auc_inf_pred": 1e6 / exact,
            "aumc_inf_obs": 1e6 / exact**2,
            "mrt_inf_obs": 1 / exact,
            "half_life_effective": mpmath.log(2) / exact,
            "auc_last": 1e6 * (1 - mpmath.exp(-exact * 13.5)) / exact,
            "kel_obs": exact,
        }
        spans = [
            1e6 * (mpmath.exp(-exact * a) - mpmath.exp(-exact * b)) / exact
            for a, b in ((0, 100), (0, mpmath.inf), (2, 5), (20, 30))
        ]
    for name, value in expected.items():
        assert float(result[name]) == pytest.approx(float(value), rel=slack), name
    if preset == "pknca":  # PKNCA takes the line of the interval's own samples: too few in the last two
        spans = spans[:2]
    areas = result["auc_interval"].values[: len(spans)]
    assert areas == pytest.approx([float(span) for span in spans], rel=max(slack, 1e-12))


def test_growth_and_contraction_are_exact() -> None:
    time = np.array([0, 2, 4, 6, 8, 10, 12, 14, 21, 28], dtype=float)
    level = np.where(time <= 8, 100 * 2 ** (time / 1.5), 100 * 2 ** (8 / 1.5) * 0.5 ** ((time - 8) / 3.25))
    result = nca(kinetics_from_arrays(time, [level], lloq=1, unit="copies/ug")).squeeze()
    assert float(result["doubling_time"]) == pytest.approx(1.5, rel=1e-13)
    assert float(result["expansion_rate"]) == pytest.approx(np.log(2) / 1.5, rel=1e-13)
    assert float(result["contraction_half_life"]) == pytest.approx(3.25, rel=1e-13)
    assert float(result["half_life"]) == pytest.approx(3.25, rel=1e-12)
    assert float(result["fold_expansion"]) == pytest.approx(2 ** (8 / 1.5), rel=1e-15)


def test_persistence_contains_the_truth() -> None:
    rng = np.random.default_rng(61)
    level, truth = [], []
    for _ in range(300):
        top, rate = 10 ** rng.uniform(2, 5), 10 ** rng.uniform(-2.5, -0.3)
        level.append(np.where(DAYS < 7, 0, top * np.exp(-rate * (DAYS - 7))))
        truth.append(7 + np.log(top / 50) / rate)
    data = kinetics_from_arrays(DAYS, level, lloq=50, unit="copies/ug")
    found = {kind: nca(data, persistence=kind) for kind in ("last_quantified", "midpoint", "first_blq")}
    lower, upper = (found["midpoint"][f"persistence_{side}"].values[:, 0] for side in ("lower", "upper"))
    assert ((lower <= truth) & (truth <= upper)).all()
    lost = np.isfinite(upper)
    assert 50 < lost.sum() < 250
    np.testing.assert_array_equal(found["last_quantified"]["persistence"].values[:, 0], lower)
    np.testing.assert_array_equal(found["midpoint"]["persistence"].values[lost, 0], (lower + upper)[lost] / 2)
    np.testing.assert_array_equal(found["first_blq"]["persistence"].values[lost, 0], upper[lost])
    np.testing.assert_array_equal(found["first_blq"]["persistence"].values[~lost, 0], lower[~lost])


def test_time_above_a_threshold_is_that_of_the_interpolated_curve() -> None:
    data = ordinary(71, 80)
    result = nca(data, auc_method="linear", threshold=400, blq="keep")
    grid = np.linspace(0, DAYS[-1], 200_001)
    for p in range(80):
        level = np.where(data["status"].values[p, 0] == 3, data["level"].values[p, 0], 0.0)
        there = data["status"].values[p, 0] >= 0
        if not there[0] or result["reason_code"].sel(parameter="threshold_duration").values[p, 0]:
            continue
        curve = np.interp(grid, DAYS[there], level[there])
        above = (curve >= 400) & (grid <= DAYS[there][-1])
        step = grid[1] - grid[0]
        assert float(result["threshold_duration"][p, 0]) == pytest.approx(above.sum() * step, abs=20 * step)
        if above.any():
            assert float(result["threshold_time"][p, 0]) == pytest.approx(grid[above][0], abs=2 * step)
