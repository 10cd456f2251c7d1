from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xarray as xr
from scipy.stats import chi2

from ckinetics.cohorts import cohort, kinetics_from_arrays, load, save
from ckinetics.errors import InputError, StaleResultError
from ckinetics.exposure import exposure_correlation, exposure_response, peaks
from ckinetics.noncompartmental import nca
from ckinetics.statistics.logistic import fit_logistic, is_separated

REFERENCE = Path(__file__).parent.parent / "reference"


def over_patients(values: list[object] | np.ndarray, name: str = "cmax", start: int = 0) -> xr.DataArray:
    names = [f"P{n + start:02d}" for n in range(len(values))]
    return xr.DataArray(np.asarray(values), {"patient": np.array(names, dtype=object)}, ("patient",), name=name)


def inputs(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"input_er_{name}.csv")


ONE_COVARIATE = [
    (model, data)
    for model, data in (
        ("response ~ lcmax", "cohort60"),
        ("response ~ lauc", "cohort60"),
        ("crs_ge2 ~ lcmax", "cohort60"),
        ("crs_ge2 ~ l2cmax", "cohort60"),
        ("crs_ge3 ~ lcmax", "cohort60"),
    )
]


@pytest.mark.parametrize(("model", "data"), ONE_COVARIATE)
@pytest.mark.parametrize("method", ["ML", "Firth"])
def test_estimates_equal_r(model: str, data: str, method: str) -> None:
    table = pd.read_csv(REFERENCE / "logistic_ml_firth.csv")
    rows = table[(table["model"] == model) & (table["data"] == data) & (table["method"] == method)].set_index("term")
    outcome, covariate = model.split(" ~ ")
    frame = inputs(data)
    fit = fit_logistic(frame[covariate].to_numpy(), frame[outcome].to_numpy(float), penalised=method == "Firth")
    assert fit.converged
    assert fit.slope == pytest.approx(rows.loc[covariate, "est"], rel=1e-5)
    assert fit.intercept == pytest.approx(rows.loc["(Intercept)", "est"], rel=1e-5)
    # R's glm takes the weights of its last iteration but one, which leaves up to 1.3e-4 in its standard errors (its
    # tolerance is 1e-8 in the deviance); statsmodels run to 1e-14 is the exact yardstick.
    near = 2e-4 if method == "ML" else 1e-5
    assert fit.slope_se == pytest.approx(rows.loc[covariate, "se"], rel=near)
    assert fit.intercept_se == pytest.approx(rows.loc["(Intercept)", "se"], rel=near)
    if method == "ML":
        exact = sm.GLM(
            frame[outcome].to_numpy(float), sm.add_constant(frame[covariate]), family=sm.families.Binomial()
        ).fit(tol=1e-14)
        assert fit.slope_se == pytest.approx(exact.bse[covariate], rel=1e-7)
        assert fit.slope == pytest.approx(exact.params[covariate], rel=1e-8)
        # R interpolates its profile by a spline, so its ends agree to about 1e-3 only; the ends themselves are
        # checked against a fit of the intercept alone by statsmodels, with the slope as an offset.
        assert fit.slope_lower == pytest.approx(rows.loc[covariate, "profile_lo"], rel=2e-3)
        assert fit.slope_upper == pytest.approx(rows.loc[covariate, "profile_hi"], rel=2e-3)
        x, y = frame[covariate].to_numpy(), frame[outcome].to_numpy(float)
        for end in (fit.slope_lower, fit.slope_upper):
            null = sm.GLM(y, np.ones((len(y), 1)), family=sm.families.Binomial(), offset=end * x).fit(tol=1e-13)
            assert 2 * (rows.loc[covariate, "loglik"] - null.llf) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-6)


