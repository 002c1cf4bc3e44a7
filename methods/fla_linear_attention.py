"""The Linear Transformer by the Triton kernel of flash-linear-attention.

Not yet run on a GPU: written from the package's signatures, and tested against a stand-in with the
same ones.
"""

import torch
from torch.nn.functional import elu

from methods.api import (
    AttentionModule,
    Capabilities,
    Heads,
    KeyPadding,
    Keys,
    Method,
    Outputs,
    Queries,
    Values,
)
from methods.core.capabilities import import_package
from methods.core.fla import INSTALL, PACKAGES


class FlaLinearAttention(AttentionModule):
    """`chunk_linear_attn`, normalised, of elu(x) + 1; only causal.

    It adds 1e-10 to the normaliser and takes no scale apart, so features that are tiny throughout
    give less than they should. Features are computed in float32, and handed over in the dtype of
    the values.
    """

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        del heads, generator
        super().__init__()
        package = import_package("fla-linear-attention", "fla.ops.linear_attn", INSTALL)
        self._kernel = package.chunk_linear_attn

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = True,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        del causal
        queries, keys = (elu(x.float()) + 1 for x in (q, k))
        if key_padding is not None:
            keys = keys.masked_fill(key_padding[:, None, :, None], 0.0)
        inputs = (x.to(v.dtype).transpose(1, 2).contiguous() for x in (queries, keys, v))
        o, _ = self._kernel(*inputs, scale=1.0, normalize=True)
        return o.transpose(1, 2)


METHOD = Method(
    name="fla-linear-attention",
    attention=FlaLinearAttention,
    can=Capabilities(
        causal=True,
        key_padding=True,
        devices=("cuda",),
        dtypes=("float32", "bfloat16", "float16"),
        packages=PACKAGES,
        install=INSTALL,
    ),
    same_as="linear-transformer",
    family="linear attention",
    time="T d^2",
    paper="arXiv:2006.16236",
)
