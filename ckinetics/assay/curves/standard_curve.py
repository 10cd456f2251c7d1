"""Standard curves: least squares of Cq on log10(copies), and copies read back from them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LN10 = math.log(10.0)


@dataclass(frozen=True)
class Curve:
    """A standard curve, ``Cq = intercept + slope * log10(copies)``.

    All numbers are NaN where no line could be fitted; `n_wells`, `n_levels`, `lowest` and `highest` then
    still say what there was. `dispersion` is the factor by which the residuals of a weighted curve exceed the
    variance of its noise model, 1 or more.
    """

    slope: float = math.nan
    intercept: float = math.nan
    r_squared: float = math.nan
    residual_sd: float = math.nan
    slope_se: float = math.nan
    intercept_se: float = math.nan
    slope_intercept_cov: float = math.nan
    n_wells: int = 0
    n_levels: int = 0
    lowest: float = math.nan
    highest: float = math.nan
    log10_mean: float = math.nan
    log10_ss: float = math.nan
    method: str = "ols"
    sd0: float = math.nan
    dispersion: float = 1.0

    @property
    def usable(self) -> bool:
        """Whether copies can be read from it: a line whose Cq falls as copies rise."""
        return self.slope < 0

    @property
    def efficiency(self) -> float:
        """Amplification efficiency in percent, ``10^(-1/slope) - 1``."""
        if not math.isfinite(self.slope) or self.slope == 0:
            return math.nan
        exponent = -1.0 / self.slope
        return (10.0**exponent - 1.0) * 100.0 if exponent < 300 else math.inf

    @property
    def ln_gain(self) -> float:
        """``ln(1 + E)``: how much ln(copies) changes in one cycle."""
        return -LN10 / self.slope

    @property
    def log10_range(self) -> float:
        """Decades that the standards span."""
        return math.log10(self.highest / self.lowest)

    @property
    def fieller_g(self) -> float:
        """Fieller's g of the slope at 95 %: how far the slope's own error bends an interval of copies."""
        if self.n_wells < 3 or self.slope == 0 or not math.isfinite(self.slope_se):
            return math.nan
        return (t_quantile(0.975, self.n_wells - 2) * self.slope_se / self.slope) ** 2

    def copies(self, cq: np.ndarray) -> np.ndarray:
        """Return copies per well by inverse prediction, NaN where the curve is not usable."""
        if not self.usable:
            return np.full(np.shape(cq), np.nan)
        exponent = (np.asarray(cq, dtype=np.float64) - self.intercept) / self.slope
        return np.asarray(10.0 ** np.clip(exponent, -300.0, 300.0))

    def ln_se(self, copies: float) -> float:
        """Return the SE of ln(copies) that comes from the curve itself, by the delta method.

        ``ln(10) (s/|b|) sqrt(1/N + (x - mean(x))^2 / Sxx)`` at ``x = log10(copies)``; it is shared by all
        samples that are read from the curve.
        """
        if not self.usable or not copies > 0:
            return math.nan
        spread = 1.0 / self.n_wells + (math.log10(copies) - self.log10_mean) ** 2 / self.log10_ss
        return LN10 * self.residual_sd / abs(self.slope) * math.sqrt(spread)

    def record(self) -> dict[str, Any]:
        """Return the curve as schema names."""
        names = (
            "slope", "intercept", "r_squared", "efficiency", "residual_sd", "slope_se", "intercept_se",
            "slope_intercept_cov", "n_wells", "n_levels", "lowest", "highest", "log10_mean", "log10_ss",
        )  # fmt: skip
        record: dict[str, Any] = {name: float(getattr(self, name)) for name in names}
        return record | {"method": self.method, "noise_sd0": self.sd0}


def fit_curve(copies: np.ndarray, cq: np.ndarray, /) -> Curve:
    """Fit a standard curve by ordinary least squares on wells, as the vendors do.

    Parameters
    ----------
    copies : array of float
        Nominal copies of each well, positive.
    cq : array of float
        Its Cq.

    Returns
    -------
    Curve
        Standard errors need three wells, a line two levels; what cannot be computed is NaN.

    Notes
    -----
    Slope, intercept, R² and efficiency agree with those printed by QuantStudio software to the last digit.

    Examples
    --------
    >>> curve = fit_curve([1e2, 1e3, 1e4, 1e5], [33.4, 30.0, 26.8, 23.4])
    >>> round(curve.slope, 2), round(curve.efficiency, 1)
    (-3.32, 100.1)
    """
    x = np.log10(np.asarray(copies, dtype=np.float64))
    y = np.asarray(cq, dtype=np.float64)
    levels = np.unique(np.asarray(copies, dtype=np.float64))
    n = len(x)
    counts: dict[str, Any] = {"n_wells": n, "n_levels": len(levels)}
    if n:
        counts |= {"lowest": float(levels[0]), "highest": float(levels[-1])}
    if len(levels) < 2:
        return Curve(**counts)
    mean_x, mean_y = float(x.mean()), float(y.mean())
    sxx = float(((x - mean_x) ** 2).sum())
    sxy = float(((x - mean_x) * (y - mean_y)).sum())
    syy = float(((y - mean_y) ** 2).sum())
    slope = sxy / sxx
    intercept = mean_y - slope * mean_x
    residual = y - intercept - slope * x
    r_squared = sxy**2 / (sxx * syy) if syy > 0 else math.nan
    sd = math.sqrt(float((residual**2).sum()) / (n - 2)) if n > 2 else math.nan
    return Curve(
        slope=slope,
        intercept=intercept,
        r_squared=r_squared,
        residual_sd=sd,
        slope_se=sd / math.sqrt(sxx),
        intercept_se=sd * math.sqrt(1.0 / n + mean_x**2 / sxx),
        slope_intercept_cov=-(sd**2) * mean_x / sxx,
        log10_mean=mean_x,
        log10_ss=sxx,
        **counts,
    )


def fit_weighted_curve(copies: np.ndarray, cq: np.ndarray, /, *, sd0: float) -> Curve:
    """Fit a standard curve with weights that know how many molecules there were.

    The variance of a well's Cq is ``sd0^2 + 1/(ln^2(1+E) copies)``: what the instrument adds, and Poisson. Below
    some 100 copies least squares without weights trusts noisy standards too much. The efficiency in the weights
    is that of the fit, which is repeated until it stays.

    Parameters
    ----------
    copies : array of float
        Nominal copies of each well, positive.
    cq : array of float
        Its Cq.
    sd0 : float
        SD of Cq at high copies; 0 is Poisson alone.

    Returns
    -------
    Curve
        ``method`` is "weighted". Standard errors are those of the weights, made greater where the residuals are
        (by ``max(1, chi^2/(n-2))``), and never smaller. `r_squared` is the weighted one; `residual_sd` and
        `log10_ss` are such that ``residual_sd^2/n_wells`` and ``residual_sd^2/log10_ss`` are the variances of the
        line at `log10_mean` and of its slope, as without weights.

    Notes
    -----
    The noise model was measured on 96 wells a level of a published example (Klymus et al. 2020).

    Examples
    --------
    >>> copies = [10, 10, 1e2, 1e3, 1e4, 1e5]
    >>> curve = fit_weighted_curve(copies, [36.1, 35.1, 33.4, 30.0, 26.8, 23.4], sd0=0.1)
    >>> round(curve.slope, 2), curve.method
    (-3.24, 'weighted')
    """
    x, y = np.log10(np.asarray(copies, dtype=np.float64)), np.asarray(cq, dtype=np.float64)
    plain = fit_curve(copies, cq)
    counts: dict[str, Any] = {name: getattr(plain, name) for name in ("n_wells", "n_levels", "lowest", "highest")}
    counts |= {"method": "weighted", "sd0": float(sd0)}
    slope, n = plain.slope, plain.n_wells
    if plain.n_levels < 2 or not slope < 0:
        return Curve(**counts)  # without an efficiency there are no weights
    for _ in range(100):
        weight = 1.0 / (sd0**2 + (slope / LN10) ** 2 / 10.0**x)
        total = float(weight.sum())
        mean_x, mean_y = float(weight @ x) / total, float(weight @ y) / total
        dx, dy = x - mean_x, y - mean_y
        sxx = float(weight @ dx**2)
        if not sxx > 0:
            return Curve(**counts)  # one level outweighs all others beyond what floating point can hold
        before, slope = slope, float(weight @ (dx * dy)) / sxx
        if not slope < 0:
            return Curve(**counts)
        if abs(slope - before) <= 1e-12 * abs(slope):
            break
    else:
        return Curve(**counts)  # weights and slope find no rest: no line rather than any
    intercept = mean_y - slope * mean_x
    residual = y - intercept - slope * x
    syy = float(weight @ dy**2)
    scale = max(1.0, float(weight @ residual**2) / (n - 2)) if n > 2 else math.nan
    return Curve(
        slope=slope,
        intercept=intercept,
        r_squared=slope**2 * sxx / syy if syy > 0 else math.nan,
        residual_sd=math.sqrt(scale * n / total),
        slope_se=math.sqrt(scale / sxx),
        intercept_se=math.sqrt(scale * (1.0 / total + mean_x**2 / sxx)),
        slope_intercept_cov=-scale * mean_x / sxx,
        log10_mean=mean_x,
        log10_ss=n * sxx / total,
        dispersion=scale,
        **counts,
    )


@functools.lru_cache(maxsize=4096)
def t_quantile(probability: float, df: int) -> float:
    """Return a quantile of Student's t; kept, for plates have few sizes."""
    from scipy.stats import t

    return float(t.ppf(probability, df))


