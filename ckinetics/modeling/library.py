"""The library of models: load one by name or path, list them, evaluate them, check their examples."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import ckinetics

from ..arguments import number_array
from ..errors import InputError, ModelFileError
from ..suggestions import suggestion
from .events import Events, is_single_dose, known_inputs, total_dose
from .files.places import MAX_FILE, line_of, with_line
from .solving import RTOL, Outcome, solve

if TYPE_CHECKING:
    from .files.specification import Parameter, Specification
    from .symbols.derivatives import SymbolicModel
    from .symbols.system import System

# Examples test a file, not the default tolerance of the solvers, whose error adds up over long courses.
EXAMPLE_RTOL = 1e-9
_PACKAGE = Path(ckinetics.__path__[0]).resolve()


@dataclass(frozen=True)
class Model:
    """A model, as its file says it.

    Attributes
    ----------
    name : str
        The file's name without ``.toml``.
    text : str
        The file, word for word: results carry it.
    specification : Specification
        What it says, checked.
    file : str
        Its file name, for messages.
    """

    name: str
    text: str
    specification: Specification
    file: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @functools.cached_property
    def symbolic(self) -> SymbolicModel:
        """Every expression, in symbols."""
        from .symbols.derivatives import symbolic_model

        return symbolic_model(self.specification, file=self.file)

    @functools.cached_property
    def system(self) -> System:
        """The differential equations with the derivatives that solvers need."""
        from .symbols.system import differential_system

        return differential_system(self.symbolic, self.specification)

    @property
    def method(self) -> str:
        """The integration method that suits the model at its file's values."""
        return str(self.compiled.METHOD)

    @property
    def constants(self) -> list[str]:
        """Inputs that are one number a patient, constants and amounts of doses, in the order of the file."""
        return [name for name, given in self.specification.inputs.items() if given.kind in ("constant", "dose")]

    @property
    def closed_forms(self) -> list[str]:
        """Outputs that have a closed form."""
        return [name for name, output in self.specification.outputs.items() if output.closed_form is not None]

    @property
    def compiled(self) -> ModuleType:
        """The generated module; see `ckinetics.modeling.codegen.modules.generate_source`."""
        from .codegen.modules import compiled_module

        return compiled_module(self)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters of the curve, by name, in the order of the file."""
        return self.specification.parameters

    @property
    def fitted_output(self) -> str:
        """Name of the output that has a residual error, or ""."""
        return next((name for name, output in self.specification.outputs.items() if output.residual), "")

    def evaluate(
        self,
        times: ArrayLike,
        parameters: Mapping[str, ArrayLike] | None = None,
        *,
        output: str = "",
        inputs: Mapping[str, Any] | None = None,
        method: str = "auto",
        rtol: float = RTOL,
    ) -> np.ndarray:
        """Return an output's curve.

        Parameters
        ----------
        times : array_like
            Times since infusion, in the model's unit of time; the last dim is the samples of a profile.
        parameters : mapping of str to array_like, optional
            Values by name, shape = leading dims of the profiles (they broadcast); the file's value where a
            name is left out.
        output : str
            Which output; the first one by default.
        inputs : mapping, optional
            Constants of the patients by name (shape as parameters), and for each dose, rate or covariate pairs of time
            and value, such as ``{"infusion": [(0, 1e8), (28, 1e8)]}``; the file's where a name is left out.
        method : {"auto", "closed_form", "rodas5p", "tsit5"}
            "auto": the closed form where the file has one for this output and dose, else the equations by the
            method that suits them. "closed_form": refused where there is none. The others integrate the equations;
            see `ckinetics.modeling.solving.solve`.
        rtol : float
            Tolerance of the integration.

        Returns
        -------
        ndarray
            Leading dims, then samples; NaN before infusion and where time or a parameter is NaN.

        Raises
        ------
        InputError
            An unknown parameter, input, output or method, shapes that do not fit, a negative value of a parameter on a
            log scale, or equations that cannot be integrated.

        Examples
        --------
        >>> load_model("stein2019").evaluate([0.0, 9.3], {"Cmax": [24000, 48000]}).round(2)
        array([[6.150e+00, 2.400e+04],
               [1.231e+01, 4.800e+04]])
        """
        name = self._known(output, self.specification.outputs, "output") if output else self._first_output
        theta, shape = self.natural_parameters(parameters, inputs)
        t = number_array("times", times)
        if t.ndim == 0:
            raise InputError("times is a single number: give an array whose last dim is the samples")
        try:
            leading = np.broadcast_shapes(shape, t.shape[:-1])
        except ValueError:
            raise InputError(
                f"times have leading dims {t.shape[:-1]} and the parameters {shape}: they do not fit together"
            ) from None
        rows = int(np.prod(leading))
        # Copies: arrays of another order, or that cannot be written as those of broadcast_to, would compile all anew.
        grid = np.array(np.broadcast_to(t, (*leading, t.shape[-1])), order="C").reshape(rows, -1)
        values = np.array(np.broadcast_to(theta, (*leading, theta.shape[-1])), order="C").reshape(rows, -1)
        if self.uses_closed_form(name, inputs or {}, method):
            out = np.full(grid.shape, np.nan)
            getattr(self.compiled, f"curves_{name}")(grid, values, out)
            out[np.isnan(values).any(axis=-1)] = np.nan
        else:
            events = Events.of_inputs(self, rows, inputs or {})
            found = solve(self, grid, values, outputs=[name], events=events, method=method, rtol=rtol)
            failed = np.flatnonzero((found.codes != Outcome.solved) & (found.codes != Outcome.missing_parameter))
            if len(failed):
                raise InputError(
                    f"model '{self.name}' cannot be solved for {len(failed)} of {rows} sets of parameters, the first "
                    f"of them number {failed[0] + 1}: {Outcome(int(found.codes[failed[0]])).sentence}"
                )
            out = found.values[:, :, 0]
        return out.reshape(*leading, t.shape[-1])

    def uses_closed_form(self, output: str, inputs: Mapping[str, Any], method: str) -> bool:
        """Whether an output is taken from its closed form."""
        spec = self.specification
        has = output in self.closed_forms
        simple = all(
            spec.inputs[name].kind == "constant"
            or (spec.inputs[name].kind == "dose" and is_single_dose(given, spec.inputs[name].time))
            for name, given in inputs.items()
        )
        if method == "closed_form" and not (has and simple):
            why = "has no closed form" if not has else "has a closed form for one dose at the file's time only"
            raise InputError(f"output '{output}' of model '{self.name}' {why}: use method=\"auto\"")
        return method in ("auto", "closed_form") and has and simple

    def derive(
        self, parameters: Mapping[str, ArrayLike] | None = None, *, inputs: Mapping[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """Return every derived quantity of the file; parameters and inputs as in `evaluate`.

        Examples
        --------
        >>> float(load_model("stein2019").derive()["doubling_time"].round(4))
        0.7796
        """
        theta, shape = self.natural_parameters(parameters, inputs)
        flat = np.ascontiguousarray(theta).reshape(-1, theta.shape[-1])
        out = np.full((len(flat), len(self.specification.derived)), np.nan)
        self.compiled.derived(flat, out)
        out[np.isnan(flat).any(axis=-1)] = np.nan
        return {name: out[:, at].reshape(shape) for at, name in enumerate(self.specification.derived)}

    @property
    def _first_output(self) -> str:
        return next(iter(self.specification.outputs))

    def natural_parameters(
        self, parameters: Mapping[str, ArrayLike] | None, inputs: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return values of parameters, constants and amounts stacked along a new last dim, and the dims before it.

        Names that are left out get the file's value. Of several doses the total amount counts. Raises `InputError` as
        `evaluate` does.
        """
        if not isinstance(parameters, Mapping | None):
            raise InputError('parameters are given by name, such as {"Tmax": 9.3}')
        given = {} if parameters is None else dict(parameters)
        for name in given:
            self._known(name, self.parameters, "parameter")
        columns = [number_array(name, given.get(name, parameter.value)) for name, parameter in self.parameters.items()]
        for column, (name, parameter) in zip(columns, self.parameters.items(), strict=True):
            if parameter.transform == "log" and (column < 0).any():
                raise InputError(f"parameter '{name}' of model '{self.name}' cannot be negative, got {column.min():g}")
        known_inputs(self, inputs or {})
        for name in self.constants:
            entry = self.specification.inputs[name]
            value = (inputs or {}).get(name, entry.value)
            columns.append(number_array(name, total_dose(name, value) if entry.kind == "dose" else value))
        try:
            stacked = np.stack(np.broadcast_arrays(*columns), axis=-1)
        except ValueError:
            shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in given.items())
            raise InputError(f"the parameters' shapes do not fit together: {shapes}") from None
        return stacked, stacked.shape[:-1]

    def _known(self, name: str, known: Mapping[str, Any], what: str) -> str:
        if name not in known:
            raise InputError(f"model '{self.name}' has no {what} '{name}'{suggestion(name, known)}")
        return name


