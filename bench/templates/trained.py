"""A task to start from: does the first token come again later in the sequence?"""

# The task says what: data, metric, presets. How to train and what to measure is the harness's.

import numpy as np
from numpy.typing import NDArray

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

VERSION = 1
"""Raise it when data, splits or metric change: old records keep their truth."""
SEED = 2718
VOCABULARY = 32
"""Tokens are numbers from 1; 0 is padding, which no model reads."""


def load(request: LoadRequest) -> Dataset:
    """Balanced examples, the same on every machine, drawn apart for each split."""
    rng = np.random.default_rng(SEED)
    length = int(request.data["length"])
    if length < 4:
        raise ValueError(f"length must be 4 or more, got {length}.")
    train, validation, test = (
        _split(rng, int(request.data[f"num_{name}"]), length)
        for name in ("train", "validation", "test")
    )
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        vocab_size=VOCABULARY + 1,
        num_classes=2,
        what=f"Random tokens, {length // 2} to {length} of them, seed {SEED}; splits drawn apart.",
    )


def _split(rng: np.random.Generator, num: int, length: int) -> Split:
    lengths = rng.integers(length // 2, length + 1, size=num)
    tokens = rng.integers(2, VOCABULARY + 1, size=(num, length))
    tokens[:, 0] = 1
    labels = rng.permutation(num) % 2
    # The first token is the only 1, unless the answer is yes: then one more stands somewhere.
    places = rng.integers(1, lengths)
    tokens[labels == 1, places[labels == 1]] = 1
    names = _renamed(rng, tokens)
    live = np.arange(length) < lengths[:, None]
    # `[example, tower, time]`: two towers are for tasks that compare two inputs.
    return Split(tokens=(names * live)[:, None], lengths=lengths[:, None], labels=labels)


def _renamed(rng: np.random.Generator, tokens: NDArray[np.integer]) -> NDArray[np.integer]:
    """Each example's tokens under names of its own, so that no token gives the answer away."""
    names = rng.permuted(np.tile(np.arange(1, VOCABULARY + 1), (len(tokens), 1)), axis=1)
    return np.take_along_axis(names, tokens - 1, axis=1)


TASK = TrainedTask(
    name="starting-point",
    version=VERSION,
    title="Whether the first token comes again",
    # Every task has quick: a minute or less on two cores of a CPU. small learns something real in
    # minutes; published protocols have their own names. --set changes any value of a preset.
    presets=(
        Preset(
            name="quick",
            note="A few seconds, to see that everything works; too short to learn much.",
            source="generated",
            model=ModelShape(num_layers=1, num_heads=2, d_model=32, qkv_dim=32, mlp_dim=64),
            training=Training(steps=100, batch_size=32, learning_rate=2e-3, warmup_steps=10),
            data={"num_train": 2_000, "num_validation": 200, "num_test": 500, "length": 16},
            max_time=16,
        ),
        Preset(
            name="small",
            note="A few minutes on a CPU, from which softmax learns the task.",
            source="generated",
            model=ModelShape(num_layers=2, num_heads=4, d_model=64, qkv_dim=64, mlp_dim=128),
            training=Training(steps=3_000, batch_size=64, learning_rate=2e-3, warmup_steps=300),
            data={"num_train": 50_000, "num_validation": 1_000, "num_test": 2_000, "length": 32},
            max_time=32,
        ),
    ),
    # Other sources have names of their own (packaged, hub, release), never a silent replacement;
    # data that are not the task's own say stand_in=True.
    sources=(Source(name="generated", title="random tokens", load=load),),
    paper="",
)
