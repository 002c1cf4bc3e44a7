"""The blocks of one text, where tokens are no independent samples.

A mean over seeds and blocks is uncertain by the seeds and by the blocks (`results.crossed`). Models
that saw the same blocks are compared block by block, so that hard blocks do not count as noise.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from results.crossed import Term


class Blockwise(Protocol):
    """What of a score concerns blocks."""

    @property
    def seed(self) -> int: ...
    @property
    def test_set(self) -> str: ...
    @property
    def blocks(self) -> tuple[float, ...]: ...


def paired_blocks(*groups: Sequence[Blockwise]) -> list[Term]:
    """A term of weight 1 for each group; empty unless all have the same blocks of the same text."""
    scores = [score for group in groups for score in group]
    sizes, texts = {len(s.blocks) for s in scores}, {s.test_set for s in scores}
    if len(sizes) != 1 or len(texts) != 1 or 0 in sizes:
        return []
    ordered = [sorted(group, key=lambda score: score.seed) for group in groups]
    return [
        Term(
            weight=1.0,
            seeds=tuple(score.seed for score in group),
            values=np.array([score.blocks for score in group], dtype=np.float64),
        )
        for group in ordered
    ]
