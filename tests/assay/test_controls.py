"""Verdicts on QC samples, internal controls, partitions, reference genes, dilutions and reanalyses, by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckinetics.assay import load_rules
from ckinetics.assay.controls import (
    dilution_verdicts,
    inhibition_verdicts,
    isr_verdicts,
    partition_verdicts,
    qc_verdicts,
    reference_verdict,
)
from ckinetics.assay.levels import SampleResult
from ckinetics.assay.verdicts import blocking
from ckinetics.schema import CqStatus, Status, Verdict, YesNo

RULES = load_rules()
ABOUT = {"run_id": "p", "target": "CAR"}
PASSED, FAILED, UNKNOWN = Verdict.passed, Verdict.failed, Verdict.not_evaluable


def changed(rule, **values):
    """The default rules with one of them changed."""
    return dataclasses.replace(RULES, by_id={**RULES.by_id, rule: dataclasses.replace(RULES[rule], **values)})


def well(name, role="unknown", sample="", cq=math.nan, *, status=None, **more):
    found = CqStatus.determined if math.isfinite(cq) else CqStatus.undetermined
    return {
        "run_id": "p",
        "target": "CAR",
        "well_name": name,
        "role": role,
        "sample": sample,
        "patient_id": "P1" if role == "unknown" else "",
        "cq": cq,
        "cq_status": found if status is None else status,
        "omit": YesNo.no,
        "masked": YesNo.no,
        "copies": math.nan,
        "nominal_copies": math.nan,
        "n_partitions": math.nan,
        "partition_nl": math.nan,
    } | more


def by_rule(verdicts, rule):
    return [entry for entry in verdicts if entry["rule"] == rule]


def outcomes(verdicts, rule):
    return [entry["outcome"] for entry in by_rule(verdicts, rule)]


def qcs(levels):
    """QC wells: nominal copies to what each well reads."""
    out = []
    for nominal, reads in levels.items():
        out += [(nominal, read) for read in reads]
    return [
        well(f"Q{at}", "qc", "QC", nominal_copies=nominal, copies=read)
        for at, (nominal, read) in enumerate(out, start=1)
    ]


@pytest.mark.parametrize(
    ("levels", "overall", "per_level", "share"),
    [
        ({100: [90, 110], 1e3: [1e3, 1.2e3], 1e4: [9e3, 1e4]}, PASSED, [PASSED] * 3, 1.0),
        ({100: [130, 70], 1e3: [1.3e3, 7e2]}, PASSED, [PASSED] * 2, 1.0),  # the limit belongs to the range
        ({100: [90, 140], 1e3: [1e3, 1.4e3], 1e4: [1e4, 1e4]}, PASSED, [PASSED] * 3, 4 / 6),  # exactly 2/3
        ({100: [140, 140], 1e3: [1e3, 1e3], 1e4: [1e4, 1e4]}, PASSED, [FAILED, PASSED, PASSED], 4 / 6),
        ({100: [90, 140], 1e3: [1e3, 1.4e3], 1e4: [1e4, 2e4]}, FAILED, [PASSED] * 3, 3 / 6),
        ({100: [90, math.nan], 1e3: [1e3, 1e3]}, PASSED, [PASSED] * 2, 3 / 4),  # no signal has failed
        ({100: [math.nan]}, FAILED, [FAILED], 0.0),
    ],
)
def test_qc_overall_and_per_level(levels, overall, per_level, share):
    verdicts = qc_verdicts(qcs(levels), RULES, ABOUT)
    assert outcomes(verdicts, "qc_overall") == [overall]
    assert outcomes(verdicts, "qc_per_level") == per_level
    assert by_rule(verdicts, "qc_overall")[0]["value"] == pytest.approx(share)
    assert bool(blocking(verdicts, RULES)) == (overall == FAILED or FAILED in per_level)


def test_a_failed_qc_names_wells_values_and_limits():
    verdicts = qc_verdicts(qcs({100: [90, 160], 1e3: [math.nan, 1e3]}), RULES, ABOUT)
    first, second = by_rule(verdicts, "qc_per_level")
    assert (first["wells"], second["wells"]) == ("Q2", "Q3")
    assert "QC of 100 copies reads 90, 160 (limit of one: 30 %)" in first["message"]
    assert "reads none, 1000" in second["message"]
    (overall,) = by_rule(verdicts, "qc_overall")
    assert (overall["wells"], overall["low"], overall["value"]) == ("Q2 Q3", 0.6666, 0.5)
    assert "2 of 4 QC wells" in overall["message"]


def test_scatter_of_qc_wells_by_hand():
    """90, 100, 110: SD 10, CV 10 %; 60, 140: SD 56.57, CV 56.57 %. It is reported and costs nothing."""
    verdicts = qc_verdicts(qcs({100: [90, 100, 110], 1e3: [600, 1400], 1e4: [1e4]}), RULES, ABOUT)
    found = by_rule(verdicts, "qc_precision")
    assert [entry["value"] for entry in found] == pytest.approx([10.0, 56.5685], rel=1e-5)
    assert [entry["outcome"] for entry in found] == [PASSED, FAILED]
    assert blocking(found, RULES) == []


def test_qc_wells_without_nominal_copies_cannot_be_judged():
    (entry,) = qc_verdicts([well("A1", "qc", copies=100.0)], RULES, ABOUT)
    assert (entry["rule"], entry["outcome"], entry["wells"]) == ("qc_overall", UNKNOWN, "A1")
    assert "no nominal copies" in entry["message"]


def test_a_plate_without_qc_wells_is_refused_where_they_are_required():
    assert qc_verdicts([well("A1")], RULES, ABOUT) == []
    rules = changed("qc_overall", required=True)
    (entry,) = qc_verdicts([well("A1")], rules, ABOUT)
    assert blocking([entry], rules) == [entry["message"]]
    left_out = [one | {"omit": YesNo.yes} for one in qcs({100: [90, 110]})]
    (entry,) = qc_verdicts(left_out, rules, ABOUT)
    assert "no QC well that is not left out" in entry["message"]


def ipc(*samples, blank=(25.0, 25.2)):
    """Wells of a two-target plate: the control's rows, by sample."""
    out = []
    for name, cqs in samples:
        out += [(name, "ipc", cq) for cq in cqs]
    rows = [well(f"A{at}", role, name, cq, target="IPC") for at, (name, role, cq) in enumerate(out, start=1)]
    rows += [well(f"A{at}", "unknown", name, 30.0) for at, (name, _, _) in enumerate(out, start=1)]
    for at, cq in enumerate(blank, start=1):
        rows += [well(f"H{at}", "ipc", "NTC", cq, target="IPC"), well(f"H{at}", "ntc", "NTC")]
    return rows


