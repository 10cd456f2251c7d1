from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ckinetics.cohorts import (
    align_patients,
    cohort,
    exclude,
    find_faults,
    kinetics_from_arrays,
    load,
    read_kinetics,
    save,
    select,
    to_tables,
    validate,
)
from ckinetics.errors import FileFormatError, InputError, ValidationError
from ckinetics.provenance import content_hash
from ckinetics.schema import ENTRY_GROUPS, GROUPS, MISSING, Status


def full_cohort() -> xr.DataTree:
    kinetics = read_kinetics(
        pd.DataFrame(
            {
                "patient": ["P2", "P2", "P2", "P10", "P10"],
                "time": [-1, 7, 28, 0, 14],
                "matrix": ["blood", "blood", "BM", "blood", "blood"],
                "level": ["ND", "1200", "<50", "BLQ", "3e6"],
                "lloq": [50, 50, "", 50, 50],
                "uloq": [1e6] * 5,
                "sample_id": list("abcde"),
            }
        ),
        unit="copies/ug",
    )
    flow = kinetics_from_arrays([0, 7], [[0.0, 3.0]], unit="cells/uL", patient=["P2"])
    return cohort(
        kinetics,
        flow=flow,
        patients=pd.DataFrame(
            {
                "patient": ["P10", "P2", "P3"],
                "dose": ["3e7", "1e7", ""],
                "infused": ["2026-01-05T09:30", "", "2026-02-01"],
                "safety_set": ["yes", "no", ""],
                "ecog": [1, 0, 1],
                "site": ["Köln", "a\nb", ""],
            }
        ),
        counts=pd.DataFrame(
            {
                "patient": ["P2", "P2"],
                "count": ["WBC", "ALC"],
                "time": [7, 7],
                "level": [2.1, 0.3],
                "unit": "10^9 cells/L",
            }
        ),
        cytokines=pd.DataFrame(
            {
                "patient": ["P2", "P10"],
                "cytokine": ["IL-6", "CRP"],
                "time": [5, 6],
                "level": [800, "<5"],
                "unit": ["pg/mL", "mg/L"],
            }
        ),
        response=pd.DataFrame(
            {"patient": ["P2", "P3"], "response": ["PR", "PD"], "pfs_time": [90, 28], "pfs_event": [0, 1]}
        ),
        infusions=pd.DataFrame(
            {"patient": ["P10", "P10"], "given": ["2026-01-05T09:30", "2026-03-01T09:30"], "dose": [3e7, 1e7]}
        ),
        medication=pd.DataFrame({"patient": ["P2"], "drug": ["tocilizumab"], "time": [5.5]}),
        events=pd.DataFrame({"patient": ["P2"], "term": ["CRS"], "time": [5], "grade": [2], "serious": ["yes"]}),
        lesions=pd.DataFrame({"patient": ["P2"], "lesion": ["T1"], "time": [-5], "diameter": [34]}),
        visits=pd.DataFrame({"patient": ["P2"], "time": [28], "name": ["day 28"]}),
        ada=pd.DataFrame({"patient": ["P2"], "time": [28], "result": ["positive"], "titre": [160]}),
        title="a study",
    )


def assert_exactly_equal(first: xr.DataTree, second: xr.DataTree) -> None:
    assert first.identical(second)
    for node in first.subtree:
        left, right = node.to_dataset(inherit=False), second[node.path].to_dataset(inherit=False)
        assert list(left.variables) == list(right.variables)
        for holder, other in [(left.attrs, right.attrs)] + [
            (left[name].attrs, right[name].attrs) for name in left.variables
        ]:
            assert list(holder) == list(other)
            assert [type(v) for v in holder.values()] == [type(v) for v in other.values()]
        for name in left.variables:
            assert left[name].dtype == right[name].dtype
            if left[name].dtype == object:
                assert all(isinstance(v, str) for v in right[name].values.ravel())
    assert content_hash(first) == content_hash(second)


@pytest.mark.parametrize("name", ["study.nc", "study"])
@pytest.mark.parametrize("patients", [None, ["P10"], ["P3"], []], ids=["all", "one", "all missing", "none"])
def test_round_trips_are_exact(tmp_path, name, patients) -> None:
    data = full_cohort()
    if patients is not None:
        data = select(data, patient=patients)
    back = load(save(data, tmp_path / name))
    assert_exactly_equal(data, back)
    validate(back)


