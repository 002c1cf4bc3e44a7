"""A method under test: the same few calls whichever of the three rungs it stands on."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from methods.api import Heads, Method, Redraws
from methods.core.attention import BuiltAttention, build_attention
from methods.core.multihead import BuiltMixer, build_mixer

Inputs = tuple[Tensor, ...]
"""Queries, keys and values, or the tokens of a mixer: batch first, time before last."""

NUM_HEADS = 4
DTYPES = ("float32", "float64", "float16", "bfloat16")
"""What a method is checked in: the first of these that it declares."""

MAX_TIME = 192
D_MODEL = 24
SPAN = 640
"""Lengths are drawn up to here where the trial's own longest is not known, or is longer."""

MOVED = 0.1
"""Of a weight's own size, or of 1 where it is zero: how far training moves it."""

SECRET = random.SystemRandom()
"""Nobody can foresee its draws, a method that knows the laws by heart included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A built method, with its direction."""

    module: BuiltAttention | BuiltMixer
    causal: bool

    def __call__(self, inputs: Inputs, key_padding: Tensor | None = None) -> Tensor:
        if isinstance(self.module, BuiltMixer):
            return self.module(*inputs, key_padding=key_padding)
        return self.module(*inputs, causal=self.causal, key_padding=key_padding)

    def prefill(self, inputs: Inputs, key_padding: Tensor | None = None) -> tuple[Tensor, Any]:
        return self.module.prefill(*inputs, key_padding=key_padding)

    def step(self, inputs: Inputs, state: Any) -> tuple[Tensor, Any]:
        return self.module.step(*inputs, state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is checked, and where."""

    method: Method
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    namesake: Method | None = None
    head_dim: int = 16
    longest: int | None = None
    """The longest sequence that will come; None: not known."""
    narrow: torch.dtype | None = None
    """The trial's half precision, if it computes in one."""
    training: int = field(default_factory=lambda: SECRET.getrandbits(62))
    """A seed of what stands for training: the same for all that is built of one subject."""

    @property
    def dtype(self) -> torch.dtype:
        """What the laws compute in: float32, or what comes nearest to it of what is declared."""
        declared = self.method.can.dtypes
        return getattr(torch, next((name for name in DTYPES if name in declared), "float32"))

    @property
    def directions(self) -> tuple[bool, ...]:
        """The declared values of `causal`."""
        can = self.method.can
        return (False,) * can.bidirectional + (True,) * can.causal

    @property
    def longest_cheap(self) -> int:
        """The longest sequence that will come, or that laws can afford; a few tokens at least."""
        return max(4, min(self.longest or MAX_TIME, SPAN))

    def some_time(self, most: int | None = None) -> int:
        """A length drawn anew from the upper half of those that will come: what is wrong from some
        length on is wrong there. `most`: the longest, where another is affordable."""
        most = most or self.longest_cheap
        return SECRET.randint(most // 2 + 1, most)

    def named(self) -> "Subject":
        """The namesake, with those of the options that it has too."""
        assert self.namesake is not None
        return Subject(
            method=self.namesake,
            options={n: x for n, x in self.options.items() if n in self.namesake.options},
            device=self.device,
            head_dim=self.head_dim,
            longest=self.longest,
        )

    def heads(self, num_heads: int = NUM_HEADS, *, grouped: bool | None = None) -> Heads:
        if grouped is None:
            grouped = self.method.can.grouped_query
        return Heads(
            num_heads=num_heads,
            head_dim=self.head_dim,
            num_kv_heads=num_heads // 2 if grouped else num_heads,
            max_time=max(MAX_TIME, self.longest or SPAN),
        )

    def build(
        self,
        causal: bool,
        *,
        dtype: torch.dtype | None = None,
        seed: int = 0,
        heads: Heads | None = None,
        trained: bool = False,
    ) -> Runner:
        """A fresh instance, its random numbers from a generator of its own, calibrated if it asks
        for that. trained: with its weights moved as training moves them, and its draws new."""
        generator = torch.Generator().manual_seed(seed)
        heads = heads or self.heads()
        if self.method.mixer is None:
            module = build_attention(self.method, heads, generator, **self.options)
            calibrate(module, torch.logspace(-1, 0, self.head_dim))
        else:
            module = build_mixer(
                self.method,
                d_model=D_MODEL,
                qkv_dim=NUM_HEADS * self.head_dim,
                heads=heads,
                causal=causal,
                generator=generator,
                **self.options,
            )
        if trained:
            _train(module, torch.Generator().manual_seed(self.training))
        return Runner(module=module.to(self.device, dtype or self.dtype).eval(), causal=causal)

    def inputs(
        self,
        time: int,
        *,
        seed: int = 1,
        norm: float | None = None,
        dtype: torch.dtype | None = None,
        batch: int = 2,
        key_time: int | None = None,
    ) -> Inputs:
        """Anisotropic inputs, the last direction ten times the first; rows of this norm, if given.

        Queries and keys share their large directions, as those of trained models do.
        """
        generator = torch.Generator().manual_seed(seed)
        heads = self.heads()
        if self.method.mixer is not None:
            shapes = [(batch, time, D_MODEL)]
        else:
            kv = (batch, heads.num_kv_heads, key_time or time, self.head_dim)
            shapes = [(batch, heads.num_heads, time, self.head_dim), kv, kv]
        drawn = [torch.randn(shape, generator=generator) for shape in shapes]
        spread = [x * torch.logspace(-1, 0, x.shape[-1]) for x in drawn]
        if norm is not None:
            spread = [norm * x / x.norm(dim=-1, keepdim=True) for x in spread]
        return tuple(x.to(self.device, dtype or self.dtype) for x in spread)


@torch.no_grad()
def _train(module: nn.Module, generator: torch.Generator) -> None:
    """What starts at zero hides what it is multiplied with: no weight stays where it starts."""
    for weight in module.parameters():
        if weight.requires_grad and weight.numel():
            scale = float(weight.square().mean().sqrt()) or 1.0
            weight += MOVED * scale * torch.randn(weight.shape, generator=generator)
    for part in module.modules():
        if isinstance(part, Redraws) and part.redraw_every:
            part.redraw(generator)


def calibrate(attention: BuiltAttention, spread: Tensor) -> None:
    """Let it set itself from queries and keys whose directions have these standard deviations."""
    generator = torch.Generator().manual_seed(11)
    heads = attention.heads
    drawn = [
        torch.randn(1, num_heads, 257, heads.head_dim, generator=generator)
        for num_heads in (heads.num_heads, heads.num_kv_heads)
    ]
    attention.calibrate(drawn[0] * spread, drawn[1] * spread)


def cut(inputs: Inputs, start: int, stop: int) -> Inputs:
    """These times only."""
    return tuple(x[..., start:stop, :] for x in inputs)


def join(first: Inputs, second: Inputs) -> Inputs:
    """One after the other in time."""
    return tuple(torch.cat(pair, -2) for pair in zip(first, second, strict=True))
