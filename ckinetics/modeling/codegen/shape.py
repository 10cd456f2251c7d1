"""What compiled solvers are told of a model's shape: plain numbers, written into the generated module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...kernels.ode import layout as ode_layout

if TYPE_CHECKING:
    from ..files.specification import Specification
    from ..symbols.derivatives import SymbolicModel
    from ..symbols.system import System


@dataclass(frozen=True)
class Shape:
    """Numbers of a model.

    Attributes
    ----------
    states : number of states
    whole : what `v` holds; see `ckinetics.kernels.ode.layout`
    varying_start : values that rates and covariates start with
    input_states : per input, the state that its doses are added to, or -1
    input_places : per input, its place among rates and covariates, or -1
    """

    states: int
    whole: list[int]
    varying_start: list[float]
    input_states: list[int]
    input_places: list[int]


def shape_of(symbolic: SymbolicModel, system: System, spec: Specification, places: dict[str, int]) -> Shape:
    """Return the shape of a model whose numbers lie at `places`."""
    states, varying = list(symbolic.states), list(symbolic.varying)
    counts = [len(symbolic.parameters), len(symbolic.parameters) + len(symbolic.constants), len(varying)]
    counts += [len(system.phases), int(system.depends_on_time)]
    resets = [[at in phase.resets for at in range(len(states))] for phase in system.phases]
    inputs = spec.inputs.items()
    return Shape(
        states=len(states),
        whole=ode_layout.whole_numbers(places, counts, [int(scale) for scale in system.scales], resets),
        varying_start=[spec.inputs[name].value for name in varying],
        input_states=[states.index(given.state) if given.kind == "dose" else -1 for _, given in inputs],
        input_places=[varying.index(name) if name in varying else -1 for name, _ in inputs],
    )
