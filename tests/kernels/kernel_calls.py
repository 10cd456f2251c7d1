"""How tests call what only other kernels call."""

from __future__ import annotations

from typing import Any

from ckinetics.kernels.compiling.jit import jit


def from_python(helper: Any) -> Any:
    """Return a helper as a kernel that Python can call."""
    return jit(getattr(helper, "py_func", helper))
