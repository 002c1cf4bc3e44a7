"""Intervals and tests for scores over seeds: how sure one may be, and who is tied with the best.

Two things make a score uncertain: the seed (other weights, another order of the data) and the test
set (a finite draw of examples, shared by all seeds). Where the records keep what became of each
example, or of each block of a text, both are read off the crossed table of seeds and examples
(`results.crossed`). Where they keep counts alone, the test set's part is bounded by the binomial's.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from results.blocks import paired_blocks
from results.crossed import Parts, Term, joined, mean_part, parts_of, student
from results.outcomes import paired_outcomes

LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and the ends of its confidence interval; they are equal to it where unknown."""

    mean: float
    low: float
    high: float
    known: bool = True
    """False: nothing says how uncertain the estimate is."""
    freedom: float = math.inf
    """Degrees of freedom of its variance, for joining it with others."""

    @property
    def half_width(self) -> float:
        """The longer side."""
        return max(self.high - self.mean, self.mean - self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One seed's result."""

    seed: int
    value: float
    successes: int | None = None
    trials: int | None = None
    """Of how many test examples; None where the metric is no proportion."""
    test_set: str = ""
    """Digest of the test data: only equal ones are compared example by example."""
    outcomes: str = ""
    """Base64 of one bit per test example."""
    blocks: tuple[float, ...] = ()
    """The value in each block of a text: what is drawn independently then is the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First minus second."""

    interval: Interval
    p_value: float
    """Two-sided, of no difference."""
    test: str


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927; Brown, Cai and DasGupta 2001)."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials are not a proportion.")
    return _wilson(successes / trials, trials, student(math.inf, level))


def _wilson(share: float, trials: float, z: float) -> Interval:
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    reach /= 1 + z * z / trials
    low, high = max(0.0, centre - reach), min(1.0, centre + reach)
    return Interval(mean=share, low=min(low, share), high=max(high, share))


def bounded(share: float, variance: float, freedom: float, level: float = LEVEL) -> Interval:
    """Of an estimate between 0 and 1 with a positive variance that was itself estimated.

    Wilson's interval with m(1-m)/variance for the number of trials and Student's quantile for the
    normal one (Franco, Little, Louis and Slud 2019, Journal of Survey Statistics and Methodology
    7:334): it stays between 0 and 1, and is lopsided near them.
    """
    trials = max(share * (1 - share) / variance, 1e-9)
    return replace(_wilson(share, trials, student(freedom, level)), freedom=freedom)


def over_seeds(scores: Sequence[Score], level: float = LEVEL) -> Interval:
    """The mean over seeds with an interval for seeds and test set together.

    The variance is that of a crossed table (`results.crossed`) where outcomes by example or values
    by block are there. From counts alone it is s^2/S + m(1-m)/n with s^2 between the means of the S
    seeds and n examples (not nS: they are the same for all), which errs on the wide side; without
    counts it is s^2/S. Degrees of freedom after Welch and Satterthwaite. A proportion gets the
    `bounded` interval, which for one seed is Wilson's own; all else mean +- t sqrt(variance). One
    seed: the interval speaks of that trained model. Two: the spread is told by one number, and in
    simulations 86 to 98 % held the truth. `results.bootstrap` says why it is no bootstrap.
    """
    if not scores:
        raise ValueError("a mean over seeds needs at least one score.")
    values = np.array([score.value for score in scores], dtype=np.float64)
    mean = float(values.mean())
    unknown = Interval(mean=mean, low=mean, high=mean, known=False)
    if not math.isfinite(mean):
        return unknown
    trials, blocks = _trials(scores), paired_blocks(scores)
    if trials is None or blocks:
        parts = parts_of(blocks) if blocks else mean_part(values)
        found = _around(mean, *joined(parts), level) if parts else unknown
        bounds = (-math.inf, math.inf) if trials is None else (0.0, 1.0)
        return replace(found, low=max(bounds[0], found.low), high=min(bounds[1], found.high))
    variance, freedom = joined(_counted(scores, values, trials))
    if variance > 0.0 and 0.0 < mean < 1.0:
        return bounded(mean, variance, freedom, level)
    return _wilson(mean, trials, student(math.inf, level))


