"""What modellers get wrong: one sentence for each, with file, line, table and key and what to do."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckinetics.errors import ModelFileError
from ckinetics.modeling import load_model, model_folder, read_model
from ckinetics.modeling.files.faults import library_faults
from ckinetics.modeling.files.places import MAX_FILE

TEXT = (model_folder() / "stein2019.toml").read_text(encoding="utf-8")
RATE = 'E = "rho*E"'
SOURCE = re.search(r'source = "derived.*"\n', TEXT)[0]


def refused(text):
    with pytest.raises(ModelFileError) as caught:
        read_model(text, name="mine", file="mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'trust = "V2"\nstart',
            "start",
            r"\[parameters\.foldx\], key 'trust': is missing: say where the value is from",
        ),
        ('trust = "V2"\nstart', 'trust = "V3"\nstart', r"key 'trust': is 'V3': give 'V', 'V2', 'D' or 'M'"),
        ("random_sd = 2.4", "random_sd = -1", r"key 'random_sd': is -1: give a number at least 0"),
        ("bounds = [1.01, 1e9]", "bounds = [4000.0, 1e9]", r"key 'value': 3900 is outside its bounds 4000 to 1e\+09"),
        ("bounds = [1.01, 1e9]", "bounds = [1.01]", r"key 'bounds': \[1\.01\] is too short: give the lower and the"),
        (
            "bounds = [1.01, 1e9]",
            "bounds = [1.0, 2.0, 3.0]",
            r"key 'bounds': \[1\.0, 2\.0, 3\.0\] is too long: give the",
        ),
        ("bounds = [1.01, 1e9]", "bounds = 3", r"key 'bounds': is 3: give a list in square brackets"),
        ("bounds = [1.01, 1e9]", 'bounds = [1.0, "a"]', r"key 'bounds': number 2 is 'a': give a number"),
        (
            "bounds = [1.01, 1e9]",
            "bounds = [0, 1e9]",
            r"the lower bound must be above 0 for transform \"log\", it is 0",
        ),
        ("bounds = [1.01, 1e9]", "bounds = [1e9, 1.0]", r"the lower bound 1e\+09 is not below the upper bound 1"),
        ("[parameters.foldx]", "[parameters.2x]", r"\[parameters\], key '2x': '2x' is no name: use letters"),
        ("[parameters.foldx]", "[parameters.t]", r"\[parameters\.t\]: the name `t` is already used for time"),
        ("[parameters.FB]", "[parameters.E]", r"\[states\.E\]: the name `E` is already used for a parameter"),
        ("[definitions]\n", '[definitions]\nE = "1"\n', r"key 'E': the name `E` is already used for a state"),
        ("[definitions]\n", '[definitions]\na = "1"\n', r"already used for the residual error of an output"),
        (
            "[definitions]\n",
            '[definitions]\nmonth = "1"\n',
            r"key 'month': the name `month` is already used for a const",
        ),
        ('R0 = "Cmax/foldx"', 'R0 = "R0 + Cmax"', r"key 'R0': 'R0 \+ Cmax' uses `R0`, which is not defined above it"),
        (
            "level = [6.15",
            "levels = [6.15",
            r"\[\[example\]\] 1, key 'outputs\.levels': no such name in \[outputs\]; did",
        ),
        (SOURCE, "", r"\[\[example\]\] 1, key 'source': is missing: say where the expected values are from"),
        (
            SOURCE,
            'source = " "\n',
            r"\[\[example\]\] 1, key 'source': is empty: say where the expected values are from",
        ),
        ("tolerance = 5e-6", "tolerance = 0", r"\[\[example\]\] 1, key 'tolerance': is 0: give a number above 0"),
        ("tolerance = 5e-6\n", "", r"\[\[example\]\] 1, key 'tolerance': is missing: give the largest relative error"),
        (RATE, "E = 3", r"\[\[phases\]\] 1, key 'equations\.E': is 3: give a text in quotes"),
        (RATE, "", r"key 'equations\.E': the state has no equation: write E = \"0\" if it rests"),
        (RATE, RATE + '\nX = "1"', r"key 'equations\.X': no such state; known are E, M"),
        (RATE, 'E = ""', r"'' is empty: write an expression"),
        (RATE, 'E = "rho E"', r"two factors stand side by side, write \* between them"),
        (RATE, 'E = "rho*(E"', r"it opens 1 brackets and closes 0"),
        (RATE, 'E = "rho(E)"', r"calls `rho` like a function: write rho\*\(\.\.\.\) for a product"),
        (RATE, 'E = "E^2"', r"uses '\^': write \*\* for a power"),
        (RATE, 'E = "2E"', r"'2E' is not a valid expression"),
        (RATE, 'E = "E if rho else 0"', r"write where\(condition, yes, no\)"),
        (RATE, 'E = "Exp(rho)"', r"unknown function `Exp` in the equation of E; did you mean `exp`\?"),
        (RATE, 'E = "alfa*E"', r"unknown symbol `alfa` in the equation of E; did you mean `alpha`\?"),
        (RATE, 'E = "a*E"', r"uses `a`, which is a residual error: the equation of E may use foldx"),
        (RATE, 'E = "where(E == 1, 1, 2)"', r"compares with == or !="),
        ('ends_at = "Tmax"', 'ends_at = "-Tmax"', r"the phase ends at -9\.3, before the start at 0"),
        ('ends_at = "Tmax"', 'ends_at = "t"', r"uses `t`, which is time: the end of phase expansion may use foldx"),
        ('name = "decline"', 'name = "expansion"', r"key 'name': the name is used more than once"),
        ('name = "decline"\n', "", r"\[\[phases\]\] 2, key 'name': is missing: give the phase a name"),
        ('initial = "R0"\n', "", r"\[states\.E\], key 'initial': is missing: give the state its value at time 0"),
        ('initial = "R0"', 'initial = "M"', r"uses `M`, which is a state: the initial value of E may use"),
        ('cells"\nunit = "copies/ug"\n', 'cells"\n', r"\[states\.E\], key 'unit': is missing: give the unit"),
        ('time_unit = "day"\n', "", r"key 'time_unit': is missing: give the unit of t"),
        ("title = ", "titel = ", r"line 1, key 'titel': unknown key; did you mean 'title'\?"),
        ("[constants.month]", "[constant.month]", r"line \d+, key 'constant': unknown key; did you mean 'constants'\?"),
        ("[derived.k]\n", "[derived.k]\nx = 1\n", r"\[derived\.k\], key 'x': unknown key; known are unit, expression"),
        (
            'parameter = "a"',
            'parameter = "alpha"',
            r"\[outputs\.level\.residual\], key 'parameter': the name `alpha` is",
        ),
        ("value = 0.56", "value = 56", r"key 'residual\.value': give a value inside positive bounds, not 56"),
        ('scales_with = ["Cmax"]', 'scales_with = ["cmax"]', r"'cmax' is not a parameter; did you mean 'Cmax'\?"),
        ('scales_with = ["Cmax"]', 'scales_with = ["alpha"]', r"the closed form is not proportional to alpha"),
        ('alpha = "beta"', 'E = "beta"', r"\[\[equivalent\]\] 1, key 'values\.E': 'E' uses `E`, which is a state"),
        ("value = 3900.0", "value = 1" + "0" * 5000, r"an endless number"),
        ("value = 3900.0", "value = 1" + "0" * 400, r"key 'value': is 1000.*: give a number"),
    ],
)
def test_each_fault_ends_in_one_sentence(old, new, said):
    assert old in TEXT
    assert re.search(said, refused(TEXT.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("value = 24000.0", 'value = "x"', "value = 24000.0"),
        ('M = "k*E - beta*M"', 'M = "q"', 'M = "k*E - beta*M"'),
        ('decline = "Cmax', 'decline = "q + Cmax', 'decline = "Cmax'),
        ('rho = "log(foldx)/Tmax"', 'rho = "q"', 'rho = "log(foldx)/Tmax"'),
        ('when = "beta > alpha"', 'when = "q > alpha"', 'when = "beta > alpha"'),
        ('label = "memory cells"\n', "labl = 3\n", 'label = "memory cells"'),
        ("where(Tmax >= month,\n", "where(q >= month,\n", 'expression = """'),
        ('initial = "0"\n', "", "[states.M]"),
        ('against = "the paper\'s abstract"', "against = 3", 'against = "the paper\'s abstract"'),
    ],
)
def test_the_line_is_named(old, new, line):
    assert TEXT.count(old) == 1
    number = TEXT[: TEXT.index(line)].count("\n") + 1
    assert f"mine.toml: line {number}, " in refused(TEXT.replace(old, new))


