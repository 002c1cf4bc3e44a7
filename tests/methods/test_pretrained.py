"""Laws of the swap: softmax changes nothing, nothing leaks, and it can be undone."""

import copy
import importlib
import sys

import pytest
import torch

from methods.api import Capabilities, Method, MissingDependencyError, UnsupportedError
from methods.core.pretrained import (
    attention_parameters,
    method_parameters,
    restore_attention,
    swap_attention,
)
from methods.core.pretrained_interface import NAME, padding_mask
from tests.fakes.pretrained import KINDS, LENGTH, WINDOW, logits, padded, text, tiny

pytest.importorskip("transformers")

KIND = pytest.mark.parametrize("kind", KINDS)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""float32 through three layers whose weights are large."""


def named(name: str) -> Method:
    return importlib.import_module(f"methods.{name}").METHOD


PERFORMER, SOFTMAX, DARKFORMER = map(named, ("performer", "softmax", "darkformer"))


def swapped(kind: str, method: Method = PERFORMER, **how):
    """Performer with few features: far from softmax, and quick."""
    if method in (PERFORMER, DARKFORMER):
        how = {"num_features": 32} | how
    model = tiny(kind)
    return model, swap_attention(model, method, max_time=LENGTH, **how)


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


def test_a_layer_with_a_short_window_is_refused_when_it_is_asked_for():
    model = tiny("gemma3")
    keys = list(model.state_dict())
    with pytest.raises(UnsupportedError, match=r"layers\.0\.self_attn sees the last 8 tokens"):
        swap_attention(model, PERFORMER, layers=[0, 1])
    assert list(model.state_dict()) == keys
    assert logits(model, text()).isfinite().all()
    assert swap_attention(model, PERFORMER, layers=[0], max_time=WINDOW).layers == (0,)
    with pytest.raises(UnsupportedError, match="Layer 0 sees the last 8 tokens only, and 24 came"):
        logits(model, text())


def test_a_model_without_a_layer_that_can_be_swapped_is_refused():
    with pytest.raises(UnsupportedError, match=r"layers\.0\.self_attn caps its scores.* 2 more"):
        swap_attention(tiny("gemma2", attn_logit_softcapping=50.0), PERFORMER)
    with pytest.raises(UnsupportedError, match="fewer than the 64 of the longest sequence"):
        swap_attention(tiny("mistral"), PERFORMER)


def test_layers_that_were_not_asked_for_stay_exact_and_are_named():
    model, swap = swapped("llama", layers=[2, 0])
    assert swap.layers == (0, 2)
    assert swap.exact == {1: "not asked for"}
    assert logits(model, text()).isfinite().all()


@pytest.mark.parametrize("layers", [[3], [-1], []])
def test_a_layer_that_is_not_there_is_a_value_error(layers):
    with pytest.raises(ValueError, match="some of 0 to 2 in LlamaForCausalLM"):
        swapped("llama", layers=layers)


@pytest.mark.parametrize(
    ("module", "message"),
    [("mamba", "is a whole mixer"), ("linformer", "cannot be causal")],
)
def test_a_method_that_has_no_causal_attention_is_refused(module, message):
    with pytest.raises(UnsupportedError, match=message):
        swapped("llama", named(module))


def test_models_whose_attention_cannot_be_reached_are_refused_by_name():
    import transformers

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 97}
    bloom = transformers.BloomForCausalLM(
        transformers.BloomConfig(vocab_size=97, hidden_size=32, n_layer=1, n_head=2)
    )
    with pytest.raises(UnsupportedError, match=r"self_attention \(BloomAttention\) does not call"):
        swap_attention(bloom, PERFORMER, max_time=LENGTH)
    bert = transformers.BertModel(transformers.BertConfig(**sizes, intermediate_size=32))
    with pytest.raises(UnsupportedError, match=r"layer\.0\.attention\.self sees the future"):
        swap_attention(bert, PERFORMER)
    t5 = transformers.T5Config(
        vocab_size=97, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    with pytest.raises(UnsupportedError, match="has an encoder"):
        swap_attention(transformers.T5ForConditionalGeneration(t5), PERFORMER)
    with pytest.raises(ValueError, match="A Linear is no model"):
        swap_attention(torch.nn.Linear(1, 1), PERFORMER)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"output_attentions": True}, "no attention weights"),
        ({"attention_mask": torch.ones(1, 1, LENGTH, LENGTH)}, "a mask of padding"),
        ({"position_ids": torch.arange(LENGTH)[None] % 12}, "no packed sequences"),
        ({"encoder_hidden_states": torch.ones(1, 4, 32)}, "another sequence"),
    ],
)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_what_would_be_left_out_silently_is_refused(kind, given, message):
    model, _ = swapped(kind)
    with pytest.raises(UnsupportedError, match=message):
        model(text(batch=1), **given)


def test_packed_sequences_are_refused_by_the_mask_too():
    with pytest.raises(UnsupportedError, match="no packed sequences"):
        padding_mask(1, 4, 4, allow_is_causal_skip=False)


def test_a_swapped_model_is_not_swapped_again_and_options_are_checked():
    model, _ = swapped("llama")
    with pytest.raises(ValueError, match="swapped already"):
        swap_attention(model, PERFORMER)
    with pytest.raises(ValueError, match="performer has no option 'features'"):
        swap_attention(tiny("llama"), PERFORMER, features=3)
    with pytest.raises(ValueError, match="max_time must be at least 1"):
        swap_attention(tiny("llama"), PERFORMER, max_time=0)


def test_without_transformers_the_install_command_is_told(monkeypatch):
    model = torch.nn.Linear(1, 1)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'attention-bench\[models\]'"):
        swap_attention(model, PERFORMER)
