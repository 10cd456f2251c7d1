"""The steps in which loops over numbers are compiled: what numba does for arrays, closures and errors is left out.

Solvers and the functions of a model are loops over numbers, behind pointers. They hold no reference to count, and no
variable of theirs changes its kind. None of this changes a digit of what they compute.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable
from typing import Any

import numba
from llvmlite.ir import IRBuilder
from numba.core import typed_passes, untyped_passes
from numba.core.cgutils import alloca_once
from numba.core.compiler_machinery import PassManager, _pass_registry, register_pass
from numba.core.interpreter import Interpreter
from numba.core.ir import UNDEFINED, Assign, FreeVar, Global
from numba.core.ir_utils import build_definitions
from numba.core.lowering import Lower
from numba.core.transforms import canonicalize_cfg
from numba.core.typeinfer import TypeInferer

_PLAIN = (numba.types.Number, numba.types.Boolean, numba.types.CPointer)
_SIGNATURES: dict[Any, Any] = {}


class Typing:
    """numba's typing context, but it remembers what an operator makes of numbers.

    Without that each sum of two numbers is looked for among all that can be added, arrays first.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        """Return the signature of a call."""
        kinds = tuple(args)
        simple = isinstance(function, numba.types.Function) and not kws and all(isinstance(k, _PLAIN) for k in kinds)
        if not simple:
            return self._context.resolve_function_type(function, args, kws)
        found = _SIGNATURES.get((function, kinds))
        if found is None:
            found = _SIGNATURES[function, kinds] = self._context.resolve_function_type(function, args, kws)
        return found

    def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
        """Return the signature of an assignment to an item."""
        return self.resolve_function_type(
            self._context.resolve_value_type(operator.setitem), (target, index, value), {}
        )


class Passes(PassManager):  # type: ignore[misc]
    """Runs passes one after the other; numba's own looks through the whole function after each of them."""

    def run(self, state: Any) -> None:
        """Run them."""
        for kind, _ in self.passes:
            each = _pass_registry.get(kind).pass_inst
            each.analysis = self._analysis
            each.run_pass(state)


class _Interpreter(Interpreter):  # type: ignore[misc]
    """Reads bytecode without looking for what `with`, lists and keywords become."""

    def post_process(self, peepholes: Any, func_ir: Any) -> Any:
        """Leave it as it is."""
        return func_ir


@register_pass(mutates_CFG=True, analysis_only=False)
class _Reading(untyped_passes.TranslateByteCode):  # type: ignore[misc]
    """The step that reads bytecode."""

    _name = "reading of numbers"

    def run_pass(self, state: Any) -> bool:
        """Read it, and leave out what nothing leads to."""
        state.func_ir = _Interpreter(state.func_id).interpret(state.bc)
        state.func_ir.blocks = canonicalize_cfg(state.func_ir.blocks)
        state.func_ir.generator_info = None
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Items(untyped_passes.GenericRewrites):  # type: ignore[misc]
    """The step that finds which items of tuples are meant, where a tuple of different kinds is given."""

    _name = "items of tuples"

    def run_pass(self, state: Any) -> bool:
        """Find them."""
        mixed = any(
            isinstance(k, numba.types.BaseTuple) and not isinstance(k, numba.types.UniTuple) for k in state.args
        )
        return bool(mixed and super().run_pass(state))


@register_pass(mutates_CFG=True, analysis_only=False)
class _Constants(untyped_passes.ReconstructSSA):  # type: ignore[misc]
    """The step that lets a variable be a constant of a module first and another number later.

    For that, and for variables that change their kind, numba gives each value of a variable a name of its own, and
    that takes long.
    """

    _name = "constants"

    def run_pass(self, state: Any) -> bool:
        """Put a variable between such a constant and the variable that becomes it."""
        for block in state.func_ir.blocks.values():
            body = []
            for each in block.body:
                if isinstance(each, Assign) and isinstance(each.value, Global | FreeVar) and not each.target.is_temp:
                    between = block.scope.make_temp(each.loc)
                    body += [Assign(each.value, between, each.loc), Assign(between, each.target, each.loc)]
                else:
                    body.append(each)
            block.body = body
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


class _Warnings:
    """Where numba keeps warnings for the end: it changes the filters of warnings, and back, for each variable."""

    def catch_warnings(self, **where: Any) -> Any:
        """Let them be."""
        return contextlib.nullcontext()


