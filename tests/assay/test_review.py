"""What in a patient's series is flagged for a person to look at; nothing is removed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckinetics.assay import load_rules
from ckinetics.assay.review import series_verdicts
from ckinetics.assay.verdicts import blocking
from ckinetics.schema import Status, Verdict

RULES = load_rules()
WORDS = {
    "+": Status.quantified,
    "^": Status.above_uloq,
    "d": Status.detected_below_lloq,
    "b": Status.below_lloq,
    "n": Status.not_detected,
    "i": Status.invalid,
    "m": Status.missing,
}


def series(words, times=None, patient="P1", matrix="blood", **more):
    times = range(1, len(words) + 1) if times is None else times
    return [
        {
            "patient": patient,
            "matrix": matrix,
            "time": float(time),
            "status": int(WORDS[word]),
            "sample_id": f"{patient}-{matrix}-{time}",
            "plate": "r1",
            "level": 500.0 if word == "+" else math.nan,
        }
        | more
        for word, time in zip(words, times, strict=True)
    ]


def flagged(rows, rule="late_positive"):
    return [entry["sample_id"] for entry in series_verdicts(rows, RULES) if entry["rule"] == rule]


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("nn+++nn+n", 8),  # isolated after two below the LLOQ
        ("++bd+", 5),  # the last sample of the series
        ("++dn^n", 5),  # above the ULOQ is positive too
        ("++n+n", None),  # one sample below is no series
        ("++nn++n", None),  # two in a row: a second expansion
        ("nnn+", None),  # the rise after the infusion
        ("nnn++nn", None),
        ("nnnn+n", 5),  # never positive before or after
        ("++nin+n", 6),  # an invalid sample says nothing
        ("++nn+mn", 5),
        ("++nnd", None),  # detected below the LLOQ is not positive
        ("++++", None),
        ("", None),
    ],
)
def test_isolated_late_positives(words, at):
    assert flagged(series(words)) == ([] if at is None else [f"P1-blood-{at}"])


def test_the_flag_says_who_and_when_and_costs_nothing():
    (entry,) = series_verdicts(series("+bb+", target="CAR"), RULES)
    assert entry["message"] == (
        "isolated late positive: patient 'P1', blood, day 4, after 2 samples below the LLOQ: look at it"
    )
    assert (entry["run_id"], entry["target"], entry["sample_id"]) == ("r1", "CAR", "P1-blood-4")
    assert (entry["outcome"], entry["value"], entry["low"]) == (Verdict.failed, 2.0, 2.0)
    assert blocking([entry], RULES) == []


@pytest.mark.parametrize(("word", "expected"), [("+", True), ("d", True), ("^", True), ("n", False), ("b", False)])
@pytest.mark.parametrize("time", [-7.0, 0.0])
def test_positive_before_the_infusion(word, expected, time):
    found = flagged(series(word, [time]), "predose_positive")
    assert found == ([f"P1-blood-{time}"] if expected else [])


def test_after_the_infusion_nothing_is_before_it():
    assert flagged(series("+", [0.01]), "predose_positive") == []


def test_series_are_of_one_patient_and_matrix():
    rows = series("++nn+n")
    for at, row in enumerate(rows):
        row["matrix"] = ("blood", "bone marrow")[at % 2]
    assert flagged(rows) == []
    mixed = series("++nn+n") + series("+++", patient="P2") + series("nn+n", matrix="csf")
    assert flagged(mixed) == ["P1-blood-5", "P1-csf-3"]


def test_times_that_are_not_known_yet_are_ordered_by_collection():
    rows = series("++nn+n")
    for day, row in enumerate(rows):
        row["time"], row["collected"] = math.nan, np.datetime64("2026-01-01T09:00") + np.timedelta64(day, "D")
    (entry,) = series_verdicts(list(reversed(rows)), RULES)
    assert "collected 2026-01-05T09:00" in entry["message"]


@given(st.text("+^dbnim", max_size=12), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_and_each_is_flagged_once(words, random):
    rows = series(words)
    found = flagged(rows)
    assert len(set(found)) == len(found)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert flagged(shuffled) == found
    positive = {row["sample_id"] for row in rows if row["status"] in (Status.quantified, Status.above_uloq)}
    assert set(found) <= positive
