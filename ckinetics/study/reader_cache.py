"""Readings of plate exports kept in an output folder, so that a run that goes on reads no file twice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..assay.exports import Export
from ..jobs import write_text
from ..provenance import sha256_file
from ..schema import GROUPS

FOLDER = "files"


class Kept:
    """The files in an output folder that its record vouches for.

    A file counts only where the record says that it was written, with the bytes that it has, under the key that it is
    asked for: one that was changed since, or whose writing was not recorded before the end, is made again.
    """

    def __init__(self, out: Path, entries: list[dict[str, Any]]) -> None:
        self.out = out
        self._known: dict[str, tuple[str, str]] = {}
        for entry in entries:
            data = entry["data"]
            if "kept" in data:
                self._known[str(data["kept"])] = (str(data["kept_sha256"]), str(data["key"]))

    def find(self, name: str, key: str) -> Path | None:
        """Return a file of the folder, None where it must be made."""
        path = self.out / name
        known = self._known.get(name)
        if known is None or known[1] != key or not path.is_file() or sha256_file(path) != known[0]:
            return None
        return path

    def entry(self, name: str, key: str) -> dict[str, Any]:
        """Return what the record must say of a file that was just written."""
        digest = sha256_file(self.out / name)
        self._known[name] = (digest, key)
        return {"kept": name, "kept_sha256": digest, "key": key}


def reading_name(sha256: str) -> str:
    """Return the name under which the reading of a file with these bytes is kept."""
    return f"{FOLDER}/{sha256}.json"


def write_reading(path: Path, export: Export) -> None:
    """Keep what was read from a file."""
    content = {
        "sha256": export.sha256,
        "file": export.path.name,
        "family": export.family,
        "software": export.software,
        "rows": [{name: _plain(value) for name, value in row.items()} for row in export.rows],
    }
    write_text(path, json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")


def read_reading(path: Path, source: Path) -> Export:
    """Return what was kept, as if read from `source`, a file with the same bytes under whatever name."""
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows = [{name: _number(name, value) for name, value in row.items()} for row in content["rows"]]
    for row in rows:
        row["file"] = source.name
    return Export(source, content["sha256"], content["family"], content["software"], rows)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else repr(value)
    return int(value) if isinstance(value, int) else value


def _number(name: str, value: Any) -> Any:
    if value is None:
        return math.nan
    var = GROUPS["wells"].by_name.get(name)
    return float(value) if var is not None and var.kind == "float" else value
