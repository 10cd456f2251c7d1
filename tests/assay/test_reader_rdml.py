"""RDML archives: real ones, every rule of the reader, and hostile ones."""

from __future__ import annotations

import re
import zipfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plate_builders import d_and_a_rows, write_workbook

from ckinetics.assay import quantify, read_plates
from ckinetics.assay.readers import rdml_document
from ckinetics.errors import InputError
from ckinetics.schema import CqStatus, YesNo

NAMESPACE = 'xmlns="http://www.rdml.org"'
SAMPLES = (
    '<sample id="P1"><type>unkn</type></sample><sample id="W"><type>ntc</type></sample>'
    '<sample id="S"><type>std</type><quantity><value>100</value><unit>cop</unit></quantity></sample>'
)
PLATE = (
    "<pcrFormat><rows>8</rows><columns>12</columns><rowLabel>ABC</rowLabel><columnLabel>123</columnLabel></pcrFormat>"
)


def data(cq="25.5", *, target="CAR", more="", cycles=0):
    curve = "".join(f"<adp><cyc>{at + 1}</cyc><fluor>1.5</fluor></adp>" for at in range(cycles))
    return f'<data><tar id="{target}"/>{"" if cq is None else f"<cq>{cq}</cq>"}{more}{curve}</data>'


def react(number, sample, *entries, volume=""):
    vol = f"<vol>{volume}</vol>" if volume else ""
    return f'<react id="{number}"><sample id="{sample}"/>{vol}{"".join(entries)}</react>'


def run(*reactions, name="R1", plate=PLATE):
    return f'<run id="{name}">{plate}{"".join(reactions)}</run>'


def rdml(*runs, samples=SAMPLES, root=NAMESPACE, version="1.2", before=""):
    targets = "".join(
        f'<target id="{name}"><dyeId id="{dye}"/></target>' for name, dye in (("CAR", "FAM"), ("R", "HEX"))
    )
    experiment = f'<experiment id="E">{"".join(runs)}</experiment>'
    return f'{before}<rdml {root} version="{version}">{samples}{targets}{experiment}</rdml>'


def archive(path, text, *, member="rdml_data.xml", method=zipfile.ZIP_DEFLATED, **more):
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(member, text)
        for name, content in more.items():
            file.writestr(name, content)
    return path


def refused(path) -> str:
    with pytest.raises(InputError) as error:
        read_plates(path)
    text = str(error.value)
    assert text.startswith(path.name)
    assert "\n" not in text
    return text


def outcome(path) -> str:
    """What is wrong with a file, in the reader's words, "" where it was read; any other exception is a fault."""
    try:
        read_plates(path)
    except InputError as err:
        return str(err)
    return ""


