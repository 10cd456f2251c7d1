"""Expressions between SBML and model files: trees of Python's ``ast``, built so that no tree grows without end.

Beyond what a model file can say, a tree may hold cases (``IfExp``) whose conditions combine comparisons, and the
name `UNDEFINED` where no case holds; `lowered` writes them with ``where``. A tree is never changed once it is built.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping

from ..files.expressions import FUNCTIONS

TIME = "<time>"
UNDEFINED = "<undefined>"
MAX_SIZE, MAX_DEPTH = 20_000, 150
_NUMERIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
_COMPARED: dict[type, Callable[[float, float], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}


class TooLargeError(Exception):
    """A tree with more parts, or nested deeper, than any model has."""


def _made(node: ast.expr, *parts: ast.expr) -> ast.expr:
    size = 1 + sum(part.size for part in parts)  # type: ignore[attr-defined]
    depth = 1 + max((part.depth for part in parts), default=0)  # type: ignore[attr-defined]
    if size > MAX_SIZE or depth > MAX_DEPTH:
        raise TooLargeError
    node.size, node.depth = size, depth  # type: ignore[attr-defined]
    return node


def size_of(tree: ast.expr) -> int:
    """Return the number of parts of a tree."""
    return tree.size  # type: ignore[attr-defined]


def name(text: str) -> ast.expr:
    """Return a name."""
    return _made(ast.Name(id=text, ctx=ast.Load()))


def number(value: float) -> ast.expr:
    """Return a finite number, a whole one without a point."""
    if value < 0 or (value == 0 and math.copysign(1.0, value) < 0):
        return negative(number(-value))
    whole = float(value).is_integer() and value < 2**53
    return _made(ast.Constant(value=int(value) if whole else float(value)))


def truth(value: bool) -> ast.expr:
    """Return a condition that always holds, or never."""
    return _made(ast.Constant(value=value))


def number_in(tree: ast.expr) -> float | None:
    """Return the value of a tree that is a number, or None."""
    match tree:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -float(value)
    return None


def negative(tree: ast.expr) -> ast.expr:
    """Return minus a tree."""
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return tree.operand
    if number_in(tree) == 0:
        return tree
    return _made(ast.UnaryOp(op=ast.USub(), operand=tree), tree)


def binary(op: ast.operator, left: ast.expr, right: ast.expr) -> ast.expr:
    """Return a sum, difference, product, quotient or power; what is 0 or 1 in it is left out."""
    one, two = number_in(left), number_in(right)
    match op:
        case ast.Add() if one == 0:
            return right
        case ast.Add() | ast.Sub() if two == 0:
            return left
        case ast.Sub() if one == 0:
            return negative(right)
        case ast.Add() if isinstance(right, ast.UnaryOp) and isinstance(right.op, ast.USub):
            return binary(ast.Sub(), left, right.operand)
        case ast.Mult() if one == 0 or two == 0:
            return number(0)
        case ast.Mult() if one == 1:
            return right
        case ast.Mult() if one == -1:
            return negative(right)
        case ast.Mult() | ast.Div() | ast.Pow() if two == 1:
            return left
    return _made(ast.BinOp(left=left, op=op, right=right), left, right)


def total(terms: list[ast.expr]) -> ast.expr:
    """Return a sum."""
    return chained(ast.Add(), terms) if terms else number(0)


def chained(op: ast.operator, parts: list[ast.expr]) -> ast.expr:
    """Return parts joined by + or *, in halves where there are many: so they are not nested deep."""
    if len(parts) > 40:
        half = len(parts) // 2
        return binary(op, chained(op, parts[:half]), chained(op, parts[half:]))
    found = parts[0]
    for part in parts[1:]:
        found = binary(op, found, part)
    return found


def call(function: str, *args: ast.expr) -> ast.expr:
    """Return a call of one of the functions of model files."""
    return _made(ast.Call(func=ast.Name(id=function, ctx=ast.Load()), args=list(args), keywords=[]), *args)


def compare(op: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr:
    """Return a comparison."""
    return _made(ast.Compare(left=left, ops=[op], comparators=[right]), left, right)


def both(conditions: list[ast.expr]) -> ast.expr:
    """Return the condition that all of some hold."""
    if any(_is_truth(one, False) for one in conditions):
        return truth(False)
    left = [one for one in conditions if not _is_truth(one, True)]
    if len(left) < 2:
        return left[0] if left else truth(True)
    return _made(ast.BoolOp(op=ast.And(), values=left), *left)


def either(conditions: list[ast.expr]) -> ast.expr:
    """Return the condition that one of some holds."""
    if any(_is_truth(one, True) for one in conditions):
        return truth(True)
    left = [one for one in conditions if not _is_truth(one, False)]
    if len(left) < 2:
        return left[0] if left else truth(False)
    return _made(ast.BoolOp(op=ast.Or(), values=left), *left)


def opposite(condition: ast.expr) -> ast.expr:
    """Return the condition that another does not hold."""
    if isinstance(condition, ast.Constant):
        return truth(not condition.value)
    return _made(ast.UnaryOp(op=ast.Not(), operand=condition), condition)


def case(condition: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
    """Return one value where a condition holds and another elsewhere."""
    if isinstance(condition, ast.Constant):
        return yes if condition.value else no
    if ast.dump(yes) == ast.dump(no):
        return yes
    return _made(ast.IfExp(test=condition, body=yes, orelse=no), condition, yes, no)


def is_condition(tree: ast.expr) -> bool:
    """Whether a tree is a condition and no number."""
    match tree:
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()) | ast.Constant(value=bool()):
            return True
    return False


def _is_truth(tree: ast.expr, value: bool) -> bool:
    return isinstance(tree, ast.Constant) and tree.value is value


def rebuilt(tree: ast.expr, change: Callable[[ast.expr], ast.expr | None]) -> ast.expr:
    """Return a tree in which every part that `change` has another for is that other."""
    other = change(tree)
    if other is not None:
        return other
    match tree:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return negative(rebuilt(operand, change))
        case ast.UnaryOp(operand=operand):
            return opposite(rebuilt(operand, change))
        case ast.BinOp(left=left, op=op, right=right):
            return binary(op, rebuilt(left, change), rebuilt(right, change))
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            return compare(comparison, rebuilt(left, change), rebuilt(right, change))
        case ast.BoolOp(op=ast.And(), values=values):
            return both([rebuilt(one, change) for one in values])
        case ast.BoolOp(values=values):
            return either([rebuilt(one, change) for one in values])
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return case(rebuilt(test, change), rebuilt(body, change), rebuilt(orelse, change))
        case ast.Call(func=ast.Name(id=function), args=args):
            return call(function, *(rebuilt(arg, change) for arg in args))
    return tree


def substituted(tree: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    """Return a tree with other trees in the place of names."""
    return rebuilt(tree, lambda part: values.get(part.id) if isinstance(part, ast.Name) else None)


def parts_of(tree: ast.expr) -> Iterator[ast.expr]:
    """Yield a tree and every part of it, from the left."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr) and not (isinstance(tree, ast.Call) and child is tree.func):
            yield from parts_of(child)


