"""Digital PCR through quantify: counts to copies per µg, zero positives, merging, controls, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from plate_builders import sheet_frame
from scipy.stats import beta

from ckinetics.assay import quantify
from ckinetics.assay.records import dataset_of
from ckinetics.schema import CqStatus, Status, Verdict, YesNo

N, NL, UL = 15000.0, 0.85, 20.0


def well(at, sample, positive, *, role="unknown", n=N, nl=NL, ul=UL, ng=66.0, vendor=math.nan, target="CAR", **more):
    patient = {"patient_id": "P1", "sample_id": sample, "matrix": "blood", "time": 7.0, "dna_ng": ng, "dilution": 1.0}
    return (
        {
            "run_id": "d1",
            "file": "d1.csv",
            "file_sha256": "0" * 64,
            "row": float(at + 2),
            "well_name": f"{'ABCDEFGH'[at // 12]}{at % 12 + 1}",
            "sample": sample,
            "target": target,
            "role": role,
            "cq_status": CqStatus.missing,
            "omit": YesNo.no,
            "n_partitions": n,
            "n_positive": positive,
            "partition_nl": nl,
            "reaction_ul": ul,
            "vendor_concentration": vendor,
        }
        | (patient if role == "unknown" else {})
        | more
    )


def run(*wells, ntc=0.0, **options):
    rows = [*wells, well(90, "NTC", ntc, role="ntc")]
    return quantify(dataset_of("wells", rows), **options)


def result(tree):
    return tree["results"].to_dataset(inherit=False).to_dataframe().reset_index(drop=True).iloc[0]


def verdict(tree, rule):
    verdicts = tree["verdicts"].to_dataset(inherit=False).to_dataframe()
    (found,) = [row for _, row in verdicts[verdicts["rule"] == rule].iterrows()]
    return found


def test_a_level_by_hand():
    tree = run(well(0, "S1", 1500.0))
    found = result(tree)
    per_ul = -math.log(13500 / 15000) / 0.85e-3
    assert found["status"] == Status.quantified
    assert found["copies"] == pytest.approx(per_ul * 20, rel=1e-12)
    assert found["level"] == pytest.approx(per_ul * 20 / 66 * 1000, rel=1e-12)
    assert tree["wells"]["copies"].values[0] == pytest.approx(per_ul * 20, rel=1e-12)
    share = beta.ppf([0.025, 0.975], [1500, 1501], [13501, 13500])
    ends = -np.log1p(-share) / 0.85e-3 * 20 / 66 * 1000
    assert (found["level_low"], found["level_high"]) == pytest.approx(tuple(ends), rel=1e-6)
    # LOD 3 and LLOQ 10 copies in the partitions that were counted, 12.75 of 20 uL
    assert found["lod"] == pytest.approx(3 / 12.75 * 20 / 66 * 1000, rel=1e-12)
    assert found["lloq"] == pytest.approx(10 / 12.75 * 20 / 66 * 1000, rel=1e-12)
    assert found["se_plate"] == 0.0


def test_no_positive_partition_is_not_detected_with_an_upper_bound():
    found = result(run(well(0, "S1", 0.0)))
    assert found["status"] == Status.not_detected
    assert np.isnan(found["level"])
    bound = 3.689 / N / 0.85e-3 * 20 / 66 * 1000
    assert (found["level_low"], found["level_high"]) == (0.0, pytest.approx(bound, rel=1e-3))


def test_few_positives_are_below_the_lloq_and_all_positive_above_the_range():
    assert result(run(well(0, "S1", 4.0)))["status"] == Status.detected_below_lloq
    found = result(run(well(0, "S1", N)))
    assert found["status"] == Status.above_uloq
    assert "all partitions are positive" in found["reason"]


def test_more_wells_lower_the_limits():
    one, two = result(run(well(0, "S1", 8.0))), result(run(well(0, "S1", 8.0), well(1, "S1", 9.0)))
    assert two["lloq"] == pytest.approx(one["lloq"] / 2, rel=1e-12)
    assert (one["status"], two["status"]) == (Status.detected_below_lloq, Status.quantified)
    assert two["n_wells"] == 2


def test_wells_that_disagree_have_a_wider_interval():
    alike = result(run(well(0, "S1", 1000.0), well(1, "S1", 1010.0), well(2, "S1", 990.0)))
    apart = result(run(well(0, "S1", 800.0), well(1, "S1", 1000.0), well(2, "S1", 1200.0)))
    assert apart["level"] == pytest.approx(alike["level"], rel=0.01)
    assert apart["se_well"] > 2 * alike["se_well"]


def test_a_well_with_few_droplets_counts_for_nothing():
    tree = run(well(0, "S1", 1500.0), well(1, "S1", 900.0, n=6000.0), well(2, "S2", 10.0, n=2000.0))
    first, second = (tree["results"].to_dataset(inherit=False).isel(result=at) for at in (0, 1))
    assert (first["wells"].item(), first["n_wells"].item()) == ("A1", 1)
    assert second["status"].item() == Status.invalid
    assert "too few partitions" in second["reason"].item()
    assert verdict(tree, "droplets")["outcome"] == Verdict.failed


def test_a_positive_ntc_fails_the_plate():
    tree = run(well(0, "S1", 1500.0), ntc=30.0)
    assert verdict(tree, "ntc")["outcome"] == Verdict.failed
    assert result(tree)["status"] == Status.invalid
    assert tree["curves"]["accepted"].item() == Verdict.failed
    assert result(run(well(0, "S1", 1500.0), ntc=2.0))["status"] == Status.quantified


def test_volumes_are_demanded():
    assert "give 'reaction_ul' in the sample sheet" in result(run(well(0, "S1", 1500.0, ul=math.nan)))["reason"]
    assert "partition volume of well A1" in result(run(well(0, "S1", 1500.0, nl=math.nan)))["reason"]
    two = run(well(0, "S1", 1500.0), well(1, "S1", 1500.0, ul=40.0))
    assert "different reaction volumes" in result(two)["reason"]


def test_the_vendors_concentration_is_compared():
    own = -math.log(0.9) / 0.85e-3
    assert verdict(run(well(0, "S1", 1500.0, vendor=own)), "vendor_concentration")["outcome"] == Verdict.passed
    found = verdict(run(well(0, "S1", 1500.0, vendor=own * 1.2)), "vendor_concentration")
    assert (found["outcome"], found["wells"]) == (Verdict.failed, "A1")
    assert result(run(well(0, "S1", 1500.0, vendor=own * 1.2)))["status"] == Status.quantified


def test_a_reference_gene_counts_the_cells():
    tree = run(
        well(0, "S1", 150.0),
        well(0, "S1", 9000.0, target="REF"),
        well(90, "NTC", 0.0, role="ntc", target="REF"),
        target="CAR",
        reference="REF",
        unit="copies/cell",
    )
    assert result(tree)["level"] == pytest.approx(2 * math.log(1 - 0.01) / math.log(1 - 0.6), rel=1e-12)


def test_the_sheet_gives_the_reaction_volume(tmp_path):
    from ckinetics.assay import read_sample_sheet

    sheet = read_sample_sheet(sheet_frame(["S1"], reaction_ul=[40.0]))
    assert sheet.entries[0].reaction_ul == 40.0
