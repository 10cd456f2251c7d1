"""What a file holds, and which of its metadata are private."""

from __future__ import annotations

import hashlib

import pytest
from plate_builders import d_and_a_rows, write_workbook

from ckinetics.assay import inspect_file, read_plates
from ckinetics.assay.inspection import is_private, split_metadata


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Operator", "somebody"),
        ("User Name", "somebody"),
        ("Experiment User Name", "x"),
        ("Created By User", "x"),
        ("Exported By", "x"),
        ("experimenter", "x"),
        ("File Name", "run.eds"),
        ("Experiment File Name", "x"),
        ("Computer name", "LAB-7"),
        ("Instrument Serial Number", "278880031"),
        ("serialNumber", "1"),
        ("Instrument", "2262720120102"),
        ("Comment", r"copied from \\server\share\x"),
        ("Comment", "from /" + "home/somebody/x.eds"),
        ("Comment", "ask somebody@example.org"),
        ("instrument", "Cycler SN: CC1"),
    ],
)
def test_private_entries(name, text):
    assert is_private(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Operator", "NA"),
        ("Block Type", "96-Well 0.2-mL Block"),
        ("Stage/ Cycle where Analysis is performed", "Stage 2, Step 2"),
        ("Run Start Date/Time", "2018-06-01 12:04:59 AM EDT"),
        ("RQ Min/Max Confidence Level", "95.0"),
        ("Instrument Type", "QuantStudio™ 5 System"),
        ("Software Name and Version", "Design & Analysis Software v2.7.0"),
        ("Endogenous Control", "ACTB, GAPDH"),
        ("Experiment Type", "Comparative Cт (ΔΔCт)"),
        ("Date", "2023-05-24 19:45:43.758605+00:00"),
    ],
)
def test_public_entries(name, text):
    assert not is_private(name, text)


def test_what_is_private_once_is_private_everywhere():
    public, private = split_metadata({"Serial": "277871", "Instrument Name": "QS7-277871", "Comment": "for somebody",
                                      "Operator": "somebody", "Dye": "FAM"})  # fmt: skip
    assert public == {"Dye": "FAM"}
    assert set(private) == {"Serial", "Instrument Name", "Comment", "Operator"}


def test_real_files_say_what_they_are_and_hide_who(shared_data):
    for path in sorted((shared_data / "plates").glob("*/*")):
        found = inspect_file(path)
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        shown = str(found.as_dict())
        for secret in ("SMITMARQ", "TestUser", "C:\\", "Z:\\", "D:\\", "/shared/data/ui", "CC001010", "277871906004"):
            assert secret not in shown, (path.name, secret)
        if not found.error:
            assert found.n_wells == read_plates(path).sizes["well"]
            assert found.n_determined + found.n_undetermined + found.n_missing == found.n_wells
            assert sum(found.roles.values()) == sum(found.targets.values()) == found.n_wells


def test_header_lines_of_each_layout(shared_data):
    plates = shared_data / "plates"

    def metadata(path):
        found = inspect_file(plates / path)
        return found.metadata | found.private

    legacy = metadata("appliedbiosystems_legacy/appbio_quantstudio_example01.txt")
    assert legacy["Experiment Type"] == "Comparative Cт (ΔΔCт)"
    assert legacy["Experiment File Name"] == r"C:\Users\USER\test_file"
    assert len(legacy) == 34  # and none of the sections below
    book = metadata("appliedbiosystems_legacy/appbio_quantstudio_example08.xlsx")
    assert book["Instrument Serial Number"] == "12345"
    assert (book["Endogenous Control"], book["Analysis Type"]) == ("18S", "Multiplex")  # under the wells
    saved = metadata("autoqpcr_quantstudio/RELATIVE_example.csv")
    assert saved["Endogenous Control"] == "ACTB, GAPDH"
    assert saved["Instrument Type"] == "QuantStudio™ 5 System"
    da2 = metadata("appliedbiosystems_da2/appbio_quantstudio_designandanalysis_QS7Pro_Primary_Analysis_example18.xlsx")
    assert da2["Operator"] == "SMITMARQ"
    lc480 = metadata("roche_lightcycler480/Stuart_dAgr_glyS_spoVG_5S_individualWells_Cq.txt.gz")
    assert lc480 == {
        "Experiment": "Stuart_WT_dAgr_spoVG_glyS_5S",
        "Selected Filter": "SYBR Green I / HRM Dye (483-533)",
    }
    assert metadata("rdml/stepone_std.rdml")["runDate"] == "2006-11-10T09:24:39.265"
    plate = metadata("qiagen_qiacuity/qiacuity_dpcr_example04.csv")
    assert plate["Plate type"] == "Nanoplate 8.5K 96-well"
    assert metadata("thermo_absoluteq/Appbio_AbsoluteQ_summary.csv") == {
        "Run name": "SIP2_StarterProtocol-M01KM220600090"
    }


