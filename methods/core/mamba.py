"""Mamba's mixer around a selective scan, whichever implementation computes the scan."""

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Heads
from methods.core.causal_conv import Window, causal_conv, last_inputs
from methods.core.recurrent_mixer import Dead, RecurrentMixer, Tokens
from methods.core.selective_scan import Coefficients, Inner, ScanState
from methods.core.weights import draw_uniform, filters, step_bias, uniform


class MambaState(NamedTuple):
    """What decoding keeps: the convolution's last inputs and the scan's h."""

    window: Window
    h: ScanState


class ScanInputs(NamedTuple):
    """What the scan depends on at each token."""

    x: Inner
    step: Inner
    """dt before its bias and softplus; minus infinity where the state stays as it is."""
    B: Coefficients
    C: Coefficients
    gate: Inner


class MambaWeights(torch.nn.Module):
    """The parameters, named and drawn as in the authors' code: A = -(1 .. n), D = 1, the inverse
    softplus of a log-uniform step size as the step's bias, uniform for the rest."""

    def __init__(
        self,
        d_model: int,
        generator: torch.Generator,
        *,
        state_size: int,
        expand: int,
        conv_width: int,
        dt_rank: int | None,
    ) -> None:
        super().__init__()
        dt_rank = math.ceil(d_model / 16) if dt_rank is None else dt_rank
        given = {"state_size": state_size, "expand": expand, "conv_width": conv_width}
        for name, number in {**given, "dt_rank": dt_rank}.items():
            if number < 1:
                raise ValueError(f"{name} must be at least 1, and it is {number}.")
        inner = expand * d_model
        self.d_model, self.state_size, self.expand = d_model, state_size, expand
        self.conv_width, self.dt_rank = conv_width, dt_rank
        self.in_proj = uniform(d_model, 2 * inner, generator)
        self.conv1d = filters(inner, conv_width, generator, padding=conv_width - 1)
        self.x_proj = uniform(inner, dt_rank + 2 * state_size, generator)
        self.dt_proj = torch.nn.utils.skip_init(torch.nn.Linear, dt_rank, inner)
        draw_uniform(self.dt_proj.weight, dt_rank**-0.5, generator)
        with torch.no_grad():
            self.dt_proj.bias.copy_(step_bias(inner, generator))
        A = torch.arange(1, state_size + 1, dtype=torch.float32).repeat(inner, 1)
        self.A_log = torch.nn.Parameter(A.log())
        self.D = torch.nn.Parameter(torch.ones(inner))
        self.out_proj = uniform(inner, d_model, generator)

    def transition(self) -> Float[Tensor, "c n"]:
        """A: negative, in float32 or better."""
        return -self.A_log.to(torch.promote_types(self.A_log.dtype, torch.float32)).exp()


class AnyMamba(RecurrentMixer):
    """Sizes, weights and directions; whose code does the rest is open."""

    def __init__(
        self,
        d_model: int,
        heads: Heads,
        generator: torch.Generator,
        *,
        causal: bool,
        state_size: int = 16,
        expand: int = 2,
        conv_width: int = 4,
        dt_rank: int | None = None,
    ) -> None:
        del heads
        super().__init__(causal=causal)
        weights = MambaWeights(
            d_model,
            generator,
            state_size=state_size,
            expand=expand,
            conv_width=conv_width,
            dt_rank=dt_rank,
        )
        self.adopt(weights, generator)

    @abstractmethod
    def adopt(self, weights: MambaWeights, generator: torch.Generator) -> None:
        """Keep the weights, or hand them to another's module."""


class MambaMixer(AnyMamba):
    """Section 3.4 of arXiv:2312.00752: projection, short convolution, scan, gate, projection."""

    weights: MambaWeights

    def adopt(self, weights: MambaWeights, generator: torch.Generator) -> None:
        del generator
        self.weights = weights

    @abstractmethod
    def scan(self, inputs: ScanInputs, h: ScanState | None) -> tuple[Inner, ScanState]:
        """The gated outputs of the scan from h, None being zero, and h after the last token."""

    def mix(
        self, x: Tokens, state: MambaState | None = None, *, dead: Dead | None = None
    ) -> tuple[Tokens, MambaState]:
        w = self.weights
        inner, gate = w.in_proj(x).chunk(2, dim=-1)
        before, h = (None, None) if state is None else state
        mixed, window = causal_conv(inner, w.conv1d.weight[:, 0], w.conv1d.bias, before)
        u = torch.nn.functional.silu(mixed)
        step, B, C = w.x_proj(u).split([w.dt_rank, w.state_size, w.state_size], dim=-1)
        step = torch.nn.functional.linear(step, w.dt_proj.weight)
        if dead is not None:
            # A step of length zero leaves h as it is.
            step = step.masked_fill(dead[..., None], -torch.inf)
            window = last_inputs(inner, dead, window.shape[1])
        y, h = self.scan(ScanInputs(u, step, B, C, gate), h)
        return w.out_proj(y), MambaState(window, h)
