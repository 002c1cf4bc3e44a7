"""Right or wrong, example by example: what the records keep as one bit a test example."""

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from results.crossed import Term


class Outcomes(Protocol):
    """What of a score concerns single examples."""

    @property
    def seed(self) -> int: ...
    @property
    def successes(self) -> int | None: ...
    @property
    def trials(self) -> int | None: ...
    @property
    def test_set(self) -> str: ...
    @property
    def outcomes(self) -> str: ...


def paired_outcomes(*groups: Sequence[Outcomes]) -> list[Term]:
    """A term of weight 1 for each group, `[seed, example]` of 0 and 1.

    Empty unless every score has sound outcomes on the same test set.
    """
    if len({score.test_set for group in groups for score in group}) != 1:
        return []
    terms = []
    for group in groups:
        ordered = sorted(group, key=lambda score: score.seed)
        rows = [_decode(s.outcomes, s.trials, s.successes) for s in ordered]
        found = [row for row in rows if row is not None]
        if len(found) != len(rows):
            return []
        terms.append((tuple(score.seed for score in ordered), found))
    if len({len(row) for _, rows in terms for row in rows}) != 1:
        return []
    return [Term(weight=1.0, seeds=s, values=np.stack(r).astype(np.float64)) for s, r in terms]


@lru_cache(maxsize=256)
def _decode(text: str, trials: int | None, successes: int | None) -> NDArray[np.int8] | None:
    """None where outcomes are missing or at odds with the counts."""
    if not text or trials is None:
        return None
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except ValueError:
        return None
    bits = np.unpackbits(packed, count=min(trials, 8 * len(packed))).view(np.int8)
    return bits if len(bits) == trials and np.count_nonzero(bits) == successes else None
