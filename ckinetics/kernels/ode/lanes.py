"""A number of several patients at once, one a lane: a processor works on all lanes in about the time of one.

To kernels it is a number: ``+ - * / **``, comparisons (1.0 where they hold, else 0.0), and the functions below. Each
lane is computed as if it were alone, so its digits do not depend on its neighbours.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
import numba
from numba.core.cgutils import get_or_insert_function
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

from ..compiling.jit import pointer_to

LANES = 8
_REAL, _WHOLE = ir.VectorType(ir.DoubleType(), LANES), ir.VectorType(ir.IntType(64), LANES)

_LOG2_E = 1.4426950408889634
# ln(2) in two parts, the first with so few digits that whole multiples of it are exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Added to a number, it leaves the nearest whole number in the lowest bits.
_ROUNDING = 6755399441055744.0
_BIAS, _FRACTION = 1023, 52
# Below, exp is 0; above, it is that of this.
_LOWEST, HIGHEST = -708.0, 709.0
_SMALLEST_NORMAL = 2.2250738585072014e-308


class LanesType(numba.types.Type):  # type: ignore[misc]
    """The type of such a number."""

    def __init__(self) -> None:
        super().__init__(name=f"lanes{LANES}")

    def can_convert_from(self, _context: Any, other: Any) -> Any:
        """Say that a plain number can stand in every lane."""
        return Conversion.safe if isinstance(other, numba.types.Float | numba.types.Integer) else None


lanes = LanesType()


@register_model(LanesType)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _REAL)


def _fused(builder: Any, *values: Any) -> Any:
    form = ir.FunctionType(_REAL, [_REAL] * 3)
    return builder.call(get_or_insert_function(builder.module, form, f"llvm.fma.v{LANES}f64"), values)


class _Lanes:
    """A value of the compiler with operators, so that formulas below read as such."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def of(self, number: float) -> Any:
        """Return a number in every lane."""
        return ir.Constant(_REAL, [number] * LANES)

    def whole(self, number: int) -> Any:
        """Return a whole number in every lane."""
        return ir.Constant(_WHOLE, [number] * LANES)

    def _with(self, name: str, other: Any, *, swapped: bool = False) -> _Lanes:
        value = other.value if isinstance(other, _Lanes) else self.of(other)
        pair = (value, self.value) if swapped else (self.value, value)
        return _Lanes(self.builder, getattr(self.builder, name)(*pair))

    def __add__(self, other: Any) -> _Lanes:
        return self._with("fadd", other)

    def __sub__(self, other: Any) -> _Lanes:
        return self._with("fsub", other)

    def __mul__(self, other: Any) -> _Lanes:
        return self._with("fmul", other)

    def __truediv__(self, other: Any) -> _Lanes:
        return self._with("fdiv", other)

    def __rtruediv__(self, other: Any) -> _Lanes:
        return self._with("fdiv", other, swapped=True)

    def times_plus(self, factor: Any, term: Any) -> _Lanes:
        """Return self*factor + term, rounded once: the same on every processor."""
        given = [part.value if isinstance(part, _Lanes) else self.of(part) for part in (self, factor, term)]
        return _Lanes(self.builder, _fused(self.builder, *given))

    def where(self, sign: str, limit: float, other: float) -> _Lanes:
        """Return a number where self compares so with a limit, else self."""
        holds = self.builder.fcmp_ordered(sign, self.value, self.of(limit))
        return _Lanes(self.builder, self.builder.select(holds, self.of(other), self.value))


