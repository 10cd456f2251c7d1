"""From wells to copies per µg of genomic DNA."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import xarray as xr

from ..cohorts.profiles import profiles_from_table
from ..errors import InputError
from ..provenance import content_hash, result_attrs
from ..schema import GROUPS, Excluded, Status, Verdict, YesNo
from ..units import normalise_unit
from .calibration import Calibration, Judged, Limits, Verdicts, calibrate
from .controls import dilution_verdicts, inhibition_verdicts, isr_verdicts
from .digital.levels import DigitalPlate, digital_result, is_digital, judge_digital
from .levels import ReplicateMean, SampleResult, Scale, mass_scale, sample_result
from .overrides import Overrides, read_overrides
from .records import dataset_of, records_of
from .reference_gene import Unit, reference_scale
from .repeats import POLICIES, Repeats, reportable
from .review import series_verdicts
from .rules import Rules, load_rules
from .verdicts import SAMPLE_SHEET

Well = dict[str, Any]
Key = tuple[str, str]
# A sample on a run: sample_id, run, name, mass and dilution; a dilution may have a name of its own.
SampleKey = tuple[str, str, str, str, str, str]


def quantify(
    wells: xr.Dataset,
    /,
    *,
    rules: str | Path = "default",
    calibration: Calibration = "ols",
    overrides: str | Path | pd.DataFrame | None = None,
    lloq_copies: float | None = None,
    lod_copies: float | None = None,
    replicate_mean: ReplicateMean = "arithmetic",
    repeats: Repeats = "refuse",
    unit: Unit = "copies/ug",
    target: str | None = None,
    reference: str | None = None,
    genome_pg: float | None = None,
    ipc_target: str | None = None,
) -> xr.DataTree:
    r"""Turn wells into copies per µg of genomic DNA, with status, limits and standard errors.

    The standard curve of every run and target is fitted anew, by ordinary least squares and with weights that know
    Poisson; vendor numbers are compared with it and never used. Copies of a well are read back from it
    (``10^((Cq - intercept)/slope)``), averaged over the sample's wells, and divided by the genomic DNA in
    the well. Wells of digital PCR need no curve: their copies are ``-ln(1 - positive/partitions)`` over the
    partition volume, times the volume of the reaction.

    Parameters
    ----------
    wells : Dataset
        Result of `read_plates`.
    rules : str or Path
        Acceptance criteria: "default", "strict", "gmo", or a TOML file; see `ckinetics.assay.load_rules`. A
        plate that fails a fatal rule gives no level: its samples are ``invalid``, with the rule, value and limit
        as reason; the copies of its wells stay in ``wells``.
    calibration : {"ols", "weighted"}
        The fit that levels are read from: "ols", as the vendors do; "weighted", by 1/var(Cq) of the noise model
        ``SD^2 = s0^2 + 1/(ln^2(1+E) copies)``, which is right also below some 100 copies. Both are in ``curves``.
    overrides : path or DataFrame, optional
        What a person decided against the rules or the instrument: see `ckinetics.assay.read_overrides`. Each
        entry says who, when and why.
    lloq_copies, lod_copies : float, optional
        Limits in copies per well, in place of those of the rules. The LLOQ in force on a plate is never
        below its lowest accepted standard. (Digital PCR: the rule ``digital_range``.)
    replicate_mean : {"arithmetic", "geometric"}
        Mean of the copies of a sample's wells; "arithmetic" is the vendors' quantity mean.
    repeats : {"refuse", "original_unless_failed", "mean", "median_of_three"}
        A sample with a valid result from more than one run (or dilution): "refuse" makes it ``invalid``
        and names the runs; "original_unless_failed" takes the first by run id; "mean" takes the mean level, and
        "median_of_three" the middle one, of results that must all be quantified. Under each policy a
        sample with one valid result has that one, and a quantified result stands in for one above its ULOQ.
        All results stay in ``results``.
    unit : {"copies/ug", "copies/cell"}
        Unit of the levels; copies/cell needs `reference`. For a genome mass in its place, and for cells/uL,
        see `ckinetics.assay.to_copies_per_cell` and `ckinetics.assay.to_cells_per_ul`.
    target : str, optional
        Target of the profiles; needed where samples were measured for more than one.
    reference : str, optional
        Target of a reference gene with two copies a diploid genome, measured in the same sample and run. Its
        copies then say how much DNA was in the well, in place of the sample sheet.
    genome_pg : float, optional
        Mass of a diploid genome in pg (6.6 is common); needed for copies/ug by a `reference`.
    ipc_target : str, optional
        Target of an internal positive control in the samples' wells; wells of the role ``ipc`` are known without.

    Returns
    -------
    DataTree
        Root: the variables of the schema's group "kinetics" on (patient, matrix, sample). Children
        ``wells`` (`wells` with ``copies`` and ``masked`` filled in), ``curves``, ``verdicts`` and ``results``.

    Raises
    ------
    InputError
        `wells` is no well table, several targets and none named, an unknown option, faulty rules, or an
        override that is incomplete or matches nothing.

    Notes
    -----
    Limits are per sample: ``lloq = LLOQ copies * dilution / dna_ng * 1000``, so a well with less DNA has a
    higher LLOQ; ``dilution`` counts only where ``dna_ng`` is of the undiluted extract.

    Replicates of which some have no signal never give the mean of the others: their copies are those of the hit
    model, the joint likelihood of the Cq seen and of the wells without (see `ckinetics.assay.curves.single_hit`). Where
    so many silent wells are too improbable (rule ``partial_detection``) the sample is ``invalid``.

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
    _check_options(wells, unit, replicate_mean, repeats, calibration)
    criteria = load_rules(rules)
    given = read_overrides(overrides) if overrides is not None else None
    assay = Limits(
        lod=_limit("lod_copies", lod_copies, criteria.value("lod")),
        lloq=_limit("lloq_copies", lloq_copies, criteria.value("lloq")),
    )
    if assay.lod > assay.lloq:
        raise InputError(f"the LOD of {assay.lod:g} copies is above the LLOQ of {assay.lloq:g}: correct one")
    records = records_of(wells[[*GROUPS["wells"].by_name]], "well")
    options = _Options(
        criteria,
        assay,
        calibration,
        replicate_mean,
        _chosen_target(records, target, reference, ipc_target),
        *_dna(records, reference, genome_pg, unit),
        ipc_target,
        given,
    )
    if given is not None:
        given.apply_to_wells(records)
    judged = _judge(records, options)
    results = _results(records, judged, options)
    verdicts = [entry for plate in judged.values() for entry in plate.verdicts]
    verdicts += [entry for result in results for entry in result.verdicts]
    profiles, reported, notes = _profiles(records, results, repeats, options)
    verdicts += notes + _unlisted(records) + series_verdicts(profiles, criteria)
    if given is not None:
        given.refuse_unused()
    settings = {
        "rules": criteria.name,
        "rules_version": criteria.version,
        "rules_sha256": criteria.sha256,
        "calibration": calibration,
        "overrides_sha256": given.sha256 if given is not None else None,
        "lloq_copies": assay.lloq,
        "lod_copies": assay.lod,
        "replicate_mean": replicate_mean,
        "repeats": repeats,
        "unit": unit,
        "target": options.target,
        "reference": reference,
        "genome_pg": genome_pg,
        "ipc_target": ipc_target,
        "curve": _CURVE_WORDS[calibration],
    }
    source = content_hash(wells)

    def attrs(title: str) -> dict[str, Any]:
        return result_attrs(title=title, settings=settings, source=source)

    columns = ["patient", *GROUPS["kinetics"].by_name, "matrix"]
    root = profiles_from_table(pd.DataFrame(profiles, columns=columns), unit=unit)
    root.attrs |= attrs("profiles of the CAR transgene by PCR")
    curves = [row for plate in judged.values() for row in plate.curves]
    rows = [vars(result) | {"reportable": YesNo.yes if id(result) in reported else YesNo.no} for result in results]
    return xr.DataTree.from_dict(
        {
            "/": root,
            "wells": _with_copies(wells, records),
            "curves": dataset_of("curves", curves, attrs("standard curves")),
            "verdicts": dataset_of("verdicts", verdicts, attrs("verdicts on curves, controls and samples")),
            "results": dataset_of("results", rows, attrs("every result of every sample"), level_unit=unit),
        }
    )


