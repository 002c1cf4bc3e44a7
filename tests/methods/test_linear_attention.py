"""The linear-attention core against the dense form in float64, and where it could go wrong."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from methods.api import Features
from methods.core.dense import dense_attention
from methods.core.linear_attention import (
    Exponents,
    exponential_attention,
    linear_attention,
    normaliser,
)
from methods.core.positive_features import positive_features

SHARING = 3
"""Query heads to a key-value head."""


def _features(
    time: int, *, seed: int = 0, scale: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[Features, Features, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def positive(rows: int) -> Features:
        values = torch.rand(2, 2, rows, 5, generator=generator, dtype=torch.float64)
        log_scale = scale * torch.randn(2, 2, rows, generator=generator, dtype=torch.float64)
        return Features(values.to(dtype), log_scale.to(dtype))

    v = torch.randn(2, 2, time, 3, generator=generator, dtype=torch.float64).to(dtype)
    return positive(SHARING * time), positive(time), v


def _padding(time: int, seed: int) -> Tensor:
    """Half of the keys hidden anywhere, first ones included."""
    return torch.rand(2, time, generator=torch.Generator().manual_seed(seed)) < 0.5


def _cut(features: Features, start: int, stop: int, time: int) -> Features:
    """These times of features whose rows are whole sequences, one after another."""
    values = features.values.unflatten(2, (-1, time))[:, :, :, start:stop].flatten(2, 3)
    log_scale = features.log_scale.unflatten(2, (-1, time))[..., start:stop].flatten(2)
    return Features(values, log_scale)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    time=st.sampled_from([1, 2, 7, 33, 128, 129, 257]),
    causal=st.booleans(),
    padded=st.booleans(),
    scale=st.sampled_from([0.0, 1.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_outputs_and_gradients_are_those_of_the_dense_form(time, causal, padded, scale, seed):
    padding = _padding(time, seed) if padded else None
    found, due = [], []
    for attention, into in ((linear_attention, found), (dense_attention, due)):
        q, k, v = _features(time, seed=seed, scale=scale)
        leaves = [q.values, k.values, k.log_scale, v]
        for leaf in leaves:
            leaf.requires_grad_()
        o = attention(q, k, v, causal=causal, key_padding=padding)
        o = o[0] if isinstance(o, tuple) else o
        into.extend([o, *torch.autograd.grad(o.square().sum(), leaves)])
    torch.testing.assert_close(found, due, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_output_has_the_dtype_of_the_values_and_sums_in_float32(dtype):
    q, k, v = _features(257, dtype=dtype)
    o, state = linear_attention(q, k, v, causal=True)
    due = dense_attention(q, k, v, causal=True)
    assert (o.dtype, state.sums.dtype) == (dtype, torch.float32)
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(o.double(), due, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("now", [1, 5, 128, 200])
@pytest.mark.parametrize(("rise", "rounding"), [(0.0, 0.0), (3.0, 0.0), (700.0, 1e-6)])
def test_the_past_does_not_depend_on_future_keys_however_large(now, rise, rounding):
    """Not by one bit, unless a stretch ends early: then sums are added up in other groups."""
    q, k, v = _features(257, dtype=torch.float32)
    before, _ = linear_attention(q, k, v, causal=True)
    k.log_scale[..., now:] += rise
    v[..., now:, :] *= 1e6
    after, _ = linear_attention(q, k, v, causal=True)
    past = [o.unflatten(2, (SHARING, -1))[..., :now, :] for o in (before, after)]
    torch.testing.assert_close(*past, rtol=rounding, atol=rounding)
    assert torch.isfinite(after).all()


@pytest.mark.parametrize("cuts", [(1, 7), (128, 129), (3, 200)])
def test_segments_carried_by_the_state_are_the_whole(cuts):
    time = 257
    q, k, v = _features(time, scale=30.0)
    whole, end = linear_attention(q, k, v, causal=True)
    state, parts, edges = None, [], (0, *cuts, time)
    for start, stop in pairwise(edges):
        o, state = linear_attention(
            _cut(q, start, stop, time),
            _cut(k, start, stop, time),
            v[..., start:stop, :],
            causal=True,
            state=state,
        )
        parts.append(o.unflatten(2, (SHARING, -1)))
    torch.testing.assert_close(torch.cat(parts, 3).flatten(2, 3), whole)
    torch.testing.assert_close(state, end)


def test_a_bidirectional_reading_of_a_state_sees_all_of_its_past():
    q, k, v = _features(33)
    _, state = linear_attention(q, _cut(k, 0, 20, 33), v[..., :20, :])
    o, _ = linear_attention(q, _cut(k, 20, 33, 33), v[..., 20:, :], state=state)
    torch.testing.assert_close(o, linear_attention(q, k, v)[0])


def test_the_state_holds_two_sums_and_their_scale():
    q, k, v = _features(7)
    _, state = linear_attention(q, k, v)
    phi = k.values * torch.exp2(k.log_scale / math.log(2) - state.log2_scale[..., None])[..., None]
    values, normaliser, padding = state.sums.split([3, 1, 4], -1)
    torch.testing.assert_close(values, phi.mT @ v)
    torch.testing.assert_close(normaliser[..., 0], phi.sum(2))
    assert not padding.any()
    torch.testing.assert_close(state.log2_scale, k.log_scale.amax(-1) / math.log(2))


@pytest.mark.parametrize("causal", [False, True])
def test_a_query_that_sees_no_key_gets_zeros_and_finite_gradients(causal):
    q, k, v = _features(7)
    for leaf in (q.values, k.values, k.log_scale, v):
        leaf.requires_grad_()
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[0], padding[1, :3] = True, True
    o, _ = linear_attention(q, k, v, causal=causal, key_padding=padding)
    gradients = torch.autograd.grad(o.sum(), [q.values, k.values, k.log_scale, v])
    rows = o.unflatten(2, (SHARING, 7))
    assert (rows[0] == 0).all()
    assert (rows[1, :, :, :3] == 0).all() == causal
    assert all(torch.isfinite(g).all() for g in gradients)


def test_a_collapsed_row_gives_zeros_and_finite_gradients_and_is_reported():
    """Queries and keys whose features do not overlap, or hardly."""
    values = torch.tensor([[1.0, 0.0], [1.0, 1e-35], [1.0, 1e-20]])[None, None]
    q = Features(values.clone().requires_grad_(), torch.zeros(1, 1, 3))
    keys = torch.tensor([[0.0, 1.0]] * 3)[None, None].requires_grad_()
    k = Features(keys, torch.zeros(1, 1, 3))
    v = torch.tensor([[1.0], [2.0], [3.0]])[None, None].requires_grad_()
    o, _ = linear_attention(q, k, v)
    gradients = torch.autograd.grad((1e6 * o).sum(), [q.values, keys, v])
    bottom = normaliser(q, k, causal=False, key_padding=None)
    assert o.flatten().tolist() == pytest.approx([0.0, 0.0, 2.0])
    assert (bottom.flatten() == 0).tolist() == [True, True, False]
    assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("causal", [False, True])
def test_the_normaliser_is_infinite_just_where_a_row_sees_no_key(causal):
    q, k, _ = _features(7)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[0], padding[1, :3] = True, True
    bottom = normaliser(q, k, causal=causal, key_padding=padding).unflatten(2, (SHARING, 7))
    expected = torch.zeros(2, 7, dtype=torch.bool)
    expected[0], expected[1, :3] = True, causal
    assert torch.equal(torch.isinf(bottom), expected[:, None, None].expand_as(bottom))


def test_the_scale_of_a_query_divides_out():
    q, k, v = _features(33)
    larger = q._replace(log_scale=q.log_scale + 1e4)
    assert torch.equal(linear_attention(larger, k, v)[0], linear_attention(q, k, v)[0])


class _Written(TorchDispatchMode):
    """Counts the elements of every operation's results."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple | list) else (result,):
            if isinstance(x, Tensor) and not func.is_view:
                self.largest = max(self.largest, x.numel())
                self.total += x.numel()
        return result


