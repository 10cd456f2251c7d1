"""Results of an earlier run that may be used again."""

from __future__ import annotations

import json
from pathlib import Path

from ..jobs import write_json
from ..provenance import sha256_file

FILE = "resume.json"


class Resume:
    """The keys of the results in an output folder.

    A result is used again only where its key is the same and its file has the bytes that were written.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / FILE
        self.entries: dict[str, dict[str, str]] = {}
        if self.path.is_file():
            try:
                found = json.loads(self.path.read_text(encoding="utf-8"))
                self.entries = {str(name): dict(entry) for name, entry in found.items()}
            except (json.JSONDecodeError, AttributeError, TypeError, ValueError, UnicodeDecodeError):
                self.entries = {}  # a damaged list of keys only means computing again

    def find(self, name: str, key: str) -> Path | None:
        """Return the file of a step's result, or None where it must be computed."""
        entry = self.entries.get(name, {})
        path = self.out / entry.get("file", "")
        if entry.get("key") != key or not path.is_file() or sha256_file(path) != entry.get("sha256"):
            return None
        return path

    def keep(self, name: str, key: str, path: Path) -> None:
        """Remember a result."""
        self.entries[name] = {"key": key, "file": path.name, "sha256": sha256_file(path)}
        write_json(self.path, self.entries)
