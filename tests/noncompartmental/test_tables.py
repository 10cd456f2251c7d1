"""The tables of a result: against PKNCA's numbers, exactness, one reason a missing value, and bad input."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.cohorts import cohort, kinetics_from_arrays, read_kinetics
from ckinetics.errors import InputError
from ckinetics.noncompartmental import PARAMETERS, nca, nca_table, reasons_table
from ckinetics.noncompartmental.columns import value_text
from ckinetics.noncompartmental.parameters import FURTHER

LAYOUTS = ("long", "wide", "pp", "adpp")
CODES = {
    "cmax": "CMAX", "tmax": "TMAX", "tlast": "TLST", "clast.obs": "CLST", "clast.pred": "CLSTP", "auclast": "AUCLST",
    "aucall": "AUCALL", "aucinf.obs": "AUCIFO", "aucinf.pred": "AUCIFP", "aucpext.obs": "AUCPEO", "lambda.z": "LAMZ",
    "lambda.z.n.points": "LAMZNPT", "r.squared": "R2", "adj.r.squared": "R2ADJ", "span.ratio": "LAMZSPN",
    "half.life": "LAMZHL", "tlag": "TLAG",
}  # fmt: skip


def table(rows: list[tuple[Any, ...]], columns: str = "patient time level", **options: Any) -> xr.DataTree:
    frame = pd.DataFrame(rows, columns=columns.split())
    return cohort(read_kinetics(frame, unit="copies/ug", lloq=50, **options))


def two_matrices() -> xr.DataTree:
    """P1 in blood and marrow, P2 never quantified, P3 above ULOQ once."""
    rows: list[tuple[Any, ...]] = [("P1", "blood", t, c) for t, c in zip((0, 7, 14, 28, 60, 90),
            ("BLQ", 9e3, 4e3, 9e2, 120, 60), strict=True)]  # fmt: skip
    rows += [("P1", "bone marrow", t, c) for t, c in ((14, 2e3), (28, 1e3))]
    rows += [("P2", "blood", t, "BLQ") for t in (0, 7, 14)]
    rows += [("P3", "blood", t, c) for t, c in ((0, "BLQ"), (7, ">1000000"), (14, 3e5), (28, 2e4), (60, 1e3))]
    return table(rows, "patient matrix time level")


@pytest.mark.parametrize("method", ["linear", "linear-up/log-down"])
def test_pp_holds_the_published_numbers_of_pknca(shared_data: Path, method: str) -> None:
    theirs = pd.read_csv(shared_data / "nca" / "pknca_0.12.1.csv.gz", keep_default_na=False, na_values=["NA"])
    words = {"linear": "linear", "linear-up/log-down": "lin up/log down"}
    theirs = theirs[
        (theirs["dataset"] == "cart")
        & (theirs["auc_method"] == words[method])
        & (theirs["blq_rule"] == "default_keep_drop_keep")
        & (theirs["impute"] == "none")
        & (theirs["start"] == 0)
        & np.isinf(theirs["end"])
        & theirs["PPTESTCD"].isin(CODES)
    ]
    data = read_kinetics(shared_data / "nca" / "cart_cohort_input.csv", unit="copies/ug")
    ours = nca_table(nca(data, preset="pknca", auc_method=method, intervals=[]), layout="pp")
    ours = ours.set_index(["USUBJID", "PPTESTCD"])
    assert ours.index.is_unique
    compared = 0
    for row in theirs.itertuples():
        mine = ours.loc[(str(row.id), CODES[str(row.PPTESTCD)])]
        if np.isnan(row.PPORRES):
            assert np.isnan(mine["PPSTRESN"]), row
            assert mine["PPREASND"] or mine["PPORRES"], row
        else:
            assert float(mine["PPORRES"]) == pytest.approx(row.PPORRES, rel=1e-12, abs=1e-300), row
            compared += 1
    assert compared > 200


def test_text_gives_back_the_number_exactly(shared_data: Path) -> None:
    data = read_kinetics(shared_data / "nca" / "cart_cohort_input.csv", unit="copies/ug")
    result = nca(data, dose=2e8, intervals=[(0, 28), (0, np.inf)])
    frame = nca_table(result, layout="pp")
    known = frame[frame["PPSTRESN"].notna()]
    assert (known["PPSTRESC"].astype(float) == known["PPSTRESN"]).all()
    assert (frame["PPSTRESC"] == frame["PPORRES"]).all()
    by_code = frame.set_index(["USUBJID", "PPTESTCD"])["PPSTRESN"]
    for record in (*PARAMETERS.values(), *FURTHER.values()):
        if record.pptestcd and record.name in result:
            for patient in result["patient"].values.tolist():
                value = float(result[record.name].sel(patient=patient, matrix="blood"))
                np.testing.assert_equal(by_code[(patient, record.pptestcd)], value)


@given(st.floats(allow_nan=False))
def test_every_number_survives_as_text(value: float) -> None:
    assert float(value_text(value)) == value


levels = st.lists(
    st.one_of(st.floats(1, 1e5), st.just(0.0), st.just(float("nan")), st.just(2e6)), min_size=1, max_size=8
)


@settings(max_examples=20, deadline=None)
@given(level=levels, preset=st.sampled_from(["cell_therapy", "pknca", "phoenix", "ich_m13a"]), dose=st.booleans())
def test_every_missing_value_has_exactly_one_reason(level: list[float], preset: str, dose: bool) -> None:
    data = kinetics_from_arrays([3.0 * i for i in range(len(level))], [level], lloq=50, uloq=1e6, unit="copies/ug")
    result = nca(data, preset=preset, dose=1e8 if dose else None, intervals=[(0, 7), (0, np.inf)])
    frame = nca_table(result)
    assert ((frame["reason"] != "") == frame["value"].isna()).all()
    assert ((frame["sentence"] != "") == frame["value"].isna()).all()
    listed = reasons_table(result)
    missing = frame[frame["reason"] != ""].set_index("parameter")
    for row in listed.itertuples():
        assert missing.loc[row.parameter, "sentence"] == row.sentence
    pp = nca_table(result, layout="pp")
    assert ((pp["PPORRES"] == "") == (pp["PPSTAT"] == "NOT DONE")).all()
    assert ((pp["PPREASND"] != "") == (pp["PPSTAT"] == "NOT DONE")).all()
    assert (pp["PPSTRESN"].notna() <= (pp["PPORRES"] != "")).all()
    assert pp["PPREASND"].str.len().max() <= 200
    adpp = nca_table(result, layout="adpp")
    assert ((adpp["ANL01FL"] == "Y") == (adpp["ANL01RSN"] == "")).all()
    assert adpp.loc[adpp["AVAL"].isna(), "ANL01FL"].eq("").all()


def test_bounds_are_text_and_never_numbers() -> None:
    result = nca(two_matrices())
    pp = nca_table(result, layout="pp", studyid="S1").query("PPSPEC == 'BLOOD'").set_index(["USUBJID", "PPTESTCD"])
    below, above = pp.loc[("P2", "CMAX")], pp.loc[("P3", "CMAX")]
    assert (below["PPORRES"], below["PPSTRESC"], below["PPORRESU"]) == ("<50", "<50", "copies/ug")
    assert (above["PPORRES"], above["PPSTRESC"]) == (">1000000", ">1000000")
    assert np.isnan([below["PPSTRESN"], above["PPSTRESN"]]).all()
    assert [below["PPSTAT"], below["PPREASND"], above["PPSTAT"]] == ["", "", ""]
    low = float(result["auc_last_lower"].sel(patient="P3", matrix="blood"))
    assert pp.loc[("P3", "AUCLST"), "PPORRES"] == f">{low!r}"
    long = nca_table(result).set_index(["patient", "matrix", "parameter"])
    assert long.loc[("P3", "blood", "cmax"), ["bound", "reason"]].tolist() == [">1000000", "above_uloq"]
    assert set(pp["STUDYID"]) == {"S1"}


def test_intervals_are_durations() -> None:
    result = nca(two_matrices(), intervals=[(0, 28), "0-6 months", (7, np.inf)])
    pp = nca_table(result, layout="pp").query("USUBJID == 'P1' and PPSPEC == 'BLOOD' and PPTESTCD == 'AUCINT'")
    assert pp["PPSTINT"].tolist() == ["P0D", "P0D", "P7D"]
    assert pp["PPENINT"].tolist() == ["P28D", "P182.625D", ""]
    assert set(pp["PPANMETH"]) == {"LINEAR-UP/LOG-DOWN TRAPEZOIDS"}
    others = nca_table(result, layout="pp").query("PPTESTCD != 'AUCINT'")
    assert set(others["PPSTINT"]) == {""}
    adpp = nca_table(result, layout="adpp")
    names = adpp.groupby("PARAMCD")["PARAM"].unique()
    assert all(len(found) == 1 for found in names)
    assert names["AUCINT1"][0] == "AUC from T1 to T2, 0 to 28 day (day*copies/ug)"
    assert names["AUCINT3"][0] == "AUC from T1 to T2, 7 to inf day (day*copies/ug)"


def test_pp_counts_within_each_patient_and_keeps_to_sdtm() -> None:
    pp = nca_table(nca(two_matrices()), layout="pp")
    for _, rows in pp.groupby("USUBJID"):
        assert rows["PPSEQ"].tolist() == list(range(1, len(rows) + 1))
    assert pp["PPTESTCD"].str.fullmatch(r"[A-Z0-9_]{1,8}").all()
    assert pp["PPTEST"].str.len().max() <= 40
    assert pp["PPTEST"].str.isascii().all()
    assert set(pp["PPSPEC"]) == {"BLOOD", "BONE MARROW"}
    assert "1" not in set(pp["PPORRESU"])
    assert set(pp.loc[pp["PPSTAT"] == "NOT DONE", ["PPORRESU", "PPSTRESU"]].to_numpy().ravel()) == {""}
    assert not {"DOUBLING", "PERSIST"} & set(pp["PPTESTCD"])
    own = nca_table(nca(two_matrices()), layout="pp", codes={"persistence": "PERSIST"})
    assert own.query("PPTESTCD == 'PERSIST' and PPSPEC == 'BLOOD'")["PPORRES"].tolist()[0] == "90"


def test_acceptance_takes_values_out_of_the_analysis_but_not_away() -> None:
    level = [0, 9e3, 4e3, 1.2e3, 9e2, 7e2]
    data = kinetics_from_arrays([0, 7, 14, 28, 35, 42], [level], lloq=50, unit="copies/ug")
    result = nca(data, intervals=[(0, 28), (0, 100)], limits={"span_ratio": 5, "extrap_pct": 5})
    adpp = nca_table(result, layout="adpp").set_index("PARAMCD")
    for code in ("LAMZ", "LAMZHL", "AUCIFO", "MRTIFO", "AUCINT2"):
        assert adpp.loc[code, "ANL01FL"] == ""
        assert "the terminal line spans fewer than 5 half-lives" in adpp.loc[code, "ANL01RSN"]
        assert np.isfinite(adpp.loc[code, "AVAL"])
    assert "more than 5 % of the area to infinity is extrapolated" in adpp.loc["AUCIFO", "ANL01RSN"]
    assert "extrapolated" not in adpp.loc["LAMZHL", "ANL01RSN"]
    for code in ("CMAX", "TMAX", "AUCLST", "AUCINT1"):
        assert adpp.loc[code, "ANL01FL"] == "Y"
    lenient = nca_table(nca(data, limits={"span_ratio": 0, "extrap_pct": 100}), layout="adpp")
    assert (lenient["ANL01FL"] == "Y").sum() == lenient["AVAL"].notna().sum()


def test_wide_has_every_parameter_with_its_unit() -> None:
    result = nca(two_matrices(), intervals=[(0, 28)], dose=1e8)
    wide = nca_table(result, layout="wide")
    assert len(wide) == result.sizes["patient"] * result.sizes["matrix"]
    for name in (
        "cmax [copies/ug]", "tmax [day]", "auc_interval 0-28 [day*copies/ug]", "r_squared", "n_blq",
        "cmax_dn [(copies/ug)/cells]", "auc_interval_dn 0-28 [(day*copies/ug)/cells]",
        "auc_interval_pct_extrapolated 0-28 [%]", "lambda_z [1/day]",
    ):  # fmt: skip
        assert name in wide
    bare = {re.sub(r" \[.*", "", name) for name in wide}
    assert set(result["parameter"].values) <= bare
    row = wide.query("patient == 'P3' and matrix == 'blood'").iloc[0]
    assert "above_uloq" in row["flags"].split("; ")
    long = nca_table(result)
    for name in ("cmax", "half_life", "doubling_time"):
        column = next(one for one in wide if one.split(" [")[0] == name)
        np.testing.assert_array_equal(wide[column], long.query("parameter == @name")["value"])


def test_units_that_differ_between_matrices_stand_in_their_rows() -> None:
    blood = kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug")
    fluid = kinetics_from_arrays([0, 7, 28], [[0, 90, 6]], lloq=5, unit="copies/uL", matrix="csf")
    result = nca(xr.concat([blood, fluid], "matrix"))
    assert nca_table(result).query("parameter == 'cmax'")["unit"].tolist() == ["copies/ug", "copies/uL"]
    wide = nca_table(result, layout="wide")
    assert "cmax [see unit]" in wide
    assert wide["unit"].tolist() == ["copies/ug", "copies/uL"]
    pp = nca_table(result, layout="pp").query("PPTESTCD == 'AUCLST'")
    assert pp["PPSTRESU"].tolist() == ["day*copies/ug", "day*copies/uL"]


def test_infusions_are_groups_and_those_never_given_are_no_rows() -> None:
    rows = [("P1", t, c) for t, c in ((0, "BLQ"), (7, 9e3), (14, 900), (30, 60), (35, 400), (42, 5e3), (56, 200))]
    rows += [("P2", t, c) for t, c in ((0, "BLQ"), (7, 4e3), (14, 200))]
    frame = pd.DataFrame(rows, columns=["patient", "time", "level"])
    infusions = pd.DataFrame({"patient": ["P1", "P1", "P2"], "time": [0.0, 28.0, 0.0], "dose": [1e8, 2e8, 1e8]})
    data = cohort(read_kinetics(frame, unit="copies/ug", lloq=50), infusions=infusions)
    result = nca(data, infusions="each", intervals=[(0, 14)])
    long = nca_table(result).query("parameter == 'cmax'")
    assert long[["patient", "infusion", "value"]].values.tolist() == [
        ["P1", "1", 9e3],
        ["P1", "2", 5e3],
        ["P2", "1", 4e3],
    ]
    wide = nca_table(result, layout="wide")
    assert wide["infusion_time [day]"].tolist() == [0.0, 28.0, 0.0]
    pp = nca_table(result, layout="pp").query("PPTESTCD == 'CMAX'")
    assert pp["PPGRPID"].tolist() == ["INFUSION 1", "INFUSION 2", "INFUSION 1"]
    assert pp.groupby("USUBJID")["PPSEQ"].is_monotonic_increasing.all()


def test_ratios_of_matrices_are_rows() -> None:
    long = nca_table(nca(two_matrices()))
    rows = long[long["matrix"] == "blood/bone marrow"].set_index(["patient", "parameter"])
    assert rows.loc[("P1", "matrix_ratio cmax"), "value"] == pytest.approx(9e3 / 2e3)
    assert rows.loc[("P1", "matrix_ratio paired"), "value"] == pytest.approx(np.sqrt((4e3 / 2e3) * (9e2 / 1e3)))
    assert ((rows["reason"] != "") == rows["value"].isna()).all()
    assert not rows["sentence"].str.contains("{", regex=False).any()


def test_standard_errors_and_intervals_stand_beside_their_value() -> None:
    data = two_matrices()
    profiles = data["kinetics"] if isinstance(data, xr.DataTree) else data
    profiles["se_well"] = profiles["level"] * 0 + 0.2
    result = nca(data, uncertainty="both", draws=100, level=0.9, seed=1)
    long = nca_table(result).query("patient == 'P1' and matrix == 'blood'").set_index("parameter")
    own = result.sel(patient="P1", matrix="blood")
    for name in ("cmax", "auc_interval 0-28"):
        one = own.sel(estimate=name)
        for column, variable in (("se", "se"), ("lower", "ci_lower"), ("upper", "ci_upper"), ("boot_se", "boot_se")):
            assert long.loc[name, column] == float(one[variable]), (name, column)
            assert np.isfinite(long.loc[name, column])
    assert long.loc["cmax", "interval_kind"] == "90 % delta method; boot: bootstrap"
    # cmax_lower is the bound of a censored peak, lambda_z_lower a time: neither is the end of an interval.
    assert long.loc["cmax", "lower"] != float(own["cmax_lower"])
    assert np.isnan(long.loc["tmax", ["se", "lower", "upper"]].astype(float)).all()
    wide = nca_table(result, layout="wide")
    assert {"half_life_se [day]", "auc_interval_upper 0-28 [day*copies/ug]"} <= set(wide)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_leading_dims_and_empty_results(layout: str) -> None:
    data = kinetics_from_arrays([0, 7, 28], [[0, 900, 60], [0, 0, 0]], lloq=50, unit="copies/ug")
    both = xr.concat([data, data], "simulation").transpose("simulation", "patient", "matrix", "sample", ...)
    frame = nca_table(nca(both), layout=layout)
    single = nca_table(nca(data), layout=layout)
    assert len(frame) == 2 * len(single)
    if layout == "pp":
        assert set(frame["PPGRPID"]) == {"SIMULATION 1", "SIMULATION 2"}
        assert frame["USUBJID"].tolist() == sorted(frame["USUBJID"])
    nothing = nca(data).isel(patient=[])
    assert list(nca_table(nothing, layout=layout).columns) == list(single.columns)
    assert nca_table(nothing, layout=layout).empty


def test_a_cytokine_is_its_own_category() -> None:
    frame = pd.DataFrame(
        {"patient": "P1", "cytokine": "IL-6", "time": [0, 7, 14], "level": [3.0, 900, 20], "unit": "pg/mL"}
    )
    data = cohort(kinetics_from_arrays([0, 7], [[0, 900]], lloq=50, unit="copies/ug", patient=["P1"]), cytokines=frame)
    pp = nca_table(nca(data, group="cytokines"), layout="pp")
    assert set(pp["PPCAT"]) == {"IL-6"}
    assert set(pp["PPSPEC"]) == {""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "tall"}, "unknown layout 'tall': use long, wide, pp or adpp"),
        ({"layout": "pp", "codes": {"persistance": "P"}}, "codes= names 'persistance', which is no parameter"),
        ({"layout": "pp", "codes": {"persistence": "persistence"}}, "code 'persistence' of persistence is none"),
    ],
)
def test_wrong_input_is_named(options: dict[str, Any], message: str) -> None:
    data = kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug")
    with pytest.raises(InputError, match=re.escape(message)):
        nca_table(nca(data), **options)


def test_what_is_no_result_is_refused() -> None:
    data = kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug")
    for layout in LAYOUTS:
        with pytest.raises(InputError, match="expected the result of nca"):
            nca_table(data, layout=layout)
    with pytest.raises(InputError, match="PP and ADPP need a dim 'patient'"):
        nca_table(nca(data.isel(patient=0, drop=True)), layout="pp")


def test_a_row_for_each_of_many_patients_and_parameters() -> None:
    rng = np.random.default_rng(1)
    times = np.array([0, 1, 3, 7, 10, 14, 21, 28, 60, 90, 120.0, 180, 270, 365])
    level = 1e4 * np.exp(rng.normal(0, 1, (10_000, 14)) - 0.01 * times)
    level[rng.random(level.shape) < 0.3] = 0.0
    result = nca(kinetics_from_arrays(times, level, lloq=50, unit="copies/ug"))
    frame = nca_table(result)
    assert len(frame) == 10_000 * (result.sizes["parameter"] + 1)


def test_persistence_without_an_end_is_no_number_of_cdisc() -> None:
    result = nca(kinetics_from_arrays([0, 7, 28, 60], [[0, 900, 60, 0], [0, 900, 60, 55]], lloq=50, unit="copies/ug"))
    for layout, number, text in (("pp", "PPSTRESN", "PPSTRESC"), ("adpp", "AVAL", "AVALC")):
        table = nca_table(result, layout=layout, codes={"persistence_upper": "PERSUP"})
        rows = table[table["PPTESTCD" if layout == "pp" else "PARAMCD"] == "PERSUP"]
        assert rows[text].tolist() == ["60", ""]
        assert rows[number].tolist()[0] == 60
        assert np.isnan(rows[number].tolist()[1])
        why = rows["PPREASND" if layout == "pp" else "ANL01RSN"].tolist()
        assert why[1].startswith("the last sample (day 60) is still quantified")
