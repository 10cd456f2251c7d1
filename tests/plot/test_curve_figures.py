from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ckinetics import plot
from ckinetics.assay import quantify, read_plates
from ckinetics.errors import InputError


def tree(folder, slope=-3.32):
    rows = [
        ("STD", "standard", 38 + slope * np.log10(copies) + jitter, copies)
        for copies in (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
        for jitter in (-0.05, 0.0, 0.05)
    ]
    rows += [("NTC", "ntc", "Undetermined", "")] * 3 + [("S1", "unknown", 38 + slope * 3, "")] * 3
    plate = pd.DataFrame(rows, columns=["sample", "role", "cq", "quantity"])
    plate["well"] = [f"{'ABCD'[at // 12]}{at % 12 + 1}" for at in range(len(plate))]
    plate["target"] = "CAR"
    path = folder / "plate1.csv"
    plate.to_csv(path, index=False)
    sheet = pd.DataFrame({"sample": ["S1"], "patient": "P1", "matrix": "blood", "time": 7.0, "dna_ng": 200.0})
    return quantify(read_plates(path, layout=sheet))


def test_the_line_is_the_curve_and_the_text_its_verdict(tmp_path):
    data = tree(tmp_path)
    run = str(data["curves"]["run_id"].values[0])
    ax = plot.standard_curve(data, run)
    line = next(line for line in ax.lines if line.get_gid() == "line")
    np.testing.assert_allclose(np.diff(line.get_ydata()) / np.diff(np.log10(line.get_xdata())), -3.32, atol=1e-6)
    text = ax.texts[0].get_text()
    assert "slope -3.320, intercept 38.00" in text
    assert "curve accepted" in text
    standards = next(line for line in ax.lines if line.get_label() == "standards")
    assert len(standards.get_xdata()) == 18
    assert ax.get_ylabel() == "Cq (cycle)"


def test_a_failed_curve_names_its_rules(tmp_path):
    data = tree(tmp_path, slope=-4.2)
    ax = plot.standard_curve(data, str(data["curves"]["run_id"].values[0]), target="CAR")
    text = ax.texts[0].get_text().replace("\n", " ")
    assert "curve failed" in text
    assert "efficiency" in text.split("failed:")[1]


def test_what_is_not_there_is_named(tmp_path):
    data = tree(tmp_path)
    run = str(data["curves"]["run_id"].values[0])
    with pytest.raises(InputError, match="no curve of run 'x'"):
        plot.standard_curve(data, "x")
    with pytest.raises(InputError, match="no target 'RNaseP': it has CAR"):
        plot.standard_curve(data, run, target="RNaseP")
    with pytest.raises(InputError, match="hold no standard curves"):
        plot.standard_curve(data["curves"], run)
