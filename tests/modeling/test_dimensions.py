"""Units of model files: what is read, what is alike, what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckinetics.errors import UnitError
from ckinetics.modeling.files.dimensions import ONE, difference, parse_unit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("copies/ug/day", "copies/(ug*day)"),
        ("1/(copies/ug*days)", "ug/(copies*day)"),
        ("day^-1", "1/day"),
        ("day**-1", "1/day"),
        ("10^6 cells/kg", "10^6 cells/kg"),
        ("10^9 cells/L", "10^9 cells/L"),
        ("copies/µg", "copies/ug"),
        ("copies/ug gDNA", "copies/ug"),
        ("cells/uL/day", "cells/(uL*day)"),
        ("1/(cells*day)", "1/(cells*day)"),
        ("pg/mL/(cells*day)", "pg/(mL*cells*day)"),
        ("mL^0.5", "mL^(1/2)"),
        ("mL^(2/3)", "mL^(2/3)"),
        ("day/day", "1"),
        ("1", "1"),
        ("%", "%"),
        ("nM", "nM"),
        ("copies/cell", "copies/cell"),
        ("IU/mL", "IU/mL"),
        ("(cells/uL)^2", "cells^2/uL^2"),
    ],
)
def test_read_and_shown(text, shown):
    assert str(parse_unit(text)) == shown
    assert parse_unit(shown).alike(parse_unit(text))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("mm3", "uL"),
        ("cm3", "mL"),
        ("mg/L", "ug/mL"),
        ("10^6 cells/L", "cells/uL"),
        ("pg/uL", "ng/mL"),
        ("day/day", "1"),
        ("mm^3", "uL"),
        ("pM", "10^-3 nM"),
        ("1/(cells/uL*day)", "uL/(cells*day)"),
    ],
)
def test_alike(first, second):
    assert parse_unit(first).alike(parse_unit(second))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("h", "day", "day is 24 times h"),
        ("cells/mL", "cells/uL", "cells/uL is 1000 times cells/mL"),
        ("%", "1", "1 is 100 times %"),
        ("10^6 cells", "cells", "10^6 cells is 1e+06 times cells"),
    ],
)
def test_one_kind_with_two_sizes(first, second, said):
    one, two = parse_unit(first), parse_unit(second)
    assert one.same_kind(two)
    assert not one.alike(two)
    assert said in difference(one, two)
    assert said in difference(two, one)


@pytest.mark.parametrize(
    ("first", "second"), [("copies/ug", "cells/uL"), ("copies", "cells"), ("kg", "mg"), ("U", "1")]
)
def test_kinds_are_never_mixed(first, second):
    one, two = parse_unit(first), parse_unit(second)
    assert not one.same_kind(two)
    assert difference(one, two) == ""


def test_algebra():
    cells, day = parse_unit("cells"), parse_unit("day")
    assert not (cells / day * day).is_one
    assert (cells / cells).is_one
    assert cells**2 / cells == cells
    assert (cells ** Fraction(1, 2)) ** 2 == cells
    assert cells**0 == ONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "furlong",
        "1/furlong",
        "cells/",
        "*cells",
        "cells^1/3",
        "10^1.5 cells",
        "10^99 cells",
        "2*cells",
        "cells^",
        "cells^day",
        "day^(1/0)",
        "day^999999999999",
        "1 2",
        "day day",
        "(" * 190,
        "(" * 5000 + "day" + ")" * 5000,
        "day*" * 60,
        "day)",
        "cells+cells",
        "__import__('os')",
        "\x00",
    ],
)
def test_refused(text):
    with pytest.raises(UnitError):
        parse_unit(text)


def test_the_nearest_is_named():
    with pytest.raises(UnitError, match=r"'copys' is none; nearest: copies"):
        parse_unit("copys/ug")


@given(st.text(alphabet="celsdayhmuLg10^*/()%- .", max_size=25))
def test_any_text_is_read_or_refused(text):
    try:
        unit = parse_unit(text)
    except UnitError:
        return
    assert parse_unit(str(unit)).alike(unit)