@dataclass(frozen=True)
class Level:
    """One standard level, back-calculated from the curve.

    `copies` is the arithmetic mean of its wells; a level with a well that was not determined is never
    accepted.
    """

    nominal: float
    copies: float
    error_pct: float
    accepted: bool
    wells: tuple[str, ...]


def back_calculate(
    curve: Curve, wells: Sequence[Mapping[str, Any]], *, high: float, lowest_high: float
) -> tuple[Level, ...]:
    """Return the standard levels of a plate, read back from its curve.

    Parameters
    ----------
    curve : Curve
        The curve.
    wells : sequence of mapping
        Standard wells with nominal copies, not omitted.
    high, lowest_high : float
        Greatest relative error in percent of an accepted level, and of the lowest one.
    """
    nominal = sorted({float(well["nominal_copies"]) for well in wells})
    out = []
    for value in nominal:
        own = [well for well in wells if well["nominal_copies"] == value]
        copies = curve.copies(np.array([well["cq"] for well in own], dtype=np.float64))
        mean = float(copies.mean())  # NaN when a well is undetermined
        error = (mean / value - 1.0) * 100.0
        limit = lowest_high if value == nominal[0] else high
        names = tuple(str(well["well_name"]) for well in own)
        out.append(Level(value, mean, error, abs(error) <= limit, names))
    return tuple(out)
