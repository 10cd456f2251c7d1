"""Properties of the parameters, the rules of cell therapy, and bad input."""

from __future__ import annotations

from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.cohorts import cohort, exclude, kinetics_from_arrays, load, read_kinetics, save
from ckinetics.errors import InputError
from ckinetics.noncompartmental import PARAMETERS, cautions_table, nca, nca_summary, reasons_table
from ckinetics.noncompartmental.reasons import SENTENCES, Reason

DAYS = [0, 1, 3, 7, 10, 14, 21, 28, 60, 90]


def one(level: list[float], time: list[float] | None = None, **options: object) -> xr.Dataset:
    limits = {name: options.pop(name) for name in ("lloq", "uloq") if name in options}
    data = kinetics_from_arrays(time or DAYS[: len(level)], [level], unit="copies/ug", **limits)
    return nca(data, **options).squeeze()


def reason(result: xr.Dataset, name: str) -> Reason:
    return Reason(int(result["reason_code"].sel(parameter=name)))


def interval_reason(result: xr.Dataset) -> Reason:
    return Reason(int(result["interval_reason_code"]))


def test_an_exponential_is_exact() -> None:
    rate, start = 0.05, 1e5
    time = [0.0, 5, 10, 20, 40, 80]
    result = one([start * np.exp(-rate * t) for t in time], time, intervals=[(0, np.inf)])
    assert float(result["lambda_z"]) == pytest.approx(rate, rel=1e-12)
    assert float(result["half_life"]) == pytest.approx(np.log(2) / rate, rel=1e-12)
    assert float(result["auc_inf_obs"]) == pytest.approx(start / rate, rel=1e-12)
    assert float(result["auc_inf_pred"]) == pytest.approx(start / rate, rel=1e-12)
    assert float(result["auc_interval"]) == float(result["auc_inf_obs"])
    assert float(result["auc_pct_extrap_obs"]) == pytest.approx(100 * np.exp(-rate * 80), rel=1e-10)


