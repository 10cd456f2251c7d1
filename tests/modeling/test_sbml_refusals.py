"""What an SBML file holds that a model file cannot say, or that no model needs: each is refused in one sentence."""

from __future__ import annotations

import builtins

import libsbml
import pytest
from sbml_builders import sbml

import ckinetics as ck
from ckinetics.errors import FileFormatError, InputError, ModelFileError
from ckinetics.modeling import read_model


def refusal(tmp_path, text, kind=ModelFileError):
    path = tmp_path / "small.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(kind) as caught:
        ck.read_sbml(path)
    said = str(caught.value)
    assert said.startswith("small.xml: ")
    assert "\n" not in said
    assert len(said) < 600
    return said


DECAY = {"constants": {"k": 0.3}, "parameters": {"x": 1.0}, "rates": {"x": "-k*x"}}


def with_event(**event):
    return sbml(**DECAY, events={"e1": {"trigger": "time > 2", "sets": {"x": "5"}} | event})


def rate(text, **more):
    return sbml(**{**DECAY, "rates": {"x": text}, **more})


CONSTRUCTS = {
    "delay of a quantity": (lambda: rate("-k*delay(x, 2)"), "the rate rule of 'x' uses delay"),
    "a function": (lambda: rate("sin(time)*x"), "the rate rule of 'x' uses sin"),
    "floor": (lambda: rate("floor(x)"), "uses floor"),
    "the rate of a quantity": (lambda: rate("rateOf(k)"), "uses rate_of"),
    "an unknown name": (
        lambda: rate("-nothing*x"),
        "the change of 'x' uses 'nothing', which the file does not have",
    ),
    "an unknown function": (lambda: rate("call_me(x)"), "calls 'call_me', which is no functionDefinition"),
    "not a number": (lambda: rate("x*INF"), "holds inf"),
    "no otherwise": (lambda: rate("piecewise(1, x > 2)"), "'x' has a piecewise without otherwise"),
    "a condition as number": (lambda: rate("2*(x > 1)"), "counts with a condition"),
    "a number as condition": (lambda: rate("piecewise(1, x, 2)"), "piecewise with a number for a condition"),
    "a recursive function": (
        lambda: rate("f(x)", functions={"f": "lambda(y, f(y))"}),
        "calls 'f' from within itself",
    ),
    "a function of the model": (
        lambda: rate("f(x)", functions={"f": "lambda(y, k*y)"}),
        "uses 'k', which is none of its",
    ),
    "arguments": (lambda: rate("f(x, x)", functions={"f": "lambda(y, y)"}), "gives 'f' 2 argument(s), and it takes 1"),
    "a missing value": (lambda: sbml(**{**DECAY, "constants": {"k": None}}), "parameter 'k' has no value"),
    "a missing start": (lambda: sbml(**{**DECAY, "parameters": {"x": None}}), "parameter 'x' has no initial value"),
    "a rule of a constant": (
        lambda: sbml(constants={"x": 1.0}, rates={"x": "1"}),
        "changes parameter 'x', which the file says is constant",
    ),
    "a circle of rules": (
        lambda: rate(
            "-a", **{"parameters": {"x": 1.0, "a": None, "b": None}, "assignments": {"a": "b + x", "b": "2*a"}}
        ),
        "the rule of 'a' uses itself",
    ),
    "a circle of starts": (
        lambda: sbml(
            parameters={"x": 1.0, "y": 1.0}, rates={"x": "-x", "y": "-y"}, initial={"x": "y + 1", "y": "x + 1"}
        ),
        "depends on itself",
    ),
    "an event of a state": (lambda: with_event(trigger="x < 0.5"), "event 'e1' is triggered by 'x < 0.5'"),
    "an event of a mixture": (lambda: with_event(trigger="time > 1 && x < 0.5"), "event 'e1' is triggered by"),
    "an event at an equality": (lambda: with_event(trigger="time == 2"), "event 'e1' is triggered by"),
    "an event with a delay": (lambda: with_event(delay="1"), "event 'e1' has a delay"),
    "an event that sets a constant": (lambda: with_event(sets={"k": "1"}), "event 'e1' sets parameter 'k'"),
    "an event that sets nothing known": (lambda: with_event(sets={"who": "1"}), "event 'e1' sets 'who'"),
    "events without an order": (
        lambda: sbml(
            **DECAY,
            events={
                "e1": {"trigger": "time > 2", "sets": {"x": "5"}},
                "e2": {"trigger": "2 < time", "sets": {"x": "2*x"}},
            },
        ),
        "events 'e1' and 'e2' happen at one time",
    ),
    "no course": (lambda: sbml(constants={"k": 1.0}), "it has no course"),
    "a volume by a rule": (
        lambda: sbml(
            compartments={"c": 1.0},
            species={"A": {"concentration": 1.0, "in": "c"}},
            assignments={"c": "1 + time"},
            reactions={"R": ("A ->", "A")},
        ),
        "compartment 'c' changes by an assignment rule",
    ),
    "a volume by an event": (
        lambda: sbml(
            compartments={"c": 1.0},
            species={"A": {"concentration": 1.0, "in": "c"}},
            rates={"c": "0"},
            reactions={"R": ("A ->", "A")},
            events={"e1": {"trigger": "time > 2", "sets": {"c": "5"}}},
        ),
        "an event changes compartment 'c'",
    ),
}


