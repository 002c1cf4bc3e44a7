"""Variances of means over a crossed table: every row (a seed) meets every column (an example).

With x_sj = mu + a_s + b_j + c_sj over S rows and n columns, the mean has the variance
var(a)/S + var(b)/n + var(c)/(nS). The mean squares of the two-way table, between rows MS_a, between
columns MS_b and of the rest MS_c, have the expectations n var(a) + var(c), S var(b) + var(c) and
var(c), so that (MS_a + MS_b - MS_c)/(nS) estimates it without bias (Cornfield and Tukey 1956,
Annals of Mathematical Statistics 27:907, the random model with two factors).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Parts = list[tuple[float, float]]
"""Variances that add up, each with its degrees of freedom; a negative one is what two of the others
both hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One model's values and their weight in a sum of means."""

    weight: float
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    """`[seed, block]` or `[seed, example]`; all terms of a sum have the same columns."""


def parts_of(terms: Sequence[Term]) -> Parts:
    """The parts of the variance of the weighted sum of means; none where nothing tells it.

    Columns are always paired. Seeds are paired where all terms have the same ones, else they count
    as independent. A term of one seed adds nothing for seeds: the sum then speaks of that model.
    """
    tables = [term.weight * term.values for term in terms]
    if len({term.seeds for term in terms}) == 1:
        tables = [np.sum(tables, axis=0)]
    columns = np.sum([table.mean(axis=0) for table in tables], axis=0)
    rows = [part for table in tables for part in [*mean_part(table.mean(axis=1)), *_rest(table)]]
    return [*mean_part(columns), *rows]


def _rest(table: NDArray[np.float64]) -> Parts:
    """What neither its row nor its column explains, which the means of both contain."""
    rows, columns = table.shape
    freedom = (rows - 1) * (columns - 1)
    if not freedom:
        return []
    centred = table - table.mean()
    by_row, by_column = centred.mean(axis=1), centred.mean(axis=0)
    rest = np.vdot(centred, centred) - columns * by_row @ by_row - rows * by_column @ by_column
    return [(-max(0.0, float(rest)) / freedom / table.size, float(freedom))]


def joined(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The sum of the variances and its degrees of freedom after Welch and Satterthwaite.

    No part alone can be more than the whole, so that the sum is not let fall below the greatest.
    """
    variance = max([sum(part for part, _ in parts), *(part for part, _ in parts)], default=0.0)
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
