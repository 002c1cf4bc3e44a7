"""Pairs of passages of one document or of two, half and half, distinct and seeded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
ROUNDS = 50


def draw_pairs(num_passages: Sequence[int], num: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Documents `[pair, 2]`, passages in them `[pair, 2]`, labels (1: the same document).

    Every document is as likely on either side of a pair of either label, so that one side alone
    says nothing. A pair and its reverse count as one.
    """
    counts = np.array(num_passages, dtype=np.int64)
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError("pairs need at least two documents, each of at least two passages.")
    rng = np.random.RandomState(seed)
    halves = [
        _distinct(rng, counts, n, same=s) for n, s in ((num // 2, True), (num - num // 2, False))
    ]
    documents, passages = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    labels = np.repeat([1, 0], [len(halves[0][0]), len(halves[1][0])])
    order = rng.permutation(num)
    return documents[order], passages[order], labels[order]


def _distinct(
    rng: np.random.RandomState, counts: Ints, num: int, *, same: bool
) -> tuple[Ints, Ints]:
    first_passage = np.cumsum(counts) - counts
    documents = np.empty((0, 2), dtype=np.int64)
    passages = np.empty((0, 2), dtype=np.int64)
    for _ in range(ROUNDS):
        new_documents, new_passages = _draw(rng, counts, num, same=same)
        documents = np.concatenate([documents, new_documents])
        passages = np.concatenate([passages, new_passages])
        ids = np.sort(first_passage[documents] + passages, axis=1)
        _, first_seen = np.unique(ids @ [int(counts.sum()), 1], return_index=True)
        kept = np.sort(first_seen)
        documents, passages = documents[kept], passages[kept]
        if len(documents) >= num:
            return documents[:num], passages[:num]
    raise ValueError(
        f"only {len(documents)} distinct pairs of {'one document' if same else 'two documents'}"
        f" were found, {num} are needed: ask for fewer pairs or shorter passages."
    )


def _draw(rng: np.random.RandomState, counts: Ints, num: int, *, same: bool) -> tuple[Ints, Ints]:
    def below(bounds: Ints | int) -> Ints:
        return (rng.random_sample(num) * bounds).astype(np.int64)

    left = below(len(counts))
    left_passage = below(counts[left])
    if same:
        step = 1 + below(counts[left] - 1)
        right, right_passage = left, (left_passage + step) % counts[left]
    else:
        right = (left + 1 + below(len(counts) - 1)) % len(counts)
        right_passage = below(counts[right])
    return np.stack([left, right], axis=1), np.stack([left_passage, right_passage], axis=1)
