"""The search for one patient's best parameters: damped steps from many starts, kinks, the last digits, the curvature.

Every function takes what `ckinetics.kernels.fit_objective.objective` takes, as one tuple `task`: curve, more, scale,
errors, data, patient, work, and the number of parameters of the curve.
"""

from __future__ import annotations

import numpy as np

from .fit_objective import HIGH, LOW, LOWER, N_SAMPLES, N_TIMES, TRANSFORM, UPPER, objective, start_errors, work_space
from .jit import jit
from .optimise import NONE, damped_step, natural_slope, solve_positive_definite, to_estimation, to_natural

# How near a switch stands to a sample where it stands on it, on the estimation scale.
EDGE = 1e-9
# Starts whose values differ by less than this agree.
SAME = 0.05
# What a step must promise to be taken from any start; only the best start is followed further.
ROUGH = 1e-4


@jit
def evaluate(task, u, gradient, information):
    """Return the objective of a task at u."""
    curve, more, scale, errors, data, patient, work, n_curve = task
    return objective(curve, more, scale, errors, data, patient, u, work, n_curve, gradient, information)


@jit
def minimise(task, u, lower, upper, max_steps, tolerance):
    """Levenberg-Marquardt from u, in place, inside lower and upper; return value, Newton decrement, steps.

    Where lower equals upper a coordinate is held.
    """
    transform, size = task[2][TRANSFORM], len(u)
    gradient, information = np.empty(size), np.empty((size, size))
    new_gradient, new_information = np.empty(size), np.empty((size, size))
    step, trial = np.empty(size), np.empty(size)
    matrix, right, index = np.empty((size, size)), np.empty(size), np.empty(size, np.int64)
    value = evaluate(task, u, gradient, information)
    damping, factor, steps = 1e-2, 2.0, 0
    while steps < max_steps and np.isfinite(value) and damping < 1e12:
        decrease = damped_step(gradient, information, damping, u, lower, upper, transform, step, matrix, right, index)
        if decrease < 0.0:
            damping *= 10.0
            continue
        if decrease < tolerance:
            break
        steps += 1
        for k in range(size):
            trial[k] = u[k] + step[k]
        new = evaluate(task, trial, new_gradient, new_information)
        gain = (value - new) / decrease
        if gain > 1e-4:
            value = new
            for k in range(size):
                u[k] = trial[k]
                gradient[k] = new_gradient[k]
                for j in range(size):
                    information[k, j] = new_information[k, j]
            damping = max(damping * max(0.1, 1.0 - (2.0 * gain - 1.0) ** 3), 1e-9)
            factor = 2.0
        else:
            damping *= factor
            factor *= 2.0
    decrement = damped_step(gradient, information, 1e-9, u, lower, upper, transform, step, matrix, right, index)
    return value, decrement, steps


@jit
def between_samples(task, x):
    """Return the ends of the span between sample times that holds x."""
    data, patient = task[4], task[5]
    before, after = 0.0, np.inf
    for i in range(data.counts[patient, N_TIMES]):
        time = data.times[patient, i]
        if time <= x and time > before:
            before = time
        if time > x and time < after:
            after = time
    return before, after


@jit
def refine_switch(task, best, value, decrement, j, lower, upper, max_steps, tolerance):
    """Fit in the spans between sample times around best[j], in place; return value and decrement.

    The likelihood has a kink where a switch falls on a sample. Inside a span it is smooth, and a minimum on
    a kink is a minimum on the end of both spans that meet there.
    """
    scale, size = task[2], len(best)
    kind, low, high = scale[TRANSFORM, j], scale[LOW, j], scale[HIGH, j]
    span_lower, span_upper, u = lower.copy(), upper.copy(), np.empty(size)
    for _ in range(10):
        x = to_natural(best[j], kind, low, high)
        # A switch that stands on a sample belongs to the spans on both its sides.
        middle_before, middle_after = between_samples(task, x)
        centre, improved = best.copy(), False
        for place in range(-2, 3):
            before, after = middle_before, middle_after
            for _step in range(abs(place)):
                if place < 0:
                    before, after = between_samples(task, before * (1.0 - 1e-6))
                elif np.isfinite(after):
                    before, after = between_samples(task, after)
            span_lower[j], span_upper[j] = lower[j], upper[j]
            if before > low:
                span_lower[j] = max(lower[j], to_estimation(before, kind, low, high) + EDGE)
            if after < high:
                span_upper[j] = min(upper[j], to_estimation(after, kind, low, high) - EDGE)
            if not span_lower[j] < span_upper[j]:
                continue
            for attempt in range(2):
                for k in range(size):
                    u[k] = centre[k]
                u[j] = min(max(centre[j], span_lower[j]), span_upper[j])
                if attempt == 1:
                    reach = min(span_upper[j], span_lower[j] + 2.0)
                    u[j] = 0.5 * (span_lower[j] + reach)
                new, left, _steps = minimise(task, u, span_lower, span_upper, max_steps, tolerance)
                if new < value - 1e-7 or (place == 0 and attempt == 0 and new <= value + 1e-6):
                    improved = improved or new < value - 1e-6
                    value, decrement = new, left
                    for k in range(size):
                        best[k] = u[k]
        if not improved:
            break
    return value, decrement


