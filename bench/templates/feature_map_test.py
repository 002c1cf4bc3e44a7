"""Laws of starting-point: the contract, its own formula, its options."""

import pytest
import torch

from bench.templates.feature_map import METHOD, StartingPointFeatures
from methods.api import Heads
from methods.core.testing import check_method

HEADS = Heads(num_heads=3, head_dim=5, num_kv_heads=3, max_time=7)


def test_it_keeps_the_contract() -> None:
    broken = [law for law in check_method(METHOD) if not law.passed]
    assert not broken, broken


def test_the_kernel_is_the_formula_written_out() -> None:
    draw = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 3, 7, 5, generator=draw, dtype=torch.float64)
    found = StartingPointFeatures(HEADS, draw, sharpness=2.0).log_kernel(q, k)
    for i in range(7):
        terms = [(1 + (2 * q[..., i, j]).exp()).log() for j in range(5)]
        expected = sum(terms[j] * (1 + (2 * k[..., 4, j]).exp()).log() for j in range(5))
        torch.testing.assert_close(found[..., i, 4].exp(), expected)


def test_a_sharpness_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="sharpness must be above 0"):
        StartingPointFeatures(HEADS, torch.Generator(), sharpness=0.0)