@pytest.mark.parametrize("name", ["study.nc", "study"])
def test_an_empty_cohort_round_trips(tmp_path, name) -> None:
    data = cohort(read_kinetics(pd.DataFrame({"patient": [], "time": [], "level": []}), unit="copies/ug"))
    assert data.sizes["patient"] == 0
    assert_exactly_equal(data, load(save(data, tmp_path / name)))


def test_every_group_has_the_variables_and_dtypes_of_the_schema() -> None:
    data = full_cohort()
    assert set(data.children) == {"kinetics", "flow", "counts", "cytokines", "outcomes", *ENTRY_GROUPS}
    for name, node in [("/", data), *data.children.items()]:
        dataset = node.to_dataset()
        for var in GROUPS[name].variables:
            assert dataset[var.name].dtype == var.dtype, (name, var.name)
            assert dataset[var.name].dims == var.dims
    assert [str(u) for u in data["cytokines"]["unit"].values] == ["mg/L", "pg/mL"]


def test_missing_codes_of_a_patient_without_data() -> None:
    one = select(full_cohort(), patient="P3")
    for name in ("kinetics", "flow", "counts", "cytokines"):
        for var in GROUPS[name].variables:
            values = one[name][var.name].values.ravel()
            missing = MISSING[var.kind]
            if var.kind in ("flag", "str"):
                assert (values == missing).all(), var.name
            else:
                assert pd.isna(values).all(), var.name


def test_select_filters_every_group() -> None:
    data = select(full_cohort(), patient=["P2"])
    for name in ENTRY_GROUPS:
        assert set(data[name]["patient_id"].values.tolist()) <= {"P2"}
    assert data["infusions"].sizes["infusion"] == 0
    assert data["events"].sizes["event"] == 1
    mask = np.array([True, False, True])
    assert select(full_cohort(), patient=mask)["patient"].values.tolist() == ["P10", "P3"]
    assert select(full_cohort(), matrix="blood")["kinetics"]["matrix"].values.tolist() == ["blood"]
    with pytest.raises(InputError, match="'X' is not in the cohort"):
        select(full_cohort(), patient="X")
    with pytest.raises(InputError, match="selected twice"):
        select(full_cohort(), patient=["P2", "P2"])
    with pytest.raises(InputError, match="no matrix 'csf'"):
        select(full_cohort(), matrix="csf")
    with pytest.raises(InputError, match="2 entries for 3 patients"):
        select(full_cohort(), patient=np.array([True, False]))


def test_select_keeps_the_content_of_who_stays() -> None:
    whole = full_cohort()
    again = select(whole, patient=["P10", "P2", "P3"])
    assert_exactly_equal(whole, again)


def test_content_hash_sees_values_dtypes_attributes_and_not_dates() -> None:
    data = full_cohort()
    base = content_hash(data)
    other = full_cohort()
    other.attrs["created"] = "2001-01-01"
    assert content_hash(other) == base
    level = other["kinetics"]["level"].values
    level[np.where(np.isfinite(level))] *= 1 + 1e-15
    assert content_hash(other) != base
    third = full_cohort()
    third["kinetics"]["level"].attrs["units"] = "copies/uL"
    assert content_hash(third) != base


def test_time_comes_from_the_first_infusion() -> None:
    rows = pd.DataFrame({"patient": ["A", "A"], "collected": ["2026-01-15T10:00", "2026-01-08T22:00"], "level": [9, 5]})
    kinetics = read_kinetics(rows, unit="copies/ug")
    with pytest.raises(ValidationError, match="neither an actual nor a planned time"):
        cohort(kinetics)
    given = pd.DataFrame({"patient": ["A", "A"], "given": ["2026-02-01T10:00", "2026-01-01T10:00"]})
    data = cohort(kinetics, infusions=given)
    assert data["kinetics"]["time"].values.ravel().tolist() == [7.5, 14.0]
    assert data["kinetics"]["level"].values.ravel().tolist() == [5.0, 9.0]
    with pytest.raises(InputError, match="correct one of them"):
        cohort(kinetics, infusions=given, patients=pd.DataFrame({"patient": ["A"], "infused": ["2026-01-02"]}))


def test_patients_are_never_lost_silently() -> None:
    kinetics = kinetics_from_arrays([0, 7], [[0.0, 3.0], [1, 2]], unit="cells/uL", patient=["A", "B"])
    with pytest.raises(InputError, match=r"does not list \(B\)"):
        cohort(kinetics, patients=pd.DataFrame({"patient": ["A"]}))
    with pytest.raises(ValidationError, match="patient 'Z' is not in the cohort"):
        cohort(
            kinetics,
            patients=pd.DataFrame({"patient": ["A", "B"]}),
            events=pd.DataFrame({"patient": ["Z"], "term": ["x"]}),
        )
    with pytest.raises(InputError, match="listed twice"):
        cohort(kinetics, patients=pd.DataFrame({"patient": ["A", "B", "A"]}))


