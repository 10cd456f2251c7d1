"""Doses: where they come from, what they divide, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import cohort, kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.noncompartmental import nca
from ckinetics.noncompartmental.reasons import Reason

TIME = [0, 7, 14, 28, 60]
LEVEL = [[0, 1e4, 5e3, 900, 90], [0, 2e4, 5e3, 900, 80], [0, 0, 0, 0, 0]]


def profiles() -> xr.Dataset:
    return kinetics_from_arrays(TIME, LEVEL, lloq=50, unit="copies/ug", patient=["A", "B", "C"])


def over_patients(values: list[float]) -> xr.DataArray:
    return xr.DataArray(values, {"patient": ["A", "B", "C"]}, ("patient",))


def reason(result: xr.Dataset, name: str) -> list[Reason]:
    return [Reason(int(code)) for code in result["reason_code"].sel(parameter=name).values.ravel()]


def with_infusions(rows: list[tuple[str, float, float]], **columns: object) -> xr.DataTree:
    table = pd.DataFrame(rows, columns=["patient", "time", "dose"])
    return cohort(profiles(), infusions=table, **columns)


@pytest.mark.parametrize("dose", [2e8, [2e8, 2e8, 2e8], over_patients([2e8] * 3), np.full(3, 2e8)])
def test_a_dose_divides_cmax_and_areas(dose: object) -> None:
    result = nca(profiles(), dose=dose, intervals=[(0, 28), (7, 60)])
    for name in ("cmax", "auc_last", "auc_inf_obs"):
        np.testing.assert_allclose(result[f"{name}_dn"], result[name] / 2e8, rtol=1e-15)
    np.testing.assert_allclose(result["auc_interval_dn"], result["auc_interval"] / 2e8, rtol=1e-15)
    assert result["cmax_dn"].attrs["units"] == "(copies/ug)/cells"
    assert result["auc_last_dn"].attrs["pptestcd"] == "AUCLSTD"
    # A patient who never expanded has the reason of what is divided.
    assert reason(result, "cmax_dn") == [Reason.computed, Reason.computed, Reason.all_blq]


def test_without_a_dose_nothing_is_divided() -> None:
    result = nca(profiles())
    assert not [name for name in result.data_vars if str(name).endswith("_dn")]
    assert "cmax_dn" not in result["parameter"].values


def test_an_unknown_dose_is_a_reason() -> None:
    result = nca(profiles(), dose=over_patients([np.nan, 2e8, np.nan]))
    assert reason(result, "cmax_dn") == [Reason.no_dose, Reason.computed, Reason.all_blq]
    assert np.isnan(result["cmax_dn"].values.ravel()).tolist() == [True, False, True]
    assert float(result["cmax"].values[0, 0]) == 1e4


def test_an_unknown_dose_is_a_reason_for_intervals_too() -> None:
    result = nca(profiles(), dose=over_patients([np.nan, 2e8, np.nan]))
    codes = [name for name in result.data_vars if str(name).endswith("reason_code") and "interval" in result[name].dims]
    missing = np.isnan(result["auc_interval_dn"].values)
    assert any((missing == (result[name].values != 0)).all() for name in codes)


def test_doses_of_the_cohort_in_order_of_their_precedence() -> None:
    tree = with_infusions([("B", 0, 2e8), ("A", 40, 9e7), ("A", 0, 1e8)])
    result = nca(tree)
    # The first infusion, in order of time; C has none.
    np.testing.assert_allclose(result["cmax_dn"].values.ravel(), [1e4 / 1e8, 2e4 / 2e8, np.nan])
    # A dose that is given goes before.
    np.testing.assert_allclose(nca(tree, dose=1e7)["cmax_dn"].values.ravel(), [1e-3, 2e-3, np.nan])
    # Infusions without a dose: dose_received of the patients.
    patients = pd.DataFrame({"patient": ["A", "B", "C"], "dose_received": [1e7, 2e7, 3e7]})
    received = with_infusions([("A", 0, np.nan), ("B", 0, np.nan)], patients=patients)
    np.testing.assert_allclose(nca(received)["cmax_dn"].values.ravel(), [1e-3, 1e-3, np.nan])
    only = cohort(profiles(), patients=patients)
    np.testing.assert_allclose(nca(only)["cmax_dn"].values.ravel(), [1e-3, 1e-3, np.nan])
    # A received dose is one of all infusions: it does not belong to each.
    assert "cmax_dn" not in nca(received, infusions="each")


def test_disposition_by_hand() -> None:
    result = nca(profiles(), dose=1e8, disposition=True)
    area, rate = (result[name].values[:2, 0] for name in ("auc_inf_obs", "lambda_z"))
    np.testing.assert_allclose(result["cl_obs"].values[:2, 0], 1e8 / area, rtol=1e-15)
    np.testing.assert_allclose(result["vz_obs"].values[:2, 0], 1e8 / area / rate, rtol=1e-15)
    np.testing.assert_allclose(result["kel_obs"].values[:2, 0], 1 / result["mrt_inf_obs"].values[:2, 0], rtol=1e-15)
    assert result["cl_obs"].attrs["units"] == "cells/(day*copies/ug)"
    for name in ("kel_obs", "cl_obs", "vz_obs"):
        assert reason(result, name)[2] == Reason.all_blq
    without = nca(profiles(), disposition=True)
    assert "kel_obs" in without
    assert "cl_obs" not in without
    assert not {"cl_obs", "kel_obs", "cmin"} & set(nca(profiles(), dose=1e8).data_vars)


def test_a_clearance_needs_an_area() -> None:
    result = nca(profiles(), dose=1e8, disposition=True, preset="pknca")
    # PKNCA's area of a patient who is all BLQ is 0.
    assert float(result["auc_inf_obs"].values[2, 0]) == 0
    assert reason(result, "cl_obs")[2] == Reason.no_area


@pytest.mark.parametrize(
    ("dose", "message"),
    [
        ("1e8 cells", "dose fits neither one number nor the 3 patients"),
        ([1e8, 1e8], "dose fits neither one number nor the 3 patients"),
        (0, "a dose is 0 or less, or infinite: leave it missing"),
        (-1e8, "a dose is 0 or less"),
        (over_patients([1e8, 0, 1e8]), "a dose is 0 or less"),
        (over_patients([1e8] * 3).isel(patient=[0, 1]), "dose is over other patients than the profiles"),
        (over_patients([1e8] * 3).isel(patient=[2, 1, 0]), "dose is over other patients than the profiles"),
        (over_patients([1e8] * 3).drop_vars("patient"), "dose is over other patients than the profiles"),
        (xr.DataArray([1e8] * 3, dims="subject"), "dose is an array without a dim 'patient'"),
    ],
)
def test_wrong_doses_are_refused(dose: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nca(profiles(), dose=dose)


@pytest.mark.parametrize(
    "dose",
    [
        pytest.param(xr.DataArray([[1e8, 1e8]] * 3, {"patient": list("ABC")}, ("patient", "infusion")), id="infusion"),
        pytest.param(xr.DataArray(["a", "b", "c"], {"patient": list("ABC")}, ("patient",)), id="words"),
        pytest.param(np.inf, id="infinite"),
    ],
)
def test_other_wrong_doses_are_refused_in_a_sentence(dose: object) -> None:
    with pytest.raises(InputError):
        nca(profiles(), dose=dose)


def test_profiles_without_patients_have_no_dose() -> None:
    single = profiles().isel(patient=0, drop=True)
    assert float(nca(single)["cmax"].item()) == 1e4
    with pytest.raises(InputError, match="the profiles have no dim 'patient' that a dose could belong to"):
        nca(single, dose=1e8)
