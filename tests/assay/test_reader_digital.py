"""Digital PCR exports: QuantaSoft and QX Manager, QIAcuity, Absolute Q."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plate_builders import write_workbook

from ckinetics.assay import quantify, read_plates
from ckinetics.assay.readers.partitions import Counts, half_digit, volume_of
from ckinetics.errors import FileFormatError, InputError
from ckinetics.schema import CqStatus, Verdict


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def table(header, rows, delimiter=","):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue()


def recomputed(wells):
    share = wells["n_positive"].values / wells["n_partitions"].values
    return -np.log1p(-share) / wells["partition_nl"].values * 1e3


def by(wells, *names):
    keys = zip(*(wells[name].values for name in ("well_name", "target")), strict=True)
    return dict(zip(keys, zip(*(wells[name].values.tolist() for name in names), strict=True), strict=True))


# QuantaSoft and QX Manager

OLD = ["Well", "Sample", "TargetType", "Target", "Status", "Concentration", "CopiesPer20uLWell", "Positives",
       "Negatives", "AcceptedDroplets", "MergedWells"]  # fmt: skip
OLD_ROWS = [
    ["A01", "P1", "Ch1Unknown", "CAR", "OK", "40.4", "808", "637", "18000", "18637", ""],
    ["A01", "P1", "Ch2Reference", "RPPH1", "OK", "1000", "20000", "10000", "7464", "17464", ""],
    ["A02", "water", "Ch1NTC", "CAR", "CHECK", "No Call", "", "0", "15000", "15000", ""],
    ["A03", "dead", "Ch1Unknown", "CAR", "CHECK", "No Call", "", "0", "0", "0", ""],
    ["M01", "P1", "Ch1Unknown", "CAR", "OK", "41", "820", "637", "18000", "18637", "A01,A02"],
]
NEW = ["Well", "Sample description 1", "Sample description 2", "Target", "Conc(copies/µL)", "Status", "Status Reason",
       "Experiment", "SampleType", "TargetType", "DyeName(s)", "Copies/20µLWell", "Accepted Droplets", "Positives",
       "Negatives", "MergedWells"]  # fmt: skip


def new_row(well, name, kind, k, n, *, nl=0.85, second="", target="CAR", target_type="Unknown", dye="FAM", merged=""):
    conc = "No Call" if k == 0 else repr(-math.log1p(-k / n) / nl * 1e3)
    status = ["CHECK", "Automatic Analysis Unsuccessful"] if k == 0 else ["OK", ""]
    return [well, name, second, target, conc, *status, "DQ", kind, target_type, dye, "", n, k, n - k, merged]


def test_quantasoft_real_file_to_one_in_a_million(shared_data):
    wells = read_plates(shared_data / "plates" / "biorad_ddpcr" / "read_quant_quant.csv")
    assert wells["family"].values.tolist() == ["quantasoft"]
    assert wells.sizes["well"] == 12
    assert Counter(wells["role"].values.tolist()) == {"positive": 12}
    assert set(wells["partition_nl"].values) == {0.85}
    assert set(wells["reaction_ul"].values) == {20.0}
    np.testing.assert_allclose(recomputed(wells), wells["vendor_concentration"].values, rtol=1e-6)
    first = by(wells, "n_partitions", "n_positive", "sample", "dye")[("A1", "1")]
    assert first == (20486.0, 10940.0, "SMN2 Control 2 copies", "FAM")
    assert set(wells["cq_status"].values) == {CqStatus.missing}
    assert np.isnan(wells["cq"].values).all()


def test_quantasoft_plate_that_was_not_analysed(shared_data):
    wells = read_plates(shared_data / "plates" / "biorad_ddpcr" / "read_v174_test.csv")
    assert wells["target"].values.tolist() == ["t1.fw", "t2.fw", "t1.rev", "t2.rev"]
    assert wells["dye"].values.tolist() == ["Ch1", "Ch1", "Ch2", "Ch2"]
    assert set(wells["role"].values) == {"unknown"}
    for name in ("n_partitions", "n_positive", "vendor_concentration", "partition_nl"):
        assert np.isnan(wells[name].values).all()


def test_quantasoft_old_words(tmp_path):
    wells = read_plates(write(tmp_path / "p.csv", table(OLD, OLD_ROWS)))
    # the merged well M01 is no well
    assert wells["well_name"].values.tolist() == ["A1", "A1", "A2", "A3"]
    assert wells["role"].values.tolist() == ["unknown", "unknown", "ntc", "unknown"]
    assert wells["dye"].values.tolist() == ["Ch1", "Ch2", "Ch1", "Ch1"]
    # "No Call" without a positive droplet is zero; without a droplet it is nothing
    assert wells["vendor_concentration"].values[2] == 0
    assert np.isnan(wells["vendor_concentration"].values[3])
    assert wells["n_partitions"].values.tolist() == [18637, 17464, 15000, 0]
    assert wells["vendor_flags"].values.tolist() == ["", "", "CHECK", "CHECK"]
    assert wells["row"].values.tolist() == [2, 3, 4, 5]


def test_quantasoft_before_1_6_had_larger_droplets(tmp_path):
    # printed by QuantaSoft with the columns TypeAssay and Assay: public sample plate of the R package ddpcr
    header = ["Well", "ExptType", "Sample", "TypeAssay", "Assay", "Status", "Concentration", "Positives", "Negatives",
              "AcceptedDroplets"]  # fmt: skip
    rows = [
        ["B01", "Absolute Quantification", "Dean", "Ch1Unknown", "BRAF", "Manual", "40.8", "637", "16821", "17458"],
        ["B06", "Absolute Quantification", "Dave", "Ch1Unknown", "BRAF", "Manual", "53.8", "652", "13003", "13655"],
        ["C06", "Absolute Quantification", "Emily", "Ch1Unknown", "BRAF", "Manual", "1.82", "24", "14488", "14512"],
        ["C09", "Absolute Quantification", "Mary", "Ch1Unknown", "BRAF", "Manual", "0", "0", "15238", "15238"],
    ]
    wells = read_plates(write(tmp_path / "p.csv", table(header, rows)))
    assert set(wells["partition_nl"].values) == {0.91}
    np.testing.assert_allclose(recomputed(wells), wells["vendor_concentration"].values, rtol=2e-3)
    assert np.isnan(wells["reaction_ul"].values).all()


def test_qx_manager_types_names_and_zero(tmp_path):
    rows = [
        new_row("A01", "P1", "Unknown", 100, 15000),
        new_row("A01", "P1", "Unknown", 9000, 15000, target="REF", target_type="Reference", dye="HEX"),
        new_row("A02", "P1", "Unknown", 100, 15000, second="1:10"),
        new_row("B01", "", "NTC", 0, 14000),
        new_row("B02", "x", "NegCtrl", 0, 14000),
        new_row("B03", "x", "Unknown", 0, 14000, target_type="NTC"),
        new_row("M01", "P1", "Unknown", 200, 30000, merged="(A01, A02)"),
    ]
    wells = read_plates(write(tmp_path / "p.csv", table(NEW, rows)))
    assert wells["role"].values.tolist() == ["unknown", "unknown", "unknown", "ntc", "ntc", "ntc"]
    assert wells["sample"].values.tolist()[:4] == ["P1", "P1", "P1 1:10", ""]
    assert wells["vendor_concentration"].values[3] == 0
    assert wells["vendor_flags"].values[3] == "CHECK: Automatic Analysis Unsuccessful"
    np.testing.assert_allclose(recomputed(wells), wells["vendor_concentration"].values, rtol=1e-9)


def test_qx_manager_in_other_shapes_says_the_same(tmp_path):
    rows = [new_row("A01", "P1", "Unknown", 100, 15000), new_row("B01", "N", "NTC", 0, 14000)]
    names = ("n_partitions", "n_positive", "vendor_concentration", "partition_nl", "reaction_ul", "role", "sample")
    wanted = by(read_plates(write(tmp_path / "a.csv", table(NEW, rows))), *names)
    text = table(NEW, rows)
    comma = table(NEW, [[str(cell).replace(".", ",") for cell in row] for row in rows], delimiter=";")
    turned = table([*reversed(NEW), "Extra"], [[*reversed(row), "x"] for row in rows])
    others = {
        "b": (text, "cp1252"),
        "c": (text, "utf-16"),
        "d": (text, "utf-8-sig"),
        "e": (text.replace("µ", "�"), "utf-8"),
        "f": (text.replace("µ", "u").replace("Accepted Droplets", "AcceptedDroplets"), "utf-8"),
        "g": (comma, "utf-8"),
        "h": (turned, "utf-8"),
        "i": (text.replace("\n", "\r\n"), "utf-8"),
    }
    for name, (content, encoding) in others.items():
        assert by(read_plates(write(tmp_path / f"{name}.csv", content, encoding)), *names) == wanted, name
    cells = [[float(cell) if str(cell).replace(".", "").isdigit() else cell for cell in row] for row in rows]
    assert by(read_plates(write_workbook(tmp_path / "w.xlsx", {"Data Table": [NEW, *cells]})), *names) == wanted


def test_qx_manager_another_reaction_volume(tmp_path):
    header = [name.replace("Copies/20µLWell", "Copies/25µLWell") for name in NEW]
    wells = read_plates(write(tmp_path / "p.csv", table(header, [new_row("A01", "P", "Unknown", 5, 15000)])))
    assert wells["reaction_ul"].item() == 25


def test_merged_wells_without_the_single_ones_are_refused(tmp_path):
    rows = [
        new_row("A01", "P1", "Unknown", 100, 15000),
        new_row("M01", "P1", "Unknown", 200, 30000, merged="A01,A02"),
    ]
    with pytest.raises(FileFormatError, match=r"row 3: the row is the sum of merged wells, of which A02 are not in"):
        read_plates(write(tmp_path / "p.csv", table(NEW, rows)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({12: "100"}, "150 of 100 partitions are positive"),
        ({12: "15000.5"}, "15000.5 is not a number of partitions"),
        ({12: "many"}, "accepted partitions: 'many' is not a number"),
        ({14: "7"}, "150 positive and 7 negative partitions are not 15000"),
        ({4: "high"}, "concentration: 'high' is not a number"),
        ({4: "1e999"}, "inf is not a concentration"),
        ({4: "-3"}, "-3 is not a concentration"),
        ({8: "Ladder"}, "unknown task 'Ladder'"),
        ({0: "AAA1"}, "'AAA1' is not a well position"),
    ],
)
def test_digital_faults_name_the_row(tmp_path, change, message):
    row = new_row("A01", "P1", "Unknown", 150, 15000)
    for at, cell in change.items():
        row[at] = cell
    with pytest.raises(FileFormatError, match=rf"p\.csv, row 2: .*{message}"):
        read_plates(write(tmp_path / "p.csv", table(NEW, [row])))


# QIAcuity


@pytest.mark.parametrize(
    ("name", "roles", "runs", "zero"),
    [
        ("qiacuity_dpcr_example01.csv", {"unknown": 3, "positive": 2, "ntc": 1}, 5, 0),
        ("qiacuity_dpcr_example03.csv", {"unknown": 24}, 1, 2),
        ("qiacuity_dpcr_example04.csv", {"unknown": 32}, 1, 3),
    ],
)
def test_qiacuity_real_files_to_their_printed_digits(shared_data, name, roles, runs, zero):
    path = shared_data / "plates" / "qiagen_qiacuity" / name
    wells = read_plates(path)
    assert wells["family"].values.tolist() == ["qiacuity"]
    assert Counter(wells["role"].values.tolist()) == roles
    assert len(set(wells["run_id"].values)) == runs
    assert int((wells["n_positive"] == 0).sum()) == zero
    assert np.isfinite(wells["partition_nl"].values).all()
    printed = wells["vendor_concentration"].values
    digits = np.array([half_digit(text) for text in _printed(path)])
    # the volume of a well is printed to three decimals, which is 2e-4 of it
    loose = 2e-4 if "04" in name else 1e-9
    assert (np.abs(recomputed(wells) - printed) <= digits + loose * printed).all()


def _printed(path):
    lines = path.read_bytes().decode("utf-8-sig").splitlines()
    header, *rows = csv.reader(lines[1:])
    at = next(at for at, name in enumerate(header) if name.startswith("Conc"))
    return [row[at] for row in rows]


def test_qiacuity_volumes_of_partitions(shared_data):
    folder = shared_data / "plates" / "qiagen_qiacuity"
    wells = read_plates(folder / "qiacuity_dpcr_example04.csv")
    # 2.837 uL in 8510 partitions, and 2.621 in a well without a positive one
    found = by(wells, "partition_nl", "reaction_ul", "n_positive")
    assert found[("A1", "eGFP")] == pytest.approx((2837 / 8510, 15.6, 7644))
    assert found[("E5", "eGFP")] == pytest.approx((2621 / 8510, 15.6, 0))
    assert set(wells["run_id"].values) == {"qiacuity_dpcr_example04"}  # the name of the plate is in its first row only
    wells = read_plates(folder / "qiacuity_dpcr_example03.csv")
    sizes = wells["partition_nl"].values
    zero = wells["n_positive"].values == 0
    assert set(sizes[zero]) == {np.median(sizes[~zero])}
    assert 0.70 < sizes.min() < sizes.max() < 0.76


LIST = '"","Sample/NTC/Control","Target","IC","Conc. [copies/µL]","CI (95%)","Mean conc. [copies/µL]","CI (95%)",'
LIST += '"Partitions (valid)","Partitions (positive)","Partitions (negative)"\n'
LIST_ROWS = (
    '"A1","P1","CAR","-","4.078","22.5%","4","1%","25227","76","25151"\n'
    '"","","REF","-","86.32","4.60%","4","1%","25485","1778","23707"\n'
    '"A2","Non Template Control","CAR","-","0.000","-","-","-","25332","0","25332"\n'
)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("first", ["sep=,\n", "sep=,,,,,,,,,\n", ""])
def test_qiacuity_encodings_first_lines_and_blank_cells(tmp_path, encoding, first):
    wells = read_plates(write(tmp_path / "p.csv", first + LIST + LIST_ROWS, encoding))
    assert wells["well_name"].values.tolist() == ["A1", "A1", "A2"]
    assert wells["sample"].values.tolist() == ["P1", "P1", "Non Template Control"]
    assert wells["role"].values.tolist() == ["unknown", "unknown", "ntc"]
    assert wells["vendor_concentration"].values.tolist() == [4.078, 86.32, 0.0]


def test_qiacuity_semicolon_and_decimal_comma(tmp_path):
    text = table(*_split(LIST, LIST_ROWS.replace("4.078", "4,078").replace("86.32", "86,32").replace("0.000", "0,000")))
    wells = read_plates(write(tmp_path / "p.csv", text))
    assert wells["vendor_concentration"].values.tolist() == [4.078, 86.32, 0.0]


def _split(header, rows):
    return next(csv.reader([header])), list(csv.reader(rows.splitlines())), ";"


def test_qiacuity_plates_are_runs_and_a_plate_without_positives_has_no_volume(tmp_path):
    header = "Plate name,Plate ID,Well,Sample/NTC/Control,Type,Target,Conc. [cp/µL] (dPCR reaction),"
    header += "Partitions (Valid),Partitions (Positive)\n"
    rows = (
        "one,x,A1,P1,Sample,CAR,4.078,25227,76\n,,A2,P2,Sample,CAR,0.000,25300,0\n"
        "two,y,A1,P1,Sample,CAR,0.000,25300,0\n,,A2,C,Control,CAR,-,25300,25300\n"
    )
    wells = read_plates(write(tmp_path / "p.csv", header + rows))
    assert wells["run_id"].values.tolist() == ["p one", "p one", "p two", "p two"]
    sizes = wells["partition_nl"].values
    assert sizes[0] == sizes[1] == pytest.approx(0.7399, abs=1e-4)
    assert np.isnan(sizes[2:]).all()  # a median of no wells, and a saturated well, are no volume
    assert "no well of the plate tells it" in wells["vendor_flags"].values[2]
    assert wells["role"].values[3] == "positive"
    assert np.isnan(wells["vendor_concentration"].values[3])


def test_qiacuity_a_stated_volume_needs_the_number_of_partitions(tmp_path):
    header = "Plate type,Well,Sample/NTC/Control,Type,Target,Conc. [cp/µL] (dPCR reaction),Partitions (Valid),"
    header += "Partitions (Positive),Volume per well [µl]\n"
    row = "{},A1,P1,Sample,CAR,0.000,8300,0,2.837\n"
    known = read_plates(write(tmp_path / "a.csv", header + row.format("Nanoplate 8.5K 96-well")))
    assert known["partition_nl"].item() == pytest.approx(2837 / 8510)
    unknown = read_plates(write(tmp_path / "b.csv", header + row.format("Nanoplate 99K")))
    assert np.isnan(unknown["partition_nl"].item())


# Absolute Q


def test_absolute_q_real_files_agree_with_each_other_and_with_what_is_printed(shared_data):
    folder = shared_data / "plates" / "thermo_absoluteq"
    single = read_plates(folder / "Appbio_AbsoluteQ_example01.csv")
    summary = read_plates(folder / "Appbio_AbsoluteQ_summary.csv")
    channels = read_plates(folder / "Appbio_AbsoluteQ_multichannel.csv")
    for wells, number in ((single, 16), (summary, 16), (channels, 20)):
        assert wells.sizes["well"] == number  # averages of groups are no wells
        assert wells["family"].values.tolist() == ["absolute_q"]
        assert set(wells["partition_nl"].values) == {0.432}
        assert set(wells["role"].values) == {"unknown"}
        assert np.isnan(wells["reaction_ul"].values).all()
    for wells in (single, summary):
        np.testing.assert_allclose(recomputed(wells), wells["vendor_concentration"].values, atol=0.00501)
    assert by(summary, "dye", "sample")[("A1", "TARGET 2")] == ("VIC", "Sample A1")
    # summed over combinations the channels are the positives that the summary of the same run prints
    counted = by(channels, "n_positive", "n_partitions")
    printed = by(summary, "n_positive", "n_partitions")
    assert counted[("A1", "FAM")] == printed[("A1", "TARGET 1")] == (3182, 20419)
    for well in ("A1", "A2", "B1"):
        assert counted[(well, "FAM")] == printed[(well, "TARGET 1")]
        assert counted[(well, "VIC")] == printed[(well, "TARGET 2")]
    assert np.isnan(channels["vendor_concentration"].values[channels["n_positive"].values > 0]).all()


def test_absolute_q_pooled_and_nameless_summaries(tmp_path):
    header = "Run,Group,Name,Well,Total,Dye,Target,Conc. cp/uL,95%CI,Positives\n"
    rows = "r,G (2),,Pooled,40000,VIC,T,3,1,50\nr,G (2),,,,VIC,T,,,\nr,G,S,A1,20449,VIC,T,3.85,1.1,34\n"
    wells = read_plates(write(tmp_path / "p.csv", header + rows))
    assert wells["well_name"].values.tolist() == ["A1"]
    with pytest.raises(FileFormatError, match="'Pooled' is not a well position"):
        read_plates(write(tmp_path / "q.csv", header + rows.replace("(2),,Pooled", "(2),S,Pooled")))


def test_absolute_q_summary_of_one_dye_and_quality(tmp_path):
    text = ",,,,,,,CY5,,\nRun name,Group,Sample,Well,DF,QC,Total,Target,Conc.,Positives,QC Message\n"
    text += ",G,,Average,,,20440,T4,9,5,\nr,,S,A1,1/1.00000,PASS,20440,T4,2062.06,12053,fine\n"
    text += "r,,S,A2,1/10.00000,FAIL,20440,T4,0,0,bubbles\n"
    wells = read_plates(write(tmp_path / "p.csv", text))
    assert wells["dye"].values.tolist() == ["CY5", "CY5"]
    assert wells["vendor_flags"].values.tolist() == ["", "bubbles; DF 1/10.00000"]
    np.testing.assert_allclose(recomputed(wells), wells["vendor_concentration"].values, atol=0.00501)


CHANNELS = "Run,Plate,Sample,Channels,Count,Copies per microliter,Total\n"


def test_absolute_q_channels_must_be_complete(tmp_path):
    rows = ["r,p,Sample B3,,900,0,1000", "r,p,Sample B3,FAM,60,143.23,1000", "r,p,Sample B3,FAM VIC,40,94.5,1000"]
    rows.append("r,p,Sample B3,VIC,0,0.00,0")
    wells = read_plates(write(tmp_path / "p.csv", CHANNELS + "\n".join(rows) + "\n"))
    assert by(wells, "n_positive", "row") == {("B3", "FAM"): (100, 3), ("B3", "VIC"): (40, 5)}
    for at, (change, message) in enumerate(
        [
            (rows[:2], "count 960 partitions but the total is 1000"),
            ([*rows[:3], rows[1]], "the channels 'FAM' of 'Sample B3' are there twice"),
            ([rows[0], rows[1].replace(",1000", ",999")], "totals of 'Sample B3' differ"),
            ([line.replace("Sample B3", "P7") for line in rows], "the well of sample 'P7' is not named"),
        ]
    ):
        with pytest.raises(InputError, match=message):
            read_plates(write(tmp_path / f"{at}.csv", CHANNELS + "\n".join(change) + "\n"))


# What they share


def test_half_of_the_last_digit():
    assert [half_digit(text) for text in ("0.052", "181", "7782.4", 4.5, "1e3", "2.5E-2")] == pytest.approx(
        [0.0005, 0.5, 0.05, 0.05, 500, 0.0005]
    )


@settings(max_examples=100, deadline=None)
@given(
    nl=st.floats(0.2, 2.0),
    wells=st.lists(st.tuples(st.integers(500, 19000), st.integers(20000, 25000)), min_size=1, max_size=8),
)
def test_the_volume_follows_from_what_is_printed(nl, wells):
    counts = []
    for positive, accepted in wells:
        text = f"{-math.log1p(-positive / accepted) / nl * 1e3:.2f}"
        counts.append(Counts(accepted, positive, float(text), half_digit(text)))
    assert all(one.fits(volume_of(counts, (nl,))) for one in counts)
    assert volume_of(counts, (nl * 1.2,)) == pytest.approx(nl, rel=1e-3)
    assert volume_of(counts, (nl * 5,)) == nl * 5  # of no such partition


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_cell_anywhere_is_read_or_refused_in_one_sentence(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("digital")
    rows = [new_row("A01", "P1", "Unknown", 100, 15000), new_row("B01", "N", "NTC", 0, 14000)]
    row, column = data.draw(st.integers(0, 1)), data.draw(st.integers(0, len(NEW) - 1))
    rows[row][column] = data.draw(
        st.text(max_size=6) | st.sampled_from(["-1", "1e999", "nan", "=1+1", "1,5", "A01,A02"])
    )
    path = write(folder / "p.csv", table(NEW, rows), "utf-16")
    said = outcome(path)
    assert "\n" not in said


def outcome(path) -> str:
    """What is wrong with a file, in the reader's words, "" where it was read; any other exception is a fault."""
    try:
        wells = read_plates(path)
    except InputError as err:
        return str(err)
    known = np.isfinite(wells["n_partitions"].values)
    assert (wells["n_positive"].values <= wells["n_partitions"].values)[known].all()
    assert (wells["partition_nl"].values > 0)[known].all()
    return ""


def test_concentrations_of_something_else_than_the_reaction_say_nothing_of_the_droplets(tmp_path):
    """Concentrations of an undiluted sample would make droplets ten times smaller, and copies ten times more."""
    header = "Well,Sample,Target,Concentration,SampleType,TargetType,AcceptedDroplets,Positives"
    rows = [f"A0{at},S,CAR,{10 * -math.log1p(-n / 15000) / 0.85e-3:.4f},Unknown,Unknown,15000,{n}"
            for at, n in enumerate((300, 900, 2000), start=1)]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    wells = read_plates(tmp_path / "a.csv")
    assert set(wells["partition_nl"].values) == {0.85}
    verdicts = quantify(wells)["verdicts"].to_dataset()
    of_vendor = verdicts["rule"].values == "vendor_concentration"
    assert verdicts["outcome"].values[of_vendor].tolist() == [Verdict.failed]
