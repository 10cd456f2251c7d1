"""Everything of an SBML file that has a name in its math: compartments, species, parameters, rates of reactions.

A species stands for its concentration or, where the file says so, for its amount; so does the quantity here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .mathematics import Mathematics
from .trees import TIME, binary, name, names_of, negative, number, total, without_factor
from .unsupported import Refusal

_SID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MAX_QUANTITIES = 2000


@dataclass
class Quantity:
    """One of them.

    Attributes
    ----------
    key : its name in trees: the file's id, and ``reaction/parameter`` where it is local
    kind : what it is, in words
    label : its name in the file
    unit : as `ckinetics.modeling.sbml.reading_units` reads it; None where the file leaves it open
    value : number that the file gives it
    initial : expression that gives it its value at the start
    rule : expression that it always equals
    rate : expression of its change
    constant : whether the file says that it never changes
    """

    key: str
    kind: str
    label: str
    value: float | None = None
    initial: ast.expr | None = None
    rule: ast.expr | None = None
    rate: ast.expr | None = None
    constant: bool = True
    unit: str | None = None

    @property
    def words(self) -> str:
        """What it is, with its id."""
        return f"{self.kind} '{self.key}'"


@dataclass
class Quantities:
    """All of a file, by name; `dropped` says what was left out."""

    by_key: dict[str, Quantity] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    def __getitem__(self, key: str) -> Quantity:
        return self.by_key[key]

    def __contains__(self, key: str) -> bool:
        return key in self.by_key

    def __iter__(self) -> Iterator[Quantity]:
        return iter(self.by_key.values())


def quantities_of(model: Any, maths: Mathematics, refuse: Refusal, targets: set[str]) -> Quantities:
    """Return the quantities of a model with what governs each.

    Parameters
    ----------
    model : libsbml.Model
        The model.
    maths : Mathematics
        Reads its expressions.
    refuse : Refusal
        Refuses what cannot be said.
    targets : set of str
        What events set.
    """
    return _Collector(model, maths, refuse, targets).collect()


class _Collector:
    def __init__(self, model: Any, maths: Mathematics, refuse: Refusal, targets: set[str]) -> None:
        self.model, self.maths, self.refuse, self.targets = model, maths, refuse, targets
        self.found = Quantities()
        self.amounts: set[str] = set()  # species that stand for amounts
        self.free: set[str] = set()  # species that no reaction changes
        self.home: dict[str, str] = {}
        self.reacting: set[str] = set()
        self.terms: dict[str, list[ast.expr]] = {}  # of the rates of species

    def collect(self) -> Quantities:
        model = self.model
        for what, many in (
            ("compartments", model.getNumCompartments()),
            ("species", model.getNumSpecies()),
            ("parameters", model.getNumParameters()),
            ("reactions", model.getNumReactions()),
        ):
            if many > MAX_QUANTITIES:
                self.refuse(f"has {many} {what}: a model file holds at most {MAX_QUANTITIES}")
        for compartment in model.getListOfCompartments():
            size = compartment.getSize() if compartment.isSetSize() else None
            self._add("compartment", compartment, size, constant=compartment.getConstant())
        for parameter in model.getListOfParameters():
            value = parameter.getValue() if parameter.isSetValue() else None
            self._add("parameter", parameter, value, constant=parameter.getConstant())
        for species in model.getListOfSpecies():
            self._species(species)
        laws = {reaction.getId(): self._law(reaction) for reaction in model.getListOfReactions()}
        self._stoichiometries()
        self._rules()
        self._initial_assignments()
        for reaction in model.getListOfReactions():
            self._reaction(reaction, laws[reaction.getId()])
        for key, terms in self.terms.items():
            self.found[key].rate = total(terms)
        self._concentrations_in_moving_volumes()
        if model.getNumConstraints():
            self.found.dropped.append(f"{model.getNumConstraints()} constraint(s), which do not change the course")
        self._known_names()
        return self.found

    def _add(self, kind: str, element: Any, value: float | None, *, constant: bool) -> Quantity:
        key = element.getId()
        if not _SID.fullmatch(key):
            self.refuse(f"a {kind} has the id '{key}', which is no SBML identifier: use letters, digits and _")
        if key in self.found:
            self.refuse(f"the id '{key}' is used twice: give one of the two another")
        if value is not None and not abs(value) < float("inf"):
            self.refuse(f"{kind} '{key}' has the value {value}, which is no number: give a finite one")
        one = Quantity(key, kind, element.getName() or "", value, constant=constant)
        self.found.by_key[key] = one
        return one

    def _species(self, species: Any) -> None:
        home = species.getCompartment()
        if home not in self.found or self.found[home].kind != "compartment":
            self.refuse(f"species '{species.getId()}' is in the compartment '{home}', which the file does not have")
        place = self.model.getCompartment(home)
        amount = species.getHasOnlySubstanceUnits() or place.getSpatialDimensions() == 0
        one = self._add("species", species, None, constant=species.getConstant())
        self.home[one.key] = home
        if amount:
            self.amounts.add(one.key)
        if species.getBoundaryCondition() or species.getConstant():
            self.free.add(one.key)
        given = species.getInitialAmount() if species.isSetInitialAmount() else None
        is_amount = given is not None
        if given is None and species.isSetInitialConcentration():
            given = species.getInitialConcentration()
        if given is None:
            return
        if not abs(given) < float("inf"):
            self.refuse(f"species '{one.key}' starts at {given}, which is no number: give a finite one")
        fixed = self.found[home].constant and self.model.getInitialAssignmentBySymbol(home) is None
        if is_amount == amount or given == 0 or (fixed and self.found[home].value == 1):
            one.value = given
        else:
            one.initial = binary(ast.Mult() if amount else ast.Div(), number(given), name(home))

    def _law(self, reaction: Any) -> ast.expr:
        key = reaction.getId()
        if not _SID.fullmatch(key) or key in self.found:
            self.refuse(f"the reaction id '{key}' is no SBML identifier, or is used twice: give it another")
        if reaction.isSetFast() and reaction.getFast():
            self.refuse(f"reaction '{key}' is fast, that is always in equilibrium: a model file cannot say it")
        law = reaction.getKineticLaw()
        if law is None:
            self.refuse(f"reaction '{key}' has no kineticLaw: write its rate into the file")
        locals_ = {}
        for parameter in [*law.getListOfParameters(), *law.getListOfLocalParameters()]:
            if parameter.getId() in locals_:  # level 3 lists its parameters in both
                continue
            if not _SID.fullmatch(parameter.getId()):
                self.refuse(f"reaction '{key}' has a parameter '{parameter.getId()}', which is no SBML identifier")
            own = locals_[parameter.getId()] = f"{key}/{parameter.getId()}"
            value = parameter.getValue() if parameter.isSetValue() else None
            if value is not None and not abs(value) < float("inf"):
                self.refuse(f"parameter '{own}' has the value {value}, which is no number: give a finite one")
            self.found.by_key[own] = Quantity(own, "parameter", parameter.getName() or "", value)
        tree = self.maths.tree(law.getMath(), f"the rate of reaction '{key}'", locals_)
        self.found.by_key[key] = Quantity(key, "reaction", reaction.getName() or "", rule=tree, constant=False)
        return tree

    def _rules(self) -> None:
        for at, rule in enumerate(self.model.getListOfRules(), start=1):
            if rule.isAlgebraic():
                said = f" ('{rule.getMetaId()}')" if rule.getMetaId() else ""
                self.refuse(
                    f"rule {at}{said} is an algebraic rule: solve it for one quantity, and write that as a rule"
                )
            key, what = rule.getVariable(), "rate" if rule.isRate() else "assignment"
            one = self._target(key, f"the {what} rule of '{key}'")
            if one.rule is not None or one.rate is not None:
                self.refuse(f"{one.words} has more than one rule: leave one")
            if one.kind == "species" and key not in self.free and key in self.reacting:
                self.refuse(
                    f"{one.words} is changed by a rule and by reactions: set its boundaryCondition, or drop one"
                )
            tree = self.maths.tree(rule.getMath(), f"the {what} rule of '{key}'")
            if rule.isRate():
                one.rate = tree
            else:
                one.rule = tree

    def _target(self, key: str, place: str) -> Quantity:
        if key not in self.found or self.found[key].kind == "reaction":
            self.refuse(f"{place} is of '{key}', which is no compartment, species or parameter of the file")
        one = self.found[key]
        if one.constant:
            self.refuse(f"{place} changes {one.words}, which the file says is constant: correct one of the two")
        return one

    def _stoichiometries(self) -> None:
        """Add the stoichiometries that have a name of their own; note which species are in reactions."""
        for reaction in self.model.getListOfReactions():
            for reference in [*reaction.getListOfReactants(), *reaction.getListOfProducts()]:
                self.reacting.add(reference.getSpecies())
                if reference.getId():
                    value = reference.getStoichiometry() if reference.isSetStoichiometry() else None
                    self._add("stoichiometry", reference, value, constant=False)

    def _initial_assignments(self) -> None:
        for assigned in self.model.getListOfInitialAssignments():
            key = assigned.getSymbol()
            if key not in self.found or self.found[key].kind == "reaction":
                self.refuse(f"an initial assignment is of '{key}', which is nothing of the file")
            one = self.found[key]
            if one.rule is not None:
                self.refuse(f"{one.words} has an initial assignment and an assignment rule: leave one")
            one.initial = self.maths.tree(assigned.getMath(), f"the initial assignment of '{key}'")

    def _reaction(self, reaction: Any, law: ast.expr) -> None:
        for sign, references in ((-1, reaction.getListOfReactants()), (1, reaction.getListOfProducts())):
            for reference in references:
                key = reference.getSpecies()
                if key not in self.found or self.found[key].kind != "species":
                    self.refuse(f"reaction '{reaction.getId()}' changes '{key}', which is no species of the file")
                if key in self.free:
                    continue
                times = self._stoichiometry(reference, reaction.getId(), key)
                term = binary(ast.Mult(), times, law)
                factor = self.model.getSpecies(key).getConversionFactor() or self.model.getConversionFactor()
                if factor:
                    term = binary(ast.Mult(), name(factor), term)
                if key not in self.amounts:
                    term = without_factor(term, self.home[key])
                self.terms.setdefault(key, []).append(term if sign > 0 else negative(term))

    def _stoichiometry(self, reference: Any, reaction: str, species: str) -> ast.expr:
        if reference.getId():
            return name(reference.getId())
        if reference.isSetStoichiometryMath():
            return self.maths.tree(
                reference.getStoichiometryMath().getMath(), f"the stoichiometry of '{species}' in reaction '{reaction}'"
            )
        value = reference.getStoichiometry()
        if not abs(value) < float("inf"):
            self.refuse(f"reaction '{reaction}' has no stoichiometry for '{species}': write it into the file")
        return number(value)

    def _concentrations_in_moving_volumes(self) -> None:
        for one in [one for one in self.found if one.kind == "species" and one.key not in self.amounts]:
            home = self.found[self.home[one.key]]
            if home.key in self.targets:
                self.refuse(f"an event changes {home.words}, and with it concentrations: a model file cannot say it")
            if one.rule is not None or (one.key in self.free and one.rate is not None) or one.constant:
                continue
            if home.rule is not None and (TIME in names_of(home.rule) or self._moves(home.rule)):
                self.refuse(
                    f"{home.words} changes by an assignment rule, and with it the concentration of {one.words}: "
                    "give the species hasOnlySubstanceUnits, or the compartment a rate rule"
                )
            if home.rate is not None:
                diluted = binary(ast.Div(), binary(ast.Mult(), name(one.key), home.rate), name(home.key))
                one.rate = binary(ast.Sub(), one.rate or number(0), diluted)

    def _moves(self, tree: ast.expr) -> bool:
        """Whether an expression changes with time, as far as that can be told before anything is sorted."""
        seen, left = set(), names_of(tree)
        while left:
            key = left.pop()
            one = self.found.by_key.get(key)
            if one is None or key in seen:
                continue
            seen.add(key)
            if one.rate is not None or key in self.targets or (one.kind == "species" and key not in self.free):
                return True
            if one.rule is not None:
                if TIME in names_of(one.rule):
                    return True
                left += names_of(one.rule)
        return False

    def _known_names(self) -> None:
        for one in self.found:
            rule = f"the rate of reaction '{one.key}'" if one.kind == "reaction" else f"the rule of '{one.key}'"
            trees = {f"the initial value of '{one.key}'": one.initial, rule: one.rule}
            for what, tree in (trees | {f"the change of '{one.key}'": one.rate}).items():
                for key in names_of(tree) if tree is not None else ():
                    known_name(key, what, self.found, self.refuse)


def known_name(key: str, place: str, quantities: Quantities, refuse: Refusal) -> None:
    """Refuse a name that the file does not have."""
    if not key.startswith("<") and key not in quantities:
        refuse(f"{place} uses '{key}', which the file does not have: add it or correct the name")
