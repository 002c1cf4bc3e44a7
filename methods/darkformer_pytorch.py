"""darkformer-pytorch: DARKFormer as the package of that name computes it, kept as it is."""

import dataclasses
from typing import Any

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


class DarkformerPytorch(AttentionModule, Discloses):
    """The package's `DarkformerKernelAttention` in its linear mode: one draw of its own for all
    heads, M learned per head, and a state to decode with."""

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_features: int = 128,
        orthogonal: bool = True,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, and it is {num_features}.")
        with foreign_code(generator):
            from darkformer_pytorch import CausalAttentionState, DarkformerKernelAttention

            self._state = CausalAttentionState
            self.theirs = DarkformerKernelAttention(
                heads.head_dim,
                heads.num_heads,
                num_features=num_features,
                orthogonal_features=orthogonal,
            )

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        # The flag is read in every call; nothing else depends on it.
        self.theirs.causal = causal
        return self.theirs(q, k, v, key_mask=_kept(key_padding))

    def prefill(
        self, q: Queries, k: Keys, v: Values, *, key_padding: KeyPadding | None = None
    ) -> tuple[Outputs, dict[str, Any]]:
        self.theirs.causal = True
        o, state = self.theirs.forward_with_state(q, k, v, key_mask=_kept(key_padding))
        return o, _parts(state)

    def step(
        self, q: Queries, k: Keys, v: Values, state: dict[str, Any]
    ) -> tuple[Outputs, dict[str, Any]]:
        self.theirs.causal = True
        o, after = self.theirs.forward_with_state(q, k, v, state=self._state(**state))
        return o, _parts(after)

    def disclose(self) -> dict[str, Tensor]:
        omega = self.theirs.random_features.projection_matrix
        return {"omega": omega.expand(self.theirs.num_heads, -1, -1), "M": self.theirs.geometry}


def _kept(key_padding: KeyPadding | None) -> KeyPadding | None:
    """The package's masks are True where there is a key."""
    return None if key_padding is None else ~key_padding


def _parts(state: Any) -> dict[str, Any]:
    """Not `asdict`, which copies every tensor."""
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


METHOD = Method(
    name="darkformer-pytorch",
    attention=DarkformerPytorch,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        cross=True,
        key_padding=True,
        stepwise=True,
        packages=("darkformer_pytorch",),
        install="pip install darkformer-pytorch",
    ),
    same_as="darkformer",
    family="random features",
    time="T m d",
    state="m d",
    paper="arXiv:2603.04127",
)
