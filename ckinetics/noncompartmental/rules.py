"""Rules with names: what happens to BLQ samples, where profiles begin, which line is terminal, how areas end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import InputError

AucMethod = Literal["linear", "linear-up/log-down", "linear-log", "log-up/log-down"]
Anchor = Literal["none", "zero", "baseline"]
Tail = Literal["last", "all", "own_obs", "own_pred", "samples", "predicted"]
Persistence = Literal["last_quantified", "midpoint", "first_blq"]
BlqAction = str | float
BlqRule = BlqAction | Mapping[str, BlqAction]

# In the order of the kernel's codes.
AUC_METHODS = ("linear", "linear-up/log-down", "linear-log", "log-up/log-down")
TAILS = ("last", "all", "own_obs", "own_pred", "samples", "predicted")
ANCHORS = ("none", "zero", "baseline")
BASELINES = ("last", "mean")
PERSISTENCES = ("last_quantified", "midpoint", "first_blq")
_POSITIONS = {"measured": ("first", "middle", "last"), "tmax": ("before.tmax", "after.tmax")}
_ACTIONS = "'keep' (taken as 0), 'drop', 'keep first', 'lloq', 'lloq/2' or a level"


@dataclass(frozen=True)
class Limits:
    """The limits beyond which a flag is raised; they never remove a value.

    Attributes
    ----------
    anchor_pct : share of auc_last before the first sample, %
    extrap_pct : share of auc_inf_obs beyond tlast, %
    r_squared : R² of the terminal line, unadjusted as in PKNCA's criterion
    span_ratio : half-lives that the terminal line spans
    n_points : samples in the terminal line
    """

    anchor_pct: float = 20.0
    extrap_pct: float = 20.0
    r_squared: float = 0.9
    span_ratio: float = 2.0
    n_points: int = 3


@dataclass(frozen=True)
class Preset:
    """A set of rules; every one of them is an argument of `nca`.

    Attributes
    ----------
    name : name of the preset
    source : where the rules come from
    auc_method : the trapezoidal rule
    blq : what happens to BLQ samples: for positions first, middle, last (before, between and after the quantified
        samples) or before.tmax, after.tmax: "keep" takes them as 0, "drop" leaves them out, "keep first" takes the
        first as 0 and leaves the rest out, "lloq", "lloq/2" and a number put in a level
    imputed_counts : whether a positive level put in for a BLQ sample counts as measured, for Cmax, the terminal
        line and the end of areas (tlast stays the last measured one)
    all_blq_is_zero : whether Cmax and areas of a patient without any quantified sample are 0
    anchor : what stands at time 0 where no sample lies there: "none", "zero" (a transgene is absent before the
        infusion) or "baseline" (the level before the infusion, 0 where that is BLQ)
    anchor_gap : days from 0 to the first sample up to which an anchor is used; beyond, areas are missing
    baseline : which samples before time 0 give the baseline: "last" or the "mean" of all
    tail : how an interval's area goes on after the last quantified sample: "last" ends there; "all" goes linearly to
        the first BLQ sample after it; "own_obs", "own_pred" extrapolate with the lambda_z of the interval's own
        samples from the observed or predicted last level; "samples" goes linearly to the first BLQ sample after it,
        and only past the last sample uses the profile's lambda_z; "predicted" goes past the last sample by the
        method, from the observed level to the predicted one at the end
    min_points : samples that a terminal line needs
    tolerance : adjusted R² within which the longer terminal line is chosen
    rising : whether windows that rise compete for the largest adjusted R²: "veto" (they do, and may leave no
        line), "discard" (they do not)
    tmax : which of several equal maxima is Tmax: "first" or "last"
    tmax_in_line : whether the sample at Tmax may enter the terminal line
    pknca_arithmetic : areas as PKNCA 0.12.1 computes them: levels at the ends of an interval become samples of their
        own, the segment to an end beyond tlast is always logarithmic, an interval before the first sample starts at
        0, and there is no area where a logarithm of a tie or of two zeros would be taken
    """

    name: str
    source: str
    auc_method: str = "linear-up/log-down"
    blq: BlqRule = dataclasses.field(default_factory=lambda: {"first": "keep", "middle": "drop", "last": "keep"})
    imputed_counts: bool = False
    all_blq_is_zero: bool = False
    anchor: str = "none"
    anchor_gap: float = float("inf")
    baseline: str = "last"
    tail: str = "samples"
    min_points: int = 3
    tolerance: float = 1e-4
    rising: str = "veto"
    tmax: str = "first"
    tmax_in_line: bool = False
    pknca_arithmetic: bool = False


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "cell_therapy",
            "practice of CAR-T studies: AUC0-28 interpolated, never lambda_z over an observed BLQ sample",
            blq={"first": "keep", "middle": "drop", "last": "keep first"},
            anchor="zero",
            anchor_gap=7.0,
        ),
        Preset(
            "pknca",
            "the defaults of PKNCA 0.12.1, reproduced from its published results",
            imputed_counts=True,
            all_blq_is_zero=True,
            tail="own_obs",
            pknca_arithmetic=True,
        ),
        Preset(
            "phoenix",
            "Phoenix WinNonlin 8 and NonCompart 0.8.0 with embedded BLQ samples left out: falling windows only, 0 at "
            "the dose, areas beyond the last sample by the predicted line",
            anchor="zero",
            tail="predicted",
            rising="discard",
        ),
        Preset(
            "ich_m13a",
            "ICH M13A (2024): BLQ samples are 0 in areas and left out of the terminal line",
            blq={"first": "keep", "middle": "keep", "last": "keep"},
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


def resolve(preset: str, options: Mapping[str, Any]) -> Preset:
    """Return a preset with the options that are not None in place of its own rules, checked.

    Raises
    ------
    InputError
        An option has a value that it cannot have.
    """
    given = {name: value for name, value in options.items() if value is not None}
    rules = dataclasses.replace(find_preset(preset), **given)
    for name, known in (
        ("auc_method", AUC_METHODS),
        ("anchor", ANCHORS),
        ("baseline", BASELINES),
        ("tail", TAILS),
        ("rising", ("veto", "discard")),
        ("tmax", ("first", "last")),
    ):
        check_choice(name, getattr(rules, name), known)
    if isinstance(rules.min_points, bool) or not isinstance(rules.min_points, int) or rules.min_points < 2:
        raise InputError(f"min_points is {rules.min_points!r}: a terminal line needs 2 samples or more")
    for name in ("anchor_gap", "tolerance"):
        value = getattr(rules, name)
        if not isinstance(value, (int, float)) or not value >= 0:
            raise InputError(f"{name} is {value!r}: give a number of 0 or more")
    if rules.pknca_arithmetic and rules.tail in ("samples", "predicted"):
        raise InputError(f"preset '{preset}' has the tails last, all, own_obs and own_pred, not '{rules.tail}'")
    blq_actions(rules.blq)
    return rules


def check_choice(name: str, value: object, known: tuple[str, ...]) -> str:
    """Return the value of an option, or raise `InputError` where it is none of those known."""
    if value not in known:
        raise InputError(f"unknown {name} '{value}': use one of {', '.join(known)}")
    return str(value)


def blq_actions(rule: BlqRule) -> tuple[int, list[int], list[float]]:
    """Return the axis, and for each of three positions the kernel's action and level."""
    from ..kernels.nca import codes

    if not isinstance(rule, Mapping):
        rule = dict.fromkeys(_POSITIONS["measured"], rule)
    for axis, positions in enumerate(_POSITIONS.values()):
        if set(rule) == set(positions):
            found = [_blq_action(rule[position], position) for position in positions]
            if axis == codes.AXIS_TMAX:
                found.insert(1, (codes.ACTION_DROP, 0.0))
            return axis, [action for action, _ in found], [value for _, value in found]
    raise InputError(
        f"blq names the positions {', '.join(map(str, rule)) or 'none'}: name first, middle and last, or before.tmax "
        f"and after.tmax, each with {_ACTIONS}"
    )


