"""Comparisons and averages of fits: against formulas by hand and other packages, by what must not matter, refused."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr
from fit_builders import LEVELS, LLOQ, made_fit, with_two_outputs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.tools import eval_measures

from ckinetics import content_hash, load, save, summary
from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.errors import InputError, StaleResultError
from ckinetics.fitting import Convergence, average, compare, fit
from ckinetics.fitting.comparison import Compared
from ckinetics.fitting.criteria import aic, aicc, bic, differences, ranks, weights
from ckinetics.modeling import load_model
from ckinetics.schema import Status, YesNo
from ckinetics.simulation import simulate

N = len(LEVELS)
TIMES = [1, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365]


@pytest.fixture(scope="module")
def data():
    return simulate("stein2019", times=TIMES, n=3, seed=3, lloq=50)


@pytest.fixture(scope="module")
def fits(data):
    return {
        "free": fit(data, "stein2019", interval="t"),
        "flat": fit(data, "stein2019", interval="t", fixed={"beta": 1e-4}),
        "proportional": fit(data, "stein2019", interval="t", residual="proportional"),
    }


# ---- numbers by hand


def test_criteria_are_those_of_the_formulas_and_of_statsmodels():
    for ll, p, n in ((-12.3, 4, 20), (5.5, 7, 15), (-100.0, 2, 9)):
        values = np.array(-2.0 * ll), np.array(p)
        assert float(aic(*values)) == pytest.approx(eval_measures.aic(ll, n, p), rel=1e-14)
        assert float(aicc(*values, np.array(n))) == pytest.approx(eval_measures.aicc(ll, n, p), rel=1e-14)
        assert float(bic(*values, np.array(n))) == pytest.approx(eval_measures.bic(ll, n, p), rel=1e-14)


def test_a_comparison_by_hand():
    a, b = made_fit((10.0, 12.0), model="a", p=3), made_fit((7.0, 13.5), model="b", p=4)
    found = compare([a, b])
    expected = np.array([[10 + 6 + 24 / 6, 12 + 6 + 24 / 6], [7 + 8 + 40 / 5, 13.5 + 8 + 40 / 5]])
    np.testing.assert_allclose(found["patients"]["aicc"].values, expected, rtol=1e-14)
    np.testing.assert_allclose(found["patients"]["aic"].values, [[16, 18], [15, 21.5]], rtol=1e-14)
    np.testing.assert_allclose(found["patients"]["bic"].values[0], [10 + 3 * np.log(N), 12 + 3 * np.log(N)], rtol=1e-14)
    np.testing.assert_allclose(found["aicc"].values, expected.sum(axis=1), rtol=1e-14)
    difference = expected[1] - expected[0]
    np.testing.assert_allclose(found["patients"]["weight"].values[0], 1 / (1 + np.exp(-difference / 2)), rtol=1e-12)
    assert float(found["weight"][0]) == pytest.approx(1 / (1 + np.exp(-difference.sum() / 2)), rel=1e-12)
    assert found["rank"].values.tolist() == [1.0, 2.0]
    assert found["n_best"].values.tolist() == [2.0, 0.0]
    assert found["n_samples"].values.tolist() == [2 * N, 2 * N]
    assert found["n_parameters"].values.tolist() == [3.0, 4.0]
    assert found.attrs["cohort_hash"] == a.attrs["cohort_hash"]
    by_aic = compare([a, b], criterion="AIC")
    assert by_aic["patients"]["rank"].values.tolist() == [[2, 1], [1, 2]]


def test_the_fits_own_likelihood_is_compared(fits):
    found = compare(fits)
    for at, name in enumerate(("free", "flat")):
        np.testing.assert_array_equal(found["patients"]["minus2ll"].values[at], fits[name]["minus2ll"].values)
    assert found["n_parameters"].values.tolist() == [7, 6, 7]
    # A model with a parameter held cannot describe better than the same one with it free.
    assert (found["patients"]["minus2ll"][1] >= found["patients"]["minus2ll"][0] - 1e-6).all()


def test_likelihoods_on_two_scales_are_brought_to_that_of_ln_level(fits):
    found = compare(fits)
    assert found.attrs["scale"] == "density of ln(level)"
    assert found.attrs["notes"].startswith("fit 'proportional': −2 log-likelihood of the level less 2·Σ ln(level)")
    table = fits["proportional"]["predictions"]
    for row in range(3):
        level, f, sd = (table[name].values[row] for name in ("level", "predicted", "sd"))
        below = table["status"].values[row] == Status.below_lloq
        # The level is normal, so ln(level) has the density of the level times the level.
        log_density = norm.logpdf(level[~below], f[~below], sd[~below]) + np.log(level[~below])
        expected = -2.0 * (log_density.sum() + norm.logcdf(50.0, f[below], sd[below]).sum())
        assert float(found["patients"]["minus2ll"][2, row]) == pytest.approx(expected, abs=1e-6)


def test_a_lognormal_model_is_the_same_on_either_scale():
    """The Jacobian by another package: normal regression of ln y, and its likelihood as that of y."""
    generator = np.random.default_rng(1)
    x = sm.add_constant(np.linspace(0, 1, N))
    y = np.exp(x @ [5.0, 2.0] + generator.normal(0, 0.3, N))
    on_ln = -2.0 * sm.OLS(np.log(y), x).fit().llf
    on_level = on_ln + 2.0 * np.log(y).sum()
    found = compare(
        {
            "ln": made_fit([on_ln], patients=["P1"], levels=y),
            "level": made_fit([on_level], patients=["P1"], levels=y, residual="proportional"),
        }
    )
    np.testing.assert_allclose(found["patients"]["minus2ll"].values[:, 0], on_ln, rtol=1e-12)


def test_a_change_of_unit_changes_nothing_on_the_natural_scale():
    """copies/ng: levels are a thousandth, so each density is a thousandfold."""
    known = int(np.isfinite(LEVELS).sum())
    ug = made_fit((40.0, 50.0), model="ug", residual="combined2")
    ng = made_fit(np.array([40.0, 50.0]) - 2 * known * np.log(1000.0), model="ng", residual="combined2",
                  unit="copies/ng", levels=LEVELS / 1000.0)  # fmt: skip
    found = compare([ug, ng])["patients"]
    np.testing.assert_allclose(found["minus2ll"].values[0], found["minus2ll"].values[1], rtol=1e-12)
    shared = average([ug, ng])["predictions"]
    assert shared["predicted"].attrs["units"] == "copies/ug"


def test_natural_fits_stay_as_they_are():
    one, two = made_fit((40.0, 50.0), model="a", residual="additive"), made_fit(model="b", residual="combined1")
    found = compare([one, two])
    assert found["patients"]["minus2ll"].values.tolist() == [[40.0, 50.0], [10.0, 12.0]]
    assert found.attrs["scale"] == "density of the level"
    assert found.attrs["notes"] == ""


def test_imputed_samples_have_a_jacobian_too():
    one = made_fit((40.0, 50.0), model="a", censoring="M5")
    two = made_fit((90.0, 90.0), model="b", censoring="M5", residual="proportional")
    values = np.where(np.isnan(LEVELS), LLOQ / 2, LEVELS)
    found = compare([one, two])["patients"]["minus2ll"].values[1]
    np.testing.assert_allclose(found, 90.0 - 2 * np.log(values).sum(), rtol=1e-12)


# ---- what must not matter, and what must hold

RUNS = st.lists(
    st.lists(st.floats(-300, 300, allow_nan=False), min_size=2, max_size=2), min_size=1, max_size=5
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(RUNS, st.sampled_from(["AIC", "AICc", "BIC"]), st.sampled_from(["drop", "disqualify"]), st.randoms())
def test_weights_sum_to_one_and_the_order_of_models_changes_nothing(values, criterion, failures, random):
    codes = [[0, random.choice([0, 0, 3])] for _ in values]
    made = {f"m{at}": made_fit(one, p=2 + at, codes=codes[at]) for at, one in enumerate(values)}
    found = compare(made, criterion=criterion, failures=failures)
    has = np.isfinite(found["patients"]["aic"].values)
    sums = np.nansum(found["patients"]["weight"].values, axis=0)
    np.testing.assert_allclose(sums, has.any(axis=0).astype(float), rtol=1e-12)
    if float(found["n_patients"]) and np.isfinite(found["delta"].values).any():
        assert float(np.nansum(found["weight"])) == pytest.approx(1.0, rel=1e-12)
    order = list(made)
    random.shuffle(order)
    other = compare({name: made[name] for name in order}, criterion=criterion, failures=failures)
    for name in ("aicc", "delta", "weight", "rank", "n_best"):
        np.testing.assert_array_equal(other[name].sel(model=list(made)).values, found[name].values)
        if name != "n_best":
            theirs = other["patients"].to_dataset()[name].sel(model=list(made)).values
            np.testing.assert_array_equal(theirs, found["patients"][name].values)


def test_a_constant_added_to_every_likelihood_changes_no_weight():
    one = compare([made_fit((10.0, 12.0), model="a"), made_fit((7.0, 13.5), model="b", p=4)])
    two = compare([made_fit((1010.0, 1012.0), model="a"), made_fit((1007.0, 1013.5), model="b", p=4)])
    for name in ("weight", "delta", "rank"):
        np.testing.assert_allclose(one[name].values, two[name].values, rtol=1e-11)
        np.testing.assert_allclose(one["patients"][name].values, two["patients"][name].values, rtol=1e-11)


def test_the_order_of_patients_changes_nothing():
    one, two = made_fit((10.0, 12.0), model="a"), made_fit((7.0, 13.5), model="b")
    turned = compare([one, two.isel(patient=[1, 0])])
    assert turned["patients"]["minus2ll"].values.tolist() == [[10.0, 12.0], [7.0, 13.5]]
    xr.testing.assert_equal(turned["patients"].to_dataset(), compare([one, two])["patients"].to_dataset())


def test_one_fit_has_all_the_weight_and_ties_share():
    assert compare([made_fit()])["weight"].values.tolist() == [1.0]
    tied = compare([made_fit(model="a"), made_fit(model="b")])
    assert tied["weight"].values.tolist() == [0.5, 0.5]
    assert tied["rank"].values.tolist() == [1.0, 1.0]
    assert tied["n_best"].values.tolist() == [2.0, 2.0]


def test_a_comparison_is_saved_and_loaded(tmp_path, fits):
    for at, made in enumerate((compare(fits), average(fits))):
        save(made, tmp_path / f"{at}.nc")
        assert content_hash(load(tmp_path / f"{at}.nc")) == content_hash(made)


def test_far_apart_and_infinite_differences_have_weights():
    assert weights(differences(np.array([1e5, 0.0]))).tolist() == [0.0, 1.0]
    assert weights(np.array([0.0, np.inf])).tolist() == [1.0, 0.0]
    assert np.isnan(weights(np.array([np.nan, np.nan]))).all()
    assert ranks(np.array([np.inf, 1.0, np.nan])).tolist()[:2] == [2.0, 1.0]


# ---- patients who could not be fitted

FAILING = [Convergence.converged, Convergence.not_converged, Convergence.at_bound]


def failing():
    names = ("P1", "P2", "P3")
    return (
        made_fit((10.0, 12.0, 11.0), model="a", patients=names),
        made_fit((7.0, 1.0, 13.5), model="b", patients=names, p=4, codes=FAILING),
    )


def test_dropped_patients_are_in_no_sum_and_counted():
    found = compare(failing())
    assert (float(found["n_patients"]), float(found["n_left_out"])) == (2.0, 1.0)
    assert found["patients"]["in_sum"].values.tolist() == [YesNo.yes, YesNo.no, YesNo.yes]
    assert found["minus2ll"].values.tolist() == [21.0, 20.5]
    assert found["n_failed"].values.tolist() == [0.0, 1.0]
    assert np.isnan(found["patients"]["minus2ll"][1, 1])
    assert str(found["patients"]["reason"].values[1, 1]) == "ended as not_converged"
    assert int(found["patients"]["convergence"][1, 1]) == Convergence.not_converged
    assert int(found["patients"]["outcome"][1, 1]) == Compared.not_fitted
    # The other model has this patient to itself, and no rank is given to the one that failed.
    assert float(found["patients"]["weight"][0, 1]) == 1.0
    assert np.isnan(found["patients"]["rank"][1, 1])


def test_a_failing_model_is_disqualified_when_that_is_asked():
    found = compare(failing(), failures="disqualify")
    assert float(found["n_patients"]) == 3.0
    assert found["weight"].values.tolist() == [1.0, 0.0]
    assert found["rank"].values.tolist() == [1.0, 2.0]
    assert np.isinf(found["delta"][1])
    assert np.isnan(found["minus2ll"][1])
    assert found["patients"]["weight"].values[:, 1].tolist() == [1.0, 0.0]


def test_a_failing_model_is_refused_when_that_is_asked():
    message = r"patient 'P2' has no AICc for 'b' \(ended as not_converged\), one of 1 such patients: leave them out"
    with pytest.raises(InputError, match=message):
        compare(failing(), failures="refuse")
    compare([made_fit(model="a"), made_fit(model="b")], failures="refuse")


def test_a_patient_whom_no_model_fits_is_in_no_sum():
    made = [made_fit(model=name, codes=[0, int(Convergence.too_few_samples)]) for name in "ab"]
    for policy in ("drop", "disqualify"):
        found = compare(made, failures=policy)
        assert float(found["n_patients"]) == 1.0
        assert np.isnan(found["patients"]["weight"].values[:, 1]).all()
        assert found["weight"].values.tolist() == [0.5, 0.5]


def test_nothing_left_to_sum_is_no_number():
    made = [made_fit(model=name, codes=int(Convergence.no_quantified_sample)) for name in "ab"]
    for policy in ("drop", "disqualify"):
        found = compare(made, failures=policy)
        for name in ("minus2ll", "aicc", "weight", "rank", "delta"):
            assert np.isnan(found[name]).all(), name
        assert summary(found)["failures"].tolist() == ["no quantified sample: 2"] * 2


def test_a_cohort_without_patients_is_compared_to_nothing():
    made = [made_fit((), patients=(), model=name) for name in "ab"]
    for policy in ("drop", "disqualify", "refuse"):
        found = compare(made, failures=policy)
        assert float(found["n_patients"]) == 0.0
        assert np.isnan(found["weight"]).all()
    assert average(made).sizes["patient"] == 0


def test_aicc_without_enough_samples_is_no_number_but_a_reason():
    small, large = made_fit(model="small", p=3), made_fit(model="large", p=N - 1)
    found = compare([small, large])
    assert np.isnan(found["patients"]["aicc"][1]).all()
    assert np.isfinite(found["patients"]["aic"][1]).all()
    assert (
        str(found["patients"]["reason"].values[1, 0])
        == "AICc of 9 parameters needs 11 samples or more, and there are 10"
    )
    assert int(found["patients"]["outcome"][1, 0]) == Compared.undefined
    assert found["n_undefined"].values.tolist() == [0.0, 2.0]
    assert np.isnan(found["aicc"]).all()
    assert float(compare([small, large], criterion="BIC")["n_patients"]) == 2.0
    # One sample more is enough.
    assert np.isfinite(compare([made_fit(p=N - 2)])["patients"]["aicc"]).all()


def test_a_curve_through_all_samples_has_no_likelihood_to_compare():
    lost = made_fit(
        (-80.0, 12.0), model="lost", codes=[int(Convergence.at_bound), 0], estimable=[[YesNo.no], [YesNo.yes]]
    )
    found = compare([made_fit(model="a"), lost])
    assert np.isnan(found["patients"]["minus2ll"][1, 0])
    assert "no parameter is determined" in str(found["patients"]["reason"].values[1, 0])
    assert summary(found)["failures"].tolist() == ["", "no parameter determined: 1"]


def test_a_real_curve_through_all_samples_is_not_compared():
    """Levels without any error: −2LL falls for ever as the residual SD does."""
    times = np.array([1.0, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365])
    levels = load_model("stein2019").evaluate(times)
    profiles = kinetics_from_arrays(times, [levels], lloq=1e-3, unit="copies/ug")
    made = {"true": fit(profiles, "stein2019"), "held": fit(profiles, "stein2019", fixed={"beta": 0.01})}
    assert int(made["true"]["convergence"][0]) == Convergence.at_bound
    found = compare(made)
    assert found["patients"]["outcome"].values[:, 0].tolist() == [Compared.not_fitted, Compared.compared]
    assert float(found["n_patients"]) == 0.0
    assert "the curve goes through the quantified samples" in str(found["patients"]["reason"].values[0, 0])


def test_other_samples_of_a_patient_are_told_and_left_out():
    used = np.ones((2, N), bool)
    used[1, 3] = False
    found = compare([made_fit(model="a"), made_fit(model="b", used=used)])
    assert float(found["n_patients"]) == 1.0
    for at in range(2):
        assert str(found["patients"]["reason"].values[at, 1]) == (
            "the models used different samples (numbers: a 10, b 9), so they cannot be compared here"
        )
    assert summary(found)["failures"].tolist() == ["other samples: 1"] * 2


# ---- the table


def test_the_summary_is_the_table_that_a_person_reads():
    table = summary(compare(failing()))
    assert table["model"].tolist() == ["a", "b"]
    assert table["rank"].tolist() == [1.0, 2.0]
    assert table["failures"].tolist() == ["", "not converged: 1"]
    assert table["patients"].tolist() == [2, 2]
    assert table["patients left out"].tolist() == [1, 1]
    assert table["−2LL"].tolist() == [21.0, 20.5]
    with pytest.raises(InputError, match="the summary of this result has no option 'by': leave it out"):
        summary(compare(failing()), by="arm")


# ---- refused


def test_other_data_are_refused_by_name():
    with pytest.raises(
        StaleResultError, match=r"fit 'b' was computed from other data than 'a' \(hash bbbbbbbbbbbb, not a"
    ):
        compare([made_fit(model="a"), made_fit(model="b", source="b" * 64)])
    with pytest.raises(StaleResultError, match="fit 'a' does not say which data it is of: fit again"):
        compare([made_fit(model="a", source="")])


def test_real_fits_of_other_data_are_refused(data, fits):
    other = fit(data.isel(patient=[0]), "stein2019")
    with pytest.raises(StaleResultError, match="fit 'other' was computed from other data than 'free'"):
        compare({"free": fits["free"], "other": other})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"censoring": "M1"}, "fit 'a' has censoring='M3' and fit 'b' censoring='M1', so they are of different obs"),
        ({"prior": "normal"}, "fit 'b' has a prior, so its −2 log-likelihood is not at its minimum"),
        ({"patients": ("P1", "P3")}, "fits 'a' and 'b' are of different patients: select the same of both"),
        ({"matrix": "marrow"}, "fit 'a' is of 'blood' and fit 'b' of 'marrow': fit both with the same matrix="),
        ({"levels": 2 * LEVELS}, "fits 'a' and 'b' are of other samples of the same cohort"),
        ({"unit": "cells/uL"}, "fits 'a' and 'b' are of other samples of the same cohort"),
    ],
)
def test_fits_that_cannot_be_compared_are_refused(more, message):
    with pytest.raises(InputError, match=message):
        compare([made_fit(model="a"), made_fit(model="b", **more)])


def test_a_prior_is_refused_in_real_fits(data, fits):
    with pytest.raises(InputError, match="fit 'map' has a prior"):
        compare({"free": fits["free"], "map": fit(data, "stein2019", prior="file")})


def test_detection_below_the_limit_is_not_compared_with_what_cannot_use_it():
    status = np.where(np.isnan(LEVELS), Status.not_detected, Status.quantified).astype(np.int8)
    one = made_fit(model="a", lod=20.0, status=status)
    two = made_fit(model="b", lod=20.0, status=status, residual="proportional")
    with pytest.raises(
        InputError, match="fit 'a' uses detection below the LLOQ, which fit 'b' with its residual error"
    ):
        compare([one, two])
    compare([one, made_fit(model="b", lod=20.0, status=status)])


@pytest.mark.parametrize(
    ("given_fits", "options", "message"),
    [
        ([], {}, "there is no fit to compare: give a list of results of fit"),
        ("stein2019", {}, "fits is str: give a list of results of fit"),
        (made_fit(), {}, "fits is DataTree: give a list of results of fit"),
        ([made_fit(), 3], {}, "fit 2 is no result of fit: give what ckinetics.fit returned"),
        ({"x": xr.Dataset()}, {}, "fit 'x' is no result of fit"),
        ([made_fit(), made_fit()], {}, "two fits are of 'one': give a mapping, such as"),
        ([made_fit()], {"criterion": "AICC"}, "criterion is 'AICC'.*: use one of AIC, AICc, BIC"),
        ([made_fit()], {"failures": "ignore"}, "failures is 'ignore'.*: use one of drop, refuse, disqualify"),
    ],
)
def test_wrong_use_ends_in_a_sentence(given_fits, options, message):
    with pytest.raises(InputError, match=message):
        compare(given_fits, **options)


# ---- averages


def two_models(**more):
    """Equal weights in both patients."""
    return [
        made_fit(
            model="a", derived={"cmax": ("copies/ug", 100.0, 6.0), "tmax": ("day", 10.0, 1.0), "own": ("1", 1, 1)}
        ),
        made_fit(model="b", derived={"tmax": ("day", 14.0, 2.0), "cmax": ("copies/ug", 116.0, 15.0)} | more),
    ]


def test_an_average_by_hand():
    found = average(two_models())["derived"].to_dataset()
    assert found["quantity"].values.tolist() == ["cmax", "tmax"]
    one = found.sel(patient="P1", quantity="cmax")
    assert float(one["value"]) == pytest.approx(108.0, rel=1e-14)
    # Buckland et al. 1997: 0.5·sqrt(6² + 8²) + 0.5·sqrt(15² + 8²) = 0.5·10 + 0.5·17
    assert float(one["se"]) == pytest.approx(13.5, rel=1e-14)
    assert float(one["se_within"]) == pytest.approx(10.5, rel=1e-14)
    assert float(one["se_between"]) == pytest.approx(8.0, rel=1e-14)
    factor = np.exp(norm.ppf(0.975) * 13.5 / 108)
    assert float(one["upper"]) == pytest.approx(108 * factor, rel=1e-12)
    assert float(one["lower"]) == pytest.approx(108 / factor, rel=1e-12)


def test_quantities_are_averaged_in_one_unit_or_not_at_all():
    first = {"auc": ("day*copies/ug", 10.0, 1.0), "half_life": ("day", 2.0, 0.1), "k": ("1/day", 1.0, 0.1)}
    other = {"auc": ("day*copies/ng", 0.01, 0.001), "half_life": ("h", 96.0, 2.4), "k": ("1/h", 1.0, 0.1)}
    found = average([made_fit(model="a", derived=first), made_fit(model="b", derived=other)])["derived"].to_dataset()
    assert found["quantity"].values.tolist() == ["auc", "half_life"]
    assert found["unit"].values.tolist() == ["day*copies/ug", "day"]
    np.testing.assert_allclose(found["value"].values, [[10.0, 3.0]] * 2, rtol=1e-12)
    assert float(found["se"].values[0, 1]) == pytest.approx(0.5 * np.hypot(0.1, 1) + 0.5 * np.hypot(0.1, 1), rel=1e-12)


def test_an_average_lies_between_its_models_and_se_is_no_less_than_theirs(fits):
    found = average(fits)
    table = found["weights"]["weight"].transpose("model", "patient").values
    np.testing.assert_array_equal(table, compare(fits)["patients"]["weight"].values)
    name = "cmax"
    each = np.array([one["derived"].to_dataset().sel(quantity=name)["value"].values for one in fits.values()])
    value = found["derived"].to_dataset().sel(quantity=name)["value"].values
    np.testing.assert_allclose(value, (table * each).sum(axis=0), rtol=1e-12)
    assert np.isfinite(found["curves"]["predicted"].values).any()
    each = np.array([one["predictions"]["predicted"].values for one in fits.values()])
    np.testing.assert_allclose(
        found["predictions"]["predicted"].values, (table[:, :, None] * each).sum(axis=0), rtol=1e-12
    )
    se = found["derived"]["se"].values
    known = np.isfinite(se)
    assert known.any()
    assert (se[known] >= found["derived"]["se_within"].values[known] * (1 - 1e-12)).all()


def test_curves_are_averaged_on_the_grids_of_all_models():
    """Exponentials are straight in ln(level), so that they are read off exactly between points of their own grid."""
    grids = np.linspace(0, 270, N), np.concatenate([np.linspace(0, 90, N - 1), [270.0]])
    rates = 0.02, 0.05
    made = []
    for name, grid, rate in zip("ab", grids, rates, strict=True):
        one = made_fit(model=name, curve=1e4 * np.exp(-rate * grid))
        one["curves"]["time"].values[:] = grid
        made.append(one)
    found = average(made)["curves"].to_dataset().isel(patient=0)
    time = found["time"].values
    np.testing.assert_array_equal(time, np.unique(np.concatenate(grids)))
    each = np.array([1e4 * np.exp(-rate * time) for rate in rates])
    np.testing.assert_allclose(found["predicted"].values, each.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["between"].values, np.ptp(each, axis=0) / 2, rtol=1e-9, atol=1e-12)


def test_one_model_averages_to_itself(fits):
    found, own = average({"free": fits["free"]}), fits["free"]
    theirs = own["derived"].to_dataset()
    np.testing.assert_allclose(found["derived"]["value"].values, theirs["value"].values, rtol=1e-14)
    np.testing.assert_allclose(found["derived"]["se"].values, theirs["se"].values, rtol=1e-12)
    np.testing.assert_array_equal(found["curves"]["time"].values, own["curves"]["time"].values)
    np.testing.assert_allclose(found["curves"]["predicted"].values, own["curves"]["predicted"].values, rtol=1e-12)
    assert (found["derived"]["se_between"].values[np.isfinite(theirs["value"].values)] == 0).all()


def test_what_a_model_of_weight_does_not_know_is_not_averaged():
    found = average(two_models(cmax=("copies/ug", 116.0, np.nan), tmax=("day", np.nan, np.nan)))["derived"].to_dataset()
    cmax, tmax = (found.sel(patient="P1", quantity=name) for name in ("cmax", "tmax"))
    assert float(cmax["value"]) == pytest.approx(108.0)
    assert np.isnan(cmax["se"])
    assert str(cmax["reason"].values) == "no standard error from b"
    assert np.isnan(tmax["value"])
    assert str(tmax["reason"].values) == "no value from b"


def test_models_that_failed_a_patient_have_no_weight_there():
    found = average(failing())
    assert found["weights"]["weight"].values[1].tolist() == [1.0, 0.0]
    assert (found["message"].values == "").all()
    by_cohort = average(failing(), weights="cohort")
    assert str(by_cohort["message"].values[1]) == "'b', which has weight, could not be fitted to this patient"
    assert np.isnan(by_cohort["derived"]["value"].values[1]).all()
    assert np.isnan(by_cohort["curves"]["predicted"].values[1]).all()
    shares = by_cohort["weights"]["weight"].values
    np.testing.assert_allclose(shares[0], compare(failing())["weight"].values, rtol=1e-14)
    assert by_cohort["n_models"].values.tolist() == [2, 0, 2]


def test_a_patient_without_any_fit_has_no_average():
    made = [made_fit(model=name, codes=[0, int(Convergence.not_computable)]) for name in "ab"]
    found = average(made)
    assert found["message"].values.tolist() == ["", "no model has a weight for this patient"]
    assert np.isnan(found["predictions"]["predicted"].values[1]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "equal"}, "weights is 'equal'.*: use one of patient, cohort"),
        ({"confidence": 1.0}, "confidence is 1: give a number between 0 and 1"),
        ({"criterion": "DIC"}, "criterion is 'DIC'.*: use one of AIC, AICc, BIC"),
    ],
)
def test_wrong_options_of_an_average_end_in_a_sentence(options, message):
    with pytest.raises(InputError, match=message):
        average([made_fit()], **options)


def test_several_outputs_are_compared_and_averaged():
    one = with_two_outputs(made_fit((10.0, 12.0), model="a"), ("car", "cells"))
    two = with_two_outputs(made_fit((10.0, 90.0), model="b"), ("x", "y"), ("additive on log", "proportional"))
    found = compare([one, two])["patients"]
    assert (found["n_samples"] == 2 * N).all()
    # The second output alone is on the level.
    np.testing.assert_allclose(found["minus2ll"].values[1], np.array([10.0, 90.0]) - 2 * np.nansum(np.log(LEVELS)))
    mean = average([one, two])
    assert mean["predictions"]["predicted"].dims == ("patient", "output", "sample")
    assert mean["predictions"]["unit"].values.tolist() == ["copies/ug", "cells/uL"]
    np.testing.assert_allclose(
        mean["predictions"]["predicted"].values[:, 1], 2 * mean["predictions"]["predicted"].values[:, 0], rtol=1e-12
    )
    assert mean["curves"]["predicted"].dims == ("patient", "output", "point")
    with pytest.raises(InputError, match="fit 'a' is of car, cells and fit 'b' of level: fit both to the same outputs"):
        compare([one, made_fit(model="b")])


def test_a_curve_through_all_samples_ends_anywhere_on_the_natural_scale_and_is_not_compared():
    """Rounding ends the search before the residual SD is at its bound."""
    times = np.array([1.0, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365])
    profiles = kinetics_from_arrays(times, [1e4 * np.exp(-0.1 * times)], lloq=1e-20, unit="copies/ug")
    made = {
        "exact": fit(profiles, "stein2019", residual="combined2", interval="t"),
        "held": fit(profiles, "stein2019", residual="combined2", fixed={"alpha": 0.3, "beta": 0.3}, interval="t"),
    }
    assert int(made["exact"]["convergence"][0]) <= Convergence.converged_at_kink
    found = compare(made, criterion="BIC")
    assert found["patients"]["outcome"].values[:, 0].tolist() == [Compared.not_fitted, Compared.compared]
    assert "no parameter is determined" in str(found["patients"]["reason"].values[0, 0])
