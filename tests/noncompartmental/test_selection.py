"""Samples of the terminal line chosen by hand, against numpy's line and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.noncompartmental import cautions_table, nca
from ckinetics.noncompartmental.reasons import Reason

TIME = [0, 7, 10, 14, 21, 28, 60, 90]
LEVEL = [[0, 9000, 8000, 2500, 1500, 500, 300, 90], [0, 500, 9000, 4000, 0, 900, 70, 0]]


def profiles() -> xr.Dataset:
    return kinetics_from_arrays(TIME, LEVEL, lloq=50, unit="copies/ug", patient=["A", "B"])


def choose(*rows: tuple[str, float, str], reason: str = "by eye") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["patient", "time", "use"]).assign(reason=reason)


def line(times: list[float], levels: list[float]) -> tuple[float, float]:
    """Slope and R² of numpy's line."""
    slope = np.polyfit(times, np.log(levels), 1)[0]
    return slope, np.corrcoef(times, np.log(levels))[0, 1] ** 2


def at(result: xr.Dataset, name: str, patient: str = "A") -> float:
    return float(result[name].sel(patient=patient).item())


def reason(result: xr.Dataset, name: str, patient: str = "A") -> Reason:
    return Reason(int(result["reason_code"].sel(parameter=name, patient=patient).item()))


def test_a_line_goes_through_the_included_samples_and_no_others() -> None:
    result = nca(profiles(), slopes=choose(("A", 10, "include"), ("A", 28, "include"), ("A", 90, "included")))
    slope, r2 = line([10, 28, 90], [8000, 500, 90])
    assert at(result, "lambda_z") == pytest.approx(-slope, rel=1e-12)
    assert at(result, "r_squared") == pytest.approx(r2, rel=1e-12)
    assert [at(result, f"lambda_z_{name}") for name in ("n_points", "lower", "upper")] == [3, 10, 90]
    assert result["lambda_z_used"].sel(patient="A").values.ravel().tolist() == [0, 0, 1, 0, 0, 1, 0, 1]
    # What is computed from it follows.
    assert at(result, "half_life") == pytest.approx(-np.log(2) / slope)
    assert at(result, "auc_inf_obs") == pytest.approx(at(result, "auc_last") - 90 / slope)
    # The other patient's line is found as before.
    plain = nca(profiles())
    assert at(result, "lambda_z", "B") == at(plain, "lambda_z", "B")
    cautions = cautions_table(result)
    assert cautions.query("caution == 'manual_line'")["patient"].tolist() == ["A"]


def test_included_samples_may_be_two_and_lie_at_or_before_tmax() -> None:
    two = nca(profiles(), slopes=choose(("A", 60, "include"), ("A", 90, "include")))
    assert at(two, "lambda_z") == pytest.approx(np.log(300 / 90) / 30, rel=1e-12)
    assert reason(two, "adj_r_squared") == Reason.too_few_points
    early = nca(profiles(), slopes=choose(("A", 7, "include"), ("A", 10, "include")))
    assert at(early, "lambda_z") == pytest.approx(np.log(9 / 8) / 3, rel=1e-12)
    one = nca(profiles(), slopes=choose(("A", 60, "include")))
    assert reason(one, "lambda_z") == Reason.too_few_points


def test_an_excluded_sample_is_passed_over() -> None:
    result = nca(profiles(), slopes=choose(("A", 60, "exclude")))
    without = profiles().copy(deep=True)
    without["excluded"].values[0, 0, 6] = 1
    other = nca(without)
    assert at(result, "lambda_z") == at(other, "lambda_z")
    assert at(result, "lambda_z_n_points") == at(other, "lambda_z_n_points")
    # It still counts for everything else.
    assert at(result, "auc_last") == at(nca(profiles()), "auc_last") != at(other, "auc_last")
    assert result["lambda_z_used"].sel(patient="A").values.ravel()[6] == 0
    assert cautions_table(result).query("caution == 'manual_line'")["patient"].tolist() == ["A"]
    # A choice outside the window is none.
    short = cautions_table(nca(profiles(), slopes=choose(("A", 60, "exclude")), window=(0, 30)))
    assert "manual_line" not in short["caution"].tolist()
    # Where samples are both included and excluded, the line goes through those included.
    both = nca(profiles(), slopes=choose(("A", 28, "include"), ("A", 90, "include"), ("A", 60, "exclude")))
    assert at(both, "lambda_z") == pytest.approx(np.log(500 / 90) / 62, rel=1e-12)


