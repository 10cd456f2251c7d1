"""All profiles of one matrix in one figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import InputError
from .fits import check_belongs, fit_curves
from .samples import Samples, draw_line, draw_lloq, draw_marks, legend_handles, samples_of
from .style import (
    PALETTE,
    UNKNOWN_COLOUR,
    axes_or_new,
    colour,
    level_name,
    line,
    log_limits,
    plain,
    say,
    styled,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_CATEGORIES = 20


def profiles(
    data: xr.DataTree | xr.Dataset,
    /,
    *,
    group: str = "kinetics",
    matrix: str | None = None,
    colour_by: str | None = None,
    fit: xr.DataTree | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw all profiles of one matrix on a log axis.

    A sample below the LLOQ is an open triangle pointing down at its own LLOQ, one above the ULOQ an open
    triangle pointing up at its own ULOQ, an excluded one a cross, one without a level (invalid, too little
    DNA) a tick at the foot. Levels are joined by lines; a line to a sample of which only a limit is known
    is dotted.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort, or profiles on (patient, matrix, sample); times in days.
    group : str
        Group of a cohort: "kinetics", "flow", "counts" or "cytokines".
    matrix : str, optional
        Matrix (or count, or cytokine); may be left out where there is one, or where one is blood.
    colour_by : str, optional
        Variable over ``patient`` at the cohort's root or in its outcomes, e.g. "dose_level" or "response".
        Words and up to six different numbers are categories; more numbers are a scale.
    fit : DataTree, optional
        From `fit`; its curves take the place of the lines between samples.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        No such group, matrix or variable, or a fit of another matrix.
    StaleResultError
        The fit was computed from other data.
    """
    with styled():
        ax = axes_or_new(ax)
        samples = samples_of(data, group, matrix)
        colours = _colours(data, samples, colour_by)
        ax.set_yscale("log")
        kinds: set[str] = set()
        curves = None if fit is None else fit_curves(fit, samples)
        if fit is not None:
            check_belongs(data, fit, "fit")
        for patient in range(len(samples.patients)):
            look = colours.of[patient]
            if curves is None:
                draw_line(ax, samples, patient, look, colours.lines[patient], colours.alpha)
            elif patient in curves:
                ax.plot(*curves[patient], colours.lines[patient], color=look, lw=1.1, alpha=0.8, zorder=2)
            kinds |= draw_marks(ax, samples, patient, look, size=4.0)
        _finish(ax, samples, kinds, colours, 0.0 if not curves else max(y.max() for _, y in curves.values()))
        if curves is not None and fit is not None:
            name = plain(str(fit.attrs.get("model", "the model")))
            ax.set_title(f"{ax.get_title(loc='left')}; lines: fit of {name}", loc="left")
    return ax


def _finish(ax: Axes, samples: Samples, kinds: set[str], colours: _Colours, top: float) -> None:
    count = int(samples.present.any(axis=1).sum())
    ax.set_xlabel("Time since first infusion (day)")
    ax.set_ylabel(plain(with_unit(level_name(samples.group, samples.series, samples.unit), samples.unit)))
    ax.set_title(f"{plain(samples.series)}: {count} patient{'s' if count != 1 else ''} with samples", loc="left")
    limits = log_limits(np.where(np.isfinite(samples.height), samples.height, samples.lloq))
    if limits:
        ax.set_ylim(limits[0], max(limits[1], 1.2 * top))
    time = samples.time[np.isfinite(samples.time)]
    if time.size:
        margin = max(0.02 * float(np.ptp(time)), 0.5)
        ax.set_xlim(float(time.min()) - margin, float(time.max()) + margin)
    if (time < 0).any():
        ax.axvline(0.0, color="#B0B0B0", lw=0.8, zorder=0)
    limit = draw_lloq(ax, samples)
    if not count:
        say(ax, plain(f"There are no samples of {samples.series}."))
    elif not (samples.quantified | samples.above).any():
        say(ax, "No sample was quantified.", y=0.6)
    _legends(ax, [*legend_handles(kinds), *([limit] if limit else [])], colours)


