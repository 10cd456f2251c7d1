"""What a model file made of an SBML file holds, in trees."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from .quantities import Quantity


@dataclass
class State:
    """A state: its key, initial value and scale."""

    key: str
    initial: ast.expr
    scale: str = "log"


@dataclass
class Span:
    """A phase: when it ends (None for the last), its equations and resets by state."""

    end: ast.expr | None
    equations: dict[str, ast.expr]
    reset: dict[str, ast.expr] = field(default_factory=dict)


@dataclass
class Dose:
    """An amount that an event adds to a state at a time.

    Attributes
    ----------
    key : the event, or the parameter that the amount is
    event : the event
    """

    key: str
    event: str
    state: str
    value: float
    time: float


@dataclass
class Course:
    """What the file says, in the order of a model file.

    Attributes
    ----------
    parameters : quantities with a number
    added : numbers that have a name in the model file only: key, value, the quantity whose unit they have (or ""
        for times), and what they are
    definitions : in an order in which each uses only those before it
    outputs : states, and definitions that change with time
    """

    parameters: list[Quantity] = field(default_factory=list)
    added: list[tuple[str, float, str, str]] = field(default_factory=list)
    definitions: dict[str, ast.expr] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    doses: list[Dose] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
