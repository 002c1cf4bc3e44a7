"""Mamba-2 against the block written out, and against other people's implementation."""

import dataclasses
import importlib.util
import itertools
import logging
import sys
import types

import pytest
import torch
from torch.nn.functional import silu, softplus

from methods.api import Heads, UnsupportedError
from methods.core.mamba2 import NORM_EPSILON
from methods.core.testing import assert_method
from methods.core.weights import LARGEST_STEP, SMALLEST_STEP
from methods.mamba2 import METHOD, Mamba2
from methods.mamba2_fused import METHOD as FUSED
from methods.mamba2_fused import Mamba2Fused
from methods.mamba2_transformers import Mamba2Transformers
from tests.methods.recurrences import require_same_gradients

HEADS = Heads(num_heads=2, head_dim=4, num_kv_heads=2, max_time=64)
GROUPS = {"state_size": 5, "expand": 3, "head_dim": 4, "num_groups": 3, "conv_width": 2}


def build(cls=Mamba2, *, causal=True, dtype=torch.float64, d_model=20, **options):
    generator = torch.Generator().manual_seed(5)
    return cls(d_model, HEADS, generator, causal=causal, **options).to(dtype)


def tokens(batch, time, d_model=20, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, time, d_model, generator=generator, dtype=torch.float64).to(dtype)


def scanned(x, dt, A, B, C, D, state=None):
    """The state space a token at a time: x `[b t h p]`, dt `[b t h]`, B and C `[b t g n]`, and the
    state `[b h n p]`."""
    shared = x.shape[2] // B.shape[2]
    S = x.new_zeros(len(x), x.shape[2], B.shape[-1], x.shape[-1]) if state is None else state
    outputs = []
    for x_t, dt_t, B_t, C_t in zip(*(part.unbind(1) for part in (x, dt, B, C)), strict=True):
        B_t, C_t = (y.repeat_interleave(shared, 1) for y in (B_t, C_t))
        S = torch.exp(dt_t * A)[..., None, None] * S + (
            B_t[..., None] * (dt_t[..., None] * x_t)[..., None, :]
        )
        outputs.append((C_t[..., None] * S).sum(-2) + D[:, None] * x_t)
    return torch.stack(outputs, 1), S


def written_out(w, x):
    """The whole mixer, one token and one tap of the filter at a time."""
    gate, inner, step = (x @ w.in_proj.weight.T).split([w.inner, w.conv_dim, w.num_heads], -1)
    taps = w.conv1d.weight[:, 0]
    mixed = []
    for t in range(x.shape[1]):
        past = [(j, t - j) for j in range(taps.shape[1]) if t >= j]
        seen = sum(inner[:, s] * taps[:, taps.shape[1] - 1 - j] for j, s in past)
        mixed.append(silu(seen + w.conv1d.bias))
    shared = w.num_groups * w.state_size
    u, B, C = torch.stack(mixed, 1).split([w.inner, shared, shared], -1)
    B, C = (y.unflatten(-1, (w.num_groups, -1)) for y in (B, C))
    dt = torch.log1p(torch.exp(step + w.dt_bias))
    y, _ = scanned(u.unflatten(-1, (w.num_heads, -1)), dt, -torch.exp(w.A_log), B, C, w.D)
    gated = (y.flatten(2) * gate * torch.sigmoid(gate)).chunk(w.num_groups, -1)
    rms = [part / (part.square().mean(-1, keepdim=True) + NORM_EPSILON).sqrt() for part in gated]
    return (torch.cat(rms, -1) * w.norm.weight) @ w.out_proj.weight.T


@pytest.mark.parametrize("options", [{}, GROUPS, {"chunk": 7}])
def test_the_mixer_is_the_papers_block_written_out(options):
    mixer = build(**options)
    parameters = dict(mixer.weights.named_parameters())
    require_same_gradients(
        (mixer, parameters),
        (lambda x: written_out(mixer.weights, x), parameters),
        tokens(2, 70),
        1e-10,
    )


@pytest.fixture
def transformers_in_float64(monkeypatch):
    """Their code casts to float32 by name; here that name means float64."""
    modeling = pytest.importorskip("transformers.models.mamba2.modeling_mamba2")
    wide = types.SimpleNamespace(**{**vars(torch), "float32": torch.float64})
    monkeypatch.setattr(modeling, "torch", wide)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


@pytest.mark.parametrize("options", [{}, GROUPS, {"chunk": 16}])
def test_forward_and_all_gradients_are_those_of_transformers(transformers_in_float64, options):
    ours, theirs = build(**options), build(Mamba2Transformers, **options)
    named = [dict(m.named_parameters()) for m in (ours.weights, theirs.theirs)]
    assert named[0].keys() == named[1].keys()
    require_same_gradients(
        (ours, named[0]), (theirs, {n: named[1][n] for n in named[0]}), tokens(2, 70), 1e-10
    )