def mean_of(intervals: Sequence[Interval], level: float = LEVEL) -> Interval:
    """The mean of independent estimates (tasks of a suite), each with an interval of this level.

    Their distances from the mean, each over its own Student quantile, add in quadrature on either
    side by itself (Zou and Donner 2008, Statistics in Medicine 27:1693), and Satterthwaite's
    degrees of freedom give the quantile of the sum.
    """
    n = len(intervals)
    mean = sum(i.mean for i in intervals) / n
    quantiles = [student(i.freedom, level) for i in intervals]
    sides = []
    for reaches in ([i.mean - i.low for i in intervals], [i.high - i.mean for i in intervals]):
        errors = [reach / q / n for reach, q in zip(reaches, quantiles, strict=True)]
        pairs = zip(errors, intervals, strict=True)
        sides.append(joined([(error**2, i.freedom) for error, i in pairs]))
    below, above = (student(f, level) * math.sqrt(variance) for variance, f in sides)
    known = all(i.known for i in intervals)
    freedom = min(f for _, f in sides)
    return Interval(mean=mean, low=mean - below, high=mean + above, known=known, freedom=freedom)


def difference(a: Sequence[Score], b: Sequence[Score], level: float = LEVEL) -> Difference:
    """How far `a` lies above `b`, with the sharpest test that the stored numbers allow.

    Outcomes of the same test examples, or values of the same blocks of a text: paired tests, by
    seeds too where both have the same ones. Otherwise the groups count as independent, which is
    conservative when they share a test set.
    """
    blocks, outcomes = paired_blocks(a, b), paired_outcomes(a, b)
    if outcomes and not blocks and len(a) == len(b) == 1:
        return _mcnemar(outcomes[0], outcomes[1], level)
    if blocks or outcomes:
        return _paired(a, b, blocks or outcomes, "blocks" if blocks else "examples", level)
    return _independent(a, b, level)


def _paired(
    a: Sequence[Score], b: Sequence[Score], terms: Sequence[Term], over: str, level: float
) -> Difference:
    """Student's test over examples or blocks, which takes seeds in too where there are several.

    The paired part is Miller's (2024, arXiv:2411.00640); `results.crossed` has the variance.
    """
    first, second = terms
    gap = _gap(a, b)
    parts = parts_of([first, replace(second, weight=-1.0)])
    if not parts:
        return Difference(
            interval=Interval(mean=gap, low=gap, high=gap, known=False),
            p_value=1.0,
            test=f"none: one seed and one {over.removesuffix('s')}",
        )
    several = len(a) > 1 or len(b) > 1
    return _tested(gap, parts, level, f"paired over {over}" + " and seeds" * several)


def _mcnemar(first: Term, second: Term, level: float) -> Difference:
    """McNemar's exact test (1947; Dietterich 1998): a sign test on examples that only one got.

    The interval is Wald's with one example more for each side, its centre (w - l)/(n + 2) (Bonett
    and Price 2012, Journal of Educational and Behavioral Statistics 37:479, adjusted for paired
    proportions).
    """
    gain = (first.values - second.values)[0]
    n, wins, losses = len(gain), int((gain > 0).sum()), int((gain < 0).sum())
    p_value = min(1.0, 2 * float(special.bdtr(min(wins, losses), wins + losses, 0.5)))
    mean, centre = (wins - losses) / n, (wins - losses) / (n + 2)
    variance = ((wins + losses + 2) / (n + 2) - centre**2) / (n + 2)
    reach = student(math.inf, level) * math.sqrt(variance)
    low, high = max(-1.0, centre - reach), min(1.0, centre + reach)
    interval = Interval(mean=mean, low=min(low, mean), high=max(high, mean))
    return Difference(interval=interval, p_value=p_value, test="McNemar, exact")


