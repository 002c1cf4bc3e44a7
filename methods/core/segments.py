"""A recurrence run segment by segment, so that what one segment computes on its way is let go."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

SEGMENT = 1024
"""Tokens: small beside a long sequence, and many chunks."""

Scan = Callable[..., tuple[Tensor, Tensor]]


def in_segments(scan: Scan, inputs: tuple[Tensor, ...], state: Tensor) -> tuple[Tensor, Tensor]:
    """`scan(*inputs, state) -> (outputs, state)`, time being dimension 2 of inputs and outputs.

    Of more than one segment the backward pass computes each anew from the state before it: the
    forward pass costs twice, and what is kept for the backward pass is the inputs and the states.
    """
    if inputs[0].shape[2] <= SEGMENT:
        return scan(*inputs, state)
    outputs = []
    # `split` and not slices: the backward of a slice fills the whole length.
    for parts in zip(*(x.split(SEGMENT, 2) for x in inputs), strict=True):
        if torch.is_grad_enabled():
            o, state = checkpoint(
                scan, *parts, state, use_reentrant=False, preserve_rng_state=False
            )
        else:
            o, state = scan(*parts, state)
        outputs.append(o)
    return torch.cat(outputs, 2), state
