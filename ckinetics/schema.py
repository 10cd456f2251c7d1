"""One table of every variable of every group: dims, dtype, missing value, unit kind, meaning, CDISC name.

Canonical dtypes, and what a missing value is in each:

========== ===================== ==============================
kind       numpy dtype           missing
========== ===================== ==============================
float      float64               NaN
flag       int8                  -1 (named ``missing`` or ``unknown``)
str        object (of str)       "" (the empty string)
datetime   datetime64[ns]        NaT
========== ===================== ==============================

Attributes are numbers and strings; ``flag_values`` follows the CF conventions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

import numpy as np

SCHEMA_VERSION = 1

Kind = Literal["float", "flag", "str", "datetime"]
DTYPES: dict[str, np.dtype[Any]] = {
    "float": np.dtype("float64"),
    "flag": np.dtype("int8"),
    "str": np.dtype("object"),
    "datetime": np.dtype("datetime64[ns]"),
}
MISSING: dict[str, Any] = {
    "float": np.nan,
    "flag": np.int8(-1),
    "str": "",
    "datetime": np.datetime64("NaT", "ns"),
}


class Status(IntEnum):
    """What is known of a level.

    ``below_lloq`` says [0, LLOQ) and nothing more. ``detected_below_lloq`` and ``not_detected`` say, in
    addition, whether the target was seen; detection is chance at low copies, so each has its own
    likelihood.
    """

    missing = -1
    not_detected = 0
    detected_below_lloq = 1
    below_lloq = 2
    quantified = 3
    above_uloq = 4
    invalid = 5
    insufficient_dna = 6


BLQ_STATUSES = (Status.not_detected, Status.detected_below_lloq, Status.below_lloq)
UNUSABLE_STATUSES = (Status.missing, Status.invalid, Status.insufficient_dna)


class Excluded(IntEnum):
    """Whether a sample is left out of analyses; who, when and why stand in ``by`` and ``reason``."""

    missing = -1
    included = 0
    excluded = 1


class YesNo(IntEnum):
    """A yes-or-no finding."""

    unknown = -1
    no = 0
    yes = 1


class CqStatus(IntEnum):
    """What a well's Cq field said."""

    missing = -1
    undetermined = 0
    determined = 1


class Verdict(IntEnum):
    """The outcome of a rule."""

    not_evaluable = -1
    failed = 0
    passed = 1


MATRICES = (
    "blood",
    "bone marrow",
    "pleural fluid",
    "ascites",
    "tumour",
    "csf",
    "lymph node",
    "serum",
    "plasma",
    "other",
)
MATRIX_ALIASES = {
    "pb": "blood",
    "peripheral blood": "blood",
    "whole blood": "blood",
    "bm": "bone marrow",
    "bone_marrow": "bone marrow",
    "marrow": "bone marrow",
    "bone marrow aspirate": "bone marrow",
    "pleural": "pleural fluid",
    "pleural effusion": "pleural fluid",
    "pleural_fluid": "pleural fluid",
    "peritoneal fluid": "ascites",
    "tumor": "tumour",
    "tumour biopsy": "tumour",
    "tumor biopsy": "tumour",
    "cerebrospinal fluid": "csf",
    "lymph_node": "lymph node",
}
ROLES = ("standard", "qc", "unknown", "ntc", "nac", "nec", "ipc", "positive", "")


@dataclass(frozen=True)
class Var:
    """One variable of a group.

    Attributes
    ----------
    name, dims, kind : name, dimensions and kind of dtype
    unit : unit, or ``"level"`` for the unit of the profile's level, or "" where there is none
    meaning : what it is, one line; becomes ``long_name``
    cdisc : its name in CDISC SDTM, where there is one
    codes : the named codes of a flag
    required : whether a group without it is at fault
    """

    name: str
    dims: tuple[str, ...]
    kind: Kind
    meaning: str
    unit: str = ""
    cdisc: str = ""
    codes: type[IntEnum] | None = None
    required: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """The canonical numpy dtype."""
        return DTYPES[self.kind]

    @property
    def missing(self) -> Any:
        """The value that means missing."""
        return MISSING[self.kind]

    def attrs(self, level_unit: str = "") -> dict[str, Any]:
        """Return the attributes that the variable carries in a dataset."""
        attrs: dict[str, Any] = {"long_name": self.meaning}
        unit = level_unit if self.unit == "level" else self.unit
        if unit:
            attrs["units"] = unit
        if self.codes is not None:
            attrs["flag_values"] = np.array([int(code) for code in self.codes], dtype=np.int8)
            attrs["flag_meanings"] = " ".join(code.name for code in self.codes)
        if self.cdisc:
            attrs["cdisc"] = self.cdisc
        return attrs


