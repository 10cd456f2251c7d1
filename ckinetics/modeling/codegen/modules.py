"""From a model in symbols to one numba module: its text, its place in the cache, its import.

The module lies in the user's cache folder under a name that hashes the model's text, everything in
``ckinetics.modeling`` (templates too), the kernels and the versions, so an edit of any of them makes a new
module. It is imported under that same name in every process, which numba's disk cache needs.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import ckinetics.modeling

from ..._version import __version__
from ...errors import JobError
from ...kernels.compiling.cache import cache_root, hash_of_files, kernel_stamp
from .specification_cache import from_line, to_line

if TYPE_CHECKING:
    import sympy

    from ..files.specification import Specification
    from ..library import Model
    from ..symbols.derivatives import SymbolicModel

_MODELING = Path(ckinetics.modeling.__path__[0])
TEMPLATES = Path(__file__).with_name("templates")
_IMPORT_LOCK = threading.Lock()
_KEPT, _END = "# the model file: ", "# sha256 of the text above: "


def module_name(model: Model) -> str:
    """Return the name of a model's generated module: the same in every process, new after any edit."""
    return _name_of(model.name, model.text)


def _name_of(name: str, text: str) -> str:
    return _hashed(name, text, f"{__version__} {kernel_stamp()} {generator_stamp()}")


@functools.lru_cache(maxsize=1000)
def _hashed(name: str, text: str, stamp: str) -> str:
    digest = hashlib.sha256(f"{stamp} {name}\n".encode())
    digest.update(text.encode())
    return f"ckinetics_model_{re.sub(r'[^A-Za-z0-9_]', '_', name)}_{digest.hexdigest()[:20]}"


def generator_stamp() -> str:
    """Return a hash over everything that writes modules: this package's code, its templates, sympy and jinja2."""
    return _stamp(_MODELING)


@functools.cache
def _stamp(folder: Path) -> str:
    from importlib.metadata import version

    digest = hashlib.sha256(f"sympy {version('sympy')} jinja2 {version('jinja2')}".encode())
    digest.update(hash_of_files(folder, "*.py", "*.j2").encode())
    return digest.hexdigest()


def compiled_module(model: Model) -> ModuleType:
    """Return the generated module of a model, written and imported where that has not happened yet.

    Where nothing can be written the module lives in memory only, and is compiled again in every process.

    Raises
    ------
    ModelFileError
        An output has no closed form.
    """
    name = module_name(model)
    with _IMPORT_LOCK:
        if name in sys.modules:
            return sys.modules[name]
        path = _module_file(name, model)
        if path is None:
            module = ModuleType(name)
            exec(compile(generate_source(model), f"<{name}>", "exec"), module.__dict__)
        else:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None and spec.loader is not None  # noqa: PT018  (a .py file always has both)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        sys.modules[name] = module
        return module


def kept_specification(name: str, text: str) -> Specification | None:
    """Return what a model file says, where its module lies in the cache: then it has been read and checked before."""
    root = cache_root()
    if root is None:
        return None
    source = _whole_text(root / "models" / f"{_name_of(name, text)}.py")
    if source is None:
        return None
    return from_line(source.rpartition(_KEPT)[2])


def _module_file(name: str, model: Model) -> Path | None:
    root = cache_root()
    if root is None:
        return None
    path = root / "models" / f"{name}.py"
    # A file that is whole is never written again: numba's cache goes by its modification time.
    if _whole_text(path) is not None:
        return path
    from ...jobs import write_text

    try:
        source = f"{generate_source(model)}{_KEPT}{to_line(model.specification)}\n"
        write_text(path, source + _END + hashlib.sha256(source.encode()).hexdigest() + "\n")
    except JobError:
        return None
    return path


def _whole_text(path: Path) -> str | None:
    """Return the text of a module as it was written, or None where there is none or a part of it."""
    try:
        source, mark, digest = path.read_text(encoding="utf-8").rpartition(_END)
    except (OSError, UnicodeDecodeError):
        return None
    return source if mark and hashlib.sha256(source.encode()).hexdigest() == digest.strip() else None


