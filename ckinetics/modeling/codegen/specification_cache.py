"""A specification as it is kept beside a model's generated code: read back without pydantic, which takes longer to
import than such a model takes to load.

Tables come back as objects with the same attributes. It is JSON: nothing in it can run.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ..files.specification import Specification

# Marks a table or a tuple; names of parameters, states and so on are never empty.
_MARK = ""


def to_line(specification: Specification) -> str:
    """Return a specification as one line of text.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> specification = load_model("stein2019").specification
    >>> from_line(to_line(specification)).parameters["foldx"].bounds == specification.parameters["foldx"].bounds
    True
    """
    return json.dumps(_plain(specification), allow_nan=False)


def from_line(line: str) -> Specification:
    """Return the specification that `to_line` wrote."""
    return cast("Specification", json.loads(line, object_hook=_marked_or_mapping))


def _plain(value: Any) -> Any:
    kind = type(value)
    if isinstance(value, SimpleNamespace):
        return {_MARK: {name: _plain(part) for name, part in vars(value).items()}}
    if hasattr(kind, "model_fields"):
        names = [*kind.model_fields, *kind.model_computed_fields]
        return {_MARK: {name: _plain(getattr(value, name)) for name in names}}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return {_MARK: [_plain(part) for part in value]}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _marked_or_mapping(values: dict[str, Any]) -> Any:
    if _MARK not in values:
        return values
    held = values[_MARK]
    return tuple(held) if isinstance(held, list) else SimpleNamespace(**held)
