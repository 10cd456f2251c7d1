"""The text of a model file made of an SBML file's course: names that are valid, units, and where all of it is from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..files.specification import RESERVED
from .contents import Course
from .quantities import Quantities, Quantity
from .trees import TIME, ast, lowered, name, substituted, text_of

_VALID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Source:
    """What is said about the file itself.

    Attributes
    ----------
    file : its name
    title : the model's name, or its id
    citation, doi : the publication that it names, "" where it names none
    kind : level and version, in words
    time_unit : unit of time
    notes : sentences on what was assumed or left out
    """

    file: str
    title: str
    citation: str
    doi: str
    kind: str
    time_unit: str
    notes: list[str] = field(default_factory=list)


class ModelText:
    """Writes one model file.

    Parameters
    ----------
    course : Course
        What it says.
    quantities : Quantities
        Labels and units.
    source : Source
        Where it is from.
    """

    def __init__(self, course: Course, quantities: Quantities, source: Source) -> None:
        self.course, self.all, self.source = course, quantities, source
        self.names = valid_names(self._keys())
        self.trees: Mapping[str, ast.expr] = {key: name(own) for key, own in self.names.items()} | {TIME: name("t")}

    def _keys(self) -> list[str]:
        course = self.course
        keys = (
            [one.key for one in course.parameters] + [state.key for state in course.states] + list(course.definitions)
        )
        return [*keys, *(dose.key for dose in course.doses), *(key for key, *_ in course.added)]

    @property
    def renamed(self) -> list[str]:
        """Names of the SBML file that are others here, in words."""
        return [f"{key} is {own} here" for key, own in self.names.items() if key in self.all and key != own]

    def write(self, *, unit_check_reason: str) -> str:
        """Return the text; with a reason, units are not checked."""
        source, course = self.source, self.course
        lines = [f"title = {quoted(source.title)}", 'notes = """', *self._notes(), '"""']
        lines.append(f"time_unit = {quoted(source.time_unit)}")
        if unit_check_reason:
            lines += ['unit_check = "none"', f"unit_check_reason = {quoted(unit_check_reason)}"]
        lines += ["", "[reference]", f"text = {quoted(source.citation)}", f"doi = {quoted(source.doi)}"]
        lines += ["", "[[verified]]", 'what = "equations, parameter values and initial values"']
        against = (
            f"the SBML file {source.file} ({source.kind}), of which this file was made; its publication was not read"
        )
        lines.append(f"against = {quoted(against)}")
        for one in course.parameters:
            lines += self._parameter(one.key, one.value or 0.0, self._unit(one), self._label(one), one.words)
        for key, value, like, what in course.added:
            if like:
                lines += self._parameter(key, value, self._unit(self.all[like]), what, self.all[like].words)
        for key, value, like, what in course.added:
            if not like:
                lines += ["", f"[constants.{self.names[key]}]", f"label = {quoted(what)}"]
                lines += [f"value = {float(value)!r}{self._from(what)}"]
                lines += [f"unit = {quoted(source.time_unit)}", 'trust = "V2"']
        for dose in course.doses:
            label = self._label(self.all[dose.key]) if dose.key in self.all else f"amount that {dose.event} adds"
            lines += ["", f"[inputs.{self.names[dose.key]}]", f"label = {quoted(label)}"]
            lines += ['kind = "dose"', f"state = {quoted(self.names[dose.state])}", f"time = {float(dose.time)!r}"]
            origin = self._from(f"event '{dose.event}'")
            lines += [f"value = {float(dose.value)!r}{origin}"]
            lines += [f"unit = {quoted(self._unit(self.all[dose.state]))}"]
        if course.definitions:
            lines += ["", "[definitions]"]
            lines += [f"{self.names[key]} = {self._text(tree)}" for key, tree in course.definitions.items()]
        for state in course.states:
            one = self.all[state.key]
            lines += ["", f"[states.{self.names[state.key]}]", f"label = {quoted(self._label(one))}"]
            lines += [f"initial = {self._text(state.initial)}", f"unit = {quoted(self._unit(one))}"]
            lines += ['scale = "linear"'] if state.scale == "linear" else []
        lines += self._phases()
        for key in course.outputs:
            one = self.all[key]
            lines += ["", f"[outputs.{self.names[key]}]", f"label = {quoted(self._label(one))}"]
            lines += [f"unit = {quoted(self._unit(one))}", f"expression = {quoted(self.names[key])}"]
        return "\n".join(lines) + "\n"

    def _phases(self) -> list[str]:
        lines = []
        for number, span in enumerate(self.course.spans, start=1):
            only = len(self.course.spans) == 1
            lines += ["", "[[phases]]", f'name = "{"all" if only else f"phase_{number}"}"']
            lines += [] if span.end is None else [f"ends_at = {self._text(span.end)}"]
            for table, trees in (("reset", span.reset), ("equations", span.equations)):
                if trees:
                    lines.append(f"[phases.{table}]")
                    lines += [f"{self.names[key]} = {self._text(tree)}" for key, tree in trees.items()]
        return lines

    def _from(self, what: str) -> str:
        """Return the comment that says where a value is from."""
        said = "".join(letter if letter.isprintable() else " " for letter in f"{self.source.file}, {what}")
        return f"  # {said}"

    def _parameter(self, key: str, value: float, unit: str, label: str, what: str) -> list[str]:
        most = min(1000 * abs(value), 1e300) or 1.0
        low, high = (value / 1000 if value > 0 else -most), max(most, value)
        return [
            "",
            f"[parameters.{self.names[key]}]",
            f"label = {quoted(label)}",
            f"value = {float(value)!r}{self._from(what)}",
            f"unit = {quoted(unit)}",
            f'transform = "{"log" if value > 0 and low > 0 else "none"}"',
            f"bounds = [{float(low)!r}, {float(high)!r}]",
            'trust = "V2"',
        ]

    def _label(self, one: Quantity) -> str:
        """Return what a quantity is: its name in the file; and its id there, where it is another one here."""
        label = " ".join(one.label.split()) or one.key
        return label if self.names.get(one.key) == one.key else f"{label} ('{one.key}' in the SBML file)"

    @staticmethod
    def _unit(one: Quantity) -> str:
        return one.unit or "1"

    def _text(self, tree: ast.expr) -> str:
        return quoted(text_of(lowered(substituted(tree, self.trees))))

    def _notes(self) -> list[str]:
        source = self.source
        said = [f"Made of the SBML file {source.file} ({source.kind}). All values are from that file."]
        said.append("Bounds are a thousandth and a thousandfold of each value, not those of a publication.")
        said += source.notes
        if self.renamed:
            said.append(f"Names that are not valid, or not free, in a model file: {'; '.join(self.renamed)}.")
        return [_escaped(sentence) for sentence in said]


def valid_names(keys: list[str]) -> dict[str, str]:
    """Return a valid name of a model file for each key, another one for each.

    A key that is a valid name keeps it; ``reaction/parameter`` becomes reaction_parameter, ``_x`` sbml_x, and what is
    reserved or taken gets a number behind it.

    Examples
    --------
    >>> valid_names(["k", "R1/k", "R1_k", "_x", "t"])
    {'k': 'k', 'R1/k': 'R1_k_2', 'R1_k': 'R1_k', '_x': 'sbml_x', 't': 't_2'}
    """
    keep = {key for key in keys if _VALID.fullmatch(key) and key not in RESERVED}
    taken, found = {*keep, *RESERVED}, {}
    for key in dict.fromkeys(keys):
        if key in keep:
            found[key] = key
            continue
        plain = re.sub(r"[^A-Za-z0-9_]", "_", re.sub(r"^initial/(.*)$", r"\1_0", key))
        wanted = plain if _VALID.fullmatch(plain) else f"sbml{plain}" if plain.startswith("_") else f"sbml_{plain}"
        own, number = wanted, 1
        while own in taken:
            number += 1
            own = f"{wanted}_{number}"
        taken.add(own)
        found[key] = own
    return found


def quoted(text: str) -> str:
    """Return a text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _escaped(text: str) -> str:
    return quoted(" ".join(text.split()))[1:-1]
