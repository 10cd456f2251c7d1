"""Where generated and compiled code lies, under a name that changes with any edit of a kernel. Needs no numba."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import ckinetics.kernels

_KERNELS = Path(ckinetics.kernels.__path__[0])


@functools.cache
def cache_root() -> Path | None:
    """Return the folder for generated and compiled code, or None where none can be written.

    ``CKINETICS_CACHE_DIR`` names it; without that it is the user's cache folder.
    """
    named = os.environ.get("CKINETICS_CACHE_DIR", "").strip()
    for candidate in [named] if named else _default_roots():
        folder = Path(candidate)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def _default_roots() -> list[str]:
    roots = []
    if os.name == "nt" and os.environ.get("LOCALAPPDATA"):
        roots.append(os.path.join(os.environ["LOCALAPPDATA"], "ckinetics", "cache"))  # noqa: PTH118
    if os.environ.get("XDG_CACHE_HOME"):
        roots.append(os.path.join(os.environ["XDG_CACHE_HOME"], "ckinetics"))  # noqa: PTH118
    home = os.path.expanduser("~")  # noqa: PTH111  (Path.home raises where there is none)
    if home != "~":
        roots.append(os.path.join(home, ".cache", "ckinetics"))  # noqa: PTH118
    return roots


@functools.cache
def compiled_folder() -> Path | None:
    """Return the folder of compiled kernels for this very state of the kernel files."""
    root = cache_root()
    if root is None:
        return None
    folder = root / f"compiled-{kernel_stamp()}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder


# The versions of numba whose insides `compilers` is known to fit; a test compiles with and without it.
_KNOWN = ((0, 66), (0, 68))


@functools.cache
def fast_compiler() -> bool:
    """Whether kernels are compiled by the short way of `compilers`, and not as numba does, which takes longer.

    ``CKINETICS_PLAIN_NUMBA=1`` asks for numba's own way.
    """
    parts = version("numba").split(".")[:2]
    known = all(part.isdigit() for part in parts) and _KNOWN[0] <= tuple(map(int, parts)) <= _KNOWN[1]
    return known and os.environ.get("CKINETICS_PLAIN_NUMBA", "") in ("", "0")


@functools.cache
def kernel_stamp() -> str:
    """Return a hash over every kernel file, the numba and numpy versions and the way of compiling."""
    digest = hashlib.sha256(f"numba {version('numba')} numpy {version('numpy')} lean {fast_compiler()}".encode())
    digest.update(hash_of_files(_KERNELS, "*.py").encode())
    return digest.hexdigest()[:16]


def hash_of_files(folder: Path, *patterns: str) -> str:
    """Return a hash over the files of a folder and of every folder below it: their names and what they hold."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in folder.rglob(pattern)):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
