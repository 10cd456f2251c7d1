from __future__ import annotations

import pytest

from ckinetics.errors import UnitError
from ckinetics.units import UNITS, conversion_factor, kind_of, normalise_unit


@pytest.mark.parametrize(
    "text", ["copies/ug", "copies/µg", "copies/μg", "Copies / UG gDNA", " copies/µg  genomic DNA "]
)
def test_spellings_of_one_unit(text: str) -> None:
    assert normalise_unit(text) == "copies/ug"


@pytest.mark.parametrize("name", sorted(UNITS))
def test_every_canonical_name_is_its_own_spelling(name: str) -> None:
    assert normalise_unit(name) == name
    assert conversion_factor(name, name) == 1.0


def test_conversion_inside_a_kind() -> None:
    assert conversion_factor("h", "day") == pytest.approx(1 / 24)
    assert conversion_factor("copies/ng", "copies/ug") == 1000
    assert conversion_factor("ng/mL", "pg/mL") == pytest.approx(1000)
    assert conversion_factor("10^9 cells/L", "cells/uL") == 1000


@pytest.mark.parametrize(
    ("first", "second"), [("copies/ug", "cells/uL"), ("copies/ug", "copies/cell"), ("IU/mL", "pg/mL")]
)
def test_kinds_are_never_mixed(first: str, second: str) -> None:
    assert kind_of(first) != kind_of(second)
    with pytest.raises(UnitError, match="different kinds of quantity"):
        conversion_factor(first, second)


def test_an_unknown_unit_names_the_nearest() -> None:
    with pytest.raises(UnitError, match=r"unknown unit 'copis/ug'.*copies/ug"):
        normalise_unit("copis/ug")
    with pytest.raises(UnitError, match="unit is missing"):
        normalise_unit(" ")
