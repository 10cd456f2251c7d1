"""Lines of ln level against time that know BLQ samples as below their LLOQ: maximum likelihood (Tobit).

In the parameters intercept/σ, slope/σ, 1/σ the log-likelihood is concave (Olsen 1978, doi:10.2307/1913082), so that
Newton's method with halved steps finds its one maximum.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiling.jit import inline, jit
from . import codes
from .cells import line_through
from .samples import gather, scratch

(
    RATE,
    INTERCEPT,
    RATE_SE,
    SIGMA,
    N_POINTS,
    N_CENSORED,
    EXPANSION,
    EXPANSION_POINTS,
    EXPANSION_CENSORED,
) = range(9)
N_OUT = 9
_STEPS = 60


@inline
def log_normal_tail(z):
    """Return ln Φ(z) and its derivative φ(z)/Φ(z), also far below zero."""
    if z > -8.0:
        tail = 0.5 * math.erfc(-z / math.sqrt(2.0))
        return math.log(tail), math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / tail
    # Φ(z) = φ(z)·m with m the Mills ratio of -z, by its continued fraction.
    x, ratio = -z, 0.0
    for k in range(40, 0, -1):
        ratio = k / (x + ratio)
    inverse = x + ratio
    return -0.5 * z * z - 0.5 * math.log(2.0 * math.pi) - math.log(inverse), inverse


@inline
def log_likelihood(work, first, last, centre, scale, a, b, theta):
    """Log-likelihood of the samples marked as points or censored, at a line in Olsen's parameters."""
    total = 0.0
    for i in range(first, last + 1):
        kind = work[codes.OWN, i]
        if kind == 0.0:
            continue
        z = theta * work[codes.AT_LOG, i] - a - b * (work[codes.AT_TIME, i] - centre) / scale
        if kind == 1.0:
            total += math.log(theta) - 0.5 * z * z
        else:
            total += log_normal_tail(z)[0]
    return total


@inline
def solve3(h00, h01, h02, h11, h12, h22, g0, g1, g2):
    """Solve a symmetric positive definite system of three by Cholesky; NaN where it is not."""
    l00 = math.sqrt(h00)
    l10, l20 = h01 / l00, h02 / l00
    l11 = math.sqrt(h11 - l10 * l10)
    l21 = (h12 - l20 * l10) / l11
    l22 = math.sqrt(h22 - l20 * l20 - l21 * l21)
    y0 = g0 / l00
    y1 = (g1 - l10 * y0) / l11
    y2 = (g2 - l20 * y0 - l21 * y1) / l22
    x2 = y2 / l22
    x1 = (y1 - l21 * x2) / l11
    return (y0 - l10 * x1 - l20 * x2) / l00, x1, x2


