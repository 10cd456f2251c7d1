"""The exceptions of ckinetics.

::

    CkineticsError
    ├── InputError (also ValueError)   something a user gave is wrong; says where, and what to do
    │   ├── FileFormatError            a file whose layout no reader knows, or that is damaged
    │   ├── UnitError                  an unknown unit, or a conversion that is not allowed
    │   ├── ModelFileError             a model file, or an expression in it
    │   ├── ValidationError            a cohort with faults; ``.faults`` lists all of them
    │   └── StaleResultError           results and data that do not belong together
    └── JobError                       a locked output folder, a broken record

A patient that cannot be computed is not an exception: it is NaN with a coded reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LONGEST, _WORD = 2000, 200


def one_line(text: str) -> str:
    r"""Return text as it can stand in a message: one line, nothing that is not seen, and not endless.

    Examples
    --------
    >>> one_line("S1\n\u202eS2")
    'S1 \\u202eS2'
    """
    words = [word if len(word) <= _WORD else f"{word[: _WORD // 2]}…" for word in text[: 20 * _LONGEST].split()]
    line = " ".join(words)
    # What moves the cursor, colours a terminal, reverses what is read or is not seen is written out.
    seen = line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return seen if len(seen) <= _LONGEST else f"{seen[: _LONGEST - 500]} … {seen[-490:]}"


class CkineticsError(Exception):
    """Base of everything that ckinetics raises on purpose."""


class InputError(CkineticsError, ValueError):
    """Something a user gave is wrong.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and what to do about it.
    file, sheet, row : optional
        Where it was found; they are put in front of the message.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        sheet: str | None = None,
        row: int | str | None = None,
    ) -> None:
        message = one_line(message)
        self.message = message
        self.file = None if file is None else str(file)
        self.sheet = sheet or None
        self.row = row
        super().__init__(message)

    def __str__(self) -> str:
        where = []
        if self.file:
            where.append(one_line(Path(self.file).name))
        if self.sheet:
            where.append(f"sheet '{one_line(self.sheet)}'")
        if self.row is not None:
            where.append(f"row {self.row}")
        return f"{', '.join(where)}: {self.message}" if where else self.message


class FileFormatError(InputError):
    """A file whose layout no reader knows, or that is damaged."""


class UnitError(InputError):
    """An unknown unit, or a conversion that is not allowed."""


class ModelFileError(InputError):
    """A model file, or an expression in it, that cannot be used.

    Attributes
    ----------
    others : tuple of str
        Further faults that were found in the file, a sentence each: the message tells the first.
    """

    others: tuple[str, ...] = ()

    @classmethod
    def of_faults(cls, faults: Sequence[str], *, file: str | Path | None = None) -> ModelFileError:
        """Return the error that tells of several faults, the first one in its message."""
        error = cls(faults[0], file=file)
        error.others = tuple(one_line(fault) for fault in faults[1:])
        return error


@dataclass(frozen=True)
class Fault:
    """One fault of a cohort: which group and variable, where in it, and what is wrong."""

    group: str
    variable: str
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{self.group}/{self.variable}" if self.variable else self.group
        return f"{place}, {self.where}: {self.message}" if self.where else f"{place}: {self.message}"


class ValidationError(InputError):
    """A cohort with faults.

    Attributes
    ----------
    faults : tuple of Fault
        Every fault that was found, not only the first.
    """

    SHOWN = 20

    def __init__(self, faults: list[Fault] | tuple[Fault, ...]) -> None:
        self.faults = tuple(faults)
        lines = [f"  - {fault}" for fault in self.faults[: self.SHOWN]]
        if len(self.faults) > self.SHOWN:
            lines.append(f"  - and {len(self.faults) - self.SHOWN} more (see .faults)")
        count = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}"
        super().__init__(f"the cohort has {count}")
        self.message = f"{self.message}:\n" + "\n".join(lines)
        self.args = (self.message,)


class StaleResultError(InputError):
    """Results and data that do not belong together."""


class JobError(CkineticsError):
    """A locked output folder, or a record whose chain is broken."""