def test_firth_profiles_equal_the_checked_ones() -> None:
    table = pd.read_csv(REFERENCE / "firth_logistf_profile.csv")
    count = 0
    for _, row in table.iterrows():
        outcome, covariate = row["model"].split(" ~ ")
        if row["term"] != covariate or "+" in covariate or row["data"] not in ("cohort60", "separated18"):
            continue
        frame = inputs(row["data"])
        fit = fit_logistic(frame[covariate].to_numpy(), frame[outcome].to_numpy(float), penalised=True)
        assert fit.slope_lower == pytest.approx(row["pl_lo_verified"], rel=1e-4)
        assert fit.slope_upper == pytest.approx(row["pl_hi_verified"], rel=1e-4)
        assert fit.p_value == pytest.approx(row["pl_p"], rel=1e-3)
        count += 1
    assert count >= 3


def test_separated_classes() -> None:
    frame = inputs("separated18")
    cmax, crs = over_patients(frame["cmax"].to_numpy(float)), over_patients(frame["crs_ge2"].to_numpy(), "crs")
    assert is_separated(frame["lcmax"].to_numpy(), frame["crs_ge2"].to_numpy())
    result = exposure_response(cmax, crs)
    assert result.attrs["method"] == "firth"
    assert "separates the classes" in result.attrs["message"]
    # The reference is per log10; a doubling is log10(2) of that.
    assert float(result["slope"]) == pytest.approx(3.95416226 * np.log10(2), rel=1e-5)
    assert float(result["odds_ratio_lower"]) == pytest.approx(np.exp(1.4748 * np.log10(2)), rel=1e-4)
    assert float(result["odds_ratio_upper"]) == pytest.approx(np.exp(33.513 * np.log10(2)), rel=1e-3)
    with pytest.raises(InputError, match="separates the classes"):
        exposure_response(cmax, crs, method="logistic")


def test_words_of_response_and_who_is_left_out() -> None:
    cmax = over_patients([1e2, 4e3, 3e2, 9e2, 2e4, 5e3, 7e4, np.nan, 0.0, 10.0])
    best = over_patients(["PD", "pr", "PD", "CR", "CR", "SD", "PR", "CR", "PD", "NE"], "response")
    result = exposure_response(cmax, best)
    assert float(result["n_used"]) == 7
    assert float(result["n_dropped"]) == 3
    assert float(result["n_events"]) == 4
    assert result["drop_reason"].values[7:].tolist() == [
        "exposure could not be calculated",
        "exposure is not positive",
        "response is NE",
    ]
    with pytest.raises(InputError, match=r"response 'better' of patient 'P00' is not known"):
        exposure_response(over_patients([1.0, 2]), over_patients(["better", "PD"]))
    with pytest.raises(InputError, match="is 2: use 0 or 1"):
        exposure_response(over_patients([1.0, 2]), over_patients([2, 1]))
    with pytest.raises(InputError, match="different patients"):
        exposure_response(cmax, best[:-1])
    inner = exposure_response(cmax, best[:-1], join="inner")
    assert float(inner["n_dropped"]) == 3
    assert inner.attrs["left_out_by_join"] == "P09"


@pytest.mark.parametrize(
    ("exposure", "outcome", "message"),
    [
        ([1.0, 2, 3, 4], [1, 1, 1, 1], "all 4 patients had the event"),
        ([1.0, 2, 3, 4], [0, 0, 0, 0], "all 4 patients had no event"),
        ([2.0, 2, 2, 2], [0, 1, 0, 1], "is the same in all 4 patients"),
        ([1.0, 2], [0, 1], "too few"),
        ([np.nan] * 4, [0, 1, 0, 1], "0 patients with both"),
    ],
)
def test_what_cannot_be_estimated_is_said(exposure: list[float], outcome: list[int], message: str) -> None:
    result = exposure_response(over_patients(exposure), over_patients(outcome, "response"))
    assert np.isnan(float(result["odds_ratio"]))
    assert message in result.attrs["message"]


