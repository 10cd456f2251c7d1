"""Acceptance criteria: a versioned TOML file, one table a rule."""

from __future__ import annotations

import difflib
import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError

_FOLDER = Path(__file__).with_name("rule_files")
SETS = ("default", "strict", "gmo")
_LIMITED = {"low", "high"}
# Every rule, and the numbers that a file must give for it.
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
    "dna_input": ("low",),
    "replicates": ("low",),
    "replicate_sd": ("confidence", "sd0"),
    "partial_detection": ("low",),
    "hit_model": ("hit_probability",),
    "qc_error": ("high",),
    "qc_overall": ("low",),
    "qc_per_level": ("low",),
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
        - "strict": tighter limits of common practice (R² 0.99, six levels, replicates of 0.1 cycles at high copies);
        - "gmo": the performance criteria of the food-GMO guidance, as cited in PMC8282960.

    Returns
    -------
    Rules

    Raises
    ------
    FileFormatError
        The file is not there or is no TOML.
    InputError
        A rule or a number is missing, unknown, or contradicts itself; the rule is named.

    Examples
    --------
    >>> load_rules("default")["efficiency"].high
    110.0
    """
    path = _FOLDER / f"{rules}.toml" if rules in SETS else Path(rules)
    raw, content = _read(path, rules)
    tables = dict(content.get("rules", {}))
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
            near = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(KNOWN)}"
            raise InputError(f"unknown rule '{name}': {hint}", file=path)
    for name in KNOWN:
        if name not in tables:
            raise InputError(
                f"the acceptance criteria lack the rule '{name}': add it from the default, or write based_on = 'default'",
                file=path,
            )
    return Rules(
        name=str(content.get("name", path.stem)),
        version=str(content.get("version", "")),
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


def _rule(name: str, table: Mapping[str, Any], path: Path) -> Rule:
    values = {
        key: float(value)
        for key, value in table.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    unknown = set(table) - set(KNOWN[name]) - _LIMITED - {"meaning", "unit", "fatal", "required", "status", "source"}
    if unknown:
        raise InputError(f"rule '{name}' has an unknown entry '{sorted(unknown)[0]}'", file=path)
    for key in KNOWN[name]:
        if not math.isfinite(values.get(key, math.nan)):
            raise InputError(f"rule '{name}' needs the number '{key}'", file=path)
    if values.get("low", -math.inf) > values.get("high", math.inf):
        raise InputError(f"rule '{name}' has low above high", file=path)
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
