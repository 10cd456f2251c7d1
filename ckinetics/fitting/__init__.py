"""Fitting models to profiles, and comparing them."""

from .averaging import average
from .codes import Convergence
from .comparison import compare
from .individual import fit
from .regression import points_from_arrays

__all__ = ["Convergence", "average", "compare", "fit", "points_from_arrays"]
