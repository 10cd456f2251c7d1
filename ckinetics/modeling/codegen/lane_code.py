"""The equations of a model for several patients side by side: the same statements with the functions of `lanes`."""

from __future__ import annotations

import re

from .system_code import Function

_NAMES = {"np.exp(": "exponential(", "np.log(": "logarithm(", "np.sqrt(": "square_root("}
# Branches, and functions that numbers side by side do not have.
_OTHER = re.compile(r"\bif\b|\b(?!exponential\b|logarithm\b|square_root\b)[\w.]+\(")


def side_by_side(equations: Function) -> Function | None:
    """Return the equations for numbers of `kernels.ode.lanes`, or None where they hold what those do not have.

    Examples
    --------
    >>> side_by_side(Function("equations", [[["w[a + 0] = x*np.exp(-x)"]]])).tasks
    [[['t = w[c]', 'w[a + 0] = x*exponential(-x)']]]
    >>> side_by_side(Function("equations", [[["w[a + 0] = (x if x > 1 else 0)"]]])) is None
    True
    """
    tasks = [[[_renamed(line) for line in branch] for branch in branches] for branches in equations.tasks]
    if any(_OTHER.search(line) for branches in tasks for branch in branches for line in branch):
        return None
    # Every patient has a time of its own; where it is, is what `c` says.
    return Function("equations_side_by_side", [[["t = w[c]", *branch] for branch in branches] for branches in tasks])


def _renamed(line: str) -> str:
    for name, other in _NAMES.items():
        line = line.replace(name, other)
    return line