@inline
def censored_line(work, first, last):
    """Fit a line to the samples whose OWN is 1 (quantified) or 2 (below AT_LOG); others are passed over.

    Returns (reason, slope, intercept, standard error of the slope, σ).
    """
    count, mean_t, mean_y, stt, sty, syy = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(first, last + 1):
        if work[codes.OWN, i] == 1.0:
            count += 1
            t, y = work[codes.AT_TIME, i], work[codes.AT_LOG, i]
            dt, dy = t - mean_t, y - mean_y
            mean_t += dt / count
            mean_y += dy / count
            stt += dt * (t - mean_t)
            sty += dt * (y - mean_y)
            syy += dy * (y - mean_y)
    if count < 2:
        return codes.TOO_FEW_POINTS, math.nan, math.nan, math.nan, math.nan
    slope = sty / stt
    rest = max(syy - slope * sty, 0.0)
    exact = count == 2 or rest <= 1e-20 * max(syy, 1e-300)
    against = 0.0
    for i in range(first, last + 1):
        if work[codes.OWN, i] == 2.0:
            over = mean_y + slope * (work[codes.AT_TIME, i] - mean_t) - work[codes.AT_LOG, i]
            against = max(against, over)
    if exact and against <= 0.0:
        return codes.NO_SCATTER, math.nan, math.nan, math.nan, math.nan
    scale = math.sqrt(stt / count)
    sigma = math.sqrt(rest / count) if not exact else max(against, 1e-3)
    theta = 1.0 / sigma
    a, b = mean_y * theta, slope * scale * theta
    value = log_likelihood(work, first, last, mean_t, scale, a, b, theta)
    for _ in range(_STEPS):
        g0, g1, g2 = 0.0, 0.0, 0.0
        h00, h01, h02, h11, h12, h22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(first, last + 1):
            kind = work[codes.OWN, i]
            if kind == 0.0:
                continue
            t, y = (work[codes.AT_TIME, i] - mean_t) / scale, work[codes.AT_LOG, i]
            z = theta * y - a - b * t
            if kind == 1.0:
                slope_z, weight = -z, 1.0
                g2 += 1.0 / theta
                h22 += 1.0 / (theta * theta)
            else:
                _, mills = log_normal_tail(z)
                slope_z, weight = mills, mills * (z + mills)
            g0 -= slope_z
            g1 -= slope_z * t
            g2 += slope_z * y
            h00 += weight
            h01 += weight * t
            h02 -= weight * y
            h11 += weight * t * t
            h12 -= weight * t * y
            h22 += weight * y * y
        d0, d1, d2 = solve3(h00, h01, h02, h11, h12, h22, g0, g1, g2)
        gain = g0 * d0 + g1 * d1 + g2 * d2
        if not gain >= 0.0:
            return codes.NOT_CONVERGED, math.nan, math.nan, math.nan, math.nan
        if gain < 1e-18 * (1.0 + abs(value)):
            # d(b/θ) by the inverse of the information.
            _, u1, u2 = solve3(h00, h01, h02, h11, h12, h22, 0.0, 1.0 / theta, -b / (theta * theta))
            variance = u1 / theta - u2 * b / (theta * theta)
            rate = b / theta / scale
            return codes.COMPUTED, rate, a / theta - rate * mean_t, math.sqrt(variance) / scale, 1.0 / theta
        length = 1.0
        while theta + length * d2 <= 0.0:
            length /= 2.0
        moved = False
        for _ in range(50):
            trial = log_likelihood(
                work, first, last, mean_t, scale, a + length * d0, b + length * d1, theta + length * d2
            )
            if trial >= value - 1e-14 * abs(value):
                moved = True
                break
            length /= 2.0
        if not moved:
            return codes.NOT_CONVERGED, math.nan, math.nan, math.nan, math.nan
        a, b, theta, value = a + length * d0, b + length * d1, theta + length * d2, trial
    return codes.NOT_CONVERGED, math.nan, math.nan, math.nan, math.nan


@inline
def mark_tail(work, n_at, since, chosen):
    """Mark the samples of the terminal line from `since` on; return (points, censored)."""
    points, censored = 0, 0
    for i in range(n_at):
        state, mark = work[codes.AT_STATE, i], work[codes.AT_MARK, i]
        work[codes.OWN, i] = 0.0
        if work[codes.AT_TIME, i] < since or mark == codes.EXCLUDED:
            continue
        if state == codes.QUANTIFIED and (mark == codes.INCLUDED or not chosen):
            work[codes.OWN, i] = 1.0
            points += 1
        elif state == codes.BLQ and not math.isnan(work[codes.AT_LOG, i]):
            work[codes.OWN, i] = 2.0
            censored += 1
    return points, censored


@inline
def mark_rise(work, n_at, since, until):
    """Mark the samples of the expansion up to the first peak; return (points, censored, last place)."""
    points, censored, last = 0, 0, -1
    for i in range(n_at):
        work[codes.OWN, i] = 0.0
        if work[codes.AT_TIME, i] > until:
            break
        last = i
        if work[codes.AT_STATE, i] == codes.QUANTIFIED:
            if work[codes.AT_TIME, i] >= since:
                work[codes.OWN, i] = 1.0
                points += 1
            continue
        before = work[codes.AT_STATE, i] == codes.BLQ and points == 0 and not math.isnan(work[codes.AT_LOG, i])
        if before and work[codes.AT_TIME, i] > 0.0:  # at the infusion itself nothing has grown yet
            work[codes.OWN, i] = 2.0
            censored += 1
    return points, censored, last


