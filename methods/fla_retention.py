"""Retention by the Triton kernels of flash-linear-attention for one gate a token and head.

Not yet run on a GPU: written from the package's signatures, and tested against a stand-in with the
same ones.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Capabilities, Heads, Method
from methods.core.fla import INSTALL, PACKAGES, FlaKernel
from methods.core.retention_mixer import ByHead, RetentionMixer
from methods.core.scalar_decay import State

LEAST_CHUNK = 16
"""Tokens: Triton multiplies no smaller matrices."""


class FlaRetention(RetentionMixer):
    """`chunk_simple_gla`, and `fused_recurrent_simple_gla` for a single token: the package's own
    `chunk_retention` has fixed decays, which would forget at padded tokens too.

    Queries and keys are rotated in float32, and handed over in the dtype of the values. Raises
    ValueError for a chunk that is no power of two from 16 on.
    """

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        value_factor: int = 2,
        chunk: int = 64,
    ) -> None:
        super().__init__(
            d_model, heads, generator, causal=causal, value_factor=value_factor, chunk=chunk
        )
        if chunk < LEAST_CHUNK or chunk.bit_count() != 1:
            raise ValueError(
                f"chunk must be a power of two from {LEAST_CHUNK} on for fla-retention, and it is"
                f" {chunk}."
            )
        self._kernel = FlaKernel("fla-retention", "simple_gla", chunk_size=chunk)

    def scan(
        self,
        q: ByHead,
        k: ByHead,
        v: Float[Tensor, "b h t v"],
        log_a: Float[Tensor, "b h t"],
        sums: State | None,
    ) -> tuple[Float[Tensor, "b h t v"], State]:
        return self._kernel(q.to(v.dtype), k.to(v.dtype), v, log_a, state=sums)


METHOD = Method(
    name="fla-retention",
    mixer=FlaRetention,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        key_padding=True,
        stepwise=True,
        devices=("cuda",),
        dtypes=("float32", "bfloat16", "float16"),
        # Its backward pass refuses an odd number in half precision.
        head_dim_multiple=2,
        packages=PACKAGES,
        install=INSTALL,
    ),
    same_as="retention",
    family="linear attention",
    time="T d^2",
    state="2 d^2",
    paper="arXiv:2307.08621",
)
