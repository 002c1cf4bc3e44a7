"""Retention against its parallel form in float64."""

import pytest
import torch
from torch.nn.functional import silu

from methods.api import Heads
from methods.retention import METHOD, Retention


def build(*, causal=True, dtype=torch.float64, num_heads=3, head_dim=6, **options):
    heads = Heads(num_heads=num_heads, head_dim=head_dim, num_kv_heads=num_heads, max_time=512)
    generator = torch.Generator().manual_seed(5)
    mixer = Retention(20, heads, generator, causal=causal, **options).to(dtype)
    with torch.no_grad():
        # So that a test sees them.
        mixer.norm_weight += torch.linspace(0, 1, len(mixer.norm_weight))
        mixer.norm_bias += torch.linspace(-1, 1, len(mixer.norm_bias))
    return mixer


def tokens(batch, time, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, time, 20, generator=generator, dtype=torch.float64).to(dtype)


def parallel(mixer, x):
    """Equations 5 and 8 with complex numbers, one head at a time: (Q K^T * D) V for all times."""
    num_heads, d = mixer.heads.num_heads, mixer.heads.head_dim
    time = torch.arange(x.shape[1], dtype=torch.float64)
    apart = time[:, None] - time
    angle = 10000.0 ** -torch.linspace(0, 1, d // 2, dtype=torch.float64)
    theta = torch.exp(1j * time[:, None] * angle)
    heads = []
    projected = (p(x).chunk(num_heads, -1) for p in (mixer.q_proj, mixer.k_proj, mixer.v_proj))
    for h, (q, k, v) in enumerate(zip(*projected, strict=True)):
        gamma = 1 - 2.0 ** (-5 - h)
        turned = (torch.complex(y[..., : d // 2], y[..., d // 2 : d // 2 * 2]) for y in (q, k))
        turned_q, turned_k = (y * theta for y in turned)
        scores = (turned_q @ turned_k.mT.conj()).real
        if d % 2:
            scores = scores + q[..., -1:] * k[..., -1:].mT
        decay = torch.where(apart >= 0, gamma ** apart.clamp(min=0), 0.0)
        o = (scores / d**0.5 * decay) @ v
        centred = o - o.mean(-1, keepdim=True)
        heads.append(centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt())
    normed = torch.cat(heads, -1) * mixer.norm_weight + mixer.norm_bias
    return mixer.o_proj(silu(mixer.g_proj(x)) * normed)


@pytest.mark.parametrize("options", [{}, {"head_dim": 7, "value_factor": 1}, {"chunk": 16}])
def test_outputs_and_all_gradients_are_those_of_the_parallel_form(options):
    mixer = build(**options)
    results = []
    for forward in (mixer, lambda x: parallel(mixer, x)):
        x = tokens(2, 133).requires_grad_()
        o = forward(x)
        weight = torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o)
        results.append([o, *torch.autograd.grad(o, [x, *mixer.parameters()], weight)])
    for actual, expected in zip(*results, strict=True):
        assert (actual - expected).abs().max() < 1e-10 * expected.abs().max()


def test_float32_is_close_far_from_the_start():
    mixer = build()
    x = tokens(1, 40)
    _, state = mixer.prefill(x)
    far = state._replace(time=state.time + 1_000_000, sums=torch.zeros_like(state.sums))
    near = state._replace(time=state.time * 0, sums=torch.zeros_like(state.sums))
    expected, _ = mixer.step(x, near)
    actual, _ = mixer.float().step(x.float(), far._replace(sums=far.sums.float()))
    assert (actual.double() - expected).abs().max() < 1e-4 * expected.abs().max()


PADDING = torch.tensor([[0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]]).bool()


def test_a_state_after_padding_is_the_state_after_the_last_live_token():
    mixer, x, more = build(), tokens(3, 7), tokens(3, 4, seed=2)
    y, state = mixer.prefill(x, key_padding=PADDING)
    assert state.time.tolist() == [7, 3, 0]
    later, _ = mixer.step(more, state)
    for row, padded in enumerate(PADDING):
        live = x[row : row + 1, ~padded]
        whole = mixer(torch.cat([live, more[row : row + 1]], 1))[0]
        torch.testing.assert_close(y[row, ~padded], whole[: live.shape[1]])
        torch.testing.assert_close(later[row], whole[live.shape[1] :])


def test_both_directions_share_their_weights():
    x, causal = tokens(2, 9), build()
    torch.testing.assert_close(build(causal=False)(x), (causal(x) + causal(x.flip(1)).flip(1)) / 2)


@pytest.mark.parametrize("name", ["value_factor", "chunk"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, and it is 0"):
        build(**{name: 0})


def test_the_options_are_those_of_the_paper():
    assert {name: option.default for name, option in METHOD.options.items()} == {
        "value_factor": 2,
        "chunk": 64,
    }
