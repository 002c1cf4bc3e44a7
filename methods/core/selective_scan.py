"""The selective scan: a diagonal linear recurrence whose coefficients depend on the token.

Memory is linear in time without a factor of the state's size: states live a chunk at a time in
buffers that are used again, and the backward pass recomputes them from one state a chunk. Within a
chunk the recurrence runs step by step, all channels and states of a step in one operation. Buffers
hold channels last and states before them, so that every operation runs over long contiguous rows.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 32
"""Steps between the states that are kept for the backward pass."""

BLOCK = 2**15
"""Numbers that one step works on, at most, while there is more than one sequence: rows of a batch
are scanned one group after the other, so that a chunk stays in cache."""

LOG2_E = math.log2(math.e)
"""exp2 is several times as fast as exp on a processor, and as accurate."""

Inner = Float[Tensor, "b t c"]
Coefficients = Float[Tensor, "b t n"]
ScanState = Float[Tensor, "b c n"]


class Scanned(NamedTuple):
    """What the scan gives."""

    y: Inner
    state: ScanState
    """h after the last token, in the precision of the accumulation."""


def selective_scan(
    x: Inner,
    dt: Inner,
    A: Float[Tensor, "c n"],
    B: Coefficients,
    C: Coefficients,
    D: Float[Tensor, " c"],
    state: ScanState | None = None,
) -> Scanned:
    """h_t = exp(dt_t A) h_(t-1) + dt_t B_t x_t and y_t = C_t h_t + D x_t, h_0 = `state` or zero.

    Equations 2a and 2b of arXiv:2312.00752, discretised as its algorithm 2 does: equation 4's
    zero-order hold for A, Euler's step for B. Accumulates in float32 or better; y has x's dtype.
    Gradients flow to every argument, from y and from the state.
    """
    work = torch.float32
    for part in (x, dt, A, B, C, D, *(() if state is None else (state,))):
        work = torch.promote_types(work, part.dtype)
    # Rows of channels, which a convolution or a transposed product may not have left together.
    wide = x.to(work).contiguous()
    if state is None:
        state = wide.new_zeros(x.shape[0], *A.shape)
    parts = (
        wide,
        dt.to(work).contiguous(),
        A.to(work).t().contiguous(),
        B.to(work),
        C.to(work),
        state.to(work).transpose(1, 2),
    )
    if x.shape[1] == 1:
        y, last = _step(*parts)
    elif torch.is_grad_enabled() and any(part.requires_grad for part in parts):
        y, last = _Scan.apply(*parts)
    else:
        y, last = _forward(*parts, kept=None)
    return Scanned((y + D.to(work) * wide).to(x.dtype), last.transpose(1, 2))


def _step(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One token, as in decoding: a chunk's set-up costs several times the work."""
    h = torch.exp2((dt * LOG2_E) * A) * state + B.mT * (dt * x)
    return C @ h, h


class _Chunk:
    """Buffers of one chunk, `[k, r, n, c]`: k steps of r rows; state 0 is the one before."""

    def __init__(self, A: Float[Tensor, "n c"], rows: int, num_steps: int) -> None:
        self._exponent = A * LOG2_E
        self.decay = A.new_empty(num_steps, rows, *A.shape)
        self.states = A.new_empty(num_steps + 1, rows, *A.shape)
        self._decays, self._states = self.decay.unbind(), self.states.unbind()

    def run(self, dt: Tensor, drive: Tensor, B: Tensor) -> Tensor:
        """The states `[k, r, n, c]` after each step, from time-first inputs and state 0."""
        k = len(dt)
        torch.mul(dt[:, :, None], self._exponent, out=self.decay[:k])
        self.decay[:k].exp2_()
        torch.mul(drive[:, :, None], B[..., None], out=self.states[1 : k + 1])
        for i in range(k):
            self._states[i + 1].addcmul_(self._decays[i], self._states[i])
        return self.states[1 : k + 1]


