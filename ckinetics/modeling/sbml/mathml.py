"""Expressions of a model file as MathML."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from decimal import Decimal
from xml.etree import ElementTree as Tree

from ..files.expressions import plain_name, syntax_tree

MATHML = "http://www.w3.org/1998/Math/MathML"
_TIME = "http://www.sbml.org/sbml/symbols/time"
_OPERATORS: dict[type, str] = {
    ast.Add: "plus",
    ast.Sub: "minus",
    ast.Mult: "times",
    ast.Div: "divide",
    ast.Pow: "power",
}
_COMPARISONS: dict[type, str] = {ast.Lt: "lt", ast.LtE: "leq", ast.Gt: "gt", ast.GtE: "geq"}
_SAME = {"exp": "exp", "log": "ln", "sqrt": "root", "abs": "abs", "min": "min", "max": "max"}


class MathWriter:
    """Writes expressions of one model.

    Parameters
    ----------
    names : mapping of str to str
        The identifier of each name in SBML.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def written(self, text: str) -> Tree.Element:
        """Return an expression."""
        return self._value(syntax_tree(text))

    def piecewise(self, pieces: list[tuple[Tree.Element, Tree.Element]], otherwise: Tree.Element) -> Tree.Element:
        """Return cases: value and condition of each, and the value elsewhere."""
        found = Tree.Element("piecewise")
        for value, condition in pieces:
            Tree.SubElement(found, "piece").extend([value, condition])
        Tree.SubElement(found, "otherwise").append(otherwise)
        return found

    def time(self) -> Tree.Element:
        """Return the symbol of time."""
        symbol = Tree.Element("csymbol", {"encoding": "text", "definitionURL": _TIME})
        symbol.text = "time"
        return symbol

    def _value(self, node: ast.expr) -> Tree.Element:
        match node:
            case ast.Constant(value=int() | float() as value):
                return number_element(value)
            case ast.Name(id=prefixed):
                return self.name(plain_name(prefixed))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return applied("minus", self._value(operand))
            case ast.UnaryOp(operand=operand):
                return self._value(operand)
            case ast.BinOp(op=(ast.Add() | ast.Mult()) as op):
                return applied(_OPERATORS[type(op)], *(self._value(part) for part in _terms(node, type(op))))
            case ast.BinOp(left=left, op=op, right=right):
                return applied(_OPERATORS[type(op)], self._value(left), self._value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return applied(_COMPARISONS[type(op)], self._value(left), self._value(right))
            case ast.Call(func=ast.Name(id=prefixed), args=args):
                return self._call(plain_name(prefixed), args)
        raise ValueError(ast.dump(node)[:80])

    def name(self, own: str) -> Tree.Element:
        """Return a name of the model file."""
        if own == "t":
            return self.time()
        found = Tree.Element("ci")
        found.text = self.names[own]
        return found

    def _call(self, function: str, args: list[ast.expr]) -> Tree.Element:
        if function == "where":
            return self._cases(args)
        values = [self._value(arg) for arg in args]
        if function == "hill":
            x, n, K = values
            power = applied("power", x, n)
            return applied("divide", power, applied("plus", applied("power", K, n), power))
        if function == "log1p":
            return applied("ln", applied("plus", number_element(1), values[0]))
        if function == "expm1":
            return applied("minus", applied("exp", values[0]), number_element(1))
        return applied(_SAME[function], *values)

    def _cases(self, args: list[ast.expr]) -> Tree.Element:
        pieces = []
        condition, yes, no = args
        while True:
            pieces.append((self._value(yes), self._value(condition)))
            match no:
                case ast.Call(func=ast.Name(id=prefixed), args=[condition, yes, after]) if (
                    plain_name(prefixed) == "where"
                ):
                    no = after
                case _:
                    return self.piecewise(pieces, self._value(no))


def _terms(node: ast.expr, op: type) -> list[ast.expr]:
    """Return the terms of a sum, or the factors of a product, from the left."""
    found = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, op):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def applied(operation: str, *args: Tree.Element) -> Tree.Element:
    """Return an operation on arguments."""
    found = Tree.Element("apply")
    Tree.SubElement(found, operation)
    found.extend(args)
    return found


def number_element(value: float) -> Tree.Element:
    """Return a number, with every digit that it has."""
    found = Tree.Element("cn")
    if isinstance(value, int) and abs(value) < 2**31:
        found.set("type", "integer")
        found.text = str(value)
        return found
    digits = repr(float(value))
    exponent = Decimal(digits).adjusted()
    if -12 < exponent < 16 or value == 0:
        found.text = format(Decimal(digits), "f")
        return found
    mantissa, _, power = digits.partition("e")
    if not power:
        mantissa, power = format(Decimal(digits).scaleb(-exponent), "f"), str(exponent)
    found.set("type", "e-notation")
    found.text = mantissa
    Tree.SubElement(found, "sep").tail = str(int(power))
    return found


def math(content: Tree.Element) -> Tree.Element:
    """Return what stands in the file for an expression."""
    found = Tree.Element("math", {"xmlns": MATHML})
    found.append(content)
    return found
