"""A short causal convolution, one filter a channel, with the window that lets it go on."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

Window = Float[Tensor, "b w1 c"]
"""The last inputs, one fewer than the filter is wide; zeros where there were none."""


def causal_conv(
    x: Float[Tensor, "b t c"],
    weight: Float[Tensor, "c w"],
    bias: Float[Tensor, " c"] | None = None,
    window: Window | None = None,
) -> tuple[Float[Tensor, "b t c"], Window]:
    """y_t = bias + sum over j < w of weight_(w-1-j) * x_(t-j), and the window after the last x.

    The filter's last column meets the current input, as in Mamba (arXiv:2312.00752, section 3.4).
    Without a window the past is zeros. Adds up in float32 or better; returns the dtype of `x`. The
    new window keeps no storage but its own, so that a state weighs what its tensors weigh.
    """
    kept = weight.shape[1] - 1
    if window is None:
        window = x.new_zeros(x.shape[0], kept, x.shape[2])
    if window.shape[1] != kept:
        raise ValueError(
            f"a filter of width {weight.shape[1]} goes on from {kept} inputs;"
            f" {window.shape[1]} came."
        )
    dtype = torch.promote_types(x.dtype, torch.float32)
    seen = torch.cat([window.to(x.dtype), x], 1)
    y = _filtered(seen.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))
    return y.to(x.dtype), seen[:, seen.shape[1] - kept :].clone()


def _filtered(seen: Tensor, weight: Tensor, bias: Tensor | None) -> Float[Tensor, "b t c"]:
    if seen.shape[1] == weight.shape[1]:
        # One token: a loop over the taps costs several times the work.
        y = (seen * weight.mT).sum(1, keepdim=True)
        return y if bias is None else y + bias
    return _Filtered.apply(seen, weight.mT.contiguous(), bias)


class _Filtered(torch.autograd.Function):
    """A shifted product added up in place for each tap: a library's convolution wants channels
    before time, and autograd would copy the whole length for each shift."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, seen: Tensor, taps: Float[Tensor, "w c"], bias: Tensor | None
    ) -> Float[Tensor, "b t c"]:
        ctx.save_for_backward(seen, taps)
        first, *others = _shifts(seen, len(taps))
        y = first * taps[0] if bias is None else torch.addcmul(bias, first, taps[0])
        for shifted, tap in zip(others, taps[1:], strict=True):
            y.addcmul_(shifted, tap)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        seen, taps = ctx.saved_tensors
        d_seen, d_taps = torch.zeros_like(seen), torch.empty_like(taps)
        shifts = zip(_shifts(d_seen, len(taps)), _shifts(seen, len(taps)), strict=True)
        for tap, d_tap, (d_shifted, shifted) in zip(taps, d_taps, shifts, strict=True):
            d_shifted.addcmul_(d_y, tap)
            torch.sum(d_y * shifted, (0, 1), out=d_tap)
        return d_seen, d_taps, d_y.sum((0, 1)) if ctx.needs_input_grad[2] else None


def _shifts(seen: Float[Tensor, "b s c"], width: int) -> list[Float[Tensor, "b t c"]]:
    """What each tap of the filter meets, from the earliest input on."""
    time = seen.shape[1] - width + 1
    return [seen[:, start : start + time] for start in range(width)]


def last_inputs(x: Float[Tensor, "b t c"], dead: Bool[Tensor, "b t"], num: int) -> Window:
    """The window of inputs of which the last are padding: what came before it in each row, and
    zeros before the first."""
    seen = torch.nn.functional.pad(x, (0, 0, num, 0))
    index = (~dead).sum(1, keepdim=True) + torch.arange(num, device=x.device)
    return seen.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