def test_nothing_verified_is_refused():
    without = re.sub(r"\[\[verified\]\]\nwhat.*\nagainst.*\n", "", TEXT)
    assert "key 'verified': is missing: say what was verified, against what" in refused(without)
    assert "key 'verified': is empty: say what was verified, against what" in refused("verified = []\n" + without)
    assert "[[verified]] 1, key 'against': is empty" in refused(
        TEXT.replace('against = "the paper\'s abstract"', 'against = ""')
    )


def test_an_example_that_expects_nothing_is_refused():
    start = TEXT.index("[example.outputs]")
    assert "[[example]] 1, key 'outputs': the example expects nothing" in refused(TEXT[:start])


def test_a_value_from_memory_is_for_files_of_ones_own(tmp_path, monkeypatch):
    text = TEXT.replace('trust = "V2"', 'trust = "M"', 1)
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    mine = load_model(file)
    assert mine.parameters["foldx"].trust == "M"
    assert library_faults(load_model("stein2019").specification) == []
    monkeypatch.setattr("ckinetics.modeling.library.model_folder", lambda: tmp_path)
    for name in (file, "mine"):
        with pytest.raises(
            ModelFileError, match=r"line \d+, table \[parameters\.foldx\], key 'trust': \"M\" \(from memory"
        ):
            load_model(name)


