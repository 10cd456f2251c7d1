"""Compile everything once, ahead of use: kernels of analyses, solvers, and the functions of models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import JobError

if TYPE_CHECKING:
    from ..modeling import Model

Progress = Callable[[str, int, int], None]
Step = tuple[str, Callable[[], object]]
# Bytes that one step may write.
_ROOM = 2_000_000


def warm_up(models: Sequence[str | Path | Model] | None = None, *, progress: Progress | None = None) -> Path:
    """Compile all kernels, and the functions of some models.

    What has been compiled before is only loaded, so that an interrupted call goes on where it stopped.

    Parameters
    ----------
    models : sequence of str, Path or Model, optional
        Names, paths or models; default all that come with ckinetics.
    progress : callable, optional
        Called before each step, and once at the end, with its name, the number of steps done, and of all.

    Returns
    -------
    Path
        The cache folder.

    Raises
    ------
    InputError
        There is no such model, or its file is faulty.
    JobError
        No cache folder can be written, or it is full.

    Examples
    --------
    >>> warm_up([]).is_dir()
    True
    """
    from ..kernels.compiling.cache import cache_root, compiled_folder
    from ..modeling import list_models, load_model

    root = cache_root()
    if root is None or compiled_folder() is None:
        raise JobError(
            "no cache folder can be written, so compiled code would be lost: let CKINETICS_CACHE_DIR name one that can"
        )
    loaded = [load_model(name) for name in (list_models() if models is None else models)]
    steps = [*_analysis_steps(), *(step for model in loaded for step in _model_steps(model))]
    for at, (name, work) in enumerate(steps):
        if progress is not None:
            progress(name, at, len(steps))
        _check_room(root)
        work()
    if progress is not None:
        progress("done", len(steps), len(steps))
    return root


def _check_room(root: Path) -> None:
    """Refuse to go on where compiled code can no longer be kept: compilers say nothing of it."""
    try:
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(bytes(_ROOM))
    except OSError as err:
        raise JobError(
            f"compiled code cannot be kept in {root}: {err.strerror or err}; make room there, or let "
            "CKINETICS_CACHE_DIR name another folder, and start again: it goes on where it stopped"
        ) from None


def _analysis_steps() -> Iterator[Step]:
    import xarray as xr

    from ..cohorts import kinetics_from_arrays
    from ..noncompartmental import nca

    def profiles() -> xr.Dataset:
        found = kinetics_from_arrays(
            [0, 3, 7, 14, 21, 28, 60], [[60, 800, 9000, 3000, 1100, 390, 20]], lloq=50, unit="copies/ug"
        )
        return found.assign(se_well=0.02 * found["level"])

    yield "noncompartmental analysis", lambda: nca(profiles())
    yield "censored lines", lambda: nca(profiles(), tobit=True)
    yield "errors from the assay", lambda: nca(profiles(), uncertainty="both", draws=100)


def _model_steps(model: Model) -> Iterator[Step]:
    from ..fitting import fit
    from ..fitting.problem import RTOL
    from ..modeling.curves import Curves
    from ..modeling.events import Events
    from ..modeling.identifiability import horizon
    from ..modeling.solving import solve
    from ..simulation import simulate
    from ..units import conversion_factor

    theta, _ = model.natural_parameters(None)
    times = np.linspace(0.0, horizon(model), 12)
    outputs = list(model.specification.outputs)[:1]

    def quantities() -> None:
        model.derive()
        ends = np.empty((1, len(model.specification.phases) - 1))
        model.compiled.phase_ends(theta[None], ends)
        for output in model.closed_forms:
            model.evaluate(times, output=output, method="closed_form")

    def integrate(method: str, derivatives: bool) -> None:
        free = np.arange(len(model.parameters)) if derivatives else None
        solve(model, times[None], theta[None], outputs=outputs, free=free, method=method)
        # Who takes too many steps beside others is solved again alone, by code of its own.
        solve(model, times[None], theta[None], outputs=outputs, free=free, method=method, max_steps=1)

    days = conversion_factor(model.specification.time_unit, "day")

    def virtual_patients() -> None:
        simulate(model, times=times * days, n=2, lloq=1e-300)

    def fit_one() -> None:
        fit(simulate(model, times=times[1:] * days, n=1), model, starts=1)

    def fit_equations() -> None:
        free = np.arange(len(model.parameters))
        Curves.of(model, outputs, method=model.method, events=Events.of_file(model, 1), free=free, rtol=RTOL)

    yield f"{model.name}: closed forms and derived quantities", quantities
    for method in ("rodas5p", "tsit5"):
        yield f"{model.name}: equations by {method}", partial(integrate, method, False)
        yield f"{model.name}: derivatives by {method}", partial(integrate, method, True)
    yield f"{model.name}: virtual patients", virtual_patients
    if model.fitted_output in model.closed_forms:
        yield f"{model.name}: fit", fit_one
    else:
        yield f"{model.name}: fits by equations", fit_equations
