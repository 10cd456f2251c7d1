"""Curves of a model, with derivatives, as addresses that compiled code calls: closed forms, or equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .solving import MAX_STEPS, Outcome, _Fixed

if TYPE_CHECKING:
    from .events import Events
    from .library import Model


@dataclass(frozen=True)
class Curves:
    """Some outputs of a model, for compiled code; see `ckinetics.kernels.jit.call_curve`.

    Attributes
    ----------
    outputs : names
    method : "closed_form", "rodas5p" or "tsit5"
    address : what `call_curve` calls
    """

    model: Model
    outputs: list[str]
    method: str
    address: Any
    events: Events | None
    free: np.ndarray
    rtol: float

    @classmethod
    def of(
        cls, model: Model, outputs: list[str], *, method: str, events: Events | None, free: np.ndarray, rtol: float
    ) -> Curves:
        """Return curves by a method; `free` are the parameters to differentiate by, `events` those of each patient."""
        from ..kernels.jit import curve_pointer

        if method == "closed_form":
            address = curve_pointer(model.compiled.fitted_curves)
        else:
            from ..kernels.ode_row import row_solver

            address = curve_pointer(_row_solver(row_solver, model.compiled.N_STATES, method == "rodas5p"))
        return cls(model, outputs, method, address, events, np.ascontiguousarray(free, np.int64), rtol)

    def evaluate(self, times: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return curves (output, time) of one patient, and derivatives (output, time, parameter).

        `times` ascend and differ, in the model's unit; `theta` are parameters on the natural scale, then constants.

        Examples
        --------
        >>> from ckinetics.modeling import load_model
        >>> model = load_model("stein2019")
        >>> curves = Curves.of(model, ["level"], method="closed_form", events=None, free=np.arange(6), rtol=1e-6)
        >>> values, gradient = curves.evaluate(np.array([9.3]), model.natural_parameters(None)[0])
        >>> float(values[0, 0]), gradient.shape
        (24000.0, (1, 1, 6))
        """
        from ..kernels.fit_objective import one_curve

        m, more = len(self.model.parameters), self.more(len(times))
        out, grad = np.empty((len(self.outputs), len(times))), np.zeros((len(self.outputs), len(times), m))
        times, theta = np.ascontiguousarray(times, np.float64), np.ascontiguousarray(theta, np.float64)
        code = one_curve(self.address, more[0], times, theta, out.reshape(-1), grad.reshape(-1))
        if code != 0:
            raise InputError(f"model '{self.model.name}' cannot be solved: {Outcome(code).sentence}")
        return out, grad

    def more(self, n_times: int) -> tuple[Any, Any]:
        """Return what the curves need beside times and parameters, for one thread, and what must live as long."""
        if self.method == "closed_form":
            closed = self.model.closed_forms
            return np.array([0, len(self.outputs), *(closed.index(name) for name in self.outputs)], np.int64), None
        from ..kernels import ode_row as place

        fixed = _Fixed.of(self.model, gradient=True)
        w, v = fixed.scratch(len(self.free))
        known = list(self.model.specification.outputs)
        varying, input_state, input_place = fixed.inputs
        assert self.events is not None  # equations always have theirs
        arrays: dict[int, Any] = {
            place.N_OUTPUTS: len(self.outputs),
            place.WANTED: np.array([known.index(name) for name in self.outputs], np.int64),
            place.N_FREE: len(self.free),
            place.FREE: self.free,
            place.N_PARAMETERS: len(self.model.parameters),
            place.N_VALUES: len(self.model.parameters) + len(self.model.constants),
            place.W: w,
            place.V: v,
            place.EQUATIONS: fixed.calls[0],
            place.SETTINGS: fixed.calls[1],
            place.DERIVATIVES: fixed.calls[2],
            place.VARYING: varying,
            place.N_VARYING: len(varying),
            place.INPUT_STATE: input_state,
            place.INPUT_PLACE: input_place,
            place.N_INPUTS: len(input_state),
            place.EVENT_TIMES: np.ascontiguousarray(self.events.times, np.float64),
            place.EVENT_INPUTS: np.ascontiguousarray(self.events.inputs, np.int64),
            place.EVENT_VALUES: np.ascontiguousarray(self.events.values, np.float64),
            place.N_EVENTS: self.events.times.shape[1],
            place.N_PATIENTS: len(self.events.times),
            place.RTOL: np.array([self.rtol]),
            place.MAX_STEPS: MAX_STEPS,
            place.OUT: np.empty(max(n_times, 1) * len(self.outputs)),
            place.GRAD: np.empty(max(n_times, 1) * len(self.outputs) * max(len(self.free), 1)),
        }
        return place.place_arrays(arrays, fixed.interpreted), arrays


_SOLVERS: dict[tuple[int, bool], Any] = {}


def _row_solver(make: Any, n_states: int, stiff: bool) -> Any:
    """Return one and the same function for a number of states and a method, so that it is compiled once."""
    return _SOLVERS.setdefault((n_states, stiff), make(n_states, stiff))
