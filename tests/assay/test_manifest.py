"""Every file of the collection of real exports, against the figures of its MANIFEST.md.

The manifest counts rows of sheets as they were counted before any reader was written: tasks, targets, rows without a
Cq and quantities. Where it counts something else than wells, `DIFFERS` says what and why; what it leaves blank is
pinned here. A file that is in neither fails.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ckinetics.assay import inspect_file, quantify, read_plates
from ckinetics.errors import FileFormatError
from ckinetics.schema import CqStatus

REFUSED = "appbio_quantstudio_minimal_missing_results.txt"
NO_MAP = "appbio_quantstudio_designandanalysis_QS7Pro_Primary_Analysis_example18.xlsx"

# Words of the manifest for roles.
ROLES = {
    "UNKNOWN": "unknown",
    "STANDARD": "standard",
    "NTC": "ntc",
    "POSITIVE_CONTROL": "positive",
    "PosCtrl": "positive",
    "Unkn": "unknown",
    "Std": "standard",
    "Sample": "unknown",
}
# Rows of the manifest that are no wells: without a task they are lines under the table ("Endogenous Control"), or
# empty wells of the plate; "Derivative" is the header of the melt curve's own table.
NO_WELLS = ("", "Derivative")


@dataclass(frozen=True)
class Known:
    """What is pinned of a file: roles, targets, wells without a Cq, quantities; and partitions of digital PCR."""

    roles: dict[str, int]
    targets: int
    no_cq: int = 0
    quantities: int = 0
    partitions: int = 0
    zero: int = 0
    why: str = ""


@dataclass(frozen=True)
class Line:
    """A line of the manifest; None where a cell is blank."""

    rows: int | None
    tasks: dict[str, int] | None
    targets: int | None
    no_cq: int | None
    quantities: int | None


UNITLESS = "12 standards are in copies/uL of an unknown volume, which gives no number of copies"
BLANK = {
    # digital PCR: the manifest counts lines of the file, or rows without their roles; no well has a Cq
    "read_v174_test.csv": Known({"unknown": 4}, 4, 4, why="set up but not analysed: no counts"),
    "qiacuity_dpcr_example01.csv": Known(
        {"unknown": 3, "positive": 2, "ntc": 1}, 1, 6, partitions=6, why="8 lines are sep=, the header and 6 wells"
    ),
    "qiacuity_dpcr_example03.csv": Known(
        {"unknown": 24}, 1, 24, partitions=24, zero=2, why="26 lines are sep=, the header and 24 wells"
    ),
    "Appbio_AbsoluteQ_example01.csv": Known(
        {"unknown": 16}, 2, 16, partitions=16, zero=2, why="2 of 18 rows are averages of a group"
    ),
    "Appbio_AbsoluteQ_multichannel.csv": Known(
        {"unknown": 20}, 4, 20, partitions=20, zero=3, why="80 rows are 16 combinations of 4 channels in 5 wells"
    ),
    "Appbio_AbsoluteQ_summary.csv": Known(
        {"unknown": 16}, 2, 16, partitions=16, zero=4, why="1 of 9 rows is an average, and each other has two targets"
    ),
    "BioRad_384.rdml": Known({"unknown": 36, "standard": 12}, 4, why=UNITLESS),
    "rdmltools_absolute.rdml": Known({"unknown": 24, "standard": 60, "ntc": 12}, 4, 12, 60),
    "stepone_std.rdml": Known({"unknown": 6, "standard": 15, "ntc": 3}, 1, 3, 21),
    "Edward_qPCR_Nrd1_calibration_2019-02-02_Cq.txt.gz": Known({"unknown": 384}, 0, 105),
    "Stuart_dAgr_glyS_spoVG_5S_individualWells_Cq.txt.gz": Known({"unknown": 96}, 0, 6),
}
# Cells of the manifest that count something else than the wells do.
DIFFERS = {
    "appbio_quantstudio_design_and_analysis_example16_v1.5.2.xlsx": {"no_cq": (6, 2, "4 of them are trailer lines")},
    "appbio_quantstudio_example08.xlsx": {"no_cq": (5, 0, "they are trailer lines and an empty one")},
    "appbio_quantstudio_example01.txt": {
        "targets": (2, 1, "one is of the header of the melt curve"),
        "no_cq": (1, 0, "it is the header of the melt curve"),
    },
    "RELATIVE_example.csv": {"no_cq": (233, 0, "they are wells without a task, and trailer lines")},
    "example01.csv": {"targets": (0, 2, "the plate names no targets: each fluor is one")},
}


def parse_manifest(text: str) -> dict[str, dict[str, Line]]:
    """Return the lines of the manifest by folder and file."""
    out: dict[str, dict[str, Line]] = {}
    folder = ""
    for line in text.splitlines():
        if found := re.match(r"## (\S+)", line):
            folder = found[1]
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if len(cells) < 8 or cells[0] in ("file", "---"):
            continue
        numbers = [int(cell) if cell else None for cell in (cells[3], *cells[5:8])]
        tasks = ast.literal_eval(cells[4]) if cells[4] else None
        out.setdefault(folder, {})[cells[0]] = Line(numbers[0], tasks, *numbers[1:])
    return out


SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "plates"
# Collected from the folder itself, so that a new file is a new test, which fails until it is known.
FILES = sorted(path.relative_to(SHARED).as_posix() for path in SHARED.glob("*/*") if path.is_file())
FILES = FILES or ["none/none"]  # the fixture skips it


@pytest.fixture(scope="module")
def plates(shared_data: Path) -> Path:
    return shared_data / "plates"


@pytest.fixture(scope="module")
def manifest(plates: Path) -> dict[str, dict[str, Line]]:
    return parse_manifest((plates / "MANIFEST.md").read_text(encoding="utf-8"))


def test_the_manifest_lists_exactly_the_files_of_the_folder(plates, manifest):
    listed = {f"{folder}/{name}" for folder, lines in manifest.items() for name in lines}
    assert listed == {path.relative_to(plates).as_posix() for path in plates.glob("*/*")}
    assert len(listed) == 32


@pytest.mark.parametrize("file", [file for file in FILES if not file.endswith(REFUSED)])
def test_a_real_export_has_the_wells_that_the_manifest_counts(plates, manifest, file):
    folder, name = file.split("/")
    line = manifest[folder][name]
    wells = read_plates(plates / file)
    expected = _expected(name, line)
    role = Counter(wells["role"].values.tolist())
    assert role == expected.roles
    assert wells.sizes["well"] == sum(expected.roles.values())
    assert len({target for target in wells["target"].values if target}) == expected.targets
    no_cq = wells["cq_status"].values != CqStatus.determined
    assert int(no_cq.sum()) == expected.no_cq
    assert np.isnan(wells["cq"].values[no_cq]).all()
    assert np.isfinite(wells["cq"].values[~no_cq]).all()
    quantities = np.isfinite(wells["nominal_copies"].values) | np.isfinite(wells["vendor_quantity"].values)
    assert int(quantities.sum()) == expected.quantities
    assert int(np.isfinite(wells["n_partitions"].values).sum()) == expected.partitions
    assert int((wells["n_positive"].values == 0).sum()) == expected.zero
    positions = list(zip(wells["run_id"].values, wells["well_name"].values, wells["target"].values, strict=True))
    assert len(set(positions)) == len(positions)


def _expected(name: str, line: Line) -> Known:
    if name in BLANK:
        assert line.tasks is None  # else the manifest has a figure to be held to
        return BLANK[name]
    assert line.tasks is not None
    roles: Counter[str] = Counter()
    for task, number in line.tasks.items():
        if task not in NO_WELLS:
            roles[ROLES[task]] += number
    assert sum(line.tasks.values()) == line.rows
    cells = {"targets": line.targets or 0, "no_cq": line.no_cq, "quantities": line.quantities or 0}
    for cell, (stated, read, _) in DIFFERS.get(name, {}).items():
        assert cells[cell] == stated
        cells[cell] = read
    digital = {"read_quant_quant.csv": (12, 0), "qiacuity_dpcr_example04.csv": (32, 3)}.get(name, (0, 0))
    if digital[0] or name == "BioRad.xlsx":  # there is no column of Cq
        assert cells["no_cq"] is None
        cells["no_cq"] = sum(roles.values())
    return Known(dict(roles), cells["targets"], cells["no_cq"], cells["quantities"], *digital)


def test_the_file_without_results_is_refused_and_told_why(plates):
    with pytest.raises(FileFormatError) as error:
        read_plates(plates / "appliedbiosystems_legacy" / REFUSED)
    assert str(error.value) == (
        f"{REFUSED}: there is no results section with a Cq for each target (its [Results] are of the experiment type "
        "'Genotyping'): export the results of a quantification"
    )


def test_the_file_without_a_plate_map_is_read_and_says_what_it_needs(plates):
    path = plates / "appliedbiosystems_da2" / NO_MAP
    found = inspect_file(path)
    assert dict(found.roles) == {"standard": 84, "ntc": 12}
    assert found.error == ""
    assert found.notes[0] == "84 of 84 standards have no nominal copies: the sample sheet can give them"
    curves = quantify(read_plates(path))["curves"]
    assert np.isnan(curves["slope"].values).all()


def test_tasks_are_those_of_the_whole_collection(plates):
    wells = read_plates([path for path in sorted(plates.glob("*/*")) if path.is_file()], errors="collect")
    assert int((wells["verdict"].values == 1).sum()) + 1 == wells.sizes["export"] == 32
    assert set(wells["role"].values) == {"unknown", "standard", "ntc", "positive"}
