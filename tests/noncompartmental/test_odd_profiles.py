"""Odd profiles, the smallest example of each: what once was wrong, and must stay right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import cohort, exclude, kinetics_from_arrays, read_kinetics
from ckinetics.errors import InputError
from ckinetics.noncompartmental import cautions_table, nca, nca_table, reasons_table
from ckinetics.noncompartmental.reasons import Reason
from ckinetics.reporting import summary


def one(time: list[float], level: list[float], *, uloq: Any = None, lloq: Any = 50, **options: Any) -> xr.Dataset:
    data = kinetics_from_arrays(time, [level], lloq=lloq, uloq=uloq, unit="copies/ug")
    return nca(data, disposition=True, **options).squeeze()


def words(*rows: tuple[float, str], **options: Any) -> xr.Dataset:
    table = pd.DataFrame([("P", *row) for row in rows], columns=["patient", "time", "level"])
    return nca(read_kinetics(table, unit="copies/ug", lloq=50), disposition=True, **options).squeeze()


def why(result: xr.Dataset, name: str) -> str:
    return Reason(int(result["reason_code"].sel(parameter=name))).name


def missing_without_reason(result: xr.Dataset) -> list[str]:
    names = result["parameter"].values.tolist()
    return [name for name in names if np.isnan(float(result[name])) and why(result, name) == "computed"]


EXPANDS = [(0, "BLQ"), (7, ">{}"), (14, "900"), (21, "500"), (28, "300"), (40, ">{}"), (60, "200"), (90, "100")]


@pytest.mark.parametrize("name", ["tfirst", "tlag", "lambda_z_n_points"])
def test_above_an_unknown_uloq_is_above_all_that_was_quantified(name: str) -> None:
    known = words(*[(day, level.format(1000)) for day, level in EXPANDS])
    unknown = words(*[(day, level.format("ULOQ")) for day, level in EXPANDS])
    assert float(known["tfirst"]) == 7
    assert float(known["tlag"]) == 0
    assert why(known, "lambda_z") == "too_few_points"
    np.testing.assert_equal(float(unknown[name]), float(known[name]))


def test_nothing_but_above_an_unknown_uloq() -> None:
    result = words((0, "BLQ"), (7, ">ULOQ"))
    assert missing_without_reason(result) == []
    assert float(result["tfirst"]) == 7
    assert np.isnan(float(words((7, ">ULOQ"))["cmin"]))


def test_infused_cells_that_never_expanded_are_not_above_uloq() -> None:
    result = one([1, 7, 14], [5000, 0, 0])
    assert why(result, "expansion_rate") != "above_uloq"
    assert why(result, "contraction_half_life") != "above_uloq"


def test_nothing_but_levels_that_were_put_in() -> None:
    for level in ([0.0] * 5, [0.0] * 2):
        time = [0.0, 7, 14, 21, 28][: len(level)]
        assert missing_without_reason(one(time, level, preset="pknca", blq="lloq/2")) == []


def test_a_dropped_sample_at_0_is_no_obstacle_to_the_anchor() -> None:
    rule = {"first": "drop", "middle": "drop", "last": "keep first"}
    areas = [one([first, 7, 14, 21], [0, 500, 200, 100], blq=rule)["auc_last"] for first in (0.0, 0.5)]
    assert float(areas[0]) == float(areas[1])


def test_a_fall_from_an_anchor_at_the_baseline_is_no_rise() -> None:
    result = one([-1, 3, 7, 14], [900, 500, 200, 100], anchor="baseline")
    assert why(result, "tlag") == "no_rise"


def test_an_anchor_at_the_baseline_is_not_0_after_a_quantified_sample() -> None:
    result = one([-5, -1, 3, 7, 14], [9000, 0, 500, 200, 100], anchor="baseline", baseline="mean")
    lowest = one([0, 3, 7, 14], [0, 500, 200, 100])
    assert float(result["auc_last"]) != float(lowest["auc_last"])


def test_the_smallest_level_is_unknown_where_all_are_above_uloq() -> None:
    assert why(one([0, 7], [2000, 3000], uloq=1000), "cmin") == "above_uloq"


@pytest.mark.parametrize(("tail", "name"), [("last", "auc_last"), ("all", "auc_all")])
def test_an_endless_interval_without_a_tail_ends_with_the_samples(tail: str, name: str) -> None:
    result = one([0, 7, 14, 21], [0, 500, 200, 100], preset="pknca", tail=tail, intervals=[(0, np.inf)])
    assert float(result["auc_interval"]) == pytest.approx(float(result[name]), rel=1e-15)


@pytest.mark.parametrize("tail", ["samples", "predicted"])
def test_a_tail_that_pknca_does_not_have_is_refused_or_used(tail: str) -> None:
    try:
        result = one([0, 7, 14, 21, 28], [0, 500, 200, 100, 60], preset="pknca", tail=tail, intervals=[(0, 40)])
    except InputError:
        return
    assert float(result["auc_interval"]) > float(result["auc_last"])


@pytest.mark.parametrize(("option", "uloq"), [("last", None), ("first", 1000)])
def test_the_blq_rule_and_tmax_mean_the_same_tmax(option: str, uloq: float | None) -> None:
    level = [0.0, 800, 0, 800, 100] if uloq is None else [0.0, 5000, 0, 800, 100]
    # The sample at day 14 lies before Tmax = 21 in the first case, after Tmax = 7 in the second.
    dropped = one([0, 7, 14, 21, 28], level, uloq=uloq, tmax=option, blq={"before.tmax": "keep", "after.tmax": "drop"})
    kept = one([0, 7, 14, 21, 28], level, uloq=uloq, tmax=option, blq="keep")
    same = float(dropped["auc_last_lower"]) == float(kept["auc_last_lower"])
    assert same == (uloq is None)


def test_twofold_is_twofold_in_every_unit() -> None:
    levels = np.array([0.0, 1000, 500, 1000])
    found = [float(one([0, 7, 14, 21], list(levels * scale), lloq=1)["second_peak_time"]) for scale in (1.0, 0.49)]
    assert found == [21, 21]


def test_a_line_that_is_flat_but_for_rounding_does_not_decline() -> None:
    result = one([0, 40, 53, 66, 79], [0, 800, 100, 200, 100], min_points=3, rising="discard")
    assert not float(result["half_life"]) > 1e9


def test_no_r_squared_is_above_1() -> None:
    result = one([0, 1], [4094195.0, 2400011.0], min_points=2, tmax_in_line=True)
    assert float(result["r_squared"]) <= 1


def test_a_trough_below_lloq_has_its_own_reason() -> None:
    data = kinetics_from_arrays([0, 7, 14, 21, 28], [[0, 500, 0, 700, 60]], lloq=50, unit="copies/ug")
    table = reasons_table(nca(data)).set_index("parameter")
    assert "700" not in table.loc["trough", "sentence"]


def test_one_blq_sample_at_infusion_says_nothing_of_persistence() -> None:
    assert why(one([0], [0]), "persistence") != "no_sample"


def test_the_lower_bound_of_an_area_is_one() -> None:
    options: dict[str, Any] = {"auc_method": "linear-log", "tmax": "last", "lloq": 1}
    bound = one([0, 7, 14, 21], [0, 1500, 10, 1500], uloq=1000, **options)
    possible = one([0, 7, 14, 21], [0, 1100, 10, 1050], **options)
    assert not float(bound["auc_last_lower"]) > float(possible["auc_last"])


def test_excluded_samples_are_in_no_ratio() -> None:
    table = pd.DataFrame(
        {
            "patient": "P",
            "matrix": ["blood"] * 3 + ["bone marrow"] * 3,
            "time": [0, 7, 14] * 2,
            "level": [100, 1000, 400, 100, 60, 400],
        }
    )
    data = cohort(read_kinetics(table, unit="copies/ug", lloq=50))
    result = nca(exclude(data, patient="P", matrix="blood", time=7, reason="mislabelled"))
    assert result["matrix_ratio_n_pairs"].item() == 2
    assert result["matrix_ratio"].sel(ratio="paired").item() == pytest.approx(1.0)


def infusions() -> xr.DataTree:
    table = pd.DataFrame(
        {"patient": ["A"] * 4 + ["B"] * 4, "time": [0, 7, 28, 40] * 2, "level": [0, 900, 300, 800] * 2}
    )
    doses = pd.DataFrame({"patient": ["A", "A", "B"], "time": [0, 30, 0], "dose": 1e8})
    return cohort(read_kinetics(table, unit="copies/ug", lloq=50), infusions=doses)


def test_no_infusion_has_no_baseline() -> None:
    result = nca(infusions(), infusions="each").sel(patient="B", infusion=2).squeeze()
    assert np.isnan(float(result["baseline"]))


def test_another_infusion_inside_a_window_is_flagged() -> None:
    table = cautions_table(nca(infusions(), window=(0, 60)))
    assert table.query("caution == 'other_infusion'")["patient"].tolist() == ["A"]


def test_a_sample_chosen_by_hand_that_is_blq_is_refused_or_said() -> None:
    slopes = pd.DataFrame({"patient": ["1"], "time": [28.0], "use": "include", "reason": "by eye"})
    data = kinetics_from_arrays([0, 7, 14, 21, 28, 40], [[0, 500, 200, 100, 0, 60]], lloq=50, unit="copies/ug")
    try:
        result = nca(data, slopes=slopes)
    except InputError:
        return
    assert "manual_line" in set(cautions_table(result)["caution"])


@pytest.mark.parametrize("preset", ["cell_therapy", "pknca"])
def test_what_is_too_large_for_a_number_has_a_reason(preset: str) -> None:
    levels = [[0, 1e307, 1.5e308, 1e308, 1e307, 1e306], [0, 100, 9000, 500, 300, 100]]
    data = kinetics_from_arrays([0, 3, 7, 14, 28, 60], levels, lloq=50, unit="copies/ug")
    result = nca(data, preset=preset, intervals=[(0, 28)], dose=1e8)
    table = nca_table(result)
    assert ((table["reason"] != "") == table["value"].isna()).all()
    lost = table[table["reason"] == "too_large"]
    assert {"auc_last", "aumc_last", "mrt_last", "auc_interval 0-28", "auc_last_dn"} <= set(lost["parameter"])
    assert set(lost["patient"]) == {"1"}
    assert float(result["cmax"].values[0, 0]) == 1.5e308
    summary(result)


@pytest.mark.parametrize("name", ["status", "excluded"])
def test_codes_that_are_none_are_refused(name: str) -> None:
    data = kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug")
    for code in (99, -5):
        wrong = data.copy(deep=True)
        wrong[name][0, 0, 1] = code
        with pytest.raises(InputError, match=f"a code of '{name}' is {code}: its codes are whole numbers from -1"):
            nca(wrong)
    whole = data.assign({name: data[name].astype(float)})
    assert float(nca(whole)["cmax"].squeeze()) == 900
    whole[name][0, 0, 1] = np.nan
    with pytest.raises(InputError, match=f"a code of '{name}' is missing or a fraction"):
        nca(whole)


def test_one_profile_without_dims_has_its_tables() -> None:
    result = nca(kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug").isel(patient=0, matrix=0))
    table = nca_table(result).set_index("parameter")
    assert (table.loc["cmax", "value"], table.loc["half_life", "reason"]) == (900, "too_few_points")
    assert nca_table(result, layout="wide")["cmax [copies/ug]"].tolist() == [900]


def test_chunks_without_patients_are_one_piece() -> None:
    pytest.importorskip("dask")
    data = kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug").isel(patient=0)
    xr.testing.assert_equal(nca(data.chunk()), nca(data))
