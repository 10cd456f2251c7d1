"""Simulated profiles: the right distributions, bounds, inputs, limits, and draws that stay."""

from __future__ import annotations

import json
import pickle
from math import erfc, sqrt

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import ckinetics as ck
from ckinetics.errors import InputError
from ckinetics.kernels import virtual_patients
from ckinetics.modeling import Model, load_model, read_model
from ckinetics.modeling.solving import Outcome
from ckinetics.schema import Status
from ckinetics.simulation import simulate

TIMES = [0.0, 5.0, 9.0, 28.0, 180.0]
MANY = 100_000

# A dose into A, which becomes B; a helper that speeds it up; B starts at the burden. Hours, so that days are converted.
CHAIN = """
title = "Chain"
time_unit = "hour"
[reference]
text = "made up"
doi = "none"
[[verified]]
what = "nothing"
against = "nothing"
[inputs.infusion]
kind = "dose"
unit = "cells"
state = "A"
value = 1e6
[inputs.helper]
kind = "covariate"
unit = "1"
[inputs.burden]
kind = "constant"
unit = "cells"
value = 2.0
[parameters.k]
label = "rate"
unit = "1/hour"
value = 0.1
transform = "log"
bounds = [1e-6, 1e6]
random_sd = 0.3
trust = "M"
[states.A]
unit = "cells"
initial = "0"
[states.B]
unit = "cells"
initial = "burden"
[[phases]]
name = "all"
[phases.equations]
A = "-k*(1 + helper)*A"
B = "k*(1 + helper)*A"
[outputs.other]
unit = "cells"
expression = "B"
[outputs.level]
unit = "cells"
expression = "A"
[outputs.level.residual]
kind = "additive on log"
parameter = "a"
value = 0.2
bounds = [0.01, 10.0]
trust = "M"
[outputs.total]
unit = "cells"
expression = "A + B"
[outputs.total.residual]
kind = "additive on log"
parameter = "b"
value = 0.1
bounds = [0.01, 10.0]
trust = "M"
"""
PLAIN = {"random_effects": False, "residual": False}


@pytest.fixture(scope="module")
def chain() -> Model:
    return read_model(CHAIN, name="chain")


@pytest.fixture(scope="module")
def many() -> xr.Dataset:
    return simulate("stein2019", times=TIMES, n=MANY, seed=11)


def test_without_randomness_it_is_the_curve():
    data = simulate("stein2019", times=TIMES, random_effects=False, residual=False)
    np.testing.assert_allclose(data["level"][0], load_model("stein2019").evaluate(TIMES), rtol=1e-14)
    assert (data["status"] == Status.quantified).all()
    assert data["level"].attrs["units"] == "copies/ug"


def test_random_effects_have_the_moments_of_the_file(many):
    # Tolerances are 5 standard errors: sd/sqrt(n) of a mean, sd/sqrt(2n) of an SD. Bounds cut off at most 1e-4.
    for name, parameter in load_model("stein2019").parameters.items():
        logs = np.log(many["parameters"].sel(parameter=name).values)
        assert logs.mean() == pytest.approx(np.log(parameter.value), abs=5 * parameter.sd / MANY**0.5), name
        assert logs.std() == pytest.approx(parameter.sd, rel=5 / (2 * MANY) ** 0.5), name
        z = (logs - np.log(parameter.value)) / parameter.sd
        assert (z > 2).mean() == pytest.approx(0.5 * erfc(sqrt(2)), abs=5 * (0.0228 / MANY) ** 0.5), name
    correlations = np.corrcoef(np.log(many["parameters"].values).T) - np.eye(6)
    assert np.abs(correlations).max() < 5 / MANY**0.5


