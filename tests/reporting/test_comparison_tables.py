"""Tables of comparisons over several cohorts, from fits made by hand."""

from __future__ import annotations

import numpy as np
from fit_builders import made_fit

from ckinetics.fitting import Convergence, compare
from ckinetics.reporting.pages.comparison import CohortComparison, joined_summary


def cohort(name, *, models=("a", "b"), patients=("P1", "P2"), failing=()):
    fits = {
        model: made_fit(
            10.0,
            model=model,
            patients=patients,
            codes=int(Convergence.not_converged) if model in failing else 0,
        )
        for model in models
    }
    return CohortComparison(name, fits["a"], fits, compare(fits))


def test_patients_of_cohorts_outside_the_sum_are_counted_as_left_out():
    whole, lacking = cohort("whole"), cohort("lacking", models=("a",), patients=("P1", "P2", "P3"))
    failing = cohort("failing", failing=("b",))
    table = joined_summary([whole, lacking, failing])
    over_all = table[table["cohort"] == "all cohorts"]
    assert over_all["cohorts"].tolist() == [1, 1]
    assert over_all["patients"].tolist() == [2.0, 2.0]
    assert over_all["patients left out"].tolist() == [5.0, 5.0]
    nothing = joined_summary([lacking, failing])
    over_all = nothing[nothing["cohort"] == "all cohorts"]
    assert over_all["patients left out"].tolist() == [5.0, 5.0]
    assert np.isnan(over_all["AICc"]).all()
