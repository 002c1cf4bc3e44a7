"""A feature map to start from: one positive feature for each dimension."""

# The line above is what `bench list methods` shows: say there what the kernel is.

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from methods.api import KERNEL_ATTENTION, FeatureMap, Features, Heads, Keys, Method


class StartingPointFeatures(FeatureMap):
    """The kernel sum over i of softplus(c q_i) softplus(c k_i), c being the sharpness.

    Say here what a reader cannot see: the equation in the paper, bias, variance.
    """

    # Options are the keyword-only parameters: typed, with defaults. On the command line they are
    # set as NAME:sharpness=2.
    def __init__(self, heads: Heads, generator: torch.Generator, *, sharpness: float = 1.0) -> None:
        super().__init__()
        if not sharpness > 0:
            raise ValueError(f"sharpness must be above 0, and it is {sharpness}.")
        self.sharpness = sharpness
        # What is drawn is drawn from `generator` and nothing else, and kept as a buffer:
        #     omega = torch.randn(heads.head_dim, 64, generator=generator)
        #     self.register_buffer("omega", omega)
        # What is learned is a torch.nn.Parameter.
        del heads, generator

    def queries(self, q: Float[Tensor, "b g t d"]) -> Features:
        return self._features(q)

    def keys(self, k: Keys) -> Features:
        return self._features(k)

    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        # Exact, or the expectation over draws: the contract and the probes hold the features
        # against it.
        queries, keys = self._features(q), self._features(k)
        return (queries.values @ keys.values.transpose(-1, -2)).log()

    def _features(self, x: Float[Tensor, "b g t d"]) -> Features:
        values = softplus(self.sharpness * x)
        # phi = values * exp(log_scale). A map with exponentials puts each row's largest exponent
        # into log_scale, so that nothing overflows; the core does the rest.
        return Features(values, x.new_zeros(x.shape[:-1]))


METHOD = Method(
    name="starting-point",
    feature_map=StartingPointFeatures,
    # All that the core gives to every feature map: causal, padded, cross attention, decoding.
    can=KERNEL_ATTENTION,
    family="linear attention",
    # Operations, and numbers that decoding keeps, in T (time), d (head dimension), m (features).
    time="T d^2",
    state="d^2",
    paper="",
)
