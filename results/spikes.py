"""Loss spikes, counted by one rule for every method."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

WINDOW = 20
"""Steps before the one that is judged."""
LEAST = 8
"""Steps of them that there must be; earlier ones are not judged."""
DEVIATIONS = 6.0
SMALLEST = 0.01
"""Nat: a robust deviation is never taken to be smaller, as where losses stand still."""
TO_DEVIATION = 1.4826
"""Median absolute deviation to standard deviation, for normal noise."""

RULE = (
    f"a step whose loss exceeds the median of the {WINDOW} before it (at least {LEAST}) by more"
    f" than {DEVIATIONS:g} robust deviations (1.4826 x their median absolute deviation, at least"
    f" {SMALLEST} nat); neighbouring steps are one spike, and a loss that is not finite is a"
    " divergence and none"
)
"""Our own, as the paper gives none."""


def spikes(losses: Sequence[float]) -> list[int]:
    """The first step, from 1, of every spike."""
    found = np.asarray(losses, dtype=float)
    beyond = [step + 1 for step in range(LEAST, len(found)) if _is_beyond(found, step)]
    return beyond[:1] + [step for before, step in pairwise(beyond) if step > before + 1]


def _is_beyond(losses: np.ndarray, step: int) -> bool:
    window = losses[max(0, step - WINDOW) : step]
    window = window[np.isfinite(window)]
    if len(window) < LEAST or not np.isfinite(losses[step]):
        return False
    middle = np.median(window)
    deviation = max(SMALLEST, TO_DEVIATION * float(np.median(np.abs(window - middle))))
    return bool(losses[step] > middle + DEVIATIONS * deviation)
