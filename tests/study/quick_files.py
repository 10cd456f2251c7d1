"""Files of results as pickles, which are written in a moment; that NetCDF keeps all of it other tests say."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ckinetics.jobs import atomic_path


def keep(data: Any, path: Path) -> Path:
    """Stand for `save`."""
    with atomic_path(path) as part:
        part.write_bytes(pickle.dumps(data))
    return path


def stored(path: Path) -> Any:
    """Stand for `load`."""
    return pickle.loads(path.read_bytes())
