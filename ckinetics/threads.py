"""Threads over slices: the one place that divides work on many profiles or patients among threads."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .errors import InputError


def thread_count(threads: int | None) -> int:
    """Return a number of threads: the one given, or for None that of the processors this process may use.

    Raises
    ------
    InputError
        It is no whole number of 1 or more.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise InputError(f"threads is {threads!r}: give a whole number of 1 or more")
    return int(threads)


def run_slices(work: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call ``work(first, last)`` over slices of ``range(count)``.

    Each item is computed alone and writes to its own place, so that the number of threads never changes a result.
    """
    if threads == 1 or count < 2:
        work(0, count)
        return
    edges = np.linspace(0, count, min(4 * threads, count) + 1).astype(int).tolist()
    work(0, 0)  # compile once, before threads would each wait for it
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, first, last) for first, last in itertools.pairwise(edges)]:
            done.result()
