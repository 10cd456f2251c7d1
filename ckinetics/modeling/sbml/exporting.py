"""A model as an SBML file, level 3 version 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Tree

from ...errors import InputError
from ...jobs import write_text
from ..files.dimensions import parse_unit
from ..library import load_model
from .files import libsbml_module
from .mathml import MathWriter, applied, math, number_element
from .units_between import definition_units, sbml_unit_list

if TYPE_CHECKING:
    from ..files.specification import Specification
    from ..library import Model

_CORE = "http://www.sbml.org/sbml/level3/version2/core"
_XHTML = "http://www.w3.org/1999/xhtml"


def write_sbml(model: str | Path | Model, path: str | Path) -> None:
    """Write a model as an SBML file (level 3 version 2).

    States become parameters with rate rules, in cases where the model has phases; resets and doses become events;
    definitions and outputs assignment rules. Left out, and named in the file's notes: closed forms, derived quantities,
    first guesses, random effects, residual errors and examples. Rates and covariates keep the value that they start
    with, since what is given to a patient is no part of a model.

    Parameters
    ----------
    model : str, Path or Model
        As for `load_model`.
    path : str or Path
        The file; one that is there already is replaced.

    Raises
    ------
    InputError
        There is no such model, python-libsbml is missing, or libsbml finds a fault in what would be written.

    Examples
    --------
    >>> import tempfile, ckinetics as ck
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ck.write_sbml("kimmel2021", f"{folder}/kimmel2021.xml")
    ...     text = Path(f"{folder}/kimmel2021.xml").read_text(encoding="utf-8")
    >>> text.count("<rateRule")
    3
    """
    write_text(path, sbml_text(load_model(model)))


def sbml_text(model: Model) -> str:
    """Return a model as the text of an SBML file, in which libsbml finds no fault.

    Raises
    ------
    InputError
        As `write_sbml`.
    """
    libsbml = libsbml_module()
    root = _Writer(model).document()
    Tree.indent(root)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, encoding="unicode")}\n'
    document = libsbml.readSBMLFromString(text)
    document.checkConsistency()
    for at in range(document.getNumErrors()):
        fault = document.getError(at)
        if fault.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            said = " ".join(fault.getMessage().split())
            raise InputError(f"model '{model.name}' cannot be written as SBML: {said}")
    return text


class _Writer:
    def __init__(self, model: Model) -> None:
        self.model, self.spec = model, model.specification
        spec = self.spec
        own = [*spec.parameters, *spec.constants, *spec.inputs, *spec.states, *spec.definitions]
        self.taken = set(own)
        self.maths = MathWriter({name: name for name in own})
        self.units: dict[str, str] = {}
        self.parameters: list[Tree.Element] = []
        self.assigned: list[Tree.Element] = []
        self.rules: list[Tree.Element] = []
        self.events: list[Tree.Element] = []

    def document(self) -> Tree.Element:
        spec = self.spec
        root = Tree.Element("sbml", {"xmlns": _CORE, "level": "3", "version": "2"})
        time = self._unit(spec.time_unit)
        model = Tree.SubElement(root, "model", {"metaid": "model", "id": self._free(_identifier(self.model.name))})
        model.set("name", _plain(spec.title))
        if time:
            model.set("timeUnits", time)
        self._quantities()
        self._states()
        self._outputs()
        self._resets()
        self._doses()
        _ordered(self.events)
        model.append(self._notes())
        if spec.reference.doi:
            model.append(_described_by(spec.reference.doi))
        for what, elements in (
            ("UnitDefinitions", self._unit_definitions()),
            ("Parameters", self.parameters),
            ("InitialAssignments", self.assigned),
            ("Rules", self.rules),
            ("Events", self.events),
        ):
            if elements:
                Tree.SubElement(model, f"listOf{what}").extend(elements)
        return root

    # Everything that has a name.

    def _quantities(self) -> None:
        spec = self.spec
        for name, parameter in spec.parameters.items():
            self._parameter(name, parameter.unit, parameter.label, value=parameter.value)
        for name, constant in spec.constants.items():
            self._parameter(name, constant.unit, constant.label, value=constant.value)
        for name, given in spec.inputs.items():
            still = given.kind in ("constant", "dose")
            self._parameter(name, given.unit, given.label, value=given.value, constant=still)
        units = definition_units(spec) if spec.unit_check == "full" else {}
        for name, text in spec.definitions.items():
            self._parameter(name, units.get(name, ""), "", constant=False)
            self._rule("assignmentRule", name, self.maths.written(text))

    def _parameter(
        self, name: str, unit: str, label: str, *, value: float | None = None, constant: bool = True
    ) -> Tree.Element:
        one = Tree.Element("parameter", {"id": name})
        if label.strip():
            one.set("name", _plain(label))
        if value is not None:
            one.set("value", repr(float(value)))
        units = self._unit(unit)
        if units:
            one.set("units", units)
        one.set("constant", "true" if constant else "false")
        self.parameters.append(one)
        return one

    def _rule(self, kind: str, variable: str, content: Tree.Element) -> None:
        rule = Tree.Element(kind, {"variable": variable})
        rule.append(math(content))
        self.rules.append(rule)

    def _states(self) -> None:
        for name, state in self.spec.states.items():
            one = self._parameter(name, state.unit, state.label, constant=False)
            try:
                one.set("value", repr(float(state.initial)))
            except ValueError:
                assigned = Tree.Element("initialAssignment", {"symbol": name})
                assigned.append(math(self.maths.written(state.initial)))
                self.assigned.append(assigned)
            self._rule("rateRule", name, self._rate(name))

    def _rate(self, state: str) -> Tree.Element:
        """Return a rate; in cases where it is not the same in all phases."""
        phases = self.spec.phases
        texts = [phase.equations[state] for phase in phases]
        last = len(texts) - 1
        while last and texts[last - 1] == texts[last]:
            last -= 1
        pieces = []
        for phase, text in zip(phases[:last], texts, strict=False):
            assert phase.ends_at is not None
            before = applied("lt", self.maths.time(), self.maths.written(phase.ends_at))
            pieces.append((self.maths.written(text), before))
        rate = self.maths.written(texts[last])
        return self.maths.piecewise(pieces, rate) if pieces else rate

    def _outputs(self) -> None:
        for name, output in self.spec.outputs.items():
            if output.expression.strip() == name:
                continue  # a state or a definition of that name
            own = self._free(name)
            self._parameter(own, output.unit, output.label or name, constant=False)
            self._rule("assignmentRule", own, self.maths.written(output.expression))

    # Events.

    def _resets(self) -> None:
        ends = [phase.ends_at for phase in self.spec.phases if phase.ends_at is not None]
        for number, phase in enumerate(self.spec.phases):
            if not phase.reset:
                continue
            begun = [applied("geq", self.maths.time(), self.maths.written(end)) for end in ends[:number]]
            sets = {name: self.maths.written(text) for name, text in phase.reset.items()}
            self._event(f"start_of_{phase.name}", begun[0] if len(begun) == 1 else applied("and", *begun), sets)

    def _doses(self) -> None:
        for name, given in self.spec.inputs.items():
            if given.kind == "dose":
                when = applied("geq", self.maths.time(), number_element(given.time))
                more = applied("plus", self.maths.name(given.state), self.maths.name(name))
                self._event(f"dose_of_{name}", when, {given.state: more})

    def _event(self, name: str, trigger: Tree.Element, sets: Mapping[str, Tree.Element]) -> None:
        event = Tree.Element("event", {"id": self._free(name), "useValuesFromTriggerTime": "false"})
        # Not true before the start, so that what happens at time 0 happens.
        Tree.SubElement(event, "trigger", {"initialValue": "false", "persistent": "true"}).append(math(trigger))
        assignments = Tree.SubElement(event, "listOfEventAssignments")
        for variable, content in sets.items():
            Tree.SubElement(assignments, "eventAssignment", {"variable": variable}).append(math(content))
        self.events.append(event)

    # Names, units, notes.

    def _free(self, wanted: str) -> str:
        """Return a name that nothing else has."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken.add(name)
        return name

    def _unit(self, text: str) -> str:
        """Return the identifier of a unit; "" where SBML has none for it."""
        if not text or sbml_unit_list(text) is None:
            return ""
        if (
            parse_unit(text).atoms == ()
        ):  # a model whose units are not checked may mean that it has none, or does not say
            return "dimensionless" if self.spec.unit_check == "full" else ""
        return self.units.setdefault(text, f"unit_{len(self.units) + 1}")

    def _unit_definitions(self) -> list[Tree.Element]:
        found = []
        for text, identifier in self.units.items():
            definition = Tree.Element("unitDefinition", {"id": identifier, "name": text})
            units = Tree.SubElement(definition, "listOfUnits")
            for kind, exponent, multiplier in sbml_unit_list(text) or []:
                power = str(exponent) if exponent.denominator == 1 else repr(float(exponent))
                Tree.SubElement(
                    units, "unit", {"kind": kind, "exponent": power, "scale": "0", "multiplier": repr(multiplier)}
                )
            found.append(definition)
        return found

    def _notes(self) -> Tree.Element:
        spec = self.spec
        notes = Tree.Element("notes")
        body = Tree.SubElement(notes, "body", {"xmlns": _XHTML})
        said = [f"Model '{self.model.name}' of ckinetics. {spec.reference.text}"]
        said += [f"Verified: {one.what}; against {one.against}" for one in spec.verified]
        said += [paragraph for paragraph in spec.notes.strip().split("\n\n") if paragraph]
        dropped = ", ".join(left_out(spec))
        said += [f"Left out of the model file: {dropped}."] if dropped else []
        moving = [name for name, given in spec.inputs.items() if given.kind in ("rate", "covariate")]
        said += [f"Set by events where a patient has them: {', '.join(moving)}."] if moving else []
        for sentence in said:
            Tree.SubElement(body, "p").text = _plain(sentence)
        return notes


