"""A model's differential equations as the solvers need them: rates, their derivatives, and the scale of each state.

A state is integrated in one of three ways:

- *proportional*: the rate is the state times a finite factor (``rho*E``). It is integrated as ln(state), and the
  factor is what the symbols hold: no division, so the state may fall below the smallest number, or be 0 for good.
- *positive*: declared on a log scale, with a source (``m*E - beta*M``). The symbols hold the rate itself, and the
  solver goes from the state to ln(state) once it has risen from 0.
- *linear*: declared so; it may be negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import sympy

from ..files.expressions import TIME
from ..files.specification import Specification
from .derivatives import SymbolicModel

# Added to x it changes no x but 0.
_NOTHING = sympy.Float(1e-300)


class Scale(IntEnum):
    """How a state is integrated; the numbers stand in generated modules."""

    linear = 0
    positive = 1
    proportional = 2


@dataclass(frozen=True)
class Slopes:
    """An expression of states and parameters, with its first derivatives."""

    value: sympy.Expr
    by_state: list[sympy.Expr]
    by_parameter: list[sympy.Expr]
    by_time: sympy.Expr


@dataclass(frozen=True)
class Entry:
    """One second derivative that is not 0: where it stands, and its expression."""

    at: tuple[int, ...]
    value: sympy.Expr


@dataclass(frozen=True)
class PhaseSystem:
    """One phase.

    Attributes
    ----------
    rates : per state its rate (or factor, where proportional) with first derivatives
    by_states : second derivatives (state, state, state)
    by_parameter : second derivatives (state, parameter, state)
    by_time : derivatives of the first ones with respect to time: (state, state)
    by_time_parameter : (state, parameter)
    resets : per state that is given a new value at the phase's start
    """

    rates: list[Slopes]
    by_states: list[Entry]
    by_parameter: list[Entry]
    by_time: list[Entry]
    by_time_parameter: list[Entry]
    resets: dict[int, Slopes]


@dataclass(frozen=True)
class System:
    """The differential equations of a model; see the module's docstring."""

    scales: tuple[Scale, ...]
    initial: list[Slopes]
    ends: list[Slopes]
    phases: list[PhaseSystem]
    outputs: list[Slopes]

    @property
    def depends_on_time(self) -> bool:
        """Whether time itself stands in an equation."""
        return any(rate.by_time != 0 for phase in self.phases for rate in phase.rates)


def differential_system(symbolic: SymbolicModel, spec: Specification) -> System:
    """Return the equations with every derivative that the solvers need.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> model = load_model("stein2019")
    >>> system = differential_system(model.symbolic, model.specification)
    >>> [scale.name for scale in system.scales]
    ['proportional', 'positive']
    >>> system.phases[1].rates[0].value
    -alpha_p
    """
    states, parameters = list(symbolic.states.values()), list(symbolic.parameters.values())
    scales = []
    for name, symbol in symbolic.states.items():
        factors = [factor_of(phase.equations[name], symbol) for phase in symbolic.phases]
        if spec.states[name].scale == "linear":
            scales.append(Scale.linear)
        elif any(factor is None for factor in factors):
            scales.append(Scale.positive)
        else:
            scales.append(Scale.proportional)

    def slopes(expression: sympy.Expr) -> Slopes:
        return Slopes(
            value=expression,
            by_state=[_derivative(expression, symbol) for symbol in states],
            by_parameter=[_derivative(expression, symbol) for symbol in parameters],
            by_time=_derivative(expression, TIME),
        )

    phases = []
    for phase in symbolic.phases:
        rates = []
        for (name, symbol), scale in zip(symbolic.states.items(), scales, strict=True):
            rate = phase.equations[name]
            rates.append(slopes(factor_of(rate, symbol) if scale is Scale.proportional else rate))
        resets = {at: slopes(phase.reset[name]) for at, name in enumerate(symbolic.states) if name in phase.reset}
        phases.append(_phase(rates, resets, states, parameters))
    return System(
        scales=tuple(scales),
        initial=[slopes(value) for value in symbolic.initial.values()],
        ends=[slopes(phase.ends_at) for phase in symbolic.phases if phase.ends_at is not None],
        phases=phases,
        outputs=[slopes(value) for value in symbolic.outputs.values()],
    )


