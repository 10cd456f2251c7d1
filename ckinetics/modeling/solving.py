"""Solve a model's differential equations for many patients at once: values, derivatives, and how each ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..kernels.ode import layout as place
from ..kernels.ode import solver_codes
from ..kernels.ode.solver_codes import AGAIN
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
        "rodas5p": implicit, for stiff models; and the faster one for values of many patients, several of whom it
        solves side by side where the equations have no branches. "tsit5": explicit. "auto": what suits the model at
        the file's values (`Model.method`), and rodas5p for patients whose explicit integration reaches `max_steps`.
    rtol : float
        Tolerated error of one step, in ln of a state on a log scale, relative for others.
    max_steps : int
        Most steps of one patient.
    threads : int
        Threads over patients; the answer does not depend on it.

    Raises
    ------
    InputError
        An unknown method, a tolerance outside 1e-13 to 0.1, too few steps, `theta` of another shape.

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
    wanted = [known.index(name) for name in outputs]
    ordered, counts, back = _ascending(times)
    if events is None:
        from .events import Events

        events = Events.of_file(model, patients)
    theta = np.ascontiguousarray(theta, np.float64)
    expected = (patients, len(model.parameters) + len(model.constants))
    if theta.shape != expected:
        raise InputError(
            f"theta has the shape {theta.shape}: give {expected}, the parameters and then the constants of each patient"
        )
    fixed = _Fixed.of(model, free, chosen == "rodas5p" and free is None)

    def run(rows: np.ndarray | slice, solver: str) -> _Answers:
        given = (ordered[rows], theta[rows], counts[rows])
        answers = _Answers.of(len(given[2]), samples, len(wanted), len(fixed.free or []))
        settings = (events.arrays(rows), wanted, rtol, max_steps)

        def work(first: int, last: int) -> None:
            fixed.solve(solver, first, last, fixed.places(*settings), *given, answers)

        run_slices(work, len(given[2]), threads)
        return answers

    found = run(slice(None), chosen if fixed.lanes is None else _LANES)
    if fixed.lanes is not None:
        left = found.codes == AGAIN
    else:
        left = (found.codes == Outcome.step_limit) & (method == "auto") & (chosen == "tsit5")
    if left.any():
        again = np.flatnonzero(left)
        found.replace(again, run(again, "rodas5p"))
    values, gradient = found.values, None if free is None else found.gradient
    if back is not None:
        values = np.take_along_axis(values, back[:, :, None], axis=1)
        if gradient is not None:
            gradient = np.take_along_axis(gradient, back[:, :, None, None], axis=1)
    return Solution(values, gradient, found.codes.astype(np.int8), found.steps.astype(np.int32), chosen)


# How patients side by side are solved, and of how many all go through a phase before the next one.
_LANES, _BLOCK = "lanes", 4096


@dataclass(frozen=True)
class _Answers:
    """What a compiled solver writes: values and derivatives as in `Solution`, and whole numbers."""

    values: np.ndarray
    gradient: np.ndarray
    codes: np.ndarray
    steps: np.ndarray

    @classmethod
    def of(cls, patients: int, samples: int, outputs: int, columns: int) -> _Answers:
        shape = (patients, samples, outputs)
        codes, steps = np.zeros((2, patients), np.int64)
        return cls(np.empty(shape), np.empty((*shape, columns)), codes, steps)

    def replace(self, rows: np.ndarray, others: _Answers) -> None:
        self.values[rows], self.gradient[rows] = others.values, others.gradient
        self.codes[rows], self.steps[rows] = others.codes, others.steps


@dataclass(frozen=True)
class _Fixed:
    """What a compiled solver is given of a model, the same for all patients."""

    n_states: int
    free: list[int] | None
    start: list[float]
    whole: list[Any]
    inputs: list[int]
    size: int
    interpreted: bool
    lanes: int | None

    @classmethod
    def of(cls, model: Model, free: np.ndarray | None, side_by_side: bool = False) -> _Fixed:
        from ..kernels.compiling.jit import pointer

        module = model.compiled
        equations, wide = pointer(module.equations), None
        interpreted = callable(equations)
        if side_by_side and module.SIDE_BY_SIDE and not interpreted:
            from ..kernels.ode.lanes import lanes

            wide = pointer(module.equations_side_by_side, lanes)
        whole: list[Any] = module.WHOLE.copy()
        whole[place.EQUATIONS], whole[place.SETTINGS] = equations, pointer(module.settings)
        whole[place.DERIVATIVES] = 0 if free is None else pointer(module.derivatives)
        whole[place.LANE_EQUATIONS] = wide or 0
        return cls(
            n_states=module.N_STATES,
            free=None if free is None else np.asarray(free).tolist(),
            start=module.VARYING_START,
            whole=whole,
            inputs=[*module.INPUT_STATE, *module.INPUT_PLACE],
            size=module.FIXED,
            interpreted=interpreted,
            lanes=wide,
        )

    def places(
        self,
        events: tuple[np.ndarray, np.ndarray, np.ndarray],
        wanted: list[int],
        rtol: float,
        max_steps: int,
        columns: list[int] | None = None,
    ) -> dict[int, Any]:
        """Return what `more` holds for one thread, by its place: these arrays must live as long as it is used."""
        n, free = self.n_states, self.free or []
        columns = list(range(len(free))) if columns is None else columns
        v = [*self.whole, *free, *wanted, *self.inputs, *columns]
        at = len(self.whole)
        v[place.N_FREE], v[place.FREE] = len(free), at
        used = self.size + 16 * n * (len(free) + 1) + len(free) * n * n
        w = np.zeros(used + 1 + len(self.start))
        w[used:] = [rtol, *self.start]
        inputs = at + len(free) + len(wanted)
        return {
            place.N_OUTPUTS: len(wanted),
            place.WANTED: at + len(free),
            place.BY_SAMPLE: len(wanted),
            place.BY_OUTPUT: 1,
            place.N_COLUMNS: len(free),
            place.COLUMNS: inputs + len(self.inputs),
            place.W: w,
            place.V: v if self.interpreted else np.array(v, np.int64),
            place.VARYING: used + 1,
            place.INPUT_STATE: inputs,
            place.INPUT_PLACE: inputs + len(self.inputs) // 2,
            place.EVENT_TIMES: np.ascontiguousarray(events[0], np.float64),
            place.EVENT_INPUTS: np.ascontiguousarray(events[1], np.int64),
            place.EVENT_VALUES: np.ascontiguousarray(events[2], np.float64),
            place.N_EVENTS: events[0].shape[1],
            place.RTOL: used,
            place.MAX_STEPS: int(max_steps),
        }

    def solve(
        self, solver: str, first: int, last: int, places: dict[int, Any], times: np.ndarray, theta: np.ndarray,
        counts: np.ndarray, answers: _Answers,
    ) -> None:  # fmt: skip
        """Solve patients first to last, by a method."""
        from ..kernels.compiling.jit import call_from_python, curve_pointer
        from ..kernels.ode.curve_pointers import place_arrays, row_solver, solve_rows

        places[place.PATIENT] = first
        places[place.N_SAMPLES], places[place.N_VALUES_GIVEN] = times.shape[1], theta.shape[1]
        places[place.COUNTS], places[place.TAKEN], places[place.CODES] = counts, answers.steps, answers.codes
        arrays = [array.reshape(-1) for array in (times, theta, answers.values, answers.gradient)]
        if solver == _LANES:
            from ..kernels.ode.lane_profiles import lane_solver

            places |= self.lane_places(min(last - first, _BLOCK))
            function = curve_pointer(lane_solver(self.n_states))
            for patient in range(first, last, _BLOCK):
                more = place_arrays(places | {place.PATIENT: patient}, self.interpreted)
                call_from_python(function, min(patient + _BLOCK, last), *arrays, more)
        else:
            places[place.SOLVER] = curve_pointer(row_solver(self.n_states, solver == "rodas5p", self.free is not None))
            call_from_python(curve_pointer(solve_rows), last, *arrays, place_arrays(places, self.interpreted))

    def lane_places(self, patients: int) -> dict[int, Any]:
        """Return the arrays in which patients are solved side by side, by their place in `more`."""
        from ..kernels.ode.lane_profiles import KEPT_FIRST
        from ..kernels.ode.lanes import LANES

        numbers = np.zeros((self.size + 1) * LANES)
        return {
            # As processors want it: numbers in lanes begin at multiples of their size.
            place.LANE_W: numbers[-(numbers.ctypes.data // 8) % LANES :],
            place.BOOK: np.zeros((3, LANES), np.int64),
            place.ORDER: np.zeros((self.n_states, LANES), np.int64),
            place.CLOCKS: np.zeros((3, LANES)),
            place.KEPT: np.zeros((patients, KEPT_FIRST + 2 * self.n_states)),
        }


def _ascending(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return times in ascending order with those that cannot be used at the end, how many can, and the way back."""
    usable = (times >= 0) & (times < np.inf)
    counts = usable.sum(axis=1)
    if usable.all() and (times[:, 1:] >= times[:, :-1]).all():
        return np.require(times, np.float64, ["C", "W"]), counts, None
    order = np.argsort(np.where(usable, times, np.inf), axis=1, kind="stable")
    return np.take_along_axis(times, order, axis=1), counts, np.argsort(order, axis=1, kind="stable")
