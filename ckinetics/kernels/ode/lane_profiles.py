"""Whole profiles of several patients side by side, by the implicit method.

Each lane has a patient of its own, with its own time and step; when it is done, the next one takes its place. All lanes
are in one phase of the model: who comes to its end waits until everybody has, and what is to be known of him stands in
`more[KEPT]`. Whatever is done once a patient and phase (its start, its samples) is done by the same functions as in
`ode_profiles`. A patient in whom anything out of the ordinary happens is left to those altogether (`AGAIN`): one place
deals with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from ..compiling.jit import behind, floats_at, inline, larger, noinline, smaller, wholes_at
from . import rodas5p_lanes as method
from .lanes import HIGHEST, LANES, absolute, any_of, choose, exponential, lanes_at, logarithm
from .layout import (
    BOOK,
    CLOCKS,
    CODES,
    COUNTS,
    ENDS,
    EVENT_TIMES,
    FIXED,
    HEAD,
    KEPT,
    LANE_W,
    LINEAR,
    MAX_STEPS,
    N_EVENTS,
    N_OUTPUTS,
    N_PHASES,
    N_SAMPLES,
    N_VALUES_GIVEN,
    ORDER,
    PATIENT,
    POSITIVE,
    RTOL,
    TAKEN,
    P,
    V,
    W,
)
from .profiles import SHORT, SHORTEST, first_step, go_to_phase, leave_logarithms, start, take_events
from .rodas5p_lanes import ERROR, ERROR_BEFORE, FAILED, GROWTH, LENGTH, LOGS, NOW, ROWS, SAMPLE, STAGE, WRONG
from .solver_codes import AGAIN, SOLVED
from .states import LOWEST_LOG, record, speeds

# Beyond this a rate counts as infinite.
_INFINITE = 1e300
_begin, _step, _dense = method.begin, method.step, method.dense


# What is kept of a patient: the phase it enters next and the one it was in, time, samples and steps done; behind those
# its states, and for each whether it is a logarithm.
_NEXT, _BEFORE, _TIME, _DONE, _STEPS, KEPT_FIRST = range(6)


@noinline
def _keep(states, kept, following, before, t, m, taken, numbers, logs, stride):
    """Keep a patient until everybody enters the phase that follows: its states and logs stand `stride` apart."""
    n = len(states)
    kept[_NEXT], kept[_BEFORE], kept[_TIME], kept[_DONE], kept[_STEPS] = following, before, t, m, taken
    for i in range(n):
        kept[KEPT_FIRST + i] = numbers[i * stride]
        kept[KEPT_FIRST + n + i] = logs[i * stride]


@noinline
def _enter(states, phase, lane, count, times, theta, out, kept, more, rtol, w, v, flat, z, single):
    """Start a patient's phase in a lane, or keep it for a later one; return a code and the first step."""
    n = len(states)
    code = start(states, None, w, v, theta, more, z)
    if code != SOLVED:
        return code, 0.0
    t, m, now = kept[_TIME], np.int64(kept[_DONE]), np.int64(kept[_BEFORE])
    if t > 0.0:
        # What its inputs were at the start they still are; doses that it was given then are in its states.
        take_events(states, None, w, v, more, np.int64(0), 0.0, z)
        for i in range(n):
            w[z + i] = kept[KEPT_FIRST + i]
            v[HEAD + n + i] = np.int64(kept[KEPT_FIRST + n + i])
    while now < v[N_PHASES] - 1 and w[v[ENDS] + now] <= t:
        now += 1
        if go_to_phase(states, None, w, v, now, -1, t, z, z + n) != SOLVED:
            return AGAIN, 0.0
    if t == 0.0:
        event = take_events(states, None, w, v, more, np.int64(0), 0.0, z)
        times_of_events = behind(floats_at(more[EVENT_TIMES]), more[PATIENT] * more[N_EVENTS])
        if event < more[N_EVENTS] and times_of_events[event] <= times[count - 1]:
            return AGAIN, 0.0
    while m < count and times[m] <= t:
        record(states, None, w, v, t, z, more, out, out, m)
        m += 1
    kept[_DONE] = m
    if m == count:
        return SOLVED, 0.0
    stop = times[count - 1]
    if now < v[N_PHASES] - 1:
        stop = smaller(stop, w[v[ENDS] + now])
    if now > phase:  # this one had ended before it began
        for i in range(n):
            w[z + n + i] = float(v[HEAD + n + i])
        before = now if t > 0.0 else np.int64(0)  # what happens at the start is done again
        _keep(states, kept, now, before, t, m, np.int64(kept[_STEPS]), behind(w, z), behind(w, z + n), 1)
        return SOLVED, 0.0
    while True:
        speeds(states, w, v, phase, t, z, 2 * n)
        for i in range(n):
            if not abs(w[2 * n + i]) < _INFINITE:
                return AGAIN, 0.0
        if not leave_logarithms(states, None, w, v, z, SHORT * rtol * (stop - t)):
            break
    for k in range(v[P], v[FIXED]):
        flat[k * LANES + lane] = w[k]
    for i in range(n):
        flat[(z + i) * LANES + lane] = w[z + i]
        flat[(z + LOGS * n + i) * LANES + lane] = float(v[HEAD + n + i])
        flat[(4 * n + i) * LANES + lane] = 0.0
    flat[(single + ERROR_BEFORE) * LANES + lane] = 0.0
    return SOLVED, first_step(states, w, v, z, rtol, stop - t, t)


