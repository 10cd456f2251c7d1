"""From copies per µg of DNA to copies per cell, copies per µL of blood and CAR-positive cells per µL.

Each conversion needs measurements that the level does not contain, and takes none of them for granted. What is
uncertain in them goes to one of two places: what belongs to one sample (its count, its own recovery) into
``se_well``; what all samples of a patient have in common (the vector copy number, a recovery measured once, the
mass of a genome) into ``se_shared``, a variable over ``patient``, because an error that is shared does not average
out over samples. Both are standard errors of ln(level). None of the conversions can be undone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..cohorts.profiles import profiles_of
from ..errors import InputError, UnitError
from ..provenance import content_hash
from ..schema import Excluded, Status
from ..units import conversion_factor, kind_of
from .factors import PerPatient, PerSample, converted, in_unit, ln_variance, number, per_patient, per_sample

GENOME_PG = 6.6
"""Mass of a diploid human genome in pg, as commonly taken: 151,515 cells per µg of DNA."""
GENOME_PG_RDML = 2 * 3.23
"""The same by the RDML consortium's 3.23 pg of a haploid genome: 154,799 cells per µg."""


class VectorCopyNumber(NamedTuple):
    """Copies of the vector per CAR-positive cell, and their standard error."""

    vcn: float
    se: float


def vector_copy_number(
    n_car: float,
    n_ref: float,
    /,
    *,
    car_fraction: float,
    n_car_se: float,
    n_ref_se: float,
    car_fraction_se: float,
) -> VectorCopyNumber:
    """Return the vector copy number of a product: copies of the vector per CAR-positive cell.

    ``VCN = 2 n_car / n_ref / car_fraction``, for a reference gene of two copies a diploid cell.

    Parameters
    ----------
    n_car, n_ref : float
        Copies of the vector and of the reference gene, in the same amount of the same extract.
    car_fraction : float
        Fraction of the cells that are CAR-positive, above 0 and up to 1. (With 1 it is the copies per cell of the
        product, which is what a product in which every cell is transduced has.)
    n_car_se, n_ref_se, car_fraction_se : float
        Their standard errors, in the same units; 0 where one is exact.

    Returns
    -------
    VectorCopyNumber
        ``vcn`` and its ``se``, from log-normal errors that are independent.

    Raises
    ------
    InputError
        A number that is not positive, a negative standard error, a fraction above 1.

    Examples
    --------
    >>> vector_copy_number(3000, 4000, car_fraction=0.5, n_car_se=150, n_ref_se=100, car_fraction_se=0.02).vcn
    3.0
    """
    given = {"n_car": (n_car, n_car_se), "n_ref": (n_ref, n_ref_se), "car_fraction": (car_fraction, car_fraction_se)}
    variance = sum(ln_variance(value, se, name) for name, (value, se) in given.items())
    if car_fraction > 1:
        raise InputError(f"car_fraction is {car_fraction:g}: give a fraction of 1, not per cent")
    vcn = 2 * n_car / n_ref / car_fraction
    return VectorCopyNumber(vcn, vcn * math.sqrt(math.expm1(variance)))


