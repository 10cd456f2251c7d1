"""The models that solvers are compared on, written by hand as other solvers take them, and a reference for each.

Every peer gets a model in two forms and keeps the faster: "linear", in units in which 1 is about the least amount that
an output needs, so that one absolute tolerance serves all states; and "log", with ln of each state that starts above 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy.integrate import solve_ivp

from ckinetics.modeling import Model, load_model

FILES = Path(__file__).parent.parent / "tests" / "modeling" / "problems"
TIMES = np.array([1, 2, 3, 5, 7, 9, 10, 12, 14, 17, 21, 28, 42, 60, 75, 90, 120, 180, 270, 365], dtype=float)
CELLS, TUMOUR, CYTOKINE = 1e5, 1e3, 0.02  # units of the linear form of tumour5


@dataclass(frozen=True)
class Form:
    """Equations for a peer: compiled rates(t, z, dz, p), the same as antimony text, and whether a state is ln."""

    rates: Callable[..., None]
    antimony: str
    log: np.ndarray


@dataclass(frozen=True)
class Problem:
    """A model as peers take it.

    `legs` are the stretches between switches, each with its parameters (in the order of `names`) and its times; `kept`
    says which of all times of all legs are those of TIMES, and `outputs` makes outputs from states there.
    """

    model: Model
    forms: dict[str, Form]
    states: tuple[str, ...]
    start: np.ndarray
    names: tuple[str, ...]
    legs: tuple[tuple[np.ndarray, np.ndarray], ...]
    kept: np.ndarray
    outputs: Callable[[np.ndarray], np.ndarray]

    def start_of(self, form: str) -> np.ndarray:
        """Return the states at time 0 as a form has them."""
        log = self.forms[form].log
        return np.where(log, np.log(np.where(log, self.start, 1.0)), self.start)

    def outputs_of(self, form: str, rows: np.ndarray) -> np.ndarray:
        """Return outputs at TIMES, (sample, output), from the states of a form at all times of all legs."""
        log, z = self.forms[form].log, rows[self.kept]
        return self.outputs(np.where(log, np.exp(np.where(log, z, 0.0)), z))

    def reference(self) -> np.ndarray:
        """Return outputs at TIMES by scipy's Radau at 1e-12, independent of ckinetics and of the peers."""
        form, z, rows = self.forms["log"], self.start_of("log"), []
        for p, times in self.legs:
            slope = speeds(form.rates)
            found = solve_ivp(
                lambda t, z, p=p, slope=slope: slope(t, z, p),
                times[[0, -1]], z, method="Radau", t_eval=times, rtol=1e-12, atol=1e-13,
            )  # fmt: skip
            assert found.success, found.message
            rows.append(found.y.T)
            z = found.y[:, -1]
        return self.outputs_of("log", np.concatenate(rows))


@functools.cache
def speeds(rates: Callable[..., None]) -> Any:
    """Return rates as a compiled function (t, z, p) that returns a new array."""

    @numba.njit(error_model="numpy")
    def returned(t, z, p):  # type: ignore[no-untyped-def]
        dz = np.empty_like(z)
        rates(t, z, dz, p)
        return dz

    return returned


@numba.njit(error_model="numpy")
def _switch_linear(t, z, dz, p):  # type: ignore[no-untyped-def]
    growth, k, beta = p[0], p[1], p[2]
    dz[0] = growth * z[0]
    dz[1] = k * z[0] - beta * z[1]


@numba.njit(error_model="numpy")
def _switch_log(t, z, dz, p):  # type: ignore[no-untyped-def]
    growth, k, beta = p[0], p[1], p[2]
    dz[0] = growth
    dz[1] = k * np.exp(z[0]) - beta * z[1]


@numba.njit(error_model="numpy")
def _tumour_linear(t, z, dz, p):  # type: ignore[no-untyped-def]
    rho, KT, m, x, dE, beta, dX, g, Tmax, kill, made, kc, c0 = (
        p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12],
    )  # fmt: skip
    E, M, X, T, C = z[0], z[1], z[2], z[3], z[4]
    contact = T / (KT + T)
    dz[0] = (rho * contact - m - x - dE) * E
    dz[1] = m * E - beta * M
    dz[2] = x * E - dX * X
    dz[3] = (g * (1.0 - T / Tmax) - kill * E) * T
    dz[4] = made * E * contact + c0 * kc - kc * C