def _phase(
    rates: list[Slopes], resets: dict[int, Slopes], states: list[sympy.Symbol], parameters: list[sympy.Symbol]
) -> PhaseSystem:
    by_states, by_parameter, by_time, by_time_parameter = [], [], [], []
    for i, rate in enumerate(rates):
        for j, first in enumerate(rate.by_state):
            by_states += _entries((i, j), first, states)
            by_time += [Entry((i, j), value) for value in [_derivative(first, TIME)] if value != 0]
        for p, first in enumerate(rate.by_parameter):
            by_parameter += _entries((i, p), first, states)
            by_time_parameter += [Entry((i, p), value) for value in [_derivative(first, TIME)] if value != 0]
    return PhaseSystem(rates, by_states, by_parameter, by_time, by_time_parameter, resets)


def _entries(at: tuple[int, ...], first: sympy.Expr, states: list[sympy.Symbol]) -> list[Entry]:
    if first == 0:
        return []
    found = [(k, _derivative(first, symbol)) for k, symbol in enumerate(states)]
    return [Entry((*at, k), value) for k, value in found if value != 0]


def _derivative(expression: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    """Return a derivative in which a power of a state that is 0 stays finite.

    x**n/x becomes x**(n - 1), and x**n*log(x), which is 0 where x is, has a logarithm that is finite there.
    """
    if symbol not in expression.free_symbols:
        return sympy.Integer(0)
    found = sympy.diff(expression, symbol)
    powers = (power for power in expression.atoms(sympy.Pow) if symbol in power.exp.free_symbols)
    found = found.xreplace({sympy.log(power.base): sympy.log(power.base + _NOTHING) for power in powers})
    return found.replace(
        lambda part: isinstance(part, sympy.Mul) and _divided_power(part) is not None,
        lambda part: _divided_power(part) or part,
    )


def _divided_power(product: sympy.Mul) -> sympy.Expr | None:
    """Return a product in which x**n, or (x/K)**n, stands beside 1/x as one power, or None where there is no pair."""
    powers: dict[sympy.Expr, list[sympy.Expr]] = {}
    for factor in product.args:
        base, exponent = factor.as_base_exp()
        powers.setdefault(base, []).append(exponent)
    for base, exponents in powers.items():
        for factor in sympy.Mul.make_args(base):
            if factor != base and powers.get(factor) == [-1]:
                return product * factor / base ** exponents[0] * base ** (exponents[0] - 1) * (base / factor)
    if not any(len(exponents) > 1 and not base.is_number for base, exponents in powers.items()):
        return None
    return sympy.Mul(*(base ** sympy.Add(*exponents) for base, exponents in powers.items()))


def factor_of(expression: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr | None:
    """Return the factor by which a symbol is multiplied in an expression, or None where it is no such product.

    Examples
    --------
    >>> x, a = sympy.symbols("x a", real=True)
    >>> factor_of(a*x - x*(1 - x), x)
    a + x - 1
    >>> factor_of(a - x, x) is None
    True
    """
    if expression == 0:
        return sympy.Integer(0)
    if isinstance(expression, sympy.Add):
        parts = [factor_of(term, symbol) for term in expression.args]
        return None if any(part is None for part in parts) else sympy.Add(*parts)
    if isinstance(expression, sympy.Piecewise):
        parts = [factor_of(value, symbol) for value, _ in expression.args]
        if any(part is None for part in parts):
            return None
        return sympy.Piecewise(
            *((part, condition) for part, (_, condition) in zip(parts, expression.args, strict=True))
        )
    for factor in sympy.Mul.make_args(expression):
        base, exponent = factor.as_base_exp()
        if base == symbol and exponent.is_number and exponent >= 1:
            return expression / symbol
        if isinstance(factor, sympy.Add | sympy.Piecewise):
            part = factor_of(factor, symbol)
            if part is not None:
                return expression / factor * part
    return None