def test_validation_collects_every_fault() -> None:
    data = full_cohort()
    tree = {node.path: node.to_dataset(inherit=False) for node in data.subtree}
    kinetics = tree["/kinetics"].copy(deep=True)
    kinetics["level"][0, 0, 0] = 5.0  # BLQ with a level
    kinetics["time"][1, 0, 1] = -3.0  # not increasing
    kinetics["status"][1, 0, 1] = 99
    kinetics["lloq"][1, 0, 0] = -1.0
    kinetics["excluded"][1, 0, 0] = 1
    kinetics["plate"] = kinetics["plate"].copy(data=np.full(kinetics["plate"].shape, 1.5, dtype=object))
    kinetics = kinetics.assign_coords(matrix=np.array(["blood", "urine"], dtype=object))
    kinetics.attrs["bad"] = True
    tree["/kinetics"] = kinetics
    tree["/events"] = tree["/events"].assign(patient_id=("event", np.array(["nobody"], dtype=object)))
    tree["/"] = tree["/"].assign(weight=("patient", np.array([1, 2, 3])))
    faults = list(find_faults(xr.DataTree.from_dict(tree)))
    text = "\n".join(map(str, faults))
    for expected in (
        "has a level but is not quantified",
        "times must increase",
        "the code 99",
        "lloq, patient 'P2', blood, sample 1: is not positive",
        "excluded without a reason",
        "not a string",
        "urine",
        "attribute 'bad'",
        "patient 'nobody' is not in the cohort",
        "dtype int64 is not canonical",
    ):
        assert expected in text, expected
    with pytest.raises(ValidationError) as caught:
        validate(xr.DataTree.from_dict(tree))
    assert len(caught.value.faults) == len(faults)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k["level"].__setitem__((1, 0, 1), np.nan), "is quantified but has no level"),
        (lambda k: k["lloq"].__setitem__((1, 0, 1), 2000.0), "quantified below its lloq"),
        (lambda k: k["uloq"].__setitem__((0, 0, 1), np.nan), "above its uloq, which is unknown"),
        (lambda k: k["se_well"].__setitem__((1, 0, 1), -0.1), "is negative"),
        (lambda k: k["lod"].__setitem__((1, 0, 1), 60.0), "is above the lloq"),
        (lambda k: k["level"].__setitem__((1, 0, 1), np.inf), "infinite"),
    ],
)
def test_faults_of_profiles(change, message) -> None:
    data = full_cohort()
    tree = {node.path: node.to_dataset(inherit=False) for node in data.subtree}
    tree["/kinetics"] = tree["/kinetics"].copy(deep=True)
    change(tree["/kinetics"])
    with pytest.raises(ValidationError, match=message):
        validate(xr.DataTree.from_dict(tree))


def test_exclusion_says_who_and_why_and_deletes_nothing() -> None:
    data = full_cohort()
    marked = exclude(data, patient="P2", time=7, reason="haemolysed", by="reviewer")
    sample = marked["kinetics"].to_dataset().sel(patient="P2", matrix="blood").isel(sample=1)
    assert sample["excluded"].item() == 1
    assert sample["level"].item() == 1200
    assert sample["by"].item().startswith("reviewer, 20")
    assert data["kinetics"]["excluded"].sum() != marked["kinetics"]["excluded"].sum()
    with pytest.raises(InputError, match="needs a reason"):
        exclude(data, patient="P2", time=7, reason=" ")
    with pytest.raises(InputError, match="no sample of blood at time 8"):
        exclude(data, patient="P2", time=8, reason="x")


def test_alignment_is_explicit() -> None:
    first = xr.DataArray([1.0, 2, 3], coords={"patient": ["a", "b", "c"]}, dims="patient", name="cmax")
    second = xr.DataArray([3.0, 1], coords={"patient": ["c", "a"]}, dims="patient", name="peak")
    with pytest.raises(InputError, match="different patients"):
        align_patients(first, second)
    both = align_patients(first, second, join="inner")
    assert both.first.values.tolist() == [1.0, 3.0]
    assert both.second.values.tolist() == [1.0, 3.0]
    assert both.only_first == ("b",)
    again = align_patients(first, first[::-1])
    assert again.second.values.tolist() == [1.0, 2.0, 3.0]


