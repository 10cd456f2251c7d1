"""The figures of one plate: its curve with intervals, residuals, replicates, and partitions of digital PCR."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .plate_wells import PlateWells, fitted_cq, half_widths, plate_wells, well_variance
from .style import LIMIT_COLOUR, PALETTE, UNKNOWN_COLOUR, axes_or_new, plain, say, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STANDARD, _FLAGGED = PALETTE[0], PALETTE[1]
_Z95 = 1.96
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_LABELLED = 6  # more names than that make a figure that nobody can read


def plate_curve(
    data: xr.DataTree, run_id: str, /, *, target: str | None = None, level: float = 0.95, ax: Axes | None = None
) -> Axes:
    """Draw a plate's standards with the line fitted to them, its interval, and that of a single well.

    Parameters
    ----------
    data : DataTree
        From `quantify`, or a cohort with its groups ``wells``, ``curves`` and ``verdicts``.
    run_id : str
        The plate run.
    target : str, optional
        The assay; may be left out where the run has one.
    level : float
        Confidence of both intervals.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes
        Standards, those left out as crosses, those without a signal at the upper edge; the fit that levels are
        read from with the confidence interval of the line (dark) and the prediction interval of a well's Cq
        (pale); the other fit dashed; samples as ticks on the line's left.

    Raises
    ------
    InputError
        There are no wells and curves, no such run or target, or several targets and none is named.
    """
    plate = plate_wells(data, run_id, target)
    with styled():
        ax = axes_or_new(ax, width=5.0, height=3.8)
        wells, standard = plate.wells, plate.standard
        found, used = np.isfinite(wells["cq"]), ~plate.left_out
        if plate.curve is not None:
            _lines(ax, plate, level)
        read = (wells["role"] == "unknown") & found & used & (wells["copies"] > 0)
        if read.any():
            ax.plot(wells["copies"][read], wells["cq"][read], "|", ms=6, color=UNKNOWN_COLOUR, label="samples")
        nominal, cq = wells["nominal_copies"], wells["cq"]
        _log_copies(ax, np.concatenate([nominal[standard], wells["copies"][read]]))
        _dots(ax, nominal, cq, standard & found, used)
        silent = standard & ~found
        if silent.any():
            _at_edge(ax, nominal[silent], "standards without Cq")
        if not standard.any():
            say(ax, "No standard has nominal copies.")
        ax.set_xlabel("Copies per well")
        ax.set_ylabel("Cq (cycle)")
        _title(ax, "Standard curve", plate)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="upper right", fontsize=7)
    return ax


def plate_residuals(
    data: xr.DataTree, run_id: str, /, *, target: str | None = None, level: float = 0.95, ax: Axes | None = None
) -> Axes:
    """Draw how far each standard well lies from the line, with the prediction interval of a well.

    Parameters
    ----------
    data : DataTree
        From `quantify`, or a cohort with its groups ``wells``, ``curves`` and ``verdicts``.
    run_id : str
        The plate run.
    target : str, optional
        The assay; may be left out where the run has one.
    level : float
        Confidence of the interval.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes
        Positive residuals are wells that were later than the line, and read too few copies.

    Raises
    ------
    InputError
        There are no wells and curves, no such run or target, or several targets and none is named.
    """
    plate = plate_wells(data, run_id, target)
    with styled():
        ax = axes_or_new(ax, width=5.0, height=3.0)
        curve, wells = plate.curve, plate.wells
        shown = plate.standard & np.isfinite(wells["cq"])
        if curve is None or not shown.any():
            say(ax, "There is no curve to have residuals from.")
        else:
            nominal = wells["nominal_copies"]
            _log_copies(ax, nominal[plate.standard])
            grid = _grid(curve)
            _, reach = half_widths(curve, grid, level)
            ax.fill_between(grid, -reach, reach, color=_FLAGGED, alpha=0.12, lw=0, label=_well_words(level))
            ax.axhline(0.0, color=_FLAGGED, lw=1.1)
            with np.errstate(divide="ignore", invalid="ignore"):
                residual = wells["cq"] - fitted_cq(curve, nominal)
            _dots(ax, nominal, residual, shown, ~plate.left_out)
            top = float(np.nanmax(np.abs(np.concatenate([residual[shown], reach])))) * 1.15
            ax.set_ylim(-top, top)
        ax.set_xlabel("Nominal copies per well")
        ax.set_ylabel("Cq − line (cycle)")
        _title(ax, "Residuals of the standards", plate)
    return ax


def plate_replicates(data: xr.DataTree, run_id: str, /, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how far each well lies from the mean of its sample, with what the noise model expects.

    Parameters
    ----------
    data : DataTree
        From `quantify`, or a cohort with its groups ``wells``, ``curves`` and ``verdicts``.
    run_id : str
        The plate run.
    target : str, optional
        The assay; may be left out where the run has one.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes
        Samples and controls, over the copies that their mean Cq stands for; wells without a signal, of samples that
        have one in others, at the upper edge; samples with a failed verdict coloured and, while they are few,
        named. Of digital PCR: copies relative to the sample's mean, with each well's own Poisson interval.

    Raises
    ------
    InputError
        There are no wells and curves, no such run or target, or several targets and none is named.
    """
    plate = plate_wells(data, run_id, target)
    with styled():
        ax = axes_or_new(ax, width=5.0, height=3.0)
        if plate.digital:
            _digital_replicates(ax, plate)
        else:
            _cq_replicates(ax, plate)
        _title(ax, "Replicates", plate)
    return ax


