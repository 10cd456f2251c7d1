"""The one place that sets a numba option.

Plain ``njit(nogil=True)`` with numpy's error model. fastmath is off (it breaks NaN), and neither
guvectorize nor ``parallel=True`` is used (the latter aborts under threads on some threading layers).

numba's disk cache watches only the file of the function it compiled, not the files that function calls
into. So compiled kernels lie in a folder named after a stamp over *all* kernel files: an edit of any of
them, or another numba, makes a new folder. Where nothing can be written, kernels compile in memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import llvmlite.ir
import numba
import numba.extending
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.compiler import Compiler

from .cache import compiled_folder, fast_compiler
from .compile_notice import watched

_CONFIG_LOCK = threading.Lock()


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache on disk, in which a damaged file is one that is not there and a full disk keeps nothing."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is cached for a signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling makes of a damaged file
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled where that is possible."""
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            super().save_overload(sig, data)


_PART: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_COLD: dict[str, Any] = {}
_WHOLE = _PLAIN = Compiler
if fast_compiler():
    from .compilers import ColdCompiler, KernelCompiler, PartCompiler, PlainCompiler

    _WHOLE, _PLAIN = KernelCompiler, PlainCompiler
    _PART |= {"pipeline_class": PartCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    _COLD |= {"pipeline_class": ColdCompiler}


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function with the options of this package, cached on disk where that is possible."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", pipeline_class=_WHOLE)(function)
    folder = compiled_folder()
    if folder is None or not hasattr(dispatcher, "enable_caching"):  # NUMBA_DISABLE_JIT=1 gives a function
        return dispatcher
    with _CONFIG_LOCK:
        # numba reads its cache folder when caching is switched on, and only from its configuration.
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            dispatcher._cache = _Cache(function)  # what enable_caching does with numba's own
        except RuntimeError:  # the source has no file, or the folder went away: compile in memory
            pass
        finally:
            numba.config.CACHE_DIR = before
    return dispatcher


def inline(function: Callable[..., Any]) -> Any:
    """Compile a helper that only other kernels call and that makes no array, into each of its callers.

    A call would hand over every array as seven numbers, and hide from the compiler what both sides know: that took a
    sixth of the time of an analysis. Call a large helper from one place only, else each place compiles it anew.

    It does not count references to the arrays it is given, which its callers hold anyway: in small functions that
    counting takes more time than the work. numba refuses to compile one that would make an array. It has no cache of
    its own, since its callers' caches hold its code. Python cannot call it (a test compiles ``helper.py_func``).
    """
    return numba.njit(**_PART, forceinline=True)(function)


def noinline(function: Callable[..., Any]) -> Any:
    """Compile a helper as `inline` does, but once for all who call it: one that is large, or that takes addresses."""
    return numba.njit(**_PART, forceinline=False)(function)  # else it would inherit that of its first caller


def allocating(function: Callable[..., Any]) -> Any:
    """Compile a helper as `noinline` does, for one that makes arrays: references to those are counted."""
    return numba.njit(**_PART | {"_nrt": True}, forceinline=False)(function)


def cold(function: Callable[..., Any]) -> Any:
    """Compile a helper as `noinline` does, for one that is called seldom: its loops stay loops."""
    return numba.njit(**_PART | _COLD, forceinline=False)(function)


@inline
def larger(a, b):  # type: ignore[no-untyped-def]
    """Return max(a, b), which numba would compile anew for every function that calls it."""
    return b if b > a else a


@inline
def smaller(a, b):  # type: ignore[no-untyped-def]
    """Return min(a, b), as `larger`."""
    return b if b < a else a


@functools.cache
def pointer(function: Callable[..., Any], numbers: Any = numba.types.float64) -> Any:
    """Compile a function of a model, and return its address: an argument that any compiled solver can call.

    The function takes four whole numbers, a time and an array between them: ``(task, which, t, w, a, b, c)`` with `w`
    a pointer to `numbers`, which is indexed like an array. Without compilation (NUMBA_DISABLE_JIT=1) it is returned as
    it is.
    """
    whole, real = numba.types.int64, numba.types.float64
    return _address(function, numba.types.void(whole, whole, real, numba.types.CPointer(numbers), whole, whole, whole))


@functools.cache
def curve_pointer(function: Callable[..., Any]) -> Any:
    """Compile a function that fills curves, and return its address, which `call_curve` calls.

    The function takes ``(n, times, theta, out, grad, more)``: how many times, and pointers; `more` holds whole numbers.
    It returns 0 where all went well. Without compilation it is returned as it is.
    """
    whole, reals = numba.types.int64, numba.types.CPointer(numba.types.float64)
    return _address(function, whole(whole, reals, reals, reals, reals, numba.types.CPointer(whole)))


