"""Gated linear attention by the Triton kernels of its authors' package, flash-linear-attention.

Not yet run on a GPU: written from the package's signatures, and tested against a stand-in with the
same ones.
"""

import torch

from methods.api import Capabilities, Heads, Method
from methods.core.fla import INSTALL, PACKAGES, FlaKernel
from methods.core.gated_mixer import GatedMixer, PerHead
from methods.core.gated_recurrence import GatedState


class FlaGatedLinearAttention(GatedMixer):
    """`chunk_gla`, and `fused_recurrent_gla` for a single token."""

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        gate_rank: int = 16,
        temperature: float = 16.0,
    ) -> None:
        super().__init__(
            d_model,
            heads,
            generator,
            causal=causal,
            gate_rank=gate_rank,
            temperature=temperature,
        )
        self._kernel = FlaKernel("fla-gated-linear-attention", "gla")

    def scan(
        self, q: PerHead, k: PerHead, v: PerHead, log_gate: PerHead, state: GatedState | None
    ) -> tuple[PerHead, GatedState]:
        return self._kernel(q, k, v, log_gate, state=state)


METHOD = Method(
    name="fla-gated-linear-attention",
    mixer=FlaGatedLinearAttention,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        key_padding=True,
        stepwise=True,
        devices=("cuda",),
        dtypes=("float32", "bfloat16", "float16"),
        packages=PACKAGES,
        install=INSTALL,
    ),
    same_as="gated-linear-attention",
    family="gated linear attention",
    time="T d^2",
    state="d^2",
    paper="arXiv:2312.06635",
)
