"""The sections on the cohort and its profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ...plot import individuals, profiles
from ...plot.samples import Samples, samples_of
from ...schema import PROFILE_GROUPS, series_dim
from ..core.blocks import Heading, Paragraph, Picture, Section, picture
from ..core.numbers import count
from ..core.results import Results, model_name, settings_of

PANELS_A_FIGURE = 12


def summary_section(cohort: xr.DataTree) -> Section:
    """Return the sentences on who was studied."""
    patients = cohort.sizes["patient"]
    sentences = [f"{count(patients, 'patient')}{_infused(cohort, patients)}."]
    for samples in series_of(cohort, "kinetics"):
        with_samples = samples.present.any(axis=1)
        number_of = int(with_samples.sum())
        known = (samples.quantified | samples.above).any(axis=1)
        only_blq = int((with_samples & ~known & samples.blq.any(axis=1)).sum())
        neither = number_of - int(known.sum()) - only_blq
        sentence = (
            f"{samples.series.capitalize()}: {count(number_of, 'patient')} with samples "
            f"({count(int(samples.present.sum()), 'sample')}), {only_blq} without any quantified level (all below LLOQ)"
        )
        if neither:
            sentence += f", {neither} without any usable sample"
        if patients - number_of:
            sentence += f"; {count(patients - number_of, 'patient')} without a sample"
        excluded = int(samples.excluded.sum())
        sentences.append(f"{sentence}; {count(excluded, 'sample')} excluded.")
    return Section("summary", "Summary", [Paragraph(sentence) for sentence in sentences])


def _infused(cohort: xr.DataTree, patients: int) -> str:
    names = np.array([str(name) for name in cohort.dataset["patient"].values.tolist()])
    infused = np.zeros(patients, dtype=bool)
    known = False
    if "infused" in cohort.data_vars:
        infused |= ~np.isnat(cohort.dataset["infused"].values)
    if "dose_received" in cohort.data_vars:
        dose = cohort.dataset["dose_received"].values
        infused |= dose > 0
        known = bool(np.isfinite(dose).any())
    if "infusions" in cohort.children:
        infused |= np.isin(names, cohort.children["infusions"].dataset["patient_id"].values.astype(str))
        known = True
    return f", of whom {int(infused.sum())} infused" if known or infused.any() else "; who was infused is not recorded"


def series_of(cohort: xr.DataTree, group: str) -> list[Samples]:
    """Return the samples of every series of a group of profiles."""
    if group not in cohort.children:
        return []
    return [
        samples_of(cohort, group, str(label))
        for label in cohort.children[group].dataset[series_dim(group)].values.tolist()
    ]


def profiles_section(cohort: xr.DataTree) -> Section:
    """Return the spaghetti plots, one a series of each group of profiles."""
    levels = cohort.dataset["dose_level"].values.tolist() if "dose_level" in cohort.data_vars else []
    colour_by = "dose_level" if any(levels) else None
    blocks: list[Any] = []
    for group in PROFILE_GROUPS:
        all_series = series_of(cohort, group)
        if group != "kinetics" and all_series:
            blocks.append(Heading({"flow": "Flow cytometry", "counts": "Blood counts"}.get(group, "Cytokines")))
        for samples in all_series:
            blocks.append(_spaghetti(cohort, samples, colour_by))
    if not blocks:
        blocks.append(Paragraph("There are no profiles."))
    return Section("profiles", "Profiles", blocks)


def _spaghetti(cohort: xr.DataTree, samples: Samples, colour_by: str | None) -> Picture:
    group, series = samples.group, samples.series
    patients = int(samples.present.any(axis=1).sum())
    blq, above = int(samples.blq.sum()), int(samples.above.sum())
    counts = (
        f"{int(samples.quantified.sum())} quantified samples, {blq} below LLOQ, {above} above ULOQ, "
        f"{int(samples.excluded.sum())} excluded."
    )
    alt = f"Profiles of {count(patients, 'patient')}, {series}, on a log axis over days since infusion: {counts}"
    return picture(
        lambda figure: profiles(cohort, group=group, matrix=series, colour_by=colour_by, ax=figure.add_subplot()),
        alt=alt,
        caption=f"{series.capitalize() if series.islower() else series}. {counts}"
        " Dotted lines lead to a sample of which only a limit is known; the dashed line is the median LLOQ, the band "
        "the range of the samples' own.",
    )


def individuals_section(cohort: xr.DataTree, results: Results) -> Section:
    """Return the individual panels, one set a matrix and fit."""
    blocks: list[Any] = []
    for samples in series_of(cohort, "kinetics"):
        series = samples.series
        nca = next((one for one in results.nca if _has(one, series)), None)
        fits: list[Any] = [fit for fit in results.fits if fit.attrs.get("matrix", series) == series] or [None]
        shown = [name for at, name in enumerate(samples.patients) if samples.present[at].any()]
        for fit in fits:
            name = f", fit of {model_name(fit)}" if fit is not None else ""
            blocks.append(Heading(f"{series.capitalize()}{name}"))
            if not shown:
                blocks.append(Paragraph(f"No patient has a sample of {series}."))
            for start in range(0, len(shown), PANELS_A_FIGURE):
                blocks.append(_panels(cohort, series, shown[start : start + PANELS_A_FIGURE], nca, fit))
    return Section("individuals", "Individual profiles", blocks)


def _has(nca: xr.Dataset, series: str) -> bool:
    of_kinetics = settings_of(nca).get("group", "kinetics") == "kinetics"
    return of_kinetics and "matrix" in nca.coords and series in [str(label) for label in nca["matrix"].values.tolist()]


def _panels(cohort: xr.DataTree, series: str, names: list[str], nca: Any, fit: Any) -> Picture:
    what = " with the fitted curve" if fit is not None else ""
    what += " and the terminal line; the samples that entered λz are ringed" if nca is not None else ""
    reach = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return picture(
        lambda figure: individuals(cohort, matrix=series, patients=names, nca=nca, fit=fit, figure=figure),
        alt=f"Individual profiles of {series}, one panel a patient, {reach}{what}.",
        caption=f"{reach}{what}.",
    )
