"""From wells to copies per µg of genomic DNA."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..cohorts.profiles import profiles_from_table
from ..errors import InputError
from ..provenance import content_hash, result_attrs
from ..schema import GROUPS, CqStatus, Excluded, Status, Verdict, YesNo
from ..units import normalise_unit
from .curves import Curve, back_calculate, fit_curve
from .levels import PlateCurve, ReplicateMean, SampleResult, quantification_limits, sample_result
from .records import dataset_of, records_of
from .repeats import POLICIES, Repeats, reportable
from .rules import Rules, load_rules
from .verdicts import SAMPLE_SHEET, blocking, curve_verdicts, ntc_verdict, range_verdict, vendor_verdicts

_VENDOR = ("vendor_slope", "vendor_intercept", "vendor_r_squared", "vendor_efficiency")
Well = dict[str, Any]


def quantify(
    wells: xr.Dataset,
    /,
    *,
    rules: str | Path = "default",
    lloq_copies: float | None = None,
    lod_copies: float | None = None,
    replicate_mean: ReplicateMean = "arithmetic",
    repeats: Repeats = "refuse",
    unit: Literal["copies/ug"] = "copies/ug",
    target: str | None = None,
) -> xr.DataTree:
    r"""Turn wells into copies per µg of genomic DNA, with status, limits and standard errors.

    The standard curve of every run and target is fitted anew by ordinary least squares of Cq on
    log10(copies) over the standard wells that are not omitted; vendor numbers are compared with it and never
    used. Copies of a well are read back from it (``10^((Cq - intercept)/slope)``), averaged over the
    sample's wells, and divided by the genomic DNA in the well.

    Parameters
    ----------
    wells : Dataset
        Result of `read_plates`.
    rules : str or Path
        Acceptance criteria: "default", or a TOML file; see `ckinetics.assay.load_rules`. A plate that
        fails a fatal rule gives no level: its samples are ``invalid``, with the rule, value and limit as
        reason; the copies of its wells stay in ``wells``.
    lloq_copies, lod_copies : float, optional
        Limits in copies per well, in place of those of the rules. The LLOQ in force on a plate is never
        below its lowest accepted standard.
    replicate_mean : {"arithmetic", "geometric"}
        Mean of the copies of a sample's wells; "arithmetic" is the vendors' quantity mean.
    repeats : {"refuse", "first_valid", "mean"}
        A sample with a valid result from more than one run (or dilution): "refuse" makes it ``invalid``
        and names the runs; "first_valid" takes the first by run id; "mean" takes the mean level of the
        runs, all of which must be quantified. Under each policy a sample with one valid result has
        that one, and a quantified result stands in for one above its ULOQ.
    unit : {"copies/ug"}
        Unit of the levels.
    target : str, optional
        Target of the profiles; needed where samples were measured for more than one.

    Returns
    -------
    DataTree
        Root: the variables of the schema's group "kinetics" on (patient, matrix, sample). Children
        ``wells`` (`wells` with ``copies`` filled in), ``curves`` and ``verdicts``.

    Raises
    ------
    InputError
        `wells` is no well table, several targets and none named, an unknown option, or faulty rules.

    Notes
    -----
    Limits are per sample: ``lloq = LLOQ copies * dilution / dna_ng * 1000``, so a well with less DNA has a
    higher LLOQ; ``dilution`` counts only where ``dna_ng`` is of the undiluted extract.

    Replicates of which some have no signal never give the mean of the others: the sample is
    ``detected_below_lloq``, or ``invalid`` where the others' mean is above a multiple of the LLOQ (rule
    ``partial_detection``). The likelihood of partial detection is not used for a level.

    Standard errors are of ln(level): ``se_well`` from the sample's wells, not below the Poisson-aware
    noise; ``se_plate`` from the curve, shared by all samples of the plate.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ckinetics.assay import read_plates
    >>> lines = ["well,sample,target,role,cq,quantity", "B1,S1,CAR,unknown,28.0343,"]
    >>> lines += [f"A{n},Std,CAR,standard,{38 - 3.3219 * n},{10**n}" for n in range(1, 7)]
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "plate.csv"
    >>> _ = file.write_text("\n".join(lines))
    >>> sheet = pd.DataFrame({"sample": ["S1"], "patient": ["P1"], "time": [7], "dna_ng": [200]})
    >>> kinetics = quantify(read_plates(file, layout=sheet))
    >>> round(kinetics["level"].item()), round(kinetics["lloq"].item())  # 1000 copies in 200 ng
    (5000, 50)
    """
    _check_options(wells, unit, replicate_mean, repeats)
    criteria = load_rules(rules)
    limits = {
        "lloq": _limit("lloq_copies", lloq_copies, criteria.value("lloq")),
        "lod": _limit("lod_copies", lod_copies, criteria.value("lod")),
    }
    if limits["lod"] > limits["lloq"]:
        raise InputError(f"the LOD of {limits['lod']:g} copies is above the LLOQ of {limits['lloq']:g}: correct one")
    records = records_of(wells[[*GROUPS["wells"].by_name]], "well")
    chosen = _chosen_target(records, target)
    plates, curves, verdicts = _plates(records, criteria, limits)
    results = _results(records, plates, criteria, replicate_mean, chosen)
    for result in results:
        verdicts += result.verdicts
    profiles, notes = _profiles(records, results, repeats, chosen)
    verdicts += notes + _unlisted(records)
    settings = {
        "rules": criteria.name,
        "rules_version": criteria.version,
        "rules_sha256": criteria.sha256,
        "lloq_copies": limits["lloq"],
        "lod_copies": limits["lod"],
        "replicate_mean": replicate_mean,
        "repeats": repeats,
        "unit": unit,
        "target": chosen,
        "curve": "ordinary least squares of Cq on log10(copies), wells not omitted",
    }
    source = content_hash(wells)

    def attrs(title: str) -> dict[str, Any]:
        return result_attrs(title=title, settings=settings, source=source)

    root = profiles_from_table(profiles, unit=unit)
    root.attrs |= attrs("profiles of the CAR transgene by PCR")
    copies = np.array([record["copies"] for record in records], dtype=np.float64)
    with_copies = wells.assign(copies=("well", copies, GROUPS["wells"].by_name["copies"].attrs()))
    return xr.DataTree.from_dict(
        {
            "/": root,
            "wells": with_copies,
            "curves": dataset_of("curves", curves, attrs("standard curves")),
            "verdicts": dataset_of("verdicts", verdicts, attrs("verdicts on curves, controls and samples")),
        }
    )


def _check_options(wells: Any, unit: str, replicate_mean: str, repeats: str) -> None:
    if not isinstance(wells, xr.Dataset) or "well" not in wells.dims:
        raise InputError(f"expected the well table of read_plates, got {type(wells).__name__}")
    missing = [name for name in GROUPS["wells"].by_name if name not in wells.data_vars]
    if missing:
        raise InputError(f"the well table has no variable '{missing[0]}': make it with read_plates")
    if normalise_unit(unit) != "copies/ug":
        raise InputError(f"unit='{unit}' cannot be reported: levels are in 'copies/ug'")
    if replicate_mean not in ("arithmetic", "geometric"):
        raise InputError(f"replicate_mean='{replicate_mean}' is unknown: use 'arithmetic' or 'geometric'")
    if repeats not in POLICIES:
        raise InputError(f"repeats='{repeats}' is unknown: use one of {', '.join(POLICIES)}")


def _limit(name: str, given: float | None, default: float) -> float:
    value = default if given is None else float(given)
    if not (value > 0 and math.isfinite(value)):
        raise InputError(f"{name} is {value:g}: give a positive number of copies per well")
    return value


def _chosen_target(records: Sequence[Well], target: str | None) -> str:
    there = sorted({record["target"] for record in records if record["patient_id"]})
    if target is not None:
        everywhere = sorted({record["target"] for record in records})
        if target not in everywhere:
            raise InputError(f"target '{target}' is in no well: there are {', '.join(everywhere) or 'none'}")
        return target
    if len(there) > 1:
        raise InputError(f"the samples were measured for {', '.join(there)}: name one with target=")
    return there[0] if there else ""


def _plates(
    records: Sequence[Well], rules: Rules, limits: Mapping[str, float]
) -> tuple[dict[tuple[str, str], PlateCurve], list[dict[str, Any]], list[dict[str, Any]]]:
    """Fit and judge the curve of every run and target, and fill in the copies of the wells."""
    groups: dict[tuple[str, str], list[Well]] = defaultdict(list)
    for record in records:
        if record["role"]:
            groups[record["run_id"], record["target"]].append(record)
    plates, curves, verdicts = {}, [], []
    for run_id, target in sorted(groups):
        wells = groups[run_id, target]
        about = {"run_id": run_id, "target": target}
        standards = [
            well
            for well in wells
            if well["role"] == "standard" and well["omit"] != YesNo.yes and math.isfinite(well["nominal_copies"])
        ]
        seen = [well for well in standards if well["cq_status"] == CqStatus.determined]
        curve = fit_curve(np.array([well["nominal_copies"] for well in seen]), np.array([well["cq"] for well in seen]))
        _fill_copies(wells, curve)
        rule = rules["back_calculated"]
        levels = back_calculate(curve, standards, high=rule.high, lowest_high=rule.values["lowest_high"])
        on_curve = curve_verdicts(curve, levels, wells, rules, about)
        lod, lloq, uloq = quantification_limits(levels, lloq=limits["lloq"], lod=limits["lod"])
        on_plate = [*on_curve, ntc_verdict(curve, wells, rules, about)]
        if curve.usable:
            on_plate.append(range_verdict(levels, limits["lloq"], uloq, about))
        printed = {name: next((w[name] for w in wells if math.isfinite(w[name])), math.nan) for name in _VENDOR}
        verdicts += on_plate + vendor_verdicts(curve, printed, wells, rules, about)
        reasons = [f"run {run_id}: {text}" for text in _first_reasons(on_plate, rules)]
        plates[run_id, target] = PlateCurve(curve, lod, lloq, uloq, tuple(reasons))
        curves.append(
            about | curve.record() | printed | {"method": "least squares", "accepted": _accepted(on_plate, rules)}
        )
    return plates, curves, verdicts


def _fill_copies(wells: Sequence[Well], curve: Curve) -> None:
    copies = curve.copies(np.array([well["cq"] for well in wells], dtype=np.float64))
    for well, value in zip(wells, copies.tolist(), strict=True):
        well["copies"] = value if well["cq_status"] == CqStatus.determined else math.nan


def _first_reasons(verdicts: Sequence[Mapping[str, Any]], rules: Rules) -> list[str]:
    """Return every fatal failure and, of what could not be judged, the first: the others follow from it."""
    failed = [entry for entry in verdicts if entry["outcome"] == Verdict.failed]
    unknown = [entry for entry in verdicts if entry["outcome"] == Verdict.not_evaluable]
    return blocking(failed, rules) + blocking(unknown, rules)[:1]


def _accepted(verdicts: Sequence[Mapping[str, Any]], rules: Rules) -> Verdict:
    """Return failed where a fatal rule failed, not evaluable where a required one was not judged."""
    failed = [entry for entry in verdicts if entry["outcome"] == Verdict.failed]
    if blocking(failed, rules):
        return Verdict.failed
    return Verdict.not_evaluable if blocking(verdicts, rules) else Verdict.passed


def _results(
    records: Sequence[Well],
    plates: Mapping[tuple[str, str], PlateCurve],
    rules: Rules,
    replicate_mean: ReplicateMean,
    target: str,
) -> list[SampleResult]:
    """Return one result a run and sample name (a dilution has a name of its own) of the chosen target."""
    groups: dict[tuple[Any, ...], list[Well]] = defaultdict(list)
    for record in records:
        if record["role"] == "unknown" and record["patient_id"] and record["target"] == target:
            key = tuple(record[name] for name in ("sample_id", "run_id", "sample"))
            groups[(*key, str(record["dna_ng"]), str(record["dilution"]))].append(record)
    return [
        sample_result(wells, plates[wells[0]["run_id"], target], rules, replicate_mean=replicate_mean)
        for _, wells in sorted(groups.items(), key=lambda item: item[0])
    ]


def _profiles(
    records: Sequence[Well], results: Sequence[SampleResult], repeats: Repeats, target: str
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Return one row a sample, and the verdicts on samples with several results."""
    samples = {record["sample_id"]: record for record in records if record["patient_id"]}
    by_sample: dict[str, list[SampleResult]] = defaultdict(list)
    for result in results:
        by_sample[result.sample_id].append(result)
    rows, notes = [], []
    for sample_id, record in sorted(samples.items()):
        own = by_sample.get(sample_id)
        if own is None:  # on a plate, but not for this target
            reported = SampleResult("", target, sample_id, Status.missing, f"not measured for target '{target}'")
        else:
            reported, note = reportable(own, repeats)
            notes += note
        row = {name: record[name] for name in ("matrix", "time", "nominal_time", "collected")}
        limits = ("level", "lod", "lloq", "uloq", "se_well", "se_plate", "reason", "sample_id")
        rows.append(
            row
            | {name: getattr(reported, name) for name in limits}
            | {
                "patient": record["patient_id"],
                "status": int(reported.status),
                "plate": reported.run_id,
                "excluded": int(Excluded.included),
                "by": "",
            }
        )
    columns = ["patient", *GROUPS["kinetics"].by_name, "matrix"]
    return pd.DataFrame(rows, columns=columns), notes


def _unlisted(records: Sequence[Well]) -> list[dict[str, Any]]:
    """Return a verdict for each sample that has no patient, so that none is lost without a word."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for record in records:
        if record["role"] in ("unknown", "") and not record["patient_id"]:
            found[record["run_id"], record["target"], record["sample"]].append(record["well_name"])
    return [
        {
            "rule": SAMPLE_SHEET,
            "run_id": run_id,
            "target": target,
            "outcome": Verdict.failed,
            "message": (f"sample '{sample}'" if sample else "a sample without a name")
            + " is in no sample sheet, so it has no patient and no DNA mass: no level",
            "wells": " ".join(names),
            "source": "every sample on a plate is accounted for",
        }
        for (run_id, target, sample), names in sorted(found.items())
    ]