def test_transformers_is_given_its_own_default_chunk():
    pytest.importorskip("transformers")
    assert build(Mamba2Transformers).theirs.chunk_size == 256
    assert build(Mamba2Transformers, chunk=32).theirs.chunk_size == 32
    assert build().chunk == 64


def test_transformers_says_nothing(monkeypatch):
    said = pytest.importorskip("transformers.utils.logging").warning_once
    records = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    logging.getLogger("transformers").addHandler(handler)
    # What it says once it may have said before.
    said.cache_clear()
    build(Mamba2Transformers)(tokens(1, 3))
    logging.getLogger("transformers").removeHandler(handler)
    assert not records


def test_the_plain_path_of_transformers_is_refused_where_it_would_take_kernels(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "mamba_ssm" or find(name))
    with pytest.raises(UnsupportedError, match="would run the kernels of mamba_ssm"):
        build(Mamba2Transformers)


def test_the_first_weights_are_those_of_the_authors():
    w = build(dtype=torch.float32, d_model=320).weights
    assert (w.num_heads, w.head_dim, w.conv_dim) == (10, 64, 2 * 320 + 2 * 64)
    A = w.transition()
    assert -16 <= A.min() < A.max() <= -1
    assert (w.D == 1).all()
    dt = softplus(w.dt_bias)
    assert SMALLEST_STEP * 0.999 <= dt.min() < dt.max() <= LARGEST_STEP * 1.001


def test_heads_are_as_wide_as_divides_the_width():
    w = build(d_model=24).weights
    assert (w.num_heads, w.head_dim) == (3, 16)


@pytest.mark.parametrize(
    "name", ["state_size", "expand", "head_dim", "conv_width", "num_groups", "chunk"]
)
def test_a_size_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, and it is 0"):
        build(**{name: 0})


def test_groups_that_do_not_divide_the_heads_are_refused():
    with pytest.raises(ValueError, match="num_groups is 2, which does not divide the 5 heads"):
        build(head_dim=8, num_groups=2)


def test_a_filter_of_the_current_token_alone_keeps_the_contract():
    laws = ["segments-equal-whole", "padding-as-good-as-absent", "gradients-finite"]
    assert_method(METHOD, options={"conv_width": 1}, laws=laws)


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


def mamba_chunk_scan_combined(
    x,
    dt,
    A,
    B,
    C,
    chunk_size,
    D=None,
    z=None,
    dt_bias=None,
    initial_states=None,
    seq_idx=None,
    cu_seqlens=None,
    dt_softplus=False,
    dt_limit=(0.0, float("inf")),
    return_final_states=False,
    return_varlen_states=False,
):
    """What mamba-ssm's function of this name and signature says of itself, on a processor."""
    b, t, h, p = x.shape
    n = B.shape[-1]
    assert dt.shape == (b, t, h)
    assert A.shape == D.shape == dt_bias.shape == (h,)
    assert A.dtype == torch.float32
    assert B.shape == C.shape == (b, t, B.shape[2], n)
    assert {part.dtype for part in (B, C)} == {x.dtype}
    assert chunk_size == 256
    assert dt_softplus
    assert return_final_states
    first = None
    if initial_states is not None:
        assert initial_states.shape == (b, h, p, n)
        assert initial_states.is_contiguous()
        first = initial_states.mT
    dt = softplus(dt.float() + dt_bias.float())
    y, last = scanned(x.float(), dt, A, B.float(), C.float(), D.float(), first)
    return y.to(x.dtype), last.mT.contiguous()


@pytest.fixture
def mamba_ssm(monkeypatch):
    parts = ("mamba_ssm", "ops", "triton", "ssd_combined")
    paths = [*itertools.accumulate(parts, "{}.{}".format)]
    for path in paths:
        monkeypatch.setitem(sys.modules, path, types.ModuleType(path))
    module = sys.modules[paths[-1]]
    monkeypatch.setattr(
        module, "mamba_chunk_scan_combined", mamba_chunk_scan_combined, raising=False
    )


def test_the_fused_scan_keeps_the_contract_and_equals_ours(mamba_ssm):
    can = dataclasses.replace(FUSED.can, devices=("cpu",), packages=())
    laws = ["equals-namesake", "segments-equal-whole", "low-precision-is-close"]
    assert_method(dataclasses.replace(FUSED, can=can), namesake=METHOD, laws=laws)


def test_the_fused_scan_goes_on_from_a_state(mamba_ssm):
    ours, fused = (build(cls, dtype=torch.float32, **GROUPS) for cls in (Mamba2, Mamba2Fused))
    x, more = tokens(3, 7).float(), tokens(3, 4, seed=2).float()
    _, state = fused.prefill(x, key_padding=PADDING)
    _, other = ours.prefill(x, key_padding=PADDING)
    torch.testing.assert_close(state, other)
    torch.testing.assert_close(fused.step(more, state), ours.step(more, other))


def test_the_fused_scan_asks_for_a_gpu_and_the_plain_one_for_nothing():
    assert FUSED.can.devices == ("cuda",)
    assert not METHOD.can.packages
