"""Exports of the known families as laboratories have them: saved again by Excel, other words, other code pages."""

from __future__ import annotations

import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from corpus import workbook

from ckinetics.assay import quantify, read_plates
from ckinetics.errors import FileFormatError, InputError, UnitError

LEGACY = ["Well", "Sample Name", "Target Name", "Task", "Reporter", "Ct", "Quantity"]
LEGACY_ROWS = [
    ["A1", "Std", "CAR", "STANDARD", "FAM", "20.1", "100000"],
    ["A2", "S1", "CAR", "UNKNOWN", "FAM", "25.1", "1234.5"],
    ["A3", "W", "CAR", "NTC", "FAM", "Undetermined", ""],
]
D_AND_A = ["Well", "Well Position", "Sample", "Target", "Task", "Reporter", "Cq"]
QX = (
    "Well,Sample description 1,Target,Conc(copies/µL),Status,SampleType,TargetType,DyeName(s),"
    "Accepted Droplets,Positives"
)
QIA = [
    "",
    "Sample/NTC/Control",
    "Type",
    "Target",
    "Conc. [copies/µL]",
    *(f"Partitions ({p})" for p in ("valid", "positive")),
]
ABSOLUTE_Q = ["Run", "Name", "Well", "Total", "Dye", "Target", "Conc. cp/uL", "Positives"]
RDML = (
    '<rdml version="1.2" xmlns="http://www.rdml.org"><sample id="S"><type>unkn</type></sample><target id="CAR"/>'
    '<experiment id="e"><run id="r"><react id="A1"><sample id="S"/><data><tar id="CAR"/><cq>25.1</cq></data></react>'
    "</run></experiment></rdml>"
)


def text(rows, delimiter=",", encoding="utf-8"):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue().encode(encoding)


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("damaged", "encoding"),
    [
        ("C\u0442", "utf-8"),
        ("C\u0442", "utf-16"),
        ("C\u0442", "utf-16-le"),  # without its mark
        ("C\u0442", "cp1251"),
        ("C?", "cp1252"),  # what Excel makes of a letter that the code page lacks
        ("C\u00d1\u201a", "utf-8"),
    ],
)
def test_the_cyrillic_ct_survives_excel(tmp_path, damaged, encoding):
    rows = [[damaged if name == "Ct" else name for name in LEGACY], *LEGACY_ROWS]
    wells = read_plates(write(tmp_path / "a.csv", text(rows, encoding=encoding)))
    assert wells["cq"].values[:2].tolist() == [20.1, 25.1]
    assert wells["nominal_copies"].values[0] == 1e5
    assert wells["vendor_quantity"].values[1] == 1234.5


def test_older_headers_of_quantity_are_read(tmp_path):
    header = ["Qty" if name == "Quantity" else name for name in LEGACY]
    assert read_plates(write(tmp_path / "a.csv", text([header, *LEGACY_ROWS])))["nominal_copies"].values[0] == 1e5


@pytest.mark.parametrize("sheet", ["Sheet1", "Results 1", "Tabelle1"])
def test_a_sheet_of_results_saved_under_another_name(tmp_path, sheet):
    """Beside a position the column "Well" is a number, whatever the size of the plate."""
    rows = [["Comment", "saved again"], [], D_AND_A, [1, "A1", "S1", "CAR", "UNKNOWN", "FAM", 25.1]]
    wells = read_plates(workbook(tmp_path / "a.xlsx", {sheet: rows}))
    assert wells["family"].item() == "design_and_analysis"
    assert (wells["well_name"].item(), wells["cq"].item()) == ("A1", 25.1)


def test_a_named_sheet_is_never_passed_over_for_another(tmp_path):
    good = [D_AND_A, [1, "A1", "S1", "CAR", "UNKNOWN", "FAM", 25.1]]
    other = [D_AND_A, [2, "A2", "S2", "CAR", "UNKNOWN", "FAM", 30.1]]
    wells = read_plates(workbook(tmp_path / "a.xlsx", {"Copy": other, "Results": good}))
    assert wells["sample"].item() == "S1"


@pytest.mark.parametrize(
    ("task", "role"),
    [
        ("NEGATIVE_CONTROL", "ntc"),
        ("No Template Control", "ntc"),
        ("No-template control", "ntc"),
        ("NAC", "nac"),
        ("NEC", "nec"),
        ("Positive", "positive"),
        ("ENDOGENOUS", "unknown"),
        ("Target", "unknown"),
        ("Unknown-1", "unknown"),
    ],
)
def test_tasks_of_applied_biosystems(tmp_path, task, role):
    rows = [D_AND_A, [1, "A1", "S1", "CAR", task, "FAM", "25.1"]]
    assert read_plates(write(tmp_path / "a.csv", text(rows)))["role"].item() == role


def test_cfx_without_the_column_of_dyes(tmp_path):
    rows = [["", "Well", "Target", "Content", "Sample", "Cq"], ["", "A01", "CAR", "Unkn-1", "S1", "NaN"]]
    wells = read_plates(write(tmp_path / "a.csv", text(rows)))
    assert wells["family"].item() == "cfx"
    assert (wells["role"].item(), wells["cq_status"].item()) == ("unknown", 0)


