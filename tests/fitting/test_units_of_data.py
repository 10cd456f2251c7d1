"""A model whose output is proportional to a parameter takes the unit of the data."""

from __future__ import annotations

import numpy as np
import pytest

from ckinetics.cohorts import kinetics_from_arrays
from ckinetics.errors import ModelFileError, UnitError
from ckinetics.fitting import fit
from ckinetics.modeling import load_model, read_model

DAYS = [1.0, 3, 5, 7, 9, 10, 12, 14, 17, 21, 28, 42, 60, 90, 120, 180, 240, 365]


def profiles(unit: str, factor: float = 1.0):  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(4)
    level = load_model("stein2019").evaluate(DAYS) * np.exp(generator.normal(0, 0.2, len(DAYS)))
    return kinetics_from_arrays(DAYS, [level * factor], unit=unit)


def test_levels_of_another_kind_keep_their_unit() -> None:
    copies, cells = fit(profiles("copies/ug"), "stein2019"), fit(profiles("cells/uL", 1e-3), "stein2019")
    assert cells.attrs["unit"] == "cells/uL"
    estimates = cells["estimates"].to_dataset()
    units = dict(zip(estimates["parameter"].values, estimates["unit"].values, strict=True))
    assert units["Cmax"] == "cells/uL"
    assert units["alpha"] == "1/day"
    assert "day*cells/uL" in cells["derived"]["unit"].values.tolist()
    ratio = (estimates["estimate"] / copies["estimates"].to_dataset()["estimate"]).sel(patient="1")
    assert float(ratio.sel(parameter="Cmax")) == pytest.approx(1e-3, rel=1e-4)
    assert float(ratio.sel(parameter="alpha")) == pytest.approx(1.0, rel=1e-4)


def test_a_file_that_does_not_say_so_refuses_other_kinds(tmp_path) -> None:  # type: ignore[no-untyped-def]
    text = load_model("stein2019").text.replace('scales_with = ["Cmax"]\n', "")
    (tmp_path / "strict.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UnitError, match="different kinds of quantity"):
        fit(profiles("cells/uL"), tmp_path / "strict.toml")


@pytest.mark.parametrize(
    ("listed", "message"), [('["alpha"]', "not proportional to alpha"), ('["Cmx"]', "'Cmx' is not a parameter")]
)
def test_the_claim_is_checked(listed: str, message: str) -> None:
    text = load_model("stein2019").text.replace('scales_with = ["Cmax"]', f"scales_with = {listed}")
    with pytest.raises(ModelFileError, match=message):
        read_model(text, name="wrong")


@pytest.mark.parametrize(("unit", "factor"), [("10^9 cells/L", 1e-9), ("cells", 1e8)])
def test_no_unit_brings_a_level_to_the_bounds_of_another(unit: str, factor: float) -> None:
    copies, other = fit(profiles("copies/ug"), "stein2019"), fit(profiles(unit, factor), "stein2019")
    assert str(other["message"].values[0]) == str(copies["message"].values[0])
    np.testing.assert_allclose(other["minus2ll"], copies["minus2ll"], atol=1e-6)
