"""The section on model fits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import xarray as xr

from ...plot import profiles
from ...plot.style import unit_label
from ...schema import YesNo
from ..core.blocks import Heading, Notes, Paragraph, Section, Table, picture
from ..core.numbers import NOT_CALCULABLE, count, number, span
from ..core.results import Results, flag_words, model_name
from ..tables.summaries import AT_MINIMUM, summary
from .conventions import fit_words


def fit_section(cohort: xr.DataTree, results: Results) -> Section | None:
    """Return the section, None where there is no fit."""
    if not results.fits:
        return None
    blocks: list[Any] = []
    for fit in results.fits:
        blocks += _blocks(cohort, fit)
    return Section("fits", "Model fits", blocks)


def _blocks(cohort: xr.DataTree, fit: xr.DataTree) -> list[Any]:
    name, matrix = model_name(fit), str(fit.attrs.get("matrix", ""))
    ended = Counter(
        str(word).replace("_", " ") or "missing" for word in flag_words(fit.dataset["convergence"]).tolist()
    )
    words = ", ".join(f"{word}: {n}" for word, n in ended.most_common())
    title = f"{name}, {matrix}" if matrix else name
    rules = "; ".join(fit_words(fit))
    return [
        Heading(title),
        Paragraph(f"{count(fit.sizes['patient'], 'patient')} ({words}). {rules[:1].upper()}{rules[1:]}."),
        picture(
            lambda figure: profiles(cohort, matrix=matrix or None, fit=fit, ax=figure.add_subplot()),
            alt=f"Samples of all patients with the curves fitted by {name}.",
            caption=f"Samples and the curves fitted by {name}, one curve a patient.",
        ),
        _over_patients(fit),
        _of_patients(fit),
        _messages(fit),
    ]


def _over_patients(fit: xr.DataTree) -> Table:
    rows = []
    for row in summary(fit).to_dict("records"):
        mean, spread = row["geometric mean of determined"], row["geometric CV % of determined"]
        there = row["n"] > 0
        rows.append(
            (
                f"{row['parameter']}{' (fixed)' if row['fixed'] else ''}",
                unit_label(str(row["unit"])),
                str(row["n"]),
                str(row["n determined"]),
                str(row["n failed"]),
                number(mean) if np.isfinite(mean) else "none determined",
                number(spread) if np.isfinite(spread) else "",
                number(row["median"]) if there else NOT_CALCULABLE,
                span(row["minimum"], row["maximum"]) if there else "",
            )
        )
    return Table(
        "Parameters and derived quantities over patients. n: fits at a minimum; geometric mean and CV %: over the "
        "determined ones (not at a bound, with a standard error); median and range: over all n",
        (
            "quantity",
            "unit",
            "n",
            "n determined",
            "n failed",
            "geometric mean",
            "CV %",
            "median",
            "minimum–maximum",
        ),
        rows,
        numeric=frozenset(range(2, 9)),
    )


def _of_patients(fit: xr.DataTree) -> Table:
    estimates = fit["estimates"].to_dataset().transpose("patient", "parameter")
    ended = flag_words(fit.dataset["convergence"])
    notes = Notes()
    rows = []
    for at, patient in enumerate(fit.dataset["patient"].values.tolist()):
        cells = [str(patient), str(ended[at]).replace("_", " ")]
        for column in range(estimates.sizes["parameter"]):
            cells.append(_cell(estimates, at, column, notes, str(ended[at]) in AT_MINIMUM))
        rows.append(cells)
    units = [str(unit) for unit in estimates["unit"].values.tolist()] if "unit" in estimates.coords else []
    parameters = [str(name) for name in estimates["parameter"].values.tolist()]
    return Table(
        "Each patient's estimates, in brackets the interval, whose kind stands above",
        ("patient", "fit", *parameters),
        rows,
        units=["", "", *map(unit_label, units)] if units else (),
        numeric=frozenset(range(2, 2 + len(parameters))),
        notes=notes.sentences,
    )


def _cell(estimates: xr.Dataset, at: int, column: int, notes: Notes, done: bool) -> str:
    value = float(estimates["estimate"].values[at, column])
    if np.isnan(value):
        return f"{NOT_CALCULABLE}{notes.mark('No estimate: the reason stands in the table of messages.')}"
    low, high = float(estimates["lower"].values[at, column]), float(estimates["upper"].values[at, column])
    if "fixed" in estimates.coords and estimates["fixed"].values[column] == YesNo.yes:
        return f"{number(value, 3)}{notes.mark('Held at this value.')}"
    if not done:
        return f"{number(value, 3)}{notes.mark('Where the search stopped; not an estimate.')}"
    if np.isnan(low) or np.isnan(high):
        return f"{number(value, 3)}{notes.mark('No interval: not determined by the data, see the table of messages.')}"
    return f"{number(value, 3)}\n({span(low, high, 3)})"


def _messages(fit: xr.DataTree) -> Table:
    ended = flag_words(fit.dataset["convergence"])
    rows = []
    for at, patient in enumerate(fit.dataset["patient"].values.tolist()):
        minus2ll = float(fit.dataset["minus2ll"].values[at])
        rows.append(
            (
                str(patient),
                str(ended[at]).replace("_", " "),
                *(str(int(fit.dataset[name].values[at])) for name in ("n_quantified", "n_censored", "n_unused")),
                number(minus2ll) if np.isfinite(minus2ll) else "not fitted",
                str(fit.dataset["message"].values[at]),
            )
        )
    return Table(
        "How each fit ended",
        ("patient", "fit", "n quantified", "n censored", "n unused", "−2 log-likelihood", "message"),
        rows,
        numeric=frozenset({2, 3, 4, 5}),
    )
