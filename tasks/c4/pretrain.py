"""Pretraining: a decoder from scratch, on next tokens."""

from tasks.api import Training
from tasks.c4.protocols import TRAINING
from tasks.c4.sources import SOURCES
from tasks.language import DecoderShape, LanguagePreset, LanguageTask, Regime, Text

QUICK = LanguagePreset(
    name="quick",
    note=(
        "A decoder of 0.54 million parameters on 204 800 tokens: under a minute a method on two CPU"
        " cores, to see that all works; it learns little more than which token follows which."
    ),
    source="packaged",
    text=Text(tokenizer="glassllm", length=128, train_blocks=1_600),
    training=Training(
        steps=200,
        batch_size=8,
        learning_rate=2e-3,
        warmup_steps=20,
        weight_decay=0.1,
        evaluate_every=50,
        **TRAINING,
    ),
    regime=Regime(micro_batch=8),
    decoder=DecoderShape(num_layers=2, num_heads=4, d_model=128, mlp_dim=512),
)
SMALL = LanguagePreset(
    name="small",
    note=(
        "A decoder of 4.3 million parameters on 1 638 400 tokens, each once: some minutes a method"
        " on two CPU cores. Values are our own."
    ),
    source="packaged",
    text=Text(
        tokenizer="glassllm", length=256, train_blocks=6_400, validation_blocks=32, test_blocks=256
    ),
    training=Training(
        steps=400,
        batch_size=16,
        learning_rate=1e-3,
        warmup_steps=40,
        weight_decay=0.1,
        **TRAINING,
    ),
    regime=Regime(micro_batch=16),
    decoder=DecoderShape(num_layers=5, num_heads=4, d_model=256, mlp_dim=1024),
)

NOTE = (
    "{parameters} million parameters beside the embeddings of SmolLM2's 49 152 tokens. The protocol"
    " is our own: width, depth, learning rate, batch and optimiser near those of GPT-3's sizes"
    " (arXiv:2005.14165, table 2.1 and appendix B), on {billions} thousand million tokens, far"
    " fewer than there. It holds a thousand million in memory (4 GB), and repeats them if it needs"
    " more. For a GPU; not run in full."
)


def _sized(
    name: str,
    decoder: DecoderShape,
    learning_rate: float,
    micro_batch: int,
    *,
    steps: int = 5_000,
    checkpoint_activations: bool = False,
) -> LanguagePreset:
    batch, length = 512, 1_024
    parameters = 12 * decoder.num_layers * decoder.d_model**2 / 1e6
    billions = steps * batch * length / 1e9
    return LanguagePreset(
        name=name,
        note=NOTE.format(parameters=f"{parameters:.0f}", billions=f"{billions:.1f}"),
        source="hub",
        text=Text(
            tokenizer="smollm2",
            length=length,
            train_blocks=min(steps * batch, 2**20),
            validation_blocks=256,
            test_blocks=1_024,
            calibration_blocks=64,
        ),
        training=Training(
            steps=steps,
            batch_size=batch,
            learning_rate=learning_rate,
            warmup_steps=steps // 10,
            weight_decay=0.1,
            **TRAINING,
        ),
        regime=Regime(
            micro_batch=micro_batch,
            checkpoint_activations=checkpoint_activations,
            checkpoint_seconds=600.0,
        ),
        decoder=decoder,
        dtype="bfloat16",
    )


def _shape(num_layers: int, num_heads: int, d_model: int) -> DecoderShape:
    return DecoderShape(
        num_layers=num_layers, num_heads=num_heads, d_model=d_model, mlp_dim=4 * d_model
    )


SIZES = (
    _sized("c4-10m", _shape(6, 6, 384), 1e-3, 32, steps=1_000),
    _sized("c4-125m", _shape(12, 12, 768), 6e-4, 16),
    _sized("c4-350m", _shape(24, 16, 1_024), 3e-4, 8, checkpoint_activations=True),
    _sized("c4-1b", _shape(20, 16, 2_048), 2e-4, 4, checkpoint_activations=True),
    _sized("c4-2b", _shape(24, 20, 2_560), 1.6e-4, 2, checkpoint_activations=True),
)

TASK = LanguageTask(
    name="c4/pretrain",
    version=1,
    title="Pretraining: a decoder from scratch",
    presets=(QUICK, SMALL, *SIZES),
    sources=SOURCES,
    paper="arXiv:2603.04127",
)
