"""The assay: plate exports to wells, standard curves, acceptance, and copies per µg of genomic DNA."""

from __future__ import annotations

from .conversions import to_cells_per_ul, to_copies_per_cell, to_copies_per_ul, vector_copy_number
from .curves.standard_curve import Curve, fit_curve, fit_weighted_curve
from .inspection import inspect_file
from .limits.detection import detection_limit
from .limits.precision import quantification_limit
from .overrides import read_overrides
from .plates import read_plates
from .quantification import quantify
from .rules import Rules, load_rules
from .sample_sheet import SampleSheet, read_sample_sheet

__all__ = [
    "Curve",
    "Rules",
    "SampleSheet",
    "detection_limit",
    "fit_curve",
    "fit_weighted_curve",
    "inspect_file",
    "load_rules",
    "quantification_limit",
    "quantify",
    "read_overrides",
    "read_plates",
    "read_sample_sheet",
    "to_cells_per_ul",
    "to_copies_per_cell",
    "to_copies_per_ul",
    "vector_copy_number",
]
