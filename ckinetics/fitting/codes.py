"""How a patient's fit ended: a small set of codes, each of which is a sentence in `message`."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np


class Convergence(IntEnum):
    """How a patient's fit ended.

    converged : at a minimum.
    converged_at_kink : at a minimum where a switch (Tmax) stands on a sample time.
    at_bound : at a minimum with at least one parameter at a bound, so not determined by the data.
    not_converged : no minimum was reached; the estimates are where the search stopped.
    too_few_samples : fewer usable samples than estimated parameters plus one; not fitted.
    no_quantified_sample : not fitted.
    not_computable : the model's curve was not a number (or could not be integrated) at any start; not fitted.
    flat : the search stopped where the likelihood does not depend on a parameter: another start may end elsewhere.
    """

    missing = -1
    converged = 0
    converged_at_kink = 1
    at_bound = 2
    not_converged = 3
    too_few_samples = 4
    no_quantified_sample = 5
    not_computable = 6
    flat = 7


def flag(codes: type[IntEnum], meaning: str) -> dict[str, Any]:
    """Return the attributes of a variable of codes."""
    return {
        "long_name": meaning,
        "flag_values": np.array([int(code) for code in codes], dtype=np.int8),
        "flag_meanings": " ".join(code.name for code in codes),
    }
