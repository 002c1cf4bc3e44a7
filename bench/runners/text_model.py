"""What a language trial starts from: text as blocks, and a model with the method in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.decoder import NextTokenModel, Pretrained, build_decoder
from bench.runners.inspection import calibrate
from bench.runners.train import Progress, Report
from methods.api import Method
from tasks.data.models import load_model
from tasks.data.tokenizers import Tokenizer, load_tokenizer
from tasks.language import Corpus, LanguagePreset, TextRequest, TextSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Ready to be trained."""

    model: NextTokenModel
    """On the device, calibrated."""
    corpus: Corpus
    vocab_size: int
    exact_layers: tuple[str, ...] = ()
    """Layers of a pretrained model whose attention was left as it was, each with the reason."""
    card: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What `build` is asked for, beside method and source."""

    preset: LanguagePreset
    options: Mapping[str, Any]
    path: Path | None
    cache: Path | None
    seed: int
    device: torch.device
    report: Report


def build(method: Method, source: TextSource, asked: Asked) -> Built:
    """Raises SourceUnavailableError for text or a model that cannot be had, UnsupportedError where
    the method and the model do not go together."""
    if asked.preset.decoder is None:
        return _pretrained(method, source, asked)
    return _from_scratch(method, source, asked)


def _pretrained(method: Method, source: TextSource, asked: Asked) -> Built:
    from methods.core.pretrained import swap_attention

    text = asked.preset.text
    language = load_model(text.model, asked.cache, remote_code=text.remote_code)
    length = min(text.length, language.longest)
    corpus = _corpus(source, asked, language.tokenizer, length)
    asked.report(Progress("swap"))
    model = language.model.to(asked.device)
    swap = swap_attention(
        model,
        method,
        seed=asked.seed,
        max_time=length,
        calibration=list(_calibration(corpus, asked)),
        **asked.options,
    )
    if asked.preset.regime.checkpoint_activations:
        model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    return Built(
        model=Pretrained(model),
        corpus=corpus,
        vocab_size=len(model.get_input_embeddings().weight),
        exact_layers=tuple(f"layer {i}: {why}" for i, why in swap.exact.items()),
        card=_card(asked, language.tokenizer) | {"model": language.what},
    )


def _from_scratch(method: Method, source: TextSource, asked: Asked) -> Built:
    preset = asked.preset
    assert preset.decoder is not None
    tokenizer = load_tokenizer(preset.text.tokenizer, remote_code=preset.text.remote_code)
    corpus = _corpus(source, asked, tokenizer, preset.text.length)
    model = build_decoder(
        method,
        asked.options,
        preset.decoder,
        vocab_size=tokenizer.vocab_size,
        max_time=preset.text.length,
        seed=asked.seed,
        checkpoint_activations=preset.regime.checkpoint_activations,
    ).to(asked.device)

    def forward() -> None:
        for tokens in _calibration(corpus, asked):
            model(tokens)

    calibrate(model, forward)
    return Built(
        model=model,
        corpus=corpus,
        vocab_size=tokenizer.vocab_size,
        card=_card(asked, tokenizer) | {"model": "a decoder from scratch"},
    )


def _corpus(source: TextSource, asked: Asked, tokenizer: Tokenizer, length: int) -> Corpus:
    text = asked.preset.text
    return source.load(
        TextRequest(
            encode=tokenizer.encode,
            separator=tokenizer.separator,
            start=tokenizer.start,
            tokenizer=tokenizer.name,
            fingerprint=tokenizer.fingerprint,
            length=length,
            train_blocks=text.train_blocks,
            validation_blocks=text.validation_blocks,
            test_blocks=text.test_blocks,
            path=asked.path,
            cache=asked.cache,
        )
    )


def _calibration(corpus: Corpus, asked: Asked) -> Iterator[Tensor]:
    """The first blocks of the training text, as many at a time as training takes."""
    blocks = corpus.train[: asked.preset.text.calibration_blocks].astype(np.int64)
    for start in range(0, len(blocks), asked.preset.regime.micro_batch):
        yield torch.from_numpy(blocks[start : start + asked.preset.regime.micro_batch]).to(
            asked.device
        )


def _card(asked: Asked, tokenizer: Tokenizer) -> dict[str, str]:
    text = asked.preset.text
    return {
        "tokenizer": f"{tokenizer.name}, {tokenizer.vocab_size} tokens",
        "calibration": (
            f"{text.calibration_blocks} blocks of the training text, for methods that ask for it,"
            " through exact attention where a model is pretrained"
        ),
    }
