"""fast-transformers' linear attention: the Linear Transformer as its authors compute it."""

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
from methods.core.fast_transformers import INSTALL, FastTransformersAttention
from methods.core.foreign import foreign_code


class FastTransformersLinear(AttentionModule):
    """elu(x) + 1, a compiled causal product, and 1e-6 added to every normaliser."""

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__()
        with foreign_code(generator):
            from fast_transformers.feature_maps import elu_feature_map

            self.theirs = FastTransformersAttention(elu_feature_map(heads.head_dim), heads.head_dim)

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        return self.theirs(q, k, v, causal, key_padding)


METHOD = Method(
    name="fast-transformers-linear",
    attention=FastTransformersLinear,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        cross=True,
        key_padding=True,
        # Its compiled product takes float32 alone; with its CUDA kernel nobody here has tried it.
        devices=("cpu",),
        dtypes=("float32",),
        packages=("fast_transformers",),
        install=INSTALL,
    ),
    same_as="linear-transformer",
    family="linear attention",
    time="T d^2",
    paper="arXiv:2006.16236",
)
