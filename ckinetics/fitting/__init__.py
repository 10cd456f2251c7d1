"""Fitting models to profiles."""

from .individual import fit
from .results import Convergence

__all__ = ["Convergence", "fit"]
