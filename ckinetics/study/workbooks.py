"""Plate workbooks in the layout of a Design & Analysis export, for the synthetic study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xlsxwriter

from ..jobs import atomic_path

_ROWS = "ABCDEFGH"
_HEADER = (
    ("File Name", "{name}.eds"),
    ("Comment", ""),
    ("Barcode", "{barcode}"),
    ("Instrument Type", "QuantStudio™ 7 Pro System"),
    ("Block Type", "96-Well 0.2-mL Block"),
    ("Run Start Date/Time", "{run}"),
    ("Sample Volume", "20.0"),
    ("Passive Reference", "ROX"),
    ("Quantification Cycle Method", "CT"),
    ("Software Name and Version", "synthetic export in the layout of Design & Analysis v2"),
    ("Exported On", "{run}"),
)
_RESULTS = (
    "Well",
    "Well Position",
    "Omit",
    "Sample",
    "Target",
    "Task",
    "Reporter",
    "Quencher",
    "Amp Status",
    "Cq",
    "Cq Mean",
    "Cq SD",
    "Threshold",
)
_CURVE = (
    "Well",
    "Well Position",
    "Sample",
    "Quantity",
    "Target",
    "Dye",
    "Task",
    "Reporter",
    "Quencher",
    "Amp Status",
    "Cq",
    "Cq Mean",
    "Cq SD",
    "Y-Intercept",
    "R2",
    "Slope",
    "Efficiency",
    "Omit",
)


@dataclass(frozen=True)
class PlateWell:
    """One well: what is in it and what the instrument saw (NaN: no signal)."""

    sample: str
    task: str
    copies: float
    cq: float


def write_plate(path: Path, wells: Sequence[PlateWell], *, target: str, run: str) -> None:
    """Write one plate as a workbook with the sheets ``Results`` and ``Standard Curve Result``.

    The vendor's calculated quantities use slope and intercept rounded to four decimals, as real exports do.
    """
    if len(wells) > 96:
        raise ValueError(f"{len(wells)} wells do not fit a plate of 96")
    standards = [well for well in wells if well.task == "STANDARD" and np.isfinite(well.cq)]
    x = np.log10([well.copies for well in standards])
    y = np.array([well.cq for well in standards])
    slope, intercept = (round(float(value), 4) for value in np.polyfit(x, y, 1))
    r_squared = float(np.corrcoef(x, y)[0, 1] ** 2)
    efficiency = 100.0 * (10.0 ** (-1.0 / slope) - 1.0)
    fit = (intercept, r_squared, slope, efficiency)
    groups: dict[str, list[float]] = {}
    for well in wells:
        groups.setdefault(well.sample, []).append(well.cq)
    with atomic_path(path) as part, xlsxwriter.Workbook(part) as book:
        book.set_properties({"title": path.stem})
        results, curve = book.add_worksheet("Results"), book.add_worksheet("Standard Curve Result")
        for sheet in (results, curve):
            for row, (name, value) in enumerate(_HEADER):
                barcode = f"SYN{path.stem.upper()}"
                sheet.write_row(row, 0, [name, value.format(name=path.stem, barcode=barcode, run=run)])
        top = len(_HEADER) + 1
        results.write_row(top, 0, _RESULTS)
        curve.write_row(top, 0, _CURVE)
        for number, well in enumerate(wells):
            seen = [cq for cq in groups[well.sample] if np.isfinite(cq)]
            mean = float(np.mean(seen)) if seen else ""
            spread = float(np.std(seen, ddof=1)) if len(seen) > 1 else ""
            position = f"{_ROWS[number // 12]}{number % 12 + 1}"
            found = np.isfinite(well.cq)
            cq, status = (well.cq, "AMP") if found else ("UNDETERMINED", "NO_AMP")
            quantity: float | str = well.copies if well.task == "STANDARD" else ""
            if well.task == "UNKNOWN" and found:
                quantity = 10.0 ** ((well.cq - intercept) / slope)
            results.write_row(
                top + 1 + number,
                0,
                [
                    *(number + 1, position, "FALSE", well.sample, target, well.task, "FAM", "NFQ-MGB", status),
                    *(cq, mean, spread, 0.1),
                ],
            )
            curve.write_row(
                top + 1 + number,
                0,
                [
                    *(number + 1, position, well.sample, quantity, target, "FAM", well.task, "FAM", "NFQ-MGB"),
                    *(status, cq, mean, spread, *fit, "FALSE"),
                ],
            )
