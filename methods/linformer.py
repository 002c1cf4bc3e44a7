"""Linformer: keys and values projected along time to a fixed number of rows, then softmax."""

import math
from typing import Literal

import torch
from torch import Tensor

from methods.api import (
    AttentionModule,
    Capabilities,
    Heads,
    KeyPadding,
    Keys,
    Method,
    Outputs,
    Queries,
    Values,
)


class LinformerAttention(AttentionModule):
    """softmax(q (E k)^T / sqrt(d)) (F v), equation 7; E and F are learned, `[rank, max_time]`.

    rank: rows that are left of keys and values; nothing is saved from `max_time` on. shared, in the
    paper's words (section 4): none; headwise, one E and one F for all heads; or key-value, one E
    for all heads that is F as well. Layerwise sharing would join methods of several layers and is
    not offered. Query heads that share a key-value head share its projections.

    The paper knows one length and no padding. Here a sequence of T keys uses the first T columns,
    as the authors' code does, and padded keys and values count as zeros: padding at the end is as
    good as absent. A query that sees no key gets zeros.
    """

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        rank: int = 256,
        shared: Literal["none", "heads", "kv"] = "heads",
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, and it is {rank}.")
        shape = (heads.num_kv_heads if shared == "none" else 1, rank, heads.max_time)
        self.E = _projection(shape, generator)
        self.F = self.E if shared == "kv" else _projection(shape, generator)

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        # Refused before it comes here: each projected row holds keys of all times.
        del causal
        if k.shape[2] > self.E.shape[-1]:
            raise ValueError(
                f"linformer was built for at most {self.E.shape[-1]} positions;"
                f" {k.shape[2]} came. Build it with a larger max_time."
            )
        dtype = torch.promote_types(q.dtype, torch.float32)
        with torch.autocast(q.device.type, enabled=False):
            keys = _project(self.E, k.to(dtype), key_padding)
            values = _project(self.F, v.to(dtype), key_padding)
            grouped = q.to(dtype).unflatten(1, (k.shape[1], -1))
            logits = torch.einsum("bgrtd,bgmd->bgrtm", grouped, keys) / math.sqrt(q.shape[-1])
            o = torch.einsum("bgrtm,bgmv->bgrtv", logits.softmax(-1), values)
        return o.flatten(1, 2).to(v.dtype)


def _projection(shape: tuple[int, int, int], generator: torch.Generator) -> torch.nn.Parameter:
    """Uniform with variance 1 / (rank + max_time), the initialisation of the authors' own code.

    Projected rows of a full sequence are then no larger than the rows were.
    """
    bound = math.sqrt(3 / (shape[1] + shape[2]))
    return torch.nn.Parameter((2 * torch.rand(shape, generator=generator) - 1) * bound)


def _project(projection: Tensor, x: Tensor, key_padding: KeyPadding | None) -> Tensor:
    if key_padding is not None:
        x = x.masked_fill(key_padding[:, None, :, None], 0.0)
    return projection[..., : x.shape[2]].to(x.dtype) @ x


METHOD = Method(
    name="linformer",
    attention=LinformerAttention,
    can=Capabilities(bidirectional=True, cross=True, key_padding=True, grouped_query=True),
    family="low rank",
    time="T m d",
    paper="arXiv:2006.04768",
)
