"""Says once a process that code is being compiled, when that takes long enough for somebody to wonder.

numba announces each compilation (not what it loads from its cache). A note goes out when all of them together have
taken `PATIENCE` seconds: a function or two that compile quickly are not worth a line.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numba.core.event

from ...notices import tell
from .cache import cache_root

PATIENCE = 1.0
OURS = "ckinetics"  # begins the names of our modules, generated ones too


class CompileWatch(numba.core.event.Listener):  # type: ignore[misc]
    """Counts the time of compilations, and calls `say` once."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.lock = threading.RLock()
        self.depth, self.spent, self.began = 0, 0.0, 0.0
        self.told = False
        self.timer: threading.Timer | None = None

    def on_start(self, event: Any) -> None:
        """Note that numba begins to compile a function."""
        if _is_ours(event):
            self.begin()

    def on_end(self, event: Any) -> None:
        """Note that numba has compiled a function."""
        if _is_ours(event):
            self.end()

    def begin(self) -> None:
        """Begin to count; a compilation inside another counts once."""
        with self.lock:
            self.depth += 1
            if self.depth > 1:
                return
            self.began = time.perf_counter()
            if self.told:
                return
            left = self.patience - self.spent
            if left <= 0:
                self.say()
                return
            self.timer = threading.Timer(left, self.say)
            self.timer.daemon = True
            with contextlib.suppress(RuntimeError):  # no thread can be started: then without a note
                self.timer.start()

    def end(self) -> None:
        """Stop to count."""
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                self.spent += time.perf_counter() - self.began
                if self.timer is not None:
                    self.timer.cancel()
                    self.timer = None

    def say(self) -> None:
        """Tell, once, that code is being compiled."""
        with self.lock:
            if self.told:
                return
            self.told = True
        if cache_root() is None:
            tell(
                "ckinetics: compiling. No cache folder can be written, so every process does this again: "
                "let CKINETICS_CACHE_DIR name a folder that can be."
            )
        else:
            tell(
                "ckinetics: compiling, once on this computer; it can take a minute. "
                "`ckinetics warmup` does it for everything beforehand."
            )


def _is_ours(event: Any) -> bool:
    function = getattr((event.data or {}).get("dispatcher"), "py_func", None)
    return str(getattr(function, "__module__", "")).startswith(OURS)


WATCH = CompileWatch()
numba.core.event.register("numba:compile", WATCH)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Count a compilation that numba does not announce."""
    WATCH.begin()
    try:
        yield
    finally:
        WATCH.end()
