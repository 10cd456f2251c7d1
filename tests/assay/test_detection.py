"""Limit of detection: the reference's figures, statsmodels as a peer, edges, properties, simulation."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from ckinetics.assay import detection_limit, read_plates
from ckinetics.assay.limits.detection_models import MODELS, fit_detection, limit_interval
from ckinetics.errors import InputError
from ckinetics.provenance import sha256_file

KLYMUS = "assay/klymus_lod.csv"
SERIES = {0.3: 5, 1: 13, 3: 22, 10: 24, 30: 24}  # of 24 wells each


def frame(counts, n=24, **more):
    rows = [(copies, "yes" if well < seen else "no") for copies, seen in counts.items() for well in range(n)]
    return pd.DataFrame(rows, columns=["copies", "detected"]).assign(**more)


def arrays(counts, n=24):
    return np.array(list(counts), dtype=float), np.full(len(counts), float(n)), np.array(list(counts.values()), float)


# Klymus et al. 2020


def test_the_references_figures_of_klymus(shared_data):
    found = detection_limit(shared_data / KLYMUS)
    bhc = found.sel(target="BHC", model="single_hit")
    assert bhc["n_detected"].values.tolist() == [25, 59, 96, 96, 96, 96]
    assert bhc["copies"].values.tolist() == [1, 5, 10, 100, 1000, 10000]
    assert bhc["hit_probability"].item() == pytest.approx(0.268, abs=5e-4)
    assert bhc["lod"].item() == pytest.approx(11.2, abs=0.05)
    assert bhc["low"].item() < bhc["lod"].item() < bhc["high"].item()
    # the misfit: 93 % expected and 96/96 seen at 10 copies, 24 % expected at 1
    assert bhc["fitted"].values[[0, 2]] == pytest.approx([0.24, 0.93], abs=0.005)
    assert bhc["p_value"].item() < 1e-3
    assert "does not describe the detection" in bhc["caution"].item()
    assert found["n_blank"].values.tolist() == [96, 96]


def test_its_two_targets_are_one_data_set(shared_data):
    found = detection_limit(shared_data / KLYMUS)
    for target in ("BHC", "SVC"):
        caution = found["caution"].sel(target=target).item()
        assert "BHC and SVC have the same detection in all 576 wells" in caution  # 672 with the 96 NTC
        assert "0.9987" in caution
        assert "count them as one data set" in caution
    alone = detection_limit(shared_data / KLYMUS, target="SVC")
    assert "one data set" not in alone["caution"].item()
    assert alone.sizes["target"] == 1


def test_it_says_where_it_is_from(shared_data):
    found = detection_limit(shared_data / KLYMUS, level=0.9)
    assert found.attrs["cohort_hash"] == sha256_file(shared_data / KLYMUS)
    told = json.loads(found.attrs["settings"])
    assert told == {"interval": 0.95, "interval_kind": "profile likelihood", "level": 0.9, "target": None}
    assert found["lod"].attrs["units"] == "copies/well"


# Against statsmodels

LINKS = {
    "probit": sm.families.links.Probit,
    "logistic": sm.families.links.Logit,
    "single_hit": sm.families.links.CLogLog,
}


def peer(model, copies, n, seen, offset=None, design=None):
    x = np.log10(copies)
    if model == "single_hit":
        design, offset = np.ones((len(x), 1)), np.log(copies)
    elif design is None:
        design = sm.add_constant(x)
    family = sm.families.Binomial(LINKS[model]())
    return sm.GLM(np.column_stack([seen, n - seen]), design, family=family, offset=offset).fit(tol=1e-13, maxiter=300)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("counts", [SERIES, {1: 25, 5: 59, 10: 80, 100: 96}, {2: 3, 4: 9, 8: 15, 16: 22}])
def test_estimates_and_deviance_equal_statsmodels(model, counts):
    n_each = 96 if 59 in counts.values() else 24
    copies, n, seen = arrays(counts, n_each)
    fit, other = fit_detection(copies, n, seen, model), peer(model, copies, n, seen)
    assert fit.reason == ""
    if model == "single_hit":
        assert fit.hit_probability == pytest.approx(math.exp(other.params[0]), rel=1e-7)
    else:
        assert (fit.intercept, fit.slope) == pytest.approx(tuple(other.params), rel=1e-6)
    assert fit.deviance == pytest.approx(other.deviance, rel=1e-7, abs=1e-8)
    assert fit.probability(copies) == pytest.approx(other.fittedvalues, abs=1e-8)
    assert fit.probability(np.array([fit.limit(0.95)])) == pytest.approx([0.95], rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_the_interval_ends_where_statsmodels_likelihood_has_dropped(model):
    """At each end the best likelihood with the limit held there lies chi2/2 below the maximum."""
    copies, n, seen = arrays(SERIES)
    fit = fit_detection(copies, n, seen, model)
    eta = {"probit": 1.6448536, "logistic": math.log(19), "single_hit": math.log(-math.log(0.05))}[model]
    top = peer(model, copies, n, seen).llf
    for end in limit_interval(fit, copies, n, seen, 0.95, 0.95):
        if model == "single_hit":
            family = sm.families.Binomial(LINKS[model]())
            mean = family.link.inverse(eta + np.log(copies / end))
            value = family.loglike(np.column_stack([seen / n, n])[:, 0], mean, var_weights=n)
            held = family.loglike(seen / n, peer(model, copies, n, seen).fittedvalues, var_weights=n)
            drop = held - value
        else:
            held = peer(model, copies, n, seen, offset=np.full(len(n), eta), design=np.log10(copies / end)[:, None])
            drop = top - held.llf
        assert 2 * drop == pytest.approx(chi2.ppf(0.95, 1), abs=2e-4)


def test_the_test_counts_only_levels_that_can_speak():
    # 100 and 1000 copies can show nothing but signals: they must not dilute the misfit at the low levels
    few, many = {1: 25, 5: 59, 10: 96}, {1: 25, 5: 59, 10: 96, 100: 96, 1000: 96}
    one, other = (fit_detection(*arrays(counts, 96), "single_hit") for counts in (few, many))
    assert (one.df, other.df) == (2, 2)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)
    assert one.p_value == pytest.approx(chi2.sf(one.deviance, 2), rel=1e-9)
    # a silent well at 1000 copies does speak
    odd = fit_detection(*arrays(many | {1000: 95}, 96), "single_hit")
    assert odd.p_value < 1e-10


# Theory


def test_an_assay_that_sees_every_molecule_has_three_copies():
    copies = np.array([0.5, 1.0, 2.0, 4.0])
    n = np.full(4, 1e6)
    fit = fit_detection(copies, n, np.round(n * -np.expm1(-copies)), "single_hit")
    assert fit.hit_probability == pytest.approx(1.0, abs=2e-3)
    assert fit.limit(0.95) == pytest.approx(2.9957, rel=2e-3)


def test_more_wells_lower_the_limit():
    found = detection_limit(frame(SERIES)).squeeze("target")
    wells = found["wells"].values
    for model in MODELS:
        own = found.sel(model=model)
        assert own["lod_of_wells"].values[0] == pytest.approx(own["lod"].item(), rel=1e-12)
        assert (np.diff(own["lod_of_wells"].values) < 0).all()
    one = found.sel(model="single_hit")
    assert one["lod_of_wells"].values == pytest.approx(one["lod"].item() / wells, rel=1e-9)  # a well is a share of all
    logistic = found.sel(model="logistic")
    eta = logistic["intercept"].item() + logistic["slope"].item() * np.log10(logistic["lod_of_wells"].values)
    assert 1 - (1 - 1 / (1 + np.exp(-eta))) ** wells == pytest.approx(np.full(len(wells), 0.95), rel=1e-9)


@given(st.floats(1e-3, 1e4))
@settings(max_examples=25, deadline=None)
def test_the_limit_scales_with_the_copies(factor):
    copies, n, seen = arrays(SERIES)
    for model in MODELS:
        one, other = (fit_detection(copies * f, n, seen, model) for f in (1.0, factor))
        assert other.limit(0.95) == pytest.approx(one.limit(0.95) * factor, rel=1e-6)
        assert other.deviance == pytest.approx(one.deviance, rel=1e-6, abs=1e-7)
        ends = np.array(limit_interval(one, copies, n, seen, 0.95, 0.95)) * factor
        assert limit_interval(other, copies * factor, n, seen, 0.95, 0.95) == pytest.approx(tuple(ends), rel=1e-5)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=6), st.floats(0.5, 0.99))
@settings(max_examples=60, deadline=None)
def test_whatever_the_counts_a_limit_lies_in_its_interval_or_has_a_reason(seen, level):
    copies = 0.5 * 4.0 ** np.arange(len(seen))
    found = detection_limit(frame(dict(zip(copies, seen, strict=True)), n=8), level=level).squeeze("target")
    for model in MODELS:
        own = found.sel(model=model)
        lod, low, high = (own[name].item() for name in ("lod", "low", "high"))
        assert math.isnan(lod) == bool(own["reason"].item())
        if not math.isnan(lod):
            assert low <= lod * (1 + 1e-9)
            assert lod <= high * (1 + 1e-9)
            assert 0.99e-3 * copies[0] <= lod <= 1.01e3 * copies[-1]
        p = own["p_value"].item()
        assert math.isnan(p) or 0 <= p <= 1


@given(st.lists(st.integers(1, 7), min_size=2, max_size=5), st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_one_more_signal_lowers_the_single_hit_limit(seen, at):
    assume(at < len(seen))
    copies, n = 2.0 ** np.arange(len(seen)), np.full(len(seen), 8.0)
    one = fit_detection(copies, n, np.array(seen, float), "single_hit")
    more = np.array(seen, float)
    more[at] += 1
    other = fit_detection(copies, n, more, "single_hit")
    assert other.reason or other.limit(0.95) < one.limit(0.95)


# Edges


def test_all_positive_bounds_the_limit_from_above():
    found = detection_limit(frame({5: 24, 10: 24})).squeeze("target")
    one = found.sel(model="single_hit")
    assert math.isnan(one["lod"].item())
    assert one["low"].item() == 0.0
    # the likelihood of 24 signals at 5 and at 10 copies has dropped by chi2/2 there
    k = -math.log(0.05) / one["high"].item()
    ln = 24 * (math.log(-math.expm1(-5 * k)) + math.log(-math.expm1(-10 * k)))
    assert ln == pytest.approx(-chi2.ppf(0.95, 1) / 2, rel=1e-6)
    assert "add levels below 5" in one["reason"].item()
    assert np.isnan(found["high"].sel(model=["probit", "logistic"])).all()


def test_all_silent_bounds_the_limit_from_below():
    found = detection_limit(frame({1: 0, 2: 0})).squeeze("target").sel(model="single_hit")
    assert math.isnan(found["lod"].item())
    assert found["high"].item() == math.inf
    k = -math.log(0.05) / found["low"].item()
    assert k * 24 * 3 == pytest.approx(chi2.ppf(0.95, 1) / 2, rel=1e-6)
    assert "add levels above 2" in found["reason"].item()


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({1: 0, 3: 12, 10: 24}, "meet at one level"),
        ({1: 0, 10: 24}, "meet at one level"),
        ({10: 12}, "meet at one level"),
        ({1: 24, 10: 0}, "does not rise"),
        ({1: 12, 3: 12, 10: 11}, "does not rise"),
        ({1: 12, 3: 12, 10: 13, 30: 12}, "hardly rises"),
    ],
)
def test_probit_and_logistic_refuse_what_has_no_slope(counts, word):
    found = detection_limit(frame(counts)).squeeze("target")
    for model in ("probit", "logistic"):
        own = found.sel(model=model)
        assert math.isnan(own["lod"].item())
        assert math.isnan(own["high"].item())
        assert word in own["reason"].item()
    assert found["lod"].sel(model="single_hit").item() > 0


def test_a_limit_beyond_the_levels_is_named():
    found = detection_limit(frame({0.1: 2, 0.3: 6, 1: 13})).squeeze("target")
    assert "lies outside the levels, 0.1 to 1 copies" in found["caution"].item()


def test_patterns_that_are_alike_by_nature_are_not_remarked_on():
    both = pd.concat([frame({1: 24, 10: 24}, target="A"), frame({1: 24, 10: 24}, target="B")])
    assert "one data set" not in "".join(detection_limit(both)["caution"].values)
    rng = np.random.default_rng(1)
    apart = pd.concat([frame(SERIES, target="A"), frame(SERIES, target="B")], ignore_index=True)
    apart.loc[24 * 5 :, "detected"] = np.concatenate(
        [rng.permutation(["yes"] * seen + ["no"] * (24 - seen)) for seen in SERIES.values()]
    )
    assert "one data set" not in "".join(detection_limit(apart)["caution"].values)
    same = pd.concat([frame(SERIES, target="A"), frame(SERIES, target="B")])
    assert "one data set" in detection_limit(same)["caution"].values[0]


def test_rows_in_another_order_are_still_the_same_wells():
    first = frame(SERIES, target="A").assign(well=[f"W{n:03d}" for n in range(120)])
    second = first.assign(target="B").sample(frac=1.0, random_state=3)
    found = detection_limit(pd.concat([first, second]))
    assert "have the same detection in all 120 wells" in found["caution"].values[0]


def test_wells_of_a_plate(tmp_path):
    rng = np.random.default_rng(6)
    copies = np.repeat([1.0, 3.0, 10.0, 100.0, 1000.0], 16)
    molecules = rng.poisson(copies)
    lines = ["well,sample,target,role,cq,quantity"]
    for at, (level, count) in enumerate(zip(copies, molecules, strict=True)):
        cq = f"{38 - 3.32 * math.log10(count):.3f}" if count else "Undetermined"
        lines.append(f"{'ABCDEFGHIJKLMNOP'[at // 24]}{at % 24 + 1},Std,CAR,standard,{cq},{level:g}")
    lines += ["P1,S1,CAR,unknown,30,", "P2,NTC,CAR,ntc,Undetermined,"]
    (tmp_path / "series.csv").write_text("\n".join(lines))
    found = detection_limit(read_plates(tmp_path / "series.csv")).sel(target="CAR", model="single_hit")
    assert found["n_wells"].values.tolist() == [16] * 5
    seen = [int((molecules[copies == level] > 0).sum()) for level in np.unique(copies)]
    assert found["n_detected"].values.tolist() == seen
    assert found["low"].item() < 2.9957 < found["high"].item()


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (pd.DataFrame({"copies": [1.0, 2.0]}), "neither 'cq' nor 'detected'"),
        (pd.DataFrame({"cq": [30.0]}), "no column 'copies'"),
        (pd.DataFrame({"copies": [-1.0], "detected": ["no"]}), "copies are -1"),
        (pd.DataFrame({"copies": [0.0], "detected": ["yes"]}), "without copies has a signal"),
        (pd.DataFrame({"copies": [None], "cq": [38.0]}), "without copies has a signal"),
        (pd.DataFrame({"copies": [1.0], "detected": ["maybe"]}), "write yes or no"),
        (pd.DataFrame({"copies": [1.0], "detected": [""]}), "write yes or no"),
        (pd.DataFrame({"copies": [1.0], "cq": ["late"]}), "not a number"),
        (pd.DataFrame({"copies": [1.0], "cq": [0.0]}), "no cycle"),
        (pd.DataFrame({"copies": [1.0], "cq": [35.0], "detected": ["no"]}), "do not agree"),
        (pd.DataFrame({"copies": [0.0], "cq": [None]}), "copies above 0"),
        (pd.DataFrame({"copies": [], "cq": []}), "no well"),
    ],
)
def test_faulty_tables_are_refused_in_a_sentence(table, word):
    with pytest.raises(InputError, match=word):
        detection_limit(table)


def test_unknown_targets_and_impossible_levels_are_refused():
    with pytest.raises(InputError, match="target 'X' has no well of known copies"):
        detection_limit(frame(SERIES, target="A"), target="X")
    for options in ({"level": 1.0}, {"interval": 0.0}, {"level": math.nan}):
        with pytest.raises(InputError, match="give a probability between 0 and 1"):
            detection_limit(frame(SERIES), **options)


@pytest.mark.parametrize(("model", "runs"), [("single_hit", 400), ("logistic", 150)])
def test_intervals_cover_the_truth(model, runs):
    rng = np.random.default_rng(12)
    copies, n = np.array([0.5, 1.5, 4.0, 12.0, 40.0]), np.full(5, 20.0)
    held = 0
    for _ in range(runs):
        if model == "single_hit":
            p, truth = -np.expm1(-0.5 * copies), 5.9915
        else:
            p, truth = 1 / (1 + np.exp(1.0 - 3.0 * np.log10(copies))), 10 ** ((math.log(19) + 1) / 3)
        seen = rng.binomial(20, p).astype(float)
        low, high = limit_interval(fit_detection(copies, n, seen, model), copies, n, seen, 0.95, 0.95)
        held += low <= truth <= high
    assert held / runs > 0.91
