"""mamba2-fused: Mamba-2 around the Triton scan of its authors' package, mamba-ssm.

Not yet run on a GPU: written from the package's signatures, and tested against a stand-in with the
same one.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Capabilities, Method
from methods.core.mamba2 import Mamba2Mixer, Mamba2Weights, ScanInputs, SsmState


class Mamba2Fused(Mamba2Mixer):
    """`mamba_chunk_scan_combined`, with the step's bias, softplus and D inside; it also goes on
    from a state. Its state is transposed, and its own default chunk is 256."""

    own_chunk = 256

    def adopt(self, weights: Mamba2Weights, generator: torch.Generator) -> None:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

        super().adopt(weights, generator)
        self._scan = mamba_chunk_scan_combined

    def scan(
        self, inputs: ScanInputs, state: SsmState | None
    ) -> tuple[Float[Tensor, "b t h p"], SsmState]:
        y, last = self._scan(
            inputs.x,
            inputs.step,
            self.weights.transition(),
            inputs.B,
            inputs.C,
            self.chunk,
            D=self.weights.D,
            dt_bias=self.weights.dt_bias,
            initial_states=None if state is None else state.mT.contiguous(),
            dt_softplus=True,
            return_final_states=True,
        )
        return y, last.mT


METHOD = Method(
    name="mamba2-fused",
    mixer=Mamba2Fused,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        key_padding=True,
        stepwise=True,
        devices=("cuda",),
        dtypes=("float32", "bfloat16", "float16"),
        packages=("mamba_ssm",),
        install="pip install mamba-ssm --no-build-isolation",
    ),
    same_as="mamba2",
    family="state space",
    time="T d n",
    state="d n",
    paper="arXiv:2405.21060",
)
