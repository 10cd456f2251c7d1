"""Terminal lines of a noncompartmental analysis in the panels of patients: samples used, lines, and what is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..noncompartmental.flags import FLAGS
from ..noncompartmental.reasons import Reason, sentence
from ..schema import BLQ_STATUSES, Status, series_dim
from .samples import Samples
from .style import TERMINAL_COLOUR, TOBIT_COLOUR, number, unit_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Flags that a figure shows anyway, or that say nothing of the profile's shape, are not written in it.
_WORDS = {
    "peak_at_first": "peak at the first sample",
    "peak_at_last": "peak at the last sample",
    "anchored": "{auc_pct_anchor:.0f} % of AUC before the first sample (limit {anchor_pct:g})",
    "extrapolated": "{auc_pct_extrap_obs:.0f} % extrapolated (limit {extrap_pct:g})",
    "poor_line": "R² {r_squared:.2f} (limit {r_squared_limit:g})",
    "short_span": "span {span_ratio:.2g} half-lives (limit {span_ratio_limit:g})",
    "few_points": "{lambda_z_n_points:.0f} points (limit {n_points:g})",
    "rises_again": "rises again",
    "above_uloq": "above ULOQ: bounds only",
    "manual_line": "samples of the line chosen by hand",
    "embedded_blq": "BLQ between levels",
    "imputed": "levels put in for BLQ",
    "other_infusion": "another infusion inside",
}
LABELS = {
    "line": "terminal line and the samples it used",
    "manual": "terminal line through samples chosen by hand",
    "left": "left out of the line by hand",
    "tobit": "terminal line that knows the BLQ samples (Tobit)",
}


class TerminalLines:
    """The terminal lines of one series of an nca result, by the patients of a figure.

    Parameters
    ----------
    nca : Dataset
        From `nca`; with a dim ``infusion`` each infusion has its line.
    samples : Samples
        The samples that are drawn.

    Raises
    ------
    InputError
        It is no result of `nca`, has no such series, or has further dims of several labels.
    """

    def __init__(self, nca: xr.Dataset, samples: Samples) -> None:
        if not isinstance(nca, xr.Dataset) or "lambda_z_used" not in nca:
            raise InputError("nca= expects the result of nca: it has the variable 'lambda_z_used'")
        self.place = _place(nca, samples)
        self.nca = nca
        self.result = nca.isel(self.place)
        self.at = {str(name): position for position, name in enumerate(self.result["patient"].values.tolist())}
        self.unit = samples.unit or " "
        settings = json.loads(str(nca.attrs.get("settings", "{}")))
        self.limits: dict[str, float] = settings.get("limits", {})
        self.start = float((settings.get("window") or [0.0])[0])
        self.several = self.result.sizes.get("infusion", 1) > 1
        self.drawn: set[str] = set()

    def draw(self, ax: Axes, name: str) -> list[str]:
        """Draw a patient's lines with the samples they used; return what is to be said of them, a sentence each."""
        patient = self.at.get(name)
        if patient is None:
            return ["not in the analysis"]
        words = []
        for label, place, offset in self._parts({"patient": patient}):
            if label and offset > 0:
                ax.axvline(offset, color="#D0D0D0", lw=0.7, zorder=0, gid="infusion")
            words += [f"{label}{text}" for text in self._draw(ax, name, place, offset)]
        return words or ["no infusion on record"]

    def _parts(self, place: dict[str, int]) -> Iterator[tuple[str, dict[str, int], float]]:
        """Yield the place of each of a patient's infusions with the day from which its times count."""
        if "infusion" not in self.result.dims:
            yield "", place, self.start
            return
        for at, time in enumerate(self.result["infusion_time"].isel(place).values.tolist()):
            if np.isfinite(time):
                label = f"infusion {self.result['infusion'].values[at]}: " if self.several else ""
                yield label, {**place, "infusion": at}, float(time)

    def _draw(self, ax: Axes, name: str, place: dict[str, int], offset: float) -> list[str]:
        part = self.result.isel(place)
        codes = dict(zip(part["parameter"].values.tolist(), part["reason_code"].values.tolist(), strict=True))
        self._left_out(ax, part)
        if codes["half_life"] == Reason.computed:
            text = [self._line(ax, name, part, offset)]
        else:
            everywhere = self.place | place
            at = [everywhere[str(dim)] for dim in self.nca["reason_code"].dims if dim != "parameter"]
            why = sentence(self.nca, Reason(codes["half_life"]), *at)
            text = [f"t½ n.c.: {why}".replace(self.unit, unit_label(self.unit))]
        if codes.get("half_life_tobit") == Reason.computed:
            text.append(self._tobit(ax, part, offset))
        if flags := self._flags(part):
            text.append("; ".join(flags))
        return text

    def _line(self, ax: Axes, name: str, part: xr.Dataset, offset: float) -> str:
        used = part["lambda_z_used"].values == 1
        time, level = part["time"].values[used], part["level"].values[used]
        manual = "lambda_z_choice_reason" in part and (part["lambda_z_choice_reason"].values[used] != "").any()
        shape = "s" if manual else "o"
        ax.plot(time, level, shape, ms=8, mfc="none", mec=TERMINAL_COLOUR, mew=1.2, zorder=4, gid=f"lambda_z-{name}")
        _draw_line(ax, part, "lambda_z", time.min(), time.max(), offset, TERMINAL_COLOUR, "--")
        self.drawn.add("manual" if manual else "line")
        fit = float(part["adj_r_squared"])
        adjusted = f", R²adj {fit:.2f}" if np.isfinite(fit) else ""
        return f"t½ {number(float(part['half_life']))} day ({used.sum()} points{adjusted})"

    def _tobit(self, ax: Axes, part: xr.Dataset, offset: float) -> str:
        """Draw the Tobit line from its first quantified sample to its last sample."""
        points, censored = int(part["lambda_z_tobit_n_points"]), int(part["lambda_z_tobit_n_blq"])
        time, status = part["time"].values, part["status"].values
        known = np.flatnonzero((status == Status.quantified) & np.isfinite(part["level"].values))
        first = known[-points] if 0 < points <= len(known) else known[-1]
        blq = np.isin(status, [int(code) for code in BLQ_STATUSES])
        below = np.flatnonzero(blq & (np.arange(len(time)) > first))[:censored]
        last = max(known[-1], below[-1] if len(below) else 0)
        _draw_line(ax, part, "lambda_z_tobit", time[first], time[last], offset, TOBIT_COLOUR, "-.")
        self.drawn.add("tobit")
        value = number(float(part["half_life_tobit"]))
        return f"Tobit t½ {value} day ({points} points, {censored} BLQ)"

    def _left_out(self, ax: Axes, part: xr.Dataset) -> None:
        if "lambda_z_choice_reason" not in part:
            return
        # Where no line was drawn nothing tells the samples that were chosen from those that were left out.
        used = part["lambda_z_used"].values == 1
        left = (part["lambda_z_choice_reason"].values != "") & ~used & np.isfinite(part["level"].values)
        if used.any() and left.any():
            time, level = part["time"].values[left], part["level"].values[left]
            ax.plot(time, level, "x", ms=8, mec=TERMINAL_COLOUR, mew=1.2, zorder=4, gid="left-out")
            self.drawn.add("left")

    def _flags(self, part: xr.Dataset) -> list[str]:
        names = ("auc_pct_anchor", "auc_pct_extrap_obs", "r_squared", "span_ratio", "lambda_z_n_points")
        shown = {name: float(part[name]) for name in names}
        limits = {name: float(self.limits.get(name, np.nan)) for name in ("anchor_pct", "extrap_pct", "n_points")}
        limits |= {f"{name}_limit": float(self.limits.get(name, np.nan)) for name in ("r_squared", "span_ratio")}
        return [_WORDS[name].format(**shown, **limits) for name in _flags_of(part) if name in _WORDS]


