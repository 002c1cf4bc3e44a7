"""The features elu(x) + 1 = exp(min(x, 0)) + max(x, 0), computed where they are used."""

import torch
from torch import Tensor

from methods.core.feature_source import LOG2_E, FeatureSource, Workspace
from methods.core.key_stretches import REACH


class EluPlusOne(FeatureSource):
    """Exact for entries however negative: where all of a row are, its largest is split off."""

    def __init__(
        self,
        workspace: Workspace,
        inputs: tuple[Tensor, Tensor],
        *,
        hidden: Tensor | None,
        gradients: tuple[Tensor, Tensor] | None,
    ) -> None:
        """`inputs`: queries and keys; `hidden` `[n, s]`; `gradients` of both, to be filled."""
        self._q, self._k = inputs
        self._hidden, self._gradients = hidden, gradients
        self._workspace = workspace
        self.num_features = self._k.shape[-1]
        self._stretch, self._slot = slice(0, 0), 0
        self._reference = self._k

    def query_features(self, stretch: slice) -> Tensor:
        q = self._q[:, :, stretch].flatten(1, 2).to(self._workspace.dtype)
        # Where the largest is negative no entry is positive: what is added needs no scale.
        shift = _largest(q)[..., None].mul_(-LOG2_E)
        return self._features("queries", q, shift, None)

    def key_scales(self, stretch: slice, reference: Tensor, slot: int = 0) -> Tensor:
        self._stretch, self._slot, self._reference = stretch, slot, reference
        k = self._k[:, stretch].to(self._workspace.dtype)
        scales = _largest(k).mul_(LOG2_E).sub_(reference[:, None])
        if self._hidden is not None:
            scales.masked_fill_(self._hidden[:, stretch], -torch.inf)
        return scales

    def key_features(self, count: int, lift: Tensor | None) -> Tensor:
        start = self._stretch.start
        k = self._k[:, start : start + count].to(self._workspace.dtype)
        reference = self._reference if lift is None else self._reference + lift
        shift = -reference[:, None, None]
        features = self._features(f"keys {self._slot}", k, shift, _factor(reference))
        if self._hidden is not None:
            hidden = self._hidden[:, start : start + count]
            features.masked_fill_(hidden[..., None], 0.0)
        return features

    def _features(self, name: str, x: Tensor, shift: Tensor, factor: Tensor | None) -> Tensor:
        """2 ** shift times the features; `factor` is 2 ** shift where x may be positive."""
        below = torch.clamp(x, max=0.0, out=self._workspace.take(name, *x.shape))
        torch.add(shift, below, alpha=LOG2_E, out=below).exp2_()
        above = torch.clamp(x, min=0.0, out=self._workspace.take("above", *x.shape))
        return below.add_(above) if factor is None else below.addcmul_(above, factor)

    def backward_queries(self, stretch: slice, features: Tensor, gradient: Tensor) -> None:
        assert self._gradients is not None
        into = self._gradients[0][:, :, stretch]
        # Above zero the slope is 1, below it is the feature itself, which is less.
        into.copy_(gradient.mul_(features.clamp(max=1.0)).view(into.shape))

    def backward_keys(
        self, stretch: slice, reference: Tensor, features: Tensor, gradient: Tensor
    ) -> None:
        assert self._gradients is not None
        slope = torch.minimum(features, _factor(reference))
        torch.mul(gradient, slope, out=gradient)
        self._gradients[1][:, stretch] = gradient


def _factor(reference: Tensor) -> Tensor:
    """2 ** -reference, `[n, 1, 1]`; where it is clamped no key within reach is above zero."""
    return torch.exp2((-reference).clamp(max=REACH))[:, None, None]


def _largest(x: Tensor) -> Tensor:
    return x.amax(-1).clamp_(max=0.0)
