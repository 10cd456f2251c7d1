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


def test_what_the_caveats_say_of_the_traces_is_so() -> None:
    data = load_example("kimmel2021")
    level = data["kinetics"].to_dataset().isel(matrix=0)
    names, known = level["patient"].values, np.isfinite(level["level"].values).sum(axis=-1)
    counts = {str(p): int(n) for p, n in zip(names, known, strict=True)}
    text = " ".join(data.attrs["caveats"].split())
    assert max(counts.values()) == 5
    assert "P22 and P24 have two, P06, P07, P11, P13, P14, P18 and P20 three" in text
    assert [name for name, n in counts.items() if n == 2] == ["P22", "P24"]
    assert [name for name, n in counts.items() if n == 3] == ["P06", "P07", "P11", "P13", "P14", "P18", "P20"]

    def value(patient: str, day: float) -> float:
        one = level.sel(patient=patient)
        return float(one["level"].values[one["time"].values == day].item())

    assert "P01 and P12 rise again from day 90 to day 180 (1.7- and 4.6-fold)" in text
    assert [round(value(name, 180) / value(name, 90), 1) for name in ("P01", "P12")] == [1.7, 4.6]
    for name, days in {"P18": (28,), "P20": (7,), "P23": (7,), "P24": (7, 14, 28)}.items():
        assert not set(days) & set(level.sel(patient=name)["time"].values.tolist())
