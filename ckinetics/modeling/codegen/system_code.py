"""The functions of a generated module that evaluate a model's equations and their derivatives.

Everything that they read and write lies in one array `w`, at places that are numbers in the generated code: few
arguments, and the compiler knows which places differ. What depends on parameters alone is computed once a patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...kernels.ode.layout import places

if TYPE_CHECKING:
    import sympy

    from ..symbols.derivatives import SymbolicModel
    from ..symbols.system import PhaseSystem, Slopes, System


@dataclass(frozen=True)
class Function:
    """A generated function: per task, and per branch of it (a phase, or an output), its statements.

    Entries that are always 0 are not written: the solver fills their places with zeros when a phase begins.
    """

    name: str
    tasks: list[list[list[str]]]


def system_functions(
    symbolic: SymbolicModel, system: System, code: Callable[[sympy.Basic], str]
) -> tuple[list[Function], dict[str, int]]:
    """Return the functions of a model's equations, and the places in `w`; their tasks are in `kernels.ode.layout`.

    Parameters
    ----------
    symbolic, system
        The model in symbols, and its equations with derivatives.
    code
        Prints an expression as Python.
    """
    writer = _Writer(symbolic, code)
    n, m = len(symbolic.states), len(symbolic.parameters)

    def per_phase(targets: Callable[[PhaseSystem], dict[str, sympy.Expr]]) -> list[list[str]]:
        return [writer.statements(targets(phase)) for phase in system.phases]

    def still(*targets: dict[str, sympy.Expr]) -> list[list[str]]:
        return [writer.statements({key: v for one in targets for key, v in one.items()})]

    def per_output(targets: Callable[[Slopes], dict[str, sympy.Expr]]) -> list[list[str]]:
        return [writer.statements(targets(slopes)) for slopes in system.outputs]

    rates = [
        per_phase(lambda phase: _values("a", phase.rates)),
        per_phase(lambda phase: _values("a", phase.rates) | _by_state("b", phase.rates, n)),
        per_phase(lambda phase: _by_time("FT", phase.rates)),
    ]
    derivatives = [
        per_phase(
            lambda phase: (
                _values("a", phase.rates) | _by_state("b", phase.rates, n) | _by_parameter("c", phase.rates, m)
            )
        ),
        per_phase(
            lambda phase: {
                **{f"w[D2 + {(i * n + j) * n + k}]": e.value for e in phase.by_states for i, j, k in [e.at]},
                **{f"w[DP + {(i * m + q) * n + j}]": e.value for e in phase.by_parameter for i, q, j in [e.at]},
                **{f"w[DT + {i * n + j}]": e.value for e in phase.by_time for i, j in [e.at]},
                **{f"w[PT + {i * m + q}]": e.value for e in phase.by_time_parameter for i, q in [e.at]},
            }
        ),
        still(_by_parameter("FP", system.initial, m), _by_parameter("ENDP", system.ends, m)),
        per_phase(lambda phase: _slopes_of_resets(phase, n, m)),
        per_output(
            lambda slopes: {
                **{f"w[OY + {j}]": v for j, v in enumerate(slopes.by_state)},
                **{f"w[OP + {q}]": v for q, v in enumerate(slopes.by_parameter)},
            }
        ),
    ]
    settings = [
        still(_values("Y", system.initial), _values("ENDS", system.ends)),
        per_phase(lambda phase: {f"w[F + {i}]": slopes.value for i, slopes in phase.resets.items()}),
        per_output(lambda slopes: {"w[O]": slopes.value}),
    ]
    settings.insert(0, [writer.prepared()])  # last, when every expression has said what it needs
    found = places(n, m, m + len(symbolic.constants), len(symbolic.varying), len(writer.kept), len(system.ends))
    return [Function("equations", rates), Function("settings", settings), Function("derivatives", derivatives)], found


def _values(array: str, slopes: list[Slopes]) -> dict[str, sympy.Expr]:
    return {f"w[{array} + {i}]": one.value for i, one in enumerate(slopes)}


def _by_state(array: str, slopes: list[Slopes], n: int) -> dict[str, sympy.Expr]:
    return {
        f"w[{array} + {i * n + j}]": v for i, one in enumerate(slopes) for j, v in enumerate(one.by_state) if v != 0
    }


def _by_parameter(array: str, slopes: list[Slopes], m: int) -> dict[str, sympy.Expr]:
    return {
        f"w[{array} + {i * m + q}]": v for i, one in enumerate(slopes) for q, v in enumerate(one.by_parameter) if v != 0
    }


def _by_time(array: str, slopes: list[Slopes]) -> dict[str, sympy.Expr]:
    return {f"w[{array} + {i}]": one.by_time for i, one in enumerate(slopes) if one.by_time != 0}


def _slopes_of_resets(phase: PhaseSystem, n: int, m: int) -> dict[str, sympy.Expr]:
    targets: dict[str, sympy.Expr] = {}
    for i, slopes in phase.resets.items():
        targets |= {f"w[R + {i * n + j}]": v for j, v in enumerate(slopes.by_state)}
        targets |= {f"w[RP + {i * m + q}]": v for q, v in enumerate(slopes.by_parameter)}
        targets[f"w[RT + {i}]"] = slopes.by_time
    return targets


class _Writer:
    """Turns targets and expressions into statements, what they share computed once."""

    def __init__(self, symbolic: SymbolicModel, code: Callable[[sympy.Basic], str]) -> None:
        self.code = code
        self.still = {*symbolic.parameters.values(), *symbolic.constants.values()}
        self.kept: dict[sympy.Expr, sympy.Symbol] = {}
        self.places: dict[sympy.Symbol, str] = {}
        for array, symbols in (
            ("P", [*symbolic.parameters.values(), *symbolic.constants.values()]),
            ("X", list(symbolic.varying.values())),
            ("Y", list(symbolic.states.values())),
        ):
            self.places |= {symbol: f"w[{array} + {at}]" for at, symbol in enumerate(symbols)}

    def statements(self, targets: dict[str, sympy.Expr]) -> list[str]:
        """Return statements that unpack what is used, then fill every target."""
        import sympy

        if not targets:
            return ["pass"]
        moving = [self._keep_still_parts(expression) for expression in targets.values()]
        lines = self._unpack(moving)
        shared, results = sympy.cse(moving, symbols=sympy.numbered_symbols("c", real=True))
        lines += [f"{symbol.name} = {self.code(expression)}" for symbol, expression in shared]
        lines += [f"{target} = {self.code(expression)}" for target, expression in zip(targets, results, strict=True)]
        return lines

    def prepared(self) -> list[str]:
        """Return the statements that compute what depends on parameters alone; after all others are written."""
        import sympy

        if not self.kept:
            return ["pass"]
        lines = self._unpack(list(self.kept))
        shared, results = sympy.cse(list(self.kept), symbols=sympy.numbered_symbols("c", real=True))
        lines += [f"{symbol.name} = {self.code(expression)}" for symbol, expression in shared]
        return lines + [f"w[H + {at}] = {self.code(expression)}" for at, expression in enumerate(results)]

    def _unpack(self, expressions: list[sympy.Expr]) -> list[str]:
        used = set().union(*(expression.free_symbols for expression in expressions))
        places = self.places | {symbol: f"w[H + {at}]" for at, symbol in enumerate(self.kept.values())}
        return [f"{symbol.name} = {place}" for symbol, place in places.items() if symbol in used]

    def _keep_still_parts(self, expression: sympy.Expr) -> sympy.Expr:
        """Return an expression whose parts of parameters alone are replaced by symbols of what is kept."""
        import sympy

        if expression.is_Atom:
            return expression
        if isinstance(expression, sympy.Expr) and not expression.free_symbols - self.still:
            return self._kept(expression) if expression.free_symbols else expression
        if isinstance(expression, sympy.Add | sympy.Mul):
            parts = [part for part in expression.args if not part.free_symbols - self.still]
            if any(part.free_symbols for part in parts) and len(parts) > 1:
                rest = [self._keep_still_parts(part) for part in expression.args if part.free_symbols - self.still]
                return expression.func(self._kept(expression.func(*parts)), *rest)
        if isinstance(expression, sympy.Basic) and expression.args:
            return expression.func(*(self._keep_still_parts(part) for part in expression.args))
        return expression

    def _kept(self, expression: sympy.Expr) -> sympy.Expr:
        import sympy

        if expression.is_Atom or (-expression).is_Atom:
            return expression
        return self.kept.setdefault(expression, sympy.Symbol(f"h{len(self.kept)}", real=True))
