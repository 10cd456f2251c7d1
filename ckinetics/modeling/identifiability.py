"""Which parameters the outputs of a model can tell apart: the rank of the sensitivity matrix at random points.

The matrix holds d ln(output) / d parameter, the parameter on its scale of estimation, over a rich grid of times. It is
computed twice, at two tolerances, and the difference E between the two says how accurate it is: no singular value moves
by more than the norm of E (Weyl), so those within `SAFETY` norms of 0 cannot be told from 0. Columns are scaled to one
length first, so that a parameter of weak influence is judged by the accuracy of its own column.

Directions without influence become words through two questions that hold for all points at once: do they keep a product
of powers (constant on the log scale, such as p*V), or a sum (constant on the natural scale)?
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import number_array, whole_number
from ..errors import InputError
from ..provenance import result_attrs
from ..suggestions import suggestion
from .combinations import Findings, findings
from .events import Events
from .library import Model, load_model
from .solving import Outcome, solve

if TYPE_CHECKING:
    import xarray as xr

TIGHT, TIGHTER = 1e-9, 1e-11
SAFETY = 30.0
FACTOR = 3.0
PER_PHASE = 40
# A file that cannot be solved is told in bounded time: at these tolerances a smooth model takes a thousand steps.
ATTEMPTS, MOST_STEPS = 4, 20_000
ALL = "all outputs"
EPS = float(np.finfo(np.float64).eps)


def identifiability(
    model: str | Path | Model,
    /,
    *,
    outputs: Sequence[str] | None = None,
    points: int = 5,
    seed: int = 0,
    times: Any = None,
    inputs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Tell which parameters the outputs of a model determine, and which combinations where they cannot be told apart.

    The answer is structural and local: data without error, at any times, of one patient with the doses and covariates
    of `inputs`. A finite number of other solutions (the flip-flop of two rates) is not ruled out, and a parameter may
    be identifiable here and hardly estimable from real samples.

    Parameters
    ----------
    model : str, Path or Model
        A model's name, a file's path, or what `load_model` returned.
    outputs : sequence of str, optional
        Which outputs; default all of the file. Each is judged alone, and all of them together.
    points : int
        Number of random parameter vectors, each within a factor of 3 of the file's values and inside the bounds. The
        rank is the largest of theirs.
    seed : int
        Seed of these.
    times : array_like, optional
        Times of the grid, in the model's unit; default 40 in every phase, the last one as long as the
        file's examples or its slowest rate suggest.
    inputs : mapping, optional
        Doses, covariates and constants as in `Model.evaluate`; default the file's.

    Returns
    -------
    Dataset
        Over `observed` (each output, and "all outputs" where there are several): ``rank``; ``identifiable`` and
        ``acts`` (observed, parameter) of 0 and 1; ``singular_value`` (observed, point, direction) of the matrix with
        columns of length 1, relative to the largest, and ``threshold`` (observed, point) below which they count as
        0; ``finding`` (observed, number), a sentence for each group of parameters that cannot be told apart, "" where
        there are fewer; ``combination`` (observed, which), what is determined of them, such as ``KT^1 * T0^-1``, with
        its ``exponents`` (observed, which, parameter), NaN where it is a sum; ``value`` (point, parameter), the points.

    Raises
    ------
    InputError
        An unknown output or input, or equations that cannot be solved near the file's values.

    Examples
    --------
    >>> found = identifiability("stein2019", points=2)
    >>> int(found["rank"].sel(observed="level"))
    6
    """
    import xarray as xr

    loaded = load_model(model)
    known = list(loaded.specification.outputs)
    for name in [outputs] if isinstance(outputs, str) else outputs or []:
        if name not in known:
            raise InputError(f"model '{loaded.name}' has no output '{name}'{suggestion(name, known)}")
    wanted = known if outputs is None else [outputs] if isinstance(outputs, str) else list(dict.fromkeys(outputs))
    points = whole_number("points", points, least=1)
    slopes = _sensitivities(loaded, wanted, points, whole_number("seed", seed, least=0), times, inputs or {})
    observed = {name: [at] for at, name in enumerate(wanted)}
    if len(wanted) > 1:
        observed[ALL] = list(range(len(wanted)))
    judged = [_judge(loaded, slopes, which) for which in observed.values()]
    names = list(loaded.parameters)
    sentences = _padded([one.findings.sentences for one in judged])
    combinations = _padded([[found.text for found in one.findings.combinations] for one in judged])
    exponents = np.full((*combinations.shape, len(names)), np.nan)
    for row, one in enumerate(judged):
        for at, found in enumerate(one.findings.combinations):
            if found.exponents:
                exponents[row, at] = [found.exponents.get(name, 0) for name in names]
    return xr.Dataset(
        {
            "rank": ("observed", np.array([one.rank for one in judged])),
            "identifiable": (
                ("observed", "parameter"),
                np.array([one.findings.identifiable for one in judged], np.int8),
            ),
            "acts": (("observed", "parameter"), np.array([one.acts for one in judged], np.int8)),
            "singular_value": (("observed", "point", "direction"), np.array([one.singular for one in judged])),
            "threshold": (("observed", "point"), np.array([one.threshold for one in judged])),
            "finding": (("observed", "number"), sentences),
            "combination": (("observed", "which"), combinations),
            "exponents": (("observed", "which", "parameter"), exponents),
            "value": (("point", "parameter"), slopes.theta),
        },
        coords={"observed": list(observed), "parameter": names, "point": np.arange(points)},
        attrs=result_attrs(
            title=f"structural identifiability of {loaded.name}",
            settings={
                "model": loaded.name,
                "outputs": wanted,
                "points": points,
                "seed": seed,
                "factor": FACTOR,
                "times": None if times is None else number_array("times", times),
                "inputs": {} if inputs is None else dict(inputs),
                "rtol": [TIGHT, TIGHTER],
                "safety": SAFETY,
            },
            model_hash=loaded.hash,
        ),
    )


