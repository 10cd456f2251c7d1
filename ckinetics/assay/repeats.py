"""Several results of one sample: which is reportable, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

from ..schema import UNUSABLE_STATUSES, Status, Verdict
from .levels import SampleResult
from .verdicts import REPEATS

Repeats = Literal["refuse", "first_valid", "mean"]
POLICIES: tuple[str, ...] = get_args(Repeats)


def reportable(results: Sequence[SampleResult], policy: Repeats) -> tuple[SampleResult, list[dict[str, Any]]]:
    """Return a sample's reportable result, and a verdict that says which it is and why.

    Parameters
    ----------
    results : sequence of SampleResult
        The sample's results, one a run and dilution, sorted by run id.
    policy : {"refuse", "first_valid", "mean"}
        As in `quantify`.

    Returns
    -------
    tuple of SampleResult and list of dict
        The verdicts are empty where there is one result.
    """
    if len(results) == 1:
        return results[0], []
    valid = [result for result in results if result.status not in UNUSABLE_STATUSES]
    numbers = [result for result in valid if result.status is Status.quantified]
    above = [result for result in valid if result.status is Status.above_uloq]
    if numbers and above:
        # The rerun at a higher dilution is what was asked for.
        valid = [result for result in valid if result.status is not Status.above_uloq]
    if not valid:
        runs = ", ".join(dict.fromkeys(result.run_id for result in results))
        chosen = _copy(results[0], results[0].status, f"no valid result (runs {runs}): {results[0].reason}")
        return chosen, [_note(results, chosen, Verdict.failed)]
    if len(valid) == 1:
        chosen = valid[0]
        why = f"the only valid result of {len(results)}"
        if above and chosen.status is Status.quantified:
            why = f"quantified where {len(above)} other result(s) are above the ULOQ"
        return _with(chosen, why, results)
    if policy == "first_valid":
        return _with(valid[0], f"the first valid of {len(results)} results by run id", results)
    listed = ", ".join(_described(result) for result in valid)
    if policy == "mean":
        if all(result.status is Status.quantified for result in valid):
            return _with(_mean(valid), f"the mean of {len(valid)} valid results ({listed})", results)
        text = f"repeats are not all quantified ({listed}), so they have no mean: decide which counts"
    else:
        text = f"{len(valid)} valid results ({listed}): choose which counts with repeats="
    chosen = _copy(valid[0], Status.invalid, text)
    return chosen, [_note(results, chosen, Verdict.failed)]


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
    n = len(results)
    level = sum(result.level for result in results) / n

    def shared(name: str) -> float:
        # SE of ln(mean): the runs' relative errors are independent, each weighted by its level.
        return math.sqrt(sum((getattr(r, name) * r.level) ** 2 for r in results)) / (n * level)

    runs = dict.fromkeys(result.run_id for result in results)
    plate_errors = {run: [r for r in results if r.run_id == run] for run in runs}
    se_plate = math.sqrt(sum(sum(r.se_plate * r.level for r in own) ** 2 for own in plate_errors.values())) / (
        n * level
    )
    return SampleResult(
        "+".join(runs),
        results[0].target,
        results[0].sample_id,
        Status.quantified,
        level=level,
        lod=max(result.lod for result in results),
        lloq=max(result.lloq for result in results),
        uloq=min(result.uloq for result in results),
        se_well=shared("se_well"),
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
