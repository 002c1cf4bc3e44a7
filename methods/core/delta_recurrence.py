"""Linear attention whose state is corrected and not only added to: the delta rule, in chunks."""

import torch
from jaxtyping import Float
from torch import Tensor

from methods.core.segments import in_segments

CHUNK = 64
"""Tokens whose corrections are solved for together."""

DeltaState = Float[Tensor, "b h d v"]


def delta_scan(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b h t d"],
    v: Float[Tensor, "b h t v"],
    beta: Float[Tensor, "b h t"],
    state: DeltaState | None = None,
) -> tuple[Float[Tensor, "b h t v"], DeltaState]:
    """S_t = (I - beta_t k_t k_t^T) S_(t-1) + beta_t k_t v_t^T and o_t = S_t^T q_t, and the last S.

    arXiv:2406.06484, section 2.2, by the chunks of section 3 (S is their S transposed). Keys have
    norm one at most, or the state may grow without bound. Computes in float32, or float64 where the
    inputs are; returns the dtype of `v`, the state in its own.
    """
    dtype = torch.promote_types(v.dtype, torch.float32)
    if state is None:
        state = v.new_zeros((*k.shape[:2], k.shape[-1], v.shape[-1]), dtype=dtype)
    inputs = tuple(x.to(dtype) for x in (q, k, v, beta[..., None]))
    o, state = in_segments(_segment, inputs, state)
    return o.to(v.dtype), state


def _segment(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: DeltaState
) -> tuple[Tensor, DeltaState]:
    time = q.shape[2]
    chunk = min(CHUNK, time)
    # Padded tokens have beta 0: the state passes them unchanged.
    q, k, v, beta = (
        torch.nn.functional.pad(x, (0, 0, 0, -time % chunk)).unflatten(2, (-1, chunk))
        for x in (q, k, v, beta)
    )
    before, written, state = _states(k, *_corrections(k, v, beta), state)
    o = q @ before + (q @ k.mT).tril() @ written
    return o.flatten(2, 3)[:, :, :time], state


def _corrections(
    keys: Float[Tensor, "b h n c d"],
    values: Float[Tensor, "b h n c v"],
    betas: Float[Tensor, "b h n c 1"],
) -> tuple[Float[Tensor, "b h n c v"], Float[Tensor, "b h n c d"]]:
    """U and W, such that a chunk that starts from S writes the values U - W S under its keys.

    The UT transform, equation 10: (I + tril(diag(beta) K K^T, -1)) [U W] = diag(beta) [V K].
    """
    # Only what lies below the diagonal is read: the ones on it are understood.
    below = betas * (keys @ keys.mT)
    right = betas * torch.cat([values, keys], -1)
    solved = torch.linalg.solve_triangular(below, right, upper=False, unitriangular=True)
    u, w = solved.split([values.shape[-1], keys.shape[-1]], -1)
    return u, w


def _states(
    keys: Tensor, u: Tensor, w: Tensor, state: DeltaState
) -> tuple[Float[Tensor, "b h n d v"], Float[Tensor, "b h n c v"], DeltaState]:
    """The state before each chunk, the values written in it, and the state after the last."""
    before, written = [], []
    for k_here, u_here, w_here in zip(keys.unbind(2), u.unbind(2), w.unbind(2), strict=True):
        before.append(state)
        written.append(u_here - w_here @ state)
        state = state + k_here.mT @ written[-1]
    return torch.stack(before, 2), torch.stack(written, 2), state
