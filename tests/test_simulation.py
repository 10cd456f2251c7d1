"""Simulated profiles: the right distributions, bounds, and draws that stay."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ckinetics.errors import InputError
from ckinetics.modeling import load_model, read_model
from ckinetics.schema import Status
from ckinetics.simulation import simulate

TIMES = [0.0, 5.0, 9.0, 28.0, 180.0]


def test_without_randomness_it_is_the_curve():
    data = simulate("stein2019", times=TIMES, random_effects=False, residual=False)
    np.testing.assert_allclose(data["level"][0], load_model("stein2019").evaluate(TIMES), rtol=1e-14)
    assert (data["status"] == Status.quantified).all()
    assert data["level"].attrs["units"] == "copies/ug"


def test_random_effects_and_residual_have_the_spread_of_the_file():
    model = load_model("stein2019")
    data = simulate(model, times=TIMES, n=4000, seed=4)
    for name, parameter in model.parameters.items():
        logs = np.log(data["parameters"].sel(parameter=name))
        assert float(logs.std()) == pytest.approx(parameter.sd, rel=0.06), name
        assert float(logs.mean()) == pytest.approx(np.log(parameter.value), abs=5 * parameter.sd / 4000**0.5), name
    residual = np.log(data["level"] / data["level_true"])
    assert float(residual.std()) == pytest.approx(0.56, rel=0.03)


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


def test_a_patient_stays_when_others_are_added_and_changes_with_the_seed():
    few, many = (simulate("stein2019", times=TIMES, n=n, seed=2)["level"] for n in (3, 9))
    np.testing.assert_array_equal(few, many[:3])
    assert not np.array_equal(few, simulate("stein2019", times=TIMES, n=3, seed=3)["level"])


def test_below_lloq_is_not_a_number():
    data = simulate("stein2019", times=TIMES, n=50, lloq=50.0)
    below = data["status"] == Status.below_lloq
    assert below.any()
    assert np.isnan(data["level"].values[below.values]).all()
    assert float(data["level"].min()) >= 50


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
        ({"times": TIMES, "seed": -1}, "seed is -1"),
        ({"times": ["a"]}, "times holds something that is not a number"),
        ({"times": TIMES, "parameters": {"Cmax": -5.0}}, "'Cmax' of model 'stein2019' cannot be negative"),
    ],
)
def test_wrong_input(options, message):
    with pytest.raises(InputError, match=message):
        simulate("stein2019", **options)
