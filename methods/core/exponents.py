"""Exponential features as data: directions, metric, weights and shifts, for the core to compute
features from where it needs them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Keys

Shift = Float[Tensor, "g d"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponents:
    """phi(x) = exp(w.y - |y|^2 / 2 + c) / sqrt(m), y = scale A x, for queries and keys alike.

    With shifts x is q - b and k - a, and the features of a key have the factor
    exp(scale^2 (A b).(A x)): so they estimate the kernel of q and k - a, whatever b is. A row of
    attention knows it from that of q and k by a factor that divides out. In a product of features
    the two shifts stand as a + b alone, but for factors of a row: the sum alone decides what is
    estimated and how well, and its parts how far the features' exponents reach.
    """

    omega: Float[Tensor, "g m r"]
    """The rows w."""
    scale: float
    root: Float[Tensor, "g r d"] | None = None
    """A; None: the identity."""
    offset: Float[Tensor, "g m"] | None = None
    """c; None: 0."""
    query_shift: Shift | None = None
    """b, a constant: no gradient reaches it; None: 0."""
    key_shift: Shift | None = None
    """a, a constant too; None: 0."""

    def to(self, dtype: torch.dtype) -> "Exponents":
        """The same numbers in this dtype, the shifts cut off from any gradient."""
        b, a = self.query_shift, self.key_shift
        parts = (self.omega, self.root, self.offset)
        # One token is decoded in the time of a few such copies.
        if a is None and b is None and all(x is None or x.dtype == dtype for x in parts):
            return self
        return replace(
            self,
            omega=self.omega.to(dtype),
            root=None if self.root is None else self.root.to(dtype),
            offset=None if self.offset is None else self.offset.to(dtype),
            query_shift=None if b is None else b.detach().to(dtype),
            key_shift=None if a is None else a.detach().to(dtype),
        )

    def shifted_queries(self, q: Float[Tensor, "b g t d"]) -> Float[Tensor, "b g t d"]:
        """q - b."""
        return q if self.query_shift is None else q - self.query_shift[:, None]

    def shifted_keys(self, k: Keys) -> Keys:
        """k - a."""
        return k if self.key_shift is None else k - self.key_shift[:, None]

    def tilt(self) -> Float[Tensor, "g r"] | None:
        """scale^2 A b: its product with A (k - a) is the logarithm of a key's factor."""
        if self.query_shift is None:
            return None
        b = self.query_shift[:, None]
        return self.scale**2 * (b if self.root is None else b @ self.root.mT)[:, 0]


def walked(
    q: Float[Tensor, "b g rows d"], k: Keys, exponents: Exponents
) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
    """Queries and keys, and what `ExponentialFeatures` is to know of the exponents.

    That is W = scale w A, A, c, the W of keys if it is another one, b and a.
    """
    e = exponents
    tilt, root, b, a = e.tilt(), e.root, e.query_shift, e.key_shift
    weight = e.omega
    if root is not None and k.shape[2] < root.shape[1]:
        # For a few tokens, as in decoding, mapping them costs less than folding A into omega.
        q, k = (x.to(root.dtype) @ root.mT for x in (e.shifted_queries(q), e.shifted_keys(k)))
        root = b = a = None
    elif root is not None:
        weight = weight @ root
        tilt = None if tilt is None else (tilt[:, None] @ root)[:, 0]
    weight = weight * e.scale
    key_weight = None if tilt is None else weight + tilt[:, None]
    return q, k, (weight, root, e.offset, key_weight, b, a)
