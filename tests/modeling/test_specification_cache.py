"""Specifications as they are kept: the same values, read back without pydantic and sympy."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from ckinetics.modeling import list_models, model_folder
from ckinetics.modeling.codegen.specification_cache import from_line, to_line
from ckinetics.modeling.files.reading import read_specification


def assert_same(kept, said):
    if hasattr(type(said), "model_fields"):
        assert set(vars(kept)) == {*type(said).model_fields, *type(said).model_computed_fields}
        for name, value in vars(kept).items():
            assert_same(value, getattr(said, name))
    elif isinstance(said, dict):
        assert list(kept) == list(said)
        for name in said:
            assert_same(kept[name], said[name])
    elif isinstance(said, tuple | list):
        assert type(kept) is type(said)
        assert len(kept) == len(said)
        for one, other in zip(kept, said, strict=True):
            assert_same(one, other)
    else:
        assert type(kept) is type(said)
        assert kept == said


@pytest.mark.parametrize("name", list_models())
def test_what_is_kept_is_what_the_file_says(name):
    said = read_specification((model_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    kept = from_line(to_line(said))
    assert_same(kept, said)
    assert to_line(kept) == to_line(said)
    assert pickle.loads(pickle.dumps(kept)) == kept


SECOND_START = """
import sys
from ckinetics.modeling import load_model
model = load_model("stein2019")
print(model.evaluate([9.3])[0].round(), model.parameters["Tmax"].sd, *({"pydantic", "sympy"} & {*sys.modules}))
"""


def test_a_second_start_imports_neither_pydantic_nor_sympy(tmp_path):
    environment = os.environ | {"CKINETICS_CACHE_DIR": str(tmp_path)}
    lines = [
        subprocess.run(
            [sys.executable, "-c", SECOND_START], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert set(lines[0][2:]) == {"pydantic", "sympy"}
    assert lines[1] == lines[0][:2]
