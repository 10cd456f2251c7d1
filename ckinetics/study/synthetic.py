"""A synthetic phase I study in the files that a laboratory really has.

Everything in it is simulated: a dose escalation of a CAR-T product with blood and marrow sampling, levels from
the Stein model, plates with Poisson sampling of templates, a sample sheet, and clinical tables.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..jobs import atomic_path, write_text
from ..simulation import simulate
from .workbooks import PlateWell, write_plate

TARGET = "CAR"
BLOOD_DAYS = (-1.0, 1.0, 3.0, 7.0, 10.0, 14.0, 21.0, 28.0, 60.0, 90.0, 180.0)
MARROW_DAYS = (14.0, 28.0, 90.0)
STANDARDS = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
DOSES = ((1e7, "DL1"), (3e7, "DL2"), (1e8, "DL3"))
_REPLICATES = 3
_SLOPE, _INTERCEPT, _CQ_SD, _CYCLES = -3.36, 38.1, 0.11, 40.0
_SAMPLES_A_PLATE = (96 - _REPLICATES * (len(STANDARDS) + 1)) // _REPLICATES
_START = datetime(2026, 1, 12, 10, 0)

STUDY_TOML = """\
title = "Synthetic phase I dose escalation of CAR-T in solid tumours"
assay = "simulated qPCR of the CAR transgene in genomic DNA"

[plates]
files = "plates"
sample_sheet = "samples.csv"
target = "CAR"

[clinical]
patients = "patients.csv"
infusions = "infusions.csv"
cytokines = "cytokines.csv"
response = "response.csv"
medication = "medication.csv"
events = "events.csv"

[nca]
preset = "cell_therapy"
intervals = [[0, 28], [0, 90]]

[fit]
model = "stein2019"
matrix = "blood"
seed = 1

