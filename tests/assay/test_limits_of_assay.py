"""LOD and LOQ: figures of a published dilution series, statsmodels and brute force as yardsticks, refusals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from ckinetics.assay import detection_limit, quantification_limit
from ckinetics.errors import InputError


@pytest.fixture(scope="module")
def klymus(shared_data):
    return shared_data / "assay" / "klymus_lod.csv"


def series(counts, cq=35.0):
    rows = [(level, cq if at < seen else np.nan) for level, n, seen in counts for at in range(n)]
    return pd.DataFrame(rows, columns=["copies", "cq"])


def test_klymus_single_hit(klymus):
    found = detection_limit(klymus, target="BHC")
    one = found.sel(model="single_hit", target="BHC")
    assert found["n_detected"].values[0, :3].tolist() == [25, 59, 96]
    assert one["hit_probability"].item() == pytest.approx(0.268, abs=5e-4)
    assert one["lod"].item() == pytest.approx(11.2, abs=0.05)
    # 10 copies predict 93 %, and 96 of 96 were seen: the model does not hold
    assert one["fitted"].sel(copies=10).item() == pytest.approx(0.93, abs=0.005)
    assert one["p_value"].item() < 0.05
    assert "the single_hit model does not describe the detection" in found["caution"].item()


def test_the_two_targets_of_klymus_are_one_data_set(klymus):
    for found in (detection_limit(klymus), quantification_limit(klymus)):
        assert all("count them as one data set" in text for text in found["caution"].values)
    assert "one data set" not in detection_limit(klymus, target="BHC")["caution"].item()


def test_klymus_cv_and_loq(klymus):
    found = quantification_limit(klymus)
    bhc, svc = found.sel(target="BHC"), found.sel(target="SVC")
    for level, cv in ((100, 0.119), (10, 0.348), (5, 0.62)):
        assert bhc["cv"].sel(copies=level).item() == pytest.approx(cv, abs=0.0025)
    assert svc["cv"].sel(copies=10).item() == pytest.approx(0.361, abs=5e-4)
    for level, observed, predicted in ((1, 2.557, 1.447), (5, 0.825, 0.655), (10, 0.490, 0.469), (100, 0.173, 0.181)):
        assert bhc["sd_cq"].sel(copies=level).item() == pytest.approx(observed, abs=5e-4)
        # E and s0 are rounded there
        assert bhc["sd_predicted"].sel(copies=level).item() == pytest.approx(predicted, rel=0.013)
    # 34.8 % at 10 copies: the LOQ lies just below; 36.1 %: just above, where the next tested level is 100
    assert bhc["loq_tested"].item() == 10
    assert 9 < bhc["loq"].item() < 10
    assert svc["loq_tested"].item() == 100
    assert 10 < svc["loq"].item() < 11.5
    for one in (bhc, svc):
        assert one["low"].item() < one["loq"].item() < one["high"].item()


def test_single_hit_is_the_maximum_of_its_likelihood():
    counts = [(1.0, 30, 9), (3.0, 30, 19), (10.0, 30, 29)]
    found = detection_limit(series(counts)).sel(model="single_hit").squeeze()
    grid = np.linspace(0.05, 2, 200_001)
    ll = sum(seen * np.log(-np.expm1(-grid * level)) - (n - seen) * grid * level for level, n, seen in counts)
    best = grid[np.argmax(ll)]
    assert found["hit_probability"].item() == pytest.approx(best, abs=2e-5)
    inside = grid[ll > ll.max() - 1.9207]
    assert found["low"].item() == pytest.approx(-math.log(0.05) / inside[-1], rel=1e-4)
    assert found["high"].item() == pytest.approx(-math.log(0.05) / inside[0], rel=1e-4)
    for n in (1, 3):
        assert found["lod_of_wells"].sel(wells=n).item() == pytest.approx(-math.log(0.05) / (best * n), rel=1e-4)


@pytest.mark.parametrize("model", ["probit", "logistic"])
def test_other_models_are_those_of_statsmodels(model):
    import statsmodels.api as sm

    counts = [(1.0, 40, 9), (3.0, 40, 21), (10.0, 40, 36), (30.0, 40, 40)]
    found = detection_limit(series(counts)).sel(model=model).squeeze()
    copies, n, seen = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    link = sm.families.links.Probit() if model == "probit" else sm.families.links.Logit()
    peer = sm.GLM(
        np.column_stack([seen, n - seen]), sm.add_constant(np.log10(copies)), family=sm.families.Binomial(link=link)
    ).fit(tol=1e-12, maxiter=100)
    assert (found["intercept"].item(), found["slope"].item()) == pytest.approx(tuple(peer.params), rel=1e-6)
    assert found["deviance"].item() == pytest.approx(peer.deviance, rel=1e-6)


def test_one_molecule_a_hit_gives_three_copies():
    rng = np.random.default_rng(5)
    copies = np.repeat([0.3, 1.0, 3.0, 10.0], 4000)
    table = pd.DataFrame({"copies": copies, "cq": np.where(rng.poisson(copies) > 0, 36.0, np.nan)})
    found = detection_limit(table).sel(model="single_hit").squeeze()
    assert found["lod"].item() == pytest.approx(3.0, rel=0.05)
    assert found["p_value"].item() > 0.01
    assert found["low"].item() < 3.0 < found["high"].item()


def test_what_cannot_be_estimated_says_why():
    every = detection_limit(series([(10.0, 8, 8), (100.0, 8, 8)])).squeeze()
    assert all("every well has a signal" in text for text in every["reason"].values)
    assert np.isnan(every["lod"].values).all()
    none = detection_limit(series([(1.0, 8, 0)])).squeeze()
    assert all(none["reason"].values)
    steep = quantification_limit(series([(1.0, 8, 8), (10.0, 8, 8)])).squeeze()
    assert steep["reason"].item()
    assert np.isnan(steep["loq"].item())


def test_the_seed_decides():
    rng = np.random.default_rng(3)
    levels = np.repeat([5.0, 20.0, 100.0, 1e4], 20)
    table = pd.DataFrame({"copies": levels, "cq": 38 - 3.32 * np.log10(rng.poisson(levels) + 0.5)})
    first, second, third = (quantification_limit(table, seed=seed).squeeze() for seed in (1, 1, 2))
    ends = [(one["low"].item(), one["high"].item()) for one in (first, second, third)]
    assert ends[0] == ends[1] != ends[2]


@pytest.mark.parametrize(
    ("table", "options", "pattern"),
    [
        ({"copies": [1.0]}, {}, "cq"),
        ({"copies": [0.0], "cq": [35]}, {}, "row 2: a well without copies has a signal"),
        ({"copies": [1.0], "cq": ["late"]}, {}, "cq 'late' is not a number"),
        ({"copies": [1.0], "cq": [35], "target": ["A"]}, {"target": "B"}, "target 'B' has no well"),
        ({"copies": [1.0], "cq": [35]}, {"interval": 2.0}, "interval"),
    ],
)
def test_refusals(tmp_path, table, options, pattern):
    path = tmp_path / "series.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    for function in (detection_limit, quantification_limit):
        with pytest.raises(InputError, match=pattern):
            function(path, **options)
