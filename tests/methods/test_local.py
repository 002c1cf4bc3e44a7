"""Local attention is softmax under an explicit band mask, at a cost linear in time."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from methods import local
from methods.api import Heads
from methods.core.attention import build_attention
from methods.core.multihead import state_bytes
from methods.softmax import softmax_attention

GROUPED = Heads(num_heads=4, head_dim=8, num_kv_heads=2, max_time=400)


def _build(window: int):
    return build_attention(local.METHOD, GROUPED, torch.Generator(), window=window)


def _inputs(time: int, dtype: torch.dtype = torch.float64, value_dim: int = 8):
    g = torch.Generator().manual_seed(0)
    shapes = (2, 4, time, 8), (2, 2, time, 8), (2, 2, time, value_dim)
    return [2 * torch.randn(shape, generator=g, dtype=dtype) for shape in shapes]


def _banded_softmax(q, k, v, window, causal, padding=None):
    """Every score of time x time, and a mask that is written out."""
    k, v = (x.repeat_interleave(2, 1) for x in (k, v))
    now, key = torch.arange(q.shape[2])[:, None], torch.arange(q.shape[2])
    seen = (now - key < window) & (key - now < (1 if causal else window))
    seen = seen[None, None].expand(q.shape[0], 1, -1, -1)
    if padding is not None:
        seen = seen & ~padding[:, None, None]
    weights = torch.exp(q @ k.mT / q.shape[-1] ** 0.5) * seen
    return weights @ v / weights.sum(-1, keepdim=True).clamp(min=1e-300)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("window", "time"),
    [(1, 1), (1, 70), (2, 3), (5, 64), (5, 129), (65, 201), (200, 201), (300, 9)],
)
def test_it_is_softmax_under_a_band_mask_forward_and_backward(window, time, causal):
    inputs = _inputs(time, value_dim=5)
    padding = torch.zeros(2, time, dtype=torch.bool)
    # The first sequence has holes, some wider than the window; the second is all padding.
    padding[0, 1::3] = True
    padding[0, 4 : 4 + 2 * window] = True
    padding[1] = True
    weight = torch.linspace(-1, 1, 4 * time)[:, None].view(4, time, 1)
    for mask in (None, padding):
        mine, due = ([x.clone().requires_grad_() for x in inputs] for _ in range(2))
        o = _build(window)(*mine, causal=causal, key_padding=mask)
        expected = _banded_softmax(*due, window, causal, mask)
        torch.testing.assert_close(o, expected, rtol=1e-10, atol=1e-10)
        (o * weight).sum().backward()
        (expected * weight).sum().backward()
        for x, y in zip(mine, due, strict=True):
            torch.testing.assert_close(x.grad, y.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("causal", [False, True])
def test_lower_precisions_are_close_to_float64_and_keep_their_dtype(dtype, bound, causal):
    inputs = [x.to(dtype) for x in _inputs(133)]
    o = _build(20)(*inputs, causal=causal)
    expected = _banded_softmax(*(x.double() for x in inputs), 20, causal)
    assert o.dtype == dtype
    assert (o - expected).norm() <= bound * expected.norm()


def test_a_window_as_long_as_the_sequence_is_softmax():
    inputs = _inputs(97)
    for window in (97, 10_000):
        o = _build(window)(*inputs, causal=True)
        torch.testing.assert_close(o, softmax_attention(*inputs, causal=True))


@pytest.mark.parametrize("window", [1, 4, 70])
def test_going_on_from_a_padded_prefix_gives_what_the_whole_gives(window):
    q, k, v = _inputs(90)
    padding = torch.zeros(2, 90, dtype=torch.bool)
    padding[1, 5:60] = True
    whole = _build(window)(q, k, v, causal=True, key_padding=padding)
    run = _build(window)
    o, state = run.prefill(*(x[:, :, :60] for x in (q, k, v)), key_padding=padding[:, :60])
    parts = [o]
    for start, stop in ((60, 61), (61, 88), (88, 90)):
        o, state = run.step(*(x[:, :, start:stop] for x in (q, k, v)), state)
        parts.append(o)
    torch.testing.assert_close(torch.cat(parts, 2), whole, rtol=1e-10, atol=1e-10)


def test_the_state_is_a_window_of_keys_and_values_and_holds_nothing_else():
    _, state = _build(20).prefill(*_inputs(300, torch.float32))
    # 19 places of 2 sequences: 2 key-value heads with a key and a value of 8, and one flag.
    assert state_bytes(state) == 2 * 19 * (2 * 16 * 4 + 1)
    held = sum(x.untyped_storage().nbytes() for x in state)
    assert held == state_bytes(state)


def _largest_tensor(time: int) -> int:
    """Numbers in the largest tensor that one forward and backward pass makes."""
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
            largest = max(largest, *sizes, 0)
            return out

    inputs = [x.requires_grad_() for x in _inputs(time, torch.float32)]
    with Watch():
        _build(16)(*inputs, causal=True).sum().backward()
    return largest


def test_no_tensor_grows_faster_than_time():
    assert _largest_tensor(2048) <= 2 * _largest_tensor(1024)
    assert _largest_tensor(2048) < 2048 * 2048


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="window must be at least 1, and it is 0"):
        _build(0)
