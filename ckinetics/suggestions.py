"""What a misspelt name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_NAME, _SHOWN = 100, 30


def suggestion(name: object, known: Iterable[object], *, quote: str = "'") -> str:
    """Return ``; did you mean 'X'?`` for the nearest known name, or the list of known names.

    Examples
    --------
    >>> suggestion("alpah", ["alpha", "beta"])
    "; did you mean 'alpha'?"
    """
    names, name = [str(item) for item in known], str(name)
    near = [item for item in names if item.lower() == name.lower()]
    near = near or difflib.get_close_matches(name[:_LONGEST_NAME], names, n=2, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(f'{quote}{item}{quote}' for item in near)}?"
    return f"; known are {listed(names)}" if names else ""


def listed(names: Iterable[object]) -> str:
    """Return the first names as a list in words."""
    found = [str(name) for name in names]
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
