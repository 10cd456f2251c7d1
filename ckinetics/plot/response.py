"""Exposure against response and cytokine peaks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..cohorts import align_patients
from ..errors import InputError
from .style import (
    PALETTE,
    axes_or_new,
    colour,
    log_limits,
    number,
    p_text,
    parameter_label,
    plain,
    say,
    styled,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def exposure_response(result: xr.Dataset, /, *, ax: Axes | None = None) -> Axes:
    """Draw the probability of an event over exposure, its interval, and the patients behind it.

    Parameters
    ----------
    result : Dataset
        From `exposure_response`.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes
        Exposure on a log axis; each patient a mark at 0 (no event) or 1 (event).
    """
    _check(result, "exposure_response")
    event = str(result.attrs.get("event", "event"))
    with styled():
        ax = axes_or_new(ax, width=5.4, height=3.8)
        ax.set_xscale("log")
        used = result["used"].values == 1
        exposure, outcome = result["exposure"].values, result["outcome"].values
        drawn = used & (exposure > 0) & np.isfinite(outcome)
        grid, line = result["grid"].values, result["probability"].values
        if np.isfinite(line).any():
            low, high = result["probability_lower"].values, result["probability_upper"].values
            ax.fill_between(grid, low, high, color=PALETTE[0], alpha=0.18, lw=0, label=_band(result))
            label = f"regression ({result.attrs.get('method', 'logistic')})"
            ax.plot(grid, line, color=PALETTE[0], lw=1.6, label=label)
        ax.plot(
            exposure[drawn],
            outcome[drawn] + _jitter(int(drawn.sum()), 0.025) * np.where(outcome[drawn] > 0.5, -1, 1),
            "o",
            ms=5,
            mfc="none",
            mec="#333333",
            mew=0.9,
            gid="patients",
            label="patients",
        )
        ax.set_ylim(-0.06, 1.06)
        ax.set_xlabel(with_unit(_name(result, "exposure"), str(result.attrs.get("exposure_units", ""))))
        ax.set_ylabel(textwrap.fill(plain(f"Probability of {event}"), 42))
        odds = f"odds ratio per {result.attrs.get('per', 'unit')} {number(_scalar(result, 'odds_ratio'))}"
        bounds = f"{number(_scalar(result, 'odds_ratio_lower'))}–{number(_scalar(result, 'odds_ratio_upper'))}"
        text = (
            f"{odds} ({bounds}), {p_text(_scalar(result, 'p_value'))}; n={_count(result, 'n_used')} "
            f"({_count(result, 'n_events')} events), {_count(result, 'n_dropped')} dropped"
        )
        ax.set_title("\n".join(textwrap.wrap(text, 72)), loc="left", fontsize=8.5)
        if drawn.any():
            ax.legend(loc="center right", frameon=True, framealpha=0.85, edgecolor="none")
        else:
            say(ax, "No patient has both an exposure and an outcome.")
    return ax


def exposure_correlation(result: xr.Dataset, /, *, ax: Axes | None = None) -> Axes:
    """Draw peak against exposure, one mark a patient, both on log axes.

    Parameters
    ----------
    result : Dataset
        From `exposure_correlation`.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes
    """
    _check(result, "exposure_correlation")
    with styled():
        ax = axes_or_new(ax, width=4.8, height=3.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        exposure, peak = result["exposure"].values, result["peak"].values
        used = result["used"].values == 1
        drawn = used & (exposure > 0) & (peak > 0)
        ax.plot(exposure[drawn], peak[drawn], "o", ms=5, mfc=PALETTE[0], mec="white", mew=0.6, gid="patients")
        for limits, values in ((ax.set_xlim, exposure[drawn]), (ax.set_ylim, peak[drawn])):
            found = log_limits(values)
            if found:
                limits(found)
        ax.set_xlabel(with_unit(_name(result, "exposure"), str(result.attrs.get("exposure_units", ""))))
        ax.set_ylabel(with_unit(_name(result, "peak"), str(result.attrs.get("peak_units", ""))))
        bounds = f"{number(_scalar(result, 'rho_lower'))} to {number(_scalar(result, 'rho_upper'))}"
        text = (
            f"{str(result.attrs.get('method', 'rank')).title()} rho {number(_scalar(result, 'rho'))} ({bounds}), "
            f"{p_text(_scalar(result, 'p_value'))}; n={_count(result, 'n_used')}, "
            f"{_count(result, 'n_dropped')} dropped"
        )
        if int((used & ~drawn).sum()):
            text += f"; {int((used & ~drawn).sum())} without a positive number not drawn"
        ax.set_title("\n".join(textwrap.wrap(text, 66)), loc="left", fontsize=8.5)
        if not drawn.any():
            say(ax, "No patient has both an exposure and a peak.")
    return ax


def exposure_by_group(
    exposure: xr.DataArray,
    groups: xr.DataArray,
    /,
    *,
    order: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an exposure by group: a mark a patient, and a box (median, quartiles) where there are five or more.

    Parameters
    ----------
    exposure : DataArray
        Over ``patient``, e.g. ``nca["cmax"].sel(matrix="blood")``.
    groups : DataArray
        Over the same patients: words, e.g. ``cohort["outcomes"]["response"]``. Patients without a word are
        the group "not known".
    order : sequence of str, optional
        Order of the groups; default is that of the alphabet.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes
        Exposure on a log axis; under each group its number of patients and of those who could not be drawn
        (no value, or a value that is not positive).

    Raises
    ------
    InputError
        The arrays are over different patients, have further dims, or `order` leaves a group out.
    """
    for array in (exposure, groups):
        if array.dims != ("patient",):
            raise InputError(f"'{array.name}' is over {', '.join(map(str, array.dims))}: select one series first")
    pair = align_patients(exposure, groups)
    values = pair.first.values.astype(np.float64)
    words = np.array([str(word) or "not known" for word in pair.second.values.tolist()], dtype=object)
    names = sorted(set(words.tolist()) - {"not known"})
    names += ["not known"] if "not known" in words.tolist() else []
    if order is not None:
        lost = [name for name in names if name not in order]
        if lost:
            raise InputError(f"order leaves out the group '{lost[0]}': name every group")
        names = [name for name in order if name in names]
    with styled():
        ax = axes_or_new(ax, width=max(3.6, 1.1 * len(names) + 1.6), height=3.8)
        ax.set_yscale("log")
        labels = []
        for at, name in enumerate(names):
            own = values[words == name]
            labels.append(_strip(ax, at, own, colour(at), name))
        ax.set_xticks(range(len(names)), labels)
        ax.set_xlim(-0.6, max(len(names), 1) - 0.4)
        limits = log_limits(values)
        if limits:
            ax.set_ylim(limits)
        else:
            say(ax, "No patient has a positive value.")
        parts = [parameter_label(str(exposure.name or "")), str(exposure.attrs.get("long_name", ""))]
        name = ": ".join(filter(None, parts)) or "exposure"
        ax.set_ylabel(textwrap.fill(plain(with_unit(name, str(exposure.attrs.get("units", "")))), 40))
        ax.set_xlabel(plain(str(groups.attrs.get("long_name") or groups.name or "group")))
    return ax


