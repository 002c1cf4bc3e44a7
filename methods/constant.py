"""Constant attention: every visible position weighs the same."""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import KERNEL_ATTENTION, FeatureMap, Features, Heads, Keys, Method


class OneFeature(FeatureMap):
    """The kernel 1: a single feature that is always one."""

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        del heads, generator
        super().__init__()

    def queries(self, q: Float[Tensor, "b g t d"]) -> Features:
        return _ones(q)

    def keys(self, k: Keys) -> Features:
        return _ones(k)

    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        return q.new_zeros((*q.shape[:-1], k.shape[2]))


def _ones(x: Float[Tensor, "b g t d"]) -> Features:
    return Features(x.new_ones((*x.shape[:-1], 1)), x.new_zeros(x.shape[:-1]))


METHOD = Method(
    name="constant",
    feature_map=OneFeature,
    can=KERNEL_ATTENTION,
    role="floor",
    family="control",
    time="T d",
    paper="arXiv:2603.04127",
)