def test_residual_error_has_the_moments_of_the_file(many):
    residual = np.log(many["level"] / many["level_true"]).values
    count = residual.size
    assert residual.mean() == pytest.approx(0, abs=5 * 0.56 / count**0.5)
    assert residual.std() == pytest.approx(0.56, rel=5 / (2 * count) ** 0.5)
    assert (residual**4).mean() / 0.56**4 == pytest.approx(3, abs=5 * (96 / count) ** 0.5)
    # Neither from sample to sample nor with the parameters.
    both = np.concatenate([residual, np.log(many["parameters"].values)], axis=1)
    assert np.abs(np.corrcoef(both.T) - np.eye(both.shape[1]))[:5].max() < 5 / MANY**0.5


def test_values_outside_bounds_are_drawn_again_and_counted():
    data = simulate("stein2019", times=TIMES, n=500, parameters={"FB": 0.6})
    assert data.attrs["n_redrawn"] > 50
    assert float(data["parameters"].sel(parameter="FB").max()) <= 1.0
    assert "drawn again" in json.loads(data.attrs["settings"])["random_effects"]


def test_logit_parameters_stay_between_their_bounds():
    text = load_model("stein2019").text.replace(
        'transform = "log"\nbounds = [1e-8, 1.0]', 'transform = "logit"\nbounds = [0.0, 1.0]'
    )
    drawn = simulate(read_model(text, name="logit"), times=TIMES, n=2000)["parameters"].sel(parameter="FB")
    assert float(np.log(drawn / (1 - drawn)).std()) == pytest.approx(0.8, rel=0.06)


@pytest.mark.parametrize("name", ["stein2019", "chain"])
def test_a_patient_depends_on_seed_and_number_alone(name, chain):
    model = chain if name == "chain" else name
    options = {"times": [0.2, 0.5, 1.0, 2.0, 3.0], "seed": 2, "lloq": 50.0, "lod": 20.0}
    all_of_them = simulate(model, n=203, **options)
    for n in (1, 64, 65):
        xr.testing.assert_equal(simulate(model, n=n, **options), all_of_them.isel(patient=slice(0, n)))
    xr.testing.assert_equal(simulate(model, n=203, threads=3, **options), all_of_them)
    for chunks in (1000, 50):
        lazy = simulate(model, n=203, chunks=chunks, threads=2, **options)
        assert lazy["level"].chunks is not None
        xr.testing.assert_identical(lazy.compute().drop_attrs(), all_of_them.drop_attrs())
    others = simulate(model, n=203, **(options | {"seed": 3}))["level_true"]
    assert (others != all_of_them["level_true"]).all()


def test_more_samples_leave_the_first_as_they_are():
    few, more = (simulate("stein2019", times=TIMES[:count], n=3)["level"].values for count in (2, 5))
    np.testing.assert_array_equal(few, more[:, :2])


def test_chunks_can_be_sent_to_another_process(chain):
    import cloudpickle

    lazy = simulate(chain, times=[1.0], n=4, chunks=2, inputs={"burden": [1.0, 2.0, 3.0, 4.0]})
    again = pickle.loads(cloudpickle.dumps(lazy))
    xr.testing.assert_identical(again.compute(), lazy.compute())


def test_below_lloq_is_not_a_number():
    data = simulate("stein2019", times=TIMES, n=50, lloq=50.0)
    below = data["status"] == Status.below_lloq
    assert below.any()
    assert np.isnan(data["level"].values[below.values]).all()
    assert float(data["level"].min()) >= 50


def test_codes_of_the_kernel_are_those_of_the_schema():
    for name, status in (
        ("MISSING", Status.missing),
        ("NOT_DETECTED", Status.not_detected),
        ("DETECTED_BELOW", Status.detected_below_lloq),
        ("BELOW", Status.below_lloq),
        ("QUANTIFIED", Status.quantified),
        ("ABOVE", Status.above_uloq),
    ):
        assert getattr(virtual_patients, name) == status


