"""Positive random features: phi(x; w) = exp(w.x - |x|^2 / 2), arXiv:2009.14794, lemma 1."""

import math
from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Features, Keys, Values
from methods.core.exponents import Exponents
from methods.core.linear_attention import (
    FoldedOutputs,
    FoldedQueries,
    State,
    exponential_attention,
)
from methods.core.walked_features import WalkedFeatures


class PositiveFeatures(WalkedFeatures):
    """A map phi(x) = exp(w.y - |y|^2 / 2 + c) / sqrt(m), y = scale A x, for queries and keys alike.

    The author says what the rows w, A and c are; the core computes features where it needs them.
    """

    @abstractmethod
    def exponents(self) -> Exponents:
        """w, A, c and the scale, with their gradients."""

    def attend(
        self, q: FoldedQueries, k: Keys, v: Values, **how: Any
    ) -> tuple[FoldedOutputs, State]:
        return exponential_attention(q, k, v, self.exponents(), **how)

    def queries(self, q: Float[Tensor, "b g t d"]) -> Features:
        e = self.exponents().to(q.dtype)
        return positive_features(e.shifted_queries(q), e)

    def keys(self, k: Keys) -> Features:
        e = self.exponents().to(k.dtype)
        x = e.shifted_keys(k)
        return _tilted(positive_features(x, e), x, e)

    def both(self, q: Float[Tensor, "b g t d"], k: Keys) -> tuple[Features, Features]:
        """Features of queries and keys by one computation: for few tokens half the time of two."""
        e, rows = self.exponents().to(q.dtype), [q.shape[2], k.shape[2]]
        q, k = e.shifted_queries(q), e.shifted_keys(k)
        values, log_scale = positive_features(torch.cat([q, k], 2), e)
        queries, keys = zip(values.split(rows, 2), log_scale.split(rows, 2), strict=True)
        return Features(*queries), _tilted(Features(*keys), k, e)

    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        """scale^2 (A q).(A (k - a)): what rows w from N(0, I) estimate without bias."""
        e = self.exponents().to(q.dtype)
        k = e.shifted_keys(k)
        if e.root is not None:
            q, k = q @ e.root.mT, k @ e.root.mT
        return (q * e.scale) @ (k * e.scale).mT


def positive_features(x: Float[Tensor, "b g t d"], exponents: Exponents) -> Features:
    """The features of x, shifted already, at all times at once, each row's largest split off into
    its scale, together with the 1 / sqrt(m) of the mean."""
    omega, root, offset = (
        None if p is None else p.to(x.dtype)
        for p in (exponents.omega, exponents.root, exponents.offset)
    )
    y = exponents.scale * (x if root is None else x @ root.mT)
    exponent = y @ omega.mT - y.square().sum(-1, keepdim=True) / 2
    if offset is not None:
        exponent = exponent + offset[:, None]
    # A constant to the gradient: what is split off here is multiplied back through the scale.
    largest = exponent.detach().amax(-1)
    scale = largest - 0.5 * math.log(omega.shape[-2])
    return Features(torch.exp(exponent - largest[..., None]), scale)


def _tilted(keys: Features, x: Keys, exponents: Exponents) -> Features:
    """The features of keys with the factor that makes up for the queries' shift."""
    tilt = exponents.tilt()
    if tilt is None:
        return keys
    mapped = x if exponents.root is None else x @ exponents.root.mT
    return keys._replace(log_scale=keys.log_scale + (mapped @ tilt[..., None])[..., 0])
