"""The library of models as one HTML page: equations, parameters with their trust, a figure of each course, sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...jobs import atomic_path
from ...modeling import check_examples, list_models, load_model
from ...modeling.identifiability import horizon
from ...provenance import now, versions
from ..core.blocks import Code, Definitions, Equations, Heading, Paragraph, Picture, Section, Table, picture
from ..core.page import template
from .mathml import mathml, mathml_name, mathml_rate
from .model import TRUST, random_effect, span_of_phase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...modeling import Model
    from ...modeling.files.specification import Example

NAME = "model-library.html"
_POINTS = 400
_PANELS = 3
# What is drawn of a course, in decades below its highest value: below that, cells are fractions of one.
_DECADES = 9


def write_library_page(folder: str | Path, *, models: Sequence[str | Path | Model] | None = None) -> Path:
    """Write the page of the library.

    Parameters
    ----------
    folder : str or Path
        Where to; it is made where it is missing. An older page is replaced in one step.
    models : sequence of str, Path or Model, optional
        Which models; default all that come with ckinetics.

    Returns
    -------
    Path
        The page, ``model-library.html``: nothing on it is loaded from elsewhere.

    Raises
    ------
    InputError
        There is no such model, or it cannot be solved.

    Examples
    --------
    >>> import tempfile
    >>> write_library_page(tempfile.mkdtemp(), models=["stein2019"]).name
    'model-library.html'
    """
    loaded = [load_model(one) for one in (list_models() if models is None else models)]
    target = Path(folder) / NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    text = template("library.html.j2").render(
        title="Models of CAR-T cellular kinetics",
        sections=[model_section(model) for model in loaded],
        made=now(),
        version=versions()["ckinetics"],
    )
    with atomic_path(target) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return target


def model_section(model: Model) -> Section:
    """Return everything that the page says of a model."""
    spec = model.specification
    reference = spec.reference.text + (f", doi:{spec.reference.doi}" if spec.reference.doi else "")
    blocks: list[Any] = [Definitions([("Model", model.name), ("Source", reference), ("Unit of time", spec.time_unit)])]
    blocks += [Paragraph(" ".join(part.split())) for part in spec.notes.strip().split("\n\n") if part.strip()]
    if spec.unit_check == "none":
        blocks.append(Paragraph(f"The units of this model are not checked: {spec.unit_check_reason}", important=True))
    figure = _figure(model)
    blocks += [figure] if figure is not None else []
    blocks += [Heading("Equations"), *_equations(model), Heading("Parameters"), _parameters(model), *_further(model)]
    blocks += [Heading("Verified"), Definitions([(one.what, f"against {one.against}") for one in spec.verified])]
    blocks += [_examples(model)] if spec.example else []
    blocks.append(Code("Model file", model.text, folded=True))
    return Section(model.name, spec.title, blocks)


def _equations(model: Model) -> list[Equations]:
    spec = model.specification
    blocks = []
    if spec.definitions:
        rows = [(mathml_name(name), mathml(text)) for name, text in spec.definitions.items()]
        blocks.append(Equations("Definitions", rows))
    starts = [(mathml_name(name), mathml(state.initial)) for name, state in spec.states.items()]
    blocks.append(Equations("States at t = 0", starts))
    for number, phase in enumerate(spec.phases):
        title = "Rates" if len(spec.phases) == 1 else _sentence(span_of_phase(spec.phases, number))
        rows = [
            (f"<mtext>at its start </mtext>{mathml_name(name)}", mathml(text)) for name, text in phase.reset.items()
        ]
        rows += [(mathml_rate(name), mathml(phase.equations[name])) for name in spec.states]
        blocks.append(Equations(title, rows))
    outputs = [(mathml_name(name), mathml(output.expression)) for name, output in spec.outputs.items()]
    blocks.append(Equations("Outputs", outputs))
    for name, output in spec.outputs.items():
        if output.closed_form:
            closed = [
                (f"{mathml_name(name)}<mtext>, {phase}</mtext>", mathml(t)) for phase, t in output.closed_form.items()
            ]
            blocks.append(Equations("Closed form, per phase", closed))
    return blocks


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _parameters(model: Model) -> Table:
    rows: list[tuple[str, ...]] = []
    for name, p in model.parameters.items():
        bounds = f"{p.bounds[0]:g} to {p.bounds[1]:g}"
        rows.append((name, f"{p.value:.6g}", p.unit, p.label, p.transform, bounds, random_effect(p), p.trust))
    for output, entry in model.specification.outputs.items():
        if entry.residual:
            r = entry.residual
            label = f"residual error of {output}, {r.kind}"
            rows.append(
                (r.parameter, f"{r.value:.6g}", "1", label, "", f"{r.bounds[0]:g} to {r.bounds[1]:g}", "", r.trust)
            )
    used = {row[-1] for row in rows}
    return Table(
        f"Parameters of {model.name}",
        ("name", "value", "unit", "what it is", "scale", "bounds", "random effect", "trust"),
        rows,
        numeric=frozenset({1}),
        notes=[f"{mark}: {TRUST[mark]}" for mark in TRUST if mark in used],
    )


def _further(model: Model) -> list[Table]:
    """Return tables of states, constants, inputs and derived quantities."""
    spec = model.specification
    tables = [Table("States", ("name", "unit", "what it is"), [(n, s.unit, s.label) for n, s in spec.states.items()])]
    if spec.constants:
        constants = [(n, f"{c.value:.6g}", c.unit, c.label, c.trust or "") for n, c in spec.constants.items()]
        valued = ("name", "value", "unit", "what it is", "trust")
        tables.append(Table("Constants", valued, constants, numeric=frozenset({1})))
    if spec.inputs:
        inputs = [(n, i.kind, f"{i.value:.6g}", i.unit, i.label) for n, i in spec.inputs.items()]
        kinds = ("name", "kind", "value", "unit", "what it is")
        tables.append(Table("Inputs", kinds, inputs, numeric=frozenset({2})))
    if spec.derived:
        values = model.derive()
        derived = [(n, f"{float(values[n]):.6g}", d.unit, d.label) for n, d in spec.derived.items()]
        named = ("name", "value", "unit", "what it is")
        tables.append(Table("Derived quantities, at these values", named, derived, numeric=frozenset({1})))
    return tables


def _examples(model: Model) -> Table:
    rows = [
        (
            one["title"] or "untitled",
            f"{one['error']:.1e}",
            f"{one['tolerance']:g}",
            "yes" if one["passed"] else "NO",
            one["source"],
        )
        for one in check_examples(model)
    ]
    return Table(
        "Examples: numbers that the model must give, and the largest relative difference found when this page was made",
        ("example", "difference", "allowed", "holds", "source of the numbers"),
        rows,
        numeric=frozenset({1, 2}),
        marked=frozenset(at for at, row in enumerate(rows) if row[3] == "NO"),
    )


def _figure(model: Model) -> Picture | None:
    """Return the course of the first example that has one, with the numbers it expects; else that of the values."""
    example = next((one for one in model.specification.example if any(one.outputs.values())), None)
    units: dict[str, list[str]] = {}
    for name, output in model.specification.outputs.items():
        units.setdefault(output.unit, []).append(name)
    panels = list(units.items())[:_PANELS]
    end = max(example.times) if example is not None else horizon(model)
    if not end > 0:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (unit, names) in zip(axes, panels, strict=True):
            _draw(ax, model, names, unit, example, end)

    shown = f"the example “{example.title}”" if example is not None and example.title else "the file's values"
    return picture(
        draw,
        alt=f"Course of {', '.join(name for _, names in panels for name in names)} of {model.name}.",
        caption=f"Course of {shown}. Points: the numbers that the file expects.",
        size=(3.4 * max(len(panels), 2), 3.6),
    )


def _draw(ax: Axes, model: Model, names: list[str], unit: str, example: Example | None, end: float) -> None:
    spec = model.specification
    given = {} if example is None else dict(example.inputs)
    changed = {} if example is None else dict(example.parameters)
    times = np.unique(np.concatenate([np.linspace(0.0, end, _POINTS), end * np.geomspace(1e-4, 1.0, 100)]))
    highest = 0.0
    for name in names:
        values = model.evaluate(times, changed, output=name, inputs=given)
        highest = max(highest, float(np.nanmax(values)))
        (line,) = ax.plot(times, np.where(values > 0, values, np.nan), label=spec.outputs[name].label or name)
        if example is not None and name in example.outputs:
            expected = np.array(example.outputs[name])
            ax.plot(example.times, np.where(expected > 0, expected, np.nan), "o", ms=3.5, color=line.get_color())
    if highest > 0:
        low = highest / 10.0**_DECADES
        ax.set_yscale("log")
        ax.set_ylim(bottom=max(low, ax.get_ylim()[0]))
    ax.set_xlabel(f"time ({spec.time_unit})")
    ax.set_ylabel("" if unit == "1" else unit)
    ax.legend(fontsize="small")
