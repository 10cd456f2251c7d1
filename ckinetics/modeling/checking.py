"""Whether a model file keeps what it says: examples, closed forms against equations, solvers, identifiability."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .events import Events
from .files.expressions import names_in, syntax_tree, unparsed
from .identifiability import horizon, identifiability
from .library import Model, check_examples
from .solving import Outcome, solve

if TYPE_CHECKING:
    import xarray as xr

    from .files.specification import Specification

# Equations integrated with this tolerance are off by far less than what counts as a difference.
TOLERANCE, DIFFERENT = 1e-11, 1e-6


@dataclass(frozen=True)
class ClosedForm:
    """How far an output's closed form is from its integrated equations: the largest relative difference, and where."""

    output: str
    difference: float
    time: float
    n_times: int

    @property
    def agrees(self) -> bool:
        """Whether the two are the same curve."""
        return self.difference <= DIFFERENT


@dataclass(frozen=True)
class ModelCheck:
    """What `check_model` found.

    Attributes
    ----------
    examples : as `check_examples` returns them
    closed_forms : per output that has one
    steps : per method the steps that it takes to the horizon at the file's values and default tolerance
    identifiability : as `identifiability` returns it, or None where the equations cannot be solved
    problems : what could not be checked, a sentence each
    notes : what a reader should know of what was found, a sentence each
    inputs : what the patient was given where identifiability was judged
    """

    examples: list[dict[str, Any]]
    closed_forms: list[ClosedForm]
    steps: dict[str, int]
    identifiability: xr.Dataset | None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether examples and closed forms hold and everything could be computed."""
        return (
            not self.problems
            and all(example["passed"] for example in self.examples)
            and all(found.agrees for found in self.closed_forms)
        )


def check_model(model: Model, *, points: int = 5, seed: int = 0) -> ModelCheck:
    """Check a model beyond what loading it does.

    Parameters
    ----------
    model : Model
        The model.
    points, seed
        As for `identifiability`.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> check_model(load_model("stein2019"), points=1).passed
    True
    """
    problems: list[str] = []
    examples: list[dict[str, Any]] = []
    closed: list[ClosedForm] = []
    found = None
    try:
        examples = check_examples(model)
    except InputError as err:
        problems.append(f"the examples cannot be computed: {err}")
    try:
        closed = [compare_closed_form(model, output) for output in model.closed_forms]
    except InputError as err:
        problems.append(f"the closed form cannot be compared: {err}")
    steps = {}
    given = fullest_inputs(model.specification)
    for method in ("rodas5p", "tsit5"):
        code, steps[method] = _steps(model, method, given)
        if code is not Outcome.solved and method == model.method:
            problems.append(f"with {method}, which would be chosen, {code.sentence}")
    try:
        found = identifiability(model, points=points, seed=seed, inputs=given)
    except InputError as err:
        problems.append(f"identifiability cannot be told: {err}")
    return ModelCheck(examples, closed, steps, found, problems, moving_cases(model.specification), given)


def fullest_inputs(spec: Specification) -> dict[str, Any]:
    """Return the inputs of the example that gives most of them: with these, parameters act that else would not.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> fullest_inputs(load_model("stein2019").specification)
    {}
    """
    return max((dict(example.inputs) for example in spec.example), key=len, default={})


def moving_cases(spec: Specification) -> list[str]:
    """Say which rates have cases whose change moves with a parameter: their derivatives leave that out.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> moving_cases(load_model("kimmel2021").specification)
    []
    """
    notes = []
    for phase in spec.phases:
        for state, text in phase.equations.items():
            read = _with_definitions([text], spec)
            conditions = [
                unparsed(node.args[0])
                for one in read
                for node in ast.walk(syntax_tree(one))
                if isinstance(node, ast.Call) and unparsed(node.func) == "where"
            ]
            for condition in dict.fromkeys(conditions):
                used = {name for one in _with_definitions([condition], spec) for name in names_in(one)}
                moves = [name for name in (*spec.parameters, *spec.states) if name in used]
                if moves:
                    notes.append(
                        f"in phase '{phase.name}' the equation of {state} has cases that change where {condition}, "
                        f"which moves with {' and '.join(moves)}: derivatives leave out a jump that moves, so that a "
                        "parameter may seem not to act; where the rate jumps, write two phases (ends_at) instead"
                    )
    return notes


def _with_definitions(texts: list[str], spec: Specification) -> list[str]:
    """Return expressions with every definition that they use, directly or not."""
    found = list(texts)
    for text in found:
        found += [spec.definitions[name] for name in names_in(text) if spec.definitions.get(name, text) not in found]
    return found


def compare_closed_form(model: Model, output: str) -> ClosedForm:
    """Compare a closed form with the equations, at the file's values and at those of every example.

    Raises
    ------
    InputError
        The equations cannot be integrated.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> compare_closed_form(load_model("stein2019"), "level").agrees
    True
    """
    worst = ClosedForm(output, 0.0, 0.0, 0)
    count = 0
    cases: list[tuple[Any, Any, Any]] = [({}, (), {})]
    cases += [(one.parameters, one.times, one.inputs) for one in model.specification.example]
    for parameters, times, inputs in cases:
        if not model.uses_closed_form(output, inputs, "auto"):  # several doses: it is for one
            continue
        grid = np.unique(np.concatenate([np.linspace(0.0, horizon(model), 101), np.asarray(times, float)]))
        closed = model.evaluate(grid, parameters, output=output, inputs=inputs, method="closed_form")
        integrated = model.evaluate(grid, parameters, output=output, inputs=inputs, method="rodas5p", rtol=TOLERANCE)
        size = np.maximum(np.abs(closed), np.abs(integrated))
        apart = np.abs(closed - integrated) / np.where(size > 0, size, 1.0)
        apart = np.where(np.isnan(apart), np.inf, apart)
        count += len(grid)
        at = int(apart.argmax())
        if apart[at] > worst.difference:
            worst = ClosedForm(output, float(apart[at]), float(grid[at]), 0)
    return ClosedForm(output, worst.difference, worst.time, count)


def _steps(model: Model, method: str, inputs: dict[str, Any]) -> tuple[Outcome, int]:
    theta, _ = model.natural_parameters(None, inputs)
    times = np.linspace(0.0, horizon(model), 30)[None, :]
    outputs = [next(iter(model.specification.outputs))]
    events = Events.of_inputs(model, 1, inputs)
    found = solve(model, times, theta[None, :], outputs=outputs, events=events, method=method)
    return Outcome(int(found.codes[0])), int(found.steps[0])
