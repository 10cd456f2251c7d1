"""The figures of a plate: bands against another library's, residuals, replicates, partitions and the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ckinetics import plot
from ckinetics.assay import quantify, read_plates
from ckinetics.errors import InputError
from ckinetics.plot.plate_map import place_of
from ckinetics.plot.plate_wells import plate_wells
from ckinetics.plot.plates import _power

NOISE = np.random.default_rng(4).normal(0.0, 0.1, 18)


def tree(folder: Path, *, change: dict[str, tuple[str, object]] | None = None, **options: object) -> xr.DataTree:
    """One plate: six levels in triplicate, NTC, three samples; `change` names a well, a column and a value."""
    levels = [copies for copies in (1e1, 1e2, 1e3, 1e4, 1e5, 1e6) for _ in range(3)]
    rows = [("STD", "standard", 38 - 3.32 * np.log10(n) + NOISE[at], n, "") for at, n in enumerate(levels)]
    rows += [("NTC", "ntc", "Undetermined", "", "")] * 3
    for name, cq in (("S1", 28.0), ("S2", 31.5), ("S3", 24.1)):
        rows += [(name, "unknown", cq + shift, "", "") for shift in (-0.1, 0.0, 0.1)]
    plate = pd.DataFrame(rows, columns=["sample", "role", "cq", "quantity", "omit"]).astype(object)
    plate["well"] = [f"{'ABCD'[at // 12]}{at % 12 + 1}" for at in range(len(plate))]
    plate["target"] = "CAR"
    for well, (column, value) in (change or {}).items():
        plate.loc[plate["well"] == well, column] = value
    path = folder / "plate1.csv"
    plate.to_csv(path, index=False)
    names = ["S1", "S2", "S3"]
    sheet = pd.DataFrame({"sample": names, "patient": "P1", "time": [7.0, 14.0, 21.0], "dna_ng": 200.0})
    return quantify(read_plates(path, layout=sheet), **options)  # type: ignore[arg-type]


def digital(folder: Path, counts: dict[str, list[tuple[int, int]]]) -> xr.DataTree:
    rows = [
        (f"{'ABCDEFGH'[row]}{at + 1:02d}", name, "CAR", "Ch1Unknown", droplets_per_ul(positive, n), n, positive)
        for row, (name, wells) in enumerate(counts.items())
        for at, (positive, n) in enumerate(wells)
    ]
    columns = ["Well", "Sample", "Target", "TargetType", "Concentration", "AcceptedDroplets", "Positives"]
    path = folder / "drops.csv"
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return quantify(read_plates(path))


def droplets_per_ul(positive: int, n: int) -> str:
    """As QuantaSoft prints it, of droplets of 0.85 nL."""
    return f"{-np.log(1 - positive / n) / 0.85e-3:.6g}" if 0 < positive < n else "No Call"


def line(ax, name):
    return next(one for one in ax.lines if name in (one.get_gid(), one.get_label()))


def band(ax, label):
    """Return x, lower and upper edge of a band, one value each x."""
    shape = next(one for one in ax.collections if one.get_label() == label)
    points = pd.DataFrame(shape.get_paths()[0].vertices, columns=["x", "y"]).groupby("x")["y"]
    return points.min().index.to_numpy(), points.min().to_numpy(), points.max().to_numpy()


def test_the_bands_are_those_of_statsmodels(tmp_path):
    data = tree(tmp_path)
    ax = plot.plate_curve(data, "plate1")
    wells = plate_wells(data, "plate1", None).wells
    standard = wells["role"] == "standard"
    x, y = np.log10(wells["nominal_copies"][standard]), wells["cq"][standard].astype(float)
    fit = sm.OLS(y, sm.add_constant(x)).fit()
    for label, prefix in (("95 % of the line", "mean_ci"), ("95 % of a well", "obs_ci")):
        grid, low, high = band(ax, label)
        expected = fit.get_prediction(sm.add_constant(np.log10(grid))).summary_frame(alpha=0.05)
        np.testing.assert_allclose(low, expected[f"{prefix}_lower"], rtol=1e-9)
        np.testing.assert_allclose(high, expected[f"{prefix}_upper"], rtol=1e-9)
    np.testing.assert_allclose(
        line(ax, "line").get_ydata(), fit.predict(sm.add_constant(np.log10(line(ax, "line").get_xdata())))
    )
    assert line(ax, "other").get_label() == "weighted fit, not used"
    _, low, high = band(plot.plate_curve(data, "plate1", level=0.8), "80 % of a well")
    assert (high - low).max() < (band(ax, "95 % of a well")[2] - band(ax, "95 % of a well")[1]).min()


def test_a_weighted_curve_widens_where_molecules_are_few(tmp_path):
    data = tree(tmp_path, calibration="weighted")
    ax = plot.plate_curve(data, "plate1")
    grid, low, high = band(ax, "95 % of a well")
    width = high - low
    assert width[0] > 2 * width[-1]
    used = data["curves"].to_dataset(inherit=False).isel(curve=0)
    assert str(used["method"].item()) == "weighted"
    # By hand at one place: the curve's variance, and sd0² + (slope / ln 10)² / copies.
    distance = np.log10(grid[5]) - used["log10_mean"].item()
    spread = used["residual_sd"].item() ** 2 * (1 / 18 + distance**2 / used["log10_ss"].item())
    own = used["noise_sd0"].item() ** 2 + (used["slope"].item() / np.log(10)) ** 2 / grid[5]
    assert width[5] == pytest.approx(2 * 2.119905299 * np.sqrt(spread + own), rel=1e-6)  # t(0.975, 16)
    assert line(ax, "line").get_label() == "weighted fit"
    assert line(ax, "other").get_label() == "least squares, not used"


def test_wells_left_out_and_silent_ones(tmp_path):
    data = tree(tmp_path, change={"A1": ("omit", "true"), "A2": ("cq", "Undetermined")})
    ax = plot.plate_curve(data, "plate1")
    assert len(line(ax, "standards").get_xdata()) == 16
    assert line(ax, "standards left out").get_xdata().tolist() == [10.0]
    assert line(ax, "standards without Cq").get_xdata().tolist() == [10.0]
    of_map = plot.plate_map(data, "plate1")
    assert line(of_map, "left out").get_xydata().tolist() == [[0.0, 0.0]]


def test_residuals_are_cq_minus_line(tmp_path):
    data = tree(tmp_path)
    ax = plot.plate_residuals(data, "plate1")
    curve = data["curves"].to_dataset(inherit=False).isel(curve=0)
    x, residual = line(ax, "standards").get_data()
    wells = plate_wells(data, "plate1", None).wells
    cq = wells["cq"][wells["role"] == "standard"]
    np.testing.assert_allclose(residual, cq - curve["intercept"].item() - curve["slope"].item() * np.log10(x))
    assert abs(np.sum(residual)) < 1e-9  # of least squares
    low, high = ax.get_ylim()
    assert low == -high
    assert high > np.abs(residual).max()


def test_replicates_lie_about_their_sample(tmp_path):
    data = tree(tmp_path, change={"C1": ("cq", "Undetermined"), "B12": ("cq", 33.5)})
    ax = plot.plate_replicates(data, "plate1")
    good = line(ax, "samples").get_ydata()
    flagged = line(ax, "flagged")
    np.testing.assert_allclose(np.sort([*good, *flagged.get_ydata()])[:1], [min(*good, *flagged.get_ydata())])
    names = [text.get_text() for text in ax.texts]
    bad = plate_wells(data, "plate1", None).flags()
    assert any(kind in ("replicate sd", "partial detection") for kind, _, _ in bad)
    assert set(names) <= {"S1", "S2", "S3"}
    assert names
    assert len(line(ax, "wells without Cq").get_xdata()) == 1
    assert "1 without any signal" in ax.get_title(loc="right")  # the NTC


def test_a_flag_says_why(tmp_path):
    data = tree(tmp_path, change={"B7": ("cq", 30.0)})
    flags = {kind: (words, names) for kind, words, names in plate_wells(data, "plate1", None).flags()}
    assert flags["ntc"][1] == ("B7",)
    assert "no-template control" in flags["ntc"][0]
    ring = line(plot.plate_map(data, "plate1"), "flagged")
    assert ring.get_xydata().tolist() == [[6.0, 1.0]]


def test_digital_plates(tmp_path):
    data = digital(
        tmp_path,
        {"S1": [(400, 15000), (460, 15200)], "S2": [(0, 14000), (0, 15000)], "S3": [(9, 4000)], "S4": [(3, 3), (2, 9)]},
    )
    ax = plot.plate_partitions(data, "drops")
    assert ax.lines[0].get_ydata().tolist() == [15000, 15200, 14000, 15000]
    assert [text.get_text() for text in ax.texts] == ["C1", "D1", "D2"]
    assert line(ax, "at least 10,000").get_ydata()[0] == 10000
    ax = plot.plate_replicates(data, "drops")
    apart = line(ax, "wells").get_ydata()
    # By hand: lambda of each well and of both, and the delta method's SD at the latter.
    rates = [-np.log(1 - 400 / 15000), -np.log(1 - 460 / 15200)]
    mean = -np.log(1 - 860 / 30200)
    expected = [(rate - mean) / np.sqrt((np.exp(mean) - 1) / n) for rate, n in zip(rates, (15000, 15200), strict=True)]
    np.testing.assert_allclose(apart, expected)
    words = ax.get_title(loc="right")
    assert words == "not shown: 1 without positives, 1 in one well, 1 with all partitions positive"
    assert len(plot.plate_map(data, "drops").lines) >= 2


def test_a_plate_without_standards_says_so(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("well,sample,target,role,cq\nA1,S1,CAR,unknown,27\nA2,S1,CAR,unknown,28\nZ9,S2,CAR,unknown,\n")
    data = quantify(read_plates(path))
    assert "No standard has nominal copies." in [text.get_text() for text in plot.plate_curve(data, "p").texts]
    assert plot.plate_residuals(data, "p").texts[0].get_text() == "There is no curve to have residuals from."
    assert plot.plate_replicates(data, "p").get_xlabel() == "Mean Cq (cycle)"
    assert line(plot.plate_replicates(data, "p"), "samples").get_ydata().tolist() == [-0.5, 0.5]
    path.write_text("well,sample,target,role,cq\nAZ99,S1,CAR,unknown,27\n")
    ax = plot.plate_map(quantify(read_plates(path)), "p")
    assert ax.texts[0].get_text() == "The wells do not lie on a usual plate."


def test_what_is_not_there_is_named(tmp_path):
    data = tree(tmp_path)
    for draw in (plot.plate_curve, plot.plate_residuals, plot.plate_replicates, plot.plate_map, plot.plate_partitions):
        with pytest.raises(InputError, match="there is no run 'x': there are plate1"):
            draw(data, "x")
        with pytest.raises(InputError, match="has no target 'RNaseP': it has CAR"):
            draw(data, "plate1", target="RNaseP")
        with pytest.raises(InputError, match="hold no plates"):
            draw(data["curves"], "plate1")
        ax = Figure().add_subplot()
        assert draw(data, "plate1", ax=ax) is ax


@pytest.mark.parametrize("name", ["A1", "H12", "P24", "AF48"])
def test_places(name):
    row, column = place_of(name)
    letters = chr(65 + int(row)) if row < 26 else "A" + chr(65 + int(row) - 26)
    assert f"{letters}{int(column) + 1}" == name


@given(st.integers(-8, 12), st.sampled_from([1, 2, 5]))
def test_ticks_say_their_number(power, step):
    text = _power(step * 10.0**power)
    plain = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))
    factor, _, rest = plain.partition("×10") if "×10" in plain else ("1", "", plain.removeprefix("10"))
    value = float(plain) if text == plain else float(factor) * 10.0 ** float(rest)
    assert value == pytest.approx(step * 10.0**power)
