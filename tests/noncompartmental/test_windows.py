"""Windows, infusions and intervals: which samples enter, from when times count, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import cohort, kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.noncompartmental import cautions_table, nca, nca_table, persistence_summary, reasons_table
from ckinetics.noncompartmental.reasons import Reason
from ckinetics.noncompartmental.windows import interval_of
from ckinetics.reporting import summary

TIME = [-1, 0, 7, 14, 28, 40, 50, 60, 80]
LEVEL = [[0, 0, 1e4, 5e3, 900, 300, 8e3, 3e3, 500], [0, 0, 2e4, 5e3, 900, 400, 200, 100, 60]]


def profiles() -> xr.Dataset:
    return kinetics_from_arrays(TIME, LEVEL, lloq=50, unit="copies/ug", patient=["A", "B"])


def infused(rows: list[tuple[str, float, float]]) -> xr.DataTree:
    table = pd.DataFrame(rows, columns=["patient", "time", "dose"])
    return cohort(profiles(), infusions=table)


TWICE = [("A", 0, 1e8), ("A", 40, 5e7), ("B", 0, 2e8)]


def reason(result: xr.Dataset, name: str, *at: int) -> Reason:
    return Reason(int(result["reason_code"].sel(parameter=name).values[at]))


def alone(time: list[float], level: list[float], **options: object) -> xr.Dataset:
    return nca(kinetics_from_arrays(time, [level], lloq=50, unit="copies/ug"), **options)


def test_a_window_keeps_its_samples_and_times_count_from_its_start() -> None:
    result = nca(profiles(), window=(40, 60), intervals=[(0, 10)], auc_method="linear")
    first = {
        name: float(result[name].values[0, 0])
        for name in ("cmax", "tmax", "tlast", "n_samples", "first_time", "last_time")
    }
    assert first == {"cmax": 8e3, "tmax": 10, "tlast": 20, "n_samples": 3, "first_time": 0, "last_time": 20}
    assert result["auc_last"].values[0, 0] == pytest.approx(np.trapezoid([300, 8e3, 3e3], [0, 10, 20]))
    assert result["auc_interval"].values[0, 0, 0] == pytest.approx(np.trapezoid([300, 8e3], [0, 10]))
    assert (result["persistence_lower"].values[0, 0], result["persistence_upper"].values[0, 0]) == (20, np.inf)
    # What lies before it is the baseline.
    assert result["baseline"].values.ravel().tolist() == [900, 900]
    # The mean concentration is over the window.
    cav = nca(profiles(), window=(40, 60), disposition=True, auc_method="linear")
    np.testing.assert_allclose(cav["cav"], cav["auc_last"] / 20)
    # Samples stay at their own times.
    assert result["time"].values[0, 0].tolist() == TIME


def test_a_window_is_the_analysis_of_its_samples_alone() -> None:
    result = nca(profiles(), window=(7, 60))
    other = alone([0, 7, 21, 33, 43, 53], LEVEL[0][2:8])
    for name in other["parameter"].values.tolist():
        if name != "baseline":
            np.testing.assert_array_equal(result[name].values[0, 0], other[name].values[0, 0], err_msg=name)


@pytest.mark.parametrize("window", [(28, 0), (7, 7), (np.nan, 7)])
def test_a_window_that_ends_before_it_begins_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="is not one: it ends before it begins"):
        nca(profiles(), window=window)


@pytest.mark.parametrize("window", [7, (7,), ("a", "b")])
def test_a_window_is_a_pair_of_numbers(window: object) -> None:
    with pytest.raises(InputError, match=r"is no pair of numbers: write \(0, 28\)"):
        nca(profiles(), window=window)


def test_each_infusion_has_its_own_analysis_with_times_from_it() -> None:
    result = nca(infused(TWICE), infusions="each", intervals=[(0, 20)], auc_method="linear")
    assert result["cmax"].dims == ("patient", "matrix", "infusion")
    assert result["infusion"].values.tolist() == [1, 2]
    np.testing.assert_array_equal(result["infusion_time"].values, [[0, 40], [0, np.nan]])
    np.testing.assert_array_equal(result["cmax"].values[:, 0], [[1e4, 8e3], [2e4, np.nan]])
    np.testing.assert_array_equal(result["tmax"].values[:, 0], [[7, 10], [7, np.nan]])
    assert result["auc_interval"].values[0, 0, 1, 0] == pytest.approx(np.trapezoid([300, 8e3, 3e3], [0, 10, 20]))
    # The sample of day 40 is the last of the first infusion and the first of the second.
    assert result["n_samples"].values[:, 0].tolist() == [[5, 4], [8, 0]]
    assert result["last_time"].values[0, 0, 0] == 40
    assert result["first_time"].values[0, 0, 1] == 0
    assert result["persistence_lower"].values[0, 0].tolist() == [40, 40]
    # Each infusion is the analysis of its samples alone.
    other = alone([0, 10, 20, 40], LEVEL[0][5:], auc_method="linear")
    for name in other["parameter"].values.tolist():
        if name != "baseline":
            np.testing.assert_array_equal(result[name].values[0, 0, 1], other[name].values[0, 0], err_msg=name)
    assert result["lambda_z_used"].dims == ("patient", "matrix", "infusion", "sample")
    assert not (result["lambda_z_used"].values[0, 0, 0] * result["lambda_z_used"].values[0, 0, 1])[:5].any()


def test_the_level_before_a_second_infusion_is_its_baseline() -> None:
    result = nca(infused(TWICE), infusions="each")
    assert result["baseline"].values[0, 0, 1] == 900
    assert reason(result, "baseline", 0, 0, 0) == Reason.baseline_blq
    # Where no sample lies at the infusion, no level of 0 is put there after a positive one.
    late = nca(infused([("A", 0, 1e8), ("A", 45, 5e7), ("B", 0, 2e8)]), infusions="each")
    assert reason(late, "auc_last", 0, 0, 1) == Reason.predose_positive
    assert late["tmax"].values[0, 0, 1] == 5


def test_a_patient_without_the_infusion_has_nothing_in_it() -> None:
    result = nca(infused(TWICE), infusions="each")
    names = result["parameter"].values.tolist()
    assert {reason(result, name, 1, 0, 1) for name in names} == {Reason.no_infusion}
    assert all(np.isnan(result[name].values[1, 0, 1]) for name in names)


def test_an_infusion_that_was_not_given_has_no_baseline() -> None:
    result = nca(infused(TWICE), infusions="each")
    assert np.isnan(result["baseline"].values[1, 0, 1])


def test_doses_are_those_of_the_infusion() -> None:
    result = nca(infused(TWICE), infusions="each")
    np.testing.assert_allclose(result["cmax_dn"].values[:, 0], [[1e4 / 1e8, 8e3 / 5e7], [2e4 / 2e8, np.nan]])
    once = nca(infused(TWICE))
    np.testing.assert_allclose(once["cmax_dn"].values[:, 0], [1e4 / 1e8, 2e4 / 2e8])


def test_another_infusion_inside_the_window_is_flagged() -> None:
    def other(data: xr.DataTree, **options: object) -> list[str]:
        return cautions_table(nca(data, **options)).query("caution == 'other_infusion'")["patient"].tolist()

    assert other(infused(TWICE)) == ["A"]
    assert other(infused(TWICE), infusions="each") == []
    assert other(infused([("A", 0, 1e8), ("B", 0, 1e8)])) == []
    # At or after the last sample it does not matter, the day before it does.
    assert other(infused([("A", 0, 1e8), ("A", 80, 1e8), ("B", 0, 1e8), ("B", 79, 1e8)])) == ["B"]
    assert "another infusion" in cautions_table(nca(infused(TWICE)))["sentence"].str.cat()


def test_another_infusion_inside_a_window_of_days_is_flagged() -> None:
    assert "other_infusion" in cautions_table(nca(infused(TWICE), window=(0, 60)))["caution"].tolist()


def test_infusions_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(InputError, match="needs the cohort's group 'infusions'"):
        nca(profiles(), infusions="each")
    with pytest.raises(InputError, match="unknown infusions 'all': use one of first, each"):
        nca(profiles(), infusions="all")
    tree = infused(TWICE)
    tree["infusions"]["time"].values[0] = 40
    with pytest.raises(InputError, match="patient 'A' has two infusions at day 40"):
        nca(tree)
    tree["infusions"]["time"].values[0] = np.nan
    with pytest.raises(InputError, match="an infusion of patient 'A' has no time"):
        nca(tree)


@pytest.mark.parametrize(
    ("given", "span", "label"),
    [
        ((0, 28), (0, 28), "0-28"),
        ("0-28", (0, 28), "0-28"),
        ("7 - 28 d", (7, 28), "7-28"),
        ("0-4 weeks", (0, 28), "0-4 weeks"),
        ("0-6 months", (0, 182.625), "0-6 months"),
        ("0 to 12 Months", (0, 365.25), "0-12 months"),
        ("0–3 months", (0, 91.3125), "0-3 months"),
        ("0-inf", (0, np.inf), "0-inf"),
        ((0, np.inf), (0, np.inf), "0-inf"),
        ((0.5, 28), (0.5, 28), "0.5-28"),
    ],
)
def test_intervals_and_their_labels(given: object, span: tuple[float, float], label: str) -> None:
    assert interval_of(given) == (span, label)


def test_an_interval_of_months_is_in_the_result() -> None:
    result = alone([0, 7, 90, 200], [0, 9e3, 800, 100], intervals=["0-6 months", (0, 182.625)])
    assert result["interval"].values.tolist() == ["0-6 months", "0-182.625"]
    assert result["interval_end"].values.tolist() == [182.625, 182.625]
    months, days = result["auc_interval"].values.ravel()
    assert months == days


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        (["28-0"], r"interval \(28, 0\) is not one"),
        ([(0, 28), "0-28"], "interval 0-28 is named twice"),
        ([(0, np.nan)], "is not one"),
    ],
)
def test_wrong_intervals_are_refused(intervals: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        alone([0, 7], [0, 900], intervals=intervals)


@pytest.mark.parametrize("interval", ["0-6 years", "six months"])
def test_an_interval_that_is_not_understood_is_named(interval: str) -> None:
    with pytest.raises(InputError, match=f"interval '{interval}' is not understood"):
        alone([0, 7], [0, 900], intervals=[interval])


def test_a_patient_without_any_infusion_on_record_is_not_lost() -> None:
    result = nca(infused([("A", 0, 1e8), ("A", 40, 5e7)]), infusions="each")
    assert set(result["reason_code"].values[1].ravel().tolist()) == {Reason.no_infusion}
    assert set(result["interval_reason_code"].values[1].ravel().tolist()) == {Reason.no_infusion}
    table = summary(result).set_index(["parameter", "infusion"])
    assert table.loc[("cmax", 1), ["n", "n not calculable"]].tolist() == [1, 1]
    assert table.loc[("cmax", 2), ["n", "n not calculable"]].tolist() == [1, 0]
    for layout in ("long", "wide"):
        labels = nca_table(result, layout=layout)[["patient", "infusion"]].drop_duplicates().values.tolist()
        assert labels == [["A", "1"], ["A", "2"], ["B", "1"]]
    assert set(nca_table(result, layout="pp").query("USUBJID == 'B'")["PPREASND"]) == {
        "this infusion of the patient is not on record"
    }
    assert persistence_summary(result, draws=100)["n not calculable"].tolist() == [1, 0]


def test_the_reasons_are_those_of_the_table_of_values() -> None:
    """Also those of areas over a dose; and an infusion that was not given has none."""
    result = nca(infused([("A", 0, 1e8), ("A", 40, np.nan), ("B", 0, 2e8)]), infusions="each", intervals=[(0, 9)])
    table = nca_table(result)
    columns = ["patient", "matrix", "infusion", "parameter", "reason", "sentence"]
    expected = table.loc[table["reason"] != "", columns].sort_values(columns[:4])
    found = reasons_table(result)[columns].sort_values(columns[:4])
    assert found.values.tolist() == expected.values.tolist()
    missing = found.query("parameter == 'auc_interval_dn 0-9'")[["patient", "infusion", "reason"]].values.tolist()
    assert missing == [["A", "2", "no_dose"]]


def test_a_reason_in_a_window_speaks_of_the_window() -> None:
    table = reasons_table(nca(profiles(), window=(10, 60))).set_index(["patient", "parameter"])
    assert table.loc[("A", "auc_last"), "sentence"] == (
        "a sample before the window (from day 10) was quantifiable, so the level at time 0 is not zero"
    )
    late = reasons_table(nca(profiles(), window=(100, 200))).set_index(["patient", "parameter"])
    assert late.loc[("A", "cmax"), "sentence"] == "there is no usable sample at or after the window (from day 100)"
    plain = reasons_table(alone([-3, 5, 9], [60, 900, 300])).set_index("parameter")
    assert plain.loc["auc_last", "sentence"].startswith("a sample before infusion was quantifiable")


def test_one_interval_may_stand_alone_as_text() -> None:
    assert nca(profiles(), intervals="0-28")["interval"].values.tolist() == ["0-28"]
