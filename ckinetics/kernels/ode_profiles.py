"""Whole profiles of any model: phases, events and samples in the order of time, by either method.

A sample at the time of a switch or of an event is taken after it.
"""

from __future__ import annotations

import numpy as np

from . import rodas5p, tsit5
from .jit import call, floats_at, jit, outlined, wholes_at
from .ode_layout import (
    DERIVATIVES,
    ENDP,
    ENDS,
    FIXED,
    FP,
    HEAD,
    INITIAL,
    INITIAL_SLOPES,
    LINEAR,
    N_PARAMETERS,
    N_PHASES,
    N_VALUES,
    N_VARYING,
    POSITIVE,
    PREPARE,
    RESET,
    RESET_SLOPES,
    RP,
    SETTINGS,
    P,
    W,
    X,
)
from .ode_states import change_scales, natural, record, set_state, speeds
from .solver_codes import MISSING_PARAMETER, NEGATIVE_STATE, NOT_FINITE, SOLVED, STEP_LIMIT, STEP_TOO_SMALL

# A step so short that a state may rise from 0 on it as it will, over the tolerance and the time to the next sample.
SHORT = 0.1
# The shortest first step over the whole stretch, and any step over the time itself that moves it.
SHORTEST_FIRST, SHORTEST = 1e-10, 1e-14

_begin_stiff, _step_stiff = rodas5p.begin, rodas5p.step
_dense_stiff, _interpolate_stiff = rodas5p.dense, rodas5p.interpolate
_begin, _step, _interpolate = tsit5.begin, tsit5.step, tsit5.interpolate


@outlined
def start(states, free, w, v, calls, theta, varying, z):
    """Fill parameters, states and ends of phases; return a code."""
    n, m = len(states), v[N_PARAMETERS]
    for k in range(v[N_VALUES]):
        w[v[P] + k] = theta[k]
        if np.isnan(theta[k]):
            return MISSING_PARAMETER
    call(calls[SETTINGS], PREPARE, 0, 0.0, calls[W], 0, 0, 0)
    call(calls[SETTINGS], INITIAL, 0, 0.0, calls[W], 0, 0, 0)
    if free is not None:
        for k in range(n * m):
            w[v[FP] + k] = 0.0
        for k in range((v[N_PHASES] - 1) * m):
            w[v[ENDP] + k] = 0.0
        call(calls[DERIVATIVES], INITIAL_SLOPES, 0, 0.0, calls[W], 0, 0, 0)
        for q in range(len(free)):
            for i in range(n):
                w[z + n * (q + 1) + i] = w[v[FP] + i * m + free[q]]
    for k in range(v[N_VARYING]):
        w[v[X] + k] = varying[k]
    for k in range(v[N_PHASES] - 1):
        if np.isnan(w[v[ENDS] + k]):
            return NOT_FINITE
    for i in range(n):
        if not abs(w[i]) < np.inf:
            return NOT_FINITE
        if v[HEAD + i] != LINEAR and w[i] < 0.0:
            return NEGATIVE_STATE
    for i in range(n):
        set_state(states, free, w, v, z, i, w[i])
    return SOLVED


@outlined
def _next_phase(states, free, w, v, calls, phase, moved_by, t, z, spare):
    """Go to `phase`: states that it gives a new value, and what a later switch changes. Return a code.

    A switch that comes later by dt leaves z changed by (speed before - speed after)*dt. `moved_by` is the phase whose
    end moves the switch, or -1.
    """
    n, m = len(states), v[N_PARAMETERS]
    f, g, rt, r = n, 2 * n, 6 * n, 8 * n + 6 * n * n
    if free is None:
        natural(states, w, v, z)
    else:
        speeds(states, w, v, calls, phase - 1, t, z, g)
        for k in range(n):
            w[rt + k] = 0.0
        for k in range(n * n):
            w[r + k] = 0.0
        for k in range(n * m):
            w[v[RP] + k] = 0.0
        call(calls[DERIVATIVES], RESET_SLOPES, phase, t, calls[W], 0, 0, 0)
        for q in range(len(free)):
            at = z + n * (q + 1)
            later = w[v[ENDP] + moved_by * m + free[q]] if moved_by >= 0 else 0.0
            for j in range(n):  # derivatives of the natural values at the moved time, just before
                moved = w[at + j] + w[g + j] * later
                w[spare + j] = moved * w[j] if v[HEAD + n + j] else moved
            for i in range(n):
                if v[HEAD + (3 + phase) * n + i]:
                    total = w[v[RP] + i * m + free[q]] + w[rt + i] * later
                    for j in range(n):
                        total += w[r + i * n + j] * w[spare + j]
                    w[at + i] = total
                else:
                    w[at + i] += w[g + i] * later
    call(calls[SETTINGS], RESET, phase, t, calls[W], 0, 0, 0)
    for i in range(n):
        if v[HEAD + (3 + phase) * n + i]:
            new = w[f + i]
            if not abs(new) < np.inf or (v[HEAD + i] != LINEAR and new < 0.0):
                return NEGATIVE_STATE
            set_state(states, free, w, v, z, i, new)
    if free is not None and moved_by >= 0:
        speeds(states, w, v, calls, phase, t, z, g)
        for q in range(len(free)):
            for i in range(n):
                w[z + n * (q + 1) + i] -= w[g + i] * w[v[ENDP] + moved_by * m + free[q]]
    return SOLVED


