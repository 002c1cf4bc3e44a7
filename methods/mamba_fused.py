"""mamba-fused: Mamba around the CUDA scan of its authors' package, mamba-ssm.

Not yet run on a GPU: written from the package's signatures, and tested against a stand-in with the
same ones.
"""

import torch
from torch import Tensor

from methods.api import Capabilities, Method
from methods.core.mamba import MambaMixer, MambaWeights, ScanInputs
from methods.core.selective_scan import Inner, ScanState


class MambaFused(MambaMixer):
    """`selective_scan_fn` reads sequences, and `selective_state_update` goes on from a state, a
    token at a time; both with step bias, softplus, D and gate fused, A and D in float32. No
    gradient flows through the state."""

    def adopt(self, weights: MambaWeights, generator: torch.Generator) -> None:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
        from mamba_ssm.ops.triton.selective_state_update import selective_state_update

        super().adopt(weights, generator)
        self._read, self._go_on = selective_scan_fn, selective_state_update

    def scan(self, inputs: ScanInputs, h: ScanState | None) -> tuple[Inner, ScanState]:
        A, D = self.weights.transition(), self.weights.D.float()
        bias = self.weights.dt_proj.bias.float()
        if h is not None:
            return self._continue(inputs, h, A, D, bias)
        x, step, B, C, gate = (part.transpose(1, 2).contiguous() for part in inputs)
        y, last = self._read(
            x,
            step,
            A,
            B,
            C,
            D,
            z=gate,
            delta_bias=bias,
            delta_softplus=True,
            return_last_state=True,
        )
        return y.transpose(1, 2), last.detach()

    def _continue(
        self, inputs: ScanInputs, h: ScanState, A: Tensor, D: Tensor, bias: Tensor
    ) -> tuple[Inner, ScanState]:
        # The kernel writes the next state over the one that it is given.
        h = h.clone()
        outputs = [
            self._go_on(h, x, step, A, B, C, D=D, z=gate, dt_bias=bias, dt_softplus=True)
            for x, step, B, C, gate in zip(*(part.unbind(1) for part in inputs), strict=True)
        ]
        return torch.stack(outputs, 1), h


METHOD = Method(
    name="mamba-fused",
    mixer=MambaFused,
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
    same_as="mamba",
    family="state space",
    time="T d n",
    state="d n",
    paper="arXiv:2312.00752",
)
