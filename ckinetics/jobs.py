"""Writing that survives: atomic files, one writer per folder, resume keys, a hash-chained record.

Everything in ckinetics that writes a file goes through this module.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import JobError
from .provenance import now, settings_json, sha256_file, user, versions

LOCK_NAME = ".ckinetics.lock"
RECORD_NAME = "record.jsonl"
GENESIS = "0" * 64


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to `path` when the block ends well.

    A reader sees the old file or the new one, never a part. When the block fails the old file stays as
    it was and the temporary one is removed.

    Parameters
    ----------
    path : str or Path
        The file to write. Its folder is created when missing.

    Yields
    ------
    Path
        A path in the same folder, with the same suffix.
    """
    target = Path(path)
    if target.is_dir():
        raise JobError(f"cannot write {target}: it is a folder; name a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=f".part{target.suffix}", dir=target.parent)
    except OSError as err:
        raise JobError(f"cannot write {target}: {err.strerror or err}; choose a folder you may write to") from err
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes files private; a result is as readable as any file its owner makes.
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(target)
    except BaseException as err:
        part.unlink(missing_ok=True)
        if isinstance(err, OSError) and err.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise JobError(f"cannot write {target}: the disk is full; make room and run again") from err
        raise


def remove_unfinished(folder: str | Path) -> list[str]:
    """Remove what `atomic_path` was writing in a folder when its process was killed, and return the names.

    Only for who holds the folder's lock: another writer's file may be among them otherwise.
    """
    parts = [path for path in sorted(Path(folder).iterdir()) if re.fullmatch(r"\..+\.\w{8}\.part(\.\w+)?", path.name)]
    for path in parts:
        path.unlink()
    return [path.name for path in parts]


def write_text(path: str | Path, text: str) -> None:
    """Write text atomically, as UTF-8 with Unix line ends."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Mapping[str, Any] | list[Any]) -> None:
    """Write JSON atomically, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def locked_folder(folder: str | Path, *, timeout: float = 0.0) -> Iterator[Path]:
    """Hold the one writer's lock of an output folder.

    The lock is the operating system's: it is gone when the process is, however it ended.

    Parameters
    ----------
    folder : str or Path
        The output folder; created when missing.
    timeout : float
        Seconds to wait for another writer.

    Raises
    ------
    JobError
        Another process is writing there, or the folder cannot be made.
    """
    out = Path(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK_NAME, timeout=timeout)
        lock.acquire()
    except Timeout:
        raise JobError(
            f"{out} is being written by another ckinetics process: wait for it, or choose another folder"
        ) from None
    except OSError as err:
        raise JobError(f"cannot write to {out}: {err.strerror or err}; choose a folder you may write to") from err
    try:
        yield out
    finally:
        lock.release()


def resume_key(step: str, *, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Return the key under which a step's result may be used again.

    It changes with the step, with the hash of any input, with any setting and with the version of any
    package that computes, so a result found under it is the result that would be computed.

    Parameters
    ----------
    step : str
        Name of the step.
    inputs : mapping of str to str
        Name of each input, and its SHA-256 or content hash.
    settings : mapping
        Everything that changes the result.
    """
    text = settings_json({"step": step, "inputs": dict(inputs), "settings": dict(settings), "versions": versions()})
    return hashlib.sha256(text.encode()).hexdigest()


class Record:
    """A log of a folder's steps in which each entry carries the hash of the one before.

    One JSON object a line: ``seq, time, by, event, data, previous, hash``. An entry that is changed,
    removed or inserted later breaks the chain, and `verify` names the line. A line torn by a crash is
    taken off the end when the record is next opened, and that is itself recorded.

    Parameters
    ----------
    path : str or Path
        The record's file (or the folder that holds ``record.jsonl``).
    """

    def __init__(self, path: str | Path) -> None:
        where = Path(path)
        self.path = where / RECORD_NAME if where.is_dir() else where
        self._torn = self._drop_torn_line()
        entries = self.verify()
        self._last = entries[-1]["hash"] if entries else GENESIS
        self._seq = len(entries)
        if self._torn:
            self.append(
                "torn line removed",
                {"bytes": len(self._torn), "sha256": hashlib.sha256(self._torn).hexdigest()},
            )

    def _drop_torn_line(self) -> bytes:
        if not self.path.exists():
            return b""
        raw = self.path.read_bytes()
        end = raw.rfind(b"\n") + 1
        if end == len(raw):
            return b""
        with atomic_path(self.path) as part:
            part.write_bytes(raw[:end])
        return raw[end:]

    def append(self, event: str, data: Mapping[str, Any] | None = None) -> str:
        """Add an entry and return its hash; it is on disk when this returns."""
        body = {
            "seq": self._seq,
            "time": now(),
            "by": user(),
            "event": event,
            "data": json.loads(settings_json(data or {})),
            "previous": self._last,
        }
        digest = _entry_hash(body)
        line = json.dumps({**body, "hash": digest}, ensure_ascii=False, sort_keys=True) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())
        self._last, self._seq = digest, self._seq + 1
        return digest

    def append_output(self, event: str, path: str | Path, **data: Any) -> str:
        """Add an entry for a file that was written, with its SHA-256."""
        file = Path(path)
        return self.append(event, {"file": file.name, "sha256": sha256_file(file), **data})

    def verify(self) -> list[dict[str, Any]]:
        """Return all entries; raise `JobError` naming the first line that breaks the chain."""
        entries: list[dict[str, Any]] = []
        if not self.path.exists():
            return entries
        previous = GENESIS
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                entry = json.loads(line)
                body = {key: value for key, value in entry.items() if key != "hash"}
                sound = (
                    entry["hash"] == _entry_hash(body) and entry["previous"] == previous and entry["seq"] == number - 1
                )
            except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
                sound = False
            if not sound:
                raise JobError(
                    f"{self.path.name}, line {number}: the chain of hashes is broken, so the record was "
                    "changed after it was written; keep it as evidence and start a new output folder"
                )
            previous = entry["hash"]
            entries.append(entry)
        return entries


def _entry_hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
