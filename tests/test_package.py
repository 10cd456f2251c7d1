"""The import, the public surface, the packaging."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ckinetics as ck


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    loaded = modules_after("import ckinetics")
    heavy = {"numba", "matplotlib", "sympy", "statsmodels", "scipy", "pandas", "xarray", "pydantic", "libsbml"}
    assert not loaded & heavy


def test_help_imports_only_the_command_line_library() -> None:
    loaded = modules_after(
        "from ckinetics.cli.main import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    )
    heavy = {"numba", "matplotlib", "sympy", "statsmodels", "scipy", "pandas", "xarray", "numpy", "pydantic", "jinja2"}
    assert not loaded & heavy
    ours = {name for name in loaded if name.startswith("ckinetics")}
    assert {name for name in ours if not name.startswith("ckinetics.cli")} == {"ckinetics", "ckinetics._version"}


def test_every_public_name_loads_and_is_documented() -> None:
    for name in ck.__all__:
        value = getattr(ck, name)
        if callable(value):
            assert value.__doc__, name
            assert value.__doc__.strip(), name
    assert set(ck.__all__) <= set(dir(ck))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ck.nothing


def test_stub_names_the_same_as_the_package() -> None:
    stub = ast.parse(Path(ck.__file__).with_name("__init__.pyi").read_text())
    names = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == set(ck.__all__)


def test_no_module_has_the_name_of_a_public_function() -> None:
    folder = Path(ck.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    functions = {name for name in ck.__all__ if callable(getattr(ck, name))}
    assert not modules & functions


def test_only_kernels_touch_numba() -> None:
    folder = Path(ck.__file__).parent
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").split(".")[0])
        inside = path.is_relative_to(folder / "kernels")
        assert inside or "numba" not in imported, path
        if inside:
            assert not imported & {"xarray", "pandas", "scipy"}, path


STAMPS = """
from pathlib import Path
import ckinetics
from ckinetics.kernels.compiling import cache
from ckinetics.modeling.codegen import modules as codegen

package = Path(ckinetics.__path__[0])
print(package)

def stamps():
    cache.kernel_stamp.cache_clear()
    codegen._stamp.cache_clear()
    return {"kernels": cache.kernel_stamp(), "modeling": codegen.generator_stamp()}

before = stamps()
for room in before:
    (package / room / "deeper" / "still").mkdir(parents=True)
    for path in (*sorted((package / room).rglob("*.*")), package / room / "deeper" / "still" / "new.py"):
        if path.suffix not in (".py", ".j2"):
            continue
        text = path.read_text() if path.exists() else None
        path.write_text((text or "") + "\\n# edited\\n")
        print(path.relative_to(package).as_posix(), stamps()[room] != before[room])
        path.unlink() if text is None else path.write_text(text)
print("as before", stamps() == before)
"""


def test_an_edit_of_any_kernel_or_generator_file_changes_the_stamp(tmp_path: Path) -> None:
    import shutil

    source = Path(ck.__path__[0])
    shutil.copytree(source, tmp_path / "ckinetics", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-B", "-c", STAMPS], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    package, *edits, whole = done.stdout.splitlines()
    assert Path(package).is_relative_to(tmp_path)
    expected = []
    for room in ("kernels", "modeling"):
        files = [path for path in source.joinpath(room).rglob("*.*") if path.suffix in (".py", ".j2")]
        expected += [path.relative_to(source).as_posix() for path in sorted(files)] + [f"{room}/deeper/still/new.py"]
    assert edits == [f"{name} True" for name in expected]
    assert whole == "as before True"


ONE_KERNEL = """
from math import log
from ckinetics.kernels.fit.likelihood import log_normal_cdf
assert abs(log_normal_cdf(0.0) - log(0.5)) < 1e-12
"""
ALL_OF_NCA = """
import ckinetics as ck
r = ck.nca(ck.kinetics_from_arrays([0, 7, 14, 28], [[0, 9000, 3000, 400]], unit='copies/ug', lloq=50))
assert float(r['cmax'].item()) == 9000
"""


@pytest.mark.parametrize("case", ["read-only", "no home"])
@pytest.mark.parametrize("use", [ONE_KERNEL, pytest.param(ALL_OF_NCA, marks=pytest.mark.slow)], ids=["one", "nca"])
def test_kernels_compile_where_nothing_can_be_cached(tmp_path: Path, case: str, use: str) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CKINETICS", "NUMBA"))}
    if case == "read-only":
        env["CKINETICS_CACHE_DIR"] = str(blocked / "cache")
    else:
        env |= {"HOME": str(blocked / "home"), "USERPROFILE": str(blocked), "LOCALAPPDATA": "", "XDG_CACHE_HOME": ""}
    code = f"from ckinetics.kernels.compiling.cache import cache_root\nassert cache_root() is None\n{use}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
