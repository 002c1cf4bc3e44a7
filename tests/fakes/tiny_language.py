"""Text that a small decoder learns in seconds: each token follows from the one before it."""

import numpy as np

from tasks.api import Training
from tasks.language import (
    Corpus,
    DecoderShape,
    LanguagePreset,
    LanguageTask,
    Regime,
    Text,
    TextRequest,
    TextSource,
)


def load(request: TextRequest) -> Corpus:
    """A cycle of 30 tokens, entered anywhere; now and then a token is left out."""
    rng = np.random.default_rng(3)

    def blocks(n: int):
        steps = 1 + (rng.random((n, request.length)) < 0.1)
        return (rng.integers(30, size=(n, 1)) + steps.cumsum(1)).astype(np.int32) % 30

    return Corpus(
        train=blocks(request.train_blocks),
        validation=blocks(request.validation_blocks),
        test=blocks(request.test_blocks),
        what="A cycle of tokens, made for tests.",
    )


PRESET = LanguagePreset(
    name="quick",
    note="For tests.",
    source="packaged",
    text=Text(
        tokenizer="glassllm",
        length=16,
        train_blocks=40,
        validation_blocks=8,
        test_blocks=8,
        calibration_blocks=4,
    ),
    training=Training(
        steps=80, batch_size=8, learning_rate=2e-2, warmup_steps=4, clip_norm=1.0, evaluate_every=20
    ),
    regime=Regime(micro_batch=4),
    decoder=DecoderShape(num_layers=1, num_heads=2, d_model=32, mlp_dim=64, dropout=0.1),
)
STABILITY = LanguagePreset(
    name="quick",
    note="For tests.",
    source="packaged",
    text=PRESET.text,
    training=Training(steps=12, batch_size=8, learning_rate=1e-2, clip_norm=1.0),
    regime=Regime(micro_batch=8, learning_rates="1e-3,1e-2,1e9"),
    decoder=PRESET.decoder,
)
SOURCES = (TextSource(name="packaged", title="a cycle of tokens", load=load),)

TASK = LanguageTask(
    name="fake/next", version=1, title="What comes next", presets=(PRESET,), sources=SOURCES
)
GRID = LanguageTask(
    name="fake/rates",
    version=1,
    title="How it learns at every rate",
    presets=(STABILITY,),
    sources=SOURCES,
    measures="stability",
)
