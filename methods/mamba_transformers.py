"""mamba-transformers: Mamba as the transformers package computes it without special kernels."""

import copy
import importlib.util
import logging
from typing import Any

import torch

from methods.api import Capabilities, KeyPadding, Method, UnsupportedError
from methods.core.foreign import foreign_code
from methods.core.mamba import AnyMamba, MambaWeights
from methods.core.recurrent_mixer import Dead, Tokens

REPLACES = ("mamba_ssm", "causal_conv1d")
"""Where one of these is installed, transformers takes its kernels."""


class MambaTransformers(AnyMamba):
    """The package's `MambaMixer` with our weights: a loop over time, of which autograd keeps all.

    Decoding has no gradient: its cache is written to in place.
    """

    def adopt(self, weights: MambaWeights, generator: torch.Generator) -> None:
        if found := [name for name in REPLACES if importlib.util.find_spec(name)]:
            raise UnsupportedError(
                f"transformers would run the kernels of {' and '.join(found)} instead of its own"
                " code. Uninstall them for this method, or choose mamba-fused."
            )
        with foreign_code(generator):
            from transformers import DynamicCache, MambaConfig
            from transformers.models.mamba.modeling_mamba import MambaMixer

            self._config = MambaConfig(
                hidden_size=weights.d_model,
                num_hidden_layers=1,
                state_size=weights.state_size,
                expand=weights.expand,
                conv_kernel=weights.conv_width,
                time_step_rank=weights.dt_rank,
            )
            self.theirs = MambaMixer(self._config, layer_idx=0)
        self._cache = DynamicCache
        # It would say of each function that the plain one runs; that is what was asked for.
        logging.getLogger("transformers.integrations.hub_kernels").setLevel(logging.ERROR)
        self.theirs.load_state_dict(weights.state_dict())

    def mix(
        self, x: Tokens, state: None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, None]:
        """Whole sequences, of which theirs keeps no state."""
        assert state is None
        assert dead is None
        return self.theirs(x), None

    @torch.no_grad()
    def prefill(
        self, x: Tokens, *, key_padding: KeyPadding | None = None
    ) -> tuple[Tokens, dict[str, Any]]:
        """The state is their cache, with the tensors in it named."""
        if key_padding is not None:
            raise UnsupportedError(
                "mamba-transformers cannot leave padded tokens out of a state."
                " Prefill without padding."
            )
        cache = self._cache(config=self._config)
        return self.theirs(x, cache_params=cache), _named(cache)

    @torch.no_grad()
    def step(self, x: Tokens, state: dict[str, Any]) -> tuple[Tokens, dict[str, Any]]:
        """A token at a time: with more it would begin anew."""
        cache = copy.deepcopy(state["cache"])
        outputs = [self.theirs(token, cache_params=cache) for token in x.split(1, dim=1)]
        return torch.cat(outputs, 1), _named(cache)


def _named(cache: Any) -> dict[str, Any]:
    layer = cache.layers[0]
    return {"cache": cache, "window": layer.conv_states[0], "h": layer.recurrent_states[0]}


METHOD = Method(
    name="mamba-transformers",
    mixer=MambaTransformers,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        key_padding=True,
        stepwise=True,
        packages=("transformers",),
        install="pip install transformers",
    ),
    same_as="mamba",
    family="state space",
    time="T d n",
    state="d n",
    paper="arXiv:2312.00752",
)
