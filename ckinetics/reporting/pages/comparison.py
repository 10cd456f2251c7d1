"""The page and the tables of models compared over cohorts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from ..._version import __version__
from ...fitting.comparison import FAILURES
from ...fitting.criteria import differences, ranks, weights
from ...plot import individuals, observed_predicted, prediction_errors
from ...provenance import now, user, versions
from ..core.blocks import Paragraph, Picture, Section, Table, picture
from ..core.numbers import NOT_CALCULABLE, count
from ..core.page import render_page
from ..core.results import flag_words
from ..sections.profiles import PANELS_A_FIGURE
from ..tables.comparisons import CRITERIA, comparison_rows, comparison_summary
from ..tables.sheets import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERALL = "all cohorts"
_MODELS_A_FIGURE = 4


@dataclass(frozen=True)
class CohortComparison:
    """One cohort: its data, the fits by the names of their models, and their comparison."""

    cohort: str
    data: xr.DataTree
    fits: Mapping[str, xr.DataTree]
    comparison: xr.DataTree


def joined_summary(results: Sequence[CohortComparison]) -> pd.DataFrame:
    """Return one row a cohort and model, best first, and where there are several cohorts one a model over all of them.

    A sum over cohorts is of those in which every model of the others has a sum; ``cohorts`` counts them, and patients
    of the other cohorts are left out too.
    """
    frames = [comparison_summary(one.comparison) for one in results]
    for one, frame in zip(results, frames, strict=True):
        frame.insert(0, "cohort", one.cohort)
        frame.insert(1, "cohorts", 1)
    if not frames:
        return pd.DataFrame(columns=["cohort", "cohorts", "rank", "model", "weight"])
    if len(frames) > 1:
        frames.append(_overall(results, frames))
    return pd.concat(frames, ignore_index=True)


def _overall(results: Sequence[CohortComparison], frames: list[pd.DataFrame]) -> pd.DataFrame:
    criterion = str(results[0].comparison.attrs["criterion"])
    models = list(dict.fromkeys(name for frame in frames for name in frame["model"].tolist()))
    whole = [
        frame
        for frame in frames
        if set(frame["model"]) == set(models) and np.isfinite(frame[criterion].to_numpy(dtype=float)).all()
    ]
    rows = []
    everyone = sum(frame["patients"].iloc[0] + frame["patients left out"].iloc[0] for frame in frames)
    for model in models:
        own = [frame[frame["model"] == model].iloc[0] for frame in whole]
        sums = ("patients", "patients left out", "samples", "−2LL", *CRITERIA, "best in", "failed")
        total = {name: sum(one[name] for one in own) if own else np.nan for name in sums}
        total["patients left out"] = everyone - sum(one["patients"] for one in own)
        rows.append({"cohort": OVERALL, "cohorts": len(own), "model": model, "failures": "", **total})
    frame = pd.DataFrame(rows)
    delta = differences(frame[criterion].to_numpy(dtype=float))
    frame["parameters"] = [
        int(next(one[one["model"] == model]["parameters"].iloc[0] for one in frames if model in set(one["model"])))
        for model in models
    ]
    frame["rank"], frame[f"difference of {criterion}"], frame["weight"] = ranks(delta), delta, weights(delta)
    return frame.sort_values("rank", kind="stable", ignore_index=True)[list(frames[0].columns)]


def joined_rows(results: Sequence[CohortComparison], failed: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Return the rows of `comparison_rows` of every cohort, and a row for each fit that ended in an error."""
    frames = []
    for one in results:
        frame = comparison_rows(one.comparison)
        frame.insert(0, "cohort", one.cohort)
        frames.append(frame)
    columns = ["cohort", "row", "patient", "model", "n_samples", "minus2ll", "aic", "aicc", "bic", "delta", "weight"]
    columns = list(frames[0].columns) if frames else [*columns, "rank", "outcome", "reason"]
    for pair in failed:
        row = dict.fromkeys(columns, "") | {"row": "sum", "outcome": "error"} | dict(pair)
        frames.append(pd.DataFrame([{name: row[name] for name in columns}]))
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat([frame.astype(object) for frame in frames], ignore_index=True)[columns]


def comparison_sheets(
    table: pd.DataFrame, rows: pd.DataFrame, inputs: Sequence[Mapping[str, str]], messages: Sequence[str]
) -> list[Sheet]:
    """Return the sheets of the workbook: models, patients, inputs, provenance."""
    told = [("made", now()), ("by", user()), *((f"version of {name}", text) for name, text in versions().items())]
    told += [("note", message) for message in messages]
    return [
        Sheet("Models", table, has_units=False),
        Sheet("Patients", rows, has_units=False),
        Sheet("Inputs", pd.DataFrame(inputs), has_units=False),
        Sheet("Provenance", pd.DataFrame(told, columns=["what", "value"]), has_units=False),
    ]


