"""Scores drawn from the crossed design: some examples are harder, some seeds are luckier."""

import base64

import numpy as np
from numpy.typing import NDArray

from results.statistics import Score

EASY = np.random.default_rng(5).beta(1.2, 1.8, size=200_000)
"""How likely each example of a large population is got right."""


def score(right: NDArray, seed: int = 0, *, test_set: str = "fake", kept: bool = True) -> Score:
    """`kept`: with the outcome of every example, as records have it."""
    right = np.asarray(right, dtype=bool)
    bits = base64.b64encode(np.packbits(right).tobytes()).decode()
    return Score(
        seed=seed,
        value=float(right.mean()),
        successes=int(right.sum()),
        trials=len(right),
        test_set=test_set,
        outcomes=bits if kept else "",
    )


def drawn(
    rng: np.random.Generator,
    easy: NDArray,
    *,
    seeds: int,
    spread: float,
    gain: float = 0.0,
    test_set: str = "fake",
    kept: bool = True,
) -> list[Score]:
    """One method's seeds on these examples; `spread` is the deviation between seeds."""
    chance = np.clip(easy + gain + rng.normal(0.0, spread, size=(seeds, 1)), 0, 1)
    right = rng.random((seeds, len(easy))) < chance
    return [score(row, seed, test_set=test_set, kept=kept) for seed, row in enumerate(right)]


def blocks(rng: np.random.Generator, mean: float, hard: NDArray, *, seeds: int) -> list[Score]:
    """Values by block of a text, hard ones hard for every seed."""
    luck = rng.normal(0.0, 0.01, size=(seeds, 1))
    values = mean + hard + luck + rng.normal(0.0, 0.03, size=(seeds, len(hard)))
    return [
        Score(seed=seed, value=float(row.mean()), test_set="fake", blocks=tuple(row))
        for seed, row in enumerate(values)
    ]
