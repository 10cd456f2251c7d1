"""Expressions of a model file as a person writes them, on one line: ``rho·E``, ``V₁`` stays ``V1``, ``T**2`` is ``T²``.

Tokens are replaced one by one, so brackets and order stay those of the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

_TOKEN = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|[A-Za-z_]\w*|\*\*|<=|>=|\S")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SIGNS = {"*": "·", "-": "−", "<=": "≤", ">=": "≥", "**": "^"}
_ASCII = {"**": "^"}
# What the terminal must be able to show; else the ASCII form is used.
CHARACTERS = "·−≤≥²⁻∞"


def rendered(expression: str, *, ascii_only: bool = False) -> str:
    """Return an expression for reading.

    Parameters
    ----------
    expression : str
        As a model file has it.
    ascii_only : bool
        Whether to keep to ASCII.

    Examples
    --------
    >>> rendered("-k*E/(K**2+E ** 2)")
    '−k·E/(K² + E²)'
    >>> rendered("-k*E/(K**2+E ** 2)", ascii_only=True)
    '-k*E/(K^2 + E^2)'
    """
    signs = _ASCII if ascii_only else _SIGNS
    tokens = _TOKEN.findall(expression)
    text, before = "", ""
    for token, powers in _with_powers(tokens):
        shown = signs.get(token, token)
        binary = before not in ("", "(", ",", "*", "/", "**", "+", "-", "<", ">", "<=", ">=")
        if powers and not ascii_only and re.fullmatch(r"-?\d{1,2}", powers):
            text += powers.translate(_SUPERSCRIPTS)
        elif powers:
            text += f"^{powers}"
        elif token in ("+", "-") and not binary:
            text += shown
        elif token in ("+", "-", "<", ">", "<=", ">="):
            text += f" {shown} "
        elif token == ",":
            text += ", "
        else:
            text += shown
        before = "number" if powers else token
    return text


def _with_powers(tokens: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (token, ""), and ("**", exponent) for a power with a number as its exponent."""
    left = iter(range(len(tokens)))
    for at in left:
        rest = tokens[at + 1 : at + 3]
        size = 2 if rest[:1] == ["-"] else 1
        if tokens[at] == "**" and len(rest) >= size and re.fullmatch(r"\d+\.?\d*", rest[size - 1]):
            yield "**", "".join(rest[:size])
            for _ in itertools.islice(left, size):
                pass
        else:
            yield tokens[at], ""