def _legends(ax: Axes, marks: list[Any], colours: _Colours) -> None:
    if colours.scale is not None:
        ax.figure.colorbar(colours.scale, ax=ax, label=colours.title, pad=0.02, fraction=0.05)
    elif colours.handles:
        first = ax.legend(
            handles=colours.handles,
            title=colours.title or None,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0.0,
            title_fontsize=8,
        )
        ax.add_artist(first)
        first.set_clip_on(False)  # it stands beside the axes, and the layout makes room for it
    if marks:
        ax.legend(
            handles=marks,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.14),
            ncols=min(3, len(marks)),
            borderaxespad=0.0,
            handletextpad=0.2,
            columnspacing=1.2,
        )


@dataclass(frozen=True)
class _Colours:
    """A colour and a line style for each patient, and what the legend says of them."""

    of: list[str]
    lines: list[str]
    alpha: float
    title: str
    handles: list[Any]
    scale: Any = None


def _colours(data: xr.DataTree | xr.Dataset, samples: Samples, colour_by: str | None) -> _Colours:
    count = len(samples.patients)
    if colour_by is None:
        if count > len(PALETTE):
            return _Colours([PALETTE[0]] * count, ["-"] * count, 0.45, "", [])
        return _by_category(list(samples.patients), "patient", counted=False)
    array = _variable(data, colour_by)
    at = {str(name): position for position, name in enumerate(array["patient"].values.tolist())}
    values = [array.values[at[name]] if name in at else None for name in samples.patients]
    if array.dtype.kind == "f":
        known = np.array([np.nan if value is None else float(value) for value in values])
        distinct = np.unique(known[np.isfinite(known)])
        if len(distinct) > 6:
            return _by_number(known, _title(array, colour_by))
        words = [f"{value:g}" if np.isfinite(value) else "" for value in known]
        return _by_category(words, _title(array, colour_by), order=[f"{value:g}" for value in distinct])
    if array.dtype.kind == "i" and "flag_meanings" in array.attrs:
        codes = np.atleast_1d(array.attrs["flag_values"]).tolist()
        names = dict(zip(codes, str(array.attrs["flag_meanings"]).split(), strict=True))
        words = ["" if value is None or int(value) == -1 else names.get(int(value), str(value)) for value in values]
    else:
        words = ["" if value is None else str(value) for value in values]
    return _by_category(words, _title(array, colour_by))


def _title(array: xr.DataArray, name: str) -> str:
    return plain(with_unit(name.replace("_", " "), str(array.attrs.get("units", ""))))


def _variable(data: xr.DataTree | xr.Dataset, name: str) -> xr.DataArray:
    places: list[Any] = [data]
    if isinstance(data, xr.DataTree) and "outcomes" in data.children:
        places.append(data["outcomes"])
    for place in places:
        if name in place.data_vars and place[name].dims == ("patient",):
            return place[name]
    there = [str(n) for place in places for n in place.data_vars if place[n].dims == ("patient",)]
    raise InputError(f"the cohort has no variable '{name}' over patients: it has {', '.join(there) or 'none'}")


def _by_category(words: list[str], title: str, *, counted: bool = True, order: list[str] | None = None) -> _Colours:
    from matplotlib.lines import Line2D

    names = order if order is not None else list(dict.fromkeys(word for word in words if word))
    if order is None and counted:
        names = sorted(names)
    looks = {name: (colour(at), line(at)) for at, name in enumerate(names)}
    looks[""] = (UNKNOWN_COLOUR, "-")
    shown = [*names, ""] if "" in words else names
    handles = [
        Line2D(
            [],
            [],
            color=looks[name][0],
            ls=looks[name][1],
            label=plain(name or "not known") + (f" (n={words.count(name)})" if counted else ""),
        )
        for name in shown[:_SHOWN_CATEGORIES]
    ]
    if len(shown) > _SHOWN_CATEGORIES:
        handles.append(Line2D([], [], ls="", label=f"and {len(shown) - _SHOWN_CATEGORIES} more"))
    return _Colours([looks[word][0] for word in words], [looks[word][1] for word in words], 0.8, title, handles)


def _by_number(values: np.ndarray, title: str) -> _Colours:
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize, to_hex

    known = values[np.isfinite(values)]
    wide = known.min() > 0 and known.max() / known.min() >= 30
    norm = (LogNorm if wide else Normalize)(known.min(), known.max())
    scale = ScalarMappable(norm, mpl.colormaps["cividis"])
    of = [to_hex(tuple(scale.to_rgba(value))) if np.isfinite(value) else UNKNOWN_COLOUR for value in values]
    return _Colours(of, ["-"] * len(values), 0.8, title, [], scale)
