"""Several results of one sample: which is reportable, and why."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from typing import Any, Literal, get_args

from ..schema import UNUSABLE_STATUSES, Status, Verdict
from .controls import ISR
from .levels import SampleResult
from .verdicts import REPEATS

Repeats = Literal["refuse", "original_unless_failed", "mean", "median_of_three"]
POLICIES: tuple[str, ...] = get_args(Repeats)


def reportable(
    results: Sequence[SampleResult], policy: Repeats
) -> tuple[SampleResult, list[dict[str, Any]], tuple[int, ...]]:
    """Return a sample's reportable result, a verdict that says which it is and why, and whose it is.

    Parameters
    ----------
    results : sequence of SampleResult
        The sample's results, one a run and dilution. Those of an incurred-sample reanalysis are never reported.
    policy : {"refuse", "original_unless_failed", "mean", "median_of_three"}
        As in `quantify`.

    Returns
    -------
    tuple of SampleResult, list of dict, tuple of int
        The verdicts are empty where there is one result; the indices are those of the results that the reported
        one is made of, none where it could not be decided.

    Notes
    -----
    The original is the first by run id, where numbers count as such: "run 2" is before "run 10". A mean's
    `se_well` is made greater where the results are further apart than their errors say.
    """
    own = [at for at, result in enumerate(results) if result.purpose != ISR]
    if not own:
        why = "measured for incurred-sample reanalysis only, which is never reported"
        return _copy(results[0], Status.invalid, why), [], ()
    if len(own) == 1:
        return results[own[0]], [], (own[0],)
    mine = sorted((results[at] for at in own), key=lambda result: _natural(result.run_id))
    valid = [result for result in mine if result.status not in UNUSABLE_STATUSES]
    numbers = [result for result in valid if result.status is Status.quantified]
    above = [result for result in valid if result.status is Status.above_uloq]
    if numbers and above:
        # The rerun at a higher dilution is what was asked for.
        valid = [result for result in valid if result.status is not Status.above_uloq]
    if not valid:
        runs = ", ".join(dict.fromkeys(result.run_id for result in mine))
        chosen = _copy(mine[0], mine[0].status, f"no valid result (runs {runs}): {mine[0].reason}")
        return chosen, [_note(mine, chosen, Verdict.failed)], ()

    def report(chosen: SampleResult, why: str, *parts: SampleResult) -> Any:
        kept, notes = _with(chosen, why, mine)
        return kept, notes, tuple(at for at in own if any(results[at] is part for part in parts or (chosen,)))

    if len(valid) == 1:
        why = f"the only valid result of {len(mine)}"
        if above and valid[0].status is Status.quantified:
            why = f"quantified where {len(above)} other result(s) are above the ULOQ"
        return report(valid[0], why)
    listed = ", ".join(_described(result) for result in valid)
    quantified = all(result.status is Status.quantified for result in valid)
    if policy == "original_unless_failed":
        return report(valid[0], f"the first of {len(mine)} results by run id that has not failed")
    if policy == "mean":
        if quantified:
            return report(_mean(valid), f"the mean of {len(valid)} valid results ({listed})", *valid)
        text = f"repeats are not all quantified ({listed}), so they have no mean: decide which counts"
    elif policy == "median_of_three":
        if quantified and len(valid) == 3:
            middle = sorted(valid, key=lambda result: result.level)[1]
            return report(middle, f"the median of three valid results ({listed})")
        text = f"the median of three needs three quantified results ({listed}): measure again, or decide which counts"
    else:
        text = f"{len(valid)} valid results ({listed}): choose which counts with repeats="
    chosen = _copy(valid[0], Status.invalid, text)
    return chosen, [_note(mine, chosen, Verdict.failed)], ()


def _natural(run_id: str) -> list[tuple[int, int, str]]:
    """Return a run id as it is sorted.

    Examples
    --------
    >>> sorted(["run 10", "run 2"], key=_natural)
    ['run 2', 'run 10']
    """
    parts = re.findall(r"\d+|\D+", run_id)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _described(result: SampleResult) -> str:
    if result.status is Status.quantified:
        return f"{result.run_id} {result.level:.4g} copies/ug"
    return f"{result.run_id} {result.status.name}"


def _copy(result: SampleResult, status: Status, reason: str) -> SampleResult:
    return SampleResult(
        result.run_id,
        result.target,
        result.sample_id,
        status,
        reason,
        lod=result.lod,
        lloq=result.lloq,
        uloq=result.uloq,
    )


def _mean(results: Sequence[SampleResult]) -> SampleResult:
    """Return the mean level; errors of ln(mean) come from the results' relative errors, weighted by their levels."""
    n = len(results)
    level = sum(result.level for result in results) / n
    runs = dict.fromkeys(result.run_id for result in results)
    # A run's shared error is one for all its results; wells and runs are independent.
    shared = [sum(r.se_plate * r.level for r in results if r.run_id == run) for run in runs]
    se_plate = math.hypot(*shared) / (n * level)
    se_well = math.hypot(*(r.se_well * r.level for r in results)) / (n * level)
    apart = statistics.stdev(result.level for result in results) / math.sqrt(n) / level
    se_well = max(se_well, math.sqrt(max(0.0, apart**2 - se_plate**2)))
    return SampleResult(
        "+".join(runs),
        results[0].target,
        results[0].sample_id,
        Status.quantified,
        level=level,
        lod=max(result.lod for result in results),
        lloq=max(result.lloq for result in results),
        uloq=min(result.uloq for result in results),
        se_well=se_well,
        se_plate=se_plate,
    )


def _with(chosen: SampleResult, why: str, results: Sequence[SampleResult]) -> tuple[SampleResult, list[dict[str, Any]]]:
    reason = f"{chosen.reason}; {why}" if chosen.reason else why
    kept = SampleResult(**{**chosen.__dict__, "reason": reason})
    return kept, [_note(results, kept, Verdict.passed)]


def _note(results: Sequence[SampleResult], chosen: SampleResult, outcome: Verdict) -> dict[str, Any]:
    listed = "; ".join(_described(result) for result in results)
    return {
        "rule": REPEATS,
        "run_id": chosen.run_id,
        "target": chosen.target,
        "sample_id": chosen.sample_id,
        "value": float(len(results)),
        "outcome": outcome,
        "message": f"{chosen.reason} (all results: {listed})",
        "source": "policy repeats= of quantify",
    }