def test_constants_stand_for_their_numbers():
    model = load_model("stein2019")
    written_out = TEXT.replace("month", "(28*(1 + 0))").replace("[constants.(28*(1 + 0))]", "[constants.month]")
    written_out = 'unit_check = "none"\nunit_check_reason = "a test"\n' + written_out
    assert read_model(written_out, name="s").symbolic.derived == model.symbolic.derived


def deep(form, levels):
    text = "E"
    for _ in range(levels):
        text = form.replace("#", text)
    return text


@pytest.mark.parametrize(
    "rate",
    [
        "__import__('os').system('true')",
        "E.__class__",
        "E" * 20_000,
        "+".join(["E"] * 4900),
        "*".join(f"(E+{n})" for n in range(900)),
        "(" * 4000 + "E" + ")" * 4000,
        "-" * 9000 + "E",
        deep("max(#,E)", 1200),
        deep("max(#,E)", 9),
        deep("abs(#-M)", 6),
        deep("where(#>M,M,E)", 12),
        deep("hill(#,#,#)", 6),
        deep("exp(#)", 1000),
        "((E+M)**0.5)**" * 60 + "2",
        "**".join(["E"] * 30),
        "max(" + ",".join(f"min(E,{n}*M,alpha,beta,abs(M-{n}))" for n in range(9)) + ")",
    ],
)
def test_a_hostile_expression_is_refused_at_once(rate):
    assert "key 'equations.E': " in refused(TEXT.replace(RATE, f'E = "{rate}"'))


@pytest.mark.parametrize(
    ("table", "entry"),
    [
        ("phases", '[[phases]]\nname = "p{n}"\nends_at = "Tmax"\n[phases.equations]\nE = "0"\nM = "0"\n'),
        ("outputs", '[outputs.o{n}]\nunit = "copies/ug"\nexpression = "E"\n'),
    ],
)
def test_tables_without_end_are_refused(table, entry):
    text = TEXT + "".join(entry.replace("{n}", str(n)) for n in range(3000))
    assert re.search(rf"table \[{table}\]: has 300\d entries, and a model at most \d+: leave out", refused(text))


def test_expressions_that_are_too_many_together_are_refused():
    large = "+".join(f"alpha*{n}" for n in range(70))
    text = TEXT.replace("[definitions]\n", f'[definitions]\nlarge = "{large}"\n')
    text += "".join(f'[derived.q{n}]\nunit = "1/day"\nexpression = "large"\n' for n in range(300))
    assert re.search(r"key 'expression': up to here the expressions of the file have more than \d+", refused(text))


@pytest.mark.parametrize("form", ["(#+{n})*(#+alpha)", "abs(#-{n})", "#**#", "max(#,M)"])
def test_definitions_that_double_are_refused(form):
    rows = ['q0 = "E"'] + [f'q{n} = "{form}"'.replace("#", f"q{n - 1}").replace("{n}", str(n)) for n in range(1, 60)]
    text = TEXT.replace("[definitions]\n", "[definitions]\n" + "\n".join(rows) + "\n")
    assert "is too large once everything is written out" in refused(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "key 'title': is missing"),
        ("x = " + "[" * 10_000, "brackets nested too deep"),
        ("x = {" * 5_000, "brackets nested too deep"),
        ("a" * (MAX_FILE + 1), "is longer than"),
        ("[a" + ".a" * 50_000 + "]", "a key of more than 20 parts"),
        ("x = {a" + ".a" * 50_000 + " = 1}", "a key of more than 20 parts"),
        ("\x00", "not a TOML file"),
        ("title = 'x'\n" * 3, "not a TOML file"),
    ],
)
def test_a_hostile_file_is_refused_at_once(text, said):
    assert said in refused(text)


def test_a_file_of_megabytes_is_not_read(tmp_path):
    file = tmp_path / "big.toml"
    file.write_bytes(b"#" * (4 * MAX_FILE + 1))
    with pytest.raises(ModelFileError, match=r"big\.toml: is longer than"):
        load_model(file)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_what_has_no_end_is_not_read_to_it():
    with pytest.raises(ModelFileError, match="zero: is longer than"):
        load_model("/dev/zero")


LINES = TEXT.splitlines(keepends=True)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_read_or_refused(data):
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        action = data.draw(st.sampled_from(["drop", "twice", "swap", "cut", "put"]))
        if action == "drop":
            lines[at] = "\n"
        elif action == "twice":
            lines[at] *= 2
        elif action == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif action == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))] + "\n"
        else:
            spot = data.draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:spot] + data.draw(st.text("\"'=[]()*/-.09eEtMx", max_size=5)) + lines[at][spot:]
    with contextlib.suppress(ModelFileError):
        read_model("".join(lines), name="mine", file="mine.toml")
