"""Results as tables: one row a value, one row a profile, or the shapes of CDISC's PP and ADPP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from .cdisc import adpp_table, pp_table
from .columns import (
    RATIO,
    SPREADS,
    bounds_of,
    columns_of,
    flags_of,
    given_of,
    interval_kind,
    labels_of,
    leading_of,
    level_units,
    per_profile,
    reason_texts,
    units_of,
)
from .reasons import SENTENCES, Facts, Reason, label_of
from .results import PER_PROFILE, SHARES

Layout = Literal["long", "wide", "pp", "adpp"]
SEE_COLUMN = "see unit"


def nca_table(
    result: xr.Dataset,
    /,
    *,
    layout: Layout = "long",
    studyid: str = "",
    category: str = "CAR TRANSGENE",
    codes: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Lay a noncompartmental analysis out as a table.

    Parameters
    ----------
    result : Dataset
        From `nca`.
    layout : {"long", "wide", "pp", "adpp"}
        ``long``: one row a profile and parameter (an area over an interval is one, named by it: "auc_interval 0-28"),
        with the leading dims, ``parameter``, ``PPTESTCD``, ``value``, ``unit``, ``bound`` (what is known of a value
        that is missing: "<50", ">1000000"), standard errors and intervals where the result has any (``se``, ``lower``,
        ``upper`` by the delta method, ``boot_…`` by the bootstrap, ``interval_kind``), ``reason`` and ``sentence``
        where the value is missing, and the profile's ``flags``. Ratios of blood to another matrix stand under the
        matrix "blood/bone marrow".

        ``wide``: one row a profile, the unit of each column in its header; with the shares of the areas, the numbers
        of samples and the flags.

        ``pp``: SDTM's domain of parameters. A value that could not be computed has PPSTAT "NOT DONE" and PPREASND;
        one of which a bound is known has it as text ("<50") and no PPSTRESN. An area over an interval has PPSTINT and
        PPENINT, as durations from the time that times count from; PPENINT is empty where the interval has no end.

        ``adpp``: ADaM's. ANL01FL is "Y" where there is a value and none of the limits of acceptance that bear on it is
        missed; else ANL01RSN says why.
    studyid : str
        STUDYID of ``pp`` and ``adpp``.
    category : str
        PPCAT (PARCAT1): what was measured; a dim ``cytokine`` or ``count`` names it itself.
    codes : mapping of str to str, optional
        Codes of a sponsor, by parameter ({"persistence": "PERSIST"}), for parameters that have none in CDISC and are
        left out of ``pp`` and ``adpp`` otherwise.

    Returns
    -------
    DataFrame
        Numbers in full: text in PPORRES, PPSTRESC and AVALC gives back the number exactly.

    Raises
    ------
    InputError
        No result of `nca`, an unknown layout, or PP of profiles without patients.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> from ckinetics.noncompartmental import nca
    >>> result = nca(kinetics_from_arrays([0, 7, 28], [[0, 900, 60], [0, 0, 0]], lloq=50, unit="copies/ug"))
    >>> table = nca_table(result).query("parameter == 'cmax'")
    >>> table[["patient", "value", "unit", "bound", "reason"]].values.tolist()
    [['1', 900.0, 'copies/ug', '', ''], ['2', nan, 'copies/ug', '<50', 'all_blq']]
    >>> nca_table(result, layout="pp").query("PPTESTCD == 'CMAX'")["PPORRES"].tolist()
    ['900', '<50']
    """
    if layout == "long":
        return long_table(result)
    if layout == "wide":
        frame, units = wide_columns(result)
        return frame.rename(columns={name: f"{name} [{unit}]" for name, unit in units.items() if unit not in ("", "1")})
    if layout in ("pp", "adpp"):
        make = pp_table if layout == "pp" else adpp_table
        return make(result, studyid=studyid, category=category, codes=dict(codes or {}))
    raise InputError(f"unknown layout '{layout}': use long, wide, pp or adpp")


