"""The mixer of retention (RetNet) around its recurrence, whichever implementation runs that."""

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import group_norm, silu

from methods.api import Heads
from methods.core.recurrent_mixer import Dead, RecurrentMixer, Tokens, by_head
from methods.core.scalar_decay import State
from methods.core.weights import glorot

ByHead = Float[Tensor, "b h t d"]
Turns = Float[Tensor, "rows 1 t half"]

ROTATION_BASE = 10000.0
"""A token turns by angles from 1 to one over this, in even ratios, as in the authors' code."""

NORM_EPSILON = 1e-5


class RetentionState(NamedTuple):
    """What decoding keeps: S, and how many tokens each row has had, where its rotation goes on."""

    sums: State
    time: Int[Tensor, " b"]


class RetentionMixer(RecurrentMixer):
    """Gated multi-scale retention (arXiv:2307.08621, equation 8): queries and keys rotated, one
    decay a head, a group norm and a gate.

    Values are `value_factor` times as wide as keys, as in the paper. Of its three normalisations of
    the scores the first alone is here, by the root of the head dimension: the group norm undoes a
    factor of a head's output, so the two others only move it against the norm's epsilon.
    """

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        value_factor: int = 2,
        chunk: int = 64,
    ) -> None:
        super().__init__(causal=causal)
        for name, number in {"value_factor": value_factor, "chunk": chunk}.items():
            if number < 1:
                raise ValueError(f"{name} must be at least 1, and it is {number}.")
        self.heads, self.chunk = heads, chunk
        width = heads.num_heads * heads.head_dim
        self.q_proj = glorot(d_model, width, generator)
        self.k_proj = glorot(d_model, width, generator)
        self.v_proj = glorot(d_model, value_factor * width, generator)
        self.g_proj = glorot(d_model, value_factor * width, generator)
        self.o_proj = glorot(value_factor * width, d_model, generator)
        self.norm_weight = torch.nn.Parameter(torch.ones(value_factor * width))
        self.norm_bias = torch.nn.Parameter(torch.zeros(value_factor * width))

    @abstractmethod
    def scan(
        self,
        q: ByHead,
        k: ByHead,
        v: Float[Tensor, "b h t v"],
        log_a: Float[Tensor, "b h t"],
        sums: State | None,
    ) -> tuple[Float[Tensor, "b h t v"], State]:
        """The outputs of `methods.core.scalar_decay`, and its state, None being zeros.

        Queries, keys and log_a come in float32 or better.
        """

    def mix(
        self, x: Tokens, state: RetentionState | None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, RetentionState]:
        q, k, v = (
            by_head(proj(x), self.heads.num_heads)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        if state is None:
            sums, start = None, torch.zeros(len(x), dtype=torch.int64, device=x.device)
        else:
            sums, start = state
        log_a = log_decays(self.heads.num_heads, x)[:, None].expand(v.shape[:-1])
        live = x.shape[1]
        if dead is not None:
            # Nothing is added and nothing decays.
            v = v.masked_fill(dead[:, None, :, None], 0.0)
            log_a = log_a.masked_fill(dead[:, None], 0.0)
            live = (~dead).sum(1)
        # Without a past all rows turn alike.
        cos, sin = rotation(start[:1] if state is None else start, q)
        q, k = rotate(q * self.heads.head_dim**-0.5, cos, sin), rotate(k, cos, sin)
        y, sums = self.scan(q, k, v, log_a, sums)
        o = self.o_proj(silu(self.g_proj(x)) * self._norm(y))
        return o, RetentionState(sums, start + live)

    def _norm(self, y: Float[Tensor, "b h t v"]) -> Tokens:
        """GroupNorm_h of equation 8: over each head's values, token by token."""
        rows = y.transpose(1, 2).flatten(2)
        num_heads, weight, bias = self.heads.num_heads, self.norm_weight, self.norm_bias
        flat = group_norm(rows.flatten(0, 1), num_heads, weight, bias, NORM_EPSILON)
        return flat.view_as(rows)


def log_decays(num_heads: int, like: Tensor) -> Float[Tensor, " h"]:
    """The logarithm of gamma_h = 1 - 2^(-5-h), h from 0 (equation 8)."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    exponent = -5.0 - torch.arange(num_heads, dtype=dtype, device=like.device)
    return torch.log1p(-torch.exp2(exponent))


def rotation(start: Int[Tensor, " rows"], like: ByHead) -> tuple[Turns, Turns]:
    """Theta of equation 5, as cosines and sines: for as many tokens as are in `like`, from `start`
    on. The angles are computed in float64."""
    time, half = like.shape[2], like.shape[3] // 2
    fraction = torch.linspace(0, 1, half, dtype=torch.float64, device=like.device)
    when = (start[:, None] + torch.arange(time, device=like.device)).double()
    turns = (when[..., None] * torch.exp(-math.log(ROTATION_BASE) * fraction))[:, None]
    dtype = torch.promote_types(like.dtype, torch.float32)
    return turns.cos().to(dtype), turns.sin().to(dtype)


def rotate(x: ByHead, cos: Turns, sin: Turns) -> ByHead:
    """Pairs (i, i + d/2) turned by their angles, queries and keys alike: only the difference of
    their times enters a score. Of an odd number of dimensions the last stays."""
    half = cos.shape[-1]
    first, second, rest = x.to(cos.dtype).split([half, half, x.shape[-1] - 2 * half], -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos, rest], -1)
