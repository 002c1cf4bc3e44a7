"""First and last: whether a sequence ends with the token that it began with.

A whole task in one file outside the registry's folder. Try it with

    python -m bench run --methods performer --task examples/my_task.py
"""

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

LONGEST, LETTERS = 24, 8


def generate(request: LoadRequest) -> Dataset:
    """Random letters; in half of the sequences the last one is the first one again."""
    rng = np.random.default_rng(11)

    def split(n: int) -> Split:
        tokens = rng.integers(1, LETTERS + 1, size=(n, 1, LONGEST))
        lengths = rng.integers(LONGEST // 2, LONGEST + 1, size=(n, 1))
        same = rng.integers(0, 2, size=n)
        first, last = tokens[:, 0, 0], lengths[:, 0] - 1
        # Another letter than the first, each of them as often.
        other = (first - 1 + rng.integers(1, LETTERS, size=n)) % LETTERS + 1
        tokens[np.arange(n), 0, last] = np.where(same, first, other)
        return Split(tokens=tokens, lengths=lengths, labels=same)

    return Dataset(
        train=split(int(request.data["num_train"])),
        validation=split(256),
        test=split(512),
        vocab_size=LETTERS + 1,
        num_classes=2,
        what="Random letters, seed 11; three splits drawn one after another.",
    )


TASK = TrainedTask(
    name="my/first-and-last",
    version=1,
    title="First and last",
    presets=(
        Preset(
            name="quick",
            note="A minute or less on two CPU cores.",
            source="generated",
            model=ModelShape(num_layers=2, num_heads=2, d_model=32, qkv_dim=32, mlp_dim=64),
            training=Training(steps=400, batch_size=32, learning_rate=3e-3, warmup_steps=40),
            data={"num_train": 4096},
            max_time=LONGEST,
        ),
    ),
    sources=(Source(name="generated", title="random letters", load=generate),),
)
