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
    assert one["lod"].sel(wells=1).item() == pytest.approx(11.2, abs=0.05)
    # 10 copies predict 93 %, and 96 of 96 were seen: the model does not hold
    assert 1 - math.exp(-10 * one["hit_probability"].item()) == pytest.approx(0.93, abs=0.005)
    assert one["p_value"].item() < 0.05


def test_the_two_targets_of_klymus_are_one_data_set(klymus):
    found = detection_limit(klymus)
    assert "'BHC' and 'SVC' are silent in the same" in found.attrs["cautions"]
    assert "count them as one data set" in found.attrs["cautions"]
    assert detection_limit(klymus, target="BHC").attrs["cautions"] == ""


def test_klymus_cv_and_loq(klymus):
    found = quantification_limit(klymus)
    bhc, svc = found.sel(target="BHC"), found.sel(target="SVC")
    at = {level: place for place, level in enumerate(bhc["copies"].values.tolist())}
    for level, cv in ((100, 0.119), (10, 0.348), (5, 0.62)):
        assert bhc["cv"].values[at[level]] == pytest.approx(cv, abs=0.0025)
    assert svc["cv"].values[at[10]] == pytest.approx(0.361, abs=5e-4)
    for level, observed, predicted in ((1, 2.557, 1.447), (5, 0.825, 0.655), (10, 0.490, 0.469), (100, 0.173, 0.181)):
        assert bhc["sd_cq"].values[at[level]] == pytest.approx(observed, abs=5e-4)
        assert bhc["predicted_sd"].values[at[level]] == pytest.approx(predicted, rel=0.013)  # rounded E and s0 there
    # 34.8 % at 10 copies: the LOQ lies just below; 36.1 %: just above, where the next tested level is 100
    assert bhc["loq_tested"].item() == 10
    assert 9 < bhc["loq"].item() < 10
    assert svc["loq_tested"].item() == 100
    assert 10 < svc["loq"].item() < 11.5
    for one in (bhc, svc):
        assert one["loq_low"].item() < one["loq"].item() < one["loq_high"].item()


def test_single_hit_is_the_maximum_of_its_likelihood():
    counts = [(1.0, 30, 9), (3.0, 30, 19), (10.0, 30, 29)]
    found = detection_limit(series(counts)).sel(model="single_hit")
    grid = np.linspace(0.05, 2, 200_001)
    ll = sum(seen * np.log(-np.expm1(-grid * level)) - (n - seen) * grid * level for level, n, seen in counts)
    best = grid[np.argmax(ll)]
    assert found["hit_probability"].item() == pytest.approx(best, abs=2e-5)
    for n in (1, 3):
        assert found["lod"].sel(wells=n).item() == pytest.approx(-math.log(0.05) / (best * n), rel=1e-4)


def test_one_molecule_a_hit_gives_three_copies():
    rng = np.random.default_rng(5)
    copies = np.repeat([0.3, 1.0, 3.0, 10.0], 4000)
    table = pd.DataFrame({"copies": copies, "cq": np.where(rng.poisson(copies) > 0, 36.0, np.nan)})
    found = detection_limit(table).sel(model="single_hit", wells=1)
    assert found["lod"].item() == pytest.approx(3.0, rel=0.05)
    assert found["p_value"].item() > 0.01
    assert found["lod_low"].item() < 3.0 < found["lod_high"].item()


@pytest.mark.parametrize("model", ["probit", "logistic"])
def test_other_models_reach_the_probability_at_their_limit(model):
    from scipy.stats import logistic, norm

    found = detection_limit(series([(1.0, 40, 9), (3.0, 40, 21), (10.0, 40, 36), (30.0, 40, 40)])).sel(model=model)
    for n in (1, 2, 3):
        x = math.log10(found["lod"].sel(wells=n).item())
        link = norm if model == "probit" else logistic
        one = link.cdf(found["intercept"].item() + found["slope"].item() * x)
        assert 1 - (1 - one) ** n == pytest.approx(0.95, abs=1e-9)


def test_what_cannot_be_estimated_says_why():
    all_seen = detection_limit(series([(10.0, 8, 8), (100.0, 8, 8)]))
    assert set(all_seen["reason"].values.ravel()) == {"every well has a signal: measure fewer copies"}
    assert np.isnan(all_seen["lod"].values).all()
    assert "no well has a signal" in detection_limit(series([(1.0, 8, 0)]))["reason"].values[0, 0]
    two = detection_limit(series([(1.0, 8, 3), (10.0, 8, 8)]))
    assert np.isfinite(two["lod"].sel(model="single_hit", wells=1).item())
    assert "three levels" in two["reason"].sel(model="probit").item()
    steep = quantification_limit(series([(1.0, 8, 8), (10.0, 8, 8)]))
    assert "no falling curve" in steep["reason"].item()


def test_cv_that_never_or_always_meets_the_limit():
    rng = np.random.default_rng(2)
    levels = np.repeat([10.0, 100.0, 1000.0], 30)
    quiet = pd.DataFrame({"copies": levels, "cq": 38 - 3.32 * np.log10(levels) + rng.normal(0, 0.05, 90)})
    assert "10 copies or lower" in quantification_limit(quiet, draws=20)["reason"].item()
    loud = quiet.assign(cq=38 - 3.32 * np.log10(levels) + rng.normal(0, 1.0, 90))
    assert "the highest level does not meet" in quantification_limit(loud, draws=20)["reason"].item()


def test_the_seed_decides():
    rng = np.random.default_rng(3)
    levels = np.repeat([5.0, 20.0, 100.0, 1e4], 20)
    table = pd.DataFrame({"copies": levels, "cq": 38 - 3.32 * np.log10(rng.poisson(levels) + 0.5)})
    first, second, third = (quantification_limit(table, draws=100, seed=seed) for seed in (1, 1, 2))
    xr_equal = first["loq_low"].item() == second["loq_low"].item()
    assert xr_equal
    assert (first["loq_low"].item(), first["loq_high"].item()) != (third["loq_low"].item(), third["loq_high"].item())


@pytest.mark.parametrize(
    ("table", "options", "pattern"),
    [
        ({"copies": [1.0]}, {}, "no column 'cq'"),
        ({"copies": [0.0], "cq": [35]}, {}, "row 2: the well has 0 copies"),
        ({"copies": [1.0], "cq": ["late"]}, {}, "Cq 'late' is not a number"),
        ({"copies": [np.nan], "cq": [35]}, {}, "no well of known copies"),
        ({"copies": [1.0], "cq": [35], "target": ["A"]}, {"target": "B"}, "target 'B' has no wells"),
        ({"copies": [1.0], "cq": [35]}, {"interval": 2.0}, "interval"),
    ],
)
def test_refusals(tmp_path, table, options, pattern):
    path = tmp_path / "series.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    for function in (detection_limit, quantification_limit):
        with pytest.raises(InputError, match=pattern):
            function(path, **options)
