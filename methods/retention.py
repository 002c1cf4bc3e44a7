"""Retention (RetNet): linear attention with rotated keys and one fixed decay a head, gated."""

from jaxtyping import Float
from torch import Tensor

from methods.api import Capabilities, Method
from methods.core.retention_mixer import ByHead, RetentionMixer
from methods.core.scalar_decay import State, scalar_decay


class Retention(RetentionMixer):
    """The chunked form (arXiv:2307.08621, equation 7) of `methods.core.scalar_decay`."""

    def scan(
        self,
        q: ByHead,
        k: ByHead,
        v: Float[Tensor, "b h t v"],
        log_a: Float[Tensor, "b h t"],
        sums: State | None,
    ) -> tuple[Float[Tensor, "b h t v"], State]:
        return scalar_decay(q, k, v, log_a, state=sums, chunk=self.chunk)


METHOD = Method(
    name="retention",
    mixer=Retention,
    can=Capabilities(causal=True, bidirectional=True, key_padding=True, stepwise=True),
    family="linear attention",
    time="T d^2",
    state="2 d^2",
    paper="arXiv:2307.08621",
)
