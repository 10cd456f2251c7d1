"""Manual overrides: who, when and why; what they do to wells, verdicts and results; and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plate_builders import cq_of, sheet_frame, tidy_rows, write_tidy

from ckinetics.assay import load_rules, quantify, read_plates
from ckinetics.assay.overrides import read_overrides
from ckinetics.assay.rules import FLAGS
from ckinetics.errors import InputError
from ckinetics.provenance import sha256_file
from ckinetics.schema import Status, Verdict, YesNo

SIGNED = {"by": "QA", "when": "2026-02-01", "why": "air bubble"}
SCATTER = [cq_of(1e4) - 1.5, cq_of(1e4), cq_of(1e4) + 1.5]
NAMES = ("action", "run", "well", "sample", "target", "rule")


def entry(action, run="p", **more):
    return {"action": action, "run": run} | SIGNED | more


def frame(*entries):
    return pd.DataFrame(list(entries)).fillna("")


def plate(tmp_path, samples, *, sheet=None, **more):
    write_tidy(tmp_path / "p.csv", samples, **more)
    return read_plates(tmp_path / "p.csv", layout=sheet_frame(samples) if sheet is None else sheet)


def rows(tree, group):
    return tree[group].to_dataset(inherit=False).drop_dims(["export", "fault"], errors="ignore").to_dataframe()


def wells_of(wells, sample):
    table = wells.drop_dims(["export", "fault"], errors="ignore").to_dataframe()
    return table.loc[table["sample"] == sample, "well_name"].tolist()


@pytest.mark.parametrize("missing", ["action", "run", "by", "when", "why"])
@pytest.mark.parametrize("how", ["no column", "empty", "space"])
def test_an_entry_says_what_where_who_when_and_why(missing, how):
    row = entry("omit", well="A1")
    if how == "no column":
        del row[missing]
    else:
        row[missing] = "" if how == "empty" else "  "
    with pytest.raises(InputError, match=f"'{missing}'"):
        read_overrides(pd.DataFrame([row]))


@pytest.mark.parametrize(
    ("row", "pattern"),
    [
        (entry("delete", well="A1"), "action 'delete' is unknown: use omit, restore, reject, accept"),
        (entry("omit"), "names no well and no sample"),
        (entry("omit", well="Z99x"), "Z99x"),
        (entry("omit", well="A1", when="yesterday"), "'yesterday' is not a date"),
        (entry("omit", well="A1", when="01/02/2026"), "is not a date"),
        (entry("accept"), "'accept' needs a rule"),
        (entry("accept", rule="r_sqared"), "did you mean 'r_squared'"),
        (entry("accept", rule="slope_sign"), "cannot be accepted"),
        (entry("accept", rule="quantifiable_range"), "cannot be accepted"),
        (entry("accept", rule="ntc", well="A1"), "'accept' is of no well, and 'A1' is named"),
        (entry("reject", rule="ntc"), "'reject' is of no rule"),
        (entry("omit", well="A1", rule="ntc"), "'omit' is of no rule"),
        (entry("omit", well="A1", targt="CAR"), "column 'targt' is unknown: did you mean 'target'"),
    ],
)
def test_faulty_entries(row, pattern):
    with pytest.raises(InputError, match=pattern):
        read_overrides(pd.DataFrame([row]))


@pytest.mark.parametrize("rule", sorted(FLAGS))
def test_what_costs_nothing_cannot_be_accepted(rule):
    with pytest.raises(InputError, match="there is nothing to accept"):
        read_overrides(pd.DataFrame([entry("accept", rule=rule)]))


def test_a_file_is_read_with_its_rows_and_hash(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text("Action;Run ID;Well Position;Who;Date;Reason\nOmit;p;a1;QA;2026-02-01T14:30;bubble\n")
    found = read_overrides(path)
    (one,) = found.entries
    assert (one.action, one.run, one.well, one.row) == ("omit", "p", read_wells_name("A1"), 2)
    assert one.words == "by QA on 2026-02-01T14:30: bubble"
    assert found.sha256 == sha256_file(path)
    assert one.record() == {
        "row": 2,
        "action": "omit",
        "run": "p",
        "well": one.well,
        "by": "QA",
        "when": "2026-02-01T14:30",
        "why": "bubble",
    }
    with pytest.raises(InputError, match=r"decisions\.csv, row 2: nothing matches"):
        found.refuse_unused()


def read_wells_name(text):
    from ckinetics.assay.cells import well_of

    return well_of(text)


@pytest.mark.parametrize(
    ("row", "needs"),
    [
        (entry("omit", well="H12"), "a well of these names"),
        (entry("omit", well="A1", target="RNaseP"), "a well of these names"),
        (entry("omit", sample="S9"), "a well of these names"),
        (entry("omit", run="q", well="A1"), "a well of these names"),
        (entry("restore", well="A1"), "that was left out on the instrument"),
        (entry("reject", sample="S9"), "a result of these names"),
        (entry("reject", run="q"), "a result of these names"),
        (entry("accept", rule="r_squared"), "that is not passed"),
        (entry("accept", rule="replicate_sd", sample="S2"), "that is not passed"),
    ],
)
def test_a_decision_about_nothing_is_refused(tmp_path, row, needs):
    wells = plate(tmp_path, {"S1": SCATTER, "S2": 1e3})
    with pytest.raises(InputError, match=f"nothing matches the override .*{needs}"):
        quantify(wells, overrides=frame(row))


def test_a_well_that_is_omitted_counts_for_nothing_and_says_by_whom(tmp_path):
    wells = plate(tmp_path, {"S1": [cq_of(1e4), cq_of(1e4), cq_of(1e4) + 4]})
    last = wells_of(wells, "S1")[-1]
    assert quantify(wells)["status"].item() == Status.invalid
    tree = quantify(wells, overrides=frame(entry("omit", well=last)))
    assert tree["level"].item() == pytest.approx(1e4 / 200 * 1000, rel=1e-9)
    table = rows(tree, "wells").set_index("well_name")
    assert table.loc[last, "masked"] == YesNo.yes
    assert table.loc[last, "mask_reason"] == "omitted by QA on 2026-02-01: air bubble"
    assert table.loc[last, "cq"] == pytest.approx(cq_of(1e4) + 4)  # it stays
    assert (table.drop(last)["masked"] != YesNo.yes).all()


def test_a_standard_well_that_is_omitted_is_not_in_the_curve(tmp_path):
    wells = plate(tmp_path, {"S1": 1e4})
    tree = quantify(wells, overrides=frame(entry("omit", well="A1")))
    before = quantify(wells)
    used = [rows(one, "curves").query("used == 1").iloc[0] for one in (before, tree)]
    assert [one["n_wells"] for one in used] == [18, 17]
    messages = rows(tree, "verdicts").query("rule == 'curve_levels'")["message"].item()
    assert "1 masked" in messages


def omitted_plate(tmp_path):
    table = tidy_rows({"S1": [cq_of(1e4), cq_of(1e4), cq_of(2e4)]})
    table["omit"] = "FALSE"
    last = table.index[table["sample"] == "S1"][-1]
    table.loc[last, "omit"] = "TRUE"
    table.to_csv(tmp_path / "p.csv", index=False)
    return read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])), table.loc[last, "well"]


def test_a_well_that_was_left_out_is_brought_back(tmp_path):
    wells, last = omitted_plate(tmp_path)
    assert quantify(wells)["level"].item() == pytest.approx(1e4 / 200 * 1000, rel=1e-9)
    tree = quantify(wells, overrides=frame(entry("restore", well=last)))
    assert tree["results"]["n_wells"].item() == 3
    assert tree["reason"].item() or tree["level"].item() == pytest.approx((1e4 + 1e4 + 2e4) / 3 / 200 * 1000, rel=1e-9)
    table = rows(tree, "wells").set_index("well_name")
    back = table[table["mask_reason"] != ""]
    assert back["mask_reason"].tolist() == ["brought back by QA on 2026-02-01: air bubble"]
    assert back["omit"].tolist() == [YesNo.yes]  # what the instrument's operator said stays


def test_two_decisions_on_one_well_are_refused(tmp_path):
    wells, last = omitted_plate(tmp_path)
    both = frame(entry("restore", well=last), entry("omit", sample="S1"))
    for rows_ in (both, both.iloc[::-1]):
        with pytest.raises(InputError, match="is decided in row 1 too: keep one"):
            quantify(wells, overrides=rows_)


@pytest.mark.parametrize("more", [{}, {"sample": "S1"}, {"target": "CAR"}])
def test_a_rejected_result_keeps_its_copies_and_loses_its_level(tmp_path, more):
    wells = plate(tmp_path, {"S1": 1e4, "S2": 1e3})
    tree = quantify(wells, overrides=frame(entry("reject", **more)))
    results = rows(tree, "results").set_index("sample_id")
    assert results.loc["S1", "status"] == Status.invalid
    assert results.loc["S1", "reason"] == "rejected by QA on 2026-02-01: air bubble"
    assert np.isnan(results.loc["S1", "level"])
    assert results.loc["S1", "copies"] == pytest.approx(1e4, rel=1e-3)
    expected = Status.quantified if more.get("sample") else Status.invalid
    assert results.loc["S2", "status"] == expected
    assert "rejected by QA" in str(tree["reason"].values)


def failing(tmp_path, rule):
    """A plate on which one fatal rule fails, for the run or for its sample."""
    if rule == "ntc":
        return plate(tmp_path, {"S1": 1e4}, ntc=[cq_of(500.0)])
    if rule == "dna_input":
        return plate(tmp_path, {"S1": 1e4}, sheet=sheet_frame(["S1"], dna_ng=5.0))
    if rule == "partial_detection":
        return plate(tmp_path, {"S1": [cq_of(1e4), cq_of(1e4), "Undetermined"]})
    if rule == "efficiency":
        table = tidy_rows({"S1": 1e4})
        table["cq"] = [cq if isinstance(cq, str) else 1.2 * cq for cq in table["cq"]]
        table.to_csv(tmp_path / "p.csv", index=False)
        return read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"]))
    assert rule == "replicate_sd"
    return plate(tmp_path, {"S1": SCATTER})


@pytest.mark.parametrize("rule", ["ntc", "efficiency", "replicate_sd", "partial_detection", "dna_input"])
def test_an_accepted_rule_stays_failed_and_costs_no_level(tmp_path, rule):
    wells = failing(tmp_path, rule)
    before = quantify(wells)
    assert before["status"].item() in (Status.invalid, Status.insufficient_dna)
    tree = quantify(wells, overrides=frame(entry("accept", rule=rule)))
    (found,) = rows(tree, "verdicts").query(f"rule == '{rule}'").to_dict("records")
    (old,) = rows(before, "verdicts").query(f"rule == '{rule}'").to_dict("records")
    assert found["outcome"] == old["outcome"] == Verdict.failed
    assert (found["override"], old["override"]) == ("accepted by QA on 2026-02-01: air bubble", "")
    assert tree["status"].item() == Status.quantified
    assert np.isfinite(tree["level"].item())


def test_an_accepted_rule_is_of_the_sample_that_is_named(tmp_path):
    sheet = sheet_frame(["S1", "S2"], sample_id=["X1", "X2"])
    wells = plate(tmp_path, {"S1": SCATTER, "S2": SCATTER}, sheet=sheet)
    for name in ("S1", "X1"):  # the name on the plate, or the sample's id
        tree = quantify(wells, overrides=frame(entry("accept", rule="replicate_sd", sample=name)))
        status = rows(tree, "results").set_index("sample_id")["status"]
        assert status.to_dict() == {"X1": Status.quantified, "X2": Status.invalid}
        found = rows(tree, "verdicts").query("rule == 'replicate_sd'").set_index("sample_id")["override"]
        assert (bool(found["X1"]), bool(found["X2"])) == (True, False)


def test_accepting_one_rule_leaves_the_others(tmp_path):
    wells = plate(tmp_path, {"S1": SCATTER}, ntc=[cq_of(500.0)])
    tree = quantify(wells, overrides=frame(entry("accept", rule="ntc")))
    assert tree["status"].item() == Status.invalid
    assert "SD of replicate Cq" in tree["reason"].item()


def test_rules_of_a_sample_are_relaxed_and_no_others():
    rules = load_rules()
    given = read_overrides(
        frame(entry("accept", rule="replicate_sd", sample="S1"), entry("accept", rule="ntc", run="q"))
    )
    names = {"run": "p", "target": "CAR", "sample": "S1", "sample_id": "X1"}
    relaxed = given.rules_for(rules, **names)
    assert {name for name in rules.by_id if relaxed[name] != rules[name]} == {"replicate_sd"}
    assert not relaxed["replicate_sd"].fatal
    assert relaxed["replicate_sd"].values == rules["replicate_sd"].values
    assert given.rules_for(rules, **(names | {"sample": "S2"})) is rules
    assert rules["replicate_sd"].fatal
