"""Profile likelihood of one patient: one parameter held, the others fitted, on both sides of the estimate."""

from __future__ import annotations

import numpy as np

from ..compiling.jit import allocating, jit, noinline
from .objective import LOWER, N_SAMPLES, UPPER, work_space
from .search import minimise, refine_switch

# The limit is found when the rise is within this share of what is allowed.
CLOSE = 1e-3


@noinline
def _held_at(task, u, j, value, lower, upper, switches, max_steps, tolerance):
    """Fit all parameters but j from u, in place, with j held; return −log-likelihood."""
    u[j] = value
    lower[j], upper[j] = value, value
    best, left, _steps = minimise(task, u, lower, upper, max_steps, tolerance)
    for w in range(len(switches)):
        k = switches[w]
        if lower[k] < upper[k] and np.isfinite(best):
            best, left = refine_switch(task, u, best, left, k, lower, upper, max_steps, tolerance, 1, False)
    return best


@allocating
def _one_side(task, estimate, value, j, side, se, allowed, switches, max_steps, tolerance, us, rises):
    """Follow the profile of parameter j to where it has risen by `allowed`; return the limit."""
    scale = task[2]
    size = len(estimate)
    lower, upper = scale[LOWER].copy(), scale[UPPER].copy()
    bound = scale[UPPER, j] if side > 0 else scale[LOWER, j]
    inside_u, inside = estimate.copy(), 0.0  # the furthest point that has not risen enough
    outside_at, outside = np.nan, np.nan
    step = se * np.sqrt(2.0 * allowed) * 0.5
    trial = np.empty(size)
    for m in range(len(us)):
        if np.isnan(outside_at):
            at = inside_u[j] + side * step
            if side * (bound - at) <= 0.0:
                at = bound
        else:
            # The root of the rise is nearly straight: a secant, kept away from the ends.
            a, b, c = np.sqrt(max(inside, 0.0)), np.sqrt(outside), np.sqrt(allowed)
            share = min(max((c - a) / (b - a), 0.05), 0.95) if outside < np.inf else 0.5
            at = inside_u[j] + share * (outside_at - inside_u[j])
        for k in range(size):
            trial[k] = inside_u[k]
        risen = _held_at(task, trial, j, at, lower, upper, switches, max_steps, tolerance) - value
        us[m], rises[m] = at, risen
        if risen <= allowed:
            growth = 2.0 if risen < 0.25 * allowed else 1.3
            step = max(abs(at - inside_u[j]), 1e-12) * growth
            inside = risen
            for k in range(size):
                inside_u[k] = trial[k]
            if at == bound:
                return bound
        else:
            outside_at, outside = at, risen
        if abs(risen - allowed) <= CLOSE * allowed:
            return at
        if abs(outside_at - inside_u[j]) < 1e-7 * (1.0 + abs(outside_at)):
            return outside_at
    return outside_at if not np.isnan(outside_at) else side * np.inf


@jit
def profile_patients(
    curve, more, scale, errors, data, n_curve, switches, first, last, estimates, values, se, allowed, max_steps,
    tolerance, lower, upper, us, rises,
):  # fmt: skip
    """Profile every free parameter of the patients first to last, into the last four arrays."""
    size = scale.shape[1]
    work = work_space(scale, errors, data, n_curve)
    side = us.shape[2] // 2
    for patient in range(first, last):
        if data.counts[patient, N_SAMPLES] == 0:
            continue
        task = (curve, more, scale, errors, data, patient, work, n_curve)
        for j in range(size):
            if not scale[LOWER, j] < scale[UPPER, j]:
                continue
            us[patient, j, side], rises[patient, j, side] = estimates[patient, j], 0.0
            lower[patient, j] = _one_side(
                task, estimates[patient], values[patient], j, -1.0, se[patient, j], allowed[patient], switches,
                max_steps, tolerance, us[patient, j, :side], rises[patient, j, :side],
            )  # fmt: skip
            upper[patient, j] = _one_side(
                task, estimates[patient], values[patient], j, 1.0, se[patient, j], allowed[patient], switches,
                max_steps, tolerance, us[patient, j, side + 1 :], rises[patient, j, side + 1 :],
            )  # fmt: skip
