"""The loss of next tokens without a float32 tensor of tokens x vocabulary.

Scores of many rows at a time come from one matrix product in the precision of the autocast; rows
are then read in float32 a few at a time, while they are in a cache, and their gradients written
over them. The backward pass is two more products, made at once.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 2048
"""Rows whose scores are in memory together: 200 MB in bfloat16 for a vocabulary of 49 152."""
NUMBERS = 2**20
"""Scores read in float32 at a time: 4 MiB."""


class OutputLayer(NamedTuple):
    """From the last hidden states to scores."""

    weight: Float[Tensor, "v e"]
    bias: Float[Tensor, " v"] | None = None
    softcap: float | None = None
    """Scores s become softcap * tanh(s / softcap), as in Gemma 2."""


def next_token_loss(
    hidden: Float[Tensor, "n e"], head: OutputLayer, targets: Int[Tensor, " n"]
) -> Float[Tensor, ""]:
    """The sum over rows of -log softmax(scores)[target], in float32 or better, differentiable."""
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    loss: Tensor = _NextToken.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, targets, head.softcap, dtype
    )
    return loss


class Read(NamedTuple):
    """Of every row: its loss, and whether its target had the highest score."""

    losses: Float[Tensor, " n"]
    hits: Tensor


def read_next_tokens(
    hidden: Float[Tensor, "n e"], head: OutputLayer, targets: Int[Tensor, " n"]
) -> Read:
    """Without gradients, and in float32 whatever the autocast is: in bfloat16 the highest scores of
    a row are often equal."""
    losses, hits = [], []
    with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
        dtype = torch.promote_types(head.weight.dtype, torch.float32)
        for rows in _slices(len(hidden), len(head.weight)):
            product = hidden[rows].to(dtype) @ head.weight.to(dtype).mT
            scores, goal = _scores(product, head.bias, head.softcap), targets[rows]
            losses.append(scores.logsumexp(-1) - scores.gather(1, goal[:, None])[:, 0])
            hits.append(scores.argmax(-1) == goal)
    return Read(torch.cat(losses), torch.cat(hits))


class _NextToken(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        softcap: float | None,
        dtype: torch.dtype,
    ) -> Tensor:
        wide = torch.promote_types(dtype, torch.float32)
        needed = ctx.needs_input_grad[:3]
        narrow_weight = weight.to(dtype)
        total = hidden.new_zeros((), dtype=wide)
        dhidden = torch.empty_like(hidden) if needed[0] else None
        dweight = torch.zeros_like(weight) if needed[1] else None
        dbias = None if bias is None or not needed[2] else torch.zeros_like(bias)
        for start in range(0, len(hidden), ROWS):
            rows = slice(start, start + ROWS)
            x = hidden[rows].to(dtype)
            scores = x @ narrow_weight.mT
            total += _losses_to_gradients(scores, bias, targets[rows], softcap, dbias, wide)
            if dhidden is not None:
                dhidden[rows] = scores @ narrow_weight
            if dweight is not None:
                dweight += scores.mT @ x
        ctx.gradients = dhidden, dweight, dbias
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        if ctx.gradients is None:
            raise RuntimeError("The gradients of next_token_loss are there once: add losses first.")
        # Scaled in place: they are used once.
        scaled = [None if g is None else g.mul_(grad) for g in ctx.gradients]
        ctx.gradients = None
        return *scaled, None, None, None


def _losses_to_gradients(
    scores: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    softcap: float | None,
    dbias: Tensor | None,
    wide: torch.dtype,
) -> Tensor:
    """The summed loss; the gradient by the product takes the place of `scores`."""
    total = scores.new_zeros((), dtype=wide)
    for rows in _slices(*scores.shape):
        goal = targets[rows]
        s = _scores(scores[rows].to(wide), bias, softcap)
        log_sum = s.logsumexp(-1, keepdim=True)
        total += (log_sum - s.gather(1, goal[:, None])).sum()
        slope = None if softcap is None else 1 - (s / softcap).square()
        gradient = s.sub_(log_sum).exp_()
        gradient.scatter_add_(1, goal[:, None], gradient.new_full((len(goal), 1), -1.0))
        if slope is not None:
            gradient *= slope
        if dbias is not None:
            dbias += gradient.sum(0)
        scores[rows] = gradient
    return total


def _scores(product: Tensor, bias: Tensor | None, softcap: float | None) -> Tensor:
    if bias is not None:
        product = product + bias
    return product if softcap is None else softcap * torch.tanh(product / softcap)


def _slices(rows: int, vocabulary: int) -> Iterator[slice]:
    step = max(1, NUMBERS // vocabulary)
    return (slice(start, start + step) for start in range(0, rows, step))
