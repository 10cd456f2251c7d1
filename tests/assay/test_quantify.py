"""Copies per µg: arithmetic done by hand, statuses, limits, standard errors, repeats, and properties."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from plate_builders import JITTER, LEVELS, cq_of, sheet_frame, tidy_rows, write_tidy

from ckinetics.assay import fit_curve, load_rules, quantify, read_plates
from ckinetics.errors import FileFormatError, InputError
from ckinetics.schema import GROUPS, Status, Verdict, YesNo


def run(folder, samples, *, sheet=None, quantify_options=None, **plate):
    write_tidy(folder / "p.csv", samples, **plate)
    layout = sheet_frame(samples) if sheet is None else sheet
    return quantify(read_plates(folder / "p.csv", layout=layout), **(quantify_options or {}))


def one(tree, name, at=0):
    return tree[name].values[0, 0, at]


def status(tree, at=0):
    return Status(int(one(tree, "status", at)))


def verdicts_of(tree, rule):
    verdicts = tree["verdicts"].to_dataset(inherit=False)
    return verdicts.isel(verdict=np.flatnonzero(verdicts["rule"].values == rule))


def used_curve(tree):
    curves = tree["curves"].to_dataset(inherit=False)
    return curves.isel(curve=curves["used"].values == YesNo.yes)


def test_a_level_by_hand(tmp_path):
    tree = run(tmp_path, {"S1": 1e4})
    # three wells at Cq 24.712 -0.05, 0, +0.05; slope and intercept are exact; 200 ng
    copies = np.mean([1e4 * 2**-jitter for jitter in JITTER])
    assert status(tree) is Status.quantified
    assert one(tree, "level") == pytest.approx(copies / 200 * 1000, rel=1e-9)
    assert one(tree, "lloq") == pytest.approx(10 / 200 * 1000)
    assert one(tree, "lod") == pytest.approx(3 / 200 * 1000)
    assert one(tree, "uloq") == pytest.approx(1e6 / 200 * 1000)
    assert one(tree, "plate") == "p"
    assert one(tree, "sample_id") == "S1"
    assert tree["level"].attrs["units"] == "copies/ug"


def test_standard_errors_by_hand(tmp_path):
    tree = run(tmp_path, {"S1": 1e4})
    mean = np.mean([1e4 * 2**-jitter for jitter in JITTER])
    observed = math.log(2) * 0.05  # SD of -0.05, 0, 0.05 is 0.05
    floor = math.sqrt((math.log(2) * 0.11) ** 2 + 1 / mean)
    assert floor > observed
    assert one(tree, "se_well") == pytest.approx(floor / math.sqrt(3), rel=1e-6)
    # curve: 18 wells, residuals +-0.05 at six levels
    sd = math.sqrt(6 * 2 * 0.05**2 / 16)
    x = np.repeat(np.log10(LEVELS), 3)
    spread = 1 / 18 + (math.log10(mean) - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    assert one(tree, "se_plate") == pytest.approx(math.log(2) * sd * math.sqrt(spread), rel=1e-6)


def test_the_curve_agrees_with_another_tool():
    from scipy.stats import linregress

    rng = np.random.default_rng(3)
    copies = np.repeat(LEVELS, 3)
    cq = 38 - 3.4 * np.log10(copies) + rng.normal(0, 0.2, copies.size)
    curve, other = fit_curve(copies, cq), linregress(np.log10(copies), cq)
    assert curve.slope == pytest.approx(other.slope, rel=1e-12)
    assert curve.intercept == pytest.approx(other.intercept, rel=1e-12)
    assert curve.r_squared == pytest.approx(other.rvalue**2, rel=1e-12)
    assert curve.slope_se == pytest.approx(other.stderr, rel=1e-10)
    assert curve.intercept_se == pytest.approx(other.intercept_stderr, rel=1e-10)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["Undetermined"] * 3, Status.not_detected),
        ([cq_of(5)] * 3, Status.detected_below_lloq),
        ([cq_of(2), "Undetermined", "Undetermined"], Status.detected_below_lloq),
        ([cq_of(1e4), cq_of(1e4), "Undetermined"], Status.invalid),
        ([cq_of(5e6)] * 3, Status.above_uloq),
        ([cq_of(1e4), cq_of(1e4), cq_of(3e4)], Status.invalid),
        ([cq_of(1e4), cq_of(1e4), ""], Status.invalid),
        ([cq_of(1e4)], Status.quantified),
        ([cq_of(10.001)] * 3, Status.quantified),
        ([cq_of(9.999)] * 3, Status.detected_below_lloq),
    ],
)
def test_statuses(tmp_path, fields, expected):
    tree = run(tmp_path, {"S1": fields})
    assert status(tree) is expected
    assert np.isfinite(one(tree, "level")) == (expected is Status.quantified)
    assert np.isfinite(one(tree, "se_well")) == (expected is Status.quantified)
    assert np.isfinite(one(tree, "lloq"))
    assert one(tree, "reason") or expected is Status.quantified


def test_the_mean_of_the_detected_wells_is_never_a_level(tmp_path):
    tree = run(tmp_path, {"S1": [cq_of(9), cq_of(9), "Undetermined"]})
    assert status(tree) is Status.detected_below_lloq
    assert one(tree, "reason").endswith("are below the LLOQ of 10; 2 of 3 wells have a signal")
    # 11 + 11 + 0 molecules in three wells are 7.3 a well, of which a silent one is chance once in 1500
    tree = run(tmp_path, {"S1": [cq_of(11), cq_of(11), "Undetermined"]})
    assert status(tree) is Status.detected_below_lloq
    tree = run(tmp_path, {"S1": [cq_of(20), cq_of(20), "Undetermined"]})
    assert status(tree) is Status.invalid
    assert "replicates disagree: 2 of 3 wells have a signal" in one(tree, "reason")


def test_poisson_scatter_at_low_copies_is_no_fault(tmp_path):
    scattered = [cq_of(12), cq_of(20), cq_of(28)]
    assert np.std(scattered, ddof=1) > 0.5  # a fixed limit would refuse it
    assert status(run(tmp_path, {"S1": scattered})) is Status.quantified
    assert status(run(tmp_path, {"S1": [cq_of(1000 * n) for n in (12, 20, 28)]})) is Status.invalid


def test_omitted_wells_do_not_count(tmp_path):
    frame = tidy_rows({"S1": [cq_of(1e4), cq_of(1e4), cq_of(1e2)]})
    frame["omit"] = [False] * (len(frame) - 1) + [True]
    frame.to_csv(tmp_path / "p.csv", index=False)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])))
    assert one(tree, "level") == pytest.approx(5e4, rel=1e-9)


def test_geometric_and_arithmetic_means(tmp_path):
    samples = {"S1": [cq_of(8e3), cq_of(1.25e4)]}
    arithmetic = run(tmp_path, samples)
    geometric = run(tmp_path, samples, quantify_options={"replicate_mean": "geometric"})
    assert one(arithmetic, "level") == pytest.approx(10250 * 5, rel=1e-9)
    assert one(geometric, "level") == pytest.approx(10000 * 5, rel=1e-9)
    assert json.loads(geometric.attrs["settings"])["replicate_mean"] == "geometric"


def test_dna_mass_decides_the_limits_and_the_status(tmp_path):
    samples = {"S1": 1e4, "S2": 1e4, "S3": 1e4, "S4": 1e4}
    sheet = sheet_frame(samples, dna_ng=[200.0, 50.0, 5.0, np.nan])
    tree = run(tmp_path, samples, sheet=sheet)
    assert tree["lloq"].values[0, 0, :3].tolist() == pytest.approx([50, 200, 2000])
    assert [status(tree, at) for at in range(4)] == [
        Status.quantified,
        Status.quantified,
        Status.insufficient_dna,
        Status.invalid,
    ]
    assert "'S4' has no DNA mass" in one(tree, "reason", 3)


def test_neat_and_one_in_ten_of_one_extract(tmp_path):
    """With true masses in the well, or with the neat mass and a dilution: same level, tenfold LLOQ."""
    samples = {"neat": [cq_of(1e5)] * 3, "1:10": [cq_of(1e4)] * 3, "1:10 by factor": [cq_of(1e4)] * 3}
    sheet = sheet_frame(samples, dna_ng=[200.0, 20.0, 200.0], dilution=[1, 1, 10])
    tree = run(tmp_path, samples, sheet=sheet)
    level, lloq = tree["level"].values[0, 0], tree["lloq"].values[0, 0]
    assert level == pytest.approx([5e5, 5e5, 5e5], rel=1e-9)
    assert lloq == pytest.approx([50, 500, 500], rel=1e-9)


def test_the_lloq_is_never_below_the_lowest_accepted_standard(tmp_path):
    levels = (1e2, 1e3, 1e4, 1e5, 1e6)
    tree = run(tmp_path, {"S1": 50.0}, levels=levels)
    assert one(tree, "lloq") == pytest.approx(100 / 200 * 1000)
    assert status(tree) is Status.detected_below_lloq
    tree = run(tmp_path, {"S1": 500.0}, quantify_options={"lloq_copies": 1000.0})
    assert status(tree) is Status.detected_below_lloq


def test_a_bad_lowest_standard_raises_the_lloq(tmp_path):
    frame = tidy_rows({"S1": 50.0}).astype(object)
    frame.loc[0, "cq"] = "Undetermined"
    frame.to_csv(tmp_path / "p.csv", index=False)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])))
    assert one(tree, "lloq") == pytest.approx(100 / 200 * 1000)
    assert status(tree) is Status.detected_below_lloq


@pytest.mark.parametrize(
    ("plate", "rule", "outcome"),
    [
        ({"levels": (1e2, 1e3, 1e4, 1e5)}, "curve_levels", Verdict.not_evaluable),
        ({"levels": (1e4, 2e4, 4e4, 8e4, 1.6e5)}, "curve_range", Verdict.not_evaluable),
        ({"ntc": [cq_of(500.0), "Undetermined"]}, "ntc", Verdict.failed),
        ({"levels": ()}, "curve_levels", Verdict.not_evaluable),
    ],
)
def test_a_plate_that_fails_gives_no_level_and_says_why(tmp_path, plate, rule, outcome):
    tree = run(tmp_path, {"S1": 1e4}, **plate)
    assert set(verdicts_of(tree, rule)["outcome"].values) == {outcome}
    assert status(tree) is Status.invalid
    assert np.isnan(tree["level"].values).all()
    assert one(tree, "reason").startswith("run p: ")
    assert tree["wells"].to_dataset(inherit=False)["copies"].dims == ("well",)


def test_a_late_ntc_is_no_failure(tmp_path):
    tree = run(tmp_path, {"S1": 1e4}, ntc=[cq_of(1.5), "Undetermined", "Undetermined"])
    ntc = verdicts_of(tree, "ntc")
    assert ntc["outcome"].item() == Verdict.passed
    assert ntc["value"].item() == pytest.approx(1.5)
    assert "1 of 3 NTC wells" in ntc["message"].item()
    assert status(tree) is Status.quantified


def test_a_plate_without_ntc_says_that_it_was_not_checked(tmp_path):
    ntc = verdicts_of(run(tmp_path, {"S1": 1e4}, ntc=[]), "ntc")
    assert ntc["outcome"].item() == Verdict.not_evaluable
    assert "no NTC well" in ntc["message"].item()


def test_a_bad_efficiency_names_rule_value_and_limit(tmp_path):
    frame = tidy_rows({"S1": 1e4})
    frame["cq"] = [field if isinstance(field, str) else 1.2 * field for field in frame["cq"]]
    frame.to_csv(tmp_path / "p.csv", index=False)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])))
    assert "efficiency 78.18 % misses the limit (90 to 110 %)" in one(tree, "reason")
    assert used_curve(tree)["accepted"].item() == Verdict.failed


@pytest.mark.parametrize("sign", [0.0, -1.0])
def test_a_rising_or_flat_curve_is_refused(tmp_path, sign):
    frame = tidy_rows({"S1": 1e4})
    frame["cq"] = [field if isinstance(field, str) else 30 + sign * (field - 30) for field in frame["cq"]]
    frame.to_csv(tmp_path / "p.csv", index=False)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])))
    assert verdicts_of(tree, "slope_sign")["outcome"].item() == Verdict.failed
    assert status(tree) is Status.invalid
    assert np.isnan(tree["wells"].to_dataset(inherit=False)["copies"].values).all()


def two_runs(folder, first, second, **options):
    write_tidy(folder / "a.csv", {"S1": first}, **options)
    write_tidy(folder / "b.csv", {"S1": second}, levels=LEVELS[1:])
    return read_plates(folder, layout=sheet_frame(["S1"]))


def test_repeats_are_never_chosen_silently(tmp_path):
    wells = two_runs(tmp_path, 1e4, 2e4)
    tree = quantify(wells)
    assert status(tree) is Status.invalid
    assert "2 valid results (a " in one(tree, "reason")
    assert status(quantify(wells, repeats="original_unless_failed")) is Status.quantified
    assert one(quantify(wells, repeats="original_unless_failed"), "plate") == "a"
    mean = quantify(wells, repeats="mean")
    assert one(mean, "plate") == "a+b"
    single = [quantify(two_runs(tmp_path, copies, copies), repeats="original_unless_failed") for copies in (1e4, 2e4)]
    assert one(mean, "level") == pytest.approx(np.mean([one(tree, "level") for tree in single]), rel=1e-3)
    assert mean["wells"].sizes["well"] == wells.sizes["well"]


def test_a_failed_run_is_replaced_by_its_repeat(tmp_path):
    tree = quantify(two_runs(tmp_path, 1e4, 2e4, ntc=[cq_of(1e3)]))
    assert status(tree) is Status.quantified
    assert one(tree, "plate") == "b"
    assert "the only valid result of 2" in one(tree, "reason")
    assert verdicts_of(tree, "repeats")["outcome"].item() == Verdict.passed


def test_a_dilution_stands_in_for_a_result_above_the_uloq(tmp_path):
    samples = {"S1": [cq_of(5e6)] * 3, "S1 1:100": [cq_of(5e4)] * 3}
    sheet = sheet_frame(samples, time=7.0, sample_id="S1", dilution=[1, 100])
    tree = run(tmp_path, samples, sheet=sheet)
    assert tree.sizes["sample"] == 1
    assert status(tree) is Status.quantified
    assert one(tree, "level") == pytest.approx(5e6 / 200 * 1000, rel=1e-9)


def test_means_of_mixed_repeats_are_refused(tmp_path):
    tree = quantify(two_runs(tmp_path, ["Undetermined"] * 3, 2e4), repeats="mean")
    assert status(tree) is Status.invalid
    assert "not all quantified" in one(tree, "reason")


def test_two_targets_need_a_name(tmp_path):
    import pandas as pd

    both = pd.concat([tidy_rows({"S1": 1e4}), tidy_rows({"S1": 1e5}, target="RNaseP")])
    both.to_csv(tmp_path / "p.csv", index=False)
    wells = read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"]))
    with pytest.raises(InputError, match="CAR, RNaseP: name one with target="):
        quantify(wells)
    assert one(quantify(wells, target="RNaseP"), "level") > one(quantify(wells, target="CAR"), "level")
    assert quantify(wells, target="CAR")["curves"].sizes["curve"] == 4  # two targets, two fits
    with pytest.raises(InputError, match="'EGFR' is in no well"):
        quantify(wells, target="EGFR")


def test_groups_are_those_of_the_schema(tmp_path):
    tree = run(tmp_path, {"S1": 1e4, "S2": ["Undetermined"] * 3})
    for name, group in (
        ("wells", "wells"),
        ("curves", "curves"),
        ("verdicts", "verdicts"),
        ("results", "results"),
        ("/", "kinetics"),
    ):
        dataset = tree[name].to_dataset(inherit=False)
        for var in GROUPS[group].variables:
            assert dataset[var.name].dtype == var.dtype, (name, var.name)
            assert dataset[var.name].dims == var.dims, (name, var.name)
    assert set(json.loads(tree.attrs["settings"])) >= {"rules", "rules_sha256", "replicate_mean", "repeats", "target"}


def test_options_are_checked(tmp_path):
    write_tidy(tmp_path / "p.csv", {"S1": 1e4})
    wells = read_plates(tmp_path / "p.csv")
    for options in (
        {"replicate_mean": "median"},
        {"repeats": "best"},
        {"unit": "cells/uL"},
        {"unit": "furlongs"},
        {"lloq_copies": -1.0},
        {"lod_copies": float("nan")},
        {"lod_copies": 50.0},
    ):
        with pytest.raises(InputError):
            quantify(wells, **options)
    with pytest.raises(InputError, match="well table"):
        quantify(xr.Dataset())
    with pytest.raises(InputError, match="no variable 'cq'"):
        quantify(wells.drop_vars("cq"))


def test_rules_files_are_checked(tmp_path):
    default = load_rules()
    assert default.name == "default"
    assert {rule.status for rule in default.by_id.values()} == {"verified", "practice"}
    path = tmp_path / "lab.toml"
    with pytest.raises(FileFormatError, match="cannot be read"):
        load_rules(path)
    path.write_text("name = ")
    with pytest.raises(FileFormatError, match=r"lab\.toml: the acceptance criteria are no TOML"):
        load_rules(path)
    path.write_text("name = 'lab'\n[rules.slope]\nlow = -3.6\nhigh = -3.1\nstatus = 'practice'\n")
    with pytest.raises(InputError, match="lack the rule 'curve_levels'"):
        load_rules(path)


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("low = 0.98", "low = 'high'", "rule 'r_squared' needs the number 'low'"),
        ("low = 90.0", "low = 190.0", "rule 'efficiency' has low above high"),
        ("[rules.ntc]", "[rules.water]\nhigh = 1\n[rules.ntc]", "unknown rule 'water'"),
        ("low = 0.98", "low = 0.98\nlevel = 3", "rule 'r_squared' has an unknown entry 'level'"),
    ],
)
def test_faulty_rules_are_named(tmp_path, old, new, pattern):
    from pathlib import Path

    from ckinetics.assay import rules as module

    text = (Path(module.__file__).parent / "rule_files" / "default.toml").read_text(encoding="utf-8")
    (tmp_path / "lab.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=pattern):
        load_rules(tmp_path / "lab.toml")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_rows_does_not_matter(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("order")
    samples = {"S1": 1e4, "S2": [cq_of(5), "Undetermined"], "S3": 3e2}
    frame = tidy_rows(samples)
    trees = []
    for name, rows in (("p", frame), ("q", frame.sample(frac=1, random_state=seed))):
        (folder / name).mkdir()
        rows.to_csv(folder / name / "p.csv", index=False)
        trees.append(quantify(read_plates(folder / name / "p.csv", layout=sheet_frame(samples))))
    for name in ("level", "status", "lloq", "se_well", "se_plate"):
        np.testing.assert_allclose(trees[0][name].values, trees[1][name].values, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(copies=st.floats(1e3, 9e4), mass=st.floats(100, 900), fold=st.floats(1.0, 10.0))
def test_a_dilution_changes_the_limits_and_not_the_level(tmp_path_factory, copies, mass, fold):
    folder = tmp_path_factory.mktemp("dilution")
    samples = {"neat": [cq_of(copies)] * 3, "diluted": [cq_of(copies / fold)] * 3}
    sheet = sheet_frame(samples, dna_ng=[mass, mass / fold])
    tree = run(folder, samples, sheet=sheet)
    level, lloq = tree["level"].values[0, 0], tree["lloq"].values[0, 0]
    assert level[0] == pytest.approx(copies / mass * 1000, rel=1e-6)
    assert level[1] == pytest.approx(level[0], rel=1e-6)
    assert lloq[1] == pytest.approx(fold * lloq[0], rel=1e-9)


def test_standard_wells_that_are_not_used_are_counted(tmp_path):
    frame = tidy_rows({"S1": 1e4}).astype(object)
    frame["omit"] = [at == 0 for at in range(len(frame))]
    frame.loc[4, "quantity"] = ""
    frame.loc[7, "cq"] = "Undetermined"
    frame.to_csv(tmp_path / "p.csv", index=False)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])))
    message = verdicts_of(tree, "curve_levels")["message"].item()
    assert "1 omitted, 1 without nominal copies, 1 without a Cq" in message
    assert used_curve(tree)["n_wells"].item() == 15


def test_a_sample_without_a_task_is_not_lost(tmp_path):
    frame = tidy_rows({"S1": 1e4, "S2": 1e4}).astype(object)
    frame.loc[frame["sample"] == "S2", "role"] = ""
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(InputError, match=r"sample 'S2' .* is not in the sample sheet"):
        read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"]))
    wells = read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1", "S2"]))
    assert set(wells["role"].values[wells["sample"].values == "S2"]) == {"unknown"}
    said = verdicts_of(quantify(read_plates(tmp_path / "p.csv")), "sample_sheet")
    assert said.sizes["verdict"] == 2


def test_the_tree_survives_a_round_trip_of_values(tmp_path):
    """Every result is numbers, flags, dates and text, so that it can be saved."""
    tree = run(tmp_path, {"S1": 1e4})
    for node in tree.subtree:
        for name, variable in node.to_dataset(inherit=False).variables.items():
            assert variable.dtype.kind in "fiOM", name
            if variable.dtype.kind == "O":
                assert all(isinstance(value, str) for value in variable.values.ravel().tolist()), name


def test_a_standard_that_does_not_read_back_is_not_accepted(tmp_path):
    frame = tidy_rows({"S1": 1e4, "S2": 30.0})
    frame["cq"] = frame["cq"].astype(object)
    for at in range(3):
        frame.loc[at, "cq"] -= 1.25  # the standard of 10 copies holds about 24
    frame.to_csv(tmp_path / "p.csv", index=False)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1", "S2"])))
    levels = verdicts_of(tree, "back_calculated")
    assert levels["outcome"].values.tolist() == [0, 1, 1, 1, 1, 1]
    assert levels["wells"].values[0] == "A1 A2 A3"
    share = verdicts_of(tree, "standards_accepted")
    assert share["value"].item() == pytest.approx(5 / 6)
    assert "not accepted: 10 copies" in share["message"].item()
    assert one(tree, "lloq") == pytest.approx(100 / 200 * 1000)
    assert [status(tree, at) for at in range(2)] == [Status.quantified, Status.detected_below_lloq]


def test_a_contaminated_plate_is_not_accepted(tmp_path):
    tree = run(tmp_path, {"S1": 1e4}, ntc=[33.0, "Undetermined"])
    assert one(tree, "status") == Status.invalid
    assert used_curve(tree)["accepted"].item() == Verdict.failed


@pytest.mark.parametrize(
    ("lloq", "outcome"), [(999_999.0, Verdict.passed), (1e6, Verdict.failed), (1e9, Verdict.failed)]
)
def test_a_plate_without_a_quantifiable_range_has_no_limits(tmp_path, lloq, outcome):
    frame = tidy_rows({"S1": 1e4})
    frame.to_csv(tmp_path / "p.csv", index=False)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])), lloq_copies=lloq)
    assert verdicts_of(tree, "quantifiable_range")["outcome"].item() == outcome
    assert used_curve(tree)["accepted"].item() == outcome
    assert np.isnan(one(tree, "lloq")) == (outcome == Verdict.failed)
    assert ("is not above the LLOQ" in one(tree, "reason")) == (outcome == Verdict.failed)
