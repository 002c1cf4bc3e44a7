"""What every adversary is told by, and the honest attention that each of them spoils."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from methods.api import Capabilities, Method
from methods.softmax import softmax_attention

PLAIN = Capabilities(causal=True, bidirectional=True, key_padding=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversary:
    """A method, what it does, and what stops it."""

    method: Method
    does: str
    law: str
    reads: str
    """Words that the reason of its record holds."""
    also: tuple[str, ...] = ()
    """Other laws of the gate that the same deed breaks."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the trial that it is caught in."""


def adversary(
    attention: Callable[..., Any], law: str, reads: str, *also: str, **settings: Any
) -> Adversary:
    """One that declares what softmax does; its docstring says what it does instead."""
    can, same_as = settings.pop("can", PLAIN), settings.pop("same_as", None)
    name = attention.__name__.lower().strip("_").replace("_", "-")
    return Adversary(
        method=Method(name=f"adversary-{name}", attention=attention, can=can, same_as=same_as),
        does=(attention.__doc__ or "").strip().rstrip("."),
        law=law,
        reads=reads,
        also=also,
        settings=settings,
    )


def honest(q, k, v, *, causal=False, key_padding=None):
    """Softmax attention."""
    return softmax_attention(q, k, v, causal=causal, key_padding=key_padding)


def less(q, k, v, *, causal=False, key_padding=None):
    """A cheap answer of the right shape that sees no future."""
    return v * 1.0 if key_padding is None else v.masked_fill(key_padding[:, None, :, None], 0.0)


class Halved(torch.autograd.Function):
    """Passes half of the gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad / 2
