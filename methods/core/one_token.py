"""One more token in linear attention: what decoding does, without the machinery of a walk."""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Features, Values
from methods.core.feature_source import LOG2_E
from methods.core.feature_walk import GRADIENT_HEADROOM
from methods.core.linear_attention import State


def attend_one_token(
    queries: Features, keys: Features, v: Values, state: State
) -> tuple[Float[Tensor, "b g r v"], State]:
    """What `linear_attention` gives for one key, and the queries that share it, after a state."""
    dtype, dim = state.sums.dtype, v.shape[-1]
    log2_scale = keys.log_scale[..., 0].detach().to(dtype) * LOG2_E
    largest = torch.maximum(state.log2_scale, log2_scale)
    # Before the first key the scale is -inf, and the sums are zeros: they stay so.
    kept = torch.exp2(state.log2_scale - largest)
    weight = torch.exp2(keys.log_scale.to(dtype) * LOG2_E - largest[..., None])
    extended = v.new_zeros((*v.shape[:-1], state.sums.shape[-1]), dtype=dtype)
    extended[..., :dim] = v
    extended[..., dim] = 1.0
    phi = (keys.values.to(dtype) * weight[..., None]).mT
    sums = torch.addcmul(state.sums * kept[..., None, None], phi, extended)
    top = queries.values.to(dtype) @ sums
    bottom = top[..., dim : dim + 1]
    collapsed = bottom.abs() < torch.finfo(dtype).tiny * GRADIENT_HEADROOM
    o = (top[..., :dim] / bottom.masked_fill(collapsed, 1.0)).masked_fill(collapsed, 0.0)
    return o.to(v.dtype), State(sums, largest)
