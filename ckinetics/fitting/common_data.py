"""Several fits of the same data: checked against each other, and their −2 log-likelihoods brought to one scale."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError, StaleResultError
from ..schema import Status, YesNo
from ..units import conversion_factor, kind_of
from .codes import Convergence
from .residuals import IN_WORDS
from .samples import CENSORING

Fits = Sequence[xr.DataTree] | Mapping[str, xr.DataTree]

# Fits that stand at a minimum; others have no −2 log-likelihood to compare.
AT_MINIMUM = (Convergence.converged, Convergence.converged_at_kink, Convergence.at_bound)
_ON_LOG = IN_WORDS["additive on log"].split("{")[0]
LN_SCALE, NATURAL_SCALE = "density of ln(level)", "density of the level"


@dataclass(frozen=True)
class Observed:
    """What a fit was given and made of it; arrays are (output, patient, sample), levels in the unit of the output.

    Attributes
    ----------
    outputs, units, on_log : one for each output; whether its residual error is on the ln scale
    """

    outputs: list[str]
    units: list[str]
    on_log: list[bool]
    time: np.ndarray
    level: np.ndarray
    status: np.ndarray
    lod: np.ndarray
    lloq: np.ndarray
    uloq: np.ndarray
    predicted: np.ndarray
    sd: np.ndarray
    used: np.ndarray

    @property
    def quantified(self) -> np.ndarray:
        """Whether a sample is used and quantified."""
        return self.used & (self.status == Status.quantified)

    @classmethod
    def of(cls, fit: xr.DataTree) -> Observed:
        """Return those of a fit."""
        table, settings = fit["predictions"].to_dataset(), settings_of(fit)
        outputs = [str(name) for name in settings["outputs"]]
        several = "output" in table.dims
        units = [str(unit) for unit in table["unit"].values.tolist()] if several else [str(fit.attrs["unit"])]

        def values(name: str) -> np.ndarray:
            if several:
                return np.asarray(table[name].transpose("output", "patient", "sample").values)
            return np.asarray(table[name].transpose("patient", "sample").values[np.newaxis])

        on_log = [str(settings["residual"][name]).startswith(_ON_LOG) for name in outputs]
        names = ("time", "level", "status", "lod", "lloq", "uloq", "predicted", "sd", "used")
        time, level, status, lod, lloq, uloq, predicted, sd, used = map(values, names)
        return cls(outputs, units, on_log, time, level, status, lod, lloq, uloq, predicted, sd, used=used == YesNo.yes)


@dataclass(frozen=True)
class Common:
    """Fits of the same data.

    Attributes
    ----------
    names : of the fits
    fits, observed : one for each name, patients in the order of the first
    patients : names
    n_samples, n_quantified : (model, patient) samples used
    n_parameters : (model,) parameters estimated in each patient, those of the residual error included
    minus2ll : (model, patient) on one scale; NaN where a fit is not at a minimum
    codes : (model, patient) of `Convergence`
    failures : (model, patient) why there is no minus2ll that can be compared, "" where there is
    scale : what the densities are of
    notes : what was brought to the scale, in sentences
    """

    names: list[str]
    fits: list[xr.DataTree]
    observed: list[Observed]
    patients: list[str]
    n_samples: np.ndarray
    n_quantified: np.ndarray
    n_parameters: np.ndarray
    minus2ll: np.ndarray
    codes: np.ndarray
    failures: np.ndarray
    scale: str
    notes: list[str]


def settings_of(fit: xr.DataTree) -> dict[str, Any]:
    """Return the settings of a fit."""
    return dict(json.loads(str(fit.attrs["settings"])))


def common_data(fits: Fits) -> Common:
    """Return fits whose −2 log-likelihoods can be compared.

    Parameters
    ----------
    fits : sequence or mapping by name
        Results of `ckinetics.fitting.fit`; in a sequence each goes by its model's name.

    Raises
    ------
    InputError
        No fit, one that is none, two of one name; other patients, samples or censoring; a prior.
    StaleResultError
        One was computed from other data than the first.
    """
    named = _named(fits)
    names = list(named)
    trees = _same_patients(named)
    first = trees[0]
    _same_settings(names, trees)
    observed = [Observed.of(fit) for fit in trees]
    for name, one in zip(names[1:], observed[1:], strict=True):
        _same_samples(names[0], observed[0], name, one)
    patients = [str(name) for name in first.dataset["patient"].values.tolist()]
    minus2ll = np.array([fit.dataset["minus2ll"].values for fit in trees], dtype=np.float64)
    scale, notes = _to_one_scale(names, trees, observed, minus2ll)
    codes = np.array([fit.dataset["convergence"].values for fit in trees], dtype=np.int8)
    failures = _failures(names, trees, observed, codes, minus2ll)
    minus2ll[failures != ""] = np.nan
    return Common(
        names=names,
        fits=trees,
        observed=observed,
        patients=patients,
        n_samples=np.array([one.used.sum(axis=(0, 2)) for one in observed]),
        n_quantified=np.array([one.quantified.sum(axis=(0, 2)) for one in observed]),
        n_parameters=np.array([_n_parameters(fit) for fit in trees]),
        minus2ll=minus2ll,
        codes=codes,
        failures=failures,
        scale=scale,
        notes=notes,
    )


def _named(fits: Fits) -> dict[str, xr.DataTree]:
    if isinstance(fits, xr.DataTree | xr.Dataset) or not isinstance(fits, Sequence | Mapping) or isinstance(fits, str):
        raise InputError(f"fits is {type(fits).__name__}: give a list of results of fit, or a mapping of them by name")
    pairs = list(fits.items()) if isinstance(fits, Mapping) else [(None, fit) for fit in fits]
    if not pairs:
        raise InputError("there is no fit to compare: give a list of results of fit")
    named: dict[str, xr.DataTree] = {}
    for at, (given, fit) in enumerate(pairs, start=1):
        parts = {"estimates", "predictions", "curves", "derived"}
        if not isinstance(fit, xr.DataTree) or not parts <= set(fit.children) or "settings" not in fit.attrs:
            what = f"fit '{given}'" if given is not None else f"fit {at}"
            raise InputError(f"{what} is no result of fit: give what ckinetics.fit returned")
        name = str(given) if given is not None else str(fit.attrs.get("model", "")) or f"fit {at}"
        if name in named:
            raise InputError(f"two fits are of '{name}': give a mapping, such as {{'a': fit, 'b': other_fit}}")
        named[name] = fit
    return named


def _same_patients(named: Mapping[str, xr.DataTree]) -> list[xr.DataTree]:
    """Return the fits with patients in the order of the first; refuse those of other data."""
    (first_name, first), *others = named.items()
    source = str(first.attrs.get("cohort_hash", ""))
    patients = [str(name) for name in first.dataset["patient"].values.tolist()]
    if not source:
        raise StaleResultError(f"fit '{first_name}' does not say which data it is of: fit again")
    trees = [first]
    for name, fit in others:
        found = str(fit.attrs.get("cohort_hash", ""))
        if found != source:
            raise StaleResultError(
                f"fit '{name}' was computed from other data than '{first_name}' (hash {found[:12] or 'none'}, "
                f"not {source[:12]}): fit both to the same cohort"
            )
        own = [str(patient) for patient in fit.dataset["patient"].values.tolist()]
        if sorted(own) != sorted(patients):
            raise InputError(f"fits '{first_name}' and '{name}' are of different patients: select the same of both")
        trees.append(fit if own == patients else fit.isel(patient=[own.index(patient) for patient in patients]))
    return trees


def _same_settings(names: list[str], trees: list[xr.DataTree]) -> None:
    settings = [settings_of(fit) for fit in trees]
    for name, own in zip(names, settings, strict=True):
        if own["prior"] != "none":
            raise InputError(
                f"fit '{name}' has a prior, so its −2 log-likelihood is not at its minimum and no criterion counts its "
                "parameters: fit with prior='none'"
            )
    for name, own in zip(names[1:], settings[1:], strict=True):
        if own["matrix"] != settings[0]["matrix"]:
            raise InputError(
                f"fit '{names[0]}' is of '{settings[0]['matrix']}' and fit '{name}' of '{own['matrix']}': fit both "
                "with the same matrix="
            )
        if own["censoring"] != settings[0]["censoring"]:
            words = [next((key for key in CENSORING if CENSORING[key] == one["censoring"]), "another")
                     for one in (settings[0], own)]  # fmt: skip
            raise InputError(
                f"fit '{names[0]}' has censoring='{words[0]}' and fit '{name}' censoring='{words[1]}', so they are of "
                "different observations: fit both with the same"
            )


def _same_samples(first_name: str, first: Observed, name: str, other: Observed) -> None:
    """Refuse a fit that was given other samples, whichever of them it used."""
    if len(first.outputs) != len(other.outputs):
        raise InputError(
            f"fit '{first_name}' is of {', '.join(first.outputs)} and fit '{name}' of {', '.join(other.outputs)}: fit "
            "both to the same outputs"
        )
    for at in range(len(first.outputs)):
        one, two = first.units[at], other.units[at]
        same = first.time[at].shape == other.time[at].shape and kind_of(one) == kind_of(two)
        if same:
            level = other.level[at] * conversion_factor(two, one)
            same = np.array_equal(first.time[at], other.time[at], equal_nan=True)
            same &= np.array_equal(first.status[at], other.status[at])
            same &= np.allclose(first.level[at], level, rtol=1e-9, atol=0.0, equal_nan=True)
        if not same:
            raise InputError(
                f"fits '{first_name}' and '{name}' are of other samples of the same cohort: fit both with the same "
                "group=, matrix= and outputs="
            )


def _to_one_scale(
    names: list[str], trees: list[xr.DataTree], observed: list[Observed], minus2ll: np.ndarray
) -> tuple[str, list[str]]:
    """Bring −2 log-likelihoods to one scale, in place; return which, and what was done."""
    # A density of the level changes with its unit; that of ln(level) does not.
    natural = not any(any(one.on_log) for one in observed) and all(one.units == observed[0].units for one in observed)
    if natural:
        return NATURAL_SCALE, []
    notes = []
    detection = _detection(names, trees, observed)
    for at, one in enumerate(observed):
        moved = [output for output in range(len(one.outputs)) if not one.on_log[output]]
        if not moved:
            continue
        if detection:
            raise InputError(
                f"fit '{detection}' uses detection below the LLOQ, which fit '{names[at]}' with its residual error on "
                "the level cannot: fit both with censoring='M3 without detection'"
            )
        counted, values = _taken_as_quantified(settings_of(trees[at]), one)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(counted[moved], np.log(values[moved]), 0.0)
        minus2ll[at] -= 2.0 * logs.sum(axis=(0, 2))
        notes.append(f"fit '{names[at]}': −2 log-likelihood of the level less 2·Σ ln(level), as a {LN_SCALE}")
    return LN_SCALE, notes


def _taken_as_quantified(settings: Mapping[str, Any], one: Observed) -> tuple[np.ndarray, np.ndarray]:
    """Return which samples entered a likelihood by a density, and with which value (M5 and M6 put LLOQ/2)."""
    imputed = settings["censoring"] in (CENSORING["M5"], CENSORING["M6"])
    below = one.used & np.isnan(one.level) & (one.status != Status.above_uloq)
    values = np.where(below, 0.5 * one.lloq, one.level)
    return (one.quantified | below) if imputed else one.quantified, values


def _detection(names: list[str], trees: list[xr.DataTree], observed: list[Observed]) -> str:
    """Return the name of a fit in whose likelihood detection below the LLOQ stands; "" where there is none."""
    for name, fit, one in zip(names, trees, observed, strict=True):
        known = np.isfinite(one.lod) & one.used
        seen = (one.status == Status.not_detected) | (
            (one.status == Status.detected_below_lloq) & np.isfinite(one.lloq)
        )
        on_log = np.array(one.on_log)[:, None, None]
        if settings_of(fit)["censoring"] == CENSORING["M3"] and (known & seen & on_log).any():
            return name
    return ""


def _failures(
    names: list[str], trees: list[xr.DataTree], observed: list[Observed], codes: np.ndarray, minus2ll: np.ndarray
) -> np.ndarray:
    """Return why a fit of a patient cannot be compared, "" where it can."""
    out = np.full(codes.shape, "", dtype=object)
    used = np.array([one.used for one in observed])
    apart = (used != used[0]).any(axis=(0, 1, 3))
    for at, fit in enumerate(trees):
        messages = fit.dataset["message"].values
        table = fit["estimates"].to_dataset().transpose("patient", "parameter")
        free = table["fixed"].values == YesNo.no
        lost = (table["estimable"].values[:, free] == YesNo.no).all(axis=1)
        # Parameters of residual errors stand behind those of the curve.
        scatter = free[-sum(2 if " + " in words else 1 for words in settings_of(fit)["residual"].values()) :].any()
        for row in range(codes.shape[1]):
            if apart[row]:
                counts = ", ".join(
                    f"{name} {int(one.used[:, row].sum())}" for name, one in zip(names, observed, strict=True)
                )
                out[at, row] = f"the models used different samples (numbers: {counts}), so they cannot be compared here"
            elif codes[at, row] not in AT_MINIMUM or not np.isfinite(minus2ll[at, row]):
                out[at, row] = str(messages[row]) or "not fitted"
            elif lost[row] and (codes[at, row] == Convergence.at_bound or scatter):
                # Without residual error −2 log-likelihood has no minimum: it ends at the bound, or where rounding ends
                # it. What does have one determines the residual error at least.
                out[at, row] = f"no parameter is determined, so −2 log-likelihood means nothing: {messages[row]}"
    return out


def _n_parameters(fit: xr.DataTree) -> int:
    return int((fit["estimates"].dataset["fixed"].values == YesNo.no).sum())
