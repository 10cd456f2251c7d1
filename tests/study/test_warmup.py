"""What is compiled ahead of use is all that is compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ckinetics as ck
from ckinetics.errors import InputError, JobError
from ckinetics.study.warmup import warm_up

ANALYSES = """
import numpy as np
import ckinetics as ck
from ckinetics.modeling.solving import solve
example = ck.load_example("kimmel2021")
for preset in ("cell_therapy", "phoenix"):
    ck.nca(example, preset=preset, intervals=[(0, 28), (0, 90)], tobit=True, threads=2)
ck.nca(example, window=(0, 100), disposition=True, threshold=1.0)
levels = ck.simulate("stein2019", times=[3, 7, 10, 14, 21, 28, 60, 90], n=4, lloq=50.0)
ck.nca(levels.assign(se_well=0.02 * levels["level"]), uncertainty="both", draws=100, seed=2**40)
ck.nca(levels.assign(se_well=0.02 * levels["level"]), uncertainty="delta", threads=2)
ck.fit(levels, "stein2019", starts=2, threads=2)
ck.fit(levels, "stein2019", starts=1, fixed={"beta": 0.0032})
for name in ("stein2019", "one_compartment_oral"):
    model = ck.load_model(name)
    first = next(iter(model.parameters))
    for method in ("auto", "rodas5p", "tsit5"):
        model.evaluate([0.0, 1.0, 5.0], method=method)
        model.evaluate([5.0, np.nan, 1.0], {first: [20.0, 30.0]}, method=method, rtol=1e-4)
    theta = model.natural_parameters(None)[0][None]
    for steps in (2, 10_000):
        solve(model, np.array([[1.0, 50.0]]), theta, outputs=model.closed_forms, method="rodas5p", max_steps=steps)
    model.derive({first: [20.0, 30.0, 40.0]})
    ck.identifiability(model, points=2)
"""


def run(code: str, cache: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"CKINETICS_CACHE_DIR": str(cache)} | env,
    )


def compiled(cache: Path) -> set[str]:
    return {str(path.relative_to(cache)) for path in cache.rglob("*.nb[ic]")}


@pytest.mark.slow
def test_nothing_is_compiled_after_the_warm_up(tmp_path):
    done = run("from ckinetics.study.warmup import warm_up; warm_up(['stein2019', 'one_compartment_oral'])", tmp_path)
    assert done.returncode == 0, done.stderr
    before = compiled(tmp_path)
    assert len(before) > 20
    done = run(ANALYSES, tmp_path, CKINETICS_QUIET="0")
    assert done.returncode == 0, done.stderr
    assert compiled(tmp_path) == before
    assert "compiling" not in done.stderr


def test_steps_are_told_and_the_folder_is_returned():
    seen = []
    root = warm_up(["stein2019"], progress=lambda *step: seen.append(step))
    assert list(root.glob("compiled-*"))
    names = [name for name, _, _ in seen]
    assert [done for _, done, _ in seen] == list(range(len(seen)))
    assert {total for _, _, total in seen} == {len(seen) - 1}
    assert names[:3] == ["noncompartmental analysis", "censored lines", "errors from the assay"]
    assert "stein2019: derivatives by tsit5" in names
    assert names[-2:] == ["stein2019: fit", "done"]


def test_a_model_of_ones_own_and_a_wrong_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(ck.load_model("stein2019").text, encoding="utf-8")
    seen = []
    warm_up([path], progress=lambda name, done, total: seen.append(name))
    assert "mine: fit" in seen
    with pytest.raises(InputError, match="did you mean 'stein2019'"):
        warm_up(["stein2091"])


def test_without_a_folder_it_says_so(monkeypatch):
    monkeypatch.setattr("ckinetics.kernels.compiling.cache.cache_root", lambda: None)
    with pytest.raises(JobError, match="let CKINETICS_CACHE_DIR name one that can"):
        warm_up([])


def test_evaluations_of_any_shape_use_one_compiled_function():
    model = ck.load_model("stein2019")
    model.evaluate([1.0, 2.0])
    count = len(model.compiled.curves_level.signatures)
    model.evaluate([1.0, 2.0], {"Cmax": [1.0, 2.0]})
    model.evaluate(np.broadcast_to(np.array([1.0, 2.0]), (3, 2)))
    assert len(model.compiled.curves_level.signatures) == count == 1


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from ckinetics.errors import JobError
from ckinetics.study.warmup import warm_up
try:
    warm_up(["stein2019"], progress=lambda name, at, of: print(at))
except JobError as err:
    print(err)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files cannot be limited there")
def test_a_full_disk_ends_the_warm_up_at_once(tmp_path):
    done = run(FULL, tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    first, said = done.stdout.splitlines()
    assert first == "0"
    assert said.startswith(f"compiled code cannot be kept in {tmp_path}: ")
    assert "make room there" in said
