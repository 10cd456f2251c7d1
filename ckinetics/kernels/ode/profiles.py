"""Whole profiles of any model: phases, events and samples in the order of time, by either method.

A sample at the time of a switch or of an event is taken after it.
"""

from __future__ import annotations

import numpy as np

from ..compiling.jit import call, cold, floats_at, inline, larger, noinline, smaller, wholes_at
from . import rodas5p, tsit5
from .layout import (
    DERIVATIVES,
    ENDP,
    ENDS,
    EVENT_INPUTS,
    EVENT_TIMES,
    EVENT_VALUES,
    FIXED,
    FP,
    FREE,
    HEAD,
    INITIAL,
    INITIAL_SLOPES,
    INPUT_PLACE,
    INPUT_STATE,
    LINEAR,
    MAX_STEPS,
    N_EVENTS,
    N_FREE,
    N_PARAMETERS,
    N_PHASES,
    N_VALUES,
    N_VARYING,
    PATIENT,
    POSITIVE,
    PREPARE,
    RESET,
    RESET_SLOPES,
    RP,
    RTOL,
    SETTINGS,
    STEPS,
    VARYING,
    P,
    V,
    W,
    X,
)
from .solver_codes import MISSING_PARAMETER, NEGATIVE_STATE, NOT_FINITE, SOLVED, STEP_LIMIT, STEP_TOO_SMALL
from .states import change_scales, natural, record, set_state, speeds

# A step so short that a state may rise from 0 on it as it will, over the tolerance and the time to the next sample.
SHORT = 0.1
# The shortest first step over the whole stretch, and any step over the time itself that moves it.
SHORTEST_FIRST, SHORTEST = 1e-10, 1e-14

_begin_stiff, _step_stiff = rodas5p.begin, rodas5p.step
_dense_stiff, _interpolate_stiff = rodas5p.dense, rodas5p.interpolate
_begin, _go_on, _step, _interpolate = tsit5.begin, tsit5.go_on, tsit5.step, tsit5.interpolate


@noinline
def start(states, free, w, v, theta, more, z):
    """Fill parameters, states and ends of phases; return a code."""
    n, m = len(states), v[N_PARAMETERS]
    for k in range(v[N_VALUES]):
        w[v[P] + k] = theta[k]
        if theta[k] != theta[k]:
            return MISSING_PARAMETER
    call(v[SETTINGS], PREPARE, 0, 0.0, w, 0, 0, 0)
    call(v[SETTINGS], INITIAL, 0, 0.0, w, 0, 0, 0)
    if free is not None:
        for k in range(n * m):
            w[v[FP] + k] = 0.0
        for k in range((v[N_PHASES] - 1) * m):
            w[v[ENDP] + k] = 0.0
        call(v[DERIVATIVES], INITIAL_SLOPES, 0, 0.0, w, 0, 0, 0)
        for q in range(v[N_FREE]):
            by = v[FP] + v[v[FREE] + q]
            for i in range(n):
                w[z + n * (q + 1) + i] = w[by + i * m]
    for k in range(v[N_VARYING]):
        w[v[X] + k] = w[more[VARYING] + k]
    for k in range(v[N_PHASES] - 1):
        if w[v[ENDS] + k] != w[v[ENDS] + k]:
            return NOT_FINITE
    for i in range(n):
        if not abs(w[i]) < np.inf:
            return NOT_FINITE
        if v[HEAD + i] != LINEAR and w[i] < 0.0:
            return NEGATIVE_STATE
    for i in range(n):
        set_state(states, free, w, v, z, i, w[i])
    return SOLVED


