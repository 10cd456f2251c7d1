"""A start on the natural scale from the fit on the ln scale, where low levels weigh as much as high ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..modeling.events import Events
from .problem import Problem
from .residuals import FIELD_DEFAULT, error_models
from .samples import Samples, pack
from .starts import estimation_scale

# So many starts, those from the data, find the maximum on the ln scale nearly always.
_STARTS = 4


def with_first_fit(
    points: np.ndarray,
    problem: Problem,
    gather: Callable[[bool], Sequence[Samples]],
    *,
    held: dict[str, float],
    events: Events | None,
    constants: np.ndarray,
    factor: float,
    which: np.ndarray,
    threads: int,
) -> np.ndarray:
    """Return starting points (patient, start, parameter) with one more: the curve that fits best on the ln scale.

    A residual error that does not grow with the level, or not at low ones, leaves low levels without weight on the way,
    and searches end where the late curve is of no account. Where every output's error is on the ln scale the points are
    as they were; so they are for a patient without such a fit (levels or curves that are not positive).

    Parameters
    ----------
    points : ndarray (patient, start, parameter)
        On the estimation scale of `problem`.
    problem : Problem
        What is fitted.
    gather : callable
        Returns the samples of all outputs, given whether residual errors are on the ln scale.
    held : dict
        Fixed parameters by name.
    events, constants, factor, which, threads
        As `Problem.run` and `pack` take them.
    """
    if all(error.on_log for error in problem.errors):
        return points
    n_curve = problem.scale.n_curve
    errors = error_models(problem.model, problem.outputs, FIELD_DEFAULT)
    curve_names = problem.scale.names[:n_curve]
    scale = estimation_scale(
        problem.model, errors, {name: value for name, value in held.items() if name in curve_names}
    )
    if not scale.free[:n_curve].any():
        return points
    series = gather(True)
    data = pack(
        series, on_log=[True] * len(errors), factor=factor, constants=constants,
        which=which & (np.sum([s.count("quantified") for s in series], axis=0) > 0),
    )  # fmt: skip
    starts = np.tile(scale.typical, (*points[:, :_STARTS].shape[:2], 1))
    starts[:, :, :n_curve] = points[:, :_STARTS, :n_curve]
    found = replace(problem, errors=errors, scale=scale).run(data, events, starts, threads=threads)
    more = points[:, :1].copy()
    known = np.isfinite(found.value)
    more[known, 0, :n_curve] = found.u[known, :n_curve]
    return np.ascontiguousarray(np.concatenate([points, more], axis=1))
