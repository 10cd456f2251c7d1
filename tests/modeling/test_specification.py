"""Model files with faults: every message names file, table and key."""

from __future__ import annotations

import pytest

from ckinetics.errors import InputError, ModelFileError
from ckinetics.modeling import load_model, model_folder, read_model

TEXT = (model_folder() / "stein2019.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value = 3900.0", "valu = 3900.0", r"\[parameters\.foldx\], key 'valu': unknown key; did you mean 'value'"),
        ("value = 3900.0\n", "", r"\[parameters\.foldx\], key 'value': is missing"),
        ("value = 3900.0", 'value = "many"', r"\[parameters\.foldx\], key 'value': is 'many': give a number"),
        ("value = 3900.0", 'value = "3900.0"', r"\[parameters\.foldx\], key 'value': is '3900\.0': give a number"),
        ("value = 24000.0", "value = true", r"\[parameters\.Cmax\], key 'value': is True: give a number"),
        ("value = 3900.0", "value = nan", r"\[parameters\.foldx\], key 'value'"),
        ("value = 3900.0", "value = 0.5", r"\[parameters\.foldx\], key 'value': 0\.5 is outside its bounds"),
        ("random_sd = 2.4", "random_sd = 2.4\nrandom_variance = 5.76", r"random_sd or random_variance, not both"),
        ('doi = "10', 'dio = "10', r"\[reference\], key 'dio': unknown key; did you mean 'doi'"),
        ('time_unit = "day"', 'time_unit = "fortnight"', r"key 'time_unit'"),
        ('time_unit = "day"', 'time_unit = "kg"', r"key 'time_unit': 'kg' is not a unit of time"),
        (
            'E = "rho*E"',
            'E = "roh*E"',
            r"'expansion', key 'equations\.E': unknown symbol `roh` in the equation of E; did you mean `rho`",
        ),
        (
            'ends_at = "Tmax"',
            'ends_at = "E"',
            r"'expansion', key 'ends_at': 'E' uses `E`, which is a state: the end of phase expansion may use foldx, ",
        ),
        ('ends_at = "Tmax"\n', "", r"key 'ends_at': every phase but the last"),
        ('M = "k*E - beta*M"\n', "", r"'decline', key 'equations\.M': the state has no equation"),
        ('expansion = "R0*exp(rho*t)"', 'expand = "R0"', r"closed_form\.expand': no such phase"),
        ('expansion = "R0*exp(rho*t)"', 'expansion = "E"', r"closed_form\.expansion': 'E' uses `E`, which is a state"),
        (
            'R0 = "Cmax/foldx"',
            'alpha = "Cmax/foldx"',
            r"\[definitions\], key 'alpha': the name `alpha` is already used for a parameter",
        ),
        ('R0 = "Cmax/foldx"', 't = "Cmax/foldx"', r"\[definitions\], key 't': the name `t` is already used for time"),
        ("rho = 0.88911095", "rhoo = 0.88911095", r"\[\[example\]\] 1, key 'derived\.rhoo'"),
        ("times = [0.0, 3.0,", "times = [3.0,", r"\[\[example\]\] 1, key 'outputs\.level': 11 values for 10 times"),
        ('unit = "copies/ug"\nexpression', 'unit = "parsec"\nexpression', r"\[outputs\.level\], key 'unit'"),
        ('kind = "additive on log"', 'kind = "odd"', r"\[outputs\.level\.residual\], key 'kind'"),
        ('alpha = "beta"', 'alhpa = "beta"', r"\[\[equivalent\]\] 1, key 'values\.alhpa'"),
        (
            'start = ["peak_time"]',
            'start = ["peek_time"]',
            r"\[parameters\.Tmax\], key 'start'.*did you mean `peak_time`",
        ),
        ("title =", "title", r"not a TOML file"),
        (
            'rho = "log(foldx)/Tmax"',
            'rho = "R0/Tmax"',
            r"\[definitions\], key 'rho': 'R0/Tmax' uses `R0`, which is not defined above it",
        ),
        (
            'unit = "1/day"',
            'unit = "1/furlong"',
            r"\[parameters\.alpha\], key 'unit': '1/furlong' is not made of known",
        ),
        (
            'unit = "1/day"',
            'unit = "1/h"',
            r"\[parameters\.alpha\], key 'unit': '1/h' counts time in h, the model in day",
        ),
        ('unit = "day*copies/ug"', 'unit = "day*copys/ug"', r"\[derived\.auc_0_28\], key 'unit'"),
        ('unit = "1"', 'unit = ""', r"\[parameters\.foldx\], key 'unit'"),
    ],
)
def test_fault_is_named(old, new, message):
    assert old in TEXT
    with pytest.raises(ModelFileError, match=message) as caught:
        read_model(TEXT.replace(old, new, 1), name="mine", file="mine.toml")
    assert str(caught.value).startswith("mine.toml: ")


def test_any_names_are_harmless():
    text = TEXT
    for old, new in (("alpha", "lambda"), ("foldx", "exp"), ("Cmax", "out"), ("Tmax", "np"), ("beta", "theta")):
        text = text.replace(old, new)
    renamed = read_model(text, name="renamed")
    times = [0, 5, 9.3, 30, 200]
    assert renamed.evaluate(times).tolist() == load_model("stein2019").evaluate(times).tolist()


def test_variance_is_read_as_variance():
    text = TEXT.replace("random_sd = 2.4", "random_variance = 2.4")
    assert read_model(text, name="v").parameters["foldx"].sd == pytest.approx(2.4**0.5)


def test_without_a_closed_form_the_equations_are_integrated():
    start, end = TEXT.index("[outputs.level.closed_form]"), TEXT.index("[outputs.level.residual]")
    text = (TEXT[:start] + TEXT[end:]).replace('scales_with = ["Cmax"]\n', "")
    model = read_model(text, name="ode", file="ode.toml")
    times = [0.0, 3.0, 9.3, 60.0]
    assert model.evaluate(times) == pytest.approx(load_model("stein2019").evaluate(times), rel=1e-5)
    with pytest.raises(InputError, match="has no closed form"):
        model.evaluate(times, method="closed_form")


def test_unknown_model_lists_the_nearest():
    with pytest.raises(InputError, match="did you mean 'stein2019'"):
        load_model("stien2019")
    with pytest.raises(InputError, match=r"known are .*stein2019"):
        load_model("zzz")
    with pytest.raises(InputError, match=r"nowhere\.toml: the model file cannot be read"):
        load_model("nowhere.toml")


def test_own_file_by_path(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(TEXT, encoding="utf-8")
    assert load_model(file).name == "mine"
    assert load_model(str(file)).hash == load_model("stein2019").hash
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelFileError, match="UTF-8"):
        load_model(file)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path):
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert load_model(file).hash == load_model("stein2019").hash


def test_what_is_not_a_name_is_refused():
    with pytest.raises(InputError, match="given by name or path, not as NoneType"):
        load_model(None)