def plate_partitions(data: xr.DataTree, run_id: str, /, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the accepted partitions of each well of digital PCR, with the least that the rules ask for.

    Parameters
    ----------
    data : DataTree
        From `quantify`, or a cohort with its groups ``wells``, ``curves`` and ``verdicts``.
    run_id : str
        The plate run.
    target : str, optional
        The assay; may be left out where the run has one.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        There are no wells and curves, no such run or target, or several targets and none is named.
    """
    plate = plate_wells(data, run_id, target)
    with styled():
        ax = axes_or_new(ax, width=5.0, height=3.0)
        counts = plate.wells["n_partitions"]
        if not np.isfinite(counts).any():
            say(ax, "No partitions were counted.")
        else:
            limits, named = _partition_limits(plate)
            place = np.arange(1, len(counts) + 1)
            poor = np.array([name in named for name in plate.wells["well_name"].tolist()], dtype=bool)
            ax.plot(place[~poor], counts[~poor], "o", ms=3.5, color=_STANDARD)
            ax.plot(place[poor], counts[poor], "o", ms=4.5, color=_FLAGGED)
            if poor.sum() <= _LABELLED:
                for at in np.flatnonzero(poor).tolist():
                    _name(ax, place[at], counts[at], str(plate.wells["well_name"][at]))
            for limit in limits:
                ax.axhline(limit, color=LIMIT_COLOUR, lw=0.9, ls="--", label=f"at least {limit:,.0f}")
            if limits:
                ax.legend(loc="lower right", fontsize=7)
            ax.set_ylim(0, float(np.nanmax([*counts, *limits])) * 1.1)
        ax.set_xlabel("Well, in the order of the export")
        ax.set_ylabel("Accepted partitions")
        _title(ax, "Partitions", plate)
    return ax


def _lines(ax: Axes, plate: PlateWells, level: float) -> None:
    curve = plate.curve
    assert curve is not None
    grid = _grid(curve)
    cq = fitted_cq(curve, grid)
    of_line, of_well = half_widths(curve, grid, level)
    ax.fill_between(grid, cq - of_well, cq + of_well, color=_FLAGGED, alpha=0.12, lw=0, label=_well_words(level))
    words = f"{100 * level:g} % of the line"
    ax.fill_between(grid, cq - of_line, cq + of_line, color=_FLAGGED, alpha=0.35, lw=0, label=words)
    label = "weighted fit" if curve["method"] == "weighted" else "least squares"
    ax.plot(grid, cq, color=_FLAGGED, lw=1.2, label=label, gid="line")
    for other in plate.curves[1:]:
        if float(other["slope"]) < 0:
            words = "weighted fit, not used" if other["method"] == "weighted" else "least squares, not used"
            ax.plot(grid, fitted_cq(other, grid), color=LIMIT_COLOUR, lw=0.9, ls="--", label=words, gid="other")


def _well_words(level: float) -> str:
    return f"{100 * level:g} % of a well"


def _grid(curve: dict[str, Any]) -> np.ndarray:
    low, high = math.log10(float(curve["lowest"])), math.log10(float(curve["highest"]))
    return np.asarray(10.0 ** np.linspace(low - 0.15, high + 0.15, 40))


def _log_copies(ax: Axes, copies: np.ndarray) -> None:
    """Make the axis of copies logarithmic, with ticks at decades, or at 1, 2 and 5 where there are few of these.

    Matplotlib's own ticks and their mathematical labels would take most of the time that a plate's page takes.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    positive = copies[np.isfinite(copies) & (copies > 0)]
    if not positive.size:
        return
    low, high = float(positive.min()) / 1.6, float(positive.max()) * 1.6
    span = math.log10(high / low)
    steps = (1,) if span > 2 else (1, 2, 5)
    every = max(1, math.ceil(span / 7)) if span > 2 else 1
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps if power % every == 0]
    ticks = [tick for tick in ticks if low <= tick <= high]
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter([_power(tick) for tick in ticks]))


