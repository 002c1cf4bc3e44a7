"""A causal mixer read in both directions, and what is padded."""

import torch

from methods.core.both_ways import both_ways, one_way


def running_sum(x):
    return x.cumsum(1)


def test_one_way_skips_padded_tokens_wherever_they_stand():
    x = torch.tensor([[[1.0], [100.0], [2.0]]])
    padding = torch.tensor([[False, True, False]])
    assert one_way(running_sum, x, padding)[0, [0, 2], 0].tolist() == [1.0, 3.0]


def test_both_ways_is_the_mean_of_the_two_directions():
    x = torch.tensor([[[1.0], [2.0], [4.0]]])
    assert both_ways(running_sum, x, None)[0, :, 0].tolist() == [4.0, 4.5, 5.5]


def test_both_ways_treats_padding_as_absent():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 9, 3, generator=generator)
    padding = torch.arange(9) >= torch.tensor([[9], [4]])
    padded = both_ways(running_sum, x, padding)
    torch.testing.assert_close(padded[1, :4], both_ways(running_sum, x[1:, :4], None)[0])
    torch.testing.assert_close(padded[0], both_ways(running_sum, x[:1], None)[0])
