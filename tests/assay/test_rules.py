"""Files of acceptance criteria: the three sets, what a laboratory's own file may say, and what is refused."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from plate_builders import cq_of, sheet_frame, write_tidy
from scipy.stats import chi2

from ckinetics.assay import load_rules, quantify, read_plates
from ckinetics.assay import rules as module
from ckinetics.assay.rules import FLAGS, KNOWN, SETS
from ckinetics.errors import InputError
from ckinetics.schema import Verdict

FOLDER = Path(module.__file__).parent / "rule_files"
DEFAULT = (FOLDER / "default.toml").read_text(encoding="utf-8")


def lab(tmp_path, text):
    path = tmp_path / "lab.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(tmp_path, old, new):
    assert old in DEFAULT
    return lab(tmp_path, DEFAULT.replace(old, new, 1))


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_whole(name):
    rules = load_rules(name)
    assert rules.name == name
    assert rules.version
    assert set(rules.by_id) == set(KNOWN)
    tables = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["rules"]
    assert all("meaning" in table and "source" in table for table in tables.values())
    for rule in rules.by_id.values():
        assert len(rule.source) > 10, rule.id
        assert rule.status in ("verified", "practice"), rule.id
        assert set(rule.values) == set(KNOWN[rule.id])


# The limits of each set, from section 4 of the laboratory's reference: (rule, number) -> default, strict, gmo.
LIMITS = {
    ("slope", "low"): (-3.6, -3.6, -3.6),
    ("slope", "high"): (-3.1, -3.1, -3.1),
    ("efficiency", "low"): (90, 90, 90),
    ("efficiency", "high"): (110, 110, 110),
    ("r_squared", "low"): (0.98, 0.99, 0.98),
    ("standards_accepted", "low"): (0.75, 0.75, 0.75),
    ("qc_error", "high"): (30, 25, 25),
    ("qc_precision", "high"): (35, 25, 25),
    ("qc_per_level", "low"): (0.5, 0.5, 0.5),
    ("back_calculated", "high"): (30, 20, 25),
    ("isr_difference", "high"): (30, 30, 30),
    ("droplets", "low"): (10_000, 10_000, 10_000),
    ("reference_gene", "low"): (50, 50, 50),
    ("reference_gene", "high"): (150, 150, 150),
    ("ntc", "lod_multiple"): (1, 1, 1),
    ("masking", "max_levels"): (0, 0, 0),
    ("lod", "value"): (3, 3, 3),
    ("lloq", "value"): (10, 10, 10),
}


@pytest.mark.parametrize(("rule", "number"), LIMITS)
def test_limits(rule, number):
    assert tuple(load_rules(name).value(rule, number) for name in SETS) == LIMITS[rule, number]


def test_a_slope_and_an_efficiency_say_the_same():
    """-3.6 is 89.6 % and -3.1 is 110.2 %, so that the efficiency's limits lie within the slope's."""
    rules = load_rules("gmo")
    by_slope = [(10 ** (-1 / slope) - 1) * 100 for slope in (rules["slope"].low, rules["slope"].high)]
    assert [round(value, 1) for value in by_slope] == [89.6, 110.2]
    assert by_slope[0] < rules["efficiency"].low < rules["efficiency"].high < by_slope[1]


def test_two_of_three_pass_and_less_does_not():
    """Two thirds have no decimal form: 2/3 and 4/6 pass, 65 of 98 and 33 of 50 do not."""
    for rule in ("qc_overall", "isr"):
        low = load_rules()[rule].low
        assert low <= 2 / 3
        assert low <= 4 / 6
        assert max(k / n for n in range(1, 500) for k in range(n) if 3 * k < 2 * n) < low


# Which of the reference's marks were read in a source or measured; all other rules are practice.
VERIFIED = {
    "default": {
        "slope",
        "efficiency",
        "r_squared",
        "standards_accepted",
        "vendor_curve",
        "vendor_quantity",
        "droplets",
        "lod",
        "well_noise",
    },
}
VERIFIED["strict"] = VERIFIED["default"] - {"r_squared"}
VERIFIED["gmo"] = VERIFIED["default"] | {"back_calculated", "qc_error", "qc_precision"}


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_called_verified_that_was_not_read(name):
    rules = load_rules(name)
    assert {rule.id for rule in rules.by_id.values() if rule.status == "verified"} == VERIFIED[name]


@pytest.mark.parametrize(("name", "expected"), [("default", 0.53), ("strict", 0.30)])
def test_limit_of_triplicates_at_high_copies(name, expected):
    values = load_rules(name)["replicate_sd"].values
    limit = values["sd0"] * math.sqrt(chi2.ppf(values["confidence"], 2) / 2)
    assert round(limit, 2) == expected


def replicate_plate(tmp_path, triplicates):
    """The verdicts on replicates of one plate, by sample."""
    write_tidy(tmp_path / "p.csv", triplicates)
    wells = read_plates(tmp_path / "p.csv", layout=sheet_frame(triplicates))
    verdicts = quantify(wells)["verdicts"].to_dataset(inherit=False).to_dataframe()
    return verdicts[verdicts["rule"] == "replicate_sd"].set_index("sample_id")


def harmonic_limit(copies, values):
    """The limit as documented: by the mean of the wells' own Poisson variances."""
    n = copies.shape[-1]
    expected = np.sqrt(values["sd0"] ** 2 + (1 / copies).mean(axis=-1) / math.log(2) ** 2)
    return expected * math.sqrt(chi2.ppf(values["confidence"], n - 1) / (n - 1))


