"""SBML files of BioModels and small ones against scipy on the files' own formulas, there and back."""

from __future__ import annotations

import csv
import json
import re

import libsbml
import numpy as np
import pytest
from model_builders import model_text
from sbml_builders import sbml
from sbml_to_model import Course

import ckinetics as ck
from ckinetics.modeling import list_models, load_model, read_model
from ckinetics.modeling.files.dimensions import parse_unit
from ckinetics.modeling.sbml import sbml_text

# Per file: its switches, a method of scipy that suits it, and the states whose stored course (CVODE at
# rtol = atol = 1e-10, whose error adds up) is off by less than 1e-6 until a day only.
FILES = {
    "BIOMD0000001011": ((), "DOP853", {"Leukaemic_B_cells": 24.0, "B_cells_healthy": 23.0}),
    "BIOMD0000001019": ((45.0, 250.0), "LSODA", {"Ct": 136.0, "T": 46.0}),
    "BIOMD0000001024": ((), "DOP853", {"Expanding_CAR_T_cells": 80.0, "Tumor_cells": 8.0}),
    "BIOMD0000001025": ((9.3,), "LSODA", {}),
    "BIOMD0000001041": ((), "DOP853", {"CAR_T_cells": 348.0, "Antigen_presenting_tumour_cells": 11.0}),
    "MODEL2109110005": ((9.3,), "DOP853", {}),
}


def imported(tmp_path, text, name="small"):
    path = tmp_path / f"{name}.xml"
    path.write_text(text, encoding="utf-8")
    return read_model(ck.read_sbml(path), name=name)


def same_course(model, times, expected, *, below=1e-6, rtol=1e-6):
    """Hold outputs of a model to courses, where these are not next to nothing beside their greatest value."""
    for key, course in expected.items():
        if key not in model.specification.outputs:  # a rule that does not change
            assert np.ptp(course) == 0
            continue
        counts = np.abs(course) > below * np.abs(course).max()
        found = model.evaluate(times, output=key, rtol=1e-10)
        np.testing.assert_allclose(found[counts], course[counts], rtol=rtol, err_msg=key)


@pytest.mark.parametrize("name", FILES)
def test_a_biomodels_file_keeps_its_course_there_and_back(name, shared_data, tmp_path):
    folder = shared_data / "models" / "sbml"
    breaks, method, until = FILES[name]
    stored = next(folder.glob(f"ref_{name}*.csv"))
    with stored.open() as lines:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)][::7]
    times = np.array([row["time"] for row in rows if row["time"] not in breaks])
    expected = Course(folder / f"{name}.xml").run(times, breaks, method=method)
    model = read_model(ck.read_sbml(folder / f"{name}.xml"), name=name)
    same_course(model, times, expected)
    assert set(rows[0]) - {"time"} <= set(model.specification.outputs)
    for key in set(rows[0]) - {"time"}:
        course = np.array([row[key] for row in rows if row["time"] not in breaks])
        counts = (course > 1e-6 * course.max()) & (times <= until.get(key, np.inf))
        assert counts.sum() > 5
        found = model.evaluate(times, output=key, rtol=1e-10)
        np.testing.assert_allclose(found[counts], course[counts], rtol=1e-6, err_msg=key)
    ck.write_sbml(model, tmp_path / "again.xml")
    again = read_model(ck.read_sbml(tmp_path / "again.xml"), name=name)
    same_course(
        again,
        times,
        {key: model.evaluate(times, output=key, rtol=1e-10) for key in expected if key in model.specification.outputs},
        rtol=1e-8,
    )


def test_what_a_model_file_says_of_its_source(shared_data):
    text = ck.read_sbml(shared_data / "models" / "sbml" / "BIOMD0000001011.xml")
    spec = read_model(text, name="x").specification
    assert spec.reference.doi == "10.1016/j.cnsns.2020.105570"
    assert "BIOMD0000001011.xml" in spec.reference.text
    assert "BIOMD0000001011.xml" in spec.verified[0].against
    assert {one.trust for one in spec.parameters.values()} == {"V2"}
    assert text.count("# BIOMD0000001011.xml, ") == len(spec.parameters) == 7
    assert (spec.time_unit, spec.parameters["tao_C"].unit, spec.states["CAR_T_cells"].unit) == ("day", "day", "cells/L")
    assert spec.unit_check == "none"  # of alpha, which the file has in 1/d
    assert "do not fit" in spec.unit_check_reason
    assert not spec.example