def comparison_page(
    title: str,
    results: Sequence[CohortComparison],
    table: pd.DataFrame,
    failed: Sequence[Mapping[str, str]],
    inputs: Sequence[Mapping[str, str]],
    messages: Sequence[str],
    *,
    figures: bool = True,
) -> str:
    """Return the page: all cohorts, then each with its weights, figures of both kinds, and who could not be fitted.

    Parameters
    ----------
    title : str
        Name of the study.
    results : sequence of CohortComparison
        One a cohort.
    table : DataFrame
        From `joined_summary`.
    failed : sequence of mapping
        Fits that ended in an error: cohort, model, reason.
    inputs : sequence of mapping
        What became of each cohort and model.
    messages : sequence of str
        What a person should read.
    figures : bool
        Whether to draw.
    """
    sections = [_overview(results, table, failed, inputs, messages)]
    for at, one in enumerate(results, start=1):
        sections.append(Section(f"cohort-{at}", f"Cohort {one.cohort}", _blocks(one, figures=figures)))
    return render_page(f"{title}: models compared", sections, made=now(), version=__version__)


def _overview(
    results: Sequence[CohortComparison],
    table: pd.DataFrame,
    failed: Sequence[Mapping[str, str]],
    inputs: Sequence[Mapping[str, str]],
    messages: Sequence[str],
) -> Section:
    blocks: list[Any] = []
    if results:
        first = results[0].comparison
        policy = FAILURES[str(first.attrs["failures"])]
        blocks.append(
            Paragraph(
                f"Models are compared by {first.attrs['criterion']}, whose sums over patients are shown: each "
                f"patient's fit has parameters of its own. Of failures: {policy}."
            )
        )
        over_all = table[table["cohort"] == OVERALL]
        if len(over_all) and int(over_all["cohorts"].iloc[0]):
            n = count(int(over_all["cohorts"].iloc[0]), "cohort")
            blocks.append(_models(over_all, f"Sums over the {n} in which every model has one"))
        elif len(over_all):
            blocks.append(Paragraph("There is no cohort in which every model has a sum, so none is over all cohorts."))
        blocks.append(_winners(results))
    else:
        blocks.append(Paragraph("No cohort could be fitted by any model.", important=True))
    if failed:
        rows = [(one["cohort"], one["model"], one["reason"]) for one in failed]
        blocks.append(Table("Fits that ended in an error", ("cohort", "model", "why"), rows))
    blocks += [Paragraph(f"{message}.") for message in messages]
    read = [(one["file"], one["kind"], one["verdict"], one["message"], one["sha256"][:16]) for one in inputs]
    blocks.append(Table("Inputs", ("name", "kind", "verdict", "message", "SHA-256, begins"), read))
    return Section("overview", "All cohorts", blocks)


def _winners(results: Sequence[CohortComparison]) -> Table:
    """Return weights with a row a cohort and a column a model."""
    names = list(dict.fromkeys(name for one in results for name in one.fits))
    rows, criterion = [], str(results[0].comparison.attrs["criterion"])
    for one in results:
        root = one.comparison.dataset
        there = [str(name) for name in root["model"].values.tolist()]
        shares = [
            _weight(float(root["weight"].values[there.index(name)])) if name in there else "not fitted"
            for name in names
        ]
        rows.append((one.cohort, str(int(root["n_patients"])), str(int(root["n_left_out"])), *shares))
    return Table(
        f"Weights by the sum of {criterion} in each cohort, of the patients compared",
        ("cohort", "patients", "left out", *names),
        rows,
        numeric=frozenset(range(1, 3 + len(names))),
    )


def _blocks(one: CohortComparison, *, figures: bool) -> list[Any]:
    comparison = one.comparison
    n = int(comparison.dataset["n_patients"])
    words = [f"{count(n, 'patient')} compared, {int(comparison.dataset['n_left_out'])} left out"]
    words.append(f"−2 log-likelihoods are of a {comparison.attrs['scale']}")
    if comparison.attrs["notes"]:
        words.append(str(comparison.attrs["notes"]))
    blocks: list[Any] = [Paragraph(f"{'. '.join(words)}.")]
    blocks.append(_models(comparison_summary(comparison), "Sums over the patients compared"))
    blocks.append(_patients(comparison))
    if (missing := _missing(comparison)) is not None:
        blocks.append(missing)
    if figures:
        blocks += _figures(one)
    return blocks


