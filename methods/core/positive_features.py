"""Positive random features: phi(x; w) = exp(w.x - |x|^2 / 2), arXiv:2009.14794, lemma 1."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import FeatureMap, Features, Keys
from methods.core.linear_attention import Exponents


class PositiveFeatures(FeatureMap):
    """A map phi(x) = exp(w.y - |y|^2 / 2 + c) / sqrt(m), y = scale A x, for queries and keys alike.

    The author says what the rows w, A and c are; the core computes features where it needs them.
    """

    @abstractmethod
    def exponents(self) -> Exponents:
        """w, A, c and the scale, with their gradients."""

    def queries(self, q: Float[Tensor, "b g t d"]) -> Features:
        return positive_features(q, self.exponents())

    def keys(self, k: Keys) -> Features:
        return positive_features(k, self.exponents())

    def both(self, q: Float[Tensor, "b g t d"], k: Keys) -> tuple[Features, Features]:
        """Features of queries and keys by one computation: for few tokens half the time of two."""
        rows = [q.shape[2], k.shape[2]]
        values, log_scale = positive_features(torch.cat([q, k], 2), self.exponents())
        queries, keys = zip(values.split(rows, 2), log_scale.split(rows, 2), strict=True)
        return Features(*queries), Features(*keys)

    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        """scale^2 (A q).(A k): what rows w from N(0, I) estimate without bias."""
        e = self.exponents()
        if e.root is not None:
            q, k = q @ e.root.to(q.dtype).mT, k @ e.root.to(k.dtype).mT
        return (q * e.scale) @ (k * e.scale).mT


def positive_features(x: Float[Tensor, "b g t d"], exponents: Exponents) -> Features:
    """The features of all times at once, each row's largest split off into its scale, together with
    the 1 / sqrt(m) of the mean."""
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
