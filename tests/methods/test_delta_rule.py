"""The delta rule: chunks against the recurrence token by token, and the mixer around it."""

import pytest
import torch
from torch import Tensor

from methods.api import Heads
from methods.core import segments
from methods.core.delta_recurrence import CHUNK, delta_scan
from methods.delta_rule import METHOD, DeltaRule

HEADS = Heads(num_heads=3, head_dim=5, num_kv_heads=3, max_time=64)


def _token_by_token(q, k, v, beta, state):
    """The recurrence as it stands, in float64."""
    q, k, v, beta = (x.double().unbind(2) for x in (q, k, v, beta))
    S = state.double()
    outputs = []
    for q_t, k_t, v_t, b_t in zip(q, k, v, beta, strict=True):
        old = (k_t[..., None] * S).sum(-2)
        S = S + k_t[..., None] * (b_t[..., None] * (v_t - old))[..., None, :]
        outputs.append((q_t[..., None] * S).sum(-2))
    return torch.stack(outputs, 2), S


def _inputs(time: int, *, betas: tuple[float, float] = (0.0, 1.0), alike: float = 0.0):
    """Queries, keys of norm one, values of another width, and betas, in float64.

    The larger `alike`, the more do the keys resemble one another.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, time, 5), (2, 3, time, 5), (2, 3, time, 4)]
    q, k, v = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    k = torch.nn.functional.normalize(k + alike, dim=-1)
    low, high = betas
    share = torch.rand(2, 3, time, generator=generator, dtype=torch.float64)
    return [q, k, v, low + (high - low) * share]


def _state() -> Tensor:
    generator = torch.Generator().manual_seed(9)
    return torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)


def _with_gradients(scan, inputs: list[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in (*inputs, _state())]
    o, S = scan(*leaves)
    return [o, S, *torch.autograd.grad(o.square().sum() + S.sin().sum(), leaves)]


@pytest.mark.parametrize("betas", [(0.0, 1e-3), (0.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("time", [1, 2, 7, CHUNK - 1, CHUNK, CHUNK + 1, 161])
def test_chunks_and_their_gradients_are_those_of_the_recurrence(time, betas):
    inputs = _inputs(time, betas=betas)
    found, due = (_with_gradients(scan, inputs) for scan in (delta_scan, _token_by_token))
    torch.testing.assert_close(found, due, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alike", [0.0, 3.0, 1e4])
def test_float32_stays_exact_for_keys_that_hardly_differ(alike):
    inputs = [x.float() for x in _inputs(300, betas=(0.9, 1.0), alike=alike)]
    o, state = delta_scan(*inputs, _state().float())
    due, due_state = _token_by_token(*inputs, _state().float())
    torch.testing.assert_close(o.double(), due, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state.double(), due_state, rtol=1e-4, atol=1e-4)


def test_a_value_written_with_beta_one_is_read_back_whatever_stood_there():
    _, k, v, beta = _inputs(40, betas=(1.0, 1.0))
    o, _ = delta_scan(k, k, v, beta, 100 * _state())
    torch.testing.assert_close(o, v, rtol=1e-9, atol=1e-9)


def test_segments_change_neither_the_outputs_nor_the_gradients(monkeypatch):
    due = _with_gradients(delta_scan, _inputs(161))
    monkeypatch.setattr(segments, "SEGMENT", 50)
    found = _with_gradients(delta_scan, _inputs(161))
    torch.testing.assert_close(found, due, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_summed_up_in_float32(dtype):
    inputs = [x.to(dtype) for x in _inputs(300)]
    o, state = delta_scan(*inputs)
    due, due_state = _token_by_token(*inputs, torch.zeros(2, 3, 5, 4))
    assert (o.dtype, state.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(state.double(), due_state, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(o.double(), due, rtol=torch.finfo(dtype).eps, atol=1e-4)


def test_queries_and_keys_have_norm_one_and_betas_lie_between_zero_and_one():
    seen = []

    class Spy(DeltaRule):
        def scan(self, q, k, v, beta, S):
            seen.extend([q, k, beta])
            return super().scan(q, k, v, beta, S)

    x = 3 * torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(1))
    Spy(7, HEADS, torch.Generator().manual_seed(0), causal=True)(x)
    q, k, beta = seen
    torch.testing.assert_close(q.norm(dim=-1), torch.ones(2, 3, 9), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(k.norm(dim=-1), torch.ones(2, 3, 9), rtol=1e-3, atol=1e-3)
    assert beta.shape == (2, 3, 9)
    assert 0 < beta.min() < 0.5 < beta.max() < 1


@pytest.mark.parametrize("conv_width", [0, 1, 4])
def test_a_prefill_with_padding_leaves_the_state_after_the_last_live_token(conv_width):
    mixer = DeltaRule(
        7, HEADS, torch.Generator().manual_seed(0), causal=True, conv_width=conv_width
    )
    x = torch.randn(3, 9, 7, generator=torch.Generator().manual_seed(1))
    padding = torch.tensor([[False] * 9, [False, True] * 4 + [True], [True] * 8 + [False]])
    y, state = mixer.prefill(x, key_padding=padding)
    for row in range(3):
        live = ~padding[row]
        alone, due = mixer.prefill(x[row : row + 1, live])
        torch.testing.assert_close(y[row : row + 1, live], alone)
        for part, part_due in zip(state, due, strict=True):
            torch.testing.assert_close(part[row : row + 1], part_due)


def test_a_negative_width_is_refused():
    with pytest.raises(ValueError, match="conv_width must not be negative, and it is -1"):
        METHOD.mixer(7, HEADS, torch.Generator(), causal=True, conv_width=-1)
