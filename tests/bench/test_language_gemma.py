"""The published protocol end to end, on a tiny random Gemma and on documents in a file."""

import json

import pytest
import torch

from bench.cli.selection import find_method
from bench.decoder import Pretrained
from bench.plan import RELEASE
from bench.registry import load_registry
from bench.runners.found import Found
from bench.runners.language import model_language
from methods.api import UnsupportedError
from methods.core.pretrained import swap_attention
from methods.cosformer import METHOD as COSFORMER
from tasks.c4.finetune import TASK as FINETUNE
from tasks.c4.pretrain import TASK as PRETRAIN
from tests.bench.test_language_plan import planned
from tests.fakes.documents import DOCUMENTS
from tests.fakes.pretrained import tiny
from tests.tasks.test_tokenizers import word_tokenizer

transformers = pytest.importorskip("transformers")
SIZES = {
    "length": "16",
    "steps": "3",
    "warmup_steps": "1",
    "batch_size": "4",
    "micro_batch": "2",
    "train_blocks": "12",
    "validation_blocks": "2",
    "test_blocks": "4",
    "calibration_blocks": "4",
}


@pytest.fixture
def gemma(tmp_path):
    """Two query heads of 256 dimensions on one key-value head, as Gemma-2B has eight on one."""
    words = sorted({word for text in DOCUMENTS for word in text.split()})[:500]
    tokenizer = word_tokenizer(*words, with_start=True)
    config = transformers.GemmaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=256,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    folder = tmp_path / "gemma"
    transformers.GemmaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_with_dropout_is_read_without_it_and_goes_on_with_it():
    model = tiny("gpt2", embd_pdrop=0.5, resid_pdrop=0.5).train()
    assert Pretrained(model).model.training


@pytest.mark.parametrize("length", [2, 6])
def test_a_model_swapped_for_short_blocks_is_read_in_blocks_as_short(length):
    model = tiny("mistral", sliding_window=length)
    swap_attention(model, COSFORMER, max_time=length)
    assert Pretrained(model)(torch.arange(length)[None]).shape == (1, length, 32)


@pytest.mark.parametrize("task", [FINETUNE, PRETRAIN])
def test_a_method_that_needs_text_to_begin_is_not_begun_without(task, gemma, tmp_path):
    (tmp_path / "text.txt").write_text(" ".join(DOCUMENTS * 8))
    sizes = SIZES | {"calibration_blocks": "0"}
    sizes |= {"model": str(gemma)} if task is FINETUNE else {"tokenizer": str(gemma)}
    method = find_method("darkformer:num_features=16,initial=whitening", load_registry(("METHOD",)))
    source = f"{RELEASE}{tmp_path / 'text.txt'}"
    (trial,) = planned(task, method, source=source, seeds=(0,), settings=sizes)
    with pytest.raises(UnsupportedError, match="no text to calibrate on"):
        model_language(
            trial, method.entry.value, task, cache=None, report=lambda step: None, found=Found()
        )


def test_darkformer_replaces_gemma_s_attention_and_learns(gemma, tmp_path):
    lines = [json.dumps({"text": document * 4}) for document in DOCUMENTS]
    (tmp_path / "text.jsonl").write_text("\n".join(lines))
    darkformer = find_method("darkformer:num_features=16", load_registry(("METHOD",)))
    (trial,) = planned(
        FINETUNE,
        darkformer,
        preset="darkformer-gemma-2b",
        source=f"{RELEASE}{tmp_path / 'text.jsonl'}",
        seeds=(0,),
        settings=SIZES | {"model": str(gemma)},
    )
    assert trial.problem is None
    assert trial.identity.dtype == "bfloat16"
    assert trial.preset.regime.checkpoint_activations
    found = Found()
    method = darkformer.entry.value
    model_language(trial, method, FINETUNE, cache=None, report=lambda step: None, found=found)
    result = found.language
    assert result.predictions_per_block == 15
    # M of 256 x 256 for the one key-value head of each of two layers.
    assert result.method_parameters == 2 * 256**2
    assert result.exact_layers == []
    assert len(result.losses) == 3
    assert result.after.loss < result.before.loss
