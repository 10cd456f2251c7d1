"""Units of a model file: products, quotients and powers of known ones, and the algebra that compares them.

A unit is written as ``"day*copies/ug"``, ``"1/(cells*day)"``, ``"mL^0.5"`` or ``"10^6 cells/kg"``. Two units are
alike when they measure the same *and* have the same size: h beside day, or cells/mL beside cells/uL, are not.
Copies, cells and body weight are kinds of their own, as in `ckinetics.units`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from ...errors import UnitError
from ...units import UNITS, normalise_unit

# Parts of units that are none of their own: nobody reports a level in "copies".
_PARTS = {"copies": "copies", "cell": "cells", "well": "well", "IU": "activity", "U": "enzyme activity"}
# Kinds that are powers of another kind: in base units uL is mm cubed.
_POWERS = {"volume": ("length", 3)}
_MOLAR = "molar concentration"
_TOKEN = re.compile(r"\s*(\*\*|[*/^()%]|-?\d+(?:\.\d+)?|[A-Za-z]+\d?)")
_MAX_LENGTH = 200
_MAX_POWER = 20


@dataclass(frozen=True)
class Dimension:
    """A unit as powers of named ones.

    Attributes
    ----------
    atoms : tuple of (str, Fraction)
        Power of each name, as it is shown.
    """

    atoms: tuple[tuple[str, Fraction], ...] = ()

    def __mul__(self, other: Dimension) -> Dimension:
        return _dimension([*self.atoms, *other.atoms])

    def __truediv__(self, other: Dimension) -> Dimension:
        return self * other**-1

    def __pow__(self, power: Fraction | int) -> Dimension:
        return _dimension((name, exponent * power) for name, exponent in self.atoms)

    @functools.cached_property
    def kinds(self) -> dict[str, Fraction]:
        """Power of each kind of quantity; empty where it has no dimension."""
        powers: dict[str, Fraction] = {}
        for name, exponent in self.atoms:
            for kind, power in _kinds_of(name).items():
                powers[kind] = powers.get(kind, Fraction(0)) + power * exponent
        return {kind: power for kind, power in sorted(powers.items()) if power}

    @functools.cached_property
    def log_factor(self) -> float:
        """Natural logarithm of its size in base units."""
        return math.fsum(math.log(_factor_of(name)) * float(exponent) for name, exponent in self.atoms)

    @property
    def is_one(self) -> bool:
        """Whether it is no unit at all: a plain number."""
        return self.alike(ONE)

    def same_kind(self, other: Dimension) -> bool:
        """Whether both measure the same, of whatever size."""
        return self.kinds == other.kinds

    def alike(self, other: Dimension) -> bool:
        """Whether both measure the same and have the same size."""
        return self.same_kind(other) and math.isclose(self.log_factor, other.log_factor, abs_tol=1e-9)

    def __str__(self) -> str:
        atoms = sorted(self.atoms, key=lambda atom: "time" in _kinds_of(atom[0]))  # uL*day, never day*uL
        above = "*".join(_shown(name, exponent) for name, exponent in atoms if exponent > 0)
        above = re.sub(r"^(10\^-?\d+)\*", r"\1 ", above)
        below = [_shown(name, -exponent) for name, exponent in atoms if exponent < 0]
        if not below:
            return above or "1"
        return f"{above or 1}/{below[0]}" if len(below) == 1 else f"{above or 1}/({'*'.join(below)})"


ONE = Dimension()


def parse_unit(text: str) -> Dimension:
    """Return the unit that a text spells.

    Parameters
    ----------
    text : str
        Known units joined by ``*``, ``/``, ``^`` and brackets; "1" where there is none. As in expressions, ``a/b/c``
        and ``a/b*c`` are read from the left.

    Raises
    ------
    UnitError
        A name that is not known, or a text that is no product of names.

    Examples
    --------
    >>> str(parse_unit("cells/µL/day"))
    'cells/(uL*day)'
    >>> parse_unit("h").alike(parse_unit("day"))
    False
    >>> parse_unit("mm3").alike(parse_unit("uL"))
    True
    """
    plain = text.replace("µ", "u").replace("μ", "u").strip()
    if not plain:
        raise UnitError('the unit is empty: write "1" where there is none')
    if len(plain) > _MAX_LENGTH:
        raise UnitError(f"the unit is longer than {_MAX_LENGTH} characters")
    with contextlib.suppress(UnitError):  # a product of several, or unknown: its parts tell
        plain = normalise_unit(plain)
    return _UnitReader(plain).whole()


def difference(found: Dimension, expected: Dimension) -> str:
    """Return why two units are not alike, in words to put behind their names; "" where nothing is to be added."""
    if not found.same_kind(expected):
        return ""
    times = math.exp(found.log_factor - expected.log_factor)
    times, larger, smaller = (times, found, expected) if times > 1 else (1 / times, expected, found)
    return f" (both measure the same, but {larger} is {times:.6g} times {smaller}: write both in one unit)"


def _dimension(atoms: Iterable[tuple[str, Fraction]]) -> Dimension:
    powers: dict[str, Fraction] = {}
    for name, exponent in atoms:
        powers[name] = powers.get(name, Fraction(0)) + exponent
    return Dimension(tuple((name, power) for name, power in powers.items() if power))


def _shown(name: str, exponent: Fraction) -> str:
    if exponent == 1:
        return name
    return f"{name}^{exponent}" if exponent.denominator == 1 else f"{name}^({exponent})"


@functools.cache
def _kinds_of(name: str) -> Mapping[str, Fraction]:
    if name.startswith("10^"):
        return {}
    kind = _PARTS[name] if name in _PARTS else UNITS[name].kind
    if kind == "fraction":
        return {}
    if kind == _MOLAR:
        return {"amount of substance": Fraction(1), "length": Fraction(-3)}
    base, power = _POWERS.get(kind, (kind, 1))
    return {base: Fraction(power)}


def _factor_of(name: str) -> float:
    if name.startswith("10^"):
        return float(10 ** int(name[3:]))
    return 1.0 if name in _PARTS else UNITS[name].factor


def _names() -> dict[str, str]:
    """Return the units that are one name (cells, not cells/uL), by their spelling in small letters too."""
    single = [name for name in (*UNITS, *_PARTS) if re.fullmatch(r"[A-Za-z]+\d?|%", name)]
    return {**{name.lower(): name for name in single}, **{name: name for name in single}}


class _UnitReader:
    """Reads a unit from the left: factor, then operator and factor, as often as there are."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                self._refuse()
            self.tokens.append(match[1])
            at = match.end()
        self.at = 0

    def whole(self) -> Dimension:
        found = self._product()
        if self.at < len(self.tokens):
            self._refuse()
        return found

    def _refuse(self, why: str = "") -> NoReturn:
        raise UnitError(
            f"'{self.text}' is not made of known units{why}: write products and quotients such as "
            '"1/day" or "cells/(uL*day)", and "1" where there is none'
        )

    def _next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _product(self) -> Dimension:
        found = self._power()
        while self._next() in ("*", "/") or self._starts_a_name():
            operator = "*"
            if self._next() in ("*", "/"):
                operator = self._next()
                self.at += 1
            factor = self._power()
            found = found * factor if operator == "*" else found / factor
        return found

    def _starts_a_name(self) -> bool:
        # "10^6 cells": a number may stand before a name without a sign
        before = self.tokens[self.at - 1] if self.at else ""
        return self._next()[:1].isalpha() and before.lstrip("-").isdigit()

    def _power(self) -> Dimension:
        token = self._next()
        self.at += 1
        if token == "10" and self._next() in ("^", "**"):
            return Dimension(((f"10^{self._whole_exponent()}", Fraction(1)),))
        if token == "(":
            base = self._product()
            if self._next() != ")":
                self._refuse()
            self.at += 1
        else:
            base = self._named(token)
        if self._next() not in ("^", "**"):
            return base
        self.at += 1
        return base ** self._exponent()

    def _named(self, token: str) -> Dimension:
        if token == "1":
            return ONE
        names = _names()
        name = names.get(token) or names.get(token.lower())
        if name is None:
            try:
                name = normalise_unit(token)
            except UnitError as err:
                near = token[:1].isalpha() and re.search(r"nearest: ([^)]*[^)1])\)", err.message)
                self._refuse(f" ('{token}' is none" + (f"; nearest: {near[1]})" if near else ")"))
        return ONE if name == "1" else Dimension(((name, Fraction(1)),))

    def _exponent(self) -> Fraction:
        if self._next() == "(":
            self.at += 1
            power = self._number()
            if self._next() == "/":
                self.at += 1
                below = self._number()
                if below == 0:
                    self._refuse()
                power /= below
            if self._next() != ")":
                self._refuse()
            self.at += 1
        else:
            power = self._number()
        if abs(power) > _MAX_POWER:
            self._refuse(f" (no power above {_MAX_POWER})")
        return power

    def _number(self) -> Fraction:
        token = self._next()
        if not token.lstrip("-")[:1].isdigit():
            self._refuse()
        self.at += 1
        return Fraction(token)

    def _whole_exponent(self) -> int:
        self.at += 1
        power = self._exponent()
        if power.denominator != 1:
            self._refuse()
        return int(power)
