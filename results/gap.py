"""How much of the gap between a floor and a ceiling a model closes, over blocks of one text."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from results.blocks import paired_blocks
from results.crossed import joined, parts_of, student
from results.statistics import LEVEL, Interval, Score, difference


def share_of_gap(
    method: Sequence[Score],
    floor: Sequence[Score],
    ceiling: Sequence[Score],
    level: float = LEVEL,
) -> Interval | None:
    """(method - floor) / (ceiling - floor), each a mean over seeds and blocks.

    The interval is the delta method's: the variance of the ratio R is that of
    (method + (R-1) floor - R ceiling) / gap, block by block, with the degrees of freedom of its
    parts. None where the three did not see the same blocks, or where the interval of the gap itself
    does not lie clear above zero: a share of nothing means nothing.
    """
    terms = paired_blocks(method, floor, ceiling)
    if not terms:
        return None
    whole = difference(ceiling, floor, level).interval
    if not whole.known or whole.low <= 0.0:
        return None
    values = [float(np.mean([score.value for score in group])) for group in (method, floor)]
    share = (values[0] - values[1]) / whole.mean
    weights = (1.0, share - 1.0, -share)
    parts = parts_of(
        [replace(t, weight=w / whole.mean) for t, w in zip(terms, weights, strict=True)]
    )
    variance, freedom = joined(parts)
    reach = student(freedom, level) * float(np.sqrt(variance)) if variance > 0.0 else 0.0
    return Interval(mean=share, low=share - reach, high=share + reach)
