"""Units of SBML and of model files, each from the other."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ...errors import UnitError
from ..files.consistency import Checks, Quantity
from ..files.dimensions import ONE, Dimension, parse_unit
from ..files.faults import declared_units
from ..files.places import definition
from ..files.specification import Specification
from .files import libsbml_module

# A unit of a model file as SBML has it: multiplier, and powers of SBML's base units. Copies and cells are both items.
_BASES: dict[str, tuple[float, dict[str, int]]] = {
    "cells": (1.0, {"item": 1}),
    "cell": (1.0, {"item": 1}),
    "copies": (1.0, {"item": 1}),
    "%": (0.01, {}),
    "day": (86400.0, {"second": 1}),
    "h": (3600.0, {"second": 1}),
    "min": (60.0, {"second": 1}),
    "s": (1.0, {"second": 1}),
    "week": (604800.0, {"second": 1}),
    "L": (1.0, {"litre": 1}),
    "mL": (1e-3, {"litre": 1}),
    "uL": (1e-6, {"litre": 1}),
    "mm3": (1e-6, {"litre": 1}),
    "cm3": (1e-3, {"litre": 1}),
    "mm": (1e-3, {"metre": 1}),
    "cm": (1e-2, {"metre": 1}),
    "m2": (1.0, {"metre": 2}),
    "kg": (1e3, {"gram": 1}),
    "g": (1.0, {"gram": 1}),
    "mg": (1e-3, {"gram": 1}),
    "ug": (1e-6, {"gram": 1}),
    "ng": (1e-9, {"gram": 1}),
    "pg": (1e-12, {"gram": 1}),
    "pM": (1e-12, {"mole": 1, "litre": -1}),
    "nM": (1e-9, {"mole": 1, "litre": -1}),
    "uM": (1e-6, {"mole": 1, "litre": -1}),
}
_WRITTEN = {
    "item": ["cells"],
    "second": ["s", "min", "h", "day", "week"],
    "litre": ["L", "mL", "uL"],
    "metre": ["mm", "cm"],
    "gram": ["g", "mg", "ug", "ng", "pg"],
    "molar": ["uM", "nM", "pM"],  # moles in litres
}
_SAME = {"liter": "litre", "meter": "metre", "kilogram": "gram", "avogadro": "dimensionless"}


class ReadingUnits:
    """Units of a file, as a model file has them.

    Parameters
    ----------
    model : libsbml.Model
        The model.
    """

    def __init__(self, model: Any) -> None:
        self.sbml, self.model = libsbml_module(), model
        self.unsaid: list[str] = []  # units that a model file cannot say

    def named(self, identifier: str) -> str | None:
        """Return the unit that an identifier stands for, or None where it is left open or cannot be said."""
        if not identifier:
            return None
        definition = self.model.getUnitDefinition(identifier)
        if definition is not None:
            return self._defined(definition)
        if identifier == "dimensionless":
            return "1"
        kind = self.sbml.UnitKind_forName(identifier)
        if kind != self.sbml.UNIT_KIND_INVALID:
            return self._said([(identifier, 1.0, Fraction(1))], identifier)
        if self.model.getLevel() == 2 and identifier in _LEVEL_2:
            return self._said([(_LEVEL_2[identifier], 1.0, Fraction(1))], identifier)
        return None

    def time(self) -> str | None:
        """Return the unit of time, or None where the file does not say it, or it has no name in model files."""
        found = self.named(self.model.getTimeUnits() if self.model.getLevel() == 3 else "time")
        return found if found is not None and parse_unit(found).kinds.keys() == {"time"} else None

    def of_compartment(self, compartment: Any) -> str | None:
        """Return the unit of a compartment's size."""
        which = {3: "volume", 2: "area", 1: "length"}.get(compartment.getSpatialDimensions())
        if compartment.getUnits() or which is None:
            return self.named(compartment.getUnits())
        if self.model.getLevel() == 3:
            given = {"volume": self.model.getVolumeUnits, "area": self.model.getAreaUnits}
            return self.named(given.get(which, self.model.getLengthUnits)())
        return self.named(which)

    def of_species(self, species: Any) -> str | None:
        """Return the unit of what a species stands for: its amount or its concentration."""
        given = species.getSubstanceUnits() or (
            self.model.getSubstanceUnits() if self.model.getLevel() == 3 else "substance"
        )
        amount = self.named(given)
        compartment = self.model.getCompartment(species.getCompartment())
        if species.getHasOnlySubstanceUnits() or compartment.getSpatialDimensions() == 0 or amount is None:
            return amount
        size = self.of_compartment(compartment)
        return None if size is None else _tidy(parse_unit(amount) / parse_unit(size))

    def _defined(self, definition: Any) -> str | None:
        units, shown = [], definition.getName() or definition.getId()
        for unit in definition.getListOfUnits():
            kind = self.sbml.UnitKind_toString(unit.getKind())
            scale, power = unit.getScale(), unit.getExponentAsDouble()
            size = unit.getMultiplier() * 10.0**scale if abs(scale) < 100 else math.nan
            if not (1e-200 < size < 1e200 and abs(power) <= 20):
                self._cannot(shown)
                return None
            units.append((kind, size, Fraction(power).limit_denominator(1000)))
        return _own_name(definition.getName(), units) or self._said(units, shown)

    def _said(self, units: list[tuple[str, float, Fraction]], shown: str) -> str | None:
        """Return a unit as a product of those of model files."""
        units = _moles_in_litres([_in_base(*unit) for unit in units])
        found, factor = ONE, 1.0
        for kind, size, power in units:
            if kind == "dimensionless":
                factor *= size ** float(power)
                continue
            for one in _WRITTEN.get(kind, []):
                if math.isclose(_BASES[one][0], size, rel_tol=1e-9):
                    found = found * parse_unit(one) ** power
                    break
            else:
                if kind not in _WRITTEN:
                    self._cannot(shown)
                    return None
                base = min(_WRITTEN[kind], key=lambda one: abs(math.log(size / _BASES[one][0])))
                found, factor = found * parse_unit(base) ** power, factor * (size / _BASES[base][0]) ** float(power)
        tens = math.log10(factor) if 1e-300 < factor < 1e300 else math.nan
        if not math.isfinite(tens) or not math.isclose(tens, round(tens), abs_tol=1e-9):
            self._cannot(shown)
            return None
        if round(tens):
            found = Dimension(((f"10^{round(tens)}", Fraction(1)),)) * found
        return _tidy(found)

    def _cannot(self, shown: str) -> None:
        if shown not in self.unsaid:
            self.unsaid.append(shown)