def model_folder() -> Path:
    """Return the folder of model files: ``models`` of a checkout, else the one inside the installed package."""
    checkout = _PACKAGE.parent
    project = checkout / "pyproject.toml"
    ours = project.is_file() and 'name = "ckinetics"' in project.read_text(encoding="utf-8")
    if ours and (checkout / "models").is_dir():
        return checkout / "models"
    return _PACKAGE / "_models"


def list_models() -> list[str]:
    """Return the names of the models that come with ckinetics.

    Examples
    --------
    >>> "stein2019" in list_models()
    True
    """
    return sorted(path.stem for path in model_folder().glob("*.toml"))


def load_model(name_or_path: str | Path | Model, /) -> Model:
    """Load a model by the name of a file that comes with ckinetics, or by the path of a file of your own.

    Parameters
    ----------
    name_or_path : str, Path or Model
        ``"stein2019"``, or ``"my/model.toml"``; a model is returned as it is.

    Raises
    ------
    InputError
        There is no such model; the message lists those there are.
    ModelFileError
        The file cannot be used; the message names table and key.

    Examples
    --------
    >>> load_model("stein2019").specification.reference.doi
    '10.1002/psp4.12388'
    """
    if isinstance(name_or_path, Model):
        return name_or_path
    if not isinstance(name_or_path, str | Path):
        raise InputError(f"a model is given by name or path, not as {type(name_or_path).__name__}")
    path = Path(name_or_path)
    if path.suffix != ".toml" and len(path.parts) == 1:
        known = list_models()
        if path.name not in known:
            near = suggestion(path.name, known)
            raise InputError(f"no model is named '{path.name}'{near} (your own file: give its path, ending in .toml)")
        path = model_folder() / f"{path.name}.toml"
    try:
        with path.open(encoding="utf-8-sig") as opened:  # some editors put a byte order mark first
            text = opened.read(MAX_FILE + 1)  # a device has no size, and no end
        if len(text) > MAX_FILE:
            raise ModelFileError(f"is longer than {MAX_FILE} characters: no model is", file=path)
    except UnicodeDecodeError:
        raise ModelFileError("is not UTF-8 text", file=path) from None
    except OSError as err:
        raise InputError(f"the model file cannot be read: {err.strerror or err}", file=path) from None
    kept = _kept_model(text, path.stem, path.name)
    if kept is not None:
        return kept
    model = read_model(text, name=path.stem, file=path.name)
    if path.resolve().parent == model_folder():
        from .files.faults import library_faults

        faults = library_faults(model.specification)
        if faults:
            raise with_line(ModelFileError.of_faults(faults, file=path.name), text)
    return model


