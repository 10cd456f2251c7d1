"""The header of conventions: what was done by which rules, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..plot.style import unit_label
from ..provenance import now, user, versions
from ..schema import Status
from .blocks import Definitions, Section, Table
from .numbers import number, span
from .results import Results, model_name, settings_of

AUC_WORDS = {
    "linear": "linear trapezoids throughout",
    "linear-up/log-down": "linear trapezoids where the level rises, logarithmic ones where it falls",
    "linear-log": "linear trapezoids up to Tmax, logarithmic ones after it",
    "log-up/log-down": "logarithmic trapezoids wherever both ends are positive and differ",
}
_ACTIONS = {"keep": "taken as 0", "drop": "left out", "keep first": "the first taken as 0, the rest left out"}
_ASSAY_TERMS = {
    "rules": "acceptance criteria",
    "rules_version": "their version",
    "rules_sha256": "their SHA-256",
    "lloq_copies": "LLOQ (copies/well)",
    "lod_copies": "LOD (copies/well)",
    "replicate_mean": "mean of replicate wells",
    "repeats": "samples measured more than once",
    "curve": "standard curve",
}


def conventions_section(
    cohort: xr.DataTree, results: Results, title: str, inputs: Sequence[tuple[str, str]]
) -> Section:
    """Return the header: study, versions, assay, units, limits, rules in words, and input files."""
    rows = [
        ("Study", title),
        ("Report made", f"{now()} by {user()}"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
        ("Times", "days since the first infusion; samples before it have negative times"),
        *_assay_rows(cohort),
        *_limit_rows(cohort),
        (
            "Levels below LLOQ",
            "never a number: each analysis states what it does with them; in figures they stand as open triangles at "
            "the sample's own LLOQ",
        ),
    ]
    for at, nca in enumerate(results.nca, start=1):
        label = "Noncompartmental analysis" + (f" {at}" if len(results.nca) > 1 else "")
        rows += [(f"{label}: {term}", text) for term, text in nca_words(nca)]
    for fit in results.fits:
        rows += [(f"Fit of {model_name(fit)}", text) for text in fit_words(fit)]
    blocks: list[Any] = [Definitions(rows)]
    if inputs:
        blocks.append(Table("Input files", ("file", "SHA-256"), inputs))
    else:
        blocks.append(Definitions([("Input files", "none recorded: the data came from memory")]))
    return Section("conventions", "Conventions", blocks)


def _assay_rows(cohort: xr.DataTree) -> list[tuple[str, str]]:
    rows = []
    if "kinetics" in cohort.children and cohort.children["kinetics"].attrs.get("assay"):
        rows.append(("Assay, as named by the study", str(cohort.children["kinetics"].attrs["assay"])))
    for group in ("curves", "verdicts", "kinetics"):
        if group in cohort.children:
            found = settings_of(cohort[group].to_dataset())
            if "rules" in found:
                words = [f"{term}: {found[name]}" for name, term in _ASSAY_TERMS.items() if found.get(name) is not None]
                return [*rows, ("Assay", "; ".join(words))]
    return [*rows, ("Assay", "levels were given; no plates were read, so no acceptance criteria were applied here")]


def _limit_rows(cohort: xr.DataTree) -> list[tuple[str, str]]:
    kinetics = cohort["kinetics"].to_dataset()
    rows = []
    for at, label in enumerate(kinetics["matrix"].values.tolist()):
        one = kinetics.isel(matrix=at)
        unit = str(one["unit"].values) if "unit" in one.coords else str(kinetics["level"].attrs.get("units", ""))
        there = one["status"].values != Status.missing
        words = [f"levels in {unit_label(unit) or 'no unit'}"]
        for name, what in (("lloq", "LLOQ"), ("uloq", "ULOQ"), ("lod", "LOD")):
            known = one[name].values[there] if name in one else np.array([])
            known = known[np.isfinite(known)]
            if known.size:
                median = f" (median {number(float(np.median(known)))})" if known.min() < known.max() else ""
                words.append(f"{what} {span(float(known.min()), float(known.max()))}{median}")
            elif name == "lloq":
                words.append("LLOQ unknown")
        rows.append((f"Units and limits, {label}", ", ".join(words)))
    return rows


def nca_words(nca: xr.Dataset) -> list[tuple[str, str]]:
    """Return the rules of an nca result as terms and sentences."""
    settings = settings_of(nca)
    rules: dict[str, Any] = settings.get("rules", {})
    method = str(settings.get("auc_method", ""))
    rows = [
        ("preset", f"{settings.get('preset', 'not recorded')}{_bracket(rules.get('source'))}"),
        ("area", f"{method}: {AUC_WORDS.get(method, 'not recorded')}"),
        ("times", f"{settings.get('times', 'actual')} times"),
    ]
    if "blq_first" in rules:
        places = (("blq_first", "before the first quantified"), ("blq_middle", "between"), ("blq_last", "after"))
        words = "; ".join(f"{place}: {_ACTIONS[rules[name]]}" for name, place in places)
        rows.append(("samples below LLOQ", f"{words}; no imputed value enters λz, Tlast or Cmax"))
        rows.append(
            (
                "patients without a quantified sample",
                "Cmax and areas are 0; they are counted, and left out of geometric means"
                if rules["all_blq_is_zero"]
                else "Cmax and areas are not calculable; they are counted as such in every table",
            )
        )
        anchor = "nothing stands in for a missing sample at time 0"
        if rules["anchor"] == "zero":
            anchor = "a level of 0 stands at time 0 where no sample lies at or before it"
            if "anchor_gap" in rules:
                anchor += f" and the first comes within {rules['anchor_gap']} days; with a later one areas are missing"
        rows.append(("start of the profile", anchor))
        rows.append(
            (
                "terminal rate λz",
                f"least squares of ln level over the last k samples after Tmax, k at least {rules['min_points']}; of "
                f"the declining lines within {rules['tolerance']:g} of the largest adjusted R² the longest is taken",
            )
        )
    return rows


def _bracket(text: Any) -> str:
    return f" ({text})" if text else ""


def fit_words(fit: xr.DataTree) -> list[str]:
    """Return what is to be known of a fit: likelihood, optimiser, and the kind of its intervals."""
    settings = settings_of(fit)
    words = []
    for name in ("residual", "censoring", "optimiser"):
        if settings.get(name):
            words.append(f"{name}: {settings[name]}")
    kind = str(fit["estimates"].attrs.get("interval", "") or fit["estimates"].attrs.get("interval_kind", ""))
    if kind:
        words.append(f"intervals: {kind}")
    return words


def inputs_of(cohort: xr.DataTree, given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return name and SHA-256 of the input files: those given, those the cohort names, those of its plates.

    Files of one name and different content are all listed.

    Raises
    ------
    InputError
        The cohort's own list is no JSON.
    """
    pairs = list(given.items())
    text = str(cohort.attrs.get("inputs", ""))
    if text:
        try:
            pairs += [(str(name), str(digest)) for name, digest in json.loads(text).items()]
        except (json.JSONDecodeError, AttributeError):
            raise InputError("the cohort's attribute 'inputs' is no JSON object of file names and SHA-256") from None
    if "wells" in cohort.children:
        wells = cohort.children["wells"].dataset
        pairs += zip(wells["file"].values.tolist(), wells["file_sha256"].values.tolist(), strict=True)
    return [pair for pair in dict.fromkeys(pairs) if pair[0]]
