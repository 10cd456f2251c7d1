"""MathML of an SBML file as trees, with its functions written out."""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Mapping
from typing import Any

from ..files.expressions import FUNCTIONS
from .files import libsbml_module
from .trees import (
    TIME,
    UNDEFINED,
    TooLargeError,
    binary,
    both,
    call,
    case,
    chained,
    compare,
    either,
    is_condition,
    name,
    negative,
    number,
    opposite,
    truth,
)
from .unsupported import Refusal

# Parts of all expressions of a file together, once functions are written out.
_MAX_PARTS = 300_000
_MAX_FUNCTIONS_DEEP = 30
_MOST_COMPARED = FUNCTIONS["min"][1]
AVOGADRO = 6.02214179e23  # as SBML defines it


class Mathematics:
    """Reads the MathML of one file.

    Parameters
    ----------
    model : libsbml.Model
        The model.
    refuse : Refusal
        Refuses what cannot be said.
    """

    def __init__(self, model: Any, refuse: Refusal) -> None:
        self.sbml, self.refuse = libsbml_module(), refuse
        self.left = _MAX_PARTS
        self.functions = {one.getId(): one for one in model.getListOfFunctionDefinitions()}
        sbml = self.sbml
        self.words = {getattr(sbml, key): _word(key) for key in dir(sbml) if key.startswith("AST_")}
        self.constants = {
            sbml.AST_CONSTANT_PI: number(math.pi),
            sbml.AST_CONSTANT_E: number(math.e),
            sbml.AST_NAME_AVOGADRO: number(AVOGADRO),
            sbml.AST_CONSTANT_TRUE: truth(True),
            sbml.AST_CONSTANT_FALSE: truth(False),
            sbml.AST_NAME_TIME: name(TIME),
        }
        self.numbers = {sbml.AST_INTEGER, sbml.AST_REAL, sbml.AST_REAL_E, sbml.AST_RATIONAL}
        self.comparisons: dict[int, ast.cmpop] = {
            sbml.AST_RELATIONAL_LT: ast.Lt(),
            sbml.AST_RELATIONAL_LEQ: ast.LtE(),
            sbml.AST_RELATIONAL_GT: ast.Gt(),
            sbml.AST_RELATIONAL_GEQ: ast.GtE(),
            sbml.AST_RELATIONAL_EQ: ast.Eq(),
            sbml.AST_RELATIONAL_NEQ: ast.NotEq(),
        }
        self.same = {
            sbml.AST_FUNCTION_EXP: "exp",
            sbml.AST_FUNCTION_LN: "log",
            sbml.AST_FUNCTION_ABS: "abs",
        }

    def tree(self, node: Any, place: str, locals_: Mapping[str, str] | None = None) -> ast.expr:
        """Return an expression.

        Parameters
        ----------
        node : libsbml.ASTNode or None
            What stands in the file.
        place : str
            Whose it is, for messages, such as "the rate of reaction 'R1'".
        locals_ : mapping of str to str, optional
            Names that mean something else here.
        """
        if node is None:
            self.refuse(f"{place} has no math: write it into the file")
        names = {known: name(other) for known, other in (locals_ or {}).items()}
        try:
            found = self._tree(node, place, names, 0)
        except (TooLargeError, RecursionError):
            self.refuse(f"{place} is too large, or nested too deep, once its functions are written out: simplify it")
        if is_condition(found):
            self.refuse(f"{place} is a condition where a number belongs: write it with piecewise")
        return found

    def condition(self, node: Any, place: str) -> ast.expr:
        """Return a condition."""
        if node is None:
            self.refuse(f"{place} has no math: write it into the file")
        try:
            found = self._tree(node, place, {}, 0)
        except (TooLargeError, RecursionError):
            self.refuse(f"{place} is too large, or nested too deep, once its functions are written out: simplify it")
        if not is_condition(found):
            self.refuse(f"{place} is a number where a condition belongs: write a comparison")
        return found

    def _tree(self, node: Any, place: str, names: Mapping[str, ast.expr], deep: int) -> ast.expr:
        self.left -= 1
        if self.left < 0:
            raise TooLargeError
        sbml, kind = self.sbml, node.getType()
        if kind in self.numbers:
            value = float(node.getValue())
            if not math.isfinite(value):
                self.refuse(f"{place} holds {value}, which is no number: write a finite one")
            return number(value)
        if kind in self.constants:
            return self.constants[kind]
        if kind == sbml.AST_NAME:
            return self._name(node.getName(), place, names)
        children = [node.getChild(at) for at in range(node.getNumChildren())]
        if kind == sbml.AST_FUNCTION:
            return self._function(node.getName(), children, place, names, deep)
        args = [self._tree(child, place, names, deep) for child in children] if self._known(kind) else []
        if kind == sbml.AST_FUNCTION_PIECEWISE:
            return self._cases(args, place)
        if kind in self.comparisons:
            return self._comparison(self.comparisons[kind], self._numbers(args, place), place)
        if kind in (sbml.AST_LOGICAL_AND, sbml.AST_LOGICAL_OR, sbml.AST_LOGICAL_NOT, sbml.AST_LOGICAL_XOR):
            return self._logical(kind, args, place)
        return self._arithmetic(kind, self._numbers(args, place), place)

    def _name(self, found: str, place: str, names: Mapping[str, ast.expr]) -> ast.expr:
        if found in names:
            return names[found]
        if isinstance(names, _Arguments):
            self.refuse(f"{place} calls a function that uses '{found}', which is none of its arguments: add it to them")
        return name(found)

    def _known(self, kind: int) -> bool:
        word = self.words.get(kind, "")
        return word in _READ

    def _numbers(self, args: list[ast.expr], place: str) -> list[ast.expr]:
        if any(is_condition(arg) for arg in args):
            self.refuse(f"{place} counts with a condition: write it with piecewise")
        return args

    def _arithmetic(self, kind: int, args: list[ast.expr], place: str) -> ast.expr:
        sbml = self.sbml
        match kind, args:
            case sbml.AST_PLUS, _:
                return chained(ast.Add(), args) if args else number(0)
            case sbml.AST_TIMES, _:
                return chained(ast.Mult(), args) if args else number(1)
            case sbml.AST_MINUS, [one]:
                return negative(one)
            case sbml.AST_MINUS, [one, two]:
                return binary(ast.Sub(), one, two)
            case sbml.AST_DIVIDE, [one, two]:
                return binary(ast.Div(), one, two)
            case ((sbml.AST_POWER | sbml.AST_FUNCTION_POWER), [one, two]):
                return binary(ast.Pow(), one, two)
            case sbml.AST_FUNCTION_ROOT, [one]:
                return call("sqrt", one)
            case sbml.AST_FUNCTION_ROOT, [degree, one]:
                square = isinstance(degree, ast.Constant) and degree.value == 2
                return call("sqrt", one) if square else binary(ast.Pow(), one, binary(ast.Div(), number(1), degree))
            case sbml.AST_FUNCTION_LOG, [one]:
                return binary(ast.Div(), call("log", one), call("log", number(10)))
            case sbml.AST_FUNCTION_LOG, [base, one]:
                return binary(ast.Div(), call("log", one), call("log", base))
            case ((sbml.AST_FUNCTION_MIN | sbml.AST_FUNCTION_MAX), [one]):
                return one
            case ((sbml.AST_FUNCTION_MIN | sbml.AST_FUNCTION_MAX), [_, _, *_]):
                function = "min" if kind == sbml.AST_FUNCTION_MIN else "max"
                found = call(function, *args[:_MOST_COMPARED])
                for at in range(_MOST_COMPARED, len(args), _MOST_COMPARED - 1):
                    found = call(function, found, *args[at : at + _MOST_COMPARED - 1])
                return found
            case _, [one] if kind in self.same:
                return call(self.same[kind], one)
        word = self.words.get(kind, "an unknown operation")
        if kind == sbml.AST_FUNCTION_DELAY:
            self.refuse(f"{place} uses delay, the past of a quantity: a model file cannot say it")
        if word in _READ:
            self.refuse(f"{place} gives {word} {len(args)} argument(s), which it does not take: correct the file")
        self.refuse(f"{place} uses {word}, which a model file cannot say")

    def _function(
        self, called: str, children: list[Any], place: str, names: Mapping[str, ast.expr], deep: int
    ) -> ast.expr:
        function = self.functions.get(called)
        if function is None:
            self.refuse(f"{place} calls '{called}', which is no functionDefinition of the file: add it")
        if deep > _MAX_FUNCTIONS_DEEP:
            self.refuse(f"{place} calls '{called}' from within itself, or too deep: write the function out")
        body = function.getBody()
        if body is None or function.getMath() is None:
            self.refuse(f"the function '{called}' has no math: write it into the file")
        wanted = function.getNumArguments()
        if wanted != len(children):
            self.refuse(
                f"{place} gives '{called}' {len(children)} argument(s), and it takes {wanted}: correct the file"
            )
        args = [self._tree(child, place, names, deep) for child in children]
        inner = {function.getArgument(at).getName(): arg for at, arg in enumerate(args)}
        found = self._tree(body, place, _Arguments(inner), deep + 1)
        self.left -= found.size  # type: ignore[attr-defined]
        return found

    def _cases(self, args: list[ast.expr], place: str) -> ast.expr:
        found = args[-1] if len(args) % 2 else name(UNDEFINED)
        for at in range(len(args) // 2 - 1, -1, -1):
            value, condition = args[2 * at : 2 * at + 2]
            if not is_condition(condition):
                self.refuse(f"{place} has a piecewise with a number for a condition: write a comparison")
            if is_condition(value) or is_condition(found):
                self.refuse(f"{place} has a piecewise of conditions: write it with and, or and not")
            found = case(condition, value, found)
        return found

    def _comparison(self, op: ast.cmpop, args: list[ast.expr], place: str) -> ast.expr:
        if len(args) < 2:
            self.refuse(f"{place} compares one thing with nothing: correct the file")
        return both([compare(op, one, two) for one, two in itertools.pairwise(args)])

    def _logical(self, kind: int, args: list[ast.expr], place: str) -> ast.expr:
        if not all(is_condition(arg) for arg in args):
            self.refuse(f"{place} joins numbers with and, or, xor or not: write comparisons")
        sbml = self.sbml
        if kind == sbml.AST_LOGICAL_NOT and len(args) == 1:
            return opposite(args[0])
        if kind == sbml.AST_LOGICAL_XOR:
            found = truth(False)
            for arg in args:
                found = either([both([found, opposite(arg)]), both([opposite(found), arg])])
            return found
        return both(args) if kind == sbml.AST_LOGICAL_AND else either(args)


# What `Mathematics` reads, by the last words of libsbml's names.
_READ = {
    *("plus", "minus", "times", "divide", "power", "root", "exp", "ln", "log", "abs", "min", "max", "piecewise"),
    *("lt", "leq", "gt", "geq", "eq", "neq", "and", "or", "not", "xor"),
}


def _word(key: str) -> str:
    return key.removeprefix("AST_").split("_", 1)[-1].lower().removeprefix("function_")


class _Arguments(dict[str, ast.expr]):
    """Names inside a function: its arguments, and nothing else of the model."""
