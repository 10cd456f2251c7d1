"""One page for one plate: its figures, what the rules say of it, and where each result comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..._version import __version__
from ...errors import InputError
from ...plot import plate_curve, plate_map, plate_partitions, plate_replicates, plate_residuals
from ...plot.plate_wells import PlateWells, plate_wells
from ...plot.style import unit_label
from ...provenance import now
from ...schema import GROUPS, Status, Verdict, YesNo
from ..core.blocks import Definitions, Paragraph, Picture, Section, Table, picture
from ..core.numbers import count, number
from ..core.page import template
from ..tables.batch import sheet_and_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORDS = {Verdict.failed: "failed", Verdict.passed: "passed", Verdict.not_evaluable: "not evaluable"}
_ORDER = {Verdict.failed: 0, Verdict.not_evaluable: 1, Verdict.passed: 2}
_SETTINGS = (
    "rules", "rules_version", "rules_sha256", "calibration", "replicate_mean", "repeats", "lloq_copies", "lod_copies",
    "unit", "target", "reference", "genome_pg", "ipc_target", "overrides_sha256",
)  # fmt: skip
_FLAGGED = "left out, masked, flagged by the instrument's software, or behind a failed verdict"
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Badge:
    """The verdict on one target of the plate, in words."""

    kind: str
    text: str


def plate_page(data: xr.DataTree, run_id: str, /) -> str:
    r"""Return a page about one plate run: HTML that needs nothing else.

    Parameters
    ----------
    data : DataTree
        From `quantify`: all its runs, or the one.
    run_id : str
        The plate run.

    Returns
    -------
    str
        For each target the curve with its intervals, residuals, replicates and a map of the plate with flagged
        wells (of digital PCR partitions in place of the curve); both fits; every verdict; every result with the
        file, sheet, rows and wells behind it. Everything that comes from data is escaped.

    Raises
    ------
    InputError
        The data hold no plates, or not this run.

    Examples
    --------
    >>> from ckinetics.assay import quantify, read_plates
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> lines = ["well,sample,target,role,cq,quantity", "B1,S1,CAR,unknown,28.0343,"]
    >>> lines += [f"A{n},Std,CAR,standard,{38 - 3.3219 * n},{10**n}" for n in range(1, 7)]
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "plate.csv"
    >>> _ = file.write_text("\n".join(lines))
    >>> sheet = pd.DataFrame({"sample": ["S1"], "patient": ["P1"], "time": [7], "dna_ng": [200]})
    >>> page = plate_page(quantify(read_plates(file, layout=sheet)), "plate")
    >>> "CAR" in page, "S1" in page
    (True, True)
    """
    if not isinstance(data, xr.DataTree) or not {"wells", "curves", "verdicts", "results"} <= set(data.children):
        raise InputError("the data hold no plates: give the result of quantify")
    wells = _columns(data, "wells", run_id)
    if not len(wells["run_id"]):
        raise InputError(f"there is no run '{run_id}': correct its name")
    plates = [plate_wells(data, run_id, target) for target in dict.fromkeys(map(str, wells["target"].tolist()))]
    results, verdicts = _columns(data, "results", run_id), _columns(data, "verdicts", run_id)
    sections = [Section("plate", "The plate", [*_reasons(plates), Definitions(_about(data, wells))])]
    for at, plate in enumerate(plates, start=1):
        title = f"Target {plate.target}" if plate.target else "No target named"
        sections.append(Section(f"target-{at}", title, [_figures(data, plate), *_curve_table(plate)]))
    sections.append(Section("wells", "Flagged wells", _flagged(plates)))
    unit = str(data["results"].dataset["level"].attrs.get("units", ""))
    sections.append(Section("results", "Results", _results(results, wells, unit)))
    sections.append(Section("verdicts", "Verdicts", _verdicts(verdicts)))
    badges = [_badge(plate) for plate in plates]
    return template("plate.html.j2").render(
        title=run_id, sections=sections, badges=badges, made=now(), version=__version__
    )


def _columns(data: xr.DataTree, group: str, run_id: str) -> Columns:
    """Return the variables of one run's rows."""
    dim = GROUPS[group].dims[0]
    variables = data.children[group].variables
    mine = variables["run_id"].values == run_id
    return {str(name): array.values[mine] for name, array in variables.items() if array.dims == (dim,)}


def _about(data: xr.DataTree, wells: Columns) -> list[tuple[str, str]]:
    settings = json.loads(str(data.attrs.get("settings", "{}")))
    origin = data["wells"].dataset
    files = dict.fromkeys(zip(wells["file"].tolist(), wells["file_sha256"].tolist(), strict=True))
    rows = [("file", ", ".join(name for name, _ in files)), ("SHA-256", ", ".join(digest for _, digest in files))]
    if "software" in origin:
        known = zip(*(origin[name].values.tolist() for name in ("file_hash", "family", "software")), strict=True)
        by_hash = {digest: (family, software) for digest, family, software in known}
        for family, software in {by_hash.get(digest, ("", "")) for _, digest in files}:
            rows.append(("read as", family + (f", written by {software}" if software else "")))
    roles = Counter(map(str, wells["role"].tolist()))
    counts = ", ".join(f"{n} {role or 'without a role'}" for role, n in roles.items())
    rows.append(("wells", f"{len(wells['role'])}: {counts}"))
    if sheet := str(origin.attrs.get("layout_file", "")):
        rows.append(("sample sheet", f"{sheet}, SHA-256 {origin.attrs.get('layout_sha256', '')}"))
    said = [f"{name.replace('_', ' ')} {settings[name]}" for name in _SETTINGS if settings.get(name) not in (None, "")]
    rows.append(("settings", ", ".join(said) or "not recorded"))
    return rows


