"""Mamba against the block written out, and against two other people's implementations."""

import importlib.util
import itertools
import math
import sys
import types

import pytest
import torch
from torch.nn.functional import silu, softplus

from methods.api import Heads, UnsupportedError
from methods.core.weights import LARGEST_STEP, SMALLEST_STEP
from methods.mamba import METHOD, Mamba
from methods.mamba_fused import METHOD as FUSED
from methods.mamba_fused import MambaFused
from methods.mamba_transformers import MambaTransformers
from methods.mambapy import MambaPy
from tests.methods.recurrences import require_same_gradients, selective

OTHERS = [(MambaPy, "mambapy"), (MambaTransformers, "transformers")]
HEADS = Heads(num_heads=2, head_dim=4, num_kv_heads=2, max_time=64)


def build(cls=Mamba, *, causal=True, dtype=torch.float64, d_model=20, **options):
    generator = torch.Generator().manual_seed(5)
    return cls(d_model, HEADS, generator, causal=causal, **options).to(dtype)


def tokens(batch, time, d_model=20, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, time, d_model, generator=generator, dtype=dtype)


def written_out(w, x):
    """The whole mixer, one token and one tap of the filter at a time."""
    inner, gate = (x @ w.in_proj.weight.T).chunk(2, -1)
    taps = w.conv1d.weight[:, 0]
    mixed = []
    for t in range(x.shape[1]):
        past = [(j, t - j) for j in range(taps.shape[1]) if t >= j]
        seen = sum(inner[:, s] * taps[:, taps.shape[1] - 1 - j] for j, s in past)
        mixed.append(silu(seen + w.conv1d.bias))
    u = torch.stack(mixed, 1)
    step, B, C = (u @ w.x_proj.weight.T).split([w.dt_rank, w.state_size, w.state_size], -1)
    dt = torch.log1p(torch.exp(step @ w.dt_proj.weight.T + w.dt_proj.bias))
    y, _ = selective(u, dt, -torch.exp(w.A_log), B, C, w.D)
    return (y * gate * torch.sigmoid(gate)) @ w.out_proj.weight.T


@pytest.mark.parametrize("options", [{}, {"state_size": 5, "expand": 3, "conv_width": 1}])
def test_the_mixer_is_the_papers_block_written_out(options):
    mixer = build(**options)
    parameters = dict(mixer.weights.named_parameters())
    require_same_gradients(
        (mixer, parameters),
        (lambda x: written_out(mixer.weights, x), parameters),
        tokens(2, 39),
        1e-10,
    )


@pytest.mark.parametrize(("cls", "package"), OTHERS)
@pytest.mark.parametrize("options", [{}, {"state_size": 5, "expand": 3, "dt_rank": 7}])
def test_forward_and_all_gradients_are_those_of_other_implementations(cls, package, options):
    pytest.importorskip(package)
    ours, adapter = build(**options), build(cls, **options)
    named = [dict(m.named_parameters()) for m in (ours.weights, adapter.theirs)]
    assert named[0].keys() == named[1].keys()
    # Theirs keep A in float32 whatever comes.
    require_same_gradients(
        (ours, named[0]), (adapter, {n: named[1][n] for n in named[0]}), tokens(2, 37), 1e-6
    )


def test_the_first_weights_are_those_of_the_paper():
    w = build(dtype=torch.float32, d_model=40).weights
    assert w.dt_rank == math.ceil(40 / 16)
    torch.testing.assert_close(w.transition(), -torch.arange(1.0, 17).repeat(80, 1))
    assert (w.D == 1).all()
    dt = softplus(w.dt_proj.bias)
    assert SMALLEST_STEP * 0.999 <= dt.min() < 2 * SMALLEST_STEP
    assert LARGEST_STEP / 2 < dt.max() <= LARGEST_STEP * 1.001
    assert (w.dt_proj.weight.abs() <= w.dt_rank**-0.5).all()