def test_a_newer_schema_and_a_foreign_file_are_refused(tmp_path) -> None:
    data = full_cohort()
    data.attrs["schema_version"] = 99
    with pytest.raises(FileFormatError, match="update ckinetics"):
        load(save(data, tmp_path / "new.nc"))
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(FileFormatError, match="not written by ckinetics"):
        load(tmp_path / "other.nc")
    (tmp_path / "torn.nc").write_bytes(save(full_cohort(), tmp_path / "a.nc").read_bytes()[:2000])
    with pytest.raises(FileFormatError, match=r"torn.nc: the file is damaged"):
        load(tmp_path / "torn.nc")
    with pytest.raises(FileFormatError, match="is not there"):
        load(tmp_path / "nothing.nc")


def test_changed_or_missing_tables_are_refused(tmp_path) -> None:
    folder = save(full_cohort(), tmp_path / "study")
    table = folder / "kinetics.patient.matrix.sample.csv"
    table.write_text(table.read_text().replace("1200.0", "1300.0"))
    with pytest.raises(FileFormatError, match="was changed"):
        load(folder)
    table.unlink()
    with pytest.raises(FileFormatError, match="lacks 'kinetics"):
        load(folder)


def test_what_cannot_be_restored_is_not_saved(tmp_path) -> None:
    save(full_cohort(), tmp_path / "study.nc")
    before = (tmp_path / "study.nc").read_bytes()
    data = full_cohort()
    data.attrs["settings"] = {"a": 1}
    with pytest.raises(InputError, match="attribute 'settings'"):
        save(data, tmp_path / "study.nc")
    with pytest.raises(InputError, match=r"end it in \.nc"):
        save(full_cohort(), tmp_path / "study.zarr")
    assert (tmp_path / "study.nc").read_bytes() == before


def test_tidy_tables_drop_padding_only() -> None:
    tables = to_tables(full_cohort())
    samples = tables["kinetics.patient.matrix.sample"]
    assert len(samples) == 5
    assert sorted(samples["sample_id"]) == list("abcde")
    assert set(samples["status"]) == {
        Status.not_detected,
        Status.quantified,
        Status.below_lloq,
        Status.above_uloq,
    }


def test_a_renaming_that_no_table_knows_is_refused() -> None:
    kinetics = kinetics_from_arrays([0, 7], [[0, 1e4]], lloq=50, unit="copies/ug", patient=["P1"])
    patients = pd.DataFrame({"who": ["P1"], "kg": [70]})
    with pytest.raises(InputError, match="columns= names the table 'patient'"):
        cohort(kinetics, patients=patients, columns={"patient": {"patient": "who"}})
    with pytest.raises(InputError, match="columns= names 'Weight', which the patients table does not know"):
        cohort(kinetics, patients=patients, columns={"patients": {"patient": "who", "Weight": "kg"}})
    visits = pd.DataFrame({"patient": ["P1"], "time": [1]})
    with pytest.raises(InputError, match="columns= names 'day', which the visits table does not know"):
        cohort(kinetics, visits=visits, columns={"visits": {"day": "time"}})


def test_profiles_alone_are_no_cohort() -> None:
    profiles = kinetics_from_arrays([0, 7], [[0, 1e4]], lloq=50, unit="copies/ug")
    with pytest.raises(InputError, match="select expects a cohort, got a Dataset"):
        select(profiles, patient="1")
    with pytest.raises(InputError, match="expected a cohort, got a Dataset"):
        validate(profiles)
    with pytest.raises(InputError, match="no group 'flow' of profiles"):
        exclude(cohort(profiles), patient="1", time=7, reason="x", group="flow")


@pytest.mark.parametrize("target", ["c.nc", "c"])
def test_what_a_file_cannot_restore_is_refused(tmp_path: object, target: str) -> None:
    base = full_cohort().to_dataset()
    patients = base.sizes["patient"]
    for change in (
        base.assign(patient_index=("patient", np.arange(patients, dtype=float))),
        base.assign(note=("patient", np.array(["a\0b"] * patients, dtype=object))),
        base.assign(note=("patient", np.array(["\udcff"] * patients, dtype=object))),
        base.assign_attrs(coordinates="lost"),
        base.assign_attrs({5: "five"}),
        base.assign_attrs(big=2**70),
        base.assign_attrs(text="a\0b"),
    ):
        with pytest.raises(InputError):
            save(change, tmp_path / target)
    assert not (tmp_path / target).exists()


def test_tables_are_not_written_over_a_file(tmp_path: object) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(InputError, match="it is a file"):
        save(full_cohort(), tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "kept"
