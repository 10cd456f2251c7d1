"""Doses and constants of patients from a table, for the fits of a folder; several outputs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from ckinetics.cohorts import cohort, read_kinetics, save
from ckinetics.errors import InputError
from ckinetics.modeling import load_model
from ckinetics.simulation import simulate
from ckinetics.study.compare_folder import compare_folder
from ckinetics.study.fit_inputs import FitInputs

MODEL = "one_compartment_oral"
TIMES = np.array([0.25, 0.5, 1, 2, 3.5, 5, 7, 9, 12, 24]) / 24
DOSES = {"P1": 320.0, "P2": 80.0}
QUICK = {"starts": 2, "figures": False, "residual": "additive on log"}

TWO_OUTPUTS = """
title = "Decline seen twice"
time_unit = "day"
[reference]
text = "none"
doi = ""
[[verified]]
what = "everything"
against = "nothing"
[parameters.k]
label = "rate"
trust = "M"
value = 0.1
unit = "1/day"
transform = "log"
bounds = [1e-3, 10.0]
[parameters.A]
label = "level at time 0"
trust = "M"
value = 100.0
unit = "cells/uL"
transform = "log"
bounds = [1.0, 1e6]
[states.x]
label = "cells"
initial = "A"
unit = "cells/uL"
[[phases]]
name = "all"
[phases.equations]
x = "-k*x"
[outputs.cells]
label = "cells"
unit = "cells/uL"
expression = "x"
[outputs.half]
label = "half of them"
unit = "cells/uL"
expression = "0.5*x"
[[example]]
title = "first day"
source = "the initial value"
tolerance = 1e-6
times = [0.0]
[example.outputs]
cells = [100.0]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two patients of one model, given doses that differ fourfold."""
    folder = tmp_path_factory.mktemp("study")
    generator = np.random.default_rng(2)
    data = simulate(MODEL, times=TIMES, parameters={"CL": [2.7, 2.7]}, random_effects=False,
                    inputs={"dose": list(DOSES.values())})  # fmt: skip
    levels = data["level"].values * np.exp(0.05 * generator.normal(size=data["level"].shape))
    rows = [(name, time, level) for name, own in zip(DOSES, levels, strict=True)
            for time, level in zip(TIMES, own, strict=True)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["patient", "time", "level"]).assign(unit="mg/L")
    table.to_csv(folder / "arm.csv", index=False)
    return folder


def write_inputs(folder, doses=DOSES, **columns):
    path = folder / "doses.csv"
    table = pd.DataFrame({"patient": list(doses), "time": 0, "value": list(doses.values()), "input": "dose"})
    table.assign(**columns).to_csv(path, index=False)
    return path


def clearances(run):
    table = pd.read_csv(run.out / "estimates.csv")
    return table[table["parameter"] == "CL"].set_index("patient")["estimate"]


def test_each_patient_has_its_own_dose(study, tmp_path):
    run = compare_folder(study, models=[MODEL], out=tmp_path / "out", inputs=write_inputs(tmp_path), **QUICK)
    assert run.status == "ok"
    assert not run.messages
    np.testing.assert_allclose(clearances(run), 2.7, rtol=0.1)
    told = json.loads((run.out / "run.json").read_text())
    assert told["settings"]["inputs"] == "doses.csv"
    assert [entry["file"] for entry in told["inputs"] if entry["kind"] == "inputs"] == ["doses.csv"]


def test_the_dose_of_the_file_is_said(study, tmp_path):
    run = compare_folder(study, models=[MODEL], out=tmp_path / "out", **QUICK)
    assert any(
        "dose of 'one_compartment_oral': what its file gives is taken for every patient" in m for m in run.messages
    )
    np.testing.assert_allclose(clearances(run), [2.7, 4 * 2.7], rtol=0.1)


def test_another_dose_is_another_fit(study, tmp_path):
    inputs, out = write_inputs(tmp_path), tmp_path / "out"
    assert compare_folder(study, models=[MODEL], out=out, inputs=inputs, **QUICK).counts["fitted"] == 1
    assert compare_folder(study, models=[MODEL], out=out, inputs=inputs, **QUICK).counts["kept"] == 1
    write_inputs(tmp_path, {"P1": 160.0, "P2": 80.0})
    changed = compare_folder(study, models=[MODEL], out=out, inputs=inputs, **QUICK)
    assert changed.counts["fitted"] == 1
    assert clearances(changed)["P1"] == pytest.approx(1.35, rel=0.1)


def test_rows_of_nobody_and_patients_without_rows_are_said(study, tmp_path):
    inputs = write_inputs(tmp_path, {"P1": 320.0, "P9": 80.0})
    run = compare_folder(study, models=[MODEL], out=tmp_path / "out", inputs=inputs, **QUICK)
    assert run.messages[0] == "arm: no row of inputs gives 'dose' of 'one_compartment_oral' to P2: nothing is taken"
    assert run.messages[1].endswith("no cohort has these patients: P9")
    table = pd.read_csv(run.out / "estimates.csv").set_index(["patient", "parameter"])
    assert table.loc[("P2", "CL"), "estimable"] == "no"
    assert table.loc[("P1", "CL"), "estimable"] == "yes"


def test_a_cohort_whose_patients_have_no_rows_is_said_to_have_the_doses_of_the_file(study, tmp_path):
    inputs = write_inputs(tmp_path, cohort="another")
    run = compare_folder(study, models=[MODEL], out=tmp_path / "out", inputs=inputs, **QUICK)
    assert run.messages[0].startswith("arm: no row of inputs gives anybody 'dose' of 'one_compartment_oral': what its")
    np.testing.assert_allclose(clearances(run), [2.7, 4 * 2.7], rtol=0.1)


def test_each_input_that_a_patient_lacks_is_said(tmp_path):
    path, model = tmp_path / "inputs.csv", load_model("mueller_schoell2021")
    path.write_text("patient,time,value,input\nP1,,2,ratio\nP1,,1,asct\nP2,,2,ratio\n")
    inputs = FitInputs.read(path, [model])
    rows = inputs.of("arm", ["P1", "P2"], model)
    said = "arm: no row of inputs gives 'asct' of 'mueller_schoell2021' to P2: the value of the file is taken"
    assert inputs.gaps("arm", ["P1", "P2"], model, rows) == [said]


def test_the_column_cohort_tells_patients_of_one_name_apart(tmp_path):
    inputs = FitInputs.read(write_inputs(tmp_path, {"P1": 320.0, "P2": 80.0}, cohort=["a", "b"]), [load_model(MODEL)])
    model = load_model(MODEL)
    assert inputs.of("a", ["P1", "P2"], model)["patient"].tolist() == ["P1"]
    assert inputs.of("c", ["P1", "P2"], model) is None
    assert inputs.of("a", ["P1"], load_model("stein2019")) is None
    assert inputs.of_nobody({"a": ["P1", "P2"], "c": ["P2"]}) == ["P2 of b"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("P1,0,320,doze", "row 2: 'doze' is no input of the models; did you mean 'dose'?"),
        ("P1,0,,dose", "row 2: input 'dose' of patient 'P1' has no value: fill it in"),
        ("P1,,320,dose", "row 2: input 'dose' of patient 'P1' has no time: give its day since infusion"),
        ("P1,0,many,dose", "row 2: value 'many' is not a number"),
        (",0,320,dose", "row 2: column 'patient' is empty"),
        ("P1,0,2,ratio", "row 2: 'ratio' is a constant, which has no time: leave it empty"),
        ("P1,,2,ratio\nP1,,1,ratio", "row 3: constant 'ratio' of patient 'P1' is given twice: leave one"),
    ],
)
def test_a_table_with_a_fault_names_file_and_row(tmp_path, row, message):
    path = tmp_path / "doses.csv"
    path.write_text(f"patient,time,value,input\n{row}\n")
    with pytest.raises(InputError) as caught:
        FitInputs.read(path, [load_model(MODEL), load_model("mueller_schoell2021")])
    assert "doses.csv" in str(caught.value)
    assert message in str(caught.value)


def test_a_table_of_inputs_for_models_without_any_stops_the_run(study, tmp_path):
    with pytest.raises(InputError, match="'dose' is no input of the models, which take none"):
        compare_folder(study, models=["stein2019"], out=tmp_path / "out", inputs=write_inputs(tmp_path), **QUICK)


def test_several_outputs_of_a_cohort(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TWO_OUTPUTS)
    generator = np.random.default_rng(1)
    times = np.arange(1.0, 9.0)
    rows = [(time, 100 * np.exp(-0.1 * time) * np.exp(0.1 * generator.normal())) for time in times]
    one = pd.DataFrame(rows, columns=["time", "level"]).assign(patient="P1", unit="cells/uL", matrix="blood")
    flow = read_kinetics(one, unit="cells/uL")
    other = read_kinetics(one.assign(level=one["level"] / 2), unit="cells/uL")
    study = tmp_path / "study"
    study.mkdir()
    save(cohort(flow, title="A", flow=other), study / "a.nc")
    run = compare_folder(
        study, models=[str(path)], out=tmp_path / "out",
        outputs={"cells": "kinetics/blood", "half": "flow/blood"}, **QUICK,
    )  # fmt: skip
    assert run.status == "ok", [verdict.message for verdict in run.verdicts]
    estimates = pd.read_csv(run.out / "estimates.csv").set_index("parameter")["estimate"]
    assert estimates["k"] == pytest.approx(0.1, rel=0.3)
    assert len(estimates) == 4
