"""The header of conventions: what was done by which rules, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ...errors import InputError
from ...plot.style import unit_label
from ...provenance import now, user, versions
from ...schema import Status
from ..core.blocks import Definitions, Section, Table
from ..core.numbers import count, number, span
from ..core.results import Results, model_name, settings_of

AUC_WORDS = {
    "linear": "linear trapezoids throughout",
    "linear-up/log-down": "linear trapezoids where the level rises, logarithmic ones where it falls",
    "linear-log": "linear trapezoids up to Tmax, logarithmic ones after it",
    "log-up/log-down": "logarithmic trapezoids wherever both ends are positive and differ",
}
_ACTIONS = {
    "keep": "taken as 0",
    "drop": "left out",
    "keep first": "the first taken as 0, the rest left out",
    "lloq": "taken as the LLOQ",
    "lloq/2": "taken as half the LLOQ",
}
_POSITIONS = {
    "first": "before the first quantified",
    "middle": "between",
    "last": "after",
    "before.tmax": "before Tmax",
    "after.tmax": "from Tmax on",
}
_ANCHORS = {
    "none": "nothing stands in for a missing sample at time 0",
    "zero": "a level of 0 stands at time 0 where no sample lies there and none before it was quantified",
    "baseline": "the level before the infusion (0 where it is BLQ) stands at time 0 where no sample lies there",
}
_TAILS = {
    "last": "ends at the last quantified sample",
    "all": "goes linearly to the first BLQ sample after the last quantified one, and ends there",
    "own_obs": "goes on with the terminal line of the interval's own samples, from the observed last level",
    "own_pred": "goes on with the terminal line of the interval's own samples, from the predicted last level",
    "samples": "goes linearly to the first BLQ sample after the last quantified one; only past the last sample it goes "
    "on with the profile's terminal line",
    "predicted": "goes linearly to the first BLQ sample after the last quantified one; past the last sample it goes on "
    "with the profile's terminal line, from the predicted level",
}
PERSISTENCE_WORDS = {
    "last_quantified": "the last quantified sample",
    "midpoint": "the middle between the last quantified sample and the first BLQ sample after it",
    "first_blq": "the first BLQ sample after the last quantified one",
}
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
        ("times", f"{settings.get('times', 'actual')} times{_span_words(settings)}"),
    ]
    if not rules:
        return rows
    rows += [
        ("samples below LLOQ", _blq_words(rules)),
        (
            "patients without a quantified sample",
            "Cmax and areas are 0; they are counted, and left out of geometric means"
            if rules["all_blq_is_zero"]
            else "Cmax is below the LLOQ and areas are not calculable; they are counted as such in every table",
        ),
        ("start of the profile", _anchor_words(rules)),
        ("areas over intervals", _TAILS.get(str(rules["tail"]), "not recorded")),
        ("terminal rate λz", _line_words(rules, int(settings.get("slopes", 0)))),
    ]
    if settings.get("tobit"):
        rows.append(("lines that know BLQ samples", "Tobit regression of ln level: BLQ samples lie below their LLOQ"))
    return rows + _cell_rows(settings)


def _span_words(settings: Mapping[str, Any]) -> str:
    window = settings.get("window")
    if window is not None:
        return f", samples from day {float(window[0]):g} to {float(window[1]):g} only; times count from the first"
    if settings.get("infusions") == "each":
        return "; each infusion up to the next is an analysis of its own, whose times count from it"
    return ""


def _blq_words(rules: Mapping[str, Any]) -> str:
    rule = rules["blq"]
    if not isinstance(rule, Mapping):
        words = f"everywhere {_action(rule)}"
    else:
        words = "; ".join(f"{where}: {_action(rule[name])}" for name, where in _POSITIONS.items() if name in rule)
    enters = (
        "a level put in counts as measured" if rules["imputed_counts"] else "no imputed value enters λz, Tlast or Cmax"
    )
    return f"{words}; {enters}"


def _action(action: Any) -> str:
    return _ACTIONS.get(action, f"taken as {action}") if isinstance(action, str) else f"taken as {action:g}"


def _anchor_words(rules: Mapping[str, Any]) -> str:
    anchor = str(rules["anchor"])
    words = _ANCHORS.get(anchor, "not recorded")
    gap = float(rules["anchor_gap"])
    if anchor != "none" and np.isfinite(gap):
        words += f", if the first comes within {gap:g} days; with a later one areas are missing"
    if anchor == "baseline":
        words += f"; baseline: {'mean of the samples' if rules['baseline'] == 'mean' else 'last sample'} before it"
    return words


def _line_words(rules: Mapping[str, Any], chosen: int) -> str:
    rising = (
        "lines that rise compete too, and may leave none" if rules["rising"] == "veto" else "of the declining lines"
    )
    first = "from Tmax on" if rules["tmax_in_line"] else "after Tmax"
    words = (
        f"least squares of ln level over the last k samples {first}, k at least {rules['min_points']}; "
        f"of the declining lines within {float(rules['tolerance']):g} of the largest adjusted R² ({rising}) the "
        "longest is taken"
    )
    if chosen:
        words += f"; {count(chosen, 'sample')} chosen or left out by hand, each with a reason"
    return words


def _cell_rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rules of what is special to cells, and of uncertainty."""
    rows = []
    if "persistence" in settings:
        rows.append(("persistence", PERSISTENCE_WORDS.get(str(settings["persistence"]), str(settings["persistence"]))))
        rows.append(
            (
                "second peak",
                f"a fall and a rise of {float(settings['peak_fold']):g}-fold and of {float(settings['peak_errors']):g} "
                f"standard errors, after a first peak at day {float(settings['peaks_from']):g} or later",
            )
        )
        rows.append(("contraction", f"half-life over {float(settings['contraction_days']):g} days from the first peak"))
    if (found := settings.get("uncertainty")) is not None:
        kind = {"delta": "delta method", "bootstrap": "parametric bootstrap", "both": "delta method and bootstrap"}
        words = f"{kind.get(found['kind'], found['kind'])}, {100 * float(found['level']):g} % intervals"
        if found["kind"] != "delta":
            words += f", {found['draws']} draws, seed {found['seed']}"
        rows.append(("uncertainty", f"{words}, from the assay's standard errors"))
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