@dataclass(frozen=True)
class _Slopes:
    """d ln(output) / d u (sample, output, parameter) per point, u the scale of estimation; at two tolerances.

    A point where a phase is empty has fewer samples than the others.
    """

    exact: list[np.ndarray]
    rough: list[np.ndarray]
    theta: np.ndarray
    natural: np.ndarray  # d parameter / d u (point, parameter)


@dataclass(frozen=True)
class _Judged:
    rank: int
    singular: np.ndarray
    threshold: np.ndarray
    acts: np.ndarray
    findings: Findings


def _padded(rows: list[list[str]]) -> np.ndarray:
    """Return rows of words as a table, "" where a row is shorter."""
    table = np.full((len(rows), max(map(len, rows))), "", dtype=object)
    for at, row in enumerate(rows):
        table[at, : len(row)] = row
    return table


def _judge(model: Model, slopes: _Slopes, which: list[int]) -> _Judged:
    """Judge some outputs together."""
    points, n = slopes.theta.shape
    ranks = np.zeros(points, int)
    bases: list[np.ndarray] = []
    scales: list[np.ndarray] = []
    singular, threshold = np.zeros((points, n)), np.zeros(points)
    acts = np.zeros(n, bool)
    for k in range(points):
        exact = slopes.exact[k][:, which].reshape(-1, n)
        error = exact - slopes.rough[k][:, which].reshape(-1, n)
        # What rounding alone leaves of a column, where both tolerances agree to the last digit.
        rounding = EPS * np.sqrt(len(exact)) * np.maximum(np.linalg.norm(exact, axis=0), 1.0)
        noise = np.linalg.norm(error, axis=0) + rounding
        length = np.linalg.norm(exact, axis=0)
        moves = length > SAFETY * noise
        acts |= moves
        scale = np.where(moves, 1.0 / np.where(moves, length, 1.0), 0.0)
        limit = SAFETY * (np.linalg.norm(error * scale, 2) + EPS * np.sqrt(exact.size)) if moves.any() else 1.0
        _, values, directions = np.linalg.svd(exact * scale, full_matrices=True)
        full = np.zeros(n)
        full[: len(values)] = values
        ranks[k] = int((full > limit).sum())
        top = full[0] or 1.0
        singular[k], threshold[k] = full / top, limit / top
        bases.append(directions[ranks[k] :].T)
        scales.append(np.where(moves, scale, 1.0))
    rank = int(ranks.max())
    best = [k for k in range(points) if ranks[k] == rank]  # elsewhere by accident, or in a regime of less influence
    said = findings(
        list(model.parameters),
        acts,
        np.array([parameter.transform == "log" for parameter in model.parameters.values()]),
        [bases[k] for k in best],
        [scales[k] for k in best],
        [slopes.natural[k] for k in best],
    )
    return _Judged(rank, singular, threshold, acts, said)


