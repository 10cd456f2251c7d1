"""Which of several results of a sample is reportable, by the policies that have a name."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckinetics.assay.levels import SampleResult
from ckinetics.assay.repeats import POLICIES, reportable
from ckinetics.schema import UNUSABLE_STATUSES, Status, Verdict


def result(run, level=math.nan, status=None, **more):
    status = status or (Status.quantified if math.isfinite(level) else Status.not_detected)
    more = {"lod": 15.0, "lloq": 50.0, "uloq": 1e6, "se_well": 0.1, "se_plate": 0.05} | more
    return SampleResult(run, "CAR", "S1", status, level=level, **more)


TWO = (result("a", 100.0), result("b", 200.0))
FAILED = result("a", status=Status.invalid, reason="run a failed")


@pytest.mark.parametrize("policy", POLICIES)
def test_one_result_is_the_result(policy):
    only = result("a", 100.0)
    assert reportable([only], policy) == (only, [], (0,))


@pytest.mark.parametrize(
    ("policy", "level", "which"),
    [
        ("refuse", math.nan, ()),
        ("original_unless_failed", 100.0, (0,)),
        ("mean", 150.0, (0, 1)),
        ("median_of_three", math.nan, ()),
    ],
)
def test_two_valid_results(policy, level, which):
    chosen, (note,), indices = reportable(TWO, policy)
    assert indices == which
    assert chosen.level == pytest.approx(level, nan_ok=True)
    assert (note["rule"], note["value"]) == ("repeats", 2.0)
    assert note["outcome"] == (Verdict.passed if which else Verdict.failed)
    assert (chosen.status is Status.quantified) == bool(which)
    for text in ("a 100", "b 200"):
        assert text in note["message"]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_original_that_failed_gives_way(policy):
    chosen, (note,), indices = reportable([FAILED, TWO[1]], policy)
    assert (chosen.level, indices, note["outcome"]) == (200.0, (1,), Verdict.passed)
    assert "the only valid result of 2" in chosen.reason


@pytest.mark.parametrize("policy", POLICIES)
def test_no_valid_result(policy):
    chosen, (note,), indices = reportable([FAILED, result("b", status=Status.insufficient_dna)], policy)
    assert (chosen.status, indices, note["outcome"]) == (Status.invalid, (), Verdict.failed)
    assert "no valid result (runs a, b): run a failed" in chosen.reason


def test_the_original_is_the_first_run_as_a_person_counts():
    runs = [result("run10", 300.0), result("run2", 200.0), result("run9", 900.0)]
    chosen, _, indices = reportable(runs, "original_unless_failed")
    assert (chosen.run_id, indices) == ("run2", (1,))


def test_an_original_below_the_lloq_is_a_result():
    """It is no failed run: a quantified repeat must not be picked in its place."""
    chosen, _, indices = reportable([result("a"), result("b", 200.0)], "original_unless_failed")
    assert (chosen.status, indices) == (Status.not_detected, (0,))


def test_median_of_three():
    three = [result("a", 300.0), result("b", 100.0), result("c", 200.0)]
    chosen, _, indices = reportable(three, "median_of_three")
    assert (chosen.level, chosen.run_id, indices) == (200.0, "c", (2,))
    for other in (three[:2], [*three, result("d", 5.0)], [*three[:2], result("c")]):
        chosen, (note,), indices = reportable(other, "median_of_three")
        assert (chosen.status, indices, note["outcome"]) == (Status.invalid, (), Verdict.failed)
        assert "needs three quantified results" in chosen.reason


@pytest.mark.parametrize("policy", POLICIES)
def test_a_reanalysis_is_never_reported(policy):
    again = result("b", 200.0, purpose="isr")
    first = result("a", 100.0)
    assert reportable([first, again], policy) == (first, [], (0,))
    assert reportable([again, first], policy) == (first, [], (1,))
    alone, notes, indices = reportable([again], policy)
    assert (alone.status, notes, indices) == (Status.invalid, [], ())
    assert "incurred-sample reanalysis only" in alone.reason
    # nor does it rescue a sample whose own run failed
    kept, _, indices = reportable([FAILED, again], policy)
    assert (kept, indices) == (FAILED, (0,))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_dilution_stands_in_for_a_result_above_the_uloq(policy):
    above = result("a", status=Status.above_uloq)
    chosen, _, indices = reportable([above, result("b", 4e6)], policy)
    assert (chosen.level, indices) == (4e6, (1,))
    assert "1 other result(s) are above the ULOQ" in chosen.reason


def test_the_error_of_a_mean_by_hand():
    near = (result("a", 100.0), result("b", 102.0))
    mean, _, _ = reportable(near, "mean")
    # variances of 100 and 102 in copies/ug, over the sum of 202
    assert mean.se_well == pytest.approx(math.hypot(0.1 * 100, 0.1 * 102) / 202)
    assert mean.se_plate == pytest.approx(math.hypot(0.05 * 100, 0.05 * 102) / 202)
    one_run, _, _ = reportable((result("a", 100.0), result("a", 102.0)), "mean")
    assert one_run.se_plate == pytest.approx(0.05)  # one curve's error does not average out
    assert (mean.lloq, mean.uloq, mean.run_id, one_run.run_id) == (50.0, 1e6, "a+b", "a")


def test_repeats_that_are_far_apart_make_the_error_of_their_mean_greater():
    mean, _, _ = reportable(TWO, "mean")
    apart = np.std([100, 200], ddof=1) / math.sqrt(2) / 150
    assert math.hypot(mean.se_well, mean.se_plate) == pytest.approx(apart)
    assert apart > 4 * 0.08


STATUSES = st.sampled_from(list(Status))


@given(
    st.lists(st.tuples(STATUSES, st.floats(1, 1e6), st.sampled_from(["", "isr"])), min_size=1, max_size=6),
    st.sampled_from(POLICIES),
)
def test_what_is_reported_comes_from_what_may_be(drawn, policy):
    results = [
        result(f"r{at}", level if status is Status.quantified else math.nan, status, purpose=purpose)
        for at, (status, level, purpose) in enumerate(drawn)
    ]
    before = [dict(vars(one)) for one in results]
    chosen, notes, indices = reportable(results, policy)
    assert [dict(vars(one)) for one in results] == before  # all stay as they were
    assert all(results[at].purpose != "isr" for at in indices)
    assert len(notes) == (sum(one.purpose != "isr" for one in results) > 1)
    if math.isfinite(chosen.level):
        levels = [results[at].level for at in indices]
        assert min(levels) * (1 - 1e-12) <= chosen.level <= max(levels) * (1 + 1e-12)
        assert all(results[at].status not in UNUSABLE_STATUSES for at in indices)