REAL = {
    "BioRad_384.rdml": ({"unknown": 36, "standard": 12}, 4, 0, 0, "I3", "bio_rad_384.xml"),
    "rdmltools_absolute.rdml": ({"unknown": 24, "standard": 60, "ntc": 12}, 4, 12, 60, "H12", "rdml_data.xml"),
    "stepone_std.rdml": ({"unknown": 6, "standard": 15, "ntc": 3}, 1, 3, 15, "C8", "rdml_data.xml"),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_rdml_real_files(shared_data, name):
    path = shared_data / "plates" / "rdml" / name
    roles, targets, no_signal, nominal, last, member = REAL[name]
    wells = read_plates(path)
    with zipfile.ZipFile(path) as file:
        text = file.read(file.namelist()[0]).decode()
    cqs = [float(cq) for cq in re.findall(r"<cq>(.*?)</cq>", text)]
    assert wells.sizes["well"] == len(cqs) == sum(roles.values())
    assert wells["family"].values.tolist() == ["rdml"]
    assert Counter(wells["role"].values.tolist()) == roles
    assert len(set(wells["target"].values)) == targets
    assert int((wells["cq_status"] == CqStatus.undetermined).sum()) == no_signal
    signal = wells["cq_status"].values == CqStatus.determined
    assert wells["cq"].values[signal].tolist() == [cq for cq in cqs if cq not in (-1.0, 40.0)]
    assert int(wells["nominal_copies"].count()) == nominal
    assert wells["well_name"].values[[0, -1]].tolist() == ["A1", last]
    assert set(wells["sheet"].values) == {member}
    assert wells["row"].values.tolist() == list(range(1, len(cqs) + 1))
    assert set(wells["run_id"].values) == {path.stem}


def test_rdml_copies_per_microlitre_become_copies_in_the_well(shared_data):
    wells = read_plates(shared_data / "plates" / "rdml" / "rdmltools_absolute.rdml")
    standards = wells["role"].values == "standard"
    # the samples are named by their copies a reaction: 18750 copies/uL times 8 uL
    named = [float(name.removeprefix("STD_")) for name in wells["sample"].values[standards]]
    assert wells["nominal_copies"].values[standards].tolist() == named


def test_rdml_without_a_volume_has_no_nominal_copies(shared_data):
    wells = read_plates(shared_data / "plates" / "rdml" / "BioRad_384.rdml")
    standards = wells["role"].values == "standard"
    assert all("copies/uL, and the volume is not stated" in flag for flag in wells["vendor_flags"].values[standards])
    assert np.isnan(wells["nominal_copies"].values).all()
    # 24 columns a row: reaction 195 is the third of the ninth row
    assert wells["software"].values[0].startswith("RDML 1.1, BioRadCFXManager.exe 3.0")


def test_rdml_stepone_reproduces_the_quantities_that_the_software_calculated(shared_data):
    tree = quantify(read_plates(shared_data / "plates" / "rdml" / "stepone_std.rdml"))
    verdicts = tree["verdicts"].to_dataset(inherit=False)
    found = verdicts.isel(verdict=np.flatnonzero(verdicts["rule"].values == "vendor_quantity"))
    assert found["value"].item() < 2e-4
    curve = tree["curves"].to_dataset(inherit=False).isel(curve=0)
    assert curve["efficiency"].item() == pytest.approx(93.91181, abs=0.003)  # amplificationEfficiency of the document


def test_rdml_nothing_personal_is_kept(shared_data):
    wells = read_plates(shared_data / "plates" / "rdml" / "BioRad_384.rdml")
    text = " ".join(str(value) for name in wells for value in wells[name].values.ravel())
    for secret in ("CC001010", "SN:", "labAddress", "@"):
        assert secret not in text


def test_rdml_any_namespace_member_and_version(tmp_path):
    text = run(react(13, "P1", data()))
    for at, root in enumerate((NAMESPACE, "", 'xmlns="http://www.rdml.org/1.4"', 'xmlns="urn:x" xmlns:rdml="urn:y"')):
        wells = read_plates(archive(tmp_path / f"a{at}", rdml(text, root=root), member="some name.xml"))
        assert wells["well_name"].values.tolist() == ["B1"]
    prefixed = rdml(text, root="").replace("</", "</r:").replace("<", "<r:").replace("<r:/r:", "</r:")
    prefixed = prefixed.replace("<r:rdml ", '<r:rdml xmlns:r="urn:z" ')
    assert read_plates(archive(tmp_path / "p", prefixed)).sizes["well"] == 1
    for version in ("1.0", "1.1", "1.3", "1.4"):
        assert read_plates(archive(tmp_path / f"v{version}", rdml(text, version=version))).sizes["well"] == 1
    assert "RDML version 2.0 is unknown" in refused(archive(tmp_path / "v2", rdml(text, version="2.0")))


def test_rdml_targets_dyes_exclusion_and_cq(tmp_path):
    reactions = [
        react(1, "P1", data("25.5"), data("27", target="R")),
        react(2, "P1", data("-1.0"), data(None, target="R")),
        react(3, "P1", data("NaN"), data("30", target="R", more="<excl></excl>")),
        react(4, "W", data("40.0", cycles=40)),
        react(5, "P1", data("39.9", cycles=40)),
    ]
    wells = read_plates(archive(tmp_path / "a.rdml", rdml(run(*reactions))))
    assert wells["well_name"].values.tolist() == ["A1", "A1", "A2", "A2", "A3", "A3", "A4", "A5"]
    assert wells["target"].values[:2].tolist() == ["CAR", "R"]
    assert wells["dye"].values[:2].tolist() == ["FAM", "HEX"]
    assert wells["cq_status"].values.tolist() == [1, 1, 0, -1, 0, 1, 0, 1]
    assert wells["omit"].values.tolist() == [YesNo.no] * 5 + [YesNo.yes] + [YesNo.no] * 2
    assert wells["vendor_flags"].values[6] == "Cq 40 is the last of 40 cycles"
    assert wells["vendor_flags"].values[5] == "excluded"


def test_rdml_of_a_run_that_was_not_analysed(tmp_path):
    reactions = [react(1, "P1", data("-1.0")), react(2, "W", data("-1.0"))]
    path = archive(tmp_path / "a.rdml", rdml(run(*reactions)))
    assert set(read_plates(path)["cq_status"].values) == {CqStatus.missing}
    assert set(read_plates(path, undetermined=["-1.0"])["cq_status"].values) == {CqStatus.undetermined}


def test_rdml_runs_are_runs(tmp_path):
    both = rdml(run(react(1, "P1", data())), run(react(1, "P1", data("26")), name="R2"))
    assert read_plates(archive(tmp_path / "a.rdml", both))["run_id"].values.tolist() == ["a R1", "a R2"]
    same = rdml(run(react(1, "P1", data())), run(react(1, "P1", data("26"))))
    assert "two runs have one id" in refused(archive(tmp_path / "b.rdml", same))
    twice = rdml(run(react(1, "P1", data()), react(1, "P1", data())))
    assert "well A1 of target 'CAR' is there twice" in refused(archive(tmp_path / "c.rdml", twice))


@pytest.mark.parametrize(
    ("unit", "volume", "copies"), [("cop", "20", 2000.0), ("other", "", 100.0), ("cop", "", None), ("ng", "20", None)]
)
def test_rdml_units_of_quantity(tmp_path, unit, volume, copies):
    text = rdml(run(react(1, "S", data(), volume=volume))).replace("<unit>cop<", f"<unit>{unit}<")
    wells = read_plates(archive(tmp_path / "a.rdml", text))
    if copies is None:
        assert np.isnan(wells["nominal_copies"].item())
        assert wells["vendor_flags"].item().startswith("quantity 100 is in ")
    else:
        assert wells["nominal_copies"].item() == copies


def test_rdml_type_and_quantity_of_one_target(tmp_path):
    samples = (
        '<sample id="S"><type>unkn</type><type targetId="CAR">std</type>'
        '<quantity targetId="CAR"><value>50</value><unit>cop</unit></quantity></sample>'
    )
    text = rdml(run(react(1, "S", data(), data("30", target="R"), volume="10")), samples=samples)
    wells = read_plates(archive(tmp_path / "a.rdml", text))
    assert wells["role"].values.tolist() == ["standard", "unknown"]
    assert wells["nominal_copies"].values[0] == 500


def test_rdml_faults_name_the_ordinal_of_the_data(tmp_path):
    good = react(1, "P1", data())
    cases = {
        "unknown task 'opt'": rdml(run(good, react(2, "P1", data())), samples=SAMPLES.replace("unkn", "opt")),
        "sample 'X' of reaction '2' is not in": rdml(run(good, react(2, "X", data()))),
        "reaction 97 is not on a plate": rdml(run(good, react(97, "P1", data()))),
        "'Z' is not a well position": rdml(run(good, react("Z", "P1", data()))),
        "Cq 400 is not a cycle number": rdml(run(good, react(2, "P1", data("400")))),
        "'x' is not a number": rdml(run(good, react(2, "P1", data("x")))),
        "are no positions such as A1": rdml(run(good, plate=PLATE.replace("ABC", "123"))),
        "columns is not known": rdml(run(good, plate=PLATE.replace("12<", "1e400<"))),
        "the size of the plate is unknown": rdml(run(good, plate="<pcrFormat>free format</pcrFormat>")),
    }
    for at, (said, text) in enumerate(cases.items()):
        message = refused(archive(tmp_path / f"a{at}.rdml", text))
        assert said in message
        assert re.match(r"a\d\.rdml, sheet 'rdml_data.xml', row [12]: ", message)


def test_rdml_plate_in_words(tmp_path):
    plate = "<pcrFormat>384-well plate; A1-P24</pcrFormat>"
    wells = read_plates(archive(tmp_path / "a.rdml", rdml(run(react(25, "P1", data()), plate=plate), version="1.0")))
    assert wells["well_name"].values.tolist() == ["B1"]


def test_rdml_without_data(tmp_path):
    assert "no reaction of the document has data" in refused(archive(tmp_path / "a", rdml(run(react(1, "P1")))))
    partitions = rdml(run(react(1, "P1", "<partitions><volume>0.8</volume></partitions>")))
    assert "partitions of digital PCR" in refused(archive(tmp_path / "b", partitions))


def test_archives_of_another_kind(tmp_path):
    good = rdml(run(react(1, "P1", data())))
    assert "holds no RDML document" in refused(archive(tmp_path / "a.zip", "<html/>"))
    assert "holds no RDML document" in refused(archive(tmp_path / "b.zip", b"\x00\xff\x01"))
    assert "holds 2 RDML documents" in refused(archive(tmp_path / "c.zip", good, **{"other.xml": good}))
    beside = archive(tmp_path / "d.zip", good, **{"picture.png": b"\x89PNG", "notes.xml": "<notes/>"})
    assert read_plates(beside).sizes["well"] == 1
    book = write_workbook(tmp_path / "w.rdml", {"Results": d_and_a_rows([["A1", "S1", "UNKNOWN", 25.0]])})
    with zipfile.ZipFile(book, "a") as file:
        file.writestr("rdml_data.xml", good)
    assert read_plates(book)["family"].values.tolist() == ["design_and_analysis"]


def test_rdml_entity_bombs(tmp_path):
    entities = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 50}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    text = rdml(run(react(1, "P1", data("&i;"))), before=f"<!DOCTYPE rdml [{entities}]>")
    assert "declares a document type or entities" in refused(archive(tmp_path / "a.rdml", text))
    utf16 = ('<?xml version="1.0" encoding="UTF-16"?>' + text).encode("utf-16")
    assert "declares a document type or entities" in refused(archive(tmp_path / "b.rdml", utf16))
    outside = rdml(
        run(react(1, "P1", data("&x;"))), before='<!DOCTYPE rdml [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    )
    assert "declares a document type or entities" in refused(archive(tmp_path / "c.rdml", outside))


def test_rdml_zip_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(rdml_document, "_MOST_BYTES", 2**20)
    monkeypatch.setattr(rdml_document, "_MOST_ELEMENTS", 5000)
    monkeypatch.setattr(rdml_document, "_MOST_MEMBERS", 20)
    good = rdml(run(react(1, "P1", data())))
    assert "when unpacked" in refused(archive(tmp_path / "a.rdml", good + " " * 2**21))
    assert "too many elements" in refused(
        archive(tmp_path / "b.rdml", good.replace("<react", "<a/>" * 9000 + "<react"))
    )
    assert "nests too deeply" in refused(archive(tmp_path / "c.rdml", f"<rdml>{'<a>' * 40}"))
    assert "nests too deeply" in refused(archive(tmp_path / "d.rdml", f"<rdml><adp>{'<a>' * 40}"))
    many = {f"{at}.xml": "<a/>" for at in range(30)}
    assert "the archive holds 31 files" in refused(archive(tmp_path / "e.rdml", good, **many))
    assert "compressed in an unusual way" in refused(archive(tmp_path / "f.rdml", good, method=zipfile.ZIP_LZMA))


def test_rdml_cut_off_or_damaged(tmp_path):
    good = rdml(run(react(1, "P1", data())))
    assert "damaged or cut off" in refused(archive(tmp_path / "a.rdml", good[:-30]))
    whole = archive(tmp_path / "b.rdml", good).read_bytes()
    (tmp_path / "b.rdml").write_bytes(whole[:-30])
    assert "damaged or incomplete, or of another kind" in refused(tmp_path / "b.rdml")
    (tmp_path / "c.rdml").write_bytes(
        whole.replace(b"rdml_data.xml", b"rdml_data.xml", 1)[:60] + b"\x00" * 20 + whole[80:]
    )
    assert "c.rdml: the archive" in refused(tmp_path / "c.rdml")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 2000), byte=st.integers(0, 255), stored=st.booleans())
def test_rdml_a_damaged_byte_is_refused_or_harmless(tmp_path_factory, at, byte, stored):
    folder = tmp_path_factory.mktemp("rdml")
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    path = archive(folder / "a.rdml", rdml(run(react(1, "P1", data()), react(2, "S", data()))), method=method)
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] = byte
    path.write_bytes(raw)
    assert "\n" not in outcome(path)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=12), where=st.sampled_from(['id="1"', "unkn", "25.5", ">12<", ">100<", ">cop<", "ABC"]))
def test_rdml_any_text_anywhere_is_refused_or_harmless(tmp_path_factory, text, where):
    from xml.sax.saxutils import escape

    said = escape(text, {'"': "&quot;", "\n": "&#10;"})
    new = f'id="{said}"' if where.startswith("id") else where.replace(where.strip("<>"), said)
    document = rdml(run(react(1, "S", data(), volume="5"), react(2, "P1", data()))).replace(where, new)
    path = archive(tmp_path_factory.mktemp("rdml") / "a.rdml", document.encode("utf-8", "surrogatepass"))
    assert "\n" not in outcome(path)