@outlined
def add_dose(states, free, w, v, z, i, amount):
    """Add an amount to a state."""
    n = len(states)
    old = np.exp(w[z + i]) if v[HEAD + n + i] else w[z + i]
    if free is not None and v[HEAD + n + i]:
        for q in range(1, len(free) + 1):
            w[z + n * q + i] *= old
    set_state(states, free, w, v, z, i, old + amount)


@outlined
def leave_logarithms(states, free, w, v, z, short):
    """Take states that rise out of next to nothing as they are; return whether there are any.

    What had decayed to 1e-50 before an infusion begins is multiplied by e within a time that cannot be told from none.
    """
    n = len(states)
    found = False
    for i in range(n):
        if v[HEAD + i] == POSITIVE and v[HEAD + n + i] and w[2 * n + i] * short > 1.0:
            now = np.exp(w[z + i])
            w[z + i] = now
            v[HEAD + n + i] = 0
            found = True
            if free is not None:
                for q in range(1, len(free) + 1):
                    w[z + n * q + i] *= now
    return found


@outlined
def first_step(states, w, v, z, rtol, span, t):
    """Return a first step on which no state changes by more than the tolerance allows a method of order 5.

    Next to nothing may change as fast as it will: a first step too long is taken back.
    """
    n = len(states)
    fastest = 0.0
    for i in range(n):
        amount = 1.0 if v[HEAD + n + i] else abs(w[z + i])
        if amount > 0.0:
            fastest = max(fastest, abs(w[2 * n + i]) / amount)
    if not fastest * span > rtol**0.2:
        return span
    return max(0.5 * rtol**0.2 / fastest, SHORTEST_FIRST * span, SHORTEST * t)


@outlined
def _error(states, w, v, z, new, wrong, rtol, short):
    """Return the largest error of a step over what is tolerated; inf where a positive state would fall below 0.

    A state that rises from 0 with a jump or a root has the same relative error after any step: on a `short` one it is
    left out, since what it misses is that of a start moved by less than that.
    """
    n = len(states)
    peak = 4 * n
    largest = 0.0
    for i in range(n):
        error = abs(w[wrong + i])
        if not v[HEAD + n + i]:
            amount = max(abs(w[z + i]), abs(w[new + i]))
            if v[HEAD + i] == LINEAR:  # it may pass 0: a little of its peak counts too
                w[peak + i] = max(w[peak + i], amount)
                amount = max(amount, 1e-6 * w[peak + i])
            elif w[new + i] < 0.0:
                return np.inf
            if short and w[z + i] == 0.0 and error < np.inf:
                continue
            error /= amount + 1e-290
        if not error < np.inf:
            return np.inf
        largest = max(largest, error / rtol)
    return largest


