"""Gated linear attention (GLA): a state that forgets each key dimension as the token says."""

from methods.api import Capabilities, Method
from methods.core.gated_mixer import GatedMixer, PerHead
from methods.core.gated_recurrence import GatedState, gated_scan


class GatedLinearAttention(GatedMixer):
    """The recurrence in chunks of `methods.core.gated_recurrence`, exact for gates of any size."""

    def scan(
        self, q: PerHead, k: PerHead, v: PerHead, log_gate: PerHead, state: GatedState | None
    ) -> tuple[PerHead, GatedState]:
        return gated_scan(q, k, v, log_gate, state)


METHOD = Method(
    name="gated-linear-attention",
    mixer=GatedLinearAttention,
    can=Capabilities(causal=True, bidirectional=True, key_padding=True, stepwise=True),
    family="gated linear attention",
    time="T d^2",
    state="d^2",
    paper="arXiv:2312.06635",
)
