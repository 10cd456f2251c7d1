"""What the solvers and the generated functions of a model share: the places in the work arrays, and the tasks.

All numbers of one patient lie in one array `w`. Its first part depends on the number of states alone, so that
compiled solvers know the places; then comes what depends on the number of parameters; then, from `FIXED` on, what
depends on how many parameters are free. Whole numbers, and addresses, lie in `v`: a compiled function that is given
few arguments is compiled in less time.
"""

from __future__ import annotations

# Tasks of a model's functions, each called as (task, which, t, w, a, b, c). `equations`, for a phase: rates into a;
# rates into a and their derivatives by states into b; derivatives by time into FT.
RATES, LINEARISE, BY_TIME = 0, 1, 2
# `settings`: what depends on parameters alone; initial values into Y, and ends of phases; new values at the start of a
# phase into F; an output into O.
PREPARE, INITIAL, RESET, OBSERVE = 0, 1, 2, 3
# `derivatives`: as LINEARISE, and derivatives by parameters into c; second derivatives; then those of the settings.
SLOPES, CURVATURE, INITIAL_SLOPES, RESET_SLOPES, OBSERVE_SLOPES = 0, 1, 2, 3, 4
# Places in `v`. Behind HEAD stand for each state its scale, whether it is a logarithm now, and the order of rows of
# the matrix; then, for each phase, which states it gives a new value; from v[FREE] on, the free parameters.
N_PARAMETERS, N_VALUES, N_VARYING, N_PHASES, TIME_DEPENDENT = 0, 1, 2, 3, 4
FP, FPS, PT, RP, DP, OP, P, X, ENDS, ENDP, FIXED = 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
N_FREE, FREE = 16, 17
# Addresses of the model's functions; the last one's numbers are those of `lanes`.
EQUATIONS, SETTINGS, DERIVATIVES, LANE_EQUATIONS = 18, 19, 20, 21
HEAD = 22

# Places in `more`, the block that a compiled solver is given: counts, places and addresses. The patient comes first,
# since `fit_objective.predict` fills it. Which outputs are wanted, to which state the doses of an input go (or -1), and
# where in X its value lies, stand in `v`; the tolerance, and values that inputs start with, in `w`. Events are
# (patient, event). An output's value stands BY_SAMPLE places after that of the sample before and BY_OUTPUT after that
# of the output before (where OUTPUTS_APART is 1, that is the number of times); of its N_COLUMNS derivatives, `v` says
# from COLUMNS on which are those by the free parameters.
(
    PATIENT, N_OUTPUTS, WANTED, OUTPUTS_APART, BY_SAMPLE, BY_OUTPUT, N_COLUMNS, COLUMNS, W, V, VARYING, INPUT_STATE,
    INPUT_PLACE, EVENT_TIMES, EVENT_INPUTS, EVENT_VALUES, N_EVENTS, RTOL, MAX_STEPS, STEPS,
) = range(20)  # fmt: skip
# Of many patients: what solves one, numbers in a row of times and of parameters, and what is written of each patient.
SOLVER, N_SAMPLES, N_VALUES_GIVEN, COUNTS, TAKEN, CODES = 20, 21, 22, 23, 24, 25
# Of patients side by side: their `w`, and what `lane_profiles` keeps of each lane, and of each patient.
LANE_W, BOOK, ORDER, CLOCKS, KEPT = 26, 27, 28, 29, 30
N_MORE = 31

# Scales of states; see ckinetics.modeling.symbols.system.
LINEAR, POSITIVE, PROPORTIONAL = 0, 1, 2


def places(n: int, m: int, values: int, varying: int, kept: int, ends: int) -> dict[str, int]:
    """Return where things lie in `w`, by name.

    Parameters
    ----------
    n, m
        Numbers of states and parameters.
    values
        Parameters and constants.
    varying
        Inputs that change with time.
    kept
        Quantities that depend on parameters alone.
    ends
        Phases that end.
    """
    sizes = {
        "Y": n, "F": n, "G": n, "FT": n, "PEAK": n, "O": n, "RT": n, "OY": n,
        "JAC": n * n, "INVERSE": n * n, "D": n * n, "JACS": n * n, "DS": n * n, "DT": n * n, "R": n * n, "D2": n**3,
        "ROWS": 17 * n + 8,
        "FP": n * m, "FPS": n * m, "PT": n * m, "RP": n * m, "DP": n * m * n, "OP": m,
        "P": values, "X": varying, "H": kept, "ENDS": ends, "ENDP": ends * m, "FIXED": 0,
    }  # fmt: skip
    found, at = {}, 0
    for name, size in sizes.items():
        found[name] = at
        at += size
    return found


def whole_numbers(found: dict[str, int], counts: list[int], scales: list[int], resets: list[list[bool]]) -> list[int]:
    """Return what `v` holds, from `places`, the numbers N_PARAMETERS to TIME_DEPENDENT, scales, and resets."""
    names = ["FP", "FPS", "PT", "RP", "DP", "OP", "P", "X", "ENDS", "ENDP", "FIXED"]
    n = len(scales)
    given = [int(reset) for phase in resets for reset in phase]
    unknown = [0] * (HEAD - len(counts) - len(names))  # what only a solver knows
    return [*counts, *(found[name] for name in names), *unknown, *scales, *([0] * (2 * n)), *given]
