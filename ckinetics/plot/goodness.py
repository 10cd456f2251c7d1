"""How well a fit describes its samples: observed against predicted, residuals, normalised prediction errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.stats import norm

from ..errors import InputError
from ..schema import BLQ_STATUSES, Status
from .style import (
    FIT_COLOUR,
    LIMIT_COLOUR,
    PALETTE,
    axes_or_new,
    log_limits,
    plain,
    say,
    styled,
    unit_label,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ALPHA = 0.6
_CENSORED = PALETTE[1]
AGAINST = {"time": "Time since first infusion (day)", "predicted": "Predicted"}


@dataclass(frozen=True)
class _Shown:
    """The used samples of one output of a fit, flat over patients; NaN where a limit is not known."""

    name: str
    unit: str
    on_log: bool
    time: np.ndarray
    predicted: np.ndarray
    level: np.ndarray
    lloq: np.ndarray
    uloq: np.ndarray
    quantified: np.ndarray
    below: np.ndarray
    above: np.ndarray
    output: int


def _shown(fit: xr.DataTree, output: str | None) -> _Shown:
    if not isinstance(fit, xr.DataTree) or not {"predictions", "estimates"} <= set(fit.children):
        raise InputError("the figure is of a fit: give what ckinetics.fit returned")
    from ..fitting.common_data import Observed  # brings numba, which other figures do without

    one = Observed.of(fit)
    if output is None and len(one.outputs) > 1:
        raise InputError(f"the fit has several outputs ({', '.join(one.outputs)}): name one with output=")
    if output is not None and output not in one.outputs:
        raise InputError(f"the fit has no output '{output}': it has {', '.join(one.outputs)}")
    at = 0 if output is None else one.outputs.index(output)
    used = one.used[at] & np.isfinite(one.predicted[at])
    status = one.status[at]

    def flat(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[at][used])

    return _Shown(
        name=str(fit.attrs.get("model", "model")),
        unit=one.units[at],
        on_log=one.on_log[at],
        time=flat(one.time),
        predicted=flat(one.predicted),
        level=flat(one.level),
        lloq=flat(one.lloq),
        uloq=flat(one.uloq),
        quantified=status[used] == Status.quantified,
        below=np.isin(status[used], BLQ_STATUSES),
        above=status[used] == Status.above_uloq,
        output=at,
    )


def observed_predicted(fit: xr.DataTree, /, *, output: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw observed against predicted levels on log axes, with the line on which they are equal.

    A sample below its LLOQ is an open triangle at the LLOQ with a line down from it, where its level may lie; one above
    its ULOQ the same upwards. Samples that the fit did not use are not drawn.

    Parameters
    ----------
    fit : DataTree
        From `ckinetics.fit`.
    output : str, optional
        Of a fit of several outputs, which.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        It is no fit, or it has no such output.
    """
    with styled():
        ax = axes_or_new(ax, width=4.6, height=4.6)
        shown = _shown(fit, output)
        heights = np.where(shown.quantified, shown.level, np.where(shown.below, shown.lloq, shown.uloq))
        limits = log_limits(heights)
        # Predictions far below every limit are gathered at the edge: that they are lower says nothing more.
        wide = None if limits is None else (limits[0] / 3.0, limits[1] * 1.3)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(plain(with_unit("Predicted", shown.unit)))
        ax.set_ylabel(plain(with_unit("Observed", shown.unit)))
        ax.set_title(plain(shown.name), loc="left")
        if wide is None:
            say(ax, "No sample was fitted.")
            return ax
        low, high = wide
        ax.set_xlim(low, high)
        ax.set_ylim(low, high)
        ax.set_aspect("equal", adjustable="box")
        ax.plot([low, high], [low, high], color=FIT_COLOUR, lw=1.0, zorder=1, gid="equal")
        x = np.clip(shown.predicted, low * 1.08, high / 1.08)
        known = shown.quantified
        ax.plot(x[known], shown.level[known], "o", ms=3.5, mfc=PALETTE[0], mec="none", alpha=_ALPHA, zorder=3,
                label="quantified", gid="quantified")  # fmt: skip
        for mask, limit, end, marker, label in (
            (shown.below, shown.lloq, low, "v", "below LLOQ (at the sample's LLOQ)"),
            (shown.above, shown.uloq, high, "^", "above ULOQ (at the sample's ULOQ)"),
        ):
            there = mask & np.isfinite(limit)
            if there.any():
                ax.vlines(x[there], limit[there], end, color=_CENSORED, lw=0.6, alpha=0.25, zorder=1)
                ax.plot(x[there], limit[there], marker, ms=4.0, mfc="white", mec=_CENSORED, mew=0.8, zorder=2,
                        label=label, gid=label.split(" (")[0])  # fmt: skip
        outside = int(((shown.predicted < low) | (shown.predicted > high)).sum())
        hidden = int((known & ~(shown.level > 0)).sum())
        words = "\n".join(
            ([f"{outside} at the edge\nlie beyond it"] if outside else [])
            + ([f"{hidden} of 0 or less\nnot drawn"] if hidden else [])
        )
        if words:
            ax.text(0.98, 0.02, words, transform=ax.transAxes, fontsize=6.5, ha="right", va="bottom", color="#444444")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handletextpad=0.2, borderaxespad=0.0,
                  columnspacing=1.0)  # fmt: skip
    return ax


