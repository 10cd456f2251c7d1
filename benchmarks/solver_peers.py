"""Solvers to compare with, each as a function that solves a problem for a number of patients in a row.

A solver takes a problem, a form and a tolerance, and returns ``run(patients)``, which returns the states at all times
of all legs, (time, state), of the last patient. What can be set up once is set up before ``run``.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from scipy.integrate import ODEintWarning, odeint, solve_ivp
from solver_problems import Problem, speeds

Run = Callable[[int], np.ndarray]


def scipy_lsoda(problem: Problem, form: str, rtol: float) -> Run:
    """solve_ivp with LSODA and a compiled right-hand side."""
    slope, start = speeds(problem.forms[form].rates), problem.start_of(form)

    def run(patients: int) -> np.ndarray:
        for _ in range(patients):
            z, rows = start, []
            for p, times in problem.legs:
                found = solve_ivp(
                    lambda t, z, p=p: slope(t, z, p),
                    times[[0, -1]], z, method="LSODA", t_eval=times, rtol=rtol, atol=rtol,
                )  # fmt: skip
                if not found.success:
                    return np.full((0, len(start)), np.nan)
                rows.append(found.y.T)
                z = found.y[:, -1]
        return np.concatenate(rows)

    return run


def scipy_odeint(problem: Problem, form: str, rtol: float) -> Run:
    """Odeint, the same LSODA called from C, with a compiled right-hand side."""
    slope, start = speeds(problem.forms[form].rates), problem.start_of(form)

    def run(patients: int) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ODEintWarning)
            for _ in range(patients):
                z, rows = start, []
                for p, times in problem.legs:
                    try:
                        found = odeint(slope, z, times, args=(p,), rtol=rtol, atol=rtol, tfirst=True, mxstep=100_000)
                    except ODEintWarning:
                        return np.full((0, len(start)), np.nan)
                    rows.append(found)
                    z = found[-1]
        return np.concatenate(rows)

    return run


def _numbalsoda(problem: Problem, form: str, rtol: float, method: str) -> Run:
    pytest.importorskip("numbalsoda", reason="numbalsoda is not installed")
    right, many = _for_numbalsoda(problem.forms[form].rates, len(problem.start), len(problem.names), method)
    start, rows = problem.start_of(form), sum(len(times) for _, times in problem.legs)

    def run(patients: int) -> np.ndarray:
        return many(right.address, start, problem.legs, rtol, patients, rows)  # type: ignore[no-any-return]

    return run


@functools.cache
def _for_numbalsoda(rates: Callable[..., None], n: int, size: int, method: str) -> tuple[Any, Any]:
    """Compile the right-hand side, and the solution of many patients, for any tolerance."""
    import numbalsoda

    solver = getattr(numbalsoda, method)

    @numba.cfunc(numbalsoda.lsoda_sig, error_model="numpy")
    def right(t, z, dz, p):  # type: ignore[no-untyped-def]
        rates(t, numba.carray(z, (n,)), numba.carray(dz, (n,)), numba.carray(p, (size,)))

    @numba.njit
    def many(address, start, legs, rtol, patients, rows):  # type: ignore[no-untyped-def]
        out = np.full((rows, n), np.nan)
        for _ in range(patients):
            z, row = start, 0
            for p, times in legs:
                found, success = solver(address, z, times, p, rtol, rtol, 100_000)
                if not success:
                    return np.full((0, n), np.nan)
                out[row : row + len(times)] = found
                row += len(times)
                z = found[-1].copy()
        return out

    return right, many


def numbalsoda_lsoda(problem: Problem, form: str, rtol: float) -> Run:
    """LSODA in C++, called from compiled code for all patients."""
    return _numbalsoda(problem, form, rtol, "lsoda")


def numbalsoda_dop853(problem: Problem, form: str, rtol: float) -> Run:
    """DOP853 in Fortran, called from compiled code for all patients."""
    return _numbalsoda(problem, form, rtol, "dop853")


def _roadrunner(problem: Problem, form: str, rtol: float, stiff: bool) -> Run:
    peer = pytest.importorskip("roadrunner", reason="libroadrunner is not installed")
    antimony = pytest.importorskip("antimony", reason="antimony is not installed")
    start = problem.start_of(form)
    values = [*zip(problem.states, start, strict=True), *zip(problem.names, problem.legs[0][0], strict=True)]
    given = " ".join(f"{name} = {value!r};" for name, value in ((name, float(value)) for name, value in values))
    antimony.clearPreviousLoads()
    text = f"model peer\n{given}\n{problem.forms[form].antimony}\nend"
    assert antimony.loadAntimonyString(text) >= 0, antimony.getLastError()
    peer.Logger.setLevel(peer.Logger.LOG_CRITICAL)
    runner: Any = peer.RoadRunner(antimony.getSBMLString("peer"))
    runner.selections = list(problem.states)
    settings = {"relative_tolerance": rtol, "absolute_tolerance": rtol, "stiff": stiff, "maximum_num_steps": 100_000}
    for name, value in settings.items():
        runner.integrator.setValue(name, value)
    many_legs = len(problem.legs) > 1

    def run(patients: int) -> np.ndarray:
        for _ in range(patients):
            runner.reset()
            rows = []
            for p, times in problem.legs:
                if many_legs:
                    for name, value in zip(problem.names, p, strict=True):
                        runner[name] = value
                try:
                    rows.append(np.array(runner.simulate(times=times)))
                except RuntimeError:
                    return np.full((0, len(start)), np.nan)
        return np.concatenate(rows)

    return run


def roadrunner_bdf(problem: Problem, form: str, rtol: float) -> Run:
    """CVODE with BDF, by libroadrunner."""
    return _roadrunner(problem, form, rtol, True)


def roadrunner_adams(problem: Problem, form: str, rtol: float) -> Run:
    """CVODE with Adams, by libroadrunner."""
    return _roadrunner(problem, form, rtol, False)


# For each peer what it can be tried as; the faster one is kept.
PEERS: dict[str, tuple[Callable[[Problem, str, float], Run], ...]] = {
    "solve_ivp LSODA": (scipy_lsoda,),
    "odeint": (scipy_odeint,),
    "numbalsoda lsoda": (numbalsoda_lsoda,),
    "numbalsoda dop853": (numbalsoda_dop853,),
    "libroadrunner": (roadrunner_bdf, roadrunner_adams),
}
