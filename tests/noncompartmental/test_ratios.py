"""Blood against another matrix, by hand: which samples make a pair, and what stands in its way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import cohort, exclude, kinetics_from_arrays, read_kinetics
from ckinetics.noncompartmental import nca
from ckinetics.noncompartmental.reasons import Reason

Samples = list[tuple[float, str]]


def two(blood: Samples, marrow: Samples, unit: str = "copies/ug", **options: object) -> xr.Dataset:
    """Return the analysis of one patient whose levels in both matrices are written as texts."""
    rows = [
        {"patient": "A", "matrix": matrix, "time": time, "level": level, "lloq": 50, "uloq": 1e6}
        for matrix, samples in (("blood", blood), ("bone marrow", marrow))
        for time, level in samples
    ]
    return nca(read_kinetics(pd.DataFrame(rows), unit=unit), **options)


def ratio(result: xr.Dataset, name: str) -> tuple[float, Reason]:
    at = {"matrix_pair": "blood/bone marrow", "ratio": name}
    value, code = result["matrix_ratio"].sel(at).item(), result["matrix_ratio_reason_code"].sel(at).item()
    return float(value), Reason(int(code))


BLOOD = [(0.0, "BLQ"), (7.0, "8000"), (14.0, "4000"), (28.0, "900")]


def test_exposures_and_pairs_by_hand() -> None:
    result = two(BLOOD, [(0.0, "BLQ"), (7.5, "2000"), (14.0, "1000"), (28.0, "300")])
    assert ratio(result, "cmax") == (pytest.approx(4.0), Reason.computed)
    blood, marrow = (result["auc_last"].sel(matrix=name).item() for name in ("blood", "bone marrow"))
    assert ratio(result, "auc_last") == (pytest.approx(blood / marrow, rel=1e-14), Reason.computed)
    assert ratio(result, "paired") == (pytest.approx((4 * 4 * 3) ** (1 / 3), rel=1e-14), Reason.computed)
    assert result["matrix_ratio_n_pairs"].item() == 3


def test_samples_pair_within_a_day_and_a_sample_is_in_one_pair_at_most() -> None:
    # Marrow of day 14 is nearest to blood of day 14.2; blood of day 13.5 has it nearest too, and is left alone.
    result = two([(7, "8000"), (13.5, "6000"), (14.2, "4000")], [(8, "2000"), (14, "1000")])
    assert ratio(result, "paired")[0] == pytest.approx(np.sqrt(4 * 4))
    assert result["matrix_ratio_n_pairs"].item() == 2
    # Turned round, the ratio is the inverse.
    turned = two([(8, "2000"), (14, "1000")], [(7, "8000"), (13.5, "6000"), (14.2, "4000")])
    assert ratio(turned, "paired")[0] == pytest.approx(1 / 4)
    apart = two([(7, "8000"), (14, "4000")], [(8.01, "2000"), (20, "1000")])
    assert ratio(apart, "paired") == (pytest.approx(np.nan, nan_ok=True), Reason.no_pair)
    assert apart["matrix_ratio_n_pairs"].item() == 0


def test_random_pairs_are_those_of_a_plain_search() -> None:
    generator = np.random.default_rng(12)
    for _ in range(40):
        times = [np.unique(generator.integers(0, 40, generator.integers(1, 12)) / 2.0) for _ in range(2)]
        levels = [np.exp(generator.normal(8, 1, len(time))) for time in times]
        result = two(
            *([(t, f"{x:.6f}") for t, x in zip(*both, strict=True)] for both in zip(times, levels, strict=True))
        )
        found = []
        for i, a in enumerate(times[0]):
            j = int(np.abs(times[1] - a).argmin())
            if abs(times[1][j] - a) <= 1 and int(np.abs(times[0] - times[1][j]).argmin()) == i:
                found.append(np.log(round(levels[0][i], 6) / round(levels[1][j], 6)))
        assert result["matrix_ratio_n_pairs"].item() == len(found)
        if found:
            assert ratio(result, "paired")[0] == pytest.approx(np.exp(np.mean(found)), rel=1e-12)


def test_only_quantified_samples_of_the_window_pair() -> None:
    blood = [(-2.0, "700"), (7.0, "8000"), (14.0, "BLQ"), (21.0, ">1e6"), (28.0, "INV"), (60.0, "600")]
    marrow = [(-2.0, "70"), (7.0, "2000"), (14.0, "1000"), (21.0, "1000"), (28.0, "1000"), (60.0, "100")]
    assert ratio(two(blood, marrow), "paired")[0] == pytest.approx(np.sqrt(4 * 6))
    early = two(blood, marrow, window=(0, 28))
    assert ratio(early, "paired")[0] == pytest.approx(4)
    assert early["matrix_ratio_n_pairs"].item() == 1
    assert ratio(two(blood, marrow), "cmax")[1] == Reason.above_uloq
    assert ratio(two(blood[:3], [(7.0, "BLQ"), (14.0, "ND")]), "cmax")[1] == Reason.all_blq
    assert ratio(two(blood[1:3], [(-1.0, "70")]), "cmax")[1] == Reason.no_sample


def test_excluded_samples_do_not_pair() -> None:
    rows = [
        {"patient": "A", "matrix": matrix, "time": time, "level": level, "lloq": 50}
        for matrix, levels in (("blood", "8000 4000"), ("bone marrow", "2000 100"))
        for time, level in zip((7, 14), levels.split(), strict=True)
    ]
    data = cohort(read_kinetics(pd.DataFrame(rows), unit="copies/ug"))
    data = exclude(data, patient="A", matrix="bone marrow", time=14, reason="clotted")
    result = nca(data)
    assert result["matrix_ratio_n_pairs"].item() == 1
    assert ratio(result, "paired")[0] == pytest.approx(4)


def test_an_area_of_zero_has_no_ratio() -> None:
    result = two(BLOOD, [(0.0, "BLQ"), (7.0, "BLQ"), (14.0, "BLQ")], preset="pknca")
    assert ratio(result, "auc_last") == (pytest.approx(np.nan, nan_ok=True), Reason.no_area)
    assert ratio(result, "cmax")[1] == Reason.no_area


def test_ratios_need_blood_and_another_matrix_of_its_unit() -> None:
    profiles = kinetics_from_arrays([0, 7], [[0, 900]], unit="copies/ug", matrix="bone marrow")
    csf = kinetics_from_arrays([0, 7], [[0, 300]], unit="copies/ug", matrix="csf")
    assert "matrix_ratio" not in nca(xr.concat([profiles, csf], dim="matrix"))
    blood = kinetics_from_arrays([0, 7], [[0, 900]], unit="cells/uL")
    assert "matrix_ratio" not in nca(blood)
    mixed = nca(xr.concat([blood, profiles, csf.assign_coords(unit=("matrix", ["cells/uL"]))], dim="matrix"))
    assert mixed["matrix_pair"].values.tolist() == ["blood/csf"]
    assert mixed["matrix_ratio"].sel(ratio="cmax").item() == pytest.approx(3)
    assert mixed["matrix_ratio"].attrs["units"] == "1"


def test_a_ratio_is_missing_exactly_where_it_has_a_reason() -> None:
    generator = np.random.default_rng(2)
    words = ["BLQ", "900", "80", ">1e6", "INV", "ND", "5000"]
    for _ in range(60):
        samples = [
            [(float(day), str(generator.choice(words))) for day in (-1, 0, 7, 14, 28)[generator.integers(0, 3) :]]
            for _ in range(2)
        ]
        result = two(*samples)
        missing = np.isnan(result["matrix_ratio"].values)
        np.testing.assert_array_equal(missing, result["matrix_ratio_reason_code"].values != 0)


def test_a_window_may_have_no_end() -> None:
    blood, marrow = [(0.0, "BLQ"), (7.0, "800"), (28.0, "300")], [(28.0, "100"), (60.0, "60")]
    assert ratio(two(blood, marrow, window=(0, np.inf)), "paired")[0] == pytest.approx(3)