def test_the_limit_of_replicates_by_hand(tmp_path):
    copies = np.array([[6.0, 12.0, 20.0], [9e3, 1e4, 1.1e4]])
    found = replicate_plate(tmp_path, {f"S{at}": list(map(cq_of, own)) for at, own in enumerate(copies)})
    expected = harmonic_limit(copies, load_rules()["replicate_sd"].values)
    assert found["high"].to_numpy() == pytest.approx(expected, rel=1e-6)
    assert found["value"].to_numpy() == pytest.approx(np.log2(copies).std(axis=1, ddof=1), rel=1e-6)


@pytest.mark.parametrize("wells", [2, 3, 4])
@pytest.mark.parametrize("noise", ["normal", "molecules"])
def test_a_flat_limit_fails_good_replicates_and_the_rule_does_not(noise, wells):
    """At 10 copies a flat 0.5 fails a third of good triplicates, the rule no more than it says.

    SD of Cq 0.49 was observed at 10 copies (96 wells); "molecules" draws the copies themselves. The limit is that of
    the wells' own copies, for nobody knows the true ones.
    """
    rng = np.random.default_rng(1)
    if noise == "normal":
        shift = rng.normal(0.0, 0.49, (200_000, wells))
    else:
        n = rng.poisson(10.0, (200_000, wells))
        n = n[(n > 0).all(axis=1)]
        shift = -np.log2(n / 10.0) + rng.normal(0.0, 0.11, n.shape)
    sd = shift.std(axis=1, ddof=1)
    if wells == 3:
        assert (sd > 0.5).mean() == pytest.approx(0.35, abs=0.01)
    for name in ("default", "strict"):
        values = load_rules(name)["replicate_sd"].values
        failed = (sd > harmonic_limit(10.0 * 2.0**-shift, values)).mean()
        assert failed <= 1 - values["confidence"]
        # with the arithmetic mean in its place it would fail more than it says
        plain = np.sqrt(values["sd0"] ** 2 + 1 / (math.log(2) ** 2 * (10.0 * 2.0**-shift).mean(axis=1)))
        assert (sd > plain * math.sqrt(chi2.ppf(values["confidence"], wells - 1) / (wells - 1))).mean() > (
            1 - values["confidence"]
        )


def test_one_bad_well_still_fails(tmp_path):
    """A well that lags far behind its replicates, at high and at low copies."""
    found = replicate_plate(
        tmp_path,
        {
            "high": [cq_of(1e4), cq_of(1e4), cq_of(1e4) + 1.0],
            "late": [cq_of(1e4), cq_of(1e4), cq_of(5)],
            "low": [cq_of(60), cq_of(60), cq_of(4)],
            "good": [cq_of(60), cq_of(60), cq_of(30)],
        },
    )
    failed = set(found.index[found["outcome"] == Verdict.failed])
    assert failed == {"high", "late", "low"}