@register_pass(mutates_CFG=True, analysis_only=False)
class _Kinds(typed_passes.NopythonTypeInference):  # type: ignore[misc]
    """The step that finds the kind of each variable."""

    _name = "kinds of numbers"

    def run_pass(self, state: Any) -> bool:
        """Find them."""
        found = TypeInferer(state.typingctx, state.func_ir, _Warnings())
        with state.typingctx.callstack.register(state.targetctx.target, found, state.func_id, state.args):
            for place, (name, kind) in enumerate(zip(state.func_ir.arg_names, state.args, strict=True)):
                found.seed_argument(name, place, kind)
            if state.return_type is not None:
                found.seed_return(state.return_type)
            found.build_constraint()
            found.propagate()
            state.typemap, state.return_type, state.calltypes = found.unify()
        return True


def _compare(write: Callable[..., Any], sign: str, builder: Any, left: Any, right: Any) -> Any:
    return write(builder, sign, left, right)


@functools.cache
def _operators() -> dict[Any, Callable[..., Any]]:
    """Return what writes an operator of two whole or two real numbers, by operator and kind."""
    whole, real = numba.types.int64, numba.types.float64
    found: dict[Any, Callable[..., Any]] = {}
    for name in ("add", "sub", "mul"):
        for each in (getattr(operator, name), getattr(operator, f"i{name}")):
            found[each, whole], found[each, real] = getattr(IRBuilder, name), getattr(IRBuilder, f"f{name}")
    for name, sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")):
        each = getattr(operator, name)
        of_reals = IRBuilder.fcmp_unordered if name == "ne" else IRBuilder.fcmp_ordered  # NaN differs from every number
        found[each, whole] = functools.partial(_compare, IRBuilder.icmp_signed, sign)
        found[each, real] = functools.partial(_compare, of_reals, sign)
    return found


class _Lower(Lower):  # type: ignore[misc]
    """Writes operators and items of numbers without looking for what writes them."""

    def lower_block(self, block: Any) -> None:
        """Write a block."""
        self.pre_block(block)
        for each in block.body:
            self.loc = each.loc
            if isinstance(each, Assign):
                self.storevar(self.lower_assign(self.typeof(each.target.name), each), each.target.name)
            else:
                self.lower_inst(each)
        self.post_block(block)

    def storevar(self, value: Any, name: str, argidx: Any = None) -> None:
        """Keep the value of a variable, which holds no reference."""
        self._alloca_var(name, self.typeof(name))
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.varmap[name])

    def alloca(self, name: str, type: Any) -> Any:
        """Return a place for a variable."""
        return alloca_once(self.builder, self.context.get_value_type(type), name=name)

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """Write an operator."""
        if expr.static_lhs is not UNDEFINED or expr.static_rhs is not UNDEFINED:
            return super().lower_binop(resty, expr, op)
        signature = self.fndesc.calltypes[expr]
        left, right = signature.args
        given = self._cast_var(expr.lhs, left), self._cast_var(expr.rhs, right)
        write = _operators().get((op, left)) if left == right else None
        if write is None:
            typing = self.context.typing_context
            kind = typing.resolve_value_type(op)
            write = self.context.get_function(kind, Typing(typing).resolve_function_type(kind, signature.args, {}))
            found = write(self.builder, given)
        else:
            found = write(self.builder, *given)
        return self.context.cast(self.builder, found, signature.return_type, resty)

    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        """Write the reading of an item."""
        if not isinstance(signature.args[0], numba.types.CPointer):
            return super().lower_getitem(resty, expr, value, index, signature)
        place = self.builder.gep(self.loadvar(value.name), [self._cast_var(index, signature.args[1])])
        return self.context.cast(self.builder, self.builder.load(place), signature.return_type, resty)

    def lower_setitem(self, target_var: Any, index_var: Any, value_var: Any, signature: Any) -> Any:
        """Write an assignment to an item."""
        target, index, value = signature.args
        if not isinstance(target, numba.types.CPointer):
            return super().lower_setitem(target_var, index_var, value_var, signature)
        place = self.builder.gep(self.loadvar(target_var.name), [self._cast_var(index_var, index)])
        return self.builder.store(self._cast_var(value_var, value), place)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Writing(typed_passes.NativeLowering):  # type: ignore[misc]
    """The step that writes code."""

    _name = "writing of numbers"

    @property
    def lowering_class(self) -> type[Lower]:
        """What writes it."""
        return _Lower


PASSES = (
    _Reading,
    untyped_passes.FixupArgs,
    untyped_passes.DeadBranchPrune,
    _Items,
    _Constants,
    _Kinds,
    _Writing,
    typed_passes.NoPythonBackend,
)