def to_copies_per_cell(
    kinetics: xr.DataTree | xr.Dataset, /, *, genome_pg: float, genome_pg_se: float = 0.0
) -> xr.Dataset:
    """Convert copies per mass of DNA into copies per cell, by the mass of a cell's genome.

    Parameters
    ----------
    kinetics : DataTree or Dataset
        Profiles in copies/ug (or copies/ng) of genomic DNA.
    genome_pg : float
        DNA of one diploid cell, in pg. Two values are in use and differ by 2 %: `GENOME_PG` = 6.6, and
        `GENOME_PG_RDML` = 6.46 (3.23 pg a haploid genome). There is no default.
    genome_pg_se : float
        Its standard error, which all samples share; by default the constant is taken as exact.

    Returns
    -------
    Dataset
        Profiles in copies/cell: levels and limits times ``genome_pg / 1e6``, statuses as they are.

    Raises
    ------
    UnitError
        The levels are not per mass of DNA.
    InputError
        `genome_pg` is not positive, or that of a haploid genome.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> profiles = kinetics_from_arrays([0, 7], [[0, 151515.15]], lloq=50, unit="copies/ug")
    >>> round(float(to_copies_per_cell(profiles, genome_pg=6.6)["level"][0, 0, 1]), 6)
    1.0
    """
    variance = ln_variance(genome_pg, genome_pg_se, "genome_pg")
    if 2.5 < genome_pg < 4:
        raise InputError(
            f"genome_pg {genome_pg:g} is the mass of a haploid genome: give that of a diploid cell, {2 * genome_pg:g}"
        )
    profiles, factor = in_unit(kinetics, "copies/ug", "copies per mass of DNA", "copies/cell")
    shared = np.full(profiles.sizes["patient"], variance)
    return converted(
        profiles,
        factor * genome_pg / 1e6,
        unit="copies/cell",
        shared=(shared, f"mass of a genome, {'one for all patients' if genome_pg_se else 'taken as exact'}"),
        settings={"conversion": "copies_per_cell", "genome_pg": genome_pg, "genome_pg_se": genome_pg_se},
    )


def to_copies_per_ul(
    kinetics: xr.DataTree | xr.Dataset,
    /,
    *,
    elution_ul: PerSample,
    template_ul: PerSample,
    specimen_ul: PerSample,
    recovery: PerSample,
    recovery_se: PerSample,
    dna_ng: PerSample | None = None,
) -> xr.Dataset:
    """Convert copies per well into copies per µL of the specimen, with the recovery of the extraction.

    ``copies/uL = copies per well * (elution / template) / specimen / recovery``.

    Parameters
    ----------
    kinetics : DataTree or Dataset
        Profiles in copies/well, or in copies/ug together with `dna_ng`.
    elution_ul, template_ul, specimen_ul : float or mapping of sample_id to float
        Volume that the DNA was eluted in, of the eluate in a well, and of the specimen that was extracted.
    recovery, recovery_se : float or mapping of sample_id to float
        Fraction of the copies that the extraction recovers, and its standard error. One number is one
        measurement that all samples share (its error goes to ``se_shared``); a mapping is a recovery measured
        in each sample, by a spiked standard (its error goes to ``se_well``).
    dna_ng : float or mapping of sample_id to float, optional
        DNA in a well, in ng: the mass that the levels in copies/ug were divided by. It cancels, and its error
        with it.

    Returns
    -------
    Dataset
        Profiles in copies/uL: levels and limits converted sample by sample, statuses as they are.

    Raises
    ------
    UnitError
        The levels are neither per well nor per mass of DNA.
    InputError
        A sample without one of the numbers, or one that is not positive.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> profiles = kinetics_from_arrays([0, 7], [[0, 400.0]], lloq=10, unit="copies/well")
    >>> per_ul = to_copies_per_ul(
    ...     profiles, elution_ul=100, template_ul=5, specimen_ul=200, recovery=0.8, recovery_se=0.08)
    >>> per_ul["level"].values.tolist()
    [[[nan, 50.0]]]
    """
    kinds = {kind_of(str(unit)) for unit in profiles_of(kinetics)["unit"].values.tolist()}
    if kinds == {"copies per well"}:
        if dna_ng is not None:
            raise InputError("the levels are copies per well: leave dna_ng out")
        profiles, factor = in_unit(kinetics, "copies/well", "copies per well", "copies/uL")
    else:
        profiles, factor = in_unit(kinetics, "copies/ug", "copies per mass of DNA", "copies/uL")
        if dna_ng is None:
            raise InputError("the levels are per mass of DNA: give dna_ng, the DNA in each sample's wells")
        factor = factor * per_sample(profiles, dna_ng, "dna_ng") / 1e3
    numbers = {
        name: per_sample(profiles, value, name)
        for name, value in (
            ("elution_ul", elution_ul), ("template_ul", template_ul), ("specimen_ul", specimen_ul),
            ("recovery", recovery), ("recovery_se", recovery_se),
        )
    }  # fmt: skip
    if (numbers["template_ul"] > numbers["elution_ul"]).any():
        raise InputError("template_ul is more than elution_ul: the template of a well is part of the eluate")
    if (numbers["recovery"] > 1.5).any():
        raise InputError(f"recovery is {np.nanmax(numbers['recovery']):g}: give a fraction of 1, not per cent")
    factor = factor * numbers["elution_ul"] / numbers["template_ul"] / numbers["specimen_ul"] / numbers["recovery"]
    variance = np.log1p((numbers["recovery_se"] / numbers["recovery"]) ** 2)
    each = isinstance(recovery, Mapping)
    if isinstance(recovery_se, Mapping) is not each:
        raise InputError("recovery and recovery_se are one number each, or one for each sample each: give both alike")
    one = 0.0 if each else float(variance.max(initial=0.0))
    return converted(
        profiles,
        factor,
        unit="copies/uL",
        own=variance if each else None,
        shared=(np.full(profiles.sizes["patient"], one), "" if each else "recovery, one for all patients"),
        settings={
            "conversion": "copies_per_ul", "elution_ul": elution_ul, "template_ul": template_ul,
            "specimen_ul": specimen_ul, "recovery": recovery, "recovery_se": recovery_se, "dna_ng": dna_ng,
        },
    )  # fmt: skip


