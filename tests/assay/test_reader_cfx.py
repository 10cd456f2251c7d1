"""Bio-Rad CFX results and tables of wells."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest
from plate_builders import write_workbook

from ckinetics.assay import read_plates
from ckinetics.errors import FileFormatError, InputError
from ckinetics.schema import CqStatus

HEADER = (
    ",Well,Fluor,Target,Content,Sample,Biological Set Name,Cq,Cq Mean,Cq Std. Dev,Starting Quantity (SQ),"
    "Log Starting Quantity,SQ Mean,SQ Std. Dev,Set Point,Well Note"
)
WELLS = [
    ("A01", "FAM", "CAR", "Std-1", "", "20.1", "1.00000E+06"),
    ("A01", "HEX", "RPPH1", "Std-1", "", "21.0", "1.00000E+06"),
    ("A02", "FAM", "CAR", "Unkn-01", "P1", "25.5", "2.5E+04"),
    ("A03", "FAM", "CAR", "Unkn-12", "P2", "NaN", "NaN"),
    ("A04", "FAM", "CAR", "NTC", "", "NaN", "NaN"),
    ("A05", "FAM", "CAR", "Pos Ctrl", "", "22", "NaN"),
    ("A06", "FAM", "CAR", "Neg Ctrl-2", "", "N/A", "N/A"),
    ("A07", "FAM", "CAR", "NRT", "", "", "NaN"),
]


def lines(wells=WELLS, header=HEADER):
    body = [f",{w},{f},{t},{c},{s},,{cq},{cq},0,{q},NaN,NaN,NaN,60," for w, f, t, c, s, cq, q in wells]
    return "\n".join([header, *body]) + "\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_cfx_real_file_is_read_as_it_is_written(shared_data):
    path = shared_data / "plates" / "biorad_cfx" / "example01.csv"
    wells = read_plates(path)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert wells.sizes["well"] == len(rows) == 48
    assert wells["family"].values.tolist() == ["cfx"]
    assert set(wells["role"].values) == {"unknown"}
    assert set(wells["target"].values) == set(wells["dye"].values)  # no target names: one assay a fluor
    assert Counter(wells["dye"].values.tolist()) == {"FAM": 24, "VIC": 24}
    assert set(wells["cq_status"].values) == {CqStatus.determined}
    assert wells["cq"].values.tolist() == [float(row["Cq"]) for row in rows]
    assert wells["sample"].values.tolist() == [row["Sample"] for row in rows]
    assert wells["well_name"].values.tolist() == [row["Well"].replace("0", "") for row in rows]
    assert wells["row"].values.tolist() == list(range(2, 50))
    assert not wells["nominal_copies"].count()
    assert not wells["vendor_quantity"].count()


def test_bio_rad_workbook_of_wells_without_cq(shared_data):
    wells = read_plates(shared_data / "plates" / "biorad_tables" / "BioRad.xlsx")
    assert wells["family"].values.tolist() == ["bio_rad_tables"]
    assert Counter(wells["role"].values.tolist()) == {"unknown": 8, "standard": 8}
    assert set(wells["target"].values) == {"Taq"}
    assert set(wells["sheet"].values) == {"description"}
    assert set(wells["cq_status"].values) == {CqStatus.missing}
    standards = wells["role"].values == "standard"
    assert wells["nominal_copies"].values[standards].tolist() == [5, 5, 1, 1, 0.2, 0.2, 0.04, 0.04]
    assert wells["vendor_quantity"].values[~standards][0] == 5.39369579627763
    assert wells["nominal_copies"].count() + wells["vendor_quantity"].count() == 16
    assert wells["well_name"].values[[0, -1]].tolist() == ["C3", "E10"]


def test_cfx_roles_targets_and_missing_cq(tmp_path):
    wells = read_plates(write(tmp_path / "p.csv", lines()))
    assert wells["role"].values.tolist() == [
        "standard", "standard", "unknown", "unknown", "ntc", "positive", "ntc", "nac",
    ]  # fmt: skip
    # NaN is this software's word for no signal; an empty field says nothing
    assert wells["cq_status"].values.tolist() == [1, 1, 1, 0, 0, 1, 0, -1]
    assert wells["well_name"].values[:3].tolist() == ["A1", "A1", "A2"]
    assert wells["target"].values[:2].tolist() == ["CAR", "RPPH1"]
    assert wells["nominal_copies"].values[:2].tolist() == [1e6, 1e6]
    assert np.isnan(wells["vendor_quantity"].values[0])
    assert wells["vendor_quantity"].values[2] == 2.5e4


def test_cfx_lines_above_the_header_and_the_short_summary(tmp_path):
    text = (
        "File Name,run.pcrd\nCreated By User,x\n\n,Well,Fluor,Target,Content,Sample,Cq,SQ\n,B02,FAM,T,Unkn,S,NaN,NaN\n"
    )
    wells = read_plates(write(tmp_path / "p.csv", text))
    assert wells["row"].values.tolist() == [5]
    assert wells["well_name"].values.tolist() == ["B2"]


def test_cfx_quantities_take_the_callers_unit(tmp_path):
    path = write(tmp_path / "p.csv", lines())
    with pytest.raises(InputError, match="not copies in the well"):
        read_plates(path, quantity_unit="copies/uL")


def test_cfx_unknown_content_names_the_row(tmp_path):
    path = write(tmp_path / "p.csv", lines([*WELLS, ("B01", "FAM", "CAR", "Ladder-1", "", "20", "NaN")]))
    with pytest.raises(FileFormatError, match=r"p\.csv, row 10: unknown task 'Ladder-1'"):
        read_plates(path)
    assert read_plates(path, tasks={"ladder": "positive"})["role"].values[-1] == "positive"


def test_cfx_without_its_cq_column(tmp_path):
    cut = "\n".join(
        ",".join(cell for at, cell in enumerate(line.split(",")) if at != 7) for line in lines().splitlines()
    )
    with pytest.raises(FileFormatError, match=r"p\.csv, row 1: the header lacks 'Cq'"):
        read_plates(write(tmp_path / "p.csv", cut))
    with pytest.raises(FileFormatError, match="lacks 'Content' of Bio-Rad CFX"):
        read_plates(write(tmp_path / "q.csv", lines(header=HEADER.replace("Content", "Kind"))))


def test_cfx_same_rows_in_a_workbook_and_cut_off(tmp_path):
    rows = [line.split(",") for line in lines().splitlines()]
    assert read_plates(write_workbook(tmp_path / "p.xlsx", {"0": rows}))["cq_status"].values.tolist() == [
        1, 1, 1, 0, 0, 1, 0, -1,
    ]  # fmt: skip
    with pytest.raises(FileFormatError, match=r"row 9: the row has 8 cells but the header 16"):
        read_plates(write(tmp_path / "cut.csv", lines()[: -len(",NaN,NaN,NaN,NaN,60,\n") - 3]))
    with pytest.raises(InputError, match="well A1 of target 'CAR' is there twice"):
        read_plates(write(tmp_path / "twice.csv", lines([WELLS[0], WELLS[0]])))
