"""Noncompartmental analysis: a registry of parameters, rules with names, exact kernels."""

from ..statistics.interval_censored import Turnbull, turnbull
from .analysis import nca
from .flags import FLAGS, cautions_table
from .parameters import PARAMETERS, Parameter, find_parameter
from .persistence import persistence_summary
from .reasons import Reason, reasons_table
from .rules import PRESETS, Limits, Preset
from .summaries import nca_summary
from .tables import nca_table

__all__ = [
    "FLAGS",
    "PARAMETERS",
    "PRESETS",
    "Limits",
    "Parameter",
    "Preset",
    "Reason",
    "Turnbull",
    "cautions_table",
    "find_parameter",
    "nca",
    "nca_summary",
    "nca_table",
    "persistence_summary",
    "reasons_table",
    "turnbull",
]
