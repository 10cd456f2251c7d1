"""Findings in a patient's series that a person should look at; nothing is removed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..schema import BLQ_STATUSES, Status, Verdict
from .rules import Rules
from .verdicts import verdict

_POSITIVE = (Status.quantified, Status.above_uloq)


def series_verdicts(rows: Sequence[Mapping[str, Any]], rules: Rules) -> list[dict[str, Any]]:
    """Return the verdicts on positive samples before the infusion, and on a positive one after several below the LLOQ.

    Parameters
    ----------
    rows : sequence of mapping
        One a sample: ``patient``, ``matrix``, ``time``, ``status``, ``sample_id``, ``plate``, ``level``.
    rules : Rules
        Acceptance criteria: ``late_positive`` and ``predose_positive``.
    """
    series: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if math.isfinite(row["time"]):
            series[row["patient"], row["matrix"]].append(row)
    out: list[dict[str, Any]] = []
    for (patient, matrix), own in sorted(series.items()):
        own.sort(key=lambda row: row["time"])
        out += _predose(patient, matrix, own, rules)
        out += _late(patient, matrix, own, rules)
    return out


def _about(row: Mapping[str, Any]) -> dict[str, str]:
    return {"run_id": str(row["plate"]), "target": "", "sample_id": str(row["sample_id"])}


def _predose(patient: str, matrix: str, own: Sequence[Mapping[str, Any]], rules: Rules) -> list[dict[str, Any]]:
    seen = (*_POSITIVE, Status.detected_below_lloq)
    rule, out = rules["predose_positive"], []
    for row in own:
        if row["time"] <= 0 and row["status"] in seen:
            words = f"patient '{patient}', {matrix}, day {row['time']:g}: {Status(row['status']).name}"
            entry = verdict(rule, float(row["level"]), _about(row), why=words, high=0.0)
            out.append(_flag(entry, f"{rule.meaning}: {words}"))
    return out


def _late(patient: str, matrix: str, own: Sequence[Mapping[str, Any]], rules: Rules) -> list[dict[str, Any]]:
    rule, out = rules["late_positive"], []
    below, risen = 0, False
    for at, row in enumerate(own):
        status = row["status"]
        if status in BLQ_STATUSES:
            below += 1
        elif status in _POSITIVE:
            following = [later["status"] for later in own[at + 1 :] if later["status"] in (*_POSITIVE, *BLQ_STATUSES)]
            isolated = not following or following[0] in BLQ_STATUSES
            if risen and below >= rule.low and isolated:
                words = f"patient '{patient}', {matrix}, day {row['time']:g}, after {below} samples below the LLOQ"
                out.append(
                    _flag(verdict(rule, float(below), _about(row), why=words), f"isolated late positive: {words}")
                )
            risen, below = True, 0
    return out


def _flag(entry: dict[str, Any], message: str) -> dict[str, Any]:
    entry["outcome"], entry["message"] = Verdict.failed, f"{message}: look at it"
    return entry
