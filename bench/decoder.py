"""Models that predict the next token: one from scratch around any mixer, or a pretrained one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.model import Block, Normalise, mixer_maker
from bench.next_token import OutputLayer
from methods.api import Method, UnsupportedError
from methods.core.attention import BuiltAttention
from methods.core.multihead import BuiltMixer, MultiHeadMixer
from tasks.api import ModelShape
from tasks.language import DecoderShape

INITIAL_DEVIATION = 0.02
"""Of the tables: the embedding is the output layer too, and larger ones start with sure guesses.
What is looked up is multiplied by the root of the width, else the blocks drown it: without that
even the next token's dependence on the last was not learned in 200 steps."""
CHECKED_TOKENS = 8
"""At most: a method may take no more than the blocks of text have that it was swapped for."""


class NextTokenModel(nn.Module, ABC):
    """Tokens to hidden states; scores are left to `bench.next_token`, which never holds them all
    in float32."""

    @abstractmethod
    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t e"]:
        """The states that the output layer reads; each sees its own and earlier tokens alone."""

    @property
    @abstractmethod
    def head(self) -> OutputLayer: ...

    @abstractmethod
    def layers(self) -> list[nn.Module]:
        """The like parts that tokens pass one after another: what is cut over several devices is
        put together for one of them at a time."""

    @abstractmethod
    def tables(self) -> list[Tensor]:
        """Parameters that are only looked up, tied ones among them."""

    @abstractmethod
    def attention_parameters(self) -> list[Tensor]:
        """Those of all token mixers."""

    @abstractmethod
    def method_parameters(self) -> list[Tensor]:
        """Those among them that the method brought along, beside projections."""


class Decoder(NextTokenModel):
    """Pre-normalised blocks with causal mixers, learned positions, tied embeddings."""

    def __init__(
        self,
        shape: DecoderShape,
        *,
        vocab_size: int,
        max_time: int,
        make_mixer: Callable[[int], BuiltMixer],
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        blocks = _block_shape(shape)
        self.embedding = nn.Embedding(vocab_size, shape.d_model)
        self.positions = nn.Parameter(torch.empty(max_time, shape.d_model))
        for table in self.tables():
            nn.init.normal_(table, std=INITIAL_DEVIATION)
        self.dropout = nn.Dropout(shape.dropout)
        mixers = [make_mixer(layer) for layer in range(shape.num_layers)]
        self.blocks = nn.ModuleList(Block(blocks, mixer) for mixer in mixers)
        self._soften()
        self.norm = Normalise("layer", shape.d_model)
        self._checkpoints = checkpoint_activations

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t e"]:
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        x = self.dropout(x * math.sqrt(x.shape[-1]))
        for block in self.blocks:
            if self._checkpoints and torch.is_grad_enabled():
                x = checkpoint(block, x, None, use_reentrant=False)
            else:
                x = block(x, None)
        out: Tensor = self.norm(x)
        return out

    @torch.no_grad()
    def _soften(self) -> None:
        """What is added to the residual stream starts smaller the more layers add to it, as in
        GPT-2; a mixer without an output projection has a start of its own."""
        last = [m.mlp[-1].weight for m in self.modules() if isinstance(m, Block)]
        last += [m.o_proj.weight for m in self._mixers() if isinstance(m, MultiHeadMixer)]
        for weight in last:
            assert isinstance(weight, Tensor)
            weight /= math.sqrt(2 * len(self.blocks))

    @property
    def head(self) -> OutputLayer:
        return OutputLayer(self.embedding.weight)

    def layers(self) -> list[nn.Module]:
        return list(self.blocks)

    def tables(self) -> list[Tensor]:
        return [self.embedding.weight, self.positions]

    def attention_parameters(self) -> list[Tensor]:
        return [p for mixer in self._mixers() for p in mixer.parameters()]

    def method_parameters(self) -> list[Tensor]:
        projections = {"q_proj", "k_proj", "v_proj", "o_proj"}
        return [
            p
            for mixer in self._mixers()
            for name, p in mixer.named_parameters()
            if name.split(".")[0] not in projections
        ]

    def _mixers(self) -> list[BuiltMixer]:
        return [m for m in self.modules() if isinstance(m, BuiltMixer)]


class Pretrained(NextTokenModel):
    """A causal model of the package transformers, whose attention may have been swapped."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        config = model.config.get_text_config()
        self._softcap = getattr(config, "final_logit_softcapping", None)
        self._require_plain_scores()

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t e"]:
        hidden: Tensor = self.model.base_model(tokens, use_cache=False).last_hidden_state
        return hidden

    @property
    def head(self) -> OutputLayer:
        layer = self.model.get_output_embeddings()
        return OutputLayer(layer.weight, getattr(layer, "bias", None), self._softcap)

    def layers(self) -> list[nn.Module]:
        names = self.model._no_split_modules or ()
        return [m for m in self.model.modules() if type(m).__name__ in names]

    def tables(self) -> list[Tensor]:
        return [self.model.get_input_embeddings().weight]

    def attention_parameters(self) -> list[Tensor]:
        from methods.core.pretrained import attention_parameters

        return [p for _, p in attention_parameters(self.model)]

    def method_parameters(self) -> list[Tensor]:
        from methods.core.pretrained import method_parameters

        return [p for _, p in method_parameters(self.model)]

    def _require_plain_scores(self) -> None:
        """Some models divide or shift their scores on the way out, each in its own words."""
        from methods.core.pretrained_layers import undisturbed

        device = self.model.get_input_embeddings().weight.device
        built = (m for m in self.model.modules() if isinstance(m, BuiltAttention))
        count = min((m.heads.max_time for m in built), default=CHECKED_TOKENS)
        tokens = torch.arange(min(count, CHECKED_TOKENS), device=device)[None]
        # Dropout would make two readings of one model differ.
        with undisturbed(self.model):
            hidden, head = self(tokens), self.head
            scores = nn.functional.linear(hidden, head.weight, head.bias)
            if head.softcap is not None:
                scores = head.softcap * torch.tanh(scores / head.softcap)
            own = self.model(tokens, use_cache=False).logits
        if not torch.allclose(scores, own, rtol=1e-3, atol=1e-3 * float(own.abs().max())):
            raise UnsupportedError(
                f"{type(self.model).__name__} changes its scores after the output layer in a way"
                " that is not known here. Choose another model."
            )


def build_decoder(
    method: Method,
    options: Mapping[str, Any],
    shape: DecoderShape,
    *,
    vocab_size: int,
    max_time: int,
    seed: int,
    checkpoint_activations: bool = False,
) -> Decoder:
    """A decoder around the method."""
    blocks = _block_shape(shape)
    return Decoder(
        shape,
        vocab_size=vocab_size,
        max_time=max_time,
        make_mixer=mixer_maker(method, options, blocks, max_time=max_time, causal=True, seed=seed),
        checkpoint_activations=checkpoint_activations,
    )


def _block_shape(shape: DecoderShape) -> ModelShape:
    return ModelShape(
        num_layers=shape.num_layers,
        num_heads=shape.num_heads,
        d_model=shape.d_model,
        qkv_dim=shape.d_model,
        mlp_dim=shape.mlp_dim,
        dropout=shape.dropout,
    )
