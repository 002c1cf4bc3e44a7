"""Intervals and tests for scores over seeds: how sure one may be, and who is tied with the best.

Two things make a score uncertain: the seed (other weights, another order of the data) and the test
set (a finite draw of examples, shared by all seeds). With x_is = 1 where seed s gets example i
right, x_is = mu + a_s + b_i + c_is, a crossed design, and the mean over S seeds and n examples has
variance var(a)/S + var(b)/n + var(c)/(nS). The variance between seed means, s^2, estimates
var(a) + var(c)/n.
"""

import base64
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from results.blocks import Term, joined, mean_part, paired_blocks, parts_of, student

LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and the ends of its confidence interval; they are equal to it where unknown."""

    mean: float
    low: float
    high: float
    known: bool = True
    """False: nothing says how uncertain the estimate is."""

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
    return _wilson(successes / trials, trials, level)


def _wilson(share: float, trials: int, level: float) -> Interval:
    z = float(special.ndtri(0.5 + level / 2))
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    reach /= 1 + z * z / trials
    low, high = max(0.0, centre - reach), min(1.0, centre + reach)
    return Interval(mean=share, low=min(low, share), high=max(high, share))


def over_seeds(scores: Sequence[Score], level: float = LEVEL) -> Interval:
    """The mean over seeds with an interval for seeds and test set together.

    The seeds give a Student interval, mean +- t(S-1) s/sqrt(S); the shared test set gives Wilson's
    interval of the mean with n trials (not nS: the examples are the same). Both are joined by the
    method of variance estimates recovery: their distances from the mean add in quadrature, each
    side by itself (Zou and Donner 2008, Statistics in Medicine 27:1693). Since var(b) is at most
    mu(1-mu), this errs on the wide side. One seed: the test set's part alone, and the interval
    speaks of that trained model. No counts: the seeds' part alone. Blocks: Student's interval
    over them instead of Wilson's.
    """
    if not scores:
        raise ValueError("a mean over seeds needs at least one score.")
    values = np.array([score.value for score in scores], dtype=np.float64)
    mean = float(values.mean())
    if not math.isfinite(mean):
        return Interval(mean=mean, low=mean, high=mean, known=False)
    trials, terms = _trials(scores), paired_blocks(scores)
    parts = parts_of(terms) if terms else mean_part(values)
    reaches = [student(freedom, level) * math.sqrt(variance) for variance, freedom in parts]
    below = above = math.hypot(*reaches)
    counted = trials is not None and not terms
    if trials is not None and counted:
        noise = _wilson(min(max(mean, 0.0), 1.0), trials, level)
        below, above = math.hypot(below, mean - noise.low), math.hypot(above, noise.high - mean)
    low, high = mean - below, mean + above
    if trials is not None:
        low, high = max(0.0, low), min(1.0, high)
    return Interval(mean=mean, low=low, high=high, known=bool(parts) or counted)


def mean_of(intervals: Sequence[Interval]) -> Interval:
    """The mean of independent estimates (tasks of a suite), joined as in `over_seeds`."""
    n = len(intervals)
    mean = sum(i.mean for i in intervals) / n
    below = math.hypot(*(i.mean - i.low for i in intervals)) / n
    above = math.hypot(*(i.high - i.mean for i in intervals)) / n
    known = all(i.known for i in intervals)
    return Interval(mean=mean, low=mean - below, high=mean + above, known=known)


def difference(a: Sequence[Score], b: Sequence[Score], level: float = LEVEL) -> Difference:
    """How far `a` lies above `b`, with the sharpest test that the stored numbers allow.

    Outcomes per example of the same seeds on the same test set, or values of the same blocks of a
    text: paired tests. Otherwise the groups count as independent, which is conservative when they
    share a test set.
    """
    terms = paired_blocks(a, b)
    if terms:
        return _paired_blocks(a, b, terms, level)
    pairs = _paired_outcomes(a, b)
    if len(pairs) == 1:
        return _mcnemar(pairs[0], level)
    if pairs:
        return _paired_seeds(np.stack(pairs), level)
    return _independent(a, b, level)


def _paired_blocks(
    a: Sequence[Score], b: Sequence[Score], terms: Sequence[Term], level: float
) -> Difference:
    """Student's test over blocks, which takes seeds in too where there are several."""
    first, second = terms
    gap = float(np.mean([s.value for s in a]) - np.mean([s.value for s in b]))
    parts = parts_of([first, replace(second, weight=-1.0)])
    if not parts:
        unknown = Interval(mean=gap, low=gap, high=gap, known=False)
        return Difference(interval=unknown, p_value=1.0, test="none: one seed and one block")
    return _tested(gap, parts, level, "paired over blocks" + " and seeds" * (len(parts) > 1))


