"""Persistence over patients, against published estimates, other tools, a direct optimisation, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import LinearConstraint, minimize
from scipy.stats import binom

import ckinetics as ck
from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.noncompartmental import nca, persistence_summary, turnbull

INF = np.inf

# Breast cosmesis (Finkelstein & Wolfe, Biometrics 1985;41:933), months to retraction.
RADIATION = [
    (45, INF), (6, 10), (0, 7), (46, INF), (46, INF), (7, 16), (17, INF), (7, 14), (37, 44), (0, 8), (4, 11),
    (15, INF), (11, 15), (22, INF), (46, INF), (46, INF), (25, 37), (46, INF), (26, 40), (46, INF), (27, 34),
    (36, 44), (46, INF), (36, 48), (37, INF), (40, INF), (17, 25), (46, INF), (11, 18), (38, INF), (5, 12), (37, INF),
    (0, 5), (18, INF), (24, INF), (36, INF), (5, 11), (19, 35), (17, 25), (24, INF), (32, INF), (33, INF), (19, 26),
    (37, INF), (34, INF), (36, INF),
]  # fmt: skip
CHEMOTHERAPY = [
    (8, 12), (0, 22), (24, 31), (17, 27), (17, 23), (24, 30), (16, 24), (13, INF), (11, 13), (16, 20), (18, 25),
    (17, 26), (32, INF), (23, INF), (44, 48), (14, 17), (0, 5), (5, 8), (12, 20), (11, INF), (33, 40), (31, INF),
    (13, 39), (19, 32), (34, INF), (13, INF), (16, 24), (35, INF), (15, 22), (11, 17), (22, 32), (10, 35), (30, 34),
    (13, INF), (10, 17), (8, 21), (4, 9), (11, INF), (14, 19), (4, 8), (34, INF), (30, 36), (18, 24), (16, 60),
    (35, 39), (21, INF), (11, 20), (48, INF),
]  # fmt: skip
# Their estimates, as the R package interval prints them (Fay & Shaw, J Stat Softw 2010;36(2)).
PUBLISHED = {
    "radiation": (RADIATION, {
        (4, 5): 0.0463, (6, 7): 0.0334, (7, 8): 0.0887, (11, 12): 0.0708, (24, 25): 0.0926, (33, 34): 0.0818,
        (38, 40): 0.1209, (46, 48): 0.4656,
    }),
    "chemotherapy": (CHEMOTHERAPY, {
        (4, 5): 0.0433, (5, 8): 0.0433, (11, 12): 0.0692, (16, 17): 0.1454, (18, 19): 0.1411, (19, 20): 0.1157,
        (24, 25): 0.0999, (30, 31): 0.0709, (35, 36): 0.1608, (44, 48): 0.0552, (48, 60): 0.0552,
    }),
}  # fmt: skip
# Lower ends even and upper ones odd, so that closed intervals (lifelines) and half-open ones say the same.
PEER = [
    (180, 269), (58, 91), (92, 181), (58, 93), (0, 7), (30, 59), (60, 87), (12, 31), (6, 11), (88, 179), (60, INF),
    (88, 179), (26, 59), (178, 273), (88, 181), (30, INF), (60, 89), (6, 13), (26, 63), (28, INF), (182, INF), (0, 11),
    (12, 31), (92, 177), (26, INF), (56, 93), (92, 181), (0, 7), (60, INF), (0, 7),
]  # fmt: skip
# KaplanMeierFitter().fit_interval_censoring(..., tol=1e-14) of lifelines 0.30.3: probability of lasting longer.
LIFELINES = {
    6: 1.0, 7: 0.8, 30: 0.8, 31: 0.62813781, 60: 0.62813781, 63: 0.46392627, 88: 0.46392627, 89: 0.42555490,
    92: 0.42555490, 93: 0.14367002, 180: 0.14367002, 181: 0.10934702, 182: 0.10934702,
}  # fmt: skip


def ends(intervals: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(intervals, dtype=float)
    return table[:, 0], table[:, 1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_estimates_of_breast_cosmesis(name: str) -> None:
    intervals, expected = PUBLISHED[name]
    found = turnbull(*ends(intervals))
    masses = {
        (left, right): mass
        for left, right, mass in zip(found.left, found.right, found.mass, strict=True)
        if mass > 1e-9
    }
    assert set(masses) == set(expected)
    for interval, mass in expected.items():
        assert masses[interval] == pytest.approx(mass, abs=5.1e-5)
    assert found.gap <= 1e-9


def test_shares_of_lifelines() -> None:
    low, high = turnbull(*ends(PEER)).survival(list(LIFELINES))
    np.testing.assert_allclose(low, list(LIFELINES.values()), atol=5.1e-9)
    np.testing.assert_array_equal(low, high)


def random_intervals(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Patients sampled at visits that move by some days; some are lost to follow-up, some times are exact."""
    n = int(generator.integers(3, 40))
    time = generator.exponential(120, n)
    lower, upper = np.zeros(n), np.full(n, INF)
    for i in range(n):
        visits = np.array([0, 14, 28, 60, 90, 180, 365.0]) + generator.integers(-2, 3, 7)
        visits = np.maximum(visits[: generator.integers(3, 8)], 0)
        lower[i] = max(visits[visits < time[i]], default=0.0)
        upper[i] = min(visits[visits >= time[i]], default=INF)
    exact = generator.random(n) < 0.15
    lower[exact] = upper[exact] = np.round(time[exact])
    return lower, upper


