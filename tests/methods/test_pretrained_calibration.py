"""Laws of calibration: methods hear what the exact model says, batch after batch."""

import weakref

import pytest
import torch

from methods.api import UnsupportedError
from methods.core.attention import build_attention
from methods.core.pretrained import swap_attention
from methods.darkformer import METHOD as DARKFORMER
from methods.performer import METHOD as PERFORMER
from tests.fakes.pretrained import KINDS, LENGTH, logits, text, tiny

pytest.importorskip("transformers")

WHITENED = {"num_features": 32, "initial": "whitening", "key_shift": "both"}


def heard(model, ids) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Queries and keys of every layer of an untouched model, taken where sdpa takes them."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    found = []

    def listen(module, query, key, value, mask, **given):
        scale = given["scaling"] * query.shape[-1] ** 0.5
        found.append((query * scale, key))
        return sdpa_attention_forward(module, query, key, value, mask, **given)

    AttentionInterface.register("listening-test", listen)
    AttentionMaskInterface.register("listening-test", sdpa_mask)
    model.set_attn_implementation("listening-test")
    logits(model, ids)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_is_calibrated_on_what_the_exact_model_says(kind):
    ids = text(batch=8)
    expected = heard(tiny(kind), ids)
    model = tiny(kind)
    batches = iter(ids.split([3, 1, 4]))
    swap = swap_attention(model, DARKFORMER, max_time=LENGTH, calibration=batches, **WHITENED)
    for number, attention in zip(swap.layers, swap.attentions, strict=True):
        alone = build_attention(
            DARKFORMER, attention.heads, torch.Generator().manual_seed(0), **WHITENED
        )
        alone.calibrate(*expected[number])
        for name in ("M", "key_shift"):
            found, own = (getattr(x.feature_map, name) for x in (attention, alone))
            torch.testing.assert_close(found, own, rtol=1e-3, atol=1e-4 * own.abs().max().item())


def test_calibration_changes_the_method_and_nothing_of_the_model():
    model = tiny("llama")
    before = {name: x.clone() for name, x in model.state_dict().items()}
    swap_attention(model, DARKFORMER, calibration=[text()], **WHITENED)
    after = model.state_dict()
    assert all(torch.equal(after[name], x) for name, x in before.items())
    uncalibrated = tiny("llama")
    with pytest.warns(UserWarning, match="was given none"):
        swap_attention(uncalibrated, DARKFORMER, **WHITENED)
    own = [name for name in after if "bench_attention" in name and name.endswith(".M")]
    assert len(own) == 3
    assert not any(torch.equal(after[name], uncalibrated.state_dict()[name]) for name in own)


def test_text_is_read_a_batch_at_a_time_and_not_kept():
    alive = []

    def batches():
        for seed in range(4):
            ids = text(seed=seed)
            assert all(batch() is None for batch in alive[:-1])
            alive.append(weakref.ref(ids))
            yield ids
            del ids

    swap_attention(tiny("llama"), DARKFORMER, calibration=batches(), **WHITENED)
    assert len(alive) == 4


def test_a_method_that_calibrates_nothing_reads_no_text():
    read = (pytest.fail("text was read") for _ in range(1))
    swap_attention(tiny("llama"), PERFORMER, calibration=read)


@pytest.mark.parametrize(
    "batches",
    [text(), [{"input_ids": text()}], [text().tolist()], [text()[None]], [text().float()]],
    ids=["one tensor", "dicts", "lists", "three dimensions", "no integers"],
)
def test_what_is_no_batch_of_token_numbers_is_a_value_error(batches):
    model = tiny("llama")
    before = list(model.state_dict())
    with pytest.raises(ValueError, match=r"batches of token numbers: tensors \[batch, time\]"):
        swap_attention(model, DARKFORMER, calibration=iter(batches), **WHITENED)
    assert list(model.state_dict()) == before


def test_no_text_at_all_is_an_error_that_leaves_the_model_as_it_was():
    model = tiny("llama")
    before = list(model.state_dict())
    with pytest.raises(UnsupportedError, match="calibration is empty"):
        swap_attention(model, DARKFORMER, calibration=[], **WHITENED)
    assert list(model.state_dict()) == before
    assert torch.equal(logits(model, text()), logits(tiny("llama"), text()))
