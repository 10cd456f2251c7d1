"""The cohort: build, validate, select, align, save and load."""

from .build import assemble, cohort, entry_table, exclude, patient_table
from .cdisc import read_pc
from .cdisc_writing import PCTables, write_pc
from .profiles import kinetics_from_arrays, natural_order, profiles_from_table, profiles_of
from .selection import Alignment, align_patients, select
from .storage import load, save, to_tables
from .tidy import read_kinetics
from .validation import find_faults, validate
from .vocabulary import controlled_matrix

__all__ = [
    "Alignment",
    "PCTables",
    "align_patients",
    "assemble",
    "cohort",
    "controlled_matrix",
    "entry_table",
    "exclude",
    "find_faults",
    "kinetics_from_arrays",
    "load",
    "natural_order",
    "patient_table",
    "profiles_from_table",
    "profiles_of",
    "read_kinetics",
    "read_pc",
    "save",
    "select",
    "to_tables",
    "validate",
    "write_pc",
]
