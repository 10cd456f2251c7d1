"""Manual overrides: what a person decided against the instrument or the rules, with who, when and why.

Nothing is deleted by an override, and no outcome is changed: a well is masked and says by whom, a verdict keeps its
outcome and says who let it pass, a result keeps its copies and says who rejected it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from ..errors import InputError
from ..provenance import sha256_file
from ..schema import Status, Verdict, YesNo
from ..tables import fold, read_table
from .cells import well_of
from .levels import SampleResult
from .rules import FLAGS, KNOWN, Rules
from .verdicts import RANGE, SLOPE_SIGN

Action = Literal["omit", "restore", "reject", "accept"]
ACTIONS: tuple[str, ...] = get_args(Action)
ALIASES: dict[str, tuple[str, ...]] = {
    "action": (),
    "run": ("run_id", "plate"),
    "target": ("target_name",),
    "well": ("well_position", "position"),
    "sample": ("sample_name", "sample_id"),
    "rule": (),
    "by": ("who", "user", "signed_by"),
    "when": ("date", "signed_on"),
    "why": ("reason", "justification"),
}
# What an action can be about, and what it must find.
_FIELDS = {
    "omit": ("well", "sample"),
    "restore": ("well", "sample"),
    "reject": ("sample",),
    "accept": ("sample", "rule"),
}
_NEEDS = {
    "omit": "a well of these names",
    "restore": "a well of these names that was left out on the instrument",
    "reject": "a result of these names",
    "accept": "a verdict of these names that is not passed",
}
# Without a falling curve or a range there is no number that a person could let pass.
_NEVER = (SLOPE_SIGN, RANGE)


@dataclass(frozen=True)
class Override:
    """One decision."""

    row: int
    action: str
    run: str
    target: str
    well: str
    sample: str
    rule: str
    by: str
    when: str
    why: str

    @property
    def words(self) -> str:
        """Who, when and why, in words."""
        return f"by {self.by} on {self.when}: {self.why}"

    def record(self) -> dict[str, Any]:
        """Return it for a run's record."""
        return {name: value for name, value in vars(self).items() if value != ""}


@dataclass
class Overrides:
    """The decisions of one file, and which of them found what they are about."""

    entries: tuple[Override, ...]
    file: str = ""
    sheet: str = ""
    sha256: str = ""
    used: set[int] = field(default_factory=set)

    def error(self, entry: Override, message: str) -> InputError:
        """Return an exception that names the file and row."""
        return InputError(message, file=self.file or "overrides", sheet=self.sheet or None, row=entry.row)

    def apply_to_wells(self, records: Sequence[dict[str, Any]]) -> None:
        """Mask the wells that are to be omitted, and bring back those that the instrument's operator left out."""
        decided: dict[int, Override] = {}
        for entry in self.entries:
            if entry.action not in ("omit", "restore"):
                continue
            for at, record in enumerate(records):
                if not _matches(entry, record) or (entry.action == "restore" and record["omit"] != YesNo.yes):
                    continue
                other = decided.setdefault(at, entry)
                if other is not entry:
                    where = f"well {record['well_name']} of run '{entry.run}'"
                    raise self.error(entry, f"{where} is decided in row {other.row} too: keep one of the two")
                self.used.add(entry.row)
                if entry.action == "omit":
                    record["masked"], record["mask_reason"] = YesNo.yes, f"omitted {entry.words}"
                else:
                    record["omit"], record["masked"] = YesNo.no, YesNo.no
                    record["mask_reason"] = f"brought back {entry.words}"

    def apply_to_verdicts(self, verdicts: Iterable[dict[str, Any]], sample: str = "") -> None:
        """Write down beside each verdict that was let pass who did it, when and why; its outcome stays."""
        for entry in self.entries:
            if entry.action != "accept":
                continue
            for verdict in verdicts:
                if (
                    verdict["rule"] == entry.rule
                    and verdict["run_id"] == entry.run
                    and (not entry.target or verdict["target"] == entry.target)
                    and (not entry.sample or entry.sample in (verdict.get("sample_id", ""), sample))
                    and verdict["outcome"] != Verdict.passed
                ):
                    self.used.add(entry.row)
                    verdict["override"] = f"accepted {entry.words}"

    def rules_for(self, rules: Rules, *, run: str, target: str, sample: str, sample_id: str) -> Rules:
        """Return the rules for one sample on one run: those that were let pass for it cost no level."""
        accepted = {
            entry.rule
            for entry in self.entries
            if entry.action == "accept"
            and entry.run == run
            and entry.target in ("", target)
            and entry.sample in ("", sample, sample_id)
        }
        if not accepted:
            return rules
        by_id = {
            name: replace(rule, fatal=False, required=False) if name in accepted else rule
            for name, rule in rules.by_id.items()
        }
        return replace(rules, by_id=by_id)

    def apply_to_result(self, result: SampleResult) -> None:
        """Take the level of a result that was rejected; its copies and interval stay."""
        for entry in self.entries:
            if entry.action != "reject" or entry.run != result.run_id:
                continue
            if entry.sample not in ("", result.sample, result.sample_id) or entry.target not in ("", result.target):
                continue
            self.used.add(entry.row)
            before = f" ({result.reason})" if result.reason else ""
            result.status, result.reason = Status.invalid, f"rejected {entry.words}{before}"
            result.level = result.se_well = result.se_plate = math.nan

    def refuse_unused(self) -> None:
        """Refuse a decision about something that is not there: it was meant for something else."""
        for entry in self.entries:
            if entry.row not in self.used:
                about = ", ".join(
                    f"{name} '{value}'"
                    for name, value in vars(entry).items()
                    if name in ("run", "target", "well", "sample", "rule") and value
                )
                raise self.error(
                    entry,
                    f"nothing matches the override '{entry.action}' of {about}, which needs "
                    f"{_NEEDS[entry.action]}: correct it",
                )


