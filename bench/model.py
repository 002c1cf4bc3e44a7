"""The backbone that every mixer is put into: a Transformer encoder with a classifier.

Pre-normalised blocks as in Long Range Arena's code; only the mixer differs between methods, and the
weights that they share start equal for equal seeds.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from methods.api import Heads, Method
from methods.core.multihead import BuiltMixer, build_mixer
from tasks.api import ModelShape


class Normalise(nn.Module):
    """Layer norm, or batch norm over examples and positions (padding included, as in S4's code)."""

    def __init__(self, kind: str, d_model: int) -> None:
        super().__init__()
        self.batch = kind == "batch"
        self.norm: nn.Module = nn.BatchNorm1d(d_model) if self.batch else nn.LayerNorm(d_model)

    def forward(self, x: Float[Tensor, "b t e"]) -> Float[Tensor, "b t e"]:
        out: Tensor = self.norm(x.mT).mT if self.batch else self.norm(x)
        return out


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, shape: ModelShape, mixer: nn.Module) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm_mixer = Normalise(shape.norm, shape.d_model)
        self.norm_mlp = Normalise(shape.norm, shape.d_model)
        self.mlp = nn.Sequential(
            nn.Linear(shape.d_model, shape.mlp_dim),
            nn.GELU(),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.mlp_dim, shape.d_model),
        )
        self.dropout = nn.Dropout(shape.dropout)

    def forward(
        self, x: Float[Tensor, "b t e"], key_padding: Bool[Tensor, "b t"] | None
    ) -> Float[Tensor, "b t e"]:
        x = x + self.dropout(self.mixer(self.norm_mixer(x), key_padding=key_padding))
        out: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return out


class Classifier(nn.Module):
    """Tokens of one or two towers to class scores."""

    def __init__(
        self,
        shape: ModelShape,
        *,
        vocab_size: int,
        num_classes: int,
        max_time: int,
        towers: int,
        make_mixer: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.shape = shape
        # Both start at N(0, 1), so that neither what a token is nor where it is drowns the other.
        self.embedding = nn.Embedding(vocab_size, shape.d_model)
        self.positions = _positions(shape, max_time)
        self.cls = nn.Parameter(torch.zeros(shape.d_model)) if shape.pooling == "cls" else None
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(
            Block(shape, make_mixer(layer)) for layer in range(shape.num_layers)
        )
        self.norm = Normalise(shape.norm, shape.d_model)
        self.head = _head(shape, num_classes, towers)

    def forward(
        self, tokens: Int[Tensor, "b n t"], padding: Bool[Tensor, "b n t"] | None
    ) -> Float[Tensor, "b c"]:
        batch, towers, time = tokens.shape
        flat_padding = None if padding is None else padding.reshape(batch * towers, time)
        pooled = self.encode(tokens.reshape(batch * towers, time), flat_padding)
        pairs = pooled.reshape(batch, towers, -1)
        joined = pairs.flatten(1)
        if towers == 2 and self.shape.towers == "nli":
            first, second = pairs.unbind(1)
            joined = torch.cat([first, second, first * second, first - second], dim=-1)
        scores: Tensor = self.head(joined)
        return scores

    def tables(self) -> list[Tensor]:
        """Parameters that are only looked up."""
        learned = [] if self.positions is None else [self.positions]
        return [self.embedding.weight, *learned]

    def encode(
        self, tokens: Int[Tensor, "b t"], padding: Bool[Tensor, "b t"] | None
    ) -> Float[Tensor, "b e"]:
        """One vector a sequence."""
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions[: x.shape[1]]
        if self.cls is not None:
            x = torch.cat([self.cls.expand(len(x), 1, -1), x], dim=1)
            if padding is not None:
                padding = nn.functional.pad(padding, (1, 0), value=False)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, padding)
        return _pool(self.norm(x), padding, cls=self.cls is not None)


def build_classifier(
    method: Method,
    options: Mapping[str, Any],
    shape: ModelShape,
    *,
    vocab_size: int,
    num_classes: int,
    max_time: int,
    towers: int,
    causal: bool,
    seed: int,
) -> Classifier:
    """A classifier around the method."""
    return Classifier(
        shape,
        vocab_size=vocab_size,
        num_classes=num_classes,
        max_time=max_time,
        towers=towers,
        make_mixer=mixer_maker(
            method,
            options,
            shape,
            max_time=max_time + (shape.pooling == "cls"),
            causal=causal,
            seed=seed,
        ),
    )


def mixer_maker(
    method: Method,
    options: Mapping[str, Any],
    shape: ModelShape,
    *,
    max_time: int,
    causal: bool,
    seed: int,
) -> Callable[[int], BuiltMixer]:
    """A layer's number to its mixer, which draws from a generator of its own, so that what a method
    draws changes nothing in the rest of the model."""
    heads = Heads(
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_heads,
        head_dim=shape.qkv_dim // shape.num_heads,
        max_time=max_time,
    )

    def make_mixer(layer: int) -> BuiltMixer:
        generator = torch.Generator().manual_seed(seed * 1000 + layer)
        sizes: dict[str, Any] = {"d_model": shape.d_model, "qkv_dim": shape.qkv_dim, "heads": heads}
        return build_mixer(method, **sizes, causal=causal, generator=generator, **options)

    return make_mixer


def sinusoids(time: int, dim: int) -> Float[Tensor, "time dim"]:
    """Fixed positions (arXiv:1706.03762, section 3.5)."""
    where = torch.arange(time)[:, None]
    rate = torch.exp(-math.log(10000.0) * torch.arange(0, dim, 2) / dim)
    table = torch.zeros(time, dim)
    table[:, 0::2] = torch.sin(where * rate)
    table[:, 1::2] = torch.cos(where * rate)[:, : dim // 2]
    return table


def _positions(shape: ModelShape, max_time: int) -> nn.Parameter | None:
    if shape.positions == "none":
        return None
    if shape.positions == "sinusoidal":
        return nn.Parameter(sinusoids(max_time, shape.d_model), requires_grad=False)
    return nn.Parameter(torch.randn(max_time, shape.d_model))


def _head(shape: ModelShape, num_classes: int, towers: int) -> nn.Module:
    parts = 4 if towers == 2 and shape.towers == "nli" else towers
    width = parts * shape.d_model
    if shape.classifier_dim == 0:
        return nn.Linear(width, num_classes)
    return nn.Sequential(
        nn.Linear(width, shape.classifier_dim),
        nn.ReLU(),
        nn.Linear(shape.classifier_dim, num_classes),
    )


def _pool(
    x: Float[Tensor, "b t e"], padding: Bool[Tensor, "b t"] | None, *, cls: bool
) -> Float[Tensor, "b e"]:
    if cls:
        return x[:, 0]
    if padding is None:
        return x.mean(dim=1)
    live = (~padding).to(x.dtype)[..., None]
    return (x * live).sum(dim=1) / live.sum(dim=1).clamp(min=1)
