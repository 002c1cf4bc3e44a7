"""DeltaNet by the Triton kernels of its authors' package, flash-linear-attention.

Not yet run on a GPU: written from the package's signatures, and tested against a stand-in with the
same ones.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Capabilities, Heads, Method
from methods.core.delta_mixer import DeltaMixer, PerHead
from methods.core.delta_recurrence import DeltaState
from methods.core.fla import INSTALL, PACKAGES, FlaKernel


class FlaDeltaRule(DeltaMixer):
    """`chunk_delta_rule`, which refuses float32 and keys of more than 256 dimensions, and
    `fused_recurrent_delta_rule` for a single token."""

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        conv_width: int = 4,
    ) -> None:
        super().__init__(d_model, heads, generator, causal=causal, conv_width=conv_width)
        self._kernel = FlaKernel("fla-delta-rule", "delta_rule")

    def scan(
        self,
        q: PerHead,
        k: PerHead,
        v: PerHead,
        beta: Float[Tensor, "b h t"],
        S: DeltaState | None,
    ) -> tuple[PerHead, DeltaState]:
        return self._kernel(q, k, v, beta, state=S)


METHOD = Method(
    name="fla-delta-rule",
    mixer=FlaDeltaRule,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        key_padding=True,
        stepwise=True,
        devices=("cuda",),
        dtypes=("bfloat16", "float16"),
        largest_head_dim=256,
        packages=PACKAGES,
        install=INSTALL,
    ),
    same_as="delta-rule",
    family="delta rule",
    time="T d^2",
    state="d^2",
    paper="arXiv:2406.06484",
)
