"""What a model file says: its tables and keys, read and checked.

A file is TOML. Unknown keys are refused, and every error names the file, the table and the key.
"""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from ..errors import ModelFileError, UnitError
from ..units import UNITS, kind_of, normalise_unit
from .expressions import suggestion

Transform = Literal["log", "logit", "none"]
Trust = Literal["V", "V2", "D", "M"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
# A number, never a text or a truth value that looks like one.
Number = Annotated[float, Field(strict=True)]
RESERVED = {"t": "time"}
# What a fit knows of one patient's data before it starts; `start` expressions may use these names.
DATA_FEATURES = {
    "first_level": "first quantified level",
    "first_time": "its time",
    "peak_level": "highest quantified level",
    "peak_time": "its time",
    "last_level": "last quantified level",
    "last_time": "its time",
    "rise_rate": "slope of ln(level) from the first quantified sample to the peak",
    "decline_rate": "rate of decline over the first samples after the peak",
    "terminal_rate": "rate of decline over the last quantified samples",
    "terminal_level": "level at the peak's time on the line through the last quantified samples",
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Reference(_Table):
    """Where the model was published."""

    text: str
    doi: str


class Verified(_Table):
    """What was verified, against what."""

    what: str
    against: str


class Parameter(_Table):
    """A parameter: its typical value, and how it is estimated and varies between patients.

    Attributes
    ----------
    transform
        Scale on which it is estimated and on which the random effect is normal: "log" (positive),
        "logit" (between its bounds) or "none".
    bounds
        Lower and upper bound on the natural scale.
    random_sd, random_variance
        Standard deviation *or* variance of the random effect on the scale of `transform`.
    trust
        "V" read in the source, "V2" read second-hand, "D" derived from those, "M" from memory.
    start
        Expressions of `DATA_FEATURES`: a fit's first guesses, one or several. Where other parameters have more,
        the last one counts.
    """

    value: Number
    unit: str
    label: str
    transform: Transform
    bounds: tuple[Number, Number]
    trust: Trust
    random_sd: Number | None = Field(default=None, ge=0)
    random_variance: Number | None = Field(default=None, ge=0)
    start: tuple[str, ...] = ()

    @property
    def sd(self) -> float:
        """Standard deviation of the random effect on the scale of `transform`; 0 without one."""
        if self.random_variance is not None:
            return float(self.random_variance**0.5)
        return self.random_sd or 0.0


class State(_Table):
    """A state and its initial value, an expression of the parameters and constants.

    Attributes
    ----------
    scale
        How it is integrated. "log": as ln(state), so that it stays positive over any number of decades (one
        that starts at 0 is integrated as it is until it has risen). "linear": as it is, and it may be negative.
    """

    initial: str
    label: str = ""
    unit: str = ""
    scale: Literal["log", "linear"] = "log"


class Input(_Table):
    """Something given to the patient, or known of the patient, that is not estimated.

    Attributes
    ----------
    kind
        "dose": amounts added to `state` at given times; its name stands for the amount in closed forms.
        "rate": a value that holds between given times, such as the rate of an infusion; 0 outside.
        "covariate": a value that holds from each given time on, such as 1 after tocilizumab.
        "constant": one value a patient, such as the tumour burden at baseline.
    value
        Without data of the patient: the amount, the covariate's or rate's value from the start, the constant.
    time
        Time of a dose, without data of the patient.
    state
        The state that a dose is added to.
    """

    kind: Literal["dose", "rate", "covariate", "constant"]
    unit: str
    label: str = ""
    value: Number = 0.0
    time: Number = 0.0
    state: str = ""


class Phase(_Table):
    """A span of time with its own differential equations.

    `ends_at` is an expression of the parameters (the last phase has none); `reset` gives states a new value
    at the phase's start.
    """

    name: Name
    equations: dict[str, str]
    ends_at: str | None = None
    reset: dict[str, str] = {}


class Residual(_Table):
    """The residual error of an output: ln(observed) is normal about ln(output) with standard deviation `parameter`."""

    kind: Literal["additive on log"]
    parameter: Name
    value: Number = Field(gt=0)
    bounds: tuple[Number, Number]
    trust: Trust


class Output(_Table):
    """Something observed: an expression of the states, and its closed form per phase where there is one.

    `scales_with` names parameters that the output is proportional to: the output then takes the unit of the
    data, and they with it. It is checked against the closed form.
    """

    unit: str
    expression: str
    label: str = ""
    closed_form: dict[str, str] | None = None
    scales_with: list[str] = []
    residual: Residual | None = None


class Derived(_Table):
    """A quantity computed from the parameters alone."""

    unit: str
    expression: str
    label: str = ""


class Equivalent(_Table):
    """Parameter values that give the same curve; where `when` holds, estimates are reported as `values`."""

    when: str
    values: dict[str, str]


class Example(_Table):
    """Parameter values and times with expected outputs and derived quantities: the file's own test."""

    source: str
    tolerance: Number = Field(gt=0)
    title: str = ""
    parameters: dict[str, Number] = {}
    times: tuple[Number, ...] = ()
    outputs: dict[str, tuple[Number, ...]] = {}
    derived: dict[str, Number] = {}


class Specification(_Table):
    """A whole model file; see the classes of its tables.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> load_model("stein2019").specification.parameters["FB"].trust
    'V2'
    """

    title: str
    reference: Reference
    verified: tuple[Verified, ...]
    time_unit: str
    parameters: dict[Name, Parameter] = Field(min_length=1)
    states: dict[Name, State] = Field(min_length=1)
    phases: tuple[Phase, ...] = Field(min_length=1)
    outputs: dict[Name, Output] = Field(min_length=1)
    notes: str = ""
    inputs: dict[Name, Input] = {}
    definitions: dict[Name, str] = {}
    equivalent: tuple[Equivalent, ...] = ()
    derived: dict[Name, Derived] = {}
    example: tuple[Example, ...] = ()


def read_specification(text: str, *, file: str = "") -> Specification:
    """Return the specification that a model file's text holds.

    Parameters
    ----------
    text : str
        The file, TOML.
    file : str
        Its name, for messages.

    Raises
    ------
    ModelFileError
        Not TOML, an unknown or missing key, a value of the wrong kind, names that clash or do not exist.
        Expressions are checked by `ckinetics.modeling.derivatives.symbolic_model`.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ModelFileError(f"not a TOML file: {err}", file=file or None) from None
    try:
        specification = Specification.model_validate(raw)
    except pydantic.ValidationError as err:
        raise ModelFileError(_explain(err), file=file or None) from None
    for fault in _faults(specification):
        raise ModelFileError(fault, file=file or None)
    return specification


def _explain(error: pydantic.ValidationError) -> str:
    """Return the first fault of a validation in one sentence that names table and key."""
    faults = error.errors()
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    *table, key = [f"{part + 1}" if isinstance(part, int) else str(part) for part in fault["loc"] if part != "[key]"]
    place = f"table [{'.'.join(table)}], key '{key}'" if table else f"key '{key}'"
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown key{suggestion(key, _known_keys(fault['loc'][:-1]))}"
    if fault["type"] == "missing":
        return f"{place}: is missing"
    return f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table at `loc` may have."""
    annotation: Any = Specification
    for part in loc:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        else:
            annotation = next((a for a in get_args(annotation) if a is not Ellipsis and not _is_name(a)), None)
        while not isinstance(annotation, type) and type(None) in get_args(annotation):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(annotation.model_fields)
    return []


def _is_name(annotation: Any) -> bool:
    return annotation is str or get_args(annotation)[:1] == (str,)


def _faults(spec: Specification) -> list[str]:
    """Return what is wrong between tables, in words."""
    faults = [*_name_faults(spec), *_parameter_faults(spec), *_phase_faults(spec), *_output_faults(spec)]
    return faults or _unit_faults(spec)


def _name_faults(spec: Specification) -> list[str]:
    faults = []
    seen: dict[str, str] = dict(RESERVED)
    names = [(name, "parameters") for name in spec.parameters]
    names += [(o.residual.parameter, "outputs") for o in spec.outputs.values() if o.residual]
    names += [(name, "states") for name in spec.states] + [(name, "definitions") for name in spec.definitions]
    names += [(name, "inputs") for name in spec.inputs]
    for name, table in names:
        if name in seen:
            faults.append(f"table [{table}], key '{name}': the name is already used for {seen[name]}")
        seen[name] = f"one of [{table}]"
    return faults


def _parameter_faults(spec: Specification) -> list[str]:
    faults = []
    for name, parameter in spec.parameters.items():
        place = f"table [parameters.{name}]"
        low, high = parameter.bounds
        if not low < high:
            faults.append(f"{place}, key 'bounds': the lower bound {low:g} is not below the upper bound {high:g}")
        if not low <= parameter.value <= high:
            faults.append(f"{place}, key 'value': {parameter.value:g} is outside its bounds {low:g} to {high:g}")
        if parameter.transform == "log" and low <= 0:
            faults.append(f"{place}, key 'bounds': the lower bound must be above 0 for transform \"log\"")
        if parameter.transform == "logit" and not low < parameter.value < high:
            faults.append(f"{place}, key 'value': must lie between its bounds for transform \"logit\"")
        if parameter.random_sd is not None and parameter.random_variance is not None:
            faults.append(f"{place}, key 'random_variance': give random_sd or random_variance, not both")
    return faults


def _unit_faults(spec: Specification) -> list[str]:
    """Return units of parameters and derived quantities that are not products and quotients of known ones."""
    known = {part for unit in UNITS for part in unit.split("/")}
    places = [(f"parameters.{name}", parameter.unit) for name, parameter in spec.parameters.items()]
    places += [(f"derived.{name}", entry.unit) for name, entry in spec.derived.items()]
    faults = []
    for place, unit in places:
        for part in re.split(r"[*/()]", unit.replace("µ", "u").replace("μ", "u")):
            bare = re.sub(r"\^-?\d+$", "", part.strip())
            try:
                name = normalise_unit(bare) if bare or not unit.strip() else "1"
            except UnitError:
                if bare not in known:
                    faults.append(
                        f"table [{place}], key 'unit': '{unit}' is not made of known units such as "
                        f'"1/{spec.time_unit}" ("1" where there is none)'
                    )
                continue
            if UNITS[name].kind == "time" and name != normalise_unit(spec.time_unit):
                faults.append(
                    f"table [{place}], key 'unit': '{unit}' counts time in {name}, the model in {spec.time_unit}: "
                    "write both alike"
                )
    return faults


def _phase_faults(spec: Specification) -> list[str]:
    faults = []
    names = [phase.name for phase in spec.phases]
    for name, given in spec.inputs.items():
        place = f"table [inputs.{name}]"
        if given.kind == "dose" and given.state not in spec.states:
            known = suggestion(given.state, spec.states)
            faults.append(f"{place}, key 'state': a dose is added to one of [states]{known}")
        if given.kind != "dose" and given.state:
            faults.append(f"{place}, key 'state': only a dose is added to a state")
        if given.time < 0 or (given.kind != "dose" and given.time):
            faults.append(f"{place}, key 'time': only a dose has a time, at 0 or later")
    for number, phase in enumerate(spec.phases, start=1):
        place = f"table [[phases]] '{phase.name}'"
        if names.count(phase.name) > 1:
            faults.append(f"{place}, key 'name': the name is used more than once")
        if (number == len(spec.phases)) != (phase.ends_at is None):
            faults.append(f"{place}, key 'ends_at': every phase but the last has an end, and the last has none")
        for key, table in (("equations", phase.equations), ("reset", phase.reset)):
            for name in table:
                if name not in spec.states:
                    faults.append(f"{place}, key '{key}.{name}': no such state{suggestion(name, spec.states)}")
        for name in spec.states:
            if name not in phase.equations:
                faults.append(f"{place}, key 'equations.{name}': the state has no equation")
    if spec.phases[0].reset:
        faults.append(f"table [[phases]] '{names[0]}', key 'reset': the first phase starts from [states]")
    return faults


def _output_faults(spec: Specification) -> list[str]:
    faults = []
    phases = [phase.name for phase in spec.phases]
    try:
        normalise_unit(spec.time_unit, what="time unit")
        if kind_of(spec.time_unit) != "time":
            faults.append(f"key 'time_unit': '{spec.time_unit}' is not a unit of time")
    except UnitError as err:
        return [f"key 'time_unit': {err.message}"]
    for name, output in spec.outputs.items():
        place = f"table [outputs.{name}]"
        try:
            normalise_unit(output.unit)
        except UnitError as err:
            faults.append(f"{place}, key 'unit': {err.message}")
        for key in output.closed_form or ():
            if key not in phases:
                faults.append(f"{place}, key 'closed_form.{key}': no such phase{suggestion(key, phases)}")
        for key in phases if output.closed_form is not None else ():
            if key not in (output.closed_form or {}):
                faults.append(f"{place}, key 'closed_form.{key}': the phase has no closed form")
        for parameter in output.scales_with:
            if parameter not in spec.parameters:
                faults.append(f"{place}, key 'scales_with': '{parameter}' is not a parameter")
        if output.scales_with and output.closed_form is None:
            faults.append(f"{place}, key 'scales_with': needs a closed_form to be checked against")
        residual = output.residual
        if residual and not 0 < residual.bounds[0] <= residual.value <= residual.bounds[1]:
            faults.append(f"{place}, key 'residual.value': give a value inside positive bounds, not {residual.value:g}")
    for number, example in enumerate(spec.example, start=1):
        place = f"table [[example]] {number}"
        known: dict[str, Any] = {"parameters": spec.parameters, "outputs": spec.outputs, "derived": spec.derived}
        for table, names in known.items():
            for name in getattr(example, table):
                if name not in names:
                    faults.append(f"{place}, key '{table}.{name}': no such name{suggestion(name, names)}")
        for name, values in example.outputs.items():
            if len(values) != len(example.times):
                faults.append(f"{place}, key 'outputs.{name}': {len(values)} values for {len(example.times)} times")
    return faults
