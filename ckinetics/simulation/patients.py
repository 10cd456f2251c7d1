"""The work on a range of virtual patients: from numbers drawn by counter to levels with a status."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..modeling import Model
from ..modeling.events import Events
from ..modeling.files.specification import Residual
from ..modeling.residual_kinds import KINDS
from ..modeling.solving import solve
from ..schema import Status
from ..threads import run_slices
from .assay_limits import Limits

# Patients at a time: closed forms fit a processor's cache then; a solver has more to do before it starts.
_BLOCK, _SOLVER_BLOCK = 1024, 8192
_TRANSFORMS = ("log", "logit", "none")


@dataclass(frozen=True)
class Plan:
    """A range of patients and what is needed to simulate them; it can be cut into smaller ranges.

    Attributes
    ----------
    first : number of the first patient
    count : how many
    typical : (1 or patient, parameters and then constants)
    times : (1 or patient, sample), in the model's unit
    events : events with one row or one a patient; None where no equations are solved
    outputs : outputs by name, the main one first; and whether each comes from its closed form
    """

    model: Model
    seed: int
    random_effects: bool
    residual: bool
    limits: Limits
    method: str
    rtol: float
    outputs: dict[str, bool]
    first: int
    count: int
    typical: np.ndarray
    times: np.ndarray
    events: Events | None

    def part(self, first: int, last: int) -> Plan:
        """Return the plan of patients `first` to `last` of these."""
        return replace(
            self,
            first=self.first + first,
            count=last - first,
            typical=_rows(self.typical, first, last),
            times=_rows(self.times, first, last),
            events=None if self.events is None else _event_rows(self.events, first, last),
        )

    def residual_of(self, output: str) -> Residual | None:
        """Return an output's residual error, or None where levels have none."""
        return self.model.specification.outputs[output].residual if self.residual else None


@dataclass
class Simulated:
    """What `run` found, (patient, sample) unless said otherwise.

    Attributes
    ----------
    curves : outputs without residual error, by name
    levels : outputs with residual error, by name; the curve itself where there is none
    status : of the main output
    theta : (patient, parameters and then constants)
    codes : (patient,) how it ended
    redrawn : (patient,) values that were drawn again
    """

    curves: dict[str, np.ndarray]
    levels: dict[str, np.ndarray]
    status: np.ndarray
    theta: np.ndarray
    codes: np.ndarray
    redrawn: np.ndarray


def run(plan: Plan, threads: int) -> Simulated:
    """Simulate the patients of a plan."""
    from ..kernels import virtual_patients as kernels

    shape, main = (plan.count, plan.times.shape[1]), next(iter(plan.outputs))
    seed = np.uint64(plan.seed)
    curves = {name: np.empty(shape) for name in plan.outputs}
    errors = {name: error for name in plan.outputs if (error := plan.residual_of(name)) is not None}
    levels = {name: np.empty(shape) if name in errors else curve for name, curve in curves.items()}
    theta = np.empty((plan.count, plan.typical.shape[1]))
    codes, redrawn = np.empty(plan.count, np.int8), np.empty(plan.count)
    places = {name: at for at, name in enumerate(plan.model.specification.outputs)}
    scales = _random_effects(plan)
    forms = {name: getattr(plan.model.compiled, f"curves_{name}") for name, closed in plan.outputs.items() if closed}
    solved = [name for name in plan.outputs if name not in forms]
    block = _SOLVER_BLOCK if solved else _BLOCK
    odd: list[int] = []

    def work(first: int, last: int) -> None:
        # The same times for all: written once. A range without patients only compiles.
        common = np.repeat(plan.times, min(block, last - first), axis=0) if len(plan.times) == 1 else None
        for start in range(first, max(last, first + 1), block):
            end = min(start + block, last)
            rows, number = slice(start, end), plan.first + start
            times = common[: end - start] if common is not None else plan.times[rows]
            own = plan.typical if len(plan.typical) == 1 else plan.typical[rows]
            kernels.draw_parameters(number, seed, own, *scales, theta[rows], codes[rows], redrawn[rows])
            for name, form in forms.items():
                form(times, theta[rows], curves[name][rows])
            if solved:
                _solve(plan, solved, start, end, times, theta[rows], codes[rows], curves)
            strange = {name: kernels.settle(times, curve[rows], codes[rows]) for name, curve in curves.items()}
            if len(curves) > 1:  # who failed in one output has none of the others
                strange = {name: kernels.settle(times, curve[rows], codes[rows]) for name, curve in curves.items()}
            odd.append(strange[main])
            for name, error in errors.items():
                given = (curves[name][rows], levels[name][rows])
                strange[name] = _add_residuals(error, number, seed, places[name], *given)
            odd.append(strange[main])

    run_slices(work, plan.count, threads)
    status = np.broadcast_to(np.int8(Status.quantified), shape)
    if plan.limits.any_given or any(odd):
        status = np.empty(shape, np.int8)
        if main not in errors:
            levels[main] = curves[main].copy()
        limits = plan.limits

        def judge(first: int, last: int) -> None:
            rows = slice(first, last)
            given = (limits.lloq, limits.uloq, limits.lod, limits.dna)
            kernels.judge(plan.first + first, seed, *given, levels[main][rows], status[rows])

        run_slices(judge, plan.count, threads)
    return Simulated(curves, levels, status, theta, codes, redrawn)