@pytest.mark.parametrize(
    ("cqs", "outcome", "delay"),
    [
        ([25.1, 25.3], PASSED, 0.1),
        ([26.05, 26.1], PASSED, 0.975),
        ([26.2, 26.4], FAILED, 1.2),
        ([24.0, 24.0], PASSED, -1.1),
        ([math.nan, 25.1], FAILED, math.inf),
    ],
)
def test_inhibition_by_hand(cqs, outcome, delay):
    """Against 25.0 and 25.2 in the no-template wells: a mean of 25.1."""
    found = inhibition_verdicts(ipc(("S1", cqs)), RULES)
    assert set(found) == {("p", "S1")}
    entry = found["p", "S1"]
    assert entry["outcome"] == outcome
    assert entry["value"] == pytest.approx(delay)
    assert entry["high"] == 1.0
    assert entry["wells"] == ("A1" if math.isinf(delay) else "A1 A2")


def test_inhibition_without_a_reference_or_with_blank_cq_is_not_judged():
    entry = inhibition_verdicts(ipc(("S1", [25.0]), blank=()), RULES)["p", "S1"]
    assert (entry["outcome"], "no no-template well of the run" in entry["message"]) == (UNKNOWN, True)
    rows = ipc(("S1", [25.0, 25.0]))
    rows[0] |= {"cq": math.nan, "cq_status": CqStatus.missing}
    entry = inhibition_verdicts(rows, RULES)["p", "S1"]
    assert (entry["outcome"], "is blank" in entry["message"]) == (UNKNOWN, True)


def test_inhibition_is_held_against_wells_of_its_own_run():
    other = [one | {"run_id": "q"} for one in ipc(("S1", [28.0]), blank=(28.0,))]
    found = inhibition_verdicts(ipc(("S1", [25.0])) + other, RULES)
    assert {key: entry["outcome"] for key, entry in found.items()} == {("p", "S1"): PASSED, ("q", "S1"): PASSED}


def test_a_control_by_its_target_and_by_its_well():
    rows = [one | ({"role": "unknown"} if one["role"] == "ipc" else {}) for one in ipc(("S1", [27.0]))]
    assert inhibition_verdicts(rows, RULES) == {}
    assert inhibition_verdicts(rows, RULES, ipc_target="IPC")["p", "S1"]["value"] == pytest.approx(1.9)
    nameless = [one | ({"sample": ""} if one["role"] == "ipc" else {}) for one in ipc(("S1", [27.0]))]
    assert inhibition_verdicts(nameless, RULES)["p", "S1"]["value"] == pytest.approx(1.9)


