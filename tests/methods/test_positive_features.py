"""Positive random features: their mean, their variance and their scale."""

import math

import pytest
import torch

from methods.core.linear_attention import Exponents
from methods.core.positive_features import positive_features
from methods.core.projections import draw_omega

NUM_DRAWS = 20_000


def _estimates(q, k, *, num_features: int, orthogonal: bool):
    """Independent estimates of exp(q.k), one to a head, in float64."""
    omega = draw_omega(
        NUM_DRAWS,
        num_features,
        len(q),
        orthogonal=orthogonal,
        generator=torch.Generator().manual_seed(0),
    ).double()
    exponents = Exponents(omega=omega, scale=1.0)
    queries, keys = (
        positive_features(x.double().expand(1, NUM_DRAWS, 1, -1), exponents) for x in (q, k)
    )
    product = (queries.values * keys.values).sum(-1)
    return (product * torch.exp(queries.log_scale + keys.log_scale)).flatten()


@pytest.mark.parametrize("orthogonal", [False, True])
def test_the_mean_is_the_kernel(orthogonal):
    q, k = torch.tensor([0.3, -0.2, 0.1, 0.5]), torch.tensor([-0.1, 0.4, 0.2, 0.3])
    estimates = _estimates(q, k, num_features=4, orthogonal=orthogonal)
    error = estimates.std() / math.sqrt(NUM_DRAWS)
    assert abs(estimates.mean() - math.exp(q @ k)) < 4 * error


@pytest.mark.parametrize("num_features", [1, 7])
def test_the_relative_variance_of_independent_features_is_the_closed_form(num_features):
    """(exp(|q + k|^2) - 1) / m."""
    q, k = torch.tensor([0.3, -0.2, 0.1]), torch.tensor([-0.1, 0.4, 0.2])
    estimates = _estimates(q, k, num_features=num_features, orthogonal=False)
    relative = float(estimates.var() / math.exp(2 * (q @ k)))
    expected = math.expm1(float((q + k).square().sum())) / num_features
    assert relative == pytest.approx(expected, rel=0.05)


def test_orthogonal_features_vary_less():
    q, k = torch.tensor([0.3, -0.2, 0.1, 0.5]), torch.tensor([0.1, 0.4, 0.2, 0.3])
    independent, orthogonal = (
        _estimates(q, k, num_features=4, orthogonal=o).var() for o in (False, True)
    )
    assert orthogonal < 0.9 * independent


def test_enormous_inputs_keep_finite_features_of_largest_value_one():
    omega = torch.randn(1, 33, 7, generator=torch.Generator().manual_seed(0))
    features = positive_features(1e4 * torch.ones(1, 1, 1, 7), Exponents(omega=omega, scale=1.0))
    assert torch.isfinite(features.log_scale).all()
    assert features.values.amax() == 1


def test_gradients_are_those_of_the_features_with_their_scale():
    omega = torch.randn(1, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)[None, None, None].requires_grad_()
    features = positive_features(x, Exponents(omega=omega, scale=1.0))
    whole = (features.values * torch.exp(features.log_scale)[..., None]).sum()
    plain = torch.exp(x @ omega[0].T - x.square().sum() / 2).sum() / math.sqrt(5)
    (found,), (due,) = torch.autograd.grad(whole, x), torch.autograd.grad(plain, x)
    torch.testing.assert_close(found, due)
