"""DeltaNet's mixer around the delta rule, whichever implementation runs that."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import silu

from methods.api import Heads
from methods.core.causal_conv import Window, causal_conv, last_inputs
from methods.core.delta_recurrence import DeltaState
from methods.core.recurrent_mixer import Dead, RecurrentMixer, Tokens, by_head
from methods.core.weights import draw_uniform, glorot

PerHead = Float[Tensor, "b h t d"]

SMALLEST_SQUARE = 1e-6
"""Added to a squared norm that is divided by: a query or key near zero has a finite gradient."""


class MixerState(NamedTuple):
    """What decoding keeps: the convolution's last inputs and the recurrence's S."""

    window: Window
    S: DeltaState


class DeltaMixer(RecurrentMixer):
    """The layer of arXiv:2406.06484, section 3: queries, keys and values through a short causal
    convolution (none if `conv_width` is 0) and SiLU, queries and keys of norm one, beta_t =
    sigmoid(x_t W_beta) for each head, an RMSNorm on each head's output, projected.

    That values pass SiLU as well is taken from the authors' code. Raises ValueError for a negative
    width.
    """

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        conv_width: int = 4,
    ) -> None:
        super().__init__(causal=causal)
        if conv_width < 0:
            raise ValueError(f"conv_width must not be negative, and it is {conv_width}.")
        inner = heads.num_heads * heads.head_dim
        self.num_heads, self.conv_width = heads.num_heads, conv_width
        self.q_proj = glorot(d_model, inner, generator)
        self.k_proj = glorot(d_model, inner, generator)
        self.v_proj = glorot(d_model, inner, generator)
        self.beta_proj = glorot(d_model, heads.num_heads, generator)
        self.filters = None
        if conv_width:
            self.filters = torch.nn.Parameter(torch.empty(3 * inner, conv_width))
            draw_uniform(self.filters, conv_width**-0.5, generator)
        self.norm = torch.nn.RMSNorm(heads.head_dim, eps=1e-5)
        self.o_proj = glorot(inner, d_model, generator)

    @abstractmethod
    def scan(
        self,
        q: PerHead,
        k: PerHead,
        v: PerHead,
        beta: Float[Tensor, "b h t"],
        S: DeltaState | None,
    ) -> tuple[PerHead, DeltaState]:
        """The outputs of `methods.core.delta_recurrence`, and its state, None being zeros.

        Queries and keys come with norm one.
        """

    def mix(
        self, x: Tokens, state: MixerState | None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, MixerState]:
        projected = torch.cat([self.q_proj(x), self.k_proj(x), self.v_proj(x)], -1)
        mixed, window = self._convolved(projected, None if state is None else state.window, dead)
        q, k, v = (by_head(y, self.num_heads) for y in silu(mixed).chunk(3, -1))
        beta = self.beta_proj(x).sigmoid().mT
        if dead is not None:
            beta = beta.masked_fill(dead[:, None], 0.0)
        o, S = self.scan(_unit(q), _unit(k), v, beta, None if state is None else state.S)
        return self.o_proj(self.norm(o).transpose(1, 2).flatten(2)), MixerState(window, S)

    def _convolved(
        self, x: Tokens, window: Window | None, dead: Dead | None
    ) -> tuple[Tokens, Window]:
        if self.filters is None:
            return x, x.new_zeros(x.shape[0], 0, x.shape[2])
        y, after = causal_conv(x, self.filters, None, window)
        return y, after if dead is None else last_inputs(x, dead, after.shape[1])


def _unit(x: PerHead) -> PerHead:
    """Each row divided by its norm, in float32 or better."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * (wide.square().sum(-1, keepdim=True) + SMALLEST_SQUARE).rsqrt()).to(x.dtype)
