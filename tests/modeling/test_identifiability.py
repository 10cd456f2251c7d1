"""Structural identifiability of models whose answer is known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from model_builders import small_model

import ckinetics as ck
from ckinetics.errors import InputError
from ckinetics.modeling.checking import moving_cases

RATE, CELLS, NONE = "1/day", "cells/uL", "1"


def decay(rate: str, parameters: dict, **options):
    """One state that falls with a rate; its first value is a parameter."""
    return small_model(
        {"A0": (100.0, CELLS), **parameters}, {"A": ("A0", f"-({rate})*A", CELLS)}, {"level": ("A", CELLS)}, **options
    )


def told(found, observed="level"):
    one = found.sel(observed=observed)
    sentences = [text for text in one["finding"].values.tolist() if text]
    return int(one["rank"]), sentences, [text for text in one["combination"].values.tolist() if text]


def test_all_parameters_of_stein_are_told_apart_by_the_level():
    found = ck.identifiability("stein2019")
    assert told(found) == (6, [], [])
    assert found["identifiable"].values.tolist() == [[1] * 6]
    assert found["acts"].values.tolist() == [[1] * 6]
    assert (found["singular_value"].min("direction") > 1e4 * found["threshold"]).all()


@pytest.mark.parametrize(
    ("rate", "parameters", "combination"),
    [
        ("p*V", {"p": (0.1, RATE), "V": (2.0, NONE)}, "p^1 * V^1"),
        ("p/V", {"p": (0.1, RATE), "V": (2.0, NONE)}, "p^1 * V^-1"),
        ("p*V**2", {"p": (0.1, RATE), "V": (0.8, NONE)}, "p^1 * V^2"),
        ("p*sqrt(V)", {"p": (0.1, RATE), "V": (0.8, NONE)}, "p^2 * V^1"),
        ("p*V/q", {"p": (0.1, RATE), "V": (2.0, NONE), "q": (3.0, NONE)}, "p^1 * V^1 * q^-1"),
        ("p + q", {"p": (0.1, RATE), "q": (0.05, RATE)}, "p + q"),
        ("2*p + q", {"p": (0.1, RATE), "q": (0.05, RATE)}, "2*p + q"),
    ],
)
def test_what_cannot_be_told_apart_is_named_as_what_is_determined(rate, parameters, combination):
    found = ck.identifiability(decay(rate, parameters))
    rank, sentences, combinations = told(found)
    assert rank == 2
    assert combinations == [combination]
    assert len(sentences) == 1
    assert sentences[0].endswith(f"cannot be told apart: only {combination} is determined")
    identifiable = found["identifiable"].sel(observed="level")
    assert identifiable.values.tolist() == [1] + [0] * len(parameters)
    powers = found["exponents"].sel(observed="level").values[0]
    if "^" in combination:
        written = dict(part.split("^") for part in combination.split(" * "))
        assert powers.tolist() == [float(written.get(name, 0)) for name in ("A0", *parameters)]
    else:
        assert np.isnan(powers).all()


def test_a_mixture_of_products_and_sums_has_no_name():
    parameters = {"p": (0.1, RATE), "q": (0.05, RATE), "r": (2.0, NONE)}
    rank, sentences, combinations = told(ck.identifiability(decay("p + q*r", parameters)))
    assert (rank, combinations) == (2, [])
    assert sentences == [
        "p, q and r cannot be told apart: 2 combinations of them can be anything (no product of powers, no sum)"
    ]


def oral():
    """One compartment with absorption: the dose that is absorbed and the volume act together."""
    return small_model(
        {"F": (0.5, NONE), "ka": (2.0, RATE), "ke": (0.3, RATE), "V": (4.0, NONE)},
        {"G": ("100", "-ka*G", NONE), "C": ("0", "F*ka*G/V - ke*C", NONE)},
        {"level": ("C", NONE), "gut": ("G", NONE)},
    )


def test_bioavailability_and_volume_of_an_oral_dose_are_one():
    found = ck.identifiability(oral())
    rank, sentences, combinations = told(found)
    assert (rank, combinations) == (3, ["F^1 * V^-1"])
    assert found["identifiable"].sel(observed="level").values.tolist() == [0, 1, 1, 0]
    rank, sentences, _ = told(found, "gut")
    assert rank == 1
    assert sentences == ["F, ke and V do not act"]
    assert found["acts"].sel(observed="gut").values.tolist() == [0, 1, 0, 0]
    assert told(found, "all outputs")[0] == 3


def test_outputs_together_tell_more_than_each_alone():
    model = small_model(
        {"A0": (100.0, CELLS), "p": (0.1, RATE), "V": (2.0, NONE)},
        {"A": ("A0", "-p*V*A", CELLS), "B": ("A0", "-p*B", CELLS)},
        {"one": ("A", CELLS), "two": ("B", CELLS)},
    )
    found = ck.identifiability(model)
    assert found["rank"].values.tolist() == [2, 2, 3]
    assert told(found, "two")[1] == ["V does not act"]
    assert told(found, "all outputs")[1] == []
    alone = ck.identifiability(model, outputs=["one"])
    assert alone["observed"].values.tolist() == ["one"]
    assert told(alone, "one") == told(found, "one")


def test_a_hidden_antigen_is_known_only_against_its_constant():
    model = small_model(
        {
            "E0": (1.0, CELLS),
            "T0": (50.0, CELLS),
            "rho": (0.9, RATE),
            "KT": (20.0, CELLS),
            "d": (0.2, RATE),
            "m": (1.0, RATE),
        },
        {"E": ("E0", "rho*T/(KT + T)*E", CELLS), "T": ("T0", "-d*T", CELLS), "X": ("0", "m*E", CELLS)},
        {"level": ("E", CELLS)},
    )
    rank, sentences, combinations = told(ck.identifiability(model))
    assert (rank, combinations) == (4, ["T0^1 * KT^-1"])
    assert sentences[0] == "m does not act"


def test_parameters_on_other_scales():
    model = decay(
        "p*f + exp(z)/10*p",
        {"p": (0.1, RATE), "f": (0.3, NONE), "z": (0.0, NONE)},
        transforms={"f": "logit", "z": "none"},
    )
    rank, sentences, combinations = told(ck.identifiability(model))
    assert (rank, combinations) == (2, [])
    assert sentences[0].startswith("p, f and z cannot be told apart: 2 combinations")
    alone = decay("p", {"p": (0.1, RATE), "f": (0.3, NONE)}, transforms={"f": "logit"})
    assert told(ck.identifiability(alone))[:2] == (2, ["f does not act"])


def test_the_answer_depends_on_the_seed_only():
    first, again = (ck.identifiability("stein2019", points=2, seed=3) for _ in range(2))
    assert ck.content_hash(first) == ck.content_hash(again)
    other = ck.identifiability("stein2019", points=2, seed=4)
    assert not (other["value"] == first["value"]).any()
    bounds = {name: p.bounds for name, p in ck.load_model("stein2019").parameters.items()}
    for name, (low, high) in bounds.items():
        assert ((low <= other["value"].sel(parameter=name)) & (other["value"].sel(parameter=name) <= high)).all()


def test_too_few_times_leave_too_few_parameters():
    found = ck.identifiability("stein2019", times=[1.0, 2.0, 20.0])
    assert int(found["rank"].item()) == 3


def test_a_phase_may_be_empty_at_some_points():
    rank, sentences, _ = told(ck.identifiability("ogasawara2021_lag"))
    assert rank == 7, sentences


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="no output 'levels'; did you mean 'level'"):
        ck.identifiability("stein2019", outputs=["levels"])
    with pytest.raises(InputError, match="points is 0"):
        ck.identifiability("stein2019", points=0)
    with pytest.raises(InputError, match="no input 'dose'"):
        ck.identifiability("stein2019", inputs={"dose": [(0, 1.0)]})
    negative = small_model(
        {"A0": (100.0, CELLS), "p": (0.1, RATE)}, {"A": ("-A0", "-p*A", CELLS)}, {"level": ("A", CELLS)}
    )
    with pytest.raises(InputError, match="cannot be solved at 5 random points near its file's values"):
        ck.identifiability(negative)


def test_a_check_says_whose_effect_derivatives_leave_out():
    tables = {"k": (0.3, "1/day"), "Tm": (4.0, "day")}, {"A": ("1", "rate*A", "1")}, {"level": ("A", "1")}
    defined = '[definitions]\nearly = "Tm/2"\nrate = "where(t < early, k, -k)"\n'
    (note,) = moving_cases(small_model(*tables, more=defined).specification)
    assert "the equation of A has cases that change where t < early, which moves with Tm:" in note
    assert "write two phases (ends_at)" in note
    # A time that is a number does not move.
    tables[1]["A"] = ("1", "where(t < tau, k, -k)*A", "1")
    number = '[constants.tau]\nvalue = 3.0\nunit = "day"\n'
    assert moving_cases(small_model(*tables, more=number).specification) == []
