"""Straight lines of ln level against time: the terminal line, and lines over a range of samples."""

from __future__ import annotations

import math

from ..compiling.jit import inline
from . import codes


@inline
def adjusted(r_squared, count):
    """Adjusted R² of a line through `count` points; NaN for two."""
    return 1.0 - (1.0 - r_squared) * (count - 1) / (count - 2) if count > 2 else math.nan


@inline
def terminal_line(rules, work, n, top, chosen):
    """Fit the terminal line by the best adjusted R²; return (reason, first place, rate, intercept, count, R²).

    Windows are the last k measured samples after place `top`. The largest adjusted R² is taken over all windows, or
    with `discard_rising` over those that fall; of the falling windows within the tolerance of it the longest is
    chosen. Samples marked EXCLUDED are passed over; where `chosen` is set, the line goes through those INCLUDED and no
    others.
    """
    count, first, best = 0, -1, -math.inf
    mean_t, mean_y, stt, sty, syy = 0.0, 0.0, 0.0, 0.0, 0.0
    least = 2 if chosen else rules.minimum
    for i in range(n - 1, -1 if chosen else top, -1):
        if work[codes.OWN, i] == 0.0:
            continue
        if rules.by_hand:
            mark = work[codes.MARK, i]
            if mark == codes.EXCLUDED or (chosen and mark != codes.INCLUDED):
                continue
        count += 1
        share = work[codes.INVERSE, count]
        dt, dy = work[codes.T, i] - mean_t, work[codes.Y, i] - mean_y
        mean_t += dt * share
        mean_y += dy * share
        stt += dt * (work[codes.T, i] - mean_t)
        sty += dt * (work[codes.Y, i] - mean_y)
        syy += dy * (work[codes.Y, i] - mean_y)
        if count < least:
            continue
        r2 = min(sty * sty / (stt * syy), 1.0) if syy > 0.0 else 0.0
        fit = 1.0 - (1.0 - r2) * work[codes.ADJUSTMENT, count]
        if fit > best and (sty < 0.0 or not rules.discard_rising):
            best = fit
        work[codes.LINE_FIT, count], work[codes.LINE_STY, count], work[codes.LINE_STT, count] = fit, sty, stt
        work[codes.LINE_TIME, count], work[codes.LINE_LOG, count] = mean_t, mean_y
        work[codes.LINE_R2, count], work[codes.LINE_FIRST, count] = r2, i
    if count < least:
        return codes.TOO_FEW_POINTS, -1, math.nan, math.nan, 0, math.nan
    size = 0
    for k in range(count if chosen else least, count + 1):
        fit = work[codes.LINE_FIT, k]
        # Two points have no adjusted R²: they make a line only where there is no longer window.
        good = chosen or fit > best - rules.tolerance or (k == 2 and best == -math.inf)
        # A line that is flat but for rounding does not decline.
        if work[codes.LINE_STY, k] < 0.0 and work[codes.LINE_R2, k] > 1e-20 and good:
            size = k
    if size == 0:
        return codes.NO_DECLINE, -1, math.nan, math.nan, 0, math.nan
    first, slope = int(work[codes.LINE_FIRST, size]), work[codes.LINE_STY, size] / work[codes.LINE_STT, size]
    intercept = work[codes.LINE_LOG, size] - slope * work[codes.LINE_TIME, size]
    return codes.COMPUTED, first, -slope, intercept, size, work[codes.LINE_R2, size]
