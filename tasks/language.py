"""What a language task says: text, model, training. Next-token prediction, free of torch."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.api import LoadRequest, Metric, Training

Blocks = NDArray[np.int32]
"""`[block, token]`: each token but the first is predicted from those before it in its block."""
Encode = Callable[[str], list[int]]
Trains = Literal["all", "attention", "method"]

NEXT_TOKEN = Metric(name="accuracy", unit="fraction", higher_is_better=True)
LOSS = Metric(name="loss", unit="nat/token", higher_is_better=False)
PERPLEXITY = Metric(name="perplexity", unit="1", higher_is_better=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Text as packed blocks: documents with a separator between them, cut every `length` tokens."""

    train: Blocks
    validation: Blocks
    test: Blocks
    what: str
    """One sentence: what this is, how it was split."""

    @property
    def digest(self) -> str:
        """SHA-256 of all blocks, the same on every machine."""
        h = hashlib.sha256()
        for blocks in (self.train, self.validation, self.test):
            h.update(str(blocks.shape).encode())
            h.update(np.ascontiguousarray(blocks, dtype="<i4").tobytes())
        return h.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """What a source of text is asked for."""

    encode: Encode
    separator: int | None
    """The token between documents; None: the tokenizer has none."""
    tokenizer: str
    """Its name, for sentences and for the names of what is kept."""
    length: int
    train_blocks: int
    validation_blocks: int
    test_blocks: int
    start: int | None = None
    """The token that every block begins with; None: the model expects none."""
    fingerprint: str = ""
    """Of the tokenizer: tells two of one name apart."""
    path: Path | None = None
    """A folder of text or parquet, or one file, for the source `release`."""
    cache: Path | None = None
    """A folder for what was encoded; None: keep nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSource:
    """Where text comes from."""

    name: Literal["packaged", "hub", "release"]
    title: str
    """What it is, shown in every table: a stand-in is named as one here."""
    load: Callable[[TextRequest], Corpus]
    """Raises tasks.api.SourceUnavailableError where there is too little text, or none."""
    missing: Callable[[LoadRequest], str | None] = lambda _: None
    """Why it cannot be had here and what to do about it, or None. Cheap: no text is read."""
    stand_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    """A Transformer decoder: pre-normalised, learned positions, tied embeddings."""

    num_layers: int
    num_heads: int
    d_model: int
    mlp_dim: int
    dropout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Which tokens, and how many. A training run that needs more blocks repeats them."""

    model: str = ""
    """The pretrained model whose attention is swapped: a name or a path."""
    tokenizer: str = ""
    """Whose tokens a model from scratch reads: a model's name or path; empty where `model` is."""
    length: int = 128
    """Tokens in a block, or as many as the model takes, if fewer."""
    train_blocks: int = 512
    validation_blocks: int = 16
    test_blocks: int = 64
    calibration_blocks: int = 16
    """The first of the training blocks: what methods calibrate on before anything is trained."""
    remote_code: bool = False
    """Run code that comes with a model or a tokenizer. Whoever publishes it can then do anything
    on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """How the training is carried out, and with which learning rates."""

    train: Trains = "all"
    """What learns: everything, the attention layers, or the method's own parameters."""
    micro_batch: int = 8
    """Blocks at a time on the device; their gradients add up to those of a batch."""
    checkpoint_activations: bool = False
    """Compute activations again in the backward pass instead of keeping them."""
    learning_rates: str = ""
    """With commas: the rates that a search, or `c4/stability`, tries; empty: no search."""
    search_steps: int = 0
    """Steps that each rate of a search gets; the rest of the training starts afresh."""
    checkpoint_seconds: float = 120.0
    """Between two checkpoints on disk; 0: none are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguagePreset:
    """A whole protocol."""

    name: str
    note: str
    """What it is, where its values come from, what is impossible or disputed in it."""
    source: str
    """The name of the default source."""
    text: Text
    training: Training
    """`batch_size` counts blocks."""
    regime: Regime
    decoder: DecoderShape | None = None
    """The model from scratch; None: the pretrained one that `text.model` names."""
    dtype: str = "float32"
    """Unless `--dtype` says otherwise."""
    seeds: tuple[int, ...] = (0,)

    @property
    def max_time(self) -> int:
        return self.text.length


def learning_rates(regime: Regime) -> tuple[float, ...]:
    """Those of the text, ascending. Raises ValueError for what is no positive number."""
    if not regime.learning_rates.strip():
        return ()
    try:
        found = sorted({float(text) for text in regime.learning_rates.split(",")})
    except ValueError:
        found = [0.0]
    if not 0 < found[0] <= found[-1] < float("inf"):
        raise ValueError(
            "learning_rates takes positive numbers with commas between them, not"
            f" {regime.learning_rates!r}."
        )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTask:
    """Next-token prediction, of a model from scratch or of a pretrained one."""

    name: str
    version: int
    """Raised when text, splits or what is measured change: old records keep their truth."""
    title: str
    presets: tuple[LanguagePreset, ...]
    sources: tuple[TextSource, ...]
    measures: Literal["training", "stability"] = "training"
    """stability: one training run for each learning rate, spikes and divergences counted."""
    metric: Metric = NEXT_TOKEN
    paper: str = ""

    def preset(self, name: str) -> LanguagePreset | None:
        return next((p for p in self.presets if p.name == name), None)

    def source(self, name: str) -> TextSource | None:
        return next((s for s in self.sources if s.name == name), None)


AT_LEAST = {
    "length": 2,
    "train_blocks": 1,
    "validation_blocks": 1,
    "test_blocks": 1,
    "calibration_blocks": 0,
    "steps": 1,
    "batch_size": 1,
    "micro_batch": 1,
    "search_steps": 0,
    "warmup_steps": 0,
    "evaluate_every": 0,
    "learning_rate": 0,
    "weight_decay": 0,
    "clip_norm": 0,
    "checkpoint_seconds": 0,
    "num_layers": 1,
    "num_heads": 1,
    "d_model": 1,
    "mlp_dim": 1,
}


def check_protocol(task: LanguageTask, preset: LanguagePreset) -> None:
    """Raises ValueError, with one sentence, for settings that no training can follow."""
    parts = (preset.text, preset.training, preset.regime, preset.decoder)
    for name, least in AT_LEAST.items():
        for part in parts:
            if getattr(part, name, least) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(part, name)}.")
    batch, micro = preset.training.batch_size, preset.regime.micro_batch
    if batch % micro:
        raise ValueError(
            f"micro_batch must divide batch_size, and {micro} does not divide {batch}."
        )
    if preset.text.calibration_blocks > preset.text.train_blocks:
        raise ValueError(
            f"calibration_blocks is {preset.text.calibration_blocks}, more than train_blocks,"
            f" {preset.text.train_blocks}, of which they are the first."
        )
    _check_model(preset)
    rates = learning_rates(preset.regime)
    if task.measures == "stability" and not rates:
        raise ValueError("learning_rates is empty: stability is measured over several.")
    if task.measures == "training" and bool(rates) != bool(preset.regime.search_steps):
        raise ValueError(
            "a search takes both learning_rates and search_steps, and here are"
            f" {preset.regime.learning_rates!r} and {preset.regime.search_steps}."
        )


def _check_model(preset: LanguagePreset) -> None:
    text, shape = preset.text, preset.decoder
    if shape is None:
        if not text.model or text.tokenizer:
            raise ValueError(
                "a pretrained model is named by model=, and reads its own tokens: leave tokenizer"
                f" empty. Here are model={text.model!r} and tokenizer={text.tokenizer!r}."
            )
        return
    if text.model or not text.tokenizer:
        raise ValueError(
            "a model from scratch has a tokenizer= and no model=, which c4/finetune takes. Here"
            f" are tokenizer={text.tokenizer!r} and model={text.model!r}."
        )
    if shape.d_model % shape.num_heads:
        raise ValueError(
            f"num_heads must divide d_model, and {shape.num_heads} does not divide {shape.d_model}."
        )
    if not 0 <= shape.dropout < 1:
        raise ValueError(f"dropout must be from 0 up and less than 1, got {shape.dropout:g}.")
