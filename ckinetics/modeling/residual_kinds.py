"""Kinds of residual errors, as model files name them."""

from __future__ import annotations

from ..kernels.residual_forms import COMBINED1, COMBINED2, CONSTANT, PROPORTIONAL

# Whether ln(observed) or the observation itself is normal, and the form of its standard deviation.
KINDS = {
    "additive on log": (True, CONSTANT),
    "additive": (False, CONSTANT),
    "proportional": (False, PROPORTIONAL),
    "combined1": (False, COMBINED1),
    "combined2": (False, COMBINED2),
}