@numba.njit(error_model="numpy")
def _tumour_log(t, z, dz, p):  # type: ignore[no-untyped-def]
    rho, KT, m, x, dE, beta, dX, g, Tmax, kill, made, kc, c0 = (
        p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12],
    )  # fmt: skip
    E, M, X, T, C = np.exp(z[0]), np.exp(z[1]), np.exp(z[2]), np.exp(z[3]), np.exp(z[4])
    contact = T / (KT + T)
    dz[0] = rho * contact - m - x - dE
    dz[1] = m * E / M - beta
    dz[2] = x * E / X - dX
    dz[3] = g * (1.0 - T / Tmax) - kill * E
    dz[4] = (made * E * contact + c0 * kc) / C - kc


SWITCH_FORMS = {
    "linear": Form(_switch_linear, "E' = growth*E; M' = k*E - beta*M;", np.array([False, False])),
    "log": Form(_switch_log, "E' = growth; M' = k*exp(E) - beta*M;", np.array([True, False])),
}
TUMOUR_FORMS = {
    "linear": Form(
        _tumour_linear,
        """contact := T/(KT + T);
        E' = (rho*contact - m - x - dE)*E; M' = m*E - beta*M; X' = x*E - dX*X;
        T' = (g*(1 - T/Tmax) - kill*E)*T; C' = made*E*contact + c0*kc - kc*C;""",
        np.full(5, False),
    ),
    "log": Form(
        _tumour_log,
        """cells := exp(E); tumour := exp(T); contact := tumour/(KT + tumour);
        E' = rho*contact - m - x - dE; M' = m*cells*exp(-M) - beta; X' = x*cells*exp(-X) - dX;
        T' = g*(1 - tumour/Tmax) - kill*cells; C' = (made*cells*contact + c0*kc)*exp(-C) - kc;""",
        np.full(5, True),
    ),
}


def switch2() -> Problem:
    """Return the two states with a switch: solved in two legs; M is 0 until the switch, so it is never a logarithm."""
    model = load_model(FILES / "switch2.toml")
    value = {name: parameter.value for name, parameter in model.parameters.items()}
    switch, alpha, beta = value["Tmax"], value["alpha"], value["beta"]
    assert switch not in TIMES
    before, after = TIMES[switch > TIMES], TIMES[switch < TIMES]
    legs = (
        (np.array([np.log(value["foldx"]) / switch, 0.0, 0.0]), np.array([0.0, *before, switch])),
        (np.array([-alpha, value["FB"] * (alpha - beta), beta]), np.array([switch, *after])),
    )
    kept = np.flatnonzero(np.isin(np.concatenate([times for _, times in legs]), TIMES))
    return Problem(
        model, SWITCH_FORMS, ("E", "M"), np.array([value["Cmax"] / value["foldx"], 0.0]), ("growth", "k", "beta"),
        legs, kept, lambda y: y.sum(axis=1)[:, None],
    )  # fmt: skip


def tumour(name: str) -> Problem:
    """Return the model of five states, or the stiff one."""
    model = load_model(FILES / f"{name}.toml")
    value = {name: parameter.value for name, parameter in model.parameters.items()}
    unit = {
        "KT": TUMOUR, "Tmax": TUMOUR, "kill": 1.0 / CELLS, "p": CYTOKINE / CELLS, "c0": CYTOKINE,
        "E0": CELLS, "M0": CELLS, "X0": CELLS, "T0": TUMOUR, "Cy0": CYTOKINE,
    }  # fmt: skip
    scaled = {name: number / unit.get(name, 1.0) for name, number in value.items()}
    of_rates = ("rho", "KT", "m", "x", "dE", "beta", "dX", "g", "Tmax", "kill", "p", "kc", "c0")
    times = np.array([0.0, *TIMES])
    return Problem(
        model, TUMOUR_FORMS, ("E", "M", "X", "T", "C"),
        np.array([scaled[name] for name in ("E0", "M0", "X0", "T0", "Cy0")]),
        tuple("made" if name == "p" else name for name in of_rates),
        ((np.array([scaled[name] for name in of_rates]), times),),
        np.arange(1, len(times)),
        lambda y: np.stack([y[:, :3].sum(axis=1) * CELLS, y[:, 3] * TUMOUR, y[:, 4] * CYTOKINE], axis=1),
    )  # fmt: skip


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "switch2": switch2,
    "tumour5": lambda: tumour("tumour5"),
    "tumour5_stiff": lambda: tumour("tumour5_stiff"),
}
