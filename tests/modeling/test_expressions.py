"""The whitelist: what is read, what is refused, and that nothing runs."""

from __future__ import annotations

import math

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from ckinetics.errors import ModelFileError
from ckinetics.modeling.files.expressions import parse_condition, parse_expression

x, y = sympy.symbols("x_p y_p", real=True)
SYMBOLS = {"x": x, "y": y, "lambda": y, "exp": x, "if": x}


def value(text, **numbers):
    result = parse_expression(text, SYMBOLS)
    return float(result.subs({x: numbers.get("x", 2.0), y: numbers.get("y", 3.0)}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x + y*2 - 1/4", 7.75),
        ("-x**2", -4.0),
        ("2**-1", 0.5),
        ("exp(x) - expm1(x)", 1.0),
        ("log(y) + log1p(x)", 2 * math.log(3)),
        ("sqrt(x + 7)", 3.0),
        ("min(x, y, 5) + max(x, y)", 5.0),
        ("abs(x - y)", 1.0),
        ("hill(x, 2, y)", 4 / 13),
        ("where(x < y, 10, 20)", 10.0),
        ("where(x >= y, 10, where(y > 2.5, 30, 40))", 30.0),
        ("1e-3*x + 2.5e2", 250.002),
        ("x +\n y", 5.0),
        ("log(8)/log(2)", 3.0),
    ],
)
def test_values(text, expected):
    assert value(text) == pytest.approx(expected, rel=1e-14)


def test_names_that_are_keywords_or_functions_are_harmless():
    assert value("lambda*exp(exp) + if") == pytest.approx(3 * math.exp(2) + 2)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "(lambda: x)()",
        "[x for x in y]",
        "x[0]",
        "'text'",
        "x if y else 1",
        "x and y",
        "not x",
        "x; y",
        "x = 1",
        "exp(x=1)",
        "exp(*x)",
        "f'{x}'",
        "x @ y",
        "x // y",
        "x % y",
        "x | y",
        "True",
        "1j",
        "x < y",
        "where(x, 1, 2)",
        "where(1 < x < 2, 1, 2)",
        "exp",
        "exp()",
        "hill(x, y)",
        "",
        "x +",
        "(x",
        "x)",
        "x) + (y",
        "9**9**9**9",
        "1/0",
        "exp(1000)",
        "log(-1)",
        "(-2)**0.5",
        "abs(x - sqrt(-1 - x**2))",
        "where(sqrt(-1 - x**2) > 1, 1, 2)",
        "x/0",
        "1e999",
        "x*1e200*1e200",
        "x/(y + 1/(x*1e-200*1e-200))",
        "(" * 3000 + "x" + ")" * 3000,
        "x+" * 6000 + "x",
        "x # comment\n+ open('f')",
        "x\x00",
    ],
)
def test_refused(text):
    with pytest.raises(ModelFileError):
        parse_expression(text, {"x": x, "y": y}, where="table [definitions], key 'd'", file="m.toml")


def test_message_names_place_and_nearest_symbol():
    with pytest.raises(
        ModelFileError,
        match=r"m\.toml: table \[d\], key 'k': unknown symbol `alpah` in the expression; did you mean `alpha`\?",
    ):
        parse_expression("alpah + 1", {"alpha": x, "beta": y}, where="table [d], key 'k'", file="m.toml")
    with pytest.raises(ModelFileError, match=r"unknown function `ex` in the expression; did you mean `exp`"):
        parse_expression("ex(x)", {"x": x})


def test_derivative_at_a_switch_is_one_sided():
    assert sympy.diff(parse_expression("max(x, y)", SYMBOLS), x).subs({x: 3, y: 2}) == 1
    assert sympy.diff(parse_expression("abs(x)", SYMBOLS), x).subs({x: -2}) == -1
    assert sympy.diff(parse_expression("where(x < y, x**2, 7)", SYMBOLS), x).subs({x: 1, y: 2}) == 2


def test_the_extreme_of_many_is_read_at_once():
    names = [f"q{at}" for at in range(9)]
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    for text, pick in ((f"max({', '.join(names)})", max), (f"min({', '.join(names)})", min)):
        extreme = parse_expression(text, symbols)
        assert len(extreme.args) == 9  # one case an argument
        for numbers in ([3, 1, 4, 1, 5, 9, 2, 6, 5], [9, 8, 7, 6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9], [2] * 9):
            values = dict(zip(symbols.values(), numbers, strict=True))
            assert extreme.subs(values) == pick(numbers)


def test_condition():
    assert parse_condition("x > y", SYMBOLS) == (x > y)
    with pytest.raises(ModelFileError, match="comparison"):
        parse_condition("x + y", SYMBOLS)


@given(st.text(alphabet="xy0123456789.+-*/()<>=,eE wherlogminax", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        result = parse_expression(text, SYMBOLS)
    except ModelFileError:
        return
    assert result.free_symbols <= {x, y}
