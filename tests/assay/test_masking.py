"""Standard levels that may be left out: only under a preset rule, reported, and never to flatter a curve."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plate_builders import LEVELS, cq_of, sheet_frame, tidy_rows

from ckinetics.assay import load_rules, quantify, read_plates
from ckinetics.assay.curves.standard_curve import Level
from ckinetics.assay.masking import mask_standards
from ckinetics.schema import Status, Verdict, YesNo

ABOUT = {"run_id": "p", "target": "CAR"}
LAB = """
name = "lab"
version = "7"
based_on = "default"
[rules.masking]
meaning = "standard levels that may be masked"
max_levels = {allowed}
fatal = true
status = "practice"
source = "our method, section 9"
"""


def rules_with(allowed):
    default = load_rules()
    rule = dataclasses.replace(default["masking"], values={"max_levels": float(allowed)})
    return dataclasses.replace(default, by_id={**default.by_id, "masking": rule})


def plate(accepted):
    """Levels of three wells, and which are accepted."""
    levels = tuple(
        Level(10.0**at, 10.0**at * (1.0 if fine else 2.0), 0.0 if fine else 100.0, fine, (f"A{at}", f"B{at}", f"C{at}"))
        for at, fine in enumerate(accepted, start=1)
    )
    wells = [
        {"well_name": name, "nominal_copies": level.nominal, "masked": YesNo.no, "mask_reason": ""}
        for level in levels
        for name in level.wells
    ]
    return wells, levels


def masked(wells):
    return {well["well_name"] for well in wells if well["masked"] == YesNo.yes}


@given(st.lists(st.booleans(), max_size=8), st.integers(0, 4))
def test_levels_are_masked_whole_and_as_many_as_allowed(accepted, allowed):
    wells, levels = plate(accepted)
    verdicts = mask_standards(wells, levels, rules_with(allowed), ABOUT)
    failing = {name for level in levels if not level.accepted for name in level.wells}
    n = len(failing) // 3
    assert masked(wells) == (failing if n <= allowed else set())
    assert all(bool(well["mask_reason"]) == (well["well_name"] in masked(wells)) for well in wells)
    if n == 0 or allowed == 0:
        assert verdicts == []
    else:
        (entry,) = verdicts
        assert (entry["value"], entry["high"]) == (n, allowed)
        assert entry["outcome"] == (Verdict.passed if n <= allowed else Verdict.failed)
        assert set(entry["wells"].split()) == failing


def test_the_verdict_and_the_wells_say_why():
    wells, levels = plate([True, False, True])
    (entry,) = mask_standards(wells, levels, rules_with(1), ABOUT)
    assert "left out: 100 copies (reads 200)" in entry["message"]
    assert {well["mask_reason"] for well in wells if well["masked"] == YesNo.yes} == {
        "rule masking of default 2: the level fails (reads 200)"
    }
    silent = (dataclasses.replace(levels[1], copies=math.nan, error_pct=math.nan), levels[2])
    (entry,) = mask_standards(plate([True, False, True])[0], silent, rules_with(1), ABOUT)
    assert "100 copies (a well is undetermined)" in entry["message"]
    (entry,) = mask_standards(plate([False, False])[0], plate([False, False])[1], rules_with(1), ABOUT)
    assert "kept, for there are too many that fail" in entry["message"]


def run(tmp_path, allowed, shifts):
    """A plate whose standards are shifted by so many cycles, level by level, with a sample of 3000 copies."""
    frame = tidy_rows({"S1": [cq_of(3000)] * 3})
    for level, shift in shifts.items():
        at = (frame["role"] == "standard") & (frame["quantity"] == level)
        frame.loc[at, "cq"] = frame.loc[at, "cq"].astype(float) + shift
    frame.to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "lab.toml").write_text(LAB.format(allowed=allowed))
    return quantify(read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"])), rules=tmp_path / "lab.toml")


def rows(tree, group):
    return tree[group].to_dataset(inherit=False).drop_dims(["export", "fault"], errors="ignore").to_dataframe()


def test_masking_a_level_frees_the_curve_and_is_reported(tmp_path):
    """The highest level 0.9 cycles early reads 33 % off: without it the curve is exact, and the range ends below it."""
    kept, freed = (run(tmp_path, allowed, {1e6: -0.9}) for allowed in (0, 1))
    assert rows(freed, "curves").query("used == 1")["slope"].item() == pytest.approx(-3.3219280948873626, rel=1e-9)
    assert rows(kept, "curves").query("used == 1")["slope"].item() != pytest.approx(-3.3219280948873626, rel=1e-3)
    wells = rows(freed, "wells")
    left_out = wells[wells["masked"] == YesNo.yes]
    assert left_out["nominal_copies"].tolist() == [1e6] * 3
    assert left_out["mask_reason"].str.startswith("rule masking of lab 7: the level fails").all()
    assert rows(kept, "wells")["masked"].ne(YesNo.yes).all()
    (entry,) = rows(freed, "verdicts").query("rule == 'masking'").to_dict("records")
    assert (entry["outcome"], entry["value"]) == (Verdict.passed, 1.0)
    assert freed["level"].item() == pytest.approx(3000 / 200 * 1000, rel=1e-9)
    assert freed["uloq"].item() == pytest.approx(1e5 / 200 * 1000)  # never above the highest accepted standard


def test_masking_does_not_raise_the_share_of_accepted_levels(tmp_path):
    """Two of six left out are 4/6, below three quarters, however good the other four are."""
    tree = run(tmp_path, 2, {10.0: -1.4, 1e6: 0.7})
    share = rows(tree, "verdicts").query("rule == 'standards_accepted'").iloc[0]
    count = int((rows(tree, "wells")["masked"] == YesNo.yes).sum()) // 3
    assert count == 2
    assert share["value"] == pytest.approx((len(LEVELS) - count) / len(LEVELS))
    assert (share["outcome"], tree["status"].item()) == (Verdict.failed, Status.invalid)
    assert "10 (masked)" in share["message"]


def test_more_failing_levels_than_allowed_fail_the_plate(tmp_path):
    tree = run(tmp_path, 1, {10.0: -1.4, 1e6: 0.7})
    assert (rows(tree, "wells")["masked"] != YesNo.yes).all()
    assert rows(tree, "verdicts").query("rule == 'masking'")["outcome"].tolist() == [Verdict.failed]
    assert tree["status"].item() == Status.invalid
    assert np.isnan(tree["level"].item())
