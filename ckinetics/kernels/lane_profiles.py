"""Whole profiles of several patients side by side, of models with one phase by the implicit method.

Each lane has a patient of its own, with its own time and step; when it is done, the next one takes its place. Whatever
is done once a patient (its start, its samples) is done by the same functions as in `ode_profiles`. A patient in whom
anything out of the ordinary happens is left to those altogether (`AGAIN`): one place deals with it.
"""

from __future__ import annotations

import numpy as np

from . import rodas5p_lanes as method
from .jit import floats_at, inner, jit, outlined, wholes_at
from .lanes import HIGHEST, LANES, absolute, any_of, choose, exponential, lanes_at, logarithm
from .ode_layout import FIXED, HEAD, LANE_W, LINEAR, POSITIVE, P, W, X
from .ode_profiles import (
    SHORT,
    SHORTEST,
    add_dose,
    first_step,
    leave_logarithms,
    start,
)
from .ode_states import LOWEST_LOG, record, speeds
from .rodas5p_lanes import ERROR, ERROR_BEFORE, FAILED, GROWTH, LENGTH, LOGS, NOW, ROWS, SAMPLE, STAGE, WRONG
from .solver_codes import AGAIN, SOLVED

# Beyond this a rate counts as infinite.
_INFINITE = 1e300
_begin, _step, _dense = method.begin, method.step, method.dense


@outlined
def _enter(
    states, lane, row, times, counts, theta, varying, input_state, input_place, event_times, event_inputs,
    event_values, wanted, rtol, w, v, flat, calls, z, single, out,
):  # fmt: skip
    """Start a patient in a lane; return a code, how many samples are done, and the first step."""
    n = len(states)
    for m in range(out.shape[1]):
        for k in range(out.shape[2]):
            out[row, m, k] = np.nan
    count, m, event = counts[row], np.int64(0), 0  # of a literal, numba would compile `record` once more
    if count == 0:
        return SOLVED, count, 0.0
    code = start(states, None, w, v, calls, theta[row], varying, z)
    if code != SOLVED:
        return code, count, 0.0
    while event < event_times.shape[1] and event_times[row, event] <= 0.0:
        given = event_inputs[row, event]
        if input_state[given] < 0:
            w[v[X] + input_place[given]] = event_values[row, event]
        else:
            add_dose(states, None, w, v, z, input_state[given], event_values[row, event])
        event += 1
    if event < event_times.shape[1] and event_times[row, event] <= times[row, count - 1]:
        return AGAIN, count, 0.0
    while m < count and times[row, m] <= 0.0:
        record(states, None, w, v, calls, 0.0, z, wanted, out, None, row, m)
        m += 1
    if m == count:
        return SOLVED, count, 0.0
    stop = times[row, count - 1]
    while True:
        speeds(states, w, v, calls, 0, 0.0, z, 2 * n)
        for i in range(n):
            if not abs(w[2 * n + i]) < _INFINITE:
                return AGAIN, count, 0.0
        if not leave_logarithms(states, None, w, v, z, SHORT * rtol * stop):
            break
    for k in range(v[P], v[FIXED]):
        flat[k * LANES + lane] = w[k]
    for i in range(n):
        flat[(z + i) * LANES + lane] = w[z + i]
        flat[(z + LOGS * n + i) * LANES + lane] = float(v[HEAD + n + i])
        flat[(4 * n + i) * LANES + lane] = 0.0
    flat[(single + ERROR_BEFORE) * LANES + lane] = 0.0
    return SOLVED, m, first_step(states, w, v, z, rtol, stop, 0.0)


@outlined
def _record(states, lane, row, m, t, share, w, v, flat, calls, z, wanted, out):
    """Fill the outputs of a sample after a share of the step of one lane; of a share of 1, at its end."""
    n = len(states)
    for k in range(v[P], v[FIXED]):
        w[k] = flat[k * LANES + lane]
    rest = 1.0 - share
    for i in range(n):
        v[HEAD + n + i] = int(flat[(z + LOGS * n + i) * LANES + lane])
        new = flat[(z + STAGE * n + i) * LANES + lane]
        if share < 1.0:
            at = (z + ROWS * n + i) * LANES + lane
            inside = flat[at] + share * (flat[at + n * LANES] + share * flat[at + 2 * n * LANES])
            new = rest * flat[(z + i) * LANES + lane] + share * (new + rest * inside)
        w[z + SAMPLE * n + i] = new
    record(states, None, w, v, calls, t, z + SAMPLE * n, wanted, out, None, row, m)


@outlined
def _accept(states, lane, v, flat, z):
    """Take the new states of a lane; go to the logarithm of one that has risen from 0. Return False below all logs."""
    n = len(states)
    regular = True
    for i in range(n):
        at = (z + i) * LANES + lane
        log = (z + LOGS * n + i) * LANES + lane
        before, now = flat[at], flat[at + STAGE * n * LANES]
        if v[HEAD + i] == POSITIVE:
            if flat[log] == 0.0 and now > 1e-280 and now - before < 0.7 * now:
                now = np.log(now)
                flat[log] = 1.0
            elif flat[log] == 1.0 and now < LOWEST_LOG:
                regular = False
        flat[at] = now
    return regular


