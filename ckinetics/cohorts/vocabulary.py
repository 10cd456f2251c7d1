"""Words of tables of samples: names of columns, and what a cell says of a level, its limits and its matrix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from ..schema import MATRICES, MATRIX_ALIASES, Status
from ..tables import MISSING_WORDS, as_number

# Columns of a tidy table of samples: canonical name to the other names that are understood.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "patient": ("patient_id", "usubjid", "subjid", "subject", "subject_id", "id"),
    "matrix": ("pcspec", "specimen", "sample_type", "compartment"),
    "count": ("test", "analyte", "parameter", "lbtestcd", "lbtest"),
    "cytokine": ("analyte", "test", "parameter", "lbtestcd", "lbtest"),
    "time": ("actual_time", "actual_day", "day", "days", "time_days", "afrlt"),
    "study_day": ("pcdy", "lbdy", "ady"),
    "nominal_time": ("nominal_day", "planned_day", "nfrlt"),
    "collected": ("collection_time", "collection_datetime", "pcdtc", "lbdtc"),
    "infused": ("infusion_time", "infusion_datetime", "rfxstdtc"),
    "level": ("value", "result", "concentration", "conc", "pcstresc", "pcorres", "lbstresc", "lborres"),
    "unit": ("units", "pcstresu", "pcorresu", "lbstresu", "lborresu"),
    "lod": ("limit_of_detection",),
    "lloq": ("loq", "pclloq", "lblloq"),
    "uloq": ("pculoq", "lbuloq"),
    "se_well": (),
    "se_plate": (),
    "plate": ("run_id", "run", "pcgrpid"),
    "sample_id": ("sample_name", "pcrefid", "lbrefid"),
    "excluded": (),
    "reason": ("pcreasnd",),
    "by": (),
}
_BLQ = frozenset({"blq", "bql", "bloq", "<blq", "<bql", "<lloq", "<loq", "below lloq", "below loq", "lt lloq"})
_NOT_DETECTED = frozenset({"nd", "not detected", "undetected", "negative", "neg", "<lod", "bld"})
_DETECTED = frozenset({"dnq", "detected not quantifiable", "detected, not quantifiable", "detected <lloq"})
_ABOVE = frozenset({">uloq", "alq", "auq", "above uloq", ">uloq.", "aloq"})
_INVALID = frozenset({"inv", "invalid", "failed"})
_NO_DNA = frozenset({"ns", "insufficient", "insufficient dna", "qns"})
# Spaces do not matter: "< LLOQ" is "<LLOQ".
_WORDS = tuple(
    (frozenset(word.replace(" ", "") for word in words), code)
    for words, code in (
        (_BLQ, Status.below_lloq),
        (_NOT_DETECTED, Status.not_detected),
        (_DETECTED, Status.detected_below_lloq),
        (_ABOVE, Status.above_uloq),
        (_INVALID, Status.invalid),
        (_NO_DNA, Status.insufficient_dna),
    )
)
# Specimens whose name in SDTM is not their matrix in capitals.
_SPECIMENS = {"tumour": "TUMOR", "csf": "CEREBROSPINAL FLUID"}


def check_columns(columns: Mapping[str, str] | None, known: Iterable[str], what: str) -> None:
    """Refuse a renaming of a column that `what` does not know: it would be lost without a word.

    Raises
    ------
    InputError
        Names the column and what there is.
    """
    names = list(known)
    strange = [name for name in columns or {} if name not in names]
    if strange:
        raise InputError(
            f"columns= names '{strange[0]}', which {what} does not know: its columns are {', '.join(names)}"
        )


def controlled_matrix(text: str) -> str:
    """Return the controlled word of a matrix.

    Raises
    ------
    InputError
        The word is unknown.
    """
    folded = re.sub(r"\s+", " ", text.strip().lower())
    word = MATRIX_ALIASES.get(folded, folded)
    if word not in MATRICES:
        raise InputError(f"unknown matrix '{text}': use one of {', '.join(MATRICES)}")
    return word


def specimen(matrix: str) -> str:
    """Return the name of a matrix as a specimen of SDTM.

    Examples
    --------
    >>> specimen("csf"), specimen("bone marrow")
    ('CEREBROSPINAL FLUID', 'BONE MARROW')
    """
    return _SPECIMENS.get(matrix, matrix.upper())


def parse_level(text: str, limits: dict[str, float], stated: Mapping[str, bool]) -> tuple[Status, float]:
    """Return status and level of one cell; limits that the cell states are put into `limits`.

    A limit that the cell states must be the one that is `stated` elsewhere for the same sample.
    """
    folded = re.sub(r"\s+", " ", text.lower())
    if folded in MISSING_WORDS:
        return Status.missing, np.nan
    for words, code in _WORDS:
        if folded.replace(" ", "") in words:
            return code, np.nan
    bound = re.fullmatch(r"([<>≤≥]=?)\s*(.+)", folded)
    value = as_number(bound.group(2) if bound else folded)
    if value is None:
        raise InputError(
            f"level '{text}' is neither a number nor a known word (BLQ, <50, ND, DNQ, >ULOQ, INV, NS, NA): correct it"
        )
    if value < 0:
        raise InputError(f"level {value:g} is negative: correct it")
    if bound:
        name, code = ("lloq", Status.below_lloq) if bound.group(1)[0] in "<≤" else ("uloq", Status.above_uloq)
        if stated[name] and not np.isclose(limits[name], value, rtol=1e-9):
            raise InputError(f"level '{text}' contradicts the row's {name} of {limits[name]:g}: correct one of them")
        limits[name] = value
        return code, np.nan
    if value < limits["lloq"] or (value == 0 and np.isnan(limits["lloq"])):
        return Status.below_lloq, np.nan
    if value > limits["uloq"]:
        return Status.above_uloq, np.nan
    return Status.quantified, value


def check_limits(limits: Mapping[str, float]) -> None:
    """Refuse limits (lod, lloq, uloq) that are not positive and finite, or not in order."""
    if not wrong_limits(**limits):
        return
    for name, limit in limits.items():
        if limit <= 0 or np.isinf(limit):
            raise InputError(f"{name} {limit:g} is not positive and finite: correct it")
    if limits["lod"] > limits["lloq"] * (1 + 1e-12):
        raise InputError(f"lod {limits['lod']:g} is above lloq {limits['lloq']:g}: correct one of them")
    raise InputError(f"lloq {limits['lloq']:g} is not below uloq {limits['uloq']:g}: correct one of them")


def wrong_limits(lod: Any, lloq: Any, uloq: Any) -> Any:
    """Return where limits (numbers or arrays) are not positive and finite, or not in order."""
    wrong = [(limit <= 0) | np.isinf(limit) for limit in (lod, lloq, uloq)]
    return wrong[0] | wrong[1] | wrong[2] | (lod > lloq * (1 + 1e-12)) | (lloq >= uloq)
