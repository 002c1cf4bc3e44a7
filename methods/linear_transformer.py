"""Linear Transformer: the kernel (elu(q) + 1) . (elu(k) + 1)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import KERNEL_ATTENTION, Features, Heads, Keys, Method, Values
from methods.core.elu_features import EluPlusOne
from methods.core.linear_attention import (
    FoldedOutputs,
    FoldedQueries,
    State,
    walked_attention,
)
from methods.core.walked_features import WalkedFeatures


class EluFeatures(WalkedFeatures):
    """One feature per dimension, elu(x) + 1; nothing is drawn and nothing is learned."""

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        del heads, generator
        super().__init__()

    def attend(
        self, q: FoldedQueries, k: Keys, v: Values, **how: Any
    ) -> tuple[FoldedOutputs, State]:
        return walked_attention(EluPlusOne, q, k, v, **how)

    def queries(self, q: Float[Tensor, "b g t d"]) -> Features:
        return _elu_features(q)

    def keys(self, k: Keys) -> Features:
        return _elu_features(k)

    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        queries, keys = _elu_features(q), _elu_features(k)
        product = queries.values @ keys.values.transpose(-1, -2)
        return product.log() + queries.log_scale[..., :, None] + keys.log_scale[..., None, :]


def _elu_features(x: Float[Tensor, "b g t d"]) -> Features:
    """elu(x) + 1 = exp(min(x, 0)) + max(x, 0).

    Where every entry of a row is negative the largest is split off, so that nothing underflows.
    """
    largest = x.detach().amax(-1).clamp(max=0.0)
    below = torch.exp(x.clamp(max=0.0) - largest[..., None])
    return Features(below + x.clamp(min=0.0), largest)


METHOD = Method(
    name="linear-transformer",
    feature_map=EluFeatures,
    can=KERNEL_ATTENTION,
    family="linear attention",
    time="T d^2",
    state="d^2",
    paper="arXiv:2006.16236",
)