def _add_residuals(
    error: Residual, first: int, seed: np.uint64, output: int, curve: np.ndarray, level: np.ndarray
) -> int:
    """Fill levels with a residual error about a curve; return how many are not finite and above 0."""
    from ..kernels import virtual_patients as kernels

    if error.kind == "additive on log":
        return int(kernels.add_residuals(first, seed, output, error.value, curve, level))
    a = 0.0 if error.kind == "proportional" else error.value
    b = error.value if error.kind == "proportional" else error.slope_value or 0.0
    return int(kernels.add_natural_residuals(first, seed, output, KINDS[error.kind][1], a, b, curve, level))


def _random_effects(plan: Plan) -> tuple[np.ndarray, ...]:
    """Return SD, transform and bounds of each parameter."""
    parameters = plan.model.parameters.values()
    return (
        np.array([parameter.sd if plan.random_effects else 0.0 for parameter in parameters]),
        np.array([_TRANSFORMS.index(parameter.transform) for parameter in parameters], np.int64),
        np.array([parameter.bounds[0] for parameter in parameters], np.float64),
        np.array([parameter.bounds[1] for parameter in parameters], np.float64),
    )


def _solve(
    plan: Plan,
    names: list[str],
    first: int,
    last: int,
    times: np.ndarray,
    theta: np.ndarray,
    codes: np.ndarray,
    curves: dict[str, np.ndarray],
) -> None:
    """Integrate one block of patients."""
    assert plan.events is not None
    events = _event_rows(plan.events, first, last)
    if len(events.times) != last - first:
        events = events.of_patients(np.zeros(last - first, np.int64))
    found = solve(plan.model, times, theta, outputs=names, events=events, method=_method(plan), rtol=plan.rtol)
    codes[:] = np.where(codes == 0, found.codes, codes)
    for at, name in enumerate(names):
        curves[name][first:last] = found.values[:, :, at]


def _method(plan: Plan) -> str:
    """Return the method asked for; without one, that by which several patients are solved side by side, where it can.

    It can where nothing is given later than the start, and the equations have no branches.
    """
    given_later = any(given.kind != "constant" for given in plan.model.specification.inputs.values())
    side_by_side = plan.method == "auto" and plan.model.compiled.SIDE_BY_SIDE and not given_later
    return "rodas5p" if side_by_side else plan.method


def _rows(array: np.ndarray, first: int, last: int) -> np.ndarray:
    return array if len(array) == 1 else array[first:last]


def _event_rows(events: Events, first: int, last: int) -> Events:
    return events if len(events.times) == 1 else events.of_patients(slice(first, last))
