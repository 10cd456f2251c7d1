"""Where something stands in a model file: table and key in words, and the line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import ModelFileError

# Most characters of a model file.
MAX_FILE = 300_000
_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*([A-Za-z0-9_.\-"']+)\s*=""")
_PLACE = re.compile(r"^(?:table (\[\[?[^\]]+\]\]?(?: '[^']*'| \d+)?)(?:, |: |$))?(?:key '([^']+)')?")
_QUOTES = ('"""', "'''")


@dataclass(frozen=True)
class Place:
    """A place in a model file.

    Attributes
    ----------
    table : str
        ``[parameters.foldx]``, ``[[phases]] 'decline'`` or ``[[example]] 1``.
    key : str
        The key; ``equations.E`` where the key is a table itself.
    what : str
        What stands there, in words.
    """

    table: str
    key: str
    what: str = "the expression"

    def __str__(self) -> str:
        return f"table {self.table}, key '{self.key}'"


def initial_value(state: str) -> Place:
    """Return the place of a state's initial value."""
    return Place(f"[states.{state}]", "initial", f"the initial value of {state}")


def definition(name: str) -> Place:
    """Return the place of a definition."""
    return Place("[definitions]", name, f"the definition of {name}")


def equation(phase: str, state: str) -> Place:
    """Return the place of a state's equation in a phase."""
    return Place(f"[[phases]] '{phase}'", f"equations.{state}", f"the equation of {state}")


def reset(phase: str, state: str) -> Place:
    """Return the place of the value that a state is given at a phase's start."""
    return Place(f"[[phases]] '{phase}'", f"reset.{state}", f"the reset of {state}")


def phase_end(phase: str) -> Place:
    """Return the place of a phase's end."""
    return Place(f"[[phases]] '{phase}'", "ends_at", f"the end of phase {phase}")


def output_expression(output: str) -> Place:
    """Return the place of an output's expression."""
    return Place(f"[outputs.{output}]", "expression", f"the output {output}")


def closed_form(output: str, phase: str) -> Place:
    """Return the place of an output's closed form in a phase."""
    return Place(f"[outputs.{output}]", f"closed_form.{phase}", f"the closed form of {output}")


def derived_expression(name: str) -> Place:
    """Return the place of a derived quantity's expression."""
    return Place(f"[derived.{name}]", "expression", f"the derived quantity {name}")


def start(parameter: str) -> Place:
    """Return the place of a parameter's first guesses."""
    return Place(f"[parameters.{parameter}]", "start", f"a first guess of {parameter}")


def equivalent_condition(number: int) -> Place:
    """Return the place of the condition of one [[equivalent]], counted from 1."""
    return Place(f"[[equivalent]] {number}", "when", "the condition")


def equivalent_value(number: int, parameter: str) -> Place:
    """Return the place of a parameter's value in one [[equivalent]], counted from 1."""
    return Place(f"[[equivalent]] {number}", f"values.{parameter}", f"the value of {parameter}")


def with_line(error: ModelFileError, text: str) -> ModelFileError:
    r"""Return the error with the line that it is about in front of each message, where that is found.

    Examples
    --------
    >>> error = ModelFileError("table [states.E], key 'unit': is missing", file="mine.toml")
    >>> str(with_line(error, "title = 'x'\n[states.E]\nlabel = 'y'"))
    "mine.toml: line 2, table [states.E], key 'unit': is missing"
    """
    return ModelFileError.of_faults([_lined(fault, text) for fault in (error.message, *error.others)], file=error.file)


def _lined(fault: str, text: str) -> str:
    match = _PLACE.match(fault)
    line = line_of(text, match[1] or "", match[2] or "") if match and match[0] else None
    return fault if line is None else f"line {line}, {fault}"


def line_of(text: str, table: str, key: str) -> int | None:
    r"""Return the line of a key, else that of its table, else None.

    Examples
    --------
    >>> line_of("a = 1\n[[example]]\nb = 2", "[[example]] 1", "b")
    3
    """
    lines = _lines(text)
    parts = key.split(".")
    for end in range(len(parts), 0, -1):
        found = lines.get((table, ".".join(parts[:end])))
        if found is not None:
            return found
    if len(parts) > 1 and table.endswith("]") and (f"{table[:-1]}.{parts[0]}]", "") in lines:
        return line_of(text, f"{table[:-1]}.{parts[0]}]", ".".join(parts[1:]))
    own = f"{table[:-1]}.{key}" if table else f"[{key}"  # a table of its own
    for (name, _), line in lines.items():
        if key and name.lstrip("[").startswith((f"{own[1:]}]", f"{own[1:]}.")):
            return line
    return lines.get((table, ""))


def _lines(text: str) -> dict[tuple[str, str], int]:
    """Return the line of every table ("" as key) and key that is written in the usual way."""
    lines: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    names: dict[str, str] = {}  # [[phases]] 1 is called [[phases]] 'expansion' in messages
    table, prefix, inside = "", "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        if inside:
            inside = "" if inside in line else inside
            continue
        header = _HEADER.match(line)
        if header:
            name = header[2].replace('"', "").replace("'", "").replace(" ", "")
            first, _, rest = name.partition(".")
            if header[1] == "[[":
                counts[name] = counts.get(name, 0) + 1
                table, prefix = f"[[{name}]] {counts[name]}", ""
                lines[table, ""] = number
            elif first in counts:
                table, prefix = f"[[{first}]] {counts[first]}", f"{rest}."
                lines.setdefault((table, rest), number)
            else:
                table, prefix = f"[{name}]", ""
                lines.setdefault((table, ""), number)
            continue
        key = _KEY.match(line)
        if key:
            name = prefix + key[1].replace('"', "").replace("'", "")
            lines.setdefault((table, name), number)
            named = re.search(r"""=\s*["']([^"']*)["']""", line)
            if name == "name" and named and table.startswith("[["):
                names[table] = f"{table.rpartition(' ')[0]} '{named[1]}'"
        for quotes in _QUOTES:
            if line.count(quotes) % 2:
                inside = quotes
                break
    for (at, found), number in list(lines.items()):
        if at in names:
            lines.setdefault((names[at], found), number)
    return lines
