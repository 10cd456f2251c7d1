"""The units of the field, and which may be converted into which.

A unit belongs to a *kind* of quantity. Conversion is possible inside a kind only: copies per µg of
genomic DNA (per mass of DNA) and cells per µL (per volume of blood) are different kinds, and no factor
links them without further measurements.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from .errors import UnitError


@dataclass(frozen=True)
class Unit:
    """A unit: canonical name, kind of quantity, and its size in the kind's base unit."""

    name: str
    kind: str
    factor: float


_TABLE = (
    Unit("copies/ug", "copies per mass of DNA", 1.0),
    Unit("copies/ng", "copies per mass of DNA", 1e3),
    Unit("copies/uL", "copies per volume", 1.0),
    Unit("copies/mL", "copies per volume", 1e-3),
    Unit("copies/cell", "copies per cell", 1.0),
    Unit("copies/well", "copies per well", 1.0),
    Unit("cells/uL", "cells per volume", 1.0),
    Unit("cells/mL", "cells per volume", 1e-3),
    Unit("10^9 cells/L", "cells per volume", 1e3),
    Unit("cells", "cells", 1.0),
    Unit("10^6 cells", "cells", 1e6),
    Unit("cells/kg", "cells per body weight", 1.0),
    Unit("10^6 cells/kg", "cells per body weight", 1e6),
    Unit("%", "fraction", 0.01),
    Unit("1", "fraction", 1.0),
    Unit("pg/mL", "mass concentration", 1e-6),
    Unit("ng/mL", "mass concentration", 1e-3),
    Unit("ug/L", "mass concentration", 1e-3),
    Unit("ug/mL", "mass concentration", 1.0),
    Unit("mg/L", "mass concentration", 1.0),
    Unit("g/L", "mass concentration", 1e3),
    Unit("pM", "molar concentration", 1e-3),
    Unit("nM", "molar concentration", 1.0),
    Unit("uM", "molar concentration", 1e3),
    Unit("IU/mL", "activity concentration", 1.0),
    Unit("U/L", "enzyme activity concentration", 1.0),
    Unit("day", "time", 1.0),
    Unit("h", "time", 1.0 / 24.0),
    Unit("min", "time", 1.0 / 1440.0),
    Unit("s", "time", 1.0 / 86400.0),
    Unit("week", "time", 7.0),
    Unit("kg", "body weight", 1.0),
    Unit("mm", "length", 1.0),
    Unit("cm", "length", 10.0),
    Unit("m2", "body surface", 1.0),
    Unit("uL", "volume", 1.0),
    Unit("mL", "volume", 1e3),
    Unit("L", "volume", 1e6),
    Unit("mm3", "volume", 1.0),
    Unit("cm3", "volume", 1e3),
    Unit("g", "mass", 1e3),
    Unit("mg", "mass", 1.0),
    Unit("ug", "mass", 1e-3),
    Unit("ng", "mass", 1e-6),
    Unit("pg", "mass", 1e-9),
    Unit("mg/m2", "mass per body surface", 1.0),
    Unit("cycle", "cycle", 1.0),
)
UNITS: dict[str, Unit] = {unit.name: unit for unit in _TABLE}
_ALIASES = {
    "copies/ug gdna": "copies/ug",
    "copies/ug dna": "copies/ug",
    "copies/ug genomic dna": "copies/ug",
    "copies per ug": "copies/ug",
    "copies/cell equivalent": "copies/cell",
    "cells per ul": "cells/uL",
    "cells/mm3": "cells/uL",
    "/ul": "cells/uL",
    "days": "day",
    "d": "day",
    "hours": "h",
    "hour": "h",
    "hr": "h",
    "minute": "min",
    "minutes": "min",
    "weeks": "week",
    "second": "s",
    "seconds": "s",
    "percent": "%",
    "fraction": "1",
    "-": "1",
}
_FOLDED = {name.lower(): name for name in UNITS} | _ALIASES


def normalise_unit(text: str, *, what: str = "unit") -> str:
    """Return the canonical name of a unit.

    Micro signs (U+00B5, U+03BC), case and spaces do not matter.

    Parameters
    ----------
    text : str
        A unit as a file or a user spells it.
    what : str
        What the unit is of, for the message.

    Returns
    -------
    str
        The canonical name.

    Raises
    ------
    UnitError
        The unit is unknown; the message lists the nearest known ones.

    Examples
    --------
    >>> normalise_unit("Copies/µg gDNA")
    'copies/ug'
    """
    if not isinstance(text, str) or not text.strip():
        raise UnitError(f"{what} is missing: name one of {', '.join(UNITS)}")
    folded = re.sub(r"\s+", " ", text.replace("µ", "u").replace("μ", "u").strip()).lower()
    folded = re.sub(r"\s*/\s*", "/", folded)
    if folded in _FOLDED:
        return _FOLDED[folded]
    near = difflib.get_close_matches(folded, _FOLDED, n=3, cutoff=0.5)
    hint = ", ".join(dict.fromkeys(_FOLDED[name] for name in near))
    known = f"nearest: {hint}" if near else f"they are {', '.join(UNITS)}"
    raise UnitError(f"unknown {what} '{text}': use one of the known units ({known})")


def kind_of(unit: str) -> str:
    """Return the kind of quantity that a unit measures.

    Examples
    --------
    >>> kind_of("copies/ug")
    'copies per mass of DNA'
    """
    return UNITS[normalise_unit(unit)].kind


def conversion_factor(source: str, target: str) -> float:
    """Return the factor that turns numbers in `source` into numbers in `target`.

    Raises
    ------
    UnitError
        The two units measure different kinds of quantity.

    Examples
    --------
    >>> conversion_factor("h", "day") * 48
    2.0
    """
    first, second = UNITS[normalise_unit(source)], UNITS[normalise_unit(target)]
    if first.kind != second.kind:
        raise UnitError(
            f"'{first.name}' ({first.kind}) cannot be converted into '{second.name}' ({second.kind}): "
            "they are different kinds of quantity"
        )
    return first.factor / second.factor
