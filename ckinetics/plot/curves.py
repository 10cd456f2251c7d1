"""The standard curve of one plate and target."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..schema import Verdict, YesNo
from .style import LIMIT_COLOUR, PALETTE, UNKNOWN_COLOUR, axes_or_new, plain, say, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VERDICT_WORDS = {Verdict.passed: "accepted", Verdict.failed: "failed", Verdict.not_evaluable: "not evaluable"}


def standard_curve(data: xr.DataTree, run_id: str, /, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the standards of a plate, the line fitted to them, the samples read from it, and its verdict.

    Parameters
    ----------
    data : DataTree
        From `quantify`, or a cohort with its groups ``wells``, ``curves`` and ``verdicts``.
    run_id : str
        The plate run.
    target : str, optional
        The assay; may be left out where the run has one curve.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        There are no curves, no such run or target, or several targets and none is named.
    """
    if not isinstance(data, xr.DataTree) or not {"wells", "curves"} <= set(data.children):
        raise InputError("the data hold no standard curves: give the result of quantify, or a cohort built from it")
    curves, wells = data["curves"].to_dataset(), data["wells"].to_dataset()
    position = _curve(curves, run_id, target)
    curve = {name: curves[name].values[position] for name in curves.data_vars if curves[name].dims == ("curve",)}
    mine = (wells["run_id"].values == run_id) & (wells["target"].values == curve["target"])
    with styled():
        ax = axes_or_new(ax, width=5.0, height=3.8)
        ax.set_xscale("log")
        _wells(ax, wells.isel(well=np.flatnonzero(mine)), curve)
        ax.set_xlabel("Copies per well")
        ax.set_ylabel("Cq (cycle)")
        name = plain(f"{run_id}, {curve['target']}")
        ax.set_title("\n".join(textwrap.wrap(name, 60)), loc="left")
        _verdict(ax, data, curve, run_id)
    return ax


def _curve(curves: xr.Dataset, run_id: str, target: str | None) -> int:
    on_run = (curves["run_id"].values == run_id) & (curves["used"].values != YesNo.no)
    if not on_run.any():
        there = ", ".join(dict.fromkeys(map(str, curves["run_id"].values.tolist())))
        raise InputError(f"there is no curve of run '{run_id}': there are {there or 'none'}")
    targets = [str(name) for name in curves["target"].values[on_run].tolist()]
    if target is None and len(targets) > 1:
        raise InputError(f"run '{run_id}' has several targets ({', '.join(targets)}): name one with target=")
    if target is not None and target not in targets:
        raise InputError(f"run '{run_id}' has no target '{target}': it has {', '.join(targets)}")
    return int(np.flatnonzero(on_run)[0 if target is None else targets.index(target)])


def _wells(ax: Axes, wells: xr.Dataset, curve: dict[Any, Any]) -> None:
    cq, nominal = wells["cq"].values, wells["nominal_copies"].values
    standard = (wells["role"].values == "standard") & (nominal > 0)
    omitted = wells["omit"].values == YesNo.yes
    found = np.isfinite(cq)
    slope, intercept = float(curve["slope"]), float(curve["intercept"])
    if "copies" in wells:
        copies = wells["copies"].values
        read = (wells["role"].values == "unknown") & found & (copies > 0)
        if read.any():
            ax.plot(copies[read], cq[read], "|", ms=6, color=UNKNOWN_COLOUR, alpha=0.7, label="samples, read off")
    if np.isfinite(slope) and curve["lowest"] > 0:
        ends = np.array([float(curve["lowest"]), float(curve["highest"])])
        fitted = intercept + slope * np.log10(ends)
        ax.plot(ends, fitted, color=PALETTE[1], lw=1.3, label="least squares line", gid="line")
    for mask, marker, face, edge, label in (
        (standard & found & ~omitted, "o", PALETTE[0], PALETTE[0], "standards"),
        (standard & found & omitted, "x", PALETTE[0], LIMIT_COLOUR, "standards left out"),
    ):
        if mask.any():
            ax.plot(nominal[mask], cq[mask], marker, ms=4.5, mfc=face, mec=edge, label=label, zorder=3)
    silent = standard & ~found
    if silent.any():
        ax.plot(
            nominal[silent],
            np.full(int(silent.sum()), 0.98),
            "^",
            ms=5,
            mfc="white",
            mec=PALETTE[0],
            transform=ax.get_xaxis_transform(),
            label="standards without Cq",
        )
    if not standard.any():
        say(ax, "No standard has nominal copies.")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper right")


def _verdict(ax: Axes, data: xr.DataTree, curve: dict[Any, Any], run_id: str) -> None:
    lines = []
    if np.isfinite(curve["slope"]):
        lines += [
            f"slope {curve['slope']:.3f}, intercept {curve['intercept']:.2f}",
            f"efficiency {curve['efficiency']:.1f} %, R² {curve['r_squared']:.4f}",
            f"residual SD {curve['residual_sd']:.2f} cycles" if np.isfinite(curve["residual_sd"]) else "",
        ]
    lines.append(f"curve {_VERDICT_WORDS[Verdict(int(curve['accepted']))]}")
    if "verdicts" in data.children:
        verdicts = data["verdicts"].to_dataset()
        mine = (
            (verdicts["run_id"].values == run_id)
            & np.isin(verdicts["target"].values.astype(str), ["", str(curve["target"])])
            & (verdicts["sample_id"].values == "")
            & (verdicts["outcome"].values == Verdict.failed)
        )
        failed = list(dict.fromkeys(str(rule) for rule in verdicts["rule"].values[mine].tolist()))
        if failed:
            lines += textwrap.wrap(f"failed: {', '.join(failed)}", 40)
    ax.text(
        0.03,
        0.04,
        "\n".join(filter(None, lines)),
        transform=ax.transAxes,
        fontsize=7.5,
        va="bottom",
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2},
    )
