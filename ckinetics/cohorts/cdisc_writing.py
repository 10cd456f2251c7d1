"""Profiles as the CDISC domain of concentrations (PC), and what it cannot hold as supplemental qualifiers."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..jobs import atomic_path
from ..schema import BLQ_STATUSES, MISSING, Excluded, Status
from ..tables import as_number, csv_text
from .cdisc import check_domain
from .cdisc_qualifiers import QUALIFIERS
from .cdisc_times import DAY
from .profiles import profiles_of
from .vocabulary import specimen

_NOT_DONE = {
    Status.missing: "NO RESULT",
    Status.invalid: "INVALID RESULT",
    Status.insufficient_dna: "INSUFFICIENT DNA",
}
_SUPP_COLUMNS = (
    "STUDYID", "RDOMAIN", "USUBJID", "IDVAR", "IDVARVAL", "QNAM", "QLABEL", "QVAL", "QORIG", "QEVAL",
)  # fmt: skip


class PCTables(NamedTuple):
    """The domain and its supplemental qualifiers."""

    pc: pd.DataFrame
    supppc: pd.DataFrame


def write_pc(
    data: xr.DataTree | xr.Dataset,
    /,
    path: str | Path | None = None,
    *,
    studyid: str,
    testcd: str = "CARTGN",
    test: str = "CAR Transgene",
    method: str = "QPCR",
    category: str = "ANALYTE",
    domain: str = "PC",
) -> PCTables:
    """Write profiles as a CDISC domain of concentrations.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort, a result of `quantify`, or profiles. Of a cohort the first infusion (``infused``) becomes
        PCRFTDTC; of wells the DNA of each sample becomes a qualifier.
    path : str or Path, optional
        A file that ends in ``.csv``; the qualifiers stand beside it, in ``supp`` + its name.
    studyid : str
        STUDYID.
    testcd, test, method, category : str
        PCTESTCD, PCTEST, PCMETHOD ("QPCR", "DDPCR") and PCCAT. They and the unit are practice, since no public
        CDISC text rules on cell therapy: check them against the controlled terms of your study.
    domain : str
        Two letters that the variables begin with.

    Returns
    -------
    PCTables
        ``pc`` and ``supppc``. USUBJID is the patient's name as it is. A level below its LLOQ is "<50" in
        PCSTRESC, with PCLLOQ and without PCSTRESN; DETFL in SUPPPC says whether it was detected. A sample
        without result has PCSTAT NOT DONE with PCREASND. The planned time is PCELTM, and PCTPTNUM in days; the
        actual one is PCDTC, and where that is unknown or says something else, AFRLT in SUPPPC. `read_pc` of
        both gives the same times, levels, statuses and limits. Visits are trial design, and are not made up.

    Raises
    ------
    InputError
        Names that CDISC does not allow, matrices in different units, a level without a number.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> profiles = kinetics_from_arrays([0, 7], [[0, 1200.0]], lloq=50, unit="copies/ug")
    >>> tables = write_pc(profiles, studyid="CART1")
    >>> tables.pc["PCSTRESC"].tolist()
    ['<50', '1200']
    """
    p = check_domain(domain)
    _check_names(studyid, testcd, test)
    profiles = profiles_of(data)
    units = sorted({str(unit) for unit in profiles["unit"].values.tolist()})
    if len(units) > 1:
        raise InputError(f"the matrices are in {' and '.join(units)}: write those of one unit at a time")
    first = _first_infusions(data, profiles)
    dna = _dna_of_samples(data)
    rows: list[dict[str, Any]] = []
    supp: list[dict[str, str]] = []
    fixed = {"STUDYID": studyid, "DOMAIN": p}
    names = {f"{p}TESTCD": testcd, f"{p}TEST": test, f"{p}CAT": category, f"{p}METHOD": method.upper()}
    number: dict[str, int] = {}
    for sample in _samples(profiles):
        patient = sample["patient"]
        number[patient] = number.get(patient, 0) + 1
        started = first.get(patient, np.datetime64("NaT"))
        result, more = _result(sample, p)
        times, actual = _times(sample, started, p)
        more = {**more, "AFRLT": actual, "DNANG": dna.get(sample["sample_id"], ""), **_kept(sample)}
        about = {
            f"{p}SPEC": specimen(sample["matrix"]),
            f"{p}ORRESU": units[0],
            f"{p}STRESU": units[0],
            f"{p}LLOQ": sample["lloq"],
            f"{p}ULOQ": sample["uloq"],
            f"{p}GRPID": sample["plate"],
            f"{p}REFID": sample["sample_id"],
        }
        key = {"USUBJID": patient, f"{p}SEQ": number[patient]}
        rows.append({**fixed, **key, **names, **result, **about, **times})
        supp += [_qualifier(studyid, p, patient, number[patient], name, text) for name, text in more.items() if text]
    pc = pd.DataFrame(rows, columns=pd.Index(_columns(p)))
    supppc = pd.DataFrame(supp, columns=pd.Index(_SUPP_COLUMNS), dtype=object)
    if path is not None:
        target = Path(path)
        if target.suffix.lower() != ".csv":
            raise InputError(f"cannot write to '{target.name}': end the name in .csv")
        # The qualifiers first: a domain that is there has its qualifiers beside it.
        _write(supppc, target.with_name(f"supp{target.name}"))
        _write(pc, target)
    return PCTables(pc, supppc)


def _columns(p: str) -> list[str]:
    suffixes = (
        "SEQ", "GRPID", "REFID", "TESTCD", "TEST", "CAT", "ORRES", "ORRESU", "STRESC", "STRESN", "STRESU", "STAT",
        "REASND", "SPEC", "METHOD", "LLOQ", "ULOQ", "DTC", "DY", "TPT", "TPTNUM", "ELTM", "TPTREF", "RFTDTC",
    )  # fmt: skip
    columns = ["STUDYID", "DOMAIN", "USUBJID", *(p + suffix for suffix in suffixes)]
    columns.insert(columns.index(f"{p}DTC"), "VISITDY")
    return columns


def _check_names(studyid: str, testcd: str, test: str) -> None:
    if not studyid.strip():
        raise InputError("studyid is empty: name the study")
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,7}", testcd):
        raise InputError(
            f"testcd '{testcd}' is not a CDISC short name: at most 8 capitals, digits and _, not beginning with a digit"
        )
    if not 0 < len(test) <= 40:
        raise InputError(f"test '{test}' has {len(test)} characters: CDISC allows 1 to 40")


def _first_infusions(data: xr.DataTree | xr.Dataset, profiles: xr.Dataset) -> dict[str, np.datetime64]:
    root = data.to_dataset() if isinstance(data, xr.DataTree) else profiles
    if "infused" not in root or root["infused"].dims != ("patient",):
        return {}
    return dict(zip(root["patient"].values.tolist(), root["infused"].values, strict=True))


def _dna_of_samples(data: xr.DataTree | xr.Dataset) -> dict[str, str]:
    """Return the DNA in a sample's wells, in ng; several amounts are all named."""
    if not isinstance(data, xr.DataTree) or "wells" not in data.children:
        return {}
    wells = data.children["wells"].to_dataset(inherit=False)
    if "sample_id" not in wells or "dna_ng" not in wells:
        return {}
    out: dict[str, list[str]] = {}
    for name, dna in zip(wells["sample_id"].values.tolist(), wells["dna_ng"].values.tolist(), strict=True):
        if name and not np.isnan(dna) and _number(dna) not in out.setdefault(name, []):
            out[name].append(_number(dna))
    return {name: "; ".join(texts) for name, texts in out.items()}


