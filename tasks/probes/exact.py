"""Exact attention of any kernel in float64, and how far outputs are from it."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

MOST_WEIGHTS = 2**25
"""Weights of one sequence, all heads: at most 256 MiB in float64, of which a few copies exist."""

LogKernel = Callable[[Float[Tensor, "b h t d"], Float[Tensor, "b h s d"]], Float[Tensor, "b h t s"]]


def softmax_log_kernel(
    q: Float[Tensor, "b h t d"], k: Float[Tensor, "b h s d"]
) -> Float[Tensor, "b h t s"]:
    """q.k / sqrt(d)."""
    return q @ k.mT / math.sqrt(q.shape[-1])


def exact_outputs(
    log_kernel: LogKernel,
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b h s d"],
    v: Float[Tensor, "b h s v"],
    *,
    causal: bool,
) -> Float[Tensor, "b h t v"]:
    """Values averaged with weights exp(log_kernel), normalised; everything in float64.

    One sequence of the batch at a time. Raises ValueError where even one would take too much
    memory.
    """
    num_weights = q.shape[1] * q.shape[2] * k.shape[2]
    if num_weights > MOST_WEIGHTS:
        raise ValueError(
            f"exact attention of {q.shape[1]} heads over {q.shape[2]} tokens has {num_weights}"
            f" weights; at most {MOST_WEIGHTS} are taken. Ask for fewer heads or tokens."
        )
    q, k, v = q.double(), k.double(), v.double()
    return torch.cat(
        [
            _weights(log_kernel(q[i : i + 1], k[i : i + 1]).double(), causal) @ v[i : i + 1]
            for i in range(len(q))
        ]
    )


def _weights(log_weights: Tensor, causal: bool) -> Tensor:
    if causal:
        future = torch.ones(log_weights.shape[-2:], dtype=torch.bool).triu(1)
        log_weights = log_weights.masked_fill(future, -torch.inf)
    return log_weights.softmax(-1)


def uniform_log_kernel(
    q: Float[Tensor, "b h t d"], k: Float[Tensor, "b h s d"]
) -> Float[Tensor, "b h t s"]:
    """0: every key weighs the same, the floor of any estimate."""
    return q.new_zeros(*q.shape[:3], k.shape[2])


def relative_error(
    outputs: Float[Tensor, "b h t v"], reference: Float[Tensor, "b h t v"]
) -> Float[Tensor, "h"]:
    """The root of the summed squares of the difference over those of the reference, per head.

    Infinite where an output is not finite.
    """
    difference = (outputs.double() - reference).square().sum((0, 2, 3))
    size = reference.square().sum((0, 2, 3))
    error = (difference / size).sqrt()
    return torch.where(torch.isfinite(error), error, torch.inf)
