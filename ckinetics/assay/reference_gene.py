"""The DNA behind a level from a reference gene of two copies a diploid genome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ..schema import Status, Verdict
from .controls import reference_verdict
from .levels import SampleResult, Scale, Well, names_of
from .rules import Rules
from .verdicts import verdict

Unit = Literal["copies/ug", "copies/cell"]
COPIES_PER_CELL = 2.0


def reference_scale(
    wells: Sequence[Well], reference: SampleResult | None, rules: Rules, *, unit: Unit, genome_pg: float | None
) -> Scale:
    """Return the scale of a sample whose DNA was measured by a reference gene on the same run.

    Parameters
    ----------
    wells : sequence of mapping
        The sample's wells of the transgene.
    reference : SampleResult or None
        The copies of the reference gene in the same sample, run and dilution (of a scale of 1), if measured.
    rules : Rules
        Acceptance criteria.
    unit : {"copies/ug", "copies/cell"}
        Unit of the level.
    genome_pg : float or None
        Mass of a diploid genome in pg; needed for copies/ug.

    Notes
    -----
    ``copies/cell = 2 N_CAR / N_ref``; ``m_eff[ng] = N_ref / 2 * genome_pg / 1000`` stands in place of the mass of
    the sample sheet. A dilution of the extract lowers both targets alike and cancels. Errors of the reference's
    wells and of its curve are added to those of the transgene.
    """
    first = wells[0]
    about = {"run_id": first["run_id"], "target": first["target"], "sample_id": first["sample_id"]}
    name = f"sample '{first['sample']}'"
    if reference is None:
        return Scale(math.nan, why=f"{name} has no well of the reference gene on run {first['run_id']}")
    if reference.status is not Status.quantified:
        words = reference.reason or reference.status.name
        why = f"the reference gene of {name} is not quantified: {words}"
        return Scale(math.nan, why=why, verdicts=tuple(reference.verdicts))
    n_ref = reference.copies
    mass = n_ref / COPIES_PER_CELL * genome_pg / 1e3 if genome_pg is not None else math.nan
    verdicts = list(reference.verdicts)
    why, status = "", Status.invalid
    if genome_pg is not None:
        nominal = float(first["dna_ng"]) / float(first["dilution"])
        verdicts.append(reference_verdict(mass, nominal, rules, about, wells=reference.wells.split()))
        if verdicts[-1]["outcome"] == Verdict.failed and rules["reference_gene"].fatal:
            why = str(verdicts[-1]["message"])
        rule = rules["dna_input"]
        verdicts.append(verdict(rule, mass, about, wells=names_of(wells), why="by the reference gene"))
        if rule.fatal and mass < rule.low:
            why, status = str(verdicts[-1]["message"]), Status.insufficient_dna
        elif rule.fatal and mass > rule.high:
            why = str(verdicts[-1]["message"])
    factor = COPIES_PER_CELL / n_ref if unit == "copies/cell" else 1e3 / mass
    return Scale(factor, mass, reference.se_well, reference.se_plate, why, status, tuple(verdicts))
