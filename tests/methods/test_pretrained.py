"""Laws of the swap: softmax changes nothing, nothing leaks, and it can be undone."""

import copy

import pytest
import torch

from methods.api import Capabilities, Method
from methods.core.pretrained import (
    attention_parameters,
    method_parameters,
    restore_attention,
    swap_attention,
)
from methods.core.pretrained_interface import NAME, padding_mask
from tests.fakes.pretrained import (
    DARKFORMER,
    KINDS,
    LENGTH,
    PERFORMER,
    SOFTMAX,
    WINDOW,
    logits,
    named,
    padded,
    swapped,
    text,
    tiny,
)

pytest.importorskip("transformers")

KIND = pytest.mark.parametrize("kind", KINDS)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""float32 through three layers whose weights are large."""


@KIND
@pytest.mark.parametrize("name", ["softmax", "sdpa"])
def test_softmax_swapped_in_is_the_model_itself_with_padding_too(kind, name):
    ids = text()
    mask = padded(ids)
    before = [logits(tiny(kind), ids, m) for m in (None, mask)]
    model, _ = swapped(kind, named(name))
    after = [logits(model, ids, m) for m in (None, mask)]
    torch.testing.assert_close(after[0], before[0], **CLOSE)
    torch.testing.assert_close(after[1][mask.bool()], before[1][mask.bool()], **CLOSE)


def test_softmax_that_shares_no_heads_is_the_model_itself():
    own = Method(name="own", attention=SOFTMAX.attention, can=Capabilities(causal=True))
    model, swap = swapped("llama", own)
    assert {a.heads.num_kv_heads for a in swap.attentions} == {4}
    torch.testing.assert_close(logits(model, text()), logits(tiny("llama"), text()), **CLOSE)


@KIND
def test_a_method_changes_the_layers_that_are_named_and_those_only(kind):
    model, swap = swapped(kind)
    full = (1,) if kind in ("gemma2", "gemma3") else (0, 1, 2)
    assert swap.layers == full
    assert set(swap.exact) == {0, 1, 2} - set(full)
    assert all(f"the last {WINDOW} tokens" in reason for reason in swap.exact.values())
    assert not torch.allclose(logits(model, text()), logits(tiny(kind), text()), atol=1e-2)


@KIND
def test_later_tokens_never_change_earlier_logits(kind):
    model, _ = swapped(kind)
    ids = text()
    changed = ids.clone()
    changed[:, 13:] = text(seed=2)[:, 13:]
    assert not torch.equal(logits(model, ids)[:, 13:], logits(model, changed)[:, 13:])
    torch.testing.assert_close(
        logits(model, ids)[:, :13], logits(model, changed)[:, :13], rtol=0, atol=0
    )


def leak(model, ids: torch.Tensor) -> float:
    """How far logits of tokens move when what lies under the padding does."""
    mask = padded(ids)
    hidden = torch.where(mask.bool(), ids, text(seed=2))
    difference = logits(model, ids, mask) - logits(model, hidden, mask)
    return difference[mask.bool()].abs().max().item()


@KIND
def test_padding_leaks_nothing_and_leaks_where_no_mask_is_registered(kind, monkeypatch):
    from transformers import AttentionMaskInterface

    model, _ = swapped(kind)
    assert leak(model, text()) < 1e-5
    monkeypatch.delitem(AttentionMaskInterface._global_mapping, NAME)
    assert leak(model, text()) > 1e-2


@KIND
def test_padding_on_the_left_is_as_good_as_absent(kind):
    model, _ = swapped(kind)
    ids = text(batch=1)
    mask = torch.ones_like(ids)
    mask[:, :7] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        whole = model(ids, attention_mask=mask, position_ids=positions).logits[:, 7:]
    torch.testing.assert_close(whole, logits(model, ids[:, 7:]), rtol=1e-4, atol=1e-4)


def test_the_mask_is_none_or_one_entry_for_each_key():
    sizes = {"batch_size": 2, "q_length": 3, "kv_length": 7, "q_offset": 4}
    keys = torch.ones(2, 7, dtype=torch.bool)
    assert padding_mask(**sizes) is None
    assert padding_mask(**sizes, attention_mask=keys) is None
    keys[0, 0] = False
    assert padding_mask(**sizes, attention_mask=keys).shape == (2, 7)


@KIND
def test_restoring_brings_back_the_very_same_model(kind):
    model = tiny(kind)
    ids, mask = text(), padded(text())
    config, implementation = model.config, model.config._attn_implementation
    keys, before = list(model.state_dict()), logits(model, ids, mask)
    swap_attention(model, DARKFORMER, max_time=LENGTH)
    assert list(model.state_dict()) != keys
    restore_attention(model)
    assert list(model.state_dict()) == keys
    assert model.config is config
    assert config._attn_implementation == implementation
    assert torch.equal(logits(model, ids, mask), before)
    with pytest.raises(ValueError, match="is not swapped"):
        restore_attention(model)


def test_what_happened_to_the_configuration_since_the_swap_outlives_it(tmp_path):
    model = tiny("llama")
    implementation = model.config._attn_implementation
    sharing = type(model)(model.config)
    swap_attention(model, PERFORMER, max_time=LENGTH)
    model.resize_token_embeddings(120)
    model.config.use_cache = False
    restore_attention(model)
    assert (model.config.vocab_size, model.config.use_cache) == (120, False)
    assert model.config is model.model.config
    assert model.config._attn_implementation == implementation
    assert (sharing.config.vocab_size, sharing.config.use_cache) == (97, True)
    assert model(text(), labels=text()).loss.isfinite()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert torch.equal(logits(loaded, text()), logits(model, text()))


def test_a_part_swapped_alone_goes_back_to_the_configuration_of_the_whole():
    model = tiny("llama")
    swap_attention(model.model, PERFORMER, max_time=LENGTH)
    model.resize_token_embeddings(120)
    restore_attention(model.model)
    assert model.model.config is model.config
    assert model.config.vocab_size == 120


def test_models_of_one_configuration_are_swapped_apart():
    first = tiny("llama")
    second = type(first)(first.config).eval()
    before = logits(second, text())
    swap_attention(first, PERFORMER)
    assert torch.equal(logits(second, text()), before)
    swap_attention(second, SOFTMAX)
    restore_attention(first)
    torch.testing.assert_close(logits(second, text()), before, **CLOSE)


def test_a_copy_of_a_swapped_model_is_swapped_and_on_its_own():
    model, _ = swapped("llama", DARKFORMER)
    before = logits(model, text())
    other = copy.deepcopy(model)
    with torch.no_grad():
        for _, parameter in method_parameters(other):
            parameter.zero_()
    assert torch.equal(logits(model, text()), before)
    assert not torch.allclose(logits(other, text()), before, atol=1e-2)
    restore_attention(other)
    assert torch.equal(logits(other, text()), logits(tiny("llama"), text()))
    assert torch.equal(logits(model, text()), before)


def test_what_is_learned_is_saved_and_loaded(tmp_path):
    from safetensors.torch import load_file
    from transformers import LlamaForCausalLM

    model, _ = swapped("llama", DARKFORMER, seed=3)
    with torch.no_grad():
        for _, parameter in method_parameters(model):
            parameter.mul_(1.5)
    model.save_pretrained(tmp_path)
    fresh = tiny("llama")
    swap_attention(fresh, DARKFORMER, num_features=32)
    state = load_file(tmp_path / "model.safetensors")
    assert "model.layers.2.self_attn.bench_attention.feature_map.M" in state
    assert set(fresh.load_state_dict(state, strict=False).missing_keys) <= {"lm_head.weight"}
    assert torch.equal(logits(fresh, text()), logits(model, text()))
    config = LlamaForCausalLM.config_class.from_pretrained(tmp_path)
    assert config._attn_implementation != NAME


def test_parameters_are_told_apart():
    model, _ = swapped("gemma3", DARKFORMER)
    own, attention = (dict(f(model)) for f in (method_parameters, attention_parameters))
    place = "model.layers.1.self_attn"
    assert list(own) == [f"{place}.bench_attention.feature_map.M"]
    assert {f"{place}.{x}_proj.weight" for x in "qkvo"} | set(own) < set(attention)
    assert all(name.startswith(place) for name in attention)
    everything = dict(model.named_parameters())
    assert all(everything[name] is x for name, x in attention.items())


def test_one_seed_draws_the_same_and_another_does_not():
    seeds = [logits(swapped("llama", seed=s)[0], text()) for s in (0, 0, 1)]
    assert torch.equal(seeds[0], seeds[1])
    assert not torch.allclose(seeds[0], seeds[2], atol=1e-3)


def gradients(model, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    model.train()
    model(ids, labels=ids, use_cache=False).loss.backward()
    return {n: x.grad for n, x in model.named_parameters() if x.grad is not None}


@KIND
def test_checkpointing_activations_changes_no_gradient(kind):
    plain, checkpointed = (swapped(kind, DARKFORMER)[0] for _ in range(2))
    checkpointed.activation_checkpointing_enable()
    expected, found = (gradients(model, text()) for model in (plain, checkpointed))
    assert any(name.endswith(".M") for name in found)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name, **CLOSE)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize("method", ["darkformer", "softmax", "local", "linear_transformer"])
def test_autocast_to_bfloat16_keeps_to_float32_and_has_gradients(kind, method):
    model, _ = swapped(kind, named(method))
    exact = logits(model, text())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = logits(model, text())
        found = gradients(model, text())
    assert (rounded.float() - exact).norm() < 0.1 * exact.norm()
    assert all(gradient.isfinite().all() for gradient in found.values())


def test_features_of_a_model_in_half_precision_keep_float32_numbers():
    model = tiny("llama").bfloat16()
    swap = swap_attention(model, DARKFORMER, num_features=32)
    assert {p.dtype for _, p in method_parameters(model)} == {torch.float32}
    assert logits(model, text()).dtype == torch.bfloat16
    assert not swap.attentions[0].training


def test_training_flags_and_the_global_generator_stay_as_they_were():
    model = tiny("gpt2", resid_pdrop=0.5)
    model.train()
    model.transformer.h[1].eval()
    flags = [module.training for module in model.modules()]
    torch.manual_seed(5)
    swap_attention(model, PERFORMER, calibration=[text()], key_shift="keys")
    assert torch.rand(()) == torch.rand((), generator=torch.Generator().manual_seed(5))
    restore_attention(model)
    assert [module.training for module in model.modules()] == flags


def test_layers_that_were_not_asked_for_stay_exact_and_are_named():
    model, swap = swapped("llama", layers=[2, 0])
    assert swap.layers == (0, 2)
    assert swap.exact == {1: "not asked for"}
    assert logits(model, text()).isfinite().all()