def _sensitivities(
    model: Model, outputs: list[str], points: int, seed: int, times: Any, inputs: Mapping[str, Any]
) -> _Slopes:
    """Return the sensitivities at random points; a point where the equations cannot be solved is drawn again."""
    generator = np.random.default_rng(seed)
    free = np.arange(len(model.parameters))
    found: dict[str, list[np.ndarray]] = {"exact": [], "rough": [], "theta": [], "natural": []}
    reason = ""
    for _ in range(ATTEMPTS * points):
        drawn, natural = _draw(model, generator)
        theta, _ = model.natural_parameters(drawn, inputs)
        theta = np.atleast_2d(theta)
        grid = _grid(model, theta) if times is None else number_array("times", times).ravel()
        events = Events.of_inputs(model, 1, inputs)
        pair = []
        for rtol in (TIGHT, TIGHTER):
            pair.append(
                solve(
                    model, grid[None], theta, outputs=outputs, events=events, free=free, rtol=rtol, max_steps=MOST_STEPS
                )
            )
            if pair[-1].codes[0] != Outcome.solved:
                break
        if pair[-1].codes[0] != Outcome.solved:
            reason = Outcome(int(pair[-1].codes[0])).sentence
            continue
        rough, exact = (_relative(one.values[0], one.gradient[0], natural) for one in pair if one.gradient is not None)
        usable = np.isfinite(exact) & np.isfinite(rough)
        for key, value in (
            ("exact", np.where(usable, exact, 0.0)),
            ("rough", np.where(usable, rough, 0.0)),
            ("theta", np.array(list(drawn.values()))),
            ("natural", natural),
        ):
            found[key].append(value)
        if len(found["theta"]) == points:
            theta, natural = np.array(found["theta"]), np.array(found["natural"])
            return _Slopes(found["exact"], found["rough"], theta, natural)
    raise InputError(
        f"model '{model.name}' cannot be solved at {points} random points near its file's values: {reason}"
    )


def _relative(values: np.ndarray, gradient: np.ndarray, natural: np.ndarray) -> np.ndarray:
    """Return d ln(output) / d u; where an output is 0 or negative, relative to its largest size instead."""
    finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    largest = finite.max(axis=0)
    size = np.where(values > 1e-250, values, np.where(largest > 0, largest, 1.0))
    return gradient * natural / size[:, :, None]


def _draw(model: Model, generator: np.random.Generator) -> tuple[dict[str, float], np.ndarray]:
    """Return a random value of each parameter near the file's, and its derivative by the scale of estimation."""
    drawn, natural = {}, []
    for name, parameter in model.parameters.items():
        low, high = parameter.bounds
        at = float(generator.uniform(-1.0, 1.0))
        if parameter.transform == "log":
            first, last = np.log(max(low, parameter.value / FACTOR)), np.log(min(high, parameter.value * FACTOR))
            value = float(np.exp(first + (last - first) * (at + 1) / 2))
            natural.append(value)
        elif parameter.transform == "logit":
            share = (parameter.value - low) / (high - low)
            share = 1.0 / (1.0 + (1.0 - share) / share * np.exp(-at * np.log(FACTOR)))
            value = float(low + (high - low) * share)
            natural.append((high - low) * share * (1.0 - share))
        else:
            # A number of any sign has no factor: as far as two thirds of itself, or its random effect.
            width = parameter.sd or abs(parameter.value) * (1.0 - 1.0 / FACTOR) or 1.0
            value = float(np.clip(parameter.value + at * width, low, high))
            natural.append(width)
        drawn[name] = value
    return drawn, np.array(natural)


def _grid(model: Model, theta: np.ndarray) -> np.ndarray:
    """Return times in every phase: from 0 to its end, or to the horizon; none at a switch itself."""
    ends = np.empty((1, len(model.specification.phases) - 1))
    if ends.size:
        model.compiled.phase_ends(theta, ends)
    edges = [0.0, *np.maximum.accumulate(np.maximum(ends[0], 0.0)).tolist()]
    edges.append(edges[-1] + horizon(model))
    share = np.linspace(0.0, 1.0, PER_PHASE + 1)[:-1] + 0.3 / PER_PHASE
    pieces = [first + (last - first) * share for first, last in itertools.pairwise(edges) if last > first]
    early = edges[-1] * np.geomspace(1e-5, 1e-2, 8)  # what is quick against the horizon
    return np.unique(np.concatenate([[0.0], early, *pieces]))


def horizon(model: Model) -> float:
    """Return how long a model is worth looking at after its last switch, in its unit of time.

    The last time of the file's examples; without one, three times its slowest rate's inverse or its longest time.

    Examples
    --------
    >>> horizon(load_model("stein2019"))
    365.0
    """
    latest = [max(example.times) for example in model.specification.example if example.times]
    if latest and max(latest) > 0:
        return float(max(latest))
    unit = model.specification.time_unit
    rates = [1 / p.value for p in model.parameters.values() if p.unit == f"1/{unit}" and p.value > 0]
    spans = [p.value for p in model.parameters.values() if p.unit == unit and p.value > 0]
    return 3.0 * max([*rates, *spans], default=30.0)
