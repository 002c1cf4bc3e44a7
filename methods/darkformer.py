"""DARKFormer: positive random features of a learned, data-aware kernel exp(q^T M^T M k)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import (
    KERNEL_ATTENTION,
    Calibrates,
    Heads,
    KeyPadding,
    Keys,
    Method,
    Redraws,
)
from methods.core.linear_attention import Exponents
from methods.core.positive_features import PositiveFeatures
from methods.core.projections import draw_omega
from methods.core.second_moment import inverse_root, optimal_root, second_moment


class DarkformerFeatures(PositiveFeatures, Redraws, Calibrates):
    """Unbiased for exp(q^T M^T M k / sqrt(d)), M learned per key-value head; M = I is Performer.

    initial: M starts as the first `rank` rows of the identity, or as whitening (proposition C.1)
    from calibration data. proposal: directions from N(0, I), or from the N(0, Sigma*) of theorem
    3.2 with importance weights, from the same data; until then, and as M moves away from it, the
    estimate stays unbiased, only its variance changes. Sigma* exists only below eigenvalues of 1/2
    of the data's second moment: larger ones are clipped, which is again a proper proposal.
    """

    omega: Tensor
    log_weight: Tensor
    proposal_root: Tensor

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_features: int = 128,
        orthogonal: bool = True,
        redraw_every: int = 0,
        rank: int | None = None,
        initial: Literal["identity", "whitening"] = "identity",
        proposal: Literal["isotropic", "optimal"] = "isotropic",
    ) -> None:
        super().__init__()
        g, d = heads.num_kv_heads, heads.head_dim
        r = d if rank is None else rank
        _require(num_features, r, d)
        self._shape = (g, num_features, r)
        self._orthogonal = orthogonal
        self._initial, self._proposal = initial, proposal
        self.redraw_every = redraw_every
        self.wants_calibration = initial == "whitening" or proposal == "optimal"
        self._scale = d**-0.25
        self.M = torch.nn.Parameter(torch.eye(r, d).repeat(g, 1, 1))
        self.register_buffer("omega", torch.empty(self._shape))
        self.register_buffer("log_weight", torch.empty(self._shape[:2]))
        self.register_buffer("proposal_root", torch.eye(r).repeat(g, 1, 1))
        self.redraw(generator)

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        z = draw_omega(*self._shape, orthogonal=self._orthogonal, generator=generator)
        self._propose(z.to(self.omega.device), self.proposal_root)

    @torch.no_grad()
    def calibrate(
        self, q: Float[Tensor, "b g t d"], k: Keys, key_padding: KeyPadding | None
    ) -> None:
        moment = second_moment(q, k, key_padding)
        if self._initial == "whitening":
            self.M.copy_(inverse_root(moment, self.M.shape[-2]))
        if self._proposal == "optimal":
            scaled = self.M.double() * self._scale
            root = optimal_root(scaled @ moment @ scaled.transpose(-1, -2))
            z = torch.linalg.solve(self.proposal_root.double(), self.omega.double().mT).mT
            self._propose(z, root)

    def _propose(self, z: Float[Tensor, "g m r"], root: Float[Tensor, "g r r"]) -> None:
        """omega = Sigma*^(1/2) z; half of log(p / psi) goes to the queries, half to the keys."""
        omega = z.to(root.dtype) @ root
        log_ratio = (z.square().sum(-1) - omega.square().sum(-1)) / 2
        log_ratio = log_ratio + torch.linalg.slogdet(root).logabsdet[:, None]
        self.omega.copy_(omega)
        self.log_weight.copy_(log_ratio / 2)
        self.proposal_root.copy_(root)

    def exponents(self) -> Exponents:
        offset = self.log_weight if self._proposal == "optimal" else None
        return Exponents(omega=self.omega, scale=self._scale, root=self.M, offset=offset)


def _require(num_features: int, rank: int, dim: int) -> None:
    if num_features < 1:
        raise ValueError(f"num_features must be at least 1, and it is {num_features}.")
    if not 1 <= rank <= dim:
        raise ValueError(f"rank must lie between 1 and the head dimension {dim}; it is {rank}.")


METHOD = Method(
    name="darkformer",
    feature_map=DarkformerFeatures,
    can=KERNEL_ATTENTION,
    family="random features",
    time="T m d",
    state="m d",
    paper="arXiv:2603.04127",
)
