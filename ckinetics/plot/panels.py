"""One panel a patient: samples, fit, terminal line and the samples it was drawn through."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import InputError
from .fits import Curve, check_belongs, fit_curves, named_fits
from .samples import Samples, draw_line, draw_lloq, draw_marks, legend_handles, samples_of
from .style import (
    FIT_COLOUR,
    LINES,
    PALETTE,
    colour,
    level_name,
    log_limits,
    new_figure,
    plain,
    say,
    styled,
    with_unit,
)
from .terminal import TerminalLines, terminal_handles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Room above a panel for what is said of its terminal line.
_LINES_OF_TEXT = 3
_LINE_HEIGHT = 7.8  # points
_WIDTH_OF_TEXT = 46  # letters


def individuals(
    data: xr.DataTree | xr.Dataset,
    /,
    *,
    group: str = "kinetics",
    matrix: str | None = None,
    fit: xr.DataTree | Sequence[xr.DataTree] | Mapping[str, xr.DataTree] | None = None,
    nca: xr.Dataset | None = None,
    patients: Sequence[str] | None = None,
    columns: int = 4,
    figure: Figure | None = None,
) -> Figure:
    """Draw one panel a patient, all on the same axes.

    Marks are those of `profiles`. With `nca`, the samples that entered lambda_z are ringed (in squares where they were
    chosen by hand, samples left out by hand are crossed), the terminal line is drawn through them, and the Tobit line
    where the result has one; above the panel stand the half-life, or the reason why there is none, and the flags with
    their limits. An analysis of each infusion has a line each. With `fit`, the fitted curve is drawn.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort, or profiles on (patient, matrix, sample); times in days.
    group, matrix : str
        As in `profiles`.
    fit : DataTree, or sequence or mapping by name of them, optional
        From `fit` (or `average`): its curves; of several models each in a colour of its own, in a sequence by the
        model's name.
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
        lines = 0 if nca is None else _LINES_OF_TEXT
        size = (max(2.35 * columns, 3.6), (1.95 + _LINE_HEIGHT / 72 * lines) * rows + 0.75)
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
        fits = named_fits(fit)
        # Curves of models often lie on each other: broken lines show those below.
        looks = (
            [(FIT_COLOUR, "-")]
            if len(fits) == 1
            else [(colour(at + 1), LINES[at % len(LINES)]) for at in range(len(fits))]
        )
        curves = [fit_curves(one, samples) for one in fits.values()]
        terminal = None if nca is None else TerminalLines(nca, samples)
        for one in fits.values():
            check_belongs(data, one, "fit")
        if nca is not None:
            check_belongs(data, nca, "nca")
        _limits(axes.flat[0], samples, max((y.max() for own in curves for _, y in own.values()), default=0.0))
        kinds: set[str] = set()
        limit = None
        for ax, patient in zip(axes.flat, chosen, strict=False):
            own = [(one[patient], *look) for one, look in zip(curves, looks, strict=True) if patient in one]
            kinds |= _panel(ax, samples, patient, own, terminal)
            limit = draw_lloq(ax, samples)
        # A column whose last panel is missing keeps its time axis above the gap.
        for ax in axes.flat[max(len(chosen) - columns, 0) : len(chosen)]:
            ax.tick_params(labelbottom=True)
        figure.supxlabel("Time since first infusion (day)", fontsize=9)
        figure.supylabel(plain(with_unit(level_name(group, samples.series, samples.unit), samples.unit)), fontsize=9)
        drawn = set() if terminal is None else terminal.drawn
        _legend(figure, kinds, limit, dict(zip(fits, looks, strict=True)), drawn, columns)
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
        ax.set_ylim(limits[0], max(limits[1], 1.2 * top))
    time = samples.time[np.isfinite(samples.time)]
    if time.size:
        margin = max(0.04 * float(np.ptp(time)), 0.5)
        ax.set_xlim(float(time.min()) - margin, float(time.max()) + margin)


def _panel(
    ax: Axes,
    samples: Samples,
    patient: int,
    curves: Sequence[tuple[Curve, str, str]],
    terminal: TerminalLines | None,
) -> set[str]:
    name = samples.patients[patient]
    pad = 3.0 if terminal is None else 5.0 + _LINE_HEIGHT * _LINES_OF_TEXT
    ax.set_title(plain(name if len(name) <= 24 else f"{name[:23]}…"), loc="left", fontsize=9, pad=pad)
    if (samples.time < 0).any():
        ax.axvline(0.0, color="#D0D0D0", lw=0.7, zorder=0)
    if not curves:
        draw_line(ax, samples, patient, PALETTE[0], alpha=0.45)
    for curve, look, style in curves:
        ax.plot(*curve, style, color=look, lw=1.3, zorder=2, gid=f"fit-{patient}")
    kinds = draw_marks(ax, samples, patient, PALETTE[0], size=4.0)
    if not samples.present[patient].any():
        say(ax, "no samples")
    elif terminal is not None:
        # Above the axes, where it hides no sample.
        ax.annotate(
            plain(_text(terminal.draw(ax, name))),
            (0, 1),
            (0, pad - 1.5),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=6.5,
            color="#333333",
            va="top",
            linespacing=1.15,
            annotation_clip=False,
        )
    return kinds


def _text(sentences: list[str]) -> str:
    """Return what is said of a panel in as many lines as there is room for; the report has the rest."""
    lines = [line for text in sentences for line in textwrap.wrap(text, _WIDTH_OF_TEXT, break_on_hyphens=False)]
    if len(lines) > _LINES_OF_TEXT:
        lines = lines[:_LINES_OF_TEXT]
        lines[-1] = f"{lines[-1][: _WIDTH_OF_TEXT - 2]} …"
    return "\n".join(lines)


def _legend(
    figure: Figure, kinds: set[str], limit: Any, fits: Mapping[str, tuple[str, str]], drawn: set[str], columns: int
) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = legend_handles(kinds)
    if limit is not None:
        handles.append(limit)
    for name, (look, style) in fits.items():
        label = "fit" if len(fits) == 1 else plain(name)
        handles.append(Line2D([], [], color=look, ls=style, lw=1.3, label=label))
    handles += terminal_handles(drawn)
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=max(1, min(3, columns - 1)))
