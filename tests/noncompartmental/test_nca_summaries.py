"""The table over patients: statistics by hand, policies for BLQ and above ULOQ, limits, groups, further dims."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import minimize
from scipy.stats import gmean, norm

import ckinetics as ck
from ckinetics.cohorts import cohort, kinetics_from_arrays
from ckinetics.errors import InputError
from ckinetics.noncompartmental import FLAGS, nca, nca_summary
from ckinetics.statistics.lognormal import fit_censored

DAYS = [0, 7, 14, 28, 60, 90]


def levels(peaks: list[float], shape: tuple[float, ...] = (0, 1, 0.6, 0.2, 0.05, 0.02)) -> np.ndarray:
    return np.outer(peaks, shape)


def analysed(values: np.ndarray, **options: object) -> xr.Dataset:
    limits = {name: options.pop(name) for name in ("lloq", "uloq") if name in options}
    return nca(kinetics_from_arrays(DAYS, values, unit="copies/ug", **({"lloq": 50} | limits)), **options)


def row_of(table: pd.DataFrame, name: str) -> pd.Series:
    rows = table[table["parameter"] == name]
    assert len(rows) == 1
    return rows.iloc[0]


def by_patient(values: list[object], result: xr.Dataset, name: str | None) -> xr.DataArray:
    return xr.DataArray(np.array(values, dtype=object), {"patient": result["patient"].values}, ("patient",), name=name)


def test_statistics_by_hand() -> None:
    peaks = [1e3, 4e3, 9e3, 2e4]
    result = analysed(np.vstack([levels(peaks), np.zeros(6)]))
    row = row_of(nca_summary(result), "cmax")
    logs = np.log(peaks)
    expected = {
        "n": 4, "n not calculable": 1, "n all BLQ": 1, "n above ULOQ": 0, "n beyond limits": 0, "n not positive": 0,
        "geometric mean": gmean(peaks), "geometric CV %": 100 * np.sqrt(np.exp(logs.var(ddof=1)) - 1), "mean": 8500.0,
        "SD": np.std(peaks, ddof=1), "median": 6500.0, "minimum": 1e3, "maximum": 2e4,
    }  # fmt: skip
    assert row[list(expected)].astype(float).to_dict() == pytest.approx(expected, rel=1e-12)
    assert row["unit"] == "copies/ug"
    assert row_of(nca_summary(result), "auc_interval 0-28")["unit"] == "day*copies/ug"


def test_every_parameter_and_further_one_has_a_row() -> None:
    result = analysed(levels([1e3, 4e3, 9e3]), dose=1e8, disposition=True, threshold=100, intervals=[(0, 28), (0, 60)])
    names = [str(name) for name in result["parameter"].values]
    table = nca_summary(result, parameters=[*names, "auc_interval_dn"])
    rows = ["auc_interval_dn 0-28", "auc_interval_dn 0-60", "auc_interval 0-28", "auc_interval 0-60"]
    assert table["parameter"].tolist() == [*names, *rows]
    units = dict(zip(table["parameter"], table["unit"], strict=True))
    assert units["cmax_dn"] == "(copies/ug)/cells"
    assert units["auc_interval_dn 0-28"] == "(day*copies/ug)/cells"
    assert units["cl_obs"] == "cells/(day*copies/ug)"
    assert row_of(table, "cmax_dn")["geometric mean"] == pytest.approx(gmean([1e3, 4e3, 9e3]) / 1e8)
    first = result["auc_interval"].sel(interval="0-28").values.ravel()
    assert row_of(table, "auc_interval_dn 0-28")["geometric mean"] == pytest.approx(gmean(first) / 1e8)
    # The interval's own place where it is named.
    named = nca_summary(result, parameters=["auc_interval", "cmax"])["parameter"].tolist()
    assert named == ["auc_interval 0-28", "auc_interval 0-60", "cmax"]
    assert nca_summary(result, parameters="cmax")["parameter"].tolist() == ["cmax", *rows[2:]]


def test_times_without_an_end_are_values() -> None:
    result = analysed(np.array([[0, 900, 300, 0, 0, 0], [0, 900, 300, 90, 80, 70], [0, 900, 300, 90, 80, 60.0]]))
    row = row_of(nca_summary(result, parameters=["persistence_upper"]), "persistence_upper")
    assert row[["n", "n not calculable", "minimum", "median", "maximum"]].tolist() == [3, 0, 28, np.inf, np.inf]
    assert np.isnan(row["SD"])


def test_zeros_are_not_positive() -> None:
    result = analysed(np.vstack([levels([1e3, 4e3]), np.zeros(6)]), preset="pknca")
    row = row_of(nca_summary(result), "cmax")
    assert row[["n", "n not positive", "minimum"]].tolist() == [3, 1, 0]
    assert row["geometric mean"] == pytest.approx(2e3)


def mixed() -> xr.Dataset:
    """Two patients who are all BLQ under different LLOQs, four quantified ones, one above ULOQ, one without samples."""
    values = np.vstack([np.zeros((2, 6)), levels([400, 3e3, 9e3, 3e4, 5e6]), np.full(6, np.nan)])
    lloq = np.full(values.shape, 50.0)
    lloq[1] = 100.0
    return analysed(values, lloq=lloq, uloq=1e5)


def test_blq_and_above_uloq_are_counted_by_default() -> None:
    row = row_of(nca_summary(mixed()), "cmax")
    assert row[["n", "n not calculable", "n all BLQ", "n above ULOQ"]].tolist() == [4, 4, 2, 1]
    assert "policy" not in row
    assert row["geometric mean"] == pytest.approx(gmean([400, 3e3, 9e3, 3e4]))


def test_half_the_lloq_enters_for_patients_who_are_all_blq() -> None:
    table = nca_summary(mixed(), blq="lloq/2")
    row = row_of(table, "cmax")
    entered = [25, 50, 400, 3e3, 9e3, 3e4]
    assert row[["n", "n not calculable", "n all BLQ", "n above ULOQ", "n by policy"]].tolist() == [6, 2, 0, 1, 2]
    assert row["geometric mean"] == pytest.approx(gmean(entered))
    assert row[["mean", "median", "minimum"]].tolist() == pytest.approx([np.mean(entered), 1700, 25])
    assert row["policy"] == "LLOQ/2 for patients who are all BLQ"
    assert row_of(table, "auc_last")[["n", "policy", "n by policy"]].tolist() == [4, "count", 0]
    # Where a preset takes such a Cmax as 0, the policy goes before it; an unknown LLOQ has no half.
    zero = nca_summary(analysed(np.vstack([np.zeros(6), levels([400])]), preset="pknca"), blq="lloq/2")
    assert row_of(zero, "cmax")[["n", "minimum", "n not positive"]].tolist() == [2, 25, 0]
    unknown = analysed(np.vstack([np.zeros(6), levels([400])]))
    unknown["cmax_upper"].values[0] = np.nan
    assert row_of(nca_summary(unknown, blq="lloq/2"), "cmax")[["n", "n by policy"]].tolist() == [1, 0]


def test_censored_cmax_against_a_direct_optimisation() -> None:
    row = row_of(nca_summary(mixed(), blq="censored"), "cmax")
    known = np.log([400, 3e3, 9e3, 3e4])

    def deviance(point: np.ndarray) -> float:
        mean, sd = point[0], np.exp(point[1])
        below = norm.logcdf(np.log([50, 100]), mean, sd).sum()
        return -(norm.logpdf(known, mean, sd).sum() + below + norm.logsf(np.log(1e5), mean, sd))

    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 4000, "maxfev": 4000}
    found = minimize(deviance, [7.0, 1.0], method="Nelder-Mead", options=options)
    assert row["geometric mean"] == pytest.approx(np.exp(found.x[0]), rel=1e-6)
    assert row["geometric CV %"] == pytest.approx(100 * np.sqrt(np.expm1(np.exp(2 * found.x[1]))), rel=1e-5)
    assert row[["n", "n by policy", "n not calculable"]].tolist() == [7, 3, 1]
    assert row["policy"].startswith("maximum likelihood of a lognormal")
    # Between 400 and 3e4 the order is known: 3e3 is the median of seven. No bound says what the others are.
    assert row["median"] == 3e3
    assert np.isnan(row[["mean", "SD", "minimum", "maximum"]].astype(float)).all()


def test_without_censoring_the_geometric_mean_is_the_plain_one_and_the_sd_has_divisor_n() -> None:
    peaks = [1e3, 4e3, 9e3, 2e4]
    result = analysed(levels(peaks))
    plain, censored = row_of(nca_summary(result), "cmax"), row_of(nca_summary(result, blq="censored"), "cmax")
    assert censored["geometric mean"] == pytest.approx(plain["geometric mean"], rel=1e-12)
    assert censored["geometric CV %"] == pytest.approx(100 * np.sqrt(np.expm1(np.log(peaks).var())), rel=1e-10)
    names = ["n", "mean", "SD", "median", "minimum", "maximum"]
    assert censored[names].tolist() == plain[names].tolist()


def censored_loglik(lower: np.ndarray, upper: np.ndarray, mean: float, sd: float) -> float:
    known = lower == upper
    parts = np.where(
        known,
        norm.logpdf(np.log(np.where(known, lower, 1)), mean, sd),
        np.where(
            np.isinf(upper),
            norm.logsf(np.log(np.maximum(lower, 1e-300)), mean, sd),
            norm.logcdf(np.log(upper), mean, sd),
        ),
    )
    return float(parts.sum())


def test_maxima_of_the_censored_likelihood_are_stationary() -> None:
    generator = np.random.default_rng(30)
    compared = 0
    for _ in range(200):
        n = int(generator.integers(3, 40))
        mean, sd = generator.normal(8, 2), generator.uniform(0.3, 3)
        y = generator.normal(mean, sd, n)
        floor, roof = mean - sd * generator.uniform(0, 2), mean + sd * generator.uniform(0.3, 2)
        lower = np.exp(np.where(y < floor, -np.inf, np.where(y > roof, roof, y)))
        upper = np.exp(np.where(y < floor, floor, np.where(y > roof, np.inf, y)))
        if (lower == upper).sum() < 2:
            continue
        centre, spread = fit_censored(lower, upper)
        best = censored_loglik(lower, upper, centre, spread)
        for step in (1e-3, -1e-3):
            assert censored_loglik(lower, upper, centre + step * spread, spread) < best
            assert censored_loglik(lower, upper, centre, spread * (1 + step)) < best
        compared += 1
    assert compared > 150


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ([], [], (np.nan, np.nan)),
        ([0, 0], [50, 50], (np.nan, np.nan)),
        ([0, 1e6], [50, np.inf], (np.nan, np.nan)),
        ([100], [100], (np.log(100), np.nan)),
        ([100, 100], [100, 100], (np.log(100), 0.0)),
        # A bound that already holds at the only value: the likelihood grows without end as the SD shrinks.
        ([100, 0], [100, 500], (np.nan, np.nan)),
    ],
)
def test_likelihoods_without_a_maximum(lower: list[float], upper: list[float], expected: tuple[float, float]) -> None:
    found = fit_censored(np.array(lower, dtype=float), np.array(upper, dtype=float))
    np.testing.assert_equal(found, expected)


def lines() -> xr.Dataset:
    """A long straight decline, a short one, a noisy one, and one that is mostly extrapolated."""
    time = [0, 7, 14, 28, 60, 90]
    rate = 0.05
    straight = [0] + [1e5 * np.exp(-rate * t) for t in time[1:]]
    short = [0, 9000, 8990, 8300, 7300, 6500]
    noisy = [0, 1e5, 9e3, 2e4, 1e3, 2e3]
    return nca(
        kinetics_from_arrays(time, [straight, short, noisy], lloq=1, unit="copies/ug"), intervals=[(0, 28), (0, 200)]
    )


def test_values_beyond_limits_are_counted_and_dropped_on_demand() -> None:
    result = lines()
    acceptance = {"poor_line", "short_span", "few_points", "extrapolated"}
    raised = [
        {name for bit, name in enumerate(FLAGS) if value & (1 << bit)} & acceptance
        for value in result["flags"].values.ravel().tolist()
    ]
    assert raised == [set(), {"short_span", "extrapolated"}, {"poor_line"}]
    to_infinity, on_line = (
        ("auc_inf_obs", "aumc_inf_pred", "half_life_effective"),
        ("half_life", "lambda_z", "clast_pred"),
    )
    names = ["cmax", "auc_last", *on_line, *to_infinity]
    keep = nca_summary(result, parameters=names).set_index("parameter")
    drop = nca_summary(result, parameters=names, excluded="drop").set_index("parameter")
    for name in names:
        wrong = 2 if name in (*on_line, *to_infinity) else 0
        assert keep.loc[name, "n beyond limits"] == drop.loc[name, "n beyond limits"] == wrong
        assert (keep.loc[name, "n"], drop.loc[name, "n"]) == (3, 3 - wrong)
        assert keep.loc[name, "n not calculable"] == drop.loc[name, "n not calculable"] == 0
    assert drop.loc["half_life", "median"] == pytest.approx(np.log(2) / 0.05)
    # An interval inside the samples rests on no line; one beyond them does.
    assert keep.loc["auc_interval 0-28", "n beyond limits"] == 0
    assert keep.loc["auc_interval 0-200", "n beyond limits"] == 2
    assert drop.loc["auc_interval 0-200", "n"] == keep.loc["auc_interval 0-200", "n"] - 2


def test_an_extrapolated_area_does_not_spoil_its_half_life() -> None:
    time = [0, 7, 14, 21, 28]
    level = [0] + [1e5 * np.exp(-0.05 * t) for t in time[1:]]
    result = nca(kinetics_from_arrays(time, [level], lloq=1, unit="copies/ug"), limits={"span_ratio": 1.0})
    table = nca_summary(result, parameters=["half_life", "auc_inf_obs", "mrt_inf_obs"], excluded="drop").set_index(
        "parameter"
    )
    assert table["n"].tolist()[:3] == [1, 0, 0]
    assert table["n beyond limits"].tolist()[:3] == [0, 1, 1]
    assert np.isnan(table.loc["auc_inf_obs", "geometric mean"])


def test_groups_of_one_and_of_two_variables() -> None:
    result = analysed(np.vstack([levels([1e3, 4e3, 9e3, 2e4]), np.zeros(6)]))
    dose = by_patient(["low", "high", "low", "high", "low"], result, "dose_level")
    arm = by_patient(["A", "A", "B", "B", ""], result, "arm")
    one = nca_summary(result, by=dose, parameters=["cmax"]).set_index(["dose_level", "parameter"])
    assert one.index.get_level_values(0).tolist() == ["low", "low", "high", "high"]
    assert one.loc[("low", "cmax"), ["n", "n not calculable"]].tolist() == [2, 1]
    assert one.loc[("low", "cmax"), "geometric mean"] == pytest.approx(3e3)
    two = nca_summary(result, by=[dose, arm], parameters=["cmax"]).query("parameter == 'cmax'")
    assert two[["dose_level", "arm", "n", "n not calculable"]].values.tolist() == [
        ["low", "A", 1, 0], ["low", "B", 1, 0], ["low", "missing", 0, 1], ["high", "A", 1, 0], ["high", "B", 1, 0],
    ]  # fmt: skip
    assert nca_summary(result, by=[dose])["dose_level"].tolist() == nca_summary(result, by=dose)["dose_level"].tolist()
    unnamed = nca_summary(result, by=[dose.rename(None), arm.rename(None)], parameters=["cmax"])
    assert unnamed.columns[1:3].tolist() == ["group 1", "group 2"]


def test_groups_of_numbers_and_of_flags() -> None:
    result = analysed(levels([1e3, 4e3, 9e3]))
    cells = by_patient([1e8, 5e8, np.nan], result, "dose").astype(float)
    assert nca_summary(result, by=cells, parameters=["cmax"])["dose"].tolist() == [
        1e8,
        1e8,
        5e8,
        5e8,
        "missing",
        "missing",
    ]
    flags = by_patient([1, 0, -1], result, "relapsed").astype(np.int8)
    flags.attrs = {"flag_values": np.array([-1, 0, 1], np.int8), "flag_meanings": "unknown no yes"}
    assert nca_summary(result, by=flags, parameters=["cmax"])["relapsed"].tolist()[::2] == ["yes", "no", "unknown"]


def test_infusions_have_rows_and_patients_without_one_are_not_in_them() -> None:
    time = [0, 7, 14, 28, 40, 50, 60, 80]
    values = [[0, 1e4, 5e3, 900, 0, 8e3, 3e3, 500], [0, 2e4, 5e3, 900, 400, 200, 100, 60]]
    profiles = kinetics_from_arrays(time, values, lloq=50, unit="copies/ug", patient=["A", "B"])
    infusions = pd.DataFrame({"patient": ["A", "A", "B"], "time": [0, 40, 0], "dose": [1e8, 5e7, 1e8]})
    result = nca(cohort(profiles, infusions=infusions), infusions="each")
    table = nca_summary(result, parameters=["cmax", "cmax_dn"]).query("parameter == 'cmax'")
    assert table[["matrix", "infusion", "n", "n not calculable"]].values.tolist() == [
        ["blood", 1, 2, 0],
        ["blood", 2, 1, 0],
    ]
    assert table["maximum"].tolist() == [2e4, 8e3]


def test_summary_passes_options_on() -> None:
    result = mixed()
    arm = by_patient(list("AABBABAB"), result, "arm")
    options = {"parameters": ["cmax"], "by": arm, "blq": "lloq/2", "excluded": "drop"}
    pd.testing.assert_frame_equal(ck.summary(result, **options), nca_summary(result, **options))
    with pytest.raises(
        InputError, match="no option 'policy': leave it out, or use one of parameters, by, blq, excluded"
    ):
        ck.summary(result, policy="lloq/2")
    other = xr.Dataset(attrs={"result": "exposure_correlation"})
    with pytest.raises(InputError, match=r"the summary of this result has no option 'blq': leave it out$"):
        ck.summary(other, blq="count")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blq": "drop"}, "unknown blq 'drop': use one of count, lloq/2, censored"),
        ({"excluded": "yes"}, "unknown excluded 'yes': use one of keep, drop"),
        ({"parameters": ["cmx"]}, "unknown parameter 'cmx'"),
        ({"parameters": ["cmax_dn"]}, "the result has no 'cmax_dn': call nca with a dose"),
        ({"parameters": ["auc_interval_dn"]}, "call nca with a dose"),
        ({"parameters": ["cl_obs"]}, "call nca with disposition=True and a dose"),
        ({"parameters": ["cav"]}, "call nca with disposition=True"),
        ({"parameters": ["half_life_tobit"]}, "call nca with tobit=True"),
        ({"by": "arm"}, "'by' is of type str"),
        ({"by": [1]}, "'by' is of type int"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        nca_summary(analysed(levels([1e3])), **options)


def test_groups_that_do_not_fit_are_refused() -> None:
    result = analysed(levels([1e3, 4e3]))
    arm = by_patient(["A", "B"], result, "arm")
    for other in (arm.isel(patient=[0]), arm.isel(patient=[1, 0]), arm.rename(patient="row"), arm.drop_vars("patient")):
        with pytest.raises(InputError, match=r"'by' \('arm'\) is not over the result's patients"):
            nca_summary(result, by=other)
    with pytest.raises(InputError, match="'by' is named 'arm', as another column is"):
        nca_summary(result, by=[arm, arm])
    with pytest.raises(InputError, match="'by' is named 'parameter'"):
        nca_summary(result, by=arm.rename("parameter"))
    with pytest.raises(InputError, match="no result of nca"):
        nca_summary(xr.Dataset())
