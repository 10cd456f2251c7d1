"""Solve a model's differential equations for many patients at once: values, derivatives, and how each ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..kernels import solver_codes
from ..kernels.solver_codes import AGAIN
from ..threads import run_slices

if TYPE_CHECKING:
    from .events import Events
    from .library import Model

METHODS = ("auto", "rodas5p", "tsit5")
RTOL = 3e-6
MAX_STEPS = 10_000


class Outcome(IntEnum):
    """How the integration of one patient ended."""

    solved = solver_codes.SOLVED
    step_limit = solver_codes.STEP_LIMIT
    step_too_small = solver_codes.STEP_TOO_SMALL
    not_finite = solver_codes.NOT_FINITE
    negative_state = solver_codes.NEGATIVE_STATE
    missing_parameter = solver_codes.MISSING_PARAMETER

    @property
    def sentence(self) -> str:
        """What happened, and what to do."""
        return _SENTENCES[self]


_SENTENCES = {
    Outcome.solved: "solved",
    Outcome.step_limit: "the integration took more steps than allowed: "
    "use method rodas5p, a larger rtol, or more max_steps",
    Outcome.step_too_small: "the integration could not go on, its steps became too small: "
    "look for a rate that jumps or grows without end, or a state on a log scale that reaches 0",
    Outcome.not_finite: "a rate, initial value or end of a phase is not a finite number at these parameters",
    Outcome.negative_state: "a state on a log scale would become negative: "
    'correct its rate, initial value, dose or reset, or declare scale = "linear"',
    Outcome.missing_parameter: "a parameter is missing",
}


@dataclass(frozen=True)
class Solution:
    """What `solve` found.

    Attributes
    ----------
    values : (patient, sample, output); NaN before infusion, where a time is NaN, and after a failure
    gradient : (patient, sample, output, free parameter), or None
    codes : (patient,) of `Outcome`
    steps : (patient,) steps taken, rejected ones included
    method : which method
    """

    values: np.ndarray
    gradient: np.ndarray | None
    codes: np.ndarray
    steps: np.ndarray
    method: str


def solve(
    model: Model,
    times: np.ndarray,
    theta: np.ndarray,
    *,
    outputs: list[str],
    events: Events | None = None,
    free: np.ndarray | None = None,
    method: str = "auto",
    rtol: float = RTOL,
    max_steps: int = MAX_STEPS,
    threads: int = 1,
) -> Solution:
    """Integrate a model for each patient.

    A sample at the very time of a switch or a dose is taken after it; so is its derivative, which is one-sided there.
    A rate that jumps where a state passes a threshold (`where` on a state) is not stepped to: its error is about ten
    times the usual one, and a threshold that is passed twice within one step of tsit5 may go unseen.

    Parameters
    ----------
    model : Model
        The model.
    times : ndarray
        (patient, sample), in the model's unit of time, in any order; NaN and negative times give NaN.
    theta : ndarray
        (patient, parameters and then constants), as `Model.natural_parameters` returns them.
    outputs : list of str
        Which outputs.
    events : Events, optional
        Doses and changes of covariates; by default those of the model file.
    free : ndarray of int, optional
        Parameters to take derivatives with respect to, by their place in the file.
    method : {"auto", "rodas5p", "tsit5"}
        "rodas5p": implicit, for stiff models. "tsit5": explicit. "auto": what suits the model at the file's values
        (`Model.method`), and rodas5p for patients whose explicit integration reaches `max_steps`.
    rtol : float
        Tolerated error of one step, in ln of a state on a log scale, relative for others.
    max_steps : int
        Most steps of one patient.
    threads : int
        Threads over patients; the answer does not depend on it.

    Raises
    ------
    InputError
        An unknown method, a tolerance outside 1e-13 to 0.1, too few steps.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> model = load_model("stein2019")
    >>> theta, _ = model.natural_parameters(None)
    >>> found = solve(model, np.array([[0.0, 9.3]]), theta[None, :], outputs=["level"])
    >>> found.values[0, :, 0].round(2).tolist()
    [6.15, 24000.0]
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}: use one of {', '.join(METHODS)}")
    if not 1e-13 <= rtol <= 0.1:
        raise InputError(f"rtol is {rtol!r}: give a tolerance between 1e-13 and 0.1")
    if max_steps < 1:
        raise InputError(f"max_steps is {max_steps!r}: give a whole number of 1 or more")
    chosen = model.method if method == "auto" else method
    patients, samples = times.shape
    known = list(model.specification.outputs)
    wanted = np.array([known.index(name) for name in outputs], dtype=np.int64)
    ordered, counts, back = _ascending(times)
    if events is None:
        from .events import Events

        events = Events.of_file(model, patients)
    theta = np.require(theta, np.float64, ["C", "W"])  # another kind would compile the solvers anew
    values = np.empty((patients, samples, len(wanted)))
    codes, steps = np.zeros(patients, np.int8), np.zeros(patients, np.int32)
    gradient = None if free is None else np.empty((*values.shape, len(free)))

    more = None if free is None else np.asarray(free, np.int64)
    fixed = _Fixed.of(model, more is not None, chosen == "rodas5p" and more is None)

    def run(method: str, rows: np.ndarray | slice, out: tuple[Any, ...]) -> None:
        from ..kernels.ode_profiles import profiles

        which = (True, None) if method == "rodas5p" else (None, True)
        given = (ordered[rows], counts[rows], theta[rows])
        what = (*events.arrays(rows), wanted, float(rtol), int(max_steps))

        def work(first: int, last: int) -> None:
            w, v = fixed.scratch(0 if more is None else len(more))
            places = (w, v) if fixed.interpreted else (w.ctypes.data, v.ctypes.data)
            calls = (*fixed.calls, places[0])
            profiles(fixed.states, *which, more, first, last, *given, *fixed.inputs, *what, calls, places[1], *out)

        run_slices(work, len(given[1]), threads)

    def run_side_by_side() -> None:
        from ..kernels.lane_profiles import lane_profiles

        what = (*events.arrays(slice(None)), wanted, float(rtol), int(max_steps))

        def work(first: int, last: int) -> None:
            (w, v), (wide, *more_scratch) = fixed.scratch(0), fixed.wide_scratch()
            calls = (*fixed.calls, w.ctypes.data, fixed.lanes, wide.ctypes.data)
            given = (ordered, counts, theta, *fixed.inputs, *what)
            scratch = (v.ctypes.data, *more_scratch)
            lane_profiles(fixed.states, first, last, *given, calls, *scratch, values, steps, codes)

        run_slices(work, patients, threads)

    def run_again(rows: np.ndarray) -> None:
        again = (values[rows], None if gradient is None else gradient[rows], steps[rows], codes[rows])
        run("rodas5p", rows, again)
        values[rows], steps[rows], codes[rows] = again[0], again[2], again[3]
        if gradient is not None:
            gradient[rows] = again[1]

    if fixed.lanes is not None:
        run_side_by_side()
        left = codes == AGAIN
    else:
        run(chosen, slice(None), (values, gradient, steps, codes))
        left = (codes == Outcome.step_limit) & (method == "auto") & (chosen == "tsit5")
    if left.any():
        run_again(np.flatnonzero(left))
    if back is not None:
        values = np.take_along_axis(values, back[:, :, None], axis=1)
        if gradient is not None:
            gradient = np.take_along_axis(gradient, back[:, :, None, None], axis=1)
    return Solution(values, gradient, codes, steps, chosen)


