"""The chunked core of Mamba-2 and RetNet against its recurrence in float64."""

import math

import pytest
import torch

from methods.core import scalar_decay as core
from methods.core.scalar_decay import scalar_decay

SHAPES = [
    (2, 1, 3, 7, 5, 4, 3),
    (3, 2, 2, 33, 4, 6, 8),
    (1, 1, 4, 130, 8, 8, 64),
    (2, 3, 1, 64, 3, 5, 16),
]
"""Batch, groups, heads a group, time, key and value dimensions, chunk."""


def drawn(b, g, r, t, n, p, dtype=torch.float64, seed=0):
    """q, k, v, log_a and a first state; decays of all sizes."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(b, g, t, n), (b, g, t, n), (b, g * r, t, p), (b, g * r, t), (b, g * r, n, p)]
    q, k, v, log_a, state = (
        torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes
    )
    sizes = torch.tensor([0.01, 1.0, 30.0], dtype=torch.float64)
    which = torch.randint(3, log_a.shape, generator=generator)
    return [x.to(dtype) for x in (q, k, v, -log_a.abs() * sizes[which], state)]


def recurrence(q, k, v, log_a, state):
    """The definition, a token at a time."""
    shared = v.shape[1] // q.shape[1]
    q, k = q.repeat_interleave(shared, 1), k.repeat_interleave(shared, 1)
    outputs = []
    for q_t, k_t, v_t, a_t in zip(*(x.unbind(2) for x in (q, k, v, log_a.exp())), strict=True):
        state = a_t[..., None, None] * state + k_t[..., None] * v_t[..., None, :]
        outputs.append((q_t[..., None, :] @ state)[..., 0, :])
    return torch.stack(outputs, 2), state


def chunked(q, k, v, log_a, state, chunk=64):
    return scalar_decay(q, k, v, log_a, state=state, chunk=chunk)


def with_gradients(scan, inputs, seed=1):
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    outputs = scan(*leaves)
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(o.shape, generator=generator, dtype=torch.float64) for o in outputs]
    weights = [w.to(o.dtype) for w, o in zip(weights, outputs, strict=True)]
    return *outputs, *torch.autograd.grad(outputs, leaves, weights)


def worst(actual, expected):
    """The largest error of each, relative to the largest entry."""
    return [
        float((a.detach().double() - e.detach()).abs().max() / e.detach().abs().max())
        for a, e in zip(actual, expected, strict=True)
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block", [core.BLOCK, 1])
def test_outputs_state_and_gradients_are_those_of_the_recurrence(shape, block, monkeypatch):
    monkeypatch.setattr(core, "BLOCK", block)
    *sizes, chunk = shape
    inputs = drawn(*sizes)
    actual = with_gradients(lambda *x: chunked(*x, chunk=chunk), inputs)
    assert max(worst(actual, with_gradients(recurrence, inputs))) < 1e-11


@pytest.mark.parametrize("scale", [1e-4, 0.1, 10.0])
def test_float32_is_close_to_float64_for_weak_and_for_strong_decay(scale):
    q, k, v, log_a, state = drawn(1, 1, 4, 300, 16, 16)
    inputs = (q, k, v, -log_a.abs().clamp(max=2) * scale, state)
    expected = with_gradients(recurrence, inputs)
    actual = with_gradients(chunked, [x.float() for x in inputs])
    assert max(worst(actual, expected)) < 1e-5


def test_forgetting_everything_is_exact_and_costs_the_rest_no_digits():
    q, k, v, log_a, state = drawn(1, 1, 2, 64, 4, 4, dtype=torch.float32)
    log_a = -0.01 * torch.ones_like(log_a)
    log_a[..., 10:40:3] = -math.inf
    log_a[..., 41] = -1e30
    after = [x[:, :, 41:] for x in (q, k, v, log_a)]
    whole, last = chunked(q, k, v, log_a, state)
    rest, due = recurrence(*(x.double() for x in after), torch.zeros_like(state).double())
    assert max(worst([whole[:, :, 41:], last], [rest, due])) < 1e-6
    y, last, *gradients = with_gradients(chunked, (q, k, v, log_a, state))
    assert all(torch.isfinite(x).all() for x in (y, last, *gradients))
    assert (gradients[3][..., 41] == 0).all()


def test_one_token_at_a_time_is_the_whole():
    *inputs, state = drawn(2, 2, 2, 9, 3, 4)
    whole, last = chunked(*inputs, state)
    outputs = []
    for t in range(9):
        y, state = chunked(*(x[:, :, t : t + 1] for x in inputs), state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 2), whole)
    torch.testing.assert_close(state, last)


def test_low_precision_accumulates_in_float32():
    inputs = drawn(1, 1, 2, 130, 8, 8, dtype=torch.bfloat16)
    y, state = scalar_decay(*inputs[:4])
    assert (y.dtype, state.dtype) == (torch.bfloat16, torch.float32)
    expected, _ = scalar_decay(*(x.float() for x in inputs[:4]))
    torch.testing.assert_close(y, expected.bfloat16(), rtol=1e-2, atol=1e-2)


def test_the_future_is_not_seen_however_large():
    q, k, v, log_a, state = drawn(1, 1, 2, 64, 4, 4, dtype=torch.float32)
    before, _ = chunked(q, k, v, log_a, state)
    log_a[..., 20:] = -1e-9
    log_a[..., 30:] = -math.inf
    k[:, :, 20:] *= 1e30
    after, _ = chunked(q, k, v, log_a, state)
    assert torch.equal(after[:, :, :20], before[:, :, :20])


def test_the_backward_pass_of_a_long_sequence_keeps_less_than_its_scores():
    q, k, v, log_a, _ = drawn(1, 1, 2, 1024, 8, 8, dtype=torch.float32)
    kept = []

    def pack(x):
        kept.append(x.untyped_storage().nbytes())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        scalar_decay(q, k, v.requires_grad_(), log_a)
    num_scores = 2 * 1024 * core.CHUNK
    assert sum(kept) < num_scores * 4


def test_heads_that_cannot_share_groups_and_empty_chunks_are_refused():
    q, k, v, log_a, _ = drawn(1, 2, 1, 4, 3, 3)
    with pytest.raises(ValueError, match="3 heads cannot share 2 groups"):
        scalar_decay(q, k, v[:, [0, 1, 1]], log_a[:, [0, 1, 1]])
    with pytest.raises(ValueError, match="at least one token"):
        scalar_decay(q, k, v, log_a, chunk=0)
