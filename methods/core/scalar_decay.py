"""Linear attention whose state decays by one number a head and step: Mamba-2's and RetNet's core.

S_t = a_t S_(t-1) + k_t v_t^T and y_t = S_t^T q_t, computed by the block decomposition of a
semiseparable matrix (arXiv:2405.21060, section 6): quadratic within chunks, a recurrence between
them. Decays are exponentials of differences of sums, and no exponent is ever above zero.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 64
"""Tokens a chunk: its scores and its values then stay in a core's cache."""

BLOCK = 2**17
"""How many scores, or values, a chunk may have in all: of a batch, as many sequences are taken at a
time as fit, for the same reason."""

LOG2_E = math.log2(math.e)

State = Float[Tensor, "b h n p"]
"""All that later queries need to know of the past."""


def scalar_decay(
    q: Float[Tensor, "b g t n"],
    k: Float[Tensor, "b g t n"],
    v: Float[Tensor, "b h t p"],
    log_a: Float[Tensor, "b h t"],
    *,
    state: State | None = None,
    chunk: int = CHUNK,
) -> tuple[Float[Tensor, "b h t p"], State]:
    """The outputs of these tokens, and the state after them; `log_a` is at most zero.

    The h heads share the g queries and keys evenly, in order. `log_a` of -inf forgets everything,
    and a decay below 1e-34 (float32) counts as zero. Accumulates in float32 or better, in which the
    state is also returned; the outputs have the dtype of `v`.
    """
    heads, groups = v.shape[1], q.shape[1]
    if heads % groups:
        raise ValueError(f"{heads} heads cannot share {groups} groups of keys evenly.")
    if chunk < 1:
        raise ValueError(f"a chunk has at least one token, not {chunk}.")
    dtype = torch.promote_types(v.dtype, torch.float32)
    if state is None:
        state = v.new_zeros((len(v), heads, q.shape[-1], v.shape[-1]), dtype=dtype)
    inputs = (q.to(dtype), k.to(dtype), v.to(dtype), log_a.to(dtype))
    if v.shape[2] == 1:
        y, state = _one_token(*inputs, state)
    else:
        y, state = _Chunked.apply(*inputs, state, chunk)
    return y.to(v.dtype), state


def _one_token(
    q: Tensor, k: Tensor, v: Tensor, log_a: Tensor, state: State
) -> tuple[Float[Tensor, "b h 1 p"], State]:
    """The recurrence itself (arXiv:2405.21060, equation 2), in fewer and smaller operations."""
    shared = v.shape[1] // q.shape[1]
    q, k = q.repeat_interleave(shared, 1), k.repeat_interleave(shared, 1)
    state = torch.addcmul(k.mT * v, log_a.exp()[..., None], state)
    return q @ state, state


def _least(dtype: torch.dtype) -> float:
    """A power of two below this one is a decay of zero: exponentials near the smallest normal
    number, or out of range, take ten times as long as others."""
    return math.log2(torch.finfo(dtype).tiny) + 10.0


def _exp2(exponent: Tensor) -> Tensor:
    """Written over the exponent; zero where that is too small, one where it is above zero.

    In float32 on a processor `exp2` is four times as fast as `exp`.
    """
    least = _least(exponent.dtype)
    exponent.clamp_(least - 1.0, 0.0).exp2_()
    return torch.nn.functional.threshold_(exponent, 2.0**least, 0.0)


