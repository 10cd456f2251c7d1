"""Loading an example as a cohort."""

from __future__ import annotations

from importlib import resources

import pandas as pd
import xarray as xr

from ..cohorts import cohort, read_kinetics
from ..errors import InputError

EXAMPLES = ("kimmel2021",)
# Traces that end at day 28: four of them are probably zero at day 90, and which ones cannot be told.
INFORMATIVE_ENDS = ("P06", "P07", "P11", "P13", "P14", "P22")
AMBIGUOUS = {"P18": (90.0,), "P24": (90.0, 180.0)}


def load_example(name: str, /) -> xr.DataTree:
    """Load real patients as a cohort.

    Parameters
    ----------
    name : {"kimmel2021"}
        ``kimmel2021``: 24 traces of CAR T cells per µL of blood after axi-cel, read from Fig. 3a of Kimmel,
        Locke and Altrock 2021 (Proc R Soc B 288:20210229, doi 10.1098/rspb.2021.0229, CC BY 4.0). No LLOQ is
        known and day 0 was not measured.

    Returns
    -------
    DataTree
        A cohort. Root attributes ``citation``, ``licence`` and ``caveats`` say what must be known; the root
        variable ``end_informative`` marks the six traces that end at day 28 (four are probably zero at day 90, which
        ones cannot be told); ambiguous values carry a ``reason``.

    Raises
    ------
    InputError
        There is no example of that name.

    Examples
    --------
    >>> load_example("kimmel2021")["kinetics"].sizes["patient"]
    24
    """
    if name not in EXAMPLES:
        raise InputError(f"there is no example '{name}': choose one of {', '.join(EXAMPLES)}")
    folder = resources.files(__package__)
    with resources.as_file(folder / f"{name}.csv") as path:
        table = pd.read_csv(path)
    notes = (folder / f"{name}.md").read_text(encoding="utf-8")
    table["reason"] = [
        "which patient this value belongs to is inferred" if row.day in AMBIGUOUS.get(str(row.patient), ()) else ""
        for row in table.itertuples()
    ]
    kinetics = read_kinetics(table, unit="cells/uL", columns={"time": "day", "level": "cells_per_uL"})
    patients = kinetics["patient"].values.tolist()
    root = pd.DataFrame(
        {
            "patient": patients,
            "end_informative": ["yes" if patient in INFORMATIVE_ENDS else "no" for patient in patients],
        }
    )
    tree = cohort(kinetics, patients=root, title="Axi-cel patients of Kimmel, Locke and Altrock 2021")
    tree["kinetics"].attrs["assay"] = "CAR T cells per µL of blood, read from a figure"
    tree.attrs["citation"] = (
        "Kimmel GJ, Locke FL, Altrock PM. Proc R Soc B 2021;288:20210229. doi 10.1098/rspb.2021.0229"
    )
    tree.attrs["licence"] = "CC BY 4.0"
    tree.attrs["caveats"] = notes[notes.index("Caveats") :]
    return tree
