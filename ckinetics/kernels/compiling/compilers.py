"""How numba is asked to do only what kernels need: most of the time of a first use is that of its compiler in Python.

Of numba's some thirty steps, those of `compiler_passes` remain; a helper becomes machine code once, within its
callers; and what is called seldom need not be fast. None of this changes a digit.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from .compiler_passes import PASSES, Passes, Typing


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


class _Waiting:
    """What Ctrl-C does meanwhile: the first one waits, a second one does not."""

    def __init__(self, before: Callable[..., Any]) -> None:
        self.before, self.came = before, False

    def __call__(self, number: int, frame: Any) -> None:
        if self.came:
            self.before(number, frame)
        self.came = True


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C wait for the end: Python drops it where LLVM calls back, and half a kernel is left."""
    before = signal.getsignal(signal.SIGINT)
    own = threading.current_thread() is threading.main_thread()  # no other may change what it does
    if not own or not callable(before) or isinstance(before, _Waiting):
        yield
        return
    waiting = _Waiting(before)
    signal.signal(signal.SIGINT, waiting)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting.came:
        before(signal.SIGINT, None)


class KernelCompiler(Compiler):  # type: ignore[misc]
    """Compiles as numba does, and lets no garbage be collected meanwhile."""

    def _compile_core(self) -> Any:
        with _interrupts_wait(), _no_collection():
            return super()._compile_core()


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """Code without references to count, which numba's first round of optimisation looks for.

    Its loops are short: they become several numbers at a time once they are no loops any more, or not at all.
    """

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager(opt=2, loop_vectorize=False)
        passes.run(self._final_module, builder)


class PlainCompiler(KernelCompiler):
    """Compiles a function that holds loops over numbers and calls."""

    def define_pipelines(self) -> Any:
        """Return the one list of passes; where there are references to count, those of numba."""
        if self.state.library is None:
            self.state.library = _Library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
            self.state.library.enable_object_caching()
        if self.state.flags.nrt:
            return super().define_pipelines()
        self.state.typingctx = Typing(self.state.typingctx)
        passes = Passes("numbers")
        for each in PASSES:
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


class _ColdLibrary(_PartLibrary):
    """The code of a helper that takes no time to speak of: short machine code, and that once."""

    def add_llvm_module(self, ll_module: Any) -> None:
        for function in ll_module.functions:
            if not function.is_declaration:
                function.add_function_attribute("noinline")
                function.add_function_attribute("optsize")
        super().add_llvm_module(ll_module)


class PartCompiler(PlainCompiler):
    """Compiles a helper as far as its callers need: nobody would run machine code of its own."""

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


class ColdCompiler(PartCompiler):
    """Compiles a helper that is called seldom."""

    library = _ColdLibrary