def test_an_odds_ratio_per_doubling_does_not_depend_on_the_unit() -> None:
    frame = inputs("cohort60")
    response = over_patients(frame["response"].to_numpy(), "response")
    first = exposure_response(over_patients(frame["cmax"].to_numpy(float)), response)
    second = exposure_response(over_patients(frame["cmax"].to_numpy(float) * 1e3), response)
    assert float(first["odds_ratio"]) == pytest.approx(float(second["odds_ratio"]), rel=1e-9)
    assert float(first["odds_ratio"]) == pytest.approx(np.exp(1.72145795864915 * np.log10(2)), rel=1e-6)


def test_follow_up_bound_exposures_carry_a_caution() -> None:
    values, outcome = over_patients([1.0, 5, 2, 7, 3, 4], "auc_last"), over_patients([0, 1, 1, 0, 1, 0], "response")
    assert "followed" in exposure_response(values, outcome).attrs["caution"]
    assert exposure_response(values.rename("cmax"), outcome).attrs["caution"] == ""


@pytest.mark.parametrize("pair", [("cmax", "il6_peak"), ("auc28", "il6_peak"), ("cmax", "tumour_burden")])
def test_spearman_equals_r(pair: tuple[str, str]) -> None:
    table = pd.read_csv(REFERENCE / "correlations.csv")
    row = table[(table["x"] == pair[0]) & (table["y"] == pair[1]) & (table["method"] == "spearman")].iloc[0]
    frame = inputs("cohort60")
    result = exposure_correlation(
        over_patients(frame[pair[0]].to_numpy(float)), over_patients(frame[pair[1]].to_numpy(float))
    )
    assert float(result["rho"]) == pytest.approx(row["est"], abs=1e-12)
    assert float(result["p_value"]) == pytest.approx(row["p"], rel=1e-6)
    assert float(result["rho_lower"]) < float(result["rho"]) < float(result["rho_upper"])


def test_peaks_say_what_is_known_of_the_unquantified() -> None:
    levels = kinetics_from_arrays(
        [-1, 1, 5, 40],
        [[900, 10, 80, 999], [0, 1, 2, 3], [5, 10, 2000, 3], [np.nan] * 4],
        unit="pg/mL",
        lloq=5,
        uloq=1000,
    )
    result = peaks(levels)
    assert result["peak"].values.ravel().tolist()[:1] == [80.0]
    assert result["tpeak"].values.ravel().tolist()[:1] == [5.0]
    assert np.isnan(result["peak"].values.ravel()[1:]).all()
    assert result["censored"].values.ravel().tolist() == [0, -1, 1, 0]
    np.testing.assert_equal(result["bound"].values.ravel(), [np.nan, 5, 1000, np.nan])


def test_censored_peaks_are_ranked_not_lost() -> None:
    levels = kinetics_from_arrays([1], [[10.0], [3], [50], [2000], [30], [1500]], unit="pg/mL", lloq=5, uloq=1000)
    peak = peaks(levels)["peak"].sel(matrix="blood")
    cmax = xr.DataArray([2.0, 1, 4, 6, 3, 5], {"patient": peak["patient"].values}, ("patient",), name="cmax")
    ranked = exposure_correlation(cmax, peak)
    assert float(ranked["n_used"]) == 6
    assert float(ranked["n_censored"]) == 3
    assert float(ranked["rho"]) > 0.98
    dropped = exposure_correlation(cmax, peak, censored="drop")
    assert float(dropped["n_used"]) == 3
    assert "too few" in dropped.attrs["message"]


def test_results_are_saved_exactly(tmp_path: Path) -> None:
    frame = inputs("cohort60")
    result = exposure_response(
        over_patients(frame["cmax"].to_numpy(float)), over_patients(frame["response"].to_numpy())
    )
    assert load(save(result, tmp_path / "er.nc")).identical(result)


