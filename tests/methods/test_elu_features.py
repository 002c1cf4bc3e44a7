"""elu(x) + 1 computed on the way, against the dense form of features given whole."""

import pytest
import torch

from methods.api import Heads
from methods.core.attention import build_attention
from methods.core.dense import dense_reference
from methods.core.linear_attention import State
from methods.linear_transformer import METHOD

HEADS = Heads(num_heads=4, head_dim=5, num_kv_heads=2, max_time=300)


def _inputs(time: int, shift: float, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, time, 5), (2, 2, time, 5), (2, 2, time, 3))
    q, k, v = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    return [x.to(dtype) for x in (q + shift, k + shift, v)]


@pytest.mark.parametrize("shift", [0.0, -3.0, -300.0])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_outputs_and_gradients_are_those_of_the_dense_form(shift, causal, padded):
    """Also where all entries are so far below zero that their exponentials underflow."""
    attention = build_attention(METHOD, HEADS, torch.Generator()).double()
    padding = None
    if padded:
        padding = torch.rand(2, 257, generator=torch.Generator().manual_seed(1)) < 0.5
    found, due = [], []
    for into in (found, due):
        leaves = [x.requires_grad_() for x in _inputs(257, shift)]
        if into is found:
            o = attention(*leaves, causal=causal, key_padding=padding)
        else:
            o = dense_reference(attention.feature_map, *leaves, causal=causal, key_padding=padding)
        into.extend([o, *torch.autograd.grad(o.square().sum(), leaves)])
    torch.testing.assert_close(found, due, rtol=1e-7, atol=1e-9)


def test_keys_that_rise_far_above_those_before_them_are_exact():
    attention = build_attention(METHOD, HEADS, torch.Generator())
    q, k, v = _inputs(33, 0.0, torch.float32)
    k = k + torch.linspace(-400.0, 0.0, 33)[:, None]
    due = dense_reference(attention.feature_map.double(), q, k, v, causal=True)
    torch.testing.assert_close(attention(q, k, v, causal=True).double(), due, rtol=0, atol=1e-4)


def test_the_state_is_the_one_that_decoding_goes_on_from():
    attention = build_attention(METHOD, HEADS, torch.Generator())
    q, k, v = _inputs(33, -3.0, torch.float32)
    _, state = attention.prefill(q, k, v)
    given = State(*(torch.zeros_like(x) for x in state))
    for t in range(33):
        now = [x[:, :, t : t + 1] for x in (q, k, v)]
        _, given = attention.prefill(*now) if t == 0 else attention.step(*now, given)
    torch.testing.assert_close(given, state)