@pytest.mark.parametrize(
    ("word", "role"), [("Ch1Positive", "positive"), ("Ch1Negative", "ntc"), ("Reference", "unknown")]
)
def test_kinds_of_wells_of_quantasoft(tmp_path, word, role):
    row = ["A01", "S1", "CAR", "23.767867", "OK", "", word, "FAM", "15000", "300"]
    assert read_plates(write(tmp_path / "a.csv", text([QX.split(","), row])))["role"].item() == role


@pytest.mark.parametrize(
    "name",
    [
        "Conc. [copies/µL]",
        "Conc. [cp/µL] (dPCR reaction)",
        "Concentration [cp/µL] (dPCR reaction)",
        "Concentration (cp/\u03bcL)",
        "Conc. (copies/\u00ef\u00bf\u00bdL)",
    ],
)
def test_concentrations_of_qiacuity(tmp_path, name):
    row = ["A1", "S1", "Sample", "CAR", "86.32", "25485", "1778"]
    header = [name if one.startswith("Conc") else one for one in QIA]
    wells = read_plates(write(tmp_path / "a.csv", text([header, row])))
    assert wells["vendor_concentration"].item() == 86.32


def test_qiacuity_names_a_blank_in_several_ways(tmp_path):
    header = [name for name in QIA if name != "Type"]
    names = ("NTC", "Non-Template Control", "No template control", "S1")
    rows = [[f"A{at}", name, "CAR", "0.000", "25485", "0"] for at, name in enumerate(names, start=1)]
    wells = read_plates(write(tmp_path / "a.csv", text([header, *rows])))
    assert wells["role"].values.tolist() == ["ntc", "ntc", "ntc", "unknown"]


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [("sep=,", ","), ("sep=,,,,", ","), ("sep=;", ";"), ("sep=", ";"), ("sep=,;;;", ";"), ("SEP=\t", "\t")],
)
def test_a_line_that_names_the_delimiter_may_be_older_than_the_file(tmp_path, line, delimiter):
    row = ["A1", "S1", "Sample", "CAR", "86.32", "25485", "1778"]
    raw = line.encode() + b"\r\n" + text([QIA, row], delimiter)
    assert read_plates(write(tmp_path / "a.csv", raw))["n_positive"].item() == 1778


@pytest.mark.parametrize("name", ["Conc. cp/µL", "Conc. [cp/µL]", "Concentration (copies/uL)"])
def test_concentrations_of_absolute_q(tmp_path, name):
    header = [name if one.startswith("Conc") else one for one in ABSOLUTE_Q]
    concentration = f"{-math.log1p(-34 / 20449) / 0.432 * 1e3:.2f}"
    row = ["R", "S1", "A1", "20449", "FAM", "CAR", concentration, "34"]
    wells = read_plates(write(tmp_path / "a.csv", text([header, row])))
    assert wells["partition_nl"].item() == 0.432


@pytest.mark.parametrize("start", ["", "\ufeff", '<?xml version="1.0" encoding="UTF-8"?>\n', "<!-- a comment -->"])
def test_an_rdml_document_that_was_never_zipped(tmp_path, start):
    raw = (start + RDML).encode()
    for name, content in (("a.rdml", raw), ("b.xml", raw), ("c.rdml.gz", gzip.compress(raw))):
        wells = read_plates(write(tmp_path / name, content))
        assert (wells["family"].item(), wells["well_name"].item(), wells["cq"].item()) == ("rdml", "A1", 25.1)


def test_a_bare_rdml_document_may_declare_nothing(tmp_path):
    bomb = '<?xml version="1.0"?><!DOCTYPE rdml [<!ENTITY a "b">]>' + RDML
    with pytest.raises(FileFormatError, match="declares a document type"):
        read_plates(write(tmp_path / "a.rdml", bomb.encode()))
    with pytest.raises(FileFormatError, match="damaged or cut off"):
        read_plates(write(tmp_path / "b.rdml", RDML[:-30].encode()))


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("Ch1 Amplitude,Ch2 Amplitude,Cluster", "the amplitudes of a well's droplets"),
        (",Cycle,A1,A2", "the fluorescence of each cycle"),
        (",Well,Fluor,Content,Target,Sample,Melt Temperature,Peak Height", "melting temperatures"),
        ("Run,Well ID,Sample,Index,Reject,ROX,FAM,FAM_pos", "single partitions"),
    ],
)
def test_what_lies_beside_an_export_is_named(tmp_path, header, what):
    raw = f"{header}\n{','.join('1' for _ in header.split(','))}\n".encode()
    with pytest.raises(FileFormatError, match=f"it holds {what} and no results: export the table of results"):
        read_plates(write(tmp_path / "a.csv", raw))


CRYSTALS = ["Well", "Assay", "SampleName", "Droplets", "Positive", "Conc", "Volume"]
CRYSTAL_MAP = {"well": "Well", "sample": "SampleName", "target": "Assay", "n_partitions": "Droplets"}
CRYSTAL_MAP |= {"n_positive": "Positive"}


