"""cosFormer: relu features whose product is weighted by the cosine of the distance in time."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.api import (
    KERNEL_ATTENTION,
    AttentionModule,
    Features,
    Heads,
    KeyPadding,
    Keys,
    Method,
    Outputs,
    Queries,
    Values,
)
from methods.core.linear_attention import State, linear_attention

Positions = Int[Tensor, "b s"]


class CosformerState(NamedTuple):
    """What `step` continues."""

    sums: State
    position: Int[Tensor, "b"]
    """How many live tokens came so far: the position of the next."""


class CosformerAttention(AttentionModule):
    """Weights relu(q_i) . relu(k_j) cos(pi/2 (i - j) / M), divided by their sum.

    By Ptolemy's identity cos(a - b) = cos a cos b + sin a sin b each weight is a product of
    features [relu(x) cos a, relu(x) sin a] with a = pi/2 i / M (the paper's cos-based
    re-weighting). Angles stay below pi/2, so all of these are positive and nothing cancels.

    horizon: M, by default `max_time`; the authors' code takes the length at hand instead, which a
    causal model cannot know. Longer sequences are refused: their weights would turn negative.
    Causal attention counts live tokens only; otherwise a position is a place in the sequence, the
    queries' and the keys' own. A query that shares no positive feature with any key gets zeros.
    """

    def __init__(
        self, heads: Heads, generator: torch.Generator, *, horizon: int | None = None
    ) -> None:
        del generator
        super().__init__()
        self.horizon = heads.max_time if horizon is None else horizon
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, and it is {self.horizon}.")

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        if causal:
            return self.prefill(q, k, v, key_padding=key_padding)[0]
        self._require(max(q.shape[2], k.shape[2]))
        at_queries, at_keys = (_places(x) for x in (q, k))
        return self._attend(q, k, v, at_queries, at_keys, key_padding=key_padding)[0]

    def prefill(
        self, q: Queries, k: Keys, v: Values, *, key_padding: KeyPadding | None = None
    ) -> tuple[Outputs, CosformerState]:
        """The causal outputs of a sequence's first part, and the state after it."""
        self._require(k.shape[2])
        if key_padding is None:
            positions, position = _places(k), k.new_full((len(k),), k.shape[2], dtype=torch.int64)
        else:
            count = (~key_padding).cumsum(1)
            # Before the first live token the count is zero, and any position will do.
            positions, position = (count - 1).clamp(min=0), count[:, -1]
        o, sums = self._attend(q, k, v, positions, positions, causal=True, key_padding=key_padding)
        return o, CosformerState(sums, position)

    def step(
        self, q: Queries, k: Keys, v: Values, state: CosformerState
    ) -> tuple[Outputs, CosformerState]:
        """The causal outputs of the next tokens, one or more, and the state after them."""
        self._require(int(state.position.max()) + k.shape[2])
        positions = state.position[:, None] + _places(k)
        o, sums = self._attend(q, k, v, positions, positions, causal=True, state=state.sums)
        return o, CosformerState(sums, state.position + k.shape[2])

    def _attend(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        at_queries: Int[Tensor, "b t"],
        at_keys: Positions,
        **how: Any,
    ) -> tuple[Outputs, State]:
        with torch.autocast(q.device.type, enabled=False):
            values, log_scale = self._features(q, at_queries)
            b, g = k.shape[:2]
            # Neighbouring query heads share a key-value head: one sequence after another.
            queries = Features(
                values.reshape(b, g, -1, values.shape[-1]), log_scale.reshape(b, g, -1)
            )
            o, state = linear_attention(queries, self._features(k, at_keys), v, **how)
        return o.reshape(*q.shape[:-1], v.shape[-1]), state

    def _features(self, x: Float[Tensor, "b h s d"], positions: Positions) -> Features:
        """Each row's largest entry is split off, so that small rows do not underflow."""
        x = x.to(torch.promote_types(x.dtype, torch.float32)).relu()
        largest = x.detach().amax(-1).clamp(min=torch.finfo(x.dtype).tiny)
        x = x / largest[..., None]
        angle = (math.pi / 2 / self.horizon) * positions.to(x.dtype)[:, None, :, None]
        return Features(torch.cat([x * angle.cos(), x * angle.sin()], -1), largest.log())

    def _require(self, time: int) -> None:
        if time > self.horizon:
            raise ValueError(
                f"cosformer was built for at most {self.horizon} positions; {time} came."
                " Build it with a larger max_time or horizon."
            )


def _places(x: Float[Tensor, "b h s d"]) -> Positions:
    return torch.arange(x.shape[2], device=x.device).expand(len(x), -1)


METHOD = Method(
    name="cosformer",
    attention=CosformerAttention,
    can=KERNEL_ATTENTION,
    family="linear attention",
    time="T d^2",
    state="2 d^2",
    paper="arXiv:2202.08791",
)
