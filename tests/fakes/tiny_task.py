"""A task that any mixing solves in seconds: which of two tokens is in the majority."""

import numpy as np

from tasks.api import (
    Dataset,
    LoadRequest,
    ModelShape,
    Preset,
    Source,
    Split,
    TrainedTask,
    Training,
)


def load(request: LoadRequest) -> Dataset:
    """Sequences of 5 to 15 tokens, odd in number, so that there is always a majority."""
    rng = np.random.default_rng(7)

    def split(n: int) -> Split:
        lengths = rng.integers(2, 8, size=(n, 1)) * 2 + 1
        tokens = rng.integers(1, 3, size=(n, 1, 15))
        live = np.arange(15) < lengths[:, :, None]
        twos = ((tokens == 2) & live).sum(axis=(1, 2))
        return Split(tokens=tokens * live, lengths=lengths, labels=(twos * 2 > lengths[:, 0]) * 1)

    return Dataset(
        train=split(int(request.data["num_train"])),
        validation=split(64),
        test=split(128),
        vocab_size=3,
        num_classes=2,
        what="Random tokens, made for tests.",
    )


TASK = TrainedTask(
    name="fake/majority",
    version=1,
    title="Which token is in the majority",
    presets=(
        Preset(
            name="quick",
            note="For tests.",
            source="generated",
            model=ModelShape(num_layers=1, num_heads=2, d_model=16, qkv_dim=16, mlp_dim=32),
            training=Training(steps=40, batch_size=16, learning_rate=3e-3),
            data={"num_train": 256},
            max_time=15,
        ),
    ),
    sources=(Source(name="generated", title="random tokens", load=load),),
)
