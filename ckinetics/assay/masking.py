"""Leaving out a standard level that fails, under a rule that was set before the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..schema import YesNo
from .curves.standard_curve import Level
from .rules import Rules
from .verdicts import verdict

Well = dict[str, Any]


def mask_standards(
    standards: Sequence[Well], levels: Sequence[Level], rules: Rules, about: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Mask the standard levels that fail back-calculation, if the rule ``masking`` allows so many.

    Parameters
    ----------
    standards : sequence of dict
        The standard wells in use; ``masked`` and ``mask_reason`` of those left out are set.
    levels : sequence of Level
        Their levels, back-calculated.
    rules : Rules
        Acceptance criteria.
    about : mapping
        ``run_id`` and ``target``.

    Returns
    -------
    list of dict
        Empty where nothing fails or the rule is off (``max_levels = 0``). Otherwise the verdict says which
        levels are left out; more failing levels than allowed are all kept, and the verdict has failed.
    """
    rule = rules["masking"]
    allowed = rule.values["max_levels"]
    failing = [level for level in levels if not level.accepted]
    if not failing or allowed < 1:
        return []
    wells = [name for level in failing for name in level.wells]
    listed = ", ".join(f"{level.nominal:g} copies ({_fault(level)})" for level in failing)
    masked = len(failing) <= allowed
    what = "left out" if masked else "kept, for there are too many that fail"
    entry = verdict(rule, float(len(failing)), about, wells=wells, why=f"{what}: {listed}", high=allowed)
    if masked:
        values = {level.nominal for level in failing}
        for well in standards:
            if well["nominal_copies"] in values:
                well["masked"] = YesNo.yes
                fault = next(_fault(level) for level in failing if level.nominal == well["nominal_copies"])
                well["mask_reason"] = f"rule masking of {rules.name} {rules.version}: the level fails ({fault})"
    return [entry]


def _fault(level: Level) -> str:
    return f"reads {level.copies:.4g}" if math.isfinite(level.copies) else "a well is undetermined"
