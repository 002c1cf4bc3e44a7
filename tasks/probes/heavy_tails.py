"""Estimates of a mean with intervals, and what stays meaningful where a mean has no variance."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LEVEL = 0.95
GROUPS = 32
TAIL_SHARE = 0.002
ROUNDING = 1e-12
"""Relative half width that no interval falls below: sums of float64 are not exact."""


class Estimate(NamedTuple):
    """A number with its 95 % interval and the name of the estimator."""

    value: float
    low: float
    high: float
    samples: int
    how: str


def mean_of(x: Float[Tensor, "n"], what: str = "mean") -> Estimate:
    """Mean with Student's interval: only for samples whose second moment exists."""
    from scipy import stats

    n = len(x)
    value = x.mean().item()
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * x.std().item() / math.sqrt(n)
    half = max(half, ROUNDING * abs(value))
    return Estimate(value, value - half, value + half, n, what)


def mean_of_logs(log_x: Float[Tensor, "n"], what: str = "mean") -> Estimate:
    """The mean of exp(log_x), taken relative to the largest so that nothing overflows before it."""
    largest = log_x.max()
    relative = mean_of(torch.exp(log_x - largest), what)
    scale = math.exp(largest.item())
    return relative._replace(
        value=relative.value * scale, low=relative.low * scale, high=relative.high * scale
    )


def median_of(x: Float[Tensor, "n"], what: str = "median") -> Estimate:
    """Median with the interval of the sign test: no moment has to exist."""
    from scipy import stats

    ordered = x.sort().values
    n = len(x)
    below = max(0, int(stats.binom.ppf((1 - LEVEL) / 2, n, 0.5)) - 1)
    low, high = ordered[below].item(), ordered[n - 1 - below].item()
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]).item() / 2
    return Estimate(middle, low, high, n, what)


def median_of_means(x: Float[Tensor, "n"], groups: int = GROUPS) -> Estimate:
    """Median of the means of `groups` groups of samples in the order given.

    Of a mean that is infinite it estimates nothing: it grows with n, and says what a user of that
    many samples typically sees.
    """
    if len(x) < groups:
        raise ValueError(f"{groups} groups need as many samples; there are {len(x)}.")
    size = len(x) // groups
    means = x[: groups * size].view(groups, size).mean(1)
    found = median_of(means, f"median of means of {groups} groups")
    return found._replace(samples=groups * size)


def hill(log_x: Float[Tensor, "n"], share: float = TAIL_SHARE) -> Estimate:
    """Hill's estimate of alpha in P(X > t) ~ t^(-alpha), from the largest `share` of samples.

    The interval is of the sampling error alone. Where the tail is a power times a power of log t
    the estimate approaches alpha only like 1 / log t.
    """
    tail = max(2, round(len(log_x) * share))
    if tail >= len(log_x):
        raise ValueError(f"a tail of {tail} needs more samples than the {len(log_x)} there are.")
    top = log_x.topk(tail + 1).values
    alpha = 1 / (top[:-1] - top[-1]).mean().item()
    half = 1.96 * alpha / math.sqrt(tail)
    how = f"Hill's estimate, largest {tail} of {len(log_x)}"
    return Estimate(alpha, alpha - half, alpha + half, len(log_x), how)


def exactly(value: float) -> Estimate:
    """A number that was computed, without an interval."""
    return Estimate(value, value, value, 0, "exact")


def slope(x: Sequence[int], y: Sequence[Estimate]) -> Estimate:
    """Least-squares slope of log y against log x, every point with the same weight.

    The interval comes from those of the points, taken as independent.
    """
    log_x = torch.tensor(x, dtype=torch.float64).log()
    centred = (log_x - log_x.mean()) / (log_x - log_x.mean()).square().sum()
    value = float(centred @ torch.tensor([e.value for e in y], dtype=torch.float64).log())
    relative = torch.tensor([(e.high - e.low) / 2 / e.value for e in y], dtype=torch.float64)
    half = float((centred * relative).norm())
    samples = sum(e.samples for e in y)
    return Estimate(value, value - half, value + half, samples, "least squares on logarithms")


def largest_share(x: Float[Tensor, "n"]) -> float:
    """The part of the sum of non-negative numbers that the largest one makes."""
    total = x.sum().item()
    return x.max().item() / total if total > 0 else 0.0


def share_of(count: int, total: int, how: str) -> Estimate:
    """A proportion with Wilson's interval."""
    from scipy import stats

    ends = stats.binomtest(count, total).proportion_ci(LEVEL, method="wilson")
    return Estimate(count / total, float(ends.low), float(ends.high), total, how)
