"""The search for one patient's best parameters: damped steps from many starts, kinks, the last digits, the curvature.

Every function takes what `ckinetics.kernels.fit.objective.objective` takes, as one tuple `task`: curve, more, scale,
errors, data, patient, work, and the number of parameters of the curve.
"""

from __future__ import annotations

import numpy as np

from ..compiling.jit import allocating, jit, noinline
from .objective import (
    HIGH,
    LOW,
    LOWER,
    MEAN,
    N_SAMPLES,
    N_TIMES,
    TRANSFORM,
    UPPER,
    objective,
    residual_rows,
    start_errors,
    work_space,
)
from .optimise import (
    NONE,
    damped_step,
    natural_slope,
    solve_least_squares,
    solve_positive_definite,
    to_estimation,
    to_natural,
)

# How near a switch stands to a sample where it stands on it, on the estimation scale.
EDGE = 1e-9
# Starts whose values differ by less than this agree.
SAME = 0.05
# A step below this share of every parameter moves nothing.
STILL = 1e-9
# What a step must promise to be taken from any start; only the best start is followed further.
ROUGH = 1e-4
LONGER = 10


@noinline
def evaluate(task, u, settle, lower, upper, gradient, information):
    """Return the objective of a task at u."""
    curve, more, scale, errors, data, patient, work, n_curve = task
    return objective(
        curve, more, scale, errors, data, patient, u, work, n_curve, settle, lower, upper, gradient, information
    )


@noinline
def natural_size(transform, x):
    """Return the unit in which a coordinate's steps are judged: without a transform it has its natural size."""
    return abs(x) if transform == NONE and x != 0.0 else 1.0


@allocating
def minimise(task, u, lower, upper, max_steps, tolerance):
    """Levenberg-Marquardt from u, in place, inside lower and upper; return value, Newton decrement, steps.

    Where lower equals upper a coordinate is held.
    """
    transform, size = task[2][TRANSFORM], len(u)
    gradient, information = np.empty(size), np.empty((size, size))
    new_gradient, new_information = np.empty(size), np.empty((size, size))
    step, trial = np.empty(size), np.empty(size)
    matrix, right, index = np.empty((size, size)), np.empty(size), np.empty(size, np.int64)
    value = evaluate(task, u, True, lower, upper, gradient, information)
    scaling = np.zeros(size)
    damping, factor, steps = 1e-2, 2.0, 0
    while steps < max_steps and np.isfinite(value) and damping < 1e12:
        decrease = damped_step(
            gradient, information, damping, u, lower, upper, transform, step, matrix, right, index, scaling
        )
        if decrease < 0.0:
            damping *= 10.0
            continue
        if decrease < tolerance:
            break
        steps += 1
        for k in range(size):
            trial[k] = u[k] + step[k]
        new = evaluate(task, trial, True, lower, upper, new_gradient, new_information)
        gain = (value - new) / decrease
        if gain > 1e-4:
            value = new
            for k in range(size):
                u[k] = trial[k]
                gradient[k] = new_gradient[k]
                for j in range(size):
                    information[k, j] = new_information[k, j]
            damping = max(damping * max(0.1, 1.0 - (2.0 * gain - 1.0) ** 3), 1e-14)
            factor = 2.0
        else:
            damping *= factor
            factor *= 2.0
    scaling[:] = 0.0
    decrement = damped_step(
        gradient, information, 1e-9, u, lower, upper, transform, step, matrix, right, index, scaling
    )
    # Where residuals are rounding alone, the likelihood shakes, but a step that moves nothing is no step.
    moves = False
    for k in range(size):
        moves = moves or not abs(step[k]) <= STILL * natural_size(transform[k], u[k])
    return value, decrement if moves else 0.0, steps


@noinline
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


@allocating
def refine_switch(task, best, value, decrement, j, lower, upper, max_steps, tolerance, reach, thorough):
    """Fit in the spans between sample times around best[j], `reach` on each side, in place; return value and decrement.

    Each span is searched from where the others stand; with `thorough`, also from its middle, and round after round
    until nothing gets better.

    The likelihood has a kink where a switch falls on a sample. Inside a span it is smooth, and a minimum on
    a kink is a minimum on the end of both spans that meet there.
    """
    scale, size = task[2], len(best)
    kind, low, high = scale[TRANSFORM, j], scale[LOW, j], scale[HIGH, j]
    span_lower, span_upper, u = lower.copy(), upper.copy(), np.empty(size)
    for _ in range(10 if thorough else 1):
        x = to_natural(best[j], kind, low, high)
        # A switch that stands on a sample belongs to the spans on both its sides.
        middle_before, middle_after = between_samples(task, x)
        centre, improved = best.copy(), False
        for place in range(-reach, reach + 1):
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
            for attempt in range(2 if thorough else 1):
                for k in range(size):
                    u[k] = centre[k]
                u[j] = min(max(centre[j], span_lower[j]), span_upper[j])
                if attempt == 1:
                    u[j] = 0.5 * (span_lower[j] + min(span_upper[j], span_lower[j] + 2.0))
                new, left, _steps = minimise(task, u, span_lower, span_upper, max_steps, max(tolerance, 1e-6))
                if new < value - 1e-5:
                    new, left, _steps = minimise(task, u, span_lower, span_upper, max_steps, tolerance)
                if new < value - 1e-7 or (place == 0 and attempt == 0 and new <= value + 1e-6):
                    improved = improved or new < value - 1e-6
                    value, decrement = new, left
                    for k in range(size):
                        best[k] = u[k]
        if not improved:
            break
    return value, decrement