def _badge(plate: PlateWells) -> _Badge:
    accepted = Verdict(int(plate.curves[0]["accepted"])) if plate.curves else Verdict.not_evaluable
    word = "accepted" if accepted == Verdict.passed else _WORDS[accepted]
    return _Badge(_WORDS[accepted].replace(" ", "-"), f"{plate.target}: {word}" if plate.target else word)


def _reasons(plates: Sequence[PlateWells]) -> list[Paragraph]:
    """Return, for each target that is not accepted, what the verdicts on the plate say against it."""
    out = []
    for plate in plates:
        badge, found = _badge(plate), plate.verdicts
        bad = (found["outcome"] != Verdict.passed) & (found["sample_id"] == "") & (found["rule"] != "sample_sheet")
        words = "; ".join(str(text) for text in found["message"][bad].tolist())
        if badge.kind != "passed" and words:
            out.append(Paragraph(f"{badge.text}. {words}.", important=True))
    return out


def _figures(data: xr.DataTree, plate: PlateWells) -> Picture:
    what = (plate_partitions, plate_replicates, plate_map) if plate.digital else None

    def draw(figure: Figure) -> None:
        if what is None:
            axes = figure.subplots(2, 2).flat
            figure.subplots_adjust(0.055, 0.06, 0.985, 0.955, 0.16, 0.3)
            drawers: Iterable[Any] = (plate_curve, plate_residuals, plate_replicates, plate_map)
        else:
            axes = figure.subplots(1, 3).flat
            figure.subplots_adjust(0.055, 0.13, 0.985, 0.9, 0.22)
            drawers = what
        for one, ax in zip(drawers, axes, strict=True):
            one(data, plate.run_id, target=plate.target, ax=ax)

    words = "partitions" if plate.digital else "the standard curve with its intervals, the residuals of the standards"
    return picture(
        draw,
        alt=f"Figures of {plate.run_id}, {plate.target}: {words}, replicates and the map of the plate.",
        caption=_CAPTIONS[plate.digital],
        size=(12.4, 4.0) if plate.digital else (12.4, 7.6),
        layout="none",
        text="none",
    )


_CAPTIONS = {
    False: (
        "Bands: 95 % confidence of the line (dark) and 95 % prediction of one well's Cq (pale); residuals are Cq minus "
        "the line. Replicates: wells about their sample's mean, with what the instrument's noise and Poisson make of "
        "95 % of them. Rings mark wells behind a failed verdict."
    ),
    True: (
        "Partitions: accepted ones of each well, with the least that is asked for. Replicates: wells about their "
        "sample's mean, in standard deviations by Poisson. Rings mark wells behind a failed verdict."
    ),
}


def _curve_table(plate: PlateWells) -> list[Any]:
    fits = [curve for curve in plate.curves if curve["method"] != "digital"]
    if not fits:
        return []
    names = ("slope", "intercept", "r_squared", "efficiency", "residual_sd", "slope_se", "n_wells", "n_levels")
    units = {"intercept": "cycle", "efficiency": "%", "residual_sd": "cycle"}
    labels = ("slope", "intercept", "R²", "efficiency", "residual SD", "SE of slope", "wells", "levels")
    rows = []
    for curve in fits:
        used = "yes" if curve["used"] != YesNo.no else "no"
        span = f"{number(float(curve['lowest']))} to {number(float(curve['highest']))}"
        rows.append((str(curve["method"]), used, *(number(float(curve[name]), 5) for name in names), span))
    printed = [fits[0][f"vendor_{name}"] for name in names[:4]]
    if np.isfinite([float(value) for value in printed]).any():
        shown = [number(float(value), 5) if np.isfinite(value) else "" for value in printed]
        rows.append(("printed by the vendor", "never", *shown, *[""] * 4, ""))
    return [
        Table(
            "Fits of Cq on log10(copies)",
            ("fit", "levels are read from it", *labels, "standards"),
            rows,
            units=["", "", *(units.get(name, "") for name in names), "copies/well"],
            numeric=frozenset(range(2, 2 + len(names))),
        )
    ]


