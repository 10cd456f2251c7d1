"""Why a value could not be computed: one code for each, and a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum

import numpy as np
import pandas as pd
import xarray as xr


class Reason(IntEnum):
    """Reasons; the numbers are those of the kernel, which knows none after no_later_sample."""

    computed = 0
    no_sample = 1
    all_blq = 2
    one_sample = 3
    starts_late = 4
    above_uloq = 5
    too_few_points = 6
    no_decline = 7
    no_terminal_phase = 8
    predose_positive = 9
    no_bound = 10
    tie_in_log = 11
    no_area = 12
    no_predose_sample = 13
    still_quantified = 14
    peak_is_first = 15
    no_blq_before = 16
    no_second_peak = 17
    no_threshold = 18
    never_reached = 19
    no_end = 20
    no_dose = 21
    no_scatter = 22
    not_converged = 23
    no_standard_error = 24
    too_few_draws = 25
    no_pair = 26
    no_rise = 27
    baseline_blq = 28
    missing_before = 29
    trough_blq = 30
    no_later_sample = 31
    no_infusion = 32
    too_large = 33


SENTENCES: dict[Reason, str] = {
    Reason.computed: "computed",
    Reason.no_sample: "there is no usable sample at or after {origin}",
    Reason.all_blq: "no sample was quantifiable: the level stayed below {cmax_upper}",
    Reason.one_sample: "an area needs two usable samples and there is one",
    Reason.starts_late: "there is no sample at the start of the interval: the first is at day {first_time:.4g}",
    Reason.above_uloq: "a sample is above the upper limit of quantification: only a bound is known",
    Reason.too_few_points: "too few quantified samples lie where the line is drawn: {needed}",
    Reason.no_decline: "no window of the samples declines well enough: the level rises or stays",
    Reason.no_terminal_phase: (
        "there is no terminal phase, and follow-up ends at day {last_time:.4g}, before the interval does"
    ),
    Reason.predose_positive: "a sample before {origin} was quantifiable, so the level at time 0 is not zero",
    Reason.no_bound: "the limit of quantification is unknown",
    Reason.tie_in_log: (
        "PKNCA 0.12.1, whose arithmetic was asked for, has no area here: two levels tie or are zero under a log rule"
    ),
    Reason.no_area: "the area is zero",
    Reason.no_predose_sample: "there is no usable sample before {origin}",
    Reason.still_quantified: (
        "the last sample (day {last_time:.4g}) is still quantified: there is no BLQ sample after it"
    ),
    Reason.peak_is_first: "no sample before the peak was quantified",
    Reason.no_blq_before: "no BLQ sample lies before the first quantified one",
    Reason.no_second_peak: "there is no second peak: no rise of {peak_fold:g}-fold after a trough",
    Reason.no_threshold: "no threshold was given",
    Reason.never_reached: "the threshold was never reached",
    Reason.no_end: "the window has no end",
    Reason.no_dose: "the dose is unknown",
    Reason.no_scatter: "the samples lie on their line exactly, so that nothing says how far they scatter",
    Reason.not_converged: "the search for the best line did not end",
    Reason.no_standard_error: "a sample has no standard error of the assay",
    Reason.too_few_draws: "fewer than half of the resampled profiles have a value",
    Reason.no_pair: "there is no pair of quantified samples near in time",
    Reason.no_rise: "the level does not rise",
    Reason.trough_blq: "the trough is below the limit of quantification",
    Reason.no_later_sample: "there is no usable sample after {origin}",
    Reason.too_large: "the value is too large for a number: give the levels in a larger unit",
    Reason.no_infusion: "this infusion of the patient is not on record",
    Reason.missing_before: "a sample without a level lies before the first rise",
    Reason.baseline_blq: "the sample before {origin} is below the limit of quantification",
}


def flag_attrs() -> dict[str, object]:
    """Return the CF attributes of a variable of reasons."""
    return {
        "flag_values": np.array([int(reason) for reason in Reason], dtype=np.int8),
        "flag_meanings": " ".join(reason.name for reason in Reason),
    }


def reason_variables(result: xr.Dataset) -> Iterator[tuple[str, str, str]]:
    """Yield each variable of reasons of a result with its last dim and the prefix of its labels."""
    yield "reason_code", "parameter", ""
    if result.sizes.get("interval"):
        yield "interval_reason_code", "interval", "auc_interval "
        if "auc_interval_dn_reason_code" in result:
            yield "auc_interval_dn_reason_code", "interval", "auc_interval_dn "


def reasons_table(result: xr.Dataset) -> pd.DataFrame:
    """List every value that could not be computed, with its reason as code and sentence.

    Parameters
    ----------
    result : Dataset
        From `nca`.

    Returns
    -------
    DataFrame
        Columns patient, the series (matrix), further leading dims, parameter, reason, sentence; one row a missing
        value. A second or later infusion that a patient was not given has no values to miss.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> from ckinetics.noncompartmental import nca
    >>> result = nca(kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug"))
    >>> table = reasons_table(result).set_index("parameter")
    >>> table.loc["half_life", "sentence"]
    'too few quantified samples lie where the line is drawn: 3 after Tmax are needed'
    """
    return table_of_profiles(result, _missing(result), ["parameter", "reason", "sentence"])


def _missing(result: xr.Dataset) -> Iterator[tuple[tuple[int, ...], dict[str, str]]]:
    """Yield the place of each profile that lacks a value, with the value's name and why it is missing."""
    lead, facts = result["reason_code"].dims[:-1], Facts(result)
    given = given_profiles(result)[..., np.newaxis]
    for variable, dim, prefix in reason_variables(result):
        codes = result[variable].transpose(*lead, dim).values
        labels = [f"{prefix}{label}" for label in result[dim].values.tolist()]
        for at in np.argwhere((codes != Reason.computed) & given).tolist():
            place, label = tuple(at[:-1]), labels[at[-1]]
            reason = Reason(int(codes[tuple(at)]))
            yield (
                place,
                {"parameter": label, "reason": reason.name, "sentence": facts.sentence(reason, place, label)},
            )


def table_of_profiles(
    result: xr.Dataset, found: Iterable[tuple[tuple[int, ...], Mapping[str, str]]], columns: Sequence[str]
) -> pd.DataFrame:
    """Return what was found, by the profile's place along the leading dims, as rows that begin with its labels."""
    lead = [str(dim) for dim in result["reason_code"].dims[:-1]]
    names = [[str(label_of(result, dim, at)) for at in range(result.sizes[dim])] for dim in lead]
    rows = [
        {dim: labels[at] for dim, labels, at in zip(lead, names, place, strict=True)} | dict(about)
        for place, about in found
    ]
    return pd.DataFrame(rows, columns=[*lead, *columns])


def given_profiles(result: xr.Dataset) -> np.ndarray:
    """Return which profiles there are, over the leading dims: of a dim ``infusion``, those that were given.

    A patient without any infusion on record stays with the first one, so that nobody is lost without a word.
    """
    lead = [str(dim) for dim in result["reason_code"].dims[:-1]]
    if "infusion_time" not in result or "infusion" not in result.coords:
        return np.ones([result.sizes[dim] for dim in lead], dtype=bool)
    time = result["infusion_time"]
    found = time.copy(data=np.isfinite(time.values)) | (result["infusion"] == 1)
    return np.asarray(found.broadcast_like(result["flags"]).transpose(*lead).values)


def label_of(result: xr.Dataset, dim: str, position: int) -> object:
    """Return a label of a dim, or its number from 1 where it has none."""
    return result[dim].values[position] if dim in result.coords else position + 1


def sentence(result: xr.Dataset, reason: Reason, *place: int, parameter: str = "half_life") -> str:
    """Return a reason in words, with the figures of the profile at this place of the leading dims."""
    return Facts(result).sentence(reason, place, parameter)


class Facts:
    """The figures of a result that the sentences name, as plain arrays."""

    def __init__(self, result: xr.Dataset) -> None:
        self.dims = [str(dim) for dim in result["reason_code"].dims[:-1]]
        self.arrays = {name: result[name].values for name in ("cmax_upper", "first_time", "last_time")}
        self.least = result.attrs.get("min_points", 3)
        self.peak_fold = float(result.attrs.get("peak_fold", 2.0))
        window = json.loads(str(result.attrs.get("settings", "{}"))).get("window")
        self.origin = "infusion" if window is None else f"the window (from day {float(window[0]):g})"
        self.units: list[str] = []
        if "unit" in result.coords and result["unit"].ndim == 1:
            self.units = [str(unit) for unit in result["unit"].values.tolist()]
            self.unit_at = self.dims.index(str(result["unit"].dims[0]))

    def sentence(self, reason: Reason, place: tuple[int, ...], parameter: str) -> str:
        """Return a reason in words."""
        upper = float(self.arrays["cmax_upper"][place])
        unit = self.units[place[self.unit_at]] if self.units else ""
        return SENTENCES[reason].format(
            cmax_upper=f"its LLOQ of {upper:g} {unit}".strip() if np.isfinite(upper) else "an unknown LLOQ",
            first_time=float(self.arrays["first_time"][place]),
            last_time=float(self.arrays["last_time"][place]),
            needed=self._needed(parameter),
            peak_fold=self.peak_fold,
            origin=self.origin,
        )

    def _needed(self, parameter: str) -> str:
        if "tobit" in parameter:
            return f"{self.least} samples, 2 of them quantified, are needed"
        if parameter.startswith(("expansion", "doubling")):
            return "2 from the first quantified sample to the peak are needed"
        if parameter.startswith("contraction"):
            return "2 from the peak on are needed"
        return f"{self.least} after Tmax are needed"
