"""Real exports: figures that the vendors' own software printed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ckinetics.assay import quantify, read_plates
from ckinetics.schema import CqStatus, Verdict

QS1 = "appbio_quantstudio_designandanalysis_QS1_Standard_Curve_example01.xlsx"
QS6 = "appbio_quantstudio_designandanalysis_QS6Pro_Standard_Curve_example05.xlsx"
ONE_LEVEL = "appbio_quantstudio_design_quantity_test.xlsx"
NO_SAMPLES = "appbio_quantstudio_designandanalysis_QS7Pro_Primary_Analysis_example18.xlsx"

# Rows by role and by what Cq says, counted in the sheets.
EXPECTED = {
    "appbio_quantstudio_design_and_analysis_example16_v1.5.2.xlsx": ({"unknown": 232}, 2),
    ONE_LEVEL: ({"standard": 16, "unknown": 8}, 16),
    "appbio_quantstudio_designandanalysis_Diomni_v4.3_Presence_Absence.xlsx": (
        {"unknown": 4, "ntc": 2, "positive": 2},
        7,
    ),
    QS1: ({"unknown": 72, "ntc": 4, "standard": 20}, 4),
    "appbio_quantstudio_designandanalysis_QS3_Relative_Quantification_example02.xlsx": (
        {"ntc": 6, "standard": 30, "unknown": 120},
        4,
    ),
    QS6: ({"ntc": 4, "standard": 380}, 1),
    "appbio_quantstudio_designandanalysis_QS7Pro_Presence_and_Absence_autoexport.xls": ({"unknown": 216}, 119),
    NO_SAMPLES: ({"standard": 84, "ntc": 12}, 12),
}


@pytest.fixture(scope="session")
def exports(shared_data: Path) -> Path:
    return shared_data / "plates" / "appliedbiosystems_da2"


def child(tree, name):
    return tree[name].to_dataset(inherit=False)


def verdicts_of(tree, rule):
    verdicts = child(tree, "verdicts")
    return verdicts.isel(verdict=np.flatnonzero(verdicts["rule"].values == rule))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_workbook_is_read_by_content(exports, name):
    wells = read_plates(exports / name)
    roles, undetermined = EXPECTED[name]
    assert Counter(wells["role"].values.tolist()) == roles
    assert int((wells["cq_status"] == CqStatus.undetermined).sum()) == undetermined
    assert not np.isnan(wells["cq"].values[wells["cq_status"].values == CqStatus.determined]).any()
    assert wells["family"].values.tolist() == ["design_and_analysis"]


def test_nothing_personal_is_kept(exports):
    wells = read_plates(exports)
    text = " ".join(str(value) for name in wells for value in wells[name].values.ravel()) + str(wells.attrs)
    for secret in ("SMITMARQ", "C:\\", "Z:\\", "/shared/data/ui"):
        assert secret not in text


def test_numbers_point_to_file_sheet_and_row(exports):
    wells = read_plates(exports / QS1)
    assert wells["row"].values[0] == 26
    assert wells["sheet"].values[0] == "Results"
    assert wells["well_name"].values[0] == "A1"
    assert len(wells["file_sha256"].values[0]) == 64
    assert wells["software"].values[0] == "Design & Analysis Software v2.7.0"


@pytest.mark.parametrize(
    ("name", "n_wells", "accepted"), [(QS1, 20, Verdict.not_evaluable), (QS6, 380, Verdict.failed)]
)
def test_the_refitted_curve_is_the_printed_one(exports, name, n_wells, accepted):
    curve = child(quantify(read_plates(exports / name)), "curves").isel(curve=0)
    # printed to four decimals
    assert curve["slope"].item() == pytest.approx(curve["vendor_slope"].item(), abs=5.01e-5)
    assert curve["intercept"].item() == pytest.approx(curve["vendor_intercept"].item(), abs=5.01e-5)
    # printed to all decimals
    assert curve["r_squared"].item() == pytest.approx(curve["vendor_r_squared"].item(), rel=1e-10)
    assert curve["efficiency"].item() == pytest.approx(curve["vendor_efficiency"].item(), rel=1e-10)
    assert curve["n_wells"].item() == n_wells
    assert curve["accepted"].item() == accepted


def test_qs1_figures(exports):
    tree = quantify(read_plates(exports / QS1))
    curve = child(tree, "curves").isel(curve=0)
    assert curve["r_squared"].item() == pytest.approx(0.9880202381085528)
    assert curve["efficiency"].item() == pytest.approx(99.174722240042)
    assert verdicts_of(tree, "r_squared")["outcome"].item() == Verdict.passed  # 0.98; a limit of 0.99 fails it
    assert verdicts_of(tree, "curve_range")["outcome"].item() == Verdict.not_evaluable
    quantities = verdicts_of(tree, "vendor_quantity")
    assert quantities["outcome"].item() == Verdict.passed
    assert quantities["value"].item() < 2e-4
    wells = child(tree, "wells")
    first = wells.isel(well=0)
    assert first["copies"].item() == pytest.approx(6455.402377222366, rel=2e-4)


def test_qs1_fails_a_stricter_r_squared(exports):
    tree = quantify(read_plates(exports / QS1), rules="strict")
    found = verdicts_of(tree, "r_squared")
    assert (found["low"].item(), found["outcome"].item()) == (0.99, Verdict.failed)
    assert child(tree, "curves").isel(curve=0)["accepted"].item() == Verdict.failed


def test_qs6pro_fails_its_efficiency_and_says_so(exports):
    tree = quantify(read_plates(exports / QS6))
    efficiency = verdicts_of(tree, "efficiency")
    assert efficiency["outcome"].item() == Verdict.failed
    assert efficiency["value"].item() == pytest.approx(79.2370686465024)
    assert "79.24 %" in efficiency["message"].item()
    assert "90 to 110 %" in efficiency["message"].item()
    ntc = verdicts_of(tree, "ntc")
    assert ntc["value"].item() == pytest.approx(7.03, abs=0.01)  # Cq 38.11 on this curve
    assert ntc["wells"].item() == "A1 A2 A3"
    assert ntc["outcome"].item() == Verdict.failed


def test_a_curve_of_one_level_is_no_curve_whatever_is_printed(exports):
    tree = quantify(read_plates(exports / ONE_LEVEL))
    curves = child(tree, "curves")
    assert np.isnan(curves["slope"].values).all()
    assert set(curves["accepted"].values) == {Verdict.not_evaluable}
    printed = verdicts_of(tree, "vendor_curve")
    assert set(printed["outcome"].values) == {Verdict.failed}
    assert "-1.8786" in printed["message"].values[0]


def test_standards_without_a_plate_map_are_not_evaluable(exports):
    tree = quantify(read_plates(exports / NO_SAMPLES))
    levels = verdicts_of(tree, "curve_levels")
    assert levels["outcome"].item() == Verdict.not_evaluable
    assert "no nominal copies" in levels["message"].item()


def test_a_plate_map_gives_the_wells_their_nominal_copies(exports):
    import pandas as pd

    rows = [
        {"well": f"{row}{column}", "role": "standard", "nominal_copies": 10.0 ** (6 - at), "target": "Globin"}
        for at, row in enumerate("ABCDEFG")
        for column in range(1, 13)
    ]
    layout = pd.DataFrame(rows).assign(sample="", patient="", time="", dna_ng="")
    wells = read_plates(exports / NO_SAMPLES, layout=layout, errors="collect")
    standards = wells["role"].values == "standard"
    listed = np.isfinite(wells["nominal_copies"].values)
    assert listed.sum() == sum(1 for name in wells["well_name"].values[standards] if name[0] in "ABCDEFG")
    assert "Globin" in wells["target"].values


def test_samples_of_a_real_plate_whose_curve_cannot_be_judged_have_no_number(exports):
    import pandas as pd

    layout = pd.DataFrame(
        {"sample": ["Unk_5K", "Unk_10K"], "patient": ["P1", "P1"], "time": [7, 14], "dna_ng": [100, 100]}
    )
    tree = quantify(read_plates(exports / QS1, layout=layout))
    assert np.isnan(tree["level"].values).all()
    assert "decades" in tree["reason"].values[0, 0, 0] or "range" in tree["reason"].values[0, 0, 0]
    assert np.isfinite(child(tree, "wells")["copies"].values).sum() == 92


@pytest.mark.parametrize(
    ("folder", "name", "efficiency"),
    [
        ("appliedbiosystems_legacy", "appbio_quantstudio_example04.txt", 97.505),
        ("autoqpcr_quantstudio", "2019-04-25_124559-GAPDH.csv", 79.973),
        ("autoqpcr_quantstudio", "2019-04-25_135946-KCNJ6.csv", 95.718),
    ],
)
def test_older_exports_with_the_same_columns(shared_data, folder, name, efficiency):
    # they print three decimals, and calculate the efficiency from them
    tree = quantify(read_plates(shared_data / "plates" / folder / name))
    curve = child(tree, "curves").isel(curve=0)
    assert curve["vendor_efficiency"].item() == pytest.approx(efficiency)
    assert curve["efficiency"].item() == pytest.approx(efficiency, abs=0.03)
    assert curve["slope"].item() == pytest.approx(curve["vendor_slope"].item(), abs=5.1e-4)
    assert set(verdicts_of(tree, "vendor_curve")["outcome"].values) == {Verdict.passed}
    assert set(verdicts_of(tree, "vendor_quantity")["outcome"].values) == {Verdict.passed}


def test_lines_without_their_empty_ends(shared_data):
    wells = read_plates(shared_data / "plates" / "appliedbiosystems_legacy" / "appbio_quantstudio_example01.txt")
    assert wells.sizes["well"] == 16  # and no row of the melt curve below


def test_one_bad_plate_never_stops_the_others(shared_data):
    folder = shared_data / "plates"
    files = sorted(file for file in folder.glob("*/*.*") if file.is_file())
    wells = read_plates(files, errors="collect")
    outcome = dict(zip(wells["file_name"].values, wells["verdict"].values, strict=True))
    assert len(outcome) == len(files)
    assert all(outcome[name] == Verdict.passed for name in EXPECTED)
    failed = wells["verdict"].values == Verdict.failed
    assert failed.any()
    assert all(wells["message"].values[failed])
    assert all("Traceback" not in message for message in wells["message"].values)
