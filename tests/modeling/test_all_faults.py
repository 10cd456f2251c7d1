"""Faults of a model file, all of them at once, each with its line; and what an example may give to a patient."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ckinetics.errors import ModelFileError
from ckinetics.modeling import check_examples, load_model, model_folder, read_model
from ckinetics.modeling.checking import check_model, fullest_inputs

STEIN = (model_folder() / "stein2019.toml").read_text(encoding="utf-8")
COMEDICATION = (model_folder() / "stein2019_comedication.toml").read_text(encoding="utf-8")
ORAL = (model_folder() / "one_compartment_oral.toml").read_text(encoding="utf-8")


def faults(text, *changes):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(ModelFileError) as caught:
        read_model(text, name="mine", file="mine.toml")
    found = [caught.value.message, *caught.value.others]
    for fault in found:
        assert re.match(r"line \d+, ", fault), fault
        assert "\n" not in fault
    return text.splitlines(), found


def line_of(fault):
    return int(re.match(r"line (\d+), ", fault)[1]) - 1


def test_faults_of_keys_and_kinds_are_told_together():
    lines, found = faults(
        STEIN,
        ('trust = "V2"\nstart', "start"),
        ("value = 24000.0", 'value = "much"'),
        ("tolerance = 5e-6", "tolerence = 5e-6"),
        ("random_sd = 0.91", "random_sd = -0.91"),
    )
    assert len(found) == 5
    assert "unknown key; did you mean 'tolerance'?" in found[0]
    assert lines[line_of(found[0])] == "tolerence = 5e-6"
    told = dict(zip(("trust", "value", "random_sd", "tolerance"), found[1:], strict=True))
    assert all(f"key '{key}'" in fault for key, fault in told.items())
    assert lines[line_of(told["trust"])] == "[parameters.foldx]"
    assert lines[line_of(told["value"])] == 'value = "much"'
    assert lines[line_of(told["random_sd"])] == "random_sd = -0.91"


def test_faults_between_tables_are_told_together():
    lines, found = faults(
        STEIN,
        ("bounds = [1.01, 1e9]", "bounds = [4000.0, 1e9]"),
        ("value = 0.56", "value = 56"),
        ('M = "0"\n', ""),
    )
    assert [lines[line_of(fault)] for fault in found] == ["value = 3900.0", "[phases.equations]", "value = 56"]
    assert "is outside its bounds 4000 to 1e+09" in found[0]


def test_faults_of_expressions_are_told_together():
    lines, found = faults(
        STEIN,
        ('rho = "log(foldx)/Tmax"', 'rho = "log(fold)/Tmax"'),
        ('E = "-alpha*E"', 'E = "-alfa*E"'),
        ('expression = "log(2)/beta"', 'expression = "log(2)/bet"'),
        ('when = "beta > alpha"', 'when = "beta"'),
    )
    assert [lines[line_of(fault)] for fault in found] == [
        'rho = "log(fold)/Tmax"',
        'E = "-alfa*E"',
        'when = "beta"',
        'expression = "log(2)/bet"',
    ]


def test_a_definition_that_cannot_be_read_is_told_once():
    _, found = faults(STEIN, ('R0 = "Cmax/foldx"', 'R0 = "k*Cmax"'))
    assert len(found) == 1
    assert "uses `k`, which is not defined above it" in found[0]


def test_faults_of_units_are_told_together():
    lines, found = faults(
        STEIN,
        ('E = "rho*E"', 'E = "rho"'),
        ('initial = "R0"', 'initial = "alpha"'),
        ('start = ["peak_time"]', 'start = ["peak_level"]'),
    )
    assert [lines[line_of(fault)] for fault in found] == [
        'initial = "alpha"',
        'E = "rho"',
        'start = ["peak_level"]',
    ]


def test_an_example_that_does_not_hold_is_told_with_its_line():
    text = STEIN.replace("24000.0, 11411.5", "24000.0, 11511.5").replace("k = 0.00123872", "k = 0.00123872")
    (told,) = check_examples(read_model(text, name="wrong"))
    assert not told["passed"]
    assert text.splitlines()[told["line"] - 1].startswith("level = [6.15385")
    assert re.fullmatch(r"level at 14 day is 11411\.5\d*, expected 11511\.5", told["worst"])
    text = STEIN.replace("doubling_time = 0.7795958", "doubling_time = 0.7796958")
    (told,) = check_examples(read_model(text, name="wrong"))
    assert text.splitlines()[told["line"] - 1] == "doubling_time = 0.7796958"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("toki = [[5.7, 1]]", r"key 'inputs\.toki': no such name in \[inputs\]; did you mean 'toci'\?"),
        ("toci = 1", r"key 'inputs\.toci': is 1: give pairs of time and value, such as \[\[0\.0, 1\.0\]\]"),
        ("toci = []", r"key 'inputs\.toci': is \[\]: give pairs"),
        ("toci = [5.7, 1]", r"key 'inputs\.toci': is \[5\.7, 1\]: give pairs"),
        ("toci = [[5.7, 1, 2]]", r"key 'inputs\.toci': is .*: give pairs"),
        ("toci = [[5.7, true]]", r"key 'inputs\.toci': is .*: give pairs"),
        ("toci = [[5.7, inf]]", r"key 'inputs\.toci': is .*: give pairs"),
        ("toci = [[-1, 1]]", r"key 'inputs\.toci': holds a negative time: times count from the first infusion on"),
    ],
)
def test_what_an_example_gives_is_checked(given, said):
    lines, (fault,) = faults(COMEDICATION, ("toci = [[5.7, 1.0]]", given))
    assert re.search(said, fault)
    assert lines[line_of(fault)] == given


def test_a_negative_dose_or_two_numbers_for_a_constant_are_refused():
    given = "[example.inputs]\ndose = [[0, -320]]\n[example.outputs]\n"
    _, (fault,) = faults(ORAL, ("[example.outputs]\n", given))
    assert "key 'inputs.dose': holds a negative dose" in fault
    text = (model_folder() / "mueller_schoell2021.toml").read_text(encoding="utf-8")
    _, (fault,) = faults(text, ("ratio = 0.25", "ratio = [[0, 0.25]]"))
    assert "key 'inputs.ratio': is [[0, 0.25]]: a constant of the patient is one number" in fault


def test_an_example_gives_doses_at_times():
    oral = load_model("one_compartment_oral")
    times = [0.5, 6.0, 11.9, 12.5, 24.0, 36.0]
    one = oral.evaluate(times, method="rodas5p", rtol=1e-10)
    later = oral.evaluate(np.maximum(np.array(times) - 12.0, 0.0), rtol=1e-10) * (np.array(times) > 12.0)
    expected = ", ".join(f"{value!r}" for value in (one + later).tolist())
    block = f"""
[[example]]
title = "twice"
source = "superposition of one dose"
tolerance = 1e-7
times = {times}
[example.inputs]
dose = [[0.0, 320.0], [12.0, 320.0]]
[example.outputs]
concentration = [{expected}]
"""
    report = check_examples(read_model(ORAL + block, name="twice"))
    assert [example["passed"] for example in report] == [True, True]
    (_, wrong) = check_examples(read_model(ORAL + block.replace("[12.0, 320.0]", "[12.0, 300.0]"), name="twice"))
    assert not wrong["passed"]


def test_identifiability_is_judged_with_what_examples_give():
    model = load_model("stein2019_comedication")
    assert fullest_inputs(model.specification) == {"toci": [[5.7, 1.0]], "ster": [[7.5, 1.0]]}
    found = check_model(model, points=3)
    assert found.passed
    assert found.identifiability["acts"].values.all()
    assert found.inputs == fullest_inputs(model.specification)
