"""mamba2-transformers: Mamba-2 as the transformers package computes it without special kernels."""

import importlib.util
import logging

import torch

from methods.api import Capabilities, Method, UnsupportedError
from methods.core.foreign import foreign_code
from methods.core.mamba2 import AnyMamba2, Mamba2Weights
from methods.core.recurrent_mixer import Dead, Tokens

REPLACES = ("mamba_ssm", "causal_conv1d")
"""Where one of these is installed, transformers takes its kernels."""


class Mamba2Transformers(AnyMamba2):
    """The package's `Mamba2Mixer` with our weights, and its own default chunk of 256."""

    own_chunk = 256

    def adopt(self, weights: Mamba2Weights, generator: torch.Generator) -> None:
        if found := [name for name in REPLACES if importlib.util.find_spec(name)]:
            raise UnsupportedError(
                f"transformers would run the kernels of {' and '.join(found)} instead of its own"
                " code. Uninstall them for this method, or choose mamba2-fused."
            )
        with foreign_code(generator):
            from transformers import Mamba2Config
            from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

            config = Mamba2Config(
                hidden_size=weights.d_model,
                num_hidden_layers=1,
                num_heads=weights.num_heads,
                head_dim=weights.head_dim,
                state_size=weights.state_size,
                expand=weights.expand,
                conv_kernel=weights.conv_width,
                n_groups=weights.num_groups,
                chunk_size=self.chunk,
            )
            self.theirs = Mamba2Mixer(config, layer_idx=0)
        # It would say of each function that the plain one runs; that is what was asked for.
        logging.getLogger("transformers.integrations.hub_kernels").setLevel(logging.ERROR)
        self.theirs.load_state_dict(weights.state_dict())

    def mix(
        self, x: Tokens, state: None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, None]:
        """Whole sequences alone, without a state, which is why `stepwise` is not declared."""
        assert state is None
        assert dead is None
        return self.theirs(x), None


METHOD = Method(
    name="mamba2-transformers",
    mixer=Mamba2Transformers,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        key_padding=True,
        packages=("transformers",),
        install="pip install transformers",
    ),
    same_as="mamba2",
    family="state space",
    time="T d n",
    paper="arXiv:2405.21060",
)
