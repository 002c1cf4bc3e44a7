"""DARKFormer: positive random features of a learned, data-aware kernel exp(q^T M^T M k)."""

from typing import Literal

import torch

from methods.api import KERNEL_ATTENTION, Heads, Method
from methods.core.centring import KeyShift, QueryShift
from methods.core.drawn_features import DrawnFeatures, Proposal
from methods.core.second_moment import Moment, Shrinkage, inverse_root


class DarkformerFeatures(DrawnFeatures):
    """Unbiased for exp(q^T M^T M k / sqrt(d)), M learned per key-value head; M = I is Performer.

    initial: M starts as the first `rank` rows of the identity, or as whitening (proposition C.1)
    from calibration data. proposal: directions from N(0, I), or from the N(0, Sigma*) of theorem
    3.2 with importance weights, from the same data; until then, and as M moves away from it, the
    estimate stays unbiased, only its variance changes. Sigma* exists only below eigenvalues of 1/2
    of the data's second moment: larger ones are clipped, which is again a proper proposal.

    proposal=typical and the shifts are our own, see `methods.core.drawn_features` and
    `methods.core.centring`. A shift of keys is exact for this kernel too, whatever M is.
    shrinkage is of the second moment that whitening and optimal stand on; typical stands on that
    of attended pairs, which is not shrunk.
    """

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
        proposal: Proposal = "isotropic",
        shrinkage: Shrinkage = 0.0,
        key_shift: KeyShift = "none",
        query_shift: QueryShift = "none",
    ) -> None:
        d = heads.head_dim
        r = d if rank is None else rank
        if not 1 <= r <= d:
            raise ValueError(f"rank must lie between 1 and the head dimension {d}; it is {r}.")
        super().__init__(
            heads,
            generator,
            num_features=num_features,
            rank=r,
            orthogonal=orthogonal,
            redraw_every=redraw_every,
            proposal=proposal,
            shrinkage=shrinkage,
            key_shift=key_shift,
            query_shift=query_shift,
            whitens=initial == "whitening",
        )
        self.M = torch.nn.Parameter(torch.eye(r, d).repeat(heads.num_kv_heads, 1, 1))

    def root(self) -> torch.nn.Parameter:
        return self.M

    def learn(self, moment: Moment) -> None:
        if self._whitens:
            self.M.copy_(inverse_root(moment, self.M.shape[-2]))


METHOD = Method(
    name="darkformer",
    feature_map=DarkformerFeatures,
    can=KERNEL_ATTENTION,
    family="random features",
    time="T m d",
    state="m d",
    paper="arXiv:2603.04127",
)
