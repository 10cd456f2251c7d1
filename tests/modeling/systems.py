"""Small systems of equations whose units are not compared, and how tests solve them."""

from __future__ import annotations

import numpy as np

from ckinetics.modeling import read_model
from ckinetics.modeling.solving import solve

HEAD = """
title = "T"
time_unit = "day"
unit_check = "none"
unit_check_reason = "a test"
[reference]
text = "none"
doi = ""
[[verified]]
what = "nothing"
against = "nothing"
"""


def written(parameters: dict[str, float], body: str, name: str = "written"):
    text = HEAD
    for key, value in parameters.items():
        text += f'[parameters.{key}]\nlabel = "p"\nvalue = {value!r}\nunit = "1"\ntransform = "none"\n'
        text += 'bounds = [-1e30, 1e30]\ntrust = "D"\n'
    return read_model(text + body, name=name, file=f"{name}.toml")


def phase(equations: dict[str, str], states: dict[str, str], more: str = "", scale: str = "log") -> str:
    # One number of states for all of them: solvers are compiled for each number.
    if len(states) == 1:
        equations, states = equations | {"Still": "0"}, states | {"Still": "1"}
    text = ""
    for state, start in states.items():
        text += f'[states.{state}]\ninitial = "{start}"\nunit = "1"\nscale = "{scale}"\n'
        text += f'[outputs.o{state}]\nunit = "1"\nexpression = "{state}"\n'
    lines = "\n".join(f'{state} = "{rate}"' for state, rate in equations.items())
    return f'{text}[[phases]]\nname = "all"\n[phases.equations]\n{lines}\n{more}'


def typical(model):
    return model.natural_parameters(None)[0][None]


def run(model, times, theta=None, **options):
    theta = typical(model) if theta is None else theta
    outputs = options.pop("outputs", list(model.specification.outputs))
    return solve(model, np.atleast_2d(np.asarray(times, float)), theta, outputs=outputs, **options)
