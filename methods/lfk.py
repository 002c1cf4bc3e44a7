"""Learned feature kernel: Performer's features with directions that training moves."""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import KERNEL_ATTENTION, Heads, Keys, Method
from methods.core.exponents import Exponents
from methods.core.positive_features import PositiveFeatures
from methods.core.projections import draw_omega


class LearnedFeatures(PositiveFeatures):
    """phi(x; w) = exp(w.x - |x|^2 / 2) with learned rows w, per key-value head.

    Our own reading of the baseline that the paper describes in a line: the directions start as a
    Performer's draw and are parameters from then on; nothing is drawn again. The kernel is what
    the features make it, phi(q) . phi(k), so they have no bias and no variance with respect to it.
    """

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_features: int = 128,
        orthogonal: bool = True,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, and it is {num_features}.")
        shape = (heads.num_kv_heads, num_features, heads.head_dim)
        self.omega = torch.nn.Parameter(
            draw_omega(*shape, orthogonal=orthogonal, generator=generator)
        )
        self._scale = heads.head_dim**-0.25

    def exponents(self) -> Exponents:
        return Exponents(omega=self.omega, scale=self._scale)

    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        queries, keys = self.queries(q), self.keys(k)
        product = queries.values @ keys.values.transpose(-1, -2)
        return product.log() + queries.log_scale[..., :, None] + keys.log_scale[..., None, :]


METHOD = Method(
    name="lfk",
    feature_map=LearnedFeatures,
    can=KERNEL_ATTENTION,
    family="learned features",
    time="T m d",
    state="m d",
    paper="arXiv:2603.04127",
)