@cold
def go_to_phase(states, free, w, v, phase, moved_by, t, z, spare):
    """Go to `phase`: states that it gives a new value, and what a later switch changes. Return a code.

    A switch that comes later by dt leaves z changed by (speed before - speed after)*dt. `moved_by` is the phase whose
    end moves the switch, or -1.
    """
    n, m = len(states), v[N_PARAMETERS]
    f, g, rt, r = n, 2 * n, 6 * n, 8 * n + 6 * n * n
    if free is None:
        natural(states, w, v, z)
    else:
        speeds(states, w, v, phase - 1, t, z, g)
        for k in range(n):
            w[rt + k] = 0.0
        for k in range(n * n):
            w[r + k] = 0.0
        for k in range(n * m):
            w[v[RP] + k] = 0.0
        call(v[DERIVATIVES], RESET_SLOPES, phase, t, w, 0, 0, 0)
        for q in range(v[N_FREE]):
            at, by = z + n * (q + 1), v[v[FREE] + q]
            later = w[v[ENDP] + moved_by * m + by] if moved_by >= 0 else 0.0
            for j in range(n):  # derivatives of the natural values at the moved time, just before
                moved = w[at + j] + w[g + j] * later
                w[spare + j] = moved * w[j] if v[HEAD + n + j] else moved
            for i in range(n):
                if v[HEAD + (3 + phase) * n + i]:
                    total = w[v[RP] + i * m + by] + w[rt + i] * later
                    for j in range(n):
                        total += w[r + i * n + j] * w[spare + j]
                    w[at + i] = total
                else:
                    w[at + i] += w[g + i] * later
    call(v[SETTINGS], RESET, phase, t, w, 0, 0, 0)
    for i in range(n):
        if v[HEAD + (3 + phase) * n + i]:
            new = w[f + i]
            if not abs(new) < np.inf or (v[HEAD + i] != LINEAR and new < 0.0):
                return NEGATIVE_STATE
            set_state(states, free, w, v, z, i, new)
    if free is not None and moved_by >= 0:
        speeds(states, w, v, phase, t, z, g)
        for q in range(v[N_FREE]):
            later = w[v[ENDP] + moved_by * m + v[v[FREE] + q]]
            for i in range(n):
                w[z + n * (q + 1) + i] -= w[g + i] * later
    return SOLVED


@cold
def add_dose(states, free, w, v, z, i, amount):
    """Add an amount to a state."""
    n = len(states)
    old = np.exp(w[z + i]) if v[HEAD + n + i] else w[z + i]
    if free is not None and v[HEAD + n + i]:
        for q in range(1, v[N_FREE] + 1):
            w[z + n * q + i] *= old
    set_state(states, free, w, v, z, i, old + amount)


@cold
def take_events(states, free, w, v, more, event, t, z):
    """Give every dose and change of an input up to a time, from this event on; return the next event."""
    first = more[PATIENT] * more[N_EVENTS]
    times, values, inputs = (floats_at(more[EVENT_TIMES]), floats_at(more[EVENT_VALUES]), wholes_at(more[EVENT_INPUTS]))
    while event < more[N_EVENTS] and times[first + event] <= t:
        given, value = inputs[first + event], values[first + event]
        state = v[more[INPUT_STATE] + given]
        if state < 0:
            w[v[X] + v[more[INPUT_PLACE] + given]] = value
        else:
            add_dose(states, free, w, v, z, state, value)
        event += 1
    return event


@cold
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
                for q in range(1, v[N_FREE] + 1):
                    w[z + n * q + i] *= now
    return found


@cold
def first_step(states, w, v, z, rtol, span, t):
    """Return a first step on which no state changes by more than the tolerance allows a method of order 5.

    Next to nothing may change as fast as it will: a first step too long is taken back.
    """
    n = len(states)
    fastest = 0.0
    for i in range(n):
        amount = 1.0 if v[HEAD + n + i] else abs(w[z + i])
        if amount > 0.0:
            fastest = larger(fastest, abs(w[2 * n + i]) / amount)
    if not fastest * span > rtol**0.2:
        return span
    return larger(larger(0.5 * rtol**0.2 / fastest, SHORTEST_FIRST * span), SHORTEST * t)


@noinline
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
            amount = larger(abs(w[z + i]), abs(w[new + i]))
            if v[HEAD + i] == LINEAR:  # it may pass 0: a little of its peak counts too, but of no step taken back
                w[peak + i] = larger(w[peak + i], abs(w[z + i]))
                amount = larger(amount, 1e-6 * w[peak + i])
            elif w[new + i] < 0.0:
                return np.inf
            if short and w[z + i] == 0.0 and error < np.inf:
                continue
            error /= amount + 1e-290
        if not error < np.inf:
            return np.inf
        largest = larger(largest, error / rtol)
    return largest