@dataclass(frozen=True)
class Group:
    """One group of a cohort: its dims, its variables, and whether others may be added by the user."""

    name: str
    dims: tuple[str, ...]
    meaning: str
    variables: tuple[Var, ...]
    open: bool = False
    by_name: dict[str, Var] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.by_name.update({var.name: var for var in self.variables})


def _profiles(name: str, series: str, meaning: str) -> Group:
    dims = ("patient", series, "sample")

    def var(name: str, kind: Kind, meaning: str, **more: Any) -> Var:
        return Var(name, dims, kind, meaning, **more)

    return Group(
        name,
        dims,
        meaning,
        (
            var("time", "float", "actual time since first infusion", unit="day", cdisc="PCDTC", required=True),
            var("nominal_time", "float", "planned time since first infusion", unit="day", cdisc="PCTPTNUM"),
            var("collected", "datetime", "date and time of collection", cdisc="PCDTC"),
            var(
                "level",
                "float",
                "level; NaN unless status is quantified",
                unit="level",
                cdisc="PCSTRESN",
                required=True,
            ),
            var("status", "flag", "what is known of the level", codes=Status, cdisc="PCSTAT", required=True),
            var("lod", "float", "limit of detection of this sample", unit="level"),
            var("lloq", "float", "lower limit of quantification of this sample", unit="level", cdisc="PCLLOQ"),
            var("uloq", "float", "upper limit of quantification of this sample", unit="level", cdisc="PCULOQ"),
            var("se_well", "float", "standard error of ln(level) from the sample's own wells", unit="1"),
            var(
                "se_plate",
                "float",
                "standard error of ln(level) from the plate's curve, shared by all samples of the plate",
                unit="1",
            ),
            var("plate", "str", "plate that the level was read from", cdisc="PCGRPID"),
            var("excluded", "flag", "left out of analyses", codes=Excluded),
            var("reason", "str", "why the sample has its status or was excluded", cdisc="PCREASND"),
            var("by", "str", "who excluded it, and when"),
            var("sample_id", "str", "the sample's name; ties it to all wells behind it", cdisc="PCREFID"),
        ),
    )


def _table(name: str, dim: str, meaning: str, columns: tuple[tuple[Any, ...], ...], *, open: bool = False) -> Group:
    return Group(
        name,
        (dim,),
        meaning,
        tuple(
            Var(column[0], (dim,), column[1], column[2], **(column[3] if len(column) > 3 else {})) for column in columns
        ),
        open=open,
    )


_PATIENT_ID = ("patient_id", "str", "the patient", {"cdisc": "USUBJID", "required": True})

_PATIENTS = _table(
    "/",
    "patient",
    "what is known of a patient",
    (
        ("dose_assigned", "float", "assigned dose", {"unit": "cells", "cdisc": "EXDOSE"}),
        ("dose_received", "float", "received dose", {"unit": "cells", "cdisc": "EXDOSE"}),
        ("dose_level", "str", "dose level of the escalation", {"cdisc": "ARMCD"}),
        ("infused", "datetime", "date and time of the first infusion", {"cdisc": "RFXSTDTC"}),
        ("weight", "float", "body weight at baseline", {"unit": "kg", "cdisc": "VSSTRESN"}),
        ("age", "float", "age at enrolment, in years", {"cdisc": "AGE"}),
        ("sex", "str", "sex", {"cdisc": "SEX"}),
        ("tumour_burden", "float", "sum of target lesion diameters at baseline", {"unit": "mm"}),
        ("antigen_expression", "float", "antigen-positive tumour cells", {"unit": "%"}),
        ("fludarabine", "float", "total fludarabine of conditioning", {"unit": "mg/m2"}),
        ("cyclophosphamide", "float", "total cyclophosphamide of conditioning", {"unit": "mg/m2"}),
        ("safety_set", "flag", "in the safety analysis set", {"codes": YesNo, "cdisc": "SAFFL"}),
        ("efficacy_set", "flag", "in the efficacy analysis set", {"codes": YesNo, "cdisc": "EFFFL"}),
        ("set_reason", "str", "why a patient is outside an analysis set"),
    ),
    open=True,
)

