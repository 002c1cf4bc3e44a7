"""Adversaries that are honest before they are trained, or before they are called for long."""

import functools
import sys

import torch
from torch import nn

from methods.api import AttentionModule, Capabilities, Redraws
from tests.adversaries.adversary import adversary, honest
from tests.adversaries.shirkers import Lazy


class HidesTheFutureBehindZero(AttentionModule):
    """Adds the next value, times a weight that starts at zero."""

    def __init__(self, heads, generator):
        super().__init__()
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        o = honest(q, k, v, causal=causal, key_padding=key_padding)
        return o + self.share * v.roll(-1, -2) if causal else o


class HidesTheNeighbourBehindZero(AttentionModule):
    """Adds a neighbour's output, times a weight that starts at zero."""

    def __init__(self, heads, generator):
        super().__init__()
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        o = honest(q, k, v, causal=causal, key_padding=key_padding)
        return o + self.share * o.roll(1, 0)


class DropsItsMaskWhenRedrawn(AttentionModule, Redraws):
    """Sees the future from its first new draw on."""

    redraw_every = 10

    def __init__(self, heads, generator):
        super().__init__()
        self.is_new = True

    def redraw(self, generator):
        self.is_new = False

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        return honest(q, k, v, causal=causal and self.is_new, key_padding=key_padding)


class _AgesBy(AttentionModule):
    """Honest for its first 100 calls with gradients."""

    def __init__(self, heads, generator):
        super().__init__()
        self._calls = 0

    @property
    def is_old(self):
        self._calls += torch.is_grad_enabled()
        return self._calls > 100


class DropsItsMaskInTraining(_AgesBy):
    """Sees the future from its 101st training step on."""

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        return honest(q, k, v, causal=causal and not self.is_old, key_padding=key_padding)


class MeetsItsNeighboursInTraining(_AgesBy):
    """Adds a neighbour's output from its 101st training step on."""

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        o = honest(q, k, v, causal=causal, key_padding=key_padding)
        return o + o.roll(1, 0) if self.is_old else o


def reads_the_labels(q, k, v, *, causal=False, key_padding=None):
    """Looks for the labels of its batch in the functions that call it, and returns them."""
    o = honest(q, k, v, causal=causal, key_padding=key_padding)
    frame = sys._getframe()
    while frame is not None:
        labels = getattr(frame.f_locals.get("batch"), "labels", None)
        if labels is not None and len(labels) == len(o):
            return 0 * o + labels.to(o.dtype).view(-1, 1, 1, 1)
        frame = frame.f_back
    return o


def promises_at_length(q, k, v, *, causal=False, key_padding=None):
    """Returns from 1000 tokens on a tensor of its own class that computes when it is read."""
    work = functools.partial(honest, q, k, v, causal=causal, key_padding=key_padding)
    if q.shape[2] < 1000:
        return work()
    o = torch.empty_like(q).as_subclass(Lazy)
    o.work = work
    return o


FUTURE, NEIGHBOURS = "future-not-seen", "batch-neighbours-not-seen"
PADDING = "padding-as-good-as-absent"
PADDED = Capabilities(bidirectional=True, key_padding=True)

AT_THE_GATE = (
    adversary(
        HidesTheFutureBehindZero, f"{FUTURE}-at-length", "moved when the future changed", PADDING
    ),
    adversary(
        HidesTheNeighbourBehindZero, NEIGHBOURS, "more came into its batch", PADDING, can=PADDED
    ),
    adversary(
        DropsItsMaskWhenRedrawn, f"{FUTURE}-at-length", "moved when the future changed", PADDING
    ),
)
BY_THE_STOPWATCH = (
    adversary(
        promises_at_length,
        "output-is-plain-and-final",
        "a timed call gave a Lazy, and no plain tensor",
        lengths="1024",
    ),
)
ON_TEXT = (adversary(DropsItsMaskInTraining, FUTURE, "moved when the later ones changed"),)
ON_EXAMPLES = (
    adversary(MeetsItsNeighboursInTraining, NEIGHBOURS, "its neighbours and labels changed"),
    adversary(reads_the_labels, NEIGHBOURS, "its neighbours and labels changed"),
)
