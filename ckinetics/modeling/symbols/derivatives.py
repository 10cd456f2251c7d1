"""From a specification to symbols: every expression parsed, definitions put in, gradients derived."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from random import Random

import sympy

from ...errors import ModelFileError
from ..files.expressions import MAX_TOTAL, TIME, expression_size, names_in, parse_condition, parse_expression, shortened
from ..files.places import (
    Place,
    closed_form,
    definition,
    derived_expression,
    equation,
    equivalent_condition,
    equivalent_value,
    initial_value,
    output_expression,
    phase_end,
    reset,
    start,
)
from ..files.specification import DATA_FEATURES, Phase, Specification

_POINTS = 50
# What stands for an expression that cannot be read, until all have been looked at.
_UNREAD = sympy.Symbol("unread", real=True)


@dataclass(frozen=True)
class SymbolicPhase:
    """One phase: end, equations and resets by state, and closed forms by output (None where there is none)."""

    name: str
    ends_at: sympy.Expr | None
    equations: dict[str, sympy.Expr]
    reset: dict[str, sympy.Expr]
    closed_form: dict[str, sympy.Expr]


@dataclass(frozen=True)
class SymbolicModel:
    """A model in symbols; definitions are put in, so only parameters, states and time are left.

    Attributes
    ----------
    parameters, states : the symbol of each name, in the order of the file
    constants : inputs that are one number a patient: constants, and the amounts of doses
    varying : inputs that change with time: rates and covariates
    initial : initial value of each state
    phases : the phases in order
    outputs : each output as an expression of states
    derived : each derived quantity
    equivalent : condition, and the value of every parameter where it holds
    starts : a fit's first guesses of a parameter, of `features`
    """

    parameters: dict[str, sympy.Symbol]
    states: dict[str, sympy.Symbol]
    constants: dict[str, sympy.Symbol]
    varying: dict[str, sympy.Symbol]
    initial: dict[str, sympy.Expr]
    phases: tuple[SymbolicPhase, ...]
    outputs: dict[str, sympy.Expr]
    derived: dict[str, sympy.Expr]
    equivalent: tuple[tuple[sympy.Basic, dict[str, sympy.Expr]], ...]
    starts: dict[str, tuple[sympy.Expr, ...]]
    features: dict[str, sympy.Symbol]

    @property
    def n_guesses(self) -> int:
        """Number of first guesses that a fit takes from the data; at least 1."""
        return max((len(guesses) for guesses in self.starts.values()), default=1)

    def gradient(self, expression: sympy.Expr) -> list[sympy.Expr]:
        """Return the derivative with respect to each parameter; one-sided where there is a switch."""
        return [sympy.diff(expression, symbol) for symbol in self.parameters.values()]

    @property
    def switches(self) -> tuple[str, ...]:
        """Parameters that are themselves the end of a phase: the curve has a kink there."""
        names = {symbol: name for name, symbol in self.parameters.items()}
        ends = [phase.ends_at for phase in self.phases]
        return tuple(dict.fromkeys(names[end] for end in ends if end in names))


def _check_scaling(spec: Specification, symbolic: SymbolicModel, file: str) -> None:
    """Hold each output to the parameters that it says it is proportional to (Euler's identity).

    Without a closed form all states must be in proportion to them too, and so their rates, initial and new values.
    """
    for name, output in spec.outputs.items():
        if not output.scales_with:
            continue
        scaled = [symbolic.parameters[parameter] for parameter in output.scales_with]
        if output.closed_form is not None:
            curves = {f"in phase '{phase.name}' the closed form": phase.closed_form[name] for phase in symbolic.phases}
        else:
            scaled += list(symbolic.states.values())
            curves = {"the output": symbolic.outputs[name]}
            curves |= {f"the initial value of '{state}'": value for state, value in symbolic.initial.items()}
            for phase in symbolic.phases:
                curves |= {f"in phase '{phase.name}' the rate of '{at}'": rate for at, rate in phase.equations.items()}
                curves |= {f"in phase '{phase.name}' the new value of '{at}'": to for at, to in phase.reset.items()}
        for what, curve in curves.items():
            moved = sum(symbol * sympy.diff(curve, symbol) for symbol in scaled)
            if curve != 0 and not _vanishes(moved - curve, curve, spec, symbolic.parameters):
                both = "" if output.closed_form is not None else " and all states"
                raise ModelFileError(
                    f"table [outputs.{name}], key 'scales_with': {what} is not "
                    f"proportional to {', '.join(output.scales_with)}{both}: correct the list or leave it out",
                    file=file or None,
                )


def _vanishes(
    difference: sympy.Expr, curve: sympy.Expr, spec: Specification, parameters: dict[str, sympy.Symbol]
) -> bool:
    """Whether a difference is 0 beside the curve, at numbers about the file's values: simplifying might never end."""
    random = Random(5)
    others = sorted((difference.free_symbols | curve.free_symbols) - {TIME, *parameters.values()}, key=str)
    found = sympy.lambdify([*parameters.values(), *others, TIME], [difference, curve], modules="math", cse=True)
    seen = 0
    for _ in range(_POINTS):
        values = [parameter.value * math.exp(random.uniform(-0.3, 0.3)) for parameter in spec.parameters.values()]
        values += [random.uniform(0.5, 2.0) for _ in others]
        with contextlib.suppress(ArithmeticError, ValueError):  # no point of the curve, such as a negative logarithm
            rest, size = found(*values, random.uniform(0.0, 100.0))
            if not abs(rest) <= 1e-9 * abs(size):
                return False
            seen += 1
    return seen > 0


def _input_symbols(spec: Specification) -> tuple[dict[str, sympy.Symbol], dict[str, sympy.Symbol]]:
    """Return the symbols of inputs that are one number a patient, and of those that change with time."""
    still: dict[str, sympy.Symbol] = {}
    moving: dict[str, sympy.Symbol] = {}
    for name, given in spec.inputs.items():
        if given.kind in ("constant", "dose"):
            still[name] = sympy.Symbol(f"{name}_c", real=True)
        else:
            moving[name] = sympy.Symbol(f"{name}_x", real=True)
    return still, moving


class _Names:
    """The names of a model, what each stands for, and which of them an expression may use."""

    def __init__(self, spec: Specification, file: str) -> None:
        self.spec, self.file = spec, file
        self.faults: list[str] = []
        # A suffix says what kind of symbol it is, and keeps user names apart from those of generated code.
        self.parameters = {name: sympy.Symbol(f"{name}_p", real=True) for name in spec.parameters}
        self.states = {name: sympy.Symbol(f"{name}_s", real=True) for name in spec.states}
        self.features = {name: sympy.Symbol(f"{name}_f", real=True) for name in DATA_FEATURES}
        self.inputs, self.moving_inputs = _input_symbols(spec)
        self.amounts = {name: self.inputs[name] for name, given in spec.inputs.items() if given.kind == "dose"}
        numbers = {name: _number(constant.value) for name, constant in spec.constants.items()}
        still = {name: symbol for name, symbol in self.inputs.items() if name not in self.amounts}
        self.kinds = {**dict.fromkeys(spec.states, "a state"), "t": "time"}
        self.kinds |= {name: f"a {given.kind} of [inputs]" for name, given in spec.inputs.items()}
        errors = [output.residual for output in spec.outputs.values() if output.residual]
        self.kinds |= {name: "a residual error" for e in errors for name in (e.parameter, e.slope) if name}
        self.constant: dict[str, sympy.Expr] = {**self.parameters, **numbers, **still}
        self.varying: dict[str, sympy.Expr] = {**self.constant, **self.moving_inputs, **self.states, "t": TIME}
        self.sizes: dict[str, int] = {}  # names in a definition, those of the definitions in it too
        self.left = MAX_TOTAL
        self._define()

    def _define(self) -> None:
        moving = {TIME, *self.states.values(), *self.moving_inputs.values()}
        for name, text in self.spec.definitions.items():
            place = definition(name)
            later = [used for used in names_in(text) if used in self.spec.definitions and used not in self.varying]
            if later:
                self.faults.append(
                    f"{place}: '{shortened(text)}' uses `{later[0]}`, which is not defined above it: "
                    "a definition may use only those before it"
                )
                self.varying[name] = self.constant[name] = _UNREAD
                continue
            before = len(self.faults)
            value = self.read(text, place, self.varying)
            self.sizes[name] = expression_size(text, self.sizes) if len(self.faults) == before else 1
            self.varying[name] = value
            if value.free_symbols & moving:
                self.kinds[name] = "a definition that changes with time"
            else:
                self.constant[name] = value

    def read(self, text: str, place: Place, names: dict[str, sympy.Expr]) -> sympy.Expr:
        """Return an expression that may use `names`; one that cannot be read is a fault, and the reading goes on."""
        if self.left < 0:
            return _UNREAD
        try:
            found = parse_expression(text, names, where=place, file=self.file, elsewhere=self.kinds, sizes=self.sizes)
        except ModelFileError as err:
            self.faults.append(err.message)
            return _UNREAD
        self.left -= expression_size(text, self.sizes)
        if self.left < 0:
            self.faults.append(
                f"{place}: up to here the expressions of the file have more than {MAX_TOTAL} names and numbers once "
                "everything is written out, and no compiler would be done with them: simplify the model"
            )
        return found

    def condition(self, text: str, place: Place, names: dict[str, sympy.Expr]) -> sympy.Basic:
        """Return a condition that may use `names`, as `read` does."""
        try:
            return parse_condition(text, names, where=place, file=self.file, elsewhere=self.kinds, sizes=self.sizes)
        except ModelFileError as err:
            self.faults.append(err.message)
            return sympy.true


def symbolic_model(spec: Specification, *, file: str = "") -> SymbolicModel:
    """Parse every expression of a specification.

    Raises
    ------
    ModelFileError
        Names the table and key of every expression that cannot be used.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> symbolic = symbolic_model(load_model("stein2019").specification)
    >>> symbolic.phases[1].equations["E"]
    -E_s*alpha_p
    """
    names = _Names(spec, file)
    constant, varying = names.constant, names.varying
    with_amounts = {**constant, **names.amounts}
    phases = tuple(_symbolic_phase(phase, names) for phase in spec.phases)
    equivalent = []
    for number, entry in enumerate(spec.equivalent, start=1):
        for name in entry.values:
            names.read(name, equivalent_value(number, name), dict(names.parameters))
        values = {
            name: names.read(text, equivalent_value(number, name), constant) for name, text in entry.values.items()
        }
        equivalent.append((names.condition(entry.when, equivalent_condition(number), constant), values))
    symbolic = SymbolicModel(
        parameters=names.parameters,
        states=names.states,
        constants=names.inputs,
        varying=names.moving_inputs,
        initial={name: names.read(state.initial, initial_value(name), constant) for name, state in spec.states.items()},
        phases=phases,
        outputs={
            name: names.read(output.expression, output_expression(name), varying)
            for name, output in spec.outputs.items()
        },
        derived={
            name: names.read(entry.expression, derived_expression(name), with_amounts)
            for name, entry in spec.derived.items()
        },
        equivalent=tuple(equivalent),
        starts={
            name: tuple(names.read(text, start(name), dict(names.features)) for text in parameter.start)
            for name, parameter in spec.parameters.items()
            if parameter.start
        },
        features=names.features,
    )
    if names.faults:
        raise ModelFileError.of_faults(names.faults, file=file or None)
    _check_scaling(spec, symbolic, file)
    _check_ends(spec, symbolic, file)
    return symbolic


def _symbolic_phase(phase: Phase, names: _Names) -> SymbolicPhase:
    spec = names.spec
    end = None if phase.ends_at is None else names.read(phase.ends_at, phase_end(phase.name), names.constant)
    in_time = {**names.constant, **names.amounts, "t": TIME}
    return SymbolicPhase(
        name=phase.name,
        ends_at=end,
        equations={
            name: names.read(phase.equations[name], equation(phase.name, name), names.varying) for name in spec.states
        },
        reset={name: names.read(text, reset(phase.name, name), names.varying) for name, text in phase.reset.items()},
        closed_form={
            name: names.read(output.closed_form[phase.name], closed_form(name, phase.name), in_time)
            for name, output in spec.outputs.items()
            if output.closed_form is not None
        },
    )


def _number(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value.is_integer() and abs(value) < 2**53 else sympy.Float(value)


def _check_ends(spec: Specification, symbolic: SymbolicModel, file: str) -> None:
    """Hold the phases to their order at the file's own values."""
    values = {symbol: spec.parameters[name].value for name, symbol in symbolic.parameters.items()}
    values |= {symbol: spec.inputs[name].value for name, symbol in symbolic.constants.items()}
    before, reached = "the start", 0.0
    for phase in symbolic.phases:
        if phase.ends_at is None:
            continue
        end = phase.ends_at.subs(values)
        if not end.is_real or not end >= reached:
            raise ModelFileError(
                f"{phase_end(phase.name)}: at the file's values the phase ends at {_short(end)}, before "
                f"{before} at {reached:g}: put the phases in the order of their ends",
                file=file or None,
            )
        before, reached = f"the end of '{phase.name}'", float(end)


def _short(value: sympy.Expr) -> str:
    return f"{float(value):g}" if value.is_real else "no time"