def test_limits_give_each_level_its_status():
    free = simulate("stein2019", times=TIMES, n=500)["level"].values
    data = simulate("stein2019", times=TIMES, n=500, lloq=50.0, uloq=2e4, lod=10.0)
    expected = np.select(
        [free < 10, free < 50, free > 2e4], [Status.not_detected, Status.detected_below_lloq, Status.above_uloq], 3
    )
    np.testing.assert_array_equal(data["status"], expected)
    assert len(np.unique(expected)) == 4
    np.testing.assert_array_equal(data["level"], np.where(expected == Status.quantified, free, np.nan))
    assert np.unique(data["uloq"]) == 2e4
    assert np.unique(data["lod"]) == 10


def test_detection_below_lloq_is_a_hit_of_one_copy():
    free = simulate("stein2019", times=TIMES, n=MANY)["level"].values
    data = simulate("stein2019", times=TIMES, n=MANY, lloq=50.0, dna=0.2)
    below = free < 50
    np.testing.assert_array_equal(below, np.isin(data["status"], [Status.not_detected, Status.detected_below_lloq]))
    seen = (data["status"] == Status.detected_below_lloq).values
    for low, high in ((0, 1), (1, 3), (3, 10), (10, 50)):
        these = below & (free >= low) & (free < high)
        chance = -np.expm1(-0.2 * free[these])
        error = np.sqrt((chance * (1 - chance)).sum())
        assert abs(seen[these].sum() - chance.sum()) < 5 * error


def test_what_is_the_same_for_all_takes_no_memory():
    few = simulate("stein2019", times=TIMES, n=1000, residual=False)
    assert all(array.values.flags.writeable for array in few.data_vars.values())
    data = simulate("stein2019", times=TIMES, n=30_000, residual=False)
    for name in ("time", "lloq", "status"):
        assert data[name].variable.values.strides[0] == 0, name
    assert np.shares_memory(data["level"].values, data["level_true"].values)
    assert not data["level_true"].values.flags.writeable


def test_the_result_goes_where_profiles_go(tmp_path):
    data = simulate("stein2019", times=TIMES, n=6, lloq=50.0, seed=5)
    for path in (tmp_path / "simulated.nc", tmp_path / "simulated"):
        xr.testing.assert_identical(ck.load(ck.save(data, path)), data)
    nca, fitted = ck.nca(data), ck.fit(data, "stein2019", starts=2)
    cohort = ck.validate(ck.cohort(data))
    assert cohort["kinetics"]["level"].dims == ("patient", "matrix", "sample")
    np.testing.assert_array_equal(ck.nca(cohort)["cmax"].sel(matrix="blood"), nca["cmax"])
    np.testing.assert_array_equal(ck.fit(cohort, "stein2019", starts=2)["minus2ll"], fitted["minus2ll"])
    lazy = simulate("stein2019", times=TIMES, n=6, lloq=50.0, seed=5, chunks=4)
    np.testing.assert_array_equal(ck.nca(lazy)["cmax"].compute(), nca["cmax"])


def test_inputs_are_in_days_and_common_or_of_each_patient(chain):
    days, rate = np.array([0.25, 1.0, 2.0]), 0.1 * 24
    alone = 1e6 * np.exp(-rate * days)
    later = np.where(days >= 1, 2e6 * np.exp(-rate * (days - 1)), 0)
    np.testing.assert_allclose(simulate(chain, times=days, **PLAIN)["level"][0], alone, rtol=1e-4)
    twice = [(0, 1e6), (1, 2e6)]
    both = simulate(chain, times=days, n=2, inputs={"infusion": twice}, **PLAIN)
    np.testing.assert_allclose(both["level"], [alone + later] * 2, rtol=1e-4)
    own = simulate(chain, times=days, inputs={"infusion": [[(0, 1e6)], twice]}, **PLAIN)
    np.testing.assert_allclose(own["level"], [alone, alone + later], rtol=1e-4)
    amounts = simulate(chain, times=days, inputs={"infusion": [1e6, 3e6]}, **PLAIN)
    np.testing.assert_allclose(amounts["level"], [alone, 3 * alone], rtol=1e-4)
    helped = simulate(chain, times=days, inputs={"helper": [(1, 1.0)]}, **PLAIN)["level"][0]
    np.testing.assert_allclose(helped, 1e6 * np.exp(-rate * (days + np.maximum(days - 1, 0))), rtol=1e-4)