def _flagged(plates: Sequence[PlateWells]) -> list[Any]:
    rows = []
    for plate in plates:
        sample_of = dict(zip(plate.wells["well_name"].tolist(), plate.wells["sample"].tolist(), strict=True))
        for kind, words, names in plate.flags():
            samples = ", ".join(dict.fromkeys(str(sample_of[name]) for name in names if sample_of.get(name)))
            rows.append((" ".join(names), plate.target, samples, kind, words))
    if not rows:
        return [Paragraph(f"No well was {_FLAGGED}.")]
    return [Table(f"Wells {_FLAGGED}", ("wells", "target", "sample", "what", "why"), rows)]


def _results(results: Columns, wells: Columns, unit: str) -> list[Any]:
    if not len(results["sample_id"]):
        return [Paragraph("No sample of the sample sheet has a result on this plate.")]
    rows, bad = [], []
    for at in range(len(results["sample_id"])):
        one = {name: values[at] for name, values in results.items()}
        status = Status(int(one["status"]))
        level, low, high = (float(one[name]) for name in ("level", "level_low", "level_high"))
        ends = f"{number(low)} to {number(high)}" if np.isfinite(low) and np.isfinite(high) else ""
        # Where the plate was rejected nobody has looked at the sample's wells.
        looked = status not in (Status.invalid, Status.insufficient_dna, Status.missing) or one["n_detected"] > 0
        used = (f"{number(float(one['n_detected']))} of " if looked else "of ") + number(float(one["n_wells"]))
        if status in (Status.invalid, Status.insufficient_dna, Status.missing):
            bad.append(at)
        rows.append(
            (
                str(one["sample"]) + (f" ({one['purpose']})" if one["purpose"] else ""),
                str(one["sample_id"]),
                str(one["patient_id"]),
                str(one["target"]),
                status.name.replace("_", " "),
                number(level) if np.isfinite(level) else "",
                ends,
                number(float(one["lloq"])),
                number(float(one["copies"])) if np.isfinite(one["copies"]) else "",
                used,
                number(float(one["dna_ng"])),
                number(float(one["dilution"])),
                {YesNo.yes: "yes", YesNo.no: "no"}.get(YesNo(int(one["reportable"])), ""),
                str(one["wells"]),
                _where(one, wells),
                str(one["reason"]),
            )
        )
    columns = (
        "sample", "sample id", "patient", "target", "status", "level", "95 % interval", "LLOQ", "copies", "detected",
        "DNA", "dilution", "reportable", "wells", "sheet and rows", "reason",
    )  # fmt: skip
    shown = unit_label(unit)
    units = ["", "", "", "", "", shown, shown, shown, "per well", "wells", "ng", "fold", "", "", "", ""]
    caption = f"{count(len(rows), 'result')}, each with the rows of the file behind it"
    numeric = frozenset({5, 6, 7, 8, 9, 10, 11})
    return [Table(caption, columns, rows, units=units, numeric=numeric, marked=frozenset(bad))]


def _where(result: Mapping[str, Any], wells: Columns) -> str:
    """Return the sheet and the rows of the file that a result's wells stand in."""
    mine = np.isin(wells["well_name"].astype(str), str(result["wells"]).split())
    mine &= (wells["target"] == result["target"]) & (wells["sample"] == result["sample"])
    return sheet_and_rows(wells, np.flatnonzero(mine).tolist())


def _verdicts(verdicts: Columns) -> list[Any]:
    outcomes = [Verdict(int(code)) for code in verdicts["outcome"].tolist()]
    of_plate = verdicts["sample_id"] == ""
    shown = [at for at, outcome in enumerate(outcomes) if of_plate[at] or outcome != Verdict.passed]
    shown.sort(key=lambda at: (_ORDER[outcomes[at]], not of_plate[at]))
    rows = []
    for at in shown:
        one = {name: values[at] for name, values in verdicts.items()}
        value = float(one["value"])
        rows.append(
            (
                _WORDS[outcomes[at]],
                str(one["rule"]).replace("_", " "),
                str(one["target"]),
                str(one["sample_id"]),
                number(value) if np.isfinite(value) else "",
                _limits(float(one["low"]), float(one["high"])),
                str(one["message"]),
                str(one["wells"]),
                str(one["override"]),
                str(one["source"]),
            )
        )
    columns = ("outcome", "rule", "target", "sample", "value", "limits", "in words", "wells", "override", "source")
    failed = frozenset(range(sum(outcomes[at] == Verdict.failed for at in shown)))
    blocks: list[Any] = [Table("Verdicts, failed ones first", columns, rows, numeric=frozenset({4, 5}), marked=failed)]
    passed = Counter(
        str(verdicts["rule"][at]).replace("_", " ")
        for at, outcome in enumerate(outcomes)
        if outcome == Verdict.passed and not of_plate[at]
    )
    if passed:
        listed = ", ".join(f"{rule} ({n})" for rule, n in passed.items())
        blocks.append(Paragraph(f"Passed by samples, each listed in the workbook: {listed}."))
    return blocks


def _limits(low: float, high: float) -> str:
    if np.isfinite(low) and np.isfinite(high):
        return f"{number(low)} to {number(high)}"
    if np.isfinite(low):
        return f"at least {number(low)}"
    return f"at most {number(high)}" if np.isfinite(high) else ""
