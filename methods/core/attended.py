"""Pairs of queries and keys as softmax attention weighs them: what an estimate has to get right.

The weights are those of exact bidirectional attention on calibration data, whatever the method
does with it later.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import KeyPadding, Keys

SCORES = 2**22
"""Attention weights in memory at a time: 32 MiB."""

FoldedQueries = Float[Tensor, "b g t d"]


class Weighed(NamedTuple):
    """Sums of attention weights."""

    by_query: Float[Tensor, "b g t"]
    """1, or 0 for a query that has no part."""
    by_key: Float[Tensor, "b g s"]
    of_pairs: Float[Tensor, "g n n"] | None
    """sum over pairs of weight u y^T."""


def weigh(
    q: FoldedQueries,
    k: Keys,
    key_padding: KeyPadding | None,
    *,
    of_pairs: tuple[Float[Tensor, "b g t n"], Float[Tensor, "b g s n"]] | None = None,
) -> Weighed:
    """The softmax of q.k / sqrt(d) over each sequence's keys, summed; `of_pairs` gives u and y."""
    by_query, by_key = q.new_zeros(q.shape[:3]), k.new_zeros(k.shape[:3])
    mixed = None
    for rows, weights in _attention(q, k, key_padding):
        by_query[:, :, rows] = weights.sum(-1)
        by_key += weights.sum(-2)
        if of_pairs is not None:
            u, y = of_pairs
            both = torch.einsum("bgtn,bgtm->gnm", u[:, :, rows], weights @ y)
            mixed = both if mixed is None else mixed + both
    return Weighed(by_query, by_key, mixed)


def _attention(
    q: FoldedQueries, k: Keys, key_padding: KeyPadding | None
) -> Iterator[tuple[slice, Float[Tensor, "b g c s"]]]:
    """Rows of weights, some queries at a time; zeros for a query of a padded place, where queries
    and keys are of one sequence, and for one that sees no key."""
    hidden = None if key_padding is None else key_padding[:, None, None]
    size = max(1, SCORES // (k.shape[0] * k.shape[1] * k.shape[2]))
    for start in range(0, q.shape[2], size):
        rows = slice(start, min(start + size, q.shape[2]))
        scores = q[:, :, rows] @ k.mT / k.shape[3] ** 0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden, -torch.inf)
        weights = scores.softmax(-1)
        if hidden is not None:
            weights = weights.masked_fill(hidden.all(-1, keepdim=True), 0.0)
            if q.shape[2] % k.shape[2] == 0:
                padded = hidden.mT.repeat(1, 1, q.shape[2] // k.shape[2], 1)
                weights = weights.masked_fill(padded[:, :, rows], 0.0)
        yield rows, weights
