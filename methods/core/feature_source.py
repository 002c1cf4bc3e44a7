"""Features of a stretch of time at a time, computed where they are used and never kept.

A source serves the walk over a sequence (`methods.core.feature_walk`): features forward, and the
way back from their gradients to the tensors that they came from. All exponents are to the base 2:
`exp2` is several times faster than `exp` on some processors, and the factor goes into the weights.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

LOG2_E = math.log2(math.e)


class Workspace:
    """Buffers that are allocated once a call and used for every stretch of it."""

    def __init__(self, like: Tensor, dtype: torch.dtype) -> None:
        self._like, self.dtype = like, dtype
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """A contiguous tensor of this shape, its contents whatever was there before."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < size:
            buffer = self._like.new_empty(size, dtype=self.dtype)
            self._buffers[name] = buffer
        return buffer[:size].view(shape)


class FeatureSource(ABC):
    """Rows of queries are `[n, r, t, ...]`, keys `[n, s, ...]`, n counting batch and heads.

    r query heads share a key-value head. A stretch is a slice of time.
    """

    num_features: int

    @abstractmethod
    def query_features(self, stretch: slice) -> Tensor:
        """`[n, r * c, f]`, each row relative to a scale of its own."""

    @abstractmethod
    def key_scales(self, stretch: slice, reference: Tensor, slot: int = 0) -> Tensor:
        """`[n, c]`: the binary logarithm of each key's largest feature, or of its scale, above
        `reference` `[n]`; -inf for a hidden key. The stretch's features come next, in a buffer
        that stays as it is until its slot is used again."""

    @abstractmethod
    def key_features(self, count: int, lift: Tensor | None) -> Tensor:
        """`[n, count, f]`: the first of the stretch whose scales were asked for, relative to the
        reference and 2 ** lift."""

    @abstractmethod
    def backward_queries(self, stretch: slice, features: Tensor, gradient: Tensor) -> None:
        """Takes the gradient of a stretch's query features; may overwrite it."""

    @abstractmethod
    def backward_keys(
        self, stretch: slice, reference: Tensor, features: Tensor, gradient: Tensor
    ) -> None:
        """Takes the gradient of a stretch's key features; may overwrite it."""


class GivenFeatures(FeatureSource):
    """Features that were computed beforehand, for all times."""

    def __init__(
        self,
        workspace: Workspace,
        inputs: tuple[Tensor, Tensor, Tensor],
        *,
        hidden: Tensor | None,
        gradients: tuple[Tensor, Tensor, Tensor | None] | None,
    ) -> None:
        """`inputs`: values of queries and of keys, and the keys' log_scale `[n, s]`; `hidden`
        `[n, s]`; `gradients` of the inputs, to be filled."""
        self._queries, self._keys, log_scale = inputs
        self._scales = log_scale.to(workspace.dtype) * LOG2_E
        if hidden is not None:
            self._scales.masked_fill_(hidden, -torch.inf)
        self._gradients = gradients
        self._workspace = workspace
        self.num_features = self._keys.shape[-1]
        self._start = self._slot = 0
        self._relative = self._scales

    def query_features(self, stretch: slice) -> Tensor:
        return self._queries[:, :, stretch].flatten(1, 2).to(self._workspace.dtype)

    def key_scales(self, stretch: slice, reference: Tensor, slot: int = 0) -> Tensor:
        self._start, self._slot = stretch.start, slot
        self._relative = self._scales[:, stretch] - reference[:, None]
        return self._relative

    def key_features(self, count: int, lift: Tensor | None) -> Tensor:
        weight = self._relative[:, :count]
        if lift is not None:
            weight = weight - lift[:, None]
        values = self._keys[:, self._start : self._start + count]
        out = self._workspace.take(f"keys {self._slot}", *values.shape)
        return torch.mul(values, torch.exp2(weight)[..., None], out=out)

    def backward_queries(self, stretch: slice, features: Tensor, gradient: Tensor) -> None:
        del features
        assert self._gradients is not None
        into = self._gradients[0][:, :, stretch]
        into.copy_(gradient.view(into.shape))

    def backward_keys(
        self, stretch: slice, reference: Tensor, features: Tensor, gradient: Tensor
    ) -> None:
        assert self._gradients is not None
        weight = torch.exp2(self._scales[:, stretch] - reference[:, None])
        torch.mul(gradient, weight[..., None], out=self._gradients[1][:, stretch])
        # d exp2(x) / dx has a factor of ln 2, and x is log_scale * log2(e): together 1.
        scales = gradient.mul_(features).sum(-1)
        if self._gradients[2] is not None:
            self._gradients[2][:, stretch] = scales


