"""Courses of SBML files by scipy, from the files' own formulas: independent of what ckinetics reads in them."""

from __future__ import annotations

import math
from pathlib import Path

import libsbml
import numpy as np
from scipy.integrate import solve_ivp


def _piecewise(*args):
    for value, condition in zip(args[::2], args[1::2], strict=False):
        if condition:
            return value
    return args[-1]


FUNCTIONS = {
    "piecewise": _piecewise,
    "ln": math.log,
    "log10": math.log10,
    "log": lambda *a: math.log(a[-1], a[0]) if len(a) == 2 else math.log10(a[0]),
    "exp": math.exp,
    "sqrt": math.sqrt,
    "root": lambda *a: a[-1] ** (1 / a[0]),
    "abs": abs,
    "min": min,
    "max": max,
    "pi": math.pi,
    "exponentiale": math.e,
    "true": True,
    "false": False,
    "xor": lambda a, b: bool(a) != bool(b),
    "pow": pow,
    "sqr": lambda x: x * x,
}


def compiled(node):
    text = libsbml.formulaToL3String(node)
    text = text.replace("^", "**").replace("&&", " and ").replace("||", " or ")
    text = text.replace("!=", "<>").replace("!", " not ").replace("<>", "!=")
    return compile(text, "formula", "eval")


class Course:
    """The equations of one file."""

    def __init__(self, path: Path) -> None:
        self.document = libsbml.readSBMLFromFile(str(path))
        props = libsbml.ConversionProperties()
        props.addOption("expandFunctionDefinitions", True)
        assert self.document.convert(props) == libsbml.LIBSBML_OPERATION_SUCCESS
        model = self.model = self.document.getModel()
        self.constants, self.amounts, self.homes = {}, set(), {}
        for one in model.getListOfCompartments():
            self.constants[one.getId()] = one.getSize()
        for one in model.getListOfParameters():
            self.constants[one.getId()] = one.getValue()
        for one in model.getListOfSpecies():
            size = self.constants[one.getCompartment()]
            self.homes[one.getId()] = one.getCompartment()
            concentration = (
                one.getInitialConcentration() if one.isSetInitialConcentration() else one.getInitialAmount() / size
            )
            if one.getHasOnlySubstanceUnits():
                self.amounts.add(one.getId())
                concentration *= size
            self.constants[one.getId()] = concentration
        self.rules = {r.getVariable(): compiled(r.getMath()) for r in model.getListOfRules() if r.isAssignment()}
        self.rates = {r.getVariable(): compiled(r.getMath()) for r in model.getListOfRules() if r.isRate()}
        self.laws = [self._law(reaction) for reaction in model.getListOfReactions()]
        moved = {species for _, _, changes in self.laws for species in changes}
        set_ = {a.getVariable() for e in model.getListOfEvents() for a in e.getListOfEventAssignments()}
        self.states = [*self.rates, *sorted((moved | set_) - set(self.rates))]
        for _ in range(5):  # one may depend on another
            for assigned in model.getListOfInitialAssignments():
                value = eval(compiled(assigned.getMath()), FUNCTIONS, self.values(0.0, []))
                self.constants[assigned.getSymbol()] = value
        self.y0 = [self.constants[key] for key in self.states]

    def _law(self, reaction):
        law = reaction.getKineticLaw()
        locals_ = {p.getId(): p.getValue() for p in law.getListOfParameters()}
        locals_ |= {p.getId(): p.getValue() for p in law.getListOfLocalParameters()}
        changes = {}
        for sign, references in ((-1, reaction.getListOfReactants()), (1, reaction.getListOfProducts())):
            for reference in references:
                species = self.model.getSpecies(reference.getSpecies())
                if not species.getBoundaryCondition() and not species.getConstant():
                    changes[species.getId()] = changes.get(species.getId(), 0.0) + sign * reference.getStoichiometry()
        return compiled(law.getMath()), locals_, changes

    def values(self, t, y):
        found = {**self.constants, "time": t, **dict(zip(self.states, y, strict=False))} if y != [] else {}
        found = found or {**self.constants, "time": t}
        left = dict(self.rules)
        while left:
            for key, code in list(left.items()):
                if not set(code.co_names) & set(left):
                    found[key] = eval(code, FUNCTIONS, found)
                    del left[key]
        return found

    def slope(self, t, y):
        values = self.values(t, list(y))
        found = dict.fromkeys(self.states, 0.0)
        for code, locals_, changes in self.laws:
            rate = eval(code, FUNCTIONS, {**values, **locals_})
            for species, times in changes.items():
                found[species] += times * rate / (1.0 if species in self.amounts else values[self.homes[species]])
        for key, code in self.rates.items():
            found[key] = eval(code, FUNCTIONS, values)
        return [found[key] for key in self.states]

    def fire(self, before, at, y):
        """Carry out the events whose trigger becomes true between two moments."""
        y = list(y)
        now, then = self.values(np.nextafter(at, np.inf), y), self.values(before, y)
        for event in self.model.getListOfEvents():
            trigger = compiled(event.getTrigger().getMath())
            waited = before < 0 and not event.getTrigger().getInitialValue()
            if eval(trigger, FUNCTIONS, now) and (waited or (before >= 0 and not eval(trigger, FUNCTIONS, then))):
                for assignment in event.getListOfEventAssignments():
                    value = eval(compiled(assignment.getMath()), FUNCTIONS, now)
                    y[self.states.index(assignment.getVariable())] = value
        return y

    def run(self, times, breaks=(), *, log=True, method="DOP853", rtol=1e-11):
        """Return every state and rule at increasing times; the equations may switch at `breaks` only."""
        times = np.asarray(times, float)
        rows = np.empty((len(self.states), len(times)))
        y, start = self.fire(-1.0, 0.0, self.y0), 0.0
        for end in [*breaks, math.inf]:
            inside = (times >= start) & (times < end)
            last = min(end, times[-1])
            if last > start:
                rows[:, inside], y = self._piece(y, (start, last), times[inside], log, method, rtol)
            else:
                rows[:, inside] = np.array(y)[:, None]
            if end > times[-1]:
                break
            y, start = self.fire(np.nextafter(end, 0.0), end, y), end
        found = dict(zip(self.states, rows, strict=True))
        for key in self.rules:
            with np.errstate(over="ignore"):
                found[key] = np.array([self.values(t, list(row))[key] for t, row in zip(times, rows.T, strict=True)])
        return found

    def _piece(self, y, span, times, log, method, rtol):
        # On the logarithm where a state is above 0: then its error is relative over any number of decades.
        logs = np.array([log and value > 0 for value in y])
        inside = (span[0] + 1e-13 * span[1], span[1] - 1e-13 * span[1])  # never on a switch

        def slope(t, z):
            natural = np.where(logs, np.exp(np.where(logs, z, 0.0)), z)
            with np.errstate(over="ignore"):
                rates = np.array(self.slope(min(max(t, inside[0]), inside[1]), natural))
            return np.where(logs, rates / np.where(logs, natural, 1.0), rates)

        z = np.where(logs, np.log(np.where(logs, y, 1.0)), y)
        size = np.maximum(np.abs(z), 1.0)
        asked = np.unique([*times, span[1]])
        solution = solve_ivp(slope, span, z, method=method, t_eval=asked, rtol=rtol, atol=1e-13 * size)
        assert solution.success, solution.message
        ended = np.where(logs[:, None], np.exp(np.where(logs[:, None], solution.y, 0.0)), solution.y)
        return ended[:, np.searchsorted(asked, times)], list(ended[:, -1])
