"""Which states may fall below 0: those are integrated as they are, all others as their logarithm."""

from __future__ import annotations

import ast
import math
from random import Random

from .contents import Course, State
from .trees import TIME, value_of

_POINTS, _MOST_VALUES = 100, 20_000


def falling_states(course: Course, values: dict[str, float]) -> list[State]:
    """Return the states that start or are set below 0, or would fall below it from 0 at one of some random points.

    Parameters
    ----------
    course : Course
        The model.
    values : dict of str to float
        What does not change, at the file's values.
    """
    random, before = Random(7), -1
    linear: set[str] = set()
    many = max(3, min(_POINTS, _MOST_VALUES // (len(course.states) * len(course.spans))))
    known = values | {key: value for key, value, *_ in course.added}
    while len(linear) > before:  # what may be negative may pull others below 0
        before = len(linear)
        points = [_point(course, known, random, linear) for _ in range(many)]
        linear |= {one.key for one in course.states if one.key not in linear and _falls(one, course, points)}
    return [state for state in course.states if state.key in linear]


def _point(course: Course, known: dict[str, float], random: Random, linear: set[str]) -> dict[str, float]:
    """Return a point: constants as the file has them, states anywhere about where they start, or may come to."""
    values = dict(known)
    starts = {state.key: value_of(state.initial, values) for state in course.states}
    sizes = [abs(value) for value in starts.values() if 0 < abs(value) < math.inf] or [1.0]
    for key, start in starts.items():
        size = abs(start) if 0 < abs(start) < math.inf else random.choice(sizes)
        values[key] = size * 10 ** random.uniform(-4, 4) * (random.choice((-1, 1)) if key in linear else 1)
    values[TIME] = random.uniform(0, 100)
    return values


def _falls(state: State, course: Course, points: list[dict[str, float]]) -> bool:
    for point in points:
        there = _Point(point, course.definitions)
        at_zero = _Point(point | {state.key: 0.0}, course.definitions)
        if value_of(state.initial, there) < 0:
            return True
        for span in course.spans:
            if state.key in span.reset and value_of(span.reset[state.key], there) < 0:
                return True
            if value_of(span.equations[state.key], at_zero) < 0:
                return True
    return False


class _Point(dict[str, float]):
    """Values by name, in which definitions are computed when they are first used."""

    def __init__(self, values: dict[str, float], definitions: dict[str, ast.expr]) -> None:
        super().__init__(values)
        self.definitions = definitions

    def __missing__(self, key: str) -> float:
        self[key] = value_of(self.definitions[key], self)
        return self[key]