def test_peaks_of_a_cohort_group() -> None:
    kinetics = kinetics_from_arrays([0, 7], [[0.0, 3.0]], unit="cells/uL")
    rows = pd.DataFrame(
        {"patient": ["1", "1"], "cytokine": ["IL-6", "CRP"], "time": [3, 3], "level": [7, 8], "unit": ["pg/mL", "mg/L"]}
    )
    result = peaks(cohort(kinetics, cytokines=rows))
    assert float(result["peak"].sel(cytokine="IL-6", patient="1")) == 7
    assert str(result["unit"].sel(cytokine="CRP").item()) == "mg/L"
    with pytest.raises(InputError, match="no group 'flow'"):
        peaks(cohort(kinetics), group="flow")


def test_the_penalised_interval_ends_where_brute_force_says() -> None:
    low, high = [4.37, 6.523, 7.098], [8.336, 8.41, 8.936, 9.054, 9.146, 9.643, 10.269, 10.538, 10.751, 11.477]
    x = np.array([*low, *high, 12.234, 12.767])
    y = np.r_[np.zeros(3), np.ones(12)]
    fit = fit_logistic(x, y, penalised=True)
    centred = x - x.mean()

    def profile(slope: float) -> float:
        linear = np.linspace(-60, 60, 240_001)[:, np.newaxis] + slope * centred
        p = 1 / (1 + np.exp(-linear))
        w = p * (1 - p)
        det = w.sum(1) * (w * centred**2).sum(1) - (w * centred).sum(1) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            value = (y * linear - np.logaddexp(0, linear)).sum(1) + 0.5 * np.log(det)
        return float(np.nanmax(value))

    for end in (fit.slope_lower, fit.slope_upper):
        assert 2 * (profile(fit.slope) - profile(end)) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-3)


def test_one_word_is_an_event_and_not_its_letters() -> None:
    result = exposure_response(over_patients([1.0, 2, 3, 4]), over_patients(["CR", "PR", "SD", "CR"], "r"), event="CR")
    assert float(result["n_events"]) == 2
    assert result.attrs["event"] == "CR"


def test_a_confidence_in_percent_is_refused() -> None:
    x, y = over_patients([1.0, 2, 3, 4, 5]), over_patients([0, 1, 0, 1, 1], "r")
    for confidence in (95, 0.0, 1.0):
        with pytest.raises(InputError, match=r"write 0\.95 for 95 %"):
            exposure_response(x, y, confidence=confidence)
        with pytest.raises(InputError, match=r"write 0\.95 for 95 %"):
            exposure_correlation(x, x, confidence=confidence)


def test_an_infinite_exposure_is_left_out() -> None:
    result = exposure_response(over_patients([np.inf, 2.0, 3, 4, 5]), over_patients([0, 1, 0, 1, 1], "r"))
    assert float(result["n_used"]) == 4
    assert result["drop_reason"].values[0] == "exposure could not be calculated"


def test_results_of_different_cohorts_are_not_mixed() -> None:
    profiles = [kinetics_from_arrays([0, 7, 14], np.full((5, 3), top), unit="copies/ug") for top in (100.0, 200.0)]
    first, second = (cohort(one) for one in profiles)
    cmax = nca(first)["cmax"].sel(matrix="blood")
    with pytest.raises(StaleResultError, match="different data"):
        exposure_correlation(cmax, peaks(second, group="kinetics")["peak"].sel(matrix="blood"))
    exposure_correlation(cmax, peaks(first, group="kinetics")["peak"].sel(matrix="blood"))


def test_a_result_says_which_matrix_it_is_of() -> None:
    cmax = over_patients([1.0, 2, 3, 4, 5]).assign_coords(matrix="bone marrow")
    response = exposure_response(cmax, over_patients([0, 1, 0, 1, 1], "r"))
    assert response.attrs["title"] == "cmax in bone marrow against response"
    correlation = exposure_correlation(cmax, over_patients([1.0, 3, 2, 5, 4], "IL-6"))
    assert correlation.attrs["title"] == "cmax in bone marrow against the peak of IL-6"
    assert response.attrs["exposure_series"] == correlation.attrs["exposure_series"] == "bone marrow"
