"""Expressions of a model file: a whitelist over Python's ``ast``, turned into sympy. Nothing is evaluated as code.

Allowed are numbers, known names, ``+ - * / **``, unary minus and plus, comparisons (in the condition of
`where`), and the functions of `FUNCTIONS`. Any name is harmless: ``lambda``, ``exp`` and ``x`` may be
parameters.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy.codegen.cfunctions import expm1, log1p

from ...errors import ModelFileError
from ...suggestions import listed, suggestion
from .places import Place

TIME = sympy.Symbol("t", real=True)
MAX_LENGTH = 10_000
MAX_DEPTH = 150
# Names and numbers in an expression once definitions are put in and min, max, hill and powers are written out, cases
# counted as slow as sympy is with them: anything larger would take minutes.
MAX_SIZE = 10_000
MAX_TOTAL = 30_000  # of all expressions of a model
_SLOW = 6
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
# "1if" is two tokens to Python, with a warning; here it is a slip of the pen.
_GLUED = re.compile(r"(?<![\w.])(?>\.?\d[\d.]*(?:[eE][+-]?\d+)?)[A-Za-z_]")
# A prefix before parsing, so that a name that is a Python keyword parses like any other.
_PREFIX = "n_"


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return sympy.Piecewise((yes, condition), (no, True))


def _first_that(holds: Callable[[Any, Any], Any], values: tuple[Any, ...]) -> Any:
    # One flat list of cases: nested ones would double with every argument.
    cases = [(value, sympy.And(*(holds(value, other) for other in values[at:]))) for at, value in enumerate(values, 1)]
    return sympy.Piecewise(*cases)


def _larger(*values: Any) -> Any:
    return _first_that(operator.ge, values)


def _smaller(*values: Any) -> Any:
    return _first_that(operator.le, values)


def _hill(x: Any, n: Any, K: Any) -> Any:
    return x**n / (K**n + x**n)


# name: (fewest, most arguments, symbolic form, numeric form)
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any], Callable[..., float]]] = {
    "exp": (1, 1, sympy.exp, math.exp),
    "log": (1, 1, sympy.log, math.log),
    "sqrt": (1, 1, sympy.sqrt, math.sqrt),
    "log1p": (1, 1, log1p, math.log1p),
    "expm1": (1, 1, expm1, math.expm1),
    "sin": (1, 1, sympy.sin, math.sin),
    "cos": (1, 1, sympy.cos, math.cos),
    "atan": (1, 1, sympy.atan, math.atan),
    "tanh": (1, 1, sympy.tanh, math.tanh),
    "abs": (1, 1, lambda x: _where(x >= 0, x, -x), abs),
    "min": (2, 9, _smaller, min),
    "max": (2, 9, _larger, max),
    "hill": (3, 3, _hill, _hill),
    "where": (3, 3, _where, lambda condition, yes, no: yes if condition else no),
}
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def parse_expression(
    text: str,
    symbols: Mapping[str, sympy.Expr],
    *,
    where: str | Place = "expression",
    file: str = "",
    elsewhere: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> sympy.Expr:
    """Return an expression as sympy.

    Parameters
    ----------
    text : str
        The expression.
    symbols : mapping of str to sympy expression
        What each name stands for; other names are refused.
    where : str or Place
        Table and key of the model file, for messages.
    file : str
        The model file, for messages.
    elsewhere : mapping of str to str, optional
        Names that the model has but this expression may not use, and what each is.
    sizes : mapping of str to int, optional
        `expression_size` of the names that stand for a definition.

    Returns
    -------
    sympy.Expr
        A number stays a number; ``where``, ``min``, ``max`` and ``abs`` become ``Piecewise``, whose
        derivative is one-sided.

    Raises
    ------
    ModelFileError
        Syntax, an unknown name (with the nearest known ones), or anything that the whitelist lacks.

    Examples
    --------
    >>> E, k = sympy.symbols("E k", real=True)
    >>> parse_expression("-lambda*E/2", {"E": E, "lambda": k})
    -E*k/2
    """
    return _parse(text, _Reader(symbols, where, file, text, elsewhere or {}), sizes or {}, condition=False)


def parse_condition(
    text: str,
    symbols: Mapping[str, sympy.Expr],
    *,
    where: str | Place = "condition",
    file: str = "",
    elsewhere: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> sympy.Basic:
    """Return a comparison such as ``beta > alpha`` as sympy; otherwise as `parse_expression`."""
    return _parse(text, _Reader(symbols, where, file, text, elsewhere or {}), sizes or {}, condition=True)


def syntax_tree(text: str) -> ast.expr:
    """Return the syntax tree of an expression, its names with the prefix that `plain_name` takes off.

    Raises `SyntaxError`, `ValueError`, `MemoryError` or `RecursionError` where there is none.
    """
    if _GLUED.search(text):
        raise SyntaxError("a number runs into a name")
    one_line = " ".join(_NAME.sub(lambda match: _PREFIX + match[0], text).split())
    return ast.parse(one_line, mode="eval").body


def expression_size(text: str, sizes: Mapping[str, int]) -> int:
    """Return the number of names and numbers in a readable expression once everything is written out."""
    return _size(syntax_tree(text), sizes)


def _size(node: ast.AST, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Name):
        return sizes.get(plain_name(node.id), 1)
    parts = [_size(child, sizes) for child in ast.iter_child_nodes(node)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return parts[0] + 10 * parts[2]  # towers of powers are the slowest of all
    if isinstance(node, ast.Call):
        name = plain_name(node.func.id) if isinstance(node.func, ast.Name) else ""
        inside = sum(parts[1:])
        if name == "where":
            return inside + (_SLOW - 1) * parts[1]
        times = {"min": _SLOW * len(node.args), "max": _SLOW * len(node.args), "abs": 3 * _SLOW, "hill": 3}
        return inside * times.get(name, 1)
    return sum(parts) if parts else int(isinstance(node, ast.Constant))


def _depth(tree: ast.AST) -> int:
    deepest, left = 0, [(tree, 1)]
    while left:
        node, depth = left.pop()
        deepest = max(deepest, depth)
        left += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return deepest


def plain_name(name: str) -> str:
    """Return a name of `syntax_tree` as the file has it."""
    return name.removeprefix(_PREFIX)


def names_in(text: str) -> list[str]:
    """Return every name in an expression, functions too, as often as it stands there."""
    return _NAME.findall(text)


def unparsed(node: ast.AST) -> str:
    """Return a part of a syntax tree as text."""
    text = re.sub(r" (\*\*|\*|/) ", r"\1", ast.unparse(node))
    return shortened(re.sub(rf"\b{_PREFIX}(?=[A-Za-z_])", "", text))


def shortened(text: str) -> str:
    """Return an expression as it is shown in messages."""
    shown = " ".join(text.split())
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _parse(text: str, reader: _Reader, sizes: Mapping[str, int], *, condition: bool) -> Any:
    if len(text) > MAX_LENGTH:
        reader.refuse(f"is longer than {MAX_LENGTH} characters: split it with [definitions]")
    if "#" in text:
        reader.refuse("holds '#': put comments outside the expression")
    try:
        tree = syntax_tree(text)
        if _depth(tree) > MAX_DEPTH:
            reader.refuse(f"is nested deeper than {MAX_DEPTH}, or has as many terms: split it with [definitions]")
        if _size(tree, sizes) > MAX_SIZE:
            reader.refuse(
                "is too large once everything is written out (min, max, abs and where inside each other, and powers of "
                "powers, count most): simplify it"
            )
        expression = _without_abs(reader.condition(tree) if condition else reader.value(tree))
        for number in expression.atoms(sympy.Number):  # products of numbers are exact, and of any size
            reader._finite(number)
        return expression
    except (MemoryError, RecursionError):
        return reader.refuse(f"is nested deeper than {MAX_DEPTH}, or has as many terms: split it with [definitions]")
    except TypeError:  # sympy's word on the root or the logarithm of what is always negative
        return reader.refuse("compares something that is never a real number: check roots and logarithms")
    except (SyntaxError, ValueError) as err:
        if isinstance(err, ModelFileError):
            raise
        return reader.refuse(_why_not(text))


def _without_abs(expression: sympy.Basic) -> sympy.Basic:
    """Return an expression in which |x|, which sympy makes of sqrt(x**2), has cases: its own derivative has no code."""
    return expression.replace(sympy.Abs, lambda x: _where(x >= 0, x, -x))


def _why_not(text: str) -> str:
    """Return what is wrong with a text that is no expression, as far as it can be told."""
    if not text.strip():
        return "is empty: write an expression"
    names = set(names_in(text))
    if {"if", "else"} <= names:
        return "is not a valid expression: write where(condition, yes, no) for a case"
    if text.count("(") != text.count(")"):
        return f"is not a valid expression: it opens {text.count('(')} brackets and closes {text.count(')')}"
    if re.search(r"[\w)]\s+[\w(]|\)\s*\(", text) and not names & {"and", "or", "not", "in", "is"}:
        return "is not a valid expression: two factors stand side by side, write * between them"
    if "=" in re.sub(r"[<>]=", "", text):
        return "is not a valid expression: '=' has no place in it"
    return "is not a valid expression: check brackets and operators"


class _Reader:
    """Walks the syntax tree of one expression."""

    def __init__(
        self, symbols: Mapping[str, Any], where: str | Place, file: str, text: str, elsewhere: Mapping[str, str]
    ) -> None:
        self.symbols, self.where, self.file, self.text = symbols, where, file, text
        self.elsewhere = elsewhere
        self.what = where.what if isinstance(where, Place) else "the expression"

    def refuse(self, why: str) -> Any:
        raise ModelFileError(f"{self.where}: '{shortened(self.text)}' {why}", file=self.file or None)

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                return self.refuse("holds something that is not a number: use numbers and names")
            case ast.Constant(value=int(number)):
                return sympy.Integer(number) if abs(number) < 2**53 else sympy.Float(self._finite(number))
            case ast.Constant(value=float(number)):
                return sympy.Float(self._finite(number))
            case ast.Name(id=name):
                return self._symbol(plain_name(name))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return self._combine(_OPERATORS[type(op)], self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(plain_name(name), args)
            case ast.BinOp(op=ast.BitXor()):
                return self.refuse("uses '^': write ** for a power")
            case ast.Compare():
                return self.refuse("compares outside a condition: write where(condition, yes, no)")
        return self.refuse(
            f"uses what a model file may not ({type(node).__name__}): "
            f"allowed are + - * / **, comparisons in where(), and {', '.join(FUNCTIONS)}"
        )

    def condition(self, node: ast.AST) -> Any:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                return _COMPARISONS[type(op)](self.value(left), self.value(right))
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            return self.refuse("compares with == or !=, which numbers hardly ever meet: use <, <=, > or >=")
        return self.refuse("needs one comparison with <, <=, > or >= as its condition")

    def _symbol(self, name: str) -> Any:
        if name in self.symbols:
            return self.symbols[name]
        if name in FUNCTIONS:
            return self.refuse(f"uses the function '{name}' without arguments: write {name}(...)")
        if name in self.elsewhere:
            return self.refuse(
                f"uses `{name}`, which is {self.elsewhere[name]}: {self.what} may use {listed(self.symbols)}"
            )
        near = suggestion(name, self.symbols, quote="`")
        raise ModelFileError(f"{self.where}: unknown symbol `{name}` in {self.what}{near}", file=self.file or None)

    def _call(self, name: str, args: list[ast.expr]) -> Any:
        if name not in FUNCTIONS:
            if name in self.symbols:
                return self.refuse(f"calls `{name}` like a function: write {name}*(...) for a product")
            near = suggestion(name, FUNCTIONS, quote="`")
            raise ModelFileError(
                f"{self.where}: unknown function `{name}` in {self.what}{near}", file=self.file or None
            )
        fewest, most, symbolic, numeric = FUNCTIONS[name]
        if not fewest <= len(args) <= most:
            count = str(fewest) if fewest == most else f"{fewest} to {most}"
            return self.refuse(f"gives {name}() {len(args)} argument(s): it takes {count}")
        values = [
            self.condition(arg) if name == "where" and at == 0 else self.value(arg) for at, arg in enumerate(args)
        ]
        if all(value.is_number for value in values if isinstance(value, sympy.Expr)) and all(
            isinstance(value, sympy.Expr) or value in (sympy.true, sympy.false) for value in values
        ):
            return self._numeric(numeric, values)
        return symbolic(*values)

    def _combine(self, operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        if left.is_number and right.is_number:
            exact = operation is not operator.pow and not (operation is operator.truediv and right == 0)
            if exact and left.is_Integer and right.is_Integer:
                return operation(left, right)
            return self._numeric(operation, [left, right])
        if operation is operator.truediv and right == 0:
            return self.refuse("divides by zero")
        return operation(left, right)

    def _numeric(self, function: Callable[..., Any], values: list[Any]) -> Any:
        # Numbers are folded as floats: exact towers of powers could run forever.
        try:
            result = function(*(float(v) if isinstance(v, sympy.Expr) else bool(v) for v in values))
        except (ArithmeticError, ValueError):
            return self.refuse("has a constant part that is not a finite number")
        return sympy.Float(self._finite(result))

    def _finite(self, number: Any) -> float:
        try:
            value = float(number)
        except (OverflowError, TypeError):  # too large, or complex: a root of a negative number
            value = math.nan
        if not math.isfinite(value):
            self.refuse("has a constant part that is not a finite number")
        return value