SMALL = {
    "amounts, concentrations and compartments": (
        {
            "compartments": {"blood": 5.0, "tissue": 0.25},
            "species": {
                "A": {"concentration": 3.0, "in": "blood"},
                "B": {"amount": 2.0, "in": "tissue"},
                "C": {"amount": 1.0, "in": "blood", "substance": True},
                "D": {"concentration": 4.0, "in": "tissue", "substance": True},
                "E": {"concentration": 2.0, "boundary": True},
            },
            "constants": {"k": 0.3},
            "functions": {"rate": "lambda(v, x, v*x)", "both": "lambda(x, y, rate(x, y) + x)"},
            "reactions": {
                "go": ("2 A -> B", "k*A*blood", {"k": 0.11}),
                "back": ("B -> A + 3 C", "k*rate(0.2, B)*tissue"),
                "end": ("C + E ->", "0.05*both(C, E)"),
                "fill": ("E -> D", "0.7*tissue"),
            },
        },
        (),
    ),
    "rules and initial assignments": (
        {
            "constants": {"k": 0.2, "n": 2.5},
            "parameters": {"x": 1.0, "y": None, "z": 3.0, "whole": None, "later": None},
            "initial": {"y": "2*whole/n", "n": "k*10"},
            "assignments": {"whole": "x + later", "later": "z^2/(1 + z^2)"},
            "rates": {"x": "k*y - 0.1*x", "y": "-k*y + 0.01*whole", "z": "-z^n/(2^n + z^n)"},
        },
        (),
    ),
    "cases of time": (
        {
            "constants": {"end": 4.0, "lag": 1.5},
            "parameters": {"x": 1.0, "y": 2.0, "gate": None, "shown": None},
            "assignments": {
                "gate": "piecewise(1, (time >= lag && time < end) || 2*time > 13, 0.25)",
                "shown": "gate*x + piecewise(0, time < 3, 1)",
            },
            "rates": {
                "x": "gate*(1 + x) - 0.3*x",
                "y": "piecewise(-y, time - lag < 0, 0.4*y, !(time > end), -0.1*y*gate)",
            },
        },
        (1.5, 3.0, 4.0, 6.5),
    ),
    "cases of states": (
        {
            "parameters": {"x": 1.0, "y": 0.1},
            "rates": {"x": "-0.2*x", "y": "piecewise(0.3*y, x > 0.4, -0.2*y) + max(0, 0.1 - y) + abs(x - 0.5)"},
        },
        (np.log(2.0) / 0.2, np.log(2.5) / 0.2),
    ),
    "events": (
        {
            "parameters": {"x": 10.0, "y": 4.0, "on": 0.0, "two": 0.5},
            "constants": {"when": 2.25},
            "rates": {"x": "-0.3*x + on", "y": "0.1*x - 0.2*y"},
            "events": {
                "begin": {"trigger": "time >= 0", "sets": {"two": "0.75"}, "initial": False},
                "set": {"trigger": "time >= when", "sets": {"x": "7", "on": "1.5"}},
                "swap": {"trigger": "and(time > 5, time <= 6)", "sets": {"x": "y", "y": "x + two"}},
                "off": {"trigger": "time > 7 || time < 1", "sets": {"on": "0", "two": "two*3"}},
                "never": {"trigger": "time < 2", "sets": {"x": "1000"}},
            },
        },
        (2.25, 5.0, 7.0),
    ),
    "doses": (
        {
            "parameters": {"x": 0.0, "y": 1.0},
            "constants": {"amount": 12.0},
            "rates": {"x": "-0.3*x", "y": "0.1*x - 0.2*y"},
            "events": {
                "first": {"trigger": "time >= 0", "sets": {"x": "x + amount"}, "initial": False},
                "second": {"trigger": "time >= 3.5", "sets": {"x": "x + 8", "y": "2 + y"}},
            },
        },
        (3.5,),
    ),
    "functions of mathematics": (
        {
            "parameters": {"x": 1.0, "y": 2.0, "z": -1.0},
            "rates": {
                "x": "0.1*exp(-x) - root(3, x)/10 + 0.05*log10(y + 1) - 0.01*log(2, 1 + x)",
                "y": "min(x, y, 2) - 0.2*sqrt(y)*pi - 0.1*ln(1 + y)/(1/2)",
                "z": "piecewise(0.1, xor(x > 5, y > 0), 7) - z*pow(x, 2)",
            },
        },
        (),
    ),
}