@pytest.mark.parametrize("name", ["state_size", "expand", "conv_width", "dt_rank"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, and it is 0"):
        build(**{name: 0})


PADDING = torch.tensor([[0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]]).bool()


def test_a_state_after_padding_is_the_state_after_the_last_live_token():
    mixer, x, more = build(), tokens(3, 7), tokens(3, 4, seed=2)
    y, state = mixer.prefill(x, key_padding=PADDING)
    later, _ = mixer.step(more, state)
    for row, padded in enumerate(PADDING):
        live = x[row : row + 1, ~padded]
        whole = mixer(torch.cat([live, more[row : row + 1]], 1))[0]
        torch.testing.assert_close(y[row, ~padded], whole[: live.shape[1]])
        torch.testing.assert_close(later[row], whole[live.shape[1] :])


def test_both_directions_share_their_weights():
    x = tokens(2, 9)
    causal = build()
    torch.testing.assert_close(build(causal=False)(x), (causal(x) + causal(x.flip(1)).flip(1)) / 2)


@pytest.mark.parametrize(("cls", "package"), OTHERS)
def test_an_implementation_that_cannot_leave_padding_out_of_a_state_refuses(cls, package):
    pytest.importorskip(package)
    with pytest.raises(UnsupportedError, match="cannot leave padded tokens out of a state"):
        build(cls).prefill(tokens(3, 7), key_padding=PADDING)


def test_the_plain_path_of_transformers_is_refused_where_it_would_take_kernels(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "mamba_ssm" or find(name))
    with pytest.raises(UnsupportedError, match="would run the kernels of mamba_ssm"):
        build(MambaTransformers)


def selective_scan_fn(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    delta_softplus=False,
    return_last_state=False,
):
    """What mamba-ssm's function of this name and signature says of itself, on a processor."""
    assert all(part.stride(-1) == 1 for part in (u, delta, B, C, z))
    assert {part.dtype for part in (A, D, delta_bias)} == {torch.float32}
    assert {part.dtype for part in (u, delta, B, C, z)} == {u.dtype}
    assert delta_softplus
    assert return_last_state
    dt = softplus(delta.float() + delta_bias[:, None])
    x, dt, B, C, z = (part.float().transpose(1, 2) for part in (u, dt, B, C, z))
    y, last = selective(x, dt, A, B, C, D)
    return (y * silu(z)).transpose(1, 2).to(u.dtype), last


def selective_state_update(
    state, x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False, state_batch_indices=None
):
    """The same of one step: the state is written to."""
    assert dt_softplus
    assert state_batch_indices is None
    dt = softplus(dt.float() + dt_bias)[:, None]
    y, last = selective(x[:, None].float(), dt, A, B[:, None].float(), C[:, None], D, state)
    state.copy_(last)
    return (y[:, 0] * silu(z)).to(x.dtype)


@pytest.fixture
def mamba_ssm(monkeypatch):
    parts = {
        "ops.selective_scan_interface": {"selective_scan_fn": selective_scan_fn},
        "ops.triton.selective_state_update": {"selective_state_update": selective_state_update},
    }
    for path, contents in parts.items():
        names = ("mamba_ssm", *(f"mamba_ssm.{part}" for part in _prefixes(path)))
        for name in names:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        for name, function in contents.items():
            monkeypatch.setattr(sys.modules[names[-1]], name, function, raising=False)


def _prefixes(path):
    return itertools.accumulate(path.split("."), "{}.{}".format)


@pytest.mark.parametrize("causal", [True, False])
def test_the_fused_scan_fits_into_the_mixer(mamba_ssm, causal):
    ours, fused = (build(cls, dtype=torch.float32, causal=causal) for cls in (Mamba, MambaFused))
    named = dict(ours.named_parameters()), dict(fused.named_parameters())
    require_same_gradients((fused, named[1]), (ours, named[0]), tokens(2, 33).float(), 1e-4)


def test_the_fused_scan_goes_on_from_a_state_that_it_leaves_alone(mamba_ssm):
    ours, fused = (build(cls, dtype=torch.float32) for cls in (Mamba, MambaFused))
    x, more = tokens(3, 7).float(), tokens(3, 4, seed=2).float()
    y, state = fused.prefill(x, key_padding=PADDING)
    expected, other = ours.prefill(x, key_padding=PADDING)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, other)
    kept = state.h.clone()
    torch.testing.assert_close(fused.step(more, state), ours.step(more, other))
    assert torch.equal(state.h, kept)


def test_the_fused_scan_runs_in_bfloat16_with_its_constants_in_float32(mamba_ssm):
    ours, fused = (build(cls, dtype=torch.bfloat16) for cls in (Mamba, MambaFused))
    x = tokens(2, 33).bfloat16()
    apart = (fused(x) - ours(x)).float().norm() / ours(x).float().norm()
    assert apart < 0.02


def test_the_fused_scan_asks_for_a_gpu_and_the_plain_one_for_nothing():
    assert FUSED.can.devices == ("cuda",)
    assert not METHOD.can.packages