def test_of_two_controls_the_worse_counts():
    first = ipc(("S1", [27.0]))
    second = [one | ({"target": "ZIPC", "cq": 25.1} if one["target"] == "IPC" else {}) for one in first]
    assert inhibition_verdicts(first + second, RULES)["p", "S1"]["target"] == "IPC"
    assert inhibition_verdicts(second + first, RULES)["p", "S1"]["outcome"] == FAILED


def test_left_out_controls_do_not_count():
    rows = ipc(("S1", [25.0, 31.0]))
    rows[1] |= {"omit": YesNo.yes}
    assert inhibition_verdicts(rows, RULES)["p", "S1"]["value"] == pytest.approx(-0.1)


def test_where_the_control_is_required_a_sample_without_one_says_so():
    rules = changed("inhibition", required=True)
    rows = [*ipc(("S1", [25.0])), well("B1", "unknown", "S2", 30.0)]
    assert set(inhibition_verdicts(rows, RULES)) == {("p", "S1")}
    found = inhibition_verdicts(rows, rules)
    assert (found["p", "S1"]["outcome"], found["p", "S2"]["outcome"]) == (PASSED, UNKNOWN)
    assert blocking([found["p", "S2"]], rules)


def drops(*counts, nl=0.85):
    return [well(f"A{at}", n_partitions=float(n), partition_nl=nl) for at, n in enumerate(counts, start=1)]


def test_partitions_of_droplets_and_of_plates():
    (entry,) = partition_verdicts(drops(15_000, 9_999, 10_000), RULES, ABOUT)
    assert (entry["rule"], entry["outcome"], entry["value"], entry["wells"]) == ("droplets", FAILED, 9999.0, "A2")
    (entry,) = partition_verdicts(drops(8_200, 5_000, nl=0.334), RULES, ABOUT)
    assert (entry["rule"], entry["outcome"], entry["wells"]) == ("partitions", PASSED, "")
    (entry,) = partition_verdicts(drops(20_480, nl=0.432), RULES, ABOUT)
    assert entry["rule"] == "partitions"
    assert partition_verdicts([well("A1")], RULES, ABOUT) == []


@pytest.mark.parametrize(
    ("mass", "nominal", "outcome"),
    [
        (100, 200, PASSED),
        (99.9, 200, FAILED),
        (300, 200, PASSED),
        (301, 200, FAILED),
        (100, math.nan, UNKNOWN),
        (1, 0, UNKNOWN),
    ],
)
def test_dna_by_the_reference_gene(mass, nominal, outcome):
    entry = reference_verdict(mass, nominal, RULES, ABOUT, wells=["A1"])
    assert (entry["outcome"], entry["wells"], entry["low"], entry["high"]) == (outcome, "A1", 50.0, 150.0)


def result(level=math.nan, status=None, run="a", **more):
    status = status or (Status.quantified if math.isfinite(level) else Status.not_detected)
    more = {"lloq": 50.0, "uloq": 1e6, "dna_ng": 200.0, "sample": "S1", "wells": "A1 A2"} | more
    return SampleResult(run, "CAR", more.pop("sample_id", "S1"), status, level=level, **more)


def diluted(level=math.nan, status=None, factor=10.0, **more):
    more = {"lloq": 50.0 * factor, "uloq": 1e6 * factor, "dilution": factor, "sample": "S1 dil", "wells": "B1"} | more
    return result(level, status, **more)


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ((result(1000.0), diluted(1300.0)), 30.0),
        ((result(1000.0), diluted(1301.0)), 30.1),
        ((result(1300.0), diluted(1000.0)), 30.0),
        ((result(), diluted(1000.0)), 1900.0),  # < 50 neat, 1000 diluted: inhibited
        ((result(status=Status.above_uloq), diluted(5e5)), 100.0),  # > 1e6 and 5e5
    ],
)
def test_dilutions_that_can_be_compared(pair, value):
    (entry,) = dilution_verdicts(pair, RULES)
    assert entry["value"] == pytest.approx(value)
    assert entry["outcome"] == (FAILED if value > 30.05 else PASSED)
    assert entry["wells"] == "A1 A2 B1"


@pytest.mark.parametrize(
    "pair",
    [
        (result(100.0), diluted()),  # 1:10 of a low sample is below its own LLOQ: no contradiction
        (result(status=Status.above_uloq), diluted(4e6)),
        (result(), diluted()),
        (result(1000.0), result(2000.0)),  # one dilution
        (result(1000.0), diluted(9000.0, run="b")),  # another run
        (result(1000.0), diluted(9000.0, status=Status.invalid)),
    ],
)
def test_dilutions_that_say_nothing(pair):
    assert dilution_verdicts(pair, RULES) == []