def _matches(entry: Override, record: dict[str, Any]) -> bool:
    return (
        record["run_id"] == entry.run
        and entry.well in ("", record["well_name"])
        and entry.target in ("", record["target"])
        and entry.sample in ("", record["sample"], record["sample_id"])
    )


def read_overrides(source: str | Path | pd.DataFrame, /) -> Overrides:
    """Read manual overrides.

    Parameters
    ----------
    source : path or DataFrame
        CSV or workbook. Columns ``action``, ``run``, ``by``, ``when`` (an ISO date) and ``why``, all filled in, and
        ``well``, ``sample``, ``target``, ``rule`` as the action needs:

        - "omit": leave a ``well`` (or all wells of a ``sample``) out, of the curve too;
        - "restore": bring back a ``well`` that was left out on the instrument;
        - "reject": the run's results (or those of a ``sample``) are invalid;
        - "accept": a failed ``rule`` of the run (or of a ``sample``) does not cost the level. A curve that does not
          fall, or has no range, cannot be accepted.

    Returns
    -------
    Overrides

    Raises
    ------
    InputError
        An entry is incomplete, its action or rule unknown, or it would accept what cannot be; file and row are named.

    Examples
    --------
    >>> row = {"action": "omit", "run": "p1", "well": "A01", "by": "QA", "when": "2026-02-01", "why": "bubble"}
    >>> read_overrides(pd.DataFrame([row])).entries[0].words
    'by QA on 2026-02-01: bubble'
    """
    table = read_table(source, what="the overrides", aliases=ALIASES)
    for name in ("action", "run", "by", "when", "why"):
        if name not in table:
            raise table.error(None, f"the overrides have no column '{name}': add it, and fill it in")
    for column in map(str, table.frame.columns):
        near = difflib.get_close_matches(fold(column), ALIASES, n=1, cutoff=0.75)
        if column not in ALIASES and near:
            raise table.error(None, f"the overrides' column '{column}' is unknown: did you mean '{near[0]}'?")
    texts = {name: table.texts(name, required=name in ("action", "run", "by", "when", "why")) for name in ALIASES}
    dates = table.datetimes("when")
    entries = []
    for at in range(len(table)):
        one = {name: values[at] for name, values in texts.items()}
        one["action"] = one["action"].lower()
        if one["action"] not in ACTIONS:
            raise table.error(at, f"action '{one['action']}' is unknown: use {', '.join(ACTIONS)}")
        for name in ("well", "sample", "rule"):
            if one[name] and name not in _FIELDS[one["action"]]:
                raise table.error(at, f"'{one['action']}' is of no {name}, and '{one[name]}' is named: empty the cell")
        if one["action"] in ("omit", "restore") and not (one["well"] or one["sample"]):
            raise table.error(at, f"'{one['action']}' names no well and no sample: fill one in")
        if one["action"] == "accept" and one["rule"] in _NEVER:
            raise table.error(at, f"rule '{one['rule']}' cannot be accepted: without it no number can be read")
        if one["action"] == "accept" and one["rule"] not in KNOWN:
            near = difflib.get_close_matches(one["rule"], KNOWN, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(KNOWN)}"
            raise table.error(at, f"'accept' needs a rule, and '{one['rule']}' is none: {hint}")
        if one["action"] == "accept" and one["rule"] in FLAGS:
            raise table.error(at, f"rule '{one['rule']}' only reports, and costs no level: there is nothing to accept")
        try:
            one["well"] = well_of(one["well"]) if one["well"] else ""
        except ValueError as err:
            raise table.error(at, str(err)) from None
        one["when"] = str(dates[at].astype("datetime64[m]")).removesuffix("T00:00")
        entries.append(Override(row=table.rows[at], **one))
    sha256 = "" if isinstance(source, pd.DataFrame) else sha256_file(source)
    return Overrides(tuple(entries), table.file, table.sheet, sha256)
