"""Stability: how training goes over a grid of learning rates, its spikes and divergences."""

from dataclasses import replace

from tasks.api import Training
from tasks.c4.protocols import GEMMA_NOTE, GEMMA_TEXT, TRAINING
from tasks.c4.sources import SOURCES
from tasks.language import LanguagePreset, LanguageTask, Regime, Text

RATES = "1e-4,3e-4,1e-3,3e-3,1e-2"

QUICK = LanguagePreset(
    name="quick",
    note=(
        "GlassLM, 30 720 tokens at each of five learning rates: a minute or two a method on two CPU"
        " cores, too short for spikes to mean much. Values are our own."
    ),
    source="packaged",
    text=Text(model="glassllm", length=128, train_blocks=240),
    training=Training(steps=30, batch_size=8, learning_rate=1e-3, warmup_steps=3, **TRAINING),
    regime=Regime(micro_batch=8, learning_rates=RATES),
)
SMALL = LanguagePreset(
    name="small",
    note=(
        "SmolLM2-135M (four-bit weights), 81 920 tokens at each of five learning rates: about half"
        " an hour a method on two CPU cores that multiply in bfloat16. Values are our own."
    ),
    source="packaged",
    text=Text(model="smollm2", length=256, train_blocks=320),
    training=Training(steps=40, batch_size=8, learning_rate=3e-4, warmup_steps=4, **TRAINING),
    regime=Regime(micro_batch=4, learning_rates=RATES),
    dtype="bfloat16",
)
GEMMA = LanguagePreset(
    name="darkformer-gemma-2b",
    note=f"{GEMMA_NOTE} So is the grid of learning rates.",
    source="hub",
    text=replace(GEMMA_TEXT, train_blocks=12_800),
    training=Training(steps=200, batch_size=64, learning_rate=1e-4, warmup_steps=20, **TRAINING),
    regime=Regime(
        micro_batch=2, checkpoint_activations=True, learning_rates="3e-5,1e-4,3e-4,1e-3,3e-3"
    ),
    dtype="bfloat16",
)

TASK = LanguageTask(
    name="c4/stability",
    version=1,
    title="Stability: loss spikes and divergences over learning rates",
    presets=(QUICK, SMALL, GEMMA),
    sources=SOURCES,
    measures="stability",
    paper="arXiv:2603.04127",
)
