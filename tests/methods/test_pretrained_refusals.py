"""Laws of what a swap cannot take: it is refused with a sentence, and the model is as it was."""

import sys

import pytest
import torch

from methods.api import MissingDependencyError, UnsupportedError
from methods.core.pretrained import swap_attention
from methods.core.pretrained_interface import padding_mask
from tests.fakes.pretrained import LENGTH, PERFORMER, WINDOW, logits, named, swapped, text, tiny

pytest.importorskip("transformers")


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
    with pytest.raises(UnsupportedError, match=r"layers\.0\.self_attn attends in chunks"):
        swap_attention(transformers.Llama4ForCausalLM(config), PERFORMER, max_time=LENGTH)


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