def _mcnemar(gain: NDArray[np.int8], level: float) -> Difference:
    """McNemar's exact test (1947; Dietterich 1998): a sign test on examples that only one got."""
    wins, losses = int((gain > 0).sum()), int((gain < 0).sum())
    p_value = min(1.0, 2 * float(special.bdtr(min(wins, losses), wins + losses, 0.5)))
    error = float(gain.std()) / math.sqrt(len(gain))
    interval = _around(float(gain.mean()), error, math.inf, level)
    return Difference(interval=interval, p_value=p_value, test="McNemar, exact")


def _paired_seeds(gains: NDArray[np.int8], level: float) -> Difference:
    """Differences `[seed, example]` as a crossed design.

    Variance of the mean: s^2 of the seeds' differences over S, plus the variance over examples of
    the mean difference over n (Miller 2024, arXiv:2411.00640, for the paired part); degrees of
    freedom after Welch and Satterthwaite. What seed and example share is in both, so it errs wide.
    """
    seeds, examples = gains.shape
    parts = [
        (float(gains.mean(axis=1).var(ddof=1)) / seeds, seeds - 1),
        (float(gains.mean(axis=0).var()) / examples, max(1, examples - 1)),
    ]
    return _tested(float(gains.mean()), parts, level, "paired over seeds and examples")


def _independent(a: Sequence[Score], b: Sequence[Score], level: float) -> Difference:
    """Welch's test with a binomial part per shared test set.

    The binomial variance is that of (k+1)/(n+2) (Agresti and Caffo 2000), which stays positive at
    0 and 1. With one seed each it is the two-proportion z test.
    """
    gap = float(np.mean([s.value for s in a]) - np.mean([s.value for s in b]))
    parts = [*_variances(a), *_variances(b)]
    if any(math.isinf(variance) for variance, _ in parts):
        unknown = Interval(mean=gap, low=gap, high=gap, known=False)
        return Difference(interval=unknown, p_value=1.0, test="none: one seed and no counts")
    name = "two proportions" if len(a) == len(b) == 1 else "Welch"
    return _tested(gap, parts, level, name)


def _variances(scores: Sequence[Score]) -> list[tuple[float, float]]:
    """The parts of the variance of a mean with their degrees of freedom; infinite if unknown."""
    values = np.array([score.value for score in scores], dtype=np.float64)
    trials = _trials(scores)
    parts = []
    if len(scores) > 1:
        parts.append((float(values.var(ddof=1)) / len(scores), float(len(scores) - 1)))
    if trials is not None:
        share = (float(values.mean()) * trials + 1) / (trials + 2)
        parts.append((share * (1 - share) / (trials + 2), math.inf))
    return parts or [(math.inf, math.inf)]


def _tested(
    gap: float, parts: Sequence[tuple[float, float]], level: float, name: str
) -> Difference:
    variance, freedom = joined(parts)
    if variance == 0.0:
        same = Interval(mean=gap, low=gap, high=gap)
        return Difference(interval=same, p_value=1.0 if gap == 0.0 else 0.0, test=name)
    error = math.sqrt(variance)
    p_value = 2 * _student_cdf(-abs(gap) / error, freedom)
    return Difference(interval=_around(gap, error, freedom, level), p_value=p_value, test=name)


def _student_cdf(t: float, freedom: float) -> float:
    return float(special.ndtr(t) if math.isinf(freedom) else special.stdtr(freedom, t))


def _around(mean: float, error: float, freedom: float, level: float) -> Interval:
    reach = student(freedom, level) * error
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


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
    """The name with the best mean, and those not shown to be worse (Holm over the column)."""
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


def _paired_outcomes(a: Sequence[Score], b: Sequence[Score]) -> list[NDArray[np.int8]]:
    """x_a - x_b per example, for each seed; empty unless every score has its partner.

    Partners in part are no pairing: the mean would leave out seeds that the table shows.
    """
    partners = {score.seed: score for score in b}
    if {score.seed for score in a} != partners.keys() or len({s.test_set for s in (*a, *b)}) != 1:
        return []
    gains = []
    for score in a:
        mine, theirs = _decode(score), _decode(partners[score.seed])
        if mine is None or theirs is None or len(mine) != len(theirs):
            return []
        gains.append(mine - theirs)
    return gains


@lru_cache(maxsize=256)
def _decode(score: Score) -> NDArray[np.int8] | None:
    """None where outcomes are missing or at odds with the counts."""
    if not score.outcomes or score.trials is None:
        return None
    try:
        packed = np.frombuffer(base64.b64decode(score.outcomes, validate=True), dtype=np.uint8)
    except ValueError:
        return None
    bits = np.unpackbits(packed, count=min(score.trials, 8 * len(packed))).view(np.int8)
    sound = len(bits) == score.trials and np.count_nonzero(bits) == score.successes
    return bits if sound else None
