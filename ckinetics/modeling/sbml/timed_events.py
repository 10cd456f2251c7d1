"""Events of an SBML file that happen at a time: what each sets, and which of those at one moment comes first."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .mathematics import Mathematics
from .quantities import Quantities, known_name
from .timing import Moment, rises
from .trees import names_of, value_of
from .unsupported import Refusal

MAX_EVENTS = 500


@dataclass
class Change:
    """What an event sets at a moment.

    Attributes
    ----------
    event : its name
    moment : when
    sets : new values by what is set; all are taken from what was before
    together : whether events at one moment are all computed before any is carried out
    priority : the larger comes first; None where the file leaves it open
    """

    event: str
    moment: Moment
    sets: dict[str, ast.expr]
    together: bool
    priority: float | None


def event_targets(model: Any) -> set[str]:
    """Return what the events of a model set."""
    return {
        assignment.getVariable()
        for event in model.getListOfEvents()
        for assignment in event.getListOfEventAssignments()
    }


def changes_of(
    model: Any,
    maths: Mathematics,
    quantities: Quantities,
    is_constant: Callable[[ast.expr], bool],
    values: Mapping[str, float],
    refuse: Refusal,
) -> list[Change]:
    """Return what the events of a model do, in the order of the file.

    Raises
    ------
    ModelFileError
        An event that is triggered by a state, has a delay, or sets what cannot be set; the message names it.
    """
    if model.getNumEvents() > MAX_EVENTS:
        refuse(f"has {model.getNumEvents()} events: a model file made of it has at most {MAX_EVENTS}")
    found = []
    for at, event in enumerate(model.getListOfEvents(), start=1):
        key = event.getId() or f"event_{at}"
        trigger = event.getTrigger()
        if trigger is None:
            refuse(f"event '{key}' has no trigger: write it into the file")
        condition = maths.condition(trigger.getMath(), f"the trigger of event '{key}'")
        for one in names_of(condition):
            known_name(one, f"the trigger of event '{key}'", quantities, refuse)
        _no_delay(event, key, maths, values, refuse)
        sets = _assignments(event, key, maths, quantities, refuse)
        waits = event.isSetTrigger() and trigger.isSetInitialValue() and not trigger.getInitialValue()
        moments = rises(condition, is_constant, values, at_start=waits)
        if isinstance(moments, str):
            refuse(
                f"event '{key}' is triggered by '{moments}', which is no comparison (<, >) of time with what does not "
                "change: a model file has events at given times only"
            )
        priority = None
        if event.isSetPriority():
            priority = value_of(maths.tree(event.getPriority().getMath(), f"the priority of event '{key}'"), values)
            if priority != priority:
                refuse(f"event '{key}' has a priority that changes with time: give it a number")
        if not moments:
            quantities.dropped.append(
                f"event '{key}', which never happens (its trigger does not become true after time 0)"
            )
        together = event.getUseValuesFromTriggerTime()
        found += [Change(key, moment, sets, together, priority) for moment in moments]
    return found


def _no_delay(event: Any, key: str, maths: Mathematics, values: Mapping[str, float], refuse: Refusal) -> None:
    if not event.isSetDelay():
        return
    delay = maths.tree(event.getDelay().getMath(), f"the delay of event '{key}'")
    if value_of(delay, values) != 0:
        refuse(f"event '{key}' has a delay: put the time at which it acts into its trigger")


def _assignments(
    event: Any, key: str, maths: Mathematics, quantities: Quantities, refuse: Refusal
) -> dict[str, ast.expr]:
    sets: dict[str, ast.expr] = {}
    for assignment in event.getListOfEventAssignments():
        target = assignment.getVariable()
        if target not in quantities or quantities[target].kind in ("reaction", "stoichiometry"):
            refuse(f"event '{key}' sets '{target}', which is no compartment, species or parameter of the file")
        one = quantities[target]
        if one.constant:
            refuse(f"event '{key}' sets {one.words}, which the file says is constant: correct one of the two")
        if one.rule is not None:
            refuse(f"event '{key}' sets {one.words}, which has an assignment rule: leave one")
        tree = maths.tree(assignment.getMath(), f"what event '{key}' sets '{target}' to")
        for used in names_of(tree):
            known_name(used, f"what event '{key}' sets '{target}' to", quantities, refuse)
        sets[target] = tree
    return sets


def merged_changes(changes: list[Change], refuse: Refusal) -> list[Change]:
    """Return changes in the order in which they happen; those at one moment that are computed together are one."""
    found: list[Change] = []
    for time in sorted({change.moment.value for change in changes}):
        here = [change for change in changes if change.moment.value == time]
        if len(here) > 1 and _touch(here):
            here = _ordered(here, refuse)
        found += here
    return found


def _touch(changes: list[Change]) -> bool:
    """Whether it matters which of some changes comes first."""
    for one in changes:
        for other in changes:
            if one is not other and set(one.sets) & {
                *other.sets,
                *(used for tree in other.sets.values() for used in names_of(tree)),
            }:
                return True
    return False


def _ordered(changes: list[Change], refuse: Refusal) -> list[Change]:
    targets = [key for change in changes for key in change.sets]
    if all(change.together for change in changes) and len(targets) == len(set(targets)):
        sets = {key: tree for change in changes for key, tree in change.sets.items()}
        return [Change(changes[0].event, changes[0].moment, sets, True, None)]
    priorities = [change.priority for change in changes]
    if (
        not any(change.together for change in changes)
        and None not in priorities
        and len(set(priorities)) == len(changes)
    ):
        return sorted(changes, key=lambda change: -(change.priority or 0.0))
    names = " and ".join(f"'{change.event}'" for change in changes[:2])
    refuse(f"events {names} happen at one time and act on each other: the file does not say which comes first")
