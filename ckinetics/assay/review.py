"""Findings in a patient's series that a person should look at; nothing is removed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..schema import BLQ_STATUSES, Status, Verdict
from .rules import Rule, Rules
from .verdicts import verdict

_POSITIVE = (Status.quantified, Status.above_uloq)


def series_verdicts(rows: Sequence[Mapping[str, Any]], rules: Rules) -> list[dict[str, Any]]:
    """Return the verdicts on positive samples before the infusion, and on isolated positive ones among negative ones.

    Parameters
    ----------
    rows : sequence of mapping
        One a sample: ``patient``, ``matrix``, ``time``, ``status``, ``sample_id``, ``plate``, ``level`` and, where
        the time since the infusion is not known yet, ``collected``.
    rules : Rules
        Acceptance criteria: ``late_positive`` and ``predose_positive``.

    Notes
    -----
    A quantified sample is an isolated late positive where at least so many samples as the rule says were below the
    LLOQ right before it, and the next one is again or there is none. The rise after the infusion is no such thing:
    a series that was never positive before is flagged only where the next sample is below the LLOQ.
    """
    series: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        series[row["patient"], row["matrix"]].append(row)
    out: list[dict[str, Any]] = []
    for (patient, matrix), own in sorted(series.items()):
        name = f"patient '{patient}', {matrix}"
        timed = [row for row in own if math.isfinite(row["time"])]
        out += _predose(name, timed, rules["predose_positive"])
        if len(timed) == len(own):
            out += _late(name, sorted(own, key=lambda row: row["time"]), rules["late_positive"])
        elif all(not _unknown(row) for row in own):
            out += _late(name, sorted(own, key=lambda row: row["collected"]), rules["late_positive"])
        else:
            out += _late(name, sorted(timed, key=lambda row: row["time"]), rules["late_positive"])
    return out


def _unknown(row: Mapping[str, Any]) -> bool:
    return bool(np.isnat(row.get("collected", np.datetime64("NaT"))))


def _about(row: Mapping[str, Any]) -> dict[str, str]:
    return {"run_id": str(row["plate"]), "target": str(row.get("target", "")), "sample_id": str(row["sample_id"])}


def _moment(row: Mapping[str, Any]) -> str:
    if math.isfinite(row["time"]):
        return f"day {row['time']:g}"
    return f"collected {np.datetime_as_string(row['collected'], unit='m')}"


def _predose(name: str, own: Sequence[Mapping[str, Any]], rule: Rule) -> list[dict[str, Any]]:
    seen = (*_POSITIVE, Status.detected_below_lloq)
    out = []
    for row in sorted(own, key=lambda row: row["time"]):
        if row["time"] <= 0 and row["status"] in seen:
            words = f"{rule.meaning}: {name}, {_moment(row)}, {Status(row['status']).name}"
            out.append(_flag(rule, float(row["level"]), row, words))
    return out


def _late(name: str, own: Sequence[Mapping[str, Any]], rule: Rule) -> list[dict[str, Any]]:
    known = [row for row in own if row["status"] in (*_POSITIVE, *BLQ_STATUSES)]
    out, below, risen = [], 0, False
    for at, row in enumerate(known):
        if row["status"] in BLQ_STATUSES:
            below += 1
            continue
        last = at + 1 == len(known)
        falls = not last and known[at + 1]["status"] in BLQ_STATUSES
        if below >= rule.low and (falls or (last and risen)):
            words = f"isolated late positive: {name}, {_moment(row)}, after {below} samples below the LLOQ"
            out.append(_flag(rule, float(below), row, words))
        below, risen = 0, True
    return out


def _flag(rule: Rule, value: float, row: Mapping[str, Any], words: str) -> dict[str, Any]:
    entry = verdict(rule, value, _about(row))
    return entry | {"outcome": Verdict.failed, "message": f"{words}: look at it"}