def _exp(x: _Lanes) -> _Lanes:
    """Return exp(x) = 2^k exp(r) with whole k and abs(r) <= ln(2)/2, where twelve terms of the series are enough."""
    builder = x.builder
    inside = x.where("<", _LOWEST, _LOWEST).where(">", HIGHEST, HIGHEST)
    shifted = inside.times_plus(_LOG2_E, _ROUNDING)
    k = shifted - _ROUNDING
    r = k.times_plus(-_LN2_LOW, k.times_plus(-_LN2_HIGH, inside))
    series = r.times_plus(1.0 / math.factorial(12), 1.0 / math.factorial(11))
    for term in range(10, -1, -1):
        series = series.times_plus(r, 1.0 / math.factorial(term))
    bits = builder.add(builder.bitcast(shifted.value, _WHOLE), x.whole(_BIAS))
    power = builder.bitcast(builder.shl(bits, x.whole(_FRACTION)), _REAL)
    found = series * _Lanes(builder, power)
    return _Lanes(builder, builder.select(builder.fcmp_ordered("<", x.value, x.of(_LOWEST)), x.of(0.0), found.value))


def _log(x: _Lanes) -> _Lanes:
    """Return ln(x) = k ln(2) + 2 artanh((m - 1)/(m + 1)) with x = 2^k m and m from sqrt(1/2) to sqrt(2)."""
    builder = x.builder
    bits = builder.bitcast(x.value, _WHOLE)
    # Half of the numbers between two powers of 2 go to the upper one.
    moved = builder.add(bits, x.whole(0x3FF0000000000000 - 0x3FE6A09E667F3BCD))
    k = builder.sub(builder.ashr(moved, x.whole(_FRACTION)), x.whole(_BIAS))
    m = _Lanes(builder, builder.bitcast(builder.sub(bits, builder.shl(k, x.whole(_FRACTION))), _REAL))
    k_real = _Lanes(builder, builder.sitofp(k, _REAL))
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = square * (2.0 / 23) + 2.0 / 21
    for power in range(19, 2, -2):
        series = series * square + 2.0 / power
    found = (k_real * _LN2_HIGH) + (s * 2.0 + (s * square * series + k_real * _LN2_LOW))
    value = builder.select(builder.fcmp_ordered("<", x.value, x.of(_SMALLEST_NORMAL)), x.of(-math.inf), found.value)
    value = builder.select(builder.fcmp_ordered("<", x.value, x.of(0.0)), x.of(math.nan), value)
    odd = builder.not_(builder.fcmp_ordered("<", x.value, x.of(math.inf)))  # infinite, or no number
    return _Lanes(builder, builder.select(odd, x.value, value))


def _whole_power(x: _Lanes, exponent: int) -> _Lanes:
    found, square, left = _Lanes(x.builder, x.of(1.0)), x, abs(exponent)
    while left:
        if left % 2:
            found = found * square
        left //= 2
        square = square * square if left else square
    return 1.0 / found if exponent < 0 else found


def _operator(symbols: tuple[Callable[..., Any], ...], make: Callable[[Any, Any, Any], Any]) -> None:
    """Teach numba an operator of two numbers in lanes."""
    for symbol in symbols:
        infer_global(symbol)(type("LanesOperator", (ConcreteTemplate,), {"cases": [signature(lanes, lanes, lanes)]}))

        @lower_builtin(symbol, lanes, lanes)  # type: ignore[misc]
        def lower(context: Any, builder: Any, kind: Any, values: Any) -> Any:
            return make(builder, *values)


def _comparison(sign: str) -> Callable[[Any, Any, Any], Any]:
    def make(builder: Any, a: Any, b: Any) -> Any:
        compare = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
        return builder.uitofp(compare(sign, a, b), _REAL)

    return make


_operator((operator.add, operator.iadd), lambda builder, a, b: builder.fadd(a, b))
_operator((operator.sub, operator.isub), lambda builder, a, b: builder.fsub(a, b))
_operator((operator.mul, operator.imul), lambda builder, a, b: builder.fmul(a, b))
_operator((operator.truediv, operator.itruediv), lambda builder, a, b: builder.fdiv(a, b))
for _name, _sign in {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}.items():
    _operator((getattr(operator, _name),), _comparison(_sign))


@infer_global(operator.neg)
class _Negative(ConcreteTemplate):  # type: ignore[misc]
    cases = [signature(lanes, lanes)]  # noqa: RUF012


