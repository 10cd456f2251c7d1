"""How an integration ended: the codes that generated solvers return. `ckinetics.modeling.solving` has the sentences."""

from __future__ import annotations

SOLVED = 0
STEP_LIMIT = 1
STEP_TOO_SMALL = 2
NOT_FINITE = 3
NEGATIVE_STATE = 4
MISSING_PARAMETER = 5
# Of patients side by side: they are to be solved one by one.
AGAIN = -1
# Of simulated patients: hardly any draw of a parameter lies inside its bounds.
OUTSIDE_BOUNDS = 100
