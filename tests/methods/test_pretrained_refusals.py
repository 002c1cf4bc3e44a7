"""Laws of what a swap cannot take: it is refused with a sentence, and the model is as it was."""

import sys

import pytest
import torch

from methods.api import MissingDependencyError, UnsupportedError
from methods.core.pretrained import recurrent_cache, restore_attention, swap_attention
from methods.core.pretrained_interface import padding_mask
from tests.fakes.pretrained import (
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
SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}


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


def test_a_model_with_attention_in_chunks_is_refused():
    import transformers

    config = transformers.Llama4TextConfig(
        vocab_size=97, hidden_size=32, intermediate_size=32, intermediate_size_mlp=32,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
        num_local_experts=1, attention_chunk_size=8, no_rope_layers=[1, 0],
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"layers\.0\.self_attn .* kind chunked_attention"):
        swap_attention(transformers.Llama4ForCausalLM(config), PERFORMER, max_time=LENGTH)


def of_family(family: str, name: str = "ForCausalLM", **sizes):
    """A tiny model of two layers."""
    import transformers

    config = getattr(transformers, f"{family}{'TextConfig' if sizes.pop('text', 0) else 'Config'}")
    torch.manual_seed(0)
    return getattr(transformers, f"{family}{name}")(config(**SIZES | sizes)).eval()


def test_a_model_whose_layers_choose_blocks_of_keys_is_refused_even_where_others_could_be_swapped():
    model = of_family(
        "MiniMaxM3VL", text=True, head_dim=16, rotary_dim=8, num_local_experts=2,
        num_experts_per_tok=1, index_n_heads=1, index_head_dim=16, index_block_size=4,
        index_topk_blocks=1, layer_types=["full_attention", "minimax_m3_sparse"],
    )  # fmt: skip
    before = logits(model, text())
    for layers in (None, [0]):
        with pytest.raises(UnsupportedError, match=r"layers\.1\.self_attn .* minimax_m3_sparse"):
            swap_attention(model, PERFORMER, max_time=LENGTH, layers=layers)
    assert torch.equal(logits(model, text()), before)


def test_a_model_that_makes_a_mask_of_its_own_is_refused():
    with pytest.raises(UnsupportedError, match=r"layers\.0\.self_attn adds a mask of its own"):
        swap_attention(of_family("Doge"), PERFORMER, max_time=LENGTH)


def test_a_model_is_refused_if_an_exact_layer_would_lose_a_tensor_that_it_is_given(monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaAttention

    attention = LlamaAttention.forward

    def forward(self, *args, **given):
        more = {"chosen": torch.zeros(4)} if self.layer_idx == 1 else {}
        return attention(self, *args, **given, **more)

    monkeypatch.setattr(LlamaAttention, "forward", forward)
    with pytest.raises(UnsupportedError, match=r"layers\.1\.self_attn adds chosen .* left exact"):
        swapped("llama")


def test_layers_with_sinks_stay_exact_where_others_are_swapped():
    model = of_family(
        "MiMoV2Flash", n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1,
        moe_intermediate_size=16, head_dim=16, v_head_dim=16,
    )  # fmt: skip
    ids, mask = text(), padded(text())
    before = logits(model, ids, mask)
    swap = swap_attention(model, SOFTMAX, max_time=LENGTH)
    assert swap.layers == (0,)
    assert swap.exact == {1: "model.layers.1.self_attn adds s_aux to its attention"}
    after = logits(model, ids, mask)
    torch.testing.assert_close(after[mask.bool()], before[mask.bool()], rtol=1e-5, atol=1e-5)


def test_a_model_that_gives_its_mask_by_name_is_swapped():
    model = of_family(
        "Afmoe", head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
        num_dense_layers=2,
    )  # fmt: skip
    before = logits(model, text())
    assert swap_attention(model, SOFTMAX, max_time=LENGTH).layers == (0, 1)
    torch.testing.assert_close(logits(model, text()), before, rtol=1e-5, atol=1e-5)


def test_a_score_with_a_sink_of_its_own_is_refused():
    import transformers

    config = transformers.GptOssConfig(
        vocab_size=97, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, num_local_experts=2,
        num_experts_per_tok=1, layer_types=["full_attention"],
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="adds s_aux to its attention"):
        swap_attention(transformers.GptOssForCausalLM(config), PERFORMER, max_time=LENGTH)


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


def test_a_model_without_attention_is_refused_in_a_sentence_that_says_so():
    import transformers

    config = transformers.MambaConfig(vocab_size=97, hidden_size=16, num_hidden_layers=1)
    with pytest.raises(UnsupportedError) as caught:
        swap_attention(transformers.MambaForCausalLM(config), PERFORMER, max_time=LENGTH)
    assert str(caught.value) == (
        "The attention of MambaForCausalLM cannot be swapped: none of its layers calls"
        " transformers' attention interface."
    )


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


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_mask_of_another_length_than_the_text_is_refused_by_its_length(kind):
    model, _ = swapped(kind)
    for covered in (LENGTH - 2, LENGTH + 2):
        with pytest.raises(ValueError, match=f"mask covers {covered} tokens, and {LENGTH} came"):
            model(text(), attention_mask=torch.ones(3, covered))


def test_a_model_told_to_run_another_attention_than_the_method_is_refused_until_told_back():
    model, _ = swapped("llama")
    before = logits(model, text())
    model.set_attn_implementation("sdpa")
    for cache in (None, recurrent_cache(model)):
        with pytest.raises(UnsupportedError, match="was set to sdpa, which computes no method"):
            model(text(), past_key_values=cache)
    model.set_attn_implementation("attention-bench")
    assert torch.equal(logits(model, text()), before)


@pytest.mark.parametrize("layers", [None, [1]])
def test_a_model_is_not_swapped_twice_nor_with_a_part_of_it(layers):
    whole, part = tiny("llama"), tiny("llama")
    swap_attention(whole, PERFORMER, layers=layers)
    swap_attention(part.model, PERFORMER, layers=layers)
    before = logits(whole, text()), logits(part, text())
    for model in (whole, whole.model, part, part.model):
        with pytest.raises(ValueError, match="swapped already: call restore_attention first"):
            swap_attention(model, SOFTMAX)
    assert torch.equal(logits(whole, text()), before[0])
    assert torch.equal(logits(part, text()), before[1])
    restore_attention(whole)
    restore_attention(part.model)
    assert torch.equal(logits(whole, text()), logits(part, text()))
    assert swap_attention(whole.model, SOFTMAX).layers == (0, 1, 2)


def test_options_and_sizes_are_checked():
    with pytest.raises(ValueError, match="performer has no option 'features'"):
        swap_attention(tiny("llama"), PERFORMER, features=3)
    with pytest.raises(ValueError, match="max_time must be at least 1"):
        swap_attention(tiny("llama"), PERFORMER, max_time=0)


def test_without_transformers_the_install_command_is_told(monkeypatch):
    model = torch.nn.Linear(1, 1)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'attention-bench\[models\]'"):
        swap_attention(model, PERFORMER)