def test_labelled_inputs_name_the_patients(chain):
    burden = xr.DataArray([1.0, 5e5], dims="patient", coords={"patient": ["b", "a"]})
    data = simulate(chain, times=[0.25], inputs={"burden": burden}, outputs=["level", "total"], **PLAIN)
    assert data["patient"].values.tolist() == ["b", "a"]
    np.testing.assert_allclose(data["total"][:, 0], 1e6 + burden, rtol=1e-4)
    other = xr.DataArray([0.1, 0.1], dims="patient", coords={"patient": ["a", "b"]})
    with pytest.raises(InputError, match="'k' and 'burden' name different patients"):
        simulate(chain, times=[1], inputs={"burden": burden}, parameters={"k": other})


def test_a_list_of_one_amount_is_that_of_all(chain):
    several = simulate(chain, times=[0.5, 2.0], n=2, inputs={"infusion": [3e6]}, **PLAIN)
    same = simulate(chain, times=[0.5, 2.0], n=2, inputs={"infusion": 3e6}, **PLAIN)
    np.testing.assert_array_equal(several["level"], same["level"])


def test_a_table_of_inputs(chain):
    rows = [("b", 0, 1e6, "infusion"), ("b", 1, 2e6, "infusion"), ("a", 0, 5e5, "infusion"), ("a", None, 7, "burden")]
    table = pd.DataFrame(rows, columns=["patient", "time", "value", "input"])
    data = simulate(chain, times=[0.5, 2.0], inputs=table, outputs=["level", "other"], **PLAIN)
    assert data["patient"].values.tolist() == ["b", "a"]
    mapping = {"infusion": [[(0, 1e6), (1, 2e6)], [(0, 5e5)]], "burden": [2.0, 7.0]}
    same = simulate(chain, times=[0.5, 2.0], inputs=mapping, outputs=["level", "other"], **PLAIN)
    for name in ("level", "other"):
        np.testing.assert_array_equal(data[name], same[name])
    numbered = table.assign(patient=[2.0, 2.0, 1.0, 1.0])
    data = simulate(chain, times=[2.0], n=3, inputs=numbered, **PLAIN)
    assert data["level"][2, 0] != data["level"][2, 0]
    assert data["status"][2, 0] == Status.missing
    assert float(data["level"][1, 0]) == pytest.approx(float(same["level"][0, 1]))


def test_several_outputs(chain):
    data = simulate(chain, times=[0.5, 1.0], n=500, outputs=["other", "level", "total"], lloq=1e3)
    assert data["level"].attrs["output"] == "level"
    assert "other_true" not in data
    alone = simulate(chain, times=[0.5, 1.0], n=500, outputs="total")
    np.testing.assert_allclose(alone["level"], data["total"], rtol=1e-12)
    assert float(np.log(alone["level"] / alone["level_true"]).std()) == pytest.approx(0.1, rel=0.12)
    plain = simulate(chain, times=[0.5, 1.0], n=500, outputs="other")
    np.testing.assert_allclose(plain["level"], data["other"], rtol=1e-12)
    assert simulate(chain, times=[1.0])["level"].attrs["output"] == "level"


def test_equations_give_what_the_closed_form_gives():
    closed = simulate("stein2019", times=TIMES, n=20)
    for method in ("rodas5p", "tsit5"):
        solved = simulate("stein2019", times=TIMES, n=20, method=method, rtol=1e-8)
        np.testing.assert_array_equal(solved["parameters"], closed["parameters"])
        np.testing.assert_allclose(solved["level"], closed["level"], rtol=1e-5)
    settings = json.loads(solved.attrs["settings"])
    assert settings["outputs"] == {"level": "equations"}