def isr(level=math.nan, status=None, **more):
    return result(level, status, **({"run": "b", "purpose": "isr", "wells": "C1"} | more))


@pytest.mark.parametrize(
    ("original", "repeat", "value", "outcome"),
    [
        (100.0, 130.0, 30 / 115 * 100, PASSED),
        (100.0, 135.0, 35 / 117.5 * 100, PASSED),  # of the mean: 29.8 %
        (100.0, 136.0, 36 / 118 * 100, FAILED),
        (136.0, 100.0, 36 / 118 * 100, FAILED),
        (100.0, math.nan, 50 / 75 * 100, FAILED),  # below 50: at least 66.7 % apart
        (60.0, math.nan, math.nan, UNKNOWN),  # below 50: at least 18 %, which says nothing
        (math.nan, 100.0, 50 / 75 * 100, FAILED),
        (math.nan, math.nan, math.nan, UNKNOWN),
    ],
)
def test_one_reanalysis_by_hand(original, repeat, value, outcome):
    first, over_all = isr_verdicts([result(original), isr(repeat)], RULES)
    assert (first["rule"], first["outcome"], first["wells"]) == ("isr_difference", outcome, "C1")
    assert first["value"] == pytest.approx(value, nan_ok=True)
    assert over_all["outcome"] == (UNKNOWN if outcome == UNKNOWN else outcome)
    assert ("at least so much" in first["message"]) == (math.isfinite(value) and math.isnan(original * repeat))


def test_two_thirds_of_the_reanalyses_must_agree():
    pairs = [(100.0, 100.0), (100.0, 110.0), (100.0, 200.0)]
    results = []
    for at, (first, again) in enumerate(pairs):
        results += [result(first, sample_id=f"S{at}"), isr(again, sample_id=f"S{at}")]
    share = isr_verdicts(results, RULES)[-1]
    assert (share["rule"], share["outcome"]) == ("isr", PASSED)
    assert share["value"] == pytest.approx(2 / 3)
    assert "2 of 3 reanalyses" in share["message"]
    worse = [*results, result(100.0, sample_id="S9"), isr(200.0, sample_id="S9")]
    assert isr_verdicts(worse, RULES)[-1]["outcome"] == FAILED
    more = [*results, result(60.0, sample_id="S9"), isr(sample_id="S9")]
    assert "2 of 3 reanalyses, 1 more cannot be compared" in isr_verdicts(more, RULES)[-1]["message"]
    assert isr_verdicts([result(100.0)], RULES) == []


def test_a_reanalysis_is_held_against_the_first_quantified_result():
    results = [
        result(run="a", status=Status.invalid),
        result(200.0, run="b"),
        result(900.0, run="c"),
        isr(200.0, run="d"),
    ]
    assert isr_verdicts(results, RULES)[0]["value"] == 0.0
    (alone, _) = isr_verdicts([isr(200.0)], RULES)
    assert (alone["outcome"], "original has no result" in alone["message"]) == (UNKNOWN, True)


POSITIVE = st.floats(51, 1e5)


@given(POSITIVE, POSITIVE, st.floats(0.01, 100))
def test_reanalyses_and_dilutions_do_not_depend_on_order_or_unit(first, second, unit):
    def at(a, b):
        return isr_verdicts([result(a), isr(b)], RULES)[0]["value"]

    assert at(first, second) == pytest.approx(at(second, first))
    assert at(first, second) == pytest.approx(at(first * unit, second * unit), rel=1e-9, abs=1e-9)
    pair = [result(first), diluted(second)]
    values = [dilution_verdicts(own, RULES)[0]["value"] for own in (pair, pair[::-1])]
    assert values[0] == pytest.approx(values[1])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([10.0, 100.0, 1e3]), st.floats(0.2, 3.0).filter(lambda f: abs(abs(f - 1) - 0.3) > 1e-6)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_shares_of_qc_wells_are_counts(drawn):
    wells = [
        well(f"Q{at}", "qc", nominal_copies=nominal, copies=nominal * factor)
        for at, (nominal, factor) in enumerate(drawn)
    ]
    verdicts = qc_verdicts(wells, RULES, ABOUT)
    good = [abs(one["copies"] / one["nominal_copies"] - 1) * 100 <= 30 for one in wells]
    (overall,) = by_rule(verdicts, "qc_overall")
    assert overall["value"] == pytest.approx(np.mean(good))
    assert overall["wells"].split() == [
        one["well_name"]
        for one, fine in sorted(zip(wells, good, strict=True), key=lambda pair: pair[0]["nominal_copies"])
        if not fine
    ]