@pytest.mark.parametrize("what", CONSTRUCTS)
def test_a_construct_is_named(what, tmp_path):
    write, said = CONSTRUCTS[what]
    assert said in refusal(tmp_path, write())


def changed(text, change):
    document = libsbml.readSBMLFromString(text)
    change(document.getModel())
    return libsbml.writeSBMLToString(document)


REACTION = {"species": {"A": {"concentration": 1.0}}, "reactions": {"R": ("A ->", "A")}}


def test_an_algebraic_rule(tmp_path):
    def change(model):
        rule = model.createAlgebraicRule()
        rule.setMath(libsbml.parseL3Formula("x - y"))
        rule.setMetaId("balance")

    assert "rule 2 ('balance') is an algebraic rule" in refusal(tmp_path, changed(sbml(**DECAY), change))


def test_a_fast_reaction(tmp_path):
    text = changed(sbml(version=1, **REACTION), lambda model: model.getReaction("R").setFast(True))
    assert "reaction 'R' is fast" in refusal(tmp_path, text)


def test_missing_math(tmp_path):
    text = sbml(**REACTION)
    start, end = text.index("<math"), text.index("</math>") + len("</math>")
    text = text[:start] + text[end:]
    assert "the rate of reaction 'R' has no math" in refusal(tmp_path, text)
    text = changed(sbml(**REACTION), lambda model: model.getReaction("R").unsetKineticLaw())
    assert "reaction 'R' has no kineticLaw" in refusal(tmp_path, text)
    text = changed(with_event(), lambda model: model.getEvent("e1").unsetTrigger())
    assert "event 'e1' has no trigger" in refusal(tmp_path, text)


@pytest.mark.parametrize("package", ["comp", "distrib", "arrays", "odd"])
def test_a_package_that_changes_the_meaning(package, tmp_path):
    name = f"http://www.sbml.org/sbml/level3/version1/{package}/version1"
    head = f'<sbml xmlns:p="{name}" p:required="true" '
    said = refusal(tmp_path, sbml(version=1, **DECAY).replace("<sbml ", head), FileFormatError)
    assert f"needs the SBML package '{package}'" in said
    head = '<sbml xmlns:own="http://example.org/own" own:required="true" '
    assert "'own'" in refusal(tmp_path, sbml(version=1, **DECAY).replace("<sbml ", head), FileFormatError)