@inline
def solve_patient(states, stiff, explicit, free, n_times, times, theta, out, grad, more):
    """Solve one patient at times, which ascend; what is not reached is left as it is. Return a code.

    `states` is a tuple with one entry a state; of `stiff` (Rodas5P) and `explicit` (Tsit5) one is True and the other
    None, which the compiler leaves out; `free` is True where there are derivatives, or None.
    """
    w, v = floats_at(more[W]), wholes_at(more[V])
    event_times, first_event, n_events = floats_at(more[EVENT_TIMES]), more[PATIENT] * more[N_EVENTS], more[N_EVENTS]
    rtol, max_steps = w[more[RTOL]], more[MAX_STEPS]
    n = len(states)
    size = n if free is None else n * (v[N_FREE] + 1)
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
    t, phase, moved_by, taken, code = 0.0, 0, -1, 0, SOLVED
    m = event = np.int64(0)  # of a literal, numba would compile those who take it once more
    if n_times > 0:
        code = start(states, free, w, v, theta, more, z)
    while code == SOLVED:
        # What happens now: ends of phases, then events, then samples.
        while code == SOLVED and phase < v[N_PHASES] - 1 and w[v[ENDS] + phase] <= t:
            # A phase that had ended before it began ends with the one before it.
            if w[v[ENDS] + phase] == t and t > 0.0:
                moved_by = phase
            phase += 1
            code = go_to_phase(states, free, w, v, phase, moved_by, t, z, sample)
        if event < n_events:
            event = take_events(states, free, w, v, more, event, t, z)
        while code == SOLVED and m < n_times and times[m] <= t:
            record(states, free, w, v, t, z, more, out, grad, m)
            m += 1
        if m == n_times or code != SOLVED:
            break
        stop = times[n_times - 1]
        if phase < v[N_PHASES] - 1:
            stop = smaller(stop, w[v[ENDS] + phase])
        if event < n_events:
            stop = smaller(stop, event_times[first_event + event])
        for k in range(3 * n, 5 * n):
            w[k] = 0.0
        # Functions of a model leave out what is always 0.
        for k in range(8 * n + 2 * n * n, 8 * n + 7 * n * n + n * n * n):
            w[k] = 0.0
        if free is not None:
            for k in range(v[FP], v[P]):
                w[k] = 0.0
        h, log_old, fresh, rescaled = 0.0, 0.0, True, True
        while t < stop:
            if fresh:
                if explicit is not None:
                    if rescaled:
                        _begin(states, free, w, v, phase, t, z, ks)
                    else:
                        _go_on(states, w, size, ks)
                if stiff is not None:
                    _begin_stiff(states, free, w, v, phase, t, z, size, by_time, couple)
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
                _step(states, free, w, v, phase, t, length, z, size, stage, wrong, ks)
            if stiff is not None:
                regular = _step_stiff(states, free, w, v, phase, t, length, z, size, stage, wrong, by_time, ks, couple)
            if not regular:
                h = 0.25 * length
                continue
            error = _error(states, w, v, z, stage, wrong, rtol, np.bool_(False))
            # Of the time to the next sample, so little may pass unseen.
            if not error <= 1.0 and length <= larger(SHORT * rtol * (smaller(times[m], stop) - t), SHORTEST * t):
                error = _error(states, w, v, z, stage, wrong, rtol, np.bool_(True))
            if not error <= 1.0:
                h = length * (larger(0.2, 0.9 * error**-0.2) if error < np.inf else 0.1)
                continue
            arrived = stop if last_step else t + length
            if times[m] < arrived:
                if stiff is not None:
                    _dense_stiff(w, size, ks, rows)
                while times[m] < arrived:
                    share = (times[m] - t) / length
                    if explicit is not None:
                        _interpolate(w, size, z, length, ks, share, sample)
                    if stiff is not None:
                        _interpolate_stiff(w, size, z, stage, rows, share, sample)
                    record(states, free, w, v, times[m], sample, more, out, grad, m)
                    m += 1
            for i in range(size):
                old = w[z + i]
                w[z + i] = w[stage + i]
                w[stage + i] = old
            t = arrived
            log_error = np.log(larger(error, 1e-8))
            h = length * smaller(8.0, larger(0.2, 0.9 * np.exp(0.08 * log_old - 0.14 * log_error)))
            log_old = log_error
            fresh = True
            rescaled = change_scales(states, free, w, v, z, stage)
    more[STEPS] = taken
    return code