def left_out(spec: Specification) -> list[str]:
    """Return what of a model an SBML file does not say."""
    found = [f"the closed form of {name}" for name, output in spec.outputs.items() if output.closed_form]
    found += [f"the residual error of {name}" for name, output in spec.outputs.items() if output.residual]
    if any(one.random_sd is not None or one.random_variance is not None for one in spec.parameters.values()):
        found.append("random effects")
    found += ["derived quantities"] if spec.derived else []
    found += ["examples"] if spec.example else []
    return [*found, "bounds, scales and first guesses of parameters"]


def _ordered(events: Iterable[Tree.Element]) -> None:
    """Say which of events at one moment comes first."""
    events = list(events)
    for at, event in enumerate(events if len(events) > 1 else []):
        priority = Tree.Element("priority")
        priority.append(math(number_element(len(events) - at)))
        event.insert(1, priority)


def _identifier(name: str) -> str:
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in name)
    return plain if plain[:1].isalpha() else f"model_{plain}"


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def _described_by(doi: str) -> Tree.Element:
    """Return the annotation that names the publication."""
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    annotation = Tree.Element("annotation")
    inside = Tree.SubElement(
        annotation,
        "rdf:RDF",
        {"xmlns:rdf": rdf, "xmlns:bqmodel": "http://biomodels.net/model-qualifiers/"},
    )
    described: Any = Tree.SubElement(inside, "rdf:Description", {"rdf:about": "#model"})
    bag = Tree.SubElement(Tree.SubElement(described, "bqmodel:isDescribedBy"), "rdf:Bag")
    Tree.SubElement(bag, "rdf:li", {"rdf:resource": f"https://identifiers.org/doi:{_plain(doi)}"})
    return annotation