_CURVE_WORDS = {
    "ols": "ordinary least squares of Cq on log10(copies), wells not omitted",
    "weighted": "least squares of Cq on log10(copies), weighted by the noise at the copies, wells not omitted",
}


@dataclass(frozen=True)
class _Options:
    """What the caller decided."""

    rules: Rules
    limits: Limits
    calibration: Calibration
    replicate_mean: ReplicateMean
    target: str
    reference: str | None
    genome_pg: float | None
    unit: Unit
    ipc_target: str | None
    overrides: Overrides | None

    def override(self, verdicts: Verdicts, sample: str = "") -> None:
        """Mark the verdicts that somebody let pass."""
        if self.overrides is not None:
            self.overrides.apply_to_verdicts(verdicts, sample)

    def rules_for(self, well: Well) -> Rules:
        """Return the rules for a sample: those that somebody let pass for it cost no level."""
        if self.overrides is None:
            return self.rules
        names = {"run": "run_id", "target": "target", "sample": "sample", "sample_id": "sample_id"}
        return self.overrides.rules_for(self.rules, **{name: well[own] for name, own in names.items()})


def _with_copies(wells: xr.Dataset, records: Sequence[Well]) -> xr.Dataset:
    """Return the wells with what was found out about each."""
    found = {}
    for name in ("copies", "masked", "mask_reason"):
        var = GROUPS["wells"].by_name[name]
        array = np.full(len(records), var.missing, dtype=var.dtype)
        if records:
            array[:] = [record[name] for record in records]
        found[name] = ("well", array, var.attrs())
    return wells.assign(found)


