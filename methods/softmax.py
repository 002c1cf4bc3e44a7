"""Exact softmax attention, written to be read: the oracle."""

import math

import torch

from methods.api import Capabilities, KeyPadding, Keys, Method, Outputs, Queries, Values


def softmax_attention(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
) -> Outputs:
    """softmax(q k^T / sqrt(d)) v over the keys that a query may see; zeros if it sees none."""
    b, g, s, _ = k.shape
    dtype = torch.promote_types(q.dtype, torch.float32)
    grouped = q.to(dtype).unflatten(1, (g, -1))
    logits = torch.einsum("bgrtd,bgsd->bgrts", grouped, k.to(dtype)) / math.sqrt(q.shape[-1])
    hidden = torch.zeros(b, q.shape[2], s, dtype=torch.bool, device=q.device)
    if key_padding is not None:
        hidden = hidden | key_padding[:, None]
    if causal:
        hidden = hidden | torch.ones_like(hidden).triu(1)
    logits = logits.masked_fill(hidden[:, None, None], -torch.inf)
    # A row without any key would be 0 / 0; its weights are made zeros before and after.
    blind = hidden.all(-1)[:, None, None, :, None]
    weights = logits.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)
    return torch.einsum("bgrts,bgsv->bgrtv", weights, v.to(dtype)).flatten(1, 2).to(v.dtype)


METHOD = Method(
    name="softmax",
    attention=softmax_attention,
    can=Capabilities(
        causal=True, bidirectional=True, cross=True, key_padding=True, grouped_query=True
    ),
    role="ceiling",
    family="exact",
    time="T^2 d",
    paper="arXiv:1706.03762",
)