@pytest.mark.parametrize("what", SMALL)
def test_a_small_file_has_the_course_of_its_formulas(what, tmp_path):
    parts, breaks = SMALL[what]
    text = sbml(**parts)
    model = imported(tmp_path, text)
    times = np.array([0.0, 0.4, 1.4, 1.6, 2.9, 3.1, 3.9, 4.1, 4.7, 5.9, 6.4, 6.6, 8.2, 12.0])
    expected = Course(tmp_path / "small.xml").run(times, breaks, log=False)
    assert expected
    same_course(model, times, expected, below=0.0, rtol=1e-7)
    ck.write_sbml(model, tmp_path / "again.xml")
    again = read_model(ck.read_sbml(tmp_path / "again.xml"), name="again")
    same_course(again, times, expected, below=0.0, rtol=1e-7)


# Files that are not in the folder, written from the equations of their papers; what is known of their courses is.
HANSON = {
    "time": "h",
    "species": {
        key: {"concentration": value}
        for key, value in {"C_m": 10, "C_e": 10, "H_m": 10, "H_e": 10, "L": 1600, "Inflam": 140, "B": 300}.items()
    },
    "constants": {
        **{"n": 6, "r1": 0.003, "r2": 0.1, "r3": 0.1, "r4": 0.1, "d1": 2e-4, "d2": 1.5, "d3": 0.004, "d4": 0.004},
        **{"d5": 2e-4, "p0": 200, "p1": 0.002, "p2": 0.4, "a1": 4e-7, "a2": 2, "a3": 8e-5, "b": 800, "l": 1600},
        **{"k": 4800, "D": 0},
    },
    "parameters": {"G": None, "Q": None},
    "assignments": {
        "G": "Inflam^2/(Inflam^2 + b^2)",
        "Q": "piecewise(1 - (B + C_e + C_m + H_e + H_m + L)/l, B + C_e + C_m + H_e + H_m + L <= l, 0)",
    },
    "reactions": {
        "grow": ("-> B", "cell*r1*B*(1 - B/k)"),
        "kill": ("B ->", "cell*d1*B*C_e"),
        "inflame": ("-> Inflam", "cell*(p0 + p1*B*(C_e + H_e))"),
        "calm": ("Inflam ->", "cell*(d2*Inflam + D)"),
        "call": ("C_m -> 64 C_e", "cell*a1*B*C_m*G*(1 + a2*H_e)"),
        "die": ("C_e ->", "cell*d3*C_e"),
        "fill": ("-> C_m", "cell*r2*C_m*Q"),
        "help": ("H_m -> 64 H_e", "cell*a3*B*H_m*G"),
        "leave": ("H_e ->", "cell*d4*H_e"),
        "refill": ("-> H_m", "cell*r3*H_m*Q"),
        "others": ("-> L", "cell*(p2 + r4*L*Q)"),
        "lose": ("L ->", "cell*d5*L"),
    },
}
RAJI = {
    "species": {"Ct": {"concentration": 0}, "Cm": {"concentration": 0}, "T": {"concentration": 3e6}},
    "constants": {
        **{"phi": 0.83, "rho": 0.8300536, "eps": 1.59795, "theta": 2.3e-4, "alpha": 1.248506e-8, "mu": 6.89e-7},
        **{"r": 0.5071721, "b": 0, "gamma": 3.365388e-8},
    },
    "reactions": {
        "recall": ("Cm -> Ct", "cell*theta*T*Cm"),
        "expand": ("-> Ct", "cell*phi*Ct"),
        "die": ("Ct ->", "cell*(rho*Ct + alpha*T*Ct)"),
        "remember": ("-> Cm", "cell*eps*Ct"),
        "forget": ("Cm ->", "cell*mu*Cm"),
        "grow": ("-> T", "cell*r*T*(1 - b*T)"),
        "kill": ("T ->", "cell*gamma*Ct*T"),
    },
    "events": {"dose": {"trigger": "time >= 7", "sets": {"Ct": "1e7"}}},
}


