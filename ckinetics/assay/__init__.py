"""The assay: plate exports to wells, standard curves, acceptance, and copies per µg of genomic DNA."""

from __future__ import annotations

from .curves import Curve, fit_curve
from .inspection import inspect_file
from .plates import read_plates
from .quantification import quantify
from .rules import Rules, load_rules
from .sample_sheet import SampleSheet, read_sample_sheet

__all__ = [
    "Curve",
    "Rules",
    "SampleSheet",
    "fit_curve",
    "inspect_file",
    "load_rules",
    "quantify",
    "read_plates",
    "read_sample_sheet",
]