def names_of(tree: ast.expr) -> list[str]:
    """Return the names in a tree, each once, without those of functions."""
    return list(dict.fromkeys(part.id for part in parts_of(tree) if isinstance(part, ast.Name)))


def without_factor(tree: ast.expr, factor: str) -> ast.expr:
    """Return a tree divided by a name: it is taken out where it is a factor."""
    found = _taken_out(tree, factor)
    return binary(ast.Div(), tree, name(factor)) if found is None else found


def _taken_out(tree: ast.expr, factor: str) -> ast.expr | None:
    match tree:
        case ast.Name(id=found) if found == factor:
            return number(1)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _taken_out(operand, factor)
            return None if inner is None else negative(inner)
        case ast.BinOp(left=left, op=ast.Mult() as op, right=right):
            inner = _taken_out(left, factor)
            if inner is not None:
                return binary(op, inner, right)
            inner = _taken_out(right, factor)
            return None if inner is None else binary(op, left, inner)
        case ast.BinOp(left=left, op=ast.Div() as op, right=right):
            inner = _taken_out(left, factor)
            return None if inner is None else binary(op, inner, right)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            one, two = _taken_out(left, factor), _taken_out(right, factor)
            return None if one is None or two is None else binary(op, one, two)
    return None


def with_hill(tree: ast.expr) -> ast.expr:
    """Return a tree in which x**n/(K**n + x**n) and 1/(1 + (K/x)**n) are hill(x, n, K), as a model file has them.

    Its derivatives stay finite where x is next to nothing.
    """
    return rebuilt(tree, _as_hill)