@jit
def profiles(
    states, stiff, explicit, free, first, last, times, counts, theta, varying, input_state, input_place,
    event_times, event_inputs, event_values, wanted, rtol, max_steps, calls, whole, out, grad, steps, codes,
):  # fmt: skip
    """Solve the rows first to last, each at its first counts[row] times, which ascend; what is not reached stays NaN.

    `states` is a tuple with one entry a state; of `stiff` (Rodas5P) and `explicit` (Tsit5) one is True and the other
    None, which the compiler leaves out; `free` holds the parameters to differentiate by, or is None, as `grad` is
    then. `varying` holds the values that inputs start with;
    input_state and input_place say per input to which state its doses go (or -1), or where in X its value lies.
    """
    w, v = floats_at(calls[W]), wholes_at(whole)
    n = len(states)
    size = n if free is None else n * (len(free) + 1)
    # Without derivatives all rows lie where the compiler knows: then it works on several numbers at a time.
    z = 8 * n + 7 * n * n + n * n * n if free is None else v[FIXED]
    stage, wrong, sample, by_time, rows, ks = (
        z + size,
        z + 2 * size,
        z + 3 * size,
        z + 4 * size,
        z + 5 * size,
        z + 8 * size,
    )
    couple = ks + 8 * size
    for row in range(first, last):
        for m in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[row, m, k] = np.nan
                if free is not None:
                    for q in range(len(free)):
                        grad[row, m, k, q] = np.nan
        t, phase, moved_by, event, taken, code = 0.0, 0, -1, 0, 0, SOLVED
        m = np.int64(0)  # of a literal, numba would compile `record` once more
        if counts[row] > 0:
            code = start(states, free, w, v, calls, theta[row], varying, z)
        while code == SOLVED:
            # What happens now: ends of phases, then events, then samples.
            while code == SOLVED and phase < v[N_PHASES] - 1 and w[v[ENDS] + phase] <= t:
                # A phase that had ended before it began ends with the one before it.
                if w[v[ENDS] + phase] == t and t > 0.0:
                    moved_by = phase
                phase += 1
                code = _next_phase(states, free, w, v, calls, phase, moved_by, t, z, sample)
            while event < event_times.shape[1] and event_times[row, event] <= t:
                given = event_inputs[row, event]
                if input_state[given] < 0:
                    w[v[X] + input_place[given]] = event_values[row, event]
                else:
                    add_dose(states, free, w, v, z, input_state[given], event_values[row, event])
                event += 1
            while code == SOLVED and m < counts[row] and times[row, m] <= t:
                record(states, free, w, v, calls, t, z, wanted, out, grad, row, m)
                m += 1
            if m == counts[row] or code != SOLVED:
                break
            stop = times[row, counts[row] - 1]
            if phase < v[N_PHASES] - 1:
                stop = min(stop, w[v[ENDS] + phase])
            if event < event_times.shape[1]:
                stop = min(stop, event_times[row, event])
            for k in range(3 * n, 5 * n):
                w[k] = 0.0
            # Functions of a model leave out what is always 0.
            for k in range(8 * n + 2 * n * n, 8 * n + 7 * n * n + n * n * n):
                w[k] = 0.0
            if free is not None:
                for k in range(v[FP], v[P]):
                    w[k] = 0.0
            h, log_old, fresh = 0.0, 0.0, True
            while t < stop:
                if fresh:
                    if explicit is not None:
                        _begin(states, free, w, v, calls, phase, t, z, ks)
                    if stiff is not None:
                        _begin_stiff(states, free, w, v, calls, phase, t, z, size, by_time, couple)
                    for i in range(n):
                        if not abs(w[2 * n + i]) < 1e300:
                            code = NOT_FINITE
                        elif v[HEAD + i] == POSITIVE and v[HEAD + n + i] == 0 and w[z + i] == 0.0 > w[2 * n + i]:
                            code = NEGATIVE_STATE
                    if code == SOLVED and h == 0.0:
                        if leave_logarithms(states, free, w, v, z, SHORT * rtol * (stop - t)):
                            continue
                        h = first_step(states, w, v, z, rtol, stop - t, t)
                    fresh = False
                if taken >= max_steps:
                    code = STEP_LIMIT
                elif code == SOLVED and not t + h > t:
                    code = STEP_TOO_SMALL
                if code != SOLVED:
                    break
                taken += 1
                last_step = t + 1.01 * h >= stop
                length = stop - t if last_step else h
                regular = True
                if explicit is not None:
                    _step(states, free, w, v, calls, phase, t, length, z, size, stage, wrong, ks)
                if stiff is not None:
                    regular = _step_stiff(
                        states, free, w, v, calls, phase, t, length, z, size, stage, wrong, by_time, ks, couple
                    )
                if not regular:
                    h = 0.25 * length
                    continue
                error = _error(states, w, v, z, stage, wrong, rtol, np.bool_(False))
                # Of the time to the next sample, so little may pass unseen.
                if not error <= 1.0 and length <= max(SHORT * rtol * (min(times[row, m], stop) - t), SHORTEST * t):
                    error = _error(states, w, v, z, stage, wrong, rtol, np.bool_(True))
                if not error <= 1.0:
                    h = length * (max(0.2, 0.9 * error**-0.2) if error < np.inf else 0.1)
                    continue
                arrived = stop if last_step else t + length
                if times[row, m] < arrived:
                    if stiff is not None:
                        _dense_stiff(w, size, ks, rows)
                    while times[row, m] < arrived:
                        share = (times[row, m] - t) / length
                        if explicit is not None:
                            _interpolate(w, size, z, length, ks, share, sample)
                        if stiff is not None:
                            _interpolate_stiff(w, size, z, stage, rows, share, sample)
                        record(states, free, w, v, calls, times[row, m], sample, wanted, out, grad, row, m)
                        m += 1
                for i in range(size):
                    old = w[z + i]
                    w[z + i] = w[stage + i]
                    w[stage + i] = old
                t = arrived
                log_error = np.log(max(error, 1e-8))
                h = length * min(8.0, max(0.2, 0.9 * np.exp(0.08 * log_old - 0.14 * log_error)))
                log_old = log_error
                fresh = True
                change_scales(states, free, w, v, z, stage)
        steps[row], codes[row] = taken, code
