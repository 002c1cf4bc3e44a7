"""FlexAttention: exact softmax attention that torch compiles, passing over hidden blocks."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from methods.api import Capabilities, KeyPadding, Keys, Method, Outputs, Queries, Values

RECOMPILATIONS = 128
"""In one process: the gate alone takes some dozens of combinations."""


def flex_attention(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
) -> Outputs:
    """Compiled at the first call for these sizes. Not yet run on a GPU.

    On a processor torch has the forward pass alone, so only GPUs are declared.
    """
    attend, _ = _compiled()
    grouped = q.shape[1] != k.shape[1]
    if key_padding is None:
        mask = _causal_mask(k.shape[2], k.device) if causal else None
        return attend(q, k, v, block_mask=mask, enable_gqa=grouped)
    blind = _blind(key_padding, q.shape[2], causal)
    mask = _padding_mask(key_padding, blind, causal)
    o = attend(q, k, v, block_mask=mask, enable_gqa=grouped)
    return o.masked_fill(blind[:, None, :, None], 0.0)


@lru_cache(maxsize=1)
def _compiled() -> tuple[Callable[..., Tensor], Callable[..., Any]]:
    """The kernel and the maker of masks; uncompiled, each would hold time x time numbers.

    Past its limit of recompilations torch would go on uncompiled: with `fullgraph` that is an
    error, and the limit is raised, since each mask, dtype and first length compiles anew.
    """
    from torch.nn.attention import flex_attention as flex

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, RECOMPILATIONS)
    return (
        torch.compile(flex.flex_attention, fullgraph=True),
        torch.compile(flex.create_block_mask, fullgraph=True),
    )


@lru_cache(maxsize=8)
def _causal_mask(time: int, device: torch.device) -> Any:
    """Kept, since every layer and step asks for the same."""
    _, make_mask = _compiled()
    return make_mask(lambda _b, _h, now, key: key <= now, None, None, time, time, device=device)


def _padding_mask(key_padding: KeyPadding, blind: Bool[Tensor, "b t"], causal: bool) -> Any:
    """A row that sees nothing is let see the first key, and its output is set to zeros later."""
    from torch.nn.attention.flex_attention import and_masks, or_masks

    _, make_mask = _compiled()
    visible = ~key_padding
    masks = [lambda b, _h, _now, key: visible[b, key]]
    if causal:
        masks.append(lambda _b, _h, now, key: key <= now)
    seen = or_masks(and_masks(*masks), lambda b, _h, now, key: blind[b, now] & (key == 0))
    sizes = key_padding.shape[0], None, blind.shape[1], key_padding.shape[1]
    return make_mask(seen, *sizes, device=key_padding.device)


def _blind(key_padding: KeyPadding, query_time: int, causal: bool) -> Bool[Tensor, "b t"]:
    """The rows that see no key."""
    if causal:
        return (~key_padding).cumsum(1) == 0
    return key_padding.all(1, keepdim=True).expand(-1, query_time)


METHOD = Method(
    name="flex-attention",
    attention=flex_attention,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        cross=True,
        key_padding=True,
        grouped_query=True,
        devices=("cuda",),
        dtypes=("float32", "bfloat16", "float16"),
        # The kernels multiply in tiles of sixteen.
        least_head_dim=16,
        # What torch's compiler makes its kernels with asks for this.
        compute_capability=(7, 0),
    ),
    same_as="softmax",
    role="ceiling",
    family="exact",
    time="T^2 d",
    paper="arXiv:2412.05496",
)