_WELLS = _table(
    "wells",
    "well",
    "one row a well and target, as the instrument exported it",
    (
        (
            "run_id",
            "str",
            "plate run: file stem, with the sheet or plate where a file holds several",
            {"required": True},
        ),
        ("file", "str", "name of the file", {"required": True}),
        ("file_sha256", "str", "SHA-256 of the file's bytes", {"required": True}),
        ("sheet", "str", "sheet of a workbook"),
        ("row", "float", "row in the sheet or line in the file, counted from 1", {"required": True}),
        ("well_name", "str", "well position, letter and number without zeros: A1", {"required": True}),
        ("sample", "str", "sample name as exported", {"required": True}),
        ("target", "str", "target (assay) name", {"required": True}),
        ("role", "str", "what the well is for: " + ", ".join(ROLES[:-1]), {"required": True}),
        ("dye", "str", "reporter dye"),
        ("cq", "float", "quantification cycle; NaN when undetermined", {"unit": "cycle", "required": True}),
        ("cq_status", "flag", "what the Cq field said", {"codes": CqStatus, "required": True}),
        ("omit", "flag", "left out by the instrument's operator", {"codes": YesNo, "required": True}),
        ("nominal_copies", "float", "copies put into a standard's well", {"unit": "copies/well"}),
        (
            "vendor_quantity",
            "float",
            "quantity that the vendor's software calculated",
            {"unit": "copies/well"},
        ),
        ("vendor_slope", "float", "slope that the vendor printed"),
        ("vendor_intercept", "float", "intercept that the vendor printed"),
        ("vendor_r_squared", "float", "R² that the vendor printed"),
        ("vendor_efficiency", "float", "efficiency that the vendor printed", {"unit": "%"}),
        ("vendor_flags", "str", "quality flags that the vendor's software raised"),
        ("n_partitions", "float", "accepted partitions of a digital PCR well"),
        ("n_positive", "float", "positive partitions of a digital PCR well"),
        ("partition_nl", "float", "volume of a partition, in nanolitres"),
        ("vendor_concentration", "float", "concentration that the vendor's software calculated", {"unit": "copies/uL"}),
        ("reaction_ul", "float", "volume of the digital PCR reaction in the well, in microlitres"),
        ("sample_id", "str", "sample of the sample sheet; empty for controls and unlisted samples"),
        ("patient_id", "str", "the patient", {"cdisc": "USUBJID"}),
        ("matrix", "str", "what was sampled", {"cdisc": "PCSPEC"}),
        ("nominal_time", "float", "planned time since first infusion", {"unit": "day"}),
        ("time", "float", "actual time since first infusion", {"unit": "day"}),
        ("collected", "datetime", "date and time of collection"),
        ("dna_ng", "float", "genomic DNA in the well", {"unit": "ng"}),
        (
            "dilution",
            "float",
            "fold dilution of the extract that dna_ng does not yet contain; 1 when dna_ng is in the well",
            {"unit": "1"},
        ),
        ("purpose", "str", "isr for an incurred-sample reanalysis, whose result is never reported; else empty"),
        ("masked", "flag", "left out of the curve by a preset rule, or of everything by an override", {"codes": YesNo}),
        ("mask_reason", "str", "by which rule, or by whom, when and why"),
        (
            "copies",
            "float",
            "copies in the well, from the re-fitted curve or from its partitions",
            {"unit": "copies/well"},
        ),
    ),
)

_CURVES = _table(
    "curves",
    "curve",
    "one fit of a plate's standards for one target; levels are read from the one that is used",
    (
        ("run_id", "str", "plate run", {"required": True}),
        ("target", "str", "target (assay) name", {"required": True}),
        ("method", "str", "how the curve was fitted: ols or weighted; digital where partitions are counted"),
        ("used", "flag", "levels are read from this fit", {"codes": YesNo}),
        ("slope", "float", "slope, cycles per log10 copies"),
        ("intercept", "float", "Cq at one copy", {"unit": "cycle"}),
        ("r_squared", "float", "R² of Cq on log10(copies)"),
        ("efficiency", "float", "amplification efficiency, 10^(-1/slope) - 1", {"unit": "%"}),
        ("residual_sd", "float", "residual SD of Cq", {"unit": "cycle"}),
        ("noise_sd0", "float", "SD of Cq at high copies that the weights rest on", {"unit": "cycle"}),
        ("slope_se", "float", "standard error of the slope"),
        ("intercept_se", "float", "standard error of the intercept", {"unit": "cycle"}),
        ("slope_intercept_cov", "float", "covariance of slope and intercept"),
        ("n_wells", "float", "standard wells used"),
        ("n_levels", "float", "distinct standard levels used"),
        ("lowest", "float", "lowest standard used", {"unit": "copies/well"}),
        ("highest", "float", "highest standard used", {"unit": "copies/well"}),
        ("log10_mean", "float", "mean of log10(copies) over the wells used"),
        ("log10_ss", "float", "sum of squares of log10(copies) about its mean"),
        ("vendor_slope", "float", "slope that the vendor printed"),
        ("vendor_intercept", "float", "intercept that the vendor printed"),
        ("vendor_r_squared", "float", "R² that the vendor printed"),
        ("vendor_efficiency", "float", "efficiency that the vendor printed", {"unit": "%"}),
        (
            "accepted",
            "flag",
            "all rules that a level depends on were passed by the plate and its curve",
            {"codes": Verdict},
        ),
    ),
)

