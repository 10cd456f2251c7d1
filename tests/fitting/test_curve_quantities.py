"""Peaks and areas of fitted curves against sums over fine grids, with doses and without."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import trapezoid

from ckinetics.fitting import fit
from ckinetics.modeling import load_model
from ckinetics.schema import Status, YesNo

HOURS = np.array([0.25, 0.6, 1.1, 2, 3.5, 5, 7, 9, 12, 24])
ORAL = {"ka": 1.6, "V": 32.0, "CL": 2.7}


def profile(days, level, unit):
    dims = ("patient", "sample")
    return xr.Dataset(
        {
            "time": (dims, np.asarray(days)[None]),
            "level": (dims, np.asarray(level)[None], {"units": unit}),
            "status": (dims, np.full((1, len(days)), int(Status.quantified), np.int8)),
        },
        {"patient": ["P"]},
    )


def oral(doses):
    """Return the derived quantities of noisy samples of some doses (day, mg), and the fitted curve on a fine grid."""
    model = load_model("one_compartment_oral")
    in_hours = [(24 * day, amount) for day, amount in doses]
    level = model.evaluate(HOURS, ORAL, inputs={"dose": in_hours})
    level = level * np.exp(0.05 * np.random.default_rng(1).standard_normal(len(HOURS)))
    found = fit(profile(HOURS / 24, level, "mg/L"), model, inputs={"dose": doses}, residual="proportional")
    estimates = dict(zip(model.parameters, found["estimates/estimate"].values[0], strict=False))
    grid = np.linspace(0.0, 28 * 24, 100_001)
    curve = model.evaluate(grid, estimates, inputs={"dose": in_hours})
    return found["derived"].to_dataset().isel(patient=0), grid / 24, curve


@pytest.mark.parametrize("doses", [[(0, 320)], [(0, 320), (0.5, 160), (7.3, 320)]], ids=["one dose", "three doses"])
def test_areas_of_quick_curves_have_their_digits(doses):
    derived, days, curve = oral(doses)
    area = float(derived["value"].sel(quantity="auc_0_28"))
    assert area == pytest.approx(trapezoid(curve, days), rel=1e-6)


def test_formulas_of_one_dose_are_not_used_for_several():
    doses = [(0, 320), (7.3, 640), (40.0, 320)]
    derived, days, curve = oral(doses)
    value, unit = derived["value"], dict(zip(derived["quantity"].values, derived["unit"].values, strict=True))
    assert (unit["cmax"], unit["tmax"]) == ("mg/L", "day")
    assert float(value.sel(quantity="cmax")) == pytest.approx(curve.max(), rel=1e-4)
    assert float(value.sel(quantity="tmax")) == pytest.approx(days[curve.argmax()], abs=2e-3)
    single, _, _ = oral([(0, 320)])
    assert str(single["unit"].sel(quantity="tmax").values) == "h"


def test_the_whole_area_is_the_dose_over_the_clearance_whenever_it_was_given():
    doses = [(0, 320), (7.3, 640), (40.0, 320)]
    derived, _, _ = oral(doses)
    assert str(derived["unit"].sel(quantity="auc_0_inf").values) == "day*mg/L"
    days_of_clearance = float(derived["value"].sel(quantity="auc_0_inf")) / 1280
    once, _, _ = oral([(0, 320)])
    hours_of_clearance = float(once["value"].sel(quantity="auc_0_inf")) / 320
    # Samples of the first day are the same, but for a residual error: so is the clearance.
    assert days_of_clearance * 24 == pytest.approx(hours_of_clearance, rel=1e-4)


@pytest.mark.parametrize("name", ["kimmel2021", "cytokine_turnover", "leon_triana2021_dual", "leon_triana2020"])
def test_peaks_and_areas_of_library_models(name):
    """Also where ten years cannot be integrated, and without a peak that comes long after the last sample."""
    model = load_model(name)
    output = model.fitted_output or next(iter(model.specification.outputs))
    days = np.array([0.5, 1, 2, 3, 5, 7, 9, 11, 14, 18, 21, 28, 42, 60, 90])
    level = model.evaluate(days, output=output) * np.exp(0.1 * np.random.default_rng(0).standard_normal(len(days)))
    first, *others = model.parameters
    held = {other: model.parameters[other].value for other in others}
    data = profile(days, level, model.specification.outputs[output].unit)
    found = fit(data, model, outputs={output: ""}, fixed=held, starts=1, interval="t")
    estimate = {first: float(found["estimates/estimate"][0, 0])}
    grid = np.linspace(0.0, 90.0, 90_001)
    curve = model.evaluate(grid, estimate, output=output, rtol=1e-9)
    value = found["derived"].to_dataset()["value"].isel(patient=0)
    assert float(value.sel(quantity="cmax")) == pytest.approx(curve.max(), rel=1e-6)
    assert float(value.sel(quantity="tmax")) == pytest.approx(grid[curve.argmax()], abs=5e-3)
    month = grid <= 28
    assert float(value.sel(quantity="auc_0_28")) == pytest.approx(trapezoid(curve[month], grid[month]), rel=1e-6)
    assert int(found["derived"]["estimable"].sel(quantity="cmax")[0]) == YesNo.yes
