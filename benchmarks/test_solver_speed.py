"""Differential equations solved by ckinetics and by other solvers at one error, in one run.

Each solver's tolerance is the loosest at which its largest error in ln, over all outputs and times, stays below
MOST_WRONG, here and at every tighter one. Of the forms that a peer can be given (linear or log states; BDF or Adams for
CVODE) the fastest is kept, and so is the faster of our methods. The table at the end of the run has the errors that
were reached, and the times of one solve over that of ckinetics. Times are of the CPU, on one thread, so that other work
on the machine matters less.

Peers other than scipy are optional: ``pip install numbalsoda libroadrunner antimony`` (numbalsoda needs CMake, a C++
and a Fortran compiler). ``-m slow`` runs the million patients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from solver_peers import PEERS, Run
from solver_problems import FILES, PROBLEMS, TIMES, Problem

from ckinetics.modeling import load_model
from ckinetics.modeling.solving import RTOL, solve
from ckinetics.simulation import simulate

PATIENTS = 200
MOST_WRONG = 6e-6
TOLERANCES = 10.0 ** np.arange(-10.0, -1.9, 0.125)
OURS = "ckinetics"
FREE = {"switch2": ("Tmax", "Cmax", "alpha", "FB"), "tumour5": ("rho", "m", "kill", "T0")}


def show(request: pytest.FixtureRequest, text: str) -> None:
    """Print although pytest captures what tests print."""
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{text}")


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], tuple[float, str]]]:
    """Seconds of one solve, and what belongs to them, by problem and solver; printed at the end."""
    rows: dict[tuple[str, str], tuple[float, str]] = {}
    yield rows
    lines = [
        f"{problem:14s} {solver:18s} {1e6 * seconds:9.1f} us {seconds / rows[problem, OURS][0]:8.2f} x  {said}"
        for (problem, solver), (seconds, said) in rows.items()
        if (problem, OURS) in rows
    ]
    if lines:
        show(request, "\n".join(["one solve, over that of ckinetics:", *lines]))


@pytest.fixture(scope="module")
def references() -> dict[str, tuple[Problem, np.ndarray]]:
    """Each problem, and its outputs by a solver that takes no part."""
    return {name: (made := make(), made.reference()) for name, make in PROBLEMS.items()}


def matched(error: Callable[[float], float]) -> tuple[float, float]:
    """Return the loosest tolerance below all that are too wrong, and its error; inf where there is none."""
    kept, reached = np.inf, np.inf
    for rtol in TOLERANCES.tolist():
        wrong = error(rtol)
        if wrong <= MOST_WRONG:
            kept, reached = rtol, wrong
        elif kept < np.inf:
            break
    return kept, reached


def cpu_seconds(run: Run, patients: int = 20) -> float:
    """Return the least time of three."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        run(patients)
        taken.append(time.process_time() - start)
    return min(taken)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("name", PROBLEMS)
