"""Expressions of a model file as MathML, which browsers set like a book does, without a script.

The syntax tree is walked as it stands, so the order of terms stays that of the file.
"""

from __future__ import annotations

import ast
import re
from html import escape

from ...modeling.files.expressions import plain_name, syntax_tree

_GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "eps": "ε",
    "epsilon": "ε",
    "eta": "η",
    "theta": "θ",
    "kappa": "κ",
    "lambda": "λ",
    "mu": "μ",
    "phi": "φ",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
}
_COMPARISONS: dict[type, str] = {ast.Lt: "&lt;", ast.LtE: "≤", ast.Gt: "&gt;", ast.GtE: "≥"}
# How tightly an operator binds.
_SUM, _SIGN, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4, 5


def mathml(expression: str) -> str:
    """Return an expression as the inside of a ``<math>`` element.

    Parameters
    ----------
    expression : str
        As a model file has it.

    Returns
    -------
    str
        MathML; everything that comes from the file is escaped.

    Examples
    --------
    >>> mathml("-k_E*E")
    '<mrow><mo>−</mo><msub><mi>k</mi><mi>E</mi></msub><mo>·</mo><mi>E</mi></mrow>'
    """
    return _set(syntax_tree(expression), 0)


def mathml_name(name: str) -> str:
    """Return a name: Greek where it is spelt so, with what follows an underscore, or a number, below the line.

    Examples
    --------
    >>> mathml_name("rho_C")
    '<msub><mi>ρ</mi><mi>C</mi></msub>'
    """
    base, _, below = name.partition("_")
    numbered = re.fullmatch(r"([A-Za-z]|" + "|".join(_GREEK) + r")(\d+)", name)
    if numbered:
        base, below = numbered[1], numbered[2]
    shown = f"<mi>{escape(_GREEK.get(base, base))}</mi>"
    if not below:
        return shown
    return f"<msub>{shown}<mi>{escape(_GREEK.get(below, below).replace('_', ' '))}</mi></msub>"


def mathml_rate(state: str) -> str:
    """Return the derivative of a state with respect to time."""
    return f"<mfrac><mrow><mi>d</mi>{mathml_name(state)}</mrow><mrow><mi>d</mi><mi>t</mi></mrow></mfrac>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _in_brackets(text: str) -> str:
    tall = "" if any(tag in text for tag in ("<mfrac", "<mtable", "<msup")) else ' stretchy="false"'
    return _row(f"<mo{tall}>(</mo>", text, f"<mo{tall}>)</mo>")


def _set(node: ast.AST, around: int) -> str:
    """Return a node, in brackets where what is around it binds more tightly."""
    text, binds = _bound(node)
    return _in_brackets(text) if binds < around else text


def _bound(node: ast.AST) -> tuple[str, int]:
    """Return a node, and how tightly it binds."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return _number(float(value)), _ATOM
        case ast.Name(id=name):
            return mathml_name(plain_name(name)), _ATOM
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _row("<mo>−</mo>", _inner(operand, _PRODUCT)), _SIGN
        case ast.UnaryOp(operand=operand):
            return _bound(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sign = "+" if isinstance(op, ast.Add) else "−"
            behind, binds = _bound(right)
            if binds == _SIGN or (binds == _SUM and sign == "−"):
                behind = _in_brackets(behind)
            return _row(_inner(left, _SUM), f"<mo>{sign}</mo>", behind), _SUM
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            first = min(_bound(left)[1], _PRODUCT)  # a sign in front is that of the whole product
            row = _row(_inner(left, _SIGN), "<mo>·</mo>", _inner(right, _PRODUCT))
            return row, _SIGN if first == _SIGN else _PRODUCT
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"<mfrac>{_set(left, 0)}{_set(right, 0)}</mfrac>", _PRODUCT
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"<msup>{_set(left, _ATOM)}{_set(right, 0)}</msup>", _POWER
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _row(_set(left, 0), f"<mo>{_COMPARISONS[type(op)]}</mo>", _set(right, 0)), 0
        case ast.Call(func=ast.Name(id=name), args=args):
            return _called(plain_name(name), args)
    raise ValueError(f"no form for {type(node).__name__}")  # the whitelist of expressions has none other


def _inner(node: ast.AST, around: int) -> str:
    """Return a node without a row of its own, where it is a row."""
    text = _set(node, around)
    whole = text.startswith("<mrow>") and text.endswith("</mrow>") and _one_row(text)
    return text.removeprefix("<mrow>").removesuffix("</mrow>") if whole else text


def _one_row(text: str) -> bool:
    depth = 0
    for tag in re.finditer(r"<(/?)mrow>", text):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end() == len(text)
    return False


def _number(value: float) -> str:
    digits, _, exponent = f"{value:.10g}".partition("e")
    if not exponent:
        return f"<mn>{digits}</mn>"
    power = f"<msup><mn>10</mn><mn>{int(exponent)}</mn></msup>".replace("-", "−")
    return power if digits == "1" else _row(f"<mn>{digits}</mn><mo>·</mo>", power)


def _called(name: str, args: list[ast.expr]) -> tuple[str, int]:
    inside = [_set(arg, 0) for arg in args]
    if name == "exp":
        return f"<msup><mi>e</mi>{inside[0]}</msup>", _POWER
    if name == "sqrt":
        return f"<msqrt>{inside[0]}</msqrt>", _ATOM
    if name == "abs":
        return _row("<mo>|</mo>", inside[0], "<mo>|</mo>"), _ATOM
    if name == "hill":
        x, K = (_set(arg, _ATOM) for arg in (args[0], args[2]))
        n = inside[1]
        above, half = f"<msup>{x}{n}</msup>", f"<msup>{K}{n}</msup>"
        return f"<mfrac>{above}{_row(half, '<mo>+</mo>', above)}</mfrac>", _PRODUCT
    if name == "where":
        condition, yes, no = inside
        rows = ((yes, f"<mtext>if </mtext>{condition}"), (no, "<mtext>else</mtext>"))
        cells = "".join(f"<mtr><mtd>{value}</mtd><mtd>{_row(when)}</mtd></mtr>" for value, when in rows)
        return _row("<mo>{</mo>", f'<mtable columnalign="left">{cells}</mtable>'), _ATOM
    if name == "expm1":
        return _row(f"<msup><mi>e</mi>{inside[0]}</msup>", "<mo>−</mo><mn>1</mn>"), _SUM
    if name == "log1p":
        return _row("<mi>ln</mi>", _in_brackets(f"<mn>1</mn><mo>+</mo>{inside[0]}")), _POWER
    shown = "ln" if name == "log" else name
    return _row(f"<mi>{shown}</mi>", _in_brackets("<mo>,</mo>".join(inside))), _POWER
