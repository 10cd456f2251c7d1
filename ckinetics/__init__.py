"""ckinetics: cellular kinetics of CAR-T, from plate exports to exposure and response.

The functions of a notebook stand here and are loaded when first used, so that the import itself is
quick::

    import ckinetics as ck

    wells    = ck.read_plates("exports/", layout="samples.csv")
    kinetics = ck.quantify(wells)
    cohort   = ck.cohort(kinetics, patients="patients.csv", response="response.csv")
    nca      = ck.nca(cohort, intervals=[(0, 28)])
    fit      = ck.fit(cohort, "stein2019")
    ck.report(cohort, nca, fit, path="report.html")
"""

from __future__ import annotations

import importlib
from typing import Any

from ._version import __version__

_HOMES = {
    "align_patients": "cohorts",
    "average": "fitting",
    "cautions_table": "noncompartmental",
    "cohort": "cohorts",
    "compare": "fitting",
    "content_hash": "provenance",
    "detection_limit": "assay",
    "exclude": "cohorts",
    "exposure_correlation": "exposure",
    "exposure_response": "exposure",
    "fit": "fitting",
    "identifiability": "modeling",
    "kinetics_from_arrays": "cohorts",
    "list_models": "modeling",
    "load": "cohorts",
    "load_example": "examples",
    "load_model": "modeling",
    "nca": "noncompartmental",
    "nca_table": "noncompartmental",
    "peaks": "exposure",
    "persistence_summary": "noncompartmental",
    "points_from_arrays": "fitting",
    "quantification_limit": "assay",
    "quantify": "assay",
    "read_kinetics": "cohorts",
    "read_pc": "cohorts",
    "read_plates": "assay",
    "read_sbml": "modeling",
    "reasons_table": "noncompartmental",
    "report": "reporting",
    "run_study": "study",
    "save": "cohorts",
    "select": "cohorts",
    "simulate": "simulation",
    "simulate_study": "study",
    "summary": "reporting",
    "to_cells_per_ul": "assay",
    "to_copies_per_cell": "assay",
    "to_copies_per_ul": "assay",
    "to_tables": "cohorts",
    "validate": "cohorts",
    "vector_copy_number": "assay",
    "write_pc": "cohorts",
    "write_sbml": "modeling",
}
_MODULES = ("errors", "plot", "schema", "units")

__all__ = ["__version__", *_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ckinetics' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