@inline
def first_point(work, last):
    """Place of the first sample marked as a point."""
    first = last
    for i in range(last, -1, -1):
        if work[codes.OWN, i] == 1.0:
            first = i
    return first


@inline
def tail_line(rules, work, n_at, lower, tmax, out, why):
    """Terminal line from the first sample of lambda_z, or where there is no lambda_z from the one after Tmax."""
    since, chosen, above = lower, False, -math.inf
    for i in range(n_at):
        chosen = chosen or work[codes.AT_MARK, i] == codes.INCLUDED
        if work[codes.AT_STATE, i] == codes.ABOVE:
            above = work[codes.AT_TIME, i]
    if math.isnan(lower):
        after = above if math.isnan(tmax) else max(tmax, above)
        since = math.nextafter(after, math.inf)
    points, censored = mark_tail(work, n_at, since, chosen)
    out[N_POINTS], out[N_CENSORED] = points, censored
    reason = codes.TOO_FEW_POINTS
    if points >= 2 and points + censored >= rules.minimum:
        reason, slope, intercept, error, sigma = censored_line(work, 0, n_at - 1)
        if reason == codes.COMPUTED and not slope < 0.0:
            reason = codes.NO_DECLINE
        if reason == codes.COMPUTED:
            out[RATE], out[INTERCEPT], out[RATE_SE], out[SIGMA] = -slope, intercept, error, sigma
    for column in (RATE, INTERCEPT, RATE_SE, SIGMA):
        why[column] = reason


@inline
def rise_line(work, n_at, rise_time, peak_time, out, why):
    """Line of the expansion; the ordinary one where no BLQ sample lies before it."""
    points, censored, last = mark_rise(work, n_at, rise_time, peak_time)
    out[EXPANSION_POINTS], out[EXPANSION_CENSORED] = points, censored
    if points < 2:
        why[EXPANSION] = codes.TOO_FEW_POINTS
        return
    if censored == 0:
        reason, slope = codes.COMPUTED, line_through(work, first_point(work, last), last, math.inf)[1]
    else:
        reason, slope, _, _, _ = censored_line(work, 0, last)
    if reason == codes.COMPUTED and not slope > 0.0:
        reason = codes.NO_RISE
    why[EXPANSION] = reason
    if reason == codes.COMPUTED:
        out[EXPANSION] = slope


@jit
def tobit_all(samples, rows, starts, ends, rules, first, last, tmax, lower, rise_time, peak_time, out, why):
    """Fit both lines of the windows from `first` to before `last`; `out`, `why` are (window, column)."""
    work = scratch(samples.time.shape[1])
    for w in range(first, last):
        for column in range(N_OUT):
            out[w, column], why[w, column] = math.nan, codes.COMPUTED
        n_at = gather(samples, rows[w], starts[w], ends[w], False, work)[0]
        levels = False
        for i in range(n_at):
            levels = levels or work[codes.AT_STATE, i] != codes.BLQ
        if not levels:
            for column in range(N_OUT):
                why[w, column] = codes.ALL_BLQ if n_at > 0 else codes.NO_SAMPLE
            continue
        tail_line(rules, work, n_at, lower[w], tmax[w], out[w], why[w])
        if math.isnan(peak_time[w]):
            for column in range(EXPANSION, N_OUT):
                why[w, column] = codes.ABOVE_ULOQ
        else:
            rise_line(work, n_at, rise_time[w], peak_time[w], out[w], why[w])


def empty_tables(windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tables for `tobit_all`."""
    return np.empty((windows, N_OUT)), np.empty((windows, N_OUT), dtype=np.int8)
