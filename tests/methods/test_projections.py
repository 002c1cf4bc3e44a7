"""Random directions: each exactly N(0, I), orthogonal within a block, independent across heads."""

import math

import torch

from methods.core.projections import draw_omega, haar


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _draw(num_heads: int, num_features: int, dim: int, orthogonal: bool = True):
    return draw_omega(num_heads, num_features, dim, orthogonal=orthogonal, generator=_generator())


def test_directions_of_one_block_are_orthogonal():
    omega = _draw(3, 7, 7)
    products = omega @ omega.mT
    off = products - torch.diag_embed(products.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 1e-4


def test_any_number_of_features_can_be_drawn():
    assert [tuple(_draw(2, m, 7).shape) for m in (1, 7, 33)] == [(2, 1, 7), (2, 7, 7), (2, 33, 7)]


def test_uniform_orthogonal_matrices_have_no_preferred_signs():
    """Their trace has mean zero; QR's own signs give it a mean of several standard errors."""
    gaussian = torch.randn(4000, 5, 5, generator=_generator())
    matrix = haar(gaussian)
    identity = torch.eye(5).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.mT, identity, rtol=0, atol=1e-5)
    trace = matrix.diagonal(dim1=1, dim2=2).sum(-1)
    assert abs(trace.mean()) < 4 * trace.std() / math.sqrt(4000)
    assert abs((trace**2).mean() - 1) < 0.1


def test_orthogonal_directions_are_marginally_standard_normal():
    """The case that exposes QR without its sign fix: there the mean is 0.746."""
    omega = _draw(4000, 8, 8)
    x = 0.5 * torch.ones(8)
    estimates = torch.exp(omega @ x - x.square().sum() / 2).mean(-1)
    assert abs(estimates.mean() - 1) < 4 * estimates.std() / math.sqrt(4000)
    assert abs(omega.square().sum(-1).mean() - 8) < 0.1


def test_heads_have_directions_of_their_own():
    omega = _draw(2, 8, 8)
    assert not torch.allclose(omega[0], omega[1])
