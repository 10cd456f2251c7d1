"""What is known of the library's models without solving them: limits, closed forms, bounds, what is conserved."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from ckinetics.modeling import load_model


def values_of(model):
    return {name: parameter.value for name, parameter in model.parameters.items()}


def test_without_a_dip_four_phases_are_stein():
    times = np.array([0.0, 4.0, 9.2, 9.4, 20.0, 90.0, 365.0])
    changes = {"foldx": 150.0, "FB": 0.043, "alpha": 0.31}
    found = load_model("four_phase").evaluate(times, changes | {"Td": 0.0})
    np.testing.assert_allclose(found, load_model("stein2019").evaluate(times, changes), rtol=1e-12)


def test_the_dip_is_a_product_of_exponentials():
    model = load_model("four_phase")
    derived = model.derive()
    assert derived["C0"] == pytest.approx(derived["C_low"] * np.exp(0.5 * 2.0), rel=1e-14)
    low, peak = model.evaluate([2.0, 9.3])
    assert low == pytest.approx(derived["C_low"], rel=1e-12)
    assert peak / low == pytest.approx(3900.0, rel=1e-12)


@pytest.mark.parametrize(("w", "off"), [(0.2, 1e-2), (0.02, 1e-4), (0.005, 1e-5)])
def test_a_narrow_gate_without_saturation_is_stein(w, off):
    """The difference falls with the square of the width."""
    rho, Km = np.log(3900.0) / 9.3, 1e13
    limit = {"E0": 24000.0 / 3900.0, "Vmax": rho * Km, "Km": Km, "w": w}
    times = np.array([0.0, 3.0, 7.0, 14.0, 21.0, 60.0, 180.0, 365.0])
    found = load_model("smooth_gate").evaluate(times, limit, rtol=1e-9)
    np.testing.assert_allclose(found, load_model("stein2019").evaluate(times), rtol=off)


def test_saturation_holds_expansion_below_vmax():
    model = load_model("smooth_gate")
    times = np.linspace(0.0, 6.0, 121)  # while the gate is open
    found = model.evaluate(times, {"Km": 300.0, "Vmax": 2000.0}, rtol=1e-9)
    assert np.diff(found).max() <= 2000.0 * (times[1] - times[0]) * (1 + 1e-6)
    assert np.diff(found)[-1] > 0.85 * 2000.0 * (times[1] - times[0])  # and reaches it


def test_progenitors_feed_what_leon_triana_has_without_them():
    with_, without = load_model("leon_triana2020_progenitors"), load_model("leon_triana2020")
    times = np.array([0.0, 5.0, 12.2, 30.0, 57.0])
    for output in ("car", "leukaemia", "healthy"):
        # a mean time of a progenitor without end: nothing comes out of the bone marrow
        found = with_.evaluate(times, {"beta": 1e-20, "tau_I": 1e20}, output=output, rtol=1e-10)
        np.testing.assert_allclose(found, without.evaluate(times, output=output, rtol=1e-10), rtol=1e-7)


def test_progenitors_are_counted_from_a_constant():
    """Without CAR-T cells they grow at v_I - I0/tau_I exactly, as the SBML file has it."""
    model = load_model("leon_triana2020_progenitors")
    times = np.array([0.0, 100.0, 1000.0])
    found = model.evaluate(times, {"C0": 1e-30, "L0": 1e-30, "beta": 1e-30}, output="progenitors", rtol=1e-10)
    np.testing.assert_allclose(found, 1e7 + (1e7 - 1e7 / 6.0) * times, rtol=1e-6)


@pytest.mark.parametrize("dose", [1e7, 4e8, 1e10])
def test_solid_tumours_alone_and_car_t_cells_alone(dose):
    model = load_model("leon_triana2021_single")
    times = np.array([0.0, 3.0, 20.0, 60.0])
    alone = model.evaluate(times, {"C0": dose, "T0": 1e-30}, output="car", rtol=1e-10)
    np.testing.assert_allclose(alone, dose * np.exp(-times / 7.0), rtol=1e-8)
    tumour = model.evaluate(times, {"C0": 1e-30, "alpha_1": 1e-30, "rho_C": 1e-3}, output="tumour", rtol=1e-10)
    np.testing.assert_allclose(tumour, 6.7e9 * np.exp(0.02 * times), rtol=1e-8)


def test_car_t_cells_outside_the_tumour_stay_below_what_b_cells_feed():
    model = load_model("leon_triana2021_dual")
    p = values_of(model)
    times = np.linspace(0.0, 40.0, 201)
    rate = p["rho_B"] * p["B0"] / (p["g_B"] + p["B0"]) - 1 / p["tau_C"] - p["k"]
    outside = model.evaluate(times, output="car_off", rtol=1e-9)
    assert np.all(outside <= p["C_off0"] * np.exp(rate * times) * (1 + 1e-7))
    alone = model.evaluate(times, {"B0": 1e-30}, output="car_off", rtol=1e-9)
    np.testing.assert_allclose(alone, p["C_off0"] * np.exp(-(p["k"] + 1 / p["tau_C"]) * times), rtol=1e-6)


@pytest.mark.parametrize("name", ["barros2021_hdlm2", "barros2021_raji"])
def test_without_a_tumour_cartmath_is_linear(name):
    """Effector cells decay at rho - phi, and memory cells are what they leave, at mu."""
    model = load_model(name)
    p = values_of(model)
    after = np.array([0.0, 1.0, 10.0, 40.0, 150.0])
    nothing = {"T0": 1e-250}
    effector, memory = (
        model.evaluate(p["t_dose"] + after, nothing, output=output, rtol=1e-10) for output in ("effector", "memory")
    )
    decay, mu = p["rho"] - p["phi"], p["mu"]
    np.testing.assert_allclose(effector, p["dose"] * np.exp(-decay * after), rtol=1e-8)
    expected = p["eps"] * p["dose"] * (np.exp(-mu * after) - np.exp(-decay * after)) / (decay - mu)
    np.testing.assert_allclose(memory[1:], expected[1:], rtol=1e-7)


def test_cartmath_sets_the_states_that_it_doses():
    model = load_model("barros2021_hdlm2")
    before, at = 250.0 - 1e-9, 250.0
    tumour = model.evaluate([before, at], output="tumour")
    assert tumour[0] < 1.0
    assert tumour[1] == pytest.approx(1e6, rel=1e-12)  # set, not added
    memory = model.evaluate([before, at], output="memory")
    assert memory[1] == pytest.approx(memory[0], rel=1e-7)
    later = model.evaluate([41.9, 42.0], {"t_dose": 42.0}, output="effector")  # the day of the paper
    assert later == pytest.approx([0.0, 2e6], rel=1e-12)


def test_cartmath_grows_logistically_before_the_dose():
    model = load_model("barros2021_hdlm2")
    p = values_of(model)
    times = np.array([0.0, 10.0, 44.0])
    top = 1.0 / p["b"]
    expected = top / (1 + (top / p["T0"] - 1) * np.exp(-p["r"] * times))
    np.testing.assert_allclose(model.evaluate(times, output="tumour", rtol=1e-10), expected, rtol=1e-8)


def test_carrgo_without_one_of_the_two():
    model = load_model("sahoo2020")
    p = values_of(model)
    times = np.array([0.0, 1.0, 3.0, 7.0])
    grown = p["K"] / (1 + (p["K"] / p["X0"] - 1) * np.exp(-p["rho"] * times))
    np.testing.assert_allclose(model.evaluate(times, {"Y0": 1e-30}, output="glioma", rtol=1e-10), grown, rtol=1e-8)
    decayed = p["Y0"] * np.exp(-p["theta"] * times)
    np.testing.assert_allclose(model.evaluate(times, {"X0": 1e-30}, output="car", rtol=1e-10), decayed, rtol=1e-8)


def test_carrgo_conserves_what_lotka_and_volterra_do():
    symbolic = load_model("sahoo2020").symbolic
    X, Y = symbolic.states["X"], symbolic.states["Y"]
    rho, K, k1, k2, theta = (symbolic.parameters[name] for name in ("rho", "K", "k1", "k2", "theta"))
    conserved = k2 * X - theta * sympy.log(X) + k1 * Y - rho * sympy.log(Y)
    rates = symbolic.phases[0].equations
    slope = sum(sympy.diff(conserved, symbolic.states[name]) * rate for name, rate in rates.items())
    assert sympy.limit(sympy.simplify(slope), K, sympy.oo) == 0


def test_lymphodepletion_decides_who_is_cured():
    model = load_model("owens_bozic2021")
    with_, without = (dict(model.specification.example[at].inputs) for at in (0, 1))
    times = [5.0, 16.0, 40.0]
    cured, lost = (model.evaluate(times, inputs=given, output="tumour") for given in (with_, without))
    assert cured[-1] < 1.0
    assert lost[-1] > 1e12
    car, fewer = (model.evaluate(times, inputs=given, output="car") for given in (with_, without))
    assert car[1] > 20 * fewer[1]


def test_chemotherapy_is_what_infusions_leave():
    model = load_model("owens_bozic2021")
    hours = 1 / 48
    given = {"v_M": [(0.0, 125.0), (hours, 0.0), (1.0, 125.0), (1.0 + hours, 0.0)]}
    peak = 125.0 / 0.9 * -np.expm1(-0.9 * hours)
    times = np.array([hours, 0.5, 1.0, 1.0 + hours, 3.0])
    expected = [peak, peak * np.exp(-0.9 * (0.5 - hours)), peak * np.exp(-0.9 * (1.0 - hours))]
    expected += [peak + peak * np.exp(-0.9)]
    expected += [expected[-1] * np.exp(-0.9 * (2.0 - hours))]
    np.testing.assert_allclose(
        model.evaluate(times, inputs=given, output="chemotherapy", rtol=1e-10), expected, rtol=1e-8
    )


def test_kirouacs_dose_enters_as_two_exponentials():
    """Of product cells that neither divide nor die, what has entered is the integral of the closed form."""
    model = load_model("kirouac2023")
    p = values_of(model)
    still = dict.fromkeys(("mu_m", "d_m", "mu_e", "d_e1", "d_e2", "d_x", "k_ex", "r_m"), 1e-14)
    times = np.array([1e-3, 0.01, 0.05, 0.2, 2.0, 50.0])
    fast, slow = p["f_loss"] + 1.0, p["f_Tm"] + p["f_Te1"] + p["f_Te2"] + p["f_Tx"]
    on_its_way = (-np.expm1(-slow * times) / slow + np.expm1(-fast * times) / fast) / (fast - slow)
    expected = 1e8 * slow * on_its_way
    np.testing.assert_allclose(model.evaluate(times, still, output="car", rtol=1e-10), expected, rtol=1e-7)
    assert expected[-1] == pytest.approx(float(model.derive()["effective_dose"]), rel=1e-10)
    shares = [model.evaluate(times, still, output=name, rtol=1e-10)[-1] for name in ("memory", "exhausted")]
    assert shares[0] / shares[1] == pytest.approx(p["f_Tm"] / p["f_Tx"], rel=1e-7)


def test_kirouacs_first_complete_responder_has_the_numbers_that_were_read():
    model = load_model("kirouac2023")
    first = next(one for one in model.specification.example if one.title == "first fit of complete responders")
    car = model.evaluate([28.0, 365.0], first.parameters)
    assert [float(f"{value:.3g}") for value in car] == [1.02e8, 2.13e6]
    assert model.evaluate([60.0], first.parameters, output="tumour")[0] == pytest.approx(4.5e6, rel=0.02)


def test_hansons_extremes_are_those_of_the_sbml_file():
    model = load_model("hanson2016")
    times = np.linspace(0.0, 240.0, 2401)
    inflammation = model.evaluate(times, output="inflammation", rtol=1e-8)
    assert inflammation.max() == pytest.approx(167.88958, abs=5e-5)
    assert times[inflammation.argmax()] == pytest.approx(160.3)
    helpers = model.evaluate(times, output="cd4_effector", rtol=1e-8)
    assert helpers.max() == pytest.approx(73.956215, abs=5e-6)
    assert times[helpers.argmax()] == pytest.approx(227.7)


def test_a_drug_takes_away_inflammation():
    model = load_model("hanson2016")
    plain, given = (
        model.evaluate([140.0, 160.0], output="inflammation", inputs=inputs)
        for inputs in ({}, {"drug": [(150.0, 100.0)]})
    )
    assert plain[0] == given[0]
    assert given[1] < plain[1] - 0.9 * 100.0 / 1.5


def test_what_moves_between_blood_and_tissue_is_not_lost():
    """Nothing but movement: a constant number, which settles at the shares of the two rates."""
    model = load_model("mueller_schoell2021_tissue")
    still = dict.fromkeys(("k12", "k23", "k34", "ke1", "ke2", "ke3", "ke4", "kp1", "kp2", "kp3", "Vmax1"), 1e-14)
    times = np.array([0.0, 1.0, 5.0, 200.0])
    blood, tissue = (model.evaluate(times, still, output=name, rtol=1e-10) for name in ("car", "car_tissue"))
    np.testing.assert_allclose(blood * 5e6 + tissue * 1.75e6, 1.4e8, rtol=1e-8)
    share = float(model.derive()["share_in_blood"])
    assert blood[-1] * 5e6 == pytest.approx(share * 1.4e8, rel=1e-8)


def test_effector_cells_come_from_memory_cells_only():
    model = load_model("mueller_schoell2021")
    times = np.array([0.0, 2.0, 10.0])
    found = model.evaluate(times, {"Vmax1": 1e-14, "k34": 1e-14}, output="effector", rtol=1e-10)
    np.testing.assert_allclose(found, 0.1 * np.exp(-0.518 * times), rtol=1e-8)
    covariates = {"asct": 1.0, "ratio": 0.25}
    changed = model.derive({"Vmax1": 0.01}, inputs=covariates)["expansion_0"]
    assert changed == pytest.approx(0.01 * 3.53 * 0.25**-0.385 * 85.7 / 1.23, rel=1e-12)


def test_bound_complexes_settle_at_what_binding_allows():
    """Without growth and killing, complexes reach the root of the quadratic of binding."""
    model = load_model("singh2021")
    still = dict.fromkeys(("K21", "Kel_e", "Kel_m", "Kexp_max", "Kkill_max", "Kg", "Rm"), 1e-14)
    times = np.array([5.0, 20.0])
    cart = 1.5e8 / 3.65  # all of the dose in the marrow
    cars, sites, kd = cart * 15000.0, 2.5e9 * 12590.0, float(model.derive()["KD"])
    total = cars + sites + kd
    bound = (total - np.sqrt(total**2 - 4 * cars * sites)) / 2
    expansion = bound / cart / (10.0 + bound / cart)
    symbolic = model.symbolic
    at = dict(zip(symbolic.states, (0.0, 0.0, 1.5e8, 0.0, bound, 2.5e9, 0.0, 0.0), strict=True))
    values = {symbol: (values_of(model) | still)[name] for name, symbol in symbolic.parameters.items()}
    values |= {symbol: at[name] for name, symbol in symbolic.states.items()}
    rates = symbolic.phases[0].equations
    forward = values_of(model)["Koff"] * bound
    assert abs(float(rates["X"].subs(values))) < 1e-9 * forward
    assert 0.0 < expansion < 1.0
    assert np.all(model.evaluate(times, still, output="tumour") == pytest.approx(2.5e9, rel=1e-6))


def test_m_protein_at_rest_stays():
    model = load_model("singh2021")
    times = np.array([0.0, 10.0, 100.0])
    alone = {"dose": [(0.0, 0.0)]}
    found = model.evaluate(times, {"Kg": 1e-14, "Kexp_max": 1e-14}, inputs=alone, output="m_protein", rtol=1e-10)
    np.testing.assert_allclose(found, 12.1 * 2.5e9 / 0.117, rtol=1e-8)


def test_cytokines_approach_what_a_constant_source_gives():
    model = load_model("hardiansyah2019_cytokines")
    given = {"E": [(0.0, 1e8)], "B": [(0.0, 1e10)]}
    times = np.array([0.0, 0.1, 0.7, 3.0])
    for output, d, p in (("il6", 3.96, 1.8e-15), ("il10", 4.68, 7e-16)):
        rest, more = 0.001 / d, p * 1e18 / d
        found = model.evaluate(times, inputs=given, output=output, rtol=1e-10)
        np.testing.assert_allclose(found, rest - more * np.expm1(-d * times), rtol=1e-8)
    ifng = model.evaluate([30.0], inputs=given, output="ifng", rtol=1e-10)
    il10 = (0.001 + 7e-16 * 1e18) / 4.68
    brake = 0.59 + 0.41 * 650.0 / (650.0 + il10)
    assert ifng[0] == pytest.approx((0.001 + 3e-16 * 1e18 * brake) / 1.51, rel=1e-8)


def test_a_cytokine_without_an_effect_stays_and_never_exceeds_its_bound():
    model = load_model("cytokine_turnover")
    times = np.linspace(0.0, 60.0, 121)
    np.testing.assert_allclose(model.evaluate(times, {"Smax": 1e-14}, rtol=1e-10), 5.0, rtol=1e-8)
    found = model.evaluate(times)
    assert found.max() < float(model.derive()["A_greatest"])
    assert times[found.argmax()] > 9.3  # after the cells


def test_a_cytokine_of_growing_cells_peaks_with_them_and_has_their_area():
    model = load_model("cytokine_expansion")
    times = np.linspace(0.0, 40.0, 40001)
    found = model.evaluate(times)
    assert times[found.argmax()] == pytest.approx(9.3)
    assert found.max() == pytest.approx(float(model.derive()["A_peak"]), rel=1e-9)
    area = np.trapezoid(found - 5.0, times)
    assert area == pytest.approx(float(model.derive()["area_above_rest"]), rel=1e-5)