def _place(nca: xr.Dataset, samples: Samples) -> dict[str, int]:
    """Return where in a result the series of a figure stands: a position of each leading dim but those of patients."""
    lead = [str(dim) for dim in nca["reason_code"].dims if dim != "parameter"]
    if "patient" not in lead:
        raise InputError("the nca result has no dim 'patient'")
    series = series_dim(samples.group)
    place = {}
    for dim in lead:
        if dim == series:
            labels = [str(label) for label in nca[series].values.tolist()]
            if samples.series not in labels:
                raise InputError(f"the nca result has no {series} '{samples.series}': it has {', '.join(labels)}")
            place[dim] = labels.index(samples.series)
        elif dim not in ("patient", "infusion"):
            if nca.sizes[dim] != 1:
                raise InputError(f"the nca result has {nca.sizes[dim]} labels of '{dim}': select one with .isel()")
            place[dim] = 0
    return place


def _flags_of(part: xr.Dataset) -> list[str]:
    bits = int(part["flags"])
    return [name for bit, name in enumerate(FLAGS) if bits & (1 << bit)]


def _draw_line(
    ax: Axes, part: xr.Dataset, rate: str, first: float, last: float, offset: float, colour: str, style: str
) -> None:
    """Draw a line whose times count from `offset`; a line in ln level is straight on a log axis."""
    ends = np.array([first, last])
    height = np.exp(float(part[f"{rate}_intercept"]) - float(part[rate]) * (ends - offset))
    ax.plot(ends, height, color=colour, lw=1.4, ls=style, zorder=4, gid=f"{rate}-line")


def terminal_handles(drawn: set[str]) -> list[Any]:
    """Return the legend entries of what was drawn."""
    from matplotlib.lines import Line2D

    looks: dict[str, dict[str, Any]] = {
        "line": {"color": TERMINAL_COLOUR, "ls": "--", "marker": "o", "ms": 8},
        "manual": {"color": TERMINAL_COLOUR, "ls": "--", "marker": "s", "ms": 8},
        "left": {"color": TERMINAL_COLOUR, "ls": "", "marker": "x", "ms": 8},
        "tobit": {"color": TOBIT_COLOUR, "ls": "-."},
    }
    return [Line2D([], [], mfc="none", label=LABELS[kind], **looks[kind]) for kind in LABELS if kind in drawn]
