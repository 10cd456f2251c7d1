from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from report_builders import fit_tree, study

from ckinetics.errors import InputError
from ckinetics.exposure import exposure_response
from ckinetics.noncompartmental import nca, nca_summary
from ckinetics.reporting import summary
from ckinetics.reporting.core.numbers import number


def test_an_nca_is_its_own_summary():
    result = nca(study())
    assert summary(result).equals(nca_summary(result))


def test_a_fit_counts_the_determined_apart_from_those_at_a_bound():
    table = summary(fit_tree("", ["P1", "P2", "P3"])).set_index("parameter")
    row = table.loc["Tmax"]
    assert row[["n", "n determined", "n failed"]].tolist() == [2, 1, 1]
    assert row["failed"] == "too few samples: 1"
    assert row["geometric mean of determined"] == pytest.approx(12.5)
    assert np.isnan(row["geometric CV % of determined"])
    assert row["unit"] == "day"


def test_an_exposure_is_one_row():
    cohort = study(9)
    result = exposure_response(nca(cohort)["cmax"].sel(matrix="blood"), cohort["outcomes"]["response"])
    table = summary(result)
    assert len(table) == 1
    assert table.loc[0, "n_used"] == int(result["n_used"])
    assert table.loc[0, "odds_ratio"] == pytest.approx(float(result["odds_ratio"]), nan_ok=True)


@pytest.mark.parametrize("thing", [1, xr.Dataset(), xr.Dataset(attrs={"result": "fit"}), xr.DataTree()])
def test_what_is_no_result_is_refused(thing):
    with pytest.raises(InputError, match="expected a result of nca, fit"):
        summary(thing)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-3.5236, "-3.524"),
        (999999.0, "1×10⁶"),
        (123456.0, "123,500"),
        (99.995, "100"),
        (1.0e-8, "1×10⁻⁸"),
        (0.00012346, "1.235×10⁻⁴"),
        (0.0012346, "0.001235"),
        (-np.inf, "−∞"),
        (6.02214e23, "6.022×10²³"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text
