"""The samples of one series of profiles, as a figure shows them: what is drawn where, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..cohorts import profiles_of
from ..errors import InputError
from ..schema import BLQ_STATUSES, Excluded, Status
from .style import LIMIT_COLOUR, MARK_SIZE, UNKNOWN_COLOUR, plain, unit_label, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEGEND = {
    "quantified": "quantified",
    "blq": "below LLOQ (at the sample's LLOQ)",
    "blq_unknown": "below LLOQ (limit unknown; at the axis)",
    "above": "above ULOQ (at the sample's ULOQ)",
    "excluded": "excluded",
    "unusable": "invalid or too little DNA (no level)",
}


@dataclass(frozen=True)
class Samples:
    """One series of profiles over (patient, sample).

    ``height`` is where a sample stands on the axis: its level, its LLOQ where it is below it, its ULOQ where
    it is above it, NaN where nothing of that is known. It is a place in a figure, never a level.
    """

    group: str
    series: str
    unit: str
    patients: tuple[str, ...]
    time: np.ndarray
    height: np.ndarray
    lloq: np.ndarray
    quantified: np.ndarray
    blq: np.ndarray
    above: np.ndarray
    excluded: np.ndarray
    unusable: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """Samples that there are, whatever is known of them."""
        return self.quantified | self.blq | self.above | self.excluded | self.unusable


def samples_of(data: xr.DataTree | xr.Dataset, group: str, series: str | None) -> Samples:
    """Return the samples of one series; `series` may be left out where there is one, or where one is blood.

    Raises
    ------
    InputError
        There are no profiles, no such series, or several and none is named.
    """
    dataset = profiles_of(data, group)
    dims = [str(dim) for dim in dataset["level"].dims if dim not in ("patient", "sample")]
    if len(dims) != 1 or "patient" not in dataset["level"].dims:
        found = ", ".join(map(str, dataset["level"].dims))
        raise InputError(f"the profiles have dims {found}: a figure takes patient, matrix and sample; select the rest")
    dim = dims[0]
    labels = [str(label) for label in dataset[dim].values.tolist()]
    if series is None:
        if len(labels) != 1 and "blood" not in labels:
            there = ", ".join(labels) or "none"
            raise InputError(f"the profiles have more than one {dim} or none ({there}): name one with matrix=")
        series = labels[0] if len(labels) == 1 else "blood"
    if series not in labels:
        raise InputError(f"the profiles have no {dim} '{series}': they have {', '.join(labels) or 'none'}")
    position = labels.index(series)
    one = dataset.isel({dim: position}).transpose("patient", "sample", ...)

    def values(name: str) -> np.ndarray:
        there = name in one.data_vars
        return one[name].values.astype(np.float64) if there else np.full(one["level"].shape, np.nan)

    time, level, lloq = values("time"), values("level"), values("lloq")
    if "nominal_time" in one:
        time = np.where(np.isnan(time), values("nominal_time"), time)
    status = one["status"].values
    there = (status != Status.missing) & np.isfinite(time)
    out = there & (values("excluded") == Excluded.excluded)
    # A quantified zero has no place on a log axis: the analyses take it as BLQ, and so does the figure.
    zero = (status == Status.quantified) & ~(level > 0)
    blq = np.isin(status, [int(code) for code in BLQ_STATUSES]) | zero
    above = status == Status.above_uloq
    quantified = (status == Status.quantified) & ~zero
    height = np.select([quantified, blq, above], [level, lloq, values("uloq")], np.nan)
    height = np.where(height > 0, height, np.nan)
    keep = there & ~out
    return Samples(
        group=group,
        series=series,
        unit=unit_of(dataset, dim, position),
        patients=tuple(str(name) for name in dataset["patient"].values.tolist()),
        time=np.where(there, time, np.nan),
        height=height,
        lloq=np.where(keep & (lloq > 0), lloq, np.nan),
        quantified=keep & quantified,
        blq=keep & blq,
        above=keep & above,
        excluded=out,
        unusable=keep & np.isin(status, [Status.invalid, Status.insufficient_dna]),
    )


def draw_marks(ax: Axes, samples: Samples, patient: int, colour: str, *, size: float = MARK_SIZE) -> set[str]:
    """Draw one patient's samples, each by what is known of it; return the kinds drawn (keys of `LEGEND`)."""
    time, height = samples.time[patient], samples.height[patient]
    placed = np.isfinite(height)
    blq, above = samples.blq[patient], samples.above[patient]
    foot = ax.get_xaxis_transform()
    drawn = set()
    for kind, mask, marker, face, edge in (
        ("quantified", samples.quantified[patient], "o", colour, colour),
        ("blq", blq & placed, "v", "white", colour),
        ("above", above & placed, "^", "white", colour),
        ("excluded", samples.excluded[patient] & placed, "x", colour, LIMIT_COLOUR),
    ):
        if mask.any():
            ax.plot(
                time[mask],
                height[mask],
                marker,
                ms=size + (0.5 if kind in ("blq", "above") else 0),
                mfc=face,
                mec=edge,
                mew=1.0,
                zorder=3,
                clip_on=False,
                gid=f"{kind}-{patient}",
            )
            drawn.add(kind)
    # What has no height stands at the foot or the head of the axes, so that no sample vanishes.
    for kind, mask, marker, at in (
        ("blq_unknown", blq & ~placed, "v", 0.02),
        ("above", above & ~placed, "^", 0.98),
        ("excluded", samples.excluded[patient] & ~placed, "x", 0.02),
        ("unusable", samples.unusable[patient], "|", 0.02),
    ):
        if mask.any():
            edge = colour if kind in ("blq_unknown", "above") else UNKNOWN_COLOUR
            ax.plot(
                time[mask],
                np.full(int(mask.sum()), at),
                marker,
                ms=size + 1,
                mfc="white",
                mec=edge,
                mew=1.0,
                transform=foot,
                zorder=3,
                clip_on=False,
                gid=f"{kind}-{patient}",
            )
            drawn.add(kind)
    return drawn


