"""Times of the samples of a CDISC domain: days since the first infusion, each from the best that its row has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import InputError
from ..tables import MISSING_WORDS, Table, read_table
from ..units import conversion_factor

TableLike = str | Path | pd.DataFrame
DAY = np.timedelta64(86_400_000_000_000, "ns")
_NEVER = np.datetime64("NaT", "ns")
# A date with parts missing, as ISO 8601 and SDTM allow: 2024, 2024-05, 2024---12, 2024-05-12T-:30.
_PARTIAL = re.compile(r"\d{4}(-\d{2})?|.*--.*|.*T-:.*")
_PREDOSE = re.compile(r"\bpre[\s-]*(dose|infusion)\b", re.IGNORECASE)


class First(NamedTuple):
    """A patient's first infusion, and whether its time of day is known."""

    at: np.datetime64
    date_only: bool
    source: str


def sample_times(
    source: Table,
    p: str,
    frame: pd.DataFrame,
    stated: np.ndarray,
    /,
    *,
    ex: TableLike | None,
    dm: TableLike | None,
    treatment: str | None,
    timepoint_unit: str | None,
    infusion_clock: str,
    fill: bool,
) -> dict[str, int]:
    """Put ``time``, ``nominal_time`` and ``collected`` into `frame`, and return how many times came from where.

    Parameters
    ----------
    source : Table
        The domain's rows.
    p : str
        The domain's two letters.
    frame : DataFrame
        Has ``patient`` and ``matrix`` of each row.
    stated : array
        Actual days since the first infusion that the supplemental qualifiers state; they stand over dates.
    ex, dm, treatment, timepoint_unit, infusion_clock, fill
        As `ckinetics.cohorts.cdisc.read_pc`.
    """
    clock = _clock(infusion_clock)
    collected, date_only = moments(source, f"{p}DTC")
    if treatment is not None and ex is None:
        raise InputError("treatment= says which EXTRT is meant: give ex= as well")
    first = _first_infusions(source, p, ex, dm, treatment)
    number, points = source.numbers(f"{p}TPTNUM"), source.texts(f"{p}TPT")
    planned, sources = _planned(source, p, frame, number, timepoint_unit)
    time, used = stated.copy(), np.where(np.isnan(stated), "", "AFRLT").astype(object)
    for at, patient in enumerate(frame["patient"].tolist()):
        known = first.get(patient)
        if known is None or np.isnat(collected[at]) or used[at]:
            continue
        time[at] = _elapsed(collected[at], bool(date_only[at]), known, clock)
        taken = f", a date taken at {infusion_clock}" if known.date_only and not date_only[at] else ""
        used[at] = f"{p}DTC against {known.source}{taken}"
        if known.date_only and not date_only[at]:
            before = time[at] > 0 and (number[at] < 0 or _PREDOSE.search(points[at]) is not None)
            if before or (number[at] > 0 and time[at] < 0):
                raise source.error(
                    at,
                    f"{p}DTC {collected[at].astype('datetime64[m]')} is {'after' if before else 'before'} the first "
                    f"infusion, but the sample is planned {'before' if before else 'after'} it: {known.source} is a "
                    f"date without a time, taken at {infusion_clock}; give the time, or infusion_clock=",
                )
    if fill:
        gaps = np.isnan(time) & ~np.isnan(planned)
        time[gaps], used[gaps] = planned[gaps], sources[gaps]
    lost = np.isnan(time) & np.isnan(planned)
    if lost.any():
        at = int(np.argmax(lost))
        raise source.error(at, _advice(source, p, at, collected, first, frame, number, timepoint_unit))
    frame["time"], frame["nominal_time"], frame["collected"] = time, planned, collected
    return {str(name): int(np.sum(used == name)) for name in dict.fromkeys(used.tolist()) if name}