def to_cells_per_ul(
    kinetics: xr.DataTree | xr.Dataset,
    /,
    *,
    counts: xr.DataTree | xr.Dataset,
    count: str,
    count_cv: float,
    window_days: float,
    vcn: PerPatient,
    vcn_se: PerPatient,
) -> xr.Dataset:
    """Convert copies per cell of blood into CAR-positive cells per µL, with VCN and counts of the same day.

    ``cells/uL = copies per cell / VCN * nucleated cells per uL``.

    Parameters
    ----------
    kinetics : DataTree or Dataset
        Profiles of blood in copies/cell, from `to_copies_per_cell` or a reference gene.
    counts : DataTree or Dataset
        The cohort, or its counts.
    count : str
        Which count is that of the cells whose DNA was extracted: "WBC" for whole blood, "PBMC" for mononuclear
        cells. A lymphocyte count fits DNA of lymphocytes only.
    count_cv : float
        Coefficient of variation of a count, e.g. 0.05.
    window_days : float
        Days that a count may be apart from its sample; the nearest quantified one is taken (the earlier of two).
        A sample without one has no level, and its reason says why; nothing is interpolated.
    vcn, vcn_se : float, or one for each patient (mapping, or DataArray over patient)
        Vector copy number per CAR-positive cell and its standard error, see `vector_copy_number`. All samples of a
        patient share its error, which goes to ``se_shared``.

    Returns
    -------
    Dataset
        Profiles in cells/uL: levels and limits converted sample by sample, statuses as they are. An error of
        the count goes to ``se_well``; it stays unknown (NaN) where the level's own is unknown.

    Raises
    ------
    UnitError
        The levels are not per cell, or the counts are not per volume.
    InputError
        A matrix that is not blood, a patient without VCN, a number that is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from ckinetics.cohorts import kinetics_from_arrays, read_kinetics
    >>> per_cell = kinetics_from_arrays([0, 7], [[0, 0.5]], lloq=3e-4, unit="copies/cell")
    >>> rows = pd.DataFrame({"patient": ["1"], "count": "WBC", "time": [7.2], "level": [2.0]})
    >>> blood = read_kinetics(rows, unit="10^9 cells/L", group="counts")
    >>> cells = to_cells_per_ul(
    ...     per_cell, counts=blood, count="WBC", count_cv=0.05, window_days=0.5, vcn=2.0, vcn_se=0.2)
    >>> cells["level"].values.tolist(), cells["reason"].values.tolist()[0][0][0]
    ([[[nan, 500.0]]], 'no WBC within 0.5 days: the nearest is 7.2 days away')
    """
    cv = number(count_cv, "count_cv", zero=True)
    window = number(window_days, "window_days", zero=True)
    profiles, factor = in_unit(kinetics, "copies/cell", "copies per cell", "cells/uL")
    strange = [str(label) for label in profiles["matrix"].values.tolist() if label != "blood"]
    if strange:
        raise InputError(f"counts are of blood, not of {strange[0]}: select matrix='blood' first")
    copies = per_patient(profiles, vcn, "vcn")
    errors = per_patient(profiles, vcn_se, "vcn_se", zero=True)
    shared = np.log1p((errors / copies) ** 2)
    cells, why = _nearest_counts(profiles, profiles_of(counts, "counts"), count, window)
    each = not all(isinstance(value, (int, float, np.number)) for value in (vcn, vcn_se))
    names = [str(name) for name in profiles["patient"].values.tolist()]
    return converted(
        profiles,
        factor / copies[:, np.newaxis, np.newaxis] * cells,
        unit="cells/uL",
        own=np.full(factor.shape, math.log1p(cv**2)),
        shared=(shared, f"vector copy number, {'one for each patient' if each else 'one for all patients'}"),
        why=why,
        settings={
            "conversion": "cells_per_ul",
            "count": count,
            "count_cv": cv,
            "window_days": window,
            "vcn": dict(zip(names, copies.tolist(), strict=True)) if each else vcn,
            "vcn_se": dict(zip(names, errors.tolist(), strict=True)) if each else vcn_se,
            "counts_hash": content_hash(counts),
        },
    )