def generate_source(model: Model) -> str:
    """Return the text of a model's module.

    It holds, compiled on first call: for each output with a closed form ``curve_NAME(times, theta, out)`` and
    ``curves_NAME`` over rows, and ``fitted_curves`` with their derivatives; ``derived``, ``phase_ends``,
    ``start_values`` and ``equivalent``. theta holds the parameters on the natural scale in the order of the file,
    then the constants.
    """
    import jinja2

    from .lane_code import side_by_side
    from .shape import shape_of
    from .stiffness import suitable_method
    from .system_code import system_functions

    symbolic, spec = model.symbolic, model.specification
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    system: dict[str, Any] = {"functions": [], "places": {}, "shape": None, "method": "closed_form"}
    system["side_by_side"] = False
    if symbolic.states:
        functions, places = system_functions(symbolic, model.system, _code)
        shape = shape_of(symbolic, model.system, spec, places)
        system |= {"functions": functions, "places": places, "shape": shape, "method": ""}
        equations: dict[str, Any] = {"np": np}
        exec(compile(environment.get_template("system.py.j2").render(**system), "<equations>", "exec"), equations)
        system["method"] = suitable_method(spec, shape, equations)
        wide = side_by_side(functions[0])
        if wide is not None:
            system |= {"functions": [*functions, wide], "side_by_side": True}
    order = {name: at for at, name in enumerate(symbolic.parameters)}
    return environment.get_template("module.py.j2").render(
        name=model.name,
        parameters=[symbol.name for symbol in symbolic.parameters.values()],
        closed_forms=[_closed_form(symbolic, name) for name in model.closed_forms],
        **system,
        derived=[_code(value) for value in symbolic.derived.values()],
        ends=[_code(phase.ends_at) for phase in symbolic.phases if phase.ends_at is not None],
        features=[symbol.name for symbol in symbolic.features.values()],
        guesses=[
            [(order[name], _code(values[min(at, len(values) - 1)])) for name, values in symbolic.starts.items()]
            for at in range(symbolic.n_guesses)
        ],
        equivalent=[
            {"when": _code(when), "changes": [(order[name], _code(value)) for name, value in values.items()]}
            for when, values in symbolic.equivalent
        ],
        constants=[symbol.name for symbol in symbolic.constants.values()],
        dynamic=bool(symbolic.states),
    )


def _closed_form(symbolic: SymbolicModel, name: str) -> dict[str, Any]:
    variants: dict[str, list[dict[str, Any]]] = {"plain": [], "full": []}
    for number, phase in enumerate(symbolic.phases):
        value = phase.closed_form[name]
        variants["plain"].append(_phase_code(f"c{number}_", phase.ends_at, value, []))
        variants["full"].append(_phase_code(f"c{number}_", phase.ends_at, value, symbolic.gradient(value)))
    return {"name": name, **variants}


def _phase_code(prefix: str, end: sympy.Expr | None, value: sympy.Expr, gradient: list[sympy.Expr]) -> dict[str, Any]:
    """Return one phase's statements; those that do not hold the time stand before the loop over times."""
    import sympy

    from ..files.expressions import TIME

    ends = [] if end is None else [end]
    symbols = (sympy.Symbol(f"{prefix}{n}", real=True) for n in range(10**6))
    replaced, results = sympy.cse([*ends, value, *gradient], symbols=symbols)
    varying = {TIME}
    before, inside = [], []
    for symbol, expression in replaced:
        if expression.free_symbols & varying:
            varying.add(symbol)
            inside.append((symbol.name, _code(expression)))
        else:
            before.append((symbol.name, _code(expression)))
    end_code = None
    if end is not None:
        end_code = f"{prefix}end"
        before.append((end_code, _code(results[0])))
        results = results[1:]
    return {
        "before": before,
        "inside": inside,
        "end": end_code,
        "value": _code(results[0]),
        "gradient": [_code(result) for result in results[1:]],
    }


def _code(expression: sympy.Basic) -> str:
    """Return an expression as Python code of numpy scalars."""
    return str(_printer().doprint(expression))


@functools.cache
def _printer() -> Any:
    import sympy
    from sympy.printing.pycode import PythonCodePrinter

    class Printer(PythonCodePrinter):
        """Functions of numpy, which numba compiles and which give inf where math would raise."""

        def _print_Float(self, expr: Any) -> str:
            number = float(expr)
            return repr(number) if abs(number) < float("inf") else f"({'-' if number < 0 else ''}np.inf)"

        def _print_Integer(self, expr: Any) -> str:
            return str(expr.p) if abs(expr.p) < 2**53 else self._print_Float(sympy.Float(expr))

        def _print_Rational(self, expr: Any) -> str:
            exact = max(abs(expr.p), expr.q) < 2**53  # larger ones are none of numba's numbers
            return f"({expr.p}/{expr.q})" if exact else self._print_Float(sympy.Float(expr))

        def _print_Pow(self, expr: Any, rational: bool = False) -> str:
            if expr.base.is_Symbol and expr.exp in (2, 3, -2, -3):  # numba would compile a loop for it
                name = self._print(expr.base)
                product = "*".join([name] * abs(int(expr.exp)))
                return f"({product})" if expr.exp > 0 else f"(1/({product}))"
            if expr.exp.is_Integer and expr.exp < -1:  # of a base of 0, numba would raise instead of giving inf
                return f"(1/{self._print(sympy.Pow(expr.base, -expr.exp, evaluate=False))})"
            return str(self._hprint_Pow(expr, rational=rational, sqrt="np.sqrt"))

    same = ("exp", "log", "log1p", "expm1", "sin", "cos", "tanh")
    names = {**{name: name for name in same}, "atan": "arctan"}
    functions = {name: f"np.{function}" for name, function in names.items()}
    return Printer({"user_functions": functions})