class _Adjoint:
    """The same chunk's gradients, from the last step to the first."""

    def __init__(self, chunk: _Chunk) -> None:
        self._chunk = chunk
        self._adjoint = torch.empty_like(chunk.decay)
        self._steps, self._decays = self._adjoint.unbind(), chunk.decay.unbind()
        self._weighted = torch.zeros_like(chunk.decay)

    def run(self, C: Tensor, dy: Tensor, later: Tensor) -> Tensor:
        """The gradient of each state, from its own output and from the later states; `later` is
        what comes from beyond the chunk, and afterwards what goes on before it."""
        k = len(dy)
        torch.mul(C[..., None], dy[:, :, None], out=self._adjoint[:k])
        self._steps[k - 1].add_(later)
        for i in range(k - 2, -1, -1):
            self._steps[i].addcmul_(self._decays[i + 1], self._steps[i + 1])
        torch.mul(self._decays[0], self._steps[0], out=later)
        return self._adjoint[:k]

    def through_decay(self, A: Tensor, dt: Tensor) -> Tensor:
        """The gradient of dt by way of the decay; A's is remembered. Overwrites what `run` gave and
        the chunk's states."""
        k = len(dt)
        chunk, exponent = self._chunk, self._adjoint[:k]
        exponent.mul_(chunk.states[:k]).mul_(chunk.decay[:k])
        self._weighted[:k].addcmul_(exponent, dt[:, :, None])
        return torch.mul(exponent, A, out=chunk.states[:k]).sum(2)

    def of_transition(self) -> Tensor:
        """The gradient of A, from all chunks so far: one sum at the end is cheaper than many."""
        return self._weighted.sum((0, 1))


def _row_groups(num_rows: int, size: int) -> Iterator[slice]:
    """Equal groups of rows, each of at most BLOCK numbers or of one row."""
    sizes = (r for r in range(1, num_rows + 1) if num_rows % r == 0 and r * size <= BLOCK)
    rows = max(sizes, default=1)
    return (slice(start, start + rows) for start in range(0, num_rows, rows))


def _time_first(start: int, rows: slice, *parts: Tensor) -> tuple[Tensor, ...]:
    return tuple(part[rows, start : start + CHUNK].transpose(0, 1) for part in parts)


def _forward(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor, kept: Tensor | None
) -> tuple[Tensor, Tensor]:
    """y without D's part, and the last state; into `kept` go the states before each chunk."""
    y, last = torch.empty_like(x), torch.empty_like(state, memory_format=torch.contiguous_format)
    drive, chunk = dt * x, None
    for rows in _row_groups(len(x), A.numel()):
        chunk = chunk or _Chunk(A, len(x[rows]), min(CHUNK, x.shape[1]))
        last[rows] = state[rows]
        for index, start in enumerate(range(0, x.shape[1], CHUNK)):
            chunk.states[0].copy_(last[rows])
            if kept is not None:
                kept[index, rows] = last[rows]
            dt_k, drive_k, B_k, C_k, y_k = _time_first(start, rows, dt, drive, B, C, y)
            states = chunk.run(dt_k, drive_k, B_k)
            y_k.copy_((C_k[:, :, None] @ states)[:, :, 0])
            last[rows] = states[-1]
    return y, last


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        kept = x.new_empty(-(-x.shape[1] // CHUNK), *state.shape)
        ctx.save_for_backward(x, dt, A, B, C, kept)
        return _forward(x, dt, A, B, C, state, kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dlast: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        x, dt, A, B, C, kept = ctx.saved_tensors
        dy = dy.contiguous()
        drive, ddrive, ddt = dt * x, torch.empty_like(x), torch.empty_like(x)
        dB, dC = torch.empty_like(B), torch.empty_like(C)
        later = dlast.clone(memory_format=torch.contiguous_format)
        chunk = adjoint = None
        for rows in _row_groups(len(x), A.numel()):
            chunk = chunk or _Chunk(A, len(x[rows]), min(CHUNK, x.shape[1]))
            adjoint = adjoint or _Adjoint(chunk)
            for index in reversed(range(len(kept))):
                dt_k, drive_k, B_k, C_k, dy_k, ddt_k, ddrive_k, dB_k, dC_k = _time_first(
                    index * CHUNK, rows, dt, drive, B, C, dy, ddt, ddrive, dB, dC
                )
                chunk.states[0].copy_(kept[index, rows])
                states = chunk.run(dt_k, drive_k, B_k)
                # A row times a transposed matrix is ten times as fast as a matrix times a column.
                dC_k.copy_((dy_k[:, :, None] @ states.mT)[:, :, 0])
                of_states = adjoint.run(C_k, dy_k, later[rows])
                ddrive_k.copy_((B_k[:, :, None] @ of_states)[:, :, 0])
                dB_k.copy_((drive_k[:, :, None] @ of_states.mT)[:, :, 0])
                ddt_k.copy_(adjoint.through_decay(A, dt_k))
        dA = torch.zeros_like(A) if adjoint is None else adjoint.of_transition()
        ddt.addcmul_(ddrive, x)
        return ddrive.mul_(dt), ddt, dA, dB, dC, later