def _nearest_counts(
    profiles: xr.Dataset, counts: xr.Dataset, count: str, window: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return cells per µL for each sample, NaN with a sentence where no count lies within the window."""
    labels = [str(label) for label in counts["count"].values.tolist()] if "count" in counts.dims else []
    if count not in labels:
        raise InputError(f"the counts have no '{count}': they have {', '.join(labels) or 'none'}")
    counts = counts.transpose("patient", "count", "sample").isel(count=labels.index(count))
    unit = str(counts["unit"].values)
    if kind_of(unit) != "cells per volume":
        raise UnitError(f"{count} is in {unit}: cells per volume are needed, such as '10^9 cells/L'")
    factor = conversion_factor(unit, "cells/uL")
    time = _times(profiles)
    cells, why = np.full(time.shape, np.nan), np.full(time.shape, "", dtype=object)
    of = {str(name): at for at, name in enumerate(counts["patient"].values.tolist())}
    when, level, status = _times(counts), counts["level"].values, counts["status"].values
    excluded = counts["excluded"].values == Excluded.excluded if "excluded" in counts else np.zeros(when.shape, bool)
    for at in np.ndindex(time.shape):
        place = of.get(str(profiles["patient"].values[at[0]]))
        if place is None:
            why[at] = f"the patient has no {count}"
            continue
        gap = np.where(excluded[place] | (status[place] == Status.missing), np.inf, np.abs(when[place] - time[at]))
        gap = np.where(np.isnan(gap), np.inf, gap)
        usable = (status[place] == Status.quantified) & (level[place] > 0) & (gap <= window * (1 + 1e-12))
        if usable.any():
            cells[at] = level[place][int(np.argmin(np.where(usable, gap, np.inf)))] * factor
        elif np.isnan(time[at]):
            why[at] = f"its time is unknown, so that no {count} can be found for it"
        elif (gap <= window).any():
            why[at] = f"the {count} within {window:g} days is not quantified"
        else:
            nearest = f": the nearest is {gap.min():.3g} days away" if np.isfinite(gap).any() else ""
            why[at] = f"no {count} within {window:g} days{nearest}"
    return cells, why


def _times(profiles: xr.Dataset) -> np.ndarray:
    """Return actual times, planned ones where the actual is unknown."""
    time: np.ndarray = profiles["time"].values
    return np.where(np.isnan(time), profiles["nominal_time"].values, time) if "nominal_time" in profiles else time


__all__ = [
    "GENOME_PG",
    "GENOME_PG_RDML",
    "VectorCopyNumber",
    "to_cells_per_ul",
    "to_copies_per_cell",
    "to_copies_per_ul",
    "vector_copy_number",
]
