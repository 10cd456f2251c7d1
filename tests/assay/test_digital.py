"""Digital PCR: vendors' printed figures, exact intervals of other tools, wells that differ, simulation."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import beta

from ckinetics.assay.digital.estimate import digital_estimate, wald_interval

QX200_NL = 0.85


def rows(path):
    """Rows as lists, for QIAcuity repeats the name of a column; a first line ``sep=,`` is passed over."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        table = [row for row in csv.reader(stream) if row and not row[0].startswith("sep=")]
    return table[0], table[1:]


def droplets(shared_data):
    header, body = rows(shared_data / "plates/biorad_ddpcr/read_quant_quant.csv")
    return [dict(zip(header, row, strict=True)) for row in body]


def test_concentrations_and_intervals_printed_by_quantasoft(shared_data):
    table = droplets(shared_data)
    assert len(table) == 12
    for row in table:
        positive, n = float(row["Positives"]), float(row["Accepted Droplets"])
        printed = float(row["Conc(copies/µL)"])
        found = digital_estimate([positive], [n], [QX200_NL])
        assert found.concentration == pytest.approx(printed, rel=1e-6)
        ends = float(row["PoissonConfMin"]), float(row["PoissonConfMax"])
        assert wald_interval(positive, n, QX200_NL) == pytest.approx(ends, rel=1e-7)
        # with so many positives the exact interval is nearly Wald's
        assert (found.low, found.high) == pytest.approx(ends, rel=2e-3)


@pytest.mark.parametrize(
    ("example", "width", "lowest", "highest"),
    [
        ("03", "CI (95%)", -0.051, 0.051),  # printed to one digit
        ("04", "CI (95%) (dPCR reaction)", -0.051, 0.051),
        ("01", "CI (95%)", -0.1, 0.0),  # this file has its digits cut off
    ],
)
def test_half_widths_printed_by_qiacuity(shared_data, example, width, lowest, highest):
    header, body = rows(shared_data / f"plates/qiagen_qiacuity/qiacuity_dpcr_example{example}.csv")
    folded = [name.lower() for name in header]
    at = [folded.index(f"partitions ({name})") for name in ("positive", "valid")] + [header.index(width)]
    checked = 0
    for row in body:
        positive, n, printed = (row[column].rstrip("%") for column in at)
        # Of a single positive the vendor prints 147.5 %, by a formula of its own.
        if printed == "-" or float(positive) <= 1:
            continue
        found = digital_estimate([float(positive)], [float(n)], [1.0])
        assert lowest <= float(printed) - 196 * found.ln_se <= highest
        checked += 1
    assert checked >= 6


@pytest.mark.parametrize(("hits", "n"), [(1, 20000), (5, 100), (1500, 15000), (19999, 20000), (3, 5)])
def test_the_interval_is_that_of_clopper_and_pearson(hits, n):
    found = digital_estimate([hits], [n], [QX200_NL])
    low, high = beta.ppf(0.025, hits, n - hits + 1), beta.ppf(0.975, hits + 1, n - hits)
    ends = (-math.log1p(-low) / QX200_NL * 1e3, -math.log1p(-high) / QX200_NL * 1e3)
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-9)
    assert (found.n_wells, found.inflation) == (1, 1.0)
    assert math.isnan(found.between_well_sd)


def test_no_positive_is_zero_with_an_exact_upper_bound():
    found = digital_estimate([0, 0], [15000, 5000], [0.85, 0.85])
    assert (found.concentration, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.688879 / 20000 / 0.85e-3, rel=1e-6)  # 3.69/n, two-sided
    assert not found.reason
    assert not found.saturated


def test_no_positive_in_wells_of_different_volumes():
    n, volume = np.array([20000.0, 8000.0]), np.array([0.85, 0.34])
    found = digital_estimate([0, 0], n, volume)
    assert math.exp(-found.high * float((n * volume).sum()) / 1e3) == pytest.approx(0.025, rel=1e-9)


def test_every_partition_positive_is_no_number_but_a_lower_bound():
    found = digital_estimate([20000], [20000], [0.85])
    assert found.saturated
    assert math.isnan(found.concentration)
    assert found.high == math.inf
    assert found.low == pytest.approx(-math.log(1 - 0.025 ** (1 / 20000)) / 0.85e-3, rel=1e-6)
    assert found.reason


@pytest.mark.parametrize(
    ("positive", "n", "volume", "word"),
    [
        ([], [], [], "no counts"),
        ([1], [0], [0.85], "no counts"),
        ([math.nan], [100], [0.85], "no counts"),
        ([1], [math.nan], [0.85], "no counts"),
        ([101], [100], [0.85], "more positive"),
        ([-1], [100], [0.85], "more positive"),
        ([1], [100], [math.nan], "volume"),
        ([1, 1], [100, 100], [0.85, 0.0], "volume"),
    ],
)
def test_impossible_counts_are_refused(positive, n, volume, word):
    found = digital_estimate(positive, n, volume)
    assert math.isnan(found.concentration)
    assert math.isnan(found.low)
    assert word in found.reason


def test_wells_are_merged_by_their_counts():
    one = digital_estimate([300, 320, 310], [15000, 16000, 15500], [0.85] * 3)
    all_in = digital_estimate([930], [46500], [0.85])
    assert one.concentration == pytest.approx(all_in.concentration, rel=1e-12)
    assert one.inflation == 1.0  # they agree
    assert (one.low, one.high) == pytest.approx((all_in.low, all_in.high), rel=1e-12)
    assert one.between_well_sd == 0.0