def _samples(profiles: xr.Dataset) -> list[dict[str, Any]]:
    """Return every sample that is not padding, patient by patient and matrix by matrix."""
    dims = ("patient", "matrix", "sample")
    floats = ("time", "nominal_time", "level", "lod", "lloq", "uloq", "se_well", "se_plate")
    words = ("plate", "reason", "by", "sample_id")
    missing: dict[str, Any] = {
        **dict.fromkeys(floats, np.nan), **dict.fromkeys(words, ""), "excluded": -1, "collected": MISSING["datetime"],
    }  # fmt: skip
    shape = tuple(profiles.sizes[dim] for dim in dims)
    fields = {
        name: profiles[name].transpose(*dims).values if name in profiles else np.full(shape, value)
        for name, value in missing.items()
    }
    fields["status"] = profiles["status"].transpose(*dims).values
    shared = profiles["se_shared"].values if "se_shared" in profiles else np.full(shape[0], np.nan)
    out = []
    for at in np.ndindex(shape):
        sample: dict[str, Any] = {name: values[at] for name, values in fields.items()}
        timeless = np.isnan(sample["time"]) and np.isnan(sample["nominal_time"]) and np.isnat(sample["collected"])
        if timeless and sample["status"] == Status.missing:
            continue
        sample["patient"] = str(profiles["patient"].values[at[0]])
        sample["matrix"] = str(profiles["matrix"].values[at[1]])
        sample["se_shared"] = shared[at[0]]
        if (sample["status"] == Status.quantified) != np.isfinite(sample["level"]):
            raise InputError(
                f"patient '{sample['patient']}', {sample['matrix']}, sample {at[2] + 1}: a level must be a number "
                "exactly where it is quantified; see validate"
            )
        out.append(sample)
    return out