def _blq_action(action: BlqAction, position: str) -> tuple[int, float]:
    from ..kernels.nca import codes

    words = {
        "keep": (codes.ACTION_ZERO, 0.0),
        "drop": (codes.ACTION_DROP, 0.0),
        "keep first": (codes.ACTION_FIRST_ZERO, 0.0),
        "lloq": (codes.ACTION_LLOQ_SHARE, 1.0),
        "lloq/2": (codes.ACTION_LLOQ_SHARE, 0.5),
    }
    if isinstance(action, str) and action in words:
        if action == "keep first" and position != "last":
            raise InputError(f"blq '{position}' is 'keep first': only 'last' can be")
        return words[action]
    if isinstance(action, (int, float)) and not isinstance(action, bool) and 0 <= action < np.inf:
        return codes.ACTION_VALUE, float(action)
    raise InputError(f"blq '{position}' is {action!r}: use {_ACTIONS}")


def kernel_rules(rules: Preset, options: Mapping[str, Any], limits: Limits) -> np.void:
    """Return rules as the record that kernels take; `options` are those of `nca` that no preset holds."""
    from ..kernels.nca import codes

    axis, actions, values = blq_actions(rules.blq)
    fields = {
        "method": AUC_METHODS.index(rules.auc_method),
        "axis": axis,
        "action_first": int(actions[0]),
        "action_middle": int(actions[1]),
        "action_last": int(actions[2]),
        "value_first": float(values[0]),
        "value_middle": float(values[1]),
        "value_last": float(values[2]),
        "all_blq_zero": bool(rules.all_blq_is_zero),
        "imputed_counts": bool(rules.imputed_counts),
        "pknca": bool(rules.pknca_arithmetic),
        "tail": TAILS.index(rules.tail),
        "anchor": ANCHORS.index(rules.anchor),
        "anchor_gap": float(rules.anchor_gap),
        "baseline": BASELINES.index(rules.baseline),
        "minimum": int(rules.min_points),
        "tolerance": float(rules.tolerance),
        "discard_rising": rules.rising == "discard",
        "first_tmax": rules.tmax == "first",
        "tmax_in_line": bool(rules.tmax_in_line),
        "persistence": PERSISTENCES.index(options["persistence"]),
        # Twofold is twofold in every unit, whatever the rounding.
        "peak_log_fold": float(np.log(options["peak_fold"])) - 1e-12,
        "peak_errors": float(options["peak_errors"]),
        "contraction_days": float(options["contraction_days"]),
        "threshold": float(options["threshold"]),
        "limit_anchor": float(limits.anchor_pct),
        "limit_extrapolated": float(limits.extrap_pct),
        "limit_r_squared": float(limits.r_squared),
        "limit_span": float(limits.span_ratio),
        "limit_points": int(limits.n_points),
        "peaks_from": float(options["peaks_from"]),
        "by_hand": bool(options["by_hand"]),
        "disposition": bool(options["disposition"]),
    }
    record = np.zeros((), dtype=codes.RULES)
    for name, value in fields.items():
        record[name] = value
    found: np.void = record[()]  # type: ignore[assignment]
    return found
