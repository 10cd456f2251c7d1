"""One fitting problem: a model's outputs, their residual errors and the estimation scale, run over patients."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..kernels.fit.objective import WEIGHT, Data
from ..modeling import Model
from ..modeling.curves import Curves
from ..modeling.events import Events
from ..modeling.solving import Outcome, solve
from ..threads import run_slices
from ..units import conversion_factor, kind_of
from .residuals import ErrorModel, compiled_errors
from .starts import Scale

MAX_STEPS = 200
# What a further step must promise to be taken: the closed form is exact, equations are as good as their solver.
TOLERANCE = {True: 1e-10, False: 1e-7}
# Tolerance of the solver in a fit: tighter than elsewhere, since the search looks at differences.
RTOL = 1e-7


@dataclass(frozen=True)
class Fits:
    """What the compiled loop found, per patient; parameters are on the estimation scale.

    Attributes
    ----------
    u : (patient, parameter) estimates; NaN where not fitted
    value : −log-likelihood, with the prior where there is one
    decrement : what a further step would lower it by
    kinks : (patient, switch) the sample time that a switch stands on, or NaN
    agreeing : number of starts that ended within 0.05 of the minimum
    hessian : (patient, parameter, parameter)
    """

    u: np.ndarray
    value: np.ndarray
    decrement: np.ndarray
    kinks: np.ndarray
    agreeing: np.ndarray
    hessian: np.ndarray

    @classmethod
    def empty(cls, patients: int, size: int, switches: int) -> Fits:
        """Return one in which no patient has been fitted."""
        return cls(
            u=np.full((patients, size), np.nan),
            value=np.full(patients, np.nan),
            decrement=np.full(patients, np.nan),
            kinks=np.full((patients, switches), np.nan),
            agreeing=np.zeros(patients, dtype=np.int64),
            hessian=np.full((patients, size, size), np.nan),
        )

    def put(self, rows: np.ndarray, other: Fits) -> None:
        """Take over the given rows of another result."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)[rows]


@dataclass(frozen=True)
class Problem:
    """What is fitted, the same for every patient.

    Attributes
    ----------
    outputs : outputs of the model that were observed
    method : "closed_form", "rodas5p" or "tsit5"
    prior : whether the file's random effects are a prior
    unit_of_data : whether the outputs are in another kind of unit than the file's, of whose levels a prior says nothing
    """

    model: Model
    outputs: list[str]
    errors: list[ErrorModel]
    scale: Scale
    method: str
    prior: bool
    unit_of_data: bool = False

    @property
    def exact(self) -> bool:
        """Whether curves come from a closed form."""
        return self.method == "closed_form"

    @functools.cached_property
    def switches(self) -> np.ndarray:
        """Places of the parameters that end a phase."""
        return np.array([self.scale.names.index(name) for name in self.model.symbolic.switches], dtype=np.int64)

    def arguments(self, data: Data, events: Events | None) -> tuple[Curves, tuple[Any, ...]]:
        """Return the curves, and what compiled searches take behind `more`."""
        free = np.flatnonzero(self.scale.free[: self.scale.n_curve])
        curves = Curves.of(self.model, self.outputs, method=self.method, events=events, free=free, rtol=RTOL)
        n_curve = self.scale.n_curve
        return curves, (self.compiled_scale(), compiled_errors(self.errors, n_curve), data, n_curve)

    def compiled_scale(self) -> np.ndarray:
        """Return the scale, with its prior, as compiled code takes it."""
        scale = self.scale.compiled(prior=self.prior)
        if self.unit_of_data:
            free = {name for output in self.outputs for name in self.model.specification.outputs[output].scales_with}
            scale[WEIGHT, [name in free for name in self.scale.names]] = 0.0
        return scale

    def run(
        self,
        data: Data,
        events: Events | None,
        points: np.ndarray,
        *,
        threads: int,
        at_residuals: bool = True,
    ) -> Fits:
        """Fit every patient that has samples, from `points` (patient, start, parameter); each is computed alone."""
        from ..kernels.fit.search import fit_patients

        patients, starts, size = points.shape
        curves, given = self.arguments(data, events)
        switches = self.switches
        found = Fits.empty(patients, size, len(switches))

        def work(first: int, last: int) -> None:
            more, _alive = curves.more()
            fit_patients(
                curves.address, more, *given, switches, first, last, points, starts, at_residuals, MAX_STEPS,
                TOLERANCE[self.exact], found.u, found.value, found.decrement, found.kinks, found.agreeing,
                found.hessian,
            )  # fmt: skip

        run_slices(work, patients, threads)
        return found

    def phase_ends(self, theta: np.ndarray, constants: np.ndarray) -> np.ndarray:
        """Return when each phase but the last ends (patient, phase), in the model's unit."""
        phases = len(self.model.specification.phases)
        ends = np.full((len(theta), phases - 1), np.nan)
        if phases > 1:
            self.model.compiled.phase_ends(np.ascontiguousarray(np.concatenate([theta, constants], axis=1)), ends)
        return ends

    def natural(self, u: np.ndarray) -> np.ndarray:
        """Return natural values of estimates, held ones exactly as they were given."""
        natural = self.scale.to_natural(u)
        held = ~self.scale.free
        natural[..., held] = np.where(np.isnan(natural[..., held]), np.nan, self.scale.value[held])
        return np.asarray(natural)

    def curve(
        self, times: np.ndarray, theta: np.ndarray, constants: np.ndarray, events: Events | None, *, threads: int = 1
    ) -> np.ndarray:
        """Return the outputs (output, patient, time) at natural parameters; NaN where they cannot be computed.

        `times` (patient, time) are in the model's unit.
        """
        values = np.ascontiguousarray(np.concatenate([theta, constants], axis=1))
        absent = np.isnan(values).any(axis=1)
        out = np.full((len(self.outputs), *times.shape), np.nan)
        if self.exact:
            for at, name in enumerate(self.outputs):
                getattr(self.model.compiled, f"curves_{name}")(np.ascontiguousarray(times), values, out[at])
        else:
            found = solve(
                self.model, times, values, outputs=self.outputs, events=events, method=self.method, rtol=RTOL,
                threads=threads,
            )  # fmt: skip
            out = np.moveaxis(found.values, -1, 0).copy()
            out[:, found.codes != Outcome.solved] = np.nan
        out[:, absent] = np.nan
        return out

    def error_values(self, natural: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return values of the parameters of residual errors by name, with a dim to broadcast over samples."""
        return {name: natural[:, at, None] for at, name in enumerate(self.scale.names) if at >= self.scale.n_curve}


def time_factor(model: Model) -> float:
    """Return the model's unit of time in a day; 1 where its curves are functions of something else than time."""
    unit = model.specification.time_unit
    return conversion_factor("day", unit) if kind_of(unit) == kind_of("day") else 1.0
