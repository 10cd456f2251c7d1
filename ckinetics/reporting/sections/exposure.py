"""The section on exposure: by response, and against outcomes and cytokine peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...exposure.response import CATEGORIES
from ...noncompartmental import PARAMETERS, nca_summary
from ...plot import exposure_by_group, exposure_correlation, exposure_response
from ...plot.style import parameter_label, unit_label
from ..core.blocks import Heading, Paragraph, Section, Table, picture
from ..core.numbers import NOT_CALCULABLE, number, p_value, span
from ..core.results import Results
from ..core.series import each_series, series_name

_BY_RESPONSE = ("cmax", "tmax")


def exposure_section(cohort: xr.DataTree, results: Results) -> Section | None:
    """Return the section, None where there is nothing to say."""
    blocks = _by_response(cohort, results)
    for result in results.exposures:
        blocks += _analysis(result)
    return Section("exposure", "Exposure and response", blocks) if blocks else None


def _by_response(cohort: xr.DataTree, results: Results) -> list[Any]:
    if "outcomes" not in cohort.children or "response" not in cohort["outcomes"] or not results.nca:
        return []
    response, nca = cohort.children["outcomes"].dataset["response"], results.nca[0]
    if not nca.sizes["patient"]:
        return []
    words = np.array([str(word) or "not known" for word in response.values.tolist()], dtype=object)
    groups = response.copy(data=words)
    blocks: list[Any] = [Heading("Exposure by best response")]
    summaries = []
    for label, one in each_series(nca):
        here = groups.sel(patient=one["patient"].values)
        exposures = [one["cmax"].isel({series_name(nca): 0})]
        if one.sizes.get("interval"):
            first = one["auc_interval"].isel({series_name(nca): 0}).isel(interval=0)
            exposures.append(first.rename(f"auc_interval {first['interval'].item()}"))
        for exposure in exposures:
            if np.isfinite(exposure.values).any():
                bare = exposure.drop_vars([name for name in exposure.coords if name != "patient"])
                blocks.append(_by_group(bare, here, label))
        summaries.append(nca_summary(one, parameters=_BY_RESPONSE, by=here.rename("response").drop_attrs()))
    if summaries:
        blocks.append(_response_table(pd.concat(summaries, ignore_index=True), series_name(nca)))
    return blocks


def _by_group(exposure: xr.DataArray, groups: xr.DataArray, label: str) -> Any:
    name = parameter_label(str(exposure.name))
    return picture(
        lambda figure: exposure_by_group(exposure, groups, order=_order(groups), ax=figure.add_subplot()),
        alt=f"{name} in {label} by best response, one mark a patient, log axis.",
        caption=f"{name} in {label} by best response; boxes are medians and quartiles, where there are five patients "
        "or more. “+n without”: patients whose value is not calculable or not positive.",
        size=(5.6, 3.9),
    )


def _order(groups: xr.DataArray) -> list[str]:
    """Return the responses from best to worst, others after them."""
    there = {str(word) for word in groups.values.tolist()}
    known = [word for word in CATEGORIES if word in there]
    last = ["not known"] if "not known" in there else []
    return [*known, *sorted(there - {*known, *last}), *last]


def _response_table(summary: Any, series: str) -> Table:
    rows = []
    for row in summary.to_dict("records"):
        known = PARAMETERS.get(str(row["parameter"]), PARAMETERS["auc_last"])
        geometric = known.statistic == "geometric" and np.isfinite(row["geometric mean"])
        there = row["n"] > 0
        spread = number(row["geometric CV %"]) if np.isfinite(row["geometric CV %"]) else "one value"
        rows.append(
            (
                str(row[series]),
                str(row["response"]),
                parameter_label(str(row["parameter"])),
                unit_label(str(row["unit"])),
                str(row["n"]),
                str(row["n not calculable"]),
                number(row["geometric mean"]) if geometric else "" if there else NOT_CALCULABLE,
                spread if geometric else "",
                number(row["median"]) if there else NOT_CALCULABLE,
                span(row["minimum"], row["maximum"]) if there else "",
            )
        )
    return Table(
        "Exposure by best response: geometric mean and geometric CV %, median and range; why a value is not "
        "calculable stands under flags",
        (series, "response", "parameter", "unit", "n", "n.c.", "geometric mean", "CV %", "median", "minimum–maximum"),
        rows,
        numeric=frozenset(range(4, 10)),
    )


def _analysis(result: xr.Dataset) -> list[Any]:
    attrs = result.attrs
    logistic = attrs["result"] == "exposure_response"
    sentence = _odds_sentence(result) if logistic else _rho_sentence(result)
    draw = exposure_response if logistic else exposure_correlation
    blocks: list[Any] = [Heading(str(attrs.get("title") or attrs["result"])), Paragraph(sentence, important=True)]
    for name in ("message", "caution"):
        text = str(attrs.get(name, ""))
        if text:
            blocks.append(Paragraph(f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"))
    if not attrs.get("cohort_hash"):
        blocks.append(Paragraph("Computed from arrays that do not say which cohort they are of."))
    blocks.append(
        picture(
            lambda figure: draw(result, ax=figure.add_subplot()),
            alt=sentence,
            caption=f"{attrs.get('title', 'Exposure')}. Each mark is a patient.",
            size=(5.8, 4.0),
        )
    )
    return blocks


def value_of(result: xr.Dataset, name: str) -> float:
    """Return a scalar of an exposure result, NaN where it has none."""
    return float(result[name].values) if name in result else float("nan")


def _numbers(result: xr.Dataset) -> str:
    return f"{int(value_of(result, 'n_used'))} patients used, {int(value_of(result, 'n_dropped'))} dropped"


def _odds_sentence(result: xr.Dataset) -> str:
    attrs = result.attrs
    event, exposure = attrs.get("event", "event"), _exposure(result)
    odds = value_of(result, "odds_ratio")
    events = f"{_numbers(result)}, {int(value_of(result, 'n_events'))} with {event}"
    if np.isnan(odds):
        return f"The odds ratio of {event} per {attrs.get('per', 'unit')} of {exposure} is not calculable; {events}."
    bounds = span(value_of(result, "odds_ratio_lower"), value_of(result, "odds_ratio_upper"))
    test = f" ({attrs['p_value_kind']})" if attrs.get("p_value_kind") else ""
    return (
        f"Odds ratio of {event} per {attrs.get('per', 'unit')} of {exposure}: {number(odds)} ({bounds}; interval: "
        f"{attrs.get('interval_kind', 'kind not recorded')}), {p_value(value_of(result, 'p_value'))}{test}, "
        f"{attrs.get('method', 'logistic')} regression on the log of exposure; {events}."
    )


def _rho_sentence(result: xr.Dataset) -> str:
    attrs = result.attrs
    peak = str(attrs.get("peak_name", "peak"))
    rho, method = value_of(result, "rho"), str(attrs.get("method", "rank")).title()
    if np.isnan(rho):
        return f"{method} correlation of {_exposure(result)} with {peak} is not calculable; {_numbers(result)}."
    bounds = span(value_of(result, "rho_lower"), value_of(result, "rho_upper"))
    return (
        f"{method} correlation of {_exposure(result)} with the peak of {peak}: rho {number(rho)} ({bounds}; "
        f"interval: {attrs.get('interval_kind', 'kind not recorded')}), {p_value(value_of(result, 'p_value'))}; "
        f"{_numbers(result)}."
    )


def _exposure(result: xr.Dataset) -> str:
    name = parameter_label(str(result.attrs.get("exposure_name", "exposure")))
    series = str(result.attrs.get("exposure_series", ""))
    return f"{name} in {series}" if series else name
