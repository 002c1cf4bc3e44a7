"""cosFormer: its matrix of cosines written out in float64, steps, scale, and the horizon."""

import math

import pytest
import torch
from torch import Tensor

from methods import cosformer
from methods.api import Heads
from methods.core.attention import build_attention

HEADS = Heads(num_heads=6, head_dim=5, num_kv_heads=2, max_time=161)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _build(heads: Heads = HEADS, **options):
    return build_attention(cosformer.METHOD, heads, _generator(), **options)


def _inputs(time: int, key_time: int | None = None) -> list[Tensor]:
    """Queries and keys with a positive mean, so that hardly a pair has nothing in common."""
    g, s = _generator(1), key_time or time
    shapes = [(2, 6, time, 5), (2, 2, s, 5), (2, 2, s, 4)]
    q, k, v = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes)
    return [q + 0.5, k + 0.5, v]


def _padding(lengths: list[int], time: int) -> Tensor:
    return torch.arange(time) >= torch.tensor(lengths)[:, None]


def _written_out(inputs: list[Tensor], horizon: int, causal: bool, padding: Tensor | None):
    q, k, v = inputs
    k, v = (x.repeat_interleave(3, dim=1) for x in (k, v))
    i, j = torch.arange(q.shape[2])[:, None], torch.arange(k.shape[2])
    weight = q.relu() @ k.relu().mT * torch.cos(math.pi / 2 * (i - j) / horizon)
    hidden = (j > i) if causal else torch.zeros(len(i), len(j), dtype=torch.bool)
    if padding is not None:
        hidden = hidden | padding[:, None, None]
    weight = weight.masked_fill(hidden, 0.0)
    total = weight.sum(-1, keepdim=True)
    blind = total == 0
    return (weight / total.masked_fill(blind, 1.0)).masked_fill(blind, 0.0) @ v


@pytest.mark.parametrize(
    ("time", "key_time", "lengths", "causal", "horizon"),
    [
        (161, 161, None, True, 161),
        (161, 161, None, False, 161),
        (33, 33, [33, 20], True, 50),
        (33, 33, [33, 20], False, 33),
        (33, 33, [0, 1], False, 33),
        (7, 21, [21, 3], False, 21),
        (21, 7, None, False, 40),
        (1, 1, None, True, 1),
    ],
)
def test_output_and_gradients_are_those_of_the_matrix_written_out(
    time, key_time, lengths, causal, horizon
):
    inputs = [x.requires_grad_() for x in _inputs(time, key_time)]
    padding = None if lengths is None else _padding(lengths, key_time)
    found = _build(horizon=horizon)(*inputs, causal=causal, key_padding=padding)
    due = _written_out(inputs, horizon, causal, padding)
    if causal and lengths is not None:
        # What stands in padded places is nobody's; the next test is about the positions there.
        live = ~padding[:, None, :, None]
        found, due = found * live, due * live
    torch.testing.assert_close(found, due)
    weight = torch.linspace(-1, 1, due.numel(), dtype=torch.float64).view_as(due)
    gradients = (torch.autograd.grad((o * weight).sum(), inputs) for o in (found, due))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_steps_after_a_padded_prefix_go_on_as_if_the_padding_were_absent():
    attention, inputs = _build(), _inputs(33)
    first, rest = ([x[:, :, s] for x in inputs] for s in (slice(0, 20), slice(20, 33)))
    _, state = attention.prefill(*first, key_padding=_padding([20, 11], 20))
    outputs = []
    for t in range(13):
        o, state = attention.step(*(x[:, :, t : t + 1] for x in rest), state)
        outputs.append(o)
    assert state.position.tolist() == [33, 24]
    for i, length in enumerate((20, 11)):
        live = [
            torch.cat([x[i : i + 1, :, :length], y[i : i + 1]], 2)
            for x, y in zip(first, rest, strict=True)
        ]
        due = attention(*live, causal=True)[:, :, length:]
        torch.testing.assert_close(torch.cat(outputs, 2)[i : i + 1], due)


@pytest.mark.parametrize("causal", [False, True])
def test_no_size_of_queries_and_keys_makes_a_difference(causal):
    """The weights are of first degree in both, and are divided by their sum."""
    q, k, v = (x.float() for x in _inputs(33))
    due = _build()(q, k, v, causal=causal)
    for small, large in ((1e-35, 1e30), (1e30, 1e-35)):
        found = _build()(small * q, large * k, v, causal=causal)
        torch.testing.assert_close(found, due, rtol=1e-4, atol=1e-5)


def test_a_query_that_shares_no_feature_with_any_key_gets_zeros_and_finite_gradients():
    q, k, v = (x.requires_grad_() for x in _inputs(7))
    negative = q.clone()
    negative[:, :, 3] = -1.0
    for causal in (False, True):
        o = _build()(negative, k, v, causal=causal)
        assert not o[:, :, 3].any()
        assert o[:, :, 4].all()
        gradients = torch.autograd.grad(o.square().sum(), (q, k, v), retain_graph=True)
        assert all(torch.isfinite(x).all() for x in gradients)
    assert not _build()(q, -k.abs(), v).any()


def test_a_far_horizon_leaves_the_relu_kernel_alone():
    q, k, v = _inputs(33)
    weight = q.relu() @ k.repeat_interleave(3, dim=1).relu().mT
    shares = (weight / weight.sum(-1, keepdim=True)).nan_to_num()
    plain = shares @ v.repeat_interleave(3, dim=1)
    torch.testing.assert_close(_build(horizon=10**7)(q, k, v), plain)


def test_only_the_distance_in_time_matters():
    """Keys and queries in front that are hidden shift all positions alike."""
    inputs = _inputs(33)
    hidden = (torch.arange(33) < 13).expand(2, -1)
    for causal in (False, True):
        found = _build()(*inputs, causal=causal, key_padding=hidden)[:, :, 13:]
        due = _build()(*(x[:, :, 13:] for x in inputs), causal=causal)
        torch.testing.assert_close(found, due)


def test_what_lies_beyond_the_horizon_is_refused():
    attention = _build(horizon=33)
    sentence = "at most 33 positions; 34 came"
    for causal in (False, True):
        with pytest.raises(ValueError, match=sentence):
            attention(*_inputs(34), causal=causal)
    with pytest.raises(ValueError, match=sentence):
        attention(*_inputs(3, 34))
    _, state = attention.prefill(*_inputs(33))
    with pytest.raises(ValueError, match=sentence):
        attention.step(*_inputs(1), state)
    with pytest.raises(ValueError, match="horizon must be at least 1, and it is 0"):
        _build(horizon=0)


def test_features_keep_float32_under_autocast():
    inputs = [x.float() for x in _inputs(33)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = _build()(*inputs, causal=True)
    assert torch.equal(under, _build()(*inputs, causal=True))
