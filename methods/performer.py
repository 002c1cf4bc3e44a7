"""Performer: softmax's kernel estimated by positive random features."""

import torch
from torch import Tensor

from methods.api import KERNEL_ATTENTION, Heads, Method, Redraws
from methods.core.linear_attention import Exponents
from methods.core.positive_features import PositiveFeatures
from methods.core.projections import draw_omega


class PerformerFeatures(PositiveFeatures, Redraws):
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

    def exponents(self) -> Exponents:
        return Exponents(omega=self.omega, scale=self._scale)


METHOD = Method(
    name="performer",
    feature_map=PerformerFeatures,
    can=KERNEL_ATTENTION,
    family="random features",
    time="T m d",
    state="m d",
    paper="arXiv:2009.14794",
)