def test_metadata_are_no_part_of_the_wells(tmp_path):
    path = write_workbook(tmp_path / "p.xlsx", {"Results": d_and_a_rows([["A1", "S1", "UNKNOWN", 25.0]])})
    found = inspect_file(path)
    assert found.private == {"Operator": "somebody"}
    wells = read_plates(path)
    assert "somebody" not in " ".join(str(wells[name].values) for name in wells) + str(wells.attrs)


def test_files_that_cannot_be_read_are_described(tmp_path):
    (tmp_path / "a.csv").write_text("Well,Target,Cq,Operator\nA1,T,25,x\n")
    found = inspect_file(tmp_path / "a.csv")
    for family in ("QuantStudio Design & Analysis", "QuantaSoft / QX Manager", "QIAcuity", "Absolute Q", "RDML"):
        assert found.error.count(family) >= 1
    assert "the nearest header (Well, Target, Cq, Operator) lacks" in found.error
    assert found.error.count("Absolute Q") == 1
    assert found.family == ""
    assert len(found.sha256) == 64
    assert "check its name" in inspect_file(tmp_path / "none.csv").error
    (tmp_path / "b.txt").write_text("* Experiment Type = Standard Curve\n\n[Sample Setup]\nWell\tTask\n1\tNTC\n")
    assert (
        inspect_file(tmp_path / "b.txt").error == "b.txt: the file has no section [Results]: export it with the results"
    )
    sheets = {"Sample Setup": [["Well", "Task"]], "Amplification Data": [["Well", "Cycle"]]}
    error = inspect_file(write_workbook(tmp_path / "c.xlsx", sheets)).error
    assert error == "c.xlsx: the workbook has no sheet 'Results': export it with the results"


def test_stepone_headers_with_cyrillic_letters(tmp_path):
    # "Cт" of StepOne and 7500 ends in a Cyrillic letter
    text = "Block Type\t96well\n\nWell\tSample Name\tTarget Name\tTask\tReporter\tCт\tQuantity\n"
    text += "A1\tS\tT\tSTANDARD\tFAM\t20.5\t1000\nA2\tS\tT\tUNKNOWN\tFAM\tUndetermined\t\n"
    (tmp_path / "p.txt").write_text(text, encoding="utf-8")
    wells = read_plates(tmp_path / "p.txt")
    assert wells["cq"].values[0] == 20.5
    assert wells["cq_status"].values.tolist() == [1, 0]
    assert wells["nominal_copies"].values[0] == 1000


@pytest.mark.parametrize(
    ("word", "role"),
    [("IPC", "ipc"), ("BLOCKED_IPC", "nac"), ("POSITIVE_CONTROL", "positive"), ("Unknown", "unknown"), ("ntc", "ntc")],
)
@pytest.mark.parametrize(("omit", "code"), [("FALSE", 0), ("false", 0), (False, 0), ("TRUE", 1), (True, 1), ("", -1)])
def test_words_of_quantstudio(tmp_path, word, role, omit, code):
    rows = d_and_a_rows([["A1", "S1", word, 25.0]])
    rows[-1][2] = omit
    wells = read_plates(write_workbook(tmp_path / "p.xlsx", {"Results": rows}))
    assert wells["role"].item() == role
    assert wells["omit"].item() == code