BOMB = '<?xml version="1.0"?><!DOCTYPE sbml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><sbml>&b;</sbml>'
HOSTILE = {
    "nothing": (b"", "is not an XML file"),
    "no XML": (b"k = 0.3\n", "is not an XML file"),
    "bytes": (bytes(range(256)) * 20, "is not an XML file"),
    "cut off": (sbml(**DECAY)[:900], "is not an XML file"),
    "a bomb": (BOMB, "document type"),
    "a file from elsewhere": ('<!DOCTYPE sbml SYSTEM "other.dtd"><sbml/>', "document type"),
    "another document": ("<html><body/></html>", "is no SBML file: its first element is <html>"),
    "too deep": (
        sbml(**DECAY).replace("</model>", "<notes>" + "<p>" * 5000 + "</p>" * 5000 + "</notes></model>"),
        "deep",
    ),
    "too many": (sbml(**DECAY).replace("</model>", "<p/>" * 210_000 + "</model>"), "more than 200000 elements"),
    "too large": (b" " * 5_000_000, "is larger than"),
    "level 1": (
        '<sbml xmlns="http://www.sbml.org/sbml/level1" level="1" version="2"><model name="m"/></sbml>',
        "level 1",
    ),
    "level 9": ('<sbml xmlns="http://www.sbml.org/sbml/level9" level="9" version="1"><model/></sbml>', "level"),
    "no model": ('<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"/>', "model"),
    "another encoding": (sbml(**DECAY).replace("UTF-8", "UTF-16").encode("utf-16"), "UTF-8"),
    "an id that is code": (
        sbml(**DECAY).replace('"k"', '"k;import os"'),
        "line 16: libsbml cannot read it (Invalid syntax for an 'id' attribute value)",
    ),
    "an id twice": (sbml(**DECAY).replace('id="k"', 'id="x"'), "x"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_model_needs(what, tmp_path):
    text, said = HOSTILE[what]
    assert said in refusal(tmp_path, text, InputError)


def test_functions_that_grow_without_end(tmp_path):
    functions = {"f0": "lambda(x, x + x)"}
    functions |= {f"f{n}": f"lambda(x, f{n - 1}(x) + f{n - 1}(x*x))" for n in range(1, 25)}
    assert "too large" in refusal(tmp_path, rate("f24(x)", functions=functions))


def test_rules_that_grow_without_end(tmp_path):
    rules = {"y0": "piecewise(x, time > 3, 2*x)"} | {f"y{n}": f"y{n - 1}*y{n - 1} + 1" for n in range(1, 40)}
    text = sbml(
        parameters={"x": 1.0, **dict.fromkeys(rules)}, assignments=rules, rates={"x": "y39"}, constants={"k": 1.0}
    )
    assert "too large" in refusal(tmp_path, text)


def test_rules_that_are_used_without_end(tmp_path):
    """As a tree, the last of them would have more parts than there are atoms."""
    n = 120
    rules = {"y0": "x", "y1": "2*x"} | {
        f"y{i}": f"0.1*y{i - 1} + piecewise(0.1, time > 3, 0.2)*y{i - 2}" for i in range(2, n)
    }
    values = dict.fromkeys([*rules, "a"]) | {"x": 1.0}
    said = refusal(tmp_path, sbml(parameters=values, assignments=rules, rates={"x": f"-y{n - 1}"}, initial={"a": "y3"}))
    assert "too large" in said
    plain = {key: text.replace("piecewise(0.1, time > 3, 0.2)", "0.1") for key, text in rules.items()}
    constants = dict.fromkeys(f"c{i}" for i in range(n))
    starts = {"c0": "1", "c1": f"x + y{n - 1}"} | {f"c{i}": f"c{i - 1} + c{i - 2}" for i in range(2, n)}
    text = sbml(
        parameters=values, assignments=plain, constants=constants, rates={"x": f"-c{n - 1}*y{n - 1}"}, initial=starts
    )
    assert "too large" in refusal(tmp_path, text)


def test_a_species_in_many_reactions(tmp_path):
    reactions = {f"R{i}": ("A ->", f"{i}*A/100000") for i in range(2, 402)}
    path = tmp_path / "small.xml"
    path.write_text(sbml(species={"A": {"concentration": 1.0}}, reactions=reactions), encoding="utf-8")
    equation = read_model(ck.read_sbml(path), name="small").specification.phases[0].equations["A"]
    assert equation.count("A/100000/cell") == 400
    reactions = {f"R{i}": ("A ->", "A/(" + " + ".join(["A"] * 35) + ")") for i in range(1000)}
    assert "too large" in refusal(tmp_path, sbml(species={"A": {"concentration": 1.0}}, reactions=reactions))


def test_cases_that_multiply(tmp_path):
    clauses = " && ".join(f"(x > {i} || x < -{i})" for i in range(1, 41))
    assert "too large" in refusal(tmp_path, rate(f"piecewise(1, {clauses}, 2*x)"))


def test_a_long_chain_of_rules(tmp_path):
    rules = {f"y{i}": f"y{i + 1} + 1" for i in range(1900)} | {"y1900": "k"}
    text = sbml(
        parameters={"x": 1.0, **dict.fromkeys(rules)}, assignments=rules, rates={"x": "y0"}, constants={"k": 1.0}
    )
    assert "nested too deep" in refusal(tmp_path, text)


def test_a_sum_without_end(tmp_path):
    text = rate(" + ".join(["x"] * 5000))
    assert "too large, or nested too deep" in refusal(tmp_path, text)


def test_more_events_than_a_model_has(tmp_path):
    events = {f"e{n}": {"trigger": f"time > {n}", "sets": {"x": "5"}} for n in range(1, 150)}
    assert "switches 149 times" in refusal(tmp_path, sbml(**DECAY, events=events))


def test_a_label_is_only_text(tmp_path):
    text = sbml(**DECAY).replace('id="k"', 'id="k" name="&quot;&#10;[states.x]&#10;__import__(&apos;os&apos;)&quot;"')
    path = tmp_path / "small.xml"
    path.write_text(text, encoding="utf-8")
    spec = read_model(ck.read_sbml(path), name="small").specification
    assert spec.parameters["k"].label == "\" [states.x] __import__('os')\""


def test_the_library_that_is_missing(tmp_path, monkeypatch):
    whole = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "libsbml":
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (lambda: ck.read_sbml(tmp_path / "x.xml"), lambda: ck.write_sbml("stein2019", tmp_path / "x.xml")):
        with pytest.raises(InputError, match=r"pip install 'ckinetics\[sbml\]'"):
            call()
    assert not list(tmp_path.iterdir())


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        ck.read_sbml(tmp_path / "none.xml")
    with pytest.raises(InputError, match="cannot be read"):
        ck.read_sbml(tmp_path)
