"""QuantStudio: workbooks of Design & Analysis 1.5 and 2 and of Diomni, and older text and CSV exports.

Wells are on the sheet ``Results`` (Diomni: ``Primary_result``). The nominal quantity of standards, the
quantity that the software calculated for samples, and its printed curve are only on ``Standard Curve
Result``, and are joined by well and target. The older software of other instruments (StepOne, 7500) writes the
same columns; so may a tidy table whose roles are called tasks, and its words and further columns are known too.
"""

from __future__ import annotations

import re
from typing import Any

from ..cells import fold, number_of, text_of, well_of
from ..sources import Source
from . import tidy
from .table import (
    Family,
    Header,
    Options,
    Reading,
    body_rows,
    find_header,
    header_lines,
    located,
    quantity_of,
    read_wells,
)

# The header "Ct" with a Cyrillic letter, as Excel saves it in Windows-1252, and as it is read in other code pages.
DAMAGED_CT = ("C?", "CÑ‚", "Cò")
COLUMNS = {
    "position": ("Well Position", "Well"),
    "sample": ("Sample", "Sample Name"),
    "target": ("Target", "Target Name", "Detector Name", "Detector"),
    "task": ("Task",),
    "dye": ("Reporter", "Dye"),
    "cq": ("Cq", "CT", "CRT", *DAMAGED_CT),
    "omit": ("Omit", "Omitted"),
    "quantity": ("Quantity", "Qty", "Nominal copies", "Copies"),
    "quantity_unit": ("Quantity unit", "Quantity units"),
    "run_id": ("Run ID",),
    "amp_status": ("Amp Status",),
    "issues": ("Result Quality Issues",),
    "curve_quality": ("Curve Quality",),
    "vendor_slope": ("Slope",),
    "vendor_intercept": ("Y-Intercept",),
    "vendor_r_squared": ("R2", "R(superscript 2)"),
    "vendor_efficiency": ("Efficiency",),
}
TASKS = tidy.TASKS | {
    "no template control": "ntc",
    "negative control": "ntc",
    "negative": "ntc",
    "no amplification control": "nac",
    "target": "unknown",  # the older software's words for a sample's two assays
    "endogenous control": "unknown",
    "endogenous": "unknown",
    "endo": "unknown",
}
FLAGS = ("CQCONF", "HIGHSD", "OUTLIERRG", "NOISE", "SPIKE", "NOAMP", "PRFDROP", "PRFLOW", "EXPFAIL", "BADROX")
_CURVE = "standard curve result"
_VENDOR = ("vendor_slope", "vendor_intercept", "vendor_r_squared", "vendor_efficiency")


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells, and join quantities and the printed curve where there is a sheet of them."""
    metadata = {fold(name): text for name, text in header_lines(source, header).items()}
    n_wells = _n_wells(metadata)
    rows = read_wells(family, source, header, options, n_wells=n_wells)
    by_number = {row.number: row for row in body_rows(source, header)}
    printed = _printed(header)
    flags = [(name, at) for at, name in enumerate(header.names) if name in FLAGS]
    for well in rows:
        row = by_number[int(well["row"])]
        well["vendor_flags"] = _flags(header, flags, row)
        well |= _curve_numbers(source, header, printed, row)
    curve = find_header(source, family, sheets=(_CURVE,)) if source.is_workbook else None
    if curve is not None and curve.sheet != header.sheet and fold(curve.sheet) == _CURVE:
        _join(source, curve, rows, options, n_wells)
    return Reading(rows, _software(metadata))


def _join(source: Source, curve: Header, rows: list[dict[str, Any]], options: Options, n_wells: int) -> None:
    by_well = {(well["well_name"], well["target"]): well for well in rows}
    printed = _printed(curve)
    for row in body_rows(source, curve):
        try:
            key = (well_of(curve.cell(row, "position"), n_wells=n_wells), text_of(curve.cell(row, "target")))
            well = by_well.get(key)
            if well is None:
                continue
            well |= _curve_numbers(source, curve, printed, row)
            well |= quantity_of(curve.cell(row, "quantity"), well["role"], unit=options.quantity_unit)
        except ValueError as err:
            raise located(err, source, curve, row.number) from None


def _printed(header: Header) -> list[tuple[str, int]]:
    """Return the columns of the printed curve that there are, and where."""
    return [(name, header.columns[name]) for name in _VENDOR if name in header.columns]


def _curve_numbers(source: Source, header: Header, printed: list[tuple[str, int]], row: Any) -> dict[str, float]:
    found = {}
    for name, at in printed:
        try:
            value = number_of(row.cells[at] if at < len(row.cells) else "", decimal=source.decimal)
        except ValueError as err:
            raise located(f"{name.removeprefix('vendor_')}: {err}", source, header, row.number) from None
        if value == value:  # not NaN
            found[name] = value
    return found


def _flags(header: Header, columns: list[tuple[str, int]], row: Any) -> str:
    found = []
    status = text_of(header.cell(row, "amp_status"))
    if status and fold(status) != "amp":
        found.append(f"Amp Status {status}")
    found += [text for name in ("curve_quality", "issues") if (text := text_of(header.cell(row, name)))]
    found += [name for name, at in columns if at < len(row.cells) and fold(row.cells[at]) in ("y", "true")]
    return "; ".join(found)


def _n_wells(metadata: dict[str, str]) -> int:
    size = re.search(r"(\d+)[- ]?well", metadata.get("block type", ""), re.IGNORECASE)
    return int(size[1]) if size else 0


def _software(metadata: dict[str, str]) -> str:
    if "software name and version" in metadata:
        return metadata["software name and version"]
    parts = (metadata.get("software name", ""), metadata.get("software version", ""))
    return " ".join(part for part in parts if part)


_SECTIONS = frozenset({"sample setup", "raw data", "amplification data", "multicomponent data", "results"})


def explain(source: Source) -> str:
    """Say of an export without wells that can be read what it lacks; "" where it is none of this family."""
    if source.is_workbook:
        names = {fold(name) for name in source.sheet_names}
        if not names & (_SECTIONS - {"results"}) or names & set(FAMILY.sheets):
            return ""
        return "the workbook has no sheet 'Results': export it with the results"
    texts = [[text for text in map(text_of, row.cells) if text] for row in source.rows("")]
    sections = {
        fold(line[0].strip("[]")): at for at, line in enumerate(texts) if re.match(r"\[[^\]]+\]$", (line or [""])[0])
    }
    if not _SECTIONS & set(sections):
        return ""
    if "results" not in sections:
        return "the file has no section [Results]: export it with the results"
    header = next((line for line in texts[sections["results"] + 1 :] if line), [])
    if {fold(name) for name in COLUMNS["cq"]} & {fold(name) for name in header}:
        return ""
    found = re.search(
        r"Experiment Type\s*=?\s*(.+)", "\n".join(" ".join(line) for line in texts[: sections["results"]])
    )
    kind = f" (its [Results] are of the experiment type '{found[1].strip()}')" if found else ""
    return f"there is no results section with a Cq for each target{kind}: export the results of a quantification"


FAMILY = Family(
    name="design_and_analysis",
    title="QuantStudio Design & Analysis",
    columns=COLUMNS,
    required=("position", "task", "cq"),
    tasks=TASKS,
    read=read,
    sheets=("results", "primary result", _CURVE),
    full_rows=False,
    explain=explain,
)
