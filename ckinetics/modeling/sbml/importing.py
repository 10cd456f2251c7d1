"""An SBML file as the text of a model file."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from ...errors import InputError, ModelFileError
from ..files.consistency import check_units
from ..files.reading import read_specification
from ..library import read_model
from .files import libsbml_module, read_document
from .mathematics import Mathematics
from .model_text import ModelText, Source
from .quantities import Quantities, quantities_of
from .timed_events import changes_of, event_targets
from .to_model import CourseBuilder
from .trees import TooLargeError
from .units_between import ReadingUnits, definition_units
from .unsupported import Refusal

_DOI = re.compile(r"(?:doi[:/]|doi\.org/)(10\.\d{4,9}/\S+)$", re.IGNORECASE)
_PUBMED = re.compile(r"pubmed[:/](\d+)$", re.IGNORECASE)
_MOST_SHOWN = 8


def read_sbml(path: str | Path) -> str:
    """Return the model of an SBML file as the text of a model file.

    Compartments, species (amounts and concentrations), parameters, reactions, functions, rules, initial assignments
    and events at given times are read (levels 2 and 3). Cases that change with time become phases; events that add a
    number become doses, others resets. A species stands for what it does in the file's math: its concentration, or its
    amount where it has only substance units.

    Parameters
    ----------
    path : str or Path
        The SBML file.

    Returns
    -------
    str
        TOML, as `load_model` reads it from a file. Every value is marked as read second-hand ("V2": in the SBML file,
        not in its publication); units are those that the file states, "1" where it states none, and they are checked
        where they fit. What has no valid name gets another, told in its label and in the notes.

    Raises
    ------
    FileFormatError
        The file is no SBML of level 2 or 3, or holds what no model needs (a document type, endless nesting).
    ModelFileError
        It holds a construct that a model file cannot say: a delay, an algebraic rule, an event that a state triggers,
        a fast reaction, sin, and the like; the message names it.
    InputError
        There is no such file, or python-libsbml is missing.

    Notes
    -----
    Read with libsbml; semantics as in the specification of SBML Level 3 Version 2 Core.

    Examples
    --------
    >>> import tempfile, ckinetics as ck
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = f"{folder.name}/stein2019.xml"
    >>> ck.write_sbml("stein2019", path)
    >>> print(ck.read_sbml(path).splitlines()[0])
    title = "Stein 2019: piecewise expansion and biexponential decline"
    """
    if not isinstance(path, str | Path):
        raise InputError(f"an SBML file is given by its path, not as {type(path).__name__}")
    where = Path(path)
    document, refuse = read_document(where), Refusal(where.name)
    try:
        return _model_file(document.getModel(), where, refuse)
    except (TooLargeError, RecursionError):
        refuse("holds equations that are too large, or nested too deep, once they are put together: simplify it")


def _model_file(model: Any, where: Path, refuse: Refusal) -> str:
    maths = Mathematics(model, refuse)
    targets = event_targets(model)
    quantities = quantities_of(model, maths, refuse, targets)
    units = _give_units(model, quantities)
    builder = CourseBuilder(quantities, targets, refuse)
    changes = changes_of(model, maths, quantities, builder.is_constant, builder.values, refuse)
    course = builder.build(changes)
    source = _source(model, where, units, quantities)
    written = ModelText(course, quantities, source)
    _readable(written.write(unit_check_reason="not yet"), where, refuse)
    _give_units_to_definitions(written, quantities)
    open_ones = _left_open(written, quantities, units)
    if open_ones:
        source.notes.append(f"{open_ones[0].upper()}{open_ones[1:]}: they are 1 here.")
    reason = _why_not_checked(written, f"{open_ones}, and " if open_ones else "")
    text = written.write(unit_check_reason=reason)
    read_specification(text, file=where.name)
    return text


def _readable(text: str, where: Path, refuse: Refusal) -> None:
    """Refuse what no model file can hold."""
    try:
        read_model(text, name=where.stem, file=where.name)
    except ModelFileError as err:
        refuse(f"describes a model that no model file can hold: {err.message}")


def _why_not_checked(written: ModelText, open_ones: str) -> str:
    """Return why the units cannot be checked, or "" where they fit."""
    try:
        check_units(read_specification(written.write(unit_check_reason="")))
    except InputError as err:
        return f"{open_ones}the units of the SBML file do not fit: {err.message}"
    return ""


def _left_open(written: ModelText, quantities: Quantities, units: ReadingUnits) -> str:
    """Return which units the file leaves open, or has and a model file does not know; those are "1"."""
    course = written.course
    keys = {*(one.key for one in course.parameters), *course.outputs, *(state.key for state in course.states)}
    names = [written.names[one.key] for one in quantities if one.key in keys and one.unit is None]
    said = []
    if units.unsaid:
        said.append("has units that a model file does not know: " + _some([repr(unit) for unit in units.unsaid]))
    if names:
        said.append(f"leaves open the units of {_some(names)}")
    return f"the SBML file {' and '.join(said)}" if said else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more


def _give_units(model: Any, quantities: Quantities) -> ReadingUnits:
    units = ReadingUnits(model)
    for one in quantities:
        if one.kind == "compartment":
            one.unit = units.of_compartment(model.getCompartment(one.key))
        elif one.kind == "species":
            one.unit = units.of_species(model.getSpecies(one.key))
        elif one.kind == "stoichiometry":
            one.unit = "1"
        elif one.kind == "parameter":
            reaction, _, local = one.key.rpartition("/")
            if reaction:
                law = model.getReaction(reaction).getKineticLaw()
                given = law.getLocalParameter(local) or law.getParameter(local)
                one.unit = units.named(given.getUnits())
            else:
                one.unit = units.named(model.getParameter(one.key).getUnits())
    return units


def _give_units_to_definitions(written: ModelText, quantities: Quantities) -> None:
    """Give definitions whose unit the file leaves open that of their expression, where it fits."""
    unchecked = read_specification(written.write(unit_check_reason="not yet"))
    with contextlib.suppress(ModelFileError):  # what does not fit is told as the reason why it is not checked
        for key, unit in definition_units(unchecked).items():
            for one in quantities:
                if one.unit is None and written.names.get(one.key) == key:
                    one.unit = unit


def _source(model: Any, where: Path, units: ReadingUnits, quantities: Quantities) -> Source:
    title = " ".join((model.getName() or model.getId() or where.stem).split())
    doi, pubmed = _publication(model)
    citation = f"{title} (SBML file {where.name}{f', PubMed {pubmed}' if pubmed else ''})"
    kind = f"level {model.getLevel()} version {model.getVersion()}"
    notes = []
    time = units.time()
    if time is None:
        time = "day"
        notes.append("The SBML file says no unit of time that a model file knows: day is assumed.")
    if any(one.unit and "cells" in one.unit for one in quantities):
        notes.append("Items of the SBML file are read as cells.")
    if quantities.dropped:
        notes.append(f"Left out: {'; '.join(quantities.dropped)}.")
    return Source(where.name, title, citation, doi, kind, time, notes)


def _publication(model: Any) -> tuple[str, str]:
    """Return DOI and PubMed number of the publication that the file says describes it; "" for what it does not say."""
    sbml = libsbml_module()
    links = []
    for at in range(model.getNumCVTerms()):
        term = model.getCVTerm(at)
        described = (
            term.getQualifierType() == sbml.MODEL_QUALIFIER and term.getModelQualifierType() == sbml.BQM_IS_DESCRIBED_BY
        )
        if described or term.getQualifierType() == sbml.BIOLOGICAL_QUALIFIER:
            links += [term.getResourceURI(which) for which in range(term.getNumResources())]
    dois = [match[1] for match in map(_DOI.search, links) if match]
    numbers = [match[1] for match in map(_PUBMED.search, links) if match]
    return (dois[0] if dois else ""), (numbers[0] if numbers else "")
