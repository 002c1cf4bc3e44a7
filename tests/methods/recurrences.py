"""Recurrences written out, token by token: what fast code is compared with, and how."""

import torch


def selective(x, dt, A, B, C, D, state=None):
    """The selective scan, and its last state."""
    h = x.new_zeros(x.shape[0], *A.shape) if state is None else state
    outputs = []
    for x_t, dt_t, B_t, C_t in zip(*(part.unbind(1) for part in (x, dt, B, C)), strict=True):
        h = torch.exp(dt_t[..., None] * A) * h + (dt_t * x_t)[..., None] * B_t[:, None]
        outputs.append((h * C_t[:, None]).sum(-1) + D * x_t)
    return torch.stack(outputs, 1), h


def require_same_gradients(one, other, x, tolerance):
    """Of two functions of x: outputs, and gradients of x and of parameters by name."""
    results = []
    for forward, parameters in (one, other):
        leaf = x.clone().requires_grad_()
        o = forward(leaf)
        weight = torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o)
        found = torch.autograd.grad(o, [leaf, *parameters.values()], weight)
        results.append(dict(zip(["o", "x", *parameters], [o, *found], strict=True)))
    assert results[0].keys() == results[1].keys()
    for name, expected in results[1].items():
        worst = (results[0][name] - expected).abs().max()
        assert worst <= tolerance * expected.abs().max(), name