@jit
def curvature(task, u, margin, hessian):
    """Fill the Hessian at u by central differences of the gradient; margin limits the step of each coordinate."""
    transform, size = task[2][TRANSFORM], len(u)
    up, down, unused, moved = np.empty(size), np.empty(size), np.empty((size, size)), u.copy()
    for k in range(size):
        # Without a transform a coordinate has its natural size.
        size_k = abs(u[k]) if transform[k] == NONE and u[k] != 0.0 else 1.0
        width = min(1e-4 * size_k, 0.4 * margin[k])
        for j in range(size):
            hessian[k, j] = np.nan
        if not width > 1e-8 * size_k:
            continue
        moved[k] = u[k] + width
        evaluate(task, moved, up, unused)
        moved[k] = u[k] - width
        evaluate(task, moved, down, unused)
        moved[k] = u[k]
        for j in range(size):
            hessian[k, j] = (up[j] - down[j]) / (2.0 * width)


@jit
def margins(task, u, lower, upper, switches, margin, kinks):
    """Fill how far each coordinate is from a bound or, of a switch, a sample; and the samples switches stand on."""
    scale, data, patient = task[2], task[4], task[5]
    for k in range(len(u)):
        margin[k] = min(u[k] - lower[k], upper[k] - u[k])
    for w in range(len(switches)):
        j = switches[w]
        kinks[w] = np.nan
        if not lower[j] < upper[j]:  # held there, so the kink does not matter
            continue
        x = to_natural(u[j], scale[TRANSFORM, j], scale[LOW, j], scale[HIGH, j])
        slope = natural_slope(x, scale[TRANSFORM, j], scale[LOW, j], scale[HIGH, j])
        for i in range(data.counts[patient, N_TIMES]):
            apart = abs(x - data.times[patient, i]) / slope
            if apart <= 4.0 * EDGE:
                kinks[w] = data.times[patient, i]
            margin[j] = min(margin[j], apart)


@jit
def polish(task, u, value, decrement, margin, hessian):
    """Take Newton's steps with the exact curvature to the last digits, in place; return value and decrement.

    Damped steps with expected information come near a minimum at the pace of the residuals' size; these are quadratic.
    Coordinates without room to difference (held, at a bound, at a kink) stay.
    """
    size = len(u)
    gradient, unused = np.empty(size), np.empty((size, size))
    matrix, right, index = np.empty((size, size)), np.empty(size), np.empty(size, np.int64)
    trial = u.copy()
    before = np.inf
    for _ in range(12):
        curvature(task, u, margin, hessian)
        evaluate(task, u, gradient, unused)
        n = 0
        for k in range(size):
            if np.isfinite(hessian[k, k]):
                index[n] = k
                n += 1
        for i in range(n):
            right[i] = -gradient[index[i]]
            for j in range(n):
                matrix[i, j] = 0.5 * (hessian[index[i], index[j]] + hessian[index[j], index[i]])
        if n == 0 or not solve_positive_definite(matrix, right, n):
            break
        gain = 0.0
        for i in range(n):
            gain -= 0.5 * right[i] * gradient[index[i]]
            trial[index[i]] = u[index[i]] + right[i]
            if not abs(right[i]) < margin[index[i]]:
                gain = np.nan
        # Below 1e-24 no digit of any parameter moves; a step that promises no less than the last one is rounding.
        if not gain < 0.25 * before or gain > 1e-4 or gain < 1e-24:
            break
        new = evaluate(task, trial, gradient, unused)
        if not new <= value + 1e-9 * (1.0 + abs(value)):
            break
        for k in range(size):
            u[k] = trial[k]
        value, before = min(value, new), gain
        decrement = min(decrement, gain)
    return value, decrement


@jit
def fit_patients(
    curve, more, scale, errors, data, n_curve, switches, first, last, starts, n_starts, start_at_residuals, max_steps,
    tolerance, estimates, values, decrements, kinks, agreeing, hessians,
):  # fmt: skip
    """Fit the patients first to last, each from its own starts, into the last six arrays."""
    size = scale.shape[1]
    work = work_space(scale, errors, data, n_curve)
    u, best, margin = np.empty(size), np.empty(size), np.empty(size)
    for patient in range(first, last):
        if data.counts[patient, N_SAMPLES] == 0:
            continue
        task = (curve, more, scale, errors, data, patient, work, n_curve)
        value, decrement = np.inf, np.inf
        found = np.full(n_starts, np.inf)
        for m in range(n_starts):
            for k in range(size):
                u[k] = starts[patient, m, k]
            if start_at_residuals:
                start_errors(curve, more, scale, errors, data, patient, u, work, n_curve)
            found[m], left, _steps = minimise(task, u, scale[LOWER], scale[UPPER], max_steps, max(tolerance, ROUGH))
            if found[m] < value:
                value, decrement = found[m], left
                for k in range(size):
                    best[k] = u[k]
        if not np.isfinite(value):
            continue
        value, decrement, _steps = minimise(task, best, scale[LOWER], scale[UPPER], max_steps, tolerance)
        for w in range(len(switches)):
            j = switches[w]
            if scale[LOWER, j] < scale[UPPER, j]:
                value, decrement = refine_switch(
                    task, best, value, decrement, j, scale[LOWER], scale[UPPER], max_steps, tolerance
                )
        margins(task, best, scale[LOWER], scale[UPPER], switches, margin, kinks[patient])
        value, decrement = polish(task, best, value, decrement, margin, hessians[patient])
        margins(task, best, scale[LOWER], scale[UPPER], switches, margin, kinks[patient])
        curvature(task, best, margin, hessians[patient])
        for m in range(n_starts):
            agreeing[patient] += found[m] <= value + SAME
        values[patient], decrements[patient] = value, decrement
        for k in range(size):
            estimates[patient, k] = best[k]