def draw_line(ax: Axes, samples: Samples, patient: int, colour: str, style: str = "-", alpha: float = 0.8) -> None:
    """Join one patient's samples: a line between two levels, dots where one of the two is only a limit."""
    use = (samples.quantified | samples.blq | samples.above)[patient] & np.isfinite(samples.height[patient])
    order = np.flatnonzero(use)
    order = order[np.argsort(samples.time[patient][order], kind="stable")]
    known = samples.quantified[patient][order]
    time, height = samples.time[patient][order], samples.height[patient][order]
    solid = known[:-1] & known[1:]
    dotted = known[:-1] ^ known[1:]
    for mask, look, weight in ((solid, style, 1.1), (dotted, ":", 0.8)):
        if mask.any():
            # NaN between segments lifts the pen.
            gap = np.full(int(mask.sum()), np.nan)
            x = np.column_stack([time[:-1][mask], time[1:][mask], gap]).ravel()
            y = np.column_stack([height[:-1][mask], height[1:][mask], gap]).ravel()
            ax.plot(x, y, look, color=colour, lw=weight, alpha=alpha, zorder=2)


def draw_lloq(ax: Axes, samples: Samples) -> Any:
    """Draw the median LLOQ as a line and the range of the samples' own as a band; return a legend entry or None."""
    from matplotlib.lines import Line2D

    known = samples.lloq[np.isfinite(samples.lloq)]
    if not known.size:
        return None
    low, middle, high = float(known.min()), float(np.median(known)), float(known.max())
    if high > low:
        ax.axhspan(low, high, color=LIMIT_COLOUR, alpha=0.10, lw=0, zorder=0)
    ax.axhline(middle, color=LIMIT_COLOUR, lw=0.9, ls=(0, (5, 3)), zorder=1, gid="lloq")
    unit = plain(unit_label(samples.unit))
    text = f"LLOQ {middle:.3g} {unit}" if high == low else f"LLOQ, median {middle:.3g} ({low:.3g}–{high:.3g}) {unit}"
    return Line2D([], [], color=LIMIT_COLOUR, lw=0.9, ls=(0, (5, 3)), label=text.strip())


def legend_handles(kinds: set[str]) -> list[Any]:
    """Return legend entries for the kinds of samples that were drawn."""
    from matplotlib.lines import Line2D

    looks = {
        "quantified": ("o", "#444444"),
        "blq": ("v", "white"),
        "blq_unknown": ("v", "white"),
        "above": ("^", "white"),
        "excluded": ("x", "#444444"),
        "unusable": ("|", "#444444"),
    }
    return [
        Line2D([], [], ls="", marker=looks[kind][0], mfc=looks[kind][1], mec="#444444", ms=5, label=LEGEND[kind])
        for kind in LEGEND
        if kind in kinds
    ]
