"""Pairs of passages of one document or of two, half and half, distinct and seeded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
ROUNDS = 50


def draw_pairs(
    num_passages: Sequence[int], num: int, seed: int, *, years: Sequence[int], years_apart: int = 0
) -> tuple[Ints, Ints, Ints]:
    """Documents `[pair, 2]`, passages in them `[pair, 2]`, labels (1: the same document).

    Two documents lie at least `years_apart` years apart. A document is as likely on either side of
    a pair of either label, so that one side alone says nothing; but repeats (a reversed pair is
    one) are dropped, which favours long documents once the short ones are used up.
    """
    counts = np.array(num_passages, dtype=np.int64)
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError("pairs need at least two documents, each of at least two passages.")
    partners = _partners(np.array(years), years_apart)
    rng = np.random.RandomState(seed)
    sizes = ((num // 2, True), (num - num // 2, False))
    halves = [_distinct(rng, counts, partners, n, same=same) for n, same in sizes]
    documents, passages = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    labels = np.repeat([1, 0], [n for n, _ in sizes])
    order = rng.permutation(num)
    return documents[order], passages[order], labels[order]


def _partners(years: Ints, years_apart: int) -> list[Ints]:
    """For every document the others that are far enough away."""
    far = np.abs(years[:, None] - years) >= years_apart
    np.fill_diagonal(far, val=False)
    if not far.any():
        raise ValueError(f"no two documents lie {years_apart} years apart: ask for fewer.")
    return [np.flatnonzero(row) for row in far]


def _distinct(
    rng: np.random.RandomState, counts: Ints, partners: list[Ints], num: int, *, same: bool
) -> tuple[Ints, Ints]:
    first_passage = np.cumsum(counts) - counts
    documents = np.empty((0, 2), dtype=np.int64)
    passages = np.empty((0, 2), dtype=np.int64)
    for _ in range(ROUNDS):
        new_documents, new_passages = _draw(rng, counts, partners, num, same=same)
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


def _draw(
    rng: np.random.RandomState, counts: Ints, partners: list[Ints], num: int, *, same: bool
) -> tuple[Ints, Ints]:
    def below(bounds: Ints | int) -> Ints:
        return (rng.random_sample(num) * bounds).astype(np.int64)

    num_partners = np.array([len(far) for far in partners])
    first_partner = np.cumsum(num_partners) - num_partners
    paired = np.flatnonzero(num_partners)
    left = paired[below(len(paired))]
    right = np.concatenate(partners)[first_partner[left] + below(num_partners[left])]
    # The partner's side is a coin's choice, so that both sides are distributed alike; a pair of one
    # document takes the document that such a pair has on one side.
    swapped = rng.random_sample(num) < 0.5
    left, right = np.where(swapped, right, left), np.where(swapped, left, right)
    left_passage = below(counts[left])
    if same:
        right = left
        right_passage = (left_passage + 1 + below(counts[left] - 1)) % counts[left]
    else:
        right_passage = below(counts[right])
    return np.stack([left, right], axis=1), np.stack([left_passage, right_passage], axis=1)
