"""Linear attention: the one core that every feature map shares.

Query heads that share a key-value head come folded into time, one head's whole sequence after the
other's. Everything is relative to the largest key scale seen *so far*, as in online softmax: one
maximum over all keys would let the future underflow the past.

Features of a sequence are given whole, or as `Exponents`, from which the walk computes them
stretch by stretch, so that no tensor of time x features exists, forward or backward.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from methods.api import Features, KeyPadding, Keys, Values
from methods.core.exponents import Exponents, walked
from methods.core.feature_source import (
    ExponentialFeatures,
    FeatureSource,
    GivenFeatures,
    Workspace,
)
from methods.core.feature_walk import Walk, padded_width

CHUNK, CAUSAL_CHUNK = 256, 64
"""Longest stretch on a processor. Causal work within a stretch grows with it; every stretch costs
some forty calls; longer ones than these leave the cache."""

GPU_CHUNK = 512
"""On a GPU a stretch must be long enough to fill it (an estimate: not yet run on one)."""

CACHED_NUMBERS = 2**18
"""Features of one stretch and group of heads on a processor: 1 MiB in float32 fits its caches."""

MIN_HEADS = 4
"""Heads in a group at least, so that the threads of a matrix product have work."""

FoldedOutputs = Float[Tensor, "b g rows v"]
FoldedQueries = Float[Tensor, "b g rows d"]


class State(NamedTuple):
    """All that later queries need to know of the keys so far. Its size does not depend on time."""

    sums: Float[Tensor, "b g f width"]
    """Sum over keys of phi_k times [value, 1, zeros], relative to 2 ** log2_scale."""
    log2_scale: Float[Tensor, "b g"]
    """The largest key scale so far; -inf before the first key."""


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
    hidden = _hidden(keys.values, key_padding)
    scales = keys.log_scale.flatten(0, 1)
    tensors = (_rows(queries.values, v, causal), keys.values.flatten(0, 1), scales)
    o, _, state = _walk(GivenFeatures, tensors, hidden, v, causal, state)
    return o, state


def exponential_attention(
    q: FoldedQueries,
    k: Keys,
    v: Values,
    exponents: Exponents,
    *,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
    state: State | None = None,
) -> tuple[FoldedOutputs, State]:
    """`linear_attention` of exponential features, which are never all in memory."""
    q, k, parameters = walked(q, k, exponents.to(_accumulator(k)))
    make = functools.partial(ExponentialFeatures, scale=exponents.scale)
    parameters = tuple(
        None if x is None else x.repeat(k.shape[0], *(1,) * (x.ndim - 1)) for x in parameters
    )
    # The walk leaves out 1 / sqrt(m), which divides out of every output; the state has it, so that
    # it is the same whichever way the features were computed.
    mean = 0.5 * math.log2(exponents.omega.shape[1])
    if state is not None:
        state = state._replace(log2_scale=state.log2_scale + mean)
    rest = {"causal": causal, "key_padding": key_padding, "state": state}
    o, state = walked_attention(make, q, k, v, *parameters, **rest)
    return o, state._replace(log2_scale=state.log2_scale - mean)


def walked_attention(
    make: Callable[..., FeatureSource],
    q: FoldedQueries,
    k: Keys,
    v: Values,
    *parameters: Tensor | None,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
    state: State | None = None,
) -> tuple[FoldedOutputs, State]:
    """`linear_attention` of the features that a source computes on the way from queries, keys and
    parameters, the last for batch and heads together."""
    tensors = (_rows(q, v, causal), k.flatten(0, 1), *parameters)
    o, _, state = _walk(make, tensors, _hidden(k, key_padding), v, causal, state)
    return o, state


def normaliser(
    queries: Features, keys: Features, *, causal: bool, key_padding: KeyPadding | None
) -> Float[Tensor, "b g rows"]:
    """What the output of each query row is divided by, relative to the largest scale.

    Zero where it collapsed: it underflowed although the row sees a key, and the output is zeros.
    Infinity where the row sees no key.
    """
    nothing = keys.values.new_zeros((*keys.values.shape[:-1], 0))
    scales = keys.log_scale.flatten(0, 1)
    tensors = (_rows(queries.values, nothing, causal), keys.values.flatten(0, 1), scales)
    hidden = _hidden(keys.values, key_padding)
    _, inverse, _ = _walk(GivenFeatures, tensors, hidden, nothing, causal, None)
    bottom = inverse.reciprocal().masked_fill(inverse == 0, 0.0)
    hidden = keys.log_scale == -torch.inf
    if key_padding is not None:
        hidden = hidden | key_padding[:, None]
    rows, key_time = queries.values.shape[2], keys.values.shape[2]
    if causal:
        seen = ((~hidden).cumsum(-1) > 0).repeat(1, 1, rows // key_time)
    else:
        seen = (~hidden).any(-1, keepdim=True)
    return bottom.masked_fill(~seen, torch.inf)


Tensors = tuple[Tensor | None, ...]


def _walk(
    make: Callable[..., Any],
    tensors: Tensors,
    hidden: Tensor | None,
    v: Values,
    causal: bool,
    state: State | None,
) -> tuple[FoldedOutputs, Float[Tensor, "b g rows"], State]:
    """Outputs, 1 / normaliser (0: collapsed) and the state, batch and heads apart again."""
    b, g = v.shape[:2]
    sums, log2_scale = (None, None) if state is None else (x.flatten(0, 1) for x in state)
    o, inverse, *after = _Walk.apply(
        make, hidden, causal, v.flatten(0, 1), sums, log2_scale, *tensors
    )
    sums, log2_scale = (x.unflatten(0, (b, g)) for x in after)
    o, inverse = (x.flatten(1, 2).unflatten(0, (b, g)) for x in (o, inverse))
    return o, inverse, State(sums, log2_scale)


def _rows(q: Tensor, v: Tensor, causal: bool) -> Tensor:
    """`[n, r, t, ...]`: r query heads to a key-value head; one where all queries see the same."""
    return q.flatten(0, 1).unflatten(1, (-1, v.shape[2] if causal else q.shape[2]))


def _hidden(k: Tensor, key_padding: KeyPadding | None) -> Tensor | None:
    if key_padding is None:
        return None
    return key_padding.repeat_interleave(k.shape[1], 0)


def _accumulator(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


class _Walk(torch.autograd.Function):
    """All heads, a group at a time: as many as fit into a processor's cache."""

    @staticmethod
    def forward(
        ctx: Any,
        make: Callable[..., Any],
        hidden: Tensor | None,
        causal: bool,
        v: Tensor,
        sums: Tensor | None,
        log2_scale: Tensor | None,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        q, k = tensors[:2]
        dtype, features = _accumulator(k), _num_features(tensors)
        o = v.new_empty((*q.shape[:3], v.shape[-1]))
        inverse = v.new_empty(q.shape[:3], dtype=dtype)
        shape = (len(v), features, padded_width(v.shape[-1]))
        after = v.new_zeros(shape, dtype=dtype) if sums is None else sums.clone()
        scale = after.new_full(shape[:1], -torch.inf) if sums is None else log2_scale.clone()
        ctx.notes = []
        for heads in _groups(k, features, causal):
            walk = _make_walk(make, hidden, causal, v, tensors, None, heads)
            if causal:
                scale[heads], *notes = walk.causal(
                    after[heads],
                    scale[heads],
                    o[heads],
                    inverse[heads],
                    keep=any(ctx.needs_input_grad),
                )
                ctx.notes.append(notes)
            else:
                scale[heads] = walk.absorb(after[heads], scale[heads])
                walk.read(after[heads], o[heads], inverse[heads])
        ctx.make, ctx.hidden, ctx.causal = make, hidden, causal
        ctx.save_for_backward(v, o, inverse, after, scale, log2_scale, *tensors)
        ctx.mark_non_differentiable(inverse, scale)
        return o, inverse, after, scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, do: Tensor | None, _: Any, dafter: Tensor | None, __: Any) -> Any:
        v, o, inverse, after, scale, before, *tensors = ctx.saved_tensors
        do = torch.zeros_like(o) if do is None else do
        dsums = torch.zeros_like(after) if dafter is None else dafter.clone()
        dv = torch.empty_like(v)
        needed = ctx.needs_input_grad[6:]
        gradients = [
            torch.zeros_like(x) if x is not None and (i < 2 or needed[i]) else None
            for i, x in enumerate(tensors)
        ]
        with torch.autocast(v.device.type, enabled=False):
            for i, heads in enumerate(_groups(tensors[1], _num_features(tensors), ctx.causal)):
                walk = _make_walk(ctx.make, ctx.hidden, ctx.causal, v, tensors, gradients, heads)
                rows = o[heads], inverse[heads], do[heads]
                if ctx.causal:
                    walk.backward_causal(*ctx.notes[i], *rows, dv[heads], dsums[heads])
                else:
                    walk.backward_read(after[heads], *rows, dsums[heads])
                    walk.backward_absorb(scale[heads], dv[heads], dsums[heads])
                    _since(before, scale, dsums, heads)
        return None, None, None, dv, dsums if ctx.needs_input_grad[4] else None, None, *gradients