def _advice(
    source: Table,
    p: str,
    at: int,
    collected: np.ndarray,
    first: Mapping[str, First],
    frame: pd.DataFrame,
    number: np.ndarray,
    timepoint_unit: str | None,
) -> str:
    ways = []
    patient = frame["patient"].iloc[at]
    if not np.isnat(collected[at]) and patient not in first:
        ways.append(f"give the first infusion of patient '{patient}' (EXSTDTC in ex= or RFXSTDTC in dm=)")
    if not np.isnan(number[at]) and timepoint_unit is None:
        ways.append(f"name the unit of {p}TPTNUM with timepoint_unit=")
    if "VISITDY" in source and not np.isnan(source.numbers("VISITDY")[at]):
        ways.append("VISITDY is the same for several samples and says too little")
    return "nothing tells the sample's time: " + ("; or ".join(ways) or f"fill in {p}DTC, {p}ELTM or VISITDY")


def moments(table: Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a column of ISO 8601 as datetimes, and where only the date is known; a partial date is NaT."""
    dates_only = np.zeros(len(table), dtype=bool)
    if column not in table:
        return np.full(len(table), _NEVER, dtype="datetime64[ns]"), dates_only
    cells = table.frame[column].tolist()
    for at, cell in enumerate(cells):
        if isinstance(cell, str):
            text = cell.strip()
            dates_only[at] = re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is not None
            if text.lower() not in MISSING_WORDS and _PARTIAL.fullmatch(text):
                cells[at] = None
        elif isinstance(cell, date) and not isinstance(cell, datetime):
            dates_only[at] = True
    frame = pd.DataFrame({column: pd.Series(cells, dtype=object)})
    return Table(frame, table.file, table.sheet, table.rows).datetimes(column), dates_only


def _clock(text: str) -> np.timedelta64:
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise InputError(f"infusion_clock '{text}' is not a time of day: write it as 14:30")
    return np.timedelta64(int(match[1]) * 60 + int(match[2]), "m")


def _elapsed(collected: np.datetime64, date_only: bool, first: First, clock: np.timedelta64) -> float:
    if date_only:
        return float((_date(collected) - _date(first.at)) / np.timedelta64(1, "D"))
    start = first.at + clock if first.date_only else first.at
    return float((collected - start) / DAY)


def _date(moment: np.datetime64) -> np.datetime64:
    return moment.astype("datetime64[D]")


def _first_infusions(
    source: Table, p: str, ex: TableLike | None, dm: TableLike | None, treatment: str | None
) -> dict[str, First]:
    """Return each patient's first infusion: of the exposures, else RFXSTDTC, else the domain's own reference."""
    if ex is not None:
        first = _from_exposure(ex, treatment)
        for name, other in (_from_demographics(dm) if dm is not None else {}).items():
            mine = first.setdefault(name, other)
            if _date(mine.at) != _date(other.at) and treatment is None:
                raise InputError(
                    f"patient '{name}': the first EXSTDTC is {_date(mine.at)}, RFXSTDTC is {_date(other.at)}: "
                    "correct one of them, or name the product with treatment="
                )
            if mine.date_only and not other.date_only and _date(mine.at) == _date(other.at):
                first[name] = other
        return first
    if dm is not None:
        return _from_demographics(dm)
    out: dict[str, First] = {}
    reference, date_only = moments(source, f"{p}RFTDTC")
    words = source.texts(f"{p}TPTREF")
    for at, name in enumerate(source.texts("USUBJID")):
        if np.isnat(reference[at]) or "FIRST" not in words[at].upper():
            continue
        found = First(reference[at], bool(date_only[at]), f"{p}RFTDTC")
        if out.setdefault(name, found) != found:
            raise source.error(
                at,
                f"patient '{name}' has two {p}RFTDTC that {p}TPTREF calls the first, {out[name].at} and {found.at}: "
                "correct one of them",
            )
    return out


def _from_exposure(ex: TableLike, treatment: str | None) -> dict[str, First]:
    names = ("USUBJID", "EXSTDTC", "EXTRT", "EXOCCUR")
    table = read_table(ex, what="the EX table", aliases=dict.fromkeys(names, ()), required=["USUBJID", "EXSTDTC"])
    given, date_only = moments(table, "EXSTDTC")
    texts = {name: table.texts(name) for name in names if name != "EXSTDTC"}
    if treatment is not None and treatment.upper() not in {text.upper() for text in texts["EXTRT"]}:
        there = ", ".join(dict.fromkeys(filter(None, texts["EXTRT"])))
        raise table.error(None, f"no exposure is to '{treatment}': EXTRT is {there or 'empty'}")
    out: dict[str, First] = {}
    kinds: dict[str, str] = {}
    for at, name in enumerate(texts["USUBJID"]):
        if np.isnat(given[at]) or texts["EXOCCUR"][at].upper() == "N":
            continue
        kind = texts["EXTRT"][at]
        if treatment is not None:
            if kind.upper() != treatment.upper():
                continue
        elif kinds.setdefault(name, kind) != kind:
            raise table.error(
                at,
                f"patient '{name}' was given {kinds[name]} and {kind} (EXTRT): name the product with treatment=, "
                "since times count from its first infusion",
            )
        found = First(given[at], bool(date_only[at]), "the first EXSTDTC")
        before = out.get(name)
        earlier = before is None or (_date(found.at), found.date_only, found.at) < (
            _date(before.at), before.date_only, before.at,
        )  # fmt: skip
        if earlier:
            out[name] = found
    return out


def _from_demographics(dm: TableLike) -> dict[str, First]:
    names = ("USUBJID", "RFXSTDTC")
    table = read_table(dm, what="the DM table", aliases=dict.fromkeys(names, ()), required=names)
    given, date_only = moments(table, "RFXSTDTC")
    return {
        name: First(given[at], bool(date_only[at]), "RFXSTDTC")
        for at, name in enumerate(table.texts("USUBJID"))
        if not np.isnat(given[at])
    }


def _planned(
    source: Table, p: str, frame: pd.DataFrame, number: np.ndarray, timepoint_unit: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return planned days since the first infusion, and the variable that each came from.

    A planned time that one patient has twice counts from more than one dose or visit, and is not used.
    """
    references = {text.upper() for text in source.texts(f"{p}TPTREF") if text}
    day = source.numbers("VISITDY")
    if (day == 0).any():
        raise source.error(
            int(np.argmax(day == 0)), "VISITDY is 0, which does not exist in CDISC: the day of infusion is day 1"
        )
    factor = conversion_factor(timepoint_unit, "day") if timepoint_unit else np.nan
    candidates = {
        f"{p}ELTM": _durations(source, f"{p}ELTM"),
        f"{p}TPTNUM": number * factor,
        "VISITDY": np.where(day > 0, day - 1, day),
    }
    planned, used = np.full(len(source), np.nan), np.full(len(source), "", dtype=object)
    for name, days in candidates.items():
        keys = frame[["patient", "matrix"]].assign(days=days)
        twice = keys.duplicated(keep=False) & ~np.isnan(days)
        if twice.any() or (len(references) > 1 and name != "VISITDY"):
            if name == f"{p}TPTNUM" and timepoint_unit:
                at = int(np.argmax(twice)) if twice.any() else 0
                raise source.error(
                    at,
                    f"patient '{frame['patient'].iloc[at]}' has several samples at {name} {number[at]:g}: it counts "
                    "from more than one dose; leave timepoint_unit out",
                )
            continue
        gaps = np.isnan(planned) & ~np.isnan(days)
        planned[gaps], used[gaps] = days[gaps], name
    return planned, used


def _durations(source: Table, column: str) -> np.ndarray:
    """Return ISO 8601 durations in days; years and months have no fixed length and are refused."""
    number = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
    pattern = re.compile(
        rf"([+-]?)P(?:{number}W)?(?:{number}D)?(?:T(?:{number}H)?(?:{number}M)?(?:{number}S)?)?", re.IGNORECASE
    )
    out = np.full(len(source), np.nan)
    for at, text in enumerate(source.texts(column)):
        if not text:
            continue
        match = pattern.fullmatch(text)
        if match is None or not any(match.groups()[1:]):
            raise source.error(
                at, f"{column} '{text}' is not a duration in weeks, days, hours: write it as P7D or PT6H"
            )
        parts = [float(part or 0) for part in match.groups()[1:]]
        days = parts[0] * 7 + parts[1] + parts[2] / 24 + parts[3] / 1440 + parts[4] / 86400
        out[at] = -days if match[1] == "-" else days
    return out


__all__ = ["DAY", "First", "moments", "sample_times"]
