"""Units of expressions: what fits, what is refused, and in which words."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.errors import ModelFileError
from ckinetics.modeling import model_folder, read_model
from ckinetics.modeling.files.consistency import Checks, Quantity
from ckinetics.modeling.files.dimensions import parse_unit
from ckinetics.modeling.files.expressions import parse_expression
from ckinetics.modeling.files.places import Place

TEXT = """
title = "a model of tests"
time_unit = "day"
[reference]
text = "nobody 2024"
doi = ""
[[verified]]
what = "nothing"
against = "nothing"
[parameters.k]
value = 0.1
unit = "1/day"
label = "rate"
transform = "log"
bounds = [1e-3, 10.0]
trust = "D"
[parameters.K]
value = 50.0
unit = "cells/uL"
label = "half"
transform = "log"
bounds = [1.0, 1e3]
trust = "D"
[parameters.n]
value = 2.0
unit = "1"
label = "exponent"
transform = "log"
bounds = [0.1, 10.0]
trust = "D"
[constants.L]
value = 10.0
unit = "cells/mL"
[constants.hours]
value = 24.0
unit = "1"
[inputs.dose]
kind = "dose"
unit = "cells/uL"
state = "E"
[inputs.drug]
kind = "covariate"
unit = "1"
[definitions]
d = "DEFINITION"
[states.E]
initial = "INITIAL"
unit = "cells/uL"
[[phases]]
name = "only"
[phases.equations]
E = "RATE"
[outputs.level]
unit = "cells/uL"
expression = "OUTPUT"
[derived.q]
unit = "DERIVED_UNIT"
expression = "DERIVED"
"""
USUAL = {
    "DEFINITION": "1",
    "INITIAL": "K",
    "RATE": "-k*E",
    "OUTPUT": "E",
    "DERIVED_UNIT": "day",
    "DERIVED": "1/k",
}


def read(**changes):
    text = TEXT
    # A key of USUAL that begins with another is put in first.
    for key, value in sorted((USUAL | changes).items(), key=lambda item: -len(item[0])):
        text = text.replace(f'"{key}"', f'"{value}"')
    return read_model(text, name="mine", file="mine.toml")


@pytest.mark.parametrize(
    "rate",
    [
        "-k*E",
        "0",
        "-0*E/k*k**2",
        "k*E*(1 - E/K)",
        "-k*E*log(E/K)",
        "k*E*(log(K) - log(E))",
        "k*exp(log(E) + k*t)",
        "k*exp(-log(E) + 2*log(K))",
        "k*exp(0.5*log(E) + log(K)/2)",
        "k*E**2/(K*1 + E)",
        "k*E*hill(E, n, K)",
        "k*E*(E/K)**n/(1 + (E/K)**n)",
        "k*sqrt(E*K)",
        "k*E**(1/2)*K**0.5",
        "k*E**(-1)*K**2",
        "k*max(E, 0)",
        "k*min(E, K, 0)",
        "k*where(E > K, E, 0)",
        "where(t > 1/k, k*E, 2*k*K)",
        "where(E - K > 0, k, 0)*E",
        "k*abs(E - K)",
        "k*E*(1 + drug)*hours**n",
        "k*E*expm1(k*t)/log1p(E/K)",
        "d*k*E",
        "k*E*(log(2) + 1)",
        "k*E*where(log(E) > log(K), 1, 2)",
    ],
)
def test_what_fits(rate):
    assert read(RATE=rate).specification.phases[0].equations["E"] == rate


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("E", r"has the unit cells/uL, but the equation of E is in cells/\(uL\*day\): correct"),
        ("-E/k", r"has the unit cells\*day/uL, but the equation of E is in cells/\(uL\*day\)"),
        ("5", r"'5' is a bare number, but the equation of E is in cells/\(uL\*day\): declare it as a parameter"),
        ("k*E + 3", r"adds the bare number 3 and `k\*E` in cells/\(uL\*day\): declare the number as a parameter, or"),
        ("k*E - k", r"subtracts `k\*E` \(cells/\(uL\*day\)\) and `k` \(1/day\): they must have one unit"),
        (
            "k*L",
            r"has the unit cells/\(mL\*day\), but the equation of E is in cells/\(uL\*day\) \(both measure the same, "
            r"but cells/\(uL\*day\) is 1000 times cells/\(mL\*day\): write both in one unit\)",
        ),
        ("k*(E + L)", r"adds `E` \(cells/uL\) and `L` \(cells/mL\): .*cells/uL is 1000 times cells/mL: write both"),
        ("E*exp(t)", r"has `t` \(day\) as the argument of exp\(\): it must have no unit"),
        ("k*E*exp(E)", r"has `E` \(cells/uL\) as the argument of exp\(\)"),
        ("k*E*log1p(E)", r"as the argument of log1p\(\)"),
        (
            "k*E*log(E)",
            r"multiplies or divides by the logarithm of cells/uL .* take the logarithm of a ratio, log\(x/K\)",
        ),
        ("log(E)", r"is the logarithm of cells/uL, whose value depends on that unit"),
        ("k*E*(log(E) - log(L))", r"the logarithm of"),
        ("k*E*(log(K) - log(E))/log(K)", r"multiplies or divides by the logarithm of cells/uL"),
        ("k*E**n", r"raises `E` in cells/uL to `n`: .* write hill\(x, n, K\), or \(x/K\)\*\*n"),
        ("k*E*E**n/(K**n + E**n)", r"raises `E` in cells/uL to `n`"),
        ("k*E*2**E", r"has `E` \(cells/uL\) as the exponent"),
        ("k*E*hill(E, n, k)", r"compares in hill\(\) `E` \(cells/uL\) and `k` \(1/day\)"),
        ("k*E*hill(E, K, K)", r"has `K` \(cells/uL\) as the exponent"),
        ("k*where(E > 3, E, 0)", r"compares the bare number 3 and `E` in cells/uL: declare the number"),
        ("k*where(E > k, E, 0)", r"compares `E` \(cells/uL\) and `k` \(1/day\)"),
        ("k*where(E > K, E, 1)", r"compares in where\(\) the bare number 1 and `E` in cells/uL"),
        ("where(E > K, E, k)", r"compares in where\(\) `E` \(cells/uL\) and `k`"),
        ("k*max(E, 2)", r"compares in max\(\) the bare number 2"),
        ("k*E*sqrt(log(E))", r"uses `log\(E\)` \(the logarithm of cells/uL\)"),
        ("k*E**1000", r"raises `E`"),
    ],
)
def test_what_does_not_fit(rate, said):
    with pytest.raises(ModelFileError, match=said) as caught:
        read(RATE=rate)
    assert str(caught.value).startswith("mine.toml: line ")
    assert "table [[phases]] 'only', key 'equations.E': " in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"INITIAL": "k"}, r"\[states\.E\], key 'initial': 'k' has the unit 1/day, but the initial value of E is in"),
        ({"INITIAL": "100"}, r"key 'initial': '100' is a bare number, .* \[constants\] with the unit cells/uL"),
        (
            {"OUTPUT": "E/K"},
            r"\[outputs\.level\], key 'expression': 'E/K' has no unit, but the output level is in cells",
        ),
        ({"DERIVED": "k"}, r"\[derived\.q\], key 'expression': 'k' has the unit 1/day, but .* q is in day"),
        ({"DERIVED_UNIT": "1/day"}, r"'1/k' has the unit day, but the derived quantity q is in 1/day"),
        ({"DEFINITION": "E + k"}, r"\[definitions\], key 'd': 'E \+ k' adds `E`"),
        ({"DEFINITION": "log(E)", "RATE": "k*E*d"}, r"equations\.E': 'k\*E\*d' multiplies or divides by the logarithm"),
    ],
)
def test_other_places(changes, said):
    with pytest.raises(ModelFileError, match=said):
        read(**changes)


def test_a_definition_carries_its_unit():
    read(DEFINITION="E/K", RATE="k*E*exp(-d)")
    read(DEFINITION="0", RATE="k*(E + d)")
    with pytest.raises(ModelFileError, match=r"adds the bare number 7 and `E`"):
        read(DEFINITION="7", RATE="k*(E + d)")


def test_a_dose_has_the_unit_of_its_state():
    with pytest.raises(ModelFileError, match=r"\[inputs\.dose\], key 'unit': the dose is in cells, but is added to E"):
        read_model(
            TEXT.replace('kind = "dose"\nunit = "cells/uL"', 'kind = "dose"\nunit = "cells"')
            .replace("DERIVED_UNIT", "day")
            .replace('"DERIVED"', '"1/k"')
            .replace("DEFINITION", "1")
            .replace("INITIAL", "K")
            .replace("RATE", "k*E")
            .replace("OUTPUT", "E"),
            name="mine",
        )


STEIN = (model_folder() / "stein2019.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('ends_at = "Tmax"', 'ends_at = "Tmax*rho"', r"key 'ends_at': 'Tmax\*rho' has no unit, but the end of phase"),
        ('[phases.reset]\nM = "0"', '[phases.reset]\nM = "alpha"', r"key 'reset\.M': 'alpha' has the unit 1/day"),
        ('expansion = "R0*exp(rho*t)"', 'expansion = "R0*rho"', r"key 'closed_form\.expansion': .* has the unit"),
        (
            'when = "FB >= 1"',
            'when = "beta >= 1"',
            r"\[\[equivalent\]\] 1, key 'when': .* the bare number 1 and `beta`",
        ),
        ('FB = "0"', 'FB = "alpha"', r"\[\[equivalent\]\] 1, key 'values\.FB': 'alpha' has the unit 1/day"),
        ('start = ["peak_time"]', 'start = ["peak_level"]', r"key 'start': 'peak_level' has the unit copies/ug, but a"),
        ('start = ["peak_time"]', 'start = ["5"]', r"key 'start': '5' is a bare number"),
        ("Tmax >= month", "Tmax >= 28", r"compares the bare number 28 and `Tmax` in day"),
        ('unit = "1/day"\ntransform', 'unit = "1/h"\ntransform', r"'1/h' counts time in h, the model in day"),
        ('time_unit = "day"', 'time_unit = "h"', r"'day' counts time in day, the model in h"),
        ('time_unit = "day"', 'time_unit = "1"', r"key 'time_unit': '1' is not a unit of time"),
    ],
)
def test_faults_of_stein(old, new, said):
    assert old in STEIN
    with pytest.raises(ModelFileError, match=said):
        read_model(STEIN.replace(old, new, 1), name="mine", file="mine.toml")


def test_units_are_left_unchecked_only_with_a_reason():
    mixed = STEIN.replace('E = "rho*E"', 'E = "rho*E + Tmax"')
    with pytest.raises(ModelFileError, match="adds"):
        read_model(mixed, name="mixed")
    with pytest.raises(ModelFileError, match=r"key 'unit_check_reason': is missing: say why"):
        read_model('unit_check = "none"\n' + mixed, name="mixed")
    model = read_model('unit_check = "none"\nunit_check_reason = "the paper mixes them"\n' + mixed, name="mixed")
    assert model.specification.unit_check_reason == "the paper mixes them"
    with pytest.raises(ModelFileError, match=r"key 'unit_check_reason': the units are checked: leave it out"):
        read_model('unit_check_reason = "the paper mixes them"\n' + STEIN, name="mixed")
    with pytest.raises(ModelFileError, match=r"key 'unit_check': is 'off': give 'full' or 'none'"):
        read_model('unit_check = "off"\n' + STEIN, name="mixed")


def test_a_unit_must_be_known_even_where_none_is_checked():
    text = 'unit_check = "none"\nunit_check_reason = "mixed"\n' + STEIN.replace('unit = "1/day"', 'unit = "1/moon"', 1)
    with pytest.raises(ModelFileError, match=r"\[parameters\.alpha\], key 'unit': '1/moon' is not made of known units"):
        read_model(text, name="mixed")


LEAVES = st.sampled_from(["E", "K", "k", "n", "L", "t", "d", "drug", "0", "1", "2.5", "hours"])
FORMS = st.sampled_from(
    [
        "({0} + {1})",
        "({0} - {1})",
        "{0}*{1}",
        "{0}/{1}",
        "({0})**{1}",
        "({0})**2",
        "-({0})",
        "exp({0})",
        "log({0})",
        "sqrt({0})",
        "abs({0} - {1})",
        "max({0}, {1})",
        "where({0} > {1}, {1}, {0})",
        "hill({0}, {1}, {0})",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.recursive(LEAVES, lambda parts: st.builds(lambda f, a, b: f.format(a, b), FORMS, parts, parts), max_leaves=7))
def test_any_expression_fits_or_is_refused(text):
    symbols = {name: sympy.Symbol(f"{name}_x", positive=True) for name in ("E", "K", "k", "n", "L", "t", "d", "drug")}
    try:
        parse_expression(text, symbols | {"hours": sympy.Integer(24)})
    except ModelFileError:
        return
    units = {"E": "cells/uL", "K": "cells/uL", "k": "1/day", "L": "cells/mL", "t": "day", "n": "1", "drug": "1"}
    names = {name: Quantity(parse_unit(unit)) for name, unit in units.items()} | {"d": Quantity(), "hours": Quantity()}
    # What passes means the same whatever units are chosen: another unit of cells and of time changes it by the factor
    # of its own unit and by nothing else.
    found = Checks(names, "").find(text, Place("[x]", "y"))
    if found is None or found.fits_any or not found.owed.is_one:
        return
    factors = {"E": 7.0, "K": 7.0, "k": 1 / 24, "L": 7.0, "t": 24.0}
    scale = 7.0 ** float(found.unit.kinds.get("cells", 0)) * 24.0 ** float(found.unit.kinds.get("time", 0))
    values = {"E": 3.1, "K": 1.7, "k": 0.3, "L": 2.9, "t": 1.3, "n": 1.4, "d": 0.6, "drug": 0.8}

    def number(changed):
        read = {name: sympy.Float(value * factors.get(name, 1.0) ** changed) for name, value in values.items()}
        return complex(
            parse_expression(text, symbols | {"hours": sympy.Integer(24)}).subs(
                {symbols[name]: value for name, value in read.items()}
            )
        )

    try:
        first, second = number(0), number(1)
    except (TypeError, OverflowError, ZeroDivisionError):
        return  # infinite, or not a number
    if abs(first) < 1e100 and abs(second) < 1e100:
        assert second == pytest.approx(first * scale, rel=1e-6, abs=1e-9 * (1 + abs(first) * scale))
