"""Local attention: exact softmax over a sliding window of neighbours, in linear time."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

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

LEAST_BLOCK = 64
"""Queries a block: shorter ones make small products, longer ones more scores outside the band."""


class Window(NamedTuple):
    """The last `window - 1` places: all that the next query sees beside its own key."""

    keys: Float[Tensor, "b g s d"]
    values: Float[Tensor, "b g s v"]
    visible: Bool[Tensor, "b s"]
    """False at padding, and before the first token."""


class LocalAttention(AttentionModule):
    """softmax(q k^T / sqrt(d)) v over the keys fewer than `window` places away.

    Causally those are the last `window`, a query's own among them; else as many come after it, and
    the paper's width w (section 3.1, without its global tokens and dilation) is 2 window - 1. A
    query that sees no key gets zeros.
    """

    def __init__(self, heads: Heads, generator: torch.Generator, *, window: int = 128) -> None:
        super().__init__()
        del heads, generator
        if window < 1:
            raise ValueError(f"window must be at least 1, and it is {window}.")
        self.window = window

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        # No further than the sequence is long: there is nothing beyond its ends.
        before = min(self.window, k.shape[2]) - 1
        after = 0 if causal else before
        keys, values = (pad(x, (0, 0, before, after)) for x in (k, v))
        visible = pad(_visible(k, key_padding), (before, after))
        return _within_band(q, keys, values, visible, before, after)

    def prefill(
        self, q: Queries, k: Keys, v: Values, *, key_padding: KeyPadding | None = None
    ) -> tuple[Outputs, Window]:
        before = self.window - 1
        keys, values = (pad(x[:, :, :0], (0, 0, before, 0)) for x in (k, v))
        nothing = k.new_zeros((len(k), before), dtype=torch.bool)
        return self._go_on(q, k, v, key_padding, Window(keys, values, nothing))

    def step(self, q: Queries, k: Keys, v: Values, state: Window) -> tuple[Outputs, Window]:
        return self._go_on(q, k, v, None, state)

    def _go_on(
        self, q: Queries, k: Keys, v: Values, key_padding: KeyPadding | None, past: Window
    ) -> tuple[Outputs, Window]:
        time = k.shape[2]
        keys, values = torch.cat([past.keys, k], 2), torch.cat([past.values, v], 2)
        visible = torch.cat([past.visible, _visible(k, key_padding)], 1)
        o = _within_band(q, keys, values, visible, self.window - 1, 0)
        # Clones: a slice would keep the whole sequence in memory.
        last = Window(
            keys[:, :, time:].clone(), values[:, :, time:].clone(), visible[:, time:].clone()
        )
        return o, last


def _visible(k: Keys, key_padding: KeyPadding | None) -> Bool[Tensor, "b s"]:
    if key_padding is None:
        return k.new_ones((k.shape[0], k.shape[2]), dtype=torch.bool)
    return ~key_padding


def _within_band(
    q: Queries, keys: Keys, values: Values, visible: Bool[Tensor, "b s"], before: int, after: int
) -> Outputs:
    """Each query over the `before` places before its own and the `after` places behind it.

    The keys reach so much further than the queries on either side. Blocks of queries, each with a
    copy of the keys around it, become examples of one batch for torch's fused softmax kernels: no
    tensor of time x time exists, and keys are copied at most five times.
    """
    b, _, time, _ = q.shape
    size = min(time, max(LEAST_BLOCK, (before + 1) // 2))
    num_blocks = -(-time // size)
    extra = num_blocks * size - time
    span = before + size + after

    def around(x: Tensor) -> Float[Tensor, "bn g span dim"]:
        blocks = pad(x, (0, 0, 0, extra)).unfold(2, span, size)
        return blocks.permute(0, 2, 1, 4, 3).flatten(0, 1)

    queries = pad(q, (0, 0, 0, extra)).unflatten(2, (num_blocks, size)).transpose(1, 2)
    offset = torch.arange(span, device=q.device) - torch.arange(size, device=q.device)[:, None]
    band = (offset >= 0) & (offset <= before + after)
    seen = pad(visible, (0, extra)).unfold(1, span, size).flatten(0, 1)[:, None, None] & band
    # Kernels differ on a row that sees nothing. It is let see everything, and set to zeros.
    blind = ~seen.any(-1, keepdim=True)
    o = scaled_dot_product_attention(
        queries.flatten(0, 1),
        around(keys),
        around(values),
        attn_mask=seen | blind,
        enable_gqa=q.shape[1] != keys.shape[1],
    )
    o = o.masked_fill(blind, 0.0).unflatten(0, (b, num_blocks)).transpose(1, 2)
    return o.flatten(2, 3)[:, :, :time]


METHOD = Method(
    name="local",
    attention=LocalAttention,
    can=Capabilities(
        causal=True, bidirectional=True, key_padding=True, stepwise=True, grouped_query=True
    ),
    family="sparse",
    time="T window d",
    state="2 window d",
    paper="arXiv:2004.05150",
)
