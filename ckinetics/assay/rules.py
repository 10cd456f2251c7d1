"""Acceptance criteria: a versioned TOML file, one table a rule."""

from __future__ import annotations

import difflib
import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError

_FOLDER = Path(__file__).with_name("rule_files")
SETS = ("default", "strict", "gmo")
# Every rule, and the numbers that a file gives for it: these and no others.
KNOWN: dict[str, tuple[str, ...]] = {
    "curve_levels": ("low",),
    "curve_range": ("low",),
    "slope": ("low", "high"),
    "efficiency": ("low", "high"),
    "r_squared": ("low",),
    "curve_precision": ("high",),
    "back_calculated": ("high", "lowest_high"),
    "standards_accepted": ("low",),
    "ntc": ("lod_multiple",),
    "vendor_curve": ("high",),
    "vendor_quantity": ("high",),
    "dna_input": ("low", "high"),
    "replicates": ("low",),
    "replicate_sd": ("confidence", "sd0"),
    "partial_detection": ("low",),
    "hit_model": ("hit_probability",),
    "qc_error": ("high",),
    "qc_overall": ("low",),
    "qc_per_level": ("low",),
    "qc_precision": ("high",),
    "inhibition": ("high",),
    "reference_gene": ("low", "high"),
    "dilution_linearity": ("high",),
    "isr_difference": ("high",),
    "isr": ("low",),
    "masking": ("max_levels",),
    "droplets": ("low",),
    "partitions": ("low",),
    "digital_range": ("lod", "lloq", "max_positive_share"),
    "digital_spread": ("high",),
    "vendor_concentration": ("high",),
    "late_positive": ("low",),
    "predose_positive": (),
    "lloq": ("value",),
    "lod": ("value",),
    "well_noise": ("sd0",),
}
# Rules that flag or give a number: to call one of them fatal or required would promise what nothing does.
FLAGS = frozenset(
    {
        "vendor_curve",
        "vendor_quantity",
        "vendor_concentration",
        "replicates",
        "hit_model",
        "qc_error",
        "dilution_linearity",
        "isr_difference",
        "isr",
        "digital_range",
        "late_positive",
        "predose_positive",
        "lloq",
        "lod",
        "well_noise",
    }
)
_SHARES = frozenset({"standards_accepted", "partial_detection", "qc_overall", "qc_per_level", "isr"})
_WORDS = ("meaning", "unit", "status", "source")
_SWITCHES = ("fatal", "required")
_TOP = ("name", "version", "based_on", "rules")
# Numbers that mean nothing outside a range: low, high, and the range in words.
_RANGES: dict[str, tuple[float, float, str]] = {
    "confidence": (0.5, 1 - 1e-9, "a probability from 0.5 to below 1"),
    "hit_probability": (1e-9, 1.0, "a probability above 0, at most 1"),
    "max_positive_share": (1e-9, 1 - 1e-9, "a share between 0 and 1"),
    "sd0": (1e-9, math.inf, "a positive number of cycles"),
    "lod_multiple": (1e-9, math.inf, "a positive number"),
    "value": (1e-9, math.inf, "a positive number"),
    "lod": (1e-9, math.inf, "a positive number of copies"),
    "lloq": (1e-9, math.inf, "a positive number of copies"),
    "lowest_high": (0.0, math.inf, "a limit in percent"),
    "max_levels": (0.0, math.inf, "a whole number, 0 or more"),
}


@dataclass(frozen=True)
class Rule:
    """One rule of a file of acceptance criteria.

    Attributes
    ----------
    id : identifier
    meaning : what is measured
    values : its numbers, among them ``low`` and ``high``
    unit : unit of the measured value
    fatal : whether failing it means that there is no level
    required : whether not being able to evaluate it means the same
    status : "verified" (read in the source) or "practice"
    source : where it comes from
    """

    id: str
    meaning: str
    values: Mapping[str, float]
    unit: str
    fatal: bool
    required: bool
    status: str
    source: str

    @property
    def low(self) -> float:
        """Lower limit, NaN where there is none."""
        return self.values.get("low", math.nan)

    @property
    def high(self) -> float:
        """Upper limit, NaN where there is none."""
        return self.values.get("high", math.nan)


@dataclass(frozen=True)
class Rules:
    """The rules of one file, with its name, version and hash."""

    name: str
    version: str
    sha256: str
    by_id: Mapping[str, Rule]

    def __getitem__(self, rule: str) -> Rule:
        return self.by_id[rule]

    def value(self, rule: str, name: str = "value") -> float:
        """Return a number of a rule."""
        return float(self.by_id[rule].values[name])


