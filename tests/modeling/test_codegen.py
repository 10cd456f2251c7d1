"""The generated module: kept between processes, renewed by any edit, and working where nothing can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ckinetics.modeling import load_model, read_model
from ckinetics.modeling.codegen.modules import generate_source, module_name

EVALUATE = """
import sys
from ckinetics.modeling import load_model
model = load_model(sys.argv[1] if len(sys.argv) > 1 else "stein2019")
values = model.evaluate([0.0, 9.3])
dispatcher = model.compiled.curves_level
hits = sum(dispatcher.stats.cache_hits.values()) if hasattr(dispatcher, "stats") else 0
print(round(float(values[1])), hits, getattr(model.compiled, "__file__", "memory"))
"""


def run(cache, *arguments, **more):
    environment = os.environ | {"CKINETICS_CACHE_DIR": str(cache)} | more
    environment.pop("NUMBA_DISABLE_JIT", None)
    environment |= more
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    level, hits, file = done.stdout.split()
    return int(level), int(hits), file


def test_a_second_process_uses_the_cache_and_leaves_the_file_alone(tmp_path):
    _, first_hits, file = run(tmp_path)
    written = Path(file).stat().st_mtime_ns
    level, second_hits, same = run(tmp_path)
    assert (first_hits, second_hits) == (0, 1)
    assert same == file
    assert Path(file).stat().st_mtime_ns == written
    assert level == 24000


def test_an_edited_model_is_never_served_from_the_cache(tmp_path):
    text = load_model("stein2019").text
    mine = tmp_path / "mine.toml"
    mine.write_text(text, encoding="utf-8")
    assert run(tmp_path, mine)[0] == 24000
    mine.write_text(text.replace("Cmax*((1 - FB)", "2*Cmax*((1 - FB)"), encoding="utf-8")
    level, hits, _ = run(tmp_path, mine)
    assert hits == 0
    assert level == 48000


def test_two_processes_may_race(tmp_path):
    environment = os.environ | {"CKINETICS_CACHE_DIR": str(tmp_path)}
    racing = [
        subprocess.Popen([sys.executable, "-c", EVALUATE], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].split()[0] for process in racing] == ["24000", "24000"]
    assert [process.returncode for process in racing] == [0, 0]


def test_nothing_can_be_written(tmp_path):
    file = tmp_path / "a_file"
    file.write_text("", encoding="utf-8")
    level, _, where = run(file / "below_a_file")
    assert (level, where) == (24000, "memory")


def test_a_damaged_file_is_written_again(tmp_path):
    file = Path(run(tmp_path)[2])
    file.write_text(file.read_text(encoding="utf-8")[:500], encoding="utf-8")
    assert run(tmp_path)[0] == 24000


ONE_KERNEL = """
from math import log
from ckinetics.kernels.fit.likelihood import log_normal_cdf
from ckinetics.kernels.compiling.jit import pointer

def equations(task, which, t, w, a, b, c):
    w[0] = t

assert abs(log_normal_cdf(0.0) - log(0.5)) < 1e-12
assert pointer(equations)
"""


@pytest.mark.parametrize(("ending", "left"), [("nbi", b""), ("nbi", b"\x80\x04\x95"), ("nbc", b"no compiled code")])
def test_a_damaged_file_of_compiled_code_is_compiled_again(tmp_path, ending, left):
    script = tmp_path / "ckinetics_one.py"
    script.write_text(ONE_KERNEL, encoding="utf-8")
    environment = os.environ | {"CKINETICS_CACHE_DIR": str(tmp_path / "cache")}
    environment.pop("NUMBA_DISABLE_JIT", None)

    def used():
        subprocess.run([sys.executable, script], env=environment, check=True)
        return {path: path.read_bytes() for path in sorted(tmp_path.rglob(f"*.{ending}"))}

    files = used()
    assert len(files) >= 2
    for path in files:
        path.write_bytes(left)
    again = used()
    assert again.keys() == files.keys()
    assert all(len(content) > len(left) for content in again.values())


def test_without_compilation(tmp_path):
    assert run(tmp_path, NUMBA_DISABLE_JIT="1")[0] == 24000


def test_name_follows_the_text_and_nothing_else():
    model = load_model("stein2019")
    assert module_name(model) == module_name(read_model(model.text, name="stein2019"))
    assert module_name(model) != module_name(read_model(model.text + "\n", name="stein2019"))


def test_an_edit_of_what_writes_it_gives_a_new_name(tmp_path, project_root):
    package = tmp_path / "ckinetics"
    shutil.copytree(project_root / "ckinetics", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(project_root / "models", tmp_path / "models")
    shutil.copy(project_root / "pyproject.toml", tmp_path)
    code = "from ckinetics.modeling import load_model; from ckinetics.modeling.codegen.modules import module_name; "
    code += "print(module_name(load_model('stein2019')))"

    def name():
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    before = name()
    assert name() == before
    templates = (package / "modeling" / "codegen" / "templates").glob("*.j2")
    parts = [f"modeling/codegen/templates/{path.name}" for path in sorted(templates)]
    assert "modeling/codegen/templates/system.py.j2" in parts
    parts += [
        "modeling/files/expressions.py",
        "modeling/codegen/system_code.py",
        "kernels/fit/likelihood.py",
        "kernels/ode/rodas5p.py",
    ]
    for part in parts:
        text = (package / part).read_text(encoding="utf-8")
        (package / part).write_text(text + "\n", encoding="utf-8")
        assert name() != before, part
        (package / part).write_text(text, encoding="utf-8")
    for part in ("simulation/profiles.py", "fitting/individual.py", "errors.py"):
        text = (package / part).read_text(encoding="utf-8")
        (package / part).write_text(text + "\n", encoding="utf-8")
    assert name() == before  # nothing else matters


def test_source_is_the_same_every_time():
    model = load_model("stein2019")
    assert generate_source(model) == generate_source(read_model(model.text, name="stein2019"))


INTEGRATE = """
from ckinetics.modeling import load_model
print(round(float(load_model("stein2019").evaluate([0.0, 9.3], method="tsit5")[1])))
"""


def test_a_process_may_be_killed_while_it_compiles(tmp_path):
    environment = os.environ | {"CKINETICS_CACHE_DIR": str(tmp_path)}
    environment.pop("NUMBA_DISABLE_JIT", None)
    # Once the module is written, nothing of it compiled; then with some functions compiled, and others not.
    for there, missing in (("models/*.py", "models/**/*.nbi"), ("**/*equations*.nbi", "**/*solve_row*.nbi")):
        with subprocess.Popen([sys.executable, "-c", INTEGRATE], env=environment, stderr=subprocess.DEVNULL) as process:
            while not any(tmp_path.glob(there)):
                assert process.poll() is None
                time.sleep(0.001)
            process.kill()
        assert not any(tmp_path.glob(missing))
    done = subprocess.run(
        [sys.executable, "-c", INTEGRATE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "24000\n"
    assert any(tmp_path.glob("**/*solve_row*.nbi"))
