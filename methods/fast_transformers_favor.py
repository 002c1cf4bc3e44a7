"""fast-transformers' Favor: Performer's features by pairs of opposite directions."""

import torch
from torch import Tensor

from methods.api import (
    AttentionModule,
    Capabilities,
    Discloses,
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

NEVER_AGAIN = 2**62
"""Calls until the next draw."""


class FastTransformersFavor(AttentionModule, Discloses):
    """The package's `Favor` in its linear attention: num_features / 2 directions of its own draw,
    for all heads, each with its opposite.

    Drawn once, when built. The package's default draws in every call, from torch's global
    generator: the same inputs then give other outputs each time, and no law could be checked.
    """

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_features: int = 128,
        orthogonal: bool = True,
    ) -> None:
        super().__init__()
        if num_features < 2 or num_features % 2:
            raise ValueError(f"num_features must be even and positive; it is {num_features}.")
        self._num_heads = heads.num_heads
        with foreign_code(generator):
            from fast_transformers.feature_maps import Favor

            favor = Favor(
                heads.head_dim, n_dims=num_features, orthogonal=orthogonal, redraw=NEVER_AGAIN
            )
            favor.new_feature_map("cpu")
            self.theirs = FastTransformersAttention(favor, heads.head_dim)

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

    def disclose(self) -> dict[str, Tensor]:
        omega = self.theirs.feature_map.omega.T
        return {"omega": torch.cat([omega, -omega]).expand(self._num_heads, -1, -1)}


METHOD = Method(
    name="fast-transformers-favor",
    attention=FastTransformersFavor,
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
    same_as="performer",
    family="random features",
    time="T m d",
    paper="arXiv:2009.14794",
)
