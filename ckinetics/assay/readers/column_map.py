"""Any table, through the column names that a user gives for it."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import InputError
from .table import Family
from .tidy import COLUMNS, TASKS, read

# The names that users write, and the reader's own.
_NAMES = {"well": "position", "role": "task"} | {name: name for name in COLUMNS}
_COUNTS = ("n_partitions", "n_positive")


def family_of(columns: Mapping[str, str]) -> Family:
    """Return a family whose header holds every column of the map.

    Parameters
    ----------
    columns : mapping of str to str
        ``well``, ``sample``, ``target``, ``role``, ``cq``, ``quantity``, ``quantity_unit``, ``omit``,
        ``dye`` or ``run_id`` to the header that the table uses; for digital PCR ``n_partitions``, ``n_positive``,
        ``partition_nl``, ``concentration`` and ``reaction_ul``. ``well`` is needed, and ``cq`` or both counts.

    Raises
    ------
    InputError
        An unknown name, or a needed one that is missing.
    """
    known = ["well", "role", *(name for name in COLUMNS if name not in ("position", "task"))]
    for name, header in columns.items():
        if name not in _NAMES:
            raise InputError(f"columns: '{name}' is not a column of wells: use {', '.join(known)}")
        if not isinstance(header, str) or not header.strip():
            raise InputError(f"columns: '{name}' must be mapped to a header as text")
    mapped = {_NAMES[name]: (header,) for name, header in columns.items()}
    digital = any(name in mapped for name in _COUNTS)
    for name in ("well", *(_COUNTS if digital else ("cq",))):
        if _NAMES[name] not in mapped:
            raise InputError(f"columns: '{name}' is missing: say which header holds it")
    return Family(
        name="column_map",
        title="the column map",
        columns=mapped,
        required=tuple(mapped),
        tasks=TASKS,
        read=read,
        digital=digital,
    )