def read_model(text: str, *, name: str, file: str = "") -> Model:
    """Return the model that a file's text holds; expressions and units are checked, so a fault shows at once.

    A file whose module lies in the cache has been checked before, word for word the same.
    """
    kept = _kept_model(text, name, file)
    if kept is not None:
        return kept
    from .files.consistency import check_units
    from .files.reading import read_specification

    try:
        model = Model(name=name, text=text, specification=read_specification(text, file=file), file=file)
        _ = model.symbolic
        check_units(model.specification, file=file)
    except ModelFileError as err:
        raise with_line(err, text) from None
    return model


def _kept_model(text: str, name: str, file: str) -> Model | None:
    """Return a model whose generated module lies in the cache."""
    from .codegen.modules import kept_specification

    kept = kept_specification(name, text)
    return None if kept is None else Model(name=name, text=text, specification=kept, file=file)


def check_examples(model: Model) -> list[dict[str, Any]]:
    """Evaluate every [[example]] of a model file.

    Returns
    -------
    list of dict
        Per example: ``title``, ``source``, ``tolerance``, ``error`` (the largest relative error over all
        its outputs and derived quantities), ``passed``, ``line`` of the file where the largest error stands, and
        ``worst``, what was found there and what is expected, in words.

    Examples
    --------
    >>> all(example["passed"] for example in check_examples(load_model("stein2019")))
    True
    """
    return [_check_example(model, number) for number in range(1, len(model.specification.example) + 1)]


def _check_example(model: Model, number: int) -> dict[str, Any]:
    example, unit = model.specification.example[number - 1], model.specification.time_unit
    errors, places = [0.0], [("", "")]
    for name, expected in example.outputs.items():
        found = model.evaluate(example.times, example.parameters, output=name, inputs=example.inputs, rtol=EXAMPLE_RTOL)
        errors.extend(_relative(found, np.asarray(expected)))
        for time, one, other in zip(example.times, found, expected, strict=True):
            places.append((f"outputs.{name}", f"{name} at {time:g} {unit} is {one:.10g}, expected {other:.10g}"))
    derived = model.derive(example.parameters, inputs=example.inputs) if example.derived else {}
    for name, value in example.derived.items():
        errors.extend(_relative(np.atleast_1d(derived[name]), np.atleast_1d(value)))
        places.append((f"derived.{name}", f"{name} is {float(derived[name]):.10g}, expected {value:.10g}"))
    worst = int(np.argmax(errors))  # NaN before all others
    return {
        "title": example.title,
        "source": example.source,
        "tolerance": example.tolerance,
        "error": float(errors[worst]),
        "passed": bool(errors[worst] <= example.tolerance),
        "line": line_of(model.text, f"[[example]] {number}", places[worst][0]),
        "worst": places[worst][1],
    }


def _relative(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    scale = np.where(expected == 0, 1.0, np.abs(expected))
    return np.abs(found - expected) / scale