def _check_options(wells: Any, unit: str, replicate_mean: str, repeats: str, calibration: str) -> None:
    if not isinstance(wells, xr.Dataset) or "well" not in wells.dims:
        raise InputError(f"expected the well table of read_plates, got {type(wells).__name__}")
    missing = [name for name in GROUPS["wells"].by_name if name not in wells.data_vars]
    if missing:
        raise InputError(f"the well table has no variable '{missing[0]}': make it with read_plates")
    if normalise_unit(unit) not in get_args(Unit):
        raise InputError(f"unit='{unit}' cannot be reported: levels are in {' or '.join(get_args(Unit))}")
    for name, value, known in (
        ("replicate_mean", replicate_mean, get_args(ReplicateMean)),
        ("repeats", repeats, POLICIES),
        ("calibration", calibration, get_args(Calibration)),
    ):
        if value not in known:
            raise InputError(f"{name}='{value}' is unknown: use {', '.join(map(repr, known))}")


def _limit(name: str, given: float | None, default: float) -> float:
    value = default if given is None else float(given)
    if not (value > 0 and math.isfinite(value)):
        raise InputError(f"{name} is {value:g}: give a positive number of copies per well")
    return value


def _dna(
    records: Sequence[Well], reference: str | None, genome_pg: float | None, unit: Unit
) -> tuple[str | None, float | None, Unit]:
    """Check what the DNA of a level comes from."""
    if reference is None:
        if unit == "copies/cell":
            raise InputError(
                "unit='copies/cell' needs the reference gene that counts the cells: name its target with reference=, "
                "or convert copies/ug with to_copies_per_cell(kinetics, genome_pg=...)"
            )
        if genome_pg is not None:
            raise InputError("genome_pg= is used with a reference gene only: name its target with reference=")
        return None, None, unit
    there = sorted({record["target"] for record in records})
    if reference not in there:
        raise InputError(f"reference '{reference}' is the target of no well: there are {', '.join(there) or 'none'}")
    if genome_pg is None and unit == "copies/ug":
        raise InputError(
            "copies/ug by a reference gene needs the mass of a diploid genome: give genome_pg= (6.6 is common)"
        )
    if genome_pg is not None and not 0 < genome_pg < math.inf:
        raise InputError(f"genome_pg is {genome_pg:g}: give the mass of a diploid genome in pg, 6.6 for instance")
    return reference, genome_pg, unit


def _chosen_target(records: Sequence[Well], target: str | None, reference: str | None, ipc_target: str | None) -> str:
    everywhere = sorted({record["target"] for record in records})
    for name, value in (("target", target), ("ipc_target", ipc_target)):
        if value is not None and value not in everywhere:
            raise InputError(f"{name} '{value}' is in no well: there are {', '.join(everywhere) or 'none'}")
    if target is not None:
        if target == reference:
            raise InputError(f"target and reference are both '{target}': name two")
        return target
    measured = {record["target"] for record in records if record["patient_id"] and record["role"] == "unknown"}
    there = sorted(measured - {reference, ipc_target})
    if len(there) > 1:
        raise InputError(f"the samples were measured for {', '.join(there)}: name one with target=")
    return there[0] if there else ""


def _judge(records: Sequence[Well], options: _Options) -> dict[Key, Judged]:
    """Fit and judge the plate of every run and target, and fill in the copies of the wells."""
    groups: dict[Key, list[Well]] = defaultdict(list)
    for record in records:
        if record["role"]:
            groups[record["run_id"], record["target"]].append(record)
    judged = {}
    for key in sorted(groups):
        about = {"run_id": key[0], "target": key[1]}
        if is_digital(groups[key]):
            judged[key] = judge_digital(groups[key], options.rules, about, override=options.override)
        else:
            judged[key] = calibrate(
                groups[key],
                options.rules,
                options.limits,
                about,
                method=options.calibration,
                override=options.override,
            )
    return judged