@inner
def _judge(states, w, v, z, rtol, single):
    """Fill ERROR with the largest error of a step over what is tolerated, and GROWTH with what to do about it.

    Infinite where a positive state would fall below 0, or a rate is.
    """
    n = len(states)
    peak, g = 4 * n, 2 * n
    new, wrong, logs = z + STAGE * n, z + WRONG * n, z + LOGS * n
    largest = 0.0 * w[new]
    for i in range(n):
        error = absolute(w[wrong + i])
        if v[HEAD + i] == LINEAR or any_of(w[logs + i] < 1.0):
            amount = choose(absolute(w[z + i]) > absolute(w[new + i]), absolute(w[z + i]), absolute(w[new + i]))
            if v[HEAD + i] == LINEAR:  # it may pass 0: a little of its peak counts too
                w[peak + i] = choose(amount > w[peak + i], amount, w[peak + i])
                amount = choose(amount > 1e-6 * w[peak + i], amount, 1e-6 * w[peak + i])
                error = error / (amount + 1e-290)
            else:
                error = choose(w[logs + i], error, error / (amount + 1e-290))
                error = choose((1.0 - w[logs + i]) * (w[new + i] < 0.0), np.inf, error)
        # Rates that are no numbers make this one none either.
        largest = choose(error <= largest, largest, error) + 0.0 * w[g + i]
        if v[HEAD + i] != LINEAR:
            largest = choose(w[new + i] > HIGHEST * w[logs + i] + (1.0 - w[logs + i]) * _INFINITE, np.inf, largest)
    largest = largest / rtol
    largest = choose(largest < np.inf, largest, np.inf)
    accepted = largest <= 1.0
    log_error = logarithm(choose(largest > 1e-8, largest, 1e-8))
    exponent = choose(accepted, 0.08 * w[single + ERROR_BEFORE] - 0.14 * log_error, -0.2 * log_error)
    growth = 0.9 * exponential(exponent)
    growth = choose(growth > 0.2, growth, 0.2)
    growth = choose(growth < 8.0, growth, 8.0)
    growth = choose(largest < np.inf, growth, 0.1)
    w[single + GROWTH] = choose(w[single + FAILED], 0.25, growth)
    w[single + ERROR] = choose(w[single + FAILED], np.inf, largest)
    w[single + ERROR_BEFORE] = choose(w[single + ERROR] <= 1.0, log_error, w[single + ERROR_BEFORE])


@jit
def lane_profiles(
    states, first, last, times, counts, theta, varying, input_state, input_place, event_times, event_inputs,
    event_values, wanted, rtol, max_steps, calls, whole, book, order, clocks, out, steps, codes,
):  # fmt: skip
    """Solve the rows first to last as `ode_profiles.profiles` does; a code is AGAIN where that is to be asked.

    `book` (3, lane) is for the row of each lane, and the samples and steps it has done; `clocks` (3, lane) for its
    time, next step and last sample; `order` (state, lane) for the order of rows of matrices.
    """
    w, v = floats_at(calls[W]), wholes_at(whole)
    wide, flat = lanes_at(calls[LANE_W]), floats_at(calls[LANE_W])
    n = len(states)
    z = 8 * n + 7 * n * n + n * n * n
    single = z + (LOGS + 1) * n
    rows, done, taken = book[0], book[1], book[2]
    now, longest, stops = clocks[0], clocks[1], clocks[2]
    for lane in range(LANES):
        rows[lane] = -1
    following = first
    while True:
        busy = 0
        for lane in range(LANES):
            while rows[lane] < 0 and following < last:
                row, following = following, following + 1
                code, m, h = _enter(
                    states, lane, row, times, counts, theta, varying, input_state, input_place, event_times,
                    event_inputs, event_values, wanted, rtol, w, v, flat, calls, z, single, out,
                )  # fmt: skip
                steps[row], codes[row] = 0, code
                if code == SOLVED and m < counts[row]:
                    rows[lane], done[lane], taken[lane], now[lane], longest[lane] = row, m, 0, 0.0, h
                    stops[lane] = times[row, counts[row] - 1]
            if rows[lane] >= 0:
                row, t, h, stop = rows[lane], now[lane], longest[lane], stops[lane]
                if taken[lane] >= max_steps or not t + h > t:
                    codes[row] = AGAIN
                    rows[lane] = -1  # its lane stays empty for one step
                    continue
                busy += 1
                flat[(single + NOW) * LANES + lane] = t
                flat[(single + LENGTH) * LANES + lane] = stop - t if t + 1.01 * h >= stop else h
        if busy == 0:
            if following < last:
                continue
            break
        _begin(states, wide, v, calls, z, single)
        _step(states, wide, v, flat, order, calls, z, single)
        _judge(states, wide, v, z, rtol, single)
        interpolates = False
        for lane in range(LANES):
            row = rows[lane]
            if row < 0:
                continue
            taken[lane] += 1
            t, stop, m = now[lane], stops[lane], done[lane]
            length = flat[(single + LENGTH) * LANES + lane]
            next_length = length * flat[(single + GROWTH) * LANES + lane]
            if not flat[(single + ERROR) * LANES + lane] <= 1.0:
                # A step so short may be one on which a state rises from 0.
                short = length <= max(SHORT * rtol * (min(times[row, m], stop) - t), SHORTEST * t)
                if short and flat[(single + FAILED) * LANES + lane] == 0.0:
                    codes[row] = AGAIN
                    rows[lane] = -1
                longest[lane] = next_length
                continue
            arrived = stop if t + 1.01 * longest[lane] >= stop else t + length
            while m < counts[row] and times[row, m] < arrived:
                if not interpolates:
                    _dense(states, wide, z)
                    interpolates = True
                share = (times[row, m] - t) / length
                _record(states, lane, row, m, times[row, m], share, w, v, flat, calls, z, wanted, out)
                m += 1
            while m < counts[row] and times[row, m] <= arrived:
                _record(states, lane, row, m, arrived, 1.0, w, v, flat, calls, z, wanted, out)
                m += 1
            now[lane], done[lane], longest[lane] = arrived, m, next_length
            if m == counts[row]:
                steps[row] = taken[lane]
                rows[lane] = -1
            elif not _accept(states, lane, v, flat, z):
                codes[row] = AGAIN
                rows[lane] = -1
