"""Notes to the person who waits: one line on stderr, unless what runs ckinetics wants them elsewhere or not at all.

``CKINETICS_QUIET=1`` silences them for a process and all that it starts.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

Writer = Callable[[str], None]


def _to_stderr(line: str) -> None:
    if sys.stderr is not None:  # a program without a console has none
        with contextlib.suppress(OSError, ValueError):  # a closed pipe or stream: nobody is there to read
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _to_nobody(line: str) -> None:
    pass


_WRITERS: list[Writer] = [_to_stderr]


def set_writer(writer: Writer | None) -> None:
    """Choose what is done with notes.

    Parameters
    ----------
    writer : callable, optional
        Takes one line, from any thread; None drops notes.

    Examples
    --------
    >>> lines = []
    >>> set_writer(lines.append)
    >>> reset_writer()
    """
    _WRITERS[-1] = _to_nobody if writer is None else writer


def reset_writer() -> None:
    """Write notes to stderr again."""
    _WRITERS[-1] = _to_stderr


def tell(line: str) -> None:
    """Hand a note to the writer, unless ``CKINETICS_QUIET`` is set to anything but 0."""
    if os.environ.get("CKINETICS_QUIET", "").strip() in ("", "0"):
        _WRITERS[-1](line)
