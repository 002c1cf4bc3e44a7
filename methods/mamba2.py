"""Mamba-2: a state space with one decay a head, in the chunked matrix form, in plain torch."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from methods.api import Capabilities, Method
from methods.core.mamba2 import Mamba2Mixer, ScanInputs, SsmState
from methods.core.scalar_decay import CHUNK, scalar_decay


class Mamba2(Mamba2Mixer):
    """The scan of `methods.core.scalar_decay`: C and B are its queries and keys, dt x its values,
    dt A its logarithms of decay (arXiv:2405.21060, section 7.1)."""

    own_chunk = CHUNK

    def scan(
        self, inputs: ScanInputs, state: SsmState | None
    ) -> tuple[Float[Tensor, "b t h p"], SsmState]:
        w = self.weights
        A = w.transition()
        x = inputs.x.to(A.dtype)
        dt = softplus(inputs.step.to(A.dtype) + w.dt_bias.to(A.dtype))
        y, state = scalar_decay(
            inputs.C.transpose(1, 2),
            inputs.B.transpose(1, 2),
            (dt[..., None] * x).transpose(1, 2),
            (dt * A).transpose(1, 2),
            state=state,
            chunk=self.chunk,
        )
        return torch.addcmul(y.transpose(1, 2), w.D.to(A.dtype)[:, None], x), state


METHOD = Method(
    name="mamba2",
    mixer=Mamba2,
    can=Capabilities(causal=True, bidirectional=True, key_padding=True, stepwise=True),
    family="state space",
    time="T d n",
    state="d n",
    paper="arXiv:2405.21060",
)
