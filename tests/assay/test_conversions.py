"""Conversions of levels: hand-computed figures, propagated errors against simulation, refusals."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.assay.conversions import (
    GENOME_PG,
    GENOME_PG_RDML,
    to_cells_per_ul,
    to_copies_per_cell,
    to_copies_per_ul,
    vector_copy_number,
)
from ckinetics.cohorts import cohort, kinetics_from_arrays, load, profiles_from_table, read_kinetics, save, select
from ckinetics.errors import InputError, UnitError
from ckinetics.noncompartmental import nca
from ckinetics.schema import Status

CELLS: dict[str, Any] = {"count": "WBC", "count_cv": 0.05, "window_days": 0.5, "vcn": 2.0, "vcn_se": 0.2}
EXTRACTION: dict[str, Any] = {
    "elution_ul": 100, "template_ul": 5, "specimen_ul": 200, "recovery": 0.8, "recovery_se": 0.08,
}  # fmt: skip


def profiles(unit: str = "copies/ug", **columns: Any) -> xr.Dataset:
    """Return five samples of one patient, one of each status that has limits."""
    base: dict[str, Any] = {
        "patient": "P1",
        "matrix": "blood",
        "time": [0.0, 7.0, 14.0, 28.0, 60.0],
        "level": [np.nan, 3e4, np.nan, np.nan, np.nan],
        "status": np.array([0, 3, 4, 1, 5], dtype=np.int8),
        "lod": [15.0, 15.0, 15.0, 30.0, 15.0],
        "lloq": [50.0, 50.0, 50.0, 100.0, 50.0],
        "uloq": 1e6,
        "se_well": [np.nan, 0.12, np.nan, np.nan, np.nan],
        "se_plate": [np.nan, 0.08, np.nan, np.nan, np.nan],
        "reason": ["", "", "", "", "rule r_squared failed"],
        "sample_id": ["S1", "S2", "S3", "S4", "S5"],
    }
    return profiles_from_table(pd.DataFrame(base | columns), unit=unit)


def counts(time: Any = (0.1, 7.2, 13.9, 28.0, 60.0), level: Any = (4.0, 2.0, 1.0, 3.0, 5.0), **more: Any) -> xr.Dataset:
    columns = {"patient": "P1", "count": "WBC", "time": list(time), "level": list(level)}
    return read_kinetics(pd.DataFrame(columns | more), unit="10^9 cells/L", group="counts")


def of(dataset: xr.Dataset, name: str) -> np.ndarray:
    values: np.ndarray = dataset[name].values[0, 0]
    return values


def test_cells_in_a_microgram_of_dna() -> None:
    # 1e6 pg / 6.6 pg = 151,515; with 3.23 pg a haploid genome 1e6 / 6.46 = 154,799 (+2.2 %).
    for mass, cells in ((GENOME_PG, 151_515), (GENOME_PG_RDML, 154_799)):
        one = kinetics_from_arrays([7], [[1e6]], lloq=50, unit="copies/ug")
        per_cell = to_copies_per_cell(one, genome_pg=mass)
        assert 1e6 / float(per_cell["level"].item()) == pytest.approx(cells, abs=0.5)
    assert pytest.approx(1.0217, abs=1e-4) == GENOME_PG / GENOME_PG_RDML


def test_copies_per_cell_of_every_status() -> None:
    before = profiles()
    after = to_copies_per_cell(before, genome_pg=6.6)
    np.testing.assert_array_equal(of(after, "status"), of(before, "status"))
    for name in ("level", "lod", "lloq", "uloq"):
        np.testing.assert_allclose(of(after, name), of(before, name) * 6.6e-6, rtol=1e-14)
        assert after[name].attrs["units"] == "copies/cell"
    assert of(after, "level")[1] == pytest.approx(0.198)
    assert after["unit"].values.tolist() == ["copies/cell"]
    for name in ("se_well", "se_plate", "time", "reason"):
        np.testing.assert_array_equal(of(after, name), of(before, name))
    assert after["se_shared"].values.tolist() == [0.0]
    assert of(before, "level")[1] == 3e4  # what was given is not touched
    told = json.loads(after.attrs["settings"])
    assert (told["conversion"], told["genome_pg"]) == ("copies_per_cell", 6.6)


def test_levels_per_nanogram_are_levels_per_mass() -> None:
    per_ug = to_copies_per_cell(profiles(), genome_pg=6.6)
    per_ng = to_copies_per_cell(
        profiles("copies/ng", level=[np.nan, 30, np.nan, np.nan, np.nan], lod=0.015, lloq=0.05, uloq=1e3), genome_pg=6.6
    )
    assert of(per_ng, "level")[1] == pytest.approx(of(per_ug, "level")[1])


def test_cells_per_ul_by_hand() -> None:
    per_cell = to_copies_per_cell(profiles(), genome_pg=6.6)
    after = to_cells_per_ul(per_cell, counts=counts(), **CELLS)
    # 0.198 copies per cell / 2 copies per CAR+ cell * 2000 cells per uL = 198 CAR+ cells per uL.
    assert of(after, "level")[1] == pytest.approx(198.0)
    # 50 copies/ug = 3.3e-4 copies per cell: with 4000, 2000 and 1000 cells per uL another LLOQ each.
    np.testing.assert_allclose(of(after, "lloq")[:4], [0.66, 0.33, 0.165, 0.99])
    np.testing.assert_array_equal(of(after, "status"), of(per_cell, "status"))
    assert of(after, "se_well")[1] == pytest.approx(math.sqrt(0.12**2 + math.log1p(0.05**2)))
    assert of(after, "se_plate")[1] == 0.08
    assert after["se_shared"].values[0] == pytest.approx(math.sqrt(math.log1p(0.1**2)))
    assert "vector copy number" in after["se_shared"].attrs["parts"]
    told = json.loads(after.attrs["settings"])
    assert (told["vcn"], told["count"], told["window_days"]) == (2.0, "WBC", 0.5)
    assert told["before"]["genome_pg"] == 6.6


def test_a_sample_without_its_count_has_no_level_and_says_why() -> None:
    before = profiles(
        excluded=np.array([0, 1, 0, 0, 0], dtype=np.int8),
        reason=["", "from the line", "", "", "failed"],
        by="A. Person, 2026-02-01",
    )
    per_cell = to_copies_per_cell(before, genome_pg=6.6)
    few = counts(time=[0.1, 9.0, 14.0, 28.2], level=[4.0, 2.0, "<0.1", 3.0])
    after = to_cells_per_ul(per_cell, counts=few, **CELLS)
    assert of(after, "status").tolist() == [0, Status.missing, Status.missing, 1, Status.invalid]
    assert of(after, "reason").tolist() == [
        "",
        "from the line; no WBC within 0.5 days: the nearest is 2 days away",
        "the WBC within 0.5 days is not quantified",
        "",
        "failed",
    ]
    assert np.isnan(of(after, "level")).all()
    assert of(after, "excluded").tolist() == [0, 1, 0, 0, 0]
    wide = to_cells_per_ul(per_cell, counts=few, **(CELLS | {"window_days": 2.0}))
    assert of(wide, "level")[1] == pytest.approx(198.0)
    other = to_cells_per_ul(per_cell, counts=counts(patient="P2"), **CELLS)
    assert of(other, "reason")[0] == "the patient has no WBC"


def test_the_nearest_count_is_taken_and_the_earlier_of_two() -> None:
    one = kinetics_from_arrays([7.0], [[1.0]], lloq=0.01, unit="copies/cell", patient=["P1"])
    options = CELLS | {"vcn": 1.0, "vcn_se": 0.0, "window_days": 1.0}
    for times, expected in (((6.5, 7.4), 2000.0), ((6.5, 7.5), 1000.0), ((6.9, 7.4), 1000.0)):
        after = to_cells_per_ul(one, counts=counts(time=times, level=[1.0, 2.0]), **options)
        assert float(after["level"].item()) == pytest.approx(expected)
    excluded = counts(time=(6.9, 7.4), level=[1.0, 2.0], excluded=["yes", "no"], reason=["clotted", ""])
    assert float(to_cells_per_ul(one, counts=excluded, **options)["level"].item()) == pytest.approx(2000.0)
    zero = counts(time=(6.9, 7.4), level=[0, 2.0])
    assert float(to_cells_per_ul(one, counts=zero, **options)["level"].item()) == pytest.approx(2000.0)


def test_each_patient_has_its_own_vcn() -> None:
    two = kinetics_from_arrays([7.0], [[1.0], [1.0]], lloq=0.01, unit="copies/cell", patient=["P1", "P2"])
    same = pd.DataFrame({"patient": ["P1", "P2"], "count": "WBC", "time": 7, "level": 1.0})
    blood = read_kinetics(same, unit="10^9 cells/L", group="counts")
    each = {"P1": 2.0, "P2": 4.0}
    after = to_cells_per_ul(two, counts=blood, **(CELLS | {"vcn": each, "vcn_se": {"P1": 0.2, "P2": 0.8}}))
    np.testing.assert_allclose(after["level"].values.ravel(), [500.0, 250.0])
    np.testing.assert_allclose(after["se_shared"].values, np.sqrt(np.log1p(np.array([0.1, 0.2]) ** 2)))
    array = xr.DataArray([2.0, 4.0], dims="patient", coords={"patient": ["P1", "P2"]})
    same_again = to_cells_per_ul(two, counts=blood, **(CELLS | {"vcn": array, "vcn_se": array * 0.1}))
    np.testing.assert_array_equal(same_again["level"].values, after["level"].values)
    with pytest.raises(InputError, match="patient 'P2' has no vcn: give it"):
        to_cells_per_ul(two, counts=blood, **(CELLS | {"vcn": {"P1": 2.0}}))


def test_copies_per_ul_of_blood_by_hand() -> None:
    # 400 copies in 5 of 100 uL eluate = 8000 copies from 200 uL of blood = 40 per uL; 80 % recovered: 50.
    one = kinetics_from_arrays([7.0], [[400.0]], lloq=10, lod=3, unit="copies/well")
    after = to_copies_per_ul(one, **EXTRACTION)
    assert float(after["level"].item()) == pytest.approx(50.0)
    assert (float(after["lod"].item()), float(after["lloq"].item())) == pytest.approx((0.375, 1.25))
    assert after["se_shared"].values[0] == pytest.approx(math.sqrt(math.log1p(0.01)))
    # The same from copies per ug and the mass in the well: 400 copies in 200 ng are 2000 copies/ug.
    per_ug = kinetics_from_arrays([7.0], [[2000.0]], lloq=50, unit="copies/ug")
    assert float(to_copies_per_ul(per_ug, **EXTRACTION, dna_ng=200)["level"].item()) == pytest.approx(50.0)


def test_a_recovery_of_each_sample_is_its_own_error() -> None:
    names = ["S1", "S2", "S3", "S4"]
    own = {"recovery": dict.fromkeys(names, 0.8), "recovery_se": dict.fromkeys(names, 0.08)}
    after = to_copies_per_ul(profiles("copies/well"), **(EXTRACTION | own))
    assert of(after, "se_well")[1] == pytest.approx(math.sqrt(0.12**2 + math.log1p(0.01)))
    assert after["se_shared"].values.tolist() == [0.0]
    assert of(after, "status").tolist() == of(profiles(), "status").tolist()  # S5 is invalid and needs none
    own["recovery"].pop("S4")
    with pytest.raises(InputError, match="sample 'S4' has no recovery: give it"):
        to_copies_per_ul(profiles("copies/well"), **(EXTRACTION | own))


def lognormal(rng: np.random.Generator, mean: float, se: float, size: int) -> np.ndarray:
    sd = math.sqrt(math.log1p((se / mean) ** 2))
    return mean * np.exp(sd * rng.standard_normal(size) - sd**2 / 2)


def test_errors_by_simulation() -> None:
    # Two samples of one patient: own errors of wells and counts, one VCN and one genome mass for both.
    rng, n = np.random.default_rng(20260105), 200_000
    two = profiles(
        time=[7.0, 14.0, 20.0, 21.0, 22.0], status=np.array([3, 3, -1, -1, -1], dtype=np.int8),
        level=[3e4, 2e3, np.nan, np.nan, np.nan], se_well=[0.12, 0.25, np.nan, np.nan, np.nan],
    )  # fmt: skip
    per_cell = to_copies_per_cell(two, genome_pg=6.6, genome_pg_se=0.3)
    options = CELLS | {"count_cv": 0.1, "vcn_se": 0.4}
    after = to_cells_per_ul(per_cell, counts=counts(time=[7, 14, 30, 31, 32]), **options)
    genome, vcn = lognormal(rng, 6.6, 0.3, n), lognormal(rng, 2.0, 0.4, n)
    drawn = []
    for level, se, cells in ((3e4, 0.12, 4000.0), (2e3, 0.25, 2000.0)):
        copies = level * np.exp(se * rng.standard_normal(n))
        drawn.append(np.log(copies * genome / 1e6 / vcn * lognormal(rng, cells, 0.1 * cells, n)))
    own, shared = of(after, "se_well")[:2], float(after["se_shared"].values[0])
    np.testing.assert_allclose(np.std(drawn, axis=1), np.sqrt(own**2 + shared**2), rtol=0.01)
    # What is shared is what the two samples have in common: their covariance, and their difference lacks it.
    assert np.cov(drawn)[0, 1] == pytest.approx(shared**2, rel=0.03)
    assert np.std(drawn[0] - drawn[1]) == pytest.approx(math.hypot(*own), rel=0.01)


def test_vector_copy_number_by_simulation() -> None:
    given_ = {"n_car_se": 300.0, "n_ref_se": 200.0, "car_fraction_se": 0.05}
    vcn = vector_copy_number(3000, 4000, car_fraction=0.5, **given_)
    assert vcn.vcn == pytest.approx(3.0)  # 2 * 3000 / 4000 = 1.5 a cell; half of the cells carry it
    rng, n = np.random.default_rng(1), 200_000
    drawn = (
        2 * lognormal(rng, 3000, 300, n) / lognormal(rng, 4000, 200, n) / lognormal(rng, 0.5, 0.05, n)
    )  # fmt: skip
    assert np.std(np.log(drawn)) == pytest.approx(math.sqrt(math.log1p((vcn.se / vcn.vcn) ** 2)), rel=0.01)
    with pytest.raises(InputError, match="car_fraction is 50: give a fraction of 1, not per cent"):
        vector_copy_number(3000, 4000, car_fraction=50, **given_)
    with pytest.raises(InputError, match="n_ref is 0: give a number that is positive"):
        vector_copy_number(3000, 0, car_fraction=0.5, **given_)


@settings(max_examples=50, deadline=None)
@given(
    mass=st.floats(4.5, 9),
    vcn=st.floats(0.1, 20),
    wbc=st.floats(0.01, 300),
    cv=st.floats(0, 0.5),
    level=st.floats(60, 1e6),
)
def test_level_and_limits_stay_in_proportion(mass: float, vcn: float, wbc: float, cv: float, level: float) -> None:
    one = kinetics_from_arrays([0, 7], [[0, level]], lod=15, lloq=50, uloq=2e6, unit="copies/ug", patient=["P1"])
    after = to_cells_per_ul(
        to_copies_per_cell(one, genome_pg=mass),
        counts=counts(time=[0, 7], level=[wbc, wbc]),
        count="WBC", count_cv=cv, window_days=0, vcn=vcn, vcn_se=0.0,
    )  # fmt: skip
    for name in ("lod", "lloq", "uloq"):
        ratio = of(after, "level")[1] / of(after, name)[1]
        assert ratio == pytest.approx(level / of(one, name)[1], rel=1e-12)
    assert of(after, "level")[1] == pytest.approx(level * mass / 1e6 / vcn * wbc * 1000, rel=1e-12)
    cohort(after)  # valid: statuses, limits and levels agree


def test_nca_and_the_cohort_take_the_result(tmp_path: Any) -> None:
    times = [0, 7, 14, 28, 60]
    one = kinetics_from_arrays(times, [[0, 1e4, 4e3, 9e2, 80]], lloq=50, unit="copies/ug", patient=["P1"])
    after = to_cells_per_ul(to_copies_per_cell(one, genome_pg=6.6), counts=counts(time=times, level=[4.0] * 5), **CELLS)
    result, before = nca(after), nca(one)
    factor = 6.6e-6 / 2 * 4000
    assert result["cmax"].attrs["units"] == "cells/uL"
    assert float(result["cmax"].item()) == pytest.approx(factor * 1e4)
    assert float(result["auc_last"].item()) == pytest.approx(factor * float(before["auc_last"].item()))
    assert float(result["half_life"].item()) == pytest.approx(float(before["half_life"].item()))
    study = cohort(after, counts=counts(), patients=pd.DataFrame({"patient": ["P0", "P1"]}))
    assert np.isnan(study["kinetics"]["se_shared"].values).tolist() == [True, False]
    back = load(save(study, tmp_path / "study.nc"))
    xr.testing.assert_identical(back["kinetics"].to_dataset(), study["kinetics"].to_dataset())
    assert select(study, patient="P1")["kinetics"]["se_shared"].values.tolist() == after["se_shared"].values.tolist()


def test_the_way_back_and_skipped_steps_are_refused() -> None:
    per_cell = to_copies_per_cell(profiles(), genome_pg=6.6)
    cells = to_cells_per_ul(per_cell, counts=counts(), **CELLS)
    with pytest.raises(UnitError, match=r"in copies/cell \(copies per cell\): copies/cell is computed from copies/ug"):
        to_copies_per_cell(per_cell, genome_pg=6.6)
    with pytest.raises(UnitError, match=r"in cells/uL \(cells per volume\): copies/cell is computed from copies/ug"):
        to_copies_per_cell(cells, genome_pg=6.6)
    with pytest.raises(UnitError, match=r"in copies/ug .*: cells/uL is computed from copies/cell"):
        to_cells_per_ul(profiles(), counts=counts(), **CELLS)
    with pytest.raises(UnitError, match=r"in cells/uL .*: copies/uL is computed from copies/ug"):
        to_copies_per_ul(cells, **EXTRACTION, dna_ng=200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": "ALC"}, "the counts have no 'ALC': they have WBC"),
        ({"count_cv": -0.1}, "count_cv is -0.1: give a number that is not negative"),
        ({"count_cv": None}, "count_cv is None: give a number"),
        ({"window_days": float("inf")}, "window_days is inf"),
        ({"vcn": 0}, "vcn is 0: give a number that is positive"),
        ({"vcn": "2"}, "vcn is '2': give a number"),
        ({"vcn_se": None}, "vcn_se is None: give a number"),
        ({"vcn_se": {}}, "patient 'P1' has no vcn_se"),
        ({"vcn": {"P1": -1.0}}, "vcn of patient 'P1' is -1"),
    ],
)
def test_cells_per_ul_demands_its_inputs(options: dict[str, Any], message: str) -> None:
    per_cell = to_copies_per_cell(profiles(), genome_pg=6.6)
    with pytest.raises(InputError, match=message):
        to_cells_per_ul(per_cell, counts=counts(), **(CELLS | options))


def test_marrow_is_not_blood_and_a_share_is_no_count() -> None:
    per_cell = to_copies_per_cell(profiles(matrix="bone marrow"), genome_pg=6.6)
    with pytest.raises(InputError, match="counts are of blood, not of bone marrow: select matrix='blood' first"):
        to_cells_per_ul(per_cell, counts=counts(), **CELLS)
    share = read_kinetics(
        pd.DataFrame({"patient": ["P1"], "count": "WBC", "time": [7], "level": [40]}), unit="%", group="counts"
    )
    with pytest.raises(UnitError, match="WBC is in %: cells per volume are needed"):
        to_cells_per_ul(to_copies_per_cell(profiles(), genome_pg=6.6), counts=share, **CELLS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genome_pg": 3.23}, "3.23 is the mass of a haploid genome: give that of a diploid cell, 6.46"),
        ({"genome_pg": 0.0}, "genome_pg is 0"),
        ({"genome_pg": 6.6, "genome_pg_se": -1.0}, "genome_pg_se is -1"),
        ({"genome_pg": None}, "genome_pg is None: give a number"),
    ],
)
def test_copies_per_cell_demands_its_inputs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_copies_per_cell(profiles(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recovery": 80}, "recovery is 80: give a fraction of 1, not per cent"),
        ({"recovery": 0}, "recovery is 0"),
        ({"template_ul": 200}, "template_ul is more than elution_ul"),
        ({"recovery_se": None}, "recovery_se is None"),
        ({"recovery": {"S1": 0.8}}, "sample 'S2' has no recovery"),
        ({"dna_ng": 200}, "the levels are copies per well: leave dna_ng out"),
    ],
)
def test_copies_per_ul_demands_its_inputs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_copies_per_ul(profiles("copies/well"), **(EXTRACTION | options))
    with pytest.raises(InputError, match="give dna_ng, the DNA in each sample's wells"):
        to_copies_per_ul(profiles(), **EXTRACTION)
