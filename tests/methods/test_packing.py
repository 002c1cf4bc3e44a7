"""Sequences without their padding, and back again."""

import torch

from methods.core.packing import pack_all, pack_visible


def test_what_was_packed_is_unpacked_into_its_place():
    x = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    padding = torch.tensor([[False, True, False, True], [True] * 4])
    packing = pack_visible(padding)
    assert packing.lengths == (2, 1)
    assert packing.starts.tolist() == [0, 2, 3]
    kept = torch.tensor([[True, False, True, False], [True, False, False, False]])
    assert torch.equal(packing.unpack(packing.pack(x)), x * kept[:, None, :, None])
    assert torch.equal(pack_all(x).unpack(pack_all(x).pack(x)), x)
