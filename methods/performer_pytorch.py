"""performer-pytorch: Performer as the package of that name computes it, kept as it is."""

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
from methods.core.foreign import foreign_code


class PerformerPytorch(AttentionModule, Discloses):
    """The package's `FastAttention`: one draw of its own for all heads, one maximum over all keys,
    1e-4 added to every feature.

    Padding is taken as its `Attention` takes it: padded values are set to zero, and padded keys
    still count in the normaliser.
    """

    def __init__(
        self, heads: Heads, generator: torch.Generator, *, num_features: int = 128
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, and it is {num_features}.")
        self._num_heads = heads.num_heads
        with foreign_code(generator):
            from performer_pytorch import FastAttention

            # Built causal, it has what both directions need; the flag is read in every call.
            self.theirs = FastAttention(heads.head_dim, nb_features=num_features, causal=True)

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        if key_padding is not None:
            v = v.masked_fill(key_padding[:, None, :, None], 0.0)
        self.theirs.causal = causal
        return self.theirs(q, k, v)

    def disclose(self) -> dict[str, Tensor]:
        return {"omega": self.theirs.projection_matrix.expand(self._num_heads, -1, -1)}


METHOD = Method(
    name="performer-pytorch",
    attention=PerformerPytorch,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        cross=True,
        key_padding=True,
        packages=("performer_pytorch",),
        install="pip install performer-pytorch",
    ),
    same_as="performer",
    family="random features",
    time="T m d",
    paper="arXiv:2009.14794",
)