def _written(time: int, num_features: int = 16, value_dim: int = 16) -> _Written:
    """Forward and backward of one causal head."""
    shape = (1, 1, time)
    q = Features(torch.rand(*shape, num_features).requires_grad_(), torch.zeros(shape))
    k = Features(torch.rand(*shape, num_features).requires_grad_(), torch.zeros(shape))
    v = torch.rand(*shape, value_dim).requires_grad_()
    with _Written() as written:
        linear_attention(q, k, v, causal=True)[0].sum().backward()
    return written


def test_no_tensor_is_larger_than_the_features_or_a_chunks_scores():
    assert _written(4096).largest <= 4096 * 17


def test_the_work_of_forward_and_backward_grows_in_proportion_to_time():
    assert _written(8192).total <= 2.05 * _written(4096).total


def test_features_computed_on_the_way_leave_the_state_of_features_given_whole():
    generator = torch.Generator().manual_seed(0)
    exponents = Exponents(
        omega=torch.randn(2, 5, 3, generator=generator),
        scale=0.7,
        root=torch.eye(3).repeat(2, 1, 1),
    )
    q, k, v = (torch.randn(2, 2, 33, 3, generator=generator) for _ in range(3))
    found = exponential_attention(q, k, v, exponents, causal=True)
    given = (positive_features(x, exponents) for x in (q, k))
    due = linear_attention(*given, v, causal=True)
    torch.testing.assert_close(found, due)