@lower_builtin(operator.neg, lanes)  # type: ignore[misc]
def _lower_negative(context: Any, builder: Any, kind: Any, values: Any) -> Any:
    return builder.fneg(values[0])


@infer_global(operator.pow)
class _Power(AbstractTemplate):  # type: ignore[misc]
    prefer_literal = True

    def generic(self, args: Any, kws: Any) -> Any:
        base, exponent = args
        if base != lanes and exponent != lanes:
            return None
        if isinstance(exponent, numba.types.IntegerLiteral):
            return signature(lanes, base, exponent)
        return signature(lanes, lanes, lanes)


@lower_builtin(operator.pow, lanes, numba.types.IntegerLiteral)  # type: ignore[misc]
def _lower_whole_power(context: Any, builder: Any, kind: Any, values: Any) -> Any:
    return _whole_power(_Lanes(builder, values[0]), kind.args[1].literal_value).value


@lower_builtin(operator.pow, lanes, lanes)  # type: ignore[misc]
def _lower_power(context: Any, builder: Any, kind: Any, values: Any) -> Any:
    base, exponent = (_Lanes(builder, value) for value in values)
    return _exp(_log(base) * exponent).value


@lower_cast(numba.types.Float, LanesType)  # type: ignore[misc]
@lower_cast(numba.types.Integer, LanesType)  # type: ignore[misc]
def _everywhere(context: Any, builder: Any, given: Any, wanted: Any, value: Any) -> Any:
    number = context.cast(builder, value, given, numba.types.float64)
    first = builder.insert_element(ir.Constant(_REAL, ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(
        first, ir.Constant(_REAL, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    )


@intrinsic  # type: ignore[misc]
def exponential(context: Any, x: Any) -> Any:
    """Return exp(x); relative error below 5e-16. 0 below 1e-307, and 8e307 above that."""

    def generate(context: Any, builder: Any, kind: Any, values: Any) -> Any:
        return _exp(_Lanes(builder, values[0])).value

    return signature(lanes, lanes), generate


@intrinsic  # type: ignore[misc]
def logarithm(context: Any, x: Any) -> Any:
    """Return ln(x); relative error below 5e-16. Numbers too small to have all digits count as 0."""

    def generate(context: Any, builder: Any, kind: Any, values: Any) -> Any:
        return _log(_Lanes(builder, values[0])).value

    return signature(lanes, lanes), generate


def _of_llvm(name: str) -> Any:
    def typed(context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, kind: Any, values: Any) -> Any:
            form = ir.FunctionType(_REAL, [_REAL])
            return builder.call(get_or_insert_function(builder.module, form, f"llvm.{name}.v{LANES}f64"), values)

        return signature(lanes, lanes), generate

    return intrinsic(typed)


square_root, absolute = _of_llvm("sqrt"), _of_llvm("fabs")


@intrinsic  # type: ignore[misc]
def times_plus(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a*b + c, rounded once: the same on every processor."""

    def generate(context: Any, builder: Any, kind: Any, values: Any) -> Any:
        return _fused(builder, *values)

    return signature(lanes, lanes, lanes, lanes), generate


@intrinsic  # type: ignore[misc]
def choose(context: Any, holds: Any, a: Any, b: Any) -> Any:
    """Return a where `holds` is not 0, else b."""

    def generate(context: Any, builder: Any, kind: Any, values: Any) -> Any:
        is_true = builder.fcmp_unordered("!=", values[0], ir.Constant(_REAL, [0.0] * LANES))
        return builder.select(is_true, values[1], values[2])

    return signature(lanes, lanes, lanes, lanes), generate


@intrinsic  # type: ignore[misc]
def any_of(context: Any, holds: Any) -> Any:
    """Return whether a number is not 0 in any lane."""

    def generate(context: Any, builder: Any, kind: Any, values: Any) -> Any:
        is_true = builder.fcmp_unordered("!=", values[0], ir.Constant(_REAL, [0.0] * LANES))
        bits = builder.bitcast(is_true, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return signature(numba.types.boolean, lanes), generate


lanes_at = pointer_to(lanes)
