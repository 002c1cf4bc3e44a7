"""Positive features of drawn directions, and what calibration data tell them."""

from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Calibrates, Heads, KeyPadding, Keys, Redraws
from methods.core.attended import FoldedQueries
from methods.core.centring import KeyShift, QueryShift, find_shifts
from methods.core.exponents import Exponents
from methods.core.moments import Asked, Moment, Moments, observed
from methods.core.positive_features import PositiveFeatures
from methods.core.projections import draw_omega
from methods.core.second_moment import (
    Shrinkage,
    optimal_root,
    require_shrinkage,
    second_moment,
    typical_root,
)

Proposal = Literal["isotropic", "optimal", "typical"]
"""Where directions are drawn from, with exact importance weights: N(0, I), N(0, Sigma*) of theorem
3.2 from the second moment of queries and keys, or `typical_root` of attended pairs."""


class DrawnFeatures(PositiveFeatures, Redraws, Calibrates):
    """Directions from a proposal with importance weights, and constant shifts; A is the author's.

    All are set by calibration, never from the sequence itself; until then, and as A moves away from
    it, the estimate stays unbiased, only its variance changes.
    """

    omega: Tensor
    log_weight: Tensor | None
    proposal_root: Tensor | None
    query_shift: Tensor | None
    key_shift: Tensor | None

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_features: int,
        rank: int,
        orthogonal: bool,
        redraw_every: int,
        proposal: Proposal,
        shrinkage: Shrinkage,
        key_shift: KeyShift,
        query_shift: QueryShift,
        whitens: bool = False,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, and it is {num_features}.")
        require_shrinkage(shrinkage, is_used=whitens or proposal == "optimal")
        g, d = heads.num_kv_heads, heads.head_dim
        self._shape = (g, num_features, rank)
        self._orthogonal, self._proposal, self._shrinkage = orthogonal, proposal, shrinkage
        self._shifts: tuple[KeyShift, QueryShift] = (key_shift, query_shift)
        self.redraw_every = redraw_every
        shifted, proposed = self._shifts != ("none", "none"), proposal != "isotropic"
        self.wants_calibration = shifted or proposed or whitens
        self._whitens = whitens
        self._asked = Asked(
            noise=shrinkage == "auto", attended=key_shift == "attended", pairs=proposal == "typical"
        )
        self._observed: Moments | None = None
        self._scale = d**-0.25
        self.register_buffer("omega", torch.empty(self._shape))
        self.register_buffer("log_weight", torch.empty(g, num_features) if proposed else None)
        self.register_buffer("proposal_root", torch.eye(rank).repeat(g, 1, 1) if proposed else None)
        zeros = torch.zeros(g, d)
        self.register_buffer("query_shift", zeros if query_shift != "none" else None)
        self.register_buffer("key_shift", zeros.clone() if key_shift != "none" else None)
        self.redraw(generator)

    @abstractmethod
    def root(self) -> Tensor | None:
        """A `[g, r, d]`, with its gradient; None: the identity."""

    def learn(self, moment: Moment) -> None:
        """Set A from the second moment of what queries and keys are, shifted; by default do not."""
        del moment

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        z = draw_omega(*self._shape, orthogonal=self._orthogonal, generator=generator)
        z = z.to(self.omega.device)
        if self.proposal_root is None:
            self.omega.copy_(z)
        else:
            self._propose(z, self.proposal_root)

    @torch.no_grad()
    def observe(self, q: FoldedQueries, k: Keys, key_padding: KeyPadding | None) -> None:
        self._observed = observed(self._observed, q, k, key_padding, asked=self._asked)

    @torch.no_grad()
    def settle(self) -> None:
        moments, self._observed = self._observed, None
        if moments is None:
            return
        key_shift, query_shift = self._shifts
        shifts = find_shifts(moments, key_shift=key_shift, query_shift=query_shift)
        for buffer, constant in ((self.query_shift, shifts.query), (self.key_shift, shifts.key)):
            if buffer is not None:
                buffer.copy_(constant)
        centres = shifts.query_centre, shifts.key_centre
        moment = second_moment(moments, *centres, shrinkage=self._shrinkage)
        self.learn(moment)
        if self.proposal_root is None:
            return
        scaled = torch.eye(self._shape[2]).to(moment) * self._scale
        root = self.root()
        if root is not None:
            scaled = root.detach().double() * self._scale
        z = torch.linalg.solve(self.proposal_root.double(), self.omega.double().mT).mT
        if moments.pairs is not None:
            moment = moments.pairs.moment(shifts.query + shifts.key)
            root = typical_root(scaled @ moment @ scaled.mT)
        else:
            root = optimal_root(scaled @ moment @ scaled.mT)
        self._propose(z, root)

    def _propose(self, z: Float[Tensor, "g m r"], root: Float[Tensor, "g r r"]) -> None:
        """omega = Sigma^(1/2) z; half of log(p / psi) goes to the queries, half to the keys."""
        assert self.log_weight is not None
        assert self.proposal_root is not None
        omega = z.to(root.dtype) @ root
        log_ratio = (z.square().sum(-1) - omega.square().sum(-1)) / 2
        log_ratio = log_ratio + torch.linalg.slogdet(root).logabsdet[:, None]
        self.omega.copy_(omega)
        self.log_weight.copy_(log_ratio / 2)
        self.proposal_root.copy_(root)

    def exponents(self) -> Exponents:
        return Exponents(
            omega=self.omega,
            scale=self._scale,
            root=self.root(),
            offset=self.log_weight,
            query_shift=self.query_shift,
            key_shift=self.key_shift,
        )
