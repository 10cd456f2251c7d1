"""A model as lines of text: what it says, for a person who knows the field and no TOML."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .equations import rendered

if TYPE_CHECKING:
    from ...modeling import Model
    from ...modeling.files.specification import Output, Parameter, Phase

WIDTH = 100
TRUST = {
    "V": "read in the source",
    "V2": "read second-hand",
    "D": "derived from values that were read",
    "M": "from memory",
}


def model_lines(model: Model, *, ascii_only: bool = False) -> list[str]:
    """Return everything that a model's file says, with the derived quantities at its values.

    Parameters
    ----------
    model : Model
        The model.
    ascii_only : bool
        Whether equations keep to ASCII, for a terminal that can show no more.

    Returns
    -------
    list of str
        Lines of at most 100 columns, where words are not longer.

    Examples
    --------
    >>> from ckinetics.modeling import load_model
    >>> [line for line in model_lines(load_model("stein2019")) if "dM/dt" in line][-1].strip()
    'dM/dt = k·E − beta·M'
    """
    spec = model.specification
    lines = wrapped(f"{model.name}: {spec.title}")
    lines += wrapped(f"{spec.reference.text}{f', doi:{spec.reference.doi}' if spec.reference.doi else ''}", "  ")
    lines += ["", "Verified" if spec.verified else "Verified: nothing"]
    for entry in spec.verified:
        lines += wrapped(f"{entry.what}; against {entry.against}", "  ", hang=2)
    if spec.notes.strip():
        lines += ["", "Notes"]
        for at, paragraph in enumerate(spec.notes.strip().split("\n\n")):
            lines += ([""] if at else []) + wrapped(paragraph, "  ")
    if spec.unit_check == "none":
        lines += ["", *wrapped(f"The units of this model are not checked: {spec.unit_check_reason}", hang=2)]
    return [
        *lines,
        *_parameters(model),
        *_constants(model),
        *_inputs(model),
        *_equations(model, ascii_only),
        *_results(model, ascii_only),
    ]


def list_lines(models: Sequence[Model]) -> list[str]:
    """Return a table of models: name, states, outputs, closed forms, verified, title."""
    rows = [("model", "states", "outputs", "closed form", "verified", "title")]
    for model in models:
        spec, closed = model.specification, model.closed_forms
        whether = "none" if not closed else "all" if len(closed) == len(spec.outputs) else ", ".join(closed)
        verified = "yes" if spec.verified else "no"
        rows.append((model.name, str(len(spec.states)), ", ".join(spec.outputs), whether, verified, spec.title))
    return table(rows, "")


def wrapped(text: str, indent: str = "", *, hang: int = 0, width: int = WIDTH) -> list[str]:
    """Return text in lines of at most `width` columns, without what a terminal would obey."""
    return textwrap.wrap(
        _plain(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent + " " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def table(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> list[str]:
    """Return rows in columns; the last one is wrapped, or stands on lines of its own where there is no room."""
    cells = [tuple(map(_plain, row)) for row in rows]
    *widths, _ = (max(len(row[at]) for row in cells) for at in range(len(cells[0])))
    start = len(indent) + sum(widths) + 2 * len(widths)
    room = start <= WIDTH - 24
    lines = []
    for row in cells:
        line = indent + "".join(cell.ljust(width) + "  " for cell, width in zip(row, widths, strict=False))
        words = wrapped(row[-1], width=WIDTH - start if room else WIDTH - len(indent) - 4)
        if room:
            lines.append(f"{line}{words[0]}".rstrip())
            lines += [" " * start + more for more in words[1:]]
        else:
            lines += [line.rstrip(), *(f"{indent}    {more}" for more in words if more)]
    return lines


def _parameters(model: Model) -> list[str]:
    rows = [("name", "value", "unit", "scale", "bounds", "random effect", "trust", "what it is")]
    for name, p in model.parameters.items():
        bounds = f"{p.bounds[0]:g} to {p.bounds[1]:g}"
        rows.append((name, f"{p.value:g}", p.unit, p.transform, bounds, random_effect(p), p.trust, p.label))
    used = {p.trust for p in model.parameters.values()}
    used |= {one.trust for one in model.specification.constants.values() if one.trust}
    used |= {output.residual.trust for output in model.specification.outputs.values() if output.residual}
    marks = "; ".join(f"{mark} {TRUST[mark]}" for mark in TRUST if mark in used)
    return ["", "Parameters", *table(rows), *wrapped(f"trust: {marks}", "  ", hang=2)]


def random_effect(parameter: Parameter) -> str:
    """Return the random effect of a parameter as the file names it."""
    if parameter.random_variance is not None:
        return f"variance {parameter.random_variance:g}"
    return "none" if parameter.random_sd is None else f"SD {parameter.random_sd:g}"


def _constants(model: Model) -> list[str]:
    rows = [
        (name, f"{one.value:g}", one.unit, one.trust or "", one.label)
        for name, one in model.specification.constants.items()
    ]
    return ["", "Constants", *table([("name", "value", "unit", "trust", "what it is"), *rows])] if rows else []


def _inputs(model: Model) -> list[str]:
    rows = []
    for name, given in model.specification.inputs.items():
        value = f"{given.value:g}"
        if given.kind == "dose":
            value += f" into {given.state} at {given.time:g} {model.specification.time_unit}"
        rows.append((name, given.kind, value, given.unit, given.label))
    return ["", "Inputs", *table([("name", "kind", "value", "unit", "what it is"), *rows])] if rows else []


def _equations(model: Model, ascii_only: bool) -> list[str]:
    spec = model.specification
    lines = ["", f"States and their values at t = 0 (t in {spec.time_unit})"]
    rows = [
        (f"{name} = {rendered(state.initial, ascii_only=ascii_only)}", state.unit, f"{state.scale} scale", state.label)
        for name, state in spec.states.items()
    ]
    lines += table(rows)
    if spec.definitions:
        lines += ["", "Definitions"]
        for name, text in spec.definitions.items():
            lines += _equation(name, text, ascii_only)
    lines += ["", "Equations"]
    for number, phase in enumerate(spec.phases):
        if len(spec.phases) > 1:
            lines += wrapped(span_of_phase(spec.phases, number, ascii_only), "  ")
        inner = "    " if len(spec.phases) > 1 else "  "
        for name, text in phase.reset.items():
            lines += _equation(f"at its start {name}", text, ascii_only, inner)
        for name in spec.states:
            lines += _equation(f"d{name}/dt", phase.equations[name], ascii_only, inner)
    return lines


def span_of_phase(phases: Sequence[Phase], number: int, ascii_only: bool = False) -> str:
    """Return the name of a phase, and from when to when it lasts."""
    ends = [rendered(phase.ends_at or "", ascii_only=ascii_only) for phase in phases]
    if number == len(phases) - 1:
        return f"phase {phases[number].name}, from t = {ends[number - 1]} on"
    first = "0" if number == 0 else ends[number - 1]
    return f"phase {phases[number].name}, from t = {first} to {ends[number]}"


def _equation(left: str, text: str, ascii_only: bool, indent: str = "  ") -> list[str]:
    """Return an equation, broken where a sum or an argument ends, behind its equals sign."""
    return wrapped(f"{left} = {rendered(text, ascii_only=ascii_only)}", indent, hang=len(left) + 3)


def _results(model: Model, ascii_only: bool) -> list[str]:
    spec = model.specification
    lines = ["", "Outputs"]
    for name, output in spec.outputs.items():
        lines += _equation(name, output.expression, ascii_only)
        lines += wrapped("; ".join(part for part in _facts(output) if part), "    ")
        for phase, text in (output.closed_form or {}).items():
            of = f" in phase {phase}" if len(spec.phases) > 1 else ""
            lines += _equation(f"closed form{of}", text, ascii_only, "    ")
    if spec.derived:
        lines += ["", "Derived quantities, at these values"]
        values = model.derive()
        rows = [(name, _number(values[name]), entry.unit, entry.label) for name, entry in spec.derived.items()]
        lines += table(rows)
    if spec.example:
        lines += ["", "Examples"]
        for example in spec.example:
            span = f", {min(example.times):g} to {max(example.times):g} {spec.time_unit}" if example.times else ""
            what = f"{', '.join([*example.outputs, *example.derived])} at {len(example.times)} times{span}"
            lines += wrapped(f"{example.title or 'untitled'}: {what}; tolerance {example.tolerance:g}", "  ", hang=2)
            lines += wrapped(f"source: {example.source}", "    ")
    return lines


def _facts(output: Output) -> list[str]:
    residual = output.residual
    return [
        f"{output.label or 'no label'}, in {output.unit}",
        f"proportional to {', '.join(output.scales_with)}" if output.scales_with else "",
        f"residual error {residual.kind}: {residual.parameter} = {residual.value:g} ({residual.trust})"
        if residual
        else "",
        "" if output.closed_form else "no closed form",
    ]


def _number(value: np.ndarray) -> str:
    return f"{float(value):.6g}" if np.isfinite(value) else "not a number"
