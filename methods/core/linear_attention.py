"""Linear attention: the one core that every feature map shares.

Query heads that share a key-value head come folded into time, one head's whole sequence after the
other's. Everything is relative to the largest key scale seen *so far*, as in online softmax: one
maximum over all keys would let the future underflow the past. All exponents are at most zero.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Features, KeyPadding, Values

CHUNK = 128
"""Keys per causal chunk: large enough for full matrix products, small enough to stay in cache."""

GRADIENT_HEADROOM = 2.0**24
"""A normaliser within this factor of the smallest normal number counts as collapsed: dividing by
a smaller one would overflow in the backward pass."""

FoldedOutputs = Float[Tensor, "b g rows v"]
Sums = Float[Tensor, "b g f v1"]


class State(NamedTuple):
    """All that later queries need to know of the keys so far. Its size does not depend on time."""

    sums: Sums
    """Sum over keys of phi_k times [value, 1], relative to exp(log_scale)."""
    log_scale: Float[Tensor, "b g"]
    """The largest key scale so far; -inf before the first key."""

    @property
    def value_sum(self) -> Float[Tensor, "b g f v"]:
        return self.sums[..., :-1]

    @property
    def key_sum(self) -> Float[Tensor, "b g f"]:
        return self.sums[..., -1]


def linear_attention(
    queries: Features,
    keys: Features,
    v: Values,
    *,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
    state: State | None = None,
) -> tuple[FoldedOutputs, State]:
    """Every query sees every unpadded key: of the state's past, and of these up to its own time.

    Without `causal` there is no "up to". A query that sees no key gets zeros. Accumulates in
    float32, or float64 where the features are, and returns the dtype of `v`.
    """
    weighted, state = _weighted_sums(queries, keys, v, causal, key_padding, state)
    return _divide(weighted).to(v.dtype), state


def normaliser(
    queries: Features, keys: Features, *, causal: bool, key_padding: KeyPadding | None
) -> Float[Tensor, "b g rows"]:
    """What the output of each query row is divided by, relative to the largest scale.

    Zero where it collapsed: it underflowed although the row sees a key, and the output is zeros.
    Infinity where the row sees no key.
    """
    nothing = keys.values.new_zeros((*keys.values.shape[:-1], 0))
    weighted, _ = _weighted_sums(queries, keys, nothing, causal, key_padding, None)
    bottom = weighted[..., 0]
    bottom = bottom.masked_fill(bottom.abs() < _smallest(bottom.dtype), 0.0)
    seen = torch.isfinite(_hide(keys.log_scale, key_padding))
    rows, key_time = queries.values.shape[2], keys.values.shape[2]
    if causal:
        seen = (seen.cumsum(-1) > 0).repeat(1, 1, rows // key_time)
    else:
        seen = seen.any(-1, keepdim=True)
    return bottom.masked_fill(~seen, torch.inf)


def _weighted_sums(
    queries: Features,
    keys: Features,
    v: Values,
    causal: bool,
    key_padding: KeyPadding | None,
    state: State | None,
) -> tuple[Float[Tensor, "b g rows v1"], State]:
    """Numerator and, in the last column, normaliser of every query row."""
    dtype = torch.promote_types(keys.values.dtype, torch.float32)
    q = queries.values.to(dtype)
    k = Features(keys.values.to(dtype), _hide(keys.log_scale.to(dtype), key_padding))
    v1 = torch.cat([v.to(dtype), v.new_ones((*v.shape[:-1], 1), dtype=dtype)], -1)
    if state is None:
        state = _empty_state(k, v1)
    if not causal:
        state = _absorb(k, v1, state)
        return q @ state.sums, state
    return _causal(q, k, v1, state)


def _hide(log_scale: Tensor, key_padding: KeyPadding | None) -> Tensor:
    if key_padding is None:
        return log_scale
    return log_scale.masked_fill(key_padding[:, None], -torch.inf)


def _empty_state(k: Features, v1: Tensor) -> State:
    b, g, _, f = k.values.shape
    return State(
        k.values.new_zeros((b, g, f, v1.shape[-1])),
        k.values.new_full((b, g), -torch.inf),
    )


def _absorb(k: Features, v1: Tensor, state: State) -> State:
    """The state after these keys. The running maximum is a constant to the gradient: it cancels."""
    log_scale = torch.maximum(state.log_scale, k.log_scale.detach().amax(-1))
    reference = _finite(log_scale)
    weight = torch.exp(k.log_scale - reference[..., None])
    kept = torch.exp(state.log_scale - reference)
    fresh = k.values.transpose(-1, -2) @ (weight[..., None] * v1)
    return State(kept[..., None, None] * state.sums + fresh, log_scale)


def _causal(q: Tensor, k: Features, v1: Tensor, state: State) -> tuple[Tensor, State]:
    """Chunk by chunk. `split` and not slices: the backward of a slice fills the whole length."""
    time = k.values.shape[2]
    chunks = zip(
        q.unflatten(2, (-1, time)).split(CHUNK, 3),
        k.values.split(CHUNK, 2),
        k.log_scale.split(CHUNK, 2),
        v1.split(CHUNK, 2),
        strict=True,
    )
    outputs = []
    for q_chunk, values, log_scale, v_chunk in chunks:
        k_chunk = Features(values, log_scale)
        outputs.append(_within(q_chunk, k_chunk, v_chunk, state))
        state = _absorb(k_chunk, v_chunk, state)
    return torch.cat(outputs, 3).flatten(2, 3), state


def _within(
    q: Float[Tensor, "b g r c f"], k: Features, v1: Tensor, state: State
) -> Float[Tensor, "b g r c v1"]:
    """One chunk's queries against the state before it and the chunk's own keys so far.

    Each row has its own running maximum, so not one bit of it depends on later keys.
    """
    r, c = q.shape[2:4]
    rows = q.flatten(2, 3)
    running = torch.maximum(state.log_scale[..., None], k.log_scale.detach().cummax(-1).values)
    reference = _finite(running)
    future = torch.ones(c, c, dtype=torch.bool, device=q.device).triu(1)
    exponent = (k.log_scale[..., None, :] - reference[..., :, None]).masked_fill(future, -torch.inf)
    scores = (rows @ k.values.transpose(-1, -2)).unflatten(2, (r, c))
    own = (scores * torch.exp(exponent)[:, :, None]).flatten(2, 3) @ v1
    kept = torch.exp(state.log_scale[..., None] - reference)
    past = (rows @ state.sums).unflatten(2, (r, c))
    return own.unflatten(2, (r, c)) + kept[:, :, None, :, None] * past


def _finite(log_scale: Tensor) -> Tensor:
    """Where no key was seen yet any reference will do, but -inf - -inf is NaN."""
    return log_scale.masked_fill(log_scale == -torch.inf, 0.0)


def _smallest(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).tiny * GRADIENT_HEADROOM


def _divide(weighted: Tensor) -> Tensor:
    """The scale of a query divides out between numerator and denominator."""
    top, bottom = weighted[..., :-1], weighted[..., -1:]
    collapsed = bottom.abs() < _smallest(weighted.dtype)
    return (top / bottom.masked_fill(collapsed, 1.0)).masked_fill(collapsed, 0.0)