class _Chunk(NamedTuple):
    """One chunk, its tokens before its heads, the r heads of a group together."""

    q: Float[Tensor, "b g c n"]
    k: Float[Tensor, "b g c n"]
    v: Float[Tensor, "b g c r p"]
    total: Float[Tensor, "b g r c"]
    """The sum of log_a from the chunk's first token on, to base 2, in float64."""

    @property
    def since_start(self) -> Float[Tensor, "b g c r 1"]:
        """The decay from before the chunk to each token."""
        return _exp2(self.total.to(self.v.dtype, copy=True)).mT[..., None]

    @property
    def until_end(self) -> Float[Tensor, "b g c r 1"]:
        """The decay from each token to the last."""
        return _exp2((self.total[..., -1:] - self.total).to(self.v.dtype)).mT[..., None]

    @property
    def over_all(self) -> Float[Tensor, "b g 1 r 1"]:
        return self.since_start[:, :, -1:]

    def decays(self) -> Float[Tensor, "b g r c c"]:
        """L of section 6.1 within the chunk: 2^(total_t - total_s), zero where s is after t."""
        c = self.total.shape[-1]
        # Differences of float64 numbers: a large decay somewhere costs the others no digits.
        out = torch.empty((*self.total.shape, c), dtype=self.v.dtype, device=self.v.device)
        torch.sub(self.total[..., None], self.total[..., None, :], out=out)
        return _exp2(out).tril_()


def _chunks(q: Tensor, k: Tensor, v: Tensor, log_a: Tensor, size: int) -> list[_Chunk]:
    """Views, for the most part."""
    groups = q.shape[1]
    log2_a = (log_a.double() * LOG2_E).clamp_(min=_least(v.dtype) - 1.0).unflatten(1, (groups, -1))
    v = v.unflatten(1, (groups, -1)).permute(0, 1, 3, 2, 4)
    pieces = (q.split(size, 2), k.split(size, 2), v.split(size, 2), log2_a.split(size, 3))
    parts = zip(*pieces, strict=True)
    return [_Chunk(q.contiguous(), k.contiguous(), v, a.cumsum(-1)) for q, k, v, a in parts]


def _inside(state: State, groups: int) -> Float[Tensor, "b g n rp"]:
    """The states of a group side by side: one matrix product then serves all its heads."""
    return state.unflatten(1, (groups, -1)).permute(0, 1, 3, 2, 4).flatten(3)