def _power(value: float) -> str:
    """Return a tick's number as a reader writes it.

    Examples
    --------
    >>> _power(100.0), _power(5e6), _power(1e-3), _power(2000.0)
    ('100', '5×10⁶', '10⁻³', '2000')
    """
    power = math.floor(math.log10(value) + 1e-9)
    if -2 <= power <= 3:
        return f"{value:g}"
    factor = round(value / 10.0**power)
    return ("" if factor == 1 else f"{factor}×") + f"10{str(power).translate(_SUPERSCRIPT)}"


def _dots(ax: Axes, x: np.ndarray, y: np.ndarray, shown: np.ndarray, used: np.ndarray) -> None:
    for mask, marker, edge, label in (
        (shown & used, "o", _STANDARD, "standards"),
        (shown & ~used, "x", LIMIT_COLOUR, "standards left out"),
    ):
        if mask.any():
            ax.plot(x[mask], y[mask], marker, ms=4, mfc=_STANDARD, mec=edge, ls="none", label=label, zorder=3)


def _at_edge(ax: Axes, x: np.ndarray, label: str) -> None:
    y = np.full(len(x), 0.97)
    transform = ax.get_xaxis_transform()
    ax.plot(x, y, "^", ms=5, mfc="white", mec=_STANDARD, transform=transform, label=label, zorder=4)


def _cq_replicates(ax: Axes, plate: PlateWells) -> None:
    curve, wells = plate.curve, plate.wells
    flagged = {name for kind, _, names in plate.flags() for name in names if kind not in ("vendor", "restored")}
    good: list[tuple[float, float]] = []
    bad: list[tuple[float, float]] = []
    names: list[tuple[float, float, str]] = []
    partly: list[float] = []
    silent = 0
    for name, places in plate.by_sample().items():
        cq = wells["cq"][places]
        seen = np.isfinite(cq)
        if not seen.any():
            silent += bool(plate.silent[places].all())
            continue
        mean = float(cq[seen].mean())
        x = mean if curve is None else 10.0 ** ((mean - float(curve["intercept"])) / float(curve["slope"]))
        partly += [x] * int((~seen).sum())
        if len(places) < 2:
            continue
        apart = (cq[seen] - mean).tolist()
        marked = any(str(wells["well_name"][at]) in flagged for at in places.tolist())
        (bad if marked else good).extend((x, one) for one in apart)
        if marked:
            names.append((x, max(apart), name))
    _cloud(ax, good, bad, "samples")
    everything = [x for x, _ in good + bad] + partly
    if curve is not None:
        _log_copies(ax, np.array(everything))
    if curve is not None and everything and math.isfinite(plate.noise_sd0):
        grid = np.geomspace(min(everything) / 1.6, max(everything) * 1.6, 40)
        reach = _Z95 * np.sqrt(well_variance(curve, grid, plate.noise_sd0))
        ax.fill_between(grid, -reach, reach, color=UNKNOWN_COLOUR, alpha=0.2, lw=0, label="expected of 95 % (Poisson)")
    if partly:
        _at_edge(ax, np.array(partly), "wells without Cq")
    if len(names) <= _LABELLED:
        for x, y, name in names:
            _name(ax, x, y, name)
    if not everything:
        say(ax, "No sample or control has a signal in two wells.")
    else:
        ax.axhline(0.0, color=LIMIT_COLOUR, lw=0.8)
        low, high = ax.get_ylim()
        ax.set_ylim(low - 0.3 * (high - low), high + 0.1 * (high - low))  # room for the legend and for the edge
        ax.legend(loc="lower right", fontsize=7, ncols=3, columnspacing=1.0)
    if silent:
        _remark(ax, f"{silent} without any signal")
    ax.set_xlabel("Mean Cq (cycle)" if curve is None else "Copies per well, of the sample's mean Cq")
    ax.set_ylabel("Cq − sample's mean (cycle)")