_VERDICTS = _table(
    "verdicts",
    "verdict",
    "one row a rule applied: the measured value, the limits, the outcome and the wells that caused it",
    (
        ("rule", "str", "identifier of the rule", {"required": True}),
        ("run_id", "str", "plate run", {"required": True}),
        ("target", "str", "target (assay) name"),
        ("sample_id", "str", "sample, for rules about one sample"),
        ("value", "float", "measured value"),
        ("low", "float", "lower limit; NaN when there is none"),
        ("high", "float", "upper limit; NaN when there is none"),
        ("outcome", "flag", "outcome", {"codes": Verdict, "required": True}),
        ("message", "str", "the outcome in a sentence"),
        ("wells", "str", "wells that caused it, separated by spaces"),
        ("source", "str", "where the rule comes from"),
        ("override", "str", "who let it pass, when and why; empty where the outcome stands"),
    ),
)

_RESULTS = _table(
    "results",
    "result",
    "one row a sample, plate run and dilution: every result, whether or not it is the reportable one",
    (
        ("sample_id", "str", "sample of the sample sheet", {"required": True}),
        ("patient_id", "str", "the patient", {"cdisc": "USUBJID"}),
        ("run_id", "str", "plate run", {"required": True}),
        ("target", "str", "target (assay) name", {"required": True}),
        ("sample", "str", "sample name as exported"),
        ("purpose", "str", "isr for an incurred-sample reanalysis; else empty"),
        ("status", "flag", "what is known of the level", {"codes": Status, "required": True}),
        ("reason", "str", "why it has its status"),
        ("reportable", "flag", "this result is the sample's level, or part of it", {"codes": YesNo}),
        ("level", "float", "level; NaN unless status is quantified", {"unit": "level"}),
        ("level_low", "float", "lower end of the 95 % interval of the level", {"unit": "level"}),
        ("level_high", "float", "upper end of it; known also where nothing was detected", {"unit": "level"}),
        ("interval_kind", "str", "how the interval was computed"),
        ("lod", "float", "limit of detection of this result", {"unit": "level"}),
        ("lloq", "float", "lower limit of quantification of this result", {"unit": "level"}),
        ("uloq", "float", "upper limit of quantification of this result", {"unit": "level"}),
        ("se_well", "float", "standard error of ln(level) from the sample's own wells", {"unit": "1"}),
        ("se_plate", "float", "standard error of ln(level) shared by all samples of the plate", {"unit": "1"}),
        ("copies", "float", "copies in the well that the level rests on", {"unit": "copies/well"}),
        ("copies_arithmetic", "float", "arithmetic mean of the wells with a signal", {"unit": "copies/well"}),
        ("copies_geometric", "float", "geometric mean of the wells with a signal", {"unit": "copies/well"}),
        ("copies_other_fit", "float", "the same mean read from the fit not used", {"unit": "copies/well"}),
        ("n_wells", "float", "wells used"),
        ("n_detected", "float", "wells with a signal"),
        ("dna_ng", "float", "genomic DNA in the well", {"unit": "ng"}),
        ("dilution", "float", "fold dilution that dna_ng does not yet contain", {"unit": "1"}),
        ("wells", "str", "wells used, separated by spaces"),
    ),
)

_OUTCOMES = _table(
    "outcomes",
    "patient",
    "response and time-to-event endpoints",
    (
        ("response", "str", "best overall response", {"cdisc": "RSSTRESC"}),
        *(
            entry
            for name, label in (
                ("dor", "duration of response"),
                ("pfs", "progression-free survival"),
                ("os", "overall survival"),
            )
            for entry in (
                (f"{name}_time", "float", f"{label}: time to event or censoring", {"unit": "day"}),
                (f"{name}_event", "flag", f"{label}: event observed", {"codes": YesNo}),
            )
        ),
    ),
    open=True,
)

