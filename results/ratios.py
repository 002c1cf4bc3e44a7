"""How many times as much: ratios of positive quantities between two groups of runs.

Samples within a run say how steady that run was, not how far the next run would lie from it: other
load, other addresses, another clock. Where trials have several seeds, the spread between runs is
estimated from them and used; samples within a run are the second best.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import special

from results.medians import median, quotient
from results.statistics import LEVEL, Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far runs of one trial lie apart, as a standard deviation of logarithms."""

    deviation: float
    freedom: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """New over old."""

    interval: Interval
    p_value: float | None
    """Two-sided, of a ratio of 1; None where nothing says how sure it is."""
    test: str


def between_runs(groups: Iterable[Sequence[float]]) -> Spread | None:
    """The spread pooled over groups of runs of one trial each; None without two runs of any.

    The variance of logarithms about each group's mean, weighted by its degrees of freedom, as in
    the analysis of variance: it takes relative scatter to be alike in all groups.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        logs = [math.log(value) for value in group if value > 0]
        if len(logs) > 1:
            squares += statistics.variance(logs) * (len(logs) - 1)
            freedom += len(logs) - 1
    return Spread(deviation=math.sqrt(squares / freedom), freedom=freedom) if freedom else None


def ratio_of_runs(
    new: Sequence[float], old: Sequence[float], spread: Spread, level: float = LEVEL
) -> Ratio:
    """The ratio of geometric means, with Student's interval and test on logarithms.

    The error of the difference of mean logarithms is s sqrt(1/n + 1/m), with the pooled s and its
    degrees of freedom. Raises ValueError where a run is not positive or a side has none.
    """
    if not new or not old or min(*new, *old) <= 0:
        raise ValueError("a ratio of runs needs positive runs on both sides.")
    gap = statistics.fmean(map(math.log, new)) - statistics.fmean(map(math.log, old))
    error = spread.deviation * math.sqrt(1 / len(new) + 1 / len(old))
    reach = float(special.stdtrit(spread.freedom, 0.5 + level / 2)) * error
    if error > 0:
        p_value = 2 * float(special.stdtr(spread.freedom, -abs(gap) / error))
    else:
        p_value = 1.0 if gap == 0 else 0.0
    interval = Interval(mean=math.exp(gap), low=math.exp(gap - reach), high=math.exp(gap + reach))
    return Ratio(interval=interval, p_value=p_value, test="spread between runs")


def ratio_of_samples(new: Sequence[float], old: Sequence[float], level: float = LEVEL) -> Ratio:
    """The ratio of medians with order-statistic intervals joined, and Mann-Whitney's test.

    Mann and Whitney 1947, with the normal approximation and correction for ties of scipy where
    there are many samples. It speaks of these two runs alone.
    """
    from scipy.stats import mannwhitneyu

    interval = quotient(median(new, level), median(old, level))
    p_value = float(mannwhitneyu(new, old).pvalue)
    return Ratio(interval=interval, p_value=p_value, test="Mann-Whitney, within runs")