def test_a_direct_optimisation_finds_the_same() -> None:
    generator = np.random.default_rng(20)
    compared = 0
    for _ in range(25):
        lower, upper = random_intervals(generator)
        found = turnbull(lower, upper)
        # Written out anew: which mass may belong to which patient.
        inside = np.array(
            [
                [
                    (low < left or (low == left and (left < right or low == high))) and right <= high
                    for left, right in zip(found.left, found.right, strict=True)
                ]
                for low, high in zip(lower, upper, strict=True)
            ],
            dtype=float,
        )
        m = inside.shape[1]
        if m == 1:
            continue
        twin = minimize(
            lambda p, inside=inside: -np.log(np.maximum(inside @ p, 1e-300)).mean(),
            np.full(m, 1 / m),
            jac=lambda p, inside=inside: -(inside.T @ (1 / np.maximum(inside @ p, 1e-300))) / len(inside),
            bounds=[(0, 1)] * m,
            constraints=[LinearConstraint(np.ones((1, m)), 1, 1)],
            method="SLSQP",
            options={"ftol": 1e-16, "maxiter": 2000},
        )
        np.testing.assert_allclose(found.mass, twin.x, atol=1e-6)
        assert found.loglik >= -len(inside) * twin.fun - 1e-9
        compared += 1
    assert compared > 20


def test_self_consistency_of_random_data() -> None:
    generator = np.random.default_rng(21)
    for _ in range(100):
        lower, upper = random_intervals(generator)
        found = turnbull(lower, upper)
        assert found.gap <= 1e-9
        assert found.mass.sum() == pytest.approx(1, abs=1e-12)
        assert (found.mass >= 0).all()
        # Turnbull's equations: a mass is the mean of the patients' chances to lie there.
        exact = lower == upper
        inside = (lower[:, None] <= found.left) & (found.right <= upper[:, None])
        inside &= (found.left < found.right) | (lower[:, None] < found.left) | exact[:, None]
        shares = inside * found.mass
        shares /= shares.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(shares.mean(axis=0), found.mass, atol=1e-8)


def test_the_order_of_patients_does_not_matter_and_doubling_them_neither() -> None:
    lower, upper = random_intervals(np.random.default_rng(4))
    first = turnbull(lower, upper)
    order = np.random.default_rng(1).permutation(len(lower))
    second = turnbull(lower[order], upper[order])
    np.testing.assert_array_equal(first.left, second.left)
    np.testing.assert_allclose(first.mass, second.mass, atol=1e-12)
    double = turnbull(np.tile(lower, 2), np.tile(upper, 2))
    np.testing.assert_allclose(first.mass, double.mass, atol=1e-9)


