"""One panel a patient: samples, fit, terminal line and the samples it was drawn through."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..noncompartmental.reasons import Reason, sentence
from .fits import check_belongs, fit_curves
from .samples import Samples, draw_line, draw_lloq, draw_marks, legend_handles, samples_of
from .style import (
    FIT_COLOUR,
    PALETTE,
    TERMINAL_COLOUR,
    level_name,
    log_limits,
    new_figure,
    number,
    plain,
    say,
    styled,
    unit_label,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def individuals(
    data: xr.DataTree | xr.Dataset,
    /,
    *,
    group: str = "kinetics",
    matrix: str | None = None,
    fit: xr.DataTree | None = None,
    nca: xr.Dataset | None = None,
    patients: Sequence[str] | None = None,
    columns: int = 4,
    figure: Figure | None = None,
) -> Figure:
    """Draw one panel a patient, all on the same axes.

    Marks are those of `profiles`. With `nca`, the samples that entered lambda_z are ringed, the terminal line
    is drawn through them and the half-life is written in the panel, or the reason why there is none; with
    `fit`, the fitted curve is drawn.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort, or profiles on (patient, matrix, sample); times in days.
    group, matrix : str
        As in `profiles`.
    fit : DataTree, optional
        From `fit`.
    nca : Dataset, optional
        From `nca`.
    patients : sequence of str, optional
        Which patients, in this order; default all. The axes always span the whole cohort, so that figures
        of different patients compare.
    columns : int
        Panels side by side.
    figure : Figure, optional
        An empty figure to draw into; its size is set.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        No such group, matrix or patient, or a result of another matrix.
    StaleResultError
        A result was computed from other data.
    """
    if columns < 1:
        raise InputError(f"columns is {columns}: it must be 1 or more")
    with styled():
        samples = samples_of(data, group, matrix)
        chosen = _positions(samples, patients)
        count = max(len(chosen), 1)
        columns = min(columns, count)
        rows = -(-count // columns)
        size = (max(2.35 * columns, 3.6), 1.95 * rows + 0.75)
        if figure is None:
            figure = new_figure(*size)
        else:
            figure.set_size_inches(*size)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for ax in axes.flat[len(chosen) :]:
            ax.set_axis_off()
        for ax in axes.flat:
            ax.set_yscale("log")
            ax.minorticks_off()  # most of the time of drawing small panels goes into minor ticks
        if not chosen:
            axes.flat[0].set_axis_on()
            say(axes.flat[0], "There are no patients.")
        curves = {} if fit is None else fit_curves(fit, samples)
        terminal = None if nca is None else _Terminal(nca, samples)
        for name, result in (("fit", fit), ("nca", nca)):
            if result is not None:
                check_belongs(data, result, name)
        _limits(axes.flat[0], samples, max((y.max() for _, y in curves.values()), default=0.0))
        kinds: set[str] = set()
        limit = None
        for ax, patient in zip(axes.flat, chosen, strict=False):
            kinds |= _panel(ax, samples, patient, curves.get(patient), terminal)
            limit = draw_lloq(ax, samples)
        # A column whose last panel is missing keeps its time axis above the gap.
        for ax in axes.flat[max(len(chosen) - columns, 0) : len(chosen)]:
            ax.tick_params(labelbottom=True)
        figure.supxlabel("Time since first infusion (day)", fontsize=9)
        figure.supylabel(plain(with_unit(level_name(group, samples.series, samples.unit), samples.unit)), fontsize=9)
        _legend(figure, kinds, limit, fit is not None, terminal is not None, columns)
    return figure


def _positions(samples: Samples, patients: Sequence[str] | None) -> list[int]:
    if patients is None:
        return list(range(len(samples.patients)))
    at = {name: position for position, name in enumerate(samples.patients)}
    strangers = [name for name in patients if name not in at]
    if strangers:
        raise InputError(f"patient '{strangers[0]}' is not in the cohort")
    return [at[name] for name in patients]


def _limits(ax: Axes, samples: Samples, top: float) -> None:
    limits = log_limits(np.where(np.isfinite(samples.height), samples.height, samples.lloq))
    if limits:
        # Room at the foot for the line of text.
        high = max(limits[1], 1.2 * top)
        ax.set_ylim(limits[0] / (high / limits[0]) ** 0.18, high)
    time = samples.time[np.isfinite(samples.time)]
    if time.size:
        margin = max(0.04 * float(np.ptp(time)), 0.5)
        ax.set_xlim(float(time.min()) - margin, float(time.max()) + margin)


class _Terminal:
    """The terminal lines of one series of an nca result, by the patients of a figure."""

    def __init__(self, nca: xr.Dataset, samples: Samples) -> None:
        if not isinstance(nca, xr.Dataset) or "lambda_z_used" not in nca:
            raise InputError("nca= expects the result of nca: it has the variable 'lambda_z_used'")
        series = str(nca["reason_code"].dims[1])
        labels = [str(label) for label in nca[series].values.tolist()]
        if samples.series not in labels:
            raise InputError(f"the nca result has no {series} '{samples.series}': it has {', '.join(labels)}")
        self.result = nca
        self.series = labels.index(samples.series)
        self.at = {str(name): position for position, name in enumerate(nca["patient"].values.tolist())}
        self.unit = samples.unit or " "
        self.column = nca["parameter"].values.tolist().index("half_life")

    def value(self, name: str, patient: int) -> float:
        return float(self.result[name].values[patient, self.series])

    def draw(self, ax: Axes, name: str) -> str:
        """Draw the line and its rings; return what the panel says of the half-life."""
        patient = self.at.get(name)
        if patient is None:
            return "not in the analysis"
        place = (patient, self.series)
        reason = Reason(int(self.result["reason_code"].values[(*place, self.column)]))
        if reason != Reason.computed:
            return f"t½ n.c.: {sentence(self.result, reason, *place)}".replace(self.unit, unit_label(self.unit))
        used = self.result["lambda_z_used"].values[place] == 1
        time, level = self.result["time"].values[place][used], self.result["level"].values[place][used]
        ax.plot(time, level, "o", ms=8.5, mfc="none", mec=TERMINAL_COLOUR, mew=1.2, zorder=4, gid=f"lambda_z-{name}")
        rate, intercept = self.value("lambda_z", patient), self.value("lambda_z_intercept", patient)
        ends = np.array([time.min(), time.max()])
        ax.plot(ends, np.exp(intercept - rate * ends), color=TERMINAL_COLOUR, lw=1.4, ls="--", zorder=4)
        half_life, fit = number(self.value("half_life", patient)), self.value("adj_r_squared", patient)
        return f"t½ {half_life} day ({used.sum()} points, R²adj {fit:.2f})"


def _panel(
    ax: Axes,
    samples: Samples,
    patient: int,
    curve: tuple[np.ndarray, np.ndarray] | None,
    terminal: _Terminal | None,
) -> set[str]:
    name = samples.patients[patient]
    ax.set_title(plain(name if len(name) <= 24 else f"{name[:23]}…"), loc="left", fontsize=9)
    if (samples.time < 0).any():
        ax.axvline(0.0, color="#D0D0D0", lw=0.7, zorder=0)
    if curve is None:
        draw_line(ax, samples, patient, PALETTE[0], alpha=0.45)
    else:
        ax.plot(*curve, color=FIT_COLOUR, lw=1.3, zorder=2, gid=f"fit-{patient}")
    kinds = draw_marks(ax, samples, patient, PALETTE[0], size=4.0)
    if not samples.present[patient].any():
        say(ax, "no samples")
    elif terminal is not None:
        text = textwrap.shorten(terminal.draw(ax, name), 110, placeholder=" …")
        # A patient without a level leaves the head of the panel free, others its foot.
        foot = bool((samples.quantified | samples.above)[patient].any())
        ax.text(
            0.03,
            0.03 if foot else 0.95,
            plain(textwrap.fill(text, 34)),
            transform=ax.transAxes,
            fontsize=6.5,
            color="#333333",
            va="bottom" if foot else "top",
            zorder=6,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1},
        )
    return kinds


def _legend(figure: Figure, kinds: set[str], limit: Any, fitted: bool, terminal: bool, columns: int) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = legend_handles(kinds)
    if limit is not None:
        handles.append(limit)
    if fitted:
        handles.append(Line2D([], [], color=FIT_COLOUR, lw=1.3, label="fit"))
    if terminal:
        label = "terminal line and the samples it used"
        handles.append(Line2D([], [], color=TERMINAL_COLOUR, ls="--", marker="o", mfc="none", ms=8, label=label))
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=max(1, min(3, columns - 1)))
