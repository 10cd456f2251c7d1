"""From the text of a model file to its specification: TOML, keys and kinds of value, each fault in one sentence."""

from __future__ import annotations

import re
import reprlib
import tomllib
from typing import Any, get_args

import pydantic
from pydantic import BaseModel

from ...errors import ModelFileError
from ...suggestions import suggestion
from .faults import faults_between_tables
from .places import MAX_FILE
from .specification import Specification

# Tables in tables without end, which would keep the TOML reader busy for hours.
_DEEP = re.compile(r"(?:[\w\"'-]{1,60}\s{0,5}\.\s{0,5}){20}")
# What to write where a required key is missing.
_HINTS = {
    "value": "give a number, the typical value",
    "name": 'give the phase a name, such as "decline"',
    "text": "give authors, title and journal",
    "doi": 'give the DOI ("" where there is none)',
    "what": "say what was verified",
    "expression": "give an expression",
    "trust": 'say where the value is from: "V" read in the source, "V2" read second-hand, "D" derived from those, '
    '"M" from memory',
    "source": "say where the expected values are from",
    "verified": "say what was verified, against what, in a table [[verified]]",
    "against": "say against what it was verified",
    "unit": 'give the unit ("1" where there is none)',
    "bounds": "give the lower and the upper bound, such as [0.1, 10.0]",
    "transform": 'give "log", "logit" or "none"',
    "label": "say what it is in a few words",
    "tolerance": "give the largest relative error that passes",
    "time_unit": 'give the unit of t, such as "day"',
    "parameters": "give each parameter a table [parameters.NAME]",
    "states": "give each state a table [states.NAME]",
    "phases": "give the equations in a table [[phases]]",
    "outputs": "give each output a table [outputs.NAME]",
    "equations": "give each state its equation",
    "initial": "give the state its value at time 0, an expression of parameters",
}
_KINDS = {
    "float_type": "give a number",
    "int_type": "give a whole number",
    "finite_number": "give a finite number",
    "string_type": "give a text in quotes",
    "model_type": "it is a table with keys of its own",
    "dict_type": "it is a table with keys of its own",
    "tuple_type": "give a list in square brackets",
    "list_type": "give a list in square brackets",
}


def read_specification(text: str, *, file: str = "") -> Specification:
    """Return the specification that a model file's text holds.

    Parameters
    ----------
    text : str
        The file, TOML.
    file : str
        Its name, for messages.

    Raises
    ------
    ModelFileError
        Not TOML, an unknown or missing key, a value of the wrong kind, names that clash or do not exist.
        Expressions are checked by `ckinetics.modeling.symbols.derivatives.symbolic_model`.
    """
    if len(text) > MAX_FILE:
        raise ModelFileError(f"is longer than {MAX_FILE} characters: no model is", file=file or None)
    if _DEEP.search(text):
        raise ModelFileError("holds a key of more than 20 parts: no table of a model has one", file=file or None)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ModelFileError(f"not a TOML file: {err}", file=file or None) from None
    except (ValueError, RecursionError, MemoryError):  # a number of thousands of digits, brackets nested without end
        raise ModelFileError(
            "not a TOML file that can be read: it holds an endless number or brackets nested too deep",
            file=file or None,
        ) from None
    try:
        specification = Specification.model_validate(raw)
    except pydantic.ValidationError as err:
        raise ModelFileError.of_faults(_explanations(err), file=file or None) from None
    except (OverflowError, RecursionError):
        raise ModelFileError("holds a number that is too large", file=file or None) from None
    faults = faults_between_tables(specification)
    if faults:
        raise ModelFileError.of_faults(faults, file=file or None)
    return specification


def _explanations(error: pydantic.ValidationError) -> list[str]:
    """Return the faults of a validation, unknown keys first: where one is misspelt, another is missing."""
    faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
    return list(dict.fromkeys(map(_explain, faults)))


def _explain(fault: Any) -> str:
    """Return a fault of a validation in one sentence that names table and key."""
    loc = [part for part in fault["loc"] if part != "[key]"]
    index = loc.pop() if len(loc) > 2 and isinstance(loc[-1], int) else None  # a number in a list, not a table
    table, key = _table_and_key(loc)
    place = f"table {table}, key '{key}'" if table else f"key '{key}'"
    given = reprlib.repr(fault["input"])
    kind, context = fault["type"], fault.get("ctx", {})
    if index is not None:
        if kind == "missing":
            return f"{place}: {given} is too short: {_HINTS.get(key, 'it has more numbers')}"
        place = f"{place}: number {int(index) + 1}"
        return f"{place} is {given}: {_KINDS.get(kind, fault['msg'][0].lower() + fault['msg'][1:])}"
    if kind == "extra_forbidden":
        return f"{place}: unknown key{suggestion(str(key), _known_keys(fault['loc'][:-1]))}"
    if kind == "missing":
        return f"{place}: is missing" + (f": {_HINTS[key]}" if key in _HINTS else "")
    if kind in ("too_short", "string_too_short"):
        return f"{place}: is empty" + (f": {_HINTS[key]}" if key in _HINTS else "")
    if kind == "too_long":
        return f"{place}: {given} is too long" + (f": {_HINTS[key]}" if key in _HINTS else "")
    if kind == "literal_error":
        expected = context["expected"]
        return f"{place}: is {given}: give {expected}"
    if kind == "string_pattern_mismatch":
        return f"{place}: {given} is no name: use letters, digits and _, and begin with a letter"
    if kind in ("greater_than", "greater_than_equal"):
        limit = f"above {context['gt']:g}" if kind == "greater_than" else f"at least {context['ge']:g}"
        return f"{place}: is {given}: give a number {limit}"
    return f"{place}: is {given}: {_KINDS.get(kind, fault['msg'][0].lower() + fault['msg'][1:])}"


def _table_and_key(loc: list[int | str]) -> tuple[str, str]:
    """Return the table as it stands in the file, and the key below it."""
    for at, part in enumerate(loc):
        if isinstance(part, int):
            table, rest = f"[[{'.'.join(map(str, loc[:at]))}]] {part + 1}", loc[at + 1 :]
            return table, ".".join(map(str, rest))
    *above, key = map(str, loc)
    return (f"[{'.'.join(above)}]" if above else ""), key


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table at `loc` may have."""
    annotation: Any = Specification
    for part in loc:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        else:
            annotation = next((a for a in get_args(annotation) if a is not Ellipsis and not _is_name(a)), None)
        while not isinstance(annotation, type) and type(None) in get_args(annotation):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return list(annotation.model_fields)
    return []


def _is_name(annotation: Any) -> bool:
    return annotation is str or get_args(annotation)[:1] == (str,)
