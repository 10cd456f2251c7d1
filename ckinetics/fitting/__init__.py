"""Fitting models to profiles."""

from .codes import Convergence
from .individual import fit
from .regression import points_from_arrays

__all__ = ["Convergence", "fit", "points_from_arrays"]
