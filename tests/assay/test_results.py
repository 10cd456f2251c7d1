"""The results table, both fits, the hit model inside quantify, and where a level's interval comes from."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from plate_builders import LEVELS, cq_of, sheet_frame, tidy_rows, write_tidy

from ckinetics.assay import fit_curve, quantify, read_plates
from ckinetics.errors import InputError
from ckinetics.schema import Status, Verdict, YesNo


def run(folder, samples, *, sheet=None, plate=None, **options):
    write_tidy(folder / "p.csv", samples, **(plate or {}))
    return quantify(read_plates(folder / "p.csv", layout=sheet_frame(samples) if sheet is None else sheet), **options)


def rows(tree, group):
    dataset = tree[group].to_dataset(inherit=False)
    return dataset.drop_dims(["export", "fault"], errors="ignore").to_dataframe().reset_index(drop=True)


def test_every_result_stands_with_its_wells(tmp_path):
    tree = run(tmp_path, {"S1": 1e4, "S2": ["Undetermined"] * 3})
    results = rows(tree, "results")
    assert results["sample_id"].tolist() == ["S1", "S2"]
    assert results["status"].tolist() == [Status.quantified, Status.not_detected]
    assert results["reportable"].tolist() == [YesNo.yes, YesNo.yes]
    wells = rows(tree, "wells")
    for name, own in zip(results["sample_id"], results["wells"], strict=True):
        assert wells.loc[wells["sample_id"] == name, "well_name"].tolist() == own.split()
    first = results.iloc[0]
    assert first["level"] == tree["level"].values[0, 0, 0]
    assert first["copies"] == pytest.approx(first["level"] * 200 / 1000)
    assert first["copies_geometric"] < first["copies_arithmetic"]
    assert first["level_low"] < first["level"] < first["level_high"]
    assert tree["results"]["level"].attrs["units"] == "copies/ug"


def test_a_result_that_is_not_reported_stays(tmp_path):
    for name in ("a", "b"):
        write_tidy(tmp_path / f"{name}.csv", {"S1": 1e4 if name == "a" else 2e4})
    wells = read_plates([tmp_path / "a.csv", tmp_path / "b.csv"], layout=sheet_frame(["S1"]))
    results = rows(quantify(wells, repeats="original_unless_failed"), "results")
    assert results["run_id"].tolist() == ["a", "b"]
    assert results["reportable"].tolist() == [YesNo.yes, YesNo.no]
    assert rows(quantify(wells, repeats="mean"), "results")["reportable"].tolist() == [YesNo.yes, YesNo.yes]
    assert rows(quantify(wells), "results")["reportable"].tolist() == [YesNo.no, YesNo.no]


def test_a_reanalysis_under_the_same_name_is_not_merged(tmp_path):
    """One sample name, three wells of the original and three of the reanalysis, told apart by well."""
    frame = tidy_rows({"S1": [cq_of(1e3)] * 3 + [cq_of(2e3)] * 3})
    frame.to_csv(tmp_path / "p.csv", index=False)
    wells = frame.loc[frame["sample"] == "S1", "well"].tolist()
    sheet = sheet_frame(["S1"] * 6, well=wells, time=7.0, purpose=[""] * 3 + ["isr"] * 3)
    tree = quantify(read_plates(tmp_path / "p.csv", layout=sheet))
    assert tree["level"].item() == pytest.approx(1e3 * 5, rel=1e-9)
    results = rows(tree, "results")
    assert results["purpose"].tolist() == ["", "isr"]
    assert results["reportable"].tolist() == [YesNo.yes, YesNo.no]
    (difference,) = [row for _, row in rows(tree, "verdicts").iterrows() if row["rule"] == "isr_difference"]
    assert difference["value"] == pytest.approx(200 / 3, rel=1e-9)  # 10000 against 5000, of their mean


def test_both_fits_are_shown_and_one_is_used(tmp_path):
    ols, weighted = run(tmp_path, {"S1": 300}), run(tmp_path, {"S1": 300}, calibration="weighted")
    for tree, used in ((ols, "ols"), (weighted, "weighted")):
        curves = rows(tree, "curves")
        assert sorted(curves["method"]) == ["ols", "weighted"]
        assert curves.loc[curves["used"] == YesNo.yes, "method"].tolist() == [used]
        assert json.loads(tree.attrs["settings"])["calibration"] == used
    one, other = rows(ols, "results").iloc[0], rows(weighted, "results").iloc[0]
    assert one["copies_arithmetic"] == pytest.approx(other["copies_other_fit"], rel=1e-12)
    assert other["copies_arithmetic"] == pytest.approx(one["copies_other_fit"], rel=1e-12)


def test_noisy_low_standards_pull_the_ols_line_and_not_the_weighted_one(tmp_path):
    """The lowest level 0.8 cycles early: three wells of 18 where a cycle of scatter is nothing."""
    frame = tidy_rows({"S1": [cq_of(1e5)] * 3})
    low = (frame["role"] == "standard") & (frame["quantity"] == LEVELS[0])
    frame.loc[low, "cq"] = frame.loc[low, "cq"].astype(float) - 0.8
    frame.to_csv(tmp_path / "p.csv", index=False)
    wells = read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1"]))
    curves = rows(quantify(wells), "curves").set_index("method")
    true = -3.3219280948873626
    assert abs(curves.loc["weighted", "slope"] - true) < 0.35 * abs(curves.loc["ols", "slope"] - true)


@pytest.mark.parametrize("calibration", ["ols", "weighted"])
@pytest.mark.parametrize("copies", [15, 100, 1e4, 1e5])
def test_an_interval_is_never_narrower_than_the_standard_errors_beside_it(tmp_path, calibration, copies):
    result = rows(run(tmp_path, {"S1": copies}, calibration=calibration), "results").iloc[0]
    errors = 1.96 * math.hypot(result["se_well"], result["se_plate"])
    half = math.log(result["level_high"] / result["level_low"]) / 2
    assert errors <= half * 1.001
    assert half < 1.35 * errors  # t of 16 degrees of freedom, and no more


def test_the_interval_of_a_level_is_fiellers(tmp_path):
    from scipy.stats import t

    tree = run(tmp_path, {"S1": 1e4})
    result = rows(tree, "results").iloc[0]
    standards = rows(tree, "wells").query("role == 'standard'")
    curve = fit_curve(standards["nominal_copies"].to_numpy(), standards["cq"].to_numpy())
    x0 = (cq_of(1e4) - curve.intercept) / curve.slope
    # the wells' own error is the greater one here: 0.11 cycles and Poisson
    well = math.hypot(0.11, 1 / (math.log(2) * math.sqrt(result["copies"]))) / math.sqrt(3)
    assert well > curve.residual_sd / math.sqrt(3)
    line = curve.residual_sd**2 * (1 / 18 + (x0 - curve.log10_mean) ** 2 / curve.log10_ss)
    width = t.ppf(0.975, 16) / abs(curve.slope) * math.sqrt(well**2 + line)
    assert math.log10(result["level_high"] / result["level_low"]) == pytest.approx(2 * width, rel=1e-3)
    assert result["interval_kind"].startswith("95 %, inverse prediction")


def test_nothing_detected_has_an_upper_bound(tmp_path):
    result = rows(run(tmp_path, {"S1": ["Undetermined"] * 3}), "results").iloc[0]
    # two-sided 95 %: exp(-3 L) = 0.025
    assert (result["level"] != result["level"], result["level_low"], result["copies"]) == (True, 0.0, 0.0)
    assert result["level_high"] == pytest.approx(-math.log(0.025) / 3 / 200 * 1000, rel=1e-6)


def test_silent_wells_count(tmp_path):
    """At a low LLOQ a partly detected sample is quantified, by the hit model and not by the wells seen."""
    sheet = sheet_frame(["S1"])
    tree = run(
        tmp_path,
        {"S1": [cq_of(3), cq_of(3), "Undetermined"]},
        sheet=sheet,
        plate={"levels": (1.0, *LEVELS)},
        lloq_copies=1.0,
        lod_copies=0.5,
    )
    result = rows(tree, "results").iloc[0]
    assert result["status"] == Status.quantified
    assert result["n_detected"] == 2
    assert result["copies_arithmetic"] == pytest.approx(3.0, rel=1e-6)
    assert result["copies"] == pytest.approx(2.0, rel=0.02)  # 3 + 3 + 0 molecules in three wells
    assert "2 of 3 wells have a signal" in result["reason"]


def reference_plate(folder, car, ref, **sheet):
    """One plate, two targets in wells of their own: the transgene, and a gene of two copies a cell."""
    first = tidy_rows(car)
    second = tidy_rows(ref, target="REF")
    second["well"] = [f"{'IJKLMNOP'[at // 12]}{at % 12 + 1:02d}" for at in range(len(second))]
    import pandas as pd

    pd.concat([first, second]).to_csv(folder / "p.csv", index=False)
    return read_plates(folder / "p.csv", layout=sheet_frame(car, **sheet))


def test_copies_per_cell_by_a_reference_gene(tmp_path):
    wells = reference_plate(tmp_path, {"S1": [cq_of(1e3)] * 3}, {"S1": [cq_of(5e4)] * 3})
    per_cell = quantify(wells, target="CAR", reference="REF", unit="copies/cell")
    assert per_cell["level"].item() == pytest.approx(2 * 1e3 / 5e4, rel=1e-9)
    assert per_cell["lloq"].item() == pytest.approx(2 * 10 / 5e4, rel=1e-9)
    assert per_cell["level"].attrs["units"] == "copies/cell"
    per_ug = quantify(wells, target="CAR", reference="REF", genome_pg=6.6)
    mass = 5e4 / 2 * 6.6e-3
    assert per_ug["level"].item() == pytest.approx(1e3 / mass * 1e3, rel=1e-9)
    # the reference's own error is in both
    by_sheet = quantify(wells, target="CAR")
    assert per_ug["se_well"].item() > by_sheet["se_well"].item()
    assert per_ug["se_plate"].item() > by_sheet["se_plate"].item()
    first, second = (rows(tree, "results").iloc[0] for tree in (by_sheet, per_ug))
    assert second["level_high"] / second["level"] > first["level_high"] / first["level"]


def test_a_reference_that_is_not_quantified_gives_no_level(tmp_path):
    wells = reference_plate(tmp_path, {"S1": 1e3}, {"S1": ["Undetermined"] * 3})
    tree = quantify(wells, target="CAR", reference="REF", genome_pg=6.6)
    assert tree["status"].item() == Status.invalid
    assert "the reference gene of sample 'S1' is not quantified: no signal in 3 wells" in tree["reason"].item()
    wells = reference_plate(tmp_path, {"S1": 1e3}, {})
    tree = quantify(wells, target="CAR", reference="REF", genome_pg=6.6)
    assert "no well of the reference gene on run p" in tree["reason"].item()


def test_what_was_found_of_the_reference_gene_is_told_and_can_be_accepted(tmp_path):
    import pandas as pd

    scattered = [cq_of(5e4) + shift for shift in (-0.6, 0.0, 0.6)]
    wells = reference_plate(tmp_path, {"S1": 1e3}, {"S1": scattered})
    tree = quantify(wells, target="CAR", reference="REF", unit="copies/cell")
    assert tree["status"].item() == Status.invalid
    found = rows(tree, "verdicts").query("rule == 'replicate_sd' and sample_id == 'S1'").set_index("target")
    assert found["outcome"].to_dict() == {"REF": Verdict.failed}  # the transgene is not judged: nothing makes a level
    decision = {"action": "accept", "rule": "replicate_sd", "run": "p", "by": "QA", "when": "2026-02-01", "why": "seen"}
    given = pd.DataFrame([decision | {"target": "CAR"}])
    with pytest.raises(InputError, match="nothing matches the override"):
        quantify(wells, target="CAR", reference="REF", unit="copies/cell", overrides=given)
    given = pd.DataFrame([decision | {"target": "REF"}])
    tree = quantify(wells, target="CAR", reference="REF", unit="copies/cell", overrides=given)
    assert tree["status"].item() == Status.quantified
    found = rows(tree, "verdicts").query("rule == 'replicate_sd' and target == 'REF'")
    assert found["override"].tolist() == ["accepted by QA on 2026-02-01: seen"]


def test_a_mass_in_another_unit_gives_no_level(tmp_path):
    """200 ug typed for 200 ng would be a level a thousand times too low, with an LLOQ that hides it."""
    tidy_rows({"S1": 1e3, "S2": 1e3}).to_csv(tmp_path / "p.csv", index=False)
    wells = read_plates(tmp_path / "p.csv", layout=sheet_frame(["S1", "S2"], dna_ng=[200.0, 200_000.0]))
    tree = quantify(wells)
    found = rows(tree, "results").set_index("sample_id")
    assert found["status"].to_dict() == {"S1": Status.quantified, "S2": Status.invalid}
    assert found.loc["S2", "reason"].endswith("(10 to 5000 ng): check the unit of the mass")
    assert np.isnan(found.loc["S2", "level"])
    reference = reference_plate(tmp_path, {"S1": 1e3}, {"S1": 1e6})
    tree = quantify(reference, target="CAR", reference="REF", genome_pg=6600.0)
    assert tree["status"].item() == Status.invalid


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"unit": "copies/cell"}, "needs the reference gene"),
        ({"genome_pg": 6.6}, "with a reference gene only"),
        ({"reference": "REF"}, "needs the mass of a diploid genome"),
        ({"reference": "REF", "genome_pg": -1}, "genome_pg is -1"),
        ({"reference": "X", "genome_pg": 6.6}, "is the target of no well: there are CAR, REF"),
        ({"reference": "CAR", "genome_pg": 6.6}, "both 'CAR'"),
        ({"ipc_target": "X"}, "ipc_target 'X' is in no well"),
        ({"unit": "cells/uL"}, "cannot be reported"),
        ({"calibration": "spline"}, "'ols', 'weighted'"),
    ],
)
def test_inputs_of_a_conversion_are_asked_for(tmp_path, options, pattern):
    wells = reference_plate(tmp_path, {"S1": 1e3}, {"S1": 1e4})
    with pytest.raises(InputError, match=pattern):
        quantify(wells, target="CAR", **options)


def test_real_interval_of_a_thermo_plate(shared_data):
    """889 copies in three wells of the QS1 demonstration plate: 742 to 1055."""
    from ckinetics.assay.curves.inverse import inverse_interval

    folder = shared_data / "plates" / "appliedbiosystems_da2"
    (file,) = folder.glob("*QS1_Standard_Curve*")
    wells = rows(quantify(read_plates(file)), "wells")
    standards = wells.query("role == 'standard' and omit != 1 and cq == cq")
    curve = fit_curve(standards["nominal_copies"].to_numpy(), standards["cq"].to_numpy())
    found = inverse_interval(curve, curve.intercept + curve.slope * np.log10(889.4), 3)
    assert [round(value) for value in (found.copies, found.low, found.high)] == [889, 742, 1055]
    assert found.g == pytest.approx(0.003, abs=5e-5)
