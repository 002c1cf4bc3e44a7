"""The second moment of queries and keys, and what the data-aware methods make of it."""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import KeyPadding, Keys

Moment = Float[Tensor, "g d d"]

RELATIVE_FLOOR = 1e-4
"""Directions with less than this part of the largest eigenvalue are whitened as if they had it:
whitening would otherwise blow up what the data hardly show."""

LARGEST_EIGENVALUE = 0.45
"""Where eigenvalues are clipped for theorem 3.2, whose proposal diverges at 1/2."""


def second_moment(q: Float[Tensor, "b g t d"], k: Keys, key_padding: KeyPadding | None) -> Moment:
    """E[x x^T] per key-value head over queries and keys, each half, in float64.

    Queries of padded positions are left out where queries and keys are of one sequence, query
    heads folded into time.
    """
    return (_moment(q, key_padding) + _moment(k, key_padding)) / 2


def _moment(x: Float[Tensor, "b g t d"], key_padding: KeyPadding | None) -> Moment:
    x = x.double()
    count = x.new_tensor(float(x.shape[0] * x.shape[2]))
    if key_padding is not None and x.shape[2] % key_padding.shape[1] == 0:
        kept = ~key_padding.repeat(1, x.shape[2] // key_padding.shape[1])
        x = x * kept[:, None, :, None]
        count = kept.sum().clamp(min=1)
    return torch.einsum("bgtd,bgte->gde", x, x) / count


def inverse_root(moment: Moment, rank: int) -> Float[Tensor, "g r d"]:
    """The whitening matrix: moment^(-1/2), or its `rank` directions of largest eigenvalue."""
    values, vectors = torch.linalg.eigh(moment)
    largest = values[:, -1:]
    values = values.clamp(min=largest * RELATIVE_FLOOR)
    # Without any data there is nothing to whiten.
    values = torch.where(largest > 0, values, 1.0)
    whitened = vectors.mT / values.sqrt()[..., None]
    if rank < moment.shape[-1]:
        return whitened[:, -rank:]
    return vectors @ whitened


def optimal_root(moment: Moment) -> Moment:
    """The root of Sigma* = (I + 2 Lambda)(I - 2 Lambda)^(-1), arXiv:2603.04127, theorem 3.2."""
    values, vectors = torch.linalg.eigh(moment)
    values = values.clamp(min=0.0, max=LARGEST_EIGENVALUE)
    scale = ((1 + 2 * values) / (1 - 2 * values)).sqrt()
    return (vectors * scale[..., None, :]) @ vectors.mT
