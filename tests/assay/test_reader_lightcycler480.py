"""LightCycler 480 text exports, plain and compressed."""

from __future__ import annotations

import gzip
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ckinetics.assay import read_plates
from ckinetics.errors import FileFormatError
from ckinetics.schema import CqStatus, YesNo

TOP = "Experiment: run 7  Selected Filter: FAM (465-510)\r\n"
HEADER = "Include\tColor\tPos\tName\tCp\tConcentration\tStandard\tStatus\r\n"
ROWS = (
    "True\t255\tA1\tS1\t  5.15\t1.20E3\t0\t\r\n"
    "True\t65280\tA2\tS2\t\t\t0\t\r\n"
    "False\t255\tA3\tS3\t31.20\t\t0\t>\r\n"
    "True\t255\tA4\tS4\t\t\t0\t\r\n"
)


def write(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "n_wells", "no_signal", "last"),
    [
        ("Edward_qPCR_Nrd1_calibration_2019-02-02_Cq.txt.gz", 384, 105, "P24"),
        ("Stuart_dAgr_glyS_spoVG_5S_individualWells_Cq.txt.gz", 96, 6, "H12"),
    ],
)
def test_lightcycler_real_files(shared_data, name, n_wells, no_signal, last):
    path = shared_data / "plates" / "roche_lightcycler480" / name
    wells = read_plates(path)
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()[2:]]
    assert wells.sizes["well"] == len(rows) == n_wells
    assert wells["family"].values.tolist() == ["lightcycler480"]
    assert wells["well_name"].values.tolist() == [row[2] for row in rows]
    assert wells["well_name"].values[-1] == last
    assert wells["sample"].values.tolist() == [row[3] for row in rows]
    signal = wells["cq_status"].values == CqStatus.determined
    assert wells["cq"].values[signal].tolist() == [float(row[4]) for row in rows if row[4].strip()]
    assert Counter(wells["cq_status"].values.tolist()) == {1: n_wells - no_signal, 0: no_signal}
    assert set(wells["role"].values) == {"unknown"}
    assert set(wells["target"].values) == {""}
    assert set(wells["dye"].values) == {"SYBR Green I / HRM Dye (483-533)"}
    assert set(wells["omit"].values) == {YesNo.no}
    assert wells["row"].values[0] == 3
    assert not wells["nominal_copies"].count()


def test_lightcycler_colour_include_and_status(tmp_path):
    wells = read_plates(write(tmp_path / "p.txt", TOP + HEADER + ROWS))
    # only the colour of a negative call says that an empty Cp is no signal
    assert wells["cq_status"].values.tolist() == [1, 0, 1, -1]
    assert wells["cq"].values[0] == 5.15
    assert wells["omit"].values.tolist() == [YesNo.no, YesNo.no, YesNo.yes, YesNo.no]
    assert wells["vendor_flags"].values.tolist() == ["", "", ">", ""]
    assert wells["dye"].values[0] == "FAM (465-510)"
    assert wells["vendor_quantity"].values[0] == 1200


def test_lightcycler_standards_have_the_concentration_that_was_entered(tmp_path):
    """What the software calculated for a standard is no nominal value: a curve through it would be the vendor's own."""
    more = "True\t255\tA5\tStd 1\t20.0\t9.12E4\t1.00E5\t\r\nTrue\t255\tA6\tStd 2\t23.3\t1.1E4\t1.00E4\t\r\n"
    wells = read_plates(write(tmp_path / "p.txt", TOP + HEADER + ROWS + more))
    assert wells["role"].values.tolist()[-2:] == ["standard", "standard"]
    assert wells["nominal_copies"].values[-2:].tolist() == [1e5, 1e4]
    assert np.isnan(wells["vendor_quantity"].values[-2:]).all()
    comma = (TOP + HEADER + ROWS + more).replace(".", ",")
    assert read_plates(write(tmp_path / "c.txt", comma))["nominal_copies"].values[-1] == 1e4


def test_lightcycler_marks_are_named_by_the_caller(tmp_path):
    path = write(tmp_path / "p.txt", TOP + HEADER + ROWS + "True\t255\tA5\tStd\t20.0\t9.1E4\t1\t\r\n")
    with pytest.raises(FileFormatError, match=r"p\.txt, row 7: unknown task '1'"):
        read_plates(path)
    sheet = pd.DataFrame({"sample": ["Std"], "role": ["standard"], "nominal_copies": [1e5], "patient": [""]})
    wells = read_plates(path, tasks={"1": "standard"}, layout=sheet.assign(time=0.0, dna_ng=0.0), errors="collect")
    assert wells["nominal_copies"].values[-1] == 1e5


def test_lightcycler_wrong_columns_and_words(tmp_path):
    with pytest.raises(FileFormatError, match="lacks 'Standard' of LightCycler 480"):
        read_plates(write(tmp_path / "a.txt", TOP + HEADER.replace("Standard", "Type") + ROWS))
    with pytest.raises(FileFormatError, match=r"b\.txt, row 3: Include: 'maybe' is neither true nor false"):
        read_plates(write(tmp_path / "b.txt", TOP + HEADER + ROWS.replace("True", "maybe", 1)))
    with pytest.raises(FileFormatError, match=r"c\.txt, row 6: the row has 4 cells"):
        read_plates(write(tmp_path / "c.txt", TOP + HEADER + ROWS[:-8]))


def test_a_gz_that_is_cut_off_a_bomb_or_empty(tmp_path):
    whole = gzip.compress((TOP + HEADER + ROWS).encode())
    (tmp_path / "good.txt.gz").write_bytes(whole)
    assert read_plates(tmp_path / "good.txt.gz").sizes["well"] == 4
    (tmp_path / "cut.gz").write_bytes(whole[:-12])
    with pytest.raises(FileFormatError, match=r"cut\.gz: the \.gz is damaged or cut off"):
        read_plates(tmp_path / "cut.gz")
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(65 * 2**20), compresslevel=1))
    with pytest.raises(FileFormatError, match=r"bomb\.gz: the \.gz is larger than 64 MB"):
        read_plates(tmp_path / "bomb.gz")
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b" \n"))
    with pytest.raises(FileFormatError, match=r"empty\.gz: the \.gz holds nothing"):
        read_plates(tmp_path / "empty.gz")
    (tmp_path / "twice.gz").write_bytes(gzip.compress(whole))
    with pytest.raises(FileFormatError):
        read_plates(tmp_path / "twice.gz")