def test_wells_that_differ_widen_the_interval():
    alike = digital_estimate([1000, 1000, 1000], [15000] * 3, [0.85] * 3)
    apart = digital_estimate([700, 1000, 1300], [15000] * 3, [0.85] * 3)
    assert apart.concentration == pytest.approx(alike.concentration, rel=1e-12)
    # by hand: X^2 = 2 * 300^2 / (n p q), over 2 degrees of freedom
    share = 1000 / 15000
    factor = math.sqrt(300**2 / (15000 * share * (1 - share)))
    assert apart.inflation == pytest.approx(factor, rel=1e-9)
    assert apart.ln_se == pytest.approx(alike.ln_se * factor, rel=1e-9)
    observed = np.std(np.log(-np.log1p(-np.array([700, 1000, 1300]) / 15000)), ddof=1)
    assert apart.between_well_sd == pytest.approx(observed, rel=0.05)
    assert math.log(apart.high / apart.low) > 1.9 * factor * math.log(alike.high / alike.low)  # and Student's t


@pytest.mark.parametrize("positive", [(300, 500), (1, 0), (14999, 15000), (15000, 4000)])
def test_wells_of_different_volumes_by_brute_force(positive):
    n, volume = np.array([15000.0, 15000.0]), np.array([0.91, 0.34]) / 1e3
    found = digital_estimate(positive, n, volume * 1e3)

    def minus(theta):
        mean = math.exp(theta) * volume
        hits = np.array(positive, dtype=float)
        return float(-(hits * np.log(-np.expm1(-mean)) - (n - hits) * mean).sum())

    best = minimize_scalar(minus, bounds=(-8, 11), method="bounded", options={"xatol": 1e-11})
    assert found.concentration == pytest.approx(math.exp(best.x), rel=1e-5)
    assert found.low < found.concentration < found.high


def test_walds_interval_at_few_and_at_nearly_all_positives():
    low, high = wald_interval(0, 20000, 0.85)
    assert (low, high) == (0.0, 0.0)  # why it is not used
    assert wald_interval(1, 20000, 0.85)[0] == 0.0
    assert wald_interval(19999, 20000, 0.85)[1] == math.inf


@given(
    st.lists(st.tuples(st.integers(0, 20000), st.integers(1, 20000), st.floats(0.1, 1)), min_size=1, max_size=6),
    st.floats(0.01, 100),
)
@settings(max_examples=200, deadline=None)
def test_the_estimate_lies_in_its_interval_and_scales_with_the_volume(wells, factor):
    n = np.array([max(a, b) for a, b, _ in wells], dtype=float)
    positive = np.array([min(a, b) for a, b, _ in wells], dtype=float)
    volume = np.array([v for *_, v in wells])
    found = digital_estimate(positive, n, volume)
    scaled = digital_estimate(positive, n, volume * factor)
    if found.saturated:
        assert (positive == n).all()
        return
    assert found.low <= found.concentration <= found.high
    ends = np.array([found.concentration, found.low, found.high])
    assert factor * np.array([scaled.concentration, scaled.low, scaled.high]) == pytest.approx(ends, rel=1e-6)
    if positive.sum():
        assert found.inflation >= 1.0
        assert found.ln_se > 0


@given(st.integers(1, 19998), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_one_more_positive_is_more_copies_and_more_partitions_are_a_narrower_interval(hits, times):
    n = 20000
    found, more = (digital_estimate([h], [n], [0.85]) for h in (hits, hits + 1))
    assert found.concentration < more.concentration
    assert found.low < more.low
    assert found.high < more.high
    wider = digital_estimate([hits * times], [n * times], [0.85])
    assert wider.high / wider.low <= found.high / found.low * (1 + 1e-9)


def test_alike_wells_cannot_be_told_from_one():
    alike = digital_estimate([123.0] * 4, [1e4] * 4, [0.85] * 4)
    one = digital_estimate([492.0], [4e4], [0.85])
    assert alike.concentration == pytest.approx(one.concentration, rel=1e-12)
    assert alike.ln_se == pytest.approx(one.ln_se, rel=1e-9)


@pytest.mark.parametrize(
    ("spread", "wells", "mean", "least"),
    [
        (0.0, 3, 0.1, 0.94),
        (0.0, 3, 3e-4, 0.94),
        (0.1, 3, 0.1, 0.86),  # three wells often do not show their spread; counts alone cover a third
        (0.3, 4, 0.1, 0.92),
        (0.2, 8, 1.0, 0.92),
    ],
)
def test_merged_wells_cover_the_truth(spread, wells, mean, least):
    rng = np.random.default_rng(41)
    runs, held, by_counts = 2000, 0, 0
    truth = mean / 0.85e-3
    for _ in range(runs):
        share = -np.expm1(-mean * np.exp(rng.normal(0, spread, wells)))
        positive = rng.binomial(15000, share)
        found = digital_estimate(positive, [15000.0] * wells, [0.85] * wells)
        held += found.low <= truth <= found.high
        alone = digital_estimate([positive.sum()], [15000.0 * wells], [0.85])
        by_counts += alone.low <= truth <= alone.high
    assert held / runs >= least
    if spread:
        assert by_counts / runs < 0.6  # what the spread is there for
