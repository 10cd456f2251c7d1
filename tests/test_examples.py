from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ckinetics.cohorts import load, save, validate
from ckinetics.errors import InputError
from ckinetics.examples import load_example
from ckinetics.noncompartmental import cautions_table, nca, reasons_table


def test_every_value_is_the_digitised_one(shared_data: Path) -> None:
    profiles = load_example("kimmel2021")["kinetics"].to_dataset()
    path = shared_data / "models" / "kimmel2021_digitised" / "patients_fig3a.csv"
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert int(np.isfinite(profiles["level"].values).sum()) == len(rows) == 93
    for row in rows:
        one = profiles.sel(patient=row["patient"], matrix="blood")
        at = one["time"].values == float(row["day"])
        assert one["level"].values[at].tolist() == [float(row["cells_per_uL"])]


def test_cohort_carries_its_caveats(tmp_path: Path) -> None:
    data = validate(load_example("kimmel2021"))
    assert data["kinetics"].sizes["patient"] == 24
    assert data["kinetics"]["unit"].values.tolist() == ["cells/uL"]
    assert float(data["kinetics"]["time"].min()) == 7
    assert np.isnan(data["kinetics"]["lloq"].values).all()
    ends = data["end_informative"].values
    assert data["patient"].values[ends == "yes"].tolist() == ["P06", "P07", "P11", "P13", "P14", "P22"]
    assert "10.1098/rspb.2021.0229" in data.attrs["citation"]
    assert "No limit of quantification is known" in data.attrs["caveats"]
    assert load(save(data, tmp_path / "kimmel.nc")).identical(data)


def test_analysis_says_what_it_cannot_know() -> None:
    result = nca(load_example("kimmel2021"))
    found = cautions_table(result).groupby("patient")["caution"].apply(set)
    assert all("lloq_unknown" in found[name] for name in result["patient"].values)
    assert "rises_again" in found["P12"]
    assert "peak_at_first" in found["P02"]
    assert "peak_at_first" not in found["P19"]
    reasons = reasons_table(result)
    late = reasons[(reasons["patient"] == "P24") & (reasons["parameter"] == "auc_interval 0-28")]
    assert late["sentence"].item().endswith("the first is at day 90")
    assert len(reasons[reasons["parameter"] == "half_life"]) >= 10


def test_an_unknown_example_names_the_known() -> None:
    with pytest.raises(InputError, match="kimmel2021"):
        load_example("zuma")
