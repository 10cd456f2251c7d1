"""Standard errors and intervals: by hand, by coverage, and that threads and chunks change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.noncompartmental import nca
from ckinetics.noncompartmental.reasons import Reason

DAYS = np.array([0, 1, 2, 4, 7, 10, 14, 21, 28, 60, 90, 120, 150, 180.0])
PLATES = np.repeat(np.arange(3), 5)[: len(DAYS)]


def with_errors(data: xr.Dataset, well: float, plate: float | None = None, plates: np.ndarray = PLATES) -> xr.Dataset:
    out = data.copy(deep=True)
    out["se_well"][:] = well
    if plate is not None:
        out["se_plate"][:] = plate
        out["plate"][:] = np.array([f"plate {number}" for number in plates[: out.sizes["sample"]]], dtype=object)
    return out


def course(count: int, well: float, plate: float, seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    """Measured profiles and the true one."""
    generator = np.random.default_rng(seed)
    log = np.where(DAYS < 10, np.log(20) + 0.75 * DAYS, np.log(20) + 7.5 - 0.06 * (DAYS - 10))
    log[0] = -50
    noise = generator.normal(0, well, (count, len(DAYS))) + generator.normal(0, plate, (count, 3))[:, PLATES]
    measured = kinetics_from_arrays(DAYS, np.exp(log + noise), lloq=50, unit="copies/ug")
    return with_errors(measured, well, plate), kinetics_from_arrays(DAYS, [np.exp(log)], lloq=50, unit="copies/ug")


def one(**options: float | None) -> xr.Dataset:
    data = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 9e3, 4e3, 900, 150]], lloq=50, unit="copies/ug")
    return nca(
        with_errors(data, options.pop("well", 0.2), options.pop("plate", None), np.zeros(5, dtype=int)),
        uncertainty="delta",
        auc_method="linear",
    ).squeeze()


def test_the_delta_method_by_hand() -> None:
    result = one(well=0.2)
    se = {str(name): float(value) for name, value in zip(result["estimate"].values, result["se"].values, strict=True)}
    assert se["cmax"] == pytest.approx(9e3 * 0.2, rel=1e-7)
    # A linear area is a weighted sum of levels, each with its own error.
    weights = np.array([14 / 2, (28 - 7) / 2, (60 - 14) / 2, (60 - 28) / 2])
    levels = np.array([9e3, 4e3, 900, 150])
    assert se["auc_last"] == pytest.approx(0.2 * np.sqrt(((weights * levels) ** 2).sum()), rel=1e-6)
    # A slope is one of the logarithms.
    days = np.array([14, 28, 60.0])
    assert se["lambda_z"] == pytest.approx(0.2 / np.sqrt(((days - days.mean()) ** 2).sum()), rel=1e-6)
    half = float(result["half_life"])
    assert se["half_life"] == pytest.approx(se["lambda_z"] * half / float(result["lambda_z"]), rel=1e-5)
    low, high = (float(result[name].sel(estimate="half_life")) for name in ("ci_lower", "ci_upper"))
    assert low * high == pytest.approx(half**2)
    assert high / half == pytest.approx(np.exp(1.959964 * se["half_life"] / half), rel=1e-6)


def test_what_a_plate_shares_does_not_average_out() -> None:
    result = one(well=0.0, plate=0.1)
    # All levels move together: the area by 10 %, the slope not at all.
    assert float(result["se"].sel(estimate="auc_last")) == pytest.approx(0.1 * float(result["auc_last"]), rel=1e-6)
    assert float(result["se"].sel(estimate="lambda_z")) == pytest.approx(0, abs=1e-9)


def test_intervals_cover_the_truth() -> None:
    measured, truth = course(300, 0.2, 0.15)
    found = nca(measured, uncertainty="both", draws=300, seed=3)
    expected = nca(truth)
    for name in found["estimate"].values.tolist():
        at = found.sel(estimate=name).squeeze("matrix")
        true = expected["auc_interval"] if name.startswith("auc_interval") else expected[name]
        value = float(true.item())
        delta = float(((at["ci_lower"] <= value) & (value <= at["ci_upper"])).mean())
        boot = float(((at["boot_lower"] <= value) & (value <= at["boot_upper"])).mean())
        assert 0.9 < delta < 0.99, (name, delta)
        assert 0.9 < boot <= 1, (name, boot)


def test_a_profile_draws_the_same_wherever_it_stands() -> None:
    measured, _ = course(12, 0.2, 0.15)
    options = {"uncertainty": "bootstrap", "draws": 100, "seed": 7}
    whole = nca(measured, **options)
    names = ["boot_se", "boot_lower", "boot_upper"]
    xr.testing.assert_equal(whole[names], nca(measured, threads=3, **options)[names])
    turned = nca(measured.isel(patient=slice(None, None, -1)), **options)
    xr.testing.assert_equal(whole[names], turned[names].isel(patient=slice(None, None, -1)))
    few = nca(measured.isel(patient=[4]), **options)
    xr.testing.assert_equal(whole[names].isel(patient=[4]), few[names])
    assert not np.array_equal(whole["boot_se"], nca(measured, **(options | {"seed": 8}))["boot_se"])


def test_blq_samples_vary_too() -> None:
    data = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 9e3, 700, 60, 0]], lloq=50, unit="copies/ug")
    result = nca(with_errors(data, 0.3), uncertainty="bootstrap", draws=400, intervals=[(28, 60)]).squeeze()
    assert float(result["boot_se"].sel(estimate="auc_interval 28-60")) > 0.3 * float(result["auc_interval"]) / 2


def test_missing_errors_have_a_reason() -> None:
    measured, _ = course(3, 0.2, 0.15)
    measured["se_well"][1, 0, 6] = np.nan
    result = nca(measured, uncertainty="both", draws=100)
    for name in ("se_reason_code", "boot_reason_code"):
        assert (result[name].values[1] == Reason.no_standard_error).all()
        assert (result[name].values[0] == Reason.computed).all()
    assert np.isnan(result["se"].values[1]).all()
    none = nca(kinetics_from_arrays([0, 7], [[0, 0]], lloq=50, unit="copies/ug"), uncertainty="delta")
    assert (none["se_reason_code"].values == Reason.all_blq).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uncertainty": "jackknife"}, "unknown uncertainty 'jackknife'"),
        ({"uncertainty": "bootstrap", "draws": 5}, "draws is 5"),
        ({"uncertainty": "bootstrap", "level": 95}, "level is 95"),
        ({"uncertainty": "bootstrap", "seed": -1}, "seed is -1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        nca(course(1, 0.1, 0.1)[0], **options)


@pytest.mark.parametrize("options", [{}, {"tobit": True, "dose": 1e8}, {"uncertainty": "both", "draws": 100}])
def test_chunks_of_dask_give_the_same(options: dict[str, object]) -> None:
    measured, _ = course(20, 0.2, 0.15)
    whole, lazy = nca(measured, **options), nca(measured.chunk(patient=6), **options)
    assert lazy["cmax"].chunks is not None
    assert lazy["cmax"].chunksizes["patient"] == (6, 6, 6, 2)
    xr.testing.assert_identical(whole.drop_attrs(), lazy.load().drop_attrs())
    assert whole.attrs["cohort_hash"] == lazy.attrs["cohort_hash"]


@pytest.mark.parametrize("kind", ["delta", "bootstrap", "both"])
def test_without_patients_there_is_nothing_to_vary(kind: str) -> None:
    data = with_errors(kinetics_from_arrays([0, 7], np.zeros((0, 2)), lloq=50, unit="copies/ug"), 0.2)
    result = nca(data, uncertainty=kind)
    sized = "se" if kind == "delta" else "boot_se"
    assert result[sized].shape == (0, 1, 6)


@pytest.mark.parametrize("kind", ["delta", "both"])
def test_an_area_of_zero_has_no_interval_and_says_so(kind: str) -> None:
    data = kinetics_from_arrays([0, 7, 14, 21, 28], [[0, 900, 400, 200, 0]], lloq=50, unit="copies/ug")
    result = nca(with_errors(data, 0.2), uncertainty=kind, intervals=[(30, 60)]).squeeze()
    found = result.sel(estimate="auc_interval 30-60")
    assert float(result["auc_interval"]) == 0
    assert np.isnan([float(found[name]) for name in ("se", "ci_lower", "ci_upper")]).all()
    assert Reason(int(found["se_reason_code"])) == Reason.no_area


def test_a_line_that_hardly_falls_has_a_wide_interval_and_no_warning() -> None:
    data = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 9e3, 500, 499.7, 499.4]], lloq=50, unit="copies/ug")
    found = nca(with_errors(data, 0.5), uncertainty="delta").squeeze().sel(estimate="half_life")
    assert (float(found["ci_lower"]), float(found["ci_upper"])) == (0, np.inf)
    flat = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 9e3, 500, 499.9999, 499.9998]], lloq=50, unit="copies/ug")
    found = nca(with_errors(flat, 0.5), uncertainty="delta").squeeze().sel(estimate="half_life")
    assert np.isnan(float(found["se"]))
    assert Reason(int(found["se_reason_code"])) == Reason.no_decline


def test_draws_of_one_profile_never_stand_for_another() -> None:
    """Under pknca a patient who is all BLQ has areas of 0, and no quantified sample whose error is known."""
    levels = [[0, 9e3, 4e3, 900, 150], [0, 0, 0, 0, 0]]
    data = with_errors(kinetics_from_arrays([0, 7, 14, 28, 60], levels, lloq=50, unit="copies/ug"), 0.2)
    result = nca(data, preset="pknca", uncertainty="both").isel(patient=1).squeeze()
    assert float(result["auc_last"]) == 0
    found = result.sel(estimate="auc_last")
    assert np.isnan([float(found[name]) for name in ("se", "boot_se", "boot_lower", "boot_upper")]).all()
    for name in ("se_reason_code", "boot_reason_code"):
        assert Reason(int(found[name])) == Reason.no_standard_error
