"""What the protocols of this family share."""

from typing import TypedDict

from tasks.language import Text


class Optimiser(TypedDict):
    """Fields of `tasks.api.Training` that no protocol of this family changes."""

    clip_norm: float
    beta2: float
    epsilon: float


TRAINING: Optimiser = {"clip_norm": 1.0, "beta2": 0.95, "epsilon": 1e-8}
GEMMA_NOTE = (
    "Gemma-2B and C4, as the paper (arXiv:2603.04127) names them; its claims are of next-token"
    " accuracy. Length, number of tokens, batch, optimiser, schedule and learning rates were not to"
    " be had: here they are our own. The weights need a licence that is accepted on the hub. For a"
    " GPU of 80 GB; the path is tested on a tiny random Gemma, and not run in full."
)
GEMMA_TEXT = Text(
    model="google/gemma-2b",
    length=1024,
    train_blocks=32_000,
    validation_blocks=64,
    test_blocks=256,
    calibration_blocks=64,
)
