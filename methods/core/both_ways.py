"""A causal mixer read in both directions, for tasks in which every position may see every other."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.api import KeyPadding

Tokens = Float[Tensor, "b t e"]


def one_way(scan: Callable[[Tokens], Tokens], x: Tokens, key_padding: KeyPadding | None) -> Tokens:
    """`scan` over the live tokens alone, in their order; what stands in padded places is junk."""
    if key_padding is None:
        return scan(x)
    return _reordered(scan, x, torch.argsort(key_padding.to(torch.uint8), dim=1, stable=True))


def both_ways(
    scan: Callable[[Tokens], Tokens], x: Tokens, key_padding: KeyPadding | None
) -> Tokens:
    """The mean of a causal scan and of the same scan, same weights, over the reversed sequence.

    Own choice: the papers' mixers are causal, and bidirectional variants differ in what they share.
    """
    forward = one_way(scan, x, key_padding)
    if key_padding is None:
        return (forward + scan(x.flip(1)).flip(1)) / 2
    time = torch.arange(x.shape[1], device=x.device)
    # The last live token first; the padded ones keep to the end.
    rank = torch.where(key_padding, time, -1 - time)
    return (forward + _reordered(scan, x, torch.argsort(rank, dim=1))) / 2


def _reordered(scan: Callable[[Tokens], Tokens], x: Tokens, order: Int[Tensor, "b t"]) -> Tokens:
    index = order[..., None].expand(-1, -1, x.shape[-1])
    y = scan(x.gather(1, index))
    back = torch.argsort(order, dim=1)[..., None].expand(-1, -1, y.shape[-1])
    return y.gather(1, back)