def _strip(ax: Axes, at: int, own: np.ndarray, look: str, name: str) -> str:
    shown = own[np.isfinite(own) & (own > 0)]
    if len(shown) >= 5:
        ax.boxplot(
            shown,
            positions=[at],
            widths=0.5,
            showfliers=False,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": "white", "edgecolor": look},
            medianprops={"color": look, "lw": 1.8},
            whiskerprops={"color": look},
            capprops={"color": look},
        )
    place = at + _jitter(len(shown), 0.16)
    ax.plot(place, shown, "o", ms=4.5, mfc=look, mec="white", mew=0.5, alpha=0.85, zorder=3, gid=f"group-{at}")
    rest = len(own) - len(shown)
    lines = [*textwrap.wrap(plain(name), 14), f"n={len(shown)}"]
    return "\n".join([*lines, f"+{rest} without"] if rest else lines)


def _jitter(count: int, width: float) -> np.ndarray:
    """Return offsets that keep marks apart, the same ones each time."""
    return width * (2.0 * ((np.arange(count) * 0.618034) % 1.0) - 1.0)


def _check(result: Any, kind: str) -> None:
    if not isinstance(result, xr.Dataset) or result.attrs.get("result") != kind:
        raise InputError(f"expected the result of {kind}, got {type(result).__name__}")


def _scalar(result: xr.Dataset, name: str) -> float:
    return float(result[name].values)


def _count(result: xr.Dataset, name: str) -> str:
    return f"{int(_scalar(result, name))}"


def _name(result: xr.Dataset, what: str) -> str:
    series = str(result.attrs.get(f"{what}_series", ""))
    name = parameter_label(str(result.attrs.get(f"{what}_name", what)))
    return plain(f"{name} in {series}" if series else name)


def _band(result: xr.Dataset) -> str:
    """Return what the band is: not of the kind of the odds ratio's interval."""
    percent = str(result.attrs.get("interval_kind", "")).split(" % ")[0]
    return f"{percent} % band, pointwise (Wald)" if percent.replace(".", "").isdigit() else "band, pointwise (Wald)"
