"""Everything that a fit found, before it becomes a tree: what the functions that describe it share."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..kernels.fit.objective import Data
from ..modeling.events import Events
from .problem import Fits, Problem
from .residuals import without_scatter
from .samples import Samples


@dataclass(frozen=True)
class Fitted:
    """A problem, its data and what was found; arrays are over patients.

    Attributes
    ----------
    series : one for each output
    constants : (patient, constant)
    codes : of `ckinetics.fitting.Convergence`
    covariance : (patient, parameter, parameter) on the estimation scale, NaN where there is none
    at_lower, at_upper : (patient, parameter) whether an estimate is at a bound
    """

    problem: Problem
    series: list[Samples]
    data: Data
    constants: np.ndarray
    events: Events | None
    found: Fits
    codes: np.ndarray
    covariance: np.ndarray
    at_lower: np.ndarray
    at_upper: np.ndarray
    interval: str
    confidence: float
    bootstrap: int
    seed: int
    threads: int

    @functools.cached_property
    def natural(self) -> np.ndarray:
        """(patient, parameter) estimates on the natural scale."""
        return self.problem.natural(self.found.u)

    @property
    def theta(self) -> np.ndarray:
        """(patient, parameter) those of the curve."""
        return np.ascontiguousarray(self.natural[:, : self.problem.scale.n_curve])

    @functools.cached_property
    def se_log(self) -> np.ndarray:
        """(patient, parameter) standard errors on the estimation scale."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    @functools.cached_property
    def determined(self) -> np.ndarray:
        """(patient, parameter) whether the data determine it; a switch on a kink is, without a standard error."""
        known = np.isfinite(self.se_log)
        for at, place in enumerate(self.problem.switches):
            known[:, place] |= np.isfinite(self.found.kinks[:, at]) & known.any(axis=1)
        return known

    @functools.cached_property
    def through_samples(self) -> np.ndarray:
        """(patient,) whether a curve goes through all quantified samples of an output."""
        return without_scatter(self.problem.errors, self.problem.scale.n_curve, self.at_lower, self.data)

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """(patient,) samples used, of all outputs."""
        return np.asarray(np.sum([s.counts for s in self.series], axis=0))

    @functools.cached_property
    def n_scatter(self) -> np.ndarray:
        """(patient,) samples that tell of the size of scatter: a censored one tells next to nothing of it."""
        return np.maximum(self.count("quantified"), 1)

    def count(self, kind: str) -> np.ndarray:
        """Return, per patient, how many samples of all outputs are of a kind; see `Samples.count`."""
        return np.asarray(np.sum([s.count(kind) for s in self.series], axis=0))

    @property
    def n_curve_free(self) -> int:
        """Number of parameters of the curve that were estimated."""
        return int(self.problem.scale.free[: self.problem.scale.n_curve].sum())

    def unit_of_data(self, unit: str) -> str:
        """Return a unit of the model file with the data's in place of the first output's (see ``scales_with``)."""
        stated = self.problem.model.specification.outputs[self.problem.outputs[0]].unit
        return unit.replace(stated, self.series[0].unit)
