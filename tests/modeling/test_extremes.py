"""Extremes of BioModels courses that are not in the folder of references: highest, lowest and last values."""

from __future__ import annotations

import json

import pytest

from ckinetics.modeling import load_model

# Output, column of the SBML file, which extreme, and how far CVODE's own error (rtol = atol = 1e-10) lets it be from an
# integration at 1e-12.
EXTREMES = {
    "leon_triana2020_progenitors": (
        "BIOMD0000001012",
        [
            ("car", "CAR_T_cells", "max", 3e-5),  # after 443 days of growth, decay and growth
            ("leukaemia", "Leukaemic_B_cells", "max", 3e-5),
            ("leukaemia", "Leukaemic_B_cells", "min", 1e-5),
            ("healthy", "B_cells_healthy", "min", 1e-4),
            ("progenitors", "B_cell_progenitors", "end", 1e-6),
        ],
    ),
    "leon_triana2021_single": (
        "BIOMD0000001013",
        [
            ("car", "CAR_T_cells", "max", 1e-6),
            ("tumour", "Tumour_cells", "min", 1e-6),
            ("tumour", "Tumour_cells", "end", 1e-6),
        ],
    ),
    "leon_triana2021_dual": (
        "BIOMD0000001014",
        [
            ("car_on", "CAR_T_cells_on_tumour", "max", 1e-6),
            ("car_off", "CAR_T_cells_off_tumour", "max", 1e-6),
            ("tumour", "Tumour_cells", "max", 1e-6),
            ("tumour", "Tumour_cells", "min", 3e-5),  # a tenth of a cell of 3e10
            ("b_cells", "B_cells", "end", 1e-6),
        ],
    ),
    "barros2021_hdlm2": (
        "BIOMD0000001019",
        [
            ("memory", "Cm", "max", 1e-6),
            ("memory", "Cm", "end", 1e-6),
            ("effector", "Ct", "end", 1e-6),
            ("tumour", "T", "max", 1e-6),
        ],
    ),
    "barros2021_raji": ("BIOMD0000001020", [("effector", "Ct", "max", 1e-6), ("memory", "Cm", "max", 1e-6)]),
    "hanson2016": (
        "BIOMD0000000837",
        [
            ("cd8_memory", "C_m", "min", 1e-6),
            ("cd8_effector", "C_e", "max", 1e-6),
            ("cd4_memory", "H_m", "min", 1e-6),
            ("cd4_effector", "H_e", "max", 1e-6),
            ("lymphocytes", "L", "max", 1e-6),
            ("inflammation", "Inflam", "max", 1e-6),
            ("inflammation", "Inflam", "end", 1e-6),
            ("tumour", "B", "max", 1e-6),
            ("tumour", "B", "min", 1e-6),
        ],
    ),
}
ENDS = {
    "BIOMD0000001012": 1000.0,
    "BIOMD0000001013": 200.0,
    "BIOMD0000001014": 200.0,
    "BIOMD0000001019": 300.0,
    "BIOMD0000000837": 240.0,
}


@pytest.fixture(scope="module")
def known(shared_data):
    return json.loads((shared_data / "models" / "sbml" / "reference_summary.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_of_the_course_of_the_sbml_file(name, known):
    file, rows = EXTREMES[name]
    model = load_model(name)
    for output, column, which, off in rows:
        time = ENDS[file] if which == "end" else known[file][column][f"t{which}"]
        (found,) = model.evaluate([time], output=output, rtol=1e-10)
        assert found == pytest.approx(known[file][column][which], rel=off), (output, which)


def test_the_tumour_of_raji_cells_grows_beyond_any_mouse(known):
    (found,) = load_model("barros2021_raji").evaluate([60.0], output="tumour")
    assert found == pytest.approx(known["BIOMD0000001020"]["T"]["end"], rel=1e-6)
