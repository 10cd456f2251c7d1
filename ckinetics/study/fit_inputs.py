"""A table of doses, covariates and constants for the fits of a folder of cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..modeling import Model
from ..suggestions import suggestion
from ..tables import Table, read_table

_ALIASES = {
    "patient": ["patient_id", "subject", "usubjid", "id"],
    "time": ["day", "time_days"],
    "value": ["amount", "dose"],
    "input": ["name"],
    "cohort": ["study"],
}


@dataclass(frozen=True)
class FitInputs:
    """Inputs of patients, one row an event or a constant.

    Attributes
    ----------
    rows : DataFrame
        Columns cohort ("" for any), patient, time (days since infusion; NaN for constants), value and input.
    """

    rows: pd.DataFrame

    @classmethod
    def read(cls, path: Path, models: Sequence[Model]) -> FitInputs:
        """Read a table of inputs of some of the models.

        Raises
        ------
        InputError
            A column or a value is missing, or an input is one of no model; it names the file and the row.
        """
        table = read_table(path, what="inputs", aliases=_ALIASES, required=["patient", "time", "value", "input"])
        frame = pd.DataFrame(
            {
                "cohort": table.texts("cohort"),
                "patient": table.texts("patient", required=True),
                "time": table.numbers("time"),
                "value": table.numbers("value"),
                "input": table.texts("input", required=True),
            }
        )
        _check(frame, table, models)
        return cls(frame)

    def of(self, cohort: str, patients: Sequence[str], model: Model) -> pd.DataFrame | None:
        """Return the rows for a cohort's patients and a model, as `ckinetics.fit` takes them, or None.

        A patient of the same name in two cohorts is told apart by the column ``cohort``.
        """
        rows = self.rows
        mine = rows["cohort"].isin(["", cohort]) & rows["patient"].isin(list(patients))
        mine &= rows["input"].isin(list(model.specification.inputs))
        return rows.loc[mine, ["patient", "time", "value", "input"]].reset_index(drop=True) if mine.any() else None

    def has(self, name: str) -> bool:
        """Whether any patient is given an input."""
        return bool((self.rows["input"] == name).any())

    def gaps(self, cohort: str, patients: Sequence[str], model: Model, rows: pd.DataFrame | None) -> list[str]:
        """Return, in sentences, what patients of a cohort get of inputs that the table gives others.

        `rows` is what `of` returned.
        """
        said = []
        for name, entry in model.specification.inputs.items():
            if not self.has(name):
                continue
            having = set() if rows is None else set(rows.loc[rows["input"] == name, "patient"])
            without = [patient for patient in patients if patient not in having]
            if without and not having:
                said.append(
                    f"{cohort}: no row of inputs gives anybody '{name}' of '{model.name}': what its file gives is "
                    "taken for every patient"
                )
            elif without:
                what = "the value of the file is" if entry.kind == "constant" else "nothing is"
                said.append(
                    f"{cohort}: no row of inputs gives '{name}' of '{model.name}' to {', '.join(without)}: {what} taken"
                )
        return said

    def of_nobody(self, patients: dict[str, list[str]]) -> list[str]:
        """Return the patients of the table, with their cohorts where it names them, that no cohort has."""
        everyone = {name for names in patients.values() for name in names}
        pairs = zip(self.rows["cohort"], self.rows["patient"], strict=True)
        lost = [
            f"{name} of {cohort}" if cohort else name
            for cohort, name in pairs
            if name not in (patients.get(cohort, []) if cohort else everyone)
        ]
        return list(dict.fromkeys(lost))


def _check(frame: pd.DataFrame, table: Table, models: Sequence[Model]) -> None:
    kinds = {name: entry.kind for model in models for name, entry in model.specification.inputs.items()}
    seen: set[tuple[str, str, str]] = set()
    for row, (cohort, patient, time, value, name) in enumerate(frame.itertuples(index=False)):
        if name not in kinds:
            what = suggestion(name, kinds) if kinds else ", which take none: leave the table out"
            raise table.error(row, f"'{name}' is no input of the models{what}")
        if not np.isfinite(value):
            raise table.error(row, f"input '{name}' of patient '{patient}' has no value: fill it in")
        constant = kinds[name] == "constant"
        if constant and not np.isnan(time):
            raise table.error(row, f"'{name}' is a constant, which has no time: leave it empty")
        if not constant and not np.isfinite(time):
            raise table.error(row, f"input '{name}' of patient '{patient}' has no time: give its day since infusion")
        if constant and (cohort, patient, name) in seen:
            raise table.error(row, f"constant '{name}' of patient '{patient}' is given twice: leave one")
        seen.add((cohort, patient, name))
