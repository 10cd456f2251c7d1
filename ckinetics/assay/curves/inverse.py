"""Inverse prediction: copies with an interval from the mean Cq of a sample's wells."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .standard_curve import LN10, Curve, t_quantile

G_HIGHEST = 0.05


@dataclass(frozen=True)
class Interval:
    """Copies per well with an interval; NaN, with a reason, where there is none."""

    copies: float = math.nan
    low: float = math.nan
    high: float = math.nan
    g: float = math.nan
    reason: str = ""


def inverse_interval(
    curve: Curve, cq_mean: float, n_wells: int, /, *, level: float = 0.95, least_se: float = 0.0
) -> Interval:
    """Read copies back from a standard curve, with Fieller's interval.

    Parameters
    ----------
    curve : Curve
        The curve, of either method.
    cq_mean : float
        Mean Cq of the sample's wells.
    n_wells : int
        How many wells these are.
    level : float
        Confidence of the two-sided interval.
    least_se : float
        Standard error of the mean Cq that the wells have at least, in cycles: what Poisson and their own spread say.

    Returns
    -------
    Interval
        Copies per well (those of the mean Cq, a geometric mean), bounds, and Fieller's g. Above g = 0.05 the slope
        is too uncertain and there is no interval.

    Notes
    -----
    With x = log10(copies), d its distance from the standards' mean, and variances v_w of the mean Cq, v_m of the
    line at the standards' mean, v_b of the slope b::

        x = mean + (d +/- (t/|b|) sqrt((1 - g)(v_w + v_m) + d^2 v_b)) / (1 - g),   g = t^2 v_b / b^2

    The wells' variance is that of the standards' residuals for an unweighted curve; for a weighted one it is that of
    the noise model at the copies read, times the curve's dispersion (standards that scatter more than the model says
    tell of wells that do). The well's and the curve's error are both in it; samples of one plate
    share the latter. (Fieller 1954; formula as in Draper and Smith, Applied Regression Analysis, section 3.2.)

    Examples
    --------
    >>> from ckinetics.assay import fit_curve
    >>> curve = fit_curve([1e2, 1e3, 1e4, 1e5], [33.4, 30.0, 26.8, 23.4])
    >>> found = inverse_interval(curve, 30.1, 3)
    >>> round(found.copies), round(found.low), round(found.high)
    (973, 835, 1129)
    """
    if not curve.usable:
        return Interval(reason="the curve is not usable")
    x0 = float((cq_mean - curve.intercept) / curve.slope)
    if not abs(x0) < 300:
        return Interval(reason="the Cq is no number, or lies absurdly far from the curve")
    if n_wells < 1:
        return Interval(reason="there is no well")
    copies = 10.0**x0
    if curve.n_wells < 3 or not math.isfinite(curve.slope_se):
        return Interval(copies, reason="fewer than three standard wells: the curve's error is unknown")
    t = t_quantile(0.5 + level / 2.0, curve.n_wells - 2)
    g = (t * curve.slope_se / curve.slope) ** 2
    if g > G_HIGHEST:
        return Interval(copies, g=g, reason=f"Fieller's g is {g:.2g}, above {G_HIGHEST:g}: the slope is too uncertain")
    v_line = curve.residual_sd**2 / curve.n_wells
    if curve.method == "weighted":
        v_well = curve.dispersion * (curve.sd0**2 + (curve.slope / LN10) ** 2 / copies) / n_wells
    else:
        v_well = curve.residual_sd**2 / n_wells
    v_well = max(v_well, least_se**2)
    d = x0 - curve.log10_mean
    half = t / abs(curve.slope) * math.sqrt((1.0 - g) * (v_well + v_line) + (d * curve.slope_se) ** 2)
    low, high = ((d + sign * half) / (1.0 - g) + curve.log10_mean for sign in (-1.0, 1.0))
    return Interval(copies, 10.0**low, 10.0 ** min(high, 308.0), g)
