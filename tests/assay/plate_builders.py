"""Small synthetic plates, written as the instruments' software lays them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xlsxwriter

SLOPE, INTERCEPT = -3.3219280948873626, 38.0  # 100 % efficiency
LEVELS = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
JITTER = (-0.05, 0.0, 0.05)


def cq_of(copies: float) -> float:
    return INTERCEPT + SLOPE * np.log10(copies)


def tidy_rows(
    samples: dict[str, Any], *, levels: Any = LEVELS, target: str = "CAR", ntc: Any = ("Undetermined",) * 3
) -> pd.DataFrame:
    """Standards in triplicate, NTC wells, and samples: name to copies, or to a list of Cq fields."""
    rows = []
    for copies in levels:
        rows += [(f"Std {copies:g}", "standard", cq_of(copies) + jitter, copies) for jitter in JITTER]
    rows += [("NTC", "ntc", cq, "") for cq in ntc]
    for name, value in samples.items():
        fields = [cq_of(value) + jitter for jitter in JITTER] if np.isscalar(value) else value
        rows += [(name, "unknown", cq, "") for cq in fields]
    frame = pd.DataFrame(rows, columns=["sample", "role", "cq", "quantity"])
    wells = [f"{'ABCDEFGH'[at // 12]}{at % 12 + 1:02d}" for at in range(len(frame))]
    frame.insert(0, "well", wells)
    frame.insert(2, "target", target)
    return frame


def write_tidy(path: Path, samples: dict[str, Any], **more: Any) -> Path:
    tidy_rows(samples, **more).to_csv(path, index=False)
    return path


def write_sheet(path: Path, names: Any, **columns: Any) -> Path:
    """One patient, one sample a week, 200 ng, unless said otherwise."""
    sheet_frame(names, **columns).to_csv(path, index=False)
    return path


def sheet_frame(names: Any, **columns: Any) -> pd.DataFrame:
    names = list(names)
    base = {"sample": names, "patient": "P1", "matrix": "blood", "time": [7.0 * n for n in range(len(names))]}
    return pd.DataFrame(base | {"dna_ng": 200.0} | columns)


def write_workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if cell != "":
                        sheet.write(number, column, cell)
    return path


D_AND_A = ["Well", "Well Position", "Omit", "Sample", "Target", "Task", "Reporter", "Cq", "Baseline Start"]


def d_and_a_rows(wells: list[list[Any]], *, header: list[str] | None = None, above: int = 3) -> list[list[Any]]:
    """A ``Results`` sheet: settings, a blank row, the header, wells as (position, sample, task, cq)."""
    rows = [["Block Type", "96-Well 0.2-mL Block"], ["Operator", "somebody"], *[["Comment", "x"]] * above, []]
    rows.append(D_AND_A if header is None else header)
    for number, (position, sample, task, cq) in enumerate(wells, start=1):
        rows.append([number, position, False, sample, "CAR", task, "FAM", cq, 3])
    return rows