def test_a_patient_that_cannot_be_solved_is_nan_with_a_sentence(chain):
    text = CHAIN.replace('A = "-k*(1 + helper)*A"', 'A = "A*A*k/burden"').replace("value = 2.0", "value = 1e30")
    given = {"burden": [1e30, 1.0, 1e30]}
    data = simulate(read_model(text, name="blow_up"), times=[0.5, 1.0], inputs=given, outputs=["level", "other"])
    assert data["outcome"].values[[0, 2]].tolist() == [0, 0]
    code = int(data["outcome"][1])
    assert code != 0
    assert data["message"].values.tolist() == ["", Outcome(code).sentence, ""]
    assert np.isnan(data["level"][1]).all()
    assert np.isnan(data["other"][1]).all()
    assert (data["status"][1] == Status.missing).all()
    assert np.isfinite(data["level"][[0, 2]]).all()


def test_parameters_of_one_patient_do_not_stop_the_others():
    data = simulate("stein2019", times=TIMES, parameters={"FB": [0.01, np.nan, 1e9], "Cmax": [1e4, 1e4, 1e4]})
    names = data["outcome"].attrs["flag_meanings"].split()
    codes = dict(zip(data["outcome"].attrs["flag_values"].tolist(), names, strict=True))
    assert [codes[code] for code in data["outcome"].values.tolist()] == [
        "solved",
        "missing_parameter",
        "outside_bounds",
    ]
    assert "draws of FB left its bounds" in str(data["message"].values[2])
    assert np.isnan(data["level"][1:]).all()
    assert np.isfinite(data["level"][0]).all()


def test_values_near_a_bound_have_the_distribution_that_is_left():
    drawn = simulate("stein2019", times=[1.0], n=MANY, parameters={"FB": 2.0})["parameters"].sel(parameter="FB")
    z = np.log(drawn.values / 2.0) / 0.8
    limit = np.log(0.5) / 0.8
    inside = 0.5 * erfc(-limit / sqrt(2))
    mean = -np.exp(-(limit**2) / 2) / sqrt(2 * np.pi) / inside
    assert z.max() <= limit + 1e-12
    assert z.mean() == pytest.approx(mean, abs=5 / MANY**0.5)


def test_no_sample_and_padding():
    assert simulate("stein2019", times=[], n=2)["level"].shape == (2, 0)
    padded = simulate("stein2019", times=[[1.0, 2.0], [1.0, np.nan]], lloq=1e-3)
    assert padded["status"].values.tolist() == [[3, 3], [3, -1]]


def test_before_infusion_is_missing():
    data = simulate("stein2019", times=[-1.0, 3.0])
    assert data["status"].values.tolist() == [[Status.missing, Status.quantified]]


