"""Exponential features: softmax's kernel with each dimension's product taken apart, and no draws.

A whole method in one file outside the registry's folder. Try it with

    python -m bench check examples/my_attention.py
    python -m bench run --methods examples/my_attention.py:temperature=2.0 --task lra/listops
"""

import torch
from torch import Tensor

from methods.api import KERNEL_ATTENTION, FeatureMap, Features, Heads, Keys, Method


class ExponentialFeatures(FeatureMap):
    """phi(x) = [exp(x / t), exp(-x / t)], t the temperature: twice head_dim positive features."""

    def __init__(
        self, heads: Heads, generator: torch.Generator, *, temperature: float = 4.0
    ) -> None:
        super().__init__()
        del heads, generator
        self.temperature = temperature

    def queries(self, q: Tensor) -> Features:
        return self.keys(q)

    def keys(self, k: Keys) -> Features:
        exponent = torch.cat([k, -k], dim=-1) / self.temperature
        # The core wants the scale apart, so that no exponential ever overflows.
        log_scale = exponent.amax(dim=-1)
        return Features((exponent - log_scale[..., None]).exp(), log_scale)

    def log_kernel(self, q: Tensor, k: Keys) -> Tensor:
        """log sum_i 2 cosh((q_i + k_i) / t)."""
        total = (q[..., :, None, :] + k[..., None, :, :]) / self.temperature
        return torch.cat([total, -total], dim=-1).logsumexp(dim=-1)


METHOD = Method(
    name="exponential-features",
    feature_map=ExponentialFeatures,
    can=KERNEL_ATTENTION,
    family="linear attention",
    time="T d^2",
)
