"""How many seeds or examples it takes to see a difference between two methods.

The test is the one that tables make (`results.statistics.difference`): Student's, with the variance
v and the degrees of freedom f of a crossed table (`results.crossed`). A true difference d is then
found with the probability that a noncentral t with f degrees of freedom and noncentrality d/sqrt(v)
lies beyond the quantile of the two-sided level (Cohen 1988, Statistical Power Analysis for the
Behavioral Sciences, section 2.5). One seed each is a question of its own: the answer then concerns
the two models that were trained, and seeds do not make it uncertain.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import special

from results.blocks import paired_blocks
from results.crossed import Parts, Term, joined, parts_of, student
from results.outcomes import paired_outcomes
from results.statistics import LEVEL, Score

ALPHA: Final = 0.05
POWER: Final = 0.8
MOST_SEEDS: Final = 10_000
MOST_EXAMPLES: Final = 10**9
NEARLY_NORMAL: Final = 10_000.0
"""Degrees of freedom beyond which the normal distribution stands for Student's."""
FAR: Final = 8.0
PRECISION: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What makes the difference between two methods uncertain, as variances of x_sj."""

    seeds: float
    """Between seeds: the part that more examples do not lessen."""
    examples: float
    """Between examples: the part that more seeds do not lessen."""
    rest: float = 0.0
    """What both lessen."""
    paired: bool = False
    """The same seeds and examples for both methods, compared one by one."""

    def with_gap(self, difference: float) -> "Spread":
        """At least what a true difference of proportions brings along, where it is paired.

        It takes as great a share of examples that only the better method gets right, and their
        variance is d(1-d) at least. A pilot of two methods that agree on all but a few would
        promise too much.
        """
        least = difference * (1 - difference) - self.rest
        return replace(self, examples=max(self.examples, least)) if self.paired else self

    def parts(self, seeds: int, examples: int) -> Parts:
        """As the test finds them on average, with their degrees of freedom."""
        both = self.rest / seeds / examples
        by_example = self.examples / examples + both
        found: Parts = [(by_example, float(max(1, examples - 1)) if self.paired else math.inf)]
        if seeds > 1:
            freedom = float(seeds - 1) * (1 if self.paired else 2)
            found.append((self.seeds / seeds + both, freedom))
            found.append((-both, float(max(1, (seeds - 1) * (examples - 1)))))
        return found


def spread_of_numbers(
    accuracy: float,
    difference: float,
    *,
    seed_deviation: float = 0.0,
    disagreement: float | None = None,
) -> Spread:
    """From the accuracy of the weaker method and the standard deviation between one's seeds.

    `disagreement` is the share of examples that only one of both gets right: then the comparison is
    paired, with variance `disagreement - difference^2` by example, else it is p(1-p) + q(1-q) of
    two proportions. Raises ValueError for what cannot be.
    """
    other = accuracy + difference
    if not (0.0 < difference < 1.0 and 0.0 <= accuracy <= 1.0 and other <= 1.0):
        raise ValueError(
            f"no method is {difference:g} above an accuracy of {accuracy:g}: both are fractions,"
            " and their sum is at most 1."
        )
    if not 0.0 <= seed_deviation <= 0.5:
        raise ValueError(f"fractions do not deviate by {seed_deviation:g}: it is 0 to 0.5.")
    if disagreement is None:
        by_example = accuracy * (1 - accuracy) + other * (1 - other)
    else:
        most = min(1.0, 2 - accuracy - other, accuracy + other)
        if not difference <= disagreement <= most + 1e-12:
            raise ValueError(
                f"at accuracies of {accuracy:g} and {other:g} two methods disagree on"
                f" {difference:g} to {most:g} of all examples, not on {disagreement:g}."
            )
        by_example = disagreement - difference**2
    return Spread(seeds=2 * seed_deviation**2, examples=by_example, paired=disagreement is not None)


def spread_of_pilot(a: Sequence[Score], b: Sequence[Score], *, paired: bool = True) -> Spread:
    """From scores of both methods in a first experiment, paired where the records allow it.

    Paired are the seeds that both have. Unbiased estimates from the mean squares, those below zero
    taken as zero. One seed says nothing of seeds, and counts all that varies by example as not
    lessened by more of them. Raises ValueError for scores that are neither proportions nor blocks.
    """
    seeds = {score.seed for score in a} & {score.seed for score in b} if paired else set()
    first, second = ([score for score in group if score.seed in seeds] for group in (a, b))
    terms = paired_blocks(first, second) or paired_outcomes(first, second)
    if terms and terms[0].values.shape[1] > 1:
        gap = [terms[0], replace(terms[1], weight=-1.0)]
        return replace(_components(gap), paired=True)
    alone = [_alone(group) for group in (a, b)]
    known = [each.seeds for each, group in zip(alone, (a, b), strict=True) if len(group) > 1]
    return Spread(
        # A method of one seed is taken to vary as the other does.
        seeds=2 * sum(known) / len(known) if known else 0.0,
        examples=sum(each.examples for each in alone),
        rest=sum(each.rest for each in alone),
    )


def _alone(group: Sequence[Score]) -> Spread:
    """Of one method by itself: over the blocks of a text, else a proportion's of examples."""
    if any(score.blocks for score in group):
        # The tokens of a block are no independent draws: p(1-p) is the variance of one token.
        terms = paired_blocks(group)
        if not terms or terms[0].values.shape[1] < 2:
            raise ValueError("a pilot on a text takes two blocks or more, the same for all seeds.")
        return _components(terms)
    if any(score.trials is None for score in group):
        raise ValueError("the scores of a pilot are proportions of examples, or values by block.")
    values = np.array([score.value for score in group])
    mean = float(values.mean())
    by_seed = float(values.var(ddof=1)) if len(group) > 1 else 0.0
    return Spread(seeds=by_seed, examples=mean * (1 - mean))