class ExponentialFeatures(FeatureSource):
    """phi(x) = exp(W x - scale^2 |A x|^2 / 2 + c), W `[n, m, d]`, A `[n, r, d]`, c `[n, m]`.

    x is q - b and k - a; keys may have a W of their own. A query's norm divides out of its row, so
    that it is never computed.
    """

    def __init__(
        self,
        workspace: Workspace,
        inputs: tuple[Tensor | None, ...],
        *,
        scale: float,
        hidden: Tensor | None,
        gradients: tuple[Tensor | None, ...] | None,
    ) -> None:
        """`inputs`: queries, keys, W, A (None: the identity), c (None: 0), the W of keys (None: the
        same), b and a `[n, d]` (None: 0), which get no gradient; `hidden` `[n, s]`; `gradients`
        of these, to be filled or added to, None where none is needed."""
        q, k, weight, self._root, self._offset, key_weight, self._b, self._a = inputs
        assert q is not None
        assert k is not None
        assert weight is not None
        self._q, self._k, self._weight = q, k, weight
        self._key_weight = weight if key_weight is None else key_weight
        self._scale, self._hidden, self._gradients = scale, hidden, gradients
        self._workspace = workspace
        self.num_features = self._weight.shape[1]
        self._dim = self._k.shape[-1]
        # The last row of the matrix and the last column of the keys carry what all features of a
        # key share, its norm and its reference: one matrix product computes the whole exponent.
        n, m, d = self._weight.shape
        self._matrix = self._weight.new_ones(n, d + 1, m)
        torch.mul(self._key_weight.mT, LOG2_E, out=self._matrix[:, :d])
        self._query_matrix = self._matrix[:, :d]
        if key_weight is not None:
            self._query_matrix = self._weight.mT * LOG2_E
        self._exponents = self._matrix
        self._mapped: dict[int, Tensor] = {}

    def query_features(self, stretch: slice) -> Tensor:
        n, m = self._weight.shape[:2]
        rows = self._rows(self._q[:, :, stretch])
        exponents = self._workspace.take("queries", n, rows.shape[1], m)
        torch.bmm(rows, self._query_matrix, out=exponents)
        if self._offset is not None:
            exponents.add_(self._offset[:, None] * LOG2_E)
        return exponents.sub_(exponents.amax(-1, keepdim=True)).exp2_()

    def _rows(self, q: Tensor) -> Tensor:
        rows = q.reshape(q.shape[0], -1, self._dim)
        if self._b is None:
            return rows.to(self._weight.dtype)
        out = self._workspace.take("shifted queries", *rows.shape)
        return torch.sub(rows, self._b[:, None], out=out)

    def key_scales(self, stretch: slice, reference: Tensor, slot: int = 0) -> Tensor:
        k = self._k[:, stretch]
        (n, c, d), m = k.shape, self.num_features
        extended = self._workspace.take("extended keys", n, c, d + 1)
        if self._a is None:
            extended[..., :d] = k
        else:
            torch.sub(k, self._a[:, None], out=extended[..., :d])
        mapped = extended[..., :d]
        if self._root is not None:
            mapped = self._workspace.take(f"mapped {slot}", n, c, self._root.shape[1])
            self._mapped[stretch.start] = torch.bmm(extended[..., :d], self._root.mT, out=mapped)
        norm = torch.linalg.vector_norm(mapped, dim=-1)
        shared = norm.square_().mul_(-LOG2_E / 2 * self._scale**2).sub_(reference[:, None])
        if self._hidden is not None:
            shared.masked_fill_(self._hidden[:, stretch], -torch.inf)
        extended[..., d] = shared
        self._exponents = self._workspace.take(f"keys {slot}", n, c, m)
        torch.bmm(extended, self._matrix, out=self._exponents)
        if self._offset is not None:
            self._exponents.add_(self._offset[:, None] * LOG2_E)
        return self._exponents.amax(-1)

    def key_features(self, count: int, lift: Tensor | None) -> Tensor:
        exponents = self._exponents[:, :count]
        if lift is not None:
            exponents.sub_(lift[:, None, None])
        return exponents.exp2_()

    def backward_queries(self, stretch: slice, features: Tensor, gradient: Tensor) -> None:
        assert self._gradients is not None
        into, _, weight, _, offset, *_ = self._gradients
        exponents = gradient.mul_(features)
        q = self._q[:, :, stretch]
        change = self._workspace.take("change", *exponents.shape[:2], self._dim)
        into[:, :, stretch] = torch.bmm(exponents, self._weight, out=change).view(q.shape)
        if weight is not None:
            weight.baddbmm_(exponents.mT, self._rows(q))
        if offset is not None:
            offset.add_(exponents.sum(1))

    def backward_keys(
        self, stretch: slice, reference: Tensor, features: Tensor, gradient: Tensor
    ) -> None:
        del reference
        assert self._gradients is not None
        _, into, weight, root, offset, key_weight, *_ = self._gradients
        if self._key_weight is not self._weight:
            weight = key_weight
        exponents = gradient.mul_(features)
        k = self._k[:, stretch].to(self._weight.dtype)
        if self._a is not None:
            k = k - self._a[:, None]
        shared = exponents.sum(-1, keepdim=True).mul_(self._scale**2)
        change = self._workspace.take("change", *k.shape)
        torch.bmm(exponents, self._key_weight, out=change)
        if self._root is None:
            change.addcmul_(shared, k, value=-1)
        else:
            mapped = self._mapped.pop(stretch.start).mul_(shared)
            change.baddbmm_(mapped, self._root, alpha=-1)
            if root is not None:
                root.baddbmm_(mapped.mT, k, alpha=-1)
        into[:, stretch] = change
        if weight is not None:
            weight.baddbmm_(exponents.mT, k)
        if offset is not None:
            offset.add_(exponents.sum(1))
