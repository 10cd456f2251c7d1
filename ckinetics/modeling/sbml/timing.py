"""Comparisons of time with what does not change: the moments at which an SBML model switches."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .trees import TIME, binary, names_of, negative, number, parts_of, rebuilt, text_of, truth, value_of


@dataclass(frozen=True)
class Moment:
    """A moment.

    Attributes
    ----------
    tree : when it is, an expression of what does not change
    value : when it is at the file's values
    rising : whether the left side of its comparison becomes the larger one
    """

    tree: ast.expr
    value: float
    rising: bool

    @property
    def text(self) -> str:
        """The expression as text: moments with one text are one."""
        return text_of(self.tree)


def moment_of(
    comparison: ast.expr, is_constant: Callable[[ast.expr], bool], values: Mapping[str, float]
) -> Moment | None:
    """Return the moment at which a comparison changes; None where it is not one of time with what does not change."""
    if not isinstance(comparison, ast.Compare):
        return None
    left, right = _line(comparison.left, is_constant), _line(comparison.comparators[0], is_constant)
    if left is None or right is None:
        return None
    slope = binary(ast.Sub(), left[0], right[0])
    size = value_of(slope, values)
    if not abs(size) > 0:
        return None
    tree = binary(ast.Div(), binary(ast.Sub(), right[1], left[1]), slope)
    if text_of(slope) == "-1":
        tree = binary(ast.Sub(), left[1], right[1])
    value = value_of(tree, values)
    return Moment(tree, value, size > 0) if value == value else None


def _line(tree: ast.expr, is_constant: Callable[[ast.expr], bool]) -> tuple[ast.expr, ast.expr] | None:
    """Return slope and value at time 0 of an expression that is linear in time, else None."""
    if is_constant(tree):
        return number(0), tree
    match tree:
        case ast.Name(id=found) if found == TIME:
            return number(1), number(0)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _line(operand, is_constant)
            return None if inner is None else (negative(inner[0]), negative(inner[1]))
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            one, two = _line(left, is_constant), _line(right, is_constant)
            if one is None or two is None:
                return None
            return binary(op, one[0], two[0]), binary(op, one[1], two[1])
        case ast.BinOp(left=left, op=ast.Mult() as op, right=right):
            for factor, other in ((left, right), (right, left)):
                inner = _line(other, is_constant) if is_constant(factor) else None
                if inner is not None:
                    return binary(op, factor, inner[0]), binary(op, factor, inner[1])
        case ast.BinOp(left=left, op=ast.Div() as op, right=right) if is_constant(right):
            inner = _line(left, is_constant)
            if inner is not None:
                return binary(op, inner[0], right), binary(op, inner[1], right)
    return None


def moments_in(
    tree: ast.expr, is_constant: Callable[[ast.expr], bool], values: Mapping[str, float]
) -> dict[str, Moment]:
    """Return the moments at which a tree switches, by their text."""
    found: dict[str, Moment] = {}
    for part in parts_of(tree):
        moment = moment_of(part, is_constant, values)
        if moment is not None:
            found.setdefault(moment.text, moment)
    return found


def settled(
    tree: ast.expr,
    after: Callable[[Moment], bool],
    is_constant: Callable[[ast.expr], bool],
    values: Mapping[str, float],
) -> ast.expr:
    """Return a tree in which every comparison of time is decided: `after` says whether its moment is past."""

    def change(part: ast.expr) -> ast.expr | None:
        moment = moment_of(part, is_constant, values)
        if moment is None:
            return None
        assert isinstance(part, ast.Compare)
        larger = after(moment) == moment.rising  # whether the left side is the larger one
        match part.ops[0]:
            case ast.Gt() | ast.GtE():
                return truth(larger)
            case ast.Lt() | ast.LtE():
                return truth(not larger)
        return truth(isinstance(part.ops[0], ast.NotEq))

    return rebuilt(tree, change)


def rises(
    condition: ast.expr, is_constant: Callable[[ast.expr], bool], values: Mapping[str, float], *, at_start: bool
) -> list[Moment] | str:
    """Return the moments at which a condition begins to hold, those from time 0 on, or a word on why none can be told.

    Parameters
    ----------
    condition
        The condition.
    is_constant
        Tells what does not change.
    values
        The file's values.
    at_start
        Whether it begins to hold at time 0 where it holds then.
    """
    for part in parts_of(condition):
        if isinstance(part, ast.Compare) and moment_of(part, is_constant, values) is None:
            if TIME not in names_of(part) and is_constant(part.left) and is_constant(part.comparators[0]):
                continue
            return text_of(part)
        if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Eq | ast.NotEq):
            return text_of(part)
    found = []
    moments = sorted(moments_in(condition, is_constant, values).values(), key=lambda moment: moment.value)
    times = sorted({moment.value for moment in moments if moment.value >= 0} | {0.0})
    held = not at_start and bool(value_of(condition, {**values, TIME: 0.0}))
    for at, time in enumerate(times):
        then = times[at + 1] if at + 1 < len(times) else time + 1.0
        for moment in (time, 0.5 * (time + then)):
            holds = bool(value_of(condition, {**values, TIME: moment}))
            if holds and not held:
                here = [one for one in moments if one.value == time]
                found.append(here[0] if here else Moment(number(0), 0.0, True))
            held = holds
    return found
