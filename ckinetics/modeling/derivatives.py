"""From a specification to symbols: every expression parsed, definitions put in, gradients derived."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sympy

from ..errors import ModelFileError
from .expressions import TIME, parse_condition, parse_expression
from .specification import DATA_FEATURES, Specification


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


def _check_scaling(
    spec: Specification, phases: list[SymbolicPhase], parameters: dict[str, sympy.Symbol], file: str
) -> None:
    """Hold each output to the parameters that it says it is proportional to (Euler's identity)."""
    for name, output in spec.outputs.items():
        for phase in phases if output.scales_with else ():
            curve = phase.closed_form[name]
            moved = sum(parameters[p] * sympy.diff(curve, parameters[p]) for p in output.scales_with)
            if not (moved - curve).equals(0):
                raise ModelFileError(
                    f"table [outputs.{name}], key 'scales_with': in phase '{phase.name}' the closed form is not "
                    f"proportional to {', '.join(output.scales_with)}: correct the list or leave it out",
                    file=file or None,
                )


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


def symbolic_model(spec: Specification, *, file: str = "") -> SymbolicModel:
    """Parse every expression of a specification.

    Raises
    ------
    ModelFileError
        Names the table and key of an expression that cannot be used.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> symbolic = symbolic_model(load_model("stein2019").specification)
    >>> symbolic.phases[1].equations["E"]
    -E_s*alpha_p
    """
    # A suffix says what kind of symbol it is, and keeps user names apart from those of generated code.
    parameters = {name: sympy.Symbol(f"{name}_p", real=True) for name in spec.parameters}
    states = {name: sympy.Symbol(f"{name}_s", real=True) for name in spec.states}
    features = {name: sympy.Symbol(f"{name}_f", real=True) for name in DATA_FEATURES}
    constants, moving_inputs = _input_symbols(spec)
    amounts = {name: constants[name] for name, given in spec.inputs.items() if given.kind == "dose"}

    constant: dict[str, sympy.Expr] = {**parameters, **{n: s for n, s in constants.items() if n not in amounts}}
    varying: dict[str, sympy.Expr] = {**constant, **moving_inputs, **states, "t": TIME}
    moving = {TIME, *states.values(), *moving_inputs.values()}
    for name, text in spec.definitions.items():
        where = f"table [definitions], key '{name}'"
        for later in spec.definitions:
            if later not in varying and re.search(rf"(?<![\w.]){later}\b", text):
                raise ModelFileError(
                    f"{where}: '{' '.join(text.split())}' uses '{later}', which is not defined above it: "
                    "a definition may use only those before it",
                    file=file or None,
                )
        value = parse_expression(text, varying, where=where, file=file)
        varying[name] = value
        if not value.free_symbols & moving:
            constant[name] = value

    def fixed(text: str, where: str) -> sympy.Expr:
        return parse_expression(text, constant, where=where, file=file)

    phases = []
    for phase in spec.phases:
        place = f"table [[phases]] '{phase.name}', key"
        phases.append(
            SymbolicPhase(
                name=phase.name,
                ends_at=None if phase.ends_at is None else fixed(phase.ends_at, f"{place} 'ends_at'"),
                equations={
                    name: parse_expression(
                        phase.equations[name], varying, where=f"{place} 'equations.{name}'", file=file
                    )
                    for name in spec.states
                },
                reset={
                    name: parse_expression(text, varying, where=f"{place} 'reset.{name}'", file=file)
                    for name, text in phase.reset.items()
                },
                closed_form={
                    name: parse_expression(
                        output.closed_form[phase.name],
                        {**constant, **amounts, "t": TIME},
                        where=f"table [outputs.{name}], key 'closed_form.{phase.name}'",
                        file=file,
                    )
                    for name, output in spec.outputs.items()
                    if output.closed_form is not None
                },
            )
        )
    _check_scaling(spec, phases, parameters, file)
    equivalent = []
    for number, entry in enumerate(spec.equivalent, start=1):
        place = f"table [[equivalent]] {number}, key"
        for name in entry.values:
            parse_expression(name, parameters, where=f"{place} 'values.{name}'", file=file)
        values = {name: fixed(text, f"{place} 'values.{name}'") for name, text in entry.values.items()}
        condition = parse_condition(entry.when, constant, where=f"{place} 'when'", file=file)
        equivalent.append((condition, values))
    return SymbolicModel(
        parameters=parameters,
        states=states,
        constants=constants,
        varying=moving_inputs,
        initial={
            name: fixed(state.initial, f"table [states.{name}], key 'initial'") for name, state in spec.states.items()
        },
        phases=tuple(phases),
        outputs={
            name: parse_expression(
                output.expression, varying, where=f"table [outputs.{name}], key 'expression'", file=file
            )
            for name, output in spec.outputs.items()
        },
        derived={
            name: parse_expression(
                entry.expression,
                {**constant, **amounts},
                where=f"table [derived.{name}], key 'expression'",
                file=file,
            )
            for name, entry in spec.derived.items()
        },
        equivalent=tuple(equivalent),
        starts={
            name: tuple(
                parse_expression(text, features, where=f"table [parameters.{name}], key 'start'", file=file)
                for text in parameter.start
            )
            for name, parameter in spec.parameters.items()
            if parameter.start
        },
        features=features,
    )
