"""DeltaNet: a state that is corrected by what it got wrong of each new value."""

from jaxtyping import Float
from torch import Tensor

from methods.api import Capabilities, Method
from methods.core.delta_mixer import DeltaMixer, PerHead
from methods.core.delta_recurrence import DeltaState, delta_scan


class DeltaRule(DeltaMixer):
    """The recurrence in chunks of `methods.core.delta_recurrence`."""

    def scan(
        self,
        q: PerHead,
        k: PerHead,
        v: PerHead,
        beta: Float[Tensor, "b h t"],
        S: DeltaState | None,
    ) -> tuple[PerHead, DeltaState]:
        return delta_scan(q, k, v, beta, S)


METHOD = Method(
    name="delta-rule",
    mixer=DeltaRule,
    can=Capabilities(causal=True, bidirectional=True, key_padding=True, stepwise=True),
    family="delta rule",
    time="T d^2",
    state="d^2",
    paper="arXiv:2406.06484",
)