def _as_hill(tree: ast.expr) -> ast.expr | None:
    match tree:
        case ast.BinOp(
            left=ast.Constant(value=1),
            op=ast.Div(),
            right=ast.BinOp(
                left=ast.Constant(value=1),
                op=ast.Add(),
                right=ast.BinOp(left=ast.BinOp(left=K, op=ast.Div(), right=x), op=ast.Pow(), right=n),
            ),
        ):
            return call("hill", with_hill(x), with_hill(n), with_hill(K))
        case ast.BinOp(
            left=ast.BinOp(left=x, op=ast.Pow(), right=n) as top,
            op=ast.Div(),
            right=ast.BinOp(left=ast.BinOp(op=ast.Pow()) as one, op=ast.Add(), right=ast.BinOp(op=ast.Pow()) as two),
        ) if ast.dump(top) in (ast.dump(one), ast.dump(two)) and ast.dump(one.right) == ast.dump(two.right):
            other = two if ast.dump(top) == ast.dump(one) else one
            return call("hill", with_hill(x), with_hill(n), with_hill(other.left))
    return None


def value_of(tree: ast.expr, values: Mapping[str, float]) -> float:
    """Return the number that a tree is where names have these values; NaN where it is none."""
    try:
        found = _value(tree, values)
        return float(found) if not isinstance(found, complex) else math.nan
    except (ArithmeticError, ValueError, KeyError, TypeError):
        return math.nan


def _value(tree: ast.expr, values: Mapping[str, float]) -> float:
    match tree:
        case ast.Constant(value=int() | float() as constant):
            return constant
        case ast.Name(id=found):
            return values[found]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.UnaryOp(operand=operand):
            return not _value(operand, values)
        case ast.BinOp(left=left, op=op, right=right):
            return _NUMERIC[type(op)](float(_value(left, values)), float(_value(right, values)))
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            return _COMPARED[type(comparison)](_value(left, values), _value(right, values))
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, values) else orelse, values)
        case ast.Call(func=ast.Name(id=function), args=args):
            return FUNCTIONS[function][3](*(_value(arg, values) for arg in args))
    raise ValueError(ast.dump(tree)[:80])


def lowered(tree: ast.expr) -> ast.expr:
    """Return a tree whose cases are written with ``where``, one comparison each."""

    def change(part: ast.expr) -> ast.expr | None:
        if isinstance(part, ast.IfExp):
            return _where(part.test, lowered(part.body), lowered(part.orelse))
        return None

    return rebuilt(tree, change)


def _where(condition: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
    match condition:
        case ast.Constant(value=bool() as holds):
            return yes if holds else no
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _where(operand, no, yes)
        case ast.BoolOp(op=ast.And(), values=[first, *rest]):
            return _where(first, _where(both(rest), yes, no), no)
        case ast.BoolOp(values=[first, *rest]):
            return _where(first, yes, _where(either(rest), yes, no))
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            return _where(compare(ast.LtE(), left, right), _where(compare(ast.GtE(), left, right), yes, no), no)
        case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]):
            return _where(compare(ast.Eq(), left, right), no, yes)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return call("where", compare(op, lowered(left), lowered(right)), yes, no)
    raise ValueError(ast.dump(condition)[:80])


def text_of(tree: ast.expr) -> str:
    """Return a tree as a model file has it.

    Examples
    --------
    >>> text_of(binary(ast.Mult(), binary(ast.Add(), name("a"), number(2.0)), number(1e-11)))
    '(a + 2)*1e-11'
    """
    return re.sub(r" (\*\*|\*|/) ", r"\1", ast.unparse(rebuilt(tree, _with_sign_in_front)))


def _with_sign_in_front(tree: ast.expr) -> ast.expr | None:
    """Return -(a*b) as -a*b."""
    match tree:
        case ast.UnaryOp(op=ast.USub(), operand=ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right)):
            first = _with_sign_in_front(negative(left)) or negative(rebuilt(left, _with_sign_in_front))
            return _made(ast.BinOp(left=first, op=op, right=rebuilt(right, _with_sign_in_front)), first, right)
    return None
