"""The mixer of gated linear attention around its recurrence, whichever implementation runs that."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, silu

from methods.api import Heads
from methods.core.gated_recurrence import GatedState
from methods.core.recurrent_mixer import Dead, RecurrentMixer, Tokens, by_head
from methods.core.weights import glorot

PerHead = Float[Tensor, "b h t d"]


class GatedMixer(RecurrentMixer):
    """The layer of arXiv:2312.06635, section 4.4: o_t = S_t^T q_t of equation 3 for each head, a
    LayerNorm of its own on each, times Swish(x W_r + b_r), projected.

    The gate of each key dimension is sigmoid(x W1 W2 + b)^(1 / temperature), W1 of `gate_rank`
    columns. Keys are as wide as values here, where the paper halves them, so that methods of one
    head dimension are compared. Raises ValueError for a rank below one or a temperature that is
    not positive.
    """

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        gate_rank: int = 16,
        temperature: float = 16.0,
    ) -> None:
        super().__init__(causal=causal)
        if gate_rank < 1:
            raise ValueError(f"gate_rank must be at least 1, and it is {gate_rank}.")
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, and it is {temperature:g}.")
        inner = heads.num_heads * heads.head_dim
        self.num_heads, self.temperature = heads.num_heads, temperature
        self.q_proj = glorot(d_model, inner, generator)
        self.k_proj = glorot(d_model, inner, generator)
        self.v_proj = glorot(d_model, inner, generator)
        self.gate_down = glorot(d_model, gate_rank, generator)
        self.gate_up = glorot(gate_rank, inner, generator, bias=True)
        self.r_proj = glorot(d_model, inner, generator, bias=True)
        self.norm = torch.nn.LayerNorm(heads.head_dim)
        self.o_proj = glorot(inner, d_model, generator)

    @abstractmethod
    def scan(
        self, q: PerHead, k: PerHead, v: PerHead, log_gate: PerHead, state: GatedState | None
    ) -> tuple[PerHead, GatedState]:
        """The outputs of `methods.core.gated_recurrence`, and its state, None being zeros.

        Log gates come in float32 or better.
        """

    def mix(
        self, x: Tokens, state: GatedState | None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, GatedState]:
        q, k, v, gate = (
            by_head(y, self.num_heads)
            for y in (
                self.q_proj(x),
                self.k_proj(x),
                self.v_proj(x),
                self.gate_up(self.gate_down(x)),
            )
        )
        wide = torch.promote_types(x.dtype, torch.float32)
        log_gate = logsigmoid(gate.to(wide)) / self.temperature
        if dead is not None:
            # No key, and a gate of one.
            k = k.masked_fill(dead[:, None, :, None], 0.0)
            log_gate = log_gate.masked_fill(dead[:, None, :, None], 0.0)
        o, state = self.scan(q, k, v, log_gate, state)
        normed = self.norm(o).transpose(1, 2).flatten(2)
        return self.o_proj(silu(self.r_proj(x)) * normed), state
