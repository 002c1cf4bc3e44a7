"""Performer: softmax's kernel estimated by positive random features."""

import torch

from methods.api import KERNEL_ATTENTION, Heads, Method
from methods.core.centring import KeyShift, QueryShift
from methods.core.drawn_features import DrawnFeatures, Proposal
from methods.core.second_moment import Shrinkage


class PerformerFeatures(DrawnFeatures):
    """Unbiased for exp(q.k / sqrt(d)); the relative variance is (exp(|q + k|^2 / sqrt(d)) - 1) / m
    with independent features, less with orthogonal ones.

    key_shift, query_shift and proposal are not the paper's: exact reformulations and importance
    weights that change the variance alone, from calibration data. See `methods.core.centring` and
    `methods.core.drawn_features`; shrinkage is of the second moment that optimal stands on, and
    nothing else does.
    """

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_features: int = 128,
        orthogonal: bool = True,
        redraw_every: int = 0,
        proposal: Proposal = "isotropic",
        shrinkage: Shrinkage = 0.0,
        key_shift: KeyShift = "none",
        query_shift: QueryShift = "none",
    ) -> None:
        super().__init__(
            heads,
            generator,
            num_features=num_features,
            rank=heads.head_dim,
            orthogonal=orthogonal,
            redraw_every=redraw_every,
            proposal=proposal,
            shrinkage=shrinkage,
            key_shift=key_shift,
            query_shift=query_shift,
        )

    def root(self) -> None:
        return None


METHOD = Method(
    name="performer",
    feature_map=PerformerFeatures,
    can=KERNEL_ATTENTION,
    family="random features",
    time="T m d",
    state="m d",
    paper="arXiv:2009.14794",
)