def _digital_replicates(ax: Axes, plate: PlateWells) -> None:
    n, positive = plate.wells["n_partitions"], plate.wells["n_positive"]
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = -np.log1p(-positive / n)
    points: list[tuple[float, float]] = []
    single = zero = full = 0
    for places in plate.by_sample().values():
        if (positive[places] == n[places]).any():
            full += 1
        elif not np.isfinite(rate[places]).all() or not n[places].sum() > 0:
            continue
        elif positive[places].sum() == 0:
            zero += 1
        elif len(places) < 2:
            single += 1
        else:
            mean = -math.log1p(-positive[places].sum() / n[places].sum())
            apart = (rate[places] - mean) / np.sqrt(math.expm1(mean) / n[places])
            points += [(mean * float(n[places].mean()), one) for one in apart.tolist()]
    if points:
        _log_copies(ax, np.array([x for x, _ in points]))
        ax.axhspan(-_Z95, _Z95, color=UNKNOWN_COLOUR, alpha=0.2, lw=0, label="95 % by Poisson alone")
        ax.axhline(0.0, color=LIMIT_COLOUR, lw=0.8)
        _cloud(ax, points, [], "wells")
        top = 1.6 * max(_Z95, *(abs(y) for _, y in points))
        ax.set_ylim(-top, top)
        ax.legend(loc="lower right", fontsize=7, ncols=2)
    else:
        say(ax, "No sample has positive partitions in two wells.")
    counts = ((zero, "without positives"), (single, "in one well"), (full, "with all partitions positive"))
    words = ", ".join(f"{number} {what}" for number, what in counts if number)
    if words:
        _remark(ax, f"not shown: {words}")
    ax.set_xlabel("Copies counted in a well, mean of the sample")
    ax.set_ylabel("Well − mean (Poisson SD)")


def _remark(ax: Axes, words: str) -> None:
    ax.set_title(words, loc="right", fontsize=7, color="#444444", y=1.02)


def _cloud(ax: Axes, good: list[tuple[float, float]], bad: list[tuple[float, float]], label: str) -> None:
    for points, colour, size, words in ((good, _STANDARD, 3.5, label), (bad, _FLAGGED, 4.5, "flagged")):
        if points:
            x, y = zip(*points, strict=True)
            ax.plot(x, y, "o", ms=size, color=colour, ls="none", label=words, alpha=0.85)


def _partition_limits(plate: PlateWells) -> tuple[list[float], frozenset[str]]:
    """Return the least numbers of partitions that the rules ask for, and the wells that have fewer."""
    mine = np.isin(plate.verdicts["rule"].astype(str), ("droplets", "partitions"))
    lows = sorted({float(low) for low in plate.verdicts["low"][mine] if math.isfinite(low)})
    return lows, frozenset(name for names in plate.verdicts["wells"][mine].tolist() for name in str(names).split())


def _name(ax: Axes, x: float, y: float, name: str) -> None:
    ax.annotate(
        plain(textwrap.shorten(name, 24, placeholder="…")), (x, y), (3, 3), textcoords="offset points", fontsize=7
    )


def _title(ax: Axes, what: str, plate: PlateWells) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.yaxis.set_major_locator(MaxNLocator(6))
    name = plain(f"{what}: {plate.target}" if plate.target else what)
    # Its place is given, for matplotlib takes longer to find one than to draw the figure.
    ax.set_title("\n".join(textwrap.wrap(name, 60)), loc="left", y=1.02)