def _components(terms: Sequence[Term]) -> Spread:
    """From the mean squares of a sum with the same seeds, as `parts_of` its mean hold them."""
    seeds, examples = terms[0].values.shape
    found = [variance for variance, _ in parts_of(terms)]
    if seeds == 1:
        return Spread(seeds=0.0, examples=found[0] * examples)
    by_example, by_seed, rest = found
    return Spread(
        seeds=max(0.0, by_seed + rest) * seeds,
        examples=max(0.0, by_example + rest) * examples,
        rest=-rest * seeds * examples,
    )


def power(
    difference: float, spread: Spread, *, seeds: int, examples: int, alpha: float = ALPHA
) -> float:
    """The chance that so many seeds and examples show a true difference."""
    variance, freedom = joined(spread.parts(seeds, examples))
    if variance <= 0.0:
        return 1.0
    shift, edge = difference / math.sqrt(variance), student(freedom, 1 - alpha)
    if freedom > NEARLY_NORMAL:
        return float(special.ndtr(shift - edge) + special.ndtr(-shift - edge))
    if shift > edge + FAR:
        # There the noncentral t is not computed, and all of it lies beyond.
        return 1.0
    below = special.nctdtr(freedom, shift, edge)
    # The other side holds less than the level's half, and nothing that can be computed far out.
    return float(1.0 - below + np.nan_to_num(special.nctdtr(freedom, shift, -edge)))


def seeds_needed(
    difference: float,
    spread: Spread,
    *,
    examples: int,
    chance: float = POWER,
    alpha: float = ALPHA,
) -> int | None:
    """The fewest seeds of each method, two at least; None if no number of them is enough."""

    def enough(seeds: int) -> bool:
        return power(difference, spread, seeds=seeds, examples=examples, alpha=alpha) >= chance

    return _fewest(enough, 2, MOST_SEEDS)


def examples_needed(
    difference: float,
    spread: Spread,
    *,
    seeds: int,
    chance: float = POWER,
    alpha: float = ALPHA,
) -> int | None:
    """The fewest test examples, two at least; None if no number of them is enough.

    With two or three seeds still more can lessen the power by a hair: the seeds then dominate, and
    with them their few degrees of freedom.
    """

    def enough(examples: int) -> bool:
        return power(difference, spread, seeds=seeds, examples=examples, alpha=alpha) >= chance

    return _fewest(enough, 2, MOST_EXAMPLES)


def smallest_difference(
    spread: Spread, *, seeds: int, examples: int, chance: float = POWER, alpha: float = ALPHA
) -> float | None:
    """The difference that is found with this chance; None if even 1 is not."""

    def missing(difference: float) -> float:
        return power(difference, spread, seeds=seeds, examples=examples, alpha=alpha) - chance

    if missing(1.0) < 0.0:
        return None
    low, high = 0.0, 1.0
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) < 0.0 else (low, middle)
    return high


def deviation_bounds(seeds: int, level: float = LEVEL) -> tuple[float, float]:
    """What a standard deviation of so many normal values is to be multiplied with for its interval.

    sqrt((S-1)/chi2) at both quantiles with S-1 degrees of freedom. Raises ValueError for one.
    """
    if seeds < 2:
        raise ValueError("one value has no standard deviation.")
    quantiles = special.chdtri(seeds - 1, [0.5 - level / 2, 0.5 + level / 2])
    low, high = np.sqrt((seeds - 1) / quantiles)
    return float(low), float(high)


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """A number that is enough where one less is not."""
    high = least
    while not enough(high):
        if high >= most:
            return None
        least, high = high + 1, min(2 * high, most)
    while least < high:
        middle = (least + high) // 2
        least, high = (least, middle) if enough(middle) else (middle + 1, high)
    return high
