"""Profile likelihood: how the best likelihood falls as one parameter is held away from its estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..threads import run_slices
from .codes import Convergence
from .fitted import Fitted
from .problem import MAX_STEPS
from .samples import only
from .uncertainty import rise

# What a step must promise along a profile, where a rise of about 2 is looked for.
_TOLERANCE = 1e-6
# Points of a profile that are kept on each side of the estimate.
N_SIDE = 24


@dataclass(frozen=True)
class ProfileLikelihood:
    """Profiles of all patients, on the estimation scale.

    Attributes
    ----------
    lower, upper : (patient, parameter) limits; at a bound, the bound itself; NaN where not profiled
    u, rise : (patient, parameter, step) values in ascending order, and −log-likelihood above its minimum there
    """

    lower: np.ndarray
    upper: np.ndarray
    u: np.ndarray
    rise: np.ndarray


def profile_likelihood(fitted: Fitted) -> ProfileLikelihood:
    """Return profiles of every estimated parameter of every patient that was fitted.

    The limits are where −log-likelihood has risen as `ckinetics.fitting.uncertainty.rise` says. A parameter that can
    move to its bound without that has the bound for a limit.
    """
    from ..kernels.fit.profile import profile_patients

    found, problem = fitted.found, fitted.problem
    patients, size = found.u.shape
    shape = (patients, size, 2 * N_SIDE + 1)
    out = ProfileLikelihood(
        np.full((patients, size), np.nan),
        np.full((patients, size), np.nan),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
    )
    allowed = rise(fitted.confidence, fitted.n_scatter, fitted.n_curve_free)
    # Where the search has not ended, or the curve goes through all points, a rise means nothing.
    which = np.isfinite(found.value) & ~fitted.through_samples & (fitted.codes != Convergence.not_converged)
    data = only(fitted.data, which)
    curves, given = problem.arguments(data, fitted.events)
    se = np.where(np.isfinite(fitted.se_log), fitted.se_log, 0.5)

    def work(first: int, last: int) -> None:
        more, _alive = curves.more()
        profile_patients(
            curves.address, more, *given, problem.switches, first, last, found.u, found.value, se, allowed,
            MAX_STEPS, _TOLERANCE, out.lower, out.upper, out.u, out.rise,
        )  # fmt: skip

    run_slices(work, patients, fitted.threads)
    order = np.argsort(out.u, axis=2, kind="stable")
    return ProfileLikelihood(
        out.lower,
        out.upper,
        np.take_along_axis(out.u, order, axis=2),
        np.take_along_axis(out.rise, order, axis=2),
    )
