"""A mixer whose memory is a state: whole sequences, both directions, decoding from one pass."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from methods.api import KeyPadding, Mixer
from methods.core.both_ways import both_ways, one_way

Tokens = Float[Tensor, "b t e"]
Dead = Bool[Tensor, "b t"]
"""True for padded tokens, which stand behind the live ones and must leave the state as it is."""


class RecurrentMixer(Mixer, ABC):
    """Causal and stepwise; bidirectional as the mean of both directions with the same weights.

    Padded tokens are left out, wherever they stand.
    """

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal

    @abstractmethod
    def mix(self, x: Tokens, state: Any = None, *, dead: Dead | None = None) -> tuple[Tokens, Any]:
        """The outputs of the next tokens, one or more, and the state after them; None: no past."""

    def forward(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> Tokens:
        read = one_way if self.causal else both_ways
        return read(lambda tokens: self.mix(tokens)[0], x, key_padding)

    def prefill(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> tuple[Tokens, Any]:
        """The state is the one after each row's last live token."""
        if key_padding is None:
            return self.mix(x)
        num_live = (~key_padding).sum(1, keepdim=True)
        dead = torch.arange(x.shape[1], device=x.device) >= num_live
        states = []

        def mix(tokens: Tokens) -> Tokens:
            y, state = self.mix(tokens, dead=dead)
            states.append(state)
            return y

        return one_way(mix, x, key_padding), states[0]

    def step(self, x: Tokens, state: Any) -> tuple[Tokens, Any]:
        return self.mix(x, state)


def by_head(x: Float[Tensor, "b t hd"], num_heads: int) -> Float[Tensor, "b h t d"]:
    """The heads of a projection."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)
