"""Mamba-2's mixer around a scan, whichever implementation computes the scan."""

import math
from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import silu

from methods.api import Heads
from methods.core.causal_conv import Window, causal_conv, last_inputs
from methods.core.recurrent_mixer import Dead, RecurrentMixer, Tokens
from methods.core.weights import filters, step_bias, uniform

Inner = Float[Tensor, "b t c"]
SsmState = Float[Tensor, "b h n p"]

LARGEST_RATE = 16.0
"""-A lies between 1 and this at first, uniformly, as in the authors' code."""

NORM_EPSILON = 1e-5


class Mamba2State(NamedTuple):
    """What decoding keeps: the convolution's last inputs and the state space's S."""

    window: Window
    ssm: SsmState


class ScanInputs(NamedTuple):
    """The sequences that the scan reads."""

    x: Float[Tensor, "b t h p"]
    step: Float[Tensor, "b t h"]
    """dt before its bias and softplus; minus infinity where the state stays as it is."""
    B: Float[Tensor, "b t g n"]
    C: Float[Tensor, "b t g n"]


class GatedNorm(torch.nn.Module):
    """y * silu(gate), divided by its root mean square within each group, and scaled."""

    def __init__(self, width: int, num_groups: int) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, y: Inner, gate: Inner) -> Inner:
        """In the dtype of the gate."""
        dtype = torch.promote_types(gate.dtype, torch.float32)
        gated = (y.to(dtype) * silu(gate.to(dtype))).unflatten(-1, (self.num_groups, -1))
        scale = torch.rsqrt(gated.square().mean(-1, keepdim=True) + NORM_EPSILON)
        return (gated * scale).flatten(-2).to(gate.dtype) * self.weight


class Mamba2Weights(torch.nn.Module):
    """The parameters, named as in the authors' code, and drawn alike: uniform projections and
    filters, A, the steps' bias so that steps are log-uniform, D = 1."""

    def __init__(
        self,
        d_model: int,
        generator: torch.Generator,
        *,
        state_size: int,
        expand: int,
        head_dim: int,
        conv_width: int,
        num_groups: int,
    ) -> None:
        super().__init__()
        inner = expand * d_model
        self.d_model, self.state_size, self.expand = d_model, state_size, expand
        self.conv_width, self.num_groups, self.inner = conv_width, num_groups, inner
        self.head_dim = math.gcd(inner, head_dim)
        self.num_heads = num_heads = inner // self.head_dim
        if num_heads % num_groups:
            raise ValueError(
                f"num_groups is {num_groups}, which does not divide the {num_heads} heads of"
                f" {self.head_dim} that {expand} times {d_model} makes."
            )
        self.conv_dim = conv_dim = inner + 2 * num_groups * state_size
        self.in_proj = uniform(d_model, inner + conv_dim + num_heads, generator)
        self.conv1d = filters(conv_dim, conv_width, generator)
        self.dt_bias = torch.nn.Parameter(step_bias(num_heads, generator))
        rate = 1 + (LARGEST_RATE - 1) * torch.rand(num_heads, generator=generator)
        self.A_log = torch.nn.Parameter(rate.log())
        self.D = torch.nn.Parameter(torch.ones(num_heads))
        self.norm = GatedNorm(inner, num_groups)
        self.out_proj = uniform(inner, d_model, generator)

    def transition(self) -> Float[Tensor, " h"]:
        """A: negative, in float32 or better."""
        return -self.A_log.to(torch.promote_types(self.A_log.dtype, torch.float32)).exp()


class AnyMamba2(RecurrentMixer):
    """Sizes, weights and directions; whose code does the rest is open.

    `expand` times `d_model` numbers are parted into heads of `head_dim`, or of the greatest common
    divisor where that does not divide: the benchmark's `heads` are those of attention. A `chunk` of
    None is the implementation's own default.
    """

    own_chunk: ClassVar[int]

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        state_size: int = 64,
        expand: int = 2,
        head_dim: int = 64,
        conv_width: int = 4,
        num_groups: int = 1,
        chunk: int | None = None,
    ) -> None:
        del heads
        super().__init__(causal=causal)
        sizes = {
            "state_size": state_size,
            "expand": expand,
            "head_dim": head_dim,
            "conv_width": conv_width,
            "num_groups": num_groups,
        }
        self.chunk = self.own_chunk if chunk is None else chunk
        for name, number in {**sizes, "chunk": self.chunk}.items():
            if number < 1:
                raise ValueError(f"{name} must be at least 1, and it is {number}.")
        self.adopt(Mamba2Weights(d_model, generator, **sizes), generator)

    @abstractmethod
    def adopt(self, weights: Mamba2Weights, generator: torch.Generator) -> None:
        """Keep the weights, or hand them to another's module."""


class Mamba2Mixer(AnyMamba2):
    """Projection of z, x, B, C and dt at once, short convolution, scan, gated norm, projection
    (arXiv:2405.21060, section 7.1)."""

    weights: Mamba2Weights

    def adopt(self, weights: Mamba2Weights, generator: torch.Generator) -> None:
        del generator
        self.weights = weights

    @abstractmethod
    def scan(
        self, inputs: ScanInputs, state: SsmState | None
    ) -> tuple[Float[Tensor, "b t h p"], SsmState]:
        """The outputs of the scan from the state, None being zero, with D's part; and the state
        after the last token."""

    def mix(
        self, x: Tokens, state: Mamba2State | None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, Mamba2State]:
        w = self.weights
        gate, inner, step = w.in_proj(x).split([w.inner, w.conv_dim, w.num_heads], -1)
        before, ssm = (None, None) if state is None else state
        mixed, window = causal_conv(inner, w.conv1d.weight[:, 0], w.conv1d.bias, before)
        if dead is not None:
            # A step of length zero leaves the state as it is.
            step = step.masked_fill(dead[..., None], -torch.inf)
            window = last_inputs(inner, dead, window.shape[1])
        by_group = (w.num_groups, w.state_size)
        shared = w.num_groups * w.state_size
        u, B, C = silu(mixed).split([w.inner, shared, shared], -1)
        inputs = ScanInputs(
            u.unflatten(-1, (w.num_heads, w.head_dim)),
            step,
            B.unflatten(-1, by_group),
            C.unflatten(-1, by_group),
        )
        y, ssm = self.scan(inputs, ssm)
        return w.out_proj(w.norm(y.flatten(2), gate)), Mamba2State(window, ssm)