def long_table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row a profile and parameter, in the order of profiles."""
    labels, units = labels_of(result), level_units(result)
    columns = list(columns_of(result))
    count, width = len(units), len(columns)
    ends = [end for end in SPREADS if any(end in column.spreads for column in columns)]

    def table(part: Any, dtype: type) -> np.ndarray:
        """Return (profile, column) as one column of the table."""
        found: np.ndarray = np.empty((count, width), dtype=dtype)
        for at, column in enumerate(columns):
            found[:, at] = part(column)
        return found.ravel()

    nothing = np.full(count, np.nan)
    frame: dict[str, Any] = {dim: np.repeat(np.array(names, dtype=object), width) for dim, names in labels.items()}
    frame["parameter"] = np.tile(np.array([column.name for column in columns], dtype=object), count)
    frame["PPTESTCD"] = np.tile(np.array([column.record.pptestcd for column in columns], dtype=object), count)
    frame["value"] = table(lambda column: column.values, np.float64)
    frame["unit"] = table(lambda column: units_of(column, units), object)
    frame["bound"] = table(lambda column: bounds_of(result, column.name), object)
    for end in ends:
        frame[end] = table(lambda column, end=end: column.spreads.get(end, nothing), np.float64)
    if ends:
        kind = interval_kind(result)
        frame["interval_kind"] = table(lambda column: kind if column.spreads else "", object)
    codes = table(lambda column: column.codes, np.int64)
    places = np.repeat(np.arange(count), width)
    frame["reason"], frame["sentence"] = reason_texts(result, codes, places, frame["parameter"])
    flags = np.array(["; ".join(names) for names in flags_of(result)], dtype=object)
    frame["flags"] = np.repeat(flags, width)
    made = pd.DataFrame(frame, index=range(count * width))
    made = made[np.repeat(given_of(result), width)].reset_index(drop=True)
    return pd.concat([made, _ratios(result, made)], ignore_index=True) if RATIO in result and count else made


def _ratios(result: xr.Dataset, like: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the ratios of two matrices, with the columns of the table that they follow."""
    rest = [dim for dim in leading_of(result) if dim != "matrix"]
    dims = (*rest, "matrix_pair", "ratio")
    values = result[RATIO].transpose(*dims).values
    codes = result[f"{RATIO}_reason_code"].transpose(*dims).values
    words = [name for name in like.columns if not pd.api.types.is_numeric_dtype(like[name])]
    rows = []
    for at in np.ndindex(values.shape):
        reason = Reason(int(codes[at]))
        row: dict[str, Any] = dict.fromkeys(words, "")
        row |= {dim: str(label_of(result, dim, at[i])) for i, dim in enumerate(rest)}
        row |= {
            "matrix": str(result["matrix_pair"].values[at[-2]]),
            "parameter": f"{RATIO} {result['ratio'].values[at[-1]]}",
            "value": float(values[at]),
            "unit": "1",
        }
        if reason != Reason.computed:
            row |= {"reason": reason.name, "sentence": _of_two(result, reason)}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(like.columns))


def _of_two(result: xr.Dataset, reason: Reason) -> str:
    """Return why a ratio of two matrices is missing: the sentence of one profile has figures that two do not share."""
    text = SENTENCES[reason].replace("{origin}", Facts(result).origin)
    return "one of the two has no value: see its own reason" if "{" in text else text


def wide_columns(result: xr.Dataset) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return one row a profile, and the unit of each column that has one.

    Columns whose unit differs between profiles have the unit "see unit": the column ``unit`` is that of the level.
    """
    units = level_units(result)
    kinds = units or [str(result["cmax"].attrs.get("units", ""))]
    frame: dict[str, Any] = {**labels_of(result), "unit": units}
    shown: dict[str, str] = {}
    for column in columns_of(result):
        unit = _one(units_of(column, kinds))
        frame[column.name], shown[column.name] = column.values, unit
        for end, values in column.spreads.items():
            name = f"{column.record.name}_{end}{column.name.removeprefix(column.record.name)}"
            frame[name], shown[name] = values, unit
        if column.interval is not None and column.record.name == "auc_interval":
            for share in SHARES:
                name = f"{share}{column.name.removeprefix(column.record.name)}"
                frame[name], shown[name] = per_profile(result, share, column.interval), "%"
    for name, (_, unit) in PER_PROFILE.items():
        frame[name], shown[name] = per_profile(result, name), unit
    if "infusion_time" in result:
        frame["infusion_time"], shown["infusion_time"] = per_profile(result, "infusion_time"), "day"
    frame["flags"] = ["; ".join(names) for names in flags_of(result)]
    made = pd.DataFrame(frame, index=range(len(units)))
    return made[given_of(result)].reset_index(drop=True), shown


def _one(units: list[str]) -> str:
    distinct = set(units)
    return distinct.pop() if len(distinct) == 1 else (SEE_COLUMN if distinct else "")
