"""Laws of starting-point: the contract, its own formula, its options."""

import pytest
import torch

from bench.templates.attention import METHOD, starting_point_output
from methods.core.testing import check_method


def test_it_keeps_the_contract() -> None:
    broken = [law for law in check_method(METHOD) if not law.passed]
    assert not broken, broken


def test_the_output_is_the_formula_written_out() -> None:
    draw = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, 3, 7, 5, generator=draw, dtype=torch.float64)
    found = starting_point_output(q, k, v, causal=True, width=2.0)
    for i in range(7):
        distances = (q[:, :, i, None] - k[:, :, : i + 1]).square().sum(-1)
        weights = (-distances / 8).exp()
        expected = (weights[..., None] * v[:, :, : i + 1]).sum(2) / weights.sum(-1)[..., None]
        torch.testing.assert_close(found[:, :, i], expected)


def test_a_width_that_is_none_is_refused() -> None:
    q = torch.zeros(1, 1, 3, 5)
    with pytest.raises(ValueError, match="width must be above 0"):
        starting_point_output(q, q, q, width=0.0)
