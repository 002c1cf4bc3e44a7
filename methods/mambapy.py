"""mambapy: Mamba as the package of that name computes it, by a parallel scan in plain torch."""

from typing import Any

import torch
from torch import Tensor

from methods.api import Capabilities, KeyPadding, Method, UnsupportedError
from methods.core.foreign import foreign_code
from methods.core.mamba import AnyMamba, MambaWeights
from methods.core.recurrent_mixer import Dead, Tokens


class MambaPy(AnyMamba):
    """The package's `MambaBlock` with our weights. It decodes a token at a time, so that a prefix
    is read a token at a time too."""

    def adopt(self, weights: MambaWeights, generator: torch.Generator) -> None:
        with foreign_code(generator):
            from mambapy.mamba import MambaBlock, MambaConfig

            config = MambaConfig(
                d_model=weights.d_model,
                n_layers=1,
                dt_rank=weights.dt_rank,
                d_state=weights.state_size,
                expand_factor=weights.expand,
                d_conv=weights.conv_width,
            )
            self.theirs = MambaBlock(config)
        self.theirs.load_state_dict(weights.state_dict())

    def mix(
        self, x: Tokens, state: None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, None]:
        """Whole sequences, of which theirs keeps no state."""
        assert state is None
        assert dead is None
        return self.theirs(x), None

    def prefill(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> tuple[Tokens, Any]:
        """From the state of no token, step by step."""
        if key_padding is not None:
            raise UnsupportedError(
                "mambapy cannot leave padded tokens out of a state. Prefill without padding."
            )
        config = self.theirs.config
        return self.step(x, (None, x.new_zeros(len(x), config.d_inner, config.d_conv - 1)))

    def step(self, x: Tokens, state: Any) -> tuple[Tokens, tuple[Tensor, Tensor]]:
        """The state is theirs: h `[b, c, n]` and the convolution's last inputs `[b, c, w - 1]`."""
        outputs = []
        for token in x.unbind(1):
            o, state = self.theirs.step(token, state)
            outputs.append(o)
        return torch.stack(outputs, 1), state


METHOD = Method(
    name="mambapy",
    mixer=MambaPy,
    can=Capabilities(
        causal=True,
        bidirectional=True,
        key_padding=True,
        stepwise=True,
        # Its A stays in float32, and is multiplied with what is then in another half precision.
        dtypes=("float64", "float32"),
        packages=("mambapy",),
        install="pip install mambapy",
    ),
    same_as="mamba",
    family="state space",
    time="T d n",
    state="d n",
    paper="arXiv:2312.00752",
)
