"""Rules of the house that no other tool checks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 700
REGISTRY = re.compile(
    "py" + r"pi\.org|files\.python" + r"hosted|registry\.npm" + "js|con" + r"da\.io|ana" + r"conda\.org"
)
MACHINE_PATH = re.compile(r"(^|[\s\"'=(])/(work|root|home/\w+|tmp/\w+)/")


def main() -> int:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    faults = []
    for name in files:
        path = ROOT / name
        if (
            path.suffix not in {".py", ".pyi", ".md", ".toml", ".txt", ".j2", ".ipynb", ".cff", ""}
            or not path.is_file()
        ):
            continue
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        if path.suffix == ".py" and len(lines) > LIMIT:
            faults.append(f"{name}: {len(lines)} lines, {LIMIT} are allowed")
        if path.suffix == ".ipynb" and '"execution_count": null' not in text:
            faults.append(f"{name}: a notebook is stored without output")
        for number, line in enumerate(lines, start=1):
            if REGISTRY.search(line):
                faults.append(f"{name}:{number}: names a package registry's host")
            if MACHINE_PATH.search(line) and name != ".ci/house.py":
                faults.append(f"{name}:{number}: an absolute path of a machine")
    print("\n".join(faults) or f"{len(files)} files keep the rules")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
