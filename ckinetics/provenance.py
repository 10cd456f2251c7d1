"""Where a number comes from: input hashes, settings, versions, who and when, and content hashes."""

from __future__ import annotations

import ctypes
import getpass
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._version import __version__

if TYPE_CHECKING:
    import xarray as xr

# Attributes that say when, by whom and with what, or that are derived from the content, are not content.
VOLATILE_ATTRS = frozenset({"created", "created_by", "content_hash", "ckinetics_version"})
_PACKAGES = ("numpy", "scipy", "pandas", "xarray", "numba", "sympy", "statsmodels", "python-calamine")


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def settings_json(settings: Mapping[str, Any]) -> str:
    """Return settings as one canonical JSON string: sorted keys, infinities spelled out.

    Examples
    --------
    >>> settings_json({"b": (0, float("inf")), "a": None})
    '{"a": null, "b": [0, "inf"]}'
    """
    return json.dumps(_plain(settings), sort_keys=True, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [_plain(item) for item in items]
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Path):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a setting of type {type(value).__name__} cannot be recorded")


def versions() -> dict[str, str]:
    """Return the versions of ckinetics, of Python and of the packages that compute."""
    found = {"ckinetics": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def user() -> str:
    """Return who runs this: ``CKINETICS_USER``, else the login name, else 'unknown'."""
    named = os.environ.get("CKINETICS_USER", "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no login name in some containers
        return "unknown"


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def result_attrs(
    *, title: str, settings: Mapping[str, Any] | None = None, source: str = "", **more: str | float | int
) -> dict[str, Any]:
    """Return the attributes that every result carries.

    Parameters
    ----------
    title : str
        What the result is.
    settings : mapping, optional
        Every option that had variants; stored as one JSON string.
    source : str
        Content hash of the cohort (or other data) that the result was computed from.
    **more
        Further attributes, numbers or strings.
    """
    attrs: dict[str, Any] = {"title": title, "ckinetics_version": __version__, "created": now()}
    if settings is not None:
        attrs["settings"] = settings_json(settings)
    if source:
        attrs["cohort_hash"] = source
    attrs.update(more)
    return attrs


def content_hash(data: xr.DataTree | xr.Dataset) -> str:
    """Return a SHA-256 over everything that `data` says: names, dims, dtypes, values, attributes.

    Who made it and when are left out, so equal content gives equal hashes.

    Examples
    --------
    >>> import xarray as xr
    >>> content_hash(xr.Dataset({"a": 1.0})) == content_hash(xr.Dataset({"a": 1.0}))
    True
    """
    import xarray as xr

    digest = hashlib.sha256()
    nodes = (
        {node.path: node.to_dataset(inherit=False) for node in data.subtree}
        if isinstance(data, xr.DataTree)
        else {"/": data}
    )
    for path in sorted(nodes):
        dataset = nodes[path]
        _feed(digest, path, _attrs_json(dataset.attrs))
        for name in sorted(dataset.variables, key=str):
            variable = dataset.variables[name]
            _feed(digest, str(name), repr(variable.dims), repr(variable.shape), str(variable.dtype))
            _feed(digest, str(name in dataset.coords), _attrs_json(variable.attrs))
            for chunk in _bytes_of(variable.values):
                digest.update(chunk)
    return digest.hexdigest()


def _feed(digest: Any, *texts: str) -> None:
    for text in texts:
        raw = text.encode()
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)


def _attrs_json(attrs: Mapping[Any, Any]) -> str:
    return settings_json({str(key): value for key, value in attrs.items() if key not in VOLATILE_ATTRS})


# Numbers are hashed in blocks that stay in the processor's cache.
_BLOCK = 1 << 15


def _bytes_of(values: np.ndarray) -> Iterator[bytes | memoryview]:
    """Yield how an array is told, and then what it holds.

    One value, or one row, that fills the whole array (limits, and times that all patients share) is yielded once: to
    look for it takes a tenth of the time of a hash.
    """
    if values.dtype.kind in "OUS":
        yield from _bytes_of_words(values)
        return
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.kind in "mM":
        flat = flat.view(np.int64)
    for kind, width in ((b"constant", 1), (b"rows", values.shape[-1] if values.ndim > 1 else 0)):
        if _is_repeated(flat, width):
            yield kind
            yield _canonical(flat[:width]).tobytes()
            return
    yield b"each"
    for block in _blocks(flat, _BLOCK):
        yield _canonical(block).data


def _blocks(flat: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (flat[start : start + size] for start in range(0, flat.size, size))


def _canonical(numbers: np.ndarray) -> np.ndarray:
    """Return numbers with one NaN and one zero: what compares alike hashes alike."""
    if numbers.dtype.kind != "f":
        return numbers
    clean = numbers + 0.0
    clean[np.isnan(clean)] = np.nan
    return clean


def _is_repeated(flat: np.ndarray, width: int) -> bool:
    """Whether the first `width` numbers fill the whole array, again and again."""
    if not 0 < width < flat.size:
        return False
    first = flat[:width]
    # The last row and one in the middle tell most arrays that it does not.
    for start in (flat.size - width, flat.size // 2 // width * width):
        if not _alike(flat[start : start + width], first):
            return False
    rows = max(_BLOCK // width, 1)
    many = first if width == 1 else np.tile(first, rows)
    return all(_alike(block, many[: block.size]) for block in _blocks(flat, rows * width))


def _alike(left: np.ndarray, right: np.ndarray) -> bool:
    kind, size = left.dtype.kind, left.dtype.itemsize
    # One pass finds equal bits, whether numbers or NaN; minus zero and NaN of other bits are rare.
    if kind == "f" and size <= 8 and (left.view(f"u{size}") == right.view(f"u{size}")).all():
        return True
    same = left == right
    if kind == "f":
        same |= np.isnan(left) & np.isnan(right)
    return bool(same.all())


def _bytes_of_words(values: np.ndarray) -> Iterator[bytes]:
    if values.size > 1 and _same_object(values):
        yield from _told_text(b"constant", str(values.flat[0]))
        return
    words = values.ravel().tolist()
    try:
        text = "\0".join(words)
    except TypeError:  # some are no text
        words = [str(item) for item in words]
        text = "\0".join(words)
    if len(words) > 1 and words[0] == words[-1] and len(set(words)) == 1:
        yield from _told_text(b"constant", words[0])
        return
    if text.count("\0") >= len(words):
        # A word holds the separator: lengths say where each ends.
        yield b"lengths"
        yield np.fromiter(map(len, words), dtype=np.int64, count=len(words)).tobytes()
    yield from _told_text(b"words", text)


def _told_text(kind: bytes, text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield kind
    yield len(raw).to_bytes(8, "little")
    yield raw


def _same_object(values: np.ndarray) -> bool:
    """Whether an array of objects holds one object throughout, as a variable of words that nobody gave does.

    The references themselves are compared: millions of words would take seconds to look at one by one.
    """
    if values.dtype.kind != "O" or not values.flags.c_contiguous:
        return False
    references = np.ctypeslib.as_array((ctypes.c_ssize_t * values.size).from_address(values.ctypes.data))
    return all((block == references[0]).all() for block in _blocks(references, _BLOCK))