def _outside(state: Float[Tensor, "b g n rp"], heads: int) -> State:
    state = state.unflatten(-1, (heads // state.shape[1], -1))
    return state.permute(0, 1, 3, 2, 4).flatten(1, 2)


def _by_group(x: Float[Tensor, "b h t p"], groups: int) -> Float[Tensor, "b g t r p"]:
    return x.unflatten(1, (groups, -1)).permute(0, 1, 3, 2, 4)


def _scan(chunks: list[_Chunk], state: Tensor, y: Float[Tensor, "b g t r p"]) -> Iterator[Tensor]:
    """Writes the outputs (diagonal blocks, section 6.1), and gives the state after each chunk
    (low-rank blocks, section 6.2)."""
    shared = y.shape[3]
    for part, out in zip(chunks, y.split(chunks[0].v.shape[2], 2), strict=True):
        past = (part.q @ state).unflatten(-1, (shared, -1))
        torch.mul(past, part.since_start, out=out)
        scores = part.decays().mul_((part.q @ part.k.mT)[:, :, None])
        out += (scores @ part.v.transpose(2, 3)).transpose(2, 3)
        kept = (state.unflatten(-1, (shared, -1)) * part.over_all).flatten(3)
        state = kept + part.k.mT @ (part.v * part.until_end).flatten(3)
        yield state


class _Gradients(NamedTuple):
    """What `_scan_back` writes, by group as the inputs are there."""

    q: Float[Tensor, "b g t n"]
    k: Float[Tensor, "b g t n"]
    v: Float[Tensor, "b g t r p"]
    log_a: Float[Tensor, "b g r t"]


def _scan_back(
    chunks: list[_Chunk],
    states: list[Tensor],
    y: Float[Tensor, "b g t r p"],
    d_y: Float[Tensor, "b g t r p"],
    d_state: Float[Tensor, "b g n rp"],
    out: _Gradients,
) -> Float[Tensor, "b g n rp"]:
    """Writes the gradients and returns that of the first state."""
    size, shared = chunks[0].v.shape[2], y.shape[3]
    pieces = [x.split(size, 2) for x in (y, d_y, out.q, out.k, out.v)]
    pieces.append(out.log_a.split(size, 3))
    for i in reversed(range(len(chunks))):
        part, (y_i, d_y_i, d_q, d_k, d_v, d_log_a) = chunks[i], (x[i] for x in pieces)
        since_start, until_end, decays = part.since_start, part.until_end, part.decays()
        d_rows = d_y_i.transpose(2, 3)
        d_scores = d_rows @ part.v.transpose(2, 3).mT
        d_products = d_scores.mul_(decays).sum(2)
        scores = decays.mul_((part.q @ part.k.mT)[:, :, None])
        read = (d_y_i * since_start).flatten(3)
        torch.add(d_products @ part.k, read @ states[i].mT, out=d_q)
        written = (part.v * until_end).flatten(3)
        torch.add(d_products.mT @ part.q, written @ d_state.mT, out=d_k)
        torch.mul((part.k @ d_state).unflatten(-1, (shared, -1)), until_end, out=d_v)
        d_v += (scores.mT @ d_rows).transpose(2, 3)
        # A token's sum of log_a scales its output up, and down what its value gives to any output.
        d_total = (d_y_i * y_i).sum(-1) - (part.v * d_v).sum(-1)
        d_total[:, :, -1] += (d_state * states[i + 1]).unflatten(-1, (shared, -1)).sum((2, 4))
        d_log_a.copy_(d_total.double().flip(2).cumsum(2).flip(2).mT)
        kept = (d_state.unflatten(-1, (shared, -1)) * since_start[:, :, -1:]).flatten(3)
        d_state = kept + part.q.mT @ read
    return d_state


class _Chunked(torch.autograd.Function):
    """Chunk after chunk; the backward pass computes each chunk's scores again."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, log_a: Tensor, state: Tensor, size: int
    ) -> tuple[Tensor, Tensor]:
        (b, h, t, p), g = v.shape, q.shape[1]
        ctx.size = size
        ctx.rows = max(1, BLOCK // (h * size * max(size, p)))
        y = v.new_empty(b, t, h, p).transpose(1, 2)
        kept: list[Tensor] = []
        last = []
        blocks = zip(*(x.split(ctx.rows) for x in (q, k, v, log_a, state, y)), strict=True)
        for *inputs, first, out in blocks:
            states = [_inside(first, g)]
            for after in _scan(_chunks(*inputs, size), states[0], _by_group(out, g)):
                states = [*states, after] if any(ctx.needs_input_grad) else [after]
            kept.extend(states)
            last.append(_outside(states[-1], h))
        ctx.save_for_backward(q, k, v, log_a, y, *kept)
        return y, torch.cat(last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, d_state: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, log_a, y, *states = ctx.saved_tensors
        (b, h, t, p), g = v.shape, q.shape[1]
        d_v, d_log_a = v.new_empty(b, t, h, p).transpose(1, 2), torch.empty_like(log_a)
        d_inputs = (torch.empty_like(q), torch.empty_like(k), d_v, d_log_a)
        firsts = []
        per_block = -(-t // ctx.size) + 1
        all_ = (q, k, v, log_a, y, d_y, d_state, *d_inputs)
        for i, block in enumerate(zip(*(x.split(ctx.rows) for x in all_), strict=True)):
            *inputs, y_i, d_y_i, d_state_i, d_q, d_k, d_v_i, d_log_a_i = block
            out = _Gradients(d_q, d_k, _by_group(d_v_i, g), d_log_a_i.unflatten(1, (g, -1)))
            first = _scan_back(
                _chunks(*inputs, ctx.size),
                states[i * per_block : (i + 1) * per_block],
                _by_group(y_i, g),
                _by_group(d_y_i, g),
                _inside(d_state_i, g),
                out,
            )
            firsts.append(_outside(first, h))
        forgotten = log_a * LOG2_E < _least(v.dtype) - 1.0
        return (*d_inputs[:3], d_log_a.masked_fill_(forgotten, 0.0), torch.cat(firsts), None)