@noinline
def _record(states, lane, m, t, share, w, v, flat, z, more, out):
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
    record(states, None, w, v, t, z + SAMPLE * n, more, out, out, m)


@noinline
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


@inline
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
            if v[HEAD + i] == LINEAR:  # it may pass 0: a little of its peak counts too, but of no step taken back
                w[peak + i] = choose(absolute(w[z + i]) > w[peak + i], absolute(w[z + i]), w[peak + i])
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


@functools.cache  # one and the same function is compiled once
def lane_solver(n_states: int) -> Callable[..., int]:
    """Return the function that solves patients as `ode_row.solve_rows` does; a code is AGAIN where that is to be asked.

    Of the arrays it works in, `more[BOOK]` (3, lane) is for the row of each lane, and the samples and steps it has
    done; CLOCKS (3, lane) for its time, next step and last sample; ORDER (state, lane) for the order of rows of
    matrices; KEPT (patient, KEPT_FIRST + two a state) for what is kept of each patient between phases.
    """
    states = ((),) * n_states

    def solve_side_by_side(last, times, theta, out, grad, more):  # type: ignore[no-untyped-def]
        _solve(states, last, times, theta, out, more)
        return 0

    return solve_side_by_side


@inline
def _solve(states, last, times, theta, out, more):
    v, flat, first = wholes_at(more[V]), floats_at(more[LANE_W]), more[PATIENT]
    counts, steps, codes = wholes_at(more[COUNTS]), wholes_at(more[TAKEN]), wholes_at(more[CODES])
    n, size = len(states), more[N_SAMPLES] * more[N_OUTPUTS]
    for row in range(first, last):
        for k in range(row * size, (row + 1) * size):
            out[k] = np.nan
        kept = behind(floats_at(more[KEPT]), (row - first) * (KEPT_FIRST + 2 * n))
        kept[_NEXT] = kept[_BEFORE] = kept[_TIME] = kept[_DONE] = kept[_STEPS] = 0.0
        steps[row], codes[row] = 0, SOLVED
        if counts[row] == 0:
            kept[_NEXT] = -1.0
    for phase in range(v[N_PHASES]):
        # Functions of a model leave out what is always 0.
        for k in range(3 * n * LANES, 4 * n * LANES):
            flat[k] = 0.0
        for k in range((8 * n + 2 * n * n) * LANES, (8 * n + 7 * n * n + n * n * n) * LANES):
            flat[k] = 0.0
        _solve_phase(states, phase, first, last, times, theta, out, more)


