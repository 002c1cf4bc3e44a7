"""A token mixer to start from: gated means of what came before."""

# The line above is what `bench list methods` shows: say there what is computed.

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from methods.api import Capabilities, Heads, Method
from methods.core.recurrent_mixer import RecurrentMixer
from methods.core.weights import glorot

Tokens = Float[Tensor, "b t e"]


class Memory(NamedTuple):
    """All that decoding keeps of the past; its size does not grow with it."""

    total: Float[Tensor, "b e"]
    weight: Float[Tensor, "b e"]


class StartingPointLayer(RecurrentMixer):
    """y_t = W_o (sum over s <= t of w_s v_s) / (sum of the w_s), w = sigmoid(W_w x) + floor.

    The core reads both directions where it is not causal, leaves out padding and carries the
    state from one stretch of a sequence to the next: `mix` is all that there is to write.
    """

    # Options are the keyword-only parameters but `causal`: typed, with defaults. On the command
    # line they are set as NAME:floor=0.1.
    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        floor: float = 0.01,
    ) -> None:
        super().__init__(causal=causal)
        if not floor > 0:
            raise ValueError(f"floor must be above 0, and it is {floor}.")
        del heads
        self.floor = floor
        # What is drawn is drawn from `generator` and nothing else.
        self.weight = glorot(d_model, d_model, generator)
        self.value = glorot(d_model, d_model, generator)
        self.out = glorot(d_model, d_model, generator)

    def mix(
        self,
        x: Tokens,
        state: Memory | None = None,
        *,
        dead: Bool[Tensor, "b t"] | None = None,
    ) -> tuple[Tokens, Memory]:
        # Sums are taken in float32 or better, whatever the input's dtype.
        dtype = torch.promote_types(x.dtype, torch.float32)
        weights = self.weight(x).to(dtype).sigmoid() + self.floor
        if dead is not None:
            # Padding behind the live tokens must leave the state as it is.
            weights = weights.masked_fill(dead[..., None], 0.0)
        totals = (weights * self.value(x)).cumsum(1)
        sums = weights.cumsum(1)
        if state is not None:
            totals, sums = totals + state.total[:, None], sums + state.weight[:, None]
        # Before the first live token nothing was summed, and the mean of nothing is zero.
        means = totals / sums.clamp(min=self.floor)
        # Clones, so that a state keeps no storage but its own.
        memory = Memory(totals[:, -1].clone(), sums[:, -1].clone())
        return self.out(means.to(x.dtype)), memory


METHOD = Method(
    name="starting-point",
    mixer=StartingPointLayer,
    # Declared: the contract tests it. Undeclared: calling it raises. Delete what is not meant.
    can=Capabilities(causal=True, bidirectional=True, key_padding=True, stepwise=True),
    family="recurrence",
    # Operations, and numbers a head that decoding keeps, in T (time) and d (head dimension).
    time="T d",
    state="2 d",
    paper="",
)
