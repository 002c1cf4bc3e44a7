"""Recurrences written out, token by token: what fast code is compared with."""

import torch


def selective(x, dt, A, B, C, D, state=None):
    """The selective scan, and its last state."""
    h = x.new_zeros(x.shape[0], *A.shape) if state is None else state
    outputs = []
    for x_t, dt_t, B_t, C_t in zip(*(part.unbind(1) for part in (x, dt, B, C)), strict=True):
        h = torch.exp(dt_t[..., None] * A) * h + (dt_t * x_t)[..., None] * B_t[:, None]
        outputs.append((h * C_t[:, None]).sum(-1) + D * x_t)
    return torch.stack(outputs, 1), h
