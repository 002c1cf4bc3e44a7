"""xformers: exact softmax attention by its `memory_efficient_attention`."""

import torch

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
from methods.core.capabilities import import_package
from methods.core.packing import pack_all, pack_visible

INSTALL = "pip install xformers"


class XformersAttention(AttentionModule):
    """xformers chooses among its kernels those that the inputs allow. Not yet run on a GPU.

    Its layout is [batch, time, heads, dim], a view of ours. With padding, the sequences become
    blocks of one packed sequence, keys and values without the padding; a dense bias would hold
    time x time numbers. Causally the queries are packed too, and one at a padded place gets zeros.
    Its backward pass takes no shared key-value heads, so those are not declared.
    """

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__()
        del heads, generator
        ops = import_package("xformers", "xformers.ops", INSTALL)
        masks = import_package("xformers", "xformers.ops.fmha.attn_bias", INSTALL)
        # What is called, not the package: models are copied, and a package cannot be.
        self.attend = ops.memory_efficient_attention
        self.causal_mask = masks.LowerTriangularMask
        self.blocks, self.causal_blocks = masks.BlockDiagonalMask, masks.BlockDiagonalCausalMask

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        if key_padding is None:
            mask = self.causal_mask() if causal else None
            views = (x.transpose(1, 2) for x in (q, k, v))
            return self.attend(*views, attn_bias=mask).transpose(1, 2)
        keys = pack_visible(key_padding)
        rows = keys if causal else pack_all(q)
        kind = self.causal_blocks if causal else self.blocks
        o = self.attend(
            rows.pack(q)[None],
            keys.pack(k)[None],
            keys.pack(v)[None],
            attn_bias=kind.from_seqlens(rows.lengths, keys.lengths, device=q.device),
        )
        blind = key_padding.all(1)[:, None, None, None]
        return rows.unpack(o[0]).masked_fill(blind, 0.0)


METHOD = Method(
    name="xformers",
    attention=XformersAttention,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        cross=True,
        key_padding=True,
        devices=("cuda",),
        dtypes=("float32", "float16", "bfloat16"),
        head_dim_multiple=8,
        # bfloat16 asks for it; in other dtypes some of its kernels run on older ones.
        compute_capability=(8, 0),
        packages=("xformers",),
        install=INSTALL,
    ),
    same_as="softmax",
    role="ceiling",
    family="exact",
    time="T^2 d",
    paper="arXiv:2112.05682",
)
