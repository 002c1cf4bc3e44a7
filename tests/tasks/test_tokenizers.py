"""Laws of tokenizers and of the models that read with them: what a text becomes, what is not."""

import json
import sys

import pytest
import torch

from tasks.api import SourceUnavailableError
from tasks.data.models import load_model
from tasks.data.tokenizers import BESIDE, as_tokenizer, load_tokenizer, why_model_is_missing

transformers = pytest.importorskip("transformers")
WORDS = ["<bos>", "<eos>", "the", "cat", "sat", "on", "a", "mat"]
ODD = """
from transformers import LlamaConfig, LlamaForCausalLM


class OddConfig(LlamaConfig):
    model_type = "odd"


class OddModel(LlamaForCausalLM):
    config_class = OddConfig
"""


def word_tokenizer(*more: str, with_start: bool = False):
    """Of transformers, whose tokens are words."""
    import tokenizers

    vocabulary = {word: number for number, word in enumerate([*WORDS, *more])}
    found = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="a"))
    found.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if with_start:
        found.post_processor = tokenizers.processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 0)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=found, bos_token="<bos>", eos_token="<eos>"
    )


def save_model(folder, tokenizer, **changes) -> None:
    """A tiny random Llama beside this tokenizer."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32}
    config = transformers.LlamaConfig(**{"vocab_size": len(WORDS)} | sizes | heads | changes)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_documents_end_with_the_model_s_own_end():
    found = as_tokenizer("words", word_tokenizer())
    assert found.encode("the cat sat") == [2, 3, 4]
    assert found.decode([2, 3]) == "the cat"
    assert (found.separator, found.start, found.vocab_size) == (1, None, 8)


def test_an_end_of_text_is_preferred_to_the_end_of_a_turn():
    assert as_tokenizer("words", word_tokenizer("<|endoftext|>")).separator == 8


def test_a_model_that_expects_a_first_token_gets_it_in_blocks_and_not_in_texts():
    found = as_tokenizer("words", word_tokenizer(with_start=True))
    assert found.start == 0
    assert found.encode("the cat") == [2, 3]


def test_a_text_that_spells_out_a_special_token_does_not_become_it():
    found = as_tokenizer("words", word_tokenizer())
    assert 1 not in found.encode("the <eos> cat")


def test_a_token_added_for_something_else_needs_no_row():
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>"]})
    assert as_tokenizer("words", tokenizer).vocab_size == 8


def test_two_vocabularies_of_one_name_are_told_apart():
    first, again = (as_tokenizer("words", word_tokenizer()).fingerprint for _ in range(2))
    assert first == again != as_tokenizer("words", word_tokenizer("dog")).fingerprint


def test_glassllm_reads_and_writes():
    pytest.importorskip("glassllm")
    found = load_tokenizer("glassllm")
    tokens = found.encode("Alice was beginning to get very tired.")
    assert found.decode(tokens) == "Alice was beginning to get very tired."
    assert max(tokens) < found.vocab_size == 1024
    assert found.separator == 3
    model = load_model("glassllm", None)
    assert (model.separator, model.vocab_size) == (3, 1024)
    assert model.tokenizer.fingerprint == found.fingerprint


@pytest.mark.slow
@pytest.mark.skipif(why_model_is_missing("smollm2") is not None, reason="SmolLM2 is not installed")
def test_smollm2_ends_documents_as_in_its_pretraining():
    found = load_tokenizer("smollm2")
    assert (found.separator, found.start, found.vocab_size) == (0, None, 49_152)
    assert found.separator not in found.encode("a <|endoftext|> b")


def test_a_folder_is_a_model_and_its_tokenizer(tmp_path):
    save_model(tmp_path, word_tokenizer(with_start=True))
    found = load_model(str(tmp_path), None)
    assert found.encode("the cat") == [2, 3]
    assert (found.longest, found.vocab_size, found.tokenizer.start) == (32, 8, 0)
    assert found.tokenizer.fingerprint == load_tokenizer(str(tmp_path)).fingerprint


def test_a_tokenizer_that_is_not_the_model_s_own_is_refused(tmp_path):
    save_model(tmp_path, word_tokenizer("dog", "cow"))
    with pytest.raises(SourceUnavailableError, match=r"tokens up to 9, and its model embeds 8"):
        load_model(str(tmp_path), None)


LOADERS = [lambda name: load_model(name, None), load_tokenizer]


@pytest.mark.parametrize("load", LOADERS)
def test_a_folder_that_does_not_exist_is_named(tmp_path, load):
    with pytest.raises(SourceUnavailableError, match=r"there is no folder '\./nowhere' with"):
        load("./nowhere")
    assert why_model_is_missing(str(tmp_path)) is None
    assert why_model_is_missing("someone/model") is None


@pytest.mark.parametrize("load", LOADERS)
def test_a_hub_that_does_not_answer_is_one_sentence_with_what_to_do(monkeypatch, load):
    def fail(*given, **options):
        raise OSError("We couldn't connect to the hub.\nMany more lines.")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", fail)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", fail)
    with pytest.raises(SourceUnavailableError) as caught:
        load("someone/model")
    said = str(caught.value)
    assert "'someone/model' cannot be fetched: We couldn't connect to the hub. Connect to" in said
    assert "give the path of a folder" in said
    assert "\n" not in said


def test_a_folder_without_a_tokenizer_is_one_sentence(tmp_path):
    with pytest.raises(SourceUnavailableError, match="is no tokenizer that transformers") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("load", LOADERS)
def test_a_model_without_its_tokenizer_is_refused_for_the_tokenizer_in_whole_sentences(
    tmp_path, load
):
    save_model(tmp_path, word_tokenizer())
    for file in tmp_path.glob("*token*"):
        file.unlink()
    with pytest.raises(SourceUnavailableError) as caught:
        load(str(tmp_path))
    said = str(caught.value)
    assert f"{str(tmp_path)!r} is no tokenizer that transformers can load here: " in said
    assert said.endswith(BESIDE)
    assert ": ." not in said
    assert "one of: (1)" in said
    assert "\n" not in said


def test_a_folder_of_a_model_alone_has_no_tokenizer_that_reads(tmp_path):
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    config.save_pretrained(tmp_path)
    with pytest.raises(SourceUnavailableError, match="special tokens alone") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A model with code of its own, which transformers would copy beside what it imports."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "odd"
    save_model(folder, word_tokenizer())
    (folder / "odd.py").write_text(ODD)
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "odd.OddConfig", "AutoModelForCausalLM": "odd.OddModel"}
    (folder / "config.json").write_text(
        json.dumps(config | {"model_type": "odd", "auto_map": code})
    )
    return str(folder)


def test_code_that_comes_with_a_model_runs_only_when_asked_for(odd):
    with pytest.raises(SourceUnavailableError, match="add `--set remote_code=true`"):
        load_model(odd, None)
    found = load_model(odd, None, remote_code=True)
    assert type(found.model).__name__ == "OddModel"
