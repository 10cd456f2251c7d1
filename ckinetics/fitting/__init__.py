"""Fitting models to profiles, and comparing them."""

from .averaging import average
from .codes import Convergence
from .comparison import compare
from .individual import fit

__all__ = ["Convergence", "average", "compare", "fit"]
