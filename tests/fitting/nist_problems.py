"""The NIST StRD problems as model files; their data and certified values stay in the shared folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ckinetics.modeling import Model, read_model

# Formulas as the headers of the files print them, with t for x.
FORMULAS = {
    "Bennett5": "b1*(b2 + t)**(-1/b3)",
    "Chwirut1": "exp(-b1*t)/(b2 + b3*t)",
    "DanWood": "b1*t**b2",
    "Gauss1": "b1*exp(-b2*t) + b3*exp(-(t - b4)**2/b5**2) + b6*exp(-(t - b7)**2/b8**2)",
    "Hahn1": "(b1 + b2*t + b3*t**2 + b4*t**3)/(1 + b5*t + b6*t**2 + b7*t**3)",
    "Kirby2": "(b1 + b2*t + b3*t**2)/(1 + b4*t + b5*t**2)",
    "Lanczos1": "b1*exp(-b2*t) + b3*exp(-b4*t) + b5*exp(-b6*t)",
    "MGH17": "b1 + b2*exp(-t*b4) + b3*exp(-t*b5)",
    "Misra1a": "b1*(1 - exp(-b2*t))",
    "Misra1d": "b1*b2*t/(1 + b2*t)",
    "Rat42": "b1/(1 + exp(b2 - b3*t))",
    "Roszman1": "b1 - b2*t - atan(b3/(t - b4))/3.141592653589793",
}


@dataclass(frozen=True)
class Problem:
    """A problem's data, starts and certified values."""

    name: str
    starts: dict[int, dict[str, float]]
    certified: np.ndarray
    residual_sd: float
    x: np.ndarray
    y: np.ndarray


def read_problem(folder: Path, name: str) -> Problem:
    """Read one of NIST's files."""
    text = (folder / f"{name}.dat").read_text()
    rows = re.findall(r"^\s*(b\d+) =\s+(\S+)\s+(\S+)\s+(\S+)\s+\S+\s*$", text, re.M)
    lines = text.splitlines()
    last = max(at for at, line in enumerate(lines) if line.startswith("Data:"))
    data = np.array([[float(number) for number in line.split()] for line in lines[last + 1 :] if line.strip()])
    residual = re.search(r"Residual Standard Deviation:\s+(\S+)", text)
    assert residual is not None
    return Problem(
        name=name,
        starts={number: {row[0]: float(row[number]) for row in rows} for number in (1, 2)},
        certified=np.array([float(row[3]) for row in rows]),
        residual_sd=float(residual[1]),
        x=data[:, 1],
        y=data[:, 0],
    )


# A curve of several variables has equations, for only they take covariates; nothing happens in them.
IDLE = """
[states.idle]
label = "nothing"
initial = "0"
unit = "1"
scale = "linear"
[[phases]]
name = "all"
[phases.equations]
idle = "0"
"""


def curve_model(name: str, formula: str, values: dict[str, float], others: tuple[str, ...] = ()) -> Model:
    """Return a curve as a model file; `others` are its variables beside t, as covariates at t = 0, 1, 2, …."""
    text = f"""
title = "{name}"
time_unit = "{"day" if others else "1"}"
unit_check = "none"
unit_check_reason = "numbers without units"
verified = [{{what = "nothing", against = "nothing"}}]
[reference]
text = "a curve"
doi = ""
[outputs.y]
unit = "1"
expression = "{formula}"
[outputs.y.residual]
kind = "additive"
parameter = "s"
value = 1.0
bounds = [1e-300, 1e300]
trust = "D"
"""
    for other in others:
        text += f"""
[inputs.{other}]
label = "{other}"
kind = "covariate"
unit = "1"
value = 1.0
"""
    text += IDLE if others else ""
    for parameter, value in values.items():
        text += f"""
[parameters.{parameter}]
label = "{parameter}"
value = {value!r}
unit = "1"
transform = "none"
bounds = [-1e30, 1e30]
trust = "D"
"""
    return read_model(text, name=name)
