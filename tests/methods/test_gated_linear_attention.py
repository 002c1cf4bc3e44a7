"""Gated linear attention: chunks against the recurrence token by token, gates of any size."""

import pytest
import torch
from torch import Tensor

from methods.api import Heads
from methods.core import segments
from methods.core.gated_recurrence import CHUNK, gated_scan
from methods.gated_linear_attention import METHOD, GatedLinearAttention

HEADS = Heads(num_heads=3, head_dim=5, num_kv_heads=3, max_time=64)
GATES = {
    "near one": (-1e-6, -1e-3),
    "as at first": (-0.3, -0.01),
    "near zero": (-300.0, -20.0),
    "of every size": (-1e4, 0.0),
}
"""Ranges of log gates."""


def _token_by_token(q, k, v, log_gate, state=None):
    """Equation 3 as it stands, in float64."""
    q, k, v, log_gate = (x.double().unbind(2) for x in (q, k, v, log_gate))
    S = 0.0 if state is None else state.double()
    outputs = []
    for q_t, k_t, v_t, g_t in zip(q, k, v, log_gate, strict=True):
        S = g_t.exp()[..., None] * S + k_t[..., None] * v_t[..., None, :]
        outputs.append((q_t[..., None] * S).sum(-2))
    return torch.stack(outputs, 2), S


def _inputs(time: int, gates: str = "as at first", *, seed: int = 0) -> list[Tensor]:
    """Queries, keys, values (of another width) and log gates, in float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 3, time, 5), (2, 3, time, 5), (2, 3, time, 4)]
    drawn = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    low, high = GATES[gates]
    share = torch.rand(shapes[0], generator=generator, dtype=torch.float64)
    # Most gates of a range that spans sizes lie near its upper end.
    return [*drawn, low * share**8 if high == 0 else low + (high - low) * share]


def _state(seed: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)


def _with_gradients(scan, inputs: list[Tensor], state: Tensor) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in (*inputs, state)]
    o, S = scan(*leaves)
    return [o, S, *torch.autograd.grad(o.square().sum() + S.sin().sum(), leaves)]


@pytest.mark.parametrize("gates", GATES)
@pytest.mark.parametrize("time", [1, 2, 7, CHUNK - 1, CHUNK, CHUNK + 1, 161])
def test_chunks_and_their_gradients_are_those_of_the_recurrence(time, gates):
    found = _with_gradients(gated_scan, _inputs(time, gates), _state())
    due = _with_gradients(_token_by_token, _inputs(time, gates), _state())
    torch.testing.assert_close(found, due, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gates", GATES)
def test_float32_loses_no_digits_to_a_gate_that_is_nearly_shut(gates):
    inputs = _inputs(161, gates)
    single = [x.float() for x in inputs]
    o, _ = gated_scan(*single)
    due, _ = _token_by_token(*single)
    torch.testing.assert_close(o.double(), due, rtol=1e-5, atol=2e-5)


def test_a_shut_gate_beside_open_ones_costs_them_no_digits():
    q, k, v, log_gate = (x.float() for x in _inputs(CHUNK, "near one"))
    log_gate[:, :, 20] = -1e6
    # Nothing passes the shut gate; what is gated after it is exact all the same.
    o, _ = gated_scan(q, k, v, log_gate)
    due, _ = _token_by_token(q, k, v, log_gate)
    alone, _ = gated_scan(q[:, :, 20:], k[:, :, 20:], v[:, :, 20:], log_gate[:, :, 20:])
    torch.testing.assert_close(o.double(), due, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(o[:, :, 20:], alone, rtol=1e-5, atol=1e-5)


def test_segments_change_neither_the_outputs_nor_the_gradients(monkeypatch):
    due = _with_gradients(gated_scan, _inputs(161), _state())
    monkeypatch.setattr(segments, "SEGMENT", 50)
    found = _with_gradients(gated_scan, _inputs(161), _state())
    torch.testing.assert_close(found, due, rtol=1e-12, atol=1e-12)


def test_without_gradients_segments_give_the_same(monkeypatch):
    due = gated_scan(*_inputs(161))
    monkeypatch.setattr(segments, "SEGMENT", 50)
    with torch.no_grad():
        torch.testing.assert_close(gated_scan(*_inputs(161)), due, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_summed_up_in_float32(dtype):
    inputs = [x.to(dtype) for x in _inputs(300, "near one")]
    o, state = gated_scan(*inputs)
    due, due_state = _token_by_token(*inputs)
    assert (o.dtype, state.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(state.double(), due_state, rtol=1e-4, atol=1e-4)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(o.double(), due, rtol=eps, atol=1e-4)


def test_the_gate_is_the_root_of_a_sigmoid():
    seen = []

    class Spy(GatedLinearAttention):
        def scan(self, q, k, v, log_gate, state):
            seen.append(log_gate)
            return super().scan(q, k, v, log_gate, state)

    mixer = Spy(7, HEADS, torch.Generator().manual_seed(0), causal=True, temperature=4.0)
    x = torch.randn(1, 3, 7, generator=torch.Generator().manual_seed(1))
    mixer(x)
    logits = x @ mixer.gate_down.weight.T @ mixer.gate_up.weight.T + mixer.gate_up.bias
    due = torch.sigmoid(logits) ** (1 / 4.0)
    torch.testing.assert_close(seen[0].exp().transpose(1, 2).flatten(2), due)


def test_a_prefill_with_padding_leaves_the_state_after_the_last_live_token():
    mixer = GatedLinearAttention(7, HEADS, torch.Generator().manual_seed(0), causal=True)
    x = torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(1))
    padding = torch.tensor([[False] * 9, [False, True] * 4 + [True]])
    y, state = mixer.prefill(x, key_padding=padding)
    alone, due = mixer.prefill(x[1:, ~padding[1]])
    torch.testing.assert_close(state[1:], due)
    torch.testing.assert_close(y[1:, ~padding[1]], alone)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate_rank": 0}, "gate_rank must be at least 1, and it is 0"),
        ({"temperature": 0.0}, "temperature must be positive, and it is 0"),
        ({"temperature": float("nan")}, "temperature must be positive, and it is nan"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        METHOD.mixer(7, HEADS, torch.Generator(), causal=True, **options)