def load_rules(rules: str | Path = "default", /) -> Rules:
    """Load acceptance criteria.

    Parameters
    ----------
    rules : str or Path
        A set that comes with ckinetics, or the path of a TOML file with the same tables (or with some of them
        and ``based_on = "default"``):

        - "default": what a clinical laboratory can start from;
        - "strict": tighter limits of common practice (R² 0.99, six levels, triplicates within 0.3 cycles);
        - "gmo": the performance criteria of the food-GMO guidance, as cited in PMC8282960.

    Returns
    -------
    Rules

    Raises
    ------
    FileFormatError
        The file is not there or is no TOML.
    InputError
        A rule, a number or the version is missing, unknown, or contradicts itself; the rule is named. Nothing in
        the file is ignored.

    Examples
    --------
    >>> load_rules("default")["efficiency"].high
    110.0
    """
    path = _FOLDER / f"{rules}.toml" if rules in SETS else Path(rules)
    raw, content = _read(path, rules)
    for key in content:
        if key not in _TOP:
            raise InputError(f"unknown entry '{key}' in the acceptance criteria: {_hint(key, _TOP)}", file=path)
    tables = _tables(content, path)
    base = content.get("based_on")
    if base is not None:
        if base != SETS[0]:
            raise InputError(f"based_on = '{base}': a set can be based on '{SETS[0]}' only", file=path)
        below, beneath = _read(_FOLDER / f"{base}.toml", base)
        # The hash stands for all that was applied.
        raw += b"\n" + below
        tables = {**beneath["rules"], **tables}
    for name in tables:
        if name not in KNOWN:
            raise InputError(f"unknown rule '{name}': {_hint(name, KNOWN)}", file=path)
    for name in KNOWN:
        if name not in tables:
            raise InputError(
                f"the acceptance criteria lack the rule '{name}': add it from the default set, or write "
                "based_on = 'default'",
                file=path,
            )
    version = str(content.get("version", "")).strip()
    if not version:
        raise InputError("the acceptance criteria have no version: write version = '1', say", file=path)
    return Rules(
        name=str(content.get("name", path.stem)),
        version=version,
        sha256=hashlib.sha256(raw).hexdigest(),
        by_id={name: _rule(name, tables[name], path) for name in KNOWN},
    )


def _read(path: Path, rules: str | Path) -> tuple[bytes, dict[str, Any]]:
    try:
        raw = path.read_bytes()
        return raw, tomllib.loads(raw.decode("utf-8"))
    except OSError as err:
        raise FileFormatError(
            f"the acceptance criteria '{rules}' cannot be read ({err.strerror or err}): "
            f"use {', '.join(map(repr, SETS))} or the path of a TOML file"
        ) from None
    except ValueError as err:  # TOML or encoding
        raise FileFormatError(f"the acceptance criteria are no TOML: {err}", file=path) from None


def _hint(name: str, known: Iterable[str]) -> str:
    known = tuple(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"


def _tables(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    tables = content.get("rules", {})
    if not isinstance(tables, dict):
        raise InputError("the entry 'rules' is no table: write one table [rules.NAME] a rule", file=path)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"rule '{name}' is no table: write [rules.{name}] with its numbers", file=path)
    return dict(tables)


def _rule(name: str, table: Mapping[str, Any], path: Path) -> Rule:
    known = (*KNOWN[name], *_WORDS, *_SWITCHES)
    for key in table:
        if key not in known:
            raise InputError(f"rule '{name}' has an unknown entry '{key}': {_hint(key, known)}", file=path)
    values = {key: _number(name, key, table.get(key), path) for key in KNOWN[name]}
    for low, high in (("low", "high"), ("lod", "lloq")):
        if values.get(low, -math.inf) > values.get(high, math.inf):
            raise InputError(f"rule '{name}' has {low} above {high}: correct one", file=path)
    for key in _SWITCHES:
        if not isinstance(table.get(key, False), bool):
            raise InputError(f"rule '{name}' has {key} = {table[key]!r}: write true or false", file=path)
        if table.get(key) and name in FLAGS:
            raise InputError(f"rule '{name}' is never {key}, it reports only: write {key} = false", file=path)
    if table.get("status") not in ("verified", "practice"):
        raise InputError(f"rule '{name}' needs a status: 'verified' or 'practice'", file=path)
    return Rule(
        id=name,
        meaning=str(table.get("meaning", name)),
        values=values,
        unit=str(table.get("unit", "")),
        fatal=bool(table.get("fatal", False)),
        required=bool(table.get("required", False)),
        status=str(table["status"]),
        source=str(table.get("source", "")),
    )


def _number(rule: str, key: str, value: Any, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"rule '{rule}' needs the number '{key}'", file=path)
    low, high, words = _RANGES.get(key, (-math.inf, math.inf, ""))
    if rule in _SHARES and key == "low":
        low, high, words = 0.0, 1.0, "a share from 0 to 1"
    if not low <= value <= high or (key == "max_levels" and value != int(value)):
        raise InputError(f"rule '{rule}' has {key} = {value:g}: give {words}", file=path)
    return float(value)
