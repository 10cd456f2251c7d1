"""The hit model: brute force, simulation, and every edge of silent and loud wells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm, poisson

from ckinetics.assay import fit_curve
from ckinetics.assay.curves.single_hit import hit_estimate
from ckinetics.assay.curves.standard_curve import Curve
from ckinetics.errors import InputError

STANDARDS = np.array([10.0, 1e2, 1e3, 1e4])
CURVE = fit_curve(STANDARDS, 38 - 3.3219 * np.log10(STANDARDS))
SD0 = 0.11


def cq_of(copies):
    return 38 - 3.3219 * np.log10(np.asarray(copies, dtype=float))


def brute_force(cq, n_silent, *, k=1.0, sd0=SD0):
    """Maximum and profile ends of the likelihood with Cq as it stands, summed without any shortcut."""
    number = np.arange(1, 6000)
    expected = CURVE.intercept + CURVE.slope * np.log10(number / k)

    def minus(ln_copies):
        mean = k * math.exp(ln_copies)
        total = -n_silent * mean
        for value in cq:
            total += np.logaddexp.reduce(poisson.logpmf(number, mean) + norm.logpdf(value, expected, sd0))
        return -total

    best = minimize_scalar(minus, bounds=(-6, 9), method="bounded", options={"xatol": 1e-12})
    ends = [brentq(lambda t: minus(t) - best.fun - 1.9207294103470, best.x, best.x + sign * 8) for sign in (-1, 1)]
    return math.exp(best.x), math.exp(ends[0]), math.exp(ends[1])


@pytest.mark.parametrize("k", [1.0, 0.3])
@pytest.mark.parametrize(
    ("copies", "silent"),
    [([1.0], 2), ([1.0, 2.0], 1), ([0.3], 0), ([3.4, 5.1, 2.2], 0), ([40.0, 55.0], 0), ([600.0, 900.0, 700.0], 0)],
)
def test_it_is_the_likelihood_of_brute_force(copies, silent, k):
    found = hit_estimate(cq_of(copies), silent, CURVE, sd0=SD0, hit_probability=k)
    assert (found.copies, found.low, found.high) == pytest.approx(brute_force(cq_of(copies), silent, k=k), rel=2e-5)


def test_without_noise_it_counts_molecules():
    """With whole numbers of molecules read exactly, the estimate is the mean of counts, an exact Poisson problem."""
    found = hit_estimate(cq_of([1, 2, 4]), 1, CURVE, sd0=1e-3)
    assert found.copies == pytest.approx(7 / 4, rel=1e-6)
    assert found.ln_se == pytest.approx(1 / math.sqrt(7), rel=1e-6)
    drop = 1.9207294103470
    for end in (found.low, found.high):
        assert 7 * math.log(end / 1.75) - 4 * (end - 1.75) == pytest.approx(-drop, abs=1e-5)


@pytest.mark.parametrize("k", [1.0, 0.25])
@pytest.mark.parametrize("n", [1, 2, 3, 96])
def test_no_signal_gives_zero_and_an_exact_upper_bound(n, k):
    found = hit_estimate([], n, CURVE, sd0=SD0, hit_probability=k)
    assert (found.copies, found.low) == (0.0, 0.0)
    assert math.exp(-k * n * found.high) == pytest.approx(0.025)
    assert found.high == pytest.approx(3.6889 / (k * n), rel=1e-4)


def test_one_detected_well_alone_reads_about_the_curve():
    found = hit_estimate(cq_of([50.0]), 0, CURVE, sd0=SD0)
    assert found.copies == pytest.approx(50.0, rel=0.02)
    assert found.p_silent == 1.0
    assert found.ln_se == pytest.approx(math.hypot(SD0 * CURVE.ln_gain, 1 / math.sqrt(50)), rel=0.02)


def test_the_continuous_limit_meets_the_sum_where_one_takes_over():
    below, above = (hit_estimate(cq_of([x, x, x]), 0, CURVE, sd0=SD0) for x in (999.99, 1000.01))
    for name in ("copies", "low", "high", "ln_se"):
        assert getattr(above, name) == pytest.approx(getattr(below, name), rel=2e-3)


@pytest.mark.parametrize("copies", [1e4, 1e7, 1e12])
def test_at_high_copies_it_is_the_geometric_mean_with_both_noises(copies):
    reads = copies * np.array([0.9, 1.0, 1.15])
    found = hit_estimate(cq_of(reads), 0, CURVE, sd0=SD0)
    variance = (SD0 * CURVE.ln_gain) ** 2 + 1 / reads
    assert found.copies == pytest.approx(math.exp(np.average(np.log(reads), weights=1 / variance)), rel=1e-8)
    assert found.ln_se == pytest.approx(1 / math.sqrt((1 / variance).sum()), rel=1e-6)
    assert found.high / found.copies == pytest.approx(math.exp(1.959964 * found.ln_se), rel=1e-6)


def test_the_probability_of_the_silence_by_hand():
    found = hit_estimate(cq_of([2.0, 2.0]), 1, CURVE, sd0=1e-3)  # 4 molecules in 3 wells
    silent = math.exp(-4 / 3)
    assert found.p_silent == pytest.approx(1 - (1 - silent) ** 3, rel=1e-6)
    absurd = hit_estimate(cq_of([1000.0, 1100.0]), 1, CURVE, sd0=SD0)
    assert absurd.p_silent < 1e-50


def test_naive_means_are_those_of_the_wells_with_a_signal():
    found = hit_estimate(cq_of([1.0, 4.0]), 2, CURVE, sd0=SD0)
    assert found.naive_arithmetic == pytest.approx(2.5)
    assert found.naive_geometric == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("cq", "silent", "curve", "sd0", "word"),
    [
        ([35.0], 1, Curve(), SD0, "not usable"),
        ([], 0, CURVE, SD0, "no well"),
        ([math.nan], 1, CURVE, SD0, "no number"),
        ([35.0], 1, CURVE, 3.0, "ln(copies)"),
        ([35.0], 1, fit_curve(np.array([10.0, 100.0]), np.array([35.0, 34.9])), SD0, "ln(copies)"),
    ],
)
def test_where_there_is_no_estimate_it_says_why(cq, silent, curve, sd0, word):
    found = hit_estimate(cq, silent, curve, sd0=sd0)
    assert math.isnan(found.copies)
    assert math.isnan(found.high)
    assert word in found.reason


@pytest.mark.parametrize("k", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_hit_probability_is_refused(k):
    with pytest.raises(InputError, match="hit_probability"):
        hit_estimate([35.0], 1, CURVE, sd0=SD0, hit_probability=k)


@given(
    st.lists(st.floats(-3, 9), max_size=8),
    st.integers(0, 8),
    st.floats(0, 1.2),
    st.floats(0.05, 2),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_wells_the_estimate_lies_in_its_interval(ln10, silent, sd0, k):
    found = hit_estimate(cq_of(10.0 ** np.array(ln10)), silent, CURVE, sd0=sd0, hit_probability=k)
    if not ln10 and not silent:
        assert found.reason
        return
    assert 0 <= found.low <= found.copies <= found.high < math.inf
    if ln10:
        assert found.low < found.high
        assert found.ln_se > 0
        assert 0 <= found.p_silent <= 1 + 1e-9


@given(st.lists(st.floats(0.5, 60), min_size=1, max_size=4), st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_each_silent_well_lowers_the_copies_and_a_lower_cq_raises_them(copies, silent):
    cq = cq_of(copies)
    here = hit_estimate(cq, silent, CURVE, sd0=SD0)
    assert hit_estimate(cq, silent + 1, CURVE, sd0=SD0).copies < here.copies
    assert hit_estimate(cq - 1.0, silent, CURVE, sd0=SD0).copies >= here.copies * (1 - 1e-9)


@given(st.permutations([1.0, 2.5, 7.0, 30.0]))
@settings(max_examples=20, deadline=None)
def test_the_order_of_wells_does_not_matter(copies):
    one = hit_estimate(cq_of(copies), 1, CURVE, sd0=SD0)
    other = hit_estimate(cq_of(sorted(copies)), 1, CURVE, sd0=SD0)
    assert one.copies == pytest.approx(other.copies, rel=1e-9)


@pytest.mark.parametrize(("copies", "naive"), [(1.0, 1.58), (3.0, 3.16), (10.0, 10.0)])
def test_it_is_unbiased_where_the_mean_of_the_detected_is_not(copies, naive):
    rng = np.random.default_rng(31)
    estimates, means, held = [], [], 0
    runs = 3000
    for _ in range(runs):
        molecules = rng.poisson(copies, 3)
        seen = molecules[molecules > 0]
        cq = cq_of(seen) + rng.normal(0, SD0, len(seen))
        found = hit_estimate(cq, 3 - len(seen), CURVE, sd0=SD0)
        estimates.append(found.copies)
        means.append(found.naive_arithmetic)
        held += found.low <= copies <= found.high
    error = np.std(estimates) / math.sqrt(runs)
    assert np.mean(estimates) == pytest.approx(copies, abs=4 * error + 0.005 * copies)
    assert np.nanmean(means) == pytest.approx(naive, rel=0.03)  # 1.58 at one copy: the reference's figure
    assert held / runs > 0.93


def test_a_hit_probability_below_one_is_carried():
    rng = np.random.default_rng(32)
    found = []
    for _ in range(2000):
        molecules = rng.poisson(2.0, 4)  # of 10 copies a well, k = 0.2 amplify
        seen = molecules[molecules > 0]
        cq = cq_of(seen / 0.2) + rng.normal(0, SD0, len(seen))
        found.append(hit_estimate(cq, 4 - len(seen), CURVE, sd0=SD0, hit_probability=0.2).copies)
    assert np.mean(found) == pytest.approx(10.0, abs=4 * np.std(found) / math.sqrt(2000))
