"""The tables of fits of several cohorts: one row a cohort, model, patient and parameter or derived quantity."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import xarray as xr

from ..core.results import flag_words

# By group of a fit: the dim that makes rows beside the patients, and what of it is told.
_COLUMNS = {
    "estimates": ("parameter", ["estimate", "se", "lower", "upper", "estimable", "unit", "fixed"]),
    "derived": ("quantity", ["value", "se", "lower", "upper", "estimable", "unit"]),
}


def rows_of_fits(fits: Iterable[tuple[str, str, xr.DataTree]], group: str) -> pd.DataFrame:
    """Return the estimates, or the derived quantities, of fits: (cohort, model, fit) each.

    Limits are those of the interval that the column ``interval`` names; flags are in words.
    """
    thing, names = _COLUMNS[group]
    columns = ["cohort", "model", "patient", thing, *names, "interval", "message"]
    tables = [pd.DataFrame(columns=columns)]
    for cohort, model, fit in fits:
        found = fit[group].to_dataset()  # with the patients, which groups inherit
        table = found[[name for name in names if name in found]].to_dataframe().reset_index()
        for name in {"estimable", "fixed"} & {*table.columns}:
            words = flag_words(found[name]).ravel().tolist()
            table[name] = table[name].map(dict(zip(found[name].values.ravel().tolist(), words, strict=True)))
        table["message"] = table["patient"].map(fit["message"].to_series())
        if "lower" in found:
            table["interval"] = str(found["lower"].attrs["long_name"]).removeprefix("lower limit, ")
        tables.append(table.assign(cohort=cohort, model=model).reindex(columns=columns))
    return pd.concat(tables[1:] or tables, ignore_index=True)