def _samples(records: Sequence[Well], target: str) -> dict[SampleKey, list[Well]]:
    groups: dict[SampleKey, list[Well]] = defaultdict(list)
    for record in records:
        if record["role"] == "unknown" and record["patient_id"] and record["target"] == target:
            groups[_key(record)].append(record)
    return groups


def _key(record: Mapping[str, Any]) -> SampleKey:
    names = ("sample_id", "run_id", "sample", "dna_ng", "dilution", "purpose")
    sample_id, run_id, sample, mass, dilution, purpose = (str(record[name]) for name in names)
    return sample_id, run_id, sample, mass, dilution, purpose


def _results(records: Sequence[Well], judged: Mapping[Key, Judged], options: _Options) -> list[SampleResult]:
    """Return one result a run and sample name (a dilution has a name of its own) of the chosen target."""
    references = {} if options.reference is None else _samples(records, options.reference)
    inhibited = inhibition_verdicts(records, options.rules, ipc_target=options.ipc_target)
    out = []
    for key, wells in sorted(_samples(records, options.target).items(), key=lambda item: item[0]):
        rules = options.rules_for(wells[0])
        plate = judged[wells[0]["run_id"], options.target]
        if options.reference is None:
            scale = mass_scale(wells, rules)
        else:
            own = references.get(key)
            counted = None
            if own is not None:
                at = judged[own[0]["run_id"], options.reference]
                counted = _result(own, at, Scale(1.0), options.rules_for(own[0]), options)
            scale = reference_scale(wells, counted, rules, unit=options.unit, genome_pg=options.genome_pg)
        result = _result(wells, plate, scale, rules, options)
        _reject(result, inhibited.get((result.run_id, result.sample)), rules)
        options.override(result.verdicts, result.sample)
        if options.overrides is not None:
            options.overrides.apply_to_result(result)
        out.append(result)
    return out


def _result(wells: Sequence[Well], plate: Judged, scale: Scale, rules: Rules, options: _Options) -> SampleResult:
    if isinstance(plate.plate, DigitalPlate):
        return digital_result(wells, plate.plate, scale, rules)
    return sample_result(wells, plate.plate, scale, rules, replicate_mean=options.replicate_mean)


def _reject(result: SampleResult, entry: dict[str, Any] | None, rules: Rules) -> None:
    """Add a verdict of the sample, which takes its level where it fails and is fatal."""
    if entry is None:
        return
    entry = entry | {"sample_id": result.sample_id, "target": result.target}
    result.verdicts.append(entry)
    rule = rules[entry["rule"]]
    failed = rule.fatal and entry["outcome"] == Verdict.failed
    if failed or (rule.required and entry["outcome"] == Verdict.not_evaluable):
        result.status, result.level, result.reason = Status.invalid, math.nan, str(entry["message"])
        result.se_well = result.se_plate = math.nan


def _profiles(
    records: Sequence[Well], results: Sequence[SampleResult], repeats: Repeats, options: _Options
) -> tuple[list[dict[str, Any]], set[int], Verdicts]:
    """Return one row a sample, the ids of the results that are reported, and the verdicts on repeats."""
    samples = {record["sample_id"]: record for record in records if record["patient_id"]}
    by_sample: dict[str, list[SampleResult]] = defaultdict(list)
    for result in results:
        by_sample[result.sample_id].append(result)
    rows: list[dict[str, Any]] = []
    notes: Verdicts = isr_verdicts(results, options.rules)
    reported: set[int] = set()
    for sample_id, record in sorted(samples.items()):
        own = by_sample.get(sample_id)
        if own is None:  # on a plate, but not for this target
            why = f"not measured for target '{options.target}'"
            chosen = SampleResult("", options.target, sample_id, Status.missing, why)
        else:
            notes += dilution_verdicts(own, options.rules)
            chosen, on_repeats, counted = reportable(own, repeats)
            notes += on_repeats
            reported |= {id(own[at]) for at in counted}
        row = {name: record[name] for name in ("matrix", "time", "nominal_time", "collected")}
        limits = ("level", "lod", "lloq", "uloq", "se_well", "se_plate", "reason", "sample_id")
        rows.append(
            row
            | {name: getattr(chosen, name) for name in limits}
            | {
                "patient": record["patient_id"],
                "status": int(chosen.status),
                "plate": chosen.run_id,
                "excluded": int(Excluded.included),
                "by": "",
            }
        )
    return rows, reported, notes


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
