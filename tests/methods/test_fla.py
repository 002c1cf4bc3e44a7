"""The adapters to flash-linear-attention, on stand-ins for its kernels with the same signatures."""

import dataclasses
import sys

import pytest
import torch

from methods import (
    delta_rule,
    fla_delta_rule,
    fla_gated_linear_attention,
    fla_linear_attention,
    fla_retention,
    gated_linear_attention,
    linear_transformer,
    retention,
)
from methods.api import Heads, Method, MissingDependencyError, UnsupportedError
from methods.core.capabilities import missing_packages
from methods.core.delta_recurrence import delta_scan
from methods.core.fla import FlaKernel
from methods.core.gated_recurrence import gated_scan
from methods.core.multihead import build_mixer
from methods.core.scalar_decay import scalar_decay
from methods.core.testing import assert_method
from tests.fakes import fla

PAIRS = {
    adapter.METHOD.name: (adapter.METHOD, ours.METHOD)
    for adapter, ours in (
        (fla_gated_linear_attention, gated_linear_attention),
        (fla_delta_rule, delta_rule),
        (fla_retention, retention),
        (fla_linear_attention, linear_transformer),
    )
}
MIXERS = {name: pair for name, pair in PAIRS.items() if pair[0].mixer is not None}


def _on_a_processor(method: Method) -> Method:
    return dataclasses.replace(method, can=dataclasses.replace(method.can, devices=("cpu",)))


def _build(method: Method, **options):
    return build_mixer(
        method,
        d_model=10,
        qkv_dim=24,
        heads=Heads(num_heads=3, head_dim=8, num_kv_heads=3, max_time=64),
        causal=True,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


@pytest.mark.parametrize("name", PAIRS)
def test_an_adapter_keeps_the_contract_and_equals_its_namesake(name, monkeypatch):
    fla.install(monkeypatch)
    adapter, ours = PAIRS[name]
    assert adapter.same_as == ours.name
    assert_method(_on_a_processor(adapter), namesake=ours)


def _rows(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _scalar_decay(q, k, v, log_a, state):
    return scalar_decay(q, k, v, log_a, state=state)


@pytest.mark.parametrize("time", [1, 70])
def test_the_kernels_give_our_outputs_and_our_states_unscaled(time, monkeypatch):
    fla.install(monkeypatch)
    q, k, v = (_rows(2, 3, time, width).bfloat16() for width in (6, 6, 4))
    S, beta = _rows(2, 3, 6, 4), _rows(2, 3, time).sigmoid()
    log_gate = -_rows(2, 3, time, 6).square()
    k = torch.nn.functional.normalize(k, dim=-1)
    for name, gate, ours in (
        ("gla", log_gate, gated_scan),
        ("simple_gla", log_gate[..., 0], _scalar_decay),
        ("delta_rule", beta.bfloat16(), delta_scan),
    ):
        o, state = FlaKernel("a test", name)(q, k, v, gate, state=S)
        due, due_state = ours(q, k, v, gate, S)
        torch.testing.assert_close(o, due, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(state, due_state, rtol=1e-4, atol=1e-4)


def test_keys_padded_anywhere_are_as_good_as_absent_in_linear_attention(monkeypatch):
    fla.install(monkeypatch)
    heads = Heads(num_heads=3, head_dim=5, num_kv_heads=3, max_time=64)
    q, k, v = (_rows(1, 3, 9, width) for width in (5, 5, 4))
    live = torch.tensor([False, True, True, False, True, False, True, True, False])
    run = fla_linear_attention.FlaLinearAttention(heads, torch.Generator())
    o = run(q, k, v, causal=True, key_padding=~live[None])
    due = run(*(x[:, :, live] for x in (q, k, v)), causal=True)
    torch.testing.assert_close(o[:, :, live], due)


@pytest.mark.parametrize("name", MIXERS)
def test_a_single_token_goes_through_the_kernel_for_decoding(name, monkeypatch):
    called = fla.install(monkeypatch)
    mixer = _build(_on_a_processor(MIXERS[name][0])).to(torch.bfloat16)
    x = torch.ones(1, 4, 10, dtype=torch.bfloat16)
    _, state = mixer.prefill(x)
    mixer.step(x[:, :1], state)
    assert [kernel.partition("_")[0] for kernel in called] == ["chunk", "fused"]


@pytest.mark.parametrize("name", MIXERS)
def test_an_adapter_has_its_namesakes_options_and_weights(name, monkeypatch):
    fla.install(monkeypatch)
    adapter, ours = MIXERS[name]
    assert adapter.options == ours.options
    found, due = (_build(method).state_dict() for method in (adapter, ours))
    assert found.keys() == due.keys()
    assert all(torch.equal(found[key], due[key]) for key in found)


def test_retention_hands_over_its_chunk_and_refuses_one_that_the_kernel_would(monkeypatch):
    fla.install(monkeypatch)
    seen = []
    kernel = sys.modules["fla.ops.simple_gla"].chunk_simple_gla

    def spy(*args, chunk_size, **kwargs):
        seen.append(chunk_size)
        return kernel(*args, chunk_size=chunk_size, **kwargs)

    monkeypatch.setattr(sys.modules["fla.ops.simple_gla"], "chunk_simple_gla", spy)
    method = _on_a_processor(fla_retention.METHOD)
    _build(method, chunk=32)(torch.ones(1, 4, 10))
    assert seen == [32]
    for chunk in (8, 48):
        with pytest.raises(ValueError, match=f"a power of two from 16 on.*, and it is {chunk}"):
            _build(method, chunk=chunk)


@pytest.mark.parametrize("name", PAIRS)
def test_without_a_gpu_an_adapter_is_refused_with_a_sentence(name, monkeypatch):
    fla.install(monkeypatch)
    mixer = _build(PAIRS[name][0]).to(torch.bfloat16)
    with pytest.raises(UnsupportedError, match=f"{name} does not run on cpu"):
        mixer(torch.ones(1, 4, 10, dtype=torch.bfloat16))


@pytest.mark.parametrize("name", PAIRS)
def test_without_the_package_an_adapter_says_how_to_install_it(name):
    adapter = PAIRS[name][0]
    if not missing_packages(adapter):
        pytest.skip("flash-linear-attention and triton are installed here")
    with pytest.raises(MissingDependencyError, match="pip install flash-linear-attention"):
        _build(adapter)
