"""Directions in which parameters can move without changing an output, put into words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

# Entries of null vectors are known to about 1e-6; a fraction must fit far better than fractions lie apart.
FIT = 1e-4
LARGEST_DENOMINATOR = 12
# Share of a null direction below which a parameter has no part in it.
PART = 1e-6


@dataclass(frozen=True)
class Combination:
    """A combination of parameters that is determined although they are not.

    Attributes
    ----------
    text : such as ``KT^1 * T0^-1`` or ``ka + ke``
    exponents : the powers by parameter; empty where it is a sum
    """

    text: str
    exponents: dict[str, int]


@dataclass(frozen=True)
class Findings:
    """What a null space means: a sentence for each group of parameters, and what is determined in all of them."""

    sentences: list[str]
    combinations: list[Combination]
    identifiable: np.ndarray


def findings(
    names: Sequence[str],
    acts: np.ndarray,
    on_log: np.ndarray,
    bases: Sequence[np.ndarray],
    to_estimation: Sequence[np.ndarray],
    to_natural: Sequence[np.ndarray],
) -> Findings:
    """Return what the null spaces at several points say.

    Parameters
    ----------
    names
        The parameters.
    acts, on_log
        Per parameter: whether it changes anything, whether it is estimated as its logarithm.
    bases
        Per point: an orthonormal basis (parameter, direction) of the null space.
    to_estimation, to_natural
        Per point: the factors that bring a direction to the scale of estimation, and from there to the natural one.
    """
    projectors = [basis @ basis.T for basis in bases]
    mean = np.mean(projectors, axis=0)
    identifiable = np.diag(mean) < PART
    sentences, combinations = [], []
    still = [name for name, act in zip(names, acts, strict=True) if not act]
    if still:
        sentences.append(f"{_listed(still)} {'does' if len(still) == 1 else 'do'} not act")
    for group in _groups(mean, [at for at in range(len(names)) if acts[at] and not identifiable[at]]):
        own = [names[at] for at in group]
        # Where one point has fewer directions than another, the generic number is the smallest.
        spaces = [_basis(projector[np.ix_(group, group)]) for projector in projectors]
        count = min(space.shape[1] for space in spaces)
        estimation = [factor[group, None] * space for factor, space in zip(to_estimation, spaces, strict=True)]
        natural = [factor[group, None] * space for factor, space in zip(to_natural, estimation, strict=True)]
        determined = _common_fractions(estimation, count) if on_log[group].all() else None
        found = None if determined is None else [_product(own, row) for row in determined]
        if found is None:
            determined = _common_fractions(natural, count)
            found = None if determined is None else [_sum(own, row) for row in determined]
        apart = f"{_listed(own)} cannot be told apart"
        if found is None:
            free = f"{count} combination{'s' if count > 1 else ''}"
            sentences.append(f"{apart}: {free} of them can be anything (no product of powers, no sum)")
        elif not found:  # each acts somewhere, and less than what the others leave undetermined
            sentences.append(f"nothing of {_listed(own)} is determined beside the others")
        else:
            combinations += found
            one = len(found) == 1
            sentences.append(f"{apart}: only {_listed([c.text for c in found])} {'is' if one else 'are'} determined")
    return Findings(sentences, combinations, identifiable)


def _groups(mean: np.ndarray, members: list[int]) -> list[list[int]]:
    """Return members that share directions, each group in the order of the file."""
    groups: list[list[int]] = []
    left = list(members)
    while left:
        group = [left.pop(0)]
        for at in group:
            near = [other for other in left if abs(mean[at, other]) > PART]
            group += near
            left = [other for other in left if other not in near]
        groups.append(sorted(group))
    return groups


def _basis(projector: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(projector)
    return vectors[:, values > 0.5]


def _common_fractions(spaces: list[np.ndarray], count: int) -> list[list[int]] | None:
    """Return whole numbers w with w·v = 0 for every direction v, where the directions are the same at all points.

    None where they are not, or are no vectors of small fractions.
    """
    size = len(spaces[0])
    missed = np.zeros((size, size))
    for space in spaces:
        ortho = np.linalg.qr(space)[0]
        missed += np.eye(size) - ortho @ ortho.T
    values, vectors = np.linalg.eigh(missed / len(spaces))
    if (values < FIT**2 * size).sum() != count:
        return None
    reduced, pivots = _reduced(vectors[:, :count].T)
    fractions = [[Fraction(float(x)).limit_denominator(LARGEST_DENOMINATOR) for x in row] for row in reduced]
    if np.abs(reduced - np.array(fractions, dtype=float)).max() > FIT:
        return None
    # From [I | A] the complement is [-A' | I].
    rows = []
    for free in (at for at in range(size) if at not in pivots):
        row = [Fraction(0)] * size
        row[free] = Fraction(1)
        for pivot, line in zip(pivots, fractions, strict=True):
            row[pivot] = -line[free]
        whole = math.lcm(*(value.denominator for value in row))
        sign = 1 if next(value for value in row if value) > 0 else -1
        rows.append([int(value * whole) * sign for value in row])
    return rows


def _reduced(rows: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the reduced echelon form, and the column of each row's 1."""
    matrix = rows.copy()
    pivots: list[int] = []
    for at in range(len(matrix)):
        sizes = np.abs(matrix[at:]).max(axis=0)
        sizes[pivots] = 0.0
        column = int(np.flatnonzero(sizes > 0.9 * sizes.max())[0])  # the first of those of one size
        best = at + int(np.abs(matrix[at:, column]).argmax())
        matrix[[at, best]] = matrix[[best, at]]
        matrix[at] /= matrix[at, column]
        for other in range(len(matrix)):
            if other != at:
                matrix[other] -= matrix[other, column] * matrix[at]
        pivots.append(column)
    return matrix, pivots


def _product(names: list[str], powers: list[int]) -> Combination:
    used = {name: power for name, power in zip(names, powers, strict=True) if power}
    return Combination(" * ".join(f"{name}^{power}" for name, power in used.items()), used)


def _sum(names: list[str], weights: list[int]) -> Combination:
    parts: list[str] = []
    for name, weight in zip(names, weights, strict=True):
        if weight:
            sign = "-" if weight < 0 else "+"
            size = "" if abs(weight) == 1 else f"{abs(weight)}*"
            parts.append(f"{sign} {size}{name}" if parts else f"{'-' if weight < 0 else ''}{size}{name}")
    return Combination(" ".join(parts), {})


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
