"""The CDISC domain of concentrations: a published file, and profiles there and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.cohorts import cohort, kinetics_from_arrays, profiles_from_table, read_pc, write_pc
from ckinetics.errors import InputError, JobError, UnitError
from ckinetics.noncompartmental import nca
from ckinetics.schema import Excluded, Status

KEPT = ("time", "nominal_time", "level", "status", "lod", "lloq", "uloq", "se_well", "se_plate", "excluded")


def table(**columns: object) -> pd.DataFrame:
    """Return a domain of three samples of one patient; columns may be replaced, and None takes one away."""
    base: dict[str, object] = {
        "USUBJID": "P1",
        "PCSEQ": [1, 2, 3],
        "PCTESTCD": "CARTGN",
        "PCSPEC": "BLOOD",
        "PCSTRESC": ["<BLQ", "1200", "<BLQ"],
        "PCSTRESN": [0.0, 1200.0, np.nan],
        "PCSTRESU": "copies/ug",
        "PCLLOQ": 50.0,
        "VISITDY": [-1, 8, 29],
    }
    chosen = {name: value for name, value in (base | columns).items() if value is not None}
    return pd.DataFrame(chosen, index=range(3))


def of(profiles: xr.Dataset, name: str) -> list[object]:
    return profiles[name].values[0, 0].tolist()


@pytest.fixture(scope="module")
def published(shared_data: Path) -> xr.Dataset:
    folder = shared_data / "cdisc"
    return read_pc(folder / "pc.csv", ex=folder / "ex.csv", dm=folder / "dm.csv", matrices={"URINE": "other"})


def test_the_published_file_keeps_its_blq(published: xr.Dataset, shared_data: Path) -> None:
    # pharmaverse pc (sdtm 530a5ea8): 4572 records, 2179 "<BLQ", of which 254 (pre-dose) have PCSTRESN 0.
    raw = pd.read_csv(shared_data / "cdisc" / "pc.csv")
    blq = raw["PCSTRESC"] == "<BLQ"
    assert (len(raw), int(blq.sum()), int((blq & (raw["PCSTRESN"] == 0)).sum())) == (4572, 2179, 254)
    status = published["status"].values
    assert int((status != Status.missing).sum()) == 4572
    assert int((status == Status.below_lloq).sum()) == 2179
    assert int((status == Status.quantified).sum()) == 4572 - 2179
    assert not (published["level"].values == 0).any()
    assert np.isnan(published["level"].values[status != Status.quantified]).all()
    assert (published["lloq"].values[status != Status.missing] == 0.01).all()
    told = json.loads(published.attrs["settings"])
    assert told["records"] == 4572
    assert told["numbers_beside_unquantified_text"] == 254
    assert told["times_from"] == {"PCDTC against the first EXSTDTC, a date taken at 00:00": 4572}


def test_the_published_files_levels_and_times(published: xr.Dataset, shared_data: Path) -> None:
    assert published["unit"].values.tolist() == ["ug/mL", "ug/mL"]
    assert published["matrix"].values.tolist() == ["plasma", "other"]
    raw = pd.read_csv(shared_data / "cdisc" / "pc.csv")
    ex = pd.read_csv(shared_data / "cdisc" / "ex.csv").groupby("USUBJID")["EXSTDTC"].min()
    raw["days"] = (pd.to_datetime(raw["PCDTC"]) - pd.to_datetime(raw["USUBJID"].map(ex))).dt.total_seconds() / 86400
    for patient in ("01-701-1028", "01-718-1427"):
        rows = raw[(raw["USUBJID"] == patient) & (raw["PCSPEC"] == "PLASMA")]
        one = published.sel(patient=patient, matrix="plasma")
        np.testing.assert_allclose(one["time"].values, rows["days"], atol=1e-12)
        want = rows["PCSTRESN"].where(rows["PCSTRESC"] != "<BLQ")
        np.testing.assert_array_equal(one["level"].values, want)
    # Pre-dose is half an hour before the dose: a negative time, and legal.
    np.testing.assert_allclose(published["time"].sel(matrix="plasma").values[:, 0], -0.5 / 24)


def test_nca_does_not_take_a_zero_for_a_level(published: xr.Dataset) -> None:
    result = nca(published).sel(matrix="plasma")
    treated = published["status"].sel(matrix="plasma").values == Status.quantified
    none = ~treated.any(axis=1)
    assert none.sum() == 86  # 86 patients had placebo: all their samples are BLQ
    assert np.isnan(result["lambda_z"].values[none]).all()
    one = result.sel(patient="01-701-1028")
    # Its samples at 12, 16 and 24 h are 0.495, 0.138, 0.0107 ug/mL; 36 h is BLQ.
    assert float(one["cmax"]) == pytest.approx(1.77185469787668)
    assert float(one["tlast"]) == pytest.approx(1.0)
    assert float(one["n_quantified"]) == 11


def test_the_published_file_there_and_back(published: xr.Dataset, tmp_path: Path) -> None:
    write_pc(published, tmp_path / "pc.csv", studyid="S", testcd="XAN", test="XANOMELINE", method="LCMS")
    back = read_pc(tmp_path / "pc.csv", supp=tmp_path / "supppc.csv")
    for name in KEPT:
        np.testing.assert_array_equal(back[name].values, published[name].values, err_msg=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pc.csv", "supppc.csv"]


@pytest.mark.parametrize(
    ("text", "status", "lloq", "uloq"),
    [
        ("<BLQ", Status.below_lloq, 50, np.nan),
        ("BLQ", Status.below_lloq, 50, np.nan),
        ("BLOQ", Status.below_lloq, 50, np.nan),
        ("<LLOQ", Status.below_lloq, 50, np.nan),
        ("<50", Status.below_lloq, 50, np.nan),
        ("12", Status.below_lloq, 50, np.nan),
        ("0", Status.below_lloq, 50, np.nan),
        ("ND", Status.not_detected, 50, np.nan),
        ("NOT DETECTED", Status.not_detected, 50, np.nan),
        ("DNQ", Status.detected_below_lloq, 50, np.nan),
        (">ULOQ", Status.above_uloq, 50, np.nan),
        (">1e6", Status.above_uloq, 50, 1e6),
        ("1200", Status.quantified, 50, np.nan),
        ("", Status.missing, 50, np.nan),
    ],
)
def test_what_is_known_follows_the_text(text: str, status: Status, lloq: float, uloq: float) -> None:
    number = 1200.0 if text == "1200" else (np.nan if not text else 0.0)
    profiles = read_pc(table(PCSTRESC=["<BLQ", text, "<BLQ"], PCSTRESN=[0.0, number, np.nan]))
    assert of(profiles, "status")[1] == status
    np.testing.assert_array_equal([of(profiles, "lloq")[1], of(profiles, "uloq")[1]], [lloq, uloq])
    assert np.isnan(of(profiles, "level")[1]) or status is Status.quantified


def test_an_imputed_number_beside_blq_is_not_a_level() -> None:
    half = table(PCORRES=["BLQ", "1200", "ND"], PCSTRESC=["100", "1200", "25"], PCSTRESN=[100, 1200, 25])
    profiles = read_pc(half)
    assert of(profiles, "status") == [Status.below_lloq, Status.quantified, Status.not_detected]
    assert json.loads(profiles.attrs["settings"])["numbers_beside_unquantified_text"] == 2


def test_not_done_has_a_reason() -> None:
    profiles = read_pc(
        table(
            PCSTRESC=["", "", ""],
            PCSTRESN=np.nan,
            PCSTAT="NOT DONE",
            PCREASND=["SPECIMEN LOST", "RUN FAILED", "INSUFFICIENT DNA"],
        )
    )
    assert of(profiles, "status") == [Status.missing, Status.invalid, Status.insufficient_dna]
    assert of(profiles, "reason") == ["SPECIMEN LOST", "RUN FAILED", "INSUFFICIENT DNA"]
    assert of(profiles, "time") == [-1, 7, 28]


def test_study_days_have_no_day_0() -> None:
    assert of(read_pc(table(VISITDY=[-1, 1, 2])), "time") == [-1, 0, 1]
    with pytest.raises(InputError, match="row 2: VISITDY is 0, which does not exist"):
        read_pc(table(VISITDY=[-1, 0, 8]))


def test_dates_come_before_planned_times_and_exposure_before_demographics() -> None:
    dated = table(PCDTC=["2026-01-04T09:00", "2026-01-12T21:00", "2026-02-02"], VISITDY=[-1, 8, 29])
    ex = pd.DataFrame({"USUBJID": "P1", "EXSTDTC": ["2026-03-01T09:00", "2026-01-05T09:00"], "EXTRT": "CART"})
    dm = pd.DataFrame({"USUBJID": ["P1"], "RFXSTDTC": ["2026-01-05"]})
    profiles = read_pc(dated, ex=ex, dm=dm)
    assert of(profiles, "time") == [-1.0, 7.5, 28.0]
    assert of(profiles, "nominal_time") == [-1, 7, 28]
    assert of(read_pc(dated, dm=dm), "time") == [-0.625, 7.875, 28.0]
    assert of(read_pc(dated, dm=dm, infusion_clock="09:00"), "time") == [-1.0, 7.5, 28.0]
    with pytest.raises(InputError, match="EXSTDTC is 2026-01-05, RFXSTDTC is 2026-01-06"):
        read_pc(dated, ex=ex, dm=dm.assign(RFXSTDTC="2026-01-06"))
    # Without a first infusion the planned day is all there is, and the settings say so.
    planned = read_pc(dated)
    assert of(planned, "time") == [-1, 7, 28]
    assert json.loads(planned.attrs["settings"])["times_from"] == {"VISITDY": 3}
    assert np.isnan(of(read_pc(dated, missing_time="keep"), "time")).all()


def test_a_partial_date_is_no_time() -> None:
    ex = pd.DataFrame({"USUBJID": ["P1"], "EXSTDTC": ["2026-01-05T09:00"]})
    profiles = read_pc(table(PCDTC=["2026-01", "2026---12", "2026-02-02T09:00"]), ex=ex)
    assert of(profiles, "time") == [-1, 7, 28]
    assert json.loads(profiles.attrs["settings"])["times_from"] == {"VISITDY": 2, "PCDTC against the first EXSTDTC": 1}


def test_conditioning_is_not_the_infusion() -> None:
    dated = table(PCDTC=["2026-01-04T09:00", "2026-01-12T09:00", "2026-02-02T09:00"])
    ex = pd.DataFrame(
        {"USUBJID": "P1", "EXSTDTC": ["2026-01-01T09:00", "2026-01-05T09:00"], "EXTRT": ["FLUDARABINE", "CART"]}
    )
    with pytest.raises(InputError, match=r"row 2: patient 'P1' was given FLUDARABINE and CART .* treatment="):
        read_pc(dated, ex=ex)
    assert of(read_pc(dated, ex=ex, treatment="CART"), "time") == [-1, 7, 28]
    with pytest.raises(InputError, match="no exposure is to 'CAR'"):
        read_pc(dated, ex=ex, treatment="CAR")


def test_the_unit_of_planned_times_is_not_guessed() -> None:
    hours = table(VISITDY=None, PCTPTNUM=[-24, 168, 672])
    with pytest.raises(InputError, match=r"row 1: nothing tells the sample's time: name the unit of PCTPTNUM"):
        read_pc(hours)
    assert of(read_pc(hours, timepoint_unit="h"), "time") == [-1, 7, 28]
    assert of(read_pc(table(VISITDY=None, PCELTM=["-P1D", "P1W", "PT672H"])), "time") == [-1, 7, 28]
    # Hours after the dose of each visit are not hours after the first infusion.
    with pytest.raises(InputError, match=r"several samples at PCTPTNUM -0.5: it counts from more than one dose"):
        read_pc(table(PCTPTNUM=[-0.5, -0.5, 4]), timepoint_unit="h")
    with pytest.raises(InputError, match="VISITDY is the same for several samples"):
        read_pc(table(VISITDY=[1, 1, 8]))
    with pytest.raises(InputError, match="PCELTM 'P1M' is not a duration"):
        read_pc(table(PCELTM=["P1M", "", ""]))


def test_a_pre_dose_sample_never_follows_the_dose() -> None:
    dated = table(PCDTC=["2026-01-05T08:00", "2026-01-12T09:00", "2026-02-02T09:00"], PCTPT=["Pre-dose", "", ""])
    ex = pd.DataFrame({"USUBJID": ["P1"], "EXSTDTC": ["2026-01-05"]})
    with pytest.raises(InputError, match=r"row 1: PCDTC 2026-01-05T08:00 is after the first infusion, .*EXSTDTC is a"):
        read_pc(dated, ex=ex)
    assert of(read_pc(dated, ex=ex, infusion_clock="10:00"), "time")[0] == pytest.approx(-2 / 24)


def test_several_specimens_are_matrices_and_several_tests_are_refused() -> None:
    two = pd.concat([table(), table(PCSPEC="BONE MARROW", PCSEQ=[4, 5, 6])], ignore_index=True)
    assert read_pc(two)["matrix"].values.tolist() == ["blood", "bone marrow"]
    two = pd.concat([table(), table(PCTESTCD="VCN", PCSEQ=[4, 5, 6], PCSTRESU="copies/cell")], ignore_index=True)
    with pytest.raises(InputError, match="the table has the tests CARTGN, VCN: name one with testcd="):
        read_pc(two)
    assert read_pc(two, testcd="VCN")["unit"].values.tolist() == ["copies/cell"]
    with pytest.raises(InputError, match="has no PCTESTCD 'X': it has CARTGN, VCN"):
        read_pc(two, testcd="X")


def test_units_are_converted_only_where_one_is_named() -> None:
    mixed = table(
        PCSTRESU=["copies/ug", "copies/ng", "copies/ug"],
        PCLLOQ=[50, 0.05, 50],
        PCSTRESC=["<50", "1.2", "<50"],
        PCSTRESN=[np.nan, 1.2, np.nan],
    )
    with pytest.raises(UnitError, match=r"row 2: the unit is 'copies/ng' but 'copies/ug' in rows before"):
        read_pc(mixed)
    profiles = read_pc(mixed, unit="copies/ug", lod=15)
    assert of(profiles, "level")[1] == pytest.approx(1200)
    np.testing.assert_allclose(of(profiles, "lloq"), 50)
    np.testing.assert_allclose(of(profiles, "lod"), 15)
    with pytest.raises(UnitError, match="different kinds"):
        read_pc(mixed, unit="cells/uL")
    with pytest.raises(UnitError, match="no unit"):
        read_pc(table(PCSTRESU=None))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"PCSTRESC": ["<BLQ", "", "<BLQ"]}, "row 2: PCSTRESN is 1200 but PCSTRESC and PCORRES are empty"),
        ({"PCSTRESN": [0, 1300, np.nan]}, "row 2: PCSTRESC is 1200 but PCSTRESN is 1300"),
        ({"PCSTRESC": ["<40", "1200", "BLQ"]}, "row 1: level '<40' contradicts the row's lloq of 50"),
        ({"PCSTAT": ["", "NOT DONE", ""]}, "row 2: PCSTAT is NOT DONE but there is a result, '1200'"),
        ({"PCSTAT": ["", "DONE", ""]}, "row 2: PCSTAT 'DONE' is not known"),
        ({"PCSTRESC": ["<BLQ", "high", "<BLQ"]}, "row 2: level 'high' is neither a number nor a known word"),
        ({"PCSPEC": "SALIVA"}, "row 1: PCSPEC: unknown matrix 'SALIVA'.*matrices="),
        ({"PCMETHOD": ["QPCR", "DDPCR", "QPCR"]}, "by DDPCR and QPCR"),
        ({"DOMAIN": "LB"}, "row 1: DOMAIN is 'LB', not 'PC'"),
        ({"PCSTRESC": None}, "neither PCSTRESC nor PCORRES"),
        ({"PCELTM": ["P1D", "P7D", "P7D"], "VISITDY": None}, "row 1: nothing tells the sample's time"),
    ],
)
def test_contradictions_are_refused(columns: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pc(table(**columns))


def test_two_samples_at_one_time_are_refused() -> None:
    dated = table(PCDTC=["2026-01-05T09:00", "2026-01-05T09:00", "2026-02-02"], VISITDY=None)
    with pytest.raises(InputError, match=r"patient 'P1' has 2 samples of blood at time 0 day \(rows 1 and 2\)"):
        read_pc(dated, dm=pd.DataFrame({"USUBJID": ["P1"], "RFXSTDTC": ["2026-01-05T09:00"]}))


def test_another_domain() -> None:
    other = table().rename(columns=lambda name: name.replace("PC", "LB", 1) if name.startswith("PC") else name)
    assert of(read_pc(other, domain="lb"), "status") == of(read_pc(table()), "status")
    assert "LBSTRESC" in write_pc(read_pc(table()), studyid="S", domain="LB").pc


def test_the_written_tables() -> None:
    frame = pd.DataFrame(
        {
            "patient": "P1",
            "matrix": "blood",
            "time": [-1.0, 7.0, 14.0, 28.0, 60.0, 90.0],
            "nominal_time": [-1.0, 7.0, 14.0, 28.0, 60.0, 90.0],
            "level": [np.nan, 1200.0, np.nan, np.nan, np.nan, np.nan],
            "status": np.array([0, 3, 1, 2, 4, 6], dtype=np.int8),
            "lod": 15.0,
            "lloq": 50.0,
            "uloq": 1e6,
            "se_well": [np.nan, 0.1, np.nan, np.nan, np.nan, np.nan],
            "excluded": np.array([0, 1, 0, 0, 0, 0], dtype=np.int8),
            "by": ["", "A. Person, 2026-02-01", "", "", "", ""],
            "reason": ["", "drawn from the infusion line", "", "", "", "12 ng of DNA"],
            "sample_id": ["S1", "S2", "S3", "S4", "S5", "S6"],
        }
    )
    pc, supp = write_pc(profiles_from_table(frame, unit="copies/ug"), studyid="CART1", method="ddPCR")
    assert pc["PCSTRESC"].tolist() == ["<50", "1200", "<50", "<50", ">1000000", ""]
    assert pc["PCORRES"].tolist()[0] == "NOT DETECTED"
    assert np.isnan(pc["PCSTRESN"].drop(1)).all()
    assert pc["PCSTAT"].tolist() == ["", "", "", "", "", "NOT DONE"]
    assert pc["PCREASND"].tolist()[-1] == "12 ng of DNA"
    assert pc["VISITDY"].tolist() == [-1, 8, 15, 29, 61, 91]
    assert pc["PCELTM"].tolist()[:2] == ["-P1D", "P7D"]
    assert set(pc["PCMETHOD"]) == {"DDPCR"}
    flags = {(row.IDVARVAL, row.QNAM): row.QVAL for row in supp.itertuples()}
    assert flags["1", "DETFL"] == "N"
    assert flags["3", "DETFL"] == "Y"
    assert ("4", "DETFL") not in flags  # a bare BLQ does not say
    assert flags["2", "EXCLBY"] == "A. Person, 2026-02-01"
    assert flags["2", "REASON"] == "drawn from the infusion line"
    assert flags["6", "RESSTAT"] == "INSUFFICIENT DNA"
    # Without its qualifiers the domain says less, and nothing that is wrong.
    alone = read_pc(pc)
    assert of(alone, "status") == [0, 3, 2, 2, 4, -1]


def test_a_cohort_there_and_back_by_its_dates(tmp_path: Path) -> None:
    kinetics = kinetics_from_arrays([-1.0, 7.5, 28.0], [[0, 1e4, 90]], lloq=50, unit="copies/ug", patient=["P1"])
    infused = np.datetime64("2026-01-05T09:30:00", "ns")
    when = infused + (kinetics["time"].values * 86400e9).astype("timedelta64[ns]")
    kinetics = kinetics.assign(collected=(kinetics["time"].dims, when))
    study = cohort(kinetics, patients=pd.DataFrame({"patient": ["P1"], "infused": ["2026-01-05T09:30"]}))
    pc, supp = write_pc(study, tmp_path / "pc.csv", studyid="S")
    assert pc["PCDTC"].tolist() == ["2026-01-04T09:30:00", "2026-01-12T21:30:00", "2026-02-02T09:30:00"]
    assert pc["PCDY"].tolist() == [-1, 8, 29]
    assert "AFRLT" not in set(supp["QNAM"])  # the dates say it exactly
    dm = pd.DataFrame({"USUBJID": ["P1"], "RFXSTDTC": ["2026-01-05T09:30:00"]})
    for back in (read_pc(pc, supp=supp, dm=dm), read_pc(tmp_path / "pc.csv", supp=tmp_path / "supppc.csv")):
        for name in (*KEPT, "collected"):
            np.testing.assert_array_equal(back[name].values, study["kinetics"][name].values, err_msg=name)


@st.composite
def profiles_of_any_kind(draw: st.DrawFn) -> xr.Dataset:
    rows = []
    number = st.floats(1e-3, 1e9, allow_nan=False)
    for patient in range(draw(st.integers(1, 3))):
        for matrix in draw(st.sampled_from([["blood"], ["blood", "bone marrow"], ["tumour", "csf"]])):
            times = draw(st.lists(st.floats(-30, 400), min_size=1, max_size=5, unique=True))
            for at, time in enumerate(sorted(times)):
                lod, lloq, uloq = sorted(draw(st.lists(number, min_size=3, max_size=3, unique=True)))
                status = Status(draw(st.sampled_from([int(code) for code in Status])))
                level = draw(st.floats(lloq, uloq)) if status is Status.quantified else np.nan
                excluded = draw(st.booleans())
                rows.append(
                    {
                        "patient": f"P{patient}",
                        "matrix": matrix,
                        "time": time + 0.0,
                        "nominal_time": draw(st.sampled_from([np.nan, float(at)])),
                        "level": level,
                        "status": int(status),
                        "lod": draw(st.sampled_from([np.nan, lod])),
                        "lloq": lloq,
                        "uloq": uloq,
                        "se_well": draw(st.sampled_from([np.nan, 0.1])),
                        "se_plate": draw(st.sampled_from([np.nan, 1 / 3])),
                        "excluded": int(Excluded.excluded if excluded else Excluded.included),
                        "reason": "drawn from the line" if excluded else "",
                        "by": "A. Person, 2026-02-01" if excluded else "",
                        "plate": "run 1",
                        "sample_id": f"S{len(rows)}",
                    }
                )
    return profiles_from_table(pd.DataFrame(rows), unit="copies/ug")


@settings(max_examples=60, deadline=None)
@given(profiles_of_any_kind())
def test_there_and_back_is_the_same(profiles: xr.Dataset) -> None:
    pc, supp = write_pc(profiles, studyid="S")
    back = read_pc(pc, supp=supp)
    assert back["patient"].values.tolist() == profiles["patient"].values.tolist()
    for name in (*KEPT, "plate", "sample_id", "by"):
        np.testing.assert_array_equal(back[name].values, profiles[name].values, err_msg=name)


def test_qualifiers_of_another_table_are_refused() -> None:
    pc, supp = write_pc(read_pc(table()), studyid="S")
    with pytest.raises(InputError, match="patient 'P1' has no row with PCSEQ 9"):
        read_pc(pc, supp=supp.assign(IDVARVAL="9"))
    with pytest.raises(InputError, match="RDOMAIN is 'LB', not 'PC'"):
        read_pc(pc, supp=supp.assign(RDOMAIN="LB"))
    flag = {**dict.fromkeys(supp.columns, ""), "USUBJID": "P1", "IDVAR": "PCSEQ", "IDVARVAL": "2", "QNAM": "PCINFO",
            "QVAL": "x"}  # fmt: skip
    back = read_pc(pc, supp=pd.concat([supp, pd.DataFrame([flag])], ignore_index=True))
    assert json.loads(back.attrs["settings"])["qualifiers_not_used"] == ["PCINFO"]
    with pytest.raises(InputError, match="qualifier DETFL is 'maybe'"):
        read_pc(pc, supp=pd.DataFrame([flag | {"IDVARVAL": "1", "QNAM": "DETFL", "QVAL": "maybe"}]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"testcd": "1CAR"}, "not a CDISC short name"),
        ({"testcd": "CARTRANSGENE"}, "not a CDISC short name"),
        ({"test": "x" * 41}, "has 41 characters"),
        ({"studyid": " "}, "studyid is empty"),
        ({"domain": "P"}, "not two letters"),
        ({"path": "pc.xpt"}, r"end the name in \.csv"),
    ],
)
def test_names_that_cdisc_does_not_allow(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_pc(read_pc(table()), **({"studyid": "S"} | options))


def test_a_name_is_never_a_formula(tmp_path: Path) -> None:
    profiles = read_pc(table(USUBJID="=1+1", PCREFID=["+a", "-b", "@c"]))
    write_pc(profiles, tmp_path / "pc.csv", studyid="S")
    for name in ("pc.csv", "supppc.csv"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "'=1+1" in text
        assert ",=1+1" not in text
    back = read_pc(tmp_path / "pc.csv", supp=tmp_path / "supppc.csv")
    assert back["patient"].values.tolist() == ["=1+1"]
    assert of(back, "sample_id") == ["+a", "-b", "@c"]
    assert of(back, "time") == [-1, 7, 28]


def test_a_folder_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "pc.csv").mkdir()
    with pytest.raises(JobError, match="it is a folder"):
        write_pc(read_pc(table()), tmp_path / "pc.csv", studyid="S")
