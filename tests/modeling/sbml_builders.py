"""Small SBML files, written with libsbml from formulas as text."""

from __future__ import annotations

import re

import libsbml


def formula(text):
    node = libsbml.parseL3Formula(text)
    assert node is not None, libsbml.getLastParseL3Error()
    return node


def sbml(
    *,
    level=3,
    version=2,
    compartments=None,
    species=None,
    parameters=None,
    constants=None,
    functions=None,
    assignments=None,
    rates=None,
    initial=None,
    reactions=None,
    events=None,
    time="day",
):
    """Return a file.

    compartments: id to size; species: id to attributes (amount or concentration, in, boundary, constant, substance,
    factor); parameters may change, constants may not; functions: id to "lambda(x, ...)"; reactions: id to "2 A -> B",
    rate and local parameters; events: id to trigger, sets, and optionally initial, delay, priority, together.
    """
    document = libsbml.SBMLDocument(level, version)
    model = document.createModel()
    model.setId("small")
    if time and level == 3:
        model.setTimeUnits("time_unit")
    if time:
        definition = model.createUnitDefinition()
        definition.setId("time_unit" if level == 3 else "time")
        unit = definition.createUnit()
        unit.initDefaults()
        unit.setKind(libsbml.UNIT_KIND_SECOND)
        unit.setMultiplier(86400 if time == "day" else 3600)
    for key, text in (functions or {}).items():
        one = model.createFunctionDefinition()
        one.setId(key)
        one.setMath(formula(text))
    for key, size in {"cell": 1.0, **(compartments or {})}.items():
        one = model.createCompartment()
        one.setId(key)
        one.setSize(size)
        one.setSpatialDimensions(3)
        one.setConstant(key not in {*(rates or {}), *(assignments or {})})
    for key, given in (species or {}).items():
        one = model.createSpecies()
        one.setId(key)
        one.setCompartment(given.get("in", "cell"))
        if "amount" in given:
            one.setInitialAmount(given["amount"])
        if "concentration" in given:
            one.setInitialConcentration(given["concentration"])
        one.setBoundaryCondition(given.get("boundary", False))
        one.setConstant(given.get("constant", False))
        one.setHasOnlySubstanceUnits(given.get("substance", False))
        if "factor" in given:
            one.setConversionFactor(given["factor"])
    for values, constant in ((constants or {}, True), (parameters or {}, False)):
        for key, value in values.items():
            one = model.createParameter()
            one.setId(key)
            one.setConstant(constant)
            if value is not None:
                one.setValue(value)
    for key, text in (initial or {}).items():
        one = model.createInitialAssignment()
        one.setSymbol(key)
        one.setMath(formula(text))
    for create, rules in (("createAssignmentRule", assignments), ("createRateRule", rates)):
        for key, text in (rules or {}).items():
            one = getattr(model, create)()
            one.setVariable(key)
            one.setMath(formula(text))
    for key, (equation, rate, *locals_) in (reactions or {}).items():
        _reaction(model, key, equation, rate, locals_[0] if locals_ else {}, level)
    for key, given in (events or {}).items():
        _event(model, key, given, level)
    text = libsbml.writeSBMLToString(document)
    assert text
    return text


def _reaction(model, key, equation, rate, locals_, level):
    reaction = model.createReaction()
    reaction.setId(key)
    reaction.setReversible(False)
    if (level, model.getVersion()) < (3, 2):
        reaction.setFast(False)
    left, _, right = equation.partition("->")
    for side, create in ((left, reaction.createReactant), (right, reaction.createProduct)):
        for times, name in re.findall(r"([\d.]*)\s*([A-Za-z_]\w*)", side):
            reference = create()
            reference.setSpecies(name)
            reference.setStoichiometry(float(times or 1))
            if level == 3:
                reference.setConstant(True)
    inside = {model.getSpecies(at).getId() for at in range(model.getNumSpecies())} & set(re.findall(r"\w+", rate))
    for name in sorted(inside - set(re.findall(r"\w+", equation))):
        reaction.createModifier().setSpecies(name)
    law = reaction.createKineticLaw()
    law.setMath(formula(rate))
    for name, value in locals_.items():
        local = law.createLocalParameter() if level == 3 else law.createParameter()
        local.setId(name)
        local.setValue(value)


def _event(model, key, given, level):
    event = model.createEvent()
    event.setId(key)
    if level == 3:
        event.setUseValuesFromTriggerTime(given.get("together", True))
    trigger = event.createTrigger()
    trigger.setMath(formula(given["trigger"]))
    if level == 3:
        trigger.setInitialValue(given.get("initial", True))
        trigger.setPersistent(True)
    if "delay" in given:
        event.createDelay().setMath(formula(given["delay"]))
    if "priority" in given:
        event.createPriority().setMath(formula(given["priority"]))
    for variable, text in given["sets"].items():
        assignment = event.createEventAssignment()
        assignment.setVariable(variable)
        assignment.setMath(formula(text))