@pytest.mark.parametrize(
    ("name", "parts", "unit", "until"), [("BIOMD0000000837", HANSON, "h", 240), ("BIOMD0000001020", RAJI, "day", 60)]
)
def test_extremes_that_others_computed(name, parts, unit, until, shared_data, tmp_path):
    known = json.loads((shared_data / "models" / "sbml" / "reference_summary.json").read_text())[name]
    model = imported(tmp_path, sbml(**parts))
    assert model.specification.time_unit == unit
    times = np.linspace(0.0, until, 10 * until + 1)
    for key, one in known.items():
        course = model.evaluate(times, output=key, rtol=1e-8)
        assert course.max() == pytest.approx(one["max"], rel=1e-6)
        assert times[course.argmax()] == pytest.approx(one["tmax"])
        if one["min"] > 1e-6 * one["max"]:
            assert course.min() == pytest.approx(one["min"], rel=1e-6)
            assert course[-1] == pytest.approx(one["end"], rel=1e-6)


@pytest.mark.parametrize(("level", "version"), [(2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 1), (3, 2)])
def test_every_level_and_version(level, version, tmp_path):
    text = sbml(
        level=level,
        version=version,
        compartments={"blood": 2.0},
        species={"A": {"concentration": 3.0, "in": "blood"}, "B": {"amount": 1.0, "in": "blood"}},
        constants={"k": 0.3},
        parameters={"x": 1.0},
        rates={"x": "-k*x"},
        reactions={"go": ("A -> 2 B", "k*A*blood")},
        events={"set": {"trigger": "time > 2", "sets": {"x": "5"}}},
    )
    model = imported(tmp_path, text)
    times = np.array([0.0, 1.0, 3.0])
    gone = np.exp(-0.3 * times)
    np.testing.assert_allclose(model.evaluate(times, output="A", rtol=1e-10), 3 * gone, rtol=1e-8)
    np.testing.assert_allclose(model.evaluate(times, output="B", rtol=1e-10), 0.5 + 6 * (1 - gone), rtol=1e-8)
    np.testing.assert_allclose(
        model.evaluate(times, output="x", rtol=1e-10), [1.0, gone[1], 5 * np.exp(-0.3)], rtol=1e-8
    )


def test_a_growing_compartment_dilutes(tmp_path):
    text = sbml(
        compartments={"tumour": 2.0},
        species={
            "still": {"concentration": 3.0, "in": "tumour", "boundary": True},
            "made": {"concentration": 0.0, "in": "tumour"},
            "amount": {"amount": 6.0, "in": "tumour", "substance": True},
        },
        rates={"tumour": "0.5"},
        reactions={"make": ("-> made", "0.7"), "lose": ("amount ->", "0.1*amount")},
    )
    model = imported(tmp_path, text)
    times = np.array([0.0, 1.0, 4.0, 10.0])
    volume = 2 + 0.5 * times
    for key, expected in (
        ("still", 6 / volume),
        ("made", 0.7 * times / volume),
        ("amount", 6 * np.exp(-0.1 * times)),
        ("tumour", volume),
    ):
        np.testing.assert_allclose(model.evaluate(times, output=key, rtol=1e-10), expected, rtol=1e-8, atol=1e-12)


def test_named_stoichiometries_conversion_factors_and_rates_of_reactions(tmp_path):
    text = sbml(
        species={"A": {"concentration": 3.0}, "B": {"concentration": 0.0, "factor": "per"}},
        constants={"per": 10.0, "k": 0.2},
        parameters={"seen": None},
        assignments={"seen": "2*go"},
        reactions={"go": ("A -> B", "k*A*cell")},
    )
    document = libsbml.readSBMLFromString(text)
    product = document.getModel().getReaction("go").getProduct(0)
    product.setId("many")
    product.setConstant(False)
    product.unsetStoichiometry()
    assigned = document.getModel().createInitialAssignment()
    assigned.setSymbol("many")
    assigned.setMath(libsbml.parseL3Formula("k*20"))
    model = imported(tmp_path, libsbml.writeSBMLToString(document))
    times = np.array([0.0, 2.0, 7.0])
    gone = np.exp(-0.2 * times)
    np.testing.assert_allclose(model.evaluate(times, output="B", rtol=1e-10), 120 * (1 - gone), rtol=1e-8)
    np.testing.assert_allclose(model.evaluate(times, output="seen", rtol=1e-10), 2 * 0.2 * 3 * gone, rtol=1e-8)


