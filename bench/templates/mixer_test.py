"""Laws of starting-point: the contract, its own formula, its options."""

import pytest
import torch

from bench.templates.mixer import METHOD, StartingPointLayer
from methods.api import Heads
from methods.core.testing import check_method

HEADS = Heads(num_heads=3, head_dim=5, num_kv_heads=3, max_time=7)


def test_it_keeps_the_contract() -> None:
    broken = [law for law in check_method(METHOD) if not law.passed]
    assert not broken, broken


def test_the_output_is_the_formula_written_out() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 7, 15, generator=draw, dtype=torch.float64)
    mixer = StartingPointLayer(15, HEADS, draw, causal=True, floor=0.5).double()
    weights, values = torch.sigmoid(mixer.weight(x)) + 0.5, mixer.value(x)
    for t in range(7):
        seen, weight = values[:, : t + 1], weights[:, : t + 1]
        mean = (weight * seen).sum(1) / weight.sum(1)
        torch.testing.assert_close(mixer(x)[:, t], mixer.out(mean))


def test_a_floor_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="floor must be above 0"):
        StartingPointLayer(15, HEADS, torch.Generator(), causal=True, floor=0.0)