@allocating
def curvature(task, u, margin, hessian):
    """Fill the Hessian at u by central differences of the gradient; margin limits the step of each coordinate."""
    transform, size = task[2][TRANSFORM], len(u)
    up, down, unused, moved = np.empty(size), np.empty(size), np.empty((size, size)), u.copy()
    evaluate(task, u, False, u, u, up, unused)
    sharpness = np.empty(size)
    for k in range(size):
        sharpness[k] = np.sqrt(unused[k, k])
    for k in range(size):
        size_k = natural_size(transform[k], u[k])
        if transform[k] == NONE and sharpness[k] > 0.0:
            # Near 0 a value has the size of its rounding: its error counts, or the size of the file's value if less.
            size_k = max(size_k, min(1.0 / sharpness[k], abs(task[2][MEAN, k])))
        # In a narrow valley the likelihood bends within less than that.
        width = min(1e-4 * size_k, 0.4 * margin[k], 1e-2 / sharpness[k])
        for j in range(size):
            hessian[k, j] = np.nan
        if not width > min(1e-8 * size_k, 1e-4 / sharpness[k]):
            continue
        moved[k] = u[k] + width
        evaluate(task, moved, False, u, u, up, unused)
        moved[k] = u[k] - width
        evaluate(task, moved, False, u, u, down, unused)
        moved[k] = u[k]
        for j in range(size):
            hessian[k, j] = (up[j] - down[j]) / (2.0 * width)


@noinline
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


@allocating
def last_digits(task, u, value, margin):
    """Take Gauss-Newton steps by orthogonal factors, in place, where there are residuals alone; return the value.

    Products of a Jacobian with itself lose half of the digits of nearly dependent parameters; factors do not.
    """
    scale, data, patient = task[2], task[4], task[5]
    size, samples = len(u), data.counts[patient, N_SAMPLES]
    gradient, unused = np.empty(size), np.empty((size, size))
    rows, right, index = np.empty((samples, size)), np.empty(samples), np.empty(size, np.int64)
    trial, before = u.copy(), np.inf
    n = 0
    for k in range(task[7]):
        if scale[LOWER, k] < scale[UPPER, k] and margin[k] > 0.0:
            index[n] = k
            n += 1
    if n == 0 or samples < n:
        return value
    for _ in range(30):
        if not np.isfinite(evaluate(task, u, True, scale[LOWER], scale[UPPER], gradient, unused)):
            break
        if not residual_rows(task[2], task[3], data, patient, u, task[6], task[7], index[:n], rows, right):
            break
        if not solve_least_squares(rows, right, n):
            break
        length = 0.0
        for k in range(size):
            trial[k] = u[k]
        for i in range(n):
            trial[index[i]] += right[i]
            length = max(length, abs(right[i]) / natural_size(scale[TRANSFORM, index[i]], u[index[i]]))
            if not abs(right[i]) < margin[index[i]]:
                length = np.inf
        if not length < min(0.5 * before, 1e-2):
            break
        new = evaluate(task, trial, True, scale[LOWER], scale[UPPER], gradient, unused)
        if not new <= value + 1e-6:
            break
        for k in range(size):
            u[k] = trial[k]
        value, before = min(value, new), length
    return value


@allocating
def polish(task, u, value, decrement, margin, hessian):
    """Take Newton's steps with the exact curvature to the last digits, in place; return value and decrement.

    `hessian` is filled with the curvature where the search ends.

    Damped steps with expected information come near a minimum at the pace of the residuals' size; these are quadratic.
    Coordinates without room to difference (held, at a bound, at a kink) stay.
    """
    size = len(u)
    gradient, unused = np.empty(size), np.empty((size, size))
    matrix, right, index = np.empty((size, size)), np.empty(size), np.empty(size, np.int64)
    trial = u.copy()
    before = np.inf
    curvature(task, u, margin, hessian)
    for _ in range(12):
        evaluate(task, u, False, u, u, gradient, unused)
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
        new = evaluate(task, trial, False, u, u, gradient, unused)
        if not new <= value + 1e-9 * (1.0 + abs(value)):
            break
        for k in range(size):
            u[k] = trial[k]
        value, before = min(value, new), gain
        decrement = min(decrement, gain)
        curvature(task, u, margin, hessian)
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
        value, decrement, _steps = minimise(task, best, scale[LOWER], scale[UPPER], LONGER * max_steps, tolerance)
        for w in range(len(switches)):
            j = switches[w]
            if scale[LOWER, j] < scale[UPPER, j]:
                value, decrement = refine_switch(
                    task, best, value, decrement, j, scale[LOWER], scale[UPPER], max_steps, tolerance, 2, True
                )
        margins(task, best, scale[LOWER], scale[UPPER], switches, margin, kinks[patient])
        value = last_digits(task, best, value, margin)
        value, decrement = polish(task, best, value, decrement, margin, hessians[patient])
        margins(task, best, scale[LOWER], scale[UPPER], switches, margin, kinks[patient])
        for m in range(n_starts):
            agreeing[patient] += found[m] <= value + SAME
        values[patient], decrements[patient] = value, decrement
        for k in range(size):
            estimates[patient, k] = best[k]