@dataclass(frozen=True)
class _Fixed:
    """What a compiled solver is given of a model, the same for all patients."""

    states: tuple[int, ...]
    calls: tuple[Any, ...]
    inputs: tuple[np.ndarray, np.ndarray, np.ndarray]
    whole: np.ndarray
    size: int
    interpreted: bool
    lanes: int | None

    @classmethod
    def of(cls, model: Model, gradient: bool, side_by_side: bool = False) -> _Fixed:
        from ..kernels.jit import pointer

        module = model.compiled
        equations, settings = pointer(module.equations), pointer(module.settings)
        interpreted, wide = callable(equations), None
        if side_by_side and module.SIDE_BY_SIDE and not interpreted:
            from ..kernels.lanes import lanes

            wide = pointer(module.equations_side_by_side, lanes)
        return cls(
            states=(0,) * module.N_STATES,
            calls=(equations, settings, pointer(module.derivatives) if gradient else equations),
            inputs=(
                np.array(module.VARYING_START, np.float64),
                np.array(module.INPUT_STATE, np.int64),
                np.array(module.INPUT_PLACE, np.int64),
            ),
            whole=np.array(module.WHOLE, np.int64),
            size=module.FIXED,
            interpreted=interpreted,
            lanes=wide,
        )

    def scratch(self, n_free: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the two arrays that a solver works in, for one thread."""
        n = len(self.states)
        return np.zeros(self.size + 16 * n * (n_free + 1) + n_free * n * n), self.whole.copy()

    def wide_scratch(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the arrays in which patients are solved side by side, for one thread."""
        from ..kernels.lanes import LANES

        numbers = np.zeros((self.size + 1) * LANES)
        # As processors want it: numbers in lanes begin at multiples of their size.
        numbers = numbers[-(numbers.ctypes.data // 8) % LANES :]
        book, order = np.zeros((3, LANES), np.int64), np.zeros((len(self.states), LANES), np.int64)
        return numbers, book, order, np.zeros((3, LANES))


def _ascending(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return times in ascending order with those that cannot be used at the end, how many can, and the way back."""
    usable = (times >= 0) & (times < np.inf)
    counts = usable.sum(axis=1)
    if usable.all() and (times[:, 1:] >= times[:, :-1]).all():
        return np.require(times, np.float64, ["C", "W"]), counts, None
    order = np.argsort(np.where(usable, times, np.inf), axis=1, kind="stable")
    return np.take_along_axis(times, order, axis=1), counts, np.argsort(order, axis=1, kind="stable")