def test_a_stoichiometry_that_is_an_expression(tmp_path):
    text = sbml(
        level=2,
        version=4,
        species={"A": {"concentration": 0.0}},
        constants={"n": 3.0},
        reactions={"go": ("-> A", "0.5")},
    )
    math = '<stoichiometryMath><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><plus/><ci>n</ci><cn>1</cn></apply></math></stoichiometryMath>'
    text, found = re.subn(
        r'<speciesReference species="A"[^>]*/>', f'<speciesReference species="A">{math}</speciesReference>', text
    )
    assert found == 1
    np.testing.assert_allclose(imported(tmp_path, text).evaluate([1.0, 3.0], output="A", rtol=1e-10), [2.0, 6.0])


def test_names_that_a_model_file_does_not_have(tmp_path):
    text = sbml(
        species={"_a": {"concentration": 1.0}, "t": {"concentration": 2.0}, "lambda": {"concentration": 3.0}},
        constants={"exp": 0.1, "R_k": 7.0},
        reactions={"R": ("_a -> t + lambda", "k*_a + exp*t*time/10", {"k": 0.3})},
    )
    model = imported(tmp_path, text)
    spec = model.specification
    assert set(spec.states) == {"sbml_a", "t_2", "lambda"}
    assert {"exp", "R_k", "R_k_2"} <= set(spec.parameters)
    assert spec.parameters["R_k_2"].value == 0.3
    assert "'_a' in the SBML file" in spec.states["sbml_a"].label
    assert "_a is sbml_a here" in spec.notes
    times = np.array([0.0, 1.0, 5.0])
    # The formulas of the test read time as `time`, and so have no name in common with it.
    expected = Course(tmp_path / "small.xml").run(times, log=False)
    for key, own in (("_a", "sbml_a"), ("t", "t_2"), ("lambda", "lambda")):
        np.testing.assert_allclose(model.evaluate(times, output=own, rtol=1e-10), expected[key], rtol=1e-8)


def test_doses_are_doses_and_what_is_set_is_a_parameter(tmp_path):
    model = imported(tmp_path, sbml(**SMALL["doses"][0]))
    inputs = model.specification.inputs
    assert [(name, one.kind, one.state, one.time, one.value) for name, one in inputs.items()] == [
        ("amount", "dose", "x", 0.0, 12.0),
        ("second_x", "dose", "x", 3.5, 8.0),
        ("second_y", "dose", "y", 3.5, 2.0),
    ]
    model = imported(tmp_path, sbml(**SMALL["events"][0]))
    spec = model.specification
    assert [phase.ends_at for phase in spec.phases] == ["begin_time", "when", "swap_time", "off_time", None]
    assert spec.phases[2].reset == {"x": "set_x", "on": "set_on"}
    assert spec.parameters["set_x"].value == 7.0
    assert "event 'never', which never happens" in spec.notes


def test_a_state_that_may_fall_below_zero_is_linear(tmp_path):
    model = imported(
        tmp_path,
        sbml(
            parameters={"own": 2.0, "up": 1.0, "down": 1.0, "wave": 0.0, "debt": -2.0},
            rates={
                "own": "-own + 0.1",
                "up": "0.1*down - 0.1*up",
                "down": "-0.3",
                "wave": "-1 + 0.1*wave",
                "debt": "0.1*debt",
            },
        ),
    )
    scales = {name: state.scale for name, state in model.specification.states.items()}
    assert scales == {"own": "log", "up": "linear", "down": "linear", "wave": "linear", "debt": "linear"}
    np.testing.assert_allclose(model.evaluate([0.0, 10.0], output="down"), [1.0, -2.0], rtol=1e-6)


def test_units_that_fit_are_checked(tmp_path):
    text = sbml_text(load_model("leon_triana2020"))
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    spec = read_model(ck.read_sbml(path), name="a").specification
    assert spec.unit_check == "full"
    assert (spec.parameters["alpha"].unit, spec.states["C"].unit) == ("1/(cells*day)", "cells")
    path.write_text(text.replace('name="1/(cells*day)"', 'name="1/week"'), encoding="utf-8")  # a name that lies
    assert read_model(ck.read_sbml(path), name="a").specification.parameters["alpha"].unit == "1/(cells*day)"


