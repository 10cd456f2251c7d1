"""Rules with names: what happens to BLQ samples, where profiles begin, how areas are extended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import InputError

AUC_METHODS = ("linear", "linear-up/log-down", "linear-log", "log-up/log-down")
Anchor = Literal["none", "zero"]
BlqAction = Literal["keep", "drop", "keep first"]


@dataclass(frozen=True)
class Preset:
    """A set of rules.

    Attributes
    ----------
    name : name of the preset
    source : where the rules come from
    auc_method : the trapezoidal rule used unless another is named
    blq_first, blq_middle, blq_last : what happens to BLQ samples before, between and after the quantified
        ones: "keep" takes them as 0, "drop" leaves them out, "keep first" takes the first as 0 and leaves
        the rest out. No imputed value enters lambda_z, tlast or Cmax.
    all_blq_is_zero : whether Cmax and areas of a patient without any quantified sample are 0
    anchor : "zero" puts a level of 0 at time 0 where no sample lies at or before it (a transgene is absent
        before infusion); "none" leaves areas from 0 missing
    anchor_gap : days from 0 to the first sample up to which an anchor is used; beyond, areas are missing
    own_lambda_z : areas over an interval extend with the lambda_z of the interval's own samples, else with
        the profile's and never over a BLQ sample
    min_points : samples that a terminal line needs
    tolerance : adjusted R² within which the longer terminal line is chosen
    """

    name: str
    source: str
    auc_method: str = "linear-up/log-down"
    blq_first: BlqAction = "keep"
    blq_middle: BlqAction = "drop"
    blq_last: BlqAction = "keep"
    all_blq_is_zero: bool = False
    anchor: Anchor = "none"
    anchor_gap: float = 7.0
    own_lambda_z: bool = False
    min_points: int = 3
    tolerance: float = 1e-4


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "cell_therapy",
            "practice of CAR-T studies: AUC0-28 interpolated, never lambda_z over an observed BLQ sample",
            blq_last="keep first",
            anchor="zero",
        ),
        Preset(
            "pknca",
            "the defaults of PKNCA 0.12.1, reproduced from its published results",
            all_blq_is_zero=True,
            own_lambda_z=True,
        ),
    )
}


def find_preset(name: str) -> Preset:
    """Return a preset by name.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset '{name}': use one of {', '.join(PRESETS)}")
    return PRESETS[name]


def check_auc_method(name: str) -> str:
    """Return the name of an AUC method, or raise `InputError` where it is unknown."""
    if name not in AUC_METHODS:
        raise InputError(f"unknown auc_method '{name}': use one of {', '.join(AUC_METHODS)}")
    return name
