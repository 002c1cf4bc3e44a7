"""Samples of the error of a kernel's estimate, draw by draw, at pairs of a query and a key."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.probe import ProbeInstance, ProbeRequest, ProbeSubject, Report

MOST_NUMBERS = 2**24
"""In one instance's random numbers and features: an eighth of a GiB each time they are copied."""


class Pairs(NamedTuple):
    """Where the kernel is estimated."""

    names: tuple[str, ...]
    q: Float[Tensor, "1 1 pair d"]
    k: Float[Tensor, "1 1 pair d"]


def pairs(dim: int, strength: float = 1.0) -> Pairs:
    """Pairs along axes, diagonals and random directions, |q + k|^2 = strength sqrt(dim) or less.

    A draw that is no rotation of the normal distribution shows first at axes and diagonals.
    """
    generator = torch.Generator().manual_seed(7)
    diagonal = torch.ones(dim, dtype=torch.float64) / math.sqrt(dim)
    first, last = torch.eye(dim, dtype=torch.float64)[[0, -1]]
    zero = torch.zeros(dim, dtype=torch.float64)
    drawn = torch.randn(4, dim, dtype=torch.float64, generator=generator)
    a, b, c, e = drawn / drawn.norm(dim=-1, keepdim=True)
    chosen = {
        "q zero, k diagonal": (zero, diagonal),
        "q zero, k first axis": (zero, first),
        "q last axis, k zero": (last, zero),
        "q diagonal, k the same": (0.5 * diagonal, 0.5 * diagonal),
        "q first axis, k half opposite": (first, -0.5 * first),
        "q random, k zero": (a, zero),
        "q random, k random": (0.5 * b, 0.5 * c),
        "q random, k nearly opposite": (e, 0.3 * a - e),
    }
    q, k = (torch.stack(side)[None, None] for side in zip(*chosen.values(), strict=True))
    scale = math.sqrt(strength) * dim**0.25
    return Pairs(tuple(chosen), q * scale, k * scale)


def relative_errors(
    subject: ProbeSubject, request: ProbeRequest, report: Report, dim: int
) -> tuple[Pairs, Float[Tensor, "draw pair"]]:
    """Of each draw the relative errors of the kernel's estimate, heads averaged."""
    settings = request.settings
    draws = int(settings["num_draws"])
    strength = float(settings["strength"])
    chosen = pairs(dim, strength)
    size = int(subject.options.get("num_features", dim)) * (2 * len(chosen.names) + dim)
    heads = max(1, min(int(settings["num_heads"]), MOST_NUMBERS // size))
    data = _calibration(heads, dim, request.device)
    rows = []
    for draw in range(draws):
        report(f"{dim} dimensions", draw, draws)
        # Each seed of the trial has draws of its own.
        instance = subject.draw(
            request.seed * 1_000_003 + draw, num_heads=heads, head_dim=dim, dtype="float64"
        )
        instance.calibrate(*data)
        q, k = (
            x.to(request.device).expand(-1, heads, -1, -1)
            for x in _within(instance, chosen, heads, strength, request.device)
        )
        rows.append(_relative_error(instance, q, k).mean((0, 1)).cpu())
    return chosen, torch.stack(rows)


def _within(
    instance: ProbeInstance, chosen: Pairs, heads: int, strength: float, device: str
) -> tuple[Tensor, Tensor]:
    """The pairs, made smaller where the map's own kernel k(q + k, q + k) exceeds exp(strength).

    The relative variance of positive features is that kernel, less 1: a test at a large one would
    find nothing. A whitening kernel stretches the directions in which data have little spread.
    """
    total = (chosen.q + chosen.k).to(device).expand(-1, heads, -1, -1)
    size = instance.log_kernel(total, total).diagonal(dim1=-2, dim2=-1).amax((0, 1)).cpu()
    shrink = torch.sqrt(strength / size.clamp(min=strength))[:, None]
    return chosen.q * shrink, chosen.k * shrink


def _relative_error(
    instance: ProbeInstance, q: Float[Tensor, "b h pair d"], k: Float[Tensor, "b h pair d"]
) -> Float[Tensor, "b h pair"]:
    """phi(q).phi(k) over the kernel, less 1."""
    queries, keys = instance.features(q, k)
    log_kernel = instance.log_kernel(q, k).diagonal(dim1=-2, dim2=-1)
    product = (queries.values * keys.values).sum(-1)
    return product * torch.exp(queries.log_scale + keys.log_scale - log_kernel) - 1


def _calibration(heads: int, dim: int, device: str) -> tuple[Tensor, Tensor]:
    """Queries and keys `[1, h, t, d]` to calibrate from, the same for all heads and draws."""
    generator = torch.Generator().manual_seed(11)
    drawn = torch.randn(2, 1, 4 * dim, dim, dtype=torch.float64, generator=generator)
    spread = torch.logspace(-1, 0, dim, dtype=torch.float64)
    # Along the largest spread: what shifts by it and then whitens would else shift by far too much.
    mean = 0.25 * dim**0.25 * torch.eye(dim, dtype=torch.float64)[-1]
    q, k = (drawn * spread + mean).to(device)[:, None].expand(-1, -1, heads, -1, -1)
    return q, k