@inline
def _solve_phase(states, phase, first, last, times, theta, out, more):
    w, v = floats_at(more[W]), wholes_at(more[V])
    wide, flat = lanes_at(more[LANE_W]), floats_at(more[LANE_W])
    counts, steps, codes = wholes_at(more[COUNTS]), wholes_at(more[TAKEN]), wholes_at(more[CODES])
    samples, values, size = more[N_SAMPLES], more[N_VALUES_GIVEN], more[N_SAMPLES] * more[N_OUTPUTS]
    rtol, max_steps = w[more[RTOL]], more[MAX_STEPS]
    n = len(states)
    z = 8 * n + 7 * n * n + n * n * n
    single = z + (LOGS + 1) * n
    order = wholes_at(more[ORDER])
    rows, done, taken = (
        wholes_at(more[BOOK]),
        behind(wholes_at(more[BOOK]), LANES),
        behind(wholes_at(more[BOOK]), 2 * LANES),
    )
    now, longest, stops = (
        floats_at(more[CLOCKS]),
        behind(floats_at(more[CLOCKS]), LANES),
        behind(floats_at(more[CLOCKS]), 2 * LANES),
    )
    for lane in range(LANES):
        rows[lane] = -1
    following = first
    while True:
        busy = 0
        for lane in range(LANES):
            while rows[lane] < 0 and following < last:
                row, following = following, following + 1
                kept = behind(floats_at(more[KEPT]), (row - first) * (KEPT_FIRST + 2 * n))
                if kept[_NEXT] != phase:
                    continue
                more[PATIENT] = row
                code, h = _enter(
                    states, phase, lane, counts[row], behind(times, row * samples), behind(theta, row * values),
                    behind(out, row * size), kept, more, rtol, w, v, flat, z, single,
                )  # fmt: skip
                codes[row] = code
                if code == SOLVED and kept[_NEXT] == phase and kept[_DONE] < counts[row]:
                    rows[lane], done[lane], taken[lane] = row, np.int64(kept[_DONE]), np.int64(kept[_STEPS])
                    now[lane], longest[lane] = kept[_TIME], h
                    stops[lane] = times[row * samples + counts[row] - 1]
                    if phase < v[N_PHASES] - 1:
                        stops[lane] = smaller(stops[lane], w[v[ENDS] + phase])
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
        _begin(states, phase, wide, v, z, single)
        _step(states, phase, wide, v, flat, order, z, single)
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
                short = length <= larger(SHORT * rtol * (smaller(times[row * samples + m], stop) - t), SHORTEST * t)
                if short and flat[(single + FAILED) * LANES + lane] == 0.0:
                    codes[row] = AGAIN
                    rows[lane] = -1
                longest[lane] = next_length
                continue
            arrived = stop if t + 1.01 * longest[lane] >= stop else t + length
            ended = phase < v[N_PHASES] - 1 and flat[(v[ENDS] + phase) * LANES + lane] <= arrived
            while m < counts[row] and times[row * samples + m] < arrived:
                if not interpolates:
                    _dense(states, wide, z)
                    interpolates = True
                share = (times[row * samples + m] - t) / length
                _record(states, lane, m, times[row * samples + m], share, w, v, flat, z, more, behind(out, row * size))
                m += 1
            while m < counts[row] and times[row * samples + m] <= arrived and not ended:
                _record(states, lane, m, arrived, 1.0, w, v, flat, z, more, behind(out, row * size))
                m += 1
            now[lane], done[lane], longest[lane] = arrived, m, next_length
            steps[row] = taken[lane]
            if m == counts[row]:
                rows[lane] = -1
            elif not _accept(states, lane, v, flat, z):
                codes[row] = AGAIN
                rows[lane] = -1
            elif ended:
                kept = behind(floats_at(more[KEPT]), (row - first) * (KEPT_FIRST + 2 * n))
                numbers, logs = behind(flat, z * LANES + lane), behind(flat, (z + LOGS * n) * LANES + lane)
                _keep(states, kept, phase + 1, phase, arrived, m, taken[lane], numbers, logs, LANES)
                rows[lane] = -1
