"""Linear attention with a gate on every key dimension, in chunks: the recurrence of GLA.

A pair of times i >= j is weighed by exp of the log gates summed from j + 1 to i. That sum is built
up, never taken as a difference of two running sums: halves of a chunk meet at their border, where
the queries' part and the keys' part are both at most zero and each a sum of one sign. Gates near
zero and near one may stand side by side in a chunk and stay exact, and nothing overflows.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from methods.core.segments import in_segments

CHUNK = 64
"""Tokens whose pairs are weighed directly; further back only the state is seen."""

GatedState = Float[Tensor, "b h d v"]


class _Block(NamedTuple):
    """Runs of `m` tokens side by side: their pairs, and the gates summed to either end of a run,
    as logarithms to base 2."""

    pairs: Float[Tensor, "b h n m m"]
    """Weighed products of queries with keys, zero above the diagonal."""
    from_start: Float[Tensor, "b h n m d"]
    """Log gates from the run's first token to this one, both included."""
    to_end: Float[Tensor, "b h n m d"]
    """Log gates after this token to the run's last one."""


def gated_scan(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b h t d"],
    v: Float[Tensor, "b h t v"],
    log_gate: Float[Tensor, "b h t d"],
    state: GatedState | None = None,
) -> tuple[Float[Tensor, "b h t v"], GatedState]:
    """S_t = Diag(exp(log_gate_t)) S_(t-1) + k_t v_t^T and o_t = S_t^T q_t, and the last state.

    arXiv:2312.06635, equation 3, as the chunks of section 4.2. Log gates are at most zero. Computes
    in float32, or float64 where the inputs are; returns the dtype of `v`, the state in its own.
    """
    dtype = torch.promote_types(v.dtype, torch.float32)
    if state is None:
        state = v.new_zeros((*k.shape[:2], k.shape[-1], v.shape[-1]), dtype=dtype)
    inputs = tuple(x.to(dtype) for x in (q, k, v, log_gate))
    o, state = in_segments(_segment, inputs, state)
    return o.to(v.dtype), state


def _segment(
    q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, state: GatedState
) -> tuple[Tensor, GatedState]:
    time = q.shape[2]
    chunk = min(CHUNK, 1 << (time - 1).bit_length())
    # Padded tokens have no key and an open gate: the state passes them unchanged.
    q, k, v, log_gate = (
        torch.nn.functional.pad(x, (0, 0, 0, -time % chunk)) for x in (q, k, v, log_gate)
    )
    # exp2 is several times as fast as exp on a processor.
    run = _weighed_pairs(q, k, log_gate * math.log2(math.e), chunk)
    q, k, v = (x.unflatten(2, (-1, chunk)) for x in (q, k, v))
    fresh = (k * run.to_end.exp2()).mT @ v
    kept = run.from_start[..., -1, :, None].exp2()
    before, state = _states(kept, fresh, state)
    o = run.pairs @ v + (q * run.from_start.exp2()) @ before
    return o.flatten(2, 3)[:, :, :time], state


def _states(
    kept: Float[Tensor, "b h n d 1"],
    fresh: Float[Tensor, "b h n d v"],
    state: GatedState,
) -> tuple[Float[Tensor, "b h n d v"], GatedState]:
    """The state before each chunk, and after the last."""
    before = []
    for kept_here, fresh_here in zip(kept.unbind(2), fresh.unbind(2), strict=True):
        before.append(state)
        state = kept_here * state + fresh_here
    return torch.stack(before, 2), state


def _weighed_pairs(q: Tensor, k: Tensor, log2_gate: Tensor, chunk: int) -> _Block:
    """Equation 4 for all pairs within a chunk, by doubling runs of one token up to the chunk.

    The paper's secondary chunks (section 4.3) have one level and weigh the pairs inside one by one;
    halves of halves leave none to be weighed so, and every product is one of matrices.
    """
    g = log2_gate.unsqueeze(3)
    run = _Block((q * k).sum(-1)[..., None, None], g, torch.zeros_like(g))
    m = 1
    while m < chunk:
        later_q = q.unflatten(2, (-1, 2, m)).unbind(3)[1]
        earlier_k = k.unflatten(2, (-1, 2, m)).unbind(3)[0]
        run = _joined(later_q, earlier_k, run)
        m *= 2
    return run


def _joined(later_q: Tensor, earlier_k: Tensor, run: _Block) -> _Block:
    """Every two neighbouring runs as one."""
    (pairs1, pairs2), (start1, start2), (end1, end2) = (
        x.unflatten(2, (-1, 2)).unbind(3) for x in run
    )
    across = (later_q * start2.exp2()) @ (earlier_k * end1.exp2()).mT
    upper = torch.cat([pairs1, torch.zeros_like(across)], -1)
    lower = torch.cat([across, pairs2], -1)
    return _Block(
        torch.cat([upper, lower], -2),
        torch.cat([start1, start2 + start1[..., -1:, :]], -2),
        torch.cat([end1 + start2[..., -1:, :], end2], -2),
    )
