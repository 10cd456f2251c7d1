"""What a fit can be asked for: residual errors, censoring, priors, several outputs, equations, kinds of intervals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from nist_problems import curve_model
from scipy.optimize import minimize
from scipy.stats import norm

from ckinetics.errors import InputError
from ckinetics.fitting import Convergence, fit, points_from_arrays
from ckinetics.modeling import load_model
from ckinetics.schema import Status
from ckinetics.simulation import simulate

TIMES = [0.5, 1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 365]
X = np.array([0.5, 1, 1.5, 2, 3, 4, 6, 8, 10, 13, 16, 20.0])
DECAY = {"b1": 10.0, "b2": 0.3}


def decay(seed=1, kind="combined1"):
    """Points of an exponential whose scatter has a constant and a proportional part."""
    generator = np.random.default_rng(seed)
    curve = 12.0 * np.exp(-0.35 * X)
    return curve * (1 + 0.08 * generator.standard_normal(len(X))) + 0.15 * generator.standard_normal(len(X))


def sd(kind, f, a, b):
    return {
        "additive": a + 0 * f,
        "proportional": b * f,
        "combined1": a + b * f,
        "combined2": np.sqrt(a**2 + b**2 * f**2),
    }[kind]


def natural_value(u, kind, x, y, below=None, limit=np.nan):
    """The likelihood by its formula, without any of ckinetics."""
    f = u[0] * np.exp(-u[1] * x)
    s = sd(kind, f, np.exp(u[2]), np.exp(u[-1]))
    z = norm.logpdf(y, f, s) if below is None else np.where(below, norm.logcdf(limit, f, s), norm.logpdf(y, f, s))
    return -z.sum()


def best_of(function, start):
    rough = minimize(function, start, method="Nelder-Mead", options={"maxiter": 8000, "xatol": 1e-9, "fatol": 1e-12})
    return minimize(function, rough.x, method="Nelder-Mead", options={"maxiter": 8000, "xatol": 1e-9, "fatol": 1e-13})


@pytest.mark.parametrize("kind", ["additive", "proportional", "combined1", "combined2"])
def test_residual_errors_on_the_natural_scale(kind):
    y = decay()
    found = fit(points_from_arrays(X, y), curve_model("decay", "b1*exp(-b2*t)", DECAY), residual=kind)
    start = [12.0, 0.35, -2.0] if kind in ("additive", "proportional") else [12.0, 0.35, -2.0, -2.5]
    best = best_of(lambda u: natural_value(u, kind, X, y), start)
    assert float(found["minus2ll"][0]) == pytest.approx(2 * best.fun, abs=1e-6)
    natural = np.concatenate([best.x[:2], np.exp(best.x[2:])])
    np.testing.assert_allclose(found["estimates/estimate"][0], natural, rtol=2e-4)
    assert found["predictions/residual"][0].values == pytest.approx(y - natural[0] * np.exp(-natural[1] * X), abs=1e-3)


def test_censored_points_on_the_natural_scale():
    y, limit = decay(4), 0.4
    below = y < limit
    assert below.sum() >= 3
    points = points_from_arrays(X, np.where(below, np.nan, y))
    points["status"] = points["status"].where(~below, int(Status.below_lloq)).astype(np.int8)
    points["time"] = (("patient", "sample"), X[None])
    points["lloq"] = (("patient", "sample"), np.full((1, len(X)), limit))
    found = fit(points, curve_model("decay", "b1*exp(-b2*t)", DECAY), residual="combined1")
    best = best_of(lambda u: natural_value(u, "combined1", X, y, below, limit), [12.0, 0.35, -2.0, -2.5])
    assert float(found["minus2ll"][0]) == pytest.approx(2 * best.fun, abs=1e-5)
    assert int(found["n_censored"][0]) == below.sum()


@pytest.fixture(scope="module")
def tail():
    """Patients whose tail is below the LLOQ, and detected or not by chance."""
    data = simulate("stein2019", times=TIMES, n=40, seed=5, lloq=200.0, dna=0.02, random_effects=False)
    return data.assign(lod=data["level"] * 0 + 1).assign(lod=xr.full_like(data["lloq"], np.log(20.0) / 0.02))


def test_the_hit_model_uses_what_was_detected(tail):
    statuses = tail["status"].values
    assert (statuses == Status.not_detected).sum() > 40
    assert (statuses == Status.detected_below_lloq).sum() > 40
    fixed = {"a": 0.56, "foldx": 3900.0, "Tmax": 9.3}
    by_detection, plain = (
        fit(tail, "stein2019", fixed=fixed, censoring=kind, starts=4) for kind in ("M3", "M3 without detection")
    )
    assert "hit model" in json.loads(by_detection.attrs["settings"])["censoring"]
    # The truth is as likely as it can be, on average, under the likelihood that made the data.
    errors = [
        float(np.abs(np.log(found["estimates/estimate"].sel(parameter="beta") / 0.0032)).median())
        for found in (by_detection, plain)
    ]
    assert errors[0] < errors[1]
    bias = np.log(by_detection["estimates/estimate"].sel(parameter="alpha") / 0.16).median()
    assert abs(float(bias)) < 0.05


def test_methods_for_comparison_only_are_what_they_say(tail):
    naive = fit(tail, "stein2019", censoring="M5", starts=4)
    dropped = fit(tail, "stein2019", censoring="M1", starts=4)
    first = fit(tail, "stein2019", censoring="M6", starts=4)
    below = np.isin(tail["status"].values, [Status.not_detected, Status.detected_below_lloq])
    np.testing.assert_array_equal(naive["n_samples"], 17)
    np.testing.assert_array_equal(dropped["n_samples"], (~below).sum(axis=1))
    runs = (below & ~np.pad(below, ((0, 0), (1, 0)))[:, :-1]).sum(axis=1)
    np.testing.assert_array_equal(first["n_samples"], (~below).sum(axis=1) + runs)
    for found in (naive, dropped, first):
        assert "comparison only" in json.loads(found.attrs["settings"])["censoring"]
    assert "left out, as asked" in str(dropped["message"].values[0])


def test_counting_errors_enter_at_the_predicted_level():
    """Against the formula, with a limit of detection so high that counting is most of the error."""
    rate = 0.02
    data = simulate("stein2019", times=TIMES, n=1, seed=3, random_effects=False, lloq=30.0)
    data = data.assign(lod=xr.full_like(data["lloq"], np.log(20.0) / rate))
    found = fit(data, "stein2019", assay_error="counting", censoring="M3 without detection")
    t, level = np.array(TIMES), data["level"].values[0]
    below = data["status"].values[0] == Status.below_lloq
    assert 2 <= below.sum() < 8

    def value(u):
        foldx, tmax, cmax, alpha, fb, beta, a = np.exp(u)
        d = np.maximum(t - tmax, 0.0)
        f = np.log(cmax) - np.log(foldx) * (1 - np.minimum(t, tmax) / tmax)
        f = f + np.logaddexp(np.log1p(-min(fb, 1 - 1e-12)) - alpha * d, np.log(fb) - beta * d)
        s = np.sqrt(a**2 + np.log1p(1 / (rate * np.exp(f))))
        z = (np.log(np.where(below, 30.0, level)) - f) / s
        return -np.where(below, norm.logcdf(z), norm.logpdf(z) - np.log(s)).sum()

    u = np.log(found["estimates/estimate"].values[0])
    assert 2 * value(u) == pytest.approx(float(found["minus2ll"][0]), abs=1e-8)
    rng = np.random.default_rng(0)
    assert all(value(u + 1e-3 * rng.standard_normal(7)) > value(u) - 1e-9 for _ in range(50))


def test_a_prior_draws_estimates_to_the_file():
    data = simulate("stein2019", times=TIMES, n=6, seed=9, lloq=50.0)
    model = load_model("stein2019")
    alone, drawn = fit(data, model), fit(data, model, prior="file")
    sds = np.array([parameter.sd for parameter in model.parameters.values()])
    typical = np.log([parameter.value for parameter in model.parameters.values()])

    def penalty(found):
        return (((np.log(found["estimates/estimate"].values[:, :6]) - typical) / sds) ** 2).sum(axis=1)

    assert (penalty(drawn) <= penalty(alone) + 1e-9).all()
    assert (drawn["minus2ll"] >= alone["minus2ll"] - 1e-6).all()
    np.testing.assert_allclose(drawn["minus2posterior"], drawn["minus2ll"] + penalty(drawn), rtol=1e-9)
    # One sample tells something of a patient who is not alone.
    one = fit(data.isel(sample=[7]), model, prior="file", fixed={"a": 0.56})
    assert (one["convergence"] <= Convergence.converged_at_kink).all()


PROBLEMS = Path(__file__).parents[1] / "modeling" / "problems"


@pytest.mark.parametrize("methods", [("tsit5",), pytest.param(("rodas5p",), marks=pytest.mark.slow)])
def test_equations_and_closed_form_have_the_same_maximum(methods):
    data = simulate("stein2019", times=TIMES, n=3, seed=1, lloq=50.0)
    closed = fit(data, "stein2019")
    for method in methods:
        found = fit(data, "stein2019", method=method)
        np.testing.assert_allclose(found["minus2ll"], closed["minus2ll"], atol=1e-5)
        sure = closed["estimates/se_log"].values < 0.5
        ratio = np.log(found["estimates/estimate"] / closed["estimates/estimate"]).values
        assert np.abs(ratio[sure]).max() < 1e-4
        np.testing.assert_allclose(
            found["estimates/se_log"].values[sure], closed["estimates/se_log"].values[sure], rtol=1e-2
        )


@pytest.mark.slow
def test_several_outputs_at_once():
    model = load_model(PROBLEMS / "tumour5.toml")
    times = np.array([0.5, 3, 5, 7, 9, 11, 14, 18, 21, 28, 42, 60, 90])
    truth = {"rho": 1.4, "kill": 3e-9, "m": 0.03}
    rng = np.random.default_rng(2)
    levels = {
        name: model.evaluate(times, truth, output=name) * np.exp(0.2 * rng.standard_normal(len(times)))
        for name in ("level", "tumour")
    }
    data = xr.Dataset(
        {
            "time": (("patient", "count", "sample"), np.tile(times, (1, 2, 1))),
            "level": (("patient", "count", "sample"), np.stack(list(levels.values()))[None], {"units": "cells"}),
            "status": (("patient", "count", "sample"), np.full((1, 2, len(times)), int(Status.quantified), np.int8)),
        },
        {"patient": ["1"], "count": ["cells", "mass"]},
    )
    held = {name: entry.value for name, entry in model.parameters.items() if name not in truth}
    both = fit(
        data,
        model,
        outputs={"level": "cells", "tumour": "mass"},
        residual={"tumour": "additive on log"},
        fixed=held,
        starts=4,
    )
    assert int(both["convergence"][0]) == Convergence.converged
    found = both["estimates/estimate"].sel(parameter=list(truth)).values[0]
    np.testing.assert_allclose(np.log(found), np.log(list(truth.values())), atol=0.15)
    assert both["estimates"]["parameter"].values[-2:].tolist() == ["a", "a_tumour"]
    assert both["predictions/predicted"].dims == ("patient", "output", "sample")
    one = fit(data, model, outputs={"level": "cells"}, fixed=held, starts=4)
    width = [float(r["estimates/se_log"].sel(parameter="kill")[0]) for r in (both, one)]
    assert width[0] < width[1]
    assert float(both["n_samples"][0]) == 26


def test_profile_limits_have_the_rise_they_say():
    data = simulate("stein2019", times=TIMES, n=3, seed=2, lloq=50.0)
    found = fit(data, "stein2019", interval="profile")
    n, p = found["n_quantified"].values, 6
    from scipy.stats import t as student

    allowed = n * np.log1p(student.ppf(0.975, n - p) ** 2 / (n - p))
    estimates = found["estimates"]
    checked = 0
    for row in range(3):
        for at, name in enumerate(["foldx", "Tmax", "Cmax", "alpha", "FB"]):
            for side in ("lower", "upper"):
                limit = float(estimates[side][row, at])
                low, high = load_model("stein2019").parameters[name].bounds
                if not low < limit < high or not np.isfinite(limit):
                    continue
                held = fit(data.isel(patient=[row]), "stein2019", fixed={name: limit}, starts=16)
                rise = float(held["minus2ll"][0] - found["minus2ll"][row])
                assert rise == pytest.approx(allowed[row], rel=5e-3)
                checked += 1
    assert checked >= 20
    profile = found["profiles"]
    inside = profile["rise"].min("step")
    assert float(np.nanmin(inside)) >= -1e-6  # nothing is better than the fit
    assert (np.diff(profile["value"].values[0, 0][np.isfinite(profile["value"].values[0, 0])]) >= 0).all()


def test_bootstrap_and_standard_errors_agree_where_the_data_are_rich():
    times = np.linspace(0.5, 60, 60)
    data = simulate("stein2019", times=times, n=2, seed=4, random_effects=False)
    found = fit(data, "stein2019", bootstrap=100, interval="normal")
    estimates = found["estimates"].sel(parameter=["foldx", "Tmax", "Cmax"])
    np.testing.assert_allclose(estimates["boot_se"], estimates["se_log"], rtol=0.3)
    derived = found["derived"].sel(quantity="auc_0_28")
    assert ((derived["boot_lower"] < derived["value"]) & (derived["value"] < derived["boot_upper"])).all()
    again = fit(data, "stein2019", bootstrap=100, interval="normal", threads=2)
    xr.testing.assert_equal(found["estimates"].to_dataset(), again["estimates"].to_dataset())


def test_quantities_of_the_curve_equal_those_of_the_file():
    data = simulate("stein2019", times=TIMES, n=4, seed=6, lloq=50.0)
    text = load_model("stein2019").text
    from ckinetics.modeling import read_model

    start, end = text.index("[derived.auc_0_28]"), text.index("[[example]]")
    bare = read_model(text[:start] + text[end:].split("[example.derived]")[0], name="bare")
    own, read = fit(data, "stein2019")["derived"], fit(data, bare)["derived"]
    for name in ("auc_0_28", "auc_0_inf"):
        file, curve = own.sel(quantity=name), read.sel(quantity=name)
        np.testing.assert_allclose(curve["value"], file["value"], rtol=1e-6)
        np.testing.assert_allclose(curve["se"], file["se"], rtol=1e-3)
    peak = fit(data, "stein2019")["estimates/estimate"].sel(parameter=["Cmax", "Tmax"])
    np.testing.assert_allclose(read["value"].sel(quantity=["cmax", "tmax"]), peak, rtol=1e-12)
    level = load_model("stein2019")
    theta = dict(zip(level.parameters, fit(data, level)["estimates/estimate"].values[0], strict=False))
    last = float(read["value"].sel(quantity="persistence")[0])
    assert level.evaluate([last], theta)[0] == pytest.approx(50.0, rel=1e-2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"residual": "additve"}, "did you mean 'additive'"),
        ({"residual": {"tumour": "additive"}}, "names the output 'tumour', which is not fitted"),
        ({"censoring": "M4"}, "censoring is 'M4'"),
        ({"assay_error": "all"}, "assay_error is 'all'"),
        ({"prior": "flat"}, "prior is 'flat'"),
        ({"method": "euler"}, "method is 'euler'"),
        ({"initial": {"Tmax": -1.0}}, "initial holds Tmax at -1, outside its bounds"),
        ({"initial": {"tmax": 9.0}}, "initial names 'tmax'"),
        ({"bootstrap": -1}, "bootstrap"),
        ({"bootstrap": 10, "censoring": "M5"}, "censoring is 'M5': use 'M3'"),
        ({"outputs": {"lvl": ""}}, "has no output 'lvl'"),
        ({"outputs": {"level": ""}, "matrix": "blood"}, "give matrix= or outputs=, not both"),
        ({"inputs": {"dose": [(0, 1)]}}, "dose"),
    ],
)
def test_wrong_options_end_in_one_sentence(options, words):
    data = simulate("stein2019", times=TIMES, n=1, seed=1)
    with pytest.raises(InputError, match=words) as caught:
        fit(data, "stein2019", **options)
    assert "\n" not in str(caught.value)


def test_a_result_says_whose_inputs_it_rests_on():
    data = simulate("mueller_schoell2021", times=TIMES, n=1, seed=1)
    found = fit(data, "mueller_schoell2021", inputs={"ratio": 0.5}, starts=1)
    told = json.loads(found.attrs["settings"])["inputs"]
    assert told == {"asct": "of the model file: 0", "ratio": "given"}


@pytest.mark.parametrize("status", [Status.below_lloq, Status.not_detected], ids=lambda status: status.name)
def test_what_holds_no_copy_is_below_any_limit_whatever_counting_adds(status):
    """Late samples far below one copy tell nothing: their probability of being below the LLOQ is nearly 1."""
    early = [1.0, 3, 5, 7, 9, 11, 14, 17, 21, 24, 28]
    late = [200.0, 220, 240, 260, 280]
    data = simulate("stein2019", times=early + late, n=1, seed=3, random_effects=False)
    dims = ("patient", "sample")
    behind = data["time"] > 100
    data = data.assign(
        level=data["level"].where(~behind),
        status=data["status"].where(~behind, int(status)).astype(np.int8),
        lloq=xr.full_like(data["time"], 30.0),
        lod=xr.full_like(data["time"], 10.0),
    ).transpose(*dims, ...)
    held = {"FB": 1e-8, "beta": 0.16, "alpha": 0.16}
    options = {"assay_error": "counting", "fixed": held, "starts": 4, "interval": "t"}
    whole = fit(data, "stein2019", **options)
    part = fit(data.isel(sample=slice(0, len(early))), "stein2019", **options)
    assert float(whole["n_censored"][0]) == len(late)
    assert float(whole["predictions/predicted"][0, -1]) < 1e-6
    assert float(whole["minus2ll"][0]) == pytest.approx(float(part["minus2ll"][0]), abs=0.01)
