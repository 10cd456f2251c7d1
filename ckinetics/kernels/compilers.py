"""How numba is asked to do only what kernels need: most of the time of a first use is that of its compiler in Python.

Solvers and the functions of a model are loops over numbers, behind pointers. Of numba's some thirty steps they need
eleven; they hold no reference to count; and what is called seldom need not be fast. None of this changes a digit.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import numba
from numba.core import typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.ir import UNDEFINED
from numba.core.lowering import Lower


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Let no garbage be collected: the collector would go through all that numba holds, again and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class KernelCompiler(Compiler):  # type: ignore[misc]
    """Compiles as numba does, and lets no garbage be collected meanwhile."""

    def _compile_core(self) -> Any:
        with _no_collection():
            return super()._compile_core()


_PLAIN = (numba.types.Number, numba.types.Boolean, numba.types.CPointer)
_SIGNATURES: dict[Any, Any] = {}


class _Typing:
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


class _Lower(Lower):  # type: ignore[misc]
    """Writes operators of two numbers without looking for their signature once more."""

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """Write an operator; one with a constant of its own, such as a power, as numba does."""
        if expr.static_lhs is not UNDEFINED or expr.static_rhs is not UNDEFINED:
            return super().lower_binop(resty, expr, op)
        typing, signature = self.context.typing_context, self.fndesc.calltypes[expr]
        given = [
            self.context.cast(self.builder, self.loadvar(value.name), self.typeof(value.name), kind)
            for value, kind in zip((expr.lhs, expr.rhs), signature.args, strict=True)
        ]
        kind = typing.resolve_value_type(op)
        function = self.context.get_function(kind, _Typing(typing).resolve_function_type(kind, signature.args, {}))
        return self.context.cast(self.builder, function(self.builder, given), signature.return_type, resty)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed_passes.NativeLowering):  # type: ignore[misc]
    """The step that writes code."""

    _name = "lowering of numbers"

    @property
    def lowering_class(self) -> type[Lower]:
        """What writes the code."""
        return _Lower


# What it takes to compile loops over numbers: numba's other passes look for closures, array expressions and the like.
_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.DeadBranchPrune,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    _Lowering,
    typed_passes.NoPythonBackend,
)


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """Code without references to count: numba's first round of optimisation looks for those."""

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class PlainCompiler(KernelCompiler):
    """Compiles a function that holds loops over numbers and calls."""

    def define_pipelines(self) -> Any:
        """Return the one list of passes."""
        if self.state.library is None:
            self.state.library = _Library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
            self.state.library.enable_object_caching()
        self.state.typingctx = _Typing(self.state.typingctx)
        passes = PassManager("numbers")
        for each in _PASSES:
            passes.add_pass(each, each.__name__)
        passes.finalize()
        return [passes]


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of a helper: its callers, which hold it, optimise it and make machine code of it."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Leave that to callers."""
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Leave that to callers."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _SeldomLibrary(_PartLibrary):
    """The code of a helper that takes no time to speak of: short machine code, and that once."""

    def add_llvm_module(self, ll_module: Any) -> None:
        for function in ll_module.functions:
            if not function.is_declaration:
                function.add_function_attribute("noinline")
                function.add_function_attribute("optsize")
        super().add_llvm_module(ll_module)


class PartCompiler(PlainCompiler):
    """Compiles a helper as far as its callers need: a third of the time of compilation went into what nobody ran."""

    library: type[_PartLibrary] = _PartLibrary

    def define_pipelines(self) -> Any:
        """Return the one list of passes."""
        state = self.state
        state.flags.no_compile = True
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        return super().define_pipelines()

    def _compile_core(self) -> Any:
        # numba wants a function of C to call from Python; this one raises whatever it is given.
        done = super()._compile_core()._replace(entry_point=[].pop)
        self.state.targetctx.insert_user_function(done.entry_point, done.fndesc, [done.library])
        return done


class SeldomCompiler(PartCompiler):
    """Compiles a helper that is called seldom."""

    library = _SeldomLibrary
