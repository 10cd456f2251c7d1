"""What is said of a patient's fit, in one sentence."""

from __future__ import annotations

import numpy as np

from ..kernels.fit.likelihood import QUANTIFIED
from ..kernels.fit.objective import AT, KIND, N_SAMPLES, NOISE, OUTPUT
from .codes import Convergence
from .fitted import Fitted

_NOT_FITTED = {
    Convergence.no_quantified_sample: "no quantified sample, so no curve can be fitted",
    Convergence.not_computable: "the model's curve cannot be computed at any start (not a number, negative where "
    "the residual error is of ln(level), or equations that cannot be integrated): give initial={...}, or fix a "
    "parameter",
    Convergence.not_converged: "not converged: the estimates are where the search stopped; try more starts, or fix a "
    "parameter",
    Convergence.flat: "the search stopped where the likelihood does not depend on a parameter, so the estimates cannot "
    "be trusted: try more starts or another initial={...}",
}


def messages(fitted: Fitted) -> list[str]:
    """Return what is to be said of each patient's fit."""
    lacking, doubtful = _without_counting(fitted), _doubtful(fitted)
    unused = [s.count("unused") for s in fitted.series]
    out = []
    for row in range(len(fitted.codes)):
        parts = _code_in_words(fitted, row)
        if doubtful[row]:
            parts += _doubts(fitted, row)
        if lacking[row]:
            one = lacking[row] == 1
            parts.append(
                f"{lacking[row]} sample{'' if one else 's'} without lod {'has' if one else 'have'} no counting error"
            )
        for name, samples, count in zip(fitted.problem.outputs, fitted.series, unused, strict=True):
            if count[row]:
                parts.append(f"{name}: " * (len(unused) > 1) + samples.unused_in_words(row))
        out.append("; ".join(parts))
    return out


def _code_in_words(fitted: Fitted, row: int) -> list[str]:
    code, scale = Convergence(int(fitted.codes[row])), fitted.problem.scale
    if code == Convergence.too_few_samples:
        n, prior = int(fitted.counts[row]), fitted.problem.prior
        return [
            f"{n} usable sample{'' if n == 1 else 's'} cannot determine {scale.free.sum()} parameters"
            f"{', even with the prior' if prior else ''}: fix some with fixed={{...}}"
            f"{'' if prior else ', or use prior=' + chr(34) + 'file' + chr(34)}"
        ]
    return [_NOT_FITTED.get(code, "converged")]


def _without_counting(fitted: Fitted) -> np.ndarray:
    """Return how many samples of each patient have no counting error where others have one, for want of a LOD."""
    noise = fitted.data.values[:, NOISE]
    if not (noise > 0).any():
        return np.zeros(len(noise), dtype=np.int64)
    real = np.arange(noise.shape[1]) < fitted.data.counts[:, N_SAMPLES, None]
    return np.asarray((real & (noise == 0)).sum(axis=1))


def _doubtful(fitted: Fitted) -> np.ndarray:
    """Return of which converged fits something is on a kink, at a bound, or not determined."""
    odd = np.isfinite(fitted.found.kinks).any(axis=1) | (fitted.at_lower | fitted.at_upper).any(axis=1)
    odd |= fitted.through_samples | np.isnan(fitted.se_log[:, fitted.problem.scale.free]).any(axis=1)
    return np.asarray(odd & ~np.isin(fitted.codes, [*_NOT_FITTED, Convergence.too_few_samples]))


def _doubts(fitted: Fitted, row: int) -> list[str]:
    """Say what of a fit is on a kink, at a bound, or not determined."""
    problem, scale = fitted.problem, fitted.problem.scale
    names = np.array(scale.names)
    parts = []
    kinked = [
        str(names[place]) for at, place in enumerate(problem.switches) if np.isfinite(fitted.found.kinks[row, at])
    ]
    for at, place in enumerate(problem.switches):
        if np.isfinite(fitted.found.kinks[row, at]):
            parts.append(
                f"{names[place]} stands on the sample at {fitted.found.kinks[row, at]:g} "
                f"{problem.model.specification.time_unit}, where the likelihood has a kink: no standard error for it, "
                "and the others hold it there"
            )
    for edges, word in ((fitted.at_lower, "lower"), (fitted.at_upper, "upper")):
        if edges[row].any():
            parts.append(
                f"{' and '.join(names[edges[row]])} at the {word} bound, and held there by the other standard errors"
            )
    if fitted.through_samples[row]:
        exact = fitted.at_lower[row, scale.n_curve :]
        parts.append(
            f"the curve goes through the quantified samples, so {' and '.join(names[scale.n_curve :][exact])} and all "
            "standard errors are not determined: fix parameters"
        )
        return parts
    said = fitted.at_lower[row] | fitted.at_upper[row] | np.isin(names, kinked)
    lost = names[scale.free & np.isnan(fitted.se_log[row]) & ~said]
    if len(lost):
        curve = np.isin(lost, names[: scale.n_curve]).any()
        parts.append(f"not estimable: {', '.join(lost)}{_why(fitted, row) if curve else ''}")
    return parts


def _why(fitted: Fitted, row: int) -> str:
    """Return which phases of a patient hold no quantified sample, with their times, in brackets."""
    spec, first = fitted.problem.model.specification, fitted.series[0]
    ends = fitted.problem.phase_ends(fitted.theta[row : row + 1], fitted.constants[row : row + 1])[0]
    data = fitted.data
    marks = data.marks[row, :, : data.counts[row, N_SAMPLES]]
    quantified = (marks[OUTPUT] == 0) & (marks[KIND] == QUANTIFIED)
    times = data.times[row, marks[AT, quantified]]
    place = np.searchsorted(ends, times, side="right")
    empty = [at for at in range(len(spec.phases)) if not (place == at).any()]
    if not empty:
        return _censored_in_words(fitted, row)
    words = []
    for at in empty:
        begin, end = ends[at - 1] if at else 0.0, ends[at] if at < len(ends) else np.inf
        span = f"after {spec.time_unit} {begin:.3g}" if end == np.inf else f"before {spec.time_unit} {end:.3g}"
        words.append(f"the phase {spec.phases[at].name}, {span}")
    return f" (no quantified {first.matrix or 'sample'}{' sample' if first.matrix else ''} in {' and '.join(words)})"


def _censored_in_words(fitted: Fitted, row: int) -> str:
    """Return how many of a patient's samples are censored, in brackets; "" where they are too few to be the reason."""
    censored = int(fitted.count("censored")[row])
    few = 4 * censored < fitted.counts[row]
    return "" if few else (f" ({censored} of {fitted.counts[row]} samples {'is' if censored == 1 else 'are'} censored)")
