"""What all figures share: colours, units as a reader writes them, axes, and sentences on empty axes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schema import GROUPS, series_dim

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart; yellow is left out, it is too pale on paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":")
UNKNOWN_COLOUR = "#8C8C8C"
LIMIT_COLOUR = "#6B6B6B"
FIT_COLOUR = "#D55E00"
TERMINAL_COLOUR = "#009E73"
TOBIT_COLOUR = "#CC79A7"
MARK_SIZE = 4.5
_WHAT = {"kinetics": "CAR transgene", "flow": "CAR-positive cells"}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


def plain(text: str) -> str:
    r"""Return a user's text so that matplotlib reads no mathematics in it.

    Examples
    --------
    >>> plain("arm $1$")
    'arm \\$1\\$'
    """
    return text.replace("$", r"\$")


def unit_label(unit: str) -> str:
    """Return a unit as a reader writes it.

    Examples
    --------
    >>> unit_label("day*copies/ug"), unit_label("cells/uL"), unit_label("1")
    ('day·copies/µg', 'cells/µL', '')
    """
    text = unit.replace("ug", "µg").replace("uL", "µL").replace("*", "·").replace("mg/m2", "mg/m²")
    return "" if text == "1" else text


def with_unit(name: str, unit: str) -> str:
    """Return a name with its unit in brackets, where it has one.

    Examples
    --------
    >>> with_unit("CAR transgene", "copies/ug")
    'CAR transgene (copies/µg)'
    """
    label = unit_label(unit)
    return f"{name} ({label})" if label else name


_LABELS = {
    "cmax": "Cmax",
    "tmax": "Tmax",
    "tlast": "Tlast",
    "clast_obs": "Clast",
    "clast_pred": "Clast, predicted",
    "lambda_z": "λz",
    "lambda_z_n_points": "λz points",
    "lambda_z_intercept": "λz intercept",
    "lambda_z_lower": "λz first time",
    "lambda_z_upper": "λz last time",
    "auc_pct_extrap_pred": "AUC extrapolated, predicted",
    "auc_pct_anchor": "AUC before the first sample",
    "half_life": "t½",
    "r_squared": "R²",
    "adj_r_squared": "adjusted R²",
    "auc_inf_obs": "AUCinf",
    "auc_inf_pred": "AUCinf, predicted",
    "auc_pct_extrap_obs": "AUC extrapolated",
    "auc_last": "AUClast",
    "auc_all": "AUCall",
    "auc_last_lower": "AUClast, lower bound",
    "aumc_last": "AUMClast",
    "aumc_all": "AUMCall",
    "aumc_inf_obs": "AUMCinf",
    "aumc_inf_pred": "AUMCinf, predicted",
    "mrt_last": "MRTlast",
    "mrt_inf_obs": "MRTinf",
    "mrt_inf_pred": "MRTinf, predicted",
    "half_life_effective": "t½, effective",
    "cmax_lower": "Cmax, lower bound",
    "cmax_upper": "Cmax, upper bound",
    "tbql": "time to BLQ",
    "tfirst": "first quantified",
    "fold_expansion_lower": "fold expansion over LLOQ",
    "contraction_half_life": "contraction t½",
    "second_peak_time": "time of second peak",
    "trough_time": "time of trough",
    "threshold_time": "threshold reached",
    "threshold_duration": "time above threshold",
    "lambda_z_tobit": "λz, Tobit",
    "half_life_tobit": "t½, Tobit",
    "expansion_rate_tobit": "expansion rate, Tobit",
    "doubling_time_tobit": "doubling time, Tobit",
    "cmax_dn": "Cmax / dose",
    "auc_last_dn": "AUClast / dose",
    "auc_inf_obs_dn": "AUCinf / dose",
}


def parameter_label(name: str) -> str:
    """Return a noncompartmental parameter as the field writes it; other names as they are.

    Examples
    --------
    >>> parameter_label("cmax"), parameter_label("auc_interval 0-28"), parameter_label("span_ratio")
    ('Cmax', 'AUC 0–28 day', 'span ratio')
    >>> parameter_label("auc_interval 0-6 months"), parameter_label("auc_interval_dn 0-inf")
    ('AUC 0–6 months', 'AUC 0–∞ / dose')
    """
    if name.startswith("auc_interval"):
        dose = " / dose" if name.startswith("auc_interval_dn") else ""
        span = name.removeprefix("auc_interval_dn").removeprefix("auc_interval").strip().replace("-", "–")
        # A label may name its unit: "0-6 months".
        unit = "" if span.endswith("inf") or not span[-1:].isdigit() else " day"
        return f"AUC {span.replace('inf', '∞')}{unit}{dose}" if span else f"AUC over the interval{dose}"
    return _LABELS.get(name, name.replace("_", " "))


def level_name(group: str, series: str, unit: str = "") -> str:
    """Return what a group's level is, in words: the transgene (or cells), or the cytokine or count itself."""
    if group in GROUPS and series_dim(group) != "matrix":
        return series
    what = "CAR T cells" if group == "kinetics" and unit.startswith("cells/") else _WHAT.get(group, group)
    return f"{what} in {series}" if series else what


def colour(position: int) -> str:
    """Return the colour of a category by its position."""
    return PALETTE[position % len(PALETTE)]


def line(position: int) -> str:
    """Return the line style of a category by its position: a new one for each round of the colours."""
    return LINES[(position // len(PALETTE)) % len(LINES)]


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw with the package's style, and leave the user's settings as they were."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure in inches: pyplot's own in a notebook, else one that nothing else holds."""
    if _interactive():
        import matplotlib.pyplot as plt

        return plt.figure(figsize=(width, height), layout="constrained")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def axes_or_new(ax: Axes | None, *, width: float = 7.0, height: float = 4.2) -> Axes:
    """Return the axes given, or those of a new figure."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def _interactive() -> bool:
    import matplotlib as mpl

    notebook = sys.modules.get("IPython")
    return mpl.is_interactive() or (notebook is not None and notebook.get_ipython() is not None)


def say(ax: Axes, text: str, *, y: float = 0.5) -> None:
    """Write a sentence across axes that have little or nothing to show."""
    ax.text(0.5, y, text, transform=ax.transAxes, ha="center", va="center", color="#444444", fontsize=9, wrap=True)


def log_limits(values: np.ndarray) -> tuple[float, float] | None:
    """Return limits of a log axis with room around the positive values, None where there are none."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return None
    low, high = float(positive.min()), float(positive.max())
    margin = max((high / low) ** 0.06, 1.3)
    return low / margin, high * margin


def number(value: float) -> str:
    """Return a number to three significant digits, for a figure.

    Examples
    --------
    >>> number(12345.6), number(0.012345), number(2.5e7)
    ('12,300', '0.0123', '2.5e+07')
    """
    if np.isnan(value):
        return "n.c."
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if 1000 <= size < 1e6:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def p_text(p_value: float) -> str:
    """Return a p value as text.

    Examples
    --------
    >>> p_text(0.00004), p_text(0.0312), p_text(float("nan"))
    ('p < 0.001', 'p = 0.031', 'p not calculable')
    """
    if not np.isfinite(p_value):
        return "p not calculable"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def unit_of(dataset: xr.Dataset, series: str, position: int) -> str:
    """Return the unit of one series of profiles."""
    if "unit" in dataset.coords and dataset["unit"].dims == (series,):
        return str(dataset["unit"].values[position])
    return str(dataset["level"].attrs.get("units", ""))