def test_intervals_are_open_below_and_closed_above() -> None:
    apart = turnbull([0, 28], [28, 90])
    assert (apart.left.tolist(), apart.right.tolist(), apart.mass.tolist()) == ([0, 28], [28, 90], [0.5, 0.5])
    # An exact time at the open end lies outside, at the closed end inside.
    outside = turnbull([28, 28], [28, 90])
    assert (outside.left.tolist(), outside.right.tolist()) == ([28, 28], [28, 90])
    np.testing.assert_allclose(outside.mass, 0.5)
    inside = turnbull([28, 0], [28, 28])
    assert (inside.left.tolist(), inside.right.tolist(), inside.mass.tolist()) == ([28], [28], [1])
    assert [float(x) for x in inside.survival(28)] == [0, 0]
    assert [float(x) for x in inside.survival(27.9)] == [1, 1]


def test_exact_and_right_censored_times_give_kaplan_meier() -> None:
    # 6-MP arm of Freireich et al. (Blood 1963;21:699): remission of leukaemia, weeks.
    event = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    lasting = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    found = turnbull([*event, *lasting], [*event, *[INF] * len(lasting)])
    low, high = found.survival([6, 7, 10, 13, 16, 22, 23, 35])
    # Kaplan-Meier as in Kalbfleisch & Prentice: 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448.
    product = np.cumprod([18 / 21, 16 / 17, 14 / 15, 11 / 12, 10 / 11, 6 / 7, 5 / 6])
    np.testing.assert_allclose(low[:7], product, atol=1e-9)
    np.testing.assert_array_equal(low, high)
    assert np.round(product, 3).tolist() == [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    beyond = found.survival(36)
    assert beyond[0] == 0
    assert float(beyond[1]) == pytest.approx(product[-1], abs=1e-9)
    assert found.quantile(0.5) == (23, 23)


def test_one_patient_all_censored_and_ties() -> None:
    one = turnbull([28], [90])
    assert (one.quantile(), one.mass.tolist(), one.gap, one.n) == ((28, 90), [1], 0, 1)
    low, high = one.survival([28, 29, 89, 90])
    assert (low.tolist(), high.tolist()) == ([1, 0, 0, 0], [1, 1, 1, 0])
    censored = turnbull([28, 90, 180], [INF] * 3)
    assert (censored.left.tolist(), censored.right.tolist(), censored.quantile()) == ([180], [INF], (180, INF))
    low, high = censored.survival([180, 181])
    assert (low.tolist(), high.tolist()) == ([1, 0], [1, 1])
    ties = turnbull([28] * 5 + [90] * 5, [90] * 5 + [180] * 5)
    assert ties.mass.tolist() == [0.5, 0.5]
    # A half has passed at 90, not later.
    assert ties.quantile() == (28, 90)


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ([], [], "there are no intervals"),
        ([0, 1], [1], "2 lower ends and 1 upper ones"),
        ([0, 28], [7, 14], "interval 2 goes from 28 to 14"),
        ([0, np.nan], [7, 14], "interval 2 goes from nan to 14"),
        ([0, 1], [7, np.nan], "interval 2 goes from 1 to nan"),
        ([-INF], [7], "give a finite lower end"),
        (["a"], [7], "are not numbers"),
    ],
)
def test_wrong_intervals_are_refused(lower: list, upper: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        turnbull(lower, upper)


VISITS = [7, 14, 28, 60, 90, 180]


def cohort_result(**options: object) -> xr.Dataset:
    """Two lost between 28 and 60 and 90 and 180, one lasting, one never there, one without a sample after day 0."""
    nan = np.nan
    levels = [
        [nan, 900, 800, 700, 0, 0, 0],
        [nan, 900, 800, 700, 600, 60, 0],
        [nan, 900, 800, 700, 600, 500, 400],
        [0, 0, 0, 0, nan, nan, nan],
        [0, nan, nan, nan, nan, nan, nan],
    ]
    profiles = kinetics_from_arrays([0, *VISITS], levels, lloq=50, unit="copies/ug")
    # kinetics_from_arrays takes NaN for a sample that was not taken.
    return nca(profiles, **options)


def test_counts_median_and_shares_by_hand() -> None:
    row = persistence_summary(cohort_result(), times=(7, 28, 45, 180), draws=200).iloc[0]
    assert row["estimate"] == "Turnbull"
    counts = ["n", "n events", "n censored", "n never quantified", "n not calculable"]
    assert row[counts].tolist() == [4, 3, 1, 1, 1]
    # Known are (0, 7], (28, 60], (90, 180], (180, inf]: a quarter each.
    assert (row["median: after (day)"], row["median: by (day)"]) == (28, 60)
    shares = {
        day: (row[f"persisting at day {day}: lowest"], row[f"persisting at day {day}: highest"])
        for day in (7, 28, 45, 180)
    }
    assert shares == {7: (0.75, 0.75), 28: (0.75, 0.75), 45: (0.5, 0.75), 180: (0.25, 0.25)}
    assert row["Kuhn-Tucker gap"] <= 1e-9
    assert row["limits"] == "percentiles of 200 bootstrap samples of patients, seed 0"


@pytest.mark.parametrize(
    ("convention", "median", "at_60"),
    [("last_quantified", 28, 0.5), ("midpoint", 44, 0.5), ("first_blq", 60, 0.5)],
)
def test_kaplan_meier_by_a_named_date(convention: str, median: float, at_60: float) -> None:
    # Dates lost: 0 / 3.5 / 7, 28 / 44 / 60, 90 / 135 / 180; one lasts beyond 180.
    row = persistence_summary(cohort_result(), convention=convention, times=(27, 60, 180, 181)).iloc[0]
    assert row["estimate"] == f"Kaplan-Meier, cells lost at {convention}"
    assert row[["n", "n events", "n censored"]].tolist() == [4, 3, 1]
    assert row["median (day)"] == median
    assert row["persisting at day 27"] == pytest.approx(0.75)
    assert row["persisting at day 60"] == pytest.approx(at_60)
    assert row["persisting at day 180"] == pytest.approx(0.25)
    assert np.isnan(row["persisting at day 181"])
    # The convention of the analysis does not matter.
    other = persistence_summary(cohort_result(persistence="midpoint"), convention=convention, times=(27, 60, 180, 181))
    assert other.iloc[0].equals(row)


def test_kaplan_meier_of_lifelines() -> None:
    """KaplanMeierFitter of lifelines 0.30.3 on the same dates; its interval is on the scale ln(-ln) too."""
    dates = [28, 28, 60, 90, 90, 180, 180, 180, 270, 365, 365, 14, 0]
    lost = [1, 1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1, 1]
    result = with_persistence(np.array(dates, dtype=float), np.where(lost, 400.0, INF))
    row = persistence_summary(result, convention="last_quantified", times=(0, 28, 90, 365)).iloc[0]
    assert row[["n events", "n censored", "median (day)", "median: lower 95 % limit (day)"]].tolist() == [9, 4, 180, 28]
    assert np.isnan(row["median: upper 95 % limit (day)"])
    expected = {
        0: (0.923077, 0.566359, 0.988794), 28: (0.692308, 0.373363, 0.871750), 90: (0.538462, 0.247657, 0.759904),
        365: (0.239316, 0.045518, 0.515908),
    }  # fmt: skip
    for day, three in expected.items():
        name = f"persisting at day {day}"
        found = [row[name], row[f"{name}: lower 95 % limit"], row[f"{name}: upper 95 % limit"]]
        np.testing.assert_allclose(found, three, atol=5.1e-7)


def with_persistence(lower: np.ndarray, upper: np.ndarray) -> xr.Dataset:
    """Return the result of an analysis with persistences put in."""
    levels = np.full((len(lower), 3), 900.0)
    result = nca(kinetics_from_arrays([7, 14, 28], levels, lloq=50, unit="copies/ug"))
    result["persistence_lower"].values[:, 0] = lower
    result["persistence_upper"].values[:, 0] = upper
    return result


def test_limits_are_those_of_a_proportion_where_every_patient_is_seen_on_the_day() -> None:
    n, lost = 40, 14
    lower = np.where(np.arange(n) < lost, 14.0, 28.0)
    upper = np.where(np.arange(n) < lost, 28.0, INF)
    row = persistence_summary(with_persistence(lower, upper), times=(28,), draws=2000, seed=3).iloc[0]
    assert row["persisting at day 28: lowest"] == pytest.approx(26 / 40)
    exact = binom.ppf([0.025, 0.975], n, 26 / 40) / n
    found = [row["persisting at day 28: lower 95 % limit"], row["persisting at day 28: upper 95 % limit"]]
    np.testing.assert_allclose(found, exact, atol=1 / n + 1e-9)


def test_limits_depend_on_the_seed_alone() -> None:
    lower, upper = random_intervals(np.random.default_rng(8))
    result = with_persistence(lower, upper)
    first = persistence_summary(result, draws=100, seed=5)
    assert first.equals(persistence_summary(result, draws=100, seed=5))
    assert not first.equals(persistence_summary(result, draws=100, seed=6))
    # Groups do not change each other.
    group = xr.DataArray(["a"] * len(lower), {"patient": result["patient"].values}, ("patient",), name="arm")
    again = persistence_summary(result, draws=100, seed=5, by=group).drop(columns="arm")
    assert again.equals(first)
    wide = persistence_summary(result, draws=100, seed=5, level=0.5).iloc[0]
    assert wide["persisting at day 90: lower 50 % limit"] >= first.iloc[0]["persisting at day 90: lower 95 % limit"]


def test_limits_are_missing_where_patients_do_not_differ() -> None:
    all_lasting = persistence_summary(with_persistence(np.full(6, 180.0), np.full(6, INF)), draws=100).iloc[0]
    assert all_lasting["persisting at day 90: lowest"] == 1
    assert np.isnan(all_lasting["persisting at day 90: lower 95 % limit"])
    assert (all_lasting["median: after (day)"], all_lasting["median: by (day)"]) == (180, INF)
    assert all_lasting["n censored"] == 6
    by_date = persistence_summary(
        with_persistence(np.full(6, 180.0), np.full(6, INF)), convention="first_blq", times=(90, 200)
    ).iloc[0]
    assert by_date["persisting at day 90"] == 1
    assert np.isnan(
        by_date[["median (day)", "persisting at day 90: lower 95 % limit", "persisting at day 200"]].astype(float)
    ).all()
    one = persistence_summary(with_persistence(np.array([28.0]), np.array([60.0]))).iloc[0]
    assert one["median: by (day)"] == 60
    assert np.isnan(one["median: lower 95 % limit (day)"])


def test_groups_matrices_and_infusions_have_rows_of_their_own() -> None:
    levels = [[900, 800, 0, 0, 0, 0], [900, 800, 700, 0, 0, 0]]
    matrices = [
        kinetics_from_arrays(VISITS, levels, lloq=50, unit="copies/ug", matrix=matrix)
        for matrix in ("blood", "bone marrow")
    ]
    result = nca(xr.concat(matrices, dim="matrix"))
    arm = xr.DataArray(["high", "low"], {"patient": result["patient"].values}, ("patient",), name="arm")
    table = persistence_summary(result, by=arm, draws=100)
    assert table[["matrix", "arm", "n", "median: by (day)"]].values.tolist() == [
        [matrix, *group] for matrix in ("blood", "bone marrow") for group in (["high", 1, 28], ["low", 1, 60])
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"convention": "last"}, "unknown convention 'last': use one of last_quantified"),
        ({"times": (28, 28)}, "give different days"),
        ({"times": (-1,)}, "give different days of 0 or more"),
        ({"times": ("month",)}, "give days"),
        ({"times": 28}, "give days"),
        ({"level": 95}, "level is 95: give a number between 0 and 1"),
        ({"draws": 10}, "draws is 10: give a whole number of 100 or more"),
        ({"seed": -1}, "seed is -1"),
        ({"by": "arm"}, "'by' is of type str: give a DataArray"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        persistence_summary(cohort_result(), **options)


def test_other_things_are_refused() -> None:
    with pytest.raises(InputError, match="no result of nca over patients"):
        persistence_summary(xr.Dataset())
    assert ck.persistence_summary is persistence_summary
