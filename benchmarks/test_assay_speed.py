"""Reading a plate of 384 wells, against the workbook library alone; quantifying 1,000 plates, against numpy's fits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import python_calamine
import xarray as xr
import xlsxwriter

from ckinetics.assay import quantify, read_plates
from ckinetics.assay.records import dataset_of
from ckinetics.schema import CqStatus, YesNo

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "plates" / "appliedbiosystems_da2"
REAL = SHARED / "appbio_quantstudio_designandanalysis_QS6Pro_Standard_Curve_example05.xlsx"
SHEETS = ("Results", "Standard Curve Result")  # those of its six sheets that are read
PLATES, ROUNDS = 1000, 30


def best(*functions: Callable[[], Any]) -> list[float]:
    """Return the shortest time of each, taken in turns."""
    times = [math.inf] * len(functions)
    for _ in range(ROUNDS):
        for at, function in enumerate(functions):
            start = time.perf_counter()
            function()
            times[at] = min(times[at], time.perf_counter() - start)
    return times


def sheets_alone(path: Path) -> list[Any]:
    book = python_calamine.CalamineWorkbook.from_path(path)
    return [book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in SHEETS]


@pytest.fixture(scope="module")
def plate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "made":
        return made_plate(tmp_path_factory.mktemp("plate") / "made.xlsx")
    if not REAL.is_file():
        pytest.skip("the folder ../shared/data is absent")
    return REAL


def made_plate(path: Path) -> Path:
    """A plate of 384 wells as Design & Analysis lays it out, with the curves that are not read."""
    top = [["Block Type", "384-Well Block"], *([f"Setting {at}", "x"] for at in range(20)), []]
    header = ["Well", "Well Position", "Omit", "Sample", "Target", "Task", "Reporter", "Quencher", "Amp Status",
              "Cq", "Cq Mean", "Cq SD", "Quantity", "Slope", "Y-Intercept", "R2", "Efficiency",
              *(f"Column {at}" for at in range(14))]  # fmt: skip
    wells = []
    for at in range(384):
        place = f"{chr(65 + at // 24)}{at % 24 + 1}"
        level = 10.0 ** (at % 6)
        numbers = [21.5 + at / 100, 22.125, 0.0625, level, -3.3219, 38.0125, 0.9987, 100.01]
        names = [at + 1, place, False, f"Sample {at}", "CAR", "STANDARD" if at < 96 else "UNKNOWN", "FAM", "NFQ-MGB"]
        wells.append([*names, "AMP", *numbers, *("N" if column % 2 else column / 7 for column in range(14))])
    curves = [[at + 1, cycle, "CAR", at * cycle / 7, at / 3] for at in range(384) for cycle in range(1, 41)]
    with xlsxwriter.Workbook(str(path)) as book:
        for name, rows in ((SHEETS[0], [*top, header, *wells]), ("Amplification Data", curves),
                           (SHEETS[1], [*top, header, *wells])):  # fmt: skip
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return path


@pytest.mark.benchmark(group="reading a plate of 384 wells")
@pytest.mark.parametrize("plate", ["real", "made"], indirect=True)
def test_read_a_plate_of_384_wells(benchmark, plate: Path) -> None:  # type: ignore[no-untyped-def]
    wells = benchmark(read_plates, plate)
    assert wells.sizes["well"] == 384
    ours, alone = best(lambda: read_plates(plate), lambda: sheets_alone(plate))
    benchmark.extra_info |= {"calamine_ms": round(1e3 * alone, 2), "ratio": round(ours / alone, 2)}


@pytest.mark.benchmark(group="reading a plate of 384 wells")
@pytest.mark.parametrize("plate", ["real", "made"], indirect=True)
def test_floor_calamine_alone(benchmark, plate: Path) -> None:  # type: ignore[no-untyped-def]
    assert len(benchmark(sheets_alone, plate)) == len(SHEETS)


@pytest.fixture(scope="module")
def many_plates() -> xr.Dataset:
    """1,000 plates of 96 wells: 6 levels, two QCs, NTC, 23 samples in triplicate, 100 % efficiency, SD 0.1."""
    generator = np.random.default_rng(1)
    layout: list[tuple[str, str, float]] = [(f"Std {level:g}", "standard", level) for level in 10.0 ** np.arange(1, 7)]
    layout += [("NTC", "ntc", math.nan), ("QC high", "qc", 5e4), ("QC low", "qc", 100.0)]
    records = []
    for number in range(PLATES):
        samples = [(f"S{number}-{at}", "unknown", 10 ** generator.uniform(1.2, 5.5)) for at in range(23)]
        for at, (name, role, copies) in enumerate(one for one in layout + samples for _ in range(3)):
            sample = number * 23 + (at - 27) // 3
            known = {"nominal_copies": copies} if role in ("standard", "qc") else {}
            about = {"patient_id": f"P{sample // 14}", "sample_id": f"{sample}", "time": 7.0 * (sample % 14),
                     "matrix": "blood", "dna_ng": 200.0, "dilution": 1.0}  # fmt: skip
            records.append(
                known
                | (about if role == "unknown" else {})
                | {
                    "run_id": f"p{number}",
                    "file": f"p{number}.csv",
                    "file_sha256": f"{number:064x}",
                    "row": at + 2.0,
                    "well_name": f"{'ABCDEFGH'[at // 12]}{at % 12 + 1}",
                    "sample": name,
                    "target": "CAR",
                    "role": role,
                    "cq": 38 - math.log2(copies) + generator.normal(0, 0.1),
                    "cq_status": CqStatus.undetermined if role == "ntc" else CqStatus.determined,
                    "omit": YesNo.no,
                }
            )
    return dataset_of("wells", records)


@pytest.mark.benchmark(group="1,000 plates of 96 wells")
def test_quantify_1000_plates(benchmark, many_plates: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    quantify(many_plates.isel(well=slice(0, 96)))
    result = benchmark.pedantic(quantify, args=(many_plates,), rounds=3)
    assert int((result["status"] == 3).sum()) > 20_000  # quantified
    start = time.perf_counter()
    polynomials(many_plates)
    floor = time.perf_counter() - start
    seconds = benchmark.stats.stats.min if benchmark.stats else math.nan
    benchmark.extra_info |= {"polyfit_s": round(floor, 3), "ratio": round(seconds / floor, 1)}


@pytest.mark.benchmark(group="1,000 plates of 96 wells")
def test_floor_polyfit_of_numpy(benchmark, many_plates: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    assert np.isfinite(benchmark(polynomials, many_plates)).sum() > 90_000


def polynomials(wells: xr.Dataset) -> np.ndarray:
    """The line of each plate, and the copies of its wells: what cannot be done without."""
    cq, copies = (wells[name].values.reshape(PLATES, 96) for name in ("cq", "nominal_copies"))
    standard = wells["role"].values.reshape(PLATES, 96) == "standard"
    read = np.empty_like(cq)
    for at in range(PLATES):
        own = standard[at]
        slope, intercept = np.polyfit(np.log10(copies[at, own]), cq[at, own], 1)
        read[at] = 10 ** ((cq[at] - intercept) / slope)
    return read