def call_from_python(function: Any, n: int, *arrays: Any) -> int:
    """Call what `curve_pointer` returned, with contiguous arrays: times, parameters, out, grad, more."""
    if callable(function):  # without compilation
        return int(function(n, *arrays))
    return int(_CURVE(function)(n, *(address_of(array) for array in arrays)))


def address_of(array: Any) -> int:
    """Return where the numbers of an array lie; `array.ctypes.data` says the same in four times the time."""
    return int(array.__array_interface__["data"][0])


_CURVE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, *([ctypes.c_void_p] * 5))


def _address(function: Callable[..., Any], signature: Any) -> Any:
    if numba.config.DISABLE_JIT:
        return function
    folder = compiled_folder()
    options = {"nopython": True, "error_model": "numpy", "_nrt": False}
    with _CONFIG_LOCK:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder or "")
        try:
            what = (signature.args, signature.return_type)
            compiled = CFunc(function, what, locals={}, options=options, pipeline_class=_PLAIN)
            if folder is not None:
                with contextlib.suppress(RuntimeError):  # no place for a cache: compile in memory
                    compiled._cache = _Cache(function)
            with watched():
                compiled.compile()
        finally:
            numba.config.CACHE_DIR = before
    _KEPT.append(compiled)  # its address is valid while it lives
    return compiled.address


_KEPT: list[Any] = []


if numba.config.DISABLE_JIT:

    def call(function: Any, task: int, which: int, t: float, w: Any, a: int, b: int, c: int) -> None:
        """Call what `pointer` returned."""
        function(task, which, t, w, a, b, c)

    def call_curve(function: Any, n: int, times: Any, theta: Any, out: Any, grad: Any, more: Any) -> int:
        """Call what `curve_pointer` returned."""
        return int(function(n, times, theta, out, grad, more))

    def behind(where: Any, count: int) -> Any:
        """Return what stands so many numbers behind a place."""
        return where[count:]

    def floats_at(where: Any) -> Any:
        """Return the numbers behind an address."""
        return where

    def wholes_at(where: Any) -> Any:
        """Return the whole numbers behind an address."""
        return where

    def pointer_to(kind: Any) -> Any:
        """Return what turns an address into a pointer to numbers of a kind."""
        return floats_at
else:

    @numba.extending.intrinsic
    def call(context: Any, function: Any, task: Any, which: Any, t: Any, w: Any, a: Any, b: Any, c: Any) -> Any:
        """Call what `pointer` returned; `function` is its address, `w` a pointer."""
        whole = numba.types.int64
        signature = numba.types.void(whole, whole, whole, numba.types.float64, w, whole, whole, whole)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kinds = [value.type for value in values[1:]]
            kind = llvmlite.ir.FunctionType(llvmlite.ir.VoidType(), kinds)
            builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
            return context.get_dummy_value()

        return signature, generate

    @numba.extending.intrinsic
    def call_curve(context: Any, function: Any, n: Any, times: Any, theta: Any, out: Any, grad: Any, more: Any) -> Any:
        """Call what `curve_pointer` returned, with contiguous arrays or pointers."""
        whole = numba.types.int64
        arrays = (times, theta, out, grad, more)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given = [
                context.make_array(kind)(context, builder, value).data if isinstance(kind, numba.types.Array) else value
                for kind, value in zip(arrays, values[2:], strict=True)
            ]
            kind = llvmlite.ir.FunctionType(values[0].type, [values[1].type, *(value.type for value in given)])
            return builder.call(builder.inttoptr(values[0], kind.as_pointer()), [values[1], *given])

        return whole(whole, whole, *arrays), generate

    @numba.extending.intrinsic
    def behind(context: Any, where: Any, count: Any) -> Any:
        """Return a pointer to what stands so many numbers behind another one."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.gep(values[0], [values[1]])

        return where(where, numba.types.int64), generate

    def pointer_to(kind: Any) -> Any:
        """Return what turns an address into a pointer to numbers of a kind."""

        def convert(context: Any, address: Any) -> Any:
            pointer = numba.types.CPointer(kind)

            def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                return builder.inttoptr(values[0], context.get_value_type(pointer))

            return pointer(numba.types.int64), generate

        return numba.extending.intrinsic(convert)

    # Numbers behind an address: indexing them costs no check, which in small loops takes more time than the work.
    floats_at, wholes_at = pointer_to(numba.types.float64), pointer_to(numba.types.int64)