_LEVEL_2 = {"substance": "mole", "volume": "litre", "area": "square metre", "length": "metre", "time": "second"}


def _tidy(found: Dimension) -> str:
    text = str(found)
    try:
        return text if parse_unit(text).alike(found) else "1"
    except UnitError:
        return "1"


def _in_base(kind: str, size: float, power: Fraction) -> tuple[str, float, Fraction]:
    if kind == "kilogram":
        return "gram", 1e3 * size, power
    return _SAME.get(kind, kind), size, power


def _moles_in_litres(units: list[tuple[str, float, Fraction]]) -> list[tuple[str, float, Fraction]]:
    """Return units in which moles are moles per litre, times litres: model files know concentrations only."""
    found = []
    for kind, size, power in units:
        if kind == "mole":
            found += [("molar", size, power), ("litre", 1.0, power)]
        else:
            found.append((kind, size, power))
    return found


def _own_name(name: str, units: list[tuple[str, float, Fraction]]) -> str:
    """Return the name of a unit where a model file knows it and it is what the definition says; else ""."""
    try:
        written = sbml_units(name) if name else None
    except UnitError:
        return ""
    if written is None:
        return ""
    size, powers = written
    factor, found = 1.0, dict[str, Fraction]()
    for kind, one, power in [_in_base(*unit) for unit in units]:
        factor *= one ** float(power)
        if kind != "dimensionless":
            found[kind] = found.get(kind, Fraction(0)) + power
    same = {kind: power for kind, power in found.items() if power} == powers and math.isclose(
        factor, size, rel_tol=1e-9
    )
    return _tidy(parse_unit(name)) if same else ""


def sbml_unit_list(text: str) -> list[tuple[str, Fraction, float]] | None:
    """Return a unit of a model file as SBML units: kind, exponent, multiplier; None where SBML has none for it.

    Examples
    --------
    >>> sbml_unit_list("1/day")
    [('second', Fraction(-1, 1), 86400.0)]
    """
    found: list[tuple[str, Fraction, float]] = []
    for name, power in _atoms(parse_unit(text)):
        if name.startswith("10^"):
            found.append(("dimensionless", power, 10.0 ** int(name[3:])))
            continue
        if name not in _BASES:
            return None
        factor, bases = _BASES[name]
        kinds = list(bases.items()) or [("dimensionless", 1)]
        for kind, times in kinds:  # the first carries the size: (1e-3 m)^2 and the like have an exponent of their own
            size = factor ** (1.0 / times) if kind == kinds[0][0] else 1.0
            found.append((kind, times * power, size))
    return found


def sbml_units(text: str) -> tuple[float, dict[str, Fraction]] | None:
    """Return a unit of a model file as a multiplier and powers of SBML's units; None where SBML has none for it.

    Examples
    --------
    >>> sbml_units("1/day")
    (1.1574074074074073e-05, {'second': Fraction(-1, 1)})
    """
    units = sbml_unit_list(text)
    if units is None:
        return None
    size, powers = 1.0, dict[str, Fraction]()
    for kind, power, one in units:
        size *= one ** float(power)
        if kind != "dimensionless":
            powers[kind] = powers.get(kind, Fraction(0)) + power
    return size, {kind: power for kind, power in powers.items() if power}


def _atoms(found: Dimension) -> list[tuple[str, Fraction]]:
    """Return the powers of single units; cells/uL and the like are written out."""
    atoms = []
    for name, power in found.atoms:
        if name in _BASES or name.startswith("10^"):
            atoms.append((name, power))
            continue
        above, _, below = name.partition("/")
        factor, _, rest = above.rpartition(" ")
        atoms += [(factor, power)] if factor else []
        atoms += [(rest, power)] if rest != "1" else []
        atoms += [(below, -power)] if below else []
    return atoms


def definition_units(spec: Specification) -> dict[str, str]:
    """Return the units of definitions, which a model file does not state.

    Raises
    ------
    ModelFileError
        The units in one of them do not fit.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> definition_units(load_model("kimmel2021").specification)
    {'T': 'cells/uL', 'r_C': '1/day'}
    """
    named = [(*place.split("."), unit) for place, unit in declared_units(spec)]
    names = {name: Quantity(parse_unit(unit)) for table, name, unit in named if table not in ("outputs", "derived")}
    names["t"] = Quantity(parse_unit(spec.time_unit))
    checks = Checks(names, "")
    for name, text in spec.definitions.items():
        found = checks.find(text, definition(name))
        if found is None:
            checks.settle()  # raises
        else:
            names[name] = found
    return {name: str(names[name].unit) for name in spec.definitions if names[name].owed.is_one}
