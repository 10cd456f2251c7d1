"""Real plates that must fail, and one that passes one set of rules and fails another."""

from __future__ import annotations

import pytest

from ckinetics.assay import load_rules, quantify, read_plates
from ckinetics.assay.rules import SETS
from ckinetics.assay.verdicts import blocking
from ckinetics.schema import Verdict


def verdicts_of(path, **options):
    return quantify(read_plates(path), **options)["verdicts"].to_dataset(inherit=False).to_dataframe()


def only(folder, pattern):
    (file,) = folder.glob(pattern)
    return file


@pytest.mark.parametrize("rules", SETS)
def test_a_good_looking_curve_of_79_percent_fails(shared_data, rules):
    """QS6Pro: efficiency 79 %, and three of four NTC wells at about 7 copies by that plate's curve."""
    found = verdicts_of(only(shared_data / "plates" / "appliedbiosystems_da2", "*QS6Pro*"), rules=rules)
    (efficiency,) = found[found["rule"] == "efficiency"].to_dict("records")
    assert (efficiency["outcome"], round(efficiency["value"])) == (Verdict.failed, 79)
    (ntc,) = found[found["rule"] == "ntc"].to_dict("records")
    assert (ntc["outcome"], ntc["high"], len(ntc["wells"].split())) == (Verdict.failed, 3.0, 3)
    assert ntc["value"] == pytest.approx(7, abs=1)
    assert "3 of 4 NTC wells have a signal" in ntc["message"]
    reasons = " ".join(blocking(found.to_dict("records"), load_rules(rules)))
    assert "efficiency" in reasons
    assert "no-template control" in reasons


def test_a_housekeeping_gene_of_80_percent_fails(shared_data):
    found = verdicts_of(only(shared_data / "plates" / "autoqpcr_quantstudio", "*GAPDH*"))
    (entry,) = found[found["rule"] == "efficiency"].to_dict("records")
    assert (entry["target"], entry["outcome"], round(entry["value"])) == ("GAPDH", Verdict.failed, 80)
    assert "efficiency 79.97 % misses the limit (90 to 110 %)" in entry["message"]


@pytest.mark.parametrize(
    ("rules", "outcome"), [("default", Verdict.passed), ("strict", Verdict.failed), ("gmo", Verdict.passed)]
)
def test_one_outlying_standard_passes_098_and_fails_099(shared_data, rules, outcome):
    file = only(shared_data / "plates" / "appliedbiosystems_da2", "*QS1_Standard_Curve*")
    found = verdicts_of(file, rules=rules)
    (entry,) = found[found["rule"] == "r_squared"].to_dict("records")
    assert (entry["outcome"], round(entry["value"], 3)) == (outcome, 0.988)
