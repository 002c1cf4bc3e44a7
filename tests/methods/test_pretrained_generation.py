"""Laws of generation: with keys or with a state, text is what whole sequences say."""

import copy
import runpy

import pytest
import torch
from torch import Tensor

from methods.api import UnsupportedError
from methods.core.multihead import state_bytes
from methods.core.pretrained import recurrent_cache, restore_attention, swap_attention
from methods.cosformer import METHOD as COSFORMER
from methods.darkformer import METHOD as DARKFORMER
from methods.linear_transformer import METHOD as LINEAR_TRANSFORMER
from methods.local import METHOD as LOCAL
from methods.performer import METHOD as PERFORMER
from methods.softmax import METHOD as SOFTMAX
from tasks.data.models import load_model
from tests.fakes.pretrained import KINDS, LENGTH, text, tiny

pytest.importorskip("transformers")

NEW = 7
METHODS = pytest.mark.parametrize(
    ("method", "options"),
    [
        (PERFORMER, {"num_features": 64}),
        (DARKFORMER, {"num_features": 64, "key_shift": "both"}),
        (LINEAR_TRANSFORMER, {}),
        (COSFORMER, {}),
        (LOCAL, {"window": 6}),
    ],
    ids=lambda x: getattr(x, "name", ""),
)


@pytest.fixture(scope="module")
def pretrained():
    pytest.importorskip("glassllm")
    return load_model("glassllm", None)


@pytest.fixture
def glass(pretrained):
    return copy.deepcopy(pretrained.model)


def prompts(pretrained) -> tuple[Tensor, Tensor]:
    """Two beginnings, the shorter with padding on its left, and their mask."""
    rows = [pretrained.encode(x) for x in ("Alice was beginning to get very tired", "The Queen")]
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def generated(model, ids: Tensor, mask: Tensor, **how) -> Tensor:
    settings = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0} | how
    return model.generate(ids, attention_mask=mask, eos_token_id=None, **settings)


def said_at_once(model, sequence: Tensor, mask: Tensor) -> Tensor:
    """The most probable next token after each of the last tokens, from one whole pass."""
    mask = torch.cat([mask, mask.new_ones(len(mask), NEW)], 1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        out = model(sequence, attention_mask=mask, position_ids=positions, use_cache=False)
    return out.logits[:, -NEW - 1 : -1].argmax(-1)


@METHODS
def test_generated_text_is_what_the_whole_sequence_says(glass, pretrained, method, options):
    ids, mask = prompts(pretrained)
    calibration = [ids[:1], ids[:1, :7]]
    swap_attention(glass, method, max_time=64, calibration=calibration, **options)
    recurrent = generated(glass, ids, mask, past_key_values=recurrent_cache(glass))
    assert torch.equal(recurrent[:, -NEW:], said_at_once(glass, recurrent, mask))
    assert torch.equal(generated(glass, ids, mask), recurrent)


def test_softmax_swapped_in_generates_what_the_model_does(glass, pretrained):
    ids, mask = prompts(pretrained)
    before = generated(glass, ids, mask)
    swap_attention(glass, SOFTMAX, max_time=64)
    assert torch.equal(generated(glass, ids, mask), before)


@pytest.mark.parametrize("kind", ["gemma2", "gemma3"])
def test_layers_left_exact_generate_beyond_their_windows_with_padding(kind):
    model, ids = tiny(kind), text(batch=2, length=LENGTH)
    mask = torch.ones_like(ids)
    mask[0, :18] = 0
    before = generated(model, ids, mask)
    swap_attention(model, SOFTMAX, max_time=64)
    assert torch.equal(generated(model, ids, mask), before)


def forward(model, ids: Tensor, cache, mask: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return model(ids, past_key_values=cache, attention_mask=mask, use_cache=True).logits


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_a_sequence_make_the_whole(kind):
    from transformers import DynamicCache

    model = tiny(kind)
    swap_attention(model, DARKFORMER, num_features=32, max_time=LENGTH)
    ids = text()
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits
    for cache in (recurrent_cache(model), DynamicCache(config=model.config)):
        pieces = ids.split([9, 1, 6, 8], dim=1)
        found = torch.cat([forward(model, piece, cache) for piece in pieces], 1)
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)
        assert cache.get_seq_length() == LENGTH


@pytest.mark.parametrize("kind", ["llama", "gemma", "gemma3"])
def test_the_state_does_not_grow_where_keys_would(kind):
    model = tiny(kind)
    swap = swap_attention(model, PERFORMER, num_features=32)
    cache = recurrent_cache(model)
    sizes = []
    for _ in range(6):
        forward(model, text(batch=2, length=7), cache)
        sizes.append([state_bytes(cache.layers[number].state) for number in swap.layers])
    assert sizes[0] == sizes[-1]
    assert all(size > 0 for size in sizes[0])
    assert all(cache.layers[number].keys is None for number in swap.layers)
    assert all(cache.layers[number].keys is not None for number in swap.exact)
    assert cache.get_seq_length() == 42


@METHODS
def test_beams_are_the_same_from_states_as_from_keys(glass, pretrained, method, options):
    ids, mask = prompts(pretrained)
    how = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 5}
    swap_attention(glass, method, max_time=64, calibration=[ids[:1]], **options)
    expected = generated(glass, ids, mask, **how)
    found = generated(glass, ids, mask, past_key_values=recurrent_cache(glass), **how)
    assert torch.equal(found, expected)


