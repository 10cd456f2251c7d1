"""From the quantities of an SBML file to what a model file says: parameters, definitions, states, phases, doses."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .contents import Course, Dose, Span, State
from .quantities import Quantities, Quantity
from .scales import falling_states
from .timed_events import Change, merged_changes
from .timing import Moment, moments_in, settled
from .trees import (
    TIME,
    UNDEFINED,
    TooLargeError,
    name,
    names_of,
    number,
    number_in,
    size_of,
    substituted,
    value_of,
    with_hill,
)
from .unsupported import Refusal

MAX_PHASES, MAX_STATES = 100, 500
# Parts of all rates together, in all phases.
_MOST_PARTS = 1_000_000


class CourseBuilder:
    """Builds the course of one file.

    Parameters
    ----------
    quantities : Quantities
        What the file has.
    targets : set of str
        What its events set.
    refuse : Refusal
        Refuses what cannot be said.
    """

    def __init__(self, quantities: Quantities, targets: set[str], refuse: Refusal) -> None:
        self.all, self.refuse = quantities, refuse
        self.changes: list[Change] = []
        self.course = Course()
        self.state_keys = [one.key for one in quantities if one.rate is not None or one.key in targets]
        self.rules = {one.key: one.rule for one in quantities if one.rule is not None}
        self.switching: dict[str, bool | None] = {}
        self.unfolded: dict[str, ast.expr] = {}
        self.started: dict[str, ast.expr | None] = {}
        self.moving = self._moving()
        self.values = self._values()

    def _moving(self) -> set[str]:
        """Return what changes with time."""
        users: dict[str, list[str]] = {}
        for key, rule in self.rules.items():
            for used in names_of(rule):
                users.setdefault(used, []).append(key)
        found, left = set[str](), [TIME, *self.state_keys]
        while left:
            key = left.pop()
            if key not in found:
                found.add(key)
                left += users.get(key, [])
        return found

    def is_constant(self, tree: ast.expr) -> bool:
        """Whether a tree does not change with time."""
        return not self.moving & set(names_of(tree))

    def _values(self) -> dict[str, float]:
        """Return the numbers at the file's values of all that does not change, as far as they can be told."""
        values: dict[str, float] = {}
        still = [one for one in self.all if one.key not in self.moving]
        trees = {one.key: one.rule if one.rule is not None else one.initial for one in still}
        ready = [one.key for one in still if trees[one.key] is None and one.value is not None]
        values |= {key: self.all[key].value or 0.0 for key in ready}
        waits = {key: set(names_of(tree)) for key, tree in trees.items() if tree is not None}
        users: dict[str, list[str]] = {}
        for key, used in waits.items():
            for other in used:
                users.setdefault(other, []).append(key)
        ready += [key for key, used in waits.items() if not used]
        while ready:
            key = ready.pop()
            tree = trees[key]
            if tree is not None:
                values[key] = value_of(tree, values)
            for user in users.get(key, []):
                waits[user].discard(key)
                ready += [user] if not waits[user] else []
        return values

    def build(self, changes: list[Change]) -> Course:
        """Return the course, with what events change."""
        self.changes = changes
        if not self.state_keys:
            self.refuse("has nothing that changes by a reaction, a rate rule or an event: it has no course")
        if len(self.state_keys) > MAX_STATES:
            self.refuse(f"has {len(self.state_keys)} states: a model file made of it has at most {MAX_STATES}")
        self._doses()
        spans = self._spans()
        self._states()
        used = [tree for span in spans for tree in (*span.equations.values(), *span.reset.values())]
        used += [span.end for span in spans if span.end is not None]
        used += [state.initial for state in self.course.states]
        self.course.spans = spans
        self._definitions(used)
        self._parameters(used)
        for state in falling_states(self.course, self.values):
            state.scale = "linear"
        self._nothing_undefined()
        return self.course

    # Phases.

    def _spans(self) -> list[Span]:
        rates = {key: self._unfolded(self.all[key].rate or number(0)) for key in self.state_keys}
        moments: dict[str, Moment] = {}
        for rate in rates.values():
            moments |= moments_in(rate, self.is_constant, self.values)
        moments = {text: moment for text, moment in moments.items() if moment.value > 0}
        ends: list[tuple[float, int, Moment, Change | None]] = []
        for at, change in enumerate(merged_changes(self.changes, self.refuse)):
            moments.pop(change.moment.text, None)
            ends.append((change.moment.value, at, change.moment, change))
        ends += [(moment.value, -1, moment, None) for moment in moments.values()]
        ends.sort(key=lambda end: end[:2])
        if len(ends) >= MAX_PHASES:
            self.refuse(f"switches {len(ends)} times: a model file made of it has at most {MAX_PHASES} phases")
        if sum(size_of(rate) for rate in rates.values()) * (len(ends) + 1) > _MOST_PARTS:
            raise TooLargeError
        spans = []
        for at in range(len(ends) + 1):
            past = {moment.text for _, _, moment, _ in ends[:at]}

            def after(moment: Moment, past: set[str] = past) -> bool:
                return moment.value <= 0 or moment.text in past

            equations = {
                key: with_hill(settled(rate, after, self.is_constant, self.values)) for key, rate in rates.items()
            }
            end = self._end(ends[at][2], at, ends[at][3]) if at < len(ends) else None
            spans.append(Span(end, equations, self._resets(ends[at - 1][3]) if at else {}))
        return spans

    def _end(self, moment: Moment, at: int, change: Change | None) -> ast.expr:
        """Return the end of a phase; a bare number gets a name, so that it has a unit."""
        value = number_in(moment.tree)
        if value is None:
            return moment.tree
        if change is None:
            return self._named(f"switch_{at + 1}/time", value, "", "time of a switch")
        again = any(one.event == change.event and one.moment.value < value for one in self.changes)
        return self._named(f"{change.event}/time{f'_{at + 1}' if again else ''}", value, "", f"time of {change.event}")

    def _resets(self, change: Change | None) -> dict[str, ast.expr]:
        found = {}
        for key, tree in change.sets.items() if change else ():
            value = number_in(tree)
            if change and value:
                what = f"what {change.event} sets {self.all[key].label or key} to"
                found[key] = self._named(f"{change.event}/{key}", value, key, what)
            else:
                found[key] = with_hill(tree)
        return found

    def _named(self, key: str, value: float, like: str, what: str) -> ast.expr:
        """Return a number under a name of its own."""
        entry = (key, value, like, what)
        if entry not in self.course.added:
            self.course.added.append(entry)
        return name(key)

    def _unfolded(self, tree: ast.expr) -> ast.expr:
        """Return a tree in which definitions that switch with time are written out."""
        inside = {key: self._rule_unfolded(key) for key in names_of(tree) if self._switches(key)}
        return substituted(tree, inside) if inside else tree

    def _rule_unfolded(self, key: str) -> ast.expr:
        if key not in self.unfolded:
            self.unfolded[key] = self._unfolded(self.rules[key])
        return self.unfolded[key]

    def _switches(self, key: str) -> bool:
        """Whether a definition has cases that change with time, in itself or in what it uses."""
        if key not in self.rules or key not in self.moving:
            return False
        if key not in self.switching:
            self.switching[key] = None  # on the way
            rule = self.rules[key]
            inside = [self._switches(other) for other in names_of(rule)]
            self.switching[key] = any(inside) or bool(moments_in(rule, self.is_constant, self.values))
        found = self.switching[key]
        if found is None:
            self.refuse(f"the rule of '{key}' uses itself, directly or through others: break the circle")
        return found

    # Events that add an amount.

    def _doses(self) -> None:
        kept = []
        for change in self.changes:
            doses = None if self._has_company(change) else self._doses_of(change)
            if doses is None:
                kept.append(change)
            else:
                self.course.doses += doses
        self.changes = kept

    def _has_company(self, change: Change) -> bool:
        return any(other is not change and other.moment.value == change.moment.value for other in self.changes)

    def _doses_of(self, change: Change) -> list[Dose] | None:
        """Return an event as doses where each of its assignments adds a number to a state, else None."""
        found = []
        if number_in(change.moment.tree) is None:
            return None
        for key, tree in change.sets.items():
            match tree:
                case ast.BinOp(left=left, op=ast.Add(), right=right):
                    amount = right if isinstance(left, ast.Name) and left.id == key else left
                    other = left if amount is right else right
                case _:
                    return None
            if not (isinstance(other, ast.Name) and other.id == key):
                return None
            value, given = number_in(amount), f"{change.event}/{key}" if len(change.sets) > 1 else change.event
            if value is None and isinstance(amount, ast.Name) and self._used_once(amount.id):
                value, given = self.all[amount.id].value, amount.id
            if value is None or not value >= 0:
                return None
            found.append(Dose(given, change.event, key, value, change.moment.value))
        return found

    def _used_once(self, key: str) -> bool:
        """Whether a parameter has a number of its own and stands in one expression of the file only."""
        if key not in self.all:  # time
            return False
        one = self.all[key]
        trees = [tree for other in self.all for tree in (other.initial, other.rule, other.rate) if tree is not None]
        trees += [tree for change in self.changes for tree in (change.moment.tree, *change.sets.values())]
        alone = one.kind == "parameter" and one.rule is None and one.initial is None and key not in self.state_keys
        return alone and sum(key in names_of(tree) for tree in trees) == 1

    # States and definitions.

    def _states(self) -> None:
        for key in self.state_keys:
            one = self.all[key]
            if one.rule is not None:
                self.refuse(f"{one.words} has an assignment rule and is set by an event: leave one")
            self.course.states.append(State(key, with_hill(self._start_of(key))))

    def _given_start(self, one: Quantity) -> ast.expr:
        """Return the number that a file gives a state at time 0, under a name of its own."""
        if one.value is None:
            self.refuse(f"{one.words} has no initial value: give it one")
        if one.value == 0:
            return number(0)
        return self._named(f"initial/{one.key}", one.value, one.key, f"{one.label or one.key} at the start")

    def _at_start(self, tree: ast.expr) -> ast.expr:
        """Return a tree as it is at time 0, of what does not change."""
        values = {key: self._start_of(key) for key in names_of(tree) if key in self.moving and key != TIME}
        return substituted(tree, {TIME: number(0), **values})

    def _start_of(self, key: str) -> ast.expr:
        """Return what something that changes is at time 0."""
        if key not in self.started:
            self.started[key] = None  # on the way
            one = self.all[key]
            own = self.rules.get(key, one.initial)
            self.started[key] = self._given_start(one) if own is None else self._at_start(own)
        found = self.started[key]
        if found is None:
            self.refuse(f"the initial value of '{key}' depends on itself: break the circle")
        return found

    def _definitions(self, used: list[ast.expr]) -> None:
        """Put definitions in the order of their use: those that anything uses, and those that are observed."""
        constant = {
            one.key: self._at_start(one.initial)
            for one in self.all
            if one.initial is not None and one.key not in self.moving and one.rule is None
        }
        trees = {key: with_hill(tree) for key, tree in (self.rules | constant).items()}
        observed = [
            one.key for one in self.all if one.key in self.moving and one.kind not in ("reaction", "stoichiometry")
        ]
        wanted = [key for tree in used for key in names_of(tree)] + [key for key in observed if key in trees]
        for key in wanted:
            self._define(key, trees, ())
        self.course.outputs = observed

    def _define(self, key: str, trees: dict[str, ast.expr], above: tuple[str, ...]) -> None:
        if key not in trees or key in self.course.definitions:
            return
        if key in above:
            self.refuse(f"'{key}' is computed from itself, directly or through others: break the circle")
        for other in names_of(trees[key]):
            self._define(other, trees, (*above, key))
        self.course.definitions[key] = trees[key]

    def _parameters(self, used: list[ast.expr]) -> None:
        given = [dose.key for dose in self.course.doses]
        named = {key for tree in [*used, *self.course.definitions.values()] for key in names_of(tree)}
        for one in self.all:
            if one.key in {*self.state_keys, *self.course.definitions, *given} or one.kind == "reaction":
                continue
            if one.rule is not None or one.initial is not None:
                continue
            if one.value is None:
                if one.key in named:
                    self.refuse(f"{one.words} has no value: give it one, or a rule")
                continue
            if one.key in named or one.kind in ("parameter", "species"):
                self.course.parameters.append(one)

    def _nothing_undefined(self) -> None:
        for what, tree in self.trees():
            if UNDEFINED in names_of(tree):
                self.refuse(f"{what} has a piecewise without otherwise, which has no value elsewhere: add an otherwise")

    def trees(self) -> Iterator[tuple[str, ast.expr]]:
        """Yield every expression of the course, and whose it is."""
        for key, tree in self.course.definitions.items():
            yield f"{self.all[key].words}", tree
        for state in self.course.states:
            yield f"the initial value of '{state.key}'", state.initial
        for span in self.course.spans:
            for key, tree in (*span.equations.items(), *span.reset.items()):
                yield f"the change of '{key}'", tree
