"""Seeded choices that are the same on every machine and in every version of numpy.

`RandomState` rather than `Generator`: its stream is frozen by numpy's compatibility policy.
"""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def hold_out(labels: NDArray[np.integer], num: int, seed: int) -> tuple[Indices, Indices]:
    """Which examples stay and which are held out: `num` of them, every class in its share.

    Both parts are in a random order.
    """
    if not 0 < num < len(labels):
        raise ValueError(f"{num} of {len(labels)} examples cannot be held out: give fewer.")
    order = np.random.RandomState(seed).permutation(len(labels))
    sorted_by_class = order[np.argsort(labels[order], kind="stable")]
    # A systematic sample of the examples sorted by class takes from every class its share.
    positions = (np.arange(num, dtype=np.int64) * len(labels) + len(labels) // 2) // num
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[sorted_by_class[positions]] = True
    return order[~chosen[order]], order[chosen[order]]


def balanced(labels: NDArray[np.integer], num: int, seed: int) -> Indices:
    """At most `num` examples (0: as many as can be), equally many of every class, shuffled."""
    order = np.random.RandomState(seed).permutation(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    each = int(counts.min())
    if num:
        each = min(each, max(num // len(classes), 1))
    rank = np.empty(len(labels), dtype=np.int64)
    for c in classes:
        of_class = order[labels[order] == c]
        rank[of_class] = np.arange(len(of_class))
    return order[rank[order] < each]
