"""Profiles from the CDISC domain of concentrations (PC), with its supplemental qualifiers.

What is known of a sample follows from the result's text and PCLLOQ, never from PCSTRESN: files in use put
0, or half the LLOQ, beside a result that reads BLQ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError, UnitError
from ..provenance import result_attrs
from ..schema import BLQ_STATUSES, GROUPS, Excluded, Status
from ..tables import Table, as_number, read_table
from ..units import conversion_factor, normalise_unit
from .cdisc_qualifiers import qualifier_numbers, read_qualifiers
from .cdisc_times import TableLike, sample_times
from .profiles import profiles_from_table
from .vocabulary import check_limits, controlled_matrix, parse_level

_LIMITS = {"lod": "LOD", "uloq": "ULOQ"}
_ERRORS = {"se_well": "SEWELL", "se_plate": "SEPLATE", "se_shared": "SESHARED"}
_SUFFIXES = (
    "SEQ", "TESTCD", "TEST", "METHOD", "ORRES", "ORRESU", "STRESC", "STRESN", "STRESU", "STAT", "REASND", "SPEC",
    "LLOQ", "ULOQ", "DTC", "TPT", "TPTNUM", "TPTREF", "ELTM", "RFTDTC", "GRPID", "REFID",
)  # fmt: skip


def read_pc(
    table: TableLike,
    /,
    *,
    supp: TableLike | None = None,
    ex: TableLike | None = None,
    dm: TableLike | None = None,
    testcd: str | None = None,
    unit: str | None = None,
    lod: float | None = None,
    lloq: float | None = None,
    uloq: float | None = None,
    timepoint_unit: str | None = None,
    missing_time: Literal["nominal", "keep"] = "nominal",
    infusion_clock: str = "00:00",
    treatment: str | None = None,
    matrices: Mapping[str, str] | None = None,
    domain: str = "PC",
) -> xr.Dataset:
    """Read profiles from a CDISC domain of concentrations.

    Parameters
    ----------
    table : path or DataFrame
        The domain: USUBJID, PCTESTCD, PCSPEC, PCSTRESC (or PCORRES), and where there are any PCSTRESU, PCLLOQ,
        PCULOQ, PCSTAT, PCREASND, PCDTC, PCELTM, PCTPTNUM, VISITDY, PCGRPID, PCREFID, … Of PCSTRESC and PCORRES
        numbers and words are understood as `read_kinetics` does ("<BLQ", "BLQ", "<50", "ND", "DNQ", ">ULOQ").
        PCSTRESN is compared, never read: it says nothing of a result whose text is BLQ.
    supp : path or DataFrame, optional
        Its supplemental qualifiers (SUPPPC), joined on USUBJID and PCSEQ; those of `QUALIFIERS` are used, the
        names of others stand in the settings.
    ex, dm : path or DataFrame, optional
        Exposure (the first EXSTDTC of a patient) and demographics (RFXSTDTC, for patients without exposure):
        the first infusion, which PCDTC is set against. Without them, PCRFTDTC is it where PCTPTREF says that it
        is the first.
    testcd : str, optional
        Which PCTESTCD; must be named where the table has several.
    unit : str, optional
        Unit of the result; default is the table's own. Units of one kind are converted.
    lod, lloq, uloq : float, optional
        Limits of samples that have none of their own, in the result's unit.
    timepoint_unit : str, optional
        Unit of PCTPTNUM ("h", "day", …). It is not used without one, since the table does not say it.
    missing_time : {"nominal", "keep"}
        Samples without a date that can be set against the first infusion: ``"nominal"`` gives them their
        planned time (PCELTM, else PCTPTNUM, else VISITDY, which has no day 0), ``"keep"`` leaves them without
        actual time. How many were so is in the settings.
    infusion_clock : str
        Time of day of a first infusion of which only the date is known, for samples that have a time.
    treatment : str, optional
        EXTRT of the product; must be named where a patient of `ex` had several treatments.
    matrices : mapping of str to str, optional
        PCSPEC to a matrix of the schema, for specimens that go by other words.
    domain : str
        Two letters that the variables begin with.

    Returns
    -------
    Dataset
        As `read_kinetics`: (patient, matrix, sample), times in days since the first infusion. PCDY is not
        used: it counts from RFSTDTC, which need not be an infusion.

    Raises
    ------
    InputError
        Names the file and row: several tests and none named, texts that contradict each other, a sample
        whose time nothing tells, two samples at one time, a sample planned before an infusion that it follows.

    Examples
    --------
    >>> import pandas as pd
    >>> pc = pd.DataFrame({
    ...     "USUBJID": "P1", "PCSEQ": [1, 2], "PCTESTCD": "CARTGN", "PCSPEC": "BLOOD", "PCSTRESC": ["<BLQ", "1200"],
    ...     "PCSTRESN": [0, 1200], "PCSTRESU": "copies/ug", "PCLLOQ": 50, "VISITDY": [-1, 8]})
    >>> profiles = read_pc(pc)
    >>> profiles["status"].values.tolist(), profiles["time"].values.tolist()
    ([[[2, 3]]], [[[-1.0, 7.0]]])
    """
    if missing_time not in ("nominal", "keep"):
        raise InputError(f"unknown missing_time '{missing_time}': use 'nominal' or 'keep'")
    p = check_domain(domain)
    names = dict.fromkeys(("USUBJID", "DOMAIN", "VISITDY", *(p + suffix for suffix in _SUFFIXES)), ())
    source = read_table(table, what=f"the {p} table", aliases=names, required=["USUBJID", f"{p}TESTCD", f"{p}SPEC"])
    if f"{p}STRESC" not in source and f"{p}ORRES" not in source:
        raise source.error(None, f"the table has neither {p}STRESC nor {p}ORRES: add the results as text")
    qualifiers, unused = read_qualifiers(source, supp, p)
    source, qualifiers = _one_test(source, qualifiers, p, testcd)
    frame = pd.DataFrame(index=range(len(source)))
    frame["patient"] = source.texts("USUBJID", required=True)
    frame["matrix"] = _matrices(source, p, matrices)
    target, factors = _units(source, p, unit)
    ignored = _results(source, frame, qualifiers, p, factors, {"lod": lod, "lloq": lloq, "uloq": uloq})
    times = sample_times(
        source, p, frame, qualifier_numbers(source, qualifiers, "AFRLT"), ex=ex, dm=dm, treatment=treatment,
        timepoint_unit=timepoint_unit, infusion_clock=infusion_clock, fill=missing_time == "nominal",
    )  # fmt: skip
    for name, suffix in (("plate", "GRPID"), ("sample_id", "REFID")):
        frame[name] = np.array(source.texts(p + suffix), dtype=object)
    frame["excluded"] = [
        int(Excluded.excluded if entry.get("EXCLFL", "") == "Y" else Excluded.included) for entry in qualifiers
    ]
    frame["by"] = np.array([entry.get("EXCLBY", "") for entry in qualifiers], dtype=object)
    _refuse_doubles(source, frame)
    profiles = profiles_from_table(frame, unit=target)
    if frame["se_shared"].notna().any():
        profiles = _with_shared(source, frame, profiles)
    settings = {
        "domain": p,
        "testcd": next(iter(source.texts(f"{p}TESTCD")), testcd),
        "unit": target,
        "limits": {"lod": lod, "lloq": lloq, "uloq": uloq},
        "timepoint_unit": timepoint_unit,
        "missing_time": missing_time,
        "infusion_clock": infusion_clock,
        "treatment": treatment,
        "records": len(source),
        "times_from": times,
        "numbers_beside_unquantified_text": ignored,
        "qualifiers_not_used": unused,
    }
    title = f"{GROUPS['kinetics'].meaning} from the domain {p}"
    return profiles.assign_attrs(
        result_attrs(title=title, settings=settings, file=Path(source.file).name if source.file else "")
    )


def check_domain(domain: str) -> str:
    """Return the two letters of a domain in upper case.

    Raises
    ------
    InputError
        They are not two letters.
    """
    if not re.fullmatch(r"[A-Za-z]{2}", domain):
        raise InputError(f"domain '{domain}' is not two letters: write PC, or the domain that your study uses")
    return domain.upper()


def _one_test(
    source: Table, qualifiers: list[dict[str, str]], p: str, testcd: str | None
) -> tuple[Table, list[dict[str, str]]]:
    """Return the rows of one test; a table of several is refused unless one is named."""
    for position, text in enumerate(source.texts("DOMAIN")):
        if text and text.upper() != p:
            raise source.error(position, f"DOMAIN is '{text}', not '{p}': name it with domain=")
    codes = source.texts(f"{p}TESTCD", required=True)
    there = list(dict.fromkeys(codes))
    if testcd is None and len(there) > 1:
        raise source.error(None, f"the table has the tests {', '.join(there)}: name one with testcd=")
    if testcd is not None and testcd not in there:
        raise source.error(None, f"the table has no {p}TESTCD '{testcd}': it has {', '.join(there) or 'none'}")
    keep = [at for at, code in enumerate(codes) if testcd is None or code == testcd]
    chosen = Table(
        source.frame.iloc[keep].reset_index(drop=True), source.file, source.sheet, [source.rows[at] for at in keep]
    )
    methods = sorted({text.upper() for text in chosen.texts(f"{p}METHOD") if text})
    if len(methods) > 1:
        raise source.error(
            None,
            f"the results are by {' and '.join(methods)} ({p}METHOD), which are not one assay: give the rows of one",
        )
    return chosen, [qualifiers[at] for at in keep]


def _matrices(source: Table, p: str, matrices: Mapping[str, str] | None) -> list[str]:
    known = {name.strip().upper(): word for name, word in (matrices or {}).items()}
    out = []
    for at, text in enumerate(source.texts(f"{p}SPEC", required=True)):
        try:
            out.append(controlled_matrix(known.get(text.upper(), text)))
        except InputError as err:
            raise source.error(at, f"{p}SPEC: {err.message}; say which it is with matrices={{'{text}': ...}}") from None
    return out


def _units(source: Table, p: str, unit: str | None) -> tuple[str, np.ndarray]:
    """Return the result's unit, and the factor that brings each row's numbers to it."""
    target = normalise_unit(unit) if unit else ""
    standard, original = source.texts(f"{p}STRESU"), source.texts(f"{p}ORRESU")
    results = source.texts(f"{p}STRESC")
    factors = np.ones(len(source))
    for at in range(len(source)):
        text = standard[at] or original[at]
        if not text:
            continue
        try:
            own = normalise_unit(text)
            if not results[at] and standard[at] and original[at] and normalise_unit(original[at]) != own:
                raise InputError(f"{p}STRESC is empty and {p}ORRES is in {original[at]}, not {text}: fill in {p}STRESC")
            if not target:
                target = own
            elif unit is None and own != target:
                raise UnitError(f"the unit is '{own}' but '{target}' in rows before: name one with unit=")
            factors[at] = conversion_factor(own, target)
        except InputError as err:
            raise source.error(at, err.message, type(err)) from None
    if not target:
        raise source.error(None, f"the table has no unit ({p}STRESU): name it with unit=", UnitError)
    return target, factors


@dataclass
class _Result:
    """What one row says."""

    status: Status
    level: float
    limits: dict[str, float]
    reason: str


def _results(
    source: Table,
    frame: pd.DataFrame,
    qualifiers: list[dict[str, str]],
    p: str,
    factors: np.ndarray,
    defaults: Mapping[str, float | None],
) -> int:
    """Put level, status, limits, errors and reason into `frame`; return how many numbers beside BLQ were ignored."""
    cells = {suffix: source.texts(p + suffix) for suffix in ("STRESC", "ORRES", "STAT", "REASND")}
    number = source.numbers(f"{p}STRESN")
    given = {"lloq": source.numbers(f"{p}LLOQ"), "uloq": source.numbers(f"{p}ULOQ")}
    for name, qualifier in _LIMITS.items():
        more = qualifier_numbers(source, qualifiers, qualifier)
        given[name] = np.where(np.isnan(given[name]), more, given[name]) if name in given else more
    out = []
    for at, entry in enumerate(qualifiers):
        limits, stated = {}, {}
        for name, default in defaults.items():
            own = float(given[name][at])
            stated[name] = not np.isnan(own)
            # Defaults are in the result's unit, the row's numbers in its own.
            limits[name] = own if stated[name] or default is None else float(default) / factors[at]
        row = {suffix: texts[at] for suffix, texts in cells.items()}
        try:
            result = _result(row, float(number[at]), limits, stated, entry, p)
            check_limits(result.limits)
        except InputError as err:
            raise source.error(at, err.message) from None
        out.append(result)
    frame["status"] = np.array([int(result.status) for result in out], dtype=np.int8)
    frame["level"] = np.array([result.level for result in out], dtype=float) * factors
    for name in defaults:
        frame[name] = np.array([result.limits[name] for result in out], dtype=float) * factors
    for name, qualifier in _ERRORS.items():
        frame[name] = qualifier_numbers(source, qualifiers, qualifier)
    frame["reason"] = np.array([result.reason for result in out], dtype=object)
    return int(np.sum((frame["status"].to_numpy() != Status.quantified) & ~np.isnan(number)))


def _result(
    row: Mapping[str, str],
    number: float,
    limits: dict[str, float],
    stated: Mapping[str, bool],
    qualifiers: Mapping[str, str],
    p: str,
) -> _Result:
    text = row["STRESC"] or row["ORRES"]
    reason = row["REASND"] or qualifiers.get("REASON", "")
    if row["STAT"]:
        if row["STAT"].upper() != "NOT DONE":
            raise InputError(f"{p}STAT '{row['STAT']}' is not known: write NOT DONE, or leave it empty")
        if text and as_number(text) is not None:
            raise InputError(f"{p}STAT is NOT DONE but there is a result, '{text}': remove one of them")
        return _Result(_not_done(reason, qualifiers.get("RESSTAT", "")), np.nan, limits, reason)
    if not text and not np.isnan(number):
        raise InputError(f"{p}STRESN is {number:g} but {p}STRESC and {p}ORRES are empty: fill in the text")
    status, level = parse_level(text, limits, stated)
    original = _word(row["ORRES"], limits)
    if original in BLQ_STATUSES and status in (Status.quantified, Status.below_lloq):
        status, level = original, np.nan  # a number beside a text of BLQ is an imputation; ND says more than <50
    if status is Status.quantified and not np.isnan(number) and not np.isclose(number, level, rtol=0.01, atol=0.0):
        raise InputError(f"{p}STRESC is {text} but {p}STRESN is {number:g}: correct one of them")
    flag = qualifiers.get("DETFL", "")
    if flag and status in BLQ_STATUSES:
        detected = {"Y": Status.detected_below_lloq, "N": Status.not_detected}.get(flag)
        if detected is None:
            raise InputError(f"the qualifier DETFL is '{flag}': write Y or N")
        if status not in (Status.below_lloq, detected):
            raise InputError(f"the result is '{text}' but its qualifier DETFL is {flag}: correct one of them")
        status = detected
    return _Result(status, level, limits, reason)


def _word(text: str, limits: Mapping[str, float]) -> Status | None:
    """Return what a result in original units says where it is a word or a bound, else None."""
    if not text or as_number(text) is not None:
        return None
    try:
        return parse_level(text, dict(limits), dict.fromkeys(limits, False))[0]
    except InputError:  # free text; the standardised result is what counts
        return None


def _not_done(reason: str, named: str) -> Status:
    """Return why there is no result, from the qualifier, else from the words of the reason."""
    text = (named or reason).lower()
    if re.search(r"insufficient|not sufficient|\bqns\b", text):
        return Status.insufficient_dna
    return Status.invalid if re.search(r"invalid|\bfail", text) else Status.missing


def _refuse_doubles(source: Table, frame: pd.DataFrame) -> None:
    same = frame.duplicated(["patient", "matrix", "time"], keep=False) & frame["time"].notna()
    if same.any():
        first = frame[same].iloc[0]
        group = (frame[["patient", "matrix", "time"]] == first[["patient", "matrix", "time"]]).all(axis=1)
        rows = " and ".join(str(source.rows[at]) for at in frame.index[group][:3])
        raise source.error(
            None,
            f"patient '{first['patient']}' has {int(group.sum())} samples of {first['matrix']} at time "
            f"{first['time']:g} day (rows {rows}): keep one, or correct the time",
        )


def _with_shared(source: Table, frame: pd.DataFrame, profiles: xr.Dataset) -> xr.Dataset:
    """Return the profiles with the error that all samples of a patient share."""
    names: list[Any] = profiles["patient"].values.tolist()
    shared = np.full(len(names), np.nan)
    for at, (name, value) in enumerate(zip(frame["patient"], frame["se_shared"], strict=True)):
        place = names.index(name)
        if not np.isnan(value) and not np.isnan(shared[place]) and shared[place] != value:
            raise source.error(at, f"patient '{name}' has SESHARED {value:g} and {shared[place]:g}: it is one number")
        shared[place] = value if not np.isnan(value) else shared[place]
    attrs = {"long_name": "standard error of ln(level) shared by all samples of the patient", "units": "1"}
    return profiles.assign(se_shared=("patient", shared, attrs))


__all__ = ["check_domain", "read_pc"]
