"""A bootstrap over seeds and examples, to hold the closed forms of `results.statistics` against.

Rows and columns of the table `[seed, example]` are drawn with replacement, each by itself, and the
mean is taken over where they cross (Owen 2007, The pigeonhole bootstrap, Annals of Applied
Statistics 1:386). No table is shown with it. Of S seeds it sees the spread (S-1)/S times as large
as it is and knows of no Student quantile: where seeds are all the spread, three of them hold the
truth in 75 % of cases, as they do unless all lie on one side of it. What neither seed nor example
explains, on the other hand, counts up to three times. From about twenty seeds on, where that rest
is small, both agree.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from results.blocks import paired_blocks
from results.outcomes import paired_outcomes
from results.statistics import LEVEL, Interval, Score

DRAWS: Final = 2000


def bootstrapped(
    scores: Sequence[Score],
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """The mean over seeds with the percentile interval of the pigeonhole bootstrap.

    Raises ValueError unless there are outcomes by example, or values by block, of every seed on the
    same test set.
    """
    terms = paired_blocks(scores) or paired_outcomes(scores)
    if not terms:
        raise ValueError("a bootstrap over examples needs what became of each, for every seed.")
    values = terms[0].values
    low, high = np.quantile(resampled_means(values, rng, draws), [0.5 - level / 2, 0.5 + level / 2])
    mean = float(values.mean())
    known = values.size > 1
    return Interval(mean=mean, low=min(float(low), mean), high=max(float(high), mean), known=known)


def resampled_means(
    values: NDArray[np.float64], rng: np.random.Generator, draws: int
) -> NDArray[np.float64]:
    """`[draw]`: means of `[seed, example]` over rows and columns drawn with replacement.

    Drawing n of n is counting how often each came, multinomial counts with equal chances. One row
    or one column is always itself.
    """
    rows, columns = values.shape
    by_row = rng.multinomial(rows, np.full(rows, 1 / rows), size=draws) / rows
    by_column = rng.multinomial(columns, np.full(columns, 1 / columns), size=draws) / columns
    means: NDArray[np.float64] = ((by_row @ values) * by_column).sum(axis=1)
    return means
