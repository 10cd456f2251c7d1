"""What a model file says: its tables and their keys.

A file is TOML. `ckinetics.modeling.files.reading` reads one, `faults` holds what is checked between tables,
`consistency` the units of expressions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, computed_field, model_validator

Transform = Literal["log", "logit", "none"]
Trust = Literal["V", "V2", "D", "M"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
# A number, never a text or a truth value that looks like one.
Number = Annotated[float, Field(strict=True)]
# A text that says something.
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
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

    text: Text
    doi: str


class Verified(_Table):
    """What was verified, against what."""

    what: Text
    against: Text


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
        "V" read in the source, "V2" read second-hand, "D" derived from those, "M" from memory (not in a model
        that comes with ckinetics).
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

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sd(self) -> float:
        """Standard deviation of the random effect on the scale of `transform`; 0 without one."""
        if self.random_variance is not None:
            return float(self.random_variance**0.5)
        return self.random_sd or 0.0


class Constant(_Table):
    """A number with a unit, the same for every patient and never estimated, such as 28 days.

    Attributes
    ----------
    trust
        As of `Parameter`, where the number is a published value.
    """

    value: Number
    unit: str
    label: str = ""
    trust: Trust | None = None


class State(_Table):
    """A state, its unit and its initial value, an expression of the parameters and constants.

    Attributes
    ----------
    scale
        How it is integrated. "log": as ln(state), so that it stays positive over any number of decades (one
        that starts at 0 is integrated as it is until it has risen). "linear": as it is, and it may be negative.
    """

    initial: str
    unit: str
    label: str = ""
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


ResidualKind = Literal["additive on log", "additive", "proportional", "combined1", "combined2"]


class Residual(_Table):
    """The residual error of an output.

    Attributes
    ----------
    kind
        "additive on log": ln(observed) is normal about ln(output) with standard deviation `parameter`. The others:
        observed is normal about output f with standard deviation `parameter` ("additive"), `parameter`*f
        ("proportional"), `parameter` + `slope`*f ("combined1") or sqrt(`parameter`² + (`slope`*f)²) ("combined2").
    parameter, value, bounds
        Its name, typical value and positive bounds.
    slope, slope_value, slope_bounds
        The same for the part in proportion to the output, of a combined error.
    """

    kind: ResidualKind
    parameter: Name
    value: Number = Field(gt=0)
    bounds: tuple[Number, Number]
    trust: Trust
    slope: Name | None = None
    slope_value: Number | None = Field(default=None, gt=0)
    slope_bounds: tuple[Number, Number] | None = None


class Output(_Table):
    """Something observed: an expression of the states, and its closed form per phase where there is one.

    `scales_with` names parameters that the output is proportional to: the output then takes the unit of the
    data, and they with it. It is checked against the closed form, or else against the equations.
    """

    unit: str
    expression: str
    label: str = ""
    closed_form: dict[str, str] | None = None
    scales_with: tuple[str, ...] = ()
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
    """Parameter values and times with expected outputs and derived quantities: the file's own test.

    Attributes
    ----------
    inputs
        What the patient is given: for a dose, rate or covariate pairs of time and value, such as
        ``toci = [[5.7, 1.0]]``; for a constant its value. The file's where a name is left out.
    """

    source: Text
    tolerance: Number = Field(gt=0)
    title: str = ""
    parameters: dict[str, Number] = {}
    inputs: dict[str, Any] = {}
    times: tuple[Number, ...] = ()
    outputs: dict[str, tuple[Number, ...]] = {}
    derived: dict[str, Number] = {}


class Specification(_Table):
    """A whole model file; see the classes of its tables.

    Without states and phases a file is a curve: each output an expression of the parameters and of t, which is then
    any quantity, in the unit `time_unit`.

    Attributes
    ----------
    unit_check
        "full": the units of every expression are compared. "none": they are not, and `unit_check_reason` says why
        (a published model whose paper mixes units).

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> load_model("stein2019").specification.parameters["FB"].trust
    'V2'
    """

    title: Text
    reference: Reference
    verified: tuple[Verified, ...] = Field(min_length=1)
    time_unit: str
    parameters: dict[Name, Parameter] = Field(min_length=1)
    states: dict[Name, State] = {}
    phases: tuple[Phase, ...] = Field(min_length=1)
    outputs: dict[Name, Output] = Field(min_length=1)
    notes: str = ""
    unit_check: Literal["full", "none"] = "full"
    unit_check_reason: str = ""
    constants: dict[Name, Constant] = {}
    inputs: dict[Name, Input] = {}
    definitions: dict[Name, str] = {}
    equivalent: tuple[Equivalent, ...] = ()
    derived: dict[Name, Derived] = {}
    example: tuple[Example, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _a_curve_without_states(cls, data: Any) -> Any:
        """Give a file without states and phases one phase, in which each output is its own closed form."""
        if not isinstance(data, dict) or data.get("states") or data.get("phases"):
            return data
        outputs = data.get("outputs")
        if not isinstance(outputs, dict):
            return data
        outputs = {
            name: {**entry, "closed_form": {"all": entry["expression"]}}
            if isinstance(entry, dict) and "expression" in entry and "closed_form" not in entry
            else entry
            for name, entry in outputs.items()
        }
        return {**data, "phases": [{"name": "all", "equations": {}}], "outputs": outputs}