def test_shapes():
    assert simulate("stein2019", times=np.ones((4, 2)))["level"].shape == (4, 2)
    assert simulate("stein2019", times=TIMES, parameters={"Cmax": [1e3, 1e4]})["level"].shape == (2, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": 3.0}, "dimensions"),
        ({"times": np.ones((4, 2)), "n": 3}, r"different numbers of patients \(3, 4\)"),
        ({"times": TIMES, "n": 1, "parameters": {"Cmax": [1.0, 2.0]}}, "different numbers of patients"),
        ({"times": TIMES, "n": 0}, "n is 0"),
        ({"times": TIMES, "parameters": {"cmax": 1.0}}, "did you mean 'Cmax'"),
        ({"times": TIMES, "parameters": {"FB": 1e9}}, "parameter 'FB' at 1e\\+09 left its bounds"),
        ({"times": TIMES, "lloq": 0.0}, "above 0"),
        ({"times": TIMES, "lloq": "50"}, "lloq is '50': give a number"),
        ({"times": TIMES, "n": 2.5}, "n is 2.5: give a whole number"),
        ({"times": TIMES, "n": 10**12}, "n is 1000000000000: give at most"),
        ({"times": TIMES, "seed": -1}, "seed is -1"),
        ({"times": TIMES, "seed": 2**64}, "seed is 18446744073709551616"),
        ({"times": [1.0, np.inf]}, "infinite"),
        ({"times": TIMES, "lloq": np.nan}, "lloq is nan"),
        ({"times": TIMES, "uloq": -1.0}, "uloq is -1"),
        ({"times": TIMES, "lod": 5.0}, "give lloq too"),
        ({"times": TIMES, "lloq": 5.0, "lod": 6.0}, "lod 6 is above lloq 5"),
        ({"times": TIMES, "lloq": 5.0, "uloq": 5.0}, "lloq 5 is not below uloq 5"),
        ({"times": TIMES, "dna": 0.2}, "give lloq too"),
        ({"times": TIMES, "threads": 0}, "threads is 0"),
        ({"times": TIMES, "chunks": 0}, "chunks is 0"),
        ({"times": TIMES, "method": "euler"}, "method is 'euler': use one of"),
        ({"times": TIMES, "rtol": "small"}, "rtol is 'small'"),
        ({"times": TIMES, "rtol": 1.0}, "between 1e-13 and 0.1"),
        ({"times": TIMES, "outputs": []}, "outputs is empty"),
        ({"times": TIMES, "outputs": "levle"}, "did you mean 'level'"),
        ({"times": TIMES, "outputs": ["level", "level"]}, "more than once"),
        ({"times": TIMES, "inputs": {"dose": 1.0}}, "has no input 'dose'"),
        ({"times": TIMES, "inputs": [1, 2]}, "inputs are given by name"),
        ({"times": ["a"]}, "times holds something that is not a number"),
        ({"times": TIMES, "parameters": {"Cmax": -5.0}}, "'Cmax' of model 'stein2019' cannot be negative"),
    ],
)
def test_wrong_input(options, message):
    with pytest.raises(InputError, match=message):
        simulate("stein2019", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dna": 0.2, "lloq": 5.0}, "the model's level is in cells"),
        ({"method": "closed_form"}, "has no closed form"),
        ({"inputs": {"infusion": "much"}}, "infusion"),
        ({"inputs": {"infusion": [(0, "x")]}}, "no pair of time and value"),
        ({"inputs": {"infusion": [(-1, 1.0)]}}, "give times from 0 on"),
        ({"inputs": {"infusion": [[(0, 1.0)], [(0, 1.0)]]}, "n": 3}, r"different numbers of patients \(2, 3\)"),
        ({"inputs": {"helper": 3}}, "give pairs of time and value"),
        ({"inputs": {"burden": [1.0, np.nan]}}, "missing or infinite"),
        ({"inputs": {"burden": [[1.0]]}}, "has 2 dimensions"),
        ({"inputs": pd.DataFrame({"patient": [1]})}, "no column 'time'"),
        ({"inputs": pd.DataFrame(columns=["patient", "time", "value", "input"])}, "has no rows"),
        ({"inputs": pd.DataFrame({"patient": [7], "time": [0], "value": [1], "input": ["infusion"]}), "n": 3}, "'7'"),
        ({"inputs": pd.DataFrame({"patient": [1], "time": [0], "value": ["x"], "input": ["infusion"]})}, "'value'"),
        ({"inputs": pd.DataFrame({"patient": [1], "time": [0], "value": [1], "input": ["infsion"]})}, "did you mean"),
        ({"inputs": pd.DataFrame({"patient": [1], "time": [3], "value": [1], "input": ["burden"]})}, "a time"),
        ({"inputs": pd.DataFrame({"patient": [None], "time": [3], "value": [1], "input": ["helper"]})}, "no patient"),
    ],
)
def test_wrong_inputs(chain, options, message):
    with pytest.raises(InputError, match=message):
        simulate(chain, times=[1.0], **options)
