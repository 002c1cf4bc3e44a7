"""FlashAttention 2 or 3: exact softmax attention by the kernels of the flash-attn packages."""

from typing import Any, Literal

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
from methods.core.capabilities import import_package
from methods.core.packing import pack_all, pack_visible

MODULES = {"2": "flash_attn", "3": "flash_attn_interface"}
"""What each version is imported as."""

INSTALL = {
    "2": "pip install flash-attn --no-build-isolation",
    "3": "git clone --recursive https://github.com/Dao-AILab/flash-attention"
    " && cd flash-attention/hopper && python setup.py install",
}


class FlashAttention(AttentionModule):
    """The packages' own kernels, never another in their place. Not yet run on a GPU.

    Their layout is [batch, time, heads, dim], a view of ours; query heads share key-value heads as
    they are. With padding, keys and values are packed without it. Causally queries are packed too,
    since the kernels align the mask at the sequences' ends: a query at a padded place gets zeros.
    """

    def __init__(
        self, heads: Heads, generator: torch.Generator, *, version: Literal["2", "3"] = "2"
    ) -> None:
        super().__init__()
        del heads, generator
        package = import_package("flash-attention", MODULES[version], INSTALL[version])
        # Functions, not the package: models are copied, and a package cannot be.
        self.attend = package.flash_attn_func
        self.attend_packed = package.flash_attn_varlen_func

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
            o = self.attend(*(x.transpose(1, 2) for x in (q, k, v)), causal=causal)
            return _output(o).transpose(1, 2)
        keys = pack_visible(key_padding)
        rows = keys if causal else pack_all(q)
        o = self.attend_packed(
            rows.pack(q),
            keys.pack(k),
            keys.pack(v),
            cu_seqlens_q=rows.starts,
            cu_seqlens_k=keys.starts,
            max_seqlen_q=max(rows.lengths),
            max_seqlen_k=max(keys.lengths),
            causal=causal,
        )
        blind = key_padding.all(1)[:, None, None, None]
        return rows.unpack(_output(o)).masked_fill(blind, 0.0)


def _output(found: Any) -> Tensor:
    """Early releases of version 3 give the normalisers as well."""
    return found[0] if isinstance(found, tuple) else found


METHOD = Method(
    name="flash-attention",
    attention=FlashAttention,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        cross=True,
        key_padding=True,
        grouped_query=True,
        devices=("cuda",),
        dtypes=("float16", "bfloat16"),
        largest_head_dim=256,
        head_dim_multiple=8,
        compute_capability=(8, 0),
        packages=(MODULES["2"],),
        install=INSTALL["2"],
        by_option={
            ("version", "3"): {
                "packages": (MODULES["3"],),
                "install": INSTALL["3"],
                "compute_capability": (9, 0),
            }
        },
    ),
    same_as="softmax",
    role="ceiling",
    family="exact",
    time="T^2 d",
    paper="arXiv:2307.08691",
)