def test_interval_areas_add_up() -> None:
    level = [0, 20, 900, 3e4, 2e4, 9e3, 2e3, 700, 200, 90]
    time = [float(t) for t in DAYS]
    spans = [(0, 5), (5, 28), (28, 45), (45, 200), (0, 200), (0, 28), (0, 45)]
    for method in ("linear", "linear-up/log-down", "linear-log", "log-up/log-down"):
        areas = one(level, time, auc_method=method, intervals=spans)["auc_interval"].values
        assert areas[:4].sum() == pytest.approx(areas[4], rel=1e-12)
        assert areas[0] + areas[1] == pytest.approx(areas[5], rel=1e-12)
        assert areas[5] + areas[2] == pytest.approx(areas[6], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    levels=st.lists(st.floats(60, 1e7), min_size=3, max_size=9),
    gaps=st.lists(st.floats(0.3, 30), min_size=9, max_size=9),
    scale=st.floats(1e-3, 1e3),
    stretch=st.floats(0.1, 10),
)
def test_scaling_level_and_time(levels: list[float], gaps: list[float], scale: float, stretch: float) -> None:
    time = np.concatenate([[0.0], np.cumsum(gaps)])[: len(levels)]
    first = nca(kinetics_from_arrays(time, [levels], unit="copies/ug"), anchor="none").squeeze()
    second = nca(
        kinetics_from_arrays(time * stretch, [np.array(levels) * scale], unit="copies/ug"),
        anchor="none",
        contraction_days=21 * stretch,
        peaks_from=3 * stretch,
    ).squeeze()
    powers = {
        "level": scale,
        "time": stretch,
        "level*time": scale * stretch,
        "level*time^2": scale * stretch**2,
        "1/time": 1 / stretch,
    }
    for name, parameter in PARAMETERS.items():
        if name == "lambda_z_intercept" or name not in first or reason(first, name) != reason(second, name):
            continue
        factor = powers.get(parameter.unit, 1.0)
        np.testing.assert_allclose(second[name], first[name] * factor, rtol=1e-7, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(levels=st.lists(st.floats(60, 1e7), min_size=2, max_size=9))
def test_areas_lie_between_their_bounds(levels: list[float]) -> None:
    time = [float(t) for t in DAYS[: len(levels)]]
    linear = float(one(levels, time, auc_method="linear")["auc_last"])
    mixed = float(one(levels, time, auc_method="linear-up/log-down")["auc_last"])
    log = float(one(levels, time, auc_method="log-up/log-down")["auc_last"])
    low = np.sum(np.diff(time) * np.minimum(levels[:-1], levels[1:]))
    assert low * (1 - 1e-9) <= log <= mixed * (1 + 1e-9)
    assert mixed <= linear * (1 + 1e-9)
    assert linear == pytest.approx(np.trapezoid(levels, time), rel=1e-12)


def test_nearly_equal_levels_keep_their_digits() -> None:
    for relative in (1e-3, 1e-6, 1e-9, 1e-12, 1e-15):
        level = [1000.0, 1000.0 * (1 - relative)]
        area = float(one(level, [0.0, 10.0], auc_method="linear-up/log-down")["auc_last"])
        with mpmath.workdps(50):
            first, second = mpmath.mpf(level[0]), mpmath.mpf(level[1])
            exact = 10 * (first - second) / mpmath.log(first / second)
        assert area == pytest.approx(float(exact), rel=1e-14)


def test_order_of_patients_and_padding_do_not_matter() -> None:
    generator = np.random.default_rng(3)
    levels = np.exp(generator.normal(7, 2, size=(20, 10)))
    levels[generator.random(levels.shape) < 0.2] = np.nan
    data = kinetics_from_arrays(DAYS, levels, lloq=50, unit="copies/ug")
    whole = nca(data)
    for at in (0, 7, 19):
        alone = nca(data.isel(patient=[at], sample=slice(None)))
        for name in whole["parameter"].values.tolist():
            np.testing.assert_array_equal(alone[name].values[0], whole[name].values[at])


def test_blq_rules_of_cell_therapy() -> None:
    time = [0.0, 3, 7, 10, 14, 21, 28, 60, 90]
    blq = 0.0
    result = one([blq, blq, 1000, 8000, blq, 2000, 500, blq, blq], time, lloq=50, intervals=[(0, 28), (0, 50), (0, 80)])
    # Leading BLQ are 0, the embedded one is dropped, of the trailing ones the first is 0.
    linear = one(
        [blq, blq, 1000, 8000, blq, 2000, 500, blq, blq],
        time,
        lloq=50,
        auc_method="linear",
        intervals=[(0, 28), (0, 50), (0, 80)],
    )
    expected = np.trapezoid([0, 0, 1000, 8000, 2000, 500], [0, 3, 7, 10, 21, 28])
    assert float(linear["auc_last"]) == pytest.approx(expected, rel=1e-12)
    to_zero = 0.5 * (60 - 28) * 500
    assert float(linear["auc_all"]) == pytest.approx(expected + to_zero, rel=1e-12)
    at_50 = 500 * (60 - 50) / (60 - 28)
    assert linear["auc_interval"].values.tolist() == pytest.approx(
        [expected, expected + (500 + at_50) / 2 * (50 - 28), expected + to_zero], rel=1e-12
    )
    assert float(result["tlast"]) == 28
    assert float(result["lambda_z_n_points"]) in (0, 2, 3) or reason(result, "lambda_z") == Reason.too_few_points


def test_beyond_the_last_sample_only_with_a_terminal_phase() -> None:
    time = [0.0, 7, 10, 14, 21]
    good = one([0, 9000, 6000, 3000, 800], time, lloq=50, intervals=[(0, 28)])
    rate = float(good["lambda_z"])
    tail = 800 * (1 - np.exp(-rate * 7)) / rate
    assert float(good["auc_interval"]) == pytest.approx(float(good["auc_last"]) + tail, rel=1e-12)
    bad = one([0, 9000, 6000, 6000, 9000], time, lloq=50, intervals=[(0, 28)])
    assert interval_reason(bad) == Reason.no_terminal_phase
    table = reasons_table(nca(kinetics_from_arrays(time, [[0, 9000, 6000, 6000, 9000]], lloq=50, unit="copies/ug")))
    assert "follow-up ends at day 21" in table["sentence"].iloc[-1]


def test_above_uloq_is_a_bound_not_the_next_highest() -> None:
    result = one([0, 100, 900, 5e6, 2e4, 9e3, 2e3, 700], lloq=50, uloq=1e6)
    assert np.isnan(float(result["cmax"]))
    assert reason(result, "cmax") == Reason.above_uloq
    assert float(result["cmax_lower"]) == 1e6
    assert float(result["tmax"]) == 7
    assert reason(result, "auc_last") == Reason.above_uloq
    assert interval_reason(result) == Reason.above_uloq
    assert float(result["half_life"]) > 0
    last = one([0, 100, 900, 5e6], lloq=50, uloq=1e6)
    assert reason(last, "tlast") == Reason.above_uloq
    only = one([np.nan, np.nan, np.nan, 5e6], lloq=50, uloq=1e6)
    assert float(only["cmax_lower"]) == 1e6


def test_a_patient_who_never_expanded() -> None:
    result = one([0.0] * 6, lloq=50)
    assert reason(result, "cmax") == Reason.all_blq
    assert (float(result["cmax_lower"]), float(result["cmax_upper"])) == (0.0, 50.0)
    assert interval_reason(result) == Reason.all_blq
    assert float(one([0.0] * 6, lloq=50, preset="pknca")["cmax"]) == 0.0


def test_the_anchor_and_its_limits() -> None:
    late = one([4000, 2000, 1000, 300], [5.0, 10, 20, 40], lloq=50)
    assert float(late["auc_pct_anchor"]) == pytest.approx(100 * 10000 / float(late["auc_last"]))
    assert reason(one([4000, 2000, 1000, 300], [5.0, 10, 20, 40], anchor="none"), "auc_last") == Reason.starts_late
    too_late = one([4000, 2000, 1000, 300], [8.0, 10, 20, 40])
    assert reason(too_late, "auc_last") == Reason.starts_late
    assert interval_reason(too_late) == Reason.starts_late
    predose = one([300, 4000, 2000, 1000, 300], [-1.0, 5, 10, 20, 40], lloq=50)
    assert reason(predose, "auc_last") == Reason.predose_positive
    blq_predose = one([0, 4000, 2000, 1000, 300], [-1.0, 5, 10, 20, 40], lloq=50)
    assert float(blq_predose["auc_last"]) == float(late["auc_last"])


@pytest.mark.parametrize("level", [[], [np.nan, np.nan], [5.0], [0.0], [0.0, 7.0], [7.0, 7.0, 7.0, 7.0]])
def test_short_and_flat_profiles_have_reasons(level: list[float]) -> None:
    time = [float(t) for t in DAYS[: len(level)]]
    result = nca(
        kinetics_from_arrays(time, np.array([level]), lloq=1, unit="copies/ug"), intervals=[(0, 28), (0, np.inf)]
    )
    for name in result["parameter"].values.tolist():
        value, code = result[name].values[0, 0], result["reason_code"].sel(parameter=name).values[0, 0]
        assert np.isnan(value) == (code != 0), name
    assert (np.isnan(result["auc_interval"].values) == (result["interval_reason_code"].values != 0)).all()
    assert all(reasons_table(result)["sentence"].str.len() > 10)


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


def test_exclusions_and_unusable_samples_are_left_out() -> None:
    rows = pd.DataFrame({"patient": "A", "time": [0, 7, 10, 14, 28], "level": ["ND", "9000", "INV", "4000", "500"]})
    data = cohort(read_kinetics(rows, unit="copies/ug", lloq=50))
    before = nca(data)
    assert float(before["n_quantified"].item()) == 3
    after = nca(exclude(data, patient="A", time=7, reason="mislabelled"))
    assert float(after["cmax"].item()) == 4000
    assert after.attrs["cohort_hash"] != before.attrs["cohort_hash"]


def test_cautions_say_what_a_profile_cannot() -> None:
    data = kinetics_from_arrays(
        [7, 14, 28, 90, 180],
        [[50, 30, 20, 1.0, 5.0], [1, 5, 20, 90, 400], [10, 90, 50, 20, 11]],
        unit="cells/uL",
    )
    found = cautions_table(nca(data)).groupby("patient")["caution"].apply(set)
    assert {"peak_at_first", "rises_again", "lloq_unknown", "still_quantified"} <= found["1"]
    assert "peak_at_last" in found["2"]
    assert "rises_again" not in found["3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "phoenixx"}, "unknown preset"),
        ({"auc_method": "log"}, "unknown auc_method"),
        ({"intervals": [(28, 0)]}, "is not one"),
        ({"intervals": [(-1, 28)]}, "is not one"),
        ({"anchor": "c0"}, "unknown anchor"),
        ({"times": "planned"}, "unknown times"),
        ({"times": "nominal"}, "has no nominal time"),
        ({"group": "flow"}, "no group 'flow'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    data = cohort(kinetics_from_arrays([0, 7], [[0.0, 1000]], lloq=50, unit="copies/ug"))
    with pytest.raises(InputError, match=message):
        nca(data, **options)


def test_times_that_do_not_increase_are_refused_by_name() -> None:
    data = kinetics_from_arrays([0, 7, 14], [[0, 1, 2], [3, 4, 5]], unit="copies/ug", patient=["A", "B"])
    data["time"].values[1, 0, 2] = 7
    with pytest.raises(InputError, match="patient 'B', sample 3: time 7 day is not later"):
        nca(data)


def test_result_is_saved_exactly_and_carries_settings(tmp_path: Path) -> None:
    result = nca(kinetics_from_arrays(DAYS, [[0, 9, 90, 900, 800, 300, 100, 50, 9, 2]], unit="copies/ug"))
    assert load(save(result, tmp_path / "nca.nc")).identical(result)
    assert '"auc_method": "linear-up/log-down"' in result.attrs["settings"]
    assert result["auc_last"].attrs["units"] == "day*copies/ug"
    assert result["cmax"].attrs["pptestcd"] == "CMAX"


def test_summary_statistics() -> None:
    levels = [[0, 100, 50, 25], [0, 400, 200, 100], [0, 0, 0, 0]]
    result = nca(kinetics_from_arrays([0, 7, 14, 21], levels, lloq=1, unit="copies/ug"))
    row = nca_summary(result).set_index("parameter").loc["cmax"]
    assert row["geometric mean"] == pytest.approx(200)
    spread = np.log(4) / np.sqrt(2)
    assert row["geometric CV %"] == pytest.approx(100 * np.sqrt(np.exp(spread**2) - 1))
    assert (row["n"], row["n not calculable"]) == (2, 1)
    assert nca_summary(result).set_index("parameter").loc["tmax", "median"] == 7
    dose = xr.DataArray(["low", "high", "low"], {"patient": result["patient"].values}, ("patient",), name="dose_level")
    by = nca_summary(result, by=dose).set_index(["dose_level", "parameter"])
    assert by.loc[("low", "cmax"), "n not calculable"] == 1
    with pytest.raises(InputError, match="unknown parameter"):
        nca_summary(result, parameters=["cmx"])


def test_no_area_is_interpolated_across_a_sample_above_uloq() -> None:
    level, time = [0, 100, 5e3, 500, 100, 60, 55], [0, 7, 14, 30, 60, 90, 120]
    spans = [(0, 7), (0, 10), (28, 90), (30, 90), (0, 28)]
    result = one(level, time, lloq=50, uloq=1e3, intervals=spans)
    assert np.isfinite(result["auc_interval"].values).tolist() == [True, False, False, True, False]
    assert float(result["auc_interval"][0]) == 350.0
    codes = result["interval_reason_code"].values[[1, 2, 4]]
    assert set(codes.tolist()) == {Reason.above_uloq}
    # Without a level between infusion and the sample above, nothing of that stretch is known.
    late = one([5e3, 500, 100], [7, 14, 30], lloq=50, uloq=1e3, intervals=[(0, 5), (14, 30)])
    assert np.isfinite(late["auc_interval"].values).tolist() == [False, True]


def test_which_sample_above_uloq_was_the_peak_is_not_guessed() -> None:
    single = one([0, 5e3, 100], [0, 7, 14], lloq=50, uloq=1e3)
    assert float(single["tmax"]) == 7
    several = one([0, 5e3, 5e3, 100], [0, 7, 14, 21], lloq=50, uloq=1e3)
    assert np.isnan(float(several["tmax"]))
    assert reason(several, "tmax") == Reason.above_uloq
    limits = np.array([[1e3, 1e3, 1e6]])
    other = one([0, 2e3, 5e4], [0, 7, 14], lloq=50, uloq=limits)
    assert np.isnan(float(other["tmax"]))
    assert float(other["cmax_lower"]) == 5e4


def test_bounds_of_cmax_do_not_depend_on_the_order_of_samples() -> None:
    rows = [("a", 0, "BLQ", 50), ("a", 7, "BLQ", None), ("b", 0, "BLQ", None), ("b", 7, "BLQ", 50)]
    frame = pd.DataFrame(rows, columns=["patient", "time", "level", "lloq"])
    result = nca(read_kinetics(frame, unit="copies/ug"))
    assert np.isnan(result["cmax_upper"].values).all()
    assert all("unknown LLOQ" in sentence for sentence in reasons_table(result).query("parameter == 'cmax'").sentence)
    rows = [("a", 7, ">1e5"), ("a", 14, ">ULOQ"), ("b", 7, ">ULOQ"), ("b", 14, ">1e5")]
    result = nca(read_kinetics(pd.DataFrame(rows, columns=["patient", "time", "level"]), unit="copies/ug"))
    assert result["cmax_lower"].values.ravel().tolist() == [1e5, 1e5]
    rows = [("a", 7, ">ULOQ"), ("a", 14, "500"), ("b", 7, ">ULOQ")]
    result = nca(read_kinetics(pd.DataFrame(rows, columns=["patient", "time", "level"]), unit="copies/ug"))
    assert result["cmax_lower"].values.ravel().tolist()[0] == 500
    lower = reasons_table(result).query("parameter == 'cmax_lower'")
    assert lower[["patient", "reason"]].values.tolist() == [["b", "no_bound"]]


@pytest.mark.parametrize("intervals", [(0, 28), [0, 28], [(0,)], [("a", 3)], [(0, 28), (1, 2, 3)], None])
def test_intervals_that_are_no_pairs_are_refused(intervals: object) -> None:
    with pytest.raises(InputError, match=r"write \[\(0, 28\)\]"):
        one([0, 1e4, 90], intervals=intervals)


def test_an_excluded_sample_needs_no_time() -> None:
    frame = pd.DataFrame(
        {
            "patient": ["P1"] * 3,
            "time": [0.0, 7.0, None],
            "nominal_time": [0, 7, 14],
            "level": ["BLQ", "1e4", "500"],
            "lloq": [50] * 3,
            "excluded": ["no", "no", "yes"],
            "reason": ["", "", "date unknown"],
        }
    )
    assert float(nca(read_kinetics(frame, unit="copies/ug"))["cmax"].item()) == 1e4
    with pytest.raises(InputError, match="sample 3 has no actual time"):
        nca(read_kinetics(frame.assign(excluded="no"), unit="copies/ug"))


def test_a_sample_below_lloq_is_a_trough() -> None:
    time, options = [0, 7, 14, 28, 60], {"unit": "copies/ug", "lloq": 50}
    data = kinetics_from_arrays(time, [[0, 1e4, 0, 800, 300], [0, 1e4, 0, 90, 60], [0, 1e4, 900, 0, 0]], **options)
    found = cautions_table(nca(data)).query("caution == 'rises_again'")["patient"].tolist()
    assert found == ["1"]
