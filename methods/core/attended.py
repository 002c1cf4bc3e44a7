"""Pairs of queries and keys as softmax attention weighs them: what an estimate has to get right.

The weights are those of exact bidirectional attention on calibration data, whatever the method
does with it later.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import KeyPadding, Keys

SCORES = 2**22
"""Attention weights in memory at a time: 32 MiB."""

FoldedQueries = Float[Tensor, "b g t d"]


def attended_mean(
    q: FoldedQueries, k: Keys, key_padding: KeyPadding | None
) -> Float[Tensor, "g d"]:
    """The mean over queries of the key that they attend to, E[softmax(q.k / sqrt(d)) k]."""
    k = k.double()
    total, count = k.new_zeros(k.shape[1], k.shape[3]), k.new_zeros(())
    for _, weights in _attention(q, k, key_padding):
        total += torch.einsum("bgts,bgsd->gd", weights, k)
        count += weights[:, 0].sum()
    return total / count.clamp(min=1.0)


def pair_moment(
    q: FoldedQueries,
    k: Keys,
    key_padding: KeyPadding | None,
    shift: Float[Tensor, "g d"],
) -> Float[Tensor, "g d d"]:
    """E[z z^T], z = q + k - shift, over queries and over keys by their weight."""
    x, y = q.double() - shift[:, None], k.double()
    total, count = x.new_zeros(k.shape[1], k.shape[3], k.shape[3]), x.new_zeros(())
    for rows, weights in _attention(q, k, key_padding):
        mine, seen = weights.sum(-1, keepdim=True), weights.sum(-2)[..., None]
        both = torch.einsum("bgtd,bgte->gde", x[:, :, rows], weights @ y)
        total += both + both.mT
        total += torch.einsum("bgtd,bgte->gde", x[:, :, rows] * mine, x[:, :, rows])
        total += torch.einsum("bgsd,bgse->gde", y * seen, y)
        count += weights[:, 0].sum()
    return total / count.clamp(min=1.0)


def _attention(
    q: FoldedQueries, k: Keys, key_padding: KeyPadding | None
) -> Iterator[tuple[slice, Float[Tensor, "b g c s"]]]:
    """Rows of weights, some queries at a time; zeros for a query of a padded place, where queries
    and keys are of one sequence, and for one that sees no key."""
    q, k = q.double(), k.double()
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
