"""Exact softmax attention by torch's fused kernels (`scaled_dot_product_attention`)."""

import torch
from torch.nn.functional import scaled_dot_product_attention

from methods.api import Capabilities, KeyPadding, Keys, Method, Outputs, Queries, Values


def sdpa(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
) -> Outputs:
    """torch chooses the kernel among those that the inputs allow; the record names it.

    Without padding the causal kernel is asked for by flag, with padding by an explicit mask.
    """
    grouped = q.shape[1] != k.shape[1]
    if key_padding is None:
        return scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=grouped)
    visible = ~key_padding[:, None, None, :]
    if causal:
        time = k.shape[2]
        past = torch.ones(time, time, dtype=torch.bool, device=q.device).tril()
        visible = visible & past
    # Kernels differ on a row that sees nothing: some give NaN. Such a row is let see everything,
    # and its output is set to zeros.
    blind = ~visible.any(-1, keepdim=True)
    o = scaled_dot_product_attention(q, k, v, attn_mask=visible | blind, enable_gqa=grouped)
    return o.masked_fill(blind, 0.0)


METHOD = Method(
    name="sdpa",
    attention=sdpa,
    can=Capabilities(
        causal=True, bidirectional=True, cross=True, key_padding=True, grouped_query=True
    ),
    same_as="softmax",
    role="ceiling",
    family="exact",
    time="T^2 d",
    paper="arXiv:2205.14135",
)
