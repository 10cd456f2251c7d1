"""What is checked between the tables of a model file before its expressions are read, each fault in one sentence."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator
from typing import Any

from ...errors import UnitError
from ...suggestions import suggestion
from .dimensions import Dimension, difference, parse_unit
from .specification import RESERVED, Input, Residual, Specification

# So many entries a table may have: beyond them a compiler would not be done within minutes.
MOST = {
    **{"parameters": 2000, "constants": 2000, "definitions": 2000, "inputs": 500, "states": 500, "phases": 100},
    **{"outputs": 500, "derived": 500, "equivalent": 100, "example": 200},
}


def faults_between_tables(spec: Specification) -> list[str]:
    """Return what is wrong between the tables, in words that begin with table and key."""
    found = [*_count_faults(spec)]
    if found:
        return found
    found = [*_name_faults(spec), *_parameter_faults(spec), *_input_faults(spec), *_phase_faults(spec)]
    found += [*_output_faults(spec), *_example_faults(spec)]
    return found or list(_unit_faults(spec))


def library_faults(spec: Specification) -> list[str]:
    """Return what is wrong with a model that comes with ckinetics, beyond what is wrong with any.

    A value from memory may stand in a user's own file, where its mark shows it; never in the library.
    """
    marks: list[tuple[str, str | None]] = [(f"[parameters.{n}]", entry.trust) for n, entry in spec.parameters.items()]
    marks += [(f"[constants.{name}]", entry.trust) for name, entry in spec.constants.items()]
    marks += [(f"[outputs.{name}.residual]", o.residual.trust) for name, o in spec.outputs.items() if o.residual]
    return [
        f"table {place}, key 'trust': \"M\" (from memory) is for files of your own: find the value in a source"
        for place, trust in marks
        if trust == "M"
    ]


def declared_units(spec: Specification) -> Iterator[tuple[str, str]]:
    """Yield the table and the unit of everything that has one."""
    for name in spec.parameters:
        yield f"parameters.{name}", spec.parameters[name].unit
    for name in spec.constants:
        yield f"constants.{name}", spec.constants[name].unit
    for name in spec.inputs:
        yield f"inputs.{name}", spec.inputs[name].unit
    for name in spec.states:
        yield f"states.{name}", spec.states[name].unit
    for name in spec.outputs:
        yield f"outputs.{name}", spec.outputs[name].unit
    for name in spec.derived:
        yield f"derived.{name}", spec.derived[name].unit


def _count_faults(spec: Specification) -> Iterator[str]:
    for table, most in MOST.items():
        count = len(getattr(spec, table))
        if count > most:
            yield f"table [{table}]: has {count} entries, and a model at most {most}: leave out what is not needed"


def _name_faults(spec: Specification) -> Iterator[str]:
    names = [(name, f"[parameters.{name}]", "a parameter") for name in spec.parameters]
    names += [
        (output.residual.parameter, f"[outputs.{name}.residual], key 'parameter'", "the residual error of an output")
        for name, output in spec.outputs.items()
        if output.residual
    ]
    names += [
        (output.residual.slope, f"[outputs.{name}.residual], key 'slope'", "the residual error of an output")
        for name, output in spec.outputs.items()
        if output.residual and output.residual.slope
    ]
    names += [(name, f"[constants.{name}]", "a constant") for name in spec.constants]
    names += [(name, f"[inputs.{name}]", "an input") for name in spec.inputs]
    names += [(name, f"[states.{name}]", "a state") for name in spec.states]
    names += [(name, f"[definitions], key '{name}'", "a definition") for name in spec.definitions]
    seen: dict[str, str] = dict(RESERVED)
    for name, place, what in names:
        if name in seen:
            yield f"table {place}: the name `{name}` is already used for {seen[name]}: give one of them another name"
        seen.setdefault(name, what)


def _parameter_faults(spec: Specification) -> Iterator[str]:
    for name, parameter in spec.parameters.items():
        place = f"table [parameters.{name}]"
        low, high = parameter.bounds
        if not low < high:
            yield f"{place}, key 'bounds': the lower bound {low:g} is not below the upper bound {high:g}"
        if not low <= parameter.value <= high:
            yield f"{place}, key 'value': {parameter.value:g} is outside its bounds {low:g} to {high:g}"
        if parameter.transform == "log" and low <= 0:
            yield f"{place}, key 'bounds': the lower bound must be above 0 for transform \"log\", it is {low:g}"
        if parameter.transform == "logit" and not low < parameter.value < high:
            yield f"{place}, key 'value': must lie between its bounds for transform \"logit\", not on one"
        if parameter.random_sd is not None and parameter.random_variance is not None:
            yield (
                f"{place}, key 'random_variance': give random_sd or random_variance, not both: "
                "they are two readings of one number"
            )


def _input_faults(spec: Specification) -> Iterator[str]:
    for name, given in spec.inputs.items():
        place = f"table [inputs.{name}]"
        if given.kind == "dose" and given.state not in spec.states:
            yield f"{place}, key 'state': a dose is added to one of [states]{suggestion(given.state, spec.states)}"
        if given.kind != "dose" and given.state:
            yield f"{place}, key 'state': only a dose is added to a state, this is a {given.kind}"
        if given.time < 0 or (given.kind != "dose" and given.time):
            yield f"{place}, key 'time': only a dose has a time, at 0 or later"


def _phase_faults(spec: Specification) -> Iterator[str]:
    names = [phase.name for phase in spec.phases]
    for number, phase in enumerate(spec.phases, start=1):
        place = f"table [[phases]] '{phase.name}'"
        if phase.name in names[: number - 1]:
            yield f"{place}, key 'name': the name is used more than once: give each phase its own"
        if (number == len(spec.phases)) != (phase.ends_at is None):
            yield f"{place}, key 'ends_at': every phase but the last has an end, and the last has none"
        for key, table in (("equations", phase.equations), ("reset", phase.reset)):
            for name in table:
                if name not in spec.states:
                    yield f"{place}, key '{key}.{name}': no such state{suggestion(name, spec.states)}"
        for name in spec.states:
            if name not in phase.equations:
                yield f"{place}, key 'equations.{name}': the state has no equation: write {name} = \"0\" if it rests"
    if spec.phases[0].reset:
        yield f"table [[phases]] '{names[0]}', key 'reset': the first phase starts from [states]: change `initial`"


def _output_faults(spec: Specification) -> Iterator[str]:
    phases = [phase.name for phase in spec.phases]
    for name, output in spec.outputs.items():
        place = f"table [outputs.{name}]"
        for key in output.closed_form or ():
            if key not in phases:
                yield f"{place}, key 'closed_form.{key}': no such phase{suggestion(key, phases)}"
        for key in phases if output.closed_form is not None else ():
            if key not in (output.closed_form or {}):
                yield f"{place}, key 'closed_form.{key}': the phase has no closed form: give all of them or none"
        for parameter in output.scales_with:
            if parameter not in spec.parameters:
                near = suggestion(parameter, spec.parameters)
                yield f"{place}, key 'scales_with': '{parameter}' is not a parameter{near}"
        if output.residual:
            yield from _residual_faults(output.residual, place)


def _residual_faults(residual: Residual, place: str) -> Iterator[str]:
    if not 0 < residual.bounds[0] <= residual.value <= residual.bounds[1]:
        yield f"{place}, key 'residual.value': give a value inside positive bounds, not {residual.value:g}"
    given = (residual.slope, residual.slope_value, residual.slope_bounds)
    if not residual.kind.startswith("combined"):
        if given != (None, None, None):
            yield f"{place}, key 'residual.slope': the kind '{residual.kind}' has none: leave it out"
    elif residual.slope is None or residual.slope_value is None or residual.slope_bounds is None:
        yield f"{place}, key 'residual.slope': the kind '{residual.kind}' needs slope, slope_value and slope_bounds"
    elif not 0 < residual.slope_bounds[0] <= residual.slope_value <= residual.slope_bounds[1]:
        yield (
            f"{place}, key 'residual.slope_value': give a value inside positive bounds, not {residual.slope_value:g}"
        )


def _example_faults(spec: Specification) -> Iterator[str]:
    for number, example in enumerate(spec.example, start=1):
        place = f"table [[example]] {number}"
        for table, names in (
            ("parameters", spec.parameters),
            ("inputs", spec.inputs),
            ("outputs", spec.outputs),
            ("derived", spec.derived),
        ):
            for name in getattr(example, table):
                if name not in names:
                    yield f"{place}, key '{table}.{name}': no such name in [{table}]{suggestion(name, names)}"
        for name, given in example.inputs.items():
            wrong = _wrong_input(spec.inputs[name], given) if name in spec.inputs else ""
            if wrong:
                yield f"{place}, key 'inputs.{name}': {wrong}"
        for name, values in example.outputs.items():
            if len(values) != len(example.times):
                yield f"{place}, key 'outputs.{name}': {len(values)} values for {len(example.times)} times"
        if not any(example.outputs.values()) and not example.derived:
            yield f"{place}, key 'outputs': the example expects nothing: give outputs at times, or derived"


def _wrong_input(entry: Input, given: Any) -> str:
    """Return what is wrong with what an example gives to an input, or ""."""
    if entry.kind == "constant":
        return "" if _is_number(given) else f"is {reprlib.repr(given)}: a constant of the patient is one number"
    pairs: list[Any] = given if isinstance(given, list) else [None]
    if not pairs or not all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in pairs):
        return f"is {reprlib.repr(given)}: give pairs of time and value, such as [[0.0, 1.0]]"
    if any(time < 0 for time, _ in pairs):
        return "holds a negative time: times count from the first infusion on"
    if entry.kind == "dose" and any(amount < 0 for _, amount in pairs):
        return "holds a negative dose: give amounts of 0 or more"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unit_faults(spec: Specification) -> Iterator[str]:
    if spec.unit_check == "none" and not spec.unit_check_reason.strip():
        yield "key 'unit_check_reason': is missing: say why the units of this model are not checked"
    if spec.unit_check == "full" and spec.unit_check_reason:
        yield "key 'unit_check_reason': the units are checked: leave it out, or write unit_check = \"none\""
    try:
        time = parse_unit(spec.time_unit)
    except UnitError as err:
        yield f"key 'time_unit': {err.message}"
        return
    if spec.states and (list(time.kinds.items()) != [("time", 1)] or len(time.atoms) != 1):
        yield f'key \'time_unit\': \'{spec.time_unit}\' is not a unit of time: give "day", "h", "min" or "week"'
        return
    for place, text in declared_units(spec):
        try:
            unit = parse_unit(text)
        except UnitError as err:
            yield f"table [{place}], key 'unit': {err.message}"
            continue
        if spec.unit_check == "full":
            yield from _other_times(place, text, unit, time)


def _other_times(place: str, text: str, unit: Dimension, time: Dimension) -> Iterator[str]:
    for name, _ in unit.atoms:
        one = parse_unit(name) if not name.startswith("10^") else Dimension()
        if one.same_kind(time) and not one.alike(time):
            yield (
                f"table [{place}], key 'unit': '{text}' counts time in {name}, the model in {time}"
                f"{difference(one, time)}"
            )
