"""Supplemental qualifiers of a CDISC domain: what the domain itself has no variable for."""

from __future__ import annotations

import numpy as np

from ..tables import Table, as_number, read_table
from .cdisc_times import TableLike

# Supplemental qualifiers that `write_pc` writes and `read_pc` understands: name to label.
QUALIFIERS = {
    "DETFL": "Detected, Below LLOQ Flag",
    "RESSTAT": "Why There Is No Result",
    "LOD": "Limit of Detection",
    "ULOQ": "Upper Limit of Quantitation",
    "SEWELL": "SE of ln Result, Own Wells",
    "SEPLATE": "SE of ln Result, Shared by Plate",
    "SESHARED": "SE of ln Result, Shared by Subject",
    "AFRLT": "Actual Days Since First Infusion",
    "DNANG": "Genomic DNA per Well, ng",
    "EXCLFL": "Excluded From Analyses Flag",
    "EXCLBY": "Excluded By and When",
    "REASON": "Reason of Status or Exclusion",
}


def read_qualifiers(source: Table, supp: TableLike | None, p: str) -> tuple[list[dict[str, str]], list[str]]:
    """Return the supplemental qualifiers of each row, and the names of those that are not used."""
    out: list[dict[str, str]] = [{} for _ in range(len(source))]
    if supp is None:
        return out, []
    columns = ("USUBJID", "RDOMAIN", "IDVAR", "IDVARVAL", "QNAM", "QVAL")
    table = read_table(
        supp, what=f"the SUPP{p} table", aliases=dict.fromkeys(columns, ()), required=[*columns[:1], *columns[2:]]
    )
    key = f"{p}SEQ"
    if key not in source:
        raise source.error(None, f"the table has no {key}, on which the supplemental qualifiers are joined: add it")
    places: dict[tuple[str, str], int] = {}
    for at, pair in enumerate(zip(source.texts("USUBJID"), source.texts(key), strict=True)):
        if pair in places:
            raise source.error(at, f"patient '{pair[0]}' has {key} {pair[1]} twice: number its rows apart")
        places[pair] = at
    unused = set()
    read = {name: table.texts(name) for name in columns}
    for at in range(len(table)):
        if read["RDOMAIN"][at] not in ("", p):
            raise table.error(at, f"RDOMAIN is '{read['RDOMAIN'][at]}', not '{p}': give the qualifiers of {p}")
        if read["IDVAR"][at] != key:
            raise table.error(at, f"IDVAR is '{read['IDVAR'][at]}': only {key} is understood")
        place = places.get((read["USUBJID"][at], read["IDVARVAL"][at]))
        if place is None:
            raise table.error(
                at,
                f"patient '{read['USUBJID'][at]}' has no row with {key} {read['IDVARVAL'][at]}: "
                "give the qualifiers of this table",
            )
        name = read["QNAM"][at]
        if name not in QUALIFIERS or name == "DNANG":
            unused.add(name)
        elif out[place].setdefault(name, read["QVAL"][at]) != read["QVAL"][at]:
            raise table.error(at, f"{name} is given twice for {key} {read['IDVARVAL'][at]}: keep one")
    return out, sorted(unused)


def qualifier_numbers(source: Table, qualifiers: list[dict[str, str]], name: str) -> np.ndarray:
    """Return a qualifier of each row as a number, NaN where there is none."""
    out = np.full(len(source), np.nan)
    for at, entry in enumerate(qualifiers):
        if entry.get(name, ""):
            value = as_number(entry[name])
            if value is None:
                raise source.error(at, f"the qualifier {name} '{entry[name]}' is not a number: correct it")
            out[at] = value
    return out


__all__ = ["QUALIFIERS", "qualifier_numbers", "read_qualifiers"]
