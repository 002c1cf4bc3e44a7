"""Finetuning: what is left of a pretrained model when its attention is replaced."""

from tasks.api import Training
from tasks.c4.protocols import GEMMA_NOTE, GEMMA_TEXT, TRAINING
from tasks.c4.sources import SOURCES
from tasks.language import LanguagePreset, LanguageTask, Regime, Text

QUICK = LanguagePreset(
    name="quick",
    note=(
        "GlassLM, 0.85 million parameters, on 61 440 tokens: under a minute a method on two CPU"
        " cores, to see that everything works. Values are our own."
    ),
    source="packaged",
    text=Text(model="glassllm", length=128, train_blocks=480),
    training=Training(
        steps=60, batch_size=8, learning_rate=1e-3, warmup_steps=6, evaluate_every=15, **TRAINING
    ),
    regime=Regime(micro_batch=8),
)
SMALL = LanguagePreset(
    name="small",
    note=(
        "SmolLM2-135M (four-bit weights) on 204 800 tokens, each once: minutes a method on two CPU"
        " cores that multiply in bfloat16. Values are our own."
    ),
    source="packaged",
    text=Text(model="smollm2", length=256, train_blocks=800),
    training=Training(
        steps=100, batch_size=8, learning_rate=3e-4, warmup_steps=10, evaluate_every=25, **TRAINING
    ),
    regime=Regime(micro_batch=8),
    dtype="bfloat16",
)
GEMMA = LanguagePreset(
    name="darkformer-gemma-2b",
    note=GEMMA_NOTE,
    source="hub",
    text=GEMMA_TEXT,
    training=Training(
        steps=500, batch_size=64, learning_rate=1e-4, warmup_steps=50, evaluate_every=50, **TRAINING
    ),
    regime=Regime(micro_batch=2, checkpoint_activations=True),
    dtype="bfloat16",
    seeds=(0, 1, 2),
)

TASK = LanguageTask(
    name="c4/finetune",
    version=1,
    title="Finetuning: a pretrained model with its attention replaced",
    presets=(QUICK, SMALL, GEMMA),
    sources=SOURCES,
    paper="arXiv:2603.04127",
)