def _models(frame: pd.DataFrame, caption: str) -> Table:
    difference = next(str(name) for name in frame.columns if str(name).startswith("difference of"))
    values = ("−2LL", *CRITERIA, difference)
    rows = []
    for row in frame.to_dict("records"):
        rank = str(int(row["rank"])) if np.isfinite(row["rank"]) else NOT_CALCULABLE
        counted = [str(int(row[name])) for name in ("parameters", "patients", "samples")]
        numbers = [_fixed(float(row[name])) for name in values]
        ends = (_weight(float(row["weight"])), str(int(row["best in"])), str(int(row["failed"])), str(row["failures"]))
        rows.append((rank, str(row["model"]), *counted, *numbers, *ends))
    head = (
        "rank",
        "model",
        "parameters a patient",
        "patients",
        "samples",
        *values,
        "weight",
        "best in",
        "failed",
        "why",
    )
    return Table(caption, head, rows, numeric=frozenset({0, *range(2, 13)}), marked=frozenset(_best(frame)))


def _best(frame: pd.DataFrame) -> list[int]:
    return [at for at, rank in enumerate(frame["rank"].tolist()) if rank == 1.0]


def _fixed(value: float) -> str:
    """Return a criterion with one decimal: differences of criteria are what is read."""
    return f"{value:,.1f}".replace("-", "−") if np.isfinite(value) else ("∞" if value > 0 else NOT_CALCULABLE)


def _weight(value: float) -> str:
    if np.isnan(value):
        return NOT_CALCULABLE
    return "< 0.001" if 0.0 < value < 0.001 else f"{value:.3f}"


def _patients(comparison: xr.DataTree) -> Table:
    table = comparison["patients"].to_dataset().transpose("model", "patient", ...)
    names = [str(name) for name in table["model"].values.tolist()]
    rows = []
    for at, patient in enumerate(table["patient"].values.tolist()):
        cells = [_weight(float(value)) for value in table["weight"].values[:, at]]
        n, known = int(table["n_samples"].values[0, at]), int(table["n_quantified"].values[0, at])
        rows.append((str(patient), str(n), str(n - known), *cells, "yes" if table["in_sum"].values[at] == 1 else "no"))
    return Table(
        f"Each patient's weights by {comparison.attrs['criterion']}, over the models that have a value",
        ("patient", "samples", "of these censored", *names, "in the sums"),
        rows,
        numeric=frozenset(range(1, 3 + len(names))),
    )


def _missing(comparison: xr.DataTree) -> Table | None:
    table = comparison["patients"].to_dataset().transpose("model", "patient", ...)
    ended = flag_words(table["convergence"])
    rows = []
    for at, row in np.argwhere(table["reason"].values != "").tolist():
        names = (str(table[dim].values[place]) for dim, place in (("patient", row), ("model", at)))
        rows.append((*names, str(ended[at, row]).replace("_", " "), str(table["reason"].values[at, row])))
    if not rows:
        return None
    head = ("patient", "model", "fit", "why")
    return Table(f"Patients and models without a value of {comparison.attrs['criterion']}", head, sorted(rows))


def _figures(one: CohortComparison) -> list[Picture]:
    names = list(one.fits)
    out = []
    for start in range(0, len(names), _MODELS_A_FIGURE):
        shown = names[start : start + _MODELS_A_FIGURE]
        out.append(_goodness({name: one.fits[name] for name in shown}, one.cohort))
    matrix = str(next(iter(one.fits.values())).attrs.get("matrix", "")) or None
    fits = {name: one.fits[name] for name in names}
    patients = [str(name) for name in one.data.dataset["patient"].values.tolist()]
    for start in range(0, len(patients), PANELS_A_FIGURE):
        page = patients[start : start + PANELS_A_FIGURE]
        reach = page[0] if len(page) == 1 else f"{page[0]} to {page[-1]}"
        out.append(
            picture(
                lambda figure, page=page: individuals(  # type: ignore[misc]
                    one.data, matrix=matrix, fit=fits, patients=page, figure=figure
                ),
                alt=f"Individual profiles of {one.cohort}, {reach}, with the curves of {', '.join(names)}.",
                caption=f"{reach}: samples and the curve of each model.",
            )
        )
    return out


def _goodness(fits: Mapping[str, xr.DataTree], cohort: str) -> Picture:
    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, len(fits), squeeze=False)
        for column, (name, fit) in enumerate(fits.items()):
            observed_predicted(fit, ax=axes[0, column])
            prediction_errors(fit, ax=axes[1, column])
            axes[0, column].set_title(re.sub(r"\$", r"\\$", name), loc="left")
            axes[1, column].set_title("", loc="left")
            if column:
                axes[0, column].set_ylabel("")
                axes[1, column].set_ylabel("")
            for row in range(2):
                if (legend := axes[row, column].get_legend()) is not None and column:
                    legend.remove()

    return picture(
        draw,
        alt=f"Observed against predicted levels, and normalised prediction errors against time, of {', '.join(fits)}.",
        caption=f"{cohort}: observed against predicted levels, and normalised prediction errors against time. "
        "Triangles: samples of which only a limit is known, with a line along what they may be. Band: 95 % of a "
        "standard normal.",
        size=(0.6 + 3.6 * max(len(fits), 1), 6.6),
    )
