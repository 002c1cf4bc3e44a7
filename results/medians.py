"""Medians of timing samples and of their ratios, each with an interval that assumes no shape.

The ends are order statistics: with n independent samples, the k-th smallest and the k-th largest
enclose the median with probability 1 - 2 P(Binomial(n, 1/2) < k), whatever the distribution, and k
is the greatest that keeps the level (Conover, Practical Nonparametric Statistics, section 3.2).
Fewer than six samples cannot reach 95 %: their whole range is given, as not known. Samples that
follow each other are not quite independent, so the interval is rather too narrow than too wide.
"""

import math
import statistics
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from scipy import special

from results.statistics import LEVEL, Interval

FEWEST: Final = 6
"""Samples from which on an interval at 95 % exists."""


def median(samples: Sequence[float], level: float = LEVEL) -> Interval:
    """The median with its order-statistic interval. Raises ValueError without samples."""
    if not samples:
        raise ValueError("a median needs at least one sample.")
    ordered = sorted(samples)
    rank = _rank(len(ordered), level)
    return Interval(
        mean=statistics.median(ordered),
        low=ordered[max(rank, 1) - 1],
        high=ordered[-max(rank, 1)],
        known=rank > 0,
    )


def ratio(over: Sequence[float], under: Sequence[float], level: float = LEVEL) -> Interval:
    """The median of over/under, pair by pair. Raises ValueError where a sample lacks its partner.

    Samples taken in turn are divided by their partners, so that what slows the machine for a while
    slows both and divides out.
    """
    if len(over) != len(under):
        raise ValueError(f"{len(over)} samples cannot be paired with {len(under)}.")
    return median([a / b for a, b in zip(over, under, strict=True)], level)


def quotient(over: Interval, under: Interval) -> Interval:
    """The quotient of two independent positive estimates, their distances joined as logarithms.

    The method of variance estimates recovery on log over - log under (Zou and Donner 2008,
    Statistics in Medicine 27:1693).
    """
    gap = math.log(over.mean / under.mean)
    below = math.hypot(math.log(over.mean / over.low), math.log(under.high / under.mean))
    above = math.hypot(math.log(over.high / over.mean), math.log(under.mean / under.low))
    return Interval(
        mean=math.exp(gap),
        low=math.exp(gap - below),
        high=math.exp(gap + above),
        known=over.known and under.known,
    )


@lru_cache(maxsize=1024)
def _rank(n: int, level: float) -> int:
    """The greatest k that keeps the level; 0 where none does."""
    k = 0
    while 2 * (k + 1) <= n and 2 * float(special.bdtr(k, n, 0.5)) <= 1 - level:
        k += 1
    return k
