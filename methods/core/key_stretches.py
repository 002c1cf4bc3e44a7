"""A sequence of keys cut into stretches, each with a scale that its features are relative to.

The scale is the largest key *before* a stretch, so that nothing depends on the future, as in online
softmax. Where keys rise by more than `REACH` above it the stretch ends there, and the next begins
with a scale of its own. All scales are powers of 2.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from methods.core.feature_source import FeatureSource

REACH = 43.0
"""Powers of 2 that keys may rise within a stretch: with a million tokens and as many features still
2 ** 45 below float32's largest number."""


class Stretch(NamedTuple):
    """A slice of time and the scale that its key features are relative to."""

    time: slice
    reference: Tensor
    enter: Tensor | None
    """`[n]`: what the sums are multiplied by before, if the reference moved."""
    leave: Tensor | None
    """`[n]`: what they are multiplied by after."""
    log_scale: Tensor
    """`[n]`: the largest key scale seen at its end."""


def key_stretches(
    source: FeatureSource, time: int, chunk: int, log_scale: Tensor
) -> Iterator[tuple[Stretch, Tensor]]:
    """Stretches with their key features; `log_scale` is the largest scale so far."""
    start = 0
    some_unseen = bool((log_scale == -torch.inf).any())
    while start < time:
        stop = min(start + chunk, time)
        reference = finite(log_scale)
        scales = source.key_scales(slice(start, stop), reference)
        lift = None
        if some_unseen:
            lift = torch.where(log_scale == -torch.inf, _first_live(scales), 0.0)
            scales = scales - lift[:, None]
        rise = float(scales.amax())
        if rise > REACH:
            stop, lift, scales = _shorten(start, scales, lift)
            rise = float(scales.amax())
        keys = source.key_features(stop - start, lift)
        enter = leave = None
        before = log_scale
        if lift is not None:
            reference = reference + lift
            enter = torch.exp2(before - reference)
        log_scale = torch.maximum(before, reference + scales.amax(-1))
        if lift is not None or rise > 0:
            leave = torch.exp2(reference - finite(log_scale))
        yield Stretch(slice(start, stop), reference, enter, leave, log_scale), keys
        some_unseen = some_unseen and bool((log_scale == -torch.inf).any())
        start = stop


def finite(log_scale: Tensor) -> Tensor:
    """Where no key was seen yet any reference will do, but -inf - -inf is NaN."""
    return log_scale.masked_fill(log_scale == -torch.inf, 0.0)


def _first_live(scales: Tensor) -> Tensor:
    """The scale of the first key that is not hidden; 0 where all are."""
    first = (scales > -torch.inf).to(torch.uint8).argmax(-1, keepdim=True)
    return finite(scales.gather(-1, first))[:, 0]


def _shorten(start: int, scales: Tensor, lift: Tensor | None) -> tuple[int, Tensor | None, Tensor]:
    """Ends a stretch before the first key beyond reach; a first key beyond it lifts the scale."""
    beyond = int((scales > REACH).any(0).to(torch.uint8).argmax())
    if beyond == 0:
        more = scales[:, 0].clamp(min=0.0)
        lift = more if lift is None else lift + more
        scales = scales - more[:, None]
        if not bool((scales > REACH).any()):
            return start + scales.shape[1], lift, scales
        beyond = int((scales > REACH).any(0).to(torch.uint8).argmax())
    return start + beyond, lift, scales[:, :beyond]
