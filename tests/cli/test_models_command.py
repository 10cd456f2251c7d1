"""`ckinetics models`: the list, a page, and the check of a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ckinetics.cli.models import models
from ckinetics.modeling import list_models, load_model, read_sbml
from ckinetics.modeling.sbml import sbml_text
from ckinetics.reporting.pages.equations import rendered
from ckinetics.reporting.pages.model import WIDTH, list_lines, model_lines, table


def command(*words: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ckinetics", "models", *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | env,
    )


def stein(tmp_path: Path, old: str, new: str) -> Path:
    text = load_model("stein2019").text
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_the_list_says_what_each_model_has():
    head, *lines = list_lines([load_model("stein2019")])
    assert head.split("  ")[0] == "model"
    for word in ("stein2019", "2", "level", "all", "yes", "Stein", "2019:"):
        assert word in " ".join(lines).split()
    done = command()
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")} == {
        "model",
        *list_models(),
    }


@pytest.mark.parametrize("name", list_models())
def test_a_page_says_everything_and_fits(name):
    model = load_model(name)
    lines = model_lines(model)
    page = "\n".join(lines)
    spec = model.specification
    assert all(len(line) <= WIDTH for line in lines if " " in line.strip())
    assert spec.reference.doi in page
    for parameter in model.parameters:
        assert any(line.split()[:1] == [parameter] for line in lines)
    for state in spec.states:
        assert page.count(f"d{state}/dt = ") == len(spec.phases)
    for derived, value in model.derive().items():
        assert any(line.split()[:2] == [derived, f"{float(value):.6g}"] for line in lines)
    assert "trust: " in page
    for heading in ("Verified", "Parameters", "Equations", "Outputs", "Examples"):
        assert heading in lines
    assert all(line.isascii() for line in model_lines(model, ascii_only=True) if "/dt = " in line)


def test_random_effects_are_named_as_the_file_names_them(tmp_path):
    assert "SD 2.4 " in "\n".join(model_lines(load_model("stein2019")))
    other = load_model(stein(tmp_path, "random_sd = 2.4", "random_variance = 5.76"))
    assert "variance 5.76 " in "\n".join(model_lines(other))


@pytest.mark.parametrize(
    ("text", "shown", "plain"),
    [
        ("-k*E", "−k·E", "-k*E"),
        ("a-b+-c", "a − b + −c", "a - b + -c"),
        ("x**2/y ** -12", "x²/y⁻¹²", "x^2/y^-12"),
        ("x**n*2**0.5", "x^n·2^0.5", "x^n*2^0.5"),
        ("where(t>=T, 1e-3,a*(b -c))", "where(t ≥ T, 1e-3, a·(b − c))", "where(t >= T, 1e-3, a*(b - c))"),
        ("hill( x,2,K_1 )*x2", "hill(x, 2, K_1)·x2", "hill(x, 2, K_1)*x2"),
        ("lambda*x", "lambda·x", "lambda*x"),
    ],
)
def test_expressions_are_rendered(text, shown, plain):
    assert rendered(text) == shown
    assert rendered(text, ascii_only=True) == plain


def test_a_table_keeps_its_columns():
    lines = table([("a", "b", "word " * 40), ("long", "x\x1b[31m", "end")])
    assert {line.index("word") for line in lines if "word" in line} == {len("  long  x [31m  ")}
    assert all(line.isprintable() and len(line) <= WIDTH for line in lines)
    narrow = table([("a" * 60, "b" * 30, "what it is")])
    assert narrow[1] == "      what it is"


def test_show_and_text_and_a_terminal_without_the_characters():
    page = command("stein2019")
    assert page.returncode == 0
    assert "    dM/dt = k·E − beta·M\n" in page.stdout
    ascii_page = command("stein2019", PYTHONIOENCODING="ascii")
    assert ascii_page.returncode == 0
    assert "    dM/dt = k*E - beta*M\n" in ascii_page.stdout
    assert ascii_page.stdout.isascii()
    text = command("stein2019", "--text")
    assert text.stdout == load_model("stein2019").text


def test_a_check_of_a_good_file():
    done = command("check", "stein2019")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "stein2019.toml: the file is valid (6 parameters, 2 states, 2 phases, 1 output)" in said
    assert "  passed: typical patient: error" in said
    assert "closed form of level agrees with the integrated equations" in said
    assert "integration: " in said
    assert "level: rank 6 of 6: every parameter is identifiable" in said
    assert said.splitlines()[-1] == "passed"


def test_a_reader_who_has_seen_enough():
    process = subprocess.Popen(
        [sys.executable, "-m", "ckinetics", "models", "stein2019"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_a_check_finds_what_does_not_hold(tmp_path):
    wrong = stein(tmp_path, "level = [6.15385, 88.6247", "level = [6.15385, 88.7247")
    done = command("check", wrong)
    assert done.returncode == 1
    assert "  FAILED: typical patient: error 0.0011" in done.stdout
    assert done.stdout.splitlines()[-1] == "not passed"
    apart = stein(tmp_path, 'decline = "Cmax*((1 - FB)*exp(', 'decline = "Cmax*((1 - 2*FB)*exp(')
    done = command("check", apart)
    assert done.returncode == 1
    assert "closed form of level DIFFERS FROM the integrated equations" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["stein2091"], 2, "did you mean 'stein2019'"),
        (["check"], 2, "check needs a model's name, the path of a file, or all"),
        (["check", "stein2091"], 2, "did you mean 'stein2019'"),
        (["check", "nowhere.toml"], 1, "nowhere.toml: the model file cannot be read"),
        (["show", "stein2019"], 2, "write 'check stein2019'"),
        (["check", "stein2019", "--points", "0"], 2, "--points"),
    ],
)
def test_wrong_use(words, code, message):
    done = command(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('E = "-alpha*E"', 'E = "-alfa*E"', "unknown symbol `alfa` in the equation of E; did you mean `alpha`?"),
        ('E = "-alpha*E"', "E = \"__import__('os').system('true')\"", "mine.toml"),
        ('E = "-alpha*E"', f'E = "{"(" * 5000}E{")" * 5000}"', "mine.toml"),
    ],
)
def test_a_faulty_file_is_one_sentence(tmp_path, old, new, message):
    for words in (["check"], []):
        done = command(*words, stein(tmp_path, old, new))
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_model_goes_out_to_sbml_and_comes_back(tmp_path):
    xml, toml = tmp_path / "lv.xml", tmp_path / "lv.toml"
    done = command("export", "chaudhury2020_lv", "--out", xml)
    assert (done.returncode, done.stdout) == (0, f"wrote {xml}\n")
    assert sbml_text(load_model("chaudhury2020_lv")) == xml.read_text(encoding="utf-8")
    done = command("import", xml)
    assert (done.returncode, done.stdout) == (0, read_sbml(xml))
    toml.write_text(done.stdout, encoding="utf-8")
    spec, old = load_model(toml).specification, load_model("chaudhury2020_lv").specification
    assert {name: one.value for name, one in spec.parameters.items()} == {
        name: one.value for name, one in old.parameters.items()
    }
    before = toml.read_text(encoding="utf-8")
    done = command("import", xml, "--out", toml)
    assert (done.returncode, done.stdout) == (2, "")
    assert "which exists" in done.stderr
    assert toml.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["import"], 2, "ckinetics models import FILE.xml --out NAME.toml"),
        (["export"], 2, "ckinetics models export NAME --out FILE.xml"),
        (["export", "stein2091"], 2, "did you mean 'stein2019'"),
        (["export", "stein2019", "--out", "stein.sbml"], 2, "ends in .xml"),
        (["import", "nowhere.xml", "--out", "x.xml"], 2, "ends in .toml"),
        (["import", "nowhere.xml"], 1, "nowhere.xml: the SBML file cannot be read"),
        (["stein2019", "--out", "x.toml"], 2, "--out is of import, export and page"),
    ],
)
def test_wrong_use_of_sbml(words, code, message):
    done = command(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_sbml_file_that_cannot_be_said_is_one_sentence(tmp_path):
    path, out = tmp_path / "odd.xml", tmp_path / "odd.toml"
    path.write_text("<sbml level='3'><!-- cut", encoding="utf-8")
    done = command("import", path, "--out", out)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ckinetics: odd.xml: is not an XML file")
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()


def test_a_check_names_the_line_of_what_does_not_hold(tmp_path):
    wrong = stein(tmp_path, "level = [6.15385, 88.6247", "level = [6.15385, 88.7247")
    done = command("check", wrong)
    line = wrong.read_text(encoding="utf-8").split("level = [6.15385")[0].count("\n") + 1
    assert f"line {line}: level at 3 day is 88.6246" in " ".join(done.stdout.split())


def test_a_check_tells_every_fault_of_a_file(tmp_path):
    path = stein(tmp_path, 'E = "-alpha*E"', 'E = "-alfa*E"')
    path.write_text(path.read_text(encoding="utf-8").replace('"log(2)/beta"', '"log(2)/bet"'), encoding="utf-8")
    done = command("check", path)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("ckinetics: mine.toml: line ")
    assert "unknown symbol `alfa`" in first
    assert second.startswith("ckinetics: mine.toml: line ")
    assert "unknown symbol `bet`" in second


def test_the_whole_library_is_checked(monkeypatch, capsys, tmp_path):
    good, wrong = stein(tmp_path, "6.15385", "6.15385"), tmp_path / "wrong.toml"
    wrong.write_text(good.read_text(encoding="utf-8").replace("88.6247", "88.7247"), encoding="utf-8")
    monkeypatch.setattr("ckinetics.modeling.list_models", lambda: [str(good)])
    models("check", "all", points=1, seed=0)
    assert capsys.readouterr().out.splitlines()[-2:] == ["passed", ""]
    monkeypatch.setattr("ckinetics.modeling.list_models", lambda: [str(wrong), str(good)])
    with pytest.raises(typer.Exit) as ended:
        models("check", "all", points=1, seed=0)
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line in ("passed", "not passed")] == ["not passed", "passed"]


def test_a_check_says_which_inputs_it_judged_with():
    done = command("check", "stein2019_comedication", "--points", "2")
    assert "structural identifiability (local, with toci, ster as in an example)" in done.stdout
    assert "do not act" not in done.stdout


def test_the_library_is_written_as_a_page(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ckinetics.reporting.pages.library.list_models", lambda: ["stein2019"])
    models("page", out=tmp_path / "new")
    path = Path(capsys.readouterr().out.strip())
    assert path.parent == tmp_path / "new"
    assert "Stein 2019" in path.read_text(encoding="utf-8")
