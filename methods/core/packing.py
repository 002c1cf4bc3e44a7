"""Sequences without their padding, one after another: what kernels for uneven lengths are given."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.api import KeyPadding


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """Where the kept places of each sequence of a batch stand in the packed row."""

    time: int
    """The length of every sequence with its padding."""
    lengths: tuple[int, ...]
    """Places kept of each sequence."""
    starts: Int[Tensor, "b1"]
    """int32: where each sequence starts in the packed row, and last where the row ends."""
    places: Int[Tensor, "n"] | None
    """What is kept, as places of all sequences laid end to end; None: everything."""

    def pack(self, x: Float[Tensor, "b h t d"]) -> Float[Tensor, "n h d"]:
        """The kept places alone."""
        row = x.transpose(1, 2).flatten(0, 1)
        return row if self.places is None else row[self.places]

    def unpack(self, x: Float[Tensor, "n h d"]) -> Float[Tensor, "b h t d"]:
        """Every place again, with zeros in those that were not kept."""
        if self.places is not None:
            row = x.new_zeros((len(self.lengths) * self.time, *x.shape[1:]))
            x = row.index_copy(0, self.places, x)
        return x.unflatten(0, (len(self.lengths), self.time)).transpose(1, 2)


def pack_visible(key_padding: KeyPadding) -> Packing:
    """The places that are not padding; of a sequence that is all padding the first is kept.

    Kernels differ on a sequence without keys: whoever packs sets its outputs to zeros. The lengths
    are read from the device, which waits for it.
    """
    kept = ~key_padding
    kept[:, 0] |= key_padding.all(1)
    lengths = kept.sum(1)
    return Packing(
        time=key_padding.shape[1],
        lengths=tuple(lengths.tolist()),
        starts=_starts(lengths),
        places=kept.flatten().nonzero()[:, 0],
    )


def pack_all(x: Float[Tensor, "b h t d"]) -> Packing:
    """Every place of these sequences."""
    batch, _, time, _ = x.shape
    lengths = torch.full((batch,), time, device=x.device)
    return Packing(time=time, lengths=(time,) * batch, starts=_starts(lengths), places=None)


def _starts(lengths: Int[Tensor, "b"]) -> Int[Tensor, "b1"]:
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