@pytest.mark.parametrize("rule", KNOWN)
def test_an_older_file_lacks_a_rule_that_is_named(tmp_path, rule):
    text = re.sub(rf"\[rules\.{rule}\]\n(?:(?!\[rules).*\n?)*", "", DEFAULT)
    assert f"[rules.{rule}]" not in text
    with pytest.raises(InputError, match=rf"lab\.toml: the acceptance criteria lack the rule '{rule}': add it"):
        load_rules(lab(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("[rules.slope]", "[rules.slopes]", "unknown rule 'slopes': did you mean 'slope'"),
        ("lowest_high = 50.0", "lowest_hihg = 50.0", "unknown entry 'lowest_hihg': did you mean 'lowest_high'"),
        ("lod_multiple = 1.0", "lod_multiple = 1.0\nhigh = 3.0", "rule 'ntc' has an unknown entry 'high'"),
        ("lod_multiple = 1.0", "high = 3.0", "rule 'ntc' has an unknown entry 'high'"),
        ('name = "default"', 'name = "lab"\nversoin = "7"', "unknown entry 'versoin'.*did you mean 'version'"),
        ('version = "2"', "", "no version"),
        ("confidence = 0.999", "confidence = 99.9", "confidence = 99.9: give a probability"),
        ("hit_probability = 1.0", "hit_probability = 0.0", "hit_probability = 0: give a probability above 0"),
        ("low = 0.6666", "low = 66.7", "'qc_overall' has low = 66.7: give a share from 0 to 1"),
        ("max_levels = 0", "max_levels = 1.5", "max_levels = 1.5: give a whole number"),
        ("max_levels = 0", "max_levels = -1", "max_levels = -1: give a whole number"),
        ("sd0 = 0.11", "sd0 = 0.0", "sd0 = 0: give a positive"),
        ("lod = 3.0", "lod = 30.0", "'digital_range' has lod above lloq"),
        ("low = 0.98", "low = nan", "'r_squared' needs the number 'low'"),
        ("low = 0.98", "low = true", "'r_squared' needs the number 'low'"),
        ("fatal = false", "fatal = 'false'", "fatal = 'false': write true or false"),
        ('status = "practice"', 'status = "sure"', "needs a status"),
        ("[rules.curve_levels]", "[rules]\nr_squared = 0.9\n[rules.curve_levels]", "no TOML|no table"),
    ],
)
def test_nothing_in_a_file_is_ignored(tmp_path, old, new, pattern):
    with pytest.raises(InputError, match=pattern):
        load_rules(changed(tmp_path, old, new))


def test_tables_that_are_none(tmp_path):
    for text in ("version = '1'\nrules = 5", "version = '1'\n[rules]\nslope = 3"):
        with pytest.raises(InputError, match="no table"):
            load_rules(lab(tmp_path, text))


@pytest.mark.parametrize("rule", sorted(FLAGS))
@pytest.mark.parametrize("switch", ["fatal", "required"])
def test_a_rule_that_only_reports_cannot_be_made_fatal(tmp_path, rule, switch):
    """It would promise what nothing does."""
    table = tomllib.loads(DEFAULT)["rules"][rule] | {switch: True}
    body = "\n".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in table.items()
    )
    text = f"name = 'lab'\nversion = '1'\nbased_on = 'default'\n[rules.{rule}]\n{body}\n"
    with pytest.raises(InputError, match=f"rule '{rule}' is never {switch}"):
        load_rules(lab(tmp_path, text))


def test_a_file_based_on_the_default_changes_what_it_names(tmp_path):
    text = """
        name = "lab"
        version = "7"
        based_on = "default"
        [rules.r_squared]
        low = 0.985
        fatal = true
        status = "practice"
        source = "our validation report"
    """
    rules, default = load_rules(lab(tmp_path, text)), load_rules()
    assert (rules.name, rules.version, rules["r_squared"].low) == ("lab", "7", 0.985)
    assert {name for name in KNOWN if rules[name] != default[name]} == {"r_squared"}
    assert rules.sha256 != default.sha256
    with pytest.raises(InputError, match="based on 'default' only"):
        load_rules(lab(tmp_path, text.replace('"default"', '"strict"')))
