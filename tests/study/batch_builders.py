"""A folder of small plates for the batch: tidy tables, read in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

LEVELS = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
JITTER = (-0.05, 0.0, 0.05)


def cq_of(copies: float) -> float:
    return 38.0 - 3.3219280948873626 * float(np.log10(copies))


def plate(samples: dict[str, float], *, run_id: str = "", ntc: str = "Undetermined") -> pd.DataFrame:
    rows = [(f"Std {n:g}", "standard", cq_of(n) + shift, n) for n in LEVELS for shift in JITTER]
    rows += [("NTC", "ntc", ntc, "")] * 3
    rows += [(name, "unknown", cq_of(n) + shift, "") for name, n in samples.items() for shift in JITTER]
    frame = pd.DataFrame(rows, columns=["sample", "role", "cq", "quantity"])
    frame.insert(0, "well", [f"{'ABCDEFGH'[at // 12]}{at % 12 + 1:02d}" for at in range(len(frame))])
    frame.insert(2, "target", "CAR")
    return frame.assign(run_id=run_id) if run_id else frame


def write_batch(base: Path, *, plates: int = 3, samples: int = 4) -> tuple[Path, Path]:
    """Write a folder of plates and its sample sheet; return both."""
    folder = base / "exports"
    folder.mkdir()
    names = []
    for number in range(plates):
        levels = {f"P{number}-{at}": 10.0 ** (1.2 + at) for at in range(samples)}
        names += list(levels)
        plate(levels).to_csv(folder / f"plate_{number}.csv", index=False)
    sheet = pd.DataFrame({"sample": names, "patient": "P1", "time": (np.arange(len(names)) + 1) * 7.0, "dna_ng": 200.0})
    sheet.to_csv(base / "samples.csv", index=False)
    return folder, base / "samples.csv"