def test_examples_of_a_cache_are_repeated_and_chosen():
    model = tiny("gemma3")
    swap_attention(model, DARKFORMER, num_features=32)
    ids, cache = text(batch=2), recurrent_cache(model)
    forward(model, ids[:, :9], cache)
    cache.batch_repeat_interleave(3)
    cache.batch_select_indices(torch.tensor([5, 0]))
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits[:, 9:]
    found = forward(model, ids[:, 9:].flip(0), cache).flip(0)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)


def test_a_cache_goes_on_where_generation_stopped_and_begins_anew_after_a_reset():
    model = tiny("qwen2")
    swap_attention(model, PERFORMER, num_features=32)
    ids, cache = text(batch=1, length=8), recurrent_cache(model)
    mask = torch.ones_like(ids)
    first = generated(model, ids, mask, past_key_values=cache)
    copied = copy.deepcopy(cache)
    again = torch.ones_like(first)
    longer = generated(model, first, again, past_key_values=cache)
    assert torch.equal(generated(model, first, again), longer)
    assert torch.equal(generated(model, first, again, past_key_values=copied), longer)
    cache.reset()
    assert torch.equal(generated(model, ids, mask, past_key_values=cache), first)


def test_a_method_without_a_state_has_no_recurrent_cache():
    model = tiny("llama")
    with pytest.raises(ValueError, match="is not swapped"):
        recurrent_cache(model)
    swap_attention(model, SOFTMAX)
    with pytest.raises(UnsupportedError, match="softmax cannot continue a sequence step by step"):
        recurrent_cache(model)


def test_what_a_state_cannot_do_is_refused():
    model = tiny("llama")
    swap_attention(model, PERFORMER, num_features=32)
    ids, cache = text(batch=2), recurrent_cache(model)
    forward(model, ids, cache)
    mask = torch.ones(2, LENGTH + 3, dtype=torch.long)
    mask[0, -1] = 0
    with pytest.raises(UnsupportedError, match="padding among the next tokens"):
        forward(model, ids[:, :3], cache, mask)
    with pytest.raises(UnsupportedError, match="cannot forget tokens"):
        cache.crop(-1)
    restore_attention(model)
    with pytest.raises(UnsupportedError, match="swapped no more"):
        forward(model, ids, cache)


def test_a_cache_of_a_fixed_length_is_refused():
    from transformers import StaticCache

    model = tiny("llama")
    swap_attention(model, PERFORMER, num_features=32)
    cache = StaticCache(config=model.config, max_cache_len=64)
    with pytest.raises(UnsupportedError, match="no cache of a fixed length"):
        forward(model, text(), cache)


def test_a_cache_and_an_attention_that_disagree_are_noticed():
    model = tiny("llama")
    swap_attention(model, PERFORMER, num_features=32)
    cache = recurrent_cache(model)
    keys = torch.zeros(3, 2, LENGTH, 8)
    cache.update(keys, keys, 0)
    with pytest.raises(UnsupportedError, match="other keys than its attention"):
        forward(model, text(), None)


def test_a_window_ends_what_a_state_may_take():
    model = tiny("mistral")
    swap_attention(model, PERFORMER, num_features=32, max_time=LENGTH)
    cache = recurrent_cache(model)
    forward(model, text(), cache)
    with pytest.raises(UnsupportedError, match="the last 24 tokens only, and 25 came"):
        forward(model, text(length=1), cache)


def test_the_example_of_a_swap_runs(capsys):
    pytest.importorskip("glassllm")
    runpy.run_path("examples/swap_attention.py", run_name="__main__")
    assert "performer" in capsys.readouterr().out
