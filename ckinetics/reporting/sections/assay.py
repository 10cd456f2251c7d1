"""The section on plates: standard curves and verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ...plot import standard_curve
from ...schema import Verdict, YesNo
from ..core.blocks import Paragraph, Section, Table, picture
from ..core.numbers import count, number

_WORDS = {Verdict.failed: "failed", Verdict.passed: "passed", Verdict.not_evaluable: "not evaluable"}
# Failed first, then what could not be evaluated.
_ORDER = {Verdict.failed: 0, Verdict.not_evaluable: 1, Verdict.passed: 2}


def assay_section(cohort: xr.DataTree) -> Section | None:
    """Return the section, None where the cohort holds no curves and no verdicts."""
    blocks: list[Any] = []
    if "verdicts" in cohort.children:
        blocks += _verdicts(cohort["verdicts"].to_dataset())
    if "curves" in cohort.children:
        curves = cohort["curves"].to_dataset()
        blocks.append(_curves(curves))
        if "wells" in cohort.children:
            used = curves.isel(curve=curves["used"].values != YesNo.no)
            for run, target in zip(used["run_id"].values.tolist(), used["target"].values.tolist(), strict=True):
                blocks.append(_figure(cohort, str(run), str(target)))
    return Section("assay", "Standard curves and verdicts", blocks) if blocks else None


def _figure(cohort: xr.DataTree, run: str, target: str) -> Any:
    return picture(
        lambda figure: standard_curve(cohort, run, target=target, ax=figure.add_subplot()),
        alt=f"Standard curve of {run}, {target}: Cq over copies per well, with the fitted line.",
        caption=f"Standard curve of {run}, {target}.",
        size=(5.4, 3.9),
    )


def _verdicts(verdicts: xr.Dataset) -> list[Any]:
    outcomes = [Verdict(int(code)) for code in verdicts["outcome"].values]
    counts = {outcome: outcomes.count(outcome) for outcome in Verdict}
    order = sorted(range(len(outcomes)), key=lambda at: _ORDER[outcomes[at]])
    open_ones = [at for at in order if outcomes[at] != Verdict.passed]
    text = (
        f"{count(len(outcomes), 'verdict')}: {counts[Verdict.failed]} failed, "
        f"{counts[Verdict.not_evaluable]} not evaluable, {counts[Verdict.passed]} passed. "
        "The workbook lists each with its wells."
    )
    blocks: list[Any] = [Paragraph(text, important=bool(counts[Verdict.failed]))]
    if open_ones:
        blocks.append(_verdict_table(verdicts, open_ones))
    passed = [at for at in order if outcomes[at] == Verdict.passed]
    if passed:
        blocks.append(_passed_table(verdicts, passed))
    return blocks


def _passed_table(verdicts: xr.Dataset, passed: list[int]) -> Table:
    """One row a rule: how often it passed, over which values, under which limits."""
    found: dict[tuple[str, str], list[int]] = {}
    for at in passed:
        key = (str(verdicts["rule"].values[at]).replace("_", " "), str(verdicts["source"].values[at]))
        found.setdefault(key, []).append(at)
    rows = []
    for (rule, source), places in found.items():
        limits = dict.fromkeys(
            _limits(float(verdicts["low"].values[at]), float(verdicts["high"].values[at])) for at in places
        )
        values = verdicts["value"].values[places]
        finite = values[np.isfinite(values)]
        ends = (number(float(finite.min())), number(float(finite.max()))) if finite.size else ("none", "none")
        shown = (
            " or ".join(limits) if len(limits) <= 2 else f"each sample's own ({next(iter(limits)).rsplit(' ', 1)[0]} …)"
        )
        rows.append((rule, shown, str(len(places)), *ends, source))
    columns = ("rule", "limits", "passed", "lowest value", "highest value", "source")
    return Table("Rules that passed", columns, rows, numeric=frozenset({2, 3, 4}))


def _verdict_table(verdicts: xr.Dataset, order: list[int]) -> Table:
    columns = ("outcome", "run", "target", "sample", "rule", "value", "limits", "in words", "wells", "source")
    rows = []
    for at in order:
        one = {str(name): verdicts[name].values[at] for name in verdicts.data_vars}
        value = float(one["value"])
        rows.append(
            (
                _WORDS[Verdict(int(one["outcome"]))],
                str(one["run_id"]),
                str(one["target"]),
                str(one["sample_id"]),
                str(one["rule"]).replace("_", " "),
                number(value) if np.isfinite(value) else "none",
                _limits(float(one["low"]), float(one["high"])),
                str(one["message"]),
                str(one["wells"]),
                str(one["source"]),
            )
        )
    failed = frozenset(range(sum(row[0] == "failed" for row in rows)))
    return Table(
        "Verdicts that did not pass, failed ones first", columns, rows, numeric=frozenset({5, 6}), marked=failed
    )


def _limits(low: float, high: float) -> str:
    if np.isfinite(low) and np.isfinite(high):
        return f"{number(low)} to {number(high)}"
    if np.isfinite(low):
        return f"at least {number(low)}"
    return f"at most {number(high)}" if np.isfinite(high) else "none"


def _curves(curves: xr.Dataset) -> Table:
    names = ("slope", "intercept", "r_squared", "efficiency", "residual_sd", "n_wells", "n_levels", "lowest", "highest")
    rows = []
    for at in range(curves.sizes["curve"]):
        values = [number(float(curves[name].values[at])) for name in names]
        word = {Verdict.passed: "accepted"}.get(Verdict(int(curves["accepted"].values[at])))
        outcome = word or _WORDS[Verdict(int(curves["accepted"].values[at]))]
        fit = str(curves["method"].values[at]) + (" (used)" if curves["used"].values[at] == YesNo.yes else "")
        rows.append((str(curves["run_id"].values[at]), str(curves["target"].values[at]), fit, *values, outcome))
    units = ["", "", "", *(str(curves[name].attrs.get("units", "")) for name in names), ""]
    labels = ("R²" if name == "r_squared" else name.replace("n_", "n ").replace("_", " ") for name in names)
    return Table(
        "Standard curves, re-fitted by least squares of Cq on log10(copies), with and without weights by the noise at "
        "the copies; n.c.: no line could be fitted",
        ("run", "target", "fit", *labels, "verdict"),
        rows,
        units=units,
        numeric=frozenset(range(3, 3 + len(names))),
    )
