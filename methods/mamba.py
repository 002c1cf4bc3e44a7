"""Mamba: a selective state space, scanned in chunks in plain torch."""

from torch.nn.functional import silu, softplus

from methods.api import Capabilities, Method
from methods.core.mamba import MambaMixer, ScanInputs
from methods.core.selective_scan import Inner, ScanState, selective_scan


class Mamba(MambaMixer):
    """The scan of `methods.core.selective_scan`, with its own backward pass."""

    def scan(self, inputs: ScanInputs, h: ScanState | None) -> tuple[Inner, ScanState]:
        A = self.weights.transition()
        dt = softplus(inputs.step.to(A.dtype) + self.weights.dt_proj.bias.to(A.dtype))
        y, h = selective_scan(inputs.x, dt, A, inputs.B, inputs.C, self.weights.D, h)
        return y * silu(inputs.gate), h


METHOD = Method(
    name="mamba",
    mixer=Mamba,
    can=Capabilities(causal=True, bidirectional=True, key_padding=True, stepwise=True),
    family="state space",
    time="T d n",
    state="d n",
    paper="arXiv:2312.00752",
)