def test_a_chosen_line_that_rises_has_no_half_life() -> None:
    result = nca(profiles(), slopes=choose(("B", 7, "include"), ("B", 10, "include"), reason="a mistake"))
    assert np.isnan(at(result, "half_life", "B"))
    assert {reason(result, name, "B") for name in ("lambda_z", "half_life", "auc_inf_obs")} == {Reason.no_decline}


def test_reasons_and_names_stand_beside_the_samples(tmp_path: Path) -> None:
    table = choose(("A", 28, "include"), ("A", 90, "include"), ("B", 60, "exclude"))
    table["reason"] = ["two phases", "two phases", "haemolysed"]
    table["by"] = ["JD 2026-01-05", "", "JD"]
    path = tmp_path / "slopes.csv"
    table.rename(columns={"patient": "USUBJID", "time": "day"}).to_csv(path, index=False)
    result = nca(profiles(), slopes=path)
    reasons = result["lambda_z_choice_reason"].squeeze("matrix")
    assert reasons.sel(patient="A").values.tolist() == [
        "",
        "",
        "",
        "",
        "",
        "two phases (JD 2026-01-05)",
        "",
        "two phases",
    ]
    assert reasons.sel(patient="B").values.tolist() == [*[""] * 6, "haemolysed (JD)", ""]
    assert '"slopes": 3' in result.attrs["settings"]
    assert "lambda_z_choice_reason" not in nca(profiles())


def test_several_matrices_are_told_apart() -> None:
    both = xr.concat(
        [
            kinetics_from_arrays(TIME, LEVEL, lloq=50, unit="copies/ug", matrix=name)
            for name in ("blood", "bone marrow")
        ],
        dim="matrix",
    )
    table = choose(("1", 28, "include"), ("1", 90, "include"))
    with pytest.raises(InputError, match="matrix"):
        nca(both, slopes=table)
    result = nca(both, slopes=table.assign(matrix="bone marrow"))
    assert result["lambda_z_n_points"].sel(patient="1").values.tolist()[1] == 2
    assert result["lambda_z_n_points"].sel(patient="1").values.tolist()[0] != 2
    with pytest.raises(InputError, match="row 1: there is no matrix 'csf' in the profiles"):
        nca(both, slopes=table.assign(matrix="csf"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (choose(("C", 28, "include")), "row 1: there is no patient 'C' in the profiles"),
        (
            choose(("A", 28, "include"), ("A", 29, "include")),
            "row 2: patient 'A' has no sample at day 29: its samples are at 0, 7",
        ),
        (choose(("A", 28, "keep")), "row 1: use is 'keep': write include or exclude"),
        (choose(("A", 28, "include"), reason=""), "row 1: a choice by hand needs a reason"),
        (choose(("A", 28, "include"), ("A", 28, "exclude")), "row 2: this sample was chosen in an earlier row"),
        (choose(("A", 28, "include")).drop(columns="reason"), "reason"),
        (choose(("A", 28, "include")).drop(columns="time"), "time"),
        (choose(("A", 28, "include")).assign(time="soon"), "row 1: time 'soon' is not a number"),
    ],
)
def test_wrong_rows_are_named(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nca(profiles(), slopes=table)


def test_a_wrong_row_of_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "slopes.csv"
    choose(("A", 28, "include"), ("A", 29, "include")).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"slopes\.csv, row 3: patient 'A' has no sample at day 29"):
        nca(profiles(), slopes=path)


def test_a_sample_that_no_line_can_go_through_is_refused() -> None:
    with pytest.raises(InputError, match="row 1"):
        nca(profiles(), slopes=choose(("B", 21, "include"), ("B", 28, "include"), ("B", 60, "include")))
    # With no other sample included the line was even found as if nothing had been chosen.
    with pytest.raises(InputError, match="row 1"):
        nca(profiles(), slopes=choose(("B", 21, "include")))