def test_ours(benchmark, name: str, references, table) -> None:  # type: ignore[no-untyped-def]
    problem, reference = references[name]
    times, theta = np.tile(TIMES, (PATIENTS, 1)), np.tile(problem.model.natural_parameters(None)[0], (PATIENTS, 1))
    outputs = list(problem.model.specification.outputs)

    tried = []
    for method in ("tsit5", "rodas5p"):
        if (name, method) == ("tumour5_stiff", "tsit5"):
            continue  # as below

        def error(rtol: float, method: str = method) -> float:
            found = solve(problem.model, times[:1], theta[:1], outputs=outputs, method=method, rtol=rtol)
            return worst(found.values[0], reference)

        rtol, reached = matched(error)
        options = {"outputs": outputs, "method": method, "rtol": rtol}

        def run(patients: int, options: dict[str, Any] = options) -> None:
            solve(problem.model, times[:patients], theta[:patients], **options)

        tried.append((cpu_seconds(run, PATIENTS), reached, options))
    _, reached, options = min(tried, key=lambda one: one[0])
    rtol = options["rtol"]
    benchmark.group = f"{PATIENTS} patients of {name} at one error"
    found = benchmark.pedantic(solve, args=(problem.model, times, theta), kwargs=options, rounds=50, warmup_rounds=1)
    said = f"{found.method}, {found.steps[0]} steps, rtol {rtol:.1e}, error {reached:.1e}"
    table[name, OURS] = (benchmark.stats.stats.min / PATIENTS, said)
    assert worst(found.values[-1], reference) <= MOST_WRONG


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_peer(benchmark, name: str, peer: str, references, table) -> None:  # type: ignore[no-untyped-def]
    if (name, peer) == ("tumour5_stiff", "numbalsoda dop853"):
        pytest.skip("an explicit method takes hundreds of thousands of steps here")
    problem, reference = references[name]
    tried = []
    for way in PEERS[peer]:
        for form in problem.forms:

            def error(rtol: float, way=way, form=form) -> float:  # type: ignore[no-untyped-def]
                rows = way(problem, form, rtol)(1)
                return worst(problem.outputs_of(form, rows), reference) if len(rows) else np.inf

            rtol, reached = matched(error)
            if rtol < np.inf:
                run = way(problem, form, rtol)
                tried.append(
                    (cpu_seconds(run), f"{way.__name__} {form}, rtol {rtol:.1e}, error {reached:.1e}", run, form)
                )
    assert tried, "no form reached the error"
    _, said, run, form = min(tried, key=lambda one: one[0])
    benchmark.group = f"{PATIENTS} patients of {name} at one error"
    rows = benchmark.pedantic(run, args=(PATIENTS,), rounds=5)
    table[name, peer] = (benchmark.stats.stats.min / PATIENTS, said)
    assert worst(problem.outputs_of(form, rows), reference) <= MOST_WRONG


def worst(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the largest error in ln; inf where a value is not above 0."""
    if not (found > 0).all():
        return np.inf
    return float(np.abs(np.log(found / reference)).max())


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("derivatives", [False, True], ids=["values", "and derivatives"])
@pytest.mark.parametrize("name", FREE)
def test_derivatives(benchmark, name: str, derivatives: bool) -> None:  # type: ignore[no-untyped-def]
    model = load_model(FILES / f"{name}.toml")
    times, theta = np.tile(TIMES, (PATIENTS, 1)), np.tile(model.natural_parameters(None)[0], (PATIENTS, 1))
    free = np.array([list(model.parameters).index(parameter) for parameter in FREE[name]]) if derivatives else None
    benchmark.group = f"{PATIENTS} patients of {name}, four derivatives, default tolerance"
    found = benchmark.pedantic(
        solve, args=(model, times, theta), kwargs={"outputs": ["level"], "free": free}, rounds=20, warmup_rounds=1
    )
    assert (found.codes == 0).all()
    assert not derivatives or np.isfinite(found.gradient).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("patients", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_simulate(benchmark, patients: int, threads: int, request: pytest.FixtureRequest) -> None:  # type: ignore[no-untyped-def]
    model = load_model(FILES / "tumour5.toml")
    options = {"times": TIMES, "threads": threads}
    simulate(model, n=3, **options)
    rounds = 5 if patients < 100_000 else 1
    benchmark.group = f"{patients:,} patients x {len(TIMES)} samples of tumour5, wall time at rtol {RTOL:g}"
    start = time.process_time()
    result = benchmark.pedantic(simulate, args=(model,), kwargs={"n": patients, **options}, rounds=rounds)
    cpu = (time.process_time() - start) / rounds
    wall = benchmark.stats.stats.min
    show(request, f"{patients:,} patients, threads {threads}: {cpu:.2f} s CPU, least wall time {wall:.2f} s")
    assert (result["outcome"].values == 0).all()
    assert (result["level_true"].values > 0).all()