def test_digital_pcr_of_any_vendor_through_a_column_map(tmp_path):
    """A table that no reader knows, with the volume of a partition stated, or implied by what is printed."""
    shown = [f"{-math.log1p(-n / 25000) / 0.59e-3:.3f}" for n in (500, 2500)]
    rows = [
        ["A1", "CAR", "S1", "25000", "500", shown[0], "0.59"],
        ["A2", "CAR", "S1", "25000", "2500", shown[1], "0.59"],
    ]
    path = write(tmp_path / "a.csv", text([CRYSTALS, *rows]))
    for more in (
        {"partition_nl": "Volume"},
        {"concentration": "Conc"},
        {"partition_nl": "Volume", "concentration": "Conc"},
    ):
        wells = read_plates(path, columns=CRYSTAL_MAP | more)
        assert wells["family"].item() == "column_map"
        assert wells["n_positive"].values.tolist() == [500, 2500]
        assert wells["partition_nl"].values == pytest.approx([0.59, 0.59], rel=1e-4)
        assert ("concentration" in more) == bool(np.isfinite(wells["vendor_concentration"].values).all())
    assert np.isnan(read_plates(path, columns=CRYSTAL_MAP)["partition_nl"].values).all()
    with pytest.raises(InputError, match="columns: 'n_positive' is missing"):
        read_plates(path, columns={"well": "Well", "n_partitions": "Droplets"})


def test_a_tidy_table_of_digital_pcr_is_quantified(tmp_path):
    header = "well,sample,target,role,n_partitions,n_positive,partition_nl,reaction_ul"
    rows = ["A1,S1,CAR,unknown,15000,300,0.85,20", "A2,NTC,CAR,ntc,15000,0,0.85,20"]
    path = write(tmp_path / "a.csv", "\n".join([header, *rows]).encode())
    sheet = pd.DataFrame({"sample": ["S1"], "patient": ["P1"], "time": [7], "dna_ng": [200]})
    level = quantify(read_plates(path, layout=sheet))["level"].item()
    assert level == pytest.approx(-math.log1p(-300 / 15000) / 0.85e-3 * 20 / 200 * 1e3)
    for row, message in (
        ("A3,S2,CAR,unknown,100,300,0.85,20", "300 of 100 partitions are positive"),
        ("A3,S2,CAR,unknown,1000,x,0.85,20", "positive partitions: 'x' is not a number"),
        ("A3,S2,CAR,unknown,1000,3,-1,20", "partition_nl -1 is not a volume"),
        ("A3,S2,CAR,unknown,1000,3,0.85,big", "reaction_ul: 'big' is not a number"),
    ):
        with pytest.raises(FileFormatError, match=rf"a\.csv, row 4: .*{message}"):
            read_plates(write(path, "\n".join([header, *rows, row]).encode()))


@pytest.mark.parametrize(
    ("no", "yes"), [("FALSCH", "WAHR"), ("FAUX", "VRAI"), ("FALSO", "VERDADERO"), ("ONWAAR", "WAAR")]
)
def test_an_export_saved_by_excel_in_another_language(tmp_path, no, yes):
    """Truth values are translated and decimals have a comma; a version in a line of settings has its point still."""
    header = [*LEGACY[:-1], "Omit", "Quantity"]
    rows = [
        ["A1", "Std", "CAR", "STANDARD", "FAM", "20,123", no, "100000"],
        ["A2", "S1", "CAR", "UNKNOWN", "FAM", "25,317", no, "1234,5"],
        ["A3", "S1", "CAR", "UNKNOWN", "FAM", "27,125", yes, "1234,5"],
    ]
    above = [["Block Type", "96-Well 0.2-mL Block"], ["Software Version", "2.6"]]
    path = write(tmp_path / "a.csv", text([*above, header, *rows], ";", "cp1252"))
    wells = read_plates(path)
    assert wells["cq"].values.tolist() == [20.123, 25.317, 27.125]
    assert wells["omit"].values.tolist() == [0, 0, 1]
    assert wells["vendor_quantity"].values[1] == 1234.5


def test_a_tidy_table_whose_roles_are_called_tasks(tmp_path):
    """It has the columns of QuantStudio, and keeps its own: the run, the unit of quantities, the roles."""
    header = ["well", "sample", "target", "task", "cq", "nominal_copies", "quantity_unit", "run_id"]
    rows = [["A1", "Q", "CAR", "qc", 25.0, 1000, "copies/well", "one"], ["A1", "S", "CAR", "unk", 26.0, "", "", "two"]]
    for path in (
        write(tmp_path / "a.csv", text([header, *rows])),
        workbook(tmp_path / "b.xlsx", {"x": [header, *rows]}),
    ):
        wells = read_plates(path)
        assert wells["role"].values.tolist() == ["qc", "unknown"]
        assert wells["run_id"].values.tolist() == ["one", "two"]
        assert wells["nominal_copies"].values[0] == 1000
    rows[0][6] = "copies/uL"
    with pytest.raises(UnitError, match=r"c\.csv, row 2: quantities in 'copies/uL' are not copies in the well"):
        read_plates(write(tmp_path / "c.csv", text([header, *rows])))