[exposure]
variables = ["cmax", "auc_interval 0-28"]
matrix = "blood"
cytokines = ["IL-6"]
"""


def simulate_study(folder: str | Path, /, *, patients: int = 12, seed: int = 7) -> Path:
    """Write a synthetic study: plate workbooks, a sample sheet, clinical tables and ``study.toml``.

    Parameters
    ----------
    folder : str or Path
        Where to write; must be empty or new.
    patients : int
        Number of patients, at least 3; dose levels are filled in turn.
    seed : int
        Seed; the same seed writes the same numbers.

    Returns
    -------
    Path
        The folder, ready for ``ckinetics run``.

    Raises
    ------
    InputError
        The folder holds other files, or there are too few patients.
    """
    out = Path(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{out}' is not an empty folder: choose another")
    if patients < 3:
        raise InputError(f"patients={patients} is too few: give at least 3")
    generator = np.random.default_rng(seed)
    names = [f"S{number:02d}" for number in range(1, patients + 1)]
    subjects = _subjects(names, generator)
    samples = _samples(subjects, generator, seed)
    _write_plates(out / "plates", samples, generator)
    _write_tables(out, subjects, samples, generator)
    write_text(out / "study.toml", STUDY_TOML)
    return out


def _subjects(names: Sequence[str], generator: np.random.Generator) -> list[dict[str, Any]]:
    subjects = []
    for at, name in enumerate(names):
        dose, level = DOSES[min(at * len(DOSES) // len(names), len(DOSES) - 1)]
        infused = _START + timedelta(days=14 * at, minutes=int(generator.integers(0, 300)))
        subjects.append(
            {
                "patient": name,
                "dose_level": level,
                "dose_assigned": dose,
                "dose_received": float(f"{dose * generator.uniform(0.85, 1.0):.3g}"),
                "infused": infused,
                "weight": round(float(generator.normal(72, 12)), 1),
                "age": int(generator.integers(38, 78)),
                "sex": str(generator.choice(["F", "M"])),
                "tumour_burden": round(float(np.exp(generator.normal(4.2, 0.4))), 0),
                "antigen_expression": float(generator.integers(50, 100)),
                "fludarabine": 90.0,
                "cyclophosphamide": 900.0,
                "safety_set": "yes",
                "efficacy_set": "yes",
            }
        )
    return subjects


def _samples(subjects: list[dict[str, Any]], generator: np.random.Generator, seed: int) -> list[dict[str, Any]]:
    """Return every sample with its true level in copies/µg and the DNA in its wells."""
    n = len(subjects)
    doses = np.array([subject["dose_received"] for subject in subjects])
    # Modest variation about Stein's values, so that most profiles are rich; Cmax grows a little with dose.
    parameters = {
        "Cmax": 26000.0 * (doses / 3e7) ** 0.25 * np.exp(generator.normal(0, 0.9, n)),
        "Tmax": 10.0 * np.exp(generator.normal(0, 0.16, n)),
        "foldx": 2500.0 * np.exp(generator.normal(0, 0.8, n)),
        "alpha": 0.20 * np.exp(generator.normal(0, 0.35, n)),
        "FB": 0.03 * np.exp(generator.normal(0, 0.6, n)),
        "beta": 0.009 * np.exp(generator.normal(0, 0.4, n)),
    }
    parameters["Cmax"][-1] = 9.0  # one patient who never expands
    plan = [(day, "blood") for day in BLOOD_DAYS] + [(day, "bone marrow") for day in MARROW_DAYS]
    jitter = generator.normal(0, 0.08, (n, len(plan)))
    days = np.array([day for day, _ in plan])
    actual = days + np.where(days > 5, jitter * 2, jitter)
    curve = simulate(
        "stein2019",
        times=np.maximum(actual, 0.0),
        parameters=parameters,
        seed=seed,
        random_effects=False,
        residual=False,
    )["level_true"].values
    samples = []
    for at, subject in enumerate(subjects):
        marrow = float(np.exp(generator.normal(-0.5, 0.4)))
        for place, (day, matrix) in enumerate(plan):
            if day > 100 and generator.random() < 0.25:
                continue  # lost to follow-up
            level = 0.0 if day < 0 else float(curve[at, place]) * np.exp(generator.normal(0, 0.3))
            ng = float(generator.choice([200.0, 200.0, 200.0, 100.0, 50.0]))
            samples.append(
                {
                    "sample": f"{subject['patient']}-{'B' if matrix == 'blood' else 'M'}{day:+04.0f}",
                    "patient": subject["patient"],
                    "matrix": matrix,
                    "nominal_time": day,
                    "collected": subject["infused"] + timedelta(days=float(actual[at, place])),
                    "dna_ng": ng,
                    "level": level * (marrow if matrix != "blood" else 1.0),
                }
            )
    return sorted(samples, key=lambda sample: sample["collected"])


def _write_plates(folder: Path, samples: list[dict[str, Any]], generator: np.random.Generator) -> None:
    for number, start in enumerate(range(0, len(samples), _SAMPLES_A_PLATE), start=1):
        slope = _SLOPE + generator.normal(0, 0.02)
        intercept = _INTERCEPT + generator.normal(0, 0.15)
        wells = []
        for copies in STANDARDS:
            for _ in range(_REPLICATES):
                wells.append(
                    PlateWell(f"Std_{copies:.0e}", "STANDARD", copies, _cq(copies, slope, intercept, generator))
                )
        wells += [PlateWell("NTC", "NTC", 0.0, np.nan) for _ in range(_REPLICATES)]
        batch = samples[start : start + _SAMPLES_A_PLATE]
        for sample in batch:
            copies = sample["level"] * sample["dna_ng"] / 1000.0
            for _ in range(_REPLICATES):
                wells.append(PlateWell(sample["sample"], "UNKNOWN", copies, _cq(copies, slope, intercept, generator)))
        last = max(sample["collected"] for sample in batch)
        run = f"{last + timedelta(days=3):%Y-%m-%d %H:%M:%S}"
        write_plate(folder / f"plate_{number:02d}.xlsx", wells, target=TARGET, run=run)


def _cq(copies: float, slope: float, intercept: float, generator: np.random.Generator) -> float:
    """Return a well's Cq: templates are Poisson, the reading has its own noise, no signal is NaN."""
    templates = generator.poisson(copies)
    if templates == 0:
        return float("nan")
    cq = intercept + slope * np.log10(templates) + generator.normal(0, _CQ_SD)
    return float(cq) if cq < _CYCLES else float("nan")


