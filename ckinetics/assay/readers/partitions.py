"""What the readers of digital PCR share: counts of partitions, printed concentrations, the volume of a partition.

Exports print counts and a concentration, seldom the volume that stands between them. It follows from both:
``c = -ln(1 - k/n) / V``. A family's known volume is used where it reproduces the printed concentrations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..cells import fold, number_of, text_of
from ..sources import Row, Source
from .table import Header

_UNLIKE = 1.3  # ratio of two volumes that are not of one kind of partition
NO_CALL = frozenset({"no call", "-", "n/a"})


@dataclass(frozen=True)
class Counts:
    """One well and target: accepted and positive partitions, and the concentration that is printed beside them.

    ``half`` is half of the last printed digit. Counts are NaN in a well that was not analysed.
    """

    accepted: float = math.nan
    positive: float = math.nan
    concentration: float = math.nan
    half: float = 0.0

    @property
    def implied_nl(self) -> float:
        """Volume of a partition in nL that gives the printed concentration; NaN where the counts cannot tell."""
        if not (0 < self.positive < self.accepted and self.concentration > 0):
            return math.nan
        return -math.log1p(-self.positive / self.accepted) / self.concentration * 1e3

    def fits(self, partition_nl: float) -> bool:
        """Whether the volume gives the printed concentration, to its printed digits."""
        computed = -math.log1p(-self.positive / self.accepted) / partition_nl * 1e3
        return abs(computed - self.concentration) <= self.half + 1e-6 * self.concentration

    def well(self, partition_nl: float) -> dict[str, float]:
        """Return the counts as the variables of a well."""
        if math.isnan(self.accepted):
            return {}
        return {
            "n_partitions": self.accepted,
            "n_positive": self.positive,
            "partition_nl": partition_nl,
            "vendor_concentration": self.concentration,
        }


def counts_of(source: Source, header: Header, row: Row) -> Counts:
    """Return the counts in a row, from columns ``n_partitions``, ``n_positive``, ``n_negative``, ``concentration``.

    Raises
    ------
    ValueError
        Counts are no whole numbers, or contradict each other.
    """

    def number(column: str, what: str) -> float:
        try:
            return number_of(header.cell(row, column), decimal=source.decimal)
        except ValueError as err:
            raise ValueError(f"{what} partitions: {err}") from None

    accepted, positive = number("n_partitions", "accepted"), number("n_positive", "positive")
    return counts_from(accepted, positive, number("n_negative", "negative"), header.cell(row, "concentration"), source)


def counts_from(accepted: float, positive: float, negative: float, concentration: Any, source: Source) -> Counts:
    """Return counts that were checked, with the printed concentration.

    Without a positive partition the concentration is 0, also where the software prints "No Call".

    Raises
    ------
    ValueError
        Counts are no whole numbers, or contradict each other.
    """
    if math.isnan(accepted):
        accepted = positive + negative
    if math.isnan(accepted) or math.isnan(positive):
        return Counts()
    for value in (accepted, positive):
        if not (value >= 0 and value.is_integer()):
            raise ValueError(f"{value:g} is not a number of partitions")
    if positive > accepted:
        raise ValueError(f"{positive:g} of {accepted:g} partitions are positive: the counts contradict each other")
    if not math.isnan(negative) and positive + negative != accepted:
        raise ValueError(f"{positive:g} positive and {negative:g} negative partitions are not {accepted:g} together")
    if fold(concentration) in NO_CALL or not text_of(concentration):
        return Counts(accepted, positive, 0.0 if positive == 0 < accepted else math.nan)
    try:
        value = number_of(concentration, decimal=source.decimal)
    except ValueError as err:
        raise ValueError(f"concentration: {err}") from None
    if not 0 <= value < math.inf and not math.isnan(value):
        raise ValueError(f"{value:g} is not a concentration")
    return Counts(accepted, positive, value, half_digit(concentration))


def half_digit(cell: Any) -> float:
    """Return half of the last digit of a printed number.

    Examples
    --------
    >>> half_digit("40.8"), half_digit("181")
    (0.05, 0.5)
    """
    text = text_of(cell).replace(",", ".")
    digits, _, exponent = text.casefold().partition("e")
    decimals = len(digits.partition(".")[2]) - (int(exponent) if exponent.lstrip("+-").isdigit() else 0)
    return float(f"5e{-decimals - 1}")


def volume_of(counts: Sequence[Counts], known: Sequence[float]) -> float:
    """Return the volume of a partition in nL for all wells of a file.

    The first of the family's `known` volumes that reproduces the concentrations of most wells; where none does,
    the median of the volumes that the concentrations imply; without a well that can tell, the first known one. It
    stands too where what they imply is no such partition's volume: the concentrations are then those of something else
    than the reaction, an undiluted sample for instance, and are found to differ from the counts.
    """
    telling = [one for one in counts if not math.isnan(one.implied_nl)]
    for volume in known:
        if 2 * sum(one.fits(volume) for one in telling) >= len(telling):
            return volume
    exact = [one for one in telling if one.half < 0.005 * one.concentration]
    implied = median(one.implied_nl for one in exact or telling)
    return implied if any(1 / _UNLIKE < implied / volume < _UNLIKE for volume in known) else known[0]
