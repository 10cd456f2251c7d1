"""What the assay of a simulated study can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arguments import number
from ..errors import InputError
from ..units import normalise_unit


@dataclass(frozen=True)
class Limits:
    """Limits in the unit of the level, and µg of DNA in a reaction; NaN where not given."""

    lloq: float
    uloq: float
    lod: float
    dna: float

    @classmethod
    def checked(cls, *, unit: str, **given: float | None) -> Limits:
        """Return limits that fit together and, where DNA is given, a level in copies/µg.

        Raises
        ------
        InputError
            A limit that is not a number above 0, limits out of order, or one that means nothing without another.
        """
        values = {name: np.nan if value is None else number(name, value) for name, value in given.items()}
        for name, value in values.items():
            if given[name] is not None and not 0 < value < np.inf:
                raise InputError(f"{name} is {value}: give a number above 0, or leave it out")
        found = cls(**values)
        for name in ("lod", "dna"):
            if given[name] is not None and given["lloq"] is None:
                raise InputError(f"{name} says which samples below the LLOQ are detected: give lloq too")
        if found.lod > found.lloq:
            raise InputError(f"lod {found.lod:g} is above lloq {found.lloq:g}: exchange them")
        if found.lloq >= found.uloq:
            raise InputError(f"lloq {found.lloq:g} is not below uloq {found.uloq:g}: exchange them")
        if given["dna"] is not None and normalise_unit(unit) != "copies/ug":
            raise InputError(
                f"dna counts copies in a reaction, and the model's level is in {unit}: leave it out, or give lod"
            )
        return found

    @property
    def any_given(self) -> bool:
        """Whether a level can be anything but quantified."""
        return not (np.isnan(self.lloq) and np.isnan(self.uloq))