def _independent(a: Sequence[Score], b: Sequence[Score], level: float) -> Difference:
    """Welch's test with a binomial part per shared test set.

    The binomial variance is that of (k+1)/(n+2) (Agresti and Caffo 2000), which stays positive at
    0 and 1. With one seed each it is the two-proportion z test.
    """
    gap = _gap(a, b)
    parts = [*_variances(a), *_variances(b)]
    if any(math.isinf(variance) for variance, _ in parts):
        unknown = Interval(mean=gap, low=gap, high=gap, known=False)
        return Difference(interval=unknown, p_value=1.0, test="none: one seed and no counts")
    name = "two proportions" if len(a) == len(b) == 1 else "Welch"
    return _tested(gap, parts, level, name)


def _gap(a: Sequence[Score], b: Sequence[Score]) -> float:
    return float(np.mean([s.value for s in a]) - np.mean([s.value for s in b]))


def _variances(scores: Sequence[Score]) -> Parts:
    """The parts of the variance of a mean with their degrees of freedom; infinite if unknown."""
    values = np.array([score.value for score in scores], dtype=np.float64)
    trials = _trials(scores)
    parts = mean_part(values)
    if trials is not None:
        share = (float(values.mean()) * trials + 1) / (trials + 2)
        parts.append((share * (1 - share) / (trials + 2), math.inf))
    return parts or [(math.inf, math.inf)]


def _counted(scores: Sequence[Score], values: NDArray[np.float64], trials: int) -> Parts:
    """The same for one mean: by example where outcomes are stored, else bounded by the binomial."""
    outcomes = paired_outcomes(scores) if len(scores) > 1 else []
    if outcomes:
        return parts_of(outcomes)
    share = min(max(float(values.mean()), 0.0), 1.0)
    return [*mean_part(values), (share * (1 - share) / trials, math.inf)]


def _tested(gap: float, parts: Parts, level: float, name: str) -> Difference:
    variance, freedom = joined(parts)
    if variance == 0.0:
        same = Interval(mean=gap, low=gap, high=gap)
        return Difference(interval=same, p_value=1.0 if gap == 0.0 else 0.0, test=name)
    p_value = 2 * _student_cdf(-abs(gap) / math.sqrt(variance), freedom)
    interval = _around(gap, variance, freedom, level)
    return Difference(interval=interval, p_value=p_value, test=name)


def _student_cdf(t: float, freedom: float) -> float:
    return float(special.ndtr(t) if math.isinf(freedom) else special.stdtr(freedom, t))


def _around(mean: float, variance: float, freedom: float, level: float) -> Interval:
    reach = student(freedom, level) * math.sqrt(variance)
    return Interval(mean=mean, low=mean - reach, high=mean + reach, freedom=freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for testing many at once (Holm 1979): compare each with the level as it is."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    raised = [min(1.0, (len(order) - rank) * p_values[i]) for rank, i in enumerate(order)]
    adjusted = [0.0] * len(order)
    for i, p_value in zip(order, itertools.accumulate(raised, max), strict=True):
        adjusted[i] = p_value
    return adjusted


def tied_with_best(
    column: Mapping[str, Sequence[Score]], *, higher_is_better: bool = True, level: float = LEVEL
) -> tuple[str, frozenset[str]]:
    """The name with the best mean, and those not shown to be worse (Holm over the column).

    The set of both is meant to hold the truly best method in 95 % of cases or more: each of the
    others would have to beat it by luck at a level divided by their number.
    """
    sign = 1 if higher_is_better else -1
    means = {
        name: sign * float(np.mean([s.value for s in group])) for name, group in column.items()
    }
    best = max(means, key=lambda name: means[name])
    others = [name for name in column if name != best]
    p_values = holm([difference(column[best], column[name], level).p_value for name in others])
    tied = (name for name, p in zip(others, p_values, strict=True) if p > 1 - level)
    return best, frozenset(tied)


def _trials(scores: Sequence[Score]) -> int | None:
    """Test examples behind the mean: shared ones once, those of separate test sets added up."""
    sets: dict[str, int] = {}
    for score in scores:
        if score.trials is None:
            return None
        sets[score.test_set] = score.trials
    return sum(sets.values())
