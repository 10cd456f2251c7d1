"""Whether the units of a model file fit: a walk over the syntax tree of every expression.

- A bare 0 fits any unit; any other bare number is a plain number, and beside a quantity with a unit it is refused.
- Sums, `min`, `max`, comparisons and the two values of `where` take like with like.
- Arguments of `exp`, `expm1` and `log1p`, and exponents, have no unit. A quantity with a unit may be raised to a
  number only, except in ``hill(x, n, K)``, where x and K are alike.
- ``log(x)`` of a quantity with a unit is a logarithm that still owes its unit: ``log(x) - log(y)`` is that of a
  ratio, ``exp(log(x) + k*t)`` has the unit of x, and anything else is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NoReturn

from ...errors import ModelFileError
from .dimensions import ONE, Dimension, difference, parse_unit
from .expressions import names_in, plain_name, shortened, syntax_tree, unparsed
from .places import (
    Place,
    closed_form,
    definition,
    derived_expression,
    equation,
    equivalent_condition,
    equivalent_value,
    initial_value,
    output_expression,
    phase_end,
    reset,
    start,
)
from .specification import DATA_FEATURES, Specification

_MAX_POWER = 100


@dataclass(frozen=True)
class Quantity:
    """What the walk knows of a part of an expression.

    Attributes
    ----------
    unit : its unit; of a logarithm, none
    owed : unit of the quantity that it is the logarithm of; none for all but such logarithms
    number : its value, where it is made of bare numbers only
    """

    unit: Dimension = ONE
    owed: Dimension = ONE
    number: float | None = None

    @property
    def fits_any(self) -> bool:
        """Whether it is a bare 0."""
        return self.number == 0

    def __str__(self) -> str:
        if not self.owed.is_one:
            return f"the logarithm of {self.owed}"
        return "no unit" if self.unit.is_one else str(self.unit)


def check_units(spec: Specification, *, file: str = "") -> None:
    """Compare the units of every expression of a specification whose expressions can be read.

    Nothing is done where the file says ``unit_check = "none"``.

    Raises
    ------
    ModelFileError
        Names table, key, expression, the unit found and the one expected, and what to do, for every fault.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> check_units(load_model("stein2019").specification)
    """
    if spec.unit_check == "none":
        return
    units = {name: parse_unit(entry.unit) for name, entry in spec.parameters.items()}
    units |= {name: parse_unit(entry.unit) for name, entry in spec.constants.items()}
    units |= {name: parse_unit(entry.unit) for name, entry in spec.inputs.items()}
    states = {name: parse_unit(entry.unit) for name, entry in spec.states.items()}
    outputs = {name: parse_unit(entry.unit) for name, entry in spec.outputs.items()}
    time = parse_unit(spec.time_unit)
    names = {name: Quantity(unit) for name, unit in {**units, **states, "t": time}.items()}
    checks = Checks(names, file)
    for name, text in spec.definitions.items():
        if set(names_in(text)) & (spec.definitions.keys() - names.keys()):  # it uses one whose parts do not fit
            continue
        found = checks.find(text, definition(name))
        if found is not None:
            names[name] = found
    checks.settle()  # what uses a definition whose unit is unknown cannot be judged
    for name, given in spec.inputs.items():
        if given.kind == "dose" and not units[name].alike(states[given.state]):
            checks.faults.append(
                f"table [inputs.{name}], key 'unit': the dose is in {units[name]}, but is added to {given.state} in "
                f"{states[given.state]}{difference(units[name], states[given.state])}: give both one unit"
            )
    for name, unit in states.items():
        checks.hold(spec.states[name].initial, initial_value(name), unit)
    for phase in spec.phases:
        if phase.ends_at is not None:
            checks.hold(phase.ends_at, phase_end(phase.name), time)
        for name, text in phase.equations.items():
            checks.hold(text, equation(phase.name, name), states[name] / time)
        for name, text in phase.reset.items():
            checks.hold(text, reset(phase.name, name), states[name])
    for name, output in spec.outputs.items():
        checks.hold(output.expression, output_expression(name), outputs[name])
        for key, text in (output.closed_form or {}).items():
            checks.hold(text, closed_form(name, key), outputs[name])
    for name, entry in spec.derived.items():
        checks.hold(entry.expression, derived_expression(name), parse_unit(entry.unit))
    for number, row in enumerate(spec.equivalent, start=1):
        checks.find(row.when, equivalent_condition(number))
        for name, text in row.values.items():
            checks.hold(text, equivalent_value(number, name), units[name])
    _check_starts(spec, units, outputs, time, checks)
    checks.settle()


def _check_starts(
    spec: Specification, units: dict[str, Dimension], outputs: dict[str, Dimension], time: Dimension, whole: Checks
) -> None:
    """Hold first guesses to the units of their parameters; levels have that of the output that is fitted."""
    fitted = next((name for name, output in spec.outputs.items() if output.residual), next(iter(outputs)))
    level = outputs[fitted]
    endings = {"_level": level, "_time": time, "_rate": ONE / time}
    features = {name: Quantity(endings[f"_{name.rpartition('_')[2]}"]) for name in DATA_FEATURES}
    checks = Checks(features, whole.file)
    for name, parameter in spec.parameters.items():
        for text in parameter.start:
            checks.hold(text, start(name), units[name])
    whole.faults += checks.faults


class Checks:
    """Checks of single expressions over one set of names; their faults are gathered."""

    def __init__(self, names: Mapping[str, Quantity], file: str) -> None:
        self.names, self.file = names, file
        self.faults: list[str] = []

    def find(self, text: str, place: Place) -> Quantity | None:
        """Return what an expression (or a condition) is, or None where its parts do not fit."""
        try:
            return self._found(text, place)
        except ModelFileError as err:
            self.faults.append(err.message)
            return None

    def hold(self, text: str, place: Place, expected: Dimension) -> None:
        """Gather what is wrong with an expression that has another unit than the one expected."""
        try:
            self._held(text, place, expected)
        except ModelFileError as err:
            self.faults.append(err.message)

    def settle(self) -> None:
        """Raise what was gathered."""
        if self.faults:
            raise ModelFileError.of_faults(self.faults, file=self.file or None)

    def _found(self, text: str, place: Place) -> Quantity:
        walk = _Walk(self.names, text, place, self.file)
        try:
            return walk.value(syntax_tree(text))
        except RecursionError:
            walk.refuse("is nested too deep: split it with [definitions]")

    def _held(self, text: str, place: Place, expected: Dimension) -> None:
        found = self._found(text, place)
        if found.fits_any or (found.owed.is_one and found.unit.alike(expected)):
            return
        walk = _Walk(self.names, text, place, self.file)
        if not found.owed.is_one:
            walk.refuse(
                f"is {found}, whose value depends on that unit, but {place.what} is in {expected}: "
                "divide by a constant of the same unit, log(x/K)"
            )
        if found.number is not None:
            walk.refuse(
                f"is a bare number, but {place.what} is in {expected}: declare it as a parameter, or under "
                f"[constants] with the unit {expected}"
            )
        walk.refuse(
            f"has {_a_unit(found)}, but {place.what} is in {expected}{difference(found.unit, expected)}: "
            "correct the expression or the declared units"
        )


class _Walk:
    """Walks one syntax tree that the whitelist has passed."""

    def __init__(self, names: Mapping[str, Quantity], text: str, place: Place, file: str) -> None:
        self.names, self.text, self.place, self.file = names, text, place, file

    def refuse(self, why: str) -> NoReturn:
        raise ModelFileError(f"{self.place}: '{shortened(self.text)}' {why}", file=self.file or None)

    def value(self, node: ast.expr) -> Quantity:
        match node:
            case ast.Constant(value=int() | float() as number):
                return Quantity(number=float(number))
            case ast.Name(id=name):
                return self.names[plain_name(name)]
            case ast.UnaryOp(op=op, operand=operand):
                return self._signed(self.value(operand), -1 if isinstance(op, ast.USub) else 1)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                sign = 1 if isinstance(op, ast.Add) else -1
                return self._sum(self.value(left), self.value(right), left, right, sign)
            case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
                return self._product(self.value(left), self.value(right), node, divide=isinstance(op, ast.Div))
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return self._power(self.value(left), self.value(right), left, right)
            case ast.Compare(left=left, comparators=[right]):
                return replace(self._alike(self.value(left), self.value(right), left, right, "compares"), number=None)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._call(plain_name(name), args)
        self.refuse("cannot be checked")

    def _signed(self, one: Quantity, sign: int) -> Quantity:
        number = None if one.number is None else sign * one.number
        return Quantity(one.unit, one.owed**sign, number)

    def _sum(self, one: Quantity, two: Quantity, left: ast.expr, right: ast.expr, sign: int) -> Quantity:
        number = None if one.number is None or two.number is None else one.number + sign * two.number
        if one.unit.is_one and two.unit.is_one and not (one.owed.is_one and two.owed.is_one):
            return Quantity(owed=_settled(one.owed * two.owed**sign))
        both = self._alike(one, two, left, right, "adds" if sign > 0 else "subtracts")
        return replace(both, number=number)

    def _alike(self, one: Quantity, two: Quantity, left: ast.expr, right: ast.expr, verb: str) -> Quantity:
        """Return what two quantities of one unit are; refuse others."""
        if one.fits_any or two.fits_any:
            return two if one.fits_any else one
        if one.unit.alike(two.unit) and one.owed.alike(two.owed):
            return replace(one, number=None)
        for number, other, beside in ((one, two, right), (two, one, left)):
            if number.number is not None:
                self.refuse(
                    f"{verb} the bare number {number.number:g} and `{unparsed(beside)}` in {other}: declare the "
                    f"number as a parameter, or under [constants] with the unit {other.unit}"
                )
        self.refuse(
            f"{verb} `{unparsed(left)}` ({one}) and `{unparsed(right)}` ({two}): "
            + (
                f"they must have one unit{difference(one.unit, two.unit)}"
                if one.owed.is_one and two.owed.is_one
                else "take the logarithm of a ratio, log(x/K)"
            )
        )

    def _product(self, one: Quantity, two: Quantity, node: ast.BinOp, *, divide: bool) -> Quantity:
        number = None
        if one.number is not None and two.number is not None and not (divide and two.number == 0):
            number = one.number / two.number if divide else one.number * two.number
        if one.owed.is_one and two.owed.is_one:
            return Quantity(one.unit / two.unit if divide else one.unit * two.unit, number=number)
        # A multiple of a logarithm is that of a power; any other product would depend on the unit.
        factor, log = (two, one) if two.owed.is_one else (one, two)
        if factor.number is not None and not (divide and factor is one):
            times = 1 / factor.number if divide and factor.number else factor.number
            return Quantity(owed=_settled(log.owed ** _fraction(times)))
        self.refuse(
            f"multiplies or divides by {log} in `{unparsed(node)}`, whose value depends on that unit: "
            "take the logarithm of a ratio, log(x/K), with K a parameter or one of [constants]"
        )

    def _power(self, base: Quantity, exponent: Quantity, left: ast.expr, right: ast.expr) -> Quantity:
        self._plain(exponent, right, "the exponent")
        self._no_log(base, left)
        if base.unit.is_one:
            number = None
            if base.number is not None and exponent.number is not None:
                try:
                    number = float(base.number**exponent.number)
                except (ArithmeticError, TypeError, ValueError):
                    number = None
            return Quantity(number=number)
        if exponent.number is None or abs(exponent.number) > _MAX_POWER:
            self.refuse(
                f"raises `{unparsed(left)}` in {base} to `{unparsed(right)}`: the unit of the result would change "
                "with it; write hill(x, n, K), or (x/K)**n with K in the same unit"
            )
        return Quantity(base.unit ** _fraction(exponent.number))

    def _call(self, name: str, args: list[ast.expr]) -> Quantity:
        values = [self.value(arg) for arg in args]
        if name == "where":
            return self._common(values[1:], args[1:], name)
        if name in ("min", "max"):
            return self._common(values, args, name)
        first = values[0]
        if name == "hill":
            x, n, K = values
            self._plain(n, args[1], "the exponent")
            self._alike(x, K, args[0], args[2], "compares in hill()")
            return Quantity()
        if name == "abs":
            self._no_log(first, args[0])
            return first
        if name == "sqrt":
            self._no_log(first, args[0])
            return Quantity(first.unit ** Fraction(1, 2))
        if name == "log":
            self._no_log(first, args[0])
            return Quantity(owed=_settled(first.unit))
        if name == "exp" and not first.owed.is_one:
            return Quantity(first.owed)
        self._plain(first, args[0], f"the argument of {name}()")
        return Quantity()

    def _common(self, values: list[Quantity], args: list[ast.expr], name: str) -> Quantity:
        found, shown = values[0], args[0]
        for value, arg in zip(values[1:], args[1:], strict=True):
            found, shown = self._alike(found, value, shown, arg, f"compares in {name}()"), arg
        return replace(found, number=None) if any(not value.fits_any for value in values) else found

    def _plain(self, one: Quantity, node: ast.expr, what: str) -> None:
        if one.unit.is_one and one.owed.is_one:
            return
        self.refuse(
            f"has `{unparsed(node)}` ({one}) as {what}: it must have no unit{difference(one.unit, ONE)}; divide it "
            "by a quantity of the same unit"
        )

    def _no_log(self, one: Quantity, node: ast.expr) -> None:
        if not one.owed.is_one:
            self.refuse(
                f"uses `{unparsed(node)}` ({one}), whose value depends on that unit: take the logarithm of a ratio, "
                "log(x/K)"
            )


def _settled(owed: Dimension) -> Dimension:
    """Return a unit that is owed, as none where it cancels."""
    return ONE if owed.is_one else owed


def _fraction(number: float) -> Fraction:
    exact = Fraction(number)
    near = exact.limit_denominator(1000)  # 1/3 is meant as a third
    return near if abs(near - exact) < 1e-12 else exact


def _a_unit(found: Quantity) -> str:
    return "no unit" if found.unit.is_one else f"the unit {found.unit}"
