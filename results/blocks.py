"""Variances over the blocks of one text, where tokens are no independent samples.

With x_ib the value of seed i in block b, a mean over seeds and blocks is uncertain by the seeds and
by the blocks, a crossed design as in `results.statistics`. Models that saw the same blocks are
compared block by block, so that hard blocks do not count as noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

Parts = list[tuple[float, float]]
"""Variances that add up, each with its degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One model's values and their weight in a sum of means."""

    weight: float
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    """`[seed, block]`; all terms of a sum have the same blocks."""


class Blockwise(Protocol):
    """What of a score concerns blocks."""

    @property
    def seed(self) -> int: ...
    @property
    def test_set(self) -> str: ...
    @property
    def blocks(self) -> tuple[float, ...]: ...


def paired_blocks(*groups: Sequence[Blockwise]) -> list[Term]:
    """A term of weight 1 for each group; empty unless all have the same blocks of the same text."""
    scores = [score for group in groups for score in group]
    sizes, texts = {len(s.blocks) for s in scores}, {s.test_set for s in scores}
    if len(sizes) != 1 or len(texts) != 1 or 0 in sizes:
        return []
    ordered = [sorted(group, key=lambda score: score.seed) for group in groups]
    return [
        Term(
            weight=1.0,
            seeds=tuple(score.seed for score in group),
            values=np.array([score.blocks for score in group], dtype=np.float64),
        )
        for group in ordered
    ]


def parts_of(terms: Sequence[Term]) -> Parts:
    """The parts of the variance of the weighted sum of means; none where nothing tells it.

    Blocks are always paired. Seeds are paired where all terms have the same ones, else they count
    as independent. A term of one seed adds nothing for seeds: the sum then speaks of that model.
    """
    over_blocks = sum((t.weight * t.values.mean(axis=0) for t in terms), np.zeros(1))
    paired = len({term.seeds for term in terms}) == 1
    by_seed = [term.weight * term.values.mean(axis=1) for term in terms]
    of_seeds = [sum(by_seed, np.zeros(1))] if paired else by_seed
    return [part for values in (over_blocks, *of_seeds) for part in mean_part(values)]


def joined(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The sum of the variances and its degrees of freedom after Welch and Satterthwaite."""
    variance = sum(part for part, _ in parts)
    spread = sum(part**2 / freedom for part, freedom in parts)
    return variance, variance**2 / spread if spread > 0.0 else math.inf


def mean_part(values: NDArray[np.float64]) -> Parts:
    """The variance of the mean of independent values with its degrees of freedom; none of one."""
    n = len(values)
    return [(float(values.var(ddof=1)) / n, float(n - 1))] if n > 1 else []


def student(freedom: float, level: float) -> float:
    """The quantile of a side of a two-sided interval; normal at infinite freedom."""
    quantile = 0.5 + level / 2
    infinite = math.isinf(freedom)
    return float(special.ndtri(quantile) if infinite else special.stdtrit(freedom, quantile))
