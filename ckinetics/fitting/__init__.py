"""Fitting models to profiles."""

from .codes import Convergence
from .individual import fit

__all__ = ["Convergence", "fit"]
