"""The dense form of linear attention in float64: the oracle of the linear-attention core."""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import FeatureMap, Features, Keys, Queries, Values


def dense_attention(
    queries: Features,
    keys: Features,
    v: Values,
    *,
    causal: bool = False,
    key_padding: Tensor | None = None,
) -> Float[Tensor, "b g rows v"]:
    """Quadratic, row by row stabilised. Zeros for a row that sees no key."""
    rows, time = queries.values.shape[2], keys.values.shape[2]
    hidden = torch.zeros(v.shape[0], 1, rows, time, dtype=torch.bool, device=v.device)
    if key_padding is not None:
        hidden = hidden | key_padding[:, None, None]
    if causal:
        now = torch.arange(rows, device=v.device) % time
        hidden = hidden | (torch.arange(time, device=v.device) > now[:, None])
    scale = keys.log_scale.double()[..., None, :].masked_fill(hidden, -torch.inf)
    largest = scale.detach().amax(-1, keepdim=True)
    scale = torch.exp(scale - largest.masked_fill(largest == -torch.inf, 0.0))
    weight = scale * (queries.values.double() @ keys.values.double().transpose(-1, -2))
    total = weight.sum(-1, keepdim=True)
    blind = hidden.all(-1, keepdim=True)
    return (weight / total.masked_fill(blind, 1.0)) @ v.double()


def dense_reference(
    feature_map: FeatureMap,
    q: Queries,
    k: Keys,
    v: Values,
    *,
    causal: bool = False,
    key_padding: Tensor | None = None,
) -> Float[Tensor, "b h t v"]:
    """What the map's attention should be, features and all in float64, for a map in float64."""
    queries = feature_map.queries(q.double().reshape(q.shape[0], k.shape[1], -1, q.shape[-1]))
    keys = feature_map.keys(k.double())
    o = dense_attention(queries, keys, v, causal=causal, key_padding=key_padding)
    return o.reshape(*q.shape[:-1], v.shape[-1])