def _since(before: Tensor | None, scale: Tensor, dsums: Tensor, heads: slice) -> None:
    """What was relative to the last scale becomes relative to the first."""
    if before is not None:
        kept = torch.exp2(before[heads] - scale[heads].clamp(min=torch.finfo(scale.dtype).min))
        dsums[heads].mul_(kept[:, None, None])


def _make_walk(
    make: Callable[..., Any],
    hidden: Tensor | None,
    causal: bool,
    v: Tensor,
    tensors: Any,
    gradients: Any,
    heads: slice,
) -> Walk:
    def part(xs: Any) -> Any:
        return None if xs is None else tuple(None if x is None else x[heads] for x in xs)

    q, k = tensors[:2]
    work = Workspace(k, _accumulator(k))
    hidden = None if hidden is None else hidden[heads]
    source = make(work, part(tensors), hidden=hidden, gradients=part(gradients))
    return Walk(source, v[heads], q.shape[1], work, _chunk(k, causal))


def _num_features(tensors: Any) -> int:
    """Of exponential features the rows of W, of given ones their last dimension."""
    matrix = len(tensors) > 2 and tensors[2].ndim == 3
    return int(tensors[2].shape[1] if matrix else tensors[1].shape[-1])


def _chunk(k: Tensor, causal: bool) -> int:
    longest = CAUSAL_CHUNK if causal else CHUNK
    return min(k.shape[1], longest if k.device.type == "cpu" else GPU_CHUNK)


def _groups(k: Tensor, num_features: int, causal: bool) -> Iterator[slice]:
    """Slices of the heads."""
    size = len(k)
    if k.device.type == "cpu":
        size = max(MIN_HEADS, CACHED_NUMBERS // (_chunk(k, causal) * num_features))
    for start in range(0, len(k), size):
        yield slice(start, min(start + size, len(k)))
