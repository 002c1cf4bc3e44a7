"""Finetuning: what is left of a pretrained model when its attention is replaced."""

from tasks.api import Training
from tasks.c4.sources import SOURCES
from tasks.language import LanguagePreset, LanguageTask, Regime, Text

QUICK = LanguagePreset(
    name="quick",
    note=(
        "GlassLM, 0.85 million parameters, on 61 440 tokens: some seconds a method on two CPU"
        " cores, to see that everything works. Values are our own."
    ),
    source="packaged",
    text=Text(model="glassllm", length=128, train_blocks=480),
    training=Training(
        steps=60,
        batch_size=8,
        learning_rate=1e-3,
        schedule="cosine",
        warmup_steps=6,
        clip_norm=1.0,
        beta2=0.95,
        epsilon=1e-8,
        evaluate_every=15,
    ),
    regime=Regime(micro_batch=8),
)
SMALL = LanguagePreset(
    name="small",
    note=(
        "SmolLM2-135M (four-bit weights) on 204 800 tokens, each once: about ten minutes a method"
        " on two CPU cores that multiply in bfloat16. Values are our own."
    ),
    source="packaged",
    text=Text(model="smollm2", length=256, train_blocks=800),
    training=Training(
        steps=100,
        batch_size=8,
        learning_rate=3e-4,
        schedule="cosine",
        warmup_steps=10,
        clip_norm=1.0,
        beta2=0.95,
        epsilon=1e-8,
        evaluate_every=25,
    ),
    regime=Regime(micro_batch=4),
    dtype="bfloat16",
)

TASK = LanguageTask(
    name="c4/finetune",
    version=1,
    title="Finetuning: a pretrained model with its attention replaced",
    presets=(QUICK, SMALL),
    sources=SOURCES,
    paper="arXiv:2603.04127",
)
