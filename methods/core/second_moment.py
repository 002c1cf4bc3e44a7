"""The second moment of queries and keys, and what the data-aware methods make of it."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from methods.core.exponents import Shift
from methods.core.moments import Moment, Moments

Shrinkage = float | Literal["auto"]
"""How much of a moment is replaced by a multiple of the identity of the same trace, from 0 to 1;
auto: the share that minimises the expected squared error, estimated from the data."""

RELATIVE_FLOOR = 1e-4
"""Directions with less than this part of the largest eigenvalue are whitened as if they had it:
whitening would otherwise blow up what the data hardly show."""

LARGEST_EIGENVALUE = 0.45
"""Where eigenvalues are clipped for theorem 3.2, whose proposal diverges at 1/2."""


def require_shrinkage(shrinkage: Shrinkage, *, is_used: bool) -> None:
    """A share, or `auto`; none where nothing is made of the moment that it would shrink."""
    if shrinkage != "auto" and not 0.0 <= float(shrinkage) <= 1.0:
        raise ValueError(f"shrinkage must be auto or lie between 0 and 1, and it is {shrinkage}.")
    if shrinkage != 0.0 and not is_used:
        raise ValueError(
            f"shrinkage={shrinkage} changes nothing here: only proposal=optimal and whitening stand"
            " on the moment that it shrinks. Choose one of these, or leave shrinkage at 0."
        )


def second_moment(
    moments: Moments,
    query_centre: Shift,
    key_centre: Shift,
    *,
    shrinkage: Shrinkage = 0.0,
) -> Moment:
    """E[x x^T] per key-value head over queries and keys, each half and about its own centre."""
    queries, keys = moments.queries, moments.keys
    moment = (queries.moment(query_centre) + keys.moment(key_centre)) / 2
    if shrinkage == 0.0:
        return moment
    if shrinkage == "auto":
        noise = (queries.noise(query_centre) + keys.noise(key_centre)) / 4
        return shrunk(moment, _best_share(moment, noise))
    return shrunk(moment, moment.new_full(moment.shape[:1], shrinkage))


def shrunk(moment: Moment, share: Float[Tensor, " g"]) -> Moment:
    """That share of each moment replaced by the multiple of the identity of the same trace."""
    return torch.lerp(moment, _sphere(moment), share[:, None, None])


def _best_share(moment: Moment, noise: Float[Tensor, " g"]) -> Float[Tensor, " g"]:
    """Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices"
    (2004), section 3, with a known mean, as if samples were independent: tokens are not,
    so that it is rather too little."""
    apart = (moment - _sphere(moment)).square().sum((-2, -1))
    return (noise / apart.clamp(min=torch.finfo(apart.dtype).tiny)).clamp(max=1.0)


def _sphere(moment: Moment) -> Moment:
    d = moment.shape[-1]
    trace = moment.diagonal(dim1=-2, dim2=-1).mean(-1)
    return trace[:, None, None] * torch.eye(d, dtype=moment.dtype, device=moment.device)


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


def typical_root(moment: Moment) -> Moment:
    """The root of the covariance that suits pairs whose z = q + k - shift has E[z z^T] = `moment`.

    Our own. With w ~ N(0, Sigma) and exact weights a pair's relative second moment is
    det(Sigma) det(2 Sigma - I)^(-1/2) exp(z^T (2 Sigma - I)^(-1) z); the mean of its logarithm is
    smallest for a Sigma of the moment's eigenvectors and the eigenvalues (1 + u) / 2, where
    u^2 - (1 + 2 v) u - 2 v = 0 for an eigenvalue v of the moment. It exists for every moment, and
    no more than the second moment of z needs to be known.
    """
    values, vectors = torch.linalg.eigh(moment)
    values = values.clamp(min=0.0)
    linear = 1 + 2 * values
    u = (linear + (linear.square() + 8 * values).sqrt()) / 2
    return (vectors * ((1 + u) / 2).sqrt()[..., None, :]) @ vectors.mT