def _write_tables(
    folder: Path, subjects: list[dict[str, Any]], samples: list[dict[str, Any]], generator: np.random.Generator
) -> None:
    peak = {subject["patient"]: 0.0 for subject in subjects}
    for sample in samples:
        if sample["matrix"] == "blood":
            peak[sample["patient"]] = max(peak[sample["patient"]], sample["level"])
    sheet = [
        {
            "sample": sample["sample"],
            "patient": sample["patient"],
            "matrix": sample["matrix"],
            "nominal_time": f"{sample['nominal_time']:g}",
            "collected": f"{sample['collected']:%Y-%m-%dT%H:%M}",
            "dna_ng": f"{sample['dna_ng']:g}",
            "dilution": "1",
        }
        for sample in samples
    ]
    _write_csv(folder / "samples.csv", sheet)
    _write_csv(folder / "patients.csv", [{**subject, "infused": _stamp(subject["infused"])} for subject in subjects])
    infusions = [
        {
            "patient": subject["patient"],
            "given": _stamp(subject["infused"]),
            "dose": subject["dose_received"],
            "product": "CAR-T",
            "route": "intravenous",
        }
        for subject in subjects
    ]
    _write_csv(folder / "infusions.csv", infusions)
    cytokines, response, medication, events = [], [], [], []
    for subject in subjects:
        name, top = subject["patient"], peak[subject["patient"]]
        height = np.exp(0.55 * np.log(max(top, 50.0)) + generator.normal(0, 0.7))
        for day in (-1, 1, 3, 5, 7, 10, 14, 21, 28):
            shape = np.exp(-((day - 8) ** 2) / 18.0)
            il6 = 3.0 + height * shape * np.exp(generator.normal(0, 0.2))
            crp = 2.0 + 0.3 * height * shape * np.exp(generator.normal(0, 0.2))
            for cytokine, value, low, high, unit in (
                ("IL-6", il6, 2.0, 2000.0, "pg/mL"),
                ("CRP", crp, 3.0, 500.0, "mg/L"),
            ):
                level = f"<{low:g}" if value < low else f">{high:g}" if value > high else f"{value:.3g}"
                cytokines.append(
                    {"patient": name, "cytokine": cytokine, "time": day, "level": level, "unit": unit}
                    | {"lloq": low, "uloq": high}
                )
        chance = 1.0 / (1.0 + np.exp(-(np.log(max(top, 1.0)) - np.log(20000.0)) * 1.1))
        best = str(
            generator.choice(["PR", "PR", "CR"]) if generator.random() < chance else generator.choice(["SD", "PD"])
        )
        weeks = float(generator.exponential(40 if best in ("PR", "CR") else 12)) + 4
        response.append(
            {
                "patient": name,
                "response": best,
                "pfs_time": round(min(7 * weeks, 365.0), 0),
                "pfs_event": int(7 * weeks < 365),
            }
        )
        if height > 60:
            grade = 1 + int(height > 200) + int(height > 700)
            events.append({"patient": name, "term": "CRS", "time": 5, "end_time": 10, "grade": grade, "scale": "ASTCT"})
            if grade >= 2:
                medication.append({"patient": name, "drug": "tocilizumab", "time": 6, "dose": 8, "dose_unit": "mg/kg"})
    _write_csv(folder / "cytokines.csv", cytokines)
    _write_csv(folder / "response.csv", response)
    _write_csv(
        folder / "medication.csv", medication or [{"patient": subjects[0]["patient"], "drug": "paracetamol", "time": 1}]
    )
    _write_csv(
        folder / "events.csv", events or [{"patient": subjects[0]["patient"], "term": "fatigue", "time": 1, "grade": 1}]
    )


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
