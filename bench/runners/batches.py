"""Moves a split to the device batch by batch, each trimmed to its own longest sequence."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from tasks.api import Split


class Batch(NamedTuple):
    """What the model takes, and the answers."""

    tokens: Int[Tensor, "b n t"]
    padding: Bool[Tensor, "b n t"] | None
    """True where there is no token; None where every sequence fills the batch."""
    labels: Int[Tensor, "b"]

    @property
    def num_tokens(self) -> int:
        """Positions computed, padding included."""
        return self.tokens.numel()


def take(split: Split, rows: NDArray[np.integer], device: torch.device) -> Batch:
    """These rows of the split as tensors."""
    lengths = split.lengths[rows]
    longest = int(lengths.max())
    tokens = torch.from_numpy(split.tokens[rows][:, :, :longest].astype(np.int64))
    padding = None
    if int(lengths.min()) < longest:
        padding = torch.from_numpy(np.arange(longest) >= lengths[:, :, None]).to(device)
        tokens = tokens.masked_fill(padding.cpu(), 0)
    labels = torch.from_numpy(split.labels[rows].astype(np.int64))
    return Batch(tokens.to(device), padding, labels.to(device))


def training_batches(
    split: Split, batch_size: int, device: torch.device, seed: int
) -> Iterator[Batch]:
    """Endless: every epoch in a fresh order, set by the seed alone; a short rest is left out."""
    generator = np.random.default_rng([seed, 0x7261])
    size = min(batch_size, len(split))
    while True:
        order = generator.permutation(len(split))
        for start in range(0, len(order) - size + 1, size):
            yield take(split, order[start : start + size], device)


def in_order(split: Split, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Every example once."""
    for start in range(0, len(split), batch_size):
        yield take(split, np.arange(start, min(start + batch_size, len(split))), device)