def residuals(fit: xr.DataTree, /, *, against: str = "time", output: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw residuals against time or prediction, those of censored samples as intervals.

    A residual is ln(observed) − ln(predicted) where the residual error is on the log, else observed − predicted. Of a
    sample below its LLOQ it is at most that of the LLOQ: a mark there, and a line down to the edge of the axes; above a
    ULOQ the same upwards.

    Parameters
    ----------
    fit : DataTree
        From `ckinetics.fit`.
    against : {"time", "predicted"}
        The horizontal axis: time on a scale that is linear up to day 1 and logarithmic beyond, or the prediction on a
        log axis.
    output : str, optional
        Of a fit of several outputs, which.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        It is no fit, it has no such output, or `against` is neither.
    """
    with styled():
        ax = axes_or_new(ax, width=5.6, height=3.4)
        shown = _shown(fit, output)

        def off(values: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                logs = np.log(values) - np.log(shown.predicted)
            return np.asarray(logs if shown.on_log else values - shown.predicted)

        name = "ln(observed) − ln(predicted)" if shown.on_log else with_unit("Observed − predicted", shown.unit)
        floor = np.where(shown.above, off(shown.uloq), -np.inf)
        ceiling = np.where(shown.below, off(shown.lloq), np.inf)
        _draw_errors(ax, shown, np.where(shown.quantified, off(shown.level), np.nan), floor, ceiling, against)
        ax.set_ylabel(plain(name))
        ax.set_title(plain(shown.name), loc="left")
    return ax


def prediction_errors(
    fit: xr.DataTree,
    /,
    *,
    against: str = "time",
    censored: str = "interval",
    seed: int = 0,
    output: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw normalised prediction errors (quantile residuals) against time or prediction.

    See `ckinetics.fitting.diagnostics.prediction_errors`. The band holds 95 % of a standard normal.

    Parameters
    ----------
    fit : DataTree
        From `ckinetics.fit`.
    against : {"time", "predicted"}
        As in `residuals`.
    censored : {"interval", "draw"}
        Censored samples as intervals, or as draws from them with `seed`.
    seed : int
        Seed of the draws.
    output : str, optional
        Of a fit of several outputs, which.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        It is no fit, it has no such output, or an option is none.
    """
    if censored not in ("interval", "draw"):
        raise InputError(f"censored is '{censored}': use one of interval, draw")
    with styled():
        ax = axes_or_new(ax, width=5.6, height=3.4)
        shown = _shown(fit, output)
        error, lower, upper, drawn = _normalised(fit, shown, seed)
        width = float(norm.ppf(0.975))
        ax.axhspan(-width, width, color=LIMIT_COLOUR, alpha=0.10, lw=0, zorder=0)
        if censored == "interval":
            _draw_errors(ax, shown, error, lower, upper, against)
        else:
            _draw_errors(ax, shown, error, lower, upper, against, drawn=drawn, seed=seed)
        ax.set_ylabel("Normalised prediction error")
        ax.set_title(plain(shown.name), loc="left")
    return ax


def prediction_errors_qq(
    fit: xr.DataTree, /, *, seed: int = 0, output: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw ordered normalised prediction errors against normal quantiles; censored samples are draws.

    The band holds 95 % of each ordered number of a standard normal sample of the same size, one at a time; errors at
    estimated parameters lie a little closer to 0 than that.

    Parameters
    ----------
    fit : DataTree
        From `ckinetics.fit`.
    seed : int
        Seed of the draws for censored samples.
    output : str, optional
        Of a fit of several outputs, which.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        It is no fit, or it has no such output.
    """
    from scipy.stats import beta

    with styled():
        ax = axes_or_new(ax, width=4.4, height=4.2)
        shown = _shown(fit, output)
        error, _, _, drawn = _normalised(fit, shown, seed)
        ax.set_xlabel("Normal quantile")
        ax.set_ylabel("Normalised prediction error")
        ax.set_title(plain(shown.name), loc="left")
        there = np.isfinite(drawn)
        n = int(there.sum())
        if not n:
            say(ax, "No sample was fitted.")
            return ax
        order = np.argsort(drawn[there], kind="stable")
        values, known = drawn[there][order], np.isfinite(error[there][order])
        rank = np.arange(1, n + 1)
        middle = norm.ppf((rank - 0.375) / (n + 0.25))
        low, high = (norm.ppf(beta.ppf(share, rank, n + 1 - rank)) for share in (0.025, 0.975))
        ax.fill_between(middle, low, high, color=LIMIT_COLOUR, alpha=0.15, lw=0, zorder=0, gid="band")
        ends = np.array([min(middle[0], values[0]), max(middle[-1], values[-1])])
        ax.plot(ends, ends, color=FIT_COLOUR, lw=1.0, zorder=1, gid="equal")
        for mask, face, edge, label in (
            (known, PALETTE[0], "none", "quantified"),
            (~known, "white", _CENSORED, f"censored, drawn with seed {seed}"),
        ):
            if mask.any():
                ax.plot(middle[mask], values[mask], "o", ms=3.5, mfc=face, mec=edge, mew=0.8, zorder=3, label=label,
                        gid=label.split(",")[0])  # fmt: skip
        ax.legend(loc="upper left", handletextpad=0.2, borderaxespad=0.2)
    return ax


def _normalised(fit: xr.DataTree, shown: _Shown, seed: int) -> tuple[np.ndarray, ...]:
    from ..fitting import diagnostics
    from ..fitting.common_data import Observed

    table = diagnostics.prediction_errors(fit, seed=seed)
    one = Observed.of(fit)
    used = one.used[shown.output] & np.isfinite(one.predicted[shown.output])
    names = ("error", "lower", "upper", "drawn")
    several = "output" in table.dims
    return tuple((table[name].values[:, shown.output] if several else table[name].values)[used] for name in names)


def _draw_errors(
    ax: Axes,
    shown: _Shown,
    error: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    against: str,
    *,
    drawn: np.ndarray | None = None,
    seed: int = 0,
) -> None:
    """Draw errors about a line at 0; of censored samples the finite end with a line to the edge, or a draw."""
    x = _horizontal(ax, shown, against)
    ax.axhline(0.0, color=FIT_COLOUR, lw=1.0, zorder=1, gid="zero")
    below, above = shown.below & np.isfinite(upper), shown.above & np.isfinite(lower)
    heights = [error[np.isfinite(error)], upper[below], lower[above]]
    if drawn is not None:
        heights = [heights[0], drawn[(below | above) & np.isfinite(drawn)]]
    if not any(part.size for part in heights):
        say(ax, "No sample was fitted.")
        return
    known = np.isfinite(error)
    reach = max(float(np.abs(np.concatenate(heights[:1] if known.any() else heights)).max()) * 1.25, 1e-300)
    if drawn is not None:
        reach = max(reach, float(np.abs(np.concatenate(heights)).max()) * 1.1)
    ax.set_ylim(-reach, reach)
    ax.plot(x[known], error[known], "o", ms=3.5, mfc=PALETTE[0], mec="none", alpha=_ALPHA, zorder=3, label="quantified",
            gid="quantified")  # fmt: skip
    if drawn is not None:
        there = (below | above) & np.isfinite(drawn)
        if there.any():
            ax.plot(x[there], drawn[there], "o", ms=3.5, mfc="white", mec=_CENSORED, mew=0.8, zorder=3,
                    label=f"censored, drawn with seed {seed}", gid="censored")  # fmt: skip
    else:
        for mask, end, edge, marker, label in (
            (below, upper, -reach, "v", "below LLOQ: at most"),
            (above, lower, reach, "^", "above ULOQ: at least"),
        ):
            if mask.any():
                at = np.clip(end[mask], -0.985 * reach, 0.985 * reach)
                ax.vlines(x[mask], at, edge, color=_CENSORED, lw=0.7, alpha=0.15, zorder=1, gid=f"{marker}-lines")
                ax.plot(x[mask], at, marker, ms=4.0, mfc="white", mec=_CENSORED, mew=0.8, zorder=2, label=label,
                        gid=label.split(":")[0])  # fmt: skip
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, handletextpad=0.2, borderaxespad=0.0)


def _horizontal(ax: Axes, shown: _Shown, against: str) -> np.ndarray:
    """Set the horizontal axis and return where samples stand on it."""
    if against not in AGAINST:
        raise InputError(f"against is '{against}': use one of {', '.join(AGAINST)}")
    if against == "time":
        ax.set_xscale("symlog", linthresh=1.0, linscale=0.4)
        ax.set_xlabel(AGAINST["time"])
        if shown.time.size:
            ax.set_xlim(min(float(shown.time.min()), 0.0), max(float(shown.time.max()) * 1.15, 1.0))
            _day_ticks(ax, float(shown.time.max()))
        return shown.time
    ax.set_xscale("log")
    ax.set_xlabel(plain(with_unit("Predicted", shown.unit)))
    limits = log_limits(np.where(shown.quantified, shown.predicted, np.where(shown.below, shown.lloq, shown.uloq)))
    if limits is None:
        return shown.predicted
    low, high = limits[0] / 3.0, limits[1]
    ax.set_xlim(low, high)
    return np.clip(shown.predicted, low * 1.03, high / 1.03)


def _day_ticks(ax: Axes, last: float) -> None:
    """Set ticks at days that the field counts in."""
    days = [0, 1, 3, 7, 14, 28, 90, 180, 365, 730, 1825, 3650]
    shown = [day for day in days if day <= last * 1.15]
    ax.set_xticks(shown, [str(day) for day in shown], minor=False)
    ax.minorticks_off()


def profile_likelihood(fit: xr.DataTree, patient: str, parameter: str, /, *, ax: Axes | None = None) -> Axes:
    """Draw the profile likelihood of one parameter of one patient: how −2 log-likelihood rises away from the estimate.

    The dotted lines are the limits of the interval, and the level at which it ends.

    Parameters
    ----------
    fit : DataTree
        From `ckinetics.fit` with ``interval="profile"``.
    patient, parameter : str
        Which.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        The fit has no profiles, no such patient or parameter.
    """
    if not isinstance(fit, xr.DataTree) or "profiles" not in fit.children:
        raise InputError("the fit has no profiles: fit with interval='profile'")
    table, estimates = fit["profiles"].to_dataset(), fit["estimates"].to_dataset()
    for what, name in (("patient", patient), ("parameter", parameter)):
        known = [str(one) for one in table[what].values.tolist()]
        if str(name) not in known:
            raise InputError(f"the fit has no {what} '{name}': it has {', '.join(known[:12])}")
    with styled():
        ax = axes_or_new(ax, width=4.6, height=3.6)
        place = {
            "patient": [str(one) for one in table["patient"].values.tolist()].index(str(patient)),
            "parameter": [str(one) for one in table["parameter"].values.tolist()].index(str(parameter)),
        }
        value, rise = (table[name].isel(place).values for name in ("value", "rise"))
        own = estimates.isel(place)
        unit = str(own["unit"].values) if "unit" in own.coords else ""
        ax.set_xlabel(plain(f"{parameter} ({unit_label(unit)})" if unit_label(unit) else str(parameter)))
        ax.set_ylabel("Rise of −2 log-likelihood")
        ax.set_title(plain(f"{patient}: {parameter}"), loc="left")
        there = np.isfinite(value) & np.isfinite(rise)
        if not there.any():
            say(ax, "There is no profile: the parameter was held, or the fit ended at no minimum.")
            return ax
        value, rise = value[there], rise[there]
        estimate, low, high = (float(own[name]) for name in ("estimate", "lower", "upper"))
        if str(own["transform"].values) == "log" and (value > 0).all() and value.max() > 3.0 * value.min():
            ax.set_xscale("log")
        ax.plot(value, rise, "-", color=PALETTE[0], lw=1.3, marker="o", ms=2.5, zorder=3, gid="profile")
        ax.axvline(estimate, color=FIT_COLOUR, lw=1.0, zorder=1, label="estimate", gid="estimate")
        level = _level_at(value, rise, [low, high])
        if np.isfinite(level):
            ax.axhline(level, color=LIMIT_COLOUR, lw=0.8, ls=":", zorder=1)
            ax.set_ylim(-0.04 * level, 2.2 * level)
        for at, limit in enumerate((low, high)):
            if np.isfinite(limit):
                ax.axvline(limit, color=LIMIT_COLOUR, lw=0.9, ls=":", zorder=1,
                           label="interval" if not at else None, gid="limit")  # fmt: skip
        ax.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.22), borderaxespad=0.0)
    return ax


def _level_at(value: np.ndarray, rise: np.ndarray, limits: list[float]) -> float:
    """Return how far −2 log-likelihood has risen where the interval ends; a limit at a bound has risen less."""
    found = [float(np.interp(limit, value, rise)) for limit in limits if np.isfinite(limit)]
    return max(found, default=np.nan)
