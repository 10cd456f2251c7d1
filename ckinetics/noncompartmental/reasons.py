"""Why a value could not be computed: one code for each, and a sentence."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import pandas as pd
import xarray as xr


class Reason(IntEnum):
    """Reasons; the numbers are those of the kernel."""

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


SENTENCES: dict[Reason, str] = {
    Reason.computed: "computed",
    Reason.no_sample: "there is no usable sample at or after infusion",
    Reason.all_blq: "no sample was quantifiable: the level stayed below {cmax_upper}",
    Reason.one_sample: "an area needs two usable samples and there is one",
    Reason.starts_late: "there is no sample at the start of the interval: the first is at day {first_time:.4g}",
    Reason.above_uloq: "a sample is above the upper limit of quantification: only a lower bound is known",
    Reason.too_few_points: "fewer than {min_points} quantified samples lie after Tmax",
    Reason.no_decline: "no window of the last samples declines well enough: the level rises or stays",
    Reason.no_terminal_phase: (
        "the interval reaches beyond the last sample (day {last_time:.4g}) and there is no terminal phase to extend it"
    ),
    Reason.predose_positive: "a sample before infusion was quantifiable, so the level at time 0 is not zero",
    Reason.no_bound: "the limit of quantification is unknown",
}


def flag_attrs() -> dict[str, object]:
    """Return the CF attributes of a variable of reasons."""
    return {
        "flag_values": np.array([int(reason) for reason in Reason], dtype=np.int8),
        "flag_meanings": " ".join(reason.name for reason in Reason),
    }


def reasons_table(result: xr.Dataset) -> pd.DataFrame:
    """List every value that could not be computed, with its reason as code and sentence.

    Parameters
    ----------
    result : Dataset
        From `nca`.

    Returns
    -------
    DataFrame
        Columns patient, the series (matrix), parameter, reason, sentence; one row a missing value.
    """
    series = str(result["reason_code"].dims[1])
    rows = []
    sources = [("reason_code", "parameter", lambda label: label)]
    if result.sizes.get("interval"):
        sources.append(("interval_reason_code", "interval", lambda label: f"auc_interval {label}"))
    for variable, dim, name in sources:
        codes = result[variable].values
        for at in np.argwhere(codes != Reason.computed):
            patient, label, position = (int(i) for i in at)
            reason = Reason(int(codes[tuple(at)]))
            rows.append(
                {
                    "patient": str(result["patient"].values[patient]),
                    series: str(result[series].values[label]),
                    "parameter": name(str(result[dim].values[position])),
                    "reason": reason.name,
                    "sentence": sentence(result, reason, patient, label),
                }
            )
    return pd.DataFrame(rows, columns=["patient", series, "parameter", "reason", "sentence"])


def sentence(result: xr.Dataset, reason: Reason, patient: int, series: int) -> str:
    """Return a reason in words, with the figures of the profile at these positions."""
    upper = float(result["cmax_upper"].values[patient, series])
    unit = str(result["unit"].values[series]) if "unit" in result.coords else ""
    facts = {
        "cmax_upper": f"its LLOQ of {upper:g} {unit}".strip() if np.isfinite(upper) else "an unknown LLOQ",
        "first_time": float(result["first_time"].values[patient, series]),
        "last_time": float(result["last_time"].values[patient, series]),
        "min_points": result.attrs.get("min_points", 3),
    }
    return SENTENCES[reason].format(**facts)
