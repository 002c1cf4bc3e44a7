"""Layers with their first weights, drawn from a given generator and not from the global one."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST_STEP, LARGEST_STEP = 1e-3, 1e-1
"""Between these the step sizes of a state space lie at first, log-uniformly (arXiv:2312.00752,
section 3.6)."""


def glorot(
    inputs: int, outputs: int, generator: torch.Generator, *, bias: bool = False
) -> torch.nn.Linear:
    """A linear layer of Glorot's uniform weights; a bias starts from zeros."""
    linear = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs, bias=bias)
    torch.nn.init.xavier_uniform_(linear.weight, generator=generator)
    if bias:
        torch.nn.init.zeros_(linear.bias)
    return linear


def uniform(inputs: int, outputs: int, generator: torch.Generator) -> torch.nn.Linear:
    """A linear layer without bias, uniform up to one over the root of its inputs, as torch's."""
    linear = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs, bias=False)
    draw_uniform(linear.weight, inputs**-0.5, generator)
    return linear


def filters(
    channels: int, width: int, generator: torch.Generator, *, padding: int = 0
) -> torch.nn.Conv1d:
    """A filter and a bias for each channel, uniform up to one over the root of the width."""
    conv = torch.nn.utils.skip_init(
        torch.nn.Conv1d, channels, channels, width, groups=channels, padding=padding
    )
    for part in (conv.weight, conv.bias):
        draw_uniform(part, width**-0.5, generator)
    return conv


def draw_uniform(part: Tensor, bound: float, generator: torch.Generator) -> None:
    """Written over the tensor: numbers between minus and plus the bound."""
    torch.nn.init.uniform_(part, -bound, bound, generator=generator)


def step_bias(num: int, generator: torch.Generator) -> Float[Tensor, " num"]:
    """softplus of it is log-uniform between the smallest and the largest step."""
    low, high = math.log(SMALLEST_STEP), math.log(LARGEST_STEP)
    dt = torch.exp(low + (high - low) * torch.rand(num, generator=generator))
    return dt + torch.log(-torch.expm1(-dt))
