"""Studies of which every part of a report has something to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ckinetics.assay import quantify, read_plates
from ckinetics.cohorts import cohort, exclude, kinetics_from_arrays, read_kinetics

NASTY = "<script>alert('x')</script> & \"=1+1\" $x^2$"


def study(n: int = 6, *, nasty: str = "", seed: int = 3) -> xr.DataTree:
    """Blood and bone marrow; patient 3 stays below LLOQ; one sample is excluded, one invalid, one above ULOQ."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for at in range(n):
        name, peak = f"P{at + 1:02d}{nasty}", float(np.exp(rng.normal(9.0, 0.8)))
        for matrix, times in (("blood", (-1.0, 3.0, 7.0, 14.0, 28.0, 60.0)), ("bone marrow", (14.0, 28.0))):
            for time in times:
                level: Any = peak * float(np.exp(-0.09 * abs(time - 8) + rng.normal(0, 0.15)))
                if time < 0 or at == 2:
                    level = "BLQ"
                elif at == 1 and (matrix, time) == ("blood", 60.0):
                    level = "INV"
                elif at == 3 and (matrix, time) == ("blood", 7.0):
                    level = ">ULOQ"
                rows.append(
                    {"patient": name, "matrix": matrix, "time": time, "level": level, "lloq": 50.0 + at, "uloq": 1e6}
                    | {"plate": f"run {at}", "sample_id": f"={name}-{matrix}-{time:g}", "reason": nasty}
                )
    names = [f"P{at + 1:02d}{nasty}" for at in range(n)]
    patients = pd.DataFrame({"patient": names, "dose_level": [f"DL{1 + at % 2}{nasty}" for at in range(n)]})
    patients["dose_received"] = 1e8
    response = pd.DataFrame({"patient": names, "response": [("CR", "PD", "SD")[at % 3] for at in range(n)]})
    made = cohort(
        read_kinetics(pd.DataFrame(rows), unit="copies/ug"),
        patients=patients,
        response=response,
        title=f"Study A{nasty}",
    )
    return exclude(made, patient=names[0], time=14.0, reason=f"haemolysed{nasty}", by="a reader")


def arrays_study(levels: Any, times: Any = (0.0, 7.0, 28.0)) -> xr.DataTree:
    return cohort(kinetics_from_arrays(times, levels, lloq=50, unit="copies/ug"))


def plate_study(folder: Any, *, slope: float = -3.32) -> xr.DataTree:
    """One plate with one sample, from wells to cohort."""
    rows = [
        ("STD", "standard", 38 + slope * np.log10(copies) + jitter, copies)
        for copies in (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
        for jitter in (-0.05, 0.0, 0.05)
    ]
    rows += [("NTC", "ntc", "Undetermined", "")] * 3
    rows += [("S1", "unknown", 38 + slope * 3 + jitter, "") for jitter in (-0.05, 0.0, 0.05)]
    plate = pd.DataFrame(rows, columns=["sample", "role", "cq", "quantity"])
    plate["well"] = [f"{'ABCD'[at // 12]}{at % 12 + 1}" for at in range(len(plate))]
    plate["target"] = "CAR"
    path = folder / "plate1.csv"
    plate.to_csv(path, index=False)
    sheet = pd.DataFrame({"sample": ["S1"], "patient": "P1", "matrix": "blood", "time": 7.0, "dna_ng": 200.0})
    return cohort(quantify(read_plates(path, layout=sheet)), title="one plate")


def fit_tree(cohort_hash: str, patients: list[str]) -> xr.DataTree:
    """A fit as `ckinetics.fitting.fit` lays it out: the first converged, the second at a bound, the rest not fitted."""
    n = len(patients)
    names = np.array(patients, dtype=object)
    done = np.arange(n) < 2
    words = ("missing", "converged", "converged_at_kink", "at_bound", "not_converged", "too_few_samples")
    failed = "5 usable samples cannot determine 7 parameters"
    codes = np.where(np.arange(n) == 0, 0, np.where(np.arange(n) == 1, 2, 4)).astype(np.int8)

    def per(values: Any) -> tuple[Any, ...]:
        return ("patient", "parameter"), np.where(done[:, None], values, np.nan)

    estimates = xr.Dataset(
        {
            "estimate": per([[12.5, 0.1]]),
            "se": per(np.where(np.arange(n)[:, None] == 0, [[1.0, 0.01]], np.nan)),
            "lower": per(np.where(np.arange(n)[:, None] == 0, [[10.5, 0.08]], np.nan)),
            "upper": per(np.where(np.arange(n)[:, None] == 0, [[14.5, 0.12]], np.nan)),
            "estimable": (("patient", "parameter"), np.where(np.arange(n)[:, None] == 0, [[1, 1]], 0).astype(np.int8)),
        },
        {
            "parameter": np.array(["Tmax", "alpha"], dtype=object),
            "unit": ("parameter", np.array(["day", "1/day"], dtype=object)),
        },
        {"interval": "0.95 confidence: Wald"},
    )
    time = np.where(done[:, None], np.linspace(0, 60, 20), np.nan)
    curves = xr.Dataset(
        {"time": (("patient", "point"), time), "predicted": (("patient", "point"), 1e4 * np.exp(-0.1 * time))}
    )
    root = xr.Dataset(
        {
            "minus2ll": ("patient", np.where(done, 4.25, np.nan)),
            **{name: ("patient", np.full(n, 5.0)) for name in ("n_samples", "n_quantified", "n_censored", "n_unused")},
            "convergence": (
                "patient",
                codes,
                {"flag_values": np.arange(-1, 5, dtype=np.int8), "flag_meanings": " ".join(words)},
            ),
            "message": ("patient", np.where(done, "converged", failed).astype(object)),
        },
        attrs={
            "result": "fit", "title": "individual fits of line", "model": "line", "matrix": "blood",
            "unit": "copies/ug",
            "settings": '{"censoring": "M3 on [0, LLOQ)"}', "cohort_hash": cohort_hash, "model_text": "title = 'line'",
        },
    )  # fmt: skip
    groups = {"/": root, "/estimates": estimates, "/curves": curves}
    return xr.DataTree.from_dict({path: group.assign_coords(patient=names) for path, group in groups.items()})
