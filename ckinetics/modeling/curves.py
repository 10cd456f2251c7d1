"""Curves of a model, with derivatives, as addresses that compiled code calls: closed forms, or equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..kernels.ode import layout as place
from .solving import MAX_STEPS, Outcome, _Fixed

if TYPE_CHECKING:
    from .events import Events
    from .library import Model


@dataclass(frozen=True)
class Curves:
    """Some outputs of a model, for compiled code; see `ckinetics.kernels.compiling.jit.call_curve`.

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
        from ..kernels.compiling.jit import curve_pointer

        if method == "closed_form":
            address = curve_pointer(model.compiled.fitted_curves)
        else:
            from ..kernels.ode.curve_pointers import row_solver

            address = curve_pointer(row_solver(model.compiled.N_STATES, method == "rodas5p", True))
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
        from ..kernels.compiling.jit import call_from_python

        m, (more, _alive) = len(self.model.parameters), self.more()
        out, grad = np.empty((len(self.outputs), len(times))), np.zeros((len(self.outputs), len(times), m))
        times, theta = np.ascontiguousarray(times, np.float64), np.ascontiguousarray(theta, np.float64)
        code = call_from_python(self.address, len(times), times, theta, out.reshape(-1), grad.reshape(-1), more)
        if code != 0:
            raise InputError(f"model '{self.model.name}' cannot be solved: {Outcome(code).sentence}")
        return out, grad

    def more(self) -> tuple[Any, Any]:
        """Return what the curves need beside times and parameters, for one thread, and what must live as long."""
        if self.method == "closed_form":
            closed = self.model.closed_forms
            return np.array([0, len(self.outputs), *(closed.index(name) for name in self.outputs)], np.int64), None
        from ..kernels.ode.curve_pointers import place_arrays

        known = list(self.model.specification.outputs)
        wanted = [known.index(name) for name in self.outputs]
        assert self.events is not None  # equations always have theirs
        fixed = _Fixed.of(self.model, self.free)
        events = self.events.arrays(slice(None))
        places = fixed.places(events, wanted, self.rtol, MAX_STEPS, self.free.tolist())
        places |= {place.OUTPUTS_APART: 1, place.BY_SAMPLE: 1, place.N_COLUMNS: len(self.model.parameters)}
        return place_arrays(places, fixed.interpreted), places
