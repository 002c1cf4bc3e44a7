"""Random attention: fixed random weights per key position and head, whatever the content."""

import torch
from torch import Tensor

from methods.api import (
    AttentionModule,
    Capabilities,
    Features,
    Heads,
    KeyPadding,
    Keys,
    Method,
    Outputs,
    Queries,
    Values,
)
from methods.core.linear_attention import linear_attention


class RandomAttention(AttentionModule):
    """Log-normal weights, drawn once, divided by their sum over the visible positions.

    Our own reading of the baseline that the paper names and does not define. Query heads that share
    a key-value head share its weights.
    """

    log_weight: Tensor

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__()
        shape = (heads.num_kv_heads, heads.max_time)
        self.register_buffer("log_weight", torch.randn(shape, generator=generator))

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        b, g, time, _ = k.shape
        if time > self.log_weight.shape[1]:
            raise ValueError(
                f"random attention was built for at most {self.log_weight.shape[1]} positions;"
                f" {time} came. Build it with a larger max_time."
            )
        log_weight = self.log_weight[:, :time].float().expand(b, g, time)
        rows = q.shape[1] // g * q.shape[2]
        queries = Features(log_weight.new_ones(b, g, rows, 1), log_weight.new_zeros(b, g, rows))
        keys = Features(log_weight.new_ones(b, g, time, 1), log_weight)
        o, _ = linear_attention(queries, keys, v, causal=causal, key_padding=key_padding)
        return o.reshape(*q.shape[:-1], v.shape[-1])


METHOD = Method(
    name="random",
    attention=RandomAttention,
    can=Capabilities(
        causal=True, bidirectional=True, cross=True, key_padding=True, grouped_query=True
    ),
    role="floor",
    family="control",
    time="T d",
    paper="arXiv:2603.04127",
)
