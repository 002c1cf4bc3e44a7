"""Performer: softmax's kernel estimated by positive random features."""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import KERNEL_ATTENTION, FeatureMap, Features, Heads, Keys, Method, Redraws
from methods.core.positive_features import positive_features
from methods.core.projections import draw_omega


class PerformerFeatures(FeatureMap, Redraws):
    """Unbiased for exp(q.k / sqrt(d)); the relative variance is (exp(|q + k|^2 / sqrt(d)) - 1) / m
    with independent features, less with orthogonal ones."""

    omega: Tensor

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_features: int = 128,
        orthogonal: bool = True,
        redraw_every: int = 0,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, and it is {num_features}.")
        self._shape = (heads.num_kv_heads, num_features, heads.head_dim)
        self._orthogonal = orthogonal
        self.redraw_every = redraw_every
        self._scale = heads.head_dim**-0.25
        self.register_buffer("omega", self._draw(generator))

    def _draw(self, generator: torch.Generator) -> Tensor:
        return draw_omega(*self._shape, orthogonal=self._orthogonal, generator=generator)

    def redraw(self, generator: torch.Generator) -> None:
        self.omega.copy_(self._draw(generator))

    def queries(self, q: Float[Tensor, "b g t d"]) -> Features:
        return positive_features(q * self._scale, self.omega)

    def keys(self, k: Keys) -> Features:
        return positive_features(k * self._scale, self.omega)

    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        return (q * self._scale) @ (k * self._scale).transpose(-1, -2)


METHOD = Method(
    name="performer",
    feature_map=PerformerFeatures,
    can=KERNEL_ATTENTION,
    family="random features",
    time="T m d",
    state="m d",
    paper="arXiv:2009.14794",
)