def _result(sample: dict[str, Any], p: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the variables of the result, and the qualifiers that go with them."""
    status = Status(int(sample["status"]))
    original, level, qualifiers = "", np.nan, {}
    if status is Status.quantified:
        original = standard = _number(sample["level"])
        level = float(sample["level"])
    elif status in BLQ_STATUSES:
        standard = "BLQ" if np.isnan(sample["lloq"]) else f"<{_number(sample['lloq'])}"
        original = "NOT DETECTED" if status is Status.not_detected else standard
        qualifiers["DETFL"] = {Status.not_detected: "N", Status.detected_below_lloq: "Y"}.get(status, "")
    elif status is Status.above_uloq:
        original = standard = ">ULOQ" if np.isnan(sample["uloq"]) else f">{_number(sample['uloq'])}"
    else:
        standard = ""
        qualifiers["RESSTAT"] = "" if status is Status.missing else _NOT_DONE[status]
    done = status not in _NOT_DONE
    if done:
        qualifiers["REASON"] = sample["reason"]
    return {
        f"{p}ORRES": original,
        f"{p}STRESC": standard,
        f"{p}STRESN": level,
        f"{p}STAT": "" if done else "NOT DONE",
        f"{p}REASND": "" if done else sample["reason"] or _NOT_DONE[status],
    }, qualifiers


def _times(sample: dict[str, Any], first: np.datetime64, p: str) -> tuple[dict[str, Any], str]:
    """Return the variables of time, and the actual time in days where they do not give it exactly."""
    collected, planned, time = sample["collected"], float(sample["nominal_time"]), float(sample["time"])
    out: dict[str, Any] = {f"{p}DTC": _iso(collected), f"{p}RFTDTC": _iso(first)}
    out[f"{p}TPTNUM"] = planned
    out[f"{p}TPTREF"] = "" if np.isnan(planned) and np.isnat(first) else "FIRST INFUSION"
    if not np.isnan(planned):
        out[f"{p}ELTM"] = f"{'-' if planned < 0 else ''}P{_number(abs(planned))}D"
        side = "BEFORE" if planned < 0 else "AFTER"
        out[f"{p}TPT"] = f"{_number(abs(planned))} DAYS {side} FIRST INFUSION" if planned else "FIRST INFUSION"
        if planned.is_integer():
            out["VISITDY"] = planned + 1 if planned >= 0 else planned
    elapsed = float((collected - first) / DAY)
    if not np.isnan(elapsed):
        days = int((collected.astype("datetime64[D]") - first.astype("datetime64[D]")).astype(int))
        out[f"{p}DY"] = days + 1 if days >= 0 else days
    return out, "" if np.isnan(time) or time == elapsed else _number(time)


def _kept(sample: dict[str, Any]) -> dict[str, str]:
    out = {"LOD": _number(sample["lod"])}
    for name, qualifier in (("se_well", "SEWELL"), ("se_plate", "SEPLATE"), ("se_shared", "SESHARED")):
        out[qualifier] = _number(sample[name])
    if sample["excluded"] == Excluded.excluded:
        out |= {"EXCLFL": "Y", "EXCLBY": sample["by"], "REASON": sample["reason"]}
    return out


def _qualifier(studyid: str, p: str, patient: str, sequence: int, name: str, text: str) -> dict[str, str]:
    origin = "Collected" if name in ("DNANG", "EXCLBY", "REASON") else "Derived"
    values = (studyid, p, patient, f"{p}SEQ", str(sequence), name, QUALIFIERS[name], text, origin, "")
    return dict(zip(_SUPP_COLUMNS, values, strict=True))


def _number(value: float) -> str:
    """Return a number as the shortest text that reads back as the same number; "" where it is missing."""
    if np.isnan(value):
        return ""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _iso(moment: np.datetime64) -> str:
    if np.isnat(moment):
        return ""
    # ISO 8601 with no more of the second than there is.
    whole, _, part = str(moment.astype("datetime64[ns]")).partition(".")
    return f"{whole}.{part.rstrip('0')}" if part.rstrip("0") else whole


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.columns)
        for row in table.itertuples(index=False):
            writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    # A negative number or duration that is text (-0.5, -P1D) is what the standard says, and no formula.
    plain = isinstance(value, str) and (as_number(value) is not None or re.fullmatch(r"-P[\d.e+-]+D", value))
    return str(value) if plain else csv_text(value)


__all__ = ["PCTables", "write_pc"]
