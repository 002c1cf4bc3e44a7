"""A short causal convolution, one filter a channel, with the window that lets it go on."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

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
        # One token: a convolution's set-up costs several times the work.
        y = (seen * weight.mT).sum(1, keepdim=True)
        return y if bias is None else y + bias
    groups = weight.shape[0]
    return torch.nn.functional.conv1d(seen.mT, weight[:, None], bias, groups=groups).mT


def last_inputs(x: Float[Tensor, "b t c"], dead: Bool[Tensor, "b t"], num: int) -> Window:
    """The window of inputs of which the last are padding: what came before it in each row, and
    zeros before the first."""
    seen = torch.nn.functional.pad(x, (0, 0, num, 0))
    index = (~dead).sum(1, keepdim=True) + torch.arange(num, device=x.device)
    return seen.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
