"""Exposure against response and against cytokines."""

from .correlation import exposure_correlation
from .peaks import peaks
from .response import exposure_response

__all__ = ["exposure_correlation", "exposure_response", "peaks"]
