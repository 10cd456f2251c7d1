"""Files that lie beside an export and hold no results of wells: what they are, so that a message can say it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..cells import fold
from ..sources import Source

# Folded names that are all in the header, and what a table with them holds.
_KINDS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"ch1 amplitude"}), "the amplitudes of a well's droplets"),
    (frozenset({"well id", "index", "reject"}), "single partitions"),
    (frozenset({"cycle", "a1"}), "the fluorescence of each cycle"),
    (frozenset({"cycle", "a01"}), "the fluorescence of each cycle"),
    (frozenset({"well", "cycle"}), "the fluorescence of each cycle"),
    (frozenset({"well", "cycle number"}), "the fluorescence of each cycle"),
    (frozenset({"temperature", "a1"}), "a melt curve"),
    (frozenset({"temperature", "a01"}), "a melt curve"),
    (frozenset({"well", "temperature", "derivative"}), "a melt curve"),
    (frozenset({"melt temperature"}), "melting temperatures"),
)
_ROWS = 100


def explain(source: Source, names: Sequence[str]) -> str:
    """Say what a file without results is, "" where that is not known.

    Parameters
    ----------
    source : Source
        The file.
    names : sequence of str
        The header that was found nearest to one of wells; empty where none was, and each row may be one.
    """
    rows: Iterable[Sequence[Any]] = [names]
    if not names:
        rows = (row.cells for sheet in source.sheet_names for row in source.rows(sheet)[:_ROWS])
    for row in rows:
        folded = {fold(cell) for cell in row if isinstance(cell, str)}
        for needed, what in _KINDS:
            if needed <= folded:
                return f"it holds {what} and no results: export the table of results, and keep this file elsewhere"
    return ""