_ENTRIES = (
    _table(
        "infusions",
        "infusion",
        "one row an infusion",
        (
            _PATIENT_ID,
            ("time", "float", "time since first infusion", {"unit": "day", "required": True}),
            ("given", "datetime", "date and time of the infusion", {"cdisc": "EXSTDTC"}),
            ("dose", "float", "cells infused", {"unit": "cells", "cdisc": "EXDOSE"}),
            ("product", "str", "product or lot", {"cdisc": "EXTRT"}),
            ("route", "str", "route", {"cdisc": "EXROUTE"}),
        ),
        open=True,
    ),
    _table(
        "medication",
        "entry",
        "one row a course of a drug",
        (
            _PATIENT_ID,
            ("drug", "str", "drug", {"cdisc": "CMDECOD", "required": True}),
            ("time", "float", "start, since first infusion", {"unit": "day", "cdisc": "CMSTDY"}),
            ("end_time", "float", "end, since first infusion", {"unit": "day", "cdisc": "CMENDY"}),
            ("dose", "float", "dose as recorded", {"cdisc": "CMDOSE"}),
            ("dose_unit", "str", "unit of the dose", {"cdisc": "CMDOSU"}),
        ),
        open=True,
    ),
    _table(
        "events",
        "event",
        "one row an adverse event",
        (
            _PATIENT_ID,
            ("term", "str", "term", {"cdisc": "AEDECOD", "required": True}),
            ("time", "float", "onset, since first infusion", {"unit": "day", "cdisc": "AESTDY"}),
            ("end_time", "float", "end, since first infusion", {"unit": "day", "cdisc": "AEENDY"}),
            ("grade", "float", "grade", {"cdisc": "AETOXGR"}),
            ("scale", "str", "grading scale; grades of different scales are never pooled"),
            ("serious", "flag", "serious", {"codes": YesNo, "cdisc": "AESER"}),
            ("dlt", "flag", "dose-limiting", {"codes": YesNo}),
        ),
        open=True,
    ),
    _table(
        "lesions",
        "measurement",
        "one row a lesion and assessment",
        (
            _PATIENT_ID,
            ("lesion", "str", "lesion", {"cdisc": "TRLNKID", "required": True}),
            ("time", "float", "time since first infusion", {"unit": "day", "cdisc": "TRDY"}),
            (
                "diameter",
                "float",
                "longest diameter, or short axis of a node",
                {"unit": "mm", "cdisc": "TRSTRESN"},
            ),
            ("kind", "str", "target, non-target or new", {"cdisc": "TUORRES"}),
            ("nodal", "flag", "a lymph node", {"codes": YesNo}),
        ),
        open=True,
    ),
    _table(
        "visits",
        "visit",
        "one row a visit and finding",
        (
            _PATIENT_ID,
            ("time", "float", "time since first infusion", {"unit": "day", "required": True}),
            ("name", "str", "name of the visit", {"cdisc": "VISIT"}),
            ("finding", "str", "what was found"),
        ),
        open=True,
    ),
    _table(
        "ada",
        "test",
        "one row a test for antibodies against the CAR",
        (
            _PATIENT_ID,
            (
                "time",
                "float",
                "time since first infusion",
                {"unit": "day", "cdisc": "ISDY", "required": True},
            ),
            ("result", "str", "result", {"cdisc": "ISSTRESC"}),
            ("titre", "float", "titre", {"cdisc": "ISSTRESN"}),
        ),
        open=True,
    ),
)

GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        _PATIENTS,
        _profiles("kinetics", "matrix", "profiles of the CAR transgene by PCR"),
        _profiles("flow", "matrix", "profiles of CAR-positive cells by flow cytometry"),
        _profiles("counts", "count", "blood counts"),
        _profiles("cytokines", "cytokine", "profiles of cytokines and markers of inflammation"),
        _WELLS,
        _CURVES,
        _VERDICTS,
        _RESULTS,
        _OUTCOMES,
        *_ENTRIES,
    )
}
PROFILE_GROUPS = ("kinetics", "flow", "counts", "cytokines")
ENTRY_GROUPS = tuple(group.name for group in _ENTRIES)


def series_dim(group: str) -> str:
    """Return the series dim of a group of profiles: matrix, count or cytokine."""
    return GROUPS[group].dims[1]


def kind_of_dtype(dtype: np.dtype[Any]) -> Kind | None:
    """Return the kind of a canonical dtype, or None where the dtype is not canonical."""
    for kind, canonical in DTYPES.items():
        if dtype == canonical:
            return kind  # type: ignore[return-value]
    return None
