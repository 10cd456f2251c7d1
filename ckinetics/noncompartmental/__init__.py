"""Noncompartmental analysis: a registry of parameters, rules with names, exact kernels."""

from .analysis import nca
from .cautions import cautions_table
from .parameters import PARAMETERS, Parameter
from .reasons import Reason, reasons_table
from .rules import PRESETS, Preset
from .summaries import nca_summary

__all__ = [
    "PARAMETERS",
    "PRESETS",
    "Parameter",
    "Preset",
    "Reason",
    "cautions_table",
    "nca",
    "nca_summary",
    "reasons_table",
]
