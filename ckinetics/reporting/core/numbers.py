"""Numbers as a reader sees them."""

from __future__ import annotations

import math

NOT_CALCULABLE = "n.c."
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(value: float, digits: int = 4) -> str:
    """Return a number to a few significant digits; what is not a number is "n.c.".

    Parameters
    ----------
    value : float
        The number.
    digits : int
        Significant digits; zeros after the decimal point are left out.

    Examples
    --------
    >>> number(12345.678), number(7.0), number(0.0123456)
    ('12,350', '7', '0.01235')
    >>> number(2.5e7), number(1.2e-5), number(float("nan")), number(float("inf"))
    ('2.5×10⁷', '1.2×10⁻⁵', 'n.c.', '∞')
    """
    if math.isnan(value):
        return NOT_CALCULABLE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = float(f"{value:.{digits - 1}e}")
    if rounded == 0:
        return "0"
    size = math.floor(math.log10(abs(rounded)))
    if -4 < size < 6:
        text = f"{rounded:,.{max(digits - 1 - size, 0)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{rounded:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def p_value(value: float) -> str:
    """Return a p value as text.

    Examples
    --------
    >>> p_value(0.00002), p_value(0.0312), p_value(float("nan"))
    ('p < 0.001', 'p = 0.031', 'p not calculable')
    """
    if math.isnan(value):
        return "p not calculable"
    return "p < 0.001" if value < 0.001 else f"p = {number(value, 2)}"


def span(low: float, high: float, digits: int = 4) -> str:
    """Return a range.

    Examples
    --------
    >>> span(40, 60), span(50, 50), span(-0.2, 0.6)
    ('40–60', '50', '-0.2 to 0.6')
    """
    if low == high:
        return number(low, digits)
    return f"{number(low, digits)}{' to ' if low < 0 else '–'}{number(high, digits)}"


def count(value: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> count(1, "patient"), count(3, "patient"), count(0, "assay", "assays")
    ('1 patient', '3 patients', '0 assays')
    """
    return f"{value} {one if value == 1 else many or one + 's'}"