@pytest.mark.parametrize(
    ("change", "unit", "why"),
    [
        ('multiplier="86400"', "day", "leaves open"),
        ('multiplier="3600"', "h", "leaves open"),
        ('multiplier="2592000"', "day", "does not know: 'time_unit'"),
        ('multiplier="0"', "day", "does not know: 'time_unit'"),
        ('multiplier="1e-250"', "day", "does not know: 'time_unit'"),
    ],
)
def test_units_of_time(change, unit, why, tmp_path):
    text = sbml(parameters={"x": 1.0}, rates={"x": "-x"})
    assert 'multiplier="86400"' in text
    spec = imported(tmp_path, text.replace('multiplier="86400"', change)).specification
    assert spec.time_unit == unit
    assert why in spec.unit_check_reason
    assert ("day is assumed" in spec.notes) == ("not know" in why)


@pytest.mark.parametrize("name", list_models())
def test_every_model_goes_out_and_comes_back(name, tmp_path):
    model = load_model(name)
    path = tmp_path / f"{name}.xml"
    ck.write_sbml(name, path)
    document = libsbml.readSBMLFromFile(str(path))
    document.checkConsistency()
    faults = [document.getError(at) for at in range(document.getNumErrors())]
    assert not [fault.getMessage() for fault in faults if fault.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    text = ck.read_sbml(path)
    back = read_model(text, name=name)
    spec = model.specification
    assert back.specification.unit_check == spec.unit_check
    assert back.specification.reference.doi == spec.reference.doi
    for parameter, entry in spec.parameters.items():
        assert back.specification.parameters[parameter].value == entry.value
        assert parse_unit(back.specification.parameters[parameter].unit).alike(parse_unit(entry.unit))
    times = np.linspace(0.0, 120.0, 61)
    for output, entry in spec.outputs.items():
        clash = output in {*spec.parameters, *spec.states, *spec.definitions} and entry.expression != output
        found = back.evaluate(times, output=f"{output}_2" if clash else output, method=model.method, rtol=1e-8)
        expected = model.evaluate(times, output=output, method=model.method, rtol=1e-8)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-300, err_msg=output)


def test_every_function_of_a_model_file_goes_out(tmp_path):
    text = model_text(
        {"k": (0.3, "1/day"), "n": (2.5, "1"), "one": (1.0, "1"), "end": (3.0, "day"), "lambda": (0.01, "1/day")},
        {
            "x": ("one", "k*hill(y, n, 2*one) - k*x*expm1(-x) - lambda*x", "1"),
            "y": ("2*one/n", "k*log1p(x) - k*abs(y - one)*y + k*min(x, y, one)/sqrt(1 + x) - dose_rate*y", "1"),
            "z": ("0", "where(x > y, k, where(t < 2*end, 2*k, -k*z)) - 1e-11*k + 1.5e300*k*1e-300", "1"),
        },
        {"level": ("x + max(y, z, 0.5)", "1"), "y": ("y - x**2/(x + y)**0.5", "1")},
        more="""
[inputs.dose_rate]
kind = "rate"
unit = "1/day"
[inputs.weight]
kind = "constant"
unit = "1"
value = 3.0
[inputs.late]
kind = "dose"
unit = "1"
state = "z"
time = 2.5
value = 4.0
""",
    )
    model = read_model(text, name="all")
    ck.write_sbml(model, tmp_path / "all.xml")
    back = read_model(ck.read_sbml(tmp_path / "all.xml"), name="back")
    assert back.specification.inputs["late"].time == 2.5
    assert back.specification.parameters["weight"].value == 3.0
    times = np.array([0.0, 1.0, 2.4, 2.6, 4.0, 5.9, 6.1, 9.0])
    for output, own in (("level", "level"), ("y", "y_2")):
        found = back.evaluate(times, output=own, rtol=1e-10, method="rodas5p")
        np.testing.assert_allclose(
            found, model.evaluate(times, output=output, rtol=1e-10, method="rodas5p"), rtol=1e-6, err_msg=output
        )


def test_what_an_sbml_file_does_not_say_is_named_in_it():
    text = sbml_text(load_model("stein2019"))
    assert "Left out of the model file: the closed form of level, the residual error of level, random effects," in text
    assert "toci" in sbml_text(load_model("stein2019_comedication")).partition("Set by events")[2].partition("<")[0]
